"""A seed's record is kept under its digest, and no other record passes for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qlq.archive import seed_records
from qlq.errors import ConfigError, RemoteMisuse
from qlq.qrng import seed_record
from qlq.qrng.seed_record import JobRecord, SeedRecord

JOB = JobRecord("lab", "lab", "qpu", "job-7", "aa" * 32, "bb" * 32, 4096, None)
RECORD = SeedRecord((JOB,), "T2", "500.0", "384.0", 48, ("because", "therefore"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    seed_records.keep(tmp_path / "records", RECORD)
    return tmp_path / "records" / f"{RECORD.certificate_id}.json"


def test_the_id_is_the_digest_of_the_record_s_canonical_bytes() -> None:
    job = ["lab", "lab", "qpu", "job-7", "aa" * 32, "bb" * 32, 4096, None]
    packed = msgspec.msgpack.encode([[job], "T2", "500.0", "384.0", 48, ["because", "therefore"]])
    assert RECORD.certificate_id == hashlib.sha256(b"\x01" + packed).hexdigest()


def test_a_kept_record_is_found_by_its_id_and_is_its_owner_s(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    found = seed_records.find(file.parent, RECORD.certificate_id)
    assert found == RECORD.as_document()
    assert seed_record.read(json.loads(json.dumps(found))) == (RECORD.certificate_id, RECORD)
    verdict, again = seed_records.check(file, certificate_id=RECORD.certificate_id)
    assert (verdict.findings, verdict.certificate_id) == ((), RECORD.certificate_id)
    assert (verdict.result["tier"], verdict.result["claim_bits"]) == ("T2", 384.0)
    assert again == found
    seed_records.keep(file.parent, RECORD)  # a second time changes nothing
    assert seed_records.find(file.parent, "00" * 32) is None
    with pytest.raises(ConfigError, match="--home"):
        seed_records.require(file.parent, "00" * 32)


def test_every_changed_byte_is_found(file: Path) -> None:
    data = file.read_bytes()
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        file.write_bytes(changed)
        verdict, record = seed_records.check(file, certificate_id=RECORD.certificate_id)
        if verdict.is_valid:  # another form of the same JSON
            assert json.loads(changed) == json.loads(data), place
        else:
            assert record is None
            assert seed_records.find(file.parent, RECORD.certificate_id) is None


def test_another_record_under_this_name_is_found(file: Path) -> None:
    other = msgspec.structs.replace(RECORD, credited_bits="385.0")
    file.write_text(json.dumps(other.as_document()))
    verdict, _ = seed_records.check(file, certificate_id=RECORD.certificate_id)
    (finding,) = verdict.findings
    assert (finding.field, finding.found) == ("id", other.certificate_id)
    assert seed_records.check(file, certificate_id=None)[0].is_valid  # it is what it says


@pytest.mark.parametrize(
    "content",
    [None, [], 7, "x", {}, {"schema": 1}, {"schema": "qlq.rng.record/2", "id": "", "record": {}}],
)
def test_what_is_no_record_is_refused(file: Path, content: Any) -> None:
    with pytest.raises(RemoteMisuse):
        seed_record.read(content)
    file.write_text(json.dumps(content))
    verdict, record = seed_records.check(file, certificate_id=None)
    assert (verdict.is_valid, record) == (False, None)


@pytest.mark.parametrize(
    "edit",
    [
        lambda fields: fields.pop("tier"),
        lambda fields: fields.update(more=1),
        lambda fields: fields.update(jobs=7),
        lambda fields: fields.update(jobs=[7]),
        lambda fields: fields.update(system_bytes="48"),
        lambda fields: fields["jobs"][0].pop("raw_bits"),
        lambda fields: fields["jobs"][0].update(raw_bits=1.5),
    ],
)
def test_fields_too_few_too_many_or_of_another_type_are_refused(edit: Any) -> None:
    document = json.loads(json.dumps(RECORD.as_document()))
    edit(document["record"])
    with pytest.raises(RemoteMisuse):
        seed_record.read(document)

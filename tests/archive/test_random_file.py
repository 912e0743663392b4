"""A file of random bytes verifies from its signed certificate, and nothing in it changes unseen."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from qlq.archive import folder, random_file, signed
from qlq.archive.signed import Verdict
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import BackendUnavailable, ConfigError
from qlq.provenance import Attempt, EntropyTier
from qlq.qrng import certificate
from qlq.qrng.chain import Seed
from qlq.qrng.generators import Pool
from qlq.qrng.seed_record import SeedRecord

KEY = SigningKey(Algorithm.ML_DSA_65, bytes(range(32)))
FORGER = SigningKey(Algorithm.ML_DSA_65, bytes(32))
GONE = BackendUnavailable("the lab is closed")
LEFT = (Attempt("lab:down", "BackendUnavailable", "the lab has moved"),)
Forge = Callable[[Callable[[dict[str, Any]], None]], Verdict]


def seeds(*, last: int = 100) -> Iterator[Seed]:
    """Seeds with a record each; the source is lost after so many."""
    for number in count(1):
        if number > last:
            raise GONE
        record = SeedRecord((), "T2", "500.0", "384.0", 48, (f"seed {number}",))
        tier = EntropyTier.DEVICE_MODELLED
        yield Seed(number.to_bytes(48, "big"), 384.0, tier, record.reasons, record, ())


def pool(*, last: int = 100, reseed_bytes: int = 1 << 20) -> Pool:
    """A pool over an operating system that says the same again: its bytes can be computed."""
    source = seeds(last=last)
    return Pool(lambda: next(source), lambda size: b"s" * size, reseed_bytes=reseed_bytes)


def write(source: Pool, path: Path, size: int) -> dict[str, Any]:
    return random_file.write(
        source, path, count=size, key=KEY, issued="2026-01-01T00:00:00+00:00", attempts=lambda: LEFT
    )


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "out.qbits"
    write(pool(), path, 1000)
    return path


@pytest.fixture
def forge(made: Path) -> Forge:
    """Change what the certificate says, sign it again with a key of one's own, and check it."""

    def change(edit: Callable[[dict[str, Any]], None]) -> Verdict:
        file = made.with_suffix(".cert.json")
        said = json.loads(file.read_bytes())["certificate"]
        edit(said)
        file.write_bytes(
            folder.canonical_json(signed.sign(said, kind=random_file.KIND, key=FORGER))
        )
        return random_file.check(made, signer=None)

    return change


def places(verdict: Verdict) -> set[str]:
    return {f"{finding.file} {finding.field}".strip() for finding in verdict.findings}


def test_a_file_has_the_bytes_and_a_signed_certificate_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out.qbits"
    document = write(pool(), path, 100_000)
    twin, data = pool(), path.read_bytes()
    assert data == twin.draw(65536).bytes + twin.draw(100_000 - 65536).bytes
    assert json.loads((tmp_path / "out.cert.json").read_bytes()) == document
    said = document["certificate"]
    assert said["sha256"] == hashlib.sha256(data).hexdigest()
    assert (said["tier"], said["claim_bits"], said["degraded"]) == ("T2", 384.0, False)
    assert said["attempts"] == [
        {"backend": "lab:down", "error": "BackendUnavailable", "detail": "the lab has moved"}
    ]
    for name in (path, path.with_suffix(".cert.json")):
        verdict = random_file.check(name, signer=signed.fingerprint(KEY.verifying_key))
        assert (verdict.findings, verdict.level) == ((), "full")
        assert verdict.certificate_id == document["id"]


def test_every_seed_behind_the_bytes_has_its_record_also_within_one_draw(tmp_path: Path) -> None:
    said = write(pool(reseed_bytes=100), tmp_path / "a.qbits", 250)["certificate"]
    assert [one["record"]["reasons"] for one in said["records"]] == [
        ["seed 1"],
        ["seed 2"],
        ["seed 3"],
    ]
    assert said["certificate_ids"] == [one["id"] for one in said["records"]]
    assert said["claim_bits"] == 384.0 + 384.0 + 384.0
    assert random_file.check(tmp_path / "a.qbits", signer=None).is_valid


def test_a_source_that_dies_leaves_no_file(tmp_path: Path) -> None:
    source = pool(last=1, reseed_bytes=65536)
    source.draw(1)
    with pytest.raises(BackendUnavailable):
        write(source, tmp_path / "out.qbits", 100_000)
    assert not list(tmp_path.iterdir())


def test_a_degraded_file_says_so_and_claims_nothing(tmp_path: Path) -> None:
    source = seeds(last=0)
    fallback = Pool.with_fallback(lambda: next(source), os.urandom)
    said = write(fallback, tmp_path / "a.qbits", 8)["certificate"]
    assert (said["tier"], said["claim_bits"], said["degraded"]) == ("T0", 0.0, True)
    assert said["certificate_ids"] == said["records"] == []
    assert random_file.check(tmp_path / "a.qbits", signer=None).is_valid


def test_no_file_is_overwritten_and_names_are_checked(tmp_path: Path) -> None:
    (tmp_path / "a.cert.json").write_text("{}")
    with pytest.raises(ConfigError, match="exists"):
        write(pool(), tmp_path / "a.qbits", 8)
    assert (tmp_path / "a.cert.json").read_text() == "{}"
    with pytest.raises(ConfigError, match="qbits"):
        write(pool(), tmp_path / "a.bin", 8)
    with pytest.raises(ConfigError, match="cannot write"):
        write(pool(), tmp_path / "none" / "a.qbits", 8)
    with pytest.raises(ValueError, match="0"):
        write(pool(), tmp_path / "b.qbits", 0)


def test_without_the_bytes_it_verifies_at_the_public_level(made: Path) -> None:
    made.unlink()
    verdict = random_file.check(made.with_suffix(".cert.json"), signer=None)
    assert (verdict.is_valid, verdict.level) == (True, "public")


@pytest.mark.parametrize("place", [0, 500, 999])
def test_a_changed_byte_is_found(made: Path, place: int) -> None:
    data = bytearray(made.read_bytes())
    data[place] ^= 1
    made.write_bytes(data)
    assert places(random_file.check(made, signer=None)) == {"out.qbits sha256"}


def test_bytes_that_are_cut_off_or_added_are_found(made: Path) -> None:
    data = made.read_bytes()
    for changed in (data[:-1], data + b"x"):
        made.write_bytes(changed)
        found = places(random_file.check(made, signer=None))
        assert found == {"out.qbits bytes", "out.qbits sha256"}


def test_every_changed_byte_of_the_certificate_is_found(made: Path) -> None:
    """Every 19th byte, and all of the first hundred."""
    file = made.with_suffix(".cert.json")
    data = file.read_bytes()
    for place in sorted({*range(100), *range(0, len(data), 19)}):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert not random_file.check(made, signer=None).is_valid, place


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (lambda said: said.update(claim_bits=384.5), "certificate.claim_bits"),
        (lambda said: said.update(claim_bits=-1.0), "certificate.claim_bits"),
        (lambda said: said.update(tier="T3"), "certificate.tier"),
        (lambda said: said.update(tier_label="T3 self-tested"), "certificate.tier_label"),
        (lambda said: said.update(degraded=True), "certificate.tier"),
        (lambda said: said.update(certificate_ids=["00" * 32]), "certificate.certificate_ids[0]"),
        (lambda said: said["records"][0].update(id="00" * 32), "certificate.records[0]"),
        (lambda said: said["records"][0]["record"].update(tier="T0"), "certificate.tier"),
        (lambda said: said["records"].clear(), "certificate.certificate_ids"),
        (lambda said: said.update(format="another"), "certificate.format"),
        (lambda said: said.update(bytes=999), "bytes"),
        (lambda said: said.update(bytes="many"), ""),
        (lambda said: said.pop("records"), ""),
        (lambda said: said.update(records=[7]), ""),
        (lambda said: said["records"][0]["record"].pop("jobs"), ""),
    ],
)
def test_what_does_not_follow_is_found_however_it_is_signed(
    forge: Forge, edit: Callable[[dict[str, Any]], None], place: str
) -> None:
    verdict = forge(edit)
    assert place in {finding.field for finding in verdict.findings}
    assert "signature" not in {finding.field for finding in verdict.findings}


def test_another_signer_is_told_and_refused_where_one_is_wanted(made: Path, forge: Forge) -> None:
    own = signed.fingerprint(KEY.verifying_key)
    assert random_file.check(made, signer=own).is_valid
    verdict = forge(lambda said: said.update(issued="2027-01-01T00:00:00+00:00"))
    assert (verdict.is_valid, verdict.signer == own) == (True, False)
    assert places(random_file.check(made, signer=own)) == {"out.cert.json signer"}


def test_a_signature_for_another_kind_of_document_is_none(made: Path) -> None:
    file = made.with_suffix(".cert.json")
    document = json.loads(file.read_bytes())
    document["signature"] = certificate.sign(document["certificate"], KEY).hex()
    file.write_bytes(folder.canonical_json(document))
    assert places(random_file.check(made, signer=None)) == {"out.cert.json signature"}


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"schema": "qlq.rng.file/1"}'])
def test_what_is_no_certificate_is_a_finding(made: Path, content: bytes) -> None:
    made.with_suffix(".cert.json").write_bytes(content)
    verdict = random_file.check(made, signer=None)
    assert (len(verdict.findings), verdict.signer, verdict.certificate_id) == (1, "", "")


def test_bytes_without_a_certificate_are_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "a.qbits").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"a\.cert\.json"):
        random_file.check(tmp_path / "a.qbits", signer=None)

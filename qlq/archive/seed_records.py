"""Records of seeds as files, named by the certificate ids that they explain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qlq.archive import differences, folder
from qlq.archive.differences import Finding
from qlq.archive.signed import Verdict
from qlq.disk import private_files
from qlq.errors import ConfigError, RemoteMisuse
from qlq.provenance import EntropyTier
from qlq.qrng import seed_record
from qlq.qrng.seed_record import SeedRecord

FILE_BYTES_MAX = 1 << 20
LEVEL = "record"
"""Of a check: a record has no bytes beside it."""


def file_of(place: Path, certificate_id: str) -> Path:
    """Where the record of this id lies below a folder."""
    return place / f"{certificate_id}.json"


def keep(place: Path, record: SeedRecord) -> None:
    """Keep a record in this folder under its id; one that is there stays.

    Raises:
        ConfigError: The folder cannot be written.
    """
    content = folder.canonical_json(record.as_document())
    private_files.create_if_absent(file_of(place, record.certificate_id), content)


def check(file: Path, *, certificate_id: str | None) -> tuple[Verdict, dict[str, Any] | None]:
    """Whether a file has the record that its id names; the record as a document, None if not.

    Args:
        file: The record.
        certificate_id: Id that it must have; None takes the one that it states.

    Raises:
        ConfigError: The file cannot be read.
    """
    data = differences.read(file, limit=FILE_BYTES_MAX)
    try:
        stated, record = seed_record.read(json.loads(data))
        tier = {tier.code: tier for tier in EntropyTier}[record.tier]
        worth = {
            "tier": tier.code,
            "tier_label": tier.label,
            "claim_bits": float(record.credited_bits),
        }
    except (RemoteMisuse, ValueError, RecursionError, LookupError) as error:
        finding = Finding(file.name, "", f"a record of a seed ({seed_record.SCHEMA})", str(error))
        return Verdict(LEVEL, (finding,), "", "", {}), None
    found = record.certificate_id
    wanted = [("id", stated), *([] if certificate_id is None else [("id", certificate_id)])]
    findings = {Finding(file.name, name, one, found): None for name, one in wanted if one != found}
    verdict = Verdict(LEVEL, tuple(findings), found, "", worth)
    return verdict, None if findings else record.as_document()


def find(place: Path, certificate_id: str) -> dict[str, Any] | None:
    """The record of this id as a document; None if it is not kept here, or is another one now."""
    file = file_of(place, certificate_id)
    if not file.is_file():
        return None
    _, found = check(file, certificate_id=certificate_id)
    return found


def require(place: Path, certificate_id: str) -> Path:
    """The file of this id's record; raises ConfigError where it is not kept."""
    file = file_of(place, certificate_id)
    if not file.is_file():
        raise ConfigError(
            f"no record of {certificate_id} below {place}: name the home that drew the bytes with "
            "--home, or give the record itself as a file"
        )
    return file

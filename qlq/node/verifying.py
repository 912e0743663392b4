"""What certificates of random bits name, and the check of whatever names it.

    a folder                       a bundle of `qlq rng certify`
    NAME.qbits, NAME.cert.json     random bytes of `qlq rng get -o`
    64 hexadecimal digits          the id of a seed's record in this home
    another file                   a seed's record, as documents show it

A record's id is its digest: whoever holds both needs nobody's word that they belong together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from qlq.archive import bundle, random_file, seed_records
from qlq.archive.signed import Verdict
from qlq.config import Settings
from qlq.errors import ConfigError
from qlq.node import certifying
from qlq.node.entropy import Keep
from qlq.qrng.seed_record import ID_CHARACTERS, SeedRecord

FOLDER = "records"

Tell = Callable[[str], None]


class Target(StrEnum):
    """What was checked."""

    BUNDLE = "bundle"
    FILE = "file"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check of a target found.

    Attributes:
        target: What it was.
        verdict: Of the check.
        record: A seed's record as a document; None for other targets, or if it does not fit.
    """

    target: Target
    verdict: Verdict
    record: dict[str, Any] | None = None


def records(settings: Settings) -> Path:
    """Where this home keeps the records of its seeds."""
    return settings.home / certifying.FOLDER / FOLDER


def keeper(settings: Settings, tell: Tell) -> Keep:
    """Keeps records of seeds in this home; where it cannot, the bytes are given all the same."""

    def keep(record: SeedRecord) -> None:
        try:
            seed_records.keep(records(settings), record)
        except ConfigError as error:
            tell(f"the record {record.certificate_id} is not kept, --json shows it: {error}")

    return keep


def find(settings: Settings, certificate_id: str) -> dict[str, Any] | None:
    """The record of this id as a document; None if this home does not have it."""
    return seed_records.find(records(settings), certificate_id)


def check(target: str, settings: Settings, *, signer: str | None) -> Checked:
    """Check what a certificate id names, or a document that states one.

    Args:
        target: A path, or an id.
        settings: Home folder whose records are looked up.
        signer: Fingerprint that the signer must have; None accepts any and tells it. A record
            has no signer: its id is its digest.

    Raises:
        ConfigError: There is no such file or record, or it is none of these; or a signer was
            given for a record.
    """
    path = Path(target)
    if path.is_dir():
        return Checked(Target.BUNDLE, bundle.check(path, signer=signer))
    if path.name.endswith((random_file.SUFFIX, random_file.CERTIFICATE_SUFFIX)):
        return Checked(Target.FILE, random_file.check(path, signer=signer))
    is_id = len(target) == ID_CHARACTERS and set(target) <= set("0123456789abcdef")
    if not path.is_file() and not is_id:
        raise ConfigError(f"{target} is no folder, no file, and no id of {ID_CHARACTERS} digits")
    if signer is not None:
        raise ConfigError("a record is not signed, its id is its digest: leave --signer out")
    file = path if path.is_file() else seed_records.require(records(settings), target)
    verdict, record = seed_records.check(file, certificate_id=target if is_id else None)
    return Checked(Target.RECORD, verdict, record)

"""What a seed was made from, as a record with a name: the certificate id of what came from it.

The id is the SHA-256 of the record's canonical bytes, so that whoever has the record can see that
an id names it. It tells where bits came from, and holds none of them: 48 bytes of the operating
system entered the seed beside them.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from qlq import codec
from qlq.errors import RemoteMisuse

SCHEMA = "qlq.rng.record/1"
ID_CHARACTERS = 64
"""Of an id: SHA-256 in hex."""


class JobRecord(msgspec.Struct, frozen=True, array_like=True):
    """One job behind a seed: where it ran, what ran, and the digest of what came."""

    backend: str
    device: str
    kind: str
    job_id: str
    program_digest: str
    batch_digest: str
    raw_bits: int
    simulator_seed: int | None


class SeedRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a seed's claim rests on; its digest is the certificate id.

    Attributes:
        jobs: In the order in which their bits were conditioned.
        tier: Code of the entropy tier.
        assessed_bits: Claim of the raw bits, as text.
        credited_bits: Credit of the seed, as text.
        system_bytes: Bytes of the operating system that entered beside them, without credit.
        reasons: In sentences.
    """

    jobs: tuple[JobRecord, ...]
    tier: str
    assessed_bits: str
    credited_bits: str
    system_bytes: int
    reasons: tuple[str, ...]

    @property
    def certificate_id(self) -> str:
        """SHA-256 (hex) of the canonical bytes."""
        return hashlib.sha256(codec.encode(self)).hexdigest()

    def as_document(self) -> dict[str, Any]:
        """The record with its id, for JSON."""
        fields = msgspec.structs.asdict(self)
        jobs = [msgspec.structs.asdict(job) for job in self.jobs]
        record = {**fields, "jobs": jobs, "reasons": list(self.reasons)}
        return {"schema": SCHEMA, "id": self.certificate_id, "record": record}


def read(document: object) -> tuple[str, SeedRecord]:
    """The id that a document states, and its record; whether they fit is for the caller to see.

    Raises:
        RemoteMisuse: It is no record of a seed.
    """
    if not isinstance(document, dict) or document.keys() != {"schema", "id", "record"}:
        raise RemoteMisuse(f"not a record of a seed ({SCHEMA})")
    stated, fields = document["id"], document["record"]
    if document["schema"] != SCHEMA or not isinstance(stated, str):
        raise RemoteMisuse(f"not a record of a seed ({SCHEMA}): {document['schema']!r}")
    return stated, _record(fields)


def _record(fields: dict[str, Any]) -> SeedRecord:
    try:
        jobs = [_in_order(job, JobRecord) for job in fields["jobs"]]
        return msgspec.convert(_in_order({**fields, "jobs": jobs}, SeedRecord), SeedRecord)
    except (msgspec.ValidationError, LookupError, TypeError, AttributeError) as error:
        raise RemoteMisuse(f"not a record of a seed: {error}") from error


def _in_order(fields: dict[str, Any], kind: type[msgspec.Struct]) -> list[Any]:
    """The values of a struct's fields; raises LookupError for one too few or too many."""
    names = kind.__struct_fields__
    if unknown := fields.keys() - set(names):
        raise LookupError(f"unknown field {min(unknown)!r}")
    return [fields[name] for name in names]

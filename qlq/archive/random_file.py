"""Random bytes as a file, with what they are worth beside it, signed; and their check.

    NAME.qbits         the bytes
    NAME.cert.json     digest of the bytes, tier, claim and the records of the seeds behind them

The certificate alone verifies at the public level: give it away and keep the bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qlq.archive import differences, document, folder
from qlq.archive import signed as signing
from qlq.archive.differences import Finding
from qlq.archive.signed import Verdict
from qlq.crypto.signing import SigningKey
from qlq.errors import ConfigError, RemoteMisuse
from qlq.provenance import Attempt, EntropyTier
from qlq.qrng import seed_record
from qlq.qrng.generators import Draw, Pool, chunks
from qlq.qrng.seed_record import SeedRecord

SUFFIX = ".qbits"
CERTIFICATE_SUFFIX = ".cert.json"
KIND = signing.Kind("qlq.rng.file/1", b"qlq random file 1")
FORMAT = "qlq random file 1"
_READ_BYTES = 1 << 20
_MALFORMED = (RemoteMisuse, LookupError, TypeError, ValueError, AttributeError)
"""What reading a certificate of somebody else's making may raise."""


def check_free(path: Path) -> None:
    """Raise ConfigError unless bytes and certificate can get these names."""
    if path.suffix != SUFFIX:
        raise ConfigError(f"random bytes go to a file that ends with {SUFFIX}, not to {path}")
    if taken := [place for place in (path, certificate_of(path)) if place.exists()]:
        raise ConfigError(f"{taken[0]} exists already: name another file")


def certificate_of(path: Path) -> Path:
    """Where the certificate of a file of random bytes lies."""
    return path.with_suffix(CERTIFICATE_SUFFIX)


def write(
    pool: Pool,
    path: Path,
    *,
    count: int,
    key: SigningKey,
    issued: str,
    attempts: Callable[[], Sequence[Attempt]],
) -> dict[str, Any]:
    """Write `count` bytes to `path` and their certificate beside it; both, or neither.

    Args:
        pool: Where the bytes come from.
        path: Ends with `.qbits`; neither it nor its `.cert.json` exists yet.
        count: Bytes, at least 1.
        key: Signs the certificate.
        issued: When, ISO 8601, UTC.
        attempts: Is asked for the backends that were left, once the bytes are there.

    Returns:
        The certificate as it is in its file: the SHA-256 of the bytes, the lowest tier of all
        draws, the sum of their claims, the records that their ids name, and whether any draw was
        degraded.

    Raises:
        ConfigError: The path ends otherwise, exists, or cannot be written.
        ValueError: `count` is below 1.
        EntropyRefused, BackendError: The pool gave no bytes; no file is left.
    """
    check_free(path)
    if count < 1:
        raise ValueError(f"a file has at least 1 byte, not {count}")
    beside = certificate_of(path)
    part, part_beside = (place.with_name(place.name + ".part") for place in (path, beside))
    try:
        digest, draws = _fill(pool, part, count)
        said = {
            "format": FORMAT,
            "issued": issued,
            "bytes": count,
            "sha256": digest,
            **_summary(draws),
            "attempts": [document.attempt(one) for one in attempts()],
        }
        signed = signing.sign(said, kind=KIND, key=key)
        part_beside.write_bytes(folder.canonical_json(signed))
        part_beside.replace(beside)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    finally:
        for place in (part, part_beside):
            place.unlink(missing_ok=True)
    return signed


def _fill(pool: Pool, part: Path, count: int) -> tuple[str, list[Draw]]:
    """Write the bytes, durably; their SHA-256 (hex), and the draws without their bytes."""
    digest, draws = hashlib.sha256(), []
    with part.open("xb") as file:
        for draw in chunks(pool, count):
            file.write(draw.bytes)
            digest.update(draw.bytes)
            draws.append(dataclasses.replace(draw, bytes=b""))
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), draws


def _summary(draws: list[Draw]) -> dict[str, Any]:
    """All draws together: the lowest tier, and claims only where it has any."""
    tier = min(draw.tier for draw in draws)
    records = dict.fromkeys(record for draw in draws for record in draw.records)
    return {
        "tier": tier.code,
        "tier_label": tier.label,
        "claim_bits": sum(draw.claim_bits for draw in draws) if tier else 0.0,
        "claim_reasons": list(dict.fromkeys(r for draw in draws for r in draw.reasons)),
        "certificate_ids": [record.certificate_id for record in records],
        "records": [record.as_document() for record in records],
        "degraded": any(draw.degraded for draw in draws),
    }


def check(path: Path, *, signer: str | None) -> Verdict:
    """Check a certificate, and the bytes beside it if they are there.

    Args:
        path: The bytes or their certificate.
        signer: Fingerprint that the signer must have; None accepts any and tells it.

    Raises:
        ConfigError: There is no certificate, or a file cannot be read.
    """
    is_bytes = path.suffix == SUFFIX
    beside = certificate_of(path) if is_bytes else path
    if not beside.is_file():
        raise ConfigError(f"{path} has no certificate: there is no {beside}")
    data = path if is_bytes else path.with_name(path.name.removesuffix(CERTIFICATE_SUFFIX) + SUFFIX)
    level = "full" if data.is_file() else "public"
    signed, findings = signing.read(beside, kind=KIND)
    if signed is None:
        return Verdict(level, tuple(findings), "", "", {})
    said = signed["certificate"]
    found, of_signature = signing.check(signed, kind=KIND, signer=signer, file=beside.name)
    findings += of_signature
    try:
        findings += _inconsistencies(said, beside.name)
        if level == "full":
            findings += _other_bytes(said, data)
    except _MALFORMED as error:
        findings.append(Finding(beside.name, "", "a certificate of random bytes", str(error)))
    return Verdict(level, tuple(findings), str(signed.get("id", "")), found, said)


def _inconsistencies(said: Mapping[str, Any], name: str) -> list[Finding]:
    """What a certificate says that does not follow from its own records."""
    stated = [seed_record.read(one) for one in said["records"]]
    records = [record for _, record in stated]
    ids = [record.certificate_id for record in records]
    tier = _tier(records, degraded=said["degraded"])
    credit = sum(float(record.credited_bits) for record in records) if tier else 0.0
    most = min(8.0 * said["bytes"], credit)
    expected = {
        "format": FORMAT,
        "records": ids,
        "certificate_ids": ids,
        "tier": tier.code,
        "tier_label": tier.label,
    }
    found = {field: said[field] for field in expected} | {"records": [one for one, _ in stated]}
    findings = differences.compare("certificate", expected, found, file=name)
    if not 0.0 <= said["claim_bits"] <= most:
        limit = f"from 0 to {most:g}"
        findings.append(Finding(name, "certificate.claim_bits", limit, str(said["claim_bits"])))
    return findings


def _tier(records: list[SeedRecord], *, degraded: bool) -> EntropyTier:
    """The lowest tier of the seeds; none where the operating system stood in."""
    by_code = {tier.code: tier for tier in EntropyTier}
    tiers = [by_code[record.tier] for record in records]
    return min(tiers, default=EntropyTier.NONE) if not degraded else EntropyTier.NONE


def _other_bytes(said: Mapping[str, Any], data: Path) -> Iterator[Finding]:
    """Whether the file of the bytes is another one than the certificate's."""
    digest, size = hashlib.sha256(), 0
    try:
        with data.open("rb") as file:
            while part := file.read(_READ_BYTES):
                digest.update(part)
                size += len(part)
    except OSError as error:
        raise ConfigError(f"cannot read {data}: {error.strerror}") from error
    if size != said["bytes"]:
        yield Finding(data.name, "bytes", str(said["bytes"]), str(size))
    if digest.hexdigest() != said["sha256"]:
        yield Finding(data.name, "sha256", str(said["sha256"]), digest.hexdigest())

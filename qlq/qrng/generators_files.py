"""Random bytes as a file, with what they are worth beside it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from qlq.errors import ConfigError
from qlq.qrng.generators import Draw, Pool, chunks

SUFFIX = ".qbits"
CERTIFICATE_SUFFIX = ".cert.json"
SCHEMA = "qlq.rng.file/1"


def write(pool: Pool, path: Path, *, count: int) -> Path:
    """Write `count` bytes to `path` and their certificate beside it; both, or neither.

    Args:
        pool: Where the bytes come from.
        path: Ends with `.qbits`; neither it nor its `.cert.json` exists yet.
        count: Bytes, at least 1.

    Returns:
        The path of the certificate: a JSON document with the SHA-256 of the bytes, the lowest
        tier of all draws, the sum of their claims, the records' ids, and whether any draw was
        degraded.

    Raises:
        ConfigError: The path ends otherwise, exists, or cannot be written.
        ValueError: `count` is below 1.
        EntropyRefused, BackendError: The pool gave no bytes; no file is left.
    """
    if path.suffix != SUFFIX:
        raise ConfigError(f"random bytes go to a file that ends with {SUFFIX}, not to {path}")
    if count < 1:
        raise ValueError(f"a file has at least 1 byte, not {count}")
    beside = path.with_suffix(CERTIFICATE_SUFFIX)
    if taken := [place for place in (path, beside) if place.exists()]:
        raise ConfigError(f"{taken[0]} exists already: name another file")
    part, part_beside = (place.with_name(place.name + ".part") for place in (path, beside))
    try:
        document = _fill(pool, part, count)
        part_beside.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        part_beside.replace(beside)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    finally:
        for place in (part, part_beside):
            place.unlink(missing_ok=True)
    return beside


def _fill(pool: Pool, part: Path, count: int) -> dict[str, Any]:
    """Write the bytes, durably; what they are worth."""
    digest, draws = hashlib.sha256(), []
    with part.open("xb") as file:
        for draw in chunks(pool, count):
            file.write(draw.bytes)
            digest.update(draw.bytes)
            draws.append(_without_bytes(draw))
        file.flush()
        os.fsync(file.fileno())
    return {"schema": SCHEMA, "bytes": count, "sha256": digest.hexdigest(), **_summary(draws)}


def _without_bytes(draw: Draw) -> dict[str, Any]:
    return {
        "tier": draw.tier,
        "claim_bits": draw.claim_bits,
        "certificate_id": draw.certificate_id,
        "degraded": draw.degraded,
        "reasons": draw.reasons,
    }


def _summary(draws: list[dict[str, Any]]) -> dict[str, Any]:
    """All draws together: the lowest tier, and claims only where it has any."""
    tier = min(draw["tier"] for draw in draws)
    ids = dict.fromkeys(draw["certificate_id"] for draw in draws if draw["certificate_id"])
    return {
        "tier": tier.code,
        "tier_label": tier.label,
        "claim_bits": sum(draw["claim_bits"] for draw in draws) if tier else 0.0,
        "claim_reasons": list(dict.fromkeys(r for draw in draws for r in draw["reasons"])),
        "certificate_ids": list(ids),
        "degraded": any(draw["degraded"] for draw in draws),
    }

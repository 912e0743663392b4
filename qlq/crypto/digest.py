"""Cryptographic digests."""

from __future__ import annotations

from hashlib import sha256 as _sha256


def sha256(data: bytes) -> bytes:
    """SHA-256 of the data, 32 bytes. Source: FIPS 180-4."""
    return _sha256(data).digest()

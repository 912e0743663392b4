"""Cryptographic digests."""

from __future__ import annotations

from hashlib import sha256 as _sha256

NAME_BYTES_MAX = 255


def sha256(data: bytes) -> bytes:
    """SHA-256 of the data, 32 bytes. Source: FIPS 180-4."""
    return _sha256(data).digest()


def named(name: bytes, data: bytes) -> bytes:
    """SHA-256 of a name and the data, 32 bytes: digests of one use are never those of another.

    Args:
        name: What the digest is for, with its version, for example `qlq/block/1`; 1 to 255 bytes.
            Its length goes before it as one byte, so that no name and data are another's.
        data: Any bytes.

    Raises:
        ValueError: For a name that is empty or too long.
    """
    if not 1 <= len(name) <= NAME_BYTES_MAX:
        raise ValueError(f"a name has 1 to {NAME_BYTES_MAX} bytes, not {len(name)}")
    return _sha256(bytes([len(name)]) + name + data).digest()

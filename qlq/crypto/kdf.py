"""Keys from secrets: HKDF for secrets of full entropy, Argon2id for passphrases."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HKDF_BYTES_MAX = 255 * 32
"""RFC 5869 section 2.3: the block counter is one byte."""

SALT_BYTES = 16
"""RFC 9106 section 3.1 recommends 16 bytes."""

ARGON2_MEMORY_KIB = 64 * 1024
ARGON2_PASSES = 3
ARGON2_LANES = 4
"""RFC 9106 section 4, second recommended option."""


def hkdf(secret: bytes, *, info: bytes, length: int, salt: bytes | None = None) -> bytes:
    """`length` bytes that depend on the secret and on what they are for.

    Args:
        secret: At least 16 bytes with full entropy; a passphrase is not such a secret.
        info: What the bytes are for; other texts give independent bytes.
        length: Bytes wanted, 1 to 8160.
        salt: Random, not secret; None stands for zeros.

    Raises:
        ValueError: For a secret or a length outside its range.

    Source:
        RFC 5869, with SHA-256.
    """
    if len(secret) < SALT_BYTES:
        raise ValueError(f"a secret has at least {SALT_BYTES} bytes, not {len(secret)}")
    if not 1 <= length <= HKDF_BYTES_MAX:
        raise ValueError(f"cannot derive {length} bytes; the range is 1 to {HKDF_BYTES_MAX}")
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)


def argon2id(passphrase: str, *, salt: bytes) -> bytes:
    """32 bytes from a passphrase, made slow to guess: 64 MiB, 3 passes, 4 lanes.

    Args:
        passphrase: Not empty; encoded as UTF-8, without any normalisation.
        salt: 16 random bytes, kept beside what the key protects.

    Raises:
        ValueError: For an empty passphrase or a salt of another length.

    Source:
        RFC 9106 section 3.1, version 0x13.
    """
    if not passphrase:
        raise ValueError("the passphrase is empty")
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    derivation = Argon2id(
        salt=salt,
        length=32,
        iterations=ARGON2_PASSES,
        lanes=ARGON2_LANES,
        memory_cost=ARGON2_MEMORY_KIB,
    )
    return derivation.derive(passphrase.encode())

"""A party's random generator: key streams that a 32-byte seed determines."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from qlq.crypto import kdf

SEED_BYTES = 32
LENGTH_MAX = 1 << 37
"""ChaCha20 counts 64-byte blocks in 32 bits; one byte less than 256 GiB would still do."""


def expand(seed: bytes, *, label: str, length: int) -> bytes:
    """`length` pseudo-random bytes: the ChaCha20 key stream under HKDF-SHA256(seed, label).

    Streams with different labels are independent, a longer stream starts with the shorter one.

    Args:
        seed: 32 secret bytes of full entropy.
        label: What the bytes are for.
        length: Bytes wanted, 0 to 2^37.

    Raises:
        ValueError: For a seed or length outside its range.

    Source:
        RFC 8439 section 2.4 (key stream, counter from 0, zero nonce: each key is used once);
        RFC 5869.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    if not 0 <= length <= LENGTH_MAX:
        raise ValueError(f"cannot expand to {length} bytes")
    key = kdf.hkdf(seed, info=b"qlq stream 1 " + label.encode(), length=32)
    encryptor = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    return encryptor.update(bytes(length))

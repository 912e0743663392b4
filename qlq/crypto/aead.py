"""AES-256-GCM: sealing bytes together with data that is bound to them but not hidden."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qlq.errors import BadTag

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
VERSION = b"\x01"
OVERHEAD_BYTES = len(VERSION) + NONCE_BYTES + TAG_BYTES


def seal(key: bytes, plaintext: bytes, *, nonce: bytes, aad: bytes) -> bytes:
    """A version byte, the nonce, the ciphertext and its tag.

    Args:
        key: 32 secret bytes.
        plaintext: What is hidden.
        nonce: 12 bytes, random, never used twice under one key: a repetition reveals both
            plaintexts and lets anyone forge. Under one key at most 2^32 random nonces.
        aad: What is bound to the ciphertext and not part of it.

    Raises:
        ValueError: For a key or nonce of another length.

    Source:
        NIST SP 800-38D, sections 7.1 and 8.3.
    """
    _check_key(key)
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
    return VERSION + nonce + AESGCM(key).encrypt(nonce, plaintext, VERSION + aad)


def unseal(key: bytes, sealed: bytes, *, aad: bytes) -> bytes:
    """The plaintext of what `seal` made.

    Raises:
        BadTag: Another key, other associated data, changed or cut bytes, unknown version.
        ValueError: For a key of another length.
    """
    _check_key(key)
    if sealed[:1] != VERSION or len(sealed) < OVERHEAD_BYTES:
        raise BadTag("sealed bytes of an unknown version, or cut off")
    nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, VERSION + aad)
    except InvalidTag as error:
        raise BadTag("sealed bytes do not open: wrong key, or changed bytes") from error


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")

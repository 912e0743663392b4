"""Poly1305 as a one-time authenticator."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from qlq.errors import BadTag

KEY_BYTES = 32
TAG_BYTES = 16


def tag(key: bytes, message: bytes) -> bytes:
    """The 16-byte tag of a message under a key that is used for this message alone.

    Raises:
        ValueError: Unless the key has 32 bytes.

    Source:
        RFC 8439 section 2.5.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a one-time key has {KEY_BYTES} bytes, not {len(key)}")
    return Poly1305.generate_tag(key, message)


def verify(key: bytes, message: bytes, received: bytes) -> None:
    """Return if the tag fits the message; raises BadTag otherwise. Constant time."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a one-time key has {KEY_BYTES} bytes, not {len(key)}")
    try:
        Poly1305.verify_tag(key, message, received)
    except (InvalidSignature, ValueError) as error:
        raise BadTag("the authentication tag does not fit the message") from error

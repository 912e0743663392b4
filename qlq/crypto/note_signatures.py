"""Signatures of signed notes: the type that a key signs with, and its bytes.

    Ed25519     type 0x01: RFC 8032 over the text itself, which every reader of notes can verify
    ML-DSA-65   type 0xff, then a name of ours: over the text, under CONTEXT
    hybrid      the same with another name: both algorithms sign, both verify

Notes know ML-DSA-44 by a byte of its own (0x06), and no other post-quantum algorithm: 0xff with a
longer name is what they leave to others.

An Ed25519 key signs a note without the frame that its other signatures have. Neither is ever the
other: the frame begins with `signing.ED25519_PREFIX`, and the text of a note that is signed here
must not.

Source:
    C2SP signed-note, "Signature types"; C2SP tlog-cosignature.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from qlq.crypto.signing import ED25519_PREFIX, Algorithm, SigningKey, VerifyingKey
from qlq.errors import BadSignature

CONTEXT = b"qlq/note/1"
_ED25519_TYPE = b"\x01"
_OTHER_TYPE = b"\xff"


def type_of(algorithm: Algorithm) -> bytes:
    """The signature type that stands before a public key: one byte, or 0xff and a name."""
    match algorithm:
        case Algorithm.ED25519:
            return _ED25519_TYPE
        case Algorithm.ML_DSA_65:
            return _OTHER_TYPE + b"qlq/ml-dsa-65/1"
        case Algorithm.HYBRID:
            return _OTHER_TYPE + b"qlq/ml-dsa-65+ed25519/1"


def sign(key: SigningKey, text: bytes) -> bytes:
    """The signature of a note's text, without any byte before it.

    Raises:
        ValueError: For a text that could be taken for another use's signed message.
    """
    _check(text)
    if key.algorithm is Algorithm.ED25519:
        return Ed25519PrivateKey.from_private_bytes(key.seed).sign(text)
    return key.sign(text, context=CONTEXT)[1:]


def verify(key: VerifyingKey, text: bytes, signature: bytes) -> None:
    """Return if a note's text has this signature by the key.

    Raises:
        BadSignature: Another key or text, or changed bytes.
        ValueError: For a text that could be taken for another use's signed message.
    """
    _check(text)
    if key.algorithm is not Algorithm.ED25519:
        key.verify(text, bytes([key.algorithm.value]) + signature, context=CONTEXT)
        return
    try:
        Ed25519PublicKey.from_public_bytes(key.data).verify(signature, text)
    except (InvalidSignature, ValueError) as error:
        raise BadSignature("the note's Ed25519 signature does not fit") from error


def _check(text: bytes) -> None:
    if text.startswith(ED25519_PREFIX):
        raise ValueError(f"a note does not begin with {ED25519_PREFIX!r}")

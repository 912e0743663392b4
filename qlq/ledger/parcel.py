"""Parcels: bytes for the validators of a chain, who open them with their own keys.

A block travels to the engine in a parcel, and snapshots and exports are parcels: whoever carries
or keeps them reads nothing, and opening them needs no quantum-distributed key.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from qlq import codec
from qlq.consensus.validators import Validators
from qlq.crypto import aead, digest
from qlq.crypto.kem import EncapsulationKey
from qlq.errors import BadTag, RemoteMisuse
from qlq.ledger.sealing import Opener

CONTENT_KEY_BYTES = aead.KEY_BYTES
_NAME = b"qlq/parcel/1"
_NONCE = bytes(aead.NONCE_BYTES)
"""Each content key is random and used once."""


class Content(IntEnum):
    """What is in a parcel; one kind never opens as another."""

    BLOCK = 1
    SNAPSHOT = 2
    EXPORT = 3


class Copy(msgspec.Struct, frozen=True, array_like=True):
    """The content key for one validator, sealed by HPKE."""

    reader: bytes
    wrapped: bytes


class Parcel(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Bytes that validators can open.

    Attributes:
        content: What is inside.
        chain: Chain id.
        height: Of the block, or the last one inside.
        copies: One for each validator, in ascending order.
        ciphertext: What is inside, sealed.
    """

    content: Content
    chain: bytes
    height: int
    copies: tuple[Copy, ...]
    ciphertext: bytes

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)


def pack(
    plain: bytes,
    *,
    content: Content,
    chain: bytes,
    height: int,
    readers: Validators,
    content_key: bytes,
) -> Parcel:
    """The bytes for these validators alone.

    Args:
        plain: What is hidden.
        content: What it is.
        chain: Chain id.
        height: Of the block, or the last one inside.
        readers: Who can open it.
        content_key: 32 random bytes, for this parcel alone.
    """
    clear = _clear(content, chain, height)
    return Parcel(
        content=content,
        chain=chain,
        height=height,
        copies=tuple(
            Copy(
                member.address,
                EncapsulationKey.from_bytes(member.encapsulation_key).seal(content_key, info=clear),
            )
            for member in readers.members
        ),
        ciphertext=aead.seal(content_key, plain, nonce=_NONCE, aad=clear),
    )


def decode(data: bytes, *, bytes_max: int) -> Parcel:
    """The parcel in these bytes; raises RemoteMisuse for anything else."""
    if len(data) > bytes_max:
        raise RemoteMisuse(f"a parcel of {len(data)} bytes; at most {bytes_max}")
    return codec.decode(data, Parcel)


def unpack(parcel: Parcel, opener: Opener, *, content: Content, chain: bytes) -> bytes:
    """What is inside.

    Raises:
        RemoteMisuse: Another content or chain, not for this validator, or changed bytes.
    """
    if parcel.content is not content or parcel.chain != chain:
        raise RemoteMisuse(f"a parcel of another chain, or no {content.name.lower()}")
    clear = _clear(content, chain, parcel.height)
    for copy in parcel.copies:
        if copy.reader == opener.address:
            try:
                content_key = opener.key.unseal(copy.wrapped, info=clear)
                return aead.unseal(content_key, parcel.ciphertext, aad=clear)
            except (BadTag, ValueError) as error:
                raise RemoteMisuse(f"a parcel that does not open: {error}") from error
    raise RemoteMisuse(f"a parcel that is not for validator {opener.address.hex()}")


def _clear(content: Content, chain: bytes, height: int) -> bytes:
    return _NAME + digest.sha256(codec.encode((content, chain, height)))

"""The bytes of a wallet's file, version 1.

    version byte, then canonical bytes of
        salt        for Argon2id over the passphrase, which gives the wrapping key
        wrapped     a random data key, sealed under the wrapping key
        accounts    name, address and keys in the clear; seeds sealed under the data key
        stamp       nothing, sealed under the data key and bound to salt, wrapped and accounts
    then 32 bytes of digest over all before

The digest needs no passphrase and finds bytes that have changed by themselves. The stamp needs the
data key and finds what somebody changed who could make a digest that fits.
"""

from __future__ import annotations

import re

import msgspec

from qlq import codec
from qlq.crypto import digest, kdf
from qlq.crypto.signing import VerifyingKey
from qlq.errors import KeyStoreDamaged, RemoteMisuse
from qlq.ledger.address import ADDRESS_BYTES

FILE_BYTES_MAX = 1 << 24
ACCOUNTS_MAX = 1000
"""With two keys of the longest algorithm each, they fill a quarter of the largest file."""
NAME_CHARACTERS_MAX = 32
NAME = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{NAME_CHARACTERS_MAX - 1}}}")
_DIGEST_NAME = b"qlq/wallet/1"
_DIGEST_BYTES = 32


class Row(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """An account.

    Attributes:
        name: For people.
        address: 32 bytes; of its first key.
        key: Its present public key, the algorithm's byte first.
        sealed: The seed of that key.
        next_key: The key that a rotation under way brings; empty without one.
        next_sealed: Its seed.
    """

    name: str
    address: bytes
    key: bytes
    sealed: bytes
    next_key: bytes = b""
    next_sealed: bytes = b""


class Content(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The whole file but its digest."""

    salt: bytes
    wrapped: bytes
    rows: tuple[Row, ...]
    stamp: bytes = b""

    @property
    def stamped(self) -> bytes:
        """What the stamp is bound to."""
        return codec.encode((self.salt, self.wrapped, self.rows))


def compose(content: Content) -> bytes:
    """The bytes of a file."""
    data = codec.encode(content)
    return data + digest.named(_DIGEST_NAME, data)


def parse(data: bytes) -> Content:
    """What a file holds; seals and the stamp are not looked at.

    Raises:
        KeyStoreDamaged: Not what `compose` made, with what was found.
    """
    body, found = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if digest.named(_DIGEST_NAME, body) != found:
        raise KeyStoreDamaged("its digest does not fit")
    try:
        content: Content = codec.decode(body, Content)
        for row in content.rows:
            _check(row)
    except RemoteMisuse as error:
        raise KeyStoreDamaged(str(error)) from error
    if len(content.salt) != kdf.SALT_BYTES:
        raise KeyStoreDamaged(f"a salt of {len(content.salt)} bytes")
    for kind in ("name", "address", "key"):
        if len({getattr(row, kind) for row in content.rows}) != len(content.rows):
            raise KeyStoreDamaged(f"two accounts of one {kind}")
    return content


def _check(row: Row) -> None:
    """Refuse a row that no wallet has; raises RemoteMisuse or KeyStoreDamaged."""
    if not NAME.fullmatch(row.name):
        raise KeyStoreDamaged(f"an account named {row.name!r}")
    if len(row.address) != ADDRESS_BYTES:
        raise KeyStoreDamaged(f"an address of {len(row.address)} bytes")
    VerifyingKey.from_bytes(row.key)
    if row.next_key:
        VerifyingKey.from_bytes(row.next_key)

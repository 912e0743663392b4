"""Addresses, and the text that people copy: bech32m, which finds typing errors.

An address is the digest of an account's first key; it stays when the key changes. In text it is
its 32 bytes after a word for what it names, with no version symbol: `qlq1...` for accounts.
"""

from __future__ import annotations

from enum import StrEnum

from qlq.crypto import digest
from qlq.crypto.signing import VerifyingKey
from qlq.errors import ConfigError
from qlq.ledger import bech32m

ADDRESS_BYTES = 32
_NAME = b"qlq/address/1"
_SYMBOLS = -(-8 * ADDRESS_BYTES // 5)
_SPARE_BITS = 5 * _SYMBOLS - 8 * ADDRESS_BYTES


class Kind(StrEnum):
    """What an id names; the value is what its text begins with."""

    ACCOUNT = "qlq"
    ASSET = "qlqasset"
    CONTRACT = "qlqcontract"

    @property
    def noun(self) -> str:
        """What it names, in words."""
        return f"{'a' if self is Kind.CONTRACT else 'an'} {self.name.lower()}"


def of(key: VerifyingKey) -> bytes:
    """The address of an account whose first key this is, 32 bytes."""
    return of_bytes(key.to_bytes())


def of_bytes(key: bytes) -> bytes:
    """The same for the key's bytes with the algorithm's byte first."""
    return digest.named(_NAME, key)


def to_text(address: bytes, kind: Kind = Kind.ACCOUNT) -> str:
    """The text of an id; raises ValueError unless it has 32 bytes."""
    if len(address) != ADDRESS_BYTES:
        raise ValueError(f"an address has {ADDRESS_BYTES} bytes, not {len(address)}")
    number = int.from_bytes(address, "big") << _SPARE_BITS
    symbols = [number >> 5 * place & 31 for place in reversed(range(_SYMBOLS))]
    return bech32m.encode(kind.value, symbols)


def from_text(text: str, kind: Kind = Kind.ACCOUNT) -> bytes:
    """The 32 bytes that a text names.

    Raises:
        ConfigError: It is no text of this kind, with what is wrong and, where that can be known,
            at which character.
    """
    _check_shape(text, kind)
    _, symbols = bech32m.decode(text)
    number = 0
    for symbol in symbols:
        number = number << 5 | symbol
    if number & ((1 << _SPARE_BITS) - 1):
        raise ConfigError(f"{text!r} does not end with zeros where its {ADDRESS_BYTES} bytes do")
    return (number >> _SPARE_BITS).to_bytes(ADDRESS_BYTES, "big")


def _check_shape(text: str, kind: Kind) -> None:
    """Refuse another word or length, which tells more than a checksum that does not fit."""
    word = text.lower().rpartition("1")[0]
    if word in set(Kind) and word != kind.value:
        raise ConfigError(f"{text!r} names {Kind(word).noun}, not {kind.noun}")
    start = f"{kind.value}1"
    if len(text) <= bech32m.CHARACTERS_MAX and not text.lower().startswith(start):
        raise ConfigError(f"{text!r} is no text of {kind.noun}: that begins with {start}")
    wanted = len(start) + _SYMBOLS + bech32m.CHECKSUM_SYMBOLS
    if len(text) != wanted:
        raise ConfigError(f"{kind.noun} has {wanted} characters, not {len(text)}: copy it again")
    if (place := text.find("1", len(start))) >= 0:  # the last 1 would end the word
        raise ConfigError(f"{text!r}: character {place + 1}, '1', does not belong there")

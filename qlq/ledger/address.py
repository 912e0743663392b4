"""Addresses, and the text that people copy: bech32m, which finds typing errors.

An address is the digest of an account's first key; it stays when the key changes. In text it is
its 32 bytes after a word for what it names, with no version symbol: `qlq1...` for accounts.

Source: BIP-350 (bech32m), with the character set and the checksum of BIP-173.
"""

from __future__ import annotations

from enum import StrEnum

from qlq.crypto import digest
from qlq.crypto.signing import VerifyingKey
from qlq.errors import ConfigError

ADDRESS_BYTES = 32
_NAME = b"qlq/address/1"
_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CONSTANT = 0x2BC830A3
_CHECKSUM_SYMBOLS = 6
_DATA_SYMBOLS = -(-8 * ADDRESS_BYTES // 5)


class Kind(StrEnum):
    """What an id names; the value is what its text begins with."""

    ACCOUNT = "qlq"
    ASSET = "qlqasset"
    CONTRACT = "qlqcontract"


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
    data = _regroup(address)
    symbols = data + _checksum(kind.value, data)
    return f"{kind.value}1{''.join(_ALPHABET[symbol] for symbol in symbols)}"


def from_text(text: str, kind: Kind = Kind.ACCOUNT) -> bytes:
    """The 32 bytes that a text names.

    Raises:
        ConfigError: It is no text of this kind, with what is wrong and where.
    """
    if text not in {text.lower(), text.upper()}:
        raise ConfigError(f"{text!r} mixes capital and small letters: write one of them")
    word, separator, body = text.lower().rpartition("1")
    if not separator or word != kind.value:
        raise ConfigError(f"{text!r} does not begin with {kind.value}1")
    for place, character in enumerate(body, start=len(word) + 2):
        if character not in _VALUES:
            raise ConfigError(f"{text!r}: character {place}, {character!r}, is in no address")
    if len(body) != _DATA_SYMBOLS + _CHECKSUM_SYMBOLS:
        wanted = len(word) + 1 + _DATA_SYMBOLS + _CHECKSUM_SYMBOLS
        raise ConfigError(f"{text!r} has {len(text)} characters, not {wanted}")
    symbols = [_VALUES[character] for character in body]
    data = symbols[:_DATA_SYMBOLS]
    if _checksum(word, data) != symbols[_DATA_SYMBOLS:]:
        raise ConfigError(
            f"{text!r} has a wrong character: its checksum does not fit; copy it again"
        )
    number = 0
    for symbol in data:
        number = number << 5 | symbol
    spare = 5 * _DATA_SYMBOLS - 8 * ADDRESS_BYTES
    if number & ((1 << spare) - 1):
        raise ConfigError(f"{text!r} does not hold {ADDRESS_BYTES} bytes")
    return (number >> spare).to_bytes(ADDRESS_BYTES, "big")


def _regroup(address: bytes) -> list[int]:
    """Bytes as symbols of 5 bits, the last one filled with zeros."""
    spare = 5 * _DATA_SYMBOLS - 8 * ADDRESS_BYTES
    number = int.from_bytes(address, "big") << spare
    return [number >> 5 * place & 31 for place in reversed(range(_DATA_SYMBOLS))]


def _checksum(word: str, data: list[int]) -> list[int]:
    """The six symbols that make the whole a codeword."""
    expanded = [ord(character) >> 5 for character in word]
    expanded += [0, *(ord(character) & 31 for character in word)]
    remainder = _polymod([*expanded, *data, *([0] * _CHECKSUM_SYMBOLS)]) ^ _CONSTANT
    return [remainder >> 5 * (5 - place) & 31 for place in range(_CHECKSUM_SYMBOLS)]


def _polymod(symbols: list[int]) -> int:
    """The BCH code's remainder. Source: BIP-173, section "Checksum"."""
    remainder = 1
    for symbol in symbols:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ symbol
        for place, generator in enumerate(_GENERATORS):
            if top >> place & 1:
                remainder ^= generator
    return remainder

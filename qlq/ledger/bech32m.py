"""Bech32m: symbols of five bits as text that finds typing errors, and where they are.

    word, "1", symbols, six symbols of checksum          at most 90 characters

Any change of up to four characters after the word is found; where it is one or two, their places
follow from the checksum and are told. Nothing is ever corrected: a wrong guess would be somebody
else's address.

Source: BIP-350, with the character set and the BCH code of BIP-173.
"""

from __future__ import annotations

from collections.abc import Sequence

from qlq.errors import ConfigError

CHARACTERS_MAX = 90
CHECKSUM_SYMBOLS = 6
_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CONSTANT = 0x2BC830A3
_WORD_CHARACTERS = range(33, 127)


def encode(word: str, symbols: Sequence[int]) -> str:
    """The text of some symbols, in small letters.

    Args:
        word: What the text begins with; small letters, digits and signs of ASCII.
        symbols: Each from 0 to 31; with the word, at most 83.
    """
    checked = [*symbols, *([0] * CHECKSUM_SYMBOLS)]
    remainder = _residue(word, checked)
    checksum = [remainder >> 5 * place & 31 for place in reversed(range(CHECKSUM_SYMBOLS))]
    return f"{word}1{''.join(_ALPHABET[symbol] for symbol in [*symbols, *checksum])}"


def decode(text: str) -> tuple[str, tuple[int, ...]]:
    """The word, in small letters, and the symbols without their checksum.

    Raises:
        ConfigError: It is no such text, with what is wrong and at which character, counted from 1.
    """
    if len(text) > CHARACTERS_MAX:
        raise ConfigError(f"{len(text)} characters are too many: at most {CHARACTERS_MAX}")
    for place, character in enumerate(text, start=1):
        if ord(character) not in _WORD_CHARACTERS:
            raise ConfigError(f"{text!r}: character {place}, {character!r}, does not belong there")
    if text not in {text.lower(), text.upper()}:
        raise ConfigError(f"{text!r} mixes capital and small letters: write all of one kind")
    word, _, body = text.lower().rpartition("1")
    if not word:
        raise ConfigError(f"{text!r} does not begin with a word and 1")
    for place, character in enumerate(body, start=len(word) + 2):
        if character not in _VALUES:
            raise ConfigError(f"{text!r}: character {place}, {character!r}, does not belong there")
    if len(body) < CHECKSUM_SYMBOLS:
        raise ConfigError(f"{text!r} is cut off: its checksum has {CHECKSUM_SYMBOLS} characters")
    symbols = tuple(_VALUES[character] for character in body)
    if residue := _residue(word, symbols):
        places = _wrong_places(residue, len(symbols))
        raise ConfigError(f"{text!r}: {_told([len(word) + 2 + place for place in places])}")
    return word, symbols[:-CHECKSUM_SYMBOLS]


def _told(places: list[int]) -> str:
    """What a person reads about a checksum that does not fit."""
    if not places:
        return "its checksum does not fit, more than two characters are wrong: copy it again"
    words = " and ".join(map(str, places))
    name = "character" if len(places) == 1 else "characters"
    return f"its checksum does not fit, look at {name} {words}: copy it again"


def _residue(word: str, symbols: Sequence[int]) -> int:
    """0 if the symbols, checksum included, fit the word; else it depends on the errors alone."""
    remainder = 1
    for symbol in [ord(character) >> 5 for character in word]:
        remainder = _step(remainder, symbol)
    for symbol in [0, *(ord(character) & 31 for character in word), *symbols]:
        remainder = _step(remainder, symbol)
    return remainder ^ _CONSTANT


def _step(remainder: int, symbol: int) -> int:
    """The remainder after one more symbol. Source: BIP-173, section "Checksum"."""
    top = remainder >> 25
    remainder = (remainder & 0x1FFFFFF) << 5 ^ symbol
    for place, generator in enumerate(_GENERATORS):
        if top >> place & 1:
            remainder ^= generator
    return remainder


def _wrong_places(residue: int, length: int) -> tuple[int, ...]:
    """Indices of the one or two symbols whose change leaves this residue; none if it takes more.

    The code is linear, so that a change leaves the same residue in every text. Two texts differ
    in at least five symbols, so that no two changes of up to two symbols leave the same.
    """
    place_of: dict[int, int] = {}
    effects = list(range(1, 32))
    for place in reversed(range(length)):
        if residue in effects:
            return (place,)
        place_of |= dict.fromkeys(effects, place)
        effects = [_step(effect, 0) for effect in effects]
    for effect, place in place_of.items():
        if residue ^ effect in place_of:
            return tuple(sorted((place, place_of[residue ^ effect])))
    return ()

"""A key's seed as 24 words that people can write down.

The words are the 32 bytes of the seed and a checksum of 8 bits, from the English list of BIP-39.
They are not BIP-39's way from words to a wallet (PBKDF2, a passphrase): the same words give the
seed itself, so that nothing else is needed. The signature algorithm is not in them.

Source: BIP-39, sections "Generating the mnemonic" and "Wordlists"; list and checksum by the
package `mnemonic`.
"""

from __future__ import annotations

import difflib
from functools import cache

from mnemonic import Mnemonic

from qlq.errors import ConfigError

SEED_BYTES = 32
WORDS = 24


def words(seed: bytes) -> tuple[str, ...]:
    """The 24 words of a seed; raises ValueError unless it has 32 bytes."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    return tuple(_english().to_mnemonic(seed).split(" "))


def seed(text: str) -> bytes:
    """The 32 bytes behind 24 words, in any case and with any space between them.

    Raises:
        ConfigError: Another count, a word that is not in the list, or words whose checksum does
            not fit. The message names one word at most, which is none of a right phrase.
    """
    found = text.lower().split()
    if len(found) != WORDS:
        raise ConfigError(f"a phrase has {WORDS} words, not {len(found)}")
    known = _english().wordlist
    for place, word in enumerate(found, start=1):
        if word not in known:
            near = difflib.get_close_matches(word, known, n=3)
            hint = f"; near it are {', '.join(near)}" if near else ""
            raise ConfigError(f"word {place}, {word!r}, is not in the list{hint}")
    try:
        return bytes(_english().to_entropy(found))
    except ValueError as error:
        raise ConfigError(
            "the words are all in the list and do not fit together: check their order, and each "
            "against your copy"
        ) from error


@cache
def _english() -> Mnemonic:
    return Mnemonic("english")

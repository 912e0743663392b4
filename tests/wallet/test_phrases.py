"""Backup phrases: the official vectors, and what a person writes down wrongly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.errors import ConfigError
from qlq.wallet import phrase

VECTORS = json.loads((Path(__file__).parent / "vectors" / "bip39.json").read_text())
SEED = bytes.fromhex(VECTORS[-1]["entropy"])
WORDS = VECTORS[-1]["words"].split()


@pytest.mark.parametrize("vector", VECTORS)
def test_a_seed_has_the_published_words(vector: dict[str, str]) -> None:
    entropy, words = bytes.fromhex(vector["entropy"]), vector["words"]
    assert phrase.words(entropy) == tuple(words.split())
    assert phrase.seed(words) == entropy


@given(st.binary(min_size=32, max_size=32))
def test_every_seed_comes_back(seed: bytes) -> None:
    assert phrase.seed(" ".join(phrase.words(seed))) == seed


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_seed_of_another_length_has_no_words(size: int) -> None:
    with pytest.raises(ValueError, match=f"not {size}"):
        phrase.words(bytes(size))


def test_capital_letters_and_space_do_not_matter() -> None:
    assert phrase.seed("\n".join(f" {word.upper()}\t" for word in WORDS)) == SEED


@pytest.mark.parametrize("count", [0, 12, 23, 25])
def test_another_number_of_words_is_told(count: int) -> None:
    with pytest.raises(ConfigError, match=f"24 words, not {count}"):
        phrase.seed(" ".join((WORDS * 2)[:count]))


@pytest.mark.parametrize(
    ("place", "wrong", "near"), [(1, "muhc", "much"), (7, "saltt", "salt"), (24, "qqqq", None)]
)
def test_an_unknown_word_is_named_with_its_place_and_those_near_it(
    place: int, wrong: str, near: str | None
) -> None:
    with pytest.raises(ConfigError, match=f"word {place}, '{wrong}'") as caught:
        phrase.seed(" ".join([*WORDS[: place - 1], wrong, *WORDS[place:]]))
    message = str(caught.value)
    assert ("near it are" in message) == (near is not None)
    assert near is None or near in message.partition("near it are")[2]
    assert not [word for word in ("kitchen", "cousin", "cause") if word in message]


def test_a_word_in_another_s_place_is_found_by_the_checksum() -> None:
    with pytest.raises(ConfigError, match="do not fit together") as caught:
        phrase.seed(" ".join([WORDS[1], WORDS[0], *WORDS[2:]]))
    assert not [word for word in WORDS if len(word) > 5 and word in str(caught.value)]


def test_one_of_256_last_words_fits() -> None:
    """8 of its 11 bits are checksum, the first byte of the seed's SHA-256."""
    listed = phrase._english().wordlist[:512]
    fitting = 0
    for index, last in enumerate(listed):
        try:
            found = phrase.seed(" ".join([*WORDS[:-1], last]))
        except ConfigError:
            continue
        fitting += 1
        assert index & 255 == hashlib.sha256(found).digest()[0]
        assert found[-1] & 7 == index >> 8
    assert fitting == 2

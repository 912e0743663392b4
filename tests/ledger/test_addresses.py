"""Addresses in text: the published vectors, and every error that a hand makes."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import ConfigError
from qlq.ledger import address, bech32m
from qlq.ledger.address import Kind

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
ADDRESS = hashlib.sha256(b"somebody").digest()

# BIP-350, section "Test vectors for Bech32m"
VALID = [
    "A1LQFN3A",
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
]
INVALID = [
    ("\x201xj0phk", "character 1,"),
    ("\x7f1g6xzxy", "character 1,"),
    ("\x801vctc34", "character 1,"),
    (
        "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
        "91 characters are too many",
    ),
    ("qyrz8wqd2c9m", "does not begin with a word"),
    ("1qyrz8wqd2c9m", "does not begin with a word"),
    ("y1b0jsk6g", "character 3, 'b'"),
    ("lt1igcx5c0", "character 4, 'i'"),
    ("in1muywd", "is cut off"),
    ("mm1crxm3i", "character 9, 'i'"),
    ("au1s5cgom", "character 8, 'o'"),
    ("M1VUXWEZ", "checksum does not fit"),
    ("16plkw9", "does not begin with a word"),
    ("1p2gdwpf", "does not begin with a word"),
]
# The same, "Test vectors for v0-v16 native segregated witness addresses": those of 32 bytes.
PROGRAMS = {
    "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c": (
        "000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"
    ),
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": (
        "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    ),
}


@pytest.mark.parametrize("text", VALID)
def test_the_published_texts_are_read_and_written(text: str) -> None:
    word, symbols = bech32m.decode(text)
    assert bech32m.encode(word, symbols) == text.lower()
    data = text.lower()[len(word) + 1 : -6]
    assert [ALPHABET[symbol] for symbol in symbols] == list(data)


@pytest.mark.parametrize(("text", "reason"), INVALID)
def test_the_published_wrong_texts_are_refused_for_their_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        bech32m.decode(text)


@pytest.mark.parametrize(("text", "program"), PROGRAMS.items())
def test_32_bytes_have_the_published_symbols(text: str, program: str) -> None:
    """After the version's symbol, which our texts have not."""
    assert address.to_text(bytes.fromhex(program))[4:-6] == text[4:-6]


@pytest.mark.parametrize("algorithm", Algorithm)
def test_an_address_is_the_named_digest_of_the_key_with_its_algorithm(
    algorithm: Algorithm,
) -> None:
    key = SigningKey(algorithm, b"s" * 32).verifying_key
    framed = b"\x0dqlq/address/1" + bytes([algorithm.value]) + key.data
    assert address.of(key) == hashlib.sha256(framed).digest()


@given(st.binary(min_size=32, max_size=32), st.sampled_from(Kind))
def test_what_is_written_is_read(data: bytes, kind: Kind) -> None:
    text = address.to_text(data, kind)
    assert text.startswith(f"{kind.value}1")
    assert address.from_text(text, kind) == data
    assert address.from_text(text.upper(), kind) == data


@pytest.mark.parametrize("size", [0, 31, 33])
def test_an_id_of_another_length_has_no_text(size: int) -> None:
    with pytest.raises(ValueError, match=f"not {size}"):
        address.to_text(bytes(size))


def test_every_wrong_character_is_found_and_named() -> None:
    text = address.to_text(ADDRESS)
    for place in range(4, len(text)):
        for character in ALPHABET:
            changed = text[:place] + character + text[place + 1 :]
            if changed != text:
                with pytest.raises(ConfigError, match=rf"look at character {place + 1}:"):
                    address.from_text(changed)


@pytest.mark.parametrize("kind", Kind)
def test_places_are_counted_from_the_first_character_of_the_word(kind: Kind) -> None:
    text = address.to_text(ADDRESS, kind)
    changed = text[:20] + ("q" if text[20] != "q" else "p") + text[21:]
    with pytest.raises(ConfigError, match="look at character 21:"):
        address.from_text(changed, kind)


def test_every_wrong_character_of_the_word_is_found() -> None:
    text = address.to_text(ADDRESS)
    for place in range(4):
        for character in map(chr, range(33, 127)):
            changed = text[:place] + character + text[place + 1 :]
            if changed != text:
                with pytest.raises(ConfigError):
                    address.from_text(changed)


def test_two_wrong_characters_are_named() -> None:
    text, draw = address.to_text(ADDRESS), random.Random(5)  # noqa: S311 - errors, not keys
    for _ in range(200):
        first, second = sorted(draw.sample(range(4, len(text)), 2))
        letters = list(text)
        for place in (first, second):
            letters[place] = draw.choice([one for one in ALPHABET if one != text[place]])
        with pytest.raises(ConfigError, match=f"characters {first + 1} and {second + 1}:"):
            address.from_text("".join(letters))


def test_three_or_four_wrong_characters_are_found() -> None:
    text, draw = address.to_text(ADDRESS), random.Random(6)  # noqa: S311 - errors, not keys
    for count in [3, 4] * 100:
        letters = list(text)
        for place in draw.sample(range(4, len(text)), count):
            letters[place] = draw.choice([one for one in ALPHABET if one != text[place]])
        with pytest.raises(ConfigError, match="checksum does not fit"):
            address.from_text("".join(letters))


def test_a_missing_or_doubled_character_and_swapped_neighbours_are_found() -> None:
    text = address.to_text(ADDRESS)
    for place in range(4, len(text)):
        before, after = text[:place], text[place + 1 :]
        for changed in (before + after, before + text[place] * 2 + after):
            with pytest.raises(ConfigError, match=f"62 characters, not {len(changed)}"):
                address.from_text(changed)
        swapped = text[: place - 1] + text[place] + text[place - 1] + text[place + 1 :]
        if swapped != text:
            with pytest.raises(ConfigError):
                address.from_text(swapped)


def test_mixed_letters_are_refused() -> None:
    text = address.to_text(ADDRESS)
    for place, character in enumerate(text):
        changed = text[:place] + character.upper() + text[place + 1 :]
        if changed != text:
            with pytest.raises(ConfigError, match="mixes"):
                address.from_text(changed)


def test_a_letter_that_only_looks_right_is_refused() -> None:
    """The Kelvin sign is a capital letter whose small letter is k."""
    text = address.to_text(ADDRESS).upper()
    place = text.index("K")
    with pytest.raises(ConfigError, match=f"character {place + 1},"):
        address.from_text(text.replace("K", "\N{KELVIN SIGN}"))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("wanted", Kind)
def test_one_kind_is_not_another(kind: Kind, wanted: Kind) -> None:
    text = address.to_text(ADDRESS, kind)
    if kind is wanted:
        assert address.from_text(text, wanted) == ADDRESS
    else:
        name = f"names an? {kind.name.lower()}, not an? {wanted.name.lower()}"
        with pytest.raises(ConfigError, match=name):
            address.from_text(text, wanted)


@pytest.mark.parametrize("text", ["", "1", "qlq", "qlq1", "bc1qqqqqqq", " ", "q" * 1000])
def test_what_is_no_address_says_how_one_begins_or_how_long_it_is(text: str) -> None:
    with pytest.raises(ConfigError, match=r"qlq1|characters"):
        address.from_text(text)


def test_a_longer_word_that_begins_like_ours_is_refused() -> None:
    """The word ends at the last 1, so that this text has a checksum that fits."""
    text = bech32m.encode("qlq1qqqq", [0] * 47)
    assert bech32m.decode(text)[0] == "qlq1qqqq"
    assert len(text) == len(address.to_text(ADDRESS))
    with pytest.raises(ConfigError, match="character 9, '1'"):
        address.from_text(text)


@pytest.mark.parametrize("spare", range(1, 16))
def test_spare_bits_that_are_not_zero_are_refused(spare: int) -> None:
    """256 bits fill 51 symbols and one bit of the last, whose other four are zero."""
    _, symbols = bech32m.decode(address.to_text(ADDRESS))
    assert symbols[-1] & 15 == 0
    with pytest.raises(ConfigError, match="not end with zeros"):
        address.from_text(bech32m.encode("qlq", [*symbols[:-1], symbols[-1] | spare]))


@given(st.text() | st.text(ALPHABET, min_size=58, max_size=58).map("qlq1".__add__))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = address.from_text(text)
    except ConfigError:
        return
    assert address.to_text(found) == text.lower()

"""Packing, counting and choosing bits."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.numerics import bits


@given(st.lists(st.integers(0, 1), max_size=70))
def test_packing_puts_the_first_bit_highest(values: list[int]) -> None:
    padded = values + [0] * (-len(values) % 8)
    number = int("".join(map(str, padded)) or "0", 2)
    packed = bits.pack(np.array(values, dtype=np.uint8))
    assert packed == number.to_bytes(len(padded) // 8, "big")
    assert bits.unpack(packed, count=len(values)).tolist() == values


@pytest.mark.parametrize(("data", "count"), [(b"\x00", 9), (b"", 1), (b"\x00\x00", 8), (b"", -1)])
def test_another_number_of_bytes_is_refused(data: bytes, count: int) -> None:
    with pytest.raises(ValueError, match="do not hold"):
        bits.unpack(data, count=count)


def test_padding_must_be_zero() -> None:
    with pytest.raises(ValueError, match="padding"):
        bits.unpack(b"\x01", count=7)


@pytest.mark.parametrize(
    "wrong",
    [
        np.array([0, 2], dtype=np.uint8),
        np.array([0, 1], dtype=np.int64),
        np.zeros((2, 2), dtype=np.uint8),
    ],
)
def test_what_is_not_bits_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="bits must be"):
        bits.pack(wrong)


@given(st.lists(st.integers(0, 1), max_size=40))
def test_parity_and_population_are_those_of_the_sum(values: list[int]) -> None:
    array = np.array(values, dtype=np.uint8)
    assert bits.parity(array) == sum(values) % 2
    assert bits.popcount(array) == sum(values)


def test_every_subset_is_equally_likely() -> None:
    """Chi-square over the 10 subsets of 2 out of 5: above 27.9 with probability 1e-3 (9 df)."""
    rng = np.random.default_rng(11)
    runs = 4000
    seen = Counter(
        tuple(np.flatnonzero(bits.choose(2, out_of=5, keys=rng.bytes(40)))) for _ in range(runs)
    )
    expected = runs / 10
    chi_square = sum((seen[c] - expected) ** 2 / expected for c in _pairs_of_five())
    assert sum(seen.values()) == sum(seen[c] for c in _pairs_of_five())
    assert chi_square < 27.9


def _pairs_of_five() -> list[tuple[int, int]]:
    return list(itertools.combinations(range(5), 2))


@given(st.integers(0, 50), st.data())
def test_the_smallest_keys_are_chosen(out_of: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, out_of))
    keys = data.draw(st.binary(min_size=8 * out_of, max_size=8 * out_of))
    mask = bits.choose(count, out_of=out_of, keys=keys)
    ranks = [int.from_bytes(keys[8 * i : 8 * i + 8], "little") for i in range(out_of)]
    assert mask.shape == (out_of,)
    assert mask.sum() == count
    chosen = sorted(rank for rank, kept in zip(ranks, mask, strict=True) if kept)
    assert chosen == sorted(ranks)[:count]


@pytest.mark.parametrize(("count", "out_of", "size"), [(3, 2, 16), (-1, 2, 16), (1, 2, 15)])
def test_impossible_choices_are_refused(count: int, out_of: int, size: int) -> None:
    with pytest.raises(ValueError, match=r"cannot choose|candidates need"):
        bits.choose(count, out_of=out_of, keys=bytes(size))

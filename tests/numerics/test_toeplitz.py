"""Toeplitz hashing against the schoolbook product and integer convolution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.errors import InvariantBroken
from qlq.numerics import toeplitz

WORDS = toeplitz.WORD * toeplitz.DIRECT_WORDS_MAX


def schoolbook(key: list[int], seed: list[int], output_bits: int) -> list[int]:
    """The definition, element by element."""
    n = len(key)
    return [sum(seed[i - j + n - 1] & key[j] for j in range(n)) % 2 for i in range(output_bits)]


def by_big_integers(key: np.ndarray, seed: np.ndarray, output_bits: int) -> np.ndarray:
    """Convolution as a product of integers with 32-bit digits, exact below 2^32 terms."""

    def number(values: np.ndarray) -> int:
        return int.from_bytes(values.astype("<u4").tobytes(), "little")

    product = number(key) * number(seed)
    digits = np.frombuffer(product.to_bytes(4 * (key.size + seed.size), "little"), dtype="<u4")
    return (digits[key.size - 1 : key.size - 1 + output_bits] & 1).astype(np.uint8)


def random_bits(count: int, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, count, dtype=np.uint8)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=40), st.integers(1, 70), st.integers(0, 99))
def test_short_products_are_the_schoolbook_ones(
    key: list[int], output_bits: int, number: int
) -> None:
    seed = random_bits(len(key) + output_bits - 1, seed=number)
    hashed = toeplitz.hash_bits(np.array(key, dtype=np.uint8), seed=seed, output_bits=output_bits)
    assert hashed.dtype == np.uint8
    assert hashed.tolist() == schoolbook(key, seed.tolist(), output_bits)


@pytest.mark.parametrize(
    ("n", "output_bits"),
    [
        (20_000, 1),
        (20_000, 63),
        (20_000, 64),
        (20_000, 65),
        (3_000, WORDS),
        (3_000, WORDS + 1),
        (1_200, 3_000),
        (20_011, 9_973),
        (1, WORDS + 7),
    ],
)
def test_both_ways_are_exact(n: int, output_bits: int) -> None:
    key, seed = random_bits(n, seed=n), random_bits(n + output_bits - 1, seed=output_bits)
    hashed = toeplitz.hash_bits(key, seed=seed, output_bits=output_bits)
    assert np.array_equal(hashed, by_big_integers(key, seed, output_bits))


def test_the_largest_sums_are_exact() -> None:
    """All ones: every sum is n, the worst case of the transform."""
    n, output_bits = 200_000, 100_000
    ones = np.ones(n + output_bits - 1, dtype=np.uint8)
    assert not toeplitz.hash_bits(ones[:n], seed=ones, output_bits=output_bits).any()
    odd = toeplitz.hash_bits(ones[: n - 1], seed=ones[:-1], output_bits=output_bits)
    assert odd.all()


def test_hashing_is_linear_and_maps_zero_to_zero() -> None:
    n, output_bits = 5_000, 2_500
    seed = random_bits(n + output_bits - 1, seed=1)
    first, second = random_bits(n, seed=2), random_bits(n, seed=3)

    def hashed(key: np.ndarray) -> np.ndarray:
        return toeplitz.hash_bits(key, seed=seed, output_bits=output_bits)

    assert np.array_equal(hashed(first ^ second), hashed(first) ^ hashed(second))
    assert not hashed(np.zeros(n, dtype=np.uint8)).any()


def test_two_keys_collide_as_often_as_a_universal_family_allows() -> None:
    """All 2^9 seeds of a 7-bit key, 3-bit hash: each pair collides for exactly 2^-3."""
    n, output_bits = 7, 3
    seeds = [
        np.array(list(np.binary_repr(s, n + output_bits - 1)), dtype=np.uint8)
        for s in range(1 << (n + output_bits - 1))
    ]
    for difference in (1, 0b1000000, 0b1010101, 0b1111111):
        key = np.array(list(np.binary_repr(difference, n)), dtype=np.uint8)
        zeros = sum(
            not toeplitz.hash_bits(key, seed=seed, output_bits=output_bits).any() for seed in seeds
        )
        assert zeros == len(seeds) >> output_bits


@pytest.mark.parametrize(
    ("key", "seed", "output_bits"),
    [
        (np.zeros(4, dtype=np.float32), np.zeros(4, dtype=np.uint8), 1),
        (np.zeros(4, dtype=np.uint8), np.zeros(4, dtype=np.float32), 1),
        (np.zeros(4, dtype=np.uint8), np.zeros(4, dtype=np.uint8), 2),
        (np.zeros(4, dtype=np.uint8), np.zeros(3, dtype=np.uint8), 0),
        (np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.uint8), 1),
        (np.full(4, 2, dtype=np.uint8), np.zeros(4, dtype=np.uint8), 1),
    ],
)
def test_wrong_inputs_are_refused(key: np.ndarray, seed: np.ndarray, output_bits: int) -> None:
    with pytest.raises(ValueError, match=r"must be|cannot hash|seed of"):
        toeplitz.hash_bits(key, seed=seed, output_bits=output_bits)


@pytest.mark.parametrize("value", [0.25, 7.5, float("nan")])
def test_a_sum_that_is_not_whole_is_never_rounded(value: float) -> None:
    with pytest.raises(InvariantBroken, match="from a whole number"):
        toeplitz._parities(np.array([1.0, value]))

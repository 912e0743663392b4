"""Restart tests: the cutoff against exact and simulated counts, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlq.errors import MinEntropyTooLow
from qlq.qrng.assessment import restarts

RARE = 1 - 0.99 ** (1 / 2000)


def exact_of_bits(h: float) -> int:
    """Smallest x that neither symbol exceeds with the chance asked for, by integers' binomials."""
    p = 2.0**-h
    chances = [math.comb(1000, k) * p**k * (1 - p) ** (1000 - k) for k in range(1001)]
    for x in range(500, 1001):
        if math.fsum(chances[1000 - x : x + 1]) >= 1 - RARE:
            return x
    raise AssertionError


@pytest.mark.parametrize("h", [0.3, 0.5, 0.8, 0.95, 1.0])
def test_the_cutoff_of_bits_is_exact(h: float) -> None:
    assert restarts.cutoff(h=h, alphabet=2) == exact_of_bits(h)


@pytest.mark.parametrize(("h", "alphabet"), [(2.0, 4), (3.5, 16), (7.2, 256), (8.0, 256)])
def test_the_cutoff_of_symbols_is_that_of_a_simulation(h: float, alphabet: int) -> None:
    """The worst source that the standard describes, 40,000 rows: 0.2 are expected above."""
    p = 2.0**-h
    likely = math.floor(1 / p + 1e-9)
    shares = np.full(alphabet, p)
    shares[likely:] = (1 - likely * p) / max(1, alphabet - likely)
    rng = np.random.default_rng(1)
    largest = np.concatenate(
        [rng.multinomial(1000, shares / shares.sum(), size=10_000).max(axis=1) for _ in range(4)]
    )
    limit = restarts.cutoff(h=h, alphabet=alphabet)
    assert np.count_nonzero(largest > limit) <= 3
    assert np.count_nonzero(largest > limit - 1 - limit // 12) >= 1  # nor is it far above


@pytest.mark.parametrize(("h", "alphabet"), [(1.1, 2), (0.0, 2), (math.nan, 2), (1.0, 1)])
def test_an_impossible_claim_is_refused(h: float, alphabet: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        restarts.cutoff(h=h, alphabet=alphabet)


def fair() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 2, (1000, 1000), dtype=np.uint8)


def test_a_sound_source_keeps_at_most_its_claim() -> None:
    found = restarts.assess(fair(), bits=1, h_claimed=0.8)
    assert found.most_common <= found.cutoff == exact_of_bits(0.8)
    assert found.validated == min(0.8, found.h_rows, found.h_columns)
    assert 0.7 < found.validated <= 0.8


def test_a_source_that_starts_alike_each_time_is_refused() -> None:
    rows = fair()
    rows[:, 17] = 1
    with pytest.raises(MinEntropyTooLow, match="1000 times in one of the restart rows or columns"):
        restarts.assess(rows, bits=1, h_claimed=0.8)


def test_restarts_that_repeat_each_other_void_the_claim() -> None:
    """Each symbol is common neither in rows nor in columns, yet rows follow from the one before."""
    first = np.arange(1000)
    rows = ((first[:, np.newaxis] + first) % 2).astype(np.uint8)
    with pytest.raises(MinEntropyTooLow, match="the claim is void"):
        restarts.assess(rows, bits=1, h_claimed=0.8)


def test_constant_restarts_are_refused() -> None:
    with pytest.raises(MinEntropyTooLow, match="constant"):
        restarts.assess(np.zeros((1000, 1000), dtype=np.uint8), bits=1, h_claimed=0.8)


@pytest.mark.parametrize("shape", [(999, 1000), (1000, 1001), (1_000_000,)])
def test_another_number_of_restarts_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(1000, 1000\)"):
        restarts.assess(np.zeros(shape, dtype=np.uint8), bits=1, h_claimed=0.8)

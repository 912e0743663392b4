"""Cutoffs of the continuous health tests, and how often they are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlq.errors import HealthTestFailed
from qlq.qrng import health

REPETITION = {0.2: 101, 0.5: 41, 0.8: 26, 0.9: 24, 1.0: 21, 2.0: 11, 4.0: 6, 8.0: 4}
PROPORTION_BITS = {0.2: 941, 0.5: 793, 0.8: 664, 0.9: 625, 1.0: 589}
PROPORTION_SYMBOLS = {1.0: 311, 2.0: 177, 4.0: 62, 8.0: 13}


@pytest.mark.parametrize(("h", "cutoff"), REPETITION.items())
def test_repetition_cutoffs_are_those_of_the_standard(h: float, cutoff: int) -> None:
    assert health.repetition_cutoff(h) == cutoff
    assert health.symbol_cutoffs(h).repetition == cutoff


@pytest.mark.parametrize(("h", "cutoff"), PROPORTION_BITS.items())
def test_proportion_cutoffs_of_bits_are_those_of_the_standard(h: float, cutoff: int) -> None:
    found = health.bit_cutoffs(h)
    assert (found.proportion, found.window) == (cutoff, 1024)


@pytest.mark.parametrize(("h", "cutoff"), PROPORTION_SYMBOLS.items())
def test_proportion_cutoffs_of_symbols_are_those_of_the_standard(h: float, cutoff: int) -> None:
    found = health.symbol_cutoffs(h)
    assert (found.proportion, found.window) == (cutoff, 512)


def tail(trials: int, p: float, at_least: int) -> float:
    """Exact binomial tail, with integers for the coefficients."""
    return math.fsum(
        math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(at_least, trials + 1)
    )


@pytest.mark.parametrize("h", [0.31, 0.64, 0.77, 1.0, 3.3])
def test_the_proportion_cutoff_is_the_first_that_is_rare_enough(h: float) -> None:
    cutoff = health.proportion_cutoff(h, window=512)
    assert tail(512, 2.0**-h, cutoff) <= 2.0**-20 < tail(512, 2.0**-h, cutoff - 1)


@pytest.mark.parametrize("h", [0.0, -1.0, 8.1, math.nan, math.inf])
def test_an_impossible_claim_is_refused(h: float) -> None:
    for make in (health.symbol_cutoffs, health.repetition_cutoff):
        with pytest.raises(ValueError, match="min-entropy per sample"):
            make(h)


def test_a_bit_holds_at_most_one_bit() -> None:
    with pytest.raises(ValueError, match=r"\(0, 1\]: 1\.5"):
        health.bit_cutoffs(1.5)


def failures(streams: np.ndarray, cutoffs: health.Cutoffs) -> int:
    """How many streams fail, each watched from its start on."""
    failed = 0
    for stream in streams:
        try:
            health.check(stream, cutoffs)
        except HealthTestFailed:
            failed += 1
    return failed


def fair_bits(rng: np.random.Generator, *, streams: int, length: int) -> np.ndarray:
    packed = np.frombuffer(rng.bytes(streams * length // 8), dtype=np.uint8)
    return np.unpackbits(packed).reshape(streams, length)


def test_fair_bits_fail_the_proportion_test_at_most_twice_in_a_million_windows() -> None:
    """0.96 are expected; more than 2 come with probability 7 %, for another seed than this one."""
    bits = health.bit_cutoffs(1.0)
    alone = health.Cutoffs(10_000, bits.proportion, bits.window)
    rng = np.random.default_rng(5)
    failed = 0
    for _ in range(20):  # 1,000 streams of 50 windows
        failed += failures(fair_bits(rng, streams=1000, length=50 * 1024), alone)
    assert failed <= 2


def test_fair_bits_fail_the_repetition_test_at_the_stated_rate() -> None:
    """2^-20 a sample is stated: 19 in 20 million. 9.3 are expected; fewer than 2 or more than 19
    come with probability 0.3 %, for another seed than this one."""
    bits = health.bit_cutoffs(1.0)
    alone = health.Cutoffs(bits.repetition, 10_000, bits.window)
    rng = np.random.default_rng(6)
    assert 2 <= failures(fair_bits(rng, streams=20_000, length=1000), alone) <= 19

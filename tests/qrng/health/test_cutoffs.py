"""Cutoffs of the continuous health tests, and how often they are wrong."""

from __future__ import annotations

import math
from contextlib import suppress

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


def longest_run_rate(samples: int, cutoff: int) -> float:
    """Exact chance of `cutoff` equal fair bits in a row, by the recurrence of Feller XIII.7."""
    rates = [0.0] * (cutoff - 1) + [2.0 ** (1 - cutoff)]
    while len(rates) < samples:
        ends_here = 2.0**-cutoff * (1 - rates[len(rates) - cutoff])
        rates.append(rates[-1] + ends_here)
    return rates[-1] if samples >= cutoff else 0.0


def test_the_recurrence_counts_what_an_enumeration_counts() -> None:
    texts = [f"{number:010b}" for number in range(1 << 10)]
    for cutoff in (3, 5, 10):
        found = sum("0" * cutoff in text or "1" * cutoff in text for text in texts)
        assert longest_run_rate(10, cutoff) == pytest.approx(found / 1024, abs=1e-15)


@pytest.mark.parametrize(
    ("shots", "columns"), [(1024, 8), (1024, 1), (15_625, 64), (25, 1), (26, 1), (27, 2)]
)
def test_the_rate_of_false_alarms_is_that_of_runs_in_columns_and_stream(
    shots: int, columns: int
) -> None:
    alone, stream = longest_run_rate(shots, 26), longest_run_rate(shots * columns, 26)
    exact = 1 - (1 - alone) ** columns * (1 - stream)
    found = health.alarm_rate(health.bit_cutoffs(0.8), shots=shots, columns=columns)
    assert found == pytest.approx(exact, rel=1e-5)


def test_the_documented_rates_of_false_alarms() -> None:
    cutoffs = health.bit_cutoffs(0.8)
    assert health.alarm_rate(cutoffs, shots=1024, columns=8) == pytest.approx(2.41e-4, rel=2e-3)
    assert health.alarm_rate(cutoffs, shots=15_625, columns=64) == pytest.approx(0.0293, rel=2e-3)
    assert tail(1023, 0.5, 663) < 2.0**-68  # after the first bit, which counts itself


def test_fair_bits_raise_alarms_at_that_rate() -> None:
    """At a cutoff of 20, where there is something to count: 5 sigma, false alarm 6e-7."""
    cutoffs = health.Cutoffs(repetition=20, proportion=1024, window=1024)
    rate = health.alarm_rate(cutoffs, shots=1024, columns=8)
    rng = np.random.Generator(np.random.PCG64(7))
    trials, alarms = 5000, 0
    for _ in range(trials):
        monitor = health.Monitor(cutoffs, columns=8)
        with suppress(HealthTestFailed):
            monitor.release(rng.integers(0, 2, (1024, 8), dtype=np.uint8))
        alarms += monitor.failure is not None
    assert abs(alarms - trials * rate) < 5 * math.sqrt(trials * rate)


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

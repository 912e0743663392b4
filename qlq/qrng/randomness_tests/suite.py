"""All fifteen tests on one sequence, with NIST's parameters.

A smoke alarm: it hears a broken source, and it is no evidence of entropy. A counter that is
encrypted under a known key passes every test and holds no entropy at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlq.errors import TooFewSamples
from qlq.numerics.bits import require_bits
from qlq.qrng.randomness_tests import (
    frequency,
    linear_complexity,
    matrix_rank,
    patterns,
    random_walk,
    spectrum,
    templates,
    universal,
)
from qlq.qrng.randomness_tests.outcome import Outcome, PValue, RandomnessTest

Bits: TypeAlias = NDArray[np.uint8]

BLOCK_FREQUENCY_BITS = 128
TEMPLATE_BITS = 9
TEMPLATE_BLOCKS = 8
COMPLEXITY_BLOCK_BITS = 500
SERIAL_BITS = 16
ENTROPY_BITS = 10
"""NIST's parameters: M, m, N, M, m, m. Source: SP 800-22 rev. 1a, 2.2 to 2.12, and its defaults."""

CYCLES_MIN = 500
"""Returns to zero that the excursion tests need. Source: SP 800-22 rev. 1a, 2.14.4 (3); for up to
10^10 bits the other bound, 0.005 sqrt(n), is lower."""

BITS_MIN = 100
"""Below this no test is run. Source: SP 800-22 rev. 1a, 2.1.7."""

BITS_MAX = 10_000_000
"""Longest sequence: beyond it the rounding of NIST's class probabilities raises alarms of its own.
Longer data are tested as several sequences."""

MINIMUM_BITS: dict[RandomnessTest, tuple[int, str]] = {
    RandomnessTest.FREQUENCY: (100, "the standard's least length"),
    RandomnessTest.BLOCK_FREQUENCY: (128, "one block of 128 bits"),
    RandomnessTest.RUNS: (100, "the standard's least length"),
    RandomnessTest.LONGEST_RUN: (128, "16 blocks of 8 bits"),
    RandomnessTest.MATRIX_RANK: (38_912, "38 matrices of 1,024 bits"),
    RandomnessTest.SPECTRAL: (1_000, "the standard's least length"),
    RandomnessTest.NON_OVERLAPPING: (100_000, "some 24 occurrences of a template in a block"),
    RandomnessTest.OVERLAPPING: (1_000_000, "the standard's least length"),
    RandomnessTest.UNIVERSAL: (387_840, "640 words to fill the table, 64,000 more"),
    RandomnessTest.LINEAR_COMPLEXITY: (1_000_000, "the standard's least length"),
    RandomnessTest.SERIAL: (1 << 19, "words of 16 bits, below log2 n - 2"),
    RandomnessTest.APPROXIMATE_ENTROPY: (1 << 16, "words of 10 bits, below log2 n - 5"),
    RandomnessTest.CUMULATIVE_SUMS: (100, "the standard's least length"),
    RandomnessTest.RANDOM_EXCURSIONS: (1_000_000, "the standard's least length"),
    RandomnessTest.RANDOM_EXCURSIONS_VARIANT: (1_000_000, "the standard's least length"),
}
"""Least length of each test in bits, and where it comes from.

Source: SP 800-22 rev. 1a, the "Input Size Recommendation" of each test, with the parameters
above. The non-overlapping test has none that binds here; below 100,000 bits the counts are too
small for its normal approximation, and its least p-value would alarm too often.
"""


def run(bits: Bits) -> tuple[Outcome, ...]:
    """The outcome of each of the fifteen tests, in the order of the standard.

    A test for which the sequence is too short, or has too few returns to zero, is refused with
    its reason; the others are run all the same.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, n from 100 to 10,000,000.

    Raises:
        TooFewSamples: Below 100 bits, where no test says anything.
        ValueError: For another type, shape or value, or a longer sequence.

    Source:
        SP 800-22 rev. 1a, section 2.
    """
    require_sequence(bits)
    return tuple(run_one(test, bits) for test in RandomnessTest)


def require_sequence(bits: Bits) -> None:
    """Refuse what the suite cannot judge as one sequence.

    Raises:
        TooFewSamples: Below 100 bits.
        ValueError: For another type, shape or value, or more than 10,000,000 bits.
    """
    require_bits(bits)
    if bits.size < BITS_MIN:
        raise TooFewSamples(
            f"{bits.size} bits are too few for any test: give at least {BITS_MIN}, "
            "and 1,000,000 for all fifteen"
        )
    if bits.size > BITS_MAX:
        raise ValueError(
            f"{bits.size} bits in one sequence, the limit is {BITS_MAX}: test several sequences"
        )


def run_one(test: RandomnessTest, bits: Bits) -> Outcome:
    """The outcome of one test with NIST's parameters: p-values, or why there are none.

    Args:
        test: Which one.
        bits: uint8 of shape (n,), values 0 and 1.

    Raises:
        ValueError: For another type, shape or value.
    """
    require_bits(bits)
    least, reason = MINIMUM_BITS[test]
    if bits.size < least:
        return Outcome(test, (), f"needs {least} bits ({reason}), there are {bits.size}")
    if test in _WALKS:
        return _of_walk(test, random_walk.excursions(bits))
    labelled = _FORMULAS[test](bits)
    return Outcome(test, tuple(PValue(label, value) for label, value in labelled))


def _of_walk(test: RandomnessTest, walk: random_walk.Excursions) -> Outcome:
    """Both excursion tests need many returns to zero; too few are no failure."""
    if walk.cycles < CYCLES_MIN:
        reason = f"needs {CYCLES_MIN} returns to zero, the walk has {walk.cycles}"
        return Outcome(test, (), f"{reason}; a longer sequence may have more")
    formula, states = _WALKS[test]
    values = zip(states, formula(walk), strict=True)
    return Outcome(test, tuple(PValue(f"{state:+d}", value) for state, value in values))


def _non_overlapping(bits: Bits) -> Iterable[tuple[str, float]]:
    words = templates.aperiodic_templates(TEMPLATE_BITS)
    return templates.non_overlapping(bits, templates=words, blocks=TEMPLATE_BLOCKS).items()


def _universal(bits: Bits) -> float:
    word_bits = universal.word_length(bits.size)
    return universal.universal(bits, word_bits=word_bits, initial_words=10 * 2**word_bits)


def _one(formula: Callable[[Bits], float]) -> Callable[[Bits], Iterable[tuple[str, float]]]:
    """A formula with one p-value, which needs no label."""
    return lambda bits: [("", formula(bits))]


_FORMULAS: dict[RandomnessTest, Callable[[Bits], Iterable[tuple[str, float]]]] = {
    RandomnessTest.FREQUENCY: _one(frequency.frequency),
    RandomnessTest.BLOCK_FREQUENCY: _one(
        lambda bits: frequency.block_frequency(bits, block_bits=BLOCK_FREQUENCY_BITS)
    ),
    RandomnessTest.RUNS: _one(frequency.runs),
    RandomnessTest.LONGEST_RUN: _one(frequency.longest_run),
    RandomnessTest.MATRIX_RANK: _one(matrix_rank.matrix_rank),
    RandomnessTest.SPECTRAL: _one(spectrum.spectral),
    RandomnessTest.NON_OVERLAPPING: _non_overlapping,
    RandomnessTest.OVERLAPPING: _one(templates.overlapping),
    RandomnessTest.UNIVERSAL: _one(_universal),
    RandomnessTest.LINEAR_COMPLEXITY: _one(
        lambda bits: linear_complexity.linear_complexity(bits, block_bits=COMPLEXITY_BLOCK_BITS)
    ),
    RandomnessTest.SERIAL: lambda bits: zip(
        ("first", "second"), patterns.serial(bits, word_bits=SERIAL_BITS), strict=True
    ),
    RandomnessTest.APPROXIMATE_ENTROPY: _one(
        lambda bits: patterns.approximate_entropy(bits, word_bits=ENTROPY_BITS)
    ),
    RandomnessTest.CUMULATIVE_SUMS: lambda bits: zip(
        ("forward", "backward"), random_walk.cumulative_sums(bits), strict=True
    ),
}

_WALKS: dict[
    RandomnessTest,
    tuple[Callable[[random_walk.Excursions], tuple[float, ...]], tuple[int, ...]],
] = {
    RandomnessTest.RANDOM_EXCURSIONS: (
        random_walk.random_excursions,
        random_walk.EXCURSION_STATES,
    ),
    RandomnessTest.RANDOM_EXCURSIONS_VARIANT: (
        random_walk.random_excursions_variant,
        random_walk.VARIANT_STATES,
    ),
}

"""Many sequences of one source: how many pass, and whether their p-values are uniform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from qlq.numerics.bits import require_bits
from qlq.qrng.randomness_tests.outcome import Outcome, PValue, RandomnessTest

SIGNIFICANCE = 0.01
"""A sequence passes a test at or above it. Source: SP 800-22 rev. 1a, 4.2.1."""

UNIFORMITY_MIN = 0.0001
"""p-values with a lower uniformity are not uniform. Source: SP 800-22 rev. 1a, 4.2.2."""

SEQUENCES_MIN = 55
"""Fewer p-values fill ten classes too thinly. Source: SP 800-22 rev. 1a, 4.2.2."""

SEQUENCES_MAX = 1_100
"""Most sequences in one examination: 2^30 bits make 1,073 of a megabit, each some 0.1 s."""

CLASSES = 10


@dataclass(frozen=True, slots=True)
class SecondLevel:
    """One statistic over all sequences.

    Attributes:
        test: Which test.
        label: Which of its p-values, "" where there is only one.
        sequences: How many sequences have it.
        passed: How many of them have a p-value of at least 0.01.
        passed_min: Below it the passed are conspicuously few.
        passed_max: Above it they are conspicuously many.
        uniformity: p-value of the uniformity of the p-values; None below 55 sequences.
    """

    test: RandomnessTest
    label: str
    sequences: int
    passed: int
    passed_min: float
    passed_max: float
    uniformity: float | None

    @property
    def is_conspicuous(self) -> bool:
        """Whether NIST's rules find the share passed, or the p-values, not to be random.

        A share outside three standard deviations, or a uniformity below 0.0001. Of a perfect
        source one statistic in about a hundred is conspicuous, so that a few of the 188 are
        expected to be: this advises where to look and is no verdict.
        """
        is_uniform = self.uniformity is None or self.uniformity >= UNIFORMITY_MIN
        return not (self.passed_min <= self.passed <= self.passed_max and is_uniform)


def split(bits: NDArray[np.uint8], *, sequence_bits: int) -> list[NDArray[np.uint8]]:
    """Consecutive sequences of this length; what remains at the end is left out.

    Args:
        bits: uint8 of shape (n,), values 0 and 1.
        sequence_bits: Length of each sequence, at least 1.

    Returns:
        1 to 1,100 views of `bits`.

    Raises:
        ValueError: For another type, shape or value, or if there is no whole sequence or more
            than 1,100.
    """
    require_bits(bits)
    count = bits.size // sequence_bits if sequence_bits > 0 else 0
    if not 1 <= count <= SEQUENCES_MAX:
        raise ValueError(
            f"{bits.size} bits make {count} sequences of {sequence_bits} bits: "
            f"choose a length that makes 1 to {SEQUENCES_MAX}"
        )
    return [bits[index * sequence_bits : (index + 1) * sequence_bits] for index in range(count)]


def passing_range(count: int, *, significance: float = SIGNIFICANCE) -> tuple[float, float]:
    """Least and largest count of passing sequences that a perfect source should show.

    Args:
        count: Sequences, at least 1.
        significance: alpha, above 0 and below 1.

    Returns:
        Three standard deviations to either side of count * (1 - alpha), not rounded; the upper
        one is not cut at `count`.

    Raises:
        ValueError: For values outside these ranges.

    Source:
        SP 800-22 rev. 1a, 4.2.1, times the number of sequences.
    """
    if count < 1 or not 0.0 < significance < 1.0:
        raise ValueError(f"no range for {count} sequences at a significance of {significance}")
    spread = 3 * math.sqrt(count * significance * (1 - significance))
    return count * (1 - significance) - spread, count * (1 - significance) + spread


def uniformity(p_values: Sequence[float]) -> float:
    """p-value of the chi-squared test that p-values are uniform, in ten classes.

    Args:
        p_values: At least 55, each in [0, 1].

    Raises:
        ValueError: For fewer, or a value outside [0, 1].

    Source:
        SP 800-22 rev. 1a, 4.2.2.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.size < SEQUENCES_MIN:
        raise ValueError(f"{values.size} p-values, uniformity needs at least {SEQUENCES_MIN}")
    if not np.all((values >= 0.0) & (values <= 1.0)):
        raise ValueError("a p-value outside [0, 1]")
    observed = np.bincount(np.minimum((values * CLASSES).astype(int), CLASSES - 1), minlength=10)
    expected = values.size / CLASSES
    chi_squared = float(np.square(observed - expected).sum()) / expected
    return float(gammaincc((CLASSES - 1) / 2, chi_squared / 2))


def second_level(suites: Sequence[Sequence[Outcome]]) -> tuple[SecondLevel, ...]:
    """Share passed and uniformity of each statistic, in the order of the standard.

    Args:
        suites: What `suite.run` returned for each sequence. Sequences in which a test was
            refused do not count for it.

    Source:
        SP 800-22 rev. 1a, 4.2.
    """
    gathered: dict[tuple[RandomnessTest, str], list[float]] = {}
    for outcomes in suites:
        for outcome in outcomes:
            for p_value in outcome.p_values:
                gathered.setdefault((outcome.test, p_value.label), []).append(p_value.value)
    order = list(RandomnessTest)
    ranked = sorted(gathered.items(), key=lambda item: order.index(item[0][0]))
    return tuple(_summary(test, label, values) for (test, label), values in ranked)


def _summary(test: RandomnessTest, label: str, values: list[float]) -> SecondLevel:
    low, high = passing_range(len(values))
    return SecondLevel(
        test=test,
        label=label,
        sequences=len(values),
        passed=sum(value >= SIGNIFICANCE for value in values),
        passed_min=low,
        passed_max=high,
        uniformity=uniformity(values) if len(values) >= SEQUENCES_MIN else None,
    )


def pool(suites: Sequence[Sequence[Outcome]]) -> tuple[Outcome, ...]:
    """All sequences as one suite: each test with the p-values of every sequence.

    `verdict.judge` counts them all, so that its rate of false alarms is that of the whole
    examination and not of one sequence.

    Args:
        suites: What `suite.run` returned for each sequence, at least one.

    Returns:
        For each test its p-values, labelled with the index of the sequence; or the refusal of
        the first sequence, if it was refused in all.

    Raises:
        ValueError: Without a sequence, or if the suites are not of the same tests.
    """
    if not suites:
        raise ValueError("no sequence was tested")
    return tuple(_pooled(column) for column in zip(*suites, strict=True))


def _pooled(column: tuple[Outcome, ...]) -> Outcome:
    """One test over all sequences."""
    test = column[0].test
    if {outcome.test for outcome in column} != {test}:
        raise ValueError("the suites are not of the same tests in the same order")
    p_values = tuple(
        PValue(f"{index}:{p_value.label}", p_value.value)
        for index, outcome in enumerate(column)
        for p_value in outcome.p_values
    )
    return Outcome(test, p_values, "" if p_values else column[0].refusal)

"""The IID track (clause 5): may a source's samples be taken as independent and identical?

A source that passes every test may claim the most common value estimate alone. A source that
fails any of them has no min-entropy on this track, and is assessed on the other one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qlq.qrng.assessment import chi_square, counting, permutation, repeats
from qlq.qrng.assessment.chi_square import ChiSquare
from qlq.qrng.assessment.permutation import PERMUTATIONS, Permutations
from qlq.qrng.assessment.permutation_statistics import Statistic
from qlq.qrng.assessment.report import Length, require_samples
from qlq.qrng.assessment.samples import SAMPLES_MIN, Samples

_LOG_NO_REPEAT_MAX = math.log(1.0 - 0.001)
"""Data with a repeat less likely than 1/1000 fail. Source: SP 800-90B, clause 5.2.5, step 5."""


@dataclass(frozen=True, slots=True)
class LongestRepeat:
    """The test of the longest repeated substring.

    Attributes:
        length: Of the longest substring that occurs twice.
        p_collision: Chance that two samples are equal.
        log_no_repeat: Natural logarithm of the chance that independent, identical samples hold
            no repeat of this length.
    """

    length: int
    p_collision: float
    log_no_repeat: float

    @property
    def p_value(self) -> float:
        """Chance of a repeat of this length or more in independent, identical samples."""
        return -math.expm1(self.log_no_repeat)

    @property
    def has_passed(self) -> bool:
        """Whether independent, identical samples have such a repeat often enough."""
        return self.log_no_repeat <= _LOG_NO_REPEAT_MAX


@dataclass(frozen=True, slots=True)
class IidReport:
    """What the IID track finds.

    Attributes:
        samples: Number of symbols.
        independence: Chi-square test of neighbouring samples.
        goodness_of_fit: Chi-square test of the ten tenths.
        longest_repeat: The longest repeated substring.
        initial: The permutation statistics of the data as they are.
        permutations: The permutation test; None where an earlier test has failed, which decides
            the verdict.
        h_original: Most common value estimate per symbol in bits; None unless all tests passed.
        h_bitstring: The same per bit of the bit string; None as well for data of two symbols.
        assessed: Min-entropy per symbol in bits; None unless all tests passed.
        is_short: Whether there are fewer samples than the standard asks for.
    """

    samples: int
    independence: ChiSquare
    goodness_of_fit: ChiSquare
    longest_repeat: LongestRepeat
    initial: dict[Statistic, float]
    permutations: Permutations | None
    h_original: float | None
    h_bitstring: float | None
    assessed: float | None
    is_short: bool

    @property
    def has_passed(self) -> bool:
        """Whether the samples may be taken as independent and identical."""
        return self.permutations is not None and self.permutations.has_passed


def longest_repeat(samples: Samples) -> LongestRepeat:
    """Whether the longest repeat is one that chance makes. Source: SP 800-90B, clause 5.2.5."""
    shares = np.bincount(samples.symbols) / samples.count
    p_collision = float(np.sum(shares**2))
    length = repeats.longest(samples.symbols)
    places = samples.count - length + 1
    pairs = places * (places - 1) // 2
    # log1p keeps what 1 - p^W rounds away; an underflow to 0 is a certain failure, as it must be.
    log_no_repeat = pairs * math.log1p(-(p_collision**length))
    return LongestRepeat(length, p_collision, log_no_repeat)


def assess(
    samples: Samples,
    *,
    seed: int,
    length: Length = Length.STANDARD,
    permutations: int = PERMUTATIONS,
) -> IidReport:
    """Run the IID track. The slow permutation test comes last, if the others have passed.

    Args:
        samples: Consecutive outputs of one source, before any conditioning.
        seed: Of the shuffles, from 0 to 2^64 - 1.
        length: What to insist on.
        permutations: At most how many shuffles, as for `permutation.run`.

    Raises:
        TooFewSamples: There are fewer than `length` insists on.
        MinEntropyTooLow: All are equal.
        ValueError: The seed or the number of permutations is out of range.

    Source:
        SP 800-90B, clauses 5 and 6.1.
    """
    require_samples(samples, length=length)
    independence = chi_square.independence(samples)
    fit = chi_square.goodness_of_fit(samples)
    repeat = longest_repeat(samples)
    shuffled = None
    if independence.has_passed and fit.has_passed and repeat.has_passed:
        shuffled = permutation.run(samples, seed=seed, permutations=permutations)
    h_original, h_bitstring, assessed = None, None, None
    if shuffled is not None and shuffled.has_passed:
        h_original = assessed = counting.most_common_value(samples.symbols)
        if not samples.is_binary:
            h_bitstring = counting.most_common_value(samples.bit_string())
            assessed = min(h_original, samples.bits * h_bitstring)
    return IidReport(
        samples=samples.count,
        independence=independence,
        goodness_of_fit=fit,
        longest_repeat=repeat,
        initial=permutation.initial(samples)
        if shuffled is None
        else {statistic: rank.value for statistic, rank in shuffled.ranks.items()},
        permutations=shuffled,
        h_original=h_original,
        h_bitstring=h_bitstring,
        assessed=assessed,
        is_short=samples.count < SAMPLES_MIN,
    )

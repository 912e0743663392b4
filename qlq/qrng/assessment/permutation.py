"""The permutation test (clause 5.1): do the data differ from their own shuffles?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qlq.numerics import shuffles
from qlq.qrng.assessment import permutation_statistics
from qlq.qrng.assessment.permutation_statistics import Statistic
from qlq.qrng.assessment.samples import Samples

PERMUTATIONS = 10_000
"""Shuffles that are looked at, at most. Source: SP 800-90B, clause 5.1, step 2."""
EXTREME = 5
"""A statistic fails where no more shuffles than this are on one side of it, ties included.
Source: SP 800-90B, clause 5.1, step 3."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Where one statistic of the data lies among those of their shuffles.

    Attributes:
        value: Of the data as they are.
        above: Shuffles below it, so that it is above them.
        equal: Shuffles with the same value.
        below: Shuffles above it.
    """

    value: float
    above: int = 0
    equal: int = 0
    below: int = 0

    @property
    def is_typical(self) -> bool:
        """Whether enough shuffles are on both sides: the statistic passes, come what may."""
        return self.above + self.equal > EXTREME and self.below + self.equal > EXTREME

    def counted(self, value: float) -> Rank:
        """The same with one more shuffle."""
        return Rank(
            self.value,
            self.above + (value < self.value),
            self.equal + (value == self.value),
            self.below + (value > self.value),
        )


@dataclass(frozen=True, slots=True)
class Permutations:
    """What the permutation test finds.

    Attributes:
        ranks: Of each statistic. Counting stops once a statistic has passed.
        shuffles: Shuffles that were looked at.
        failed: Statistics that are extreme after all shuffles.
    """

    ranks: dict[Statistic, Rank]
    shuffles: int
    failed: tuple[Statistic, ...]

    @property
    def has_passed(self) -> bool:
        """Whether no statistic is extreme."""
        return not self.failed


def initial(samples: Samples) -> dict[Statistic, float]:
    """All statistics of the data as they are: what NIST's tool prints first."""
    fixed = permutation_statistics.reference(samples)
    return permutation_statistics.compute(samples.symbols, fixed, frozenset(Statistic))


def run(samples: Samples, *, seed: int, permutations: int = PERMUTATIONS) -> Permutations:
    """Compare the data with their shuffles, until each statistic has passed or all are done.

    Sound data take some hundred shuffles, mostly for the slow compression statistic: 10 to 60
    seconds for a million samples. Data that fail take all of them.

    Args:
        samples: At least 320, of at least two different symbols.
        seed: Of the shuffles, from 0 to 2^64 - 1; another one may change a close verdict.
        permutations: At most how many shuffles. With fewer than the standard's number a sound
            source fails more often: 12 in `permutations` for each of the 19 statistics.

    Raises:
        ValueError: The seed or the number of permutations is out of range.

    Source:
        SP 800-90B, clause 5.1. Stopping early leaves each verdict as it would be.
    """
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed outside 0 to 2^64 - 1: {seed}")
    if permutations <= 2 * EXTREME:
        raise ValueError(f"{permutations} permutations cannot show anything: at least 11")
    fixed = permutation_statistics.reference(samples)
    ranks = {statistic: Rank(value) for statistic, value in initial(samples).items()}
    open_ones = frozenset(Statistic)
    symbols = samples.symbols.copy()
    done = 0
    while open_ones and done < permutations:
        shuffles.shuffle(symbols, shuffles.stream(np.uint64(seed), done))
        done += 1
        found = permutation_statistics.compute(symbols, fixed, open_ones)
        for statistic in open_ones:
            ranks[statistic] = ranks[statistic].counted(found[statistic])
        open_ones = frozenset(one for one in open_ones if not ranks[one].is_typical)
    failed = tuple(statistic for statistic in Statistic if statistic in open_ones)
    return Permutations(ranks, done, failed)

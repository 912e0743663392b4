"""Chi-square tests of independence and of goodness of fit (clauses 5.2.1 to 5.2.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from qlq.qrng.assessment.samples import Samples

P_MIN = 0.001
"""Data with a smaller p-value fail. Source: SP 800-90B, clause 5.2."""
EXPECTED_MIN = 5.0
"""Least expected count of a bin."""
TUPLE_BITS_MAX = 11
PARTS = 10
"""Parts of the data that the goodness of fit compares. Source: clauses 5.2.2 and 5.2.4."""


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """One test.

    Attributes:
        statistic: The sum of squared deviations over expectations.
        degrees: Degrees of freedom; 0 where the data are too few to say anything.
        p_value: Chance of a larger statistic in independent, identical samples; 1 if `degrees`
            is 0.
    """

    statistic: float
    degrees: int

    @property
    def p_value(self) -> float:
        """Chance of a larger statistic in independent, identical samples; 1 without a degree."""
        return float(special.chdtrc(self.degrees, self.statistic)) if self.degrees > 0 else 1.0

    @property
    def has_passed(self) -> bool:
        """Whether independent, identical samples look so often enough."""
        return self.p_value >= P_MIN


def independence(samples: Samples) -> ChiSquare:
    """Whether neighbouring samples are independent. Source: SP 800-90B, 5.2.1 and 5.2.3."""
    if samples.is_binary:
        return _binary_independence(samples.symbols)
    shares = np.bincount(samples.symbols, minlength=samples.alphabet) / samples.count
    pairs = samples.count // 2
    expected = np.outer(shares, shares).reshape(-1) * pairs
    bins, sums = _bins(expected)
    even, odd = samples.symbols[0 : 2 * pairs : 2], samples.symbols[1 : 2 * pairs : 2]
    codes = even.astype(np.intp) * samples.alphabet + odd
    observed = np.bincount(bins[codes], minlength=sums.size)
    return ChiSquare(_distance(observed, sums), sums.size - samples.alphabet)


def goodness_of_fit(samples: Samples) -> ChiSquare:
    """Whether all tenths of the data have one distribution. Source: SP 800-90B, 5.2.2, 5.2.4."""
    size = samples.count // PARTS
    counts = np.bincount(samples.symbols, minlength=samples.alphabet)
    if samples.is_binary:
        expected = counts / samples.count * size
        bins, sums = np.arange(2), expected
    else:
        bins, sums = _bins(counts / samples.count * size)
    distance = 0.0
    for part in range(PARTS):
        symbols = samples.symbols[part * size : (part + 1) * size]
        distance += _distance(np.bincount(bins[symbols], minlength=sums.size), sums)
    return ChiSquare(distance, (PARTS - 1) * (sums.size - 1))


def _binary_independence(bits: NDArray[np.uint8]) -> ChiSquare:
    """Tuples of as many bits as let the rarest be expected five times. Source: 5.2.3."""
    share = int(bits.sum(dtype=np.int64)) / bits.size
    rarer = min(share, 1.0 - share)
    lengths = range(TUPLE_BITS_MAX, 1, -1)
    fitting = (m for m in lengths if rarer**m * (bits.size // m) >= EXPECTED_MIN)
    length = next(fitting, 0)
    if length == 0:
        return ChiSquare(0.0, 0)
    blocks = bits.size // length
    tuples = bits[: blocks * length].reshape(blocks, length).astype(np.intp)
    codes = tuples @ (1 << np.arange(length - 1, -1, -1))
    observed = np.bincount(codes, minlength=1 << length)
    ones = np.bitwise_count(np.arange(1 << length)).astype(np.float64)
    expected = share**ones * (1.0 - share) ** (length - ones) * blocks
    return ChiSquare(_distance(observed, expected), (1 << length) - 2)


def _distance(observed: NDArray[np.int64], expected: NDArray[np.float64]) -> float:
    return float(np.sum((observed - expected) ** 2 / expected))


def _bins(expected: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Join values, rarest first, until each bin is expected five times.

    Returns:
        intp (values,) with the bin of each value, and float64 (bins,) with what is expected of it.
    """
    order = np.argsort(expected, kind="stable")
    bins = np.empty(expected.size, dtype=np.intp)
    sums: list[float] = [0.0]
    for value in order:
        if sums[-1] >= EXPECTED_MIN:
            sums.append(0.0)
        bins[value] = len(sums) - 1
        sums[-1] += float(expected[value])
    if len(sums) > 1 and sums[-1] < EXPECTED_MIN:
        bins[bins == len(sums) - 1] = len(sums) - 2
        last = sums.pop()
        sums[-1] += last
    return bins, np.array(sums)

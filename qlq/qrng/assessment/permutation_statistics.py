"""The eleven statistics of the permutation test (clause 5.1), nineteen numbers in all.

Data of two symbols are looked at in blocks of eight where the standard says so: as the number of
ones (conversion I) or as the byte they make (conversion II).
"""

from __future__ import annotations

import bz2
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numba import types
from numpy.typing import NDArray

from qlq.numerics.kernels import kernel
from qlq.qrng.assessment.samples import Samples

LAGS = (1, 2, 8, 16, 32)
BLOCK = 8
_BZIP2_LEVEL = 5
"""Block size of NIST's tool, in units of 100 kB."""
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_PAIR = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]


class Statistic(StrEnum):
    """What is computed of the data and of their permutations, in the order of the standard."""

    EXCURSION = "excursion"
    DIRECTIONAL_RUNS = "directional_runs"
    LONGEST_DIRECTIONAL_RUN = "longest_directional_run"
    INCREASES_DECREASES = "increases_decreases"
    MEDIAN_RUNS = "median_runs"
    LONGEST_MEDIAN_RUN = "longest_median_run"
    AVERAGE_COLLISION = "average_collision"
    LONGEST_COLLISION = "longest_collision"
    PERIODICITY_1 = "periodicity_1"
    PERIODICITY_2 = "periodicity_2"
    PERIODICITY_8 = "periodicity_8"
    PERIODICITY_16 = "periodicity_16"
    PERIODICITY_32 = "periodicity_32"
    COVARIANCE_1 = "covariance_1"
    COVARIANCE_2 = "covariance_2"
    COVARIANCE_8 = "covariance_8"
    COVARIANCE_16 = "covariance_16"
    COVARIANCE_32 = "covariance_32"
    COMPRESSION = "compression"


_DIRECTIONS = (
    Statistic.DIRECTIONAL_RUNS,
    Statistic.LONGEST_DIRECTIONAL_RUN,
    Statistic.INCREASES_DECREASES,
)
_MEDIANS = (Statistic.MEDIAN_RUNS, Statistic.LONGEST_MEDIAN_RUN)
_COLLISIONS = (Statistic.AVERAGE_COLLISION, Statistic.LONGEST_COLLISION)
_PERIODS = tuple(Statistic(f"periodicity_{lag}") for lag in LAGS)
_COVARIANCES = tuple(Statistic(f"covariance_{lag}") for lag in LAGS)


@kernel(types.float64(_BYTES, types.float64))
def _excursion(values: NDArray[np.uint8], mean: float) -> float:
    """Largest distance of a running sum from what the mean makes of it. Source: 5.1.1."""
    total, largest = 0.0, 0.0
    for index in range(values.size):
        total += values[index]
        largest = max(largest, abs(total - (index + 1) * mean))
    return largest


@kernel(_PAIR(types.Array(types.boolean, 1, "C", readonly=True)))
def _runs(signs: NDArray[np.bool_]) -> tuple[int, int]:
    """Number of runs of equal signs, and the length of the longest one."""
    count, run, longest = 1, 1, 1
    for index in range(1, signs.size):
        if signs[index] == signs[index - 1]:
            run += 1
            longest = max(longest, run)
        else:
            count += 1
            run = 1
    return count, longest


@kernel(types.UniTuple(types.int64, 3)(_BYTES))  # type: ignore[no-untyped-call]
def _collisions(values: NDArray[np.uint8]) -> tuple[int, int, int]:
    """Non-overlapping stretches up to the first repeated value: their number, sum, longest."""
    seen = np.zeros(256, dtype=np.int64)
    count, total, longest, start = 0, 0, 0, 0
    for index in range(values.size):
        if seen[values[index]] > start:
            length = index - start + 1
            count += 1
            total += length
            longest = max(longest, length)
            start = index + 1
        else:
            seen[values[index]] = index + 1
    return count, total, longest


@kernel(types.int64(_BYTES, types.int64))
def _products(values: NDArray[np.uint8], lag: int) -> np.int64:
    """Sum of products of values that are a lag apart. Source: 5.1.10."""
    total = np.int64(0)
    for index in range(values.size - lag):
        total += np.int64(values[index]) * np.int64(values[index + lag])
    return total


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What is held fixed while the data are permuted.

    Attributes:
        raw_of: uint8 (alphabet,), the symbol as it was given for each re-mapped one.
        mean: Mean of the symbols as they were given.
        median: Median of the re-mapped symbols; 0.5 for two symbols.
        is_binary: Whether there are two symbols.
    """

    raw_of: NDArray[np.uint8]
    mean: float
    median: float
    is_binary: bool


def reference(samples: Samples) -> Reference:
    """Mean and median of the data. Source: SP 800-90B, clauses 5.1.1, 5.1.5 and 5.1.6."""
    raw_of = np.unique(samples.raw)
    raw_of.flags.writeable = False
    median = 0.5 if samples.is_binary else float(np.median(samples.symbols))
    mean = int(samples.raw.sum(dtype=np.int64)) / samples.count
    return Reference(raw_of, mean, median, samples.is_binary)


def _text_length(raw: NDArray[np.uint8]) -> int:
    """Bytes that bzip2 makes of the symbols in decimal, a space between two. Source: 5.1.11."""
    words = np.char.encode(np.arange(256).astype(str), "ascii")
    lengths = np.array([len(word) + 1 for word in words])[raw]
    ends = np.cumsum(lengths)
    text = np.full(int(ends[-1]), ord(" "), dtype=np.uint8)
    for digit in range(3):
        has = lengths > digit + 1
        codes = np.array([word[digit] if len(word) > digit else 0 for word in words], np.uint8)
        text[(ends - lengths + digit)[has]] = codes[raw[has]]
    return len(bz2.compress(text[:-1].tobytes(), _BZIP2_LEVEL))


def compute(
    symbols: NDArray[np.uint8], fixed: Reference, wanted: frozenset[Statistic]
) -> dict[Statistic, float]:
    """Those statistics of one permutation of the data that are wanted.

    Args:
        symbols: uint8 (samples,), re-mapped symbols; at least 40 of them, 320 where there are two.
        fixed: Of the same data.
        wanted: Which ones; others may come with them where they cost nothing.

    Returns:
        NaN for the average collision where no value occurs twice.

    Source:
        SP 800-90B, clauses 5.1.1 to 5.1.11.
    """
    raw = fixed.raw_of[symbols]
    found: dict[Statistic, float] = {}
    if Statistic.EXCURSION in wanted:
        found[Statistic.EXCURSION] = _excursion(raw, fixed.mean)
    if wanted.intersection(_MEDIANS):
        found |= zip(_MEDIANS, _runs(symbols >= fixed.median), strict=True)
    blocks = _blocks(symbols) if fixed.is_binary else None
    ones = symbols if blocks is None else blocks.sum(axis=1, dtype=np.uint8)
    if wanted.intersection(_DIRECTIONS):
        rises = ones[1:] >= ones[:-1]
        up = int(rises.sum())
        found |= zip(_DIRECTIONS, (*_runs(rises), max(up, rises.size - up)), strict=True)
    if wanted.intersection(_COLLISIONS):
        values = symbols if blocks is None else np.packbits(blocks, axis=1).reshape(-1)
        count, total, longest = _collisions(values)
        found |= zip(_COLLISIONS, (total / count if count else np.nan, longest), strict=True)
    for lag, period, covariance in zip(LAGS, _PERIODS, _COVARIANCES, strict=True):
        if period in wanted:
            found[period] = int(np.count_nonzero(ones[lag:] == ones[:-lag]))
        if covariance in wanted:
            found[covariance] = int(_products(raw if blocks is None else ones, lag))
    if Statistic.COMPRESSION in wanted:
        found[Statistic.COMPRESSION] = _text_length(raw)
    return found


def _blocks(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (blocks, 8); the last block is filled with zeros."""
    return np.pad(bits, (0, -bits.size % BLOCK)).reshape(-1, BLOCK)

"""Restart tests (clause 3.1.4): does a source begin anew each time it is started?

1,000 restarts give 1,000 samples each. Read along rows it is the sequence of the restarts, along
columns the samples at one time after a restart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from qlq.errors import MinEntropyTooLow
from qlq.qrng.assessment import estimators, samples

RESTARTS = 1000
"""Restarts, and samples after each one. Source: SP 800-90B, clause 3.1.4.1."""
ALPHA = -math.expm1(math.log(0.99) / (2 * RESTARTS))
"""Chance that one row or column of a sound source fails. Source: clause 3.1.4.3, so that all
2,000 together fail in 1 %."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """What the restart tests leave of a claim.

    Attributes:
        most_common: Largest count of one symbol in a row or column.
        cutoff: Largest count that passes.
        h_rows: Least estimate of the row data set, per symbol in bits.
        h_columns: The same of the column data set.
        validated: Min-entropy per symbol in bits: the least of both and of what was claimed.
    """

    most_common: int
    cutoff: int
    h_rows: float
    h_columns: float
    validated: float


def cutoff(*, h: float, alphabet: int) -> int:
    """Largest count of one symbol in 1,000 that passes the sanity check.

    The most likely symbols of a source with min-entropy h have probability 2^-h each; as many
    as there can be have it, and the others share what is left. The distribution of the largest
    count is computed from the product of truncated Poisson series, where NIST's tool simulates it.

    Args:
        h: Claimed min-entropy per symbol in bits, above 0, at most log2(alphabet).
        alphabet: Number of symbols, 2 to 256.

    Raises:
        ValueError: The claim or the alphabet is out of range.

    Source:
        SP 800-90B, clause 3.1.4.3.
    """
    if not 2 <= alphabet <= 256:  # noqa: PLR2004 - what a byte can hold
        raise ValueError(f"alphabet outside 2 to 256: {alphabet}")
    if not 0.0 < h <= math.log2(alphabet):
        raise ValueError(f"min-entropy per symbol outside (0, log2({alphabet})] bits: {h}")
    p = 2.0**-h
    likely = min(alphabet, math.floor(1.0 / p * (1.0 + 1e-12)))
    rest = alphabet - likely
    rare = max(0.0, 1.0 - likely * p) / rest if rest else 0.0
    low, high = math.ceil(RESTARTS / alphabet) - 1, RESTARTS
    while high - low > 1:  # the chance grows with the count
        middle = (low + high) // 2
        chance = _chance_of_at_most(middle, [(p, likely), (rare, rest)])
        low, high = (low, middle) if chance >= 1.0 - ALPHA else (middle, high)
    return high


def _chance_of_at_most(count: int, groups: list[tuple[float, int]]) -> float:
    """Chance that no symbol occurs more often in 1,000 draws; groups of (probability, symbols)."""
    product = np.zeros(RESTARTS + 1)
    product[0] = 1.0
    for p, symbols in groups:
        factor = np.zeros(RESTARTS + 1)
        factor[: count + 1] = _poisson(RESTARTS * p, np.arange(count + 1))
        for bit in range(symbols.bit_length()):
            if symbols >> bit & 1:
                product = np.convolve(product, factor)[: RESTARTS + 1]
            factor = np.convolve(factor, factor)[: RESTARTS + 1]
    return float(product[RESTARTS] / _poisson(float(RESTARTS), np.array(RESTARTS)))


def _poisson(mean: float, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities of these counts."""
    logarithms = special.xlogy(counts, mean) - mean - special.gammaln(counts + 1.0)
    return np.asarray(np.exp(logarithms), dtype=np.float64)


def assess(rows: NDArray[np.uint8], *, bits: int, h_claimed: float) -> Restarts:
    """Hold a claim against 1,000 restarts.

    Args:
        rows: uint8 (1000, 1000), one symbol each; a row holds the samples after one restart.
        bits: Width of a symbol, 1 to 8.
        h_claimed: Min-entropy per symbol in bits, above 0, at most log2 of the number of
            different symbols that occur.

    Raises:
        MinEntropyTooLow: A row or column is too regular for the claim, or rows or columns are
            assessed below half of it: the claim is void.
        ValueError: The array has another shape, or the claim is out of range.

    Source:
        SP 800-90B, clauses 3.1.4.1 to 3.1.4.3.
    """
    if rows.dtype != np.uint8 or rows.shape != (RESTARTS, RESTARTS):
        raise ValueError(
            f"restart data must be uint8 ({RESTARTS}, {RESTARTS}), not {rows.dtype} {rows.shape}"
        )
    read = samples.read(rows.reshape(-1), bits=bits)
    if read.alphabet == 1:
        raise MinEntropyTooLow("all restart samples are equal: constant data have no entropy")
    symbols = read.symbols.reshape(RESTARTS, RESTARTS)
    limit = cutoff(h=h_claimed, alphabet=read.alphabet)
    counts = [_counts(symbols, read.alphabet), _counts(symbols.T, read.alphabet)]
    most_common = max(int(count.max()) for count in counts)
    if most_common > limit:
        raise MinEntropyTooLow(
            f"a symbol occurs {most_common} times in one of the restart rows or columns, {limit} "
            f"at most fit a claim of {h_claimed} bits: claim less, or mend the source's start"
        )
    columns = np.ascontiguousarray(symbols.T).reshape(-1)
    h_rows, h_columns = (
        estimators.least(estimators.estimate(view, alphabet=read.alphabet), bits=bits)
        for view in (read.symbols, columns)
    )
    if min(h_rows, h_columns) < h_claimed / 2.0:
        raise MinEntropyTooLow(
            f"restart rows hold {h_rows:.4f} and columns {h_columns:.4f} bits per symbol, less "
            f"than half of the claimed {h_claimed}: the claim is void, as the source starts alike"
        )
    return Restarts(most_common, limit, h_rows, h_columns, min(h_rows, h_columns, h_claimed))


def _counts(rows: NDArray[np.uint8], alphabet: int) -> NDArray[np.int64]:
    """int64 (rows, alphabet): how often each symbol occurs in each row."""
    codes = rows.astype(np.int64) + alphabet * np.arange(rows.shape[0])[:, np.newaxis]
    counts = np.bincount(codes.reshape(-1), minlength=alphabet * rows.shape[0])
    return counts.reshape(rows.shape[0], alphabet)

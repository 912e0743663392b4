"""Ranks of 32 by 32 matrices over GF(2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlq.numerics.kernels import kernel
from qlq.qrng.randomness_tests.frequency import chi_squared_p_value, require_length

SIDE = 32
MATRIX_BITS = SIDE * SIDE


def rank_probability(rank: int, *, side: int) -> float:
    """Probability that a uniformly random square matrix over GF(2) has this rank.

    Args:
        rank: 0 to `side`.
        side: Rows and columns, at least 1.

    Raises:
        ValueError: For a rank outside that range.

    Source:
        SP 800-22 rev. 1a, 3.5.
    """
    if not 0 <= rank <= side:
        raise ValueError(f"rank outside 0 to {side}: {rank}")
    product = 1.0
    for i in range(rank):
        product *= (1 - 2.0 ** (i - side)) ** 2 / (1 - 2.0 ** (i - rank))
    return float(2.0 ** (rank * (2 * side - rank) - side * side) * product)


def matrix_rank(bits: NDArray[np.uint8]) -> float:
    """p-value of the rank test: full rank, one less, or any lower, as often as by chance.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, at least one matrix of 1,024 bits; filled row
            by row, what remains is left out.

    Raises:
        ValueError: For another type, shape or value, or less than one matrix.

    Source:
        SP 800-22 rev. 1a, 2.5.4.
    """
    require_length(bits, least=MATRIX_BITS)
    matrices = bits.size // MATRIX_BITS
    rows = np.packbits(bits[: matrices * MATRIX_BITS]).view(">u4").astype(np.uint32)
    ranks = ranks_of(rows)
    full, below = rank_probability(SIDE, side=SIDE), rank_probability(SIDE - 1, side=SIDE)
    observed = np.bincount(np.minimum(SIDE - ranks, 2), minlength=3)
    return chi_squared_p_value(observed, (full, below, 1 - full - below))


@kernel("int64[::1](Array(uint32, 1, 'C', readonly=True))")
def ranks_of(rows: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Rank over GF(2) of each group of 32 rows, each row a word of 32 bits.

    A basis is kept by leading bit: a row that is reduced to zero adds nothing.
    """
    ranks = np.zeros(rows.size // 32, dtype=np.int64)
    basis = np.zeros(32, dtype=np.uint32)
    for matrix in range(ranks.size):
        basis[:] = 0
        for index in range(32 * matrix, 32 * matrix + 32):
            row = rows[index]
            for place in range(31, -1, -1):
                if not (row >> np.uint32(place)) & np.uint32(1):
                    continue
                if basis[place] == 0:
                    basis[place] = row
                    ranks[matrix] += 1
                    break
                row ^= basis[place]
    return ranks

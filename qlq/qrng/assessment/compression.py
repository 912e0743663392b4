"""The compression estimate (clause 6.3.4): distances between equal blocks of six bits."""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numpy.typing import NDArray

from qlq.numerics.kernels import kernel
from qlq.qrng.assessment.bounds import Z_99, largest_root, min_entropy

BLOCK_BITS = 6
DICTIONARY_BLOCKS = 1000
_DEVIATION_FACTOR = 0.5907
"""Corrects the deviation of Maurer's statistic for blocks of six bits. Source: 6.3.4, step 5."""
_BLOCKS = 1 << BLOCK_BITS
_NEGLIGIBLE = 1e-280
"""Terms below this add nothing, and near the smallest double they would stop shrinking."""
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_REALS = types.Array(types.float64, 1, "C", readonly=True)
_PAIR = types.UniTuple(types.float64, 2)  # type: ignore[no-untyped-call]


@kernel(_PAIR(_BYTES))
def _distances(bits: NDArray[np.uint8]) -> tuple[float, float]:
    """Kahan sums of log2 of the distance to the last equal block, and of its square."""
    last = np.zeros(_BLOCKS, dtype=np.int64)
    total, total_rest, squares, squares_rest = 0.0, 0.0, 0.0, 0.0
    for index in range(bits.size // BLOCK_BITS):
        block = 0
        for place in range(BLOCK_BITS):
            block = 2 * block + bits[BLOCK_BITS * index + place]
        if index >= DICTIONARY_BLOCKS:
            distance = np.log2(np.float64(index + 1 - last[block]))
            term = distance - total_rest
            summed = total + term
            total_rest = (summed - total) - term
            total = summed
            term = distance * distance - squares_rest
            summed = squares + term
            squares_rest = (summed - squares) - term
            squares = summed
        last[block] = index + 1
    return total, squares


@kernel(types.float64(types.float64, _REALS))
def _expected_share(z: float, logarithms: NDArray[np.float64]) -> float:
    """The part of a block of probability z in the expected mean of log2 of the distance.

    Sums over distances i below the block's index t, for t above the dictionary: each distance is
    counted as often as there are blocks that can have it.
    """
    blocks = logarithms.size - 1
    weight = 1.0 - z
    inside, inside_rest, outside, outside_rest = 0.0, 0.0, 0.0, 0.0
    tail, tail_rest = 0.0, 0.0
    for distance in range(2, blocks + 1):
        value = logarithms[distance] * weight
        if value * blocks < _NEGLIGIBLE:
            break
        if distance <= DICTIONARY_BLOCKS:
            term = value - inside_rest
            summed = inside + term
            inside_rest = (summed - inside) - term
            inside = summed
        else:
            term = value - outside_rest
            summed = outside + term
            outside_rest = (summed - outside) - term
            outside = summed
            if distance < blocks:
                term = (blocks - distance) * value - tail_rest
                summed = tail + term
                tail_rest = (summed - tail) - term
                tail = summed
        weight *= 1.0 - z
    tests = blocks - DICTIONARY_BLOCKS
    return float(z * (z * (tail + tests * inside) + outside) / tests)


def compression(bits: NDArray[np.uint8]) -> float | None:
    """Min-entropy per bit from how far equal blocks are apart; at most 1.

    Args:
        bits: uint8 (samples,) of 0 and 1.

    Returns:
        None where there are no blocks beyond the thousand that fill the dictionary.

    Source:
        SP 800-90B, clause 6.3.4.
    """
    blocks = bits.size // BLOCK_BITS
    tests = blocks - DICTIONARY_BLOCKS
    if tests < 2:  # noqa: PLR2004 - a deviation needs two
        return None
    total, squares = _distances(bits)
    mean = total / tests
    spread = math.sqrt(max(0.0, squares / (tests - 1.0) - mean * mean))
    bound = mean - Z_99 * _DEVIATION_FACTOR * spread / math.sqrt(tests)
    logarithms = np.log2(np.maximum(np.arange(blocks + 1, dtype=np.float64), 1.0))

    def expected(p: float) -> float:
        other = (1.0 - p) / (_BLOCKS - 1.0)
        return _expected_share(p, logarithms) + (_BLOCKS - 1.0) * _expected_share(other, logarithms)

    fair = 1.0 / _BLOCKS
    if not expected(fair) > bound:
        return 1.0
    return min_entropy(largest_root(expected, target=bound, low=fair, high=1.0)) / BLOCK_BITS

"""Estimators that count: most common value, collisions, transitions (clauses 6.3.1 to 6.3.3)."""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numpy.typing import NDArray

from qlq.numerics.kernels import kernel
from qlq.qrng.assessment.bounds import Z_99, min_entropy, upper_bound

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_CHAIN = 128
"""Length of the bit strings whose most likely one bounds a Markov chain. Source: 6.3.3."""
_COLLISION_MIN, _COLLISION_FAIR = 2.0, 2.5
"""Steps until a collision: the fewest there can be, and the mean of fair coins."""


def most_common_value(symbols: NDArray[np.uint8]) -> float:
    """Min-entropy per symbol from the share of the most common one, in bits.

    Args:
        symbols: uint8 (samples,), at least two.

    Source:
        SP 800-90B, clause 6.3.1.
    """
    share = int(np.bincount(symbols).max()) / symbols.size
    return min_entropy(upper_bound(share, count=symbols.size))


@kernel(types.UniTuple(types.int64, 2)(_BYTES))  # type: ignore[no-untyped-call]
def _collisions(bits: NDArray[np.uint8]) -> tuple[int, int]:
    """Times until two equal bits, non-overlapping: how many of them, and how many are 2."""
    position, times, short = 0, 0, 0
    while position < bits.size - 1:
        if bits[position] == bits[position + 1]:
            short += 1
            position += 2
        elif position < bits.size - 2:
            position += 3
        else:
            break
        times += 1
    return times, short


def collision(bits: NDArray[np.uint8]) -> float:
    """Min-entropy per bit from the mean time until two bits are equal; at most 1.

    Args:
        bits: uint8 (samples,) of 0 and 1, at least seven.

    Source:
        SP 800-90B, clause 6.3.2. For bits the expected time is 2 + 2p - 2p^2, which is solved
        in closed form.
    """
    times, short = _collisions(bits)
    total = 3 * times - short
    mean = total / times
    squares = 9.0 * times - 5.0 * short
    deviation = math.sqrt(max(0.0, squares - total * mean) / (times - 1))
    bound = max(_COLLISION_MIN, mean - Z_99 * deviation / math.sqrt(times))
    if not bound < _COLLISION_FAIR:
        return 1.0
    return min_entropy(0.5 + math.sqrt(1.25 - 0.5 * bound))


def _log2(p: float) -> float:
    return math.log2(p) if p > 0.0 else -math.inf


def markov(bits: NDArray[np.uint8]) -> float:
    """Min-entropy per bit of the first-order Markov chain that fits the data; at most 1.

    Args:
        bits: uint8 (samples,) of 0 and 1, at least two.

    Source:
        SP 800-90B, clause 6.3.3.
    """
    pairs = np.bincount(2 * bits[:-1] + bits[1:], minlength=4)
    from_zero, from_one = int(pairs[0] + pairs[1]), int(pairs[2] + pairs[3])
    zeros = from_zero + int(bits[-1] == 0)
    zero, one = _log2(zeros / bits.size), _log2(1.0 - zeros / bits.size)
    p00 = int(pairs[0]) / from_zero if from_zero else 0.0
    p10 = int(pairs[2]) / from_one if from_one else 0.0
    to00, to01 = _log2(p00), _log2(1.0 - p00) if from_zero else -math.inf
    to10, to11 = _log2(p10), _log2(1.0 - p10) if from_one else -math.inf
    steps = _CHAIN - 1
    half = _CHAIN // 2
    likeliest = max(
        zero + steps * to00,
        zero + half * to01 + (half - 1) * to10,
        zero + to01 + (steps - 1) * to11,
        one + to10 + (steps - 1) * to00,
        one + half * to10 + (half - 1) * to01,
        one + steps * to11,
    )
    return max(0.0, min(-likeliest / _CHAIN, 1.0))

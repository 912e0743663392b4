"""Estimators from repeated tuples (clauses 6.3.5 and 6.3.6), by a suffix array."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray
from pydivsufsort import divsufsort

from qlq.numerics.kernels import kernel
from qlq.qrng.assessment.bounds import min_entropy, upper_bound

OFTEN = 35
"""Repeats that a tuple needs to count in the t-tuple estimate. Source: 6.3.5, step 1."""
SAMPLES_MAX = 2**31 - 2
"""The suffix array holds 32-bit positions."""
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_INTS = types.int32[::1]
_LONGS = types.int64[::1]


@kernel(types.void(_BYTES, _INTS, _INTS))
def _common_prefixes(
    symbols: NDArray[np.uint8], order: NDArray[np.int32], prefixes: NDArray[np.int32]
) -> None:
    """Write the length of the prefix that suffix order[i] shares with order[i-1]; 0 for i = 0.

    Source: Kasai, Lee, Arimura, Arikawa and Park, CPM 2001; in the form of Karkkainen, Manzini and
    Puglisi (CPM 2009), which needs the preceding suffix only.
    """
    count = symbols.size
    before = np.empty(count, dtype=np.int32)
    before[order[0]] = -1
    for rank in range(1, count):
        before[order[rank]] = order[rank - 1]
    length = 0
    for position in range(count):
        other = before[position]
        if other < 0:
            length = 0
        else:
            stop = count - max(position, other)
            while length < stop and symbols[position + length] == symbols[other + length]:
                length += 1
        before[position] = length
        length = max(0, length - 1)
    for rank in range(count):
        prefixes[rank] = before[order[rank]]


@kernel(types.void(_INTS, _LONGS, _LONGS))
def _sweep(
    prefixes: NDArray[np.int32], largest: NDArray[np.int64], steps: NDArray[np.int64]
) -> None:
    """Walk over the intervals of suffixes that share a prefix, each of them once.

    An interval of c suffixes that share l symbols, within one that shares fewer, p, holds for
    each length in (p, l] one tuple that occurs c times. `largest[l]` becomes the largest c;
    `steps` the differences, from one length to the next, of the number of equal pairs.
    """
    lengths = np.empty(largest.size + 1, dtype=np.int64)
    starts = np.empty(largest.size + 1, dtype=np.int64)
    depth = 0
    lengths[0], starts[0] = 0, 0
    for rank in range(1, prefixes.size + 1):
        length = prefixes[rank] if rank < prefixes.size else 0
        start = rank - 1
        while lengths[depth] > length:
            start = starts[depth]
            count = rank - start
            top = lengths[depth]
            depth -= 1
            largest[top] = max(largest[top], count)
            parent = max(length, lengths[depth])
            pairs = count * (count - 1) // 2
            steps[parent + 1] += pairs
            steps[top + 1] -= pairs
        if lengths[depth] < length:
            depth += 1
            lengths[depth], starts[depth] = length, start


def _shared(symbols: NDArray[np.uint8]) -> NDArray[np.int32]:
    """int32 (samples,): the prefix that each suffix shares with its predecessor in order."""
    if not 1 < symbols.size <= SAMPLES_MAX:
        raise ValueError(f"{symbols.size} samples are outside 2 to {SAMPLES_MAX}")
    order = np.asarray(divsufsort(symbols.tobytes()), dtype=np.int32)
    prefixes = np.empty(symbols.size, dtype=np.int32)
    _common_prefixes(symbols, order, prefixes)
    return prefixes


def longest(symbols: NDArray[np.uint8]) -> int:
    """Length of the longest substring that occurs twice; occurrences may overlap."""
    return int(_shared(symbols).max())


def tuple_and_longest_repeat(symbols: NDArray[np.uint8]) -> tuple[float | None, float | None]:
    """Min-entropies per symbol of the t-tuple and the longest-repeated-substring estimate.

    Args:
        symbols: uint8 (samples,), at least two.

    Returns:
        The two estimates in bits. The first is None where no symbol occurs 35 times; the second
        where each tuple that is repeated at all is repeated 35 times.

    Source:
        SP 800-90B, clauses 6.3.5 and 6.3.6.
    """
    prefixes = _shared(symbols)
    count, top = symbols.size, int(prefixes.max())
    largest = np.ones(top + 1, dtype=np.int64)
    steps = np.zeros(top + 2, dtype=np.int64)
    _sweep(prefixes, largest, steps)
    # What occurs c times at one length occurs at least as often at each shorter one.
    largest = np.maximum.accumulate(largest[::-1])[::-1]
    pairs = np.cumsum(steps)[1 : top + 1]
    lengths = np.arange(1, top + 1)
    is_often = largest[1:] >= OFTEN
    by_tuple, by_repeat = None, None
    if is_often.any():
        share = largest[1:][is_often] / (count - lengths[is_often] + 1.0)
        p = float(np.max(share ** (1.0 / lengths[is_often])))
        by_tuple = min_entropy(upper_bound(p, count=count))
    if not is_often.all():
        rare = lengths[~is_often]
        among = (count - rare) * (count - rare + 1) // 2
        p = float(np.max((pairs[~is_often] / among) ** (1.0 / rare)))
        by_repeat = min_entropy(upper_bound(p, count=count))
    return by_tuple, by_repeat

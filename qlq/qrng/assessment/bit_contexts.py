"""Predictors that remember what followed the last bits (clauses 6.3.9 and 6.3.10), for bits.

A context of j bits is a number below 2^j; the two counts of what followed it lie side by side in
one flat table, at `2 * (2^j + context)`.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from qlq.numerics.kernels import kernel

DEPTH = 16
MARKOV_ENTRIES = 100_000
"""Pairs of context and symbol that each Markov model may hold. Source: SP 800-90B, 6.3.9."""
DICTIONARY_ENTRIES = 65_536
"""Contexts that the LZ78Y dictionary may hold. Source: SP 800-90B, 6.3.10."""
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_PAIR = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]


@kernel(_PAIR(_BYTES))
def markov_models(bits: NDArray[np.uint8]) -> tuple[int, int]:
    """Correct predictions of MultiMMC and their longest run; at least 18 bits."""
    counts = np.zeros(4 << DEPTH, dtype=np.int32)
    entries = np.zeros(DEPTH + 1, dtype=np.int64)
    scores = np.zeros(DEPTH + 1, dtype=np.int64)
    winner, correct, run, longest = 1, 0, 0, 0
    for index in range(1, bits.size):
        bit = np.int64(bits[index])
        leader = winner
        context, is_seen = np.int64(0), index > 1  # there is no prediction of the second bit
        for length in range(1, min(DEPTH, index) + 1):
            context |= np.int64(bits[index - length]) << (length - 1)
            place = 2 * ((1 << length) + context)
            zeros, ones = counts[place], counts[place + 1]
            is_seen = is_seen and zeros + ones > 0
            if is_seen:
                if (ones >= zeros) == (bit == 1):  # a tie predicts 1
                    scores[length] += 1
                    if scores[length] >= scores[winner]:
                        winner = length
                    if length == leader:
                        correct += 1
                        run += 1
                        longest = max(longest, run)
                elif length == leader:
                    run = 0
            if counts[place + bit] > 0:
                counts[place + bit] += 1
            elif entries[length] < MARKOV_ENTRIES:
                counts[place + bit] = 1
                entries[length] += 1
    return correct, longest


@kernel(_PAIR(_BYTES))
def dictionary(bits: NDArray[np.uint8]) -> tuple[int, int]:
    """Correct predictions of LZ78Y and their longest run; at least 18 bits."""
    counts = np.zeros(4 << DEPTH, dtype=np.int32)
    entries, correct, run, longest = 0, 0, 0, 0
    past = np.int64(0)
    for index in range(bits.size):
        bit = np.int64(bits[index])
        most, guess = 0, np.int64(-1)
        if index >= DEPTH:
            for length in range(DEPTH, 0, -1):
                place = 2 * ((1 << length) + (past & ((1 << length) - 1)))
                zeros, ones = counts[place], counts[place + 1]
                if zeros + ones > 0:
                    likely = max(zeros, ones)
                    if likely > most:
                        most, guess = likely, np.int64(ones >= zeros)
                    counts[place + bit] += 1
                elif entries < DICTIONARY_ENTRIES:
                    counts[place + bit] = 1
                    entries += 1
        past = ((past << 1) | bit) & ((1 << DEPTH) - 1)
        if guess == bit:
            correct += 1
            run += 1
            longest = max(longest, run)
        else:
            run = 0
    return correct, longest

"""Predictors that remember what followed the last symbols (clauses 6.3.9, 6.3.10), any width.

Contexts form a tree: the child of a context is the context with one symbol more, further back.
Open-addressing tables hold what is there, with the key `256 * node + symbol`: the children, and
how often a symbol followed. They are exact; nothing rests on a hash.
"""

from __future__ import annotations

from typing import Any

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
_TABLE = types.int32[:, ::1]
_PAIR = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]
_Whole = int | np.integer[Any]
_HASH_SHIFT = np.uint64(40)
"""Leaves 24 bits of a hash, more than any table has slots for."""
_FIBONACCI = np.uint64(0x9E3779B97F4A7C15)


@kernel(types.int64(types.int64))
def _slots(entries: int) -> int:
    """The power of two that holds so many entries and leaves half of the slots empty."""
    slots = 2
    while slots < 2 * entries:
        slots *= 2
    return slots


@kernel(types.int64(_TABLE, types.int64))
def _slot(table: NDArray[np.int32], key: _Whole) -> Any:
    """Where a key is, or where it would go; the first column holds keys, 0 in an empty slot."""
    mask = table.shape[0] - 1
    slot = np.int64((np.uint64(key) * _FIBONACCI) >> _HASH_SHIFT) & mask
    while table[slot, 0] not in (0, key):
        slot = (slot + 1) & mask
    return slot


@kernel(types.int64(_TABLE, types.int64, types.int64, types.int64))
def _child(children: NDArray[np.int32], node: _Whole, symbol: _Whole, fresh: _Whole) -> _Whole:
    """The longer context; a new one, numbered `fresh`, where it is not there and fresh > 0."""
    key = (node << 8) | symbol
    slot = _slot(children, key)
    if children[slot, 0] == 0 and fresh > 0:
        children[slot, 0], children[slot, 1] = key, fresh
    return np.int64(children[slot, 1])


@kernel(types.void(_TABLE, types.int64, types.int64, types.int64))
def _prefer(guesses: NDArray[np.int32], node: _Whole, symbol: _Whole, count: _Whole) -> None:
    """Let a context predict this symbol if none followed it more often, nor a larger as often."""
    best = guesses[node, 1]
    if count > best or (count == best and symbol > guesses[node, 0]):
        guesses[node, 0], guesses[node, 1] = symbol, count


@kernel(types.boolean(_TABLE, _TABLE, types.int64, types.int64, types.boolean))
def _learn(
    followers: NDArray[np.int32],
    guesses: NDArray[np.int32],
    node: _Whole,
    symbol: _Whole,
    is_open: bool,  # noqa: FBT001 - kernels take no keywords
) -> bool:
    """Count what followed a context, and say whether that made an entry.

    A context that is not open counts only what followed it before. `guesses` holds what it
    predicts, and how often that was seen.
    """
    key = (node << 8) | symbol
    slot = _slot(followers, key)
    if followers[slot, 0] == 0 and not is_open:
        return False
    followers[slot, 0] = key
    followers[slot, 1] += 1
    count = followers[slot, 1]
    _prefer(guesses, node, symbol, count)
    return bool(count == 1)


@kernel(_PAIR(_BYTES))
def markov_models(symbols: NDArray[np.uint8]) -> tuple[int, int]:
    """Correct predictions of MultiMMC and their longest run; at least 18 samples.

    A model is full no later than the longer ones, so that a context is never known where a
    shorter one is not.
    """
    capacity = DEPTH * min(MARKOV_ENTRIES, symbols.size)
    children = np.zeros((_slots(capacity), 2), dtype=np.int32)
    followers = np.zeros((_slots(capacity), 2), dtype=np.int32)
    guesses = np.zeros((capacity + 2, 2), dtype=np.int32)
    entries = np.zeros(DEPTH + 1, dtype=np.int64)
    scores = np.zeros(DEPTH + 1, dtype=np.int64)
    nodes, winner, correct, run, longest = 2, 1, 0, 0, 0  # node 1 is the empty context
    for index in range(1, symbols.size):
        symbol = np.int64(symbols[index])
        leader = winner
        node: _Whole = 1
        for length in range(1, min(DEPTH, index) + 1):
            is_open = entries[length] < MARKOV_ENTRIES
            node = _child(children, node, symbols[index - length], nodes if is_open else 0)
            if node == 0:
                break
            if node == nodes:
                nodes += 1
            elif index > 1:  # there is no prediction of the second symbol
                if guesses[node, 0] == symbol:
                    scores[length] += 1
                    if scores[length] >= scores[winner]:
                        winner = length
                    if length == leader:
                        correct += 1
                        run += 1
                        longest = max(longest, run)
                elif length == leader:
                    run = 0
            entries[length] += _learn(followers, guesses, node, symbol, is_open)
    return correct, longest


@kernel(_PAIR(_BYTES))
def dictionary(symbols: NDArray[np.uint8]) -> tuple[int, int]:
    """Correct predictions of LZ78Y and their longest run; at least 18 samples.

    Longer contexts come first, in prediction and in the race for the last free entries. A node
    without a count is no entry: it only leads to a longer one.
    """
    capacity = min(DICTIONARY_ENTRIES, DEPTH * symbols.size) + DEPTH
    children = np.zeros((_slots(capacity), 2), dtype=np.int32)
    followers = np.zeros((capacity + 2, np.int64(symbols.max()) + 1), dtype=np.int32)
    guesses = np.zeros((capacity + 2, 2), dtype=np.int32)
    path = np.zeros(DEPTH + 1, dtype=np.int64)
    path[0] = 1
    nodes, entries, correct, run, longest = 2, 0, 0, 0, 0
    for index in range(DEPTH, symbols.size):
        symbol = np.int64(symbols[index])
        is_open = entries < DICTIONARY_ENTRIES
        reach = 0
        while reach < DEPTH:
            back = symbols[index - reach - 1]
            node = _child(children, path[reach], back, nodes if is_open else 0)
            if node == 0:
                break
            nodes += node == nodes
            reach += 1
            path[reach] = node
        most, likely = 0, np.int64(-1)
        for length in range(reach, 0, -1):
            node = path[length]
            if guesses[node, 1] > most:
                most, likely = guesses[node, 1], np.int64(guesses[node, 0])
            if guesses[node, 1] == 0:
                if entries >= DICTIONARY_ENTRIES:
                    continue
                entries += 1
            followers[node, symbol] += 1
            _prefer(guesses, node, symbol, followers[node, symbol])
        if likely == symbol:
            correct += 1
            run += 1
            longest = max(longest, run)
        else:
            run = 0
    return correct, longest

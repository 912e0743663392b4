"""Search trees of error parities: where two bit strings differ, found from parities of ranges.

A pass orders the bits by a permutation and cuts them into blocks. Each block is the root of a
binary tree of ranges; a node [a, b) splits at a + (b - a) // 2. `edges[slot, split]` holds the
error parity of the left child, so that a pass needs one byte a bit for all its nodes: the right
child's parity follows from the parent's. Correcting a bit walks down one path in each pass.

A bit is *sure* once a known parity isolates it: it is equal on both sides from then on. A range
of sure bits has no error and is never asked for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from qlq.numerics.kernels import kernel

UNKNOWN = np.uint8(2)
LIVE, QUEUED, FLIPS, HEAD = 0, 1, 2, 3
"""Places in `counters`: slots in use, blocks in the queue, bits corrected so far, and the place of
the queue's first block."""
SLOT, START, SPLIT, STOP = 0, 1, 2, 3
"""Rows of `asked`; STOP is 0 where the question is a whole block [START, SPLIT)."""
CONTRADICTION = -1
CORRECTED = np.uint8(2)
"""Value in `known` of a bit that was corrected."""
_STACK_DEPTH = 128
_ONE = np.uint64(1)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


class Forest(NamedTuple):
    """Trees of all live passes; a pass lives in a slot. n bits, W = ceil(n / 64) words.

    Attributes:
        order: int32 (slots, n), bit at each position.
        place: int32 (slots, n), position of each bit.
        words: uint64 (slots, W), own bits in the order of the pass.
        sure: uint64 (slots, W), sure bits in the order of the pass.
        edges: uint8 (slots, n), error parity of the left child of the node split here.
        roots: uint8 (blocks,), error parity of each block of all slots.
        flags: uint8 (blocks,), 1 for blocks that are in the queue, held, or being searched; no
            block is in two of these places, so that the queue and the held ones never overflow.
        queue: int32 (blocks,), a ring of blocks that may hold a located error or a question.
        held: int32 (blocks,), blocks that were searched and hold a question.
        owners: int32 (blocks,), slot of each block.
        sizes: int64 (slots,), bits in a block.
        bases: int64 (slots,), first block of each slot.
        bits: uint8 (n,), own bits, corrected in place.
        known: uint8 (n,), 1 for sure bits, 2 for corrected ones, which are sure as well.
        counters: int64 (4,).
        asked: int32 (4, n), the open questions.
        stack: int32 (3, depth), scratch.
    """

    order: NDArray[np.int32]
    place: NDArray[np.int32]
    words: NDArray[np.uint64]
    sure: NDArray[np.uint64]
    edges: NDArray[np.uint8]
    roots: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    queue: NDArray[np.int32]
    held: NDArray[np.int32]
    owners: NDArray[np.int32]
    sizes: NDArray[np.int64]
    bases: NDArray[np.int64]
    bits: NDArray[np.uint8]
    known: NDArray[np.uint8]
    counters: NDArray[np.int64]
    asked: NDArray[np.int32]
    stack: NDArray[np.int32]


_I32, _I64 = types.int32, types.int64
_U8, _U64 = types.uint8, types.uint64
FOREST = types.NamedTuple(  # type: ignore[no-untyped-call]
    (
        _I32[:, ::1],
        _I32[:, ::1],
        _U64[:, ::1],
        _U64[:, ::1],
        _U8[:, ::1],
        _U8[::1],
        _U8[::1],
        _I32[::1],
        _I32[::1],
        _I32[::1],
        _I64[::1],
        _I64[::1],
        _U8[::1],
        _U8[::1],
        _I64[::1],
        _I32[:, ::1],
        _I32[:, ::1],
    ),
    Forest,
)
_BITS = types.Array(_U8, 1, "C", readonly=True)
_WORDS = _U64[::1]
_PAIR = types.UniTuple(_I64, 2)  # type: ignore[no-untyped-call]


def plant(bits: NDArray[np.uint8], sizes: tuple[int, ...]) -> Forest:
    """A forest without a live pass, one slot for each block size; copies `bits`."""
    count, slots = bits.size, len(sizes)
    words = -(-count // 64)
    blocks = [-(-count // size) for size in sizes]
    return Forest(
        order=np.empty((slots, count), dtype=np.int32),
        place=np.empty((slots, count), dtype=np.int32),
        words=np.empty((slots, words), dtype=np.uint64),
        sure=np.empty((slots, words), dtype=np.uint64),
        edges=np.empty((slots, count), dtype=np.uint8),
        roots=np.zeros(sum(blocks), dtype=np.uint8),
        flags=np.zeros(sum(blocks), dtype=np.uint8),
        queue=np.empty(sum(blocks), dtype=np.int32),
        held=np.empty(sum(blocks), dtype=np.int32),
        owners=np.repeat(np.arange(slots, dtype=np.int32), blocks),
        sizes=np.array(sizes, dtype=np.int64),
        bases=np.cumsum([0, *blocks[:-1]], dtype=np.int64),
        bits=bits.copy(),
        known=np.zeros(count, dtype=np.uint8),
        counters=np.zeros(4, dtype=np.int64),
        asked=np.empty((4, count), dtype=np.int32),
        stack=np.empty((3, _STACK_DEPTH), dtype=np.int32),
    )


@kernel(types.int64(FOREST, types.int64, types.int64))
def open_pass(forest: Forest, slot: int, number: int) -> int:
    """Build a pass from `forest.order[slot]` and ask for its blocks; the number of questions.

    After pass 0 the last block is not asked for: its error parity follows from the other ones,
    as the whole string has even error parity by then.
    """
    order, place = forest.order[slot], forest.place[slot]
    count, size = order.size, forest.sizes[slot]
    for word in range(forest.words.shape[1]):
        mine, sure = np.uint64(0), np.uint64(0)
        first = 64 * word
        for index in range(first, min(first + 64, count)):
            bit = order[index]
            place[bit] = index
            mine |= np.uint64(forest.bits[bit]) << np.uint64(index - first)
            sure |= np.uint64(forest.known[bit] > 0) << np.uint64(index - first)
        forest.words[slot, word] = mine
        forest.sure[slot, word] = sure
    forest.edges[slot, :] = UNKNOWN
    forest.counters[LIVE] = max(forest.counters[LIVE], slot + 1)
    blocks = (count + size - 1) // size
    questions = blocks if number == 0 else blocks - 1
    for block in range(questions):
        forest.asked[SLOT, block] = slot
        forest.asked[START, block] = block * size
        forest.asked[SPLIT, block] = min(block * size + size, count)
        forest.asked[STOP, block] = 0
    return int(questions)


@kernel(types.uint64(types.int64, types.int64, types.int64))
def _mask(word: int, start: int, stop: int) -> np.uint64:
    """Bits of a word that lie in [start, stop); the two overlap."""
    mask = _ALL
    if start > 64 * word:
        mask &= _ALL << np.uint64(start - 64 * word)
    if stop < 64 * word + 64:
        mask &= _ALL >> np.uint64(64 * word + 64 - stop)
    return mask


@kernel(types.uint8(_WORDS, types.int64, types.int64))
def _parity(words: NDArray[np.uint64], start: int, stop: int) -> np.uint8:
    """Parity of the bits in [start, stop)."""
    first, last = start >> 6, (stop - 1) >> 6
    folded = words[first] & _mask(first, start, stop)
    if first != last:
        folded ^= words[last] & _mask(last, start, stop)
        for word in range(first + 1, last):
            folded ^= words[word]
    for shift in (32, 16, 8, 4, 2, 1):
        folded ^= folded >> np.uint64(shift)
    return np.uint8(folded & _ONE)


@kernel(types.boolean(_WORDS, types.int64, types.int64))
def _all_ones(words: NDArray[np.uint64], start: int, stop: int) -> bool:
    """Whether every bit in [start, stop) is 1."""
    for word in range(start >> 6, ((stop - 1) >> 6) + 1):
        mask = _mask(word, start, stop)
        if words[word] & mask != mask:
            return False
    return True


@kernel(types.void(FOREST, types.int64, types.uint8[::1]))
def own_parities(forest: Forest, questions: int, parities: NDArray[np.uint8]) -> None:
    """Write the parities of the own bits in the asked ranges."""
    for index in range(questions):
        words = forest.words[forest.asked[SLOT, index]]
        start, stop = forest.asked[START, index], forest.asked[SPLIT, index]
        parities[index] = _parity(words, start, stop)


@kernel(types.void(FOREST, types.int64))
def _enqueue(forest: Forest, block: int) -> None:
    if forest.flags[block] == 0:
        forest.flags[block] = 1
        tail = forest.counters[HEAD] + forest.counters[QUEUED]
        forest.queue[tail % forest.queue.size] = block
        forest.counters[QUEUED] += 1


@kernel(types.void(FOREST, types.int64, types.int64))
def _mark_sure(forest: Forest, slot: int, position: int) -> None:
    """Mark the bit at this position of a pass as sure, in every pass."""
    bit = forest.order[slot, position]
    if forest.known[bit]:
        return
    forest.known[bit] = 1
    for other in range(forest.counters[LIVE]):
        index = forest.place[other, bit]
        forest.sure[other, index >> 6] |= _ONE << np.uint64(index & 63)


@kernel(types.void(FOREST, types.int64, _BITS, _BITS))
def absorb(
    forest: Forest, questions: int, mine: NDArray[np.uint8], theirs: NDArray[np.uint8]
) -> None:
    """Enter the answers to the open questions.

    A node is only split while its error parity is odd, so that exactly one child is odd. An odd
    child of one bit is an error, which `settle` corrects; an even one is sure.
    """
    for index in range(questions):
        slot, start = forest.asked[SLOT, index], forest.asked[START, index]
        split, stop = forest.asked[SPLIT, index], forest.asked[STOP, index]
        odd = mine[index] ^ theirs[index]
        if stop > 0:
            forest.edges[slot, split] = odd
            if split - start == 1 and not odd:
                _mark_sure(forest, slot, start)
            if stop - split == 1 and odd:
                _mark_sure(forest, slot, split)
            continue
        block = forest.bases[slot] + start // forest.sizes[slot]
        forest.roots[block] = odd
        if odd:
            _enqueue(forest, block)


@kernel(types.void(FOREST, types.int64))
def infer_last_block(forest: Forest, slot: int) -> None:
    """Set the last block's error parity so that the whole string has an even one."""
    count, size = forest.order.shape[1], forest.sizes[slot]
    first = forest.bases[slot]
    last = first + (count + size - 1) // size - 1
    odd = np.uint8(0)
    for block in range(first, last):
        odd ^= forest.roots[block]
    forest.roots[last] = odd
    if odd:
        _enqueue(forest, last)


@kernel(types.void(FOREST, types.int64))
def _flip(forest: Forest, bit: int) -> None:
    """Correct one bit: along its path in every pass all known error parities change."""
    count = forest.order.shape[1]
    forest.bits[bit] ^= 1
    forest.known[bit] = CORRECTED
    forest.counters[FLIPS] += 1
    for slot in range(forest.counters[LIVE]):
        position = forest.place[slot, bit]
        place = _ONE << np.uint64(position & 63)
        forest.words[slot, position >> 6] ^= place
        forest.sure[slot, position >> 6] |= place
        block = position // forest.sizes[slot]
        forest.roots[forest.bases[slot] + block] ^= 1
        _enqueue(forest, forest.bases[slot] + block)
        start = block * forest.sizes[slot]
        stop = min(start + forest.sizes[slot], count)
        while stop - start > 1:
            split = start + (stop - start) // 2
            if forest.edges[slot, split] == UNKNOWN:
                break
            if position < split:
                forest.edges[slot, split] ^= 1
                stop = split
            else:
                start = split


@kernel(_PAIR(FOREST, types.int64, types.int64))
def _search(forest: Forest, block: int, questions: int) -> tuple[int, int]:
    """Descend all odd nodes of a block.

    Returns:
        The position of a located error, or -1, and the number of open questions: those of this
        block are added to `asked` unless an error was located.
    """
    slot = forest.owners[block]
    size = forest.sizes[slot]
    before, capacity = questions, forest.asked.shape[1]
    stack = forest.stack
    stack[0, 0] = (block - forest.bases[slot]) * size
    stack[1, 0] = min(stack[0, 0] + size, forest.order.shape[1])
    stack[2, 0] = forest.roots[block]
    depth = 1
    while depth > 0:
        depth -= 1
        start, stop, odd = stack[0, depth], stack[1, depth], stack[2, depth]
        if stop - start == 1:
            if odd:
                return start, before
            continue
        split = start + (stop - start) // 2
        left = int(forest.edges[slot, split])
        if left == UNKNOWN:
            if not odd:
                continue
            if _all_ones(forest.sure[slot], start, split):
                left = 0
            elif _all_ones(forest.sure[slot], split, stop):
                left = 1
            else:
                if questions < capacity:
                    forest.asked[SLOT, questions] = slot
                    forest.asked[START, questions] = start
                    forest.asked[SPLIT, questions] = split
                    forest.asked[STOP, questions] = stop
                    questions += 1
                continue
            forest.edges[slot, split] = left
        stack[0, depth], stack[1, depth], stack[2, depth] = split, stop, odd ^ left
        depth += 1
        stack[0, depth], stack[1, depth], stack[2, depth] = start, split, left
        depth += 1
    return -1, questions


@kernel(types.int64(FOREST))
def settle(forest: Forest) -> int:
    """Correct every located error and collect the questions that locate more.

    Returns:
        The number of questions in `asked`; 0 if all known error parities are even;
        CONTRADICTION if a bit would have to change twice, which honest answers never bring
        about: a bit that was located once is equal on both sides.
    """
    capacity, ring = forest.asked.shape[1], forest.queue.size
    while True:
        questions, kept = 0, 0
        flips = forest.counters[FLIPS]
        while forest.counters[QUEUED] > 0:
            block, before = forest.queue[forest.counters[HEAD]], questions
            forest.counters[HEAD] = (forest.counters[HEAD] + 1) % ring
            forest.counters[QUEUED] -= 1
            position, questions = _search(forest, block, questions)
            while position >= 0:
                bit = forest.order[forest.owners[block], position]
                if forest.known[bit] == CORRECTED:
                    return CONTRADICTION
                _flip(forest, bit)
                position, questions = _search(forest, block, questions)
            if before < questions or questions == capacity:
                forest.held[kept] = block
                kept += 1
            else:
                forest.flags[block] = 0
        forest.queue[:kept] = forest.held[:kept]
        forest.counters[HEAD], forest.counters[QUEUED] = 0, kept
        if flips == forest.counters[FLIPS]:
            return questions

"""Rounds with chosen settings as rows of one job, and where each round's outcome will be found.

Rounds with equal settings form groups, groups become rows, and the outcomes are dealt in shot
order; a surplus of shots is dropped by index, blind to the outcomes. The rows of one block are
shuffled, so that slow drift does not line up with settings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROWS_TARGET = 256
"""Rows of a job beyond one for each group: small enough for one job anywhere, and large enough
that less than a tenth of the shots are surplus."""


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Where the outcome of each pulse will be found in a job.

    Attributes:
        row_inputs: int64 (rows, 2): Alice's and Bob's input index of each row.
        shots: Shots of every row.
        cell: int64 (pulses): row * shots + shot of each pulse.
    """

    row_inputs: NDArray[np.int64]
    shots: int
    cell: NDArray[np.int64]

    @property
    def row_of_pulse(self) -> NDArray[np.int64]:
        """Row of the job that each pulse belongs to (int64)."""
        return self.cell // self.shots


def group(
    alice: NDArray[np.uint8],
    bob: NDArray[np.uint8],
    *,
    blocks: int,
    order_rng: np.random.Generator,
) -> Grouping:
    """Rows of a job for these inputs, and the place of each pulse.

    Args:
        alice: uint8 (pulses), Alice's input index of each pulse.
        bob: uint8 (pulses), Bob's input index.
        blocks: Equal parts in order of time; a row never mixes two of them.
        order_rng: Shuffles the rows within each block. Public: it decides nothing secret.
    """
    count = alice.size
    if count == 0 or bob.size != count:
        raise ValueError(f"{count} settings of Alice and {bob.size} of Bob")
    a_count, b_count = int(alice.max()) + 1, int(bob.max()) + 1
    block = block_of_pulse(count, blocks=blocks)
    label = (block * np.int64(a_count) + alice) * b_count + bob
    order = np.argsort(label.astype(np.uint16), kind="stable")
    sizes = np.bincount(label, minlength=blocks * a_count * b_count)
    shots = shots_of_row(count)
    rows_of_group = -(-sizes // shots)
    group_of_row = np.repeat(np.arange(sizes.size), rows_of_group)
    position = _shuffled_within_blocks(group_of_row // (a_count * b_count), order_rng)
    row_inputs = np.empty((group_of_row.size, 2), dtype=np.int64)
    row_inputs[position, 0] = group_of_row // b_count % a_count
    row_inputs[position, 1] = group_of_row % b_count
    rank = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    first_row = np.repeat(np.cumsum(rows_of_group) - rows_of_group, sizes)
    cell = np.empty(count, dtype=np.int64)
    cell[order] = position[first_row + rank // shots] * shots + rank % shots
    return Grouping(row_inputs, shots, cell)


def shots_of_row(count: int) -> int:
    """Shots of every row in which this many pulses are measured."""
    return max(1, math.ceil(count / ROWS_TARGET))


def rows_max(count: int, *, groups: int) -> int:
    """The most rows that at most `count` pulses in at most `groups` groups can make.

    Each group leaves less than one row unfilled, and a row without a pulse is not made. Groups of
    different blocks are different ones.
    """
    return min(count, ROWS_TARGET + groups)


def block_of_pulse(count: int, *, blocks: int) -> NDArray[np.int64]:
    """Index of the part of the session that each pulse lies in (int64)."""
    return np.arange(count, dtype=np.int64) * blocks // count


def _shuffled_within_blocks(
    block_of_row: NDArray[np.int64], order_rng: np.random.Generator
) -> NDArray[np.int64]:
    """New position of each row: shuffled among the rows of its own block."""
    order = np.lexsort((order_rng.random(block_of_row.size), block_of_row))
    position = np.empty_like(order)
    position[order] = np.arange(order.size)
    return position

"""The quantum link: takes each party's settings, gives each party its own outcomes.

Pulses with equal settings form groups, groups become rows of a job, and the outcomes are dealt
in shot order; a surplus of shots is dropped by index, blind to the outcomes. The rows of one
block are shuffled, so that slow drift does not line up with settings.

Neither party can look behind the link: `Delivery` holds two separate arrays, and the caller
hands each to its owner. Eve sits inside (`transmit`): what she measured is sent on as a newly
prepared state, in a second job of the same backend.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qlq import circuit
from qlq.circuit import Plan, Program
from qlq.errors import InvariantBroken
from qlq.qkd.eve import InterceptResend
from qlq.shots import Shots

ROWS_TARGET = 256
"""Rows of a job beyond one for each group: small enough for one job anywhere, and large enough
that less than a tenth of the shots are surplus."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrangement:
    """A circuit with the angles that each party may choose.

    Attributes:
        program: Its parameters are Alice's, then Bob's.
        alice_angles: float64 (inputs, parameters of Alice), radians.
        bob_angles: float64 (settings, parameters of Bob), radians.
        alice_bit: Classical bit that is Alice's outcome; None where she prepares.
        bob_bit: Classical bit that is Bob's outcome.
        key_rad: Axis of the key basis, from Z towards X.
        test_rad: Axis of the test basis.
    """

    program: Program
    alice_angles: NDArray[np.float64]
    bob_angles: NDArray[np.float64]
    alice_bit: int | None
    bob_bit: int
    key_rad: float
    test_rad: float


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


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """Outcomes of a transmission, one array for each party.

    Attributes:
        alice_bits: uint8 (pulses); None where Alice prepared the signals.
        bob_bits: uint8 (pulses).
        shots: The jobs behind them, in the order in which they ran.
    """

    alice_bits: NDArray[np.uint8] | None
    bob_bits: NDArray[np.uint8]
    shots: tuple[Shots, ...]


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
    shots = max(1, math.ceil(count / ROWS_TARGET))
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


def plan_job(arrangement: Arrangement, grouping: Grouping) -> Plan:
    """The job that gives an outcome to every pulse of the grouping."""
    return Plan(
        program=arrangement.program,
        bindings=np.hstack(
            [
                arrangement.alice_angles[grouping.row_inputs[:, 0]],
                arrangement.bob_angles[grouping.row_inputs[:, 1]],
            ]
        ),
        shots=grouping.shots,
    )


def deal(grouping: Grouping, shots: Shots, *, bit: int) -> NDArray[np.uint8]:
    """The outcome of each pulse in one classical bit (uint8), in the order of the pulses."""
    rows, per_row, _ = shots.bits.shape
    if (rows, per_row) != (len(grouping.row_inputs), grouping.shots):
        raise InvariantBroken(f"shots of shape {shots.bits.shape} do not fit the plan")
    return np.ascontiguousarray(shots.bits[:, :, bit]).reshape(-1)[grouping.cell]


def transmit(
    arrangement: Arrangement,
    alice: NDArray[np.uint8],
    bob: NDArray[np.uint8],
    *,
    blocks: int,
    order_rng: np.random.Generator,
) -> Generator[Plan, Shots, Delivery]:
    """Yields the plan to run, is sent its shots, returns what each party gets."""
    grouping = group(alice, bob, blocks=blocks, order_rng=order_rng)
    shots = yield plan_job(arrangement, grouping)
    own = arrangement.alice_bit
    return Delivery(
        alice_bits=None if own is None else deal(grouping, shots, bit=own),
        bob_bits=deal(grouping, shots, bit=arrangement.bob_bit),
        shots=(shots,),
    )


def transmit_with_eve(
    arrangement: Arrangement,
    alice: NDArray[np.uint8],
    bob: NDArray[np.uint8],
    *,
    blocks: int,
    order_rng: np.random.Generator,
    attack: InterceptResend,
    sim_rng: np.random.Generator,
) -> Generator[Plan, Shots, Delivery]:
    """As `transmit`, with Eve between the parties.

    First job: every pulse, with Eve's axis in place of Bob's where she attacks. Second job: the
    attacked pulses again, prepared by Eve along her axis with the bit she saw, measured by Bob.
    """
    axes = attack.angles_rad(key_rad=arrangement.key_rad, test_rad=arrangement.test_rad)
    attacked, axis = attack.plan_attack(bob.size, axes=len(axes), sim_rng=sim_rng)
    offset = len(arrangement.bob_angles)
    tapped = replace(
        arrangement,
        bob_angles=np.vstack([arrangement.bob_angles, np.array(axes).reshape(-1, 1)]),
    )
    receiver = np.where(attacked, axis + offset, bob).astype(np.uint8)
    first = yield from transmit(tapped, alice, receiver, blocks=blocks, order_rng=order_rng)
    if not attacked.any():
        return first
    resent = Arrangement(
        program=circuit.load("bb84"),
        alice_angles=np.array([(bit * math.pi, angle) for angle in axes for bit in (0, 1)]),
        bob_angles=arrangement.bob_angles,
        alice_bit=None,
        bob_bit=0,
        key_rad=arrangement.key_rad,
        test_rad=arrangement.test_rad,
    )
    prepared = ((axis[attacked] << 1) | first.bob_bits[attacked]).astype(np.uint8)
    second = yield from transmit(
        resent, prepared, bob[attacked], blocks=min(blocks, prepared.size), order_rng=order_rng
    )
    bob_bits = first.bob_bits.copy()
    bob_bits[attacked] = second.bob_bits
    return Delivery(first.alice_bits, bob_bits, first.shots + second.shots)

"""The quantum link: takes each party's settings, gives each party its own outcomes.

Pulses with equal settings form the rows of a job, see `numerics.rounds`.

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
from qlq.numerics import rounds
from qlq.numerics.rounds import Grouping
from qlq.qkd.eve import InterceptResend
from qlq.shots import Shots


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
    grouping = rounds.group(alice, bob, blocks=blocks, order_rng=order_rng)
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
    resent = _resent(arrangement, axes)
    prepared = ((axis[attacked] << 1) | first.bob_bits[attacked]).astype(np.uint8)
    second = yield from transmit(
        resent, prepared, bob[attacked], blocks=min(blocks, prepared.size), order_rng=order_rng
    )
    bob_bits = first.bob_bits.copy()
    bob_bits[attacked] = second.bob_bits
    return Delivery(first.alice_bits, bob_bits, first.shots + second.shots)


def largest_second_plan(
    arrangement: Arrangement, attack: InterceptResend, *, pulses: int, blocks: int
) -> Plan | None:
    """A plan of which Eve's second job is never more, whatever she attacks and sees.

    For what a session may cost, before its first job is paid for: rows and shots are the most
    that there can be. None where she attacks nothing, and makes no second job.
    """
    if attack.fraction == 0.0:
        return None
    axes = attack.angles_rad(key_rad=arrangement.key_rad, test_rad=arrangement.test_rad)
    resent = _resent(arrangement, axes)
    kinds = (len(resent.alice_angles), len(resent.bob_angles))
    row = np.arange(rounds.rows_max(pulses, groups=blocks * kinds[0] * kinds[1]))
    inputs = np.stack([row % kinds[0], row // kinds[0] % kinds[1]], axis=1)
    nowhere = np.empty(0, dtype=np.int64)
    return plan_job(resent, Grouping(inputs, rounds.shots_of_row(pulses), nowhere))


def _resent(arrangement: Arrangement, axes: tuple[float, ...]) -> Arrangement:
    """Eve in Alice's place: she prepares each bit along each of her axes."""
    return Arrangement(
        program=circuit.load("bb84"),
        alice_angles=np.array([(bit * math.pi, angle) for angle in axes for bit in (0, 1)]),
        bob_angles=arrangement.bob_angles,
        alice_bit=None,
        bob_bit=0,
        key_rad=arrangement.key_rad,
        test_rad=arrangement.test_rad,
    )

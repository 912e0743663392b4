"""Several copies of a program side by side on one device: more shots for the same time.

A row of the wide plan holds as many rows of the plan as there are lanes: row `r` runs in lane
`r % lanes` of wide row `r // lanes`. The link shuffles the rows of a session within blocks of
time, so that every lane sees every setting. What the last wide row has too much repeats the last
row, and is dropped by place, blind to the outcome.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlq import circuit
from qlq.circuit import Plan


def widen(plan: Plan, *, lanes: int) -> Plan:
    """The plan with its rows in lanes; the same one for a single lane.

    `qubits` of the plan must be None or name the qubits of all lanes in order.

    Raises:
        ValueError: `lanes` is below 1.
        CircuitRejected: The lanes do not fit the registers of the profile.
    """
    if lanes == 1:
        return plan
    program = circuit.tile(plan.program, lanes=lanes)
    rows, params = plan.bindings.shape
    wide = -(-rows // lanes)
    padded = plan.bindings[np.minimum(np.arange(wide * lanes), rows - 1)]
    return Plan(
        program,
        padded.reshape(wide, lanes * params),
        plan.shots,
        qubits=plan.qubits,
        seed=plan.seed,
        tags=plan.tags,
        qpu_s_max=plan.qpu_s_max,
    )


def narrow(bits: NDArray[np.uint8], *, rows: int, lanes: int) -> NDArray[np.uint8]:
    """The bits of the plan from those of its wide plan.

    Args:
        bits: uint8 (wide rows, shots, lanes x bits).
        rows: Rows of the plan before it was widened.
        lanes: Lanes of the wide plan.

    Returns:
        uint8 (rows, shots, bits).

    Raises:
        ValueError: The shape does not fit the rows and lanes.
    """
    wide, shots, width = bits.shape
    if lanes < 1 or width % lanes or wide != -(-rows // lanes):
        raise ValueError(f"bits of shape {bits.shape} are not {rows} rows in {lanes} lanes")
    apart = bits.reshape(wide, shots, lanes, width // lanes).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(apart.reshape(wide * lanes, shots, -1)[:rows])

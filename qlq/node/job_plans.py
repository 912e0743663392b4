"""Submitted plans as files, whole: they can be checked, and submitted again."""

from __future__ import annotations

import msgspec
import numpy as np

from qlq import circuit
from qlq.circuit import Plan
from qlq.errors import ConfigError, QLQError


def pack(plan: Plan) -> bytes:
    """A plan as JSON; angles are hexadecimal floats, so that every bit is kept."""
    return msgspec.json.encode(
        {
            "schema": "qlq.plan/1",
            "name": plan.program.name,
            "source": plan.program.source,
            "bindings": [[value.hex() for value in row] for row in plan.bindings.tolist()],
            "shots": plan.shots,
            "qubits": plan.qubits,
            "seed": plan.seed,
            "tags": plan.tags,
        }
    )


def unpack(data: bytes, *, name: str) -> Plan:
    """The plan in these bytes; raises ConfigError, which calls them `name`, if it is none."""
    try:
        found = msgspec.json.decode(data)
        rows = [[float.fromhex(value) for value in row] for row in found["bindings"]]
        program = circuit.parse(found["source"], name=found["name"])
        return Plan(
            program,
            np.array(rows, dtype=np.float64).reshape(len(rows), len(program.params)),
            found["shots"],
            qubits=None if found["qubits"] is None else tuple(found["qubits"]),
            seed=found["seed"],
            tags=tuple(found["tags"]),
        )
    except (msgspec.DecodeError, QLQError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"{name} is not a plan: {error}") from error

"""Plans: what they refuse, that they cannot change, and what their digest covers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qlq import circuit
from qlq.circuit import Plan

BB84 = circuit.load("bb84")
E91 = circuit.load("e91")


def test_executions_are_rows_times_shots() -> None:
    assert Plan(BB84, np.zeros((7, 3)), 11).executions == 77


def test_bindings_are_a_frozen_copy() -> None:
    mine = np.zeros((2, 3))
    plan = Plan(BB84, mine, 1)
    mine[0, 0] = 1.0
    assert plan.bindings[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        plan.bindings[0, 0] = 1.0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"bindings": np.zeros((2, 2))}, r"\(2, 2\)"),
        ({"bindings": np.zeros(3)}, r"\(3,\)"),
        ({"bindings": np.zeros((0, 3))}, "at least one row"),
        ({"bindings": np.full((1, 3), np.nan)}, "nan"),
        ({"shots": 0}, "shots.*0"),
        ({"shots": -5}, "-5"),
        ({"shots": 1.5}, "1.5"),
        ({"shots": True}, "True"),
        ({"seed": -1}, "seed.*-1"),
        ({"seed": 1 << 63}, "seed"),
        ({"qubits": (0, 1)}, r"\(0, 1\)"),
        ({"qubits": (-1,)}, "-1"),
    ],
)
def test_a_wrong_field_is_refused_and_named(changes: dict[str, Any], named: str) -> None:
    fields: dict[str, Any] = {"program": BB84, "bindings": np.zeros((1, 3)), "shots": 1}
    with pytest.raises(ValueError, match=named):
        Plan(**{**fields, **changes})


def test_a_qubit_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        Plan(E91, np.zeros((1, 2)), 1, qubits=(3, 3))


def test_the_digest_covers_all_but_the_tags() -> None:
    base = Plan(E91, np.zeros((2, 2)), 5)
    same = Plan(E91, np.zeros((2, 2)), 5, tags=("a",))
    others = [
        Plan(E91, np.zeros((1, 2)), 5),
        Plan(E91, np.array([[0.0, 0.0], [0.0, 1e-300]]), 5),
        Plan(E91, np.zeros((2, 2)), 6),
        Plan(E91, np.zeros((2, 2)), 5, qubits=(0, 1)),
        Plan(E91, np.zeros((2, 2)), 5, seed=0),
        Plan(circuit.load("bell"), np.zeros((2, 0)), 5),
    ]
    assert base.digest == same.digest
    assert len({base.digest, *(plan.digest for plan in others)}) == 1 + len(others)

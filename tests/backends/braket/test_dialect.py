"""Braket's names of the gates, run by Braket's own simulator."""

from __future__ import annotations

import numpy as np
import pytest
from braket.devices import LocalSimulator
from braket.ir.openqasm import Program

from qlq import circuit
from qlq.backends import dialects

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


def probabilities(source: str) -> np.ndarray:
    """Exact outcome probabilities of a program, q[0] most significant."""
    body = "\n".join(line for line in source.split("\n") if "measure" not in line)
    task = LocalSimulator().run(
        Program(source=f"{body}\n#pragma braket result probability\n"), shots=0
    )
    return np.asarray(task.result().values[0])


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        ("s q[0];\ns q[0];", [0, 1]),  # h s s h = h z h = x
        ("s q[0];\nsdg q[0];", [1, 0]),
        ("sdg q[0];\nsdg q[0];", [0, 1]),
        ("t q[0];\nt q[0];\ns q[0];", [0, 1]),
        ("t q[0];\ntdg q[0];", [1, 0]),
        ("tdg q[0];\ntdg q[0];\nsdg q[0];", [0, 1]),
        ("t q[0];\nt q[0];\nsdg q[0];", [1, 0]),
        ("t q[0];", [0.5 + np.sqrt(0.125), 0.5 - np.sqrt(0.125)]),  # cos^2(pi/8)
        ("z q[0];", [0, 1]),
        ("y q[0];", [0, 1]),
    ],
)
def test_phases_between_two_hadamards(gates: str, expected: list[float]) -> None:
    text = f"{HEAD}qubit[1] q;\nbit[1] c;\nh q[0];\n{gates}\nh q[0];\nc[0] = measure q[0];\n"
    program = circuit.parse(text, name="phases")
    assert probabilities(dialects.for_braket(program)) == pytest.approx(expected, abs=1e-9)
    assert probabilities(dialects.for_braket_on(program, (17,))) == pytest.approx(
        expected, abs=1e-9
    )


@pytest.mark.parametrize("qubits", [(0, 1), (5, 2), (2, 5)])
def test_pair_gates_act_on_the_physical_qubits_in_order(qubits: tuple[int, int]) -> None:
    text = f"{HEAD}qubit[2] q;\nbit[2] c;\nx q[0];\ncx q[0], q[1];\nx q[0];\n"
    program = circuit.parse(text + "c[0] = measure q[0];\nc[1] = measure q[1];\n", name="pair")
    found = probabilities(dialects.for_braket_on(program, qubits))
    ascending = qubits[0] < qubits[1]  # the simulator lists qubits by number
    assert found == pytest.approx([0, 1, 0, 0] if ascending else [0, 0, 1, 0], abs=1e-9)


def test_operations_are_named_as_braket_names_them() -> None:
    text = f"{HEAD}qubit[2] q;\nbit[1] c;\nsdg q[0];\ncx q[0], q[1];\nreset q[0];\nbarrier q;\n"
    program = circuit.parse(text + "c[0] = measure q[0];\n", name="names")
    assert dialects.braket_operations(program) == {"si", "cnot", "reset"}


def test_a_wrong_number_of_qubits_is_refused() -> None:
    with pytest.raises(ValueError, match="has 2 qubits, not 1"):
        dialects.for_braket_on(circuit.load("e91"), (3,))

"""What each vendor's OpenQASM loader needs changed in a program of the QLQ profile.

Qiskit takes the text as it is. Braket has no `stdgates.inc` and other names for three gates. Cirq
knows no `barrier`, so it gets one text for each stretch between two barriers; an adapter compiles
the stretches one by one, which keeps the two parties' rotations apart as the barrier does.
"""

from __future__ import annotations

import re

from qlq.circuit import HEADER, Program, Statement, statements

BRAKET_GATES = {"cx": "cnot", "sdg": "si", "tdg": "ti"}

_QUBIT = re.compile(r"\bq\[(\d+)\]")


def for_qiskit(program: Program) -> str:
    """The text for `qiskit.qasm3.loads`."""
    return program.source


def for_braket(program: Program) -> str:
    """The text for Braket's OpenQASM interpreter: no include, Braket's gate names."""
    lines = [HEADER[0], *_declarations(program)]
    return "\n".join([*lines, *map(_braket_statement, statements(program))]) + "\n"


def for_braket_on(program: Program, qubits: tuple[int, ...]) -> str:
    """The same on physical qubits, in the order of the program's: no register, `$4` for `q[0]`.

    Raises:
        ValueError: The number of qubits is not the program's.
    """
    if len(qubits) != program.n_qubits:
        raise ValueError(f"{program.name} has {program.n_qubits} qubits, not {len(qubits)}")
    every = "barrier " + ", ".join(f"${qubit}" for qubit in qubits) + ";"
    inputs = [f"input float[64] {name};" for name in program.params]
    lines = [HEADER[0], *inputs, f"bit[{program.n_bits}] c;"]
    for statement in statements(program):
        text = every if statement.op == "barrier" else _braket_statement(statement)
        lines.append(_QUBIT.sub(lambda match: f"${qubits[int(match[1])]}", text))
    return "\n".join(lines) + "\n"


def braket_operations(program: Program) -> frozenset[str]:
    """Braket's names of the operations that a program uses, and `reset` if it uses that."""
    used = {statement.op for statement in statements(program)} - {"barrier", "measure"}
    return frozenset(BRAKET_GATES.get(name, name) for name in used)


def for_cirq(program: Program) -> tuple[str, ...]:
    """One text for `circuit_from_qasm` for each stretch between two barriers, in order."""
    stretches: list[list[str]] = [[]]
    for statement in statements(program):
        if statement.op == "barrier":
            stretches.append([])
        else:
            stretches[-1].append(statement.text)
    head = [*HEADER, *_declarations(program)]
    return tuple("\n".join([*head, *stretch]) + "\n" for stretch in stretches if stretch)


def _declarations(program: Program) -> list[str]:
    inputs = [f"input float[64] {name};" for name in program.params]
    return [*inputs, f"qubit[{program.n_qubits}] q;", f"bit[{program.n_bits}] c;"]


def _braket_statement(statement: Statement) -> str:
    name = BRAKET_GATES.get(statement.op)
    return statement.text if name is None else statement.text.replace(statement.op, name, 1)

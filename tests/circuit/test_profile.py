"""The QLQ profile: what it takes, what it refuses, and that Qiskit's own parser agrees."""

from __future__ import annotations

import hashlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq import circuit
from qlq.errors import CircuitRejected

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
BODY = "input float[64] turn;\nqubit[2] q;\nbit[1] c;\nrx(-turn) q[0];\ncx q[0], q[1];\n"
MEASURE = "c[0] = measure q[1];\n"


@pytest.mark.parametrize(
    ("name", "params", "qubits", "bits"),
    [
        ("bb84", ("bit_x", "basis_a", "basis_b"), 1, 1),
        ("e91", ("a", "b"), 2, 2),
        ("bell", (), 2, 2),
        ("qrng", (), 1, 1),
    ],
)
def test_packaged_circuits_have_their_parameters_and_registers(
    name: str, params: tuple[str, ...], qubits: int, bits: int
) -> None:
    program = circuit.load(name)
    assert (program.params, program.n_qubits, program.n_bits) == (params, qubits, bits)
    assert program.digest == hashlib.sha256(program.source.encode()).hexdigest()


def test_an_unknown_packaged_circuit_is_named() -> None:
    with pytest.raises(ValueError, match=r"'bb48'.*bb84"):
        circuit.load("bb48")


@pytest.mark.parametrize("name", ["bb84", "e91", "bell", "qrng"])
def test_qiskits_parser_reads_the_same_gates(name: str) -> None:
    from qiskit import qasm3

    program = circuit.load(name)
    theirs = qasm3.loads(program.source)
    index = {qubit: i for i, qubit in enumerate(theirs.qubits)}
    found = [
        (item.operation.name, tuple(index[q] for q in item.qubits))
        for item in theirs.data
        if item.operation.name != "barrier"
    ]
    ours = [(s.op, s.qubits) for s in circuit.statements(program) if s.op != "barrier"]
    assert ours == found
    assert {p.name for p in theirs.parameters} == set(program.params)


@pytest.mark.parametrize(
    ("text", "factor", "param"),
    [
        ("turn", 1.0, "turn"),
        ("-turn", -1.0, "turn"),
        ("2*turn", 2.0, "turn"),
        ("-0.5*turn", -0.5, "turn"),
        ("pi", math.pi, None),
        ("-pi/4", -math.pi / 4, None),
        ("3*pi/8", 3 * math.pi / 8, None),
        ("1.25", 1.25, None),
    ],
)
def test_angles_are_a_factor_and_a_parameter(text: str, factor: float, param: str | None) -> None:
    source = f"{HEAD}{BODY}ry({text}) q[0];\n{MEASURE}"
    angle = circuit.statements(circuit.parse(source, name="angle"))[2].angle
    assert angle is not None
    assert angle.param == param
    assert angle.factor == pytest.approx(factor, abs=0, rel=1e-15)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("OPENQASM 3;\n", 1),
        ('OPENQASM 3.0;\ninclude "qelib1.inc";\n', 2),
        (HEAD + "input float x;\n", 3),
        (HEAD + "input float[64] pi;\n", 3),
        (HEAD + "input float[64] turn;\ninput float[64] turn;\n", 4),
        (HEAD + "bit[1] c;\nqubit[1] q;\n", 3),
        (HEAD + "qubit[0] q;\n", 3),
        (HEAD + "qubit[1] q;\nqubit[1] q;\n", 4),
        (HEAD + "qubit[1] q;\nbit[1] c;\ninput float[64] turn;\n", 5),
        (HEAD + "input float[64] x;\n", 3),
        (HEAD + BODY + "rx(y) q[0];\n", 8),
        (HEAD + BODY + "rx q[0];\n", 8),
        (HEAD + BODY + "h(turn) q[0];\n", 8),
        (HEAD + BODY + "ccx q[0], q[1];\n", 8),
        (HEAD + BODY + "cx q[0], q[0];\n", 8),
        (HEAD + BODY + "cx q[0];\n", 8),
        (HEAD + BODY + "h q[2];\n", 8),
        (HEAD + BODY + "h $0;\n", 8),
        (HEAD + BODY + "barrier q[0];\n", 8),
        (HEAD + BODY + "if (c[0] == 1) x q[0];\n", 8),
        (HEAD + BODY + "gate g a { x a; }\n", 8),
        (HEAD + BODY + "h q[0]; h q[1];\n", 8),
        (HEAD + BODY + "c[1] = measure q[0];\n", 8),
    ],
)
def test_text_outside_the_profile_is_refused_with_its_line(source: str, line: int) -> None:
    with pytest.raises(CircuitRejected, match=f"line {line}:"):
        circuit.parse(source, name="bad")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (HEAD, "missing"),
        (HEAD + BODY, "exactly once"),
        (HEAD + BODY + MEASURE + MEASURE, "exactly once"),
        (
            HEAD + "input float[64] turn;\nqubit[1] q;\nbit[1] c;\n" + "c[0] = measure q[0];\n",
            "'turn'",
        ),
        (HEAD + "// \N{GREEK SMALL LETTER PI}\n", "ASCII"),
    ],
)
def test_a_text_that_is_incomplete_is_refused(source: str, reason: str) -> None:
    with pytest.raises(CircuitRejected, match=reason):
        circuit.parse(source, name="bad")


@given(st.text(max_size=200))
def test_any_text_is_a_program_or_is_refused(text: str) -> None:
    for source in (text, HEAD + text, HEAD + BODY + text):
        try:
            program = circuit.parse(source, name="any")
        except CircuitRejected:
            continue
        assert program.source == source

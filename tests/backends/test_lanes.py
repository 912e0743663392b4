"""Lanes: the same rows, run side by side, give the same distributions in the same places."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq import circuit
from qlq.backends import driver, lanes, noise, registry
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected

BELL_BESIDE_ONE = """OPENQASM 3.0;
include "stdgates.inc";
input float[64] turn;
qubit[3] q;
bit[3] c;
h q[2];
cx q[2], q[0];
rx(turn) q[1];
c[0] = measure q[0];
c[1] = measure q[1];
c[2] = measure q[2];
"""


def test_the_text_of_a_tiled_program() -> None:
    one = circuit.load("bb84")
    wide = circuit.tile(one, lanes=2)
    assert wide.params == tuple(f"{name}_{lane}" for lane in (0, 1) for name in one.params)
    assert (wide.n_qubits, wide.n_bits) == (2, 2)
    assert [line for line in wide.source.split("\n") if "measure" in line] == [
        "c[0] = measure q[0];",
        "c[1] = measure q[1];",
    ]
    assert wide.source.count("barrier q;") == one.source.count("barrier q;")
    assert "ry(-basis_b_1) q[1];" in wide.source
    assert circuit.tile(one, lanes=1) is one


def test_groups_of_qubits_are_those_that_pair_gates_connect() -> None:
    program = circuit.parse(BELL_BESIDE_ONE, name="mixed")
    assert circuit.components(program) == ((0, 2), (1,))
    assert circuit.components(circuit.tile(program, lanes=2)) == ((0, 2), (1,), (3, 5), (4,))


@given(rows=st.integers(1, 12), shots=st.integers(1, 4), count=st.integers(1, 5))
def test_each_row_comes_back_from_its_lane(rows: int, shots: int, count: int) -> None:
    program = circuit.load("e91")
    bindings = np.arange(2.0 * rows).reshape(rows, 2)
    wide = lanes.widen(Plan(program, bindings, shots), lanes=count)
    # an oracle device: each lane's two bits are the low bits of the lane's two parameters
    low = (wide.bindings.astype(np.int64) // 2 % 2).astype(np.uint8)
    measured = np.repeat(low[:, None, :], shots, axis=1)
    found = lanes.narrow(measured, rows=rows, lanes=count)
    assert found.shape == (rows, shots, 2)
    assert np.array_equal(found[:, 0, :], bindings.astype(np.int64) // 2 % 2)


def test_lanes_of_a_real_simulator_hold_their_own_rows() -> None:
    angles = np.array([[0.0, 0, 0], [math.pi, 0, 0], [0.0, 0, math.pi], [math.pi, 0, 0], [0, 0, 0]])
    plan = Plan(circuit.load("bb84"), angles, 50, seed=1)
    backend = registry.open_backend("aer")
    try:
        shots = driver.run(backend, lanes.widen(plan, lanes=3), timeout_s=60)
    finally:
        backend.close()
    bits = lanes.narrow(shots.bits, rows=5, lanes=3)
    assert bits.mean(axis=(1, 2)).tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 3, 4)])
def test_bits_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not 4 rows in 2 lanes"):
        lanes.narrow(np.zeros(shape, np.uint8), rows=4, lanes=2)


def test_too_many_lanes_are_refused() -> None:
    with pytest.raises(CircuitRejected, match="1024"):
        circuit.tile(circuit.load("e91"), lanes=600)
    with pytest.raises(ValueError, match="lanes"):
        circuit.tile(circuit.load("e91"), lanes=0)


def test_lanes_get_qubits_that_are_not_neighbours() -> None:
    calibration = noise.ibm_calibration(noise.ibm_devices()["fez"])
    program = circuit.tile(circuit.load("e91"), lanes=8)
    chosen = noise.choose_for(calibration, program)
    pairs = [set(chosen[2 * lane : 2 * lane + 2]) for lane in range(8)]
    assert len(set(chosen)) == 16
    assert pairs[0] == set(noise.choose(calibration, 2))
    for index, pair in enumerate(pairs):
        assert calibration.pair_error(*pair) is not None
        for other in pairs[:index]:
            between = [(a, b) for a in pair for b in other]
            assert all(calibration.pair_error(a, b) is None for a, b in between)


def test_a_device_without_room_still_gives_different_qubits() -> None:
    calibration = noise.ibm_calibration(noise.ibm_devices()["yorktown"])  # 5 qubits, a bow tie
    chosen = noise.choose_for(calibration, circuit.tile(circuit.load("bb84"), lanes=4))
    assert len(set(chosen)) == 4
    with pytest.raises(BackendUnavailable):
        noise.choose_for(calibration, circuit.tile(circuit.load("bb84"), lanes=6))

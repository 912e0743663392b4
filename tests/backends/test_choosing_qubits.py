"""Which qubits are used and what is predicted of them, beside Qiskit's own reading of the chip."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import aer, driver, noise, registry
from qlq.backends.noise import Calibration, Qubit
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected, ConfigError

DEVICES = noise.ibm_devices()


def qubit(readout: float, pulse: float = 0.0) -> Qubit:
    return Qubit("x", readout, readout, readout, 1e-6, None, None, pulse)


def chip(readouts: dict[int, float], pairs: dict[tuple[int, int], float]) -> Calibration:
    return Calibration("chip", "today", 9, {q: qubit(r) for q, r in readouts.items()}, pairs)


LINE = chip(
    {0: 0.05, 1: 0.01, 2: 0.02, 3: 0.001, 5: 0.03},
    {(0, 1): 0.01, (1, 2): 0.03, (2, 5): 0.001},
)


def test_one_qubit_is_the_one_with_the_best_readout() -> None:
    assert noise.choose(LINE, 1) == (3,)


def test_a_pair_has_the_smallest_sum_of_errors_and_is_coupled() -> None:
    assert noise.choose(LINE, 2) == (2, 5)  # 0.051; (0, 1) has 0.07, (1, 2) has 0.06


def test_more_qubits_grow_from_the_best_pair() -> None:
    assert noise.choose(LINE, 3) == (2, 5, 1)
    assert noise.choose(LINE, 4) == (2, 5, 1, 0)


def test_qubits_that_are_not_coupled_are_never_taken_together() -> None:
    with pytest.raises(BackendUnavailable, match="chip has no 5"):
        noise.choose(LINE, 5)
    with pytest.raises(BackendUnavailable, match="no 2 usable"):
        noise.choose(chip({0: 0.1}, {}), 2)


def test_coupling_may_go_through_other_chosen_qubits() -> None:
    assert noise.is_coupled(LINE, (0, 2, 1))
    assert not noise.is_coupled(LINE, (0, 2))


@pytest.mark.parametrize(("index", "words"), [(4, "faulty.*3"), (9, "not on the chip.*5")])
def test_an_unusable_qubit_is_answered_with_the_nearest_usable_one(index: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LINE.check_qubit(index)


def test_predictions_have_their_closed_forms() -> None:
    perfect = chip({0: 0.0, 1: 0.0}, {(0, 1): 0.0})
    assert noise.predicted_qber_bb84(perfect, 0) == noise.predicted_qber_e91(perfect, 0, 1) == 0.0
    readout = chip({0: 0.1, 1: 0.2}, {(0, 1): 0.0})
    assert noise.predicted_qber_bb84(readout, 0) == pytest.approx(0.1)
    assert noise.predicted_qber_e91(readout, 0, 1) == pytest.approx(0.1 * 0.8 + 0.2 * 0.9)
    mixed = chip({0: 0.0, 1: 0.0}, {(0, 1): 0.75})  # a fully depolarising two-qubit gate
    assert noise.predicted_qber_e91(mixed, 0, 1) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["Torino", "Brisbane", "CasablancaV2"])
def test_usable_couplings_are_those_of_qiskits_target(name: str) -> None:
    """Torino has 22 faulty edges; error and direction as in the target of the whole chip."""
    from qiskit_ibm_runtime import fake_provider

    theirs = getattr(fake_provider, f"Fake{name}")().target
    ours = noise.ibm_calibration(DEVICES[name.removesuffix("V2").lower()])
    gate = next(g for g in noise.PAIR_GATES if g in theirs.operation_names)
    expected = {
        pair: properties.error
        for pair, properties in theirs[gate].items()
        if properties is not None and properties.error is not None and properties.error < 1
    }
    assert ours.pair_errors == pytest.approx(expected)
    readouts = {q: theirs["measure"][(q,)].error for q in range(theirs.num_qubits)}
    assert {q: one.readout_error for q, one in ours.qubits.items()} == pytest.approx(readouts)
    assert ours.qubits[3].t1_s == pytest.approx(theirs.qubit_properties[3].t1)
    duration = ours.operations["sx"][(3,)].duration_s
    assert duration == pytest.approx(theirs["sx"][(3,)].duration)


def test_torino_has_its_faulty_edges_left_out() -> None:
    import json

    props = json.loads((DEVICES["torino"] / "props_torino.json").read_text())
    calibration = noise.ibm_calibration(DEVICES["torino"])
    total = sum(gate["gate"] == "cz" for gate in props["gates"])
    assert total - len(calibration.pair_errors) == 22


@pytest.mark.parametrize("device", ["fez", "brisbane", "yorktown"])
@pytest.mark.parametrize("name", ["bb84", "e91", "bell", "qrng"])
@pytest.mark.parametrize("order", [1, -1])
def test_our_passes_end_where_qiskits_level_one_does(device: str, name: str, order: int) -> None:
    """Also against the native direction of the pair, `order` -1."""
    from qiskit import qasm3
    from qiskit.transpiler import generate_preset_pass_manager

    program = circuit.load(name)
    calibration = noise.ibm_calibration(DEVICES[device])
    qubits = noise.choose(calibration, program.n_qubits)[::order]
    target = aer.sub_target(calibration, qubits)
    layout = list(range(program.n_qubits))
    preset: Any = generate_preset_pass_manager(
        optimization_level=1, target=target, initial_layout=layout, seed_transpiler=0
    )
    source = qasm3.loads(program.source)
    ours = aer._compile_for(target, source, program)
    theirs = preset.run(source)
    gates = ("sx", "x", "cz", "ecr", "cx", "u2", "u3", "barrier", "measure")
    counts = [{g: c.count_ops().get(g, 0) for g in gates} for c in (ours, theirs)]
    assert counts[0] == counts[1]


CHAIN = (
    'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[3] q;\nbit[3] c;\nx q[0];\n'
    "cx q[0], q[2];\ncx q[1], q[2];\ncx q[0], q[1];\nx q[1];\n"
    "c[2] = measure q[2];\nc[0] = measure q[1];\nc[1] = measure q[0];\n"
)


@pytest.mark.parametrize("uri", ["aer:fez", "aer:brisbane", "aer:yorktown"])
def test_gates_between_qubits_that_are_not_neighbours_are_routed(uri: str) -> None:
    """A chain has no triangle, so one of the three gates has to be."""
    backend = registry.open_backend(uri)
    plan = Plan(circuit.parse(CHAIN, name="chain"), np.zeros((1, 0)), 400, seed=1)
    means = driver.run(backend, plan, timeout_s=60).bits.mean(axis=(0, 1))
    backend.close()
    assert np.round(means).tolist() == [0, 1, 1]  # noise moves a mean by less than a half


def test_cirq_rejects_a_gate_between_qubits_that_are_not_neighbours() -> None:
    backend = registry.open_backend("cirq:willow_pink")
    plan = Plan(circuit.parse(CHAIN, name="chain"), np.zeros((1, 0)), 400)
    with pytest.raises(CircuitRejected, match=r"cx q\[\d\], q\[\d\]; of chain"):
        backend.submit(plan)
    backend.close()


def test_a_pair_that_is_not_coupled_is_rejected_with_the_partners() -> None:
    backend = registry.open_backend("aer:fez?qubits=4,96")
    plan = Plan(circuit.load("e91"), np.zeros((1, 2)), 10)
    with pytest.raises(ConfigError, match=r"4, 96.*not coupled; 4 is with 3, 5.*qubits="):
        backend.submit(plan)  # the operator's choice
    with pytest.raises(CircuitRejected, match=r"4, 97.*not coupled; 4 is with 3, 5"):
        backend.submit(Plan(circuit.load("e91"), np.zeros((1, 2)), 10, qubits=(4, 97)))
    backend.close()


def test_a_plans_own_qubits_come_first_and_are_recorded() -> None:
    backend = registry.open_backend("aer:fez?qubits=4")
    plan = Plan(circuit.load("bb84"), np.zeros((1, 3)), 10, qubits=(7,))
    origin = driver.run(backend, plan, timeout_s=60).provenance
    backend.close()
    assert origin.qubits == (7,)
    assert origin.calibration["qubits"][0]["index"] == 7


@pytest.mark.parametrize("uri", ["aer:fez", "aer:torino", "cirq:willow_pink"])
def test_the_predicted_error_rate_of_the_pair_is_near_the_measured_one(uri: str) -> None:
    backend = registry.open_backend(uri)
    predicted = backend.describe().predicted_qber_e91
    angles = np.array([[0.0, 0.0], [math.pi / 2, math.pi / 2]])
    bits = driver.run(backend, Plan(circuit.load("e91"), angles, 20_000, seed=2), timeout_s=60).bits
    backend.close()
    measured = float((bits[:, :, 0] != bits[:, :, 1]).mean())
    assert predicted is not None
    assert abs(predicted - measured) < 0.2 * measured + 0.002

"""How a plan becomes one paid job on chosen qubits, and what is said of its shots."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qiskit_ibm_runtime
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult

from qlq import circuit
from qlq.backends import driver, ibm_sampling, noise, registry
from qlq.backends.emulator.ibm import Pricing
from qlq.backends.ibm_account import Account
from qlq.backends.port import Backend
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected, ConfigError, JobFailed
from qlq.provenance import Claim, Kind, Tier

SNAPSHOTS = Path(qiskit_ibm_runtime.__file__).parent / "fake_provider" / "backends"
SUBMIT = "POST /experimental/jobs"
TIMEOUT_S = 60.0

Open = Callable[..., Backend]
MakePlan = Callable[..., Plan]


def matching(shots: int, **fields: Any) -> Plan:
    """BB84 rows with equal bases: every wrong bit is an error of the device."""
    angles = [(bit, base, base) for bit in (0, math.pi) for base in (0, math.pi / 2)]
    return Plan(circuit.load("bb84"), np.array(angles), shots, **fields)


def qber(bits: np.ndarray) -> float:
    return float(np.mean([bits[:2].mean(), 1 - bits[2:].mean()]))


@pytest.mark.parametrize(
    ("device", "one", "two"), [("fez", (4,), (96, 103)), ("torino", (51,), (92, 99))]
)
def test_the_best_qubits_of_the_calibration_are_chosen(
    ibm: Any, opened: Open, device: str, one: tuple[int, ...], two: tuple[int, ...]
) -> None:
    ibm()
    info = opened(f"ibm:ibm_{device}").describe()
    assert (info.qubits_bb84, info.qubits_e91) == (one, two)
    assert info.kind is Kind.NOISY
    assert info.available
    assert info.queue == 0


def test_a_job_has_the_noise_of_the_qubit_that_was_asked_for(ibm: Any, opened: Open) -> None:
    # The median qubit of Torino: QBER .0238 and .0235, measured with another model of the chip.
    ibm()
    backend = opened("ibm:ibm_torino?qubits=61")
    shots = driver.run(backend, matching(10_000), timeout_s=TIMEOUT_S)
    assert qber(shots.bits) == pytest.approx(0.0237, abs=0.004)  # 5 sigma of 40,000 shots
    assert shots.provenance.qubits == (61,)
    assert [one["index"] for one in shots.provenance.calibration["qubits"]] == [61]


@pytest.mark.parametrize("qubit", [0, 86])
def test_qubits_that_cannot_give_a_key_are_refused_before_a_submit(
    ibm: Any, opened: Open, bb84: MakePlan, qubit: int
) -> None:
    server = ibm()
    backend = opened(f"ibm:ibm_torino?qubits={qubit}")
    with pytest.raises(BackendUnavailable, match=rf"qubits {qubit} .*above 11%"):
        backend.submit(bb84())
    assert server.count(SUBMIT) == 0


def test_lanes_run_side_by_side_on_qubits_that_are_no_neighbours(fez: Any) -> None:
    scene = fez()
    plan = matching(500)
    wide = Plan(circuit.tile(plan.program, lanes=3), np.tile(plan.bindings, (1, 3)), 500)
    shots = driver.run(scene.backend, wide, timeout_s=TIMEOUT_S)
    assert shots.bits.shape == (4, 500, 3)
    assert scene.submits == 1
    assert len(set(shots.provenance.qubits)) == 3
    for lane in range(3):
        assert qber(shots.bits[:, :, lane : lane + 1]) < 0.02


def test_a_program_without_parameters_has_its_rows_in_one_job(fez: Any) -> None:
    scene = fez()
    source = (
        'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\n'
        "x q[1];\nc[0] = measure q[0];\nc[1] = measure q[1];\n"
    )
    plan = Plan(circuit.parse(source, name="one"), np.empty((3, 0)), 100)
    bits = driver.run(scene.backend, plan, timeout_s=TIMEOUT_S).bits
    assert bits.shape == (3, 100, 2)
    assert scene.submits == 1
    assert np.allclose(bits.mean(axis=(0, 1)), [0.0, 1.0], atol=0.05)


def test_the_estimate_counts_pauses_readout_and_preparation(fez: Any, bb84: MakePlan) -> None:
    # overhead + (rep_delay + circuit length) x executions, from the snapshot's own files
    conf = json.loads((SNAPSHOTS / "fez" / "conf_fez.json").read_text())
    props = json.loads((SNAPSHOTS / "fez" / "props_fez.json").read_text())
    (readout,) = [one for one in props["qubits"][4] if one["name"] == "readout_length"]
    assert readout["unit"] == "ns"
    shot_s = conf["default_rep_delay"] * 1e-6 + readout["value"] * 1e-9
    scene, plan = fez(), bb84(shots=1000)
    estimate = scene.backend.estimate(plan)
    assert estimate.qpu_s == pytest.approx(2.0 + 8000 * shot_s)
    assert estimate.amount == 0
    assert "free" in estimate.source
    assert scene.submits == 0


def test_paid_seconds_are_priced_and_what_was_charged_is_told(
    ibm: Any, opened: Open, bb84: MakePlan
) -> None:
    ibm(pricing=Pricing.PAY_AS_YOU_GO)
    backend, plan = opened(), bb84(shots=1000)
    estimate = backend.estimate(plan)
    assert estimate.amount == Decimal("1.60") * Decimal(str(estimate.qpu_s))
    assert estimate.date is not None
    shots = driver.run(backend, plan, timeout_s=TIMEOUT_S)
    spent = backend.spent(backend.find(plan.tags[0])[0])
    assert 8000 * 250e-6 < spent.qpu_s <= estimate.qpu_s
    assert spent.amount is not None
    assert 0 < spent.amount <= estimate.amount
    assert shots.provenance.job_id


@pytest.mark.parametrize("mode", ["session", "batch"])
def test_a_session_opens_with_the_first_job_and_closes_with_the_backend(
    ibm: Any, bb84: MakePlan, mode: str
) -> None:
    server = ibm()
    backend = registry.open_backend(f"ibm:ibm_fez?mode={mode}")
    assert server.count("POST /experimental/sessions") == 0
    for _ in range(2):
        driver.run(backend, bb84(), timeout_s=TIMEOUT_S)
    assert server.count("POST /experimental/sessions") == 1
    backend.close()
    assert sum(line.startswith("PATCH /experimental/sessions/") for line in server.requests) == 1


def test_the_least_busy_device_gets_its_own_name(ibm: Any, opened: Open) -> None:
    ibm()
    assert opened("ibm:least_busy?mode=batch").name == "ibm:ibm_fez?mode=batch"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("ibm", "ibm:least_busy"),
        ("ibm:ibm_fez?mode=sessions", "did you mean 'session'"),
        ("ibm:ibm_fez?max_execution_time=0", "max_execution_time='0'"),
        ("ibm:ibm_fez?max_execution_time=2m", "max_execution_time='2m'"),
        ("ibm:ibm_fez?qubit=4", "did you mean 'qubits'"),
        ("ibm-local:fess", "unknown device 'fess'"),
        ("ibm-local:torino?qubits=500", "qubit 500"),
    ],
)
def test_what_a_uri_cannot_mean_is_named(uri: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        registry.open_backend(uri)


def test_a_resource_name_is_refused_in_a_uri_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="QISKIT_IBM_INSTANCE") as caught:
        registry.open_backend("ibm:ibm_fez?instance=crn:v1:bluemix:public:quantum:secret")
    assert "secret" not in str(caught.value)


def test_an_instance_is_chosen_by_its_name(ibm: Any, opened: Open) -> None:
    ibm()
    assert opened("ibm:ibm_fez?instance=emulator").name == "ibm:ibm_fez?instance=emulator"
    with pytest.raises(BackendUnavailable, match="not a valid instance name"):
        opened("ibm:ibm_fez?instance=another")


@pytest.mark.parametrize(("rows", "shots"), [(20_000, 1), (8, 2_000_000)])
def test_plans_beyond_the_limits_are_rejected(
    fez: Any, bb84: MakePlan, rows: int, shots: int
) -> None:
    scene = fez()
    with pytest.raises(CircuitRejected, match="split the plan"):
        scene.backend.submit(bb84(rows=rows, shots=shots))
    assert scene.submits == 0


def test_a_plan_takes_only_its_own_job(fez: Any, bb84: MakePlan) -> None:
    scene = fez()
    plan, other = bb84(), bb84(shots=300)
    driver.run(scene.backend, plan, timeout_s=TIMEOUT_S)
    (handle,) = scene.backend.find(plan.tags[0])
    forged = type(handle)(handle.backend, handle.job_id, other.digest)
    with pytest.raises(ValueError, match="ran plan"):
        scene.backend.fetch(forged, other)


def test_an_emulator_is_a_simulator_whatever_it_calls_itself(fez: Any, bb84: MakePlan) -> None:
    provenance = driver.run(fez().backend, bb84(), timeout_s=TIMEOUT_S).provenance
    assert (provenance.tier, provenance.claim) == (Tier.SIMULATOR, Claim.SIMULATION)
    assert provenance.kind is Kind.NOISY
    assert provenance.entropy_cap_bits == 32


def test_hardware_is_what_ibm_serves_and_calls_no_simulator(
    ibm: Any, opened: Open, bb84: MakePlan
) -> None:
    ibm()
    backend: Any = opened()
    backend._account.is_vendors = True
    provenance = driver.run(backend, bb84(), timeout_s=TIMEOUT_S).provenance
    assert (provenance.tier, provenance.claim) == (Tier.QPU, Claim.SAME_CHIP)
    assert provenance.entropy_cap_bits is None
    backend._device._configuration.simulator = True
    provenance = driver.run(backend, bb84(), timeout_s=TIMEOUT_S).provenance
    assert (provenance.tier, provenance.claim) == (Tier.SIMULATOR, Claim.SIMULATION)


@pytest.mark.parametrize(
    ("url", "is_vendors"),
    [
        ("https://cloud.ibm.com", True),
        ("https://cloud.ibm.com/", True),
        ("http://cloud.ibm.com", False),
        ("https://cloud.ibm.com/experimental", False),
        ("https://cloud.ibm.com.example.org", False),
        ("http://127.0.0.1:8000/experimental", False),
        ("", False),
    ],
)
def test_only_ibms_own_address_is_the_vendors(url: str, *, is_vendors: bool) -> None:
    class Service:
        """Stands for the client's account; says where it leads."""

        def active_account(self) -> dict[str, str]:
            return {"url": url}

    assert Account(Service()).is_vendors is is_vendors


def test_the_channel_stays_between_the_parties_when_compiled() -> None:
    calibration = noise.ibm_calibration(noise.ibm_devices()["fez"])
    compiled = ibm_sampling.Compiler(calibration).compiled(circuit.load("bb84"), (4,))
    names = [instruction.operation.name for instruction in compiled.data]
    assert names.count("barrier") == 1
    # rx and ry of Alice before, ry of Bob after: merged across the barrier there were three pulses
    assert names.count("sx") == 5
    assert names[names.index("barrier") :].count("sx") == 2


@pytest.mark.parametrize("width", [1, 8, 10])
def test_bits_are_those_of_qiskits_own_bitstrings(width: int) -> None:
    packed = np.random.default_rng(5).integers(0, 256, (4, 50, (width + 7) // 8), dtype=np.uint8)
    packed[..., 0] &= (1 << ((width - 1) % 8 + 1)) - 1
    array = BitArray(packed, num_bits=width)
    angles = "".join(f"rx(turn) q[{k}];\n" for k in range(width))
    reads = "".join(f"c[{k}] = measure q[{k}];\n" for k in range(width))
    head = 'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float[64] turn;\n'
    program = circuit.parse(
        f"{head}qubit[{width}] q;\nbit[{width}] c;\n{angles}{reads}", name="wide"
    )
    plan = Plan(program, np.zeros((4, 1)), 50)
    result = PrimitiveResult([SamplerPubResult(DataBin(c=array, shape=(4,)))])
    bits = ibm_sampling.bits_of(result, plan, job_id="j")
    for row in range(4):
        expected = [[int(bit) for bit in reversed(word)] for word in array[row].get_bitstrings()]
        assert bits[row].tolist() == expected
    longer = Plan(program, np.zeros((4, 1)), 51)
    with pytest.raises(JobFailed, match="do not use it"):
        ibm_sampling.bits_of(result, longer, job_id="j")

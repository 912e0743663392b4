"""Jobs of simulators: limits, cancelling, failures, seeds, and what the shots hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import driver, registry
from qlq.backends.aer import unpack_memory
from qlq.backends.local import JOBS_KEPT_MAX, LocalBackend, Piece, equal_rows
from qlq.backends.port import DeviceInfo, Limits, Status
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected, JobFailed
from qlq.provenance import Claim, Kind, Provenance, Tier

QRNG = circuit.load("qrng")
HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


class Gated(LocalBackend):
    """A simulator whose every row waits for the test; it fails in the row `broken`."""

    def __init__(self, *, broken: int | None = None) -> None:
        limits = Limits(10, 30, 5, 1, 0.001)
        super().__init__(name="gated", limits=limits, seed_bits=8, vendor_errors=(OSError,))
        self.broken = broken
        self.gate = threading.Semaphore(0)
        self.started = threading.Event()

    def describe(self) -> DeviceInfo:
        return DeviceInfo("gated", "tests", Kind.IDEAL, 1)

    def _prepare(self, plan: Plan) -> None:
        assert plan.program.n_qubits == 1

    def _pieces(self, plan: Plan, entropy: np.random.SeedSequence) -> Iterator[Piece]:
        generator = np.random.default_rng(entropy)
        for row in range(plan.bindings.shape[0]):
            self.started.set()
            assert self.gate.acquire(timeout=20)
            if row == self.broken:
                raise OSError("the simulator fell over")
            bits = generator.integers(0, 2, size=(1, plan.shots, 1), dtype=np.uint8)
            yield np.array([row]), bits

    def _provenance(self, plan: Plan, job_id: str, cap_bits: int) -> Provenance:
        return Provenance(
            Tier.SIMULATOR,
            Claim.SIMULATION,
            backend=self.name,
            provider="tests",
            device="gated",
            kind=Kind.IDEAL,
            job_id=job_id,
            program_digest=plan.program.digest,
            sdk={},
            seed=plan.seed,
            entropy_cap_bits=cap_bits,
        )


@pytest.fixture
def gated() -> Iterator[Gated]:
    """Open for one test; every row may run in the end, so that closing never waits."""
    backend = Gated()
    yield backend
    backend.gate.release(100)
    backend.close()


def plan_of(rows: int, shots: int = 4, **more: object) -> Plan:
    return Plan(QRNG, np.zeros((rows, 0)), shots, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rows", "shots"), [(1, 11), (6, 1), (4, 10)])
def test_a_plan_beyond_the_limits_is_rejected_and_leaves_no_job(
    gated: Gated, rows: int, shots: int
) -> None:
    with pytest.raises(CircuitRejected, match="at most"):
        gated.submit(plan_of(rows, shots, tags=("t",)))
    assert gated.find("t") == []


def test_a_running_job_is_cancelled_and_stays_cancelled(gated: Gated) -> None:
    plan = plan_of(3)
    running, waiting = gated.submit(plan), gated.submit(plan_of(2))
    assert gated.started.wait(10)
    assert (gated.status(running), gated.status(waiting)) == (Status.RUNNING, Status.QUEUED)
    gated.cancel(waiting)
    gated.cancel(running)
    gated.gate.release(100)
    assert gated.status(running) is gated.status(waiting) is Status.CANCELLED
    with pytest.raises(JobFailed, match="cancelled"):
        gated.fetch(running, plan)
    after = gated.submit(plan_of(1))
    assert driver.resume(gated, after, plan_of(1), timeout_s=10).bits.shape == (1, 4, 1)
    assert gated.status(running) is Status.CANCELLED


def test_a_job_that_ended_is_not_cancelled(gated: Gated) -> None:
    gated.gate.release(100)
    plan = plan_of(2)
    handle = gated.submit(plan)
    driver.resume(gated, handle, plan, timeout_s=10)
    gated.cancel(handle)
    assert gated.status(handle) is Status.DONE


def test_a_running_job_has_no_shots_yet(gated: Gated) -> None:
    handle = gated.submit(plan_of(1))
    with pytest.raises(JobFailed, match=r"queued|running"):
        gated.fetch(handle, plan_of(1))


def test_a_simulator_that_falls_over_fails_the_job() -> None:
    backend = Gated(broken=1)
    backend.gate.release(100)
    with pytest.raises(JobFailed, match="fell over") as caught:
        driver.run(backend, plan_of(3), timeout_s=10)
    assert isinstance(caught.value.__cause__, OSError)
    backend.close()


def test_jobs_are_found_by_tag_and_the_oldest_are_forgotten(gated: Gated) -> None:
    gated.gate.release(1000)
    for index in range(JOBS_KEPT_MAX + 3):
        driver.run(gated, plan_of(1, tags=("all", f"n{index}")), timeout_s=10)
    assert gated.find("n0") == []
    assert len(gated.find("all")) == JOBS_KEPT_MAX
    newest = gated.find("all")[0]
    assert gated.find(f"n{JOBS_KEPT_MAX + 2}") == [newest]


def test_a_closed_backend_takes_no_job() -> None:
    backend = Gated()
    backend.close()
    backend.close()
    with pytest.raises(BackendUnavailable, match="closed"):
        backend.submit(plan_of(1))


def test_the_same_seeded_plan_is_the_same_job(gated: Gated) -> None:
    gated.gate.release(100)
    first = driver.run(gated, plan_of(2, seed=9), timeout_s=10)
    again = driver.run(gated, plan_of(2, seed=9), timeout_s=10)
    assert first.provenance == again.provenance
    assert first.provenance.entropy_cap_bits == 0
    fresh = driver.run(gated, plan_of(2), timeout_s=10).provenance
    assert fresh.entropy_cap_bits == 8
    assert fresh.job_id != driver.run(gated, plan_of(2), timeout_s=10).provenance.job_id


def test_fetch_refuses_a_plan_that_is_not_the_jobs(gated: Gated) -> None:
    gated.gate.release(100)
    handle = gated.submit(plan_of(1))
    driver.resume(gated, handle, plan_of(1), timeout_s=10)
    with pytest.raises(ValueError, match=plan_of(2).digest):
        gated.fetch(handle, plan_of(2))


@pytest.mark.parametrize(
    ("uri", "cap_bits"), [("aer", 32), ("aer:fez", 32), ("cirq", 128), ("braket:local", 128)]
)
def test_unseeded_shots_name_their_entropy_and_differ(uri: str, cap_bits: int) -> None:
    backend = registry.open_backend(uri)
    first, second = (driver.run(backend, plan_of(1, 256), timeout_s=60) for _ in range(2))
    backend.close()
    assert first.provenance.entropy_cap_bits == cap_bits
    assert not np.array_equal(first.bits, second.bits)  # false alarm below 2**-30


@pytest.mark.parametrize("uri", ["aer", "aer:fez", "cirq", "cirq:weber", "braket:local"])
def test_rows_with_equal_bindings_are_independent(uri: str) -> None:
    """Correlation of two rows of fair bits; |r| sqrt(n) > 5 has probability 6e-7, seed fixed."""
    backend = registry.open_backend(uri)
    bits = driver.run(backend, plan_of(3, 4000, seed=1), timeout_s=60).bits[:, :, 0]
    backend.close()
    correlation = np.abs(np.corrcoef(bits.astype(float)))[np.triu_indices(3, 1)]
    assert (correlation * np.sqrt(4000) < 5).all()


@pytest.mark.parametrize("uri", ["aer", "cirq", "braket:local"])
def test_mid_circuit_shots_come_in_no_order_of_their_outcomes(uri: str) -> None:
    """A fair bit, reset, another: Wald-Wolfowitz runs within 5 sigma (false alarm 6e-7)."""
    text = "qubit[1] q;\nbit[2] c;\nh q[0];\nc[1] = measure q[0];\nreset q[0];\nh q[0];\n"
    program = circuit.parse(HEAD + text + "c[0] = measure q[0];\n", name="two-coins")
    backend = registry.open_backend(uri)
    plan = Plan(program, np.zeros((2, 0)), 400, seed=3)
    bits = driver.run(backend, plan, timeout_s=60).bits
    backend.close()
    for row in bits:
        for column in row.T:
            ones = int(column.sum())
            expected = 1 + 2 * ones * (400 - ones) / 400
            runs = 1 + int((np.diff(column.astype(np.int8)) != 0).sum())
            assert abs(runs - expected) < 5 * (expected - 1) / np.sqrt(399)
            assert abs(ones - 200) < 50


def test_groups_of_equal_rows_hold_every_row_once_and_are_bounded() -> None:
    turns = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])[[0, 1, 0, 0, 1, 0]]
    plan = Plan(circuit.load("bb84"), turns, 10)
    groups = [rows.tolist() for rows in equal_rows(plan, executions_max=25)]
    assert groups == [[0, 2], [3, 5], [1, 4]]
    alone = [rows.tolist() for rows in equal_rows(plan, executions_max=9)]
    assert sorted(alone) == [[0], [1], [2], [3], [4], [5]]


@pytest.mark.parametrize("n_bits", [1, 3, 4, 5, 8, 9, 10, 17])
def test_hex_words_become_columns(n_bits: int) -> None:
    words = np.random.default_rng(n_bits).integers(0, 1 << n_bits, size=50)
    expected = [[(int(word) >> k) & 1 for k in range(n_bits)] for word in words]
    assert unpack_memory([hex(word) for word in words], n_bits).tolist() == expected


def test_bits_that_braket_made_up_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from braket.tasks import GateModelQuantumTaskResult

    backend = registry.open_backend("braket:local")
    monkeypatch.setattr(
        GateModelQuantumTaskResult,
        "measurements_copied_from_device",
        property(lambda _: False, lambda *_: None),
        raising=False,
    )
    with pytest.raises(JobFailed, match="probabilities"):
        driver.run(backend, plan_of(1), timeout_s=60)
    backend.close()

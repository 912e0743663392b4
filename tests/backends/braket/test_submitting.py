"""What a plan becomes on the service: tasks, tags, tokens, qubits, costs, claims."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import driver, registry
from qlq.backends.emulator.braket import BraketEmulator, SpendingLimit
from qlq.backends.emulator.braket_devices import devices
from qlq.backends.emulator.server import Request, Response, Server
from qlq.backends.port import Backend
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected, ConfigError, JobFailed
from qlq.provenance import Claim, Kind, Tier, vendor_ids

GARNET_ARN = "arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
FORTE_ARN = "arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1"
CEPHEUS_ARN = "arn:aws:braket:us-west-1::device/qpu/rigetti/Cepheus-1-108Q"
SV1_ARN = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
GARNET, FORTE, SV1 = f"braket:{GARNET_ARN}", f"braket:{FORTE_ARN}", f"braket:{SV1_ARN}"
Start = Callable[..., Server]

QRNG, E91 = circuit.load("qrng"), circuit.load("e91")
ANGLES = np.array([[0.0, np.pi / 4], [np.pi / 2, np.pi / 4], [0.1, 0.2]])


def run(backend: Backend, plan: Plan) -> np.ndarray:
    return driver.run(backend, plan, timeout_s=40).bits


def test_a_plan_is_one_program_set_with_one_fee(start: Start) -> None:
    server = start()
    backend = registry.open_backend(GARNET)
    plan = Plan(E91, ANGLES, 50, tags=("u1", "second"))
    cost = backend.estimate(plan)
    assert cost.amount == Decimal("0.30") + 150 * Decimal("0.00145")
    assert (cost.currency, cost.qpu_s) == ("USD", 0.0)
    assert cost.date is not None
    handle = backend.submit(plan)
    driver.resume(backend, handle, plan, timeout_s=30)
    (task,) = server.emulator.tasks  # type: ignore[attr-defined]
    assert task.work.is_set
    assert task.tags["qlq"] == "u1"
    assert task.tags["qlq-1"] == "second"
    assert task.tags["qlq-plan"] == plan.digest
    assert backend.find("u1") == backend.find("second") == [handle]
    assert backend.find(plan.digest) == backend.find("1/1") == []
    assert backend.spent(handle).amount == cost.amount


def test_without_program_sets_a_plan_is_a_batch_that_is_one_job(start: Start) -> None:
    server = start()
    backend = registry.open_backend(FORTE)
    plan = Plan(E91, ANGLES, 50, tags=("u2",))
    cost = backend.estimate(plan)
    assert cost.amount == 3 * Decimal("0.30") + 150 * Decimal("0.08")
    handle = backend.submit(plan)
    assert handle.job_id.count(",") == 2
    arns = [task.arn for task in reversed(server.emulator.tasks)]  # type: ignore[attr-defined]
    assert vendor_ids(handle.job_id) == arns
    driver.resume(backend, handle, plan, timeout_s=30)
    assert backend.find("u2") == [handle]
    places = sorted(task.tags["qlq-task"] for task in server.emulator.tasks)  # type: ignore[attr-defined]
    assert places == ["1/3", "2/3", "3/3"]
    assert backend.spent(handle).amount == cost.amount


def test_rows_with_too_many_shots_for_one_circuit_are_cut_and_keep_their_shots(
    start: Start,
) -> None:
    server = start()
    backend = registry.open_backend(FORTE)
    plan = Plan(QRNG, np.zeros((2, 0)), 5001, tags=("u3",))
    assert backend.estimate(plan).amount == 4 * Decimal("0.30") + 4 * 2501 * Decimal("0.08")
    assert run(backend, plan).shape == (2, 5001, 1)
    assert [task.shots for task in server.emulator.tasks] == [2501] * 4  # type: ignore[attr-defined]


def test_shots_below_the_devices_least_are_refused_before_anything_is_sent(start: Start) -> None:
    server = start()
    backend = registry.open_backend(FORTE)
    with pytest.raises(CircuitRejected, match="at least 10 shots of a circuit, not 9"):
        backend.submit(Plan(QRNG, np.zeros((1, 0)), 9, tags=("u4",)))
    assert server.count("POST /quantum-task") == 0


def test_the_token_of_a_task_is_the_same_whenever_it_is_sent(start: Start) -> None:
    tokens: list[str] = []

    class Noting(BraketEmulator):
        def answer(self, request: Request) -> Response:
            if request.path == "/quantum-task":
                tokens.append(json.loads(request.body)["clientToken"])
            return super().answer(request)

    server = start()
    server.emulator = Noting()
    for tag in ("u5", "u5", "u6"):
        plan = Plan(E91, ANGLES, 20, tags=(tag,))
        registry.open_backend(GARNET).submit(plan)
    assert tokens[0] == tokens[1] != tokens[2]
    assert len(tokens[0]) == 64  # the service's limit
    assert len(server.emulator.tasks) == 2


def test_qubits_are_chosen_by_the_calibration_and_named_in_the_program(start: Start) -> None:
    server = start()
    backend = registry.open_backend(GARNET)
    errors = devices()[GARNET_ARN].errors
    assert errors is not None
    best = min(errors.readout, key=lambda qubit: errors.readout[qubit])
    shots = driver.run(backend, Plan(QRNG, np.zeros((1, 0)), 20, tags=("q",)), timeout_s=30)
    assert shots.provenance.qubits == (best,)
    action = server.emulator.tasks[0].work.action  # type: ignore[attr-defined]
    assert f"h ${best};" in action.programs[0].source
    assert backend.describe().qubits_bb84 == (best,)


def test_the_operators_qubits_are_used_in_their_order_without_rewiring(start: Start) -> None:
    server = start()
    backend = registry.open_backend(f"{GARNET}?qubits=9,4")
    shots = driver.run(backend, Plan(E91, ANGLES, 20, tags=("q",)), timeout_s=30)
    assert shots.provenance.qubits == (9, 4)
    source = server.emulator.tasks[0].work.action.programs[0].source  # type: ignore[attr-defined]
    assert "cnot $9, $4;" in source
    assert "barrier $9, $4;" in source
    single = registry.open_backend(f"{FORTE}?qubits=3")
    driver.run(single, Plan(QRNG, np.zeros((1, 0)), 20, tags=("q2",)), timeout_s=30)
    parameters = json.loads(server.emulator.tasks[0].parameters)  # type: ignore[attr-defined]
    assert parameters["paradigmParameters"]["disableQubitRewiring"] is True


def test_a_qubit_on_which_no_key_can_be_made_is_refused_before_paying(start: Start) -> None:
    server = start()
    backend = registry.open_backend(f"{GARNET}?qubits=7")  # readout error 35 %
    with pytest.raises(BackendUnavailable, match=r"predicted error rate of 35\.\d%"):
        backend.submit(Plan(QRNG, np.zeros((1, 0)), 20))
    assert server.count("POST /quantum-task") == 0


@pytest.mark.parametrize("qubits", ["0", "21"])
def test_a_qubit_that_is_not_on_the_chip_is_named(start: Start, qubits: str) -> None:
    start()
    with pytest.raises(ConfigError, match=f"qubit {qubits} of Garnet"):
        registry.open_backend(f"{GARNET}?qubits={qubits}")


def test_destination_and_reservation_come_from_the_uri(start: Start) -> None:
    server = start()
    arn = "arn:aws:braket:eu-north-1:000000000000:reservation/a1"
    backend = registry.open_backend(
        f"{GARNET}?bucket=amazon-braket-mine&prefix=k&reservation={arn}"
    )
    run(backend, Plan(QRNG, np.zeros((1, 0)), 20, tags=("d",)))
    (task,) = server.emulator.tasks  # type: ignore[attr-defined]
    assert (task.bucket, task.directory.split("/")[0]) == ("amazon-braket-mine", "k")
    assert task.associations == [{"arn": arn, "type": "RESERVATION_TIME_WINDOW_ARN"}]
    assert backend.name.endswith(f"?bucket=amazon-braket-mine&prefix=k&reservation={arn}")


@pytest.mark.parametrize("uri", [GARNET, FORTE, SV1])
def test_an_endpoint_that_is_not_the_vendors_makes_no_qpu(start: Start, uri: str) -> None:
    start()
    backend = registry.open_backend(uri)
    origin = driver.run(backend, Plan(QRNG, np.zeros((1, 0)), 20), timeout_s=30).provenance
    assert (origin.tier, origin.claim) == (Tier.SIMULATOR, Claim.SIMULATION)
    assert origin.kind is (Kind.IDEAL if uri == SV1 else Kind.NOISY)
    assert origin.entropy_cap_bits is not None
    assert backend.describe().kind is origin.kind


def test_a_simulator_is_paid_by_time_that_nobody_knows_before(start: Start) -> None:
    start()
    cost = registry.open_backend(SV1).estimate(Plan(QRNG, np.zeros((1, 0)), 20))
    assert cost.amount is None
    assert "minute" in cost.source


def test_a_seed_is_refused(start: Start) -> None:
    start()
    with pytest.raises(CircuitRejected, match="seed"):
        registry.open_backend(GARNET).submit(Plan(QRNG, np.zeros((1, 0)), 20, seed=1))


def test_a_spending_limit_is_reported_and_refuses_what_it_does_not_cover(start: Start) -> None:
    limit = SpendingLimit(GARNET_ARN, Decimal(2), spent=Decimal(1), queued=Decimal("0.5"))
    server = start(limits=(limit,))
    backend = registry.open_backend(GARNET)
    small, large = (Plan(QRNG, np.zeros((1, 0)), shots, tags=("l",)) for shots in (20, 400))
    assert "0.5 left" in backend.describe().reason
    assert backend.describe().available
    assert "0.5 left" in backend.estimate(small).source
    run(backend, small)
    with pytest.raises(BackendUnavailable, match=r"would cost 0\.88\d* USD"):
        backend.submit(large)
    assert len(server.emulator.tasks) == 1  # type: ignore[attr-defined]


def test_an_offline_device_says_so_and_old_jobs_can_still_be_fetched(start: Start) -> None:
    start(statuses={GARNET_ARN: "OFFLINE"})
    info = registry.open_backend(GARNET).describe()
    assert not info.available
    assert "offline" in info.reason


class Doctored(BraketEmulator):
    """Results as a device that keeps no shots, or that loses some, would give them."""

    def __init__(self, change: Callable[[dict[str, object]], None]) -> None:
        super().__init__()
        self.change = change

    def answer(self, request: Request) -> Response:
        response = super().answer(request)
        if not request.path.endswith("results.json"):
            return response
        document = json.loads(response.body)
        for circuit_ in circuits_of(document):
            self.change(circuit_)
        return Response(200, json.dumps(document).encode(), response.headers)


def circuits_of(document: dict[str, list[dict[str, list[dict[str, object]]]]]) -> list:  # type: ignore[type-arg]
    if "programResults" not in document:
        return [document]
    return [one for part in document["programResults"] for one in part["executableResults"]]


def only_probabilities(one: dict[str, object]) -> None:
    one.update(measurements=None, measurementProbabilities={"0": 0.5, "1": 0.5})


def one_shot_less(one: dict[str, object]) -> None:
    one["measurements"] = one["measurements"][:-1]  # type: ignore[index]


def another_qubit(one: dict[str, object]) -> None:
    one["measuredQubits"] = [19]


@pytest.mark.parametrize("uri", [GARNET, FORTE])
@pytest.mark.parametrize(
    ("change", "word"),
    [
        (only_probabilities, "probabilities"),
        (one_shot_less, "shape"),
        (another_qubit, "measured qubits"),
    ],
)
def test_results_that_are_not_the_shots_of_the_plan_are_refused(
    start: Start, uri: str, change: Callable[[dict[str, object]], None], word: str
) -> None:
    server = start()
    server.emulator = Doctored(change)
    with pytest.raises(JobFailed, match=word):
        run(registry.open_backend(uri), Plan(QRNG, np.zeros((2, 0)), 20, tags=("p",)))


def test_rows_of_a_program_set_in_another_order_are_refused(start: Start) -> None:
    class Reversed(BraketEmulator):
        def answer(self, request: Request) -> Response:
            response = super().answer(request)
            if not request.path.endswith("results.json"):
                return response
            document = json.loads(response.body)
            document["programResults"][0]["executableResults"].reverse()
            return Response(200, json.dumps(document).encode(), response.headers)

    start().emulator = Reversed()
    with pytest.raises(JobFailed, match="other parameters"):
        run(registry.open_backend(GARNET), Plan(E91, ANGLES, 20, tags=("r",)))


def test_columns_follow_the_qubits_that_the_result_names(start: Start) -> None:
    """A device that lists its bits by qubit number, not by classical bit."""

    class ByQubit(BraketEmulator):
        def answer(self, request: Request) -> Response:
            response = super().answer(request)
            if not request.path.endswith("results.json"):
                return response
            document = json.loads(response.body)
            for one in circuits_of(document):
                order = np.argsort(one["measuredQubits"])
                one["measuredQubits"] = sorted(one["measuredQubits"])
                one["measurements"] = np.array(one["measurements"])[:, order].tolist()
            return Response(200, json.dumps(document).encode(), response.headers)

    start().emulator = ByQubit()
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nx q[0];\n'
    program = circuit.parse(text + "c[0] = measure q[0];\nc[1] = measure q[1];\n", name="one")
    plan = Plan(program, np.zeros((1, 0)), 200, qubits=(9, 4), tags=("m",))
    bits = run(registry.open_backend(GARNET), plan)[0]
    assert bits.mean(axis=0)[0] > 0.8
    assert bits.mean(axis=0)[1] < 0.2


def test_a_gate_that_the_device_does_not_have_is_refused_before_a_task_exists(
    start: Start,
) -> None:
    server = start()
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[1] c;\ncz q[0], q[1];\n'
    program = circuit.parse(text + "c[0] = measure q[0];\n", name="cz")
    with pytest.raises(CircuitRejected, match="no operation 'cz'"):
        registry.open_backend(FORTE).submit(Plan(program, np.zeros((1, 0)), 20))
    assert server.count("POST /quantum-task") == 0


def test_shots_of_a_mid_circuit_measurement_are_not_gathered_by_outcome(start: Start) -> None:
    """A fair bit, reset, another: Wald-Wolfowitz runs within 5 sigma (false alarm 6e-7)."""
    start()
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[1] q;\nbit[2] c;\nh q[0];\n'
    text += "c[1] = measure q[0];\nreset q[0];\nh q[0];\nc[0] = measure q[0];\n"
    program = circuit.parse(text, name="two-coins")
    bits = run(registry.open_backend(GARNET), Plan(program, np.zeros((1, 0)), 1000, tags=("o",)))[0]
    for column in bits.T:
        ones = int(column.sum())
        expected = 1 + 2 * ones * (1000 - ones) / 1000
        runs = 1 + int((np.diff(column.astype(np.int8)) != 0).sum())
        assert abs(runs - expected) < 5 * (expected - 1) / np.sqrt(999)
        assert abs(ones - 500) < 5 * 0.5 * np.sqrt(1000)

"""Every fault of Braket's matrix, through the real client and our driver."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import driver, registry
from qlq.backends.emulator.braket import BraketEmulator
from qlq.backends.emulator.faults import Action, Fault
from qlq.backends.emulator.server import Request, Response, Server
from qlq.backends.port import AmbiguousSubmit, Backend, Handle, Status
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected, JobFailed, JobPending, QLQError
from qlq.faults import JobFault
from qlq.shots import Shots

pytestmark = pytest.mark.long

GARNET = "braket:arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
FORTE = "braket:arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1"
Start = Callable[..., Server]

BB84 = circuit.load("bb84")
ANGLES = np.array([[0.0, 0.0, 0.0], [np.pi, 0.0, 0.0], [0.0, np.pi / 2, np.pi / 2]])
SUBMIT = "POST /quantum-task"
POLL = "GET /quantum-task/*"
OBJECT = "GET /amazon-braket-emulator/*"


def plan_of(*, rows: int = 3, shots: int = 40, tag: str = "3f9c") -> Plan:
    return Plan(BB84, ANGLES[:rows], shots, tags=(tag,))


def fault(on: str, do: Action, *, nth: tuple[int, ...] = (1,), **more: object) -> Fault:
    return Fault(on, do, nth, **more)  # type: ignore[arg-type]


def ran(uri: str = GARNET, *, plan: Plan | None = None) -> Shots:
    """The shots of a plan, run by the driver, and right: no bit is lost or out of place."""
    plan = plan or plan_of()
    backend = registry.open_backend(uri)
    shots = driver.run(backend, plan, timeout_s=40)
    backend.close()
    assert shots.bits.shape == (len(plan.bindings), plan.shots, 1)
    assert np.abs(shots.bits[:, :, 0].mean(axis=1) - [0, 1, 0][: len(plan.bindings)]).max() < 0.25
    return shots


@pytest.mark.parametrize(
    "wrong",
    [
        [fault(SUBMIT, Action.ANSWER, nth=(1, 2), status=500)],
        [fault(SUBMIT, Action.ANSWER, nth=(1, 2), status=503)],
        [fault(SUBMIT, Action.ANSWER, nth=(1,), status=429)],
        [fault(SUBMIT, Action.ANSWER, nth=(1,), status=429, retry_after_s=0.1)],
        [fault(SUBMIT, Action.DROP_BEFORE)],
        [fault(SUBMIT, Action.DROP_AFTER)],
        [fault(SUBMIT, Action.DROP_AFTER, nth=(1, 2))],
        [fault(POLL, Action.ANSWER, nth=(1, 2, 3), status=429)],
        [fault(POLL, Action.ANSWER, nth=(1, 2), status=500)],
        [fault(POLL, Action.DROP_BEFORE, nth=(1, 2))],
        [fault(OBJECT, Action.ANSWER, nth=(1, 2), status=500)],
        [fault(OBJECT, Action.DROP_AFTER)],
        [fault("POST /spending-limits", Action.ANSWER, nth=(), status=403)],
    ],
    ids=lambda faults: f"{faults[0].on.split('*')[0]} {faults[0].do.value} {faults[0].status}",
)
def test_what_passes_costs_one_task_and_no_shot(start: Start, wrong: list[Fault]) -> None:
    server = start(*wrong)
    ran()
    assert len(server.emulator.tasks) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (402, "ServiceQuotaExceededException", BackendUnavailable),
        (424, "DeviceOfflineException", BackendUnavailable),
        (410, "DeviceRetiredException", BackendUnavailable),
        (403, "AccessDeniedException", BackendUnavailable),
        (401, "UnrecognizedClientException", BackendUnavailable),
        (403, "ExpiredTokenException", BackendUnavailable),
        (400, "ValidationException", CircuitRejected),
    ],
)
def test_a_refused_submit_is_named_and_not_repeated(
    start: Start, status: int, code: str, expected: type[QLQError]
) -> None:
    server = start(fault(SUBMIT, Action.ANSWER, nth=(), status=status, code=code))
    backend = registry.open_backend(GARNET)
    with pytest.raises(expected, match=code) as caught:
        driver.run(backend, plan_of(), timeout_s=30)
    assert type(caught.value) is expected
    assert server.count(SUBMIT) == 1
    assert server.emulator.tasks == []  # type: ignore[attr-defined]


def test_a_service_that_stays_down_may_have_a_task_and_is_never_replaced(start: Start) -> None:
    server = start(fault(SUBMIT, Action.ANSWER, nth=(), status=500))
    backend = registry.open_backend(GARNET)
    with pytest.raises(AmbiguousSubmit, match="InternalServiceException"):
        backend.submit(plan_of())
    assert server.count(SUBMIT) == 1  # the client sends nothing again by itself
    with pytest.raises(JobPending, match="a job may exist"):
        driver.run(backend, plan_of(), timeout_s=6)
    assert server.emulator.tasks == []  # type: ignore[attr-defined]


def test_a_service_that_throttles_every_submit_has_no_task_and_may_be_replaced(
    start: Start,
) -> None:
    server = start(fault(SUBMIT, Action.ANSWER, nth=(), status=429))
    with pytest.raises(BackendUnavailable, match="ThrottlingException"):
        driver.run(registry.open_backend(GARNET), plan_of(), timeout_s=6)
    assert server.emulator.tasks == []  # type: ignore[attr-defined]


def test_an_answer_that_never_comes_may_have_made_a_task_and_is_never_replaced(
    start: Start,
) -> None:
    server = start(
        fault(SUBMIT, Action.DROP_AFTER, nth=()),
        fault("POST /quantum-tasks", Action.ANSWER, nth=(), status=403),
    )
    backend = registry.open_backend(GARNET)
    with pytest.raises(JobPending, match="a job may exist"):
        driver.run(backend, plan_of(), timeout_s=20)
    assert len(server.emulator.tasks) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("uri", [GARNET, FORTE])
def test_a_failed_task_fails_the_job_with_the_services_reason(start: Start, uri: str) -> None:
    start(fault(SUBMIT, Action.FAIL_JOB, reason="the laser is out of lock"))
    with pytest.raises(JobFailed, match="the laser is out of lock") as caught:
        driver.run(registry.open_backend(uri), plan_of(), timeout_s=30)
    assert caught.value.reason == "the laser is out of lock"
    assert caught.value.fault is JobFault.FAILED
    assert caught.value.job_id.startswith("arn:aws:braket:")


def test_partial_results_of_a_failed_program_set_are_not_fetched(start: Start) -> None:
    server = start(fault(SUBMIT, Action.FAIL_JOB))
    backend = registry.open_backend(GARNET)
    handle = final(backend, plan_of())
    with pytest.raises(JobFailed):
        backend.fetch(handle, plan_of())
    task = server.emulator.tasks[0]  # type: ignore[attr-defined]
    path = f"{task.bucket}/{task.directory}/results.json"
    assert server.emulator._store.result(*path.split("/", 1)) is not None  # type: ignore[attr-defined]
    assert not any(line.startswith(OBJECT[:-1]) for line in server.requests)


def test_a_task_that_an_operator_cancels_gives_no_shots(start: Start) -> None:
    start(fault(SUBMIT, Action.CANCEL_JOB))
    backend = registry.open_backend(GARNET)
    with pytest.raises(JobFailed, match="cancelled") as caught:
        driver.run(backend, plan_of(), timeout_s=30)
    assert caught.value.fault is JobFault.CANCELLED
    with pytest.raises(JobFailed) as caught:
        backend.fetch(backend.find("3f9c")[0], plan_of())
    assert caught.value.fault is JobFault.CANCELLED


def test_a_task_that_the_service_loses_is_unknown(start: Start) -> None:
    start(fault(SUBMIT, Action.LOSE_JOB))
    with pytest.raises(JobFailed, match="not known") as caught:
        driver.run(registry.open_backend(GARNET), plan_of(), timeout_s=30)
    assert caught.value.fault is JobFault.UNKNOWN


def test_results_that_may_not_be_read_leave_the_job_to_be_fetched_later(start: Start) -> None:
    start(fault(OBJECT, Action.ANSWER, nth=(1,), status=403, code="AccessDenied"))
    backend, plan = registry.open_backend(GARNET), plan_of()
    handles: list[Handle] = []
    with pytest.raises(JobPending, match="AccessDenied"):
        driver.run(backend, plan, timeout_s=30, on_handle=handles.append)
    assert driver.resume(backend, handles[0], plan, timeout_s=30).bits.shape == (3, 40, 1)


def test_a_deadline_leaves_the_job_and_resuming_gives_its_shots(start: Start) -> None:
    server = start(queue_s=1.5)
    backend, plan = registry.open_backend(GARNET), plan_of()
    handles: list[Handle] = []
    with pytest.raises(JobPending) as caught:
        driver.run(backend, plan, timeout_s=0.6, on_handle=handles.append)
    assert caught.value.reason == "deadline"
    driver.resume(registry.open_backend(GARNET), handles[0], plan, timeout_s=30)
    assert len(server.emulator.tasks) == 1  # type: ignore[attr-defined]


def test_one_failed_task_of_a_batch_cancels_the_others(start: Start) -> None:
    server = start(fault(SUBMIT, Action.FAIL_JOB, reason="an ion was lost"), queue_s=0.3)
    backend, plan = registry.open_backend(FORTE), plan_of()
    handle = final(backend, plan)
    assert backend.status(handle) is Status.FAILED
    with pytest.raises(JobFailed, match="an ion was lost"):
        backend.fetch(handle, plan)
    statuses = [task.status for task in server.emulator.tasks]  # type: ignore[attr-defined]
    assert statuses == ["CANCELLED", "CANCELLED", "FAILED"]
    assert backend.spent(handle).amount == 0


def test_a_batch_that_is_refused_half_way_leaves_nothing_to_be_paid(start: Start) -> None:
    refused = fault(SUBMIT, Action.ANSWER, nth=(3,), status=402)
    server = start(refused, queue_s=5)
    with pytest.raises(BackendUnavailable, match="quota"):
        driver.run(registry.open_backend(FORTE), plan_of(), timeout_s=30)
    statuses = [task.status for task in server.emulator.tasks]  # type: ignore[attr-defined]
    assert statuses == ["CANCELLED", "CANCELLED"]


def test_a_batch_that_breaks_half_way_is_completed_not_repeated(start: Start) -> None:
    """The second of three creates fails; the driver goes on."""
    server = start(fault(SUBMIT, Action.ANSWER, nth=(2,), status=500))
    ran(FORTE)
    assert len(server.emulator.tasks) == 3  # type: ignore[attr-defined]


def test_a_batch_is_completed_by_its_tags_where_the_service_forgets_tokens(start: Start) -> None:
    class Forgetful(BraketEmulator):
        def answer(self, request: Request) -> Response:
            if request.path == "/quantum-task":
                body = json.loads(request.body)
                body["clientToken"] = str(uuid.uuid4())
                request = replace(request, body=json.dumps(body).encode())
            return super().answer(request)

    server = start(fault(SUBMIT, Action.ANSWER, nth=(2,), status=500))
    server.emulator = Forgetful()
    ran(FORTE)
    assert len(server.emulator.tasks) == 3


def test_a_plan_that_an_earlier_process_submitted_is_found_and_not_submitted_again(
    start: Start,
) -> None:
    for uri in (GARNET, FORTE):
        server = start()
        first = ran(uri)
        backend = registry.open_backend(uri)
        again = driver.recover(backend, plan_of(), timeout_s=30)
        assert np.array_equal(first.bits, again.bits)
        assert again.provenance.job_id == first.provenance.job_id
        assert len(server.emulator.tasks) == (1 if uri == GARNET else 3)  # type: ignore[attr-defined]


def test_the_same_plan_under_another_tag_is_another_job(start: Start) -> None:
    server = start()
    ran()
    ran(plan=plan_of(tag="77aa"))
    assert len(server.emulator.tasks) == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_device_that_cannot_be_opened_is_unavailable(start: Start, status: int) -> None:
    start(fault("GET /device/*", Action.ANSWER, nth=(), status=status))
    with pytest.raises(BackendUnavailable):
        registry.open_backend(GARNET)


def test_an_unknown_device_is_unavailable(start: Start) -> None:
    start()
    with pytest.raises(BackendUnavailable, match="does not exist"):
        registry.open_backend("braket:arn:aws:braket:us-east-1::device/qpu/ionq/Nothing")


def final(backend: Backend, plan: Plan) -> Handle:
    """The handle of a job that has ended."""
    handle = backend.submit(plan)
    for _ in range(400):
        if backend.status(handle).is_final:
            return handle
        time.sleep(0.02)
    raise AssertionError("the job does not end")

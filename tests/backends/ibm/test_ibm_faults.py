"""What goes wrong between IBM's client and its servers, row by row, through the real client.

Every test states how many submits reached the server and how many jobs there are afterwards: none
is lost, none is paid twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from qlq.backends import chain, driver, registry
from qlq.backends.emulator.faults import Action, Fault
from qlq.backends.emulator.server import Emulator, Request, Response
from qlq.backends.patience import Clock
from qlq.backends.port import Backend, Handle, Status, TransientError
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected, JobFailed, JobPending
from qlq.faults import JobFault

pytestmark = pytest.mark.long

SUBMIT = "POST /experimental/jobs"
JOB = "GET /experimental/jobs/*"
TIMEOUT_S = 60.0

Open = Callable[..., Backend]
MakePlan = Callable[..., Plan]


def answer(on: str, status: int, *nth: int, **fields: Any) -> Fault:
    return Fault(on=on, nth=nth, do=Action.ANSWER, status=status, **fields)


def jobs(backend: Backend, plan: Plan) -> list[Handle]:
    return backend.find(plan.tags[0])


@pytest.mark.parametrize(
    ("faults", "submits"),
    [
        pytest.param([answer(SUBMIT, 500, 1, 2)], 3, id="500-twice-on-submit"),
        pytest.param([answer(SUBMIT, 429, 1, retry_after_s=1)], 2, id="429-on-submit"),
        pytest.param([answer(SUBMIT, 429, 1)], 2, id="429-on-submit-without-retry-after"),
        pytest.param([Fault(SUBMIT, Action.DROP_BEFORE, nth=(1,))], 2, id="dropped-before"),
        pytest.param([Fault(SUBMIT, Action.DROP_AFTER, nth=(1,))], 1, id="dropped-after"),
        pytest.param([answer(JOB, 429, 1, retry_after_s=1)], 1, id="429-on-status"),
        pytest.param([answer(JOB, 429, 1)], 1, id="429-on-status-without-retry-after"),
        pytest.param([Fault(JOB, Action.DROP_BEFORE, nth=(1, 2))], 1, id="status-dropped-twice"),
        pytest.param([Fault(f"{JOB}/results", Action.DROP_BEFORE, nth=(1,))], 1, id="results-lost"),
    ],
)
def test_what_passes_gives_all_shots_of_one_job(
    fez: Any, bb84: MakePlan, faults: list[Fault], submits: int
) -> None:
    scene = fez(*faults)
    backend, plan = scene.backend, bb84()
    shots = driver.run(backend, plan, timeout_s=TIMEOUT_S)
    assert shots.bits.shape == (8, 200, 1)
    assert scene.submits == submits
    assert [handle.job_id for handle in jobs(backend, plan)] == [shots.provenance.job_id]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_submit_is_not_repeated(fez: Any, bb84: MakePlan, status: int) -> None:
    scene = fez(answer(SUBMIT, status, message="not for you"))
    backend, plan = scene.backend, bb84()
    with pytest.raises(BackendUnavailable, match=f"refused by IBM .{status}.*not for you"):
        driver.run(backend, plan, timeout_s=TIMEOUT_S)
    assert scene.submits == 1
    assert jobs(backend, plan) == []


def test_a_circuit_that_the_service_refuses_is_rejected(fez: Any, bb84: MakePlan) -> None:
    scene = fez(answer(SUBMIT, 400, message="the circuit is wrong"))
    backend = scene.backend
    with pytest.raises(CircuitRejected, match="the circuit is wrong"):
        driver.run(backend, bb84(), timeout_s=TIMEOUT_S)
    assert scene.submits == 1


def test_a_service_that_stays_throttled_is_unavailable_without_a_job(
    fez: Any, bb84: MakePlan
) -> None:
    scene = fez(answer(SUBMIT, 429))
    backend, plan = scene.backend, bb84()
    with pytest.raises(BackendUnavailable, match=r"kept failing.*a fault that was asked for"):
        driver.run(backend, plan, timeout_s=4.0)
    assert scene.submits >= 2
    assert jobs(backend, plan) == []


@pytest.mark.parametrize(
    ("fault", "reason", "means"),
    [
        (
            Fault(SUBMIT, Action.FAIL_JOB, reason="the fridge is warm", code=8001),
            "fridge is warm",
            JobFault.FAILED,
        ),
        (
            Fault(SUBMIT, Action.FAIL_JOB, reason="too long", code=1305),
            "maximum execution time",
            JobFault.FAILED,
        ),
        (  # what the vendor words so is no cancelled job
            Fault(SUBMIT, Action.FAIL_JOB, reason="cancelled", code=8001),
            "cancelled",
            JobFault.FAILED,
        ),
        (Fault(SUBMIT, Action.CANCEL_JOB), "cancelled", JobFault.CANCELLED),
        (Fault(SUBMIT, Action.LOSE_JOB), "unknown job", JobFault.UNKNOWN),
    ],
    ids=["failed", "code-1305", "failed-as-cancelled", "cancelled", "lost"],
)
def test_a_job_without_shots_fails_with_its_id_and_reason(
    fez: Any, bb84: MakePlan, fault: Fault, reason: str, means: JobFault
) -> None:
    scene = fez(fault)
    seen: list[Handle] = []
    with pytest.raises(JobFailed, match=reason.replace("unknown", "knows no")) as caught:
        driver.run(scene.backend, bb84(), timeout_s=TIMEOUT_S, on_handle=seen.append)
    assert not isinstance(caught.value, JobPending)
    assert caught.value.job_id == seen[0].job_id
    assert reason in caught.value.reason.lower()
    assert caught.value.fault is means
    assert scene.submits == 1


def test_fetch_of_a_job_without_shots_does_not_wait(fez: Any, bb84: MakePlan) -> None:
    scene = fez(Fault(SUBMIT, Action.CANCEL_JOB))
    backend, plan = scene.backend, bb84()
    handle = backend.submit(plan)
    while not backend.status(handle).is_final:
        time.sleep(0.01)
    with pytest.raises(JobFailed, match="cancelled"):
        backend.fetch(handle, plan)


def test_a_job_that_would_run_too_long_is_ended_by_the_service(
    ibm: Any, opened: Open, bb84: MakePlan
) -> None:
    ibm()
    backend, plan = opened("ibm:ibm_fez?max_execution_time=1"), bb84(shots=1000)
    with pytest.raises(JobFailed, match="maximum execution time") as caught:
        driver.run(backend, plan, timeout_s=TIMEOUT_S)
    handle = Handle(backend.name, caught.value.job_id, plan.digest)
    assert backend.spent(handle).qpu_s == 1.0


def test_a_silent_answer_to_a_look_ends_with_the_deadline(fez: Any, bb84: MakePlan) -> None:
    scene = fez(Fault(JOB, Action.STALL, seconds=30.0))
    backend, plan = scene.backend, bb84()
    start_s = time.monotonic()
    with pytest.raises(JobPending):
        driver.run(backend, plan, timeout_s=1.0)
    assert time.monotonic() - start_s < 3.0
    assert scene.submits == 1
    assert len(jobs(backend, plan)) == 1


def test_a_silent_answer_to_a_submit_ends_with_the_deadline_and_the_job_is_not_lost(
    fez: Any, bb84: MakePlan
) -> None:
    scene = fez(Fault(SUBMIT, Action.STALL, seconds=1.5))
    backend, plan = scene.backend, bb84()
    start_s = time.monotonic()
    with pytest.raises(JobPending):
        driver.run(backend, plan, timeout_s=0.7)
    assert time.monotonic() - start_s < 2.7
    while not jobs(backend, plan):  # the server accepts it late
        time.sleep(0.1)
    shots = driver.recover(backend, plan, timeout_s=TIMEOUT_S)
    assert [handle.job_id for handle in jobs(backend, plan)] == [shots.provenance.job_id]
    assert scene.submits == 1


@pytest.mark.parametrize(
    "faults",
    [
        [answer(SUBMIT, 500)],
        [
            Fault(SUBMIT, Action.DROP_AFTER, nth=(1,)),
            answer(SUBMIT, 500),
            answer("GET /experimental/jobs", 500),
        ],
    ],
    ids=["500", "lost-then-500"],
)
def test_a_service_that_answers_500_does_not_outlast_the_deadline(
    fez: Any, bb84: MakePlan, faults: list[Fault]
) -> None:
    """The client itself repeats a submit for a quarter of a minute."""
    scene = fez(*faults)
    start_s = time.monotonic()
    with pytest.raises(JobPending, match="a job may exist"):
        driver.run(scene.backend, bb84(), timeout_s=3.0)
    assert time.monotonic() - start_s < 3.0 + 2.0


def test_an_unknown_device_is_unavailable_and_the_nearest_one_is_named(ibm: Any) -> None:
    ibm()
    with pytest.raises(BackendUnavailable, match=r"no device 'ibm_fes'.*did you mean 'ibm_fez'"):
        registry.open_backend("ibm:ibm_fes")


DEVICES = "GET /experimental/backends"


@pytest.mark.parametrize("name", ["ibm_fez", "least_busy"])
def test_devices_whose_list_is_throttled_are_throttled_not_missing(ibm: Any, name: str) -> None:
    ibm(answer(DEVICES, 429, message="not so fast"))
    with pytest.raises(TransientError, match="not so fast"):
        registry.open_backend(f"ibm:{name}")
    with (
        pytest.raises(BackendUnavailable, match=r"kept failing.*not so fast"),
        chain.opened(f"ibm:{name}", clock=Clock(3)),
    ):
        pass


@pytest.mark.parametrize("name", ["ibm_fez", "least_busy"])
@pytest.mark.parametrize("nth", [(1,), (1, 2), (1, 2, 3)])
def test_a_device_is_opened_once_its_list_is_answered(
    ibm: Any, name: str, nth: tuple[int, ...]
) -> None:
    ibm(answer(DEVICES, 429, *nth))
    with chain.opened(f"ibm:{name}", clock=Clock(40)) as backend:
        assert backend.name == "ibm:ibm_fez"


@pytest.mark.parametrize("name", ["ibm_fez", "least_busy"])
def test_no_device_at_all_may_be_a_passing_state(ibm: Any, name: str) -> None:
    server = ibm()
    server.emulator = Changed(server.emulator, DEVICES, b'{"devices": []}')
    with pytest.raises(TransientError, match="shows no device"):
        registry.open_backend(f"ibm:{name}")


class Changed(Emulator):
    """The service, with one answer in place of those to one request."""

    def __init__(self, service: Emulator, line: str, body: bytes) -> None:
        self.service, self.line, self.body = service, line, body

    def answer(self, request: Request) -> Response:
        if f"{request.method} {request.path}" == self.line:
            return Response(200, self.body, {"Content-Type": "application/json"})
        return self.service.answer(request)

    def refusal(self, fault: Fault) -> Response:
        return self.service.refusal(fault)

    def environment(self, url: str) -> dict[str, str]:
        return self.service.environment(url)


@pytest.mark.parametrize(
    "fault",
    [
        answer("POST /identity/token", 401),
        answer("GET /experimental/backends/ibm_fez/configuration", 403),
        answer("GET /experimental/backends/ibm_fez/properties", 401),
    ],
    ids=["token", "configuration", "properties"],
)
def test_an_account_that_is_refused_is_unavailable_when_opened(ibm: Any, fault: Fault) -> None:
    ibm(fault)
    with pytest.raises(BackendUnavailable):
        registry.open_backend("ibm:ibm_fez")


def test_a_wrong_key_is_unavailable(ibm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ibm(token="right")  # noqa: S106 - nobody's
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "wrong-and-secret")
    with pytest.raises(BackendUnavailable, match="QISKIT_IBM_TOKEN") as caught:
        registry.open_backend("ibm:ibm_fez")
    assert "wrong-and-secret" not in str(caught.value)


def test_an_account_without_time_left_is_unavailable_before_a_submit(
    ibm: Any, opened: Open, bb84: MakePlan
) -> None:
    server = ibm(allowance_s=0.0)
    backend = opened()
    with pytest.raises(BackendUnavailable, match="no QPU time left"):
        driver.run(backend, bb84(), timeout_s=TIMEOUT_S)
    assert server.count(SUBMIT) == 0


def test_an_unknown_job_is_named(fez: Any, bb84: MakePlan) -> None:
    scene = fez()
    backend, plan = scene.backend, bb84()
    nobody = Handle(backend.name, "d0nobody", plan.digest)
    for call in (
        lambda: backend.status(nobody),
        lambda: backend.fetch(nobody, plan),
        lambda: backend.cancel(nobody),
        lambda: backend.spent(nobody),
    ):
        with pytest.raises(JobFailed, match="d0nobody") as caught:
            call()
        assert caught.value.job_id == "d0nobody"


def test_a_job_of_another_device_is_not_ours(ibm: Any, opened: Open, bb84: MakePlan) -> None:
    ibm()
    fez, torino, plan = opened(), opened("ibm:ibm_torino"), bb84()
    handle = fez.submit(plan)
    assert torino.find(plan.tags[0]) == []
    with pytest.raises(JobFailed):
        torino.status(Handle(torino.name, handle.job_id, plan.digest))
    assert fez.status(handle) in {Status.QUEUED, Status.RUNNING, Status.DONE}

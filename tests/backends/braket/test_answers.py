"""Answers that are none: proxies' pages, cut documents, and errors that mean no unknown task."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import driver, registry
from qlq.backends.emulator.braket import BraketEmulator
from qlq.backends.emulator.faults import Action, Fault
from qlq.backends.emulator.server import Request, Response, Server
from qlq.backends.port import AmbiguousSubmit, Handle, TransientError
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, JobPending

pytestmark = pytest.mark.long

GARNET = "braket:arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
FORTE = "braket:arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1"
SUBMIT = "POST /quantum-task"
TASK = "GET /quantum-task/*"
OBJECT = "GET /amazon-braket-emulator/*"
Start = Callable[..., Server]

NONE: dict[str, Callable[[bytes], bytes]] = {
    "a page": lambda _: b"<html><body>Sign in to the network</body></html>",
    "cut off": lambda body: body[: len(body) // 2],
    "empty": lambda _: b"",
    "null": lambda _: b"null",
    "a list": lambda _: b"[]",
    "another object": lambda _: b'{"message": "try again"}',
    "no text": lambda _: b"\xff\xfe\x00",
}


class Between(BraketEmulator):
    """The service behind something that changes what comes back from some requests, for a while."""

    def __init__(self, line: str, change: Callable[[bytes], bytes], *, times: int) -> None:
        super().__init__()
        self.line, self.change, self.times = line.split(), change, times

    def answer(self, request: Request) -> Response:
        response = super().answer(request)
        method, word = self.line
        if self.times < 1 or request.method != method or word not in request.path:
            return response
        self.times -= 1
        return Response(200, self.change(response.body), {"Content-Type": "text/html"})


def plan_of() -> Plan:
    angles = np.linspace(0.0, 3.0, 9).reshape(3, 3)
    return Plan(circuit.load("bb84"), angles, 40, tags=("none",))


@pytest.mark.parametrize("change", NONE.values(), ids=NONE)
@pytest.mark.parametrize(
    ("uri", "line"),
    [
        (GARNET, "GET results.json"),
        (FORTE, "GET results.json"),
        (GARNET, "GET /quantum-task/"),
        (GARNET, "POST /spending-limits"),
    ],
    ids=["set", "batch", "task", "limits"],
)
def test_what_is_no_answer_is_asked_for_again(
    start: Start, uri: str, line: str, change: Callable[[bytes], bytes]
) -> None:
    server = start()
    server.emulator = Between(line, change, times=2)
    assert driver.run(registry.open_backend(uri), plan_of(), timeout_s=60).bits.shape == (3, 40, 1)
    assert len(server.emulator.tasks) == (1 if uri == GARNET else 3)


@pytest.mark.parametrize("change", NONE.values(), ids=NONE)
def test_a_submit_whose_answer_is_none_may_have_made_a_task(
    start: Start, change: Callable[[bytes], bytes]
) -> None:
    server = start()
    server.emulator = Between("POST /quantum-task", change, times=1)
    backend = registry.open_backend(GARNET)
    with pytest.raises(AmbiguousSubmit):
        backend.submit(plan_of())
    driver.recover(backend, plan_of(), timeout_s=60)
    assert len(server.emulator.tasks) == 1
    assert server.count(SUBMIT) == 1


def test_results_that_stay_none_leave_the_job_to_be_fetched_later(start: Start) -> None:
    between = Between("GET results.json", NONE["a page"], times=1000)
    start().emulator = between
    backend = registry.open_backend(GARNET)
    handles: list[Handle] = []
    with pytest.raises(JobPending, match="perhaps a proxy's"):
        driver.run(backend, plan_of(), timeout_s=8, on_handle=handles.append)
    between.times = 0
    assert driver.resume(backend, handles[0], plan_of(), timeout_s=60).bits.shape == (3, 40, 1)


@pytest.mark.parametrize(
    ("on", "status", "code"),
    [
        (TASK, 400, "ValidationException"),
        (OBJECT, 404, "NoSuchKey"),
        (OBJECT, 404, "NoSuchBucket"),
    ],
)
def test_only_a_task_that_the_service_does_not_know_is_unknown(
    start: Start, on: str, status: int, code: str
) -> None:
    start(Fault(on, Action.ANSWER, (1,), status=status, code=code))
    backend = registry.open_backend(GARNET)
    handles: list[Handle] = []
    with pytest.raises(JobPending, match=code):
        driver.run(backend, plan_of(), timeout_s=30, on_handle=handles.append)
    assert driver.resume(backend, handles[0], plan_of(), timeout_s=60).bits.shape == (3, 40, 1)


def test_spending_limits_in_another_form_are_named(start: Start) -> None:
    body = b'{"spendingLimits": [{"deviceArn": "%s"}]}' % GARNET.partition(":")[2].encode()
    start().emulator = Between("POST /spending-limits", lambda _: body, times=1)
    with pytest.raises(BackendUnavailable, match="cannot be read"):
        registry.open_backend(GARNET).submit(plan_of())


@pytest.mark.parametrize("change", NONE.values(), ids=NONE)
def test_a_device_whose_document_is_none_cannot_be_asked_now(
    start: Start, change: Callable[[bytes], bytes]
) -> None:
    between = Between("GET /device/", change, times=1000)
    start().emulator = between
    with pytest.raises((TransientError, BackendUnavailable)) as caught:
        registry.open_backend(GARNET)
    assert "check the ARN" not in str(caught.value)
    between.times = 0
    backend = registry.open_backend(GARNET)
    between.times = 1000
    with pytest.raises((TransientError, BackendUnavailable)):
        backend.describe()

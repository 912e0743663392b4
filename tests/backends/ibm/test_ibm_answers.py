"""Answers that are none: proxies' pages, cut documents, and a 404 that means no job of ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from qlq.backends import driver, registry
from qlq.backends.emulator.faults import Action, Fault
from qlq.backends.emulator.server import Emulator, Request, Response
from qlq.backends.port import AmbiguousSubmit, Backend, Handle, TransientError
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, JobFailed, JobPending

pytestmark = pytest.mark.long

SUBMIT = "POST /experimental/jobs"
JOB = "GET /experimental/jobs/*"
PAGE = b"<html><body>Sign in to the network</body></html>"

Open = Callable[..., Backend]
MakePlan = Callable[..., Plan]

NONE: dict[str, Callable[[bytes], bytes]] = {
    "a page": lambda _: PAGE,
    "cut off": lambda body: body[: len(body) // 2],
    "empty": lambda _: b"",
    "null": lambda _: b"null",
    "a list": lambda _: b"[]",
    "another object": lambda _: b'{"message": "try again"}',
    "no text": lambda _: b"\xff\xfe\x00",
}


class Between(Emulator):
    """Something before IBM that changes what comes back from some requests, for a while.

    Args:
        service: What it stands before.
        line: Of the requests that it changes: method and the end of the path.
        change: Makes another body of the right one.
        times: How many of them.
        status: Of the changed answers.
    """

    def __init__(
        self,
        service: Emulator,
        line: str,
        change: Callable[[bytes], bytes],
        *,
        times: int,
        status: int = 200,
    ) -> None:
        self.service, self.change, self.times, self.status = service, change, times, status
        self.method, self.end = line.split()

    def answer(self, request: Request) -> Response:
        response = self.service.answer(request)
        is_asked = request.method == self.method and request.path.endswith(self.end)
        if self.times < 1 or not is_asked:
            return response
        self.times -= 1
        return Response(self.status, self.change(response.body), {"Content-Type": "text/html"})

    def refusal(self, fault: Fault) -> Response:
        return self.service.refusal(fault)

    def environment(self, url: str) -> dict[str, str]:
        return self.service.environment(url)


@pytest.mark.parametrize("change", NONE.values(), ids=NONE)
def test_results_that_are_none_are_asked_for_again(
    ibm: Any, opened: Open, bb84: MakePlan, change: Callable[[bytes], bytes]
) -> None:
    server = ibm()
    server.emulator = Between(server.emulator, "GET /results", change, times=2)
    backend, plan = opened(), bb84()
    assert driver.run(backend, plan, timeout_s=60).bits.shape == (8, 200, 1)
    assert len(backend.find(plan.tags[0])) == 1


@pytest.mark.parametrize("change", NONE.values(), ids=NONE)
def test_a_submit_whose_answer_is_none_is_looked_for_and_not_repeated(
    ibm: Any, opened: Open, bb84: MakePlan, change: Callable[[bytes], bytes]
) -> None:
    server = ibm()
    server.emulator = Between(server.emulator, "POST /jobs", change, times=1)
    backend, plan = opened(), bb84()
    with pytest.raises(AmbiguousSubmit):
        backend.submit(plan)
    driver.recover(backend, plan, timeout_s=60)
    assert server.count(SUBMIT) == 1


def test_results_that_stay_none_leave_the_job_to_be_fetched_later(
    ibm: Any, opened: Open, bb84: MakePlan
) -> None:
    server = ibm()
    between = server.emulator = Between(server.emulator, "GET /results", NONE["a page"], times=1000)
    backend, plan = opened(), bb84()
    handles: list[Handle] = []
    with pytest.raises(JobPending, match="perhaps a proxy's"):
        driver.run(backend, plan, timeout_s=4, on_handle=handles.append)
    between.times = 0
    assert driver.resume(backend, handles[0], plan, timeout_s=60).bits.shape == (8, 200, 1)


@pytest.mark.parametrize("status", [400, 404])
def test_an_answer_that_is_not_ibms_makes_no_job_unknown(
    ibm: Any, opened: Open, bb84: MakePlan, status: int
) -> None:
    server = ibm()
    between = server.emulator = Between(
        server.emulator, "GET /jobs", lambda _: PAGE, times=0, status=status
    )
    backend, plan = opened(), bb84()
    handle = backend.submit(plan)
    between.end, between.times = handle.job_id, 1
    again = registry.open_backend("ibm:ibm_fez")  # has not seen the job yet
    with pytest.raises(BackendUnavailable):
        again.status(handle)
    assert driver.resume(again, handle, plan, timeout_s=60).bits.shape == (8, 200, 1)
    again.close()


@pytest.mark.parametrize(
    ("on", "status"),
    [(JOB, 400), (f"{JOB}/results", 400), (f"{JOB}/results", 404)],
    ids=["400 of the job", "400 of the results", "404 of the results"],
)
def test_only_the_404_of_the_job_itself_makes_it_unknown(
    fez: Any, bb84: MakePlan, on: str, status: int
) -> None:
    scene = fez(Fault(on, Action.ANSWER, (1,), status=status))
    backend, plan = scene.backend, bb84()
    handles: list[Handle] = []
    with pytest.raises(JobPending):
        driver.run(backend, plan, timeout_s=30, on_handle=handles.append)
    assert driver.resume(backend, handles[0], plan, timeout_s=60).bits.shape == (8, 200, 1)
    assert scene.submits == 1


def test_no_usage_of_a_job_is_no_unknown_job(fez: Any, bb84: MakePlan) -> None:
    scene = fez(Fault(f"{JOB}/metrics", Action.ANSWER, (), status=404))
    handle = scene.backend.submit(bb84())
    with pytest.raises(BackendUnavailable):
        scene.backend.spent(handle)


def test_a_job_that_ibm_does_not_know_is_unknown_to_another_process_as_well(
    ibm: Any, opened: Open, bb84: MakePlan
) -> None:
    ibm()
    backend, plan = opened(), bb84()
    with pytest.raises(JobFailed, match="knows no job") as caught:
        backend.status(Handle(backend.name, "d0nobody", plan.digest))
    assert not isinstance(caught.value, JobPending)


def test_calibration_that_cannot_be_read_is_fetched_again(
    ibm: Any, opened: Open, bb84: MakePlan
) -> None:
    server = ibm()
    between = server.emulator = Between(server.emulator, "GET /properties", NONE["a page"], times=0)
    backend, plan = opened(), bb84()
    handle = backend.submit(plan)
    while not backend.status(handle).is_final:
        time.sleep(0.01)
    again = opened()  # must ask for the calibration at the time of the job
    between.times = 1
    with pytest.raises(TransientError):
        again.fetch(handle, plan)
    assert again.fetch(handle, plan).provenance.calibration["date"]


@pytest.mark.parametrize("change", NONE.values(), ids=NONE)
@pytest.mark.parametrize("line", ["GET /backends", "GET /properties", "GET /configuration"])
def test_a_device_whose_documents_are_none_cannot_be_asked_now(
    ibm: Any, opened: Open, line: str, change: Callable[[bytes], bytes]
) -> None:
    server = ibm()
    server.emulator = Between(server.emulator, line, change, times=1000)
    with pytest.raises((TransientError, BackendUnavailable)):
        opened()
    server.emulator.times = 0
    assert opened().describe().name == "ibm_fez"

"""Submits whose answer was lost, and what came after: one task, no other backend, a record.

The search of the real service lags behind its creates, so rows with a lag look several times
before they find what they are looking for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from qlq import circuit, config
from qlq.backends import driver, registry
from qlq.backends.emulator.braket import BraketEmulator
from qlq.backends.emulator.faults import Action, Fault, FaultScript
from qlq.backends.emulator.server import Request, Response, Server
from qlq.circuit import Plan
from qlq.errors import JobPending
from qlq.node import jobs, jobs_desk, orders
from qlq.node.consent import Caps, Consent

pytestmark = pytest.mark.long

GARNET = "braket:arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
FORTE = "braket:arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1"
SUBMIT = "POST /quantum-task"
SEARCH = "POST /quantum-tasks"
CANCEL = "PUT /quantum-task/*/cancel"
LATER = tuple(range(2, 500))
DROPPED = Fault(SUBMIT, Action.DROP_AFTER, (1,))
Start = Callable[..., Server]


def plan_of(*, rows: int = 3, tag: str = "lost") -> Plan:
    angles = np.linspace(0.0, 3.0, rows * 3).reshape(rows, 3)  # equal rows would share a task
    return Plan(circuit.load("bb84"), angles, 40, tags=(tag,))


def paid(server: Server) -> list[str]:
    """The states of all tasks; each of them but a cancelled one would be on the bill."""
    return [task.status for task in server.emulator.tasks]  # type: ignore[attr-defined]


def answer(status: int, *, on: str = SUBMIT, nth: tuple[int, ...] = LATER) -> Fault:
    return Fault(on, Action.ANSWER, nth, status=status)


class Lagging(BraketEmulator):
    """A search that knows no task until it has been asked some times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def answer(self, request: Request) -> Response:
        if request.path == "/quantum-tasks" and self.looks > 0:
            self.looks -= 1
            return Response(200, b'{"quantumTasks": []}', {"Content-Type": "application/json"})
        return super().answer(request)


@pytest.mark.parametrize("looks", [0, driver.LOOKS + 1])
@pytest.mark.parametrize("then", [answer(500), answer(503), answer(429)])
def test_a_task_whose_answer_was_lost_is_found_whatever_comes_after(
    start: Start, then: Fault, looks: int
) -> None:
    server = start(DROPPED, then)
    server.emulator = Lagging(looks)
    shots = driver.run(registry.open_backend(GARNET), plan_of(), timeout_s=40)
    assert shots.bits.shape == (3, 40, 1)
    assert paid(server) == ["COMPLETED"]


@pytest.mark.parametrize("then", [answer(500), answer(503), answer(429)])
def test_a_task_that_cannot_be_looked_for_is_pending_and_nothing_else(
    start: Start, then: Fault
) -> None:
    server = start(DROPPED, then, answer(500, on=SEARCH, nth=()))
    with pytest.raises(JobPending, match="a job may exist"):
        driver.run(registry.open_backend(GARNET), plan_of(), timeout_s=8)
    assert len(paid(server)) == 1


def test_a_service_that_is_gone_after_it_took_a_task_leaves_it_pending(start: Start) -> None:
    server = start(DROPPED)

    class Gone(BraketEmulator):
        def answer(self, request: Request) -> Response:
            response = super().answer(request)
            if request.path == "/quantum-task":
                closing.start()
                closing.join()
            return response

    closing = threading.Thread(target=server.close)
    server.emulator = Gone()
    backend = registry.open_backend(GARNET)
    with pytest.raises(JobPending, match="a job may exist"):
        driver.run(backend, plan_of(), timeout_s=8)
    assert len(paid(server)) == 1


def test_a_batch_that_is_throttled_half_way_is_no_reason_to_pay_elsewhere(start: Start) -> None:
    server = start(answer(429), queue_s=60)
    with pytest.raises(JobPending, match="1 tasks of the job exist"):
        driver.run(registry.open_backend(FORTE), plan_of(), timeout_s=6)
    assert len(paid(server)) == 1


def test_a_batch_goes_on_where_it_was_throttled(start: Start) -> None:
    server = start(answer(429, nth=tuple(n for n in range(1, 30) if n % 3)))
    shots = driver.run(registry.open_backend(FORTE), plan_of(rows=8), timeout_s=60)
    assert shots.bits.shape == (8, 40, 1)
    assert paid(server) == ["COMPLETED"] * 8


def test_tasks_of_a_refused_batch_are_cancelled_although_a_cancel_fails_for_a_while(
    start: Start,
) -> None:
    refused = Fault(SUBMIT, Action.ANSWER, (3,), status=402)
    server = start(refused, answer(500, on=CANCEL, nth=(1, 2)), queue_s=60)
    with pytest.raises(Exception, match="quota"):
        driver.run(registry.open_backend(FORTE), plan_of(), timeout_s=30)
    assert paid(server) == ["CANCELLED", "CANCELLED"]


def test_tasks_of_a_refused_batch_that_cannot_be_cancelled_are_named_and_pending(
    start: Start,
) -> None:
    refused = Fault(SUBMIT, Action.ANSWER, tuple(range(3, 500)), status=402)
    server = start(refused, answer(500, on=CANCEL, nth=()), queue_s=60)
    with pytest.raises(JobPending, match="these tasks are not cancelled: arn:aws:braket") as caught:
        driver.run(registry.open_backend(FORTE), plan_of(), timeout_s=10)
    for task in server.emulator.tasks:  # type: ignore[attr-defined]
        assert task.arn in str(caught.value)


def test_a_session_waits_for_its_lost_task_and_tries_no_other_backend(
    start: Start, tmp_path: Path
) -> None:
    """`qlq qkd run --backend braket:... --backend aer:fez`, then `qlq job resume`."""
    server = start(DROPPED, answer(500), answer(500, on=SEARCH))  # the first search is before it
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "settings")}
    settings = config.load(flags={"home": str(tmp_path / "home")}, environ=environ, profile=None)
    registry.open_backend(GARNET).close()  # imports the client, which no deadline has to wait for
    told: list[str] = []
    order = orders.Order(
        protocol="bb84",
        backend=GARNET,
        then=("aer:fez",),
        pulses=80_000,
        consent=Consent(Caps(cost=Decimal(200))),
        deadline_s=30.0,
    )
    with pytest.raises(JobPending, match="qlq job resume"):
        orders.fulfil(order, settings, told.append)
    assert len(paid(server)) == 1
    (record,) = jobs.read_all(settings.home).records
    assert (record.backend, record.state.is_final) == (GARNET, False)
    assert not any("aer:fez" in line for line in told)
    server._faults = FaultScript()
    resumed = jobs_desk.resume(settings, record.id, deadline_s=60.0, archive=None, tell=told.append)
    tasks = server.emulator.tasks  # type: ignore[attr-defined]
    assert [task.status for task in tasks] == ["COMPLETED"] * 3
    assert len({task.tags["qlq-task"] for task in tasks}) == 3  # none of them twice
    assert resumed.document is not None
    assert resumed.document["secret_bits"] > 0
    arns = [task.arn for task in sorted(tasks, key=lambda task: str(task.tags["qlq-task"]))]
    assert resumed.document["provenance"]["job_ids"] == arns
    (line,) = jobs_desk.describe_all(settings.home)
    assert line["job_ids"] == arns
    for arn in arns:  # any of them leads to the record, as on the vendor's own pages
        assert jobs.find(settings.home, f"{GARNET}:{arn}").id == record.id

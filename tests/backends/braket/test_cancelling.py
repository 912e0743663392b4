"""`qlq job cancel` of a batch that exists in part: every task of it, and what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from qlq import circuit, config
from qlq.backends import cancelling, driver, registry
from qlq.backends.emulator.braket import BraketEmulator
from qlq.backends.emulator.faults import Action, Fault, FaultScript
from qlq.backends.emulator.server import Request, Response, Server
from qlq.backends.patience import Clock
from qlq.circuit import Plan
from qlq.errors import JobPending
from qlq.node import jobs, jobs_desk, orders
from qlq.node.consent import Caps, Consent

pytestmark = pytest.mark.long

FORTE = "braket:arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1"
SUBMIT = "POST /quantum-task"
SEARCH = "POST /quantum-tasks"
BROKEN = Fault(SUBMIT, Action.ANSWER, tuple(range(4, 500)), status=500)
"""The fourth create of a batch, and all after it."""
Start = Callable[..., Server]


def plan_of(rows: int) -> Plan:
    angles = np.linspace(0.0, 3.0, rows * 3).reshape(rows, 3)
    return Plan(circuit.load("bb84"), angles, 40, tags=("half",))


def states(server: Server) -> list[str]:
    """From the oldest task on."""
    return [task.status for task in reversed(server.emulator.tasks)]  # type: ignore[attr-defined]


def half_made(server: Server) -> None:
    """Three tasks of a batch of six, whose ids nobody has."""
    server._faults = FaultScript((BROKEN,))
    with pytest.raises(JobPending):
        driver.run(registry.open_backend(FORTE), plan_of(6), timeout_s=3)
    assert len(states(server)) == 3
    server._faults = FaultScript()


def test_all_tasks_of_half_a_batch_are_cancelled_and_named(start: Start) -> None:
    server = start(queue_s=60)
    half_made(server)
    backend = registry.open_backend(FORTE)
    assert backend.find("half") == []  # it is no whole job
    found = cancelling.tagged(backend, "half", clock=Clock(30))
    assert states(server) == ["CANCELLED"] * 3
    arns = {task.arn for task in server.emulator.tasks}  # type: ignore[attr-defined]
    assert (set(found.cancelled), found.ended) == (arns, ())


def test_a_task_that_has_ended_is_told_apart(start: Start) -> None:
    server = start(queue_s=2.5)
    half_made(server)
    while states(server)[0] != "COMPLETED":
        time.sleep(0.05)
    found = cancelling.tagged(registry.open_backend(FORTE), "half", clock=Clock(30))
    for task in server.emulator.tasks:  # type: ignore[attr-defined]
        assert task.arn in (found.ended if task.status == "COMPLETED" else found.cancelled)
    assert len({*found.ended, *found.cancelled}) == 3
    assert "CANCELLED" in states(server)


def test_a_task_that_ends_while_it_is_cancelled_is_told_as_ended(start: Start) -> None:
    class Quick(BraketEmulator):
        """Ends every task between the look at it and its cancel."""

        def answer(self, request: Request) -> Response:
            if request.method == "PUT":
                for task in self.tasks:
                    with self._store._lock:
                        self._store._end(task, "COMPLETED")
            return super().answer(request)

    server = start()
    server.emulator = Quick(queue_s=60)
    half_made(server)
    found = cancelling.tagged(registry.open_backend(FORTE), "half", clock=Clock(30))
    assert found.cancelled == ()
    assert len(found.ended) == 3


def test_cancel_of_a_session_whose_batch_broke_off_ends_its_tasks_and_says_which(
    start: Start, tmp_path: Path
) -> None:
    server = start(BROKEN, queue_s=600)
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "settings")}
    settings = config.load(flags={"home": str(tmp_path / "home")}, environ=environ, profile=None)
    registry.open_backend(FORTE).close()  # imports the client, which no deadline has to wait for
    order = orders.Order(
        protocol="bb84",
        backend=FORTE,
        pulses=40_000,
        consent=Consent(Caps(cost=Decimal(10_000))),
        deadline_s=20.0,
    )
    with pytest.raises(JobPending):
        orders.fulfil(order, settings, lambda _: None)
    assert states(server) == ["QUEUED"] * 3
    server._faults = FaultScript((Fault(SEARCH, Action.ANSWER, (1,), status=500),))
    (record,) = jobs.read_all(settings.home).records
    ended = jobs_desk.cancel(settings, record.id, deadline_s=60.0)
    assert states(server) == ["CANCELLED"] * 3
    for task in server.emulator.tasks:  # type: ignore[attr-defined]
        assert task.arn in ended.detail


def test_a_session_of_which_nothing_is_found_says_so(start: Start, tmp_path: Path) -> None:
    server = start(Fault(SUBMIT, Action.DROP_BEFORE))
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "settings")}
    settings = config.load(flags={"home": str(tmp_path / "home")}, environ=environ, profile=None)
    registry.open_backend(FORTE).close()
    order = orders.Order(
        protocol="bb84",
        backend=FORTE,
        pulses=40_000,
        consent=Consent(Caps(cost=Decimal(10_000))),
        deadline_s=15.0,
    )
    with pytest.raises(JobPending):
        orders.fulfil(order, settings, lambda _: None)
    assert states(server) == []
    (record,) = jobs.read_all(settings.home).records
    ended = jobs_desk.cancel(settings, record.id, deadline_s=60.0)
    assert "was found on" in ended.detail
    assert record.submissions[0].tag in ended.detail

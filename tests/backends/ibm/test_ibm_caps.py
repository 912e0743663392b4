"""What IBM is told to end, and what it may charge: jobs, sessions, and the operator's caps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qlq import config
from qlq.backends import chain, driver
from qlq.backends.emulator.faults import Action, Fault
from qlq.backends.emulator.ibm import Pricing
from qlq.backends.emulator.server import Server
from qlq.backends.ibm_choices import SESSION_S_MAX, Choices, Mode
from qlq.backends.patience import Clock
from qlq.backends.port import Backend
from qlq.circuit import Plan
from qlq.node import jobs, orders
from qlq.node.consent import Caps, Consent

SESSION = "PATCH /experimental/sessions/*"
Open = Callable[..., Backend]
MakePlan = Callable[..., Plan]


@pytest.mark.parametrize(
    ("estimate_s", "asked", "cap_s", "expected"),
    [
        (2.5, None, None, 15),  # twice the estimate and ten seconds
        (2.5, None, 100.0, 15),
        (2.5, None, 3.0, 3),
        (2.5, None, 14.9, 14),
        (2.5, None, 2.9, 3),  # IBM knows whole seconds, and 2.5 were agreed to
        (2.5, None, 0.0, 3),
        (2.5, 60, None, 60),
        (2.5, 60, 20.0, 20),
        (2.5, 4, 20.0, 4),
        (9000.0, None, None, 10_800),
        (9000.0, None, 10_000.0, 10_000),
    ],
)
def test_a_job_may_take_what_the_uri_and_the_cap_allow(
    estimate_s: float, asked: int | None, cap_s: float | None, expected: int
) -> None:
    assert Choices(max_execution_s=asked).execution_s(estimate_s, cap_s=cap_s) == expected


@pytest.mark.parametrize(
    ("mode", "cap_s", "expected"),
    [
        (Mode.SESSION, None, SESSION_S_MAX),
        (Mode.SESSION, 30.5, 30),
        (Mode.SESSION, 1e6, SESSION_S_MAX),
        (Mode.SESSION, 1.0, 3),
        (Mode.BATCH, 30.0, SESSION_S_MAX),  # which is charged for its jobs alone
    ],
)
def test_a_session_is_charged_by_the_clock_up_to_the_cap(
    mode: Mode, cap_s: float | None, expected: int
) -> None:
    assert Choices(mode=mode).session_s(2.5, cap_s=cap_s) == expected


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_a_cap_that_is_none_is_refused(bb84: MakePlan, value: float) -> None:
    with pytest.raises(ValueError, match="qpu_s_max"):
        bb84(qpu_s_max=value)


def test_a_cap_is_no_part_of_what_runs(bb84: MakePlan) -> None:
    plan = bb84()
    assert replace(plan, qpu_s_max=7.0).digest == plan.digest


def asked_of(server: Server) -> list[float | None]:
    """`max_execution_time` of every job, oldest first."""
    found = server.emulator._store.select(lambda _: True)  # type: ignore[attr-defined]
    return [job.qpu_s_max for job in reversed(found)]


def sessions_of(server: Server) -> list[dict[str, Any]]:
    return list(server.emulator._store._sessions.values())  # type: ignore[attr-defined]


@pytest.mark.long
@pytest.mark.parametrize("lanes", [1, 4])
def test_the_cap_of_a_plan_is_told_to_ibm(
    ibm: Any, opened: Open, bb84: MakePlan, lanes: int
) -> None:
    server = ibm()
    backend = opened(f"ibm:ibm_fez?lanes={lanes}" if lanes > 1 else "ibm:ibm_fez")
    backend.submit(bb84(qpu_s_max=5.9))
    assert asked_of(server) == [5]


@pytest.mark.long
def test_a_session_is_capped_noted_and_closed(ibm: Any, bb84: MakePlan) -> None:
    server = ibm()
    with chain.opened("ibm:ibm_fez?mode=session", clock=Clock(60)) as backend:
        plan = bb84(qpu_s_max=40.0)
        assert "charged by the clock" in backend.estimate(plan).source
        driver.run(backend, plan, timeout_s=60)
        (session,) = sessions_of(server)
        assert (session["max_ttl"], session["state"]) == (40, "open")
        assert "charged by the clock" in backend.spent(backend.find(plan.tags[0])[0]).source
    assert session["state"] == "closed"
    with chain.opened("ibm:ibm_fez", clock=Clock(60)) as backend:
        assert "clock" not in backend.estimate(plan).source


@pytest.mark.long
@pytest.mark.parametrize(
    "fault",
    [
        Fault(SESSION, Action.STALL, (1,), seconds=3.0),
        Fault(SESSION, Action.ANSWER, (1, 2), status=429),
        Fault(SESSION, Action.DROP_BEFORE, (1,)),
    ],
    ids=["slow", "throttled", "lost"],
)
def test_a_session_is_closed_although_it_takes_a_while(
    ibm: Any, bb84: MakePlan, fault: Fault
) -> None:
    server = ibm(fault)
    with chain.opened("ibm:ibm_fez?mode=session", clock=Clock(60)) as backend:
        backend.submit(bb84())
    (session,) = sessions_of(server)
    assert session["state"] == "closed"


@pytest.mark.long
def test_a_session_that_cannot_be_closed_is_named(
    ibm: Any, bb84: MakePlan, caplog: pytest.LogCaptureFixture
) -> None:
    server = ibm(Fault(SESSION, Action.ANSWER, (), status=403))
    began = time.monotonic()
    with chain.opened("ibm:ibm_fez?mode=session", clock=Clock(60)) as backend:
        backend.submit(bb84())
        began = time.monotonic()
    assert time.monotonic() - began < 20
    (session,) = sessions_of(server)
    assert session["id"] in caplog.text
    assert "charged" in caplog.text


@pytest.mark.long
def test_nothing_that_is_free_is_waited_for(ibm: Any, opened: Open) -> None:
    ibm()
    assert opened("ibm:ibm_fez?mode=session").close_s_max == 1.0  # type: ignore[attr-defined]


def ordered(tmp_path: Path, caps: Caps, **wish: Any) -> jobs.Record:
    """The record of a session on IBM's emulator under these caps."""
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "settings")}
    settings = config.load(flags={"home": str(tmp_path / "home")}, environ=environ, profile=None)
    order = orders.Order(
        protocol="bb84",
        backend="ibm:ibm_fez",
        pulses=40_000,
        consent=Consent(caps),
        deadline_s=60.0,
        **wish,
    )
    orders.fulfil(order, settings, lambda _: None)
    (record,) = jobs.read_all(settings.home).records
    return record


@pytest.mark.long
@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        (Caps(qpu_s=30.0), 30),
        (Caps(cost=Decimal("1.60") * 25), 25),  # at 1.60 USD a second
        (Caps(cost=Decimal("1.60") * 25, qpu_s=22.0), 22),
    ],
    ids=["seconds", "money", "both"],
)
def test_what_an_operator_allows_is_what_ibm_may_charge(
    ibm: Any, tmp_path: Path, caps: Caps, expected: int
) -> None:
    server = ibm(pricing=Pricing.PAY_AS_YOU_GO)
    ordered(tmp_path, caps)
    assert asked_of(server) == [expected]


@pytest.mark.long
def test_a_cap_that_is_wide_leaves_the_margin_over_the_estimate(ibm: Any, tmp_path: Path) -> None:
    server = ibm()
    record = ordered(tmp_path, Caps(qpu_s=1000.0))
    assert asked_of(server) == [math.ceil(2 * record.submissions[0].estimate.qpu_s + 10)]


@pytest.mark.long
def test_eves_two_jobs_share_one_cap(ibm: Any, tmp_path: Path) -> None:
    server = ibm()
    cap_s = 36.0
    record = ordered(tmp_path, Caps(qpu_s=cap_s), eve="intercept-resend:0.1", qber_max=0.08)
    first, second = record.submissions
    assert record.agreed is not None
    assert first.spent is not None
    kept_s = record.agreed.qpu_s - first.estimate.qpu_s  # for the second one, as agreed
    assert asked_of(server) == [
        math.floor(cap_s - kept_s),
        min(math.floor(cap_s - first.spent.qpu_s), math.ceil(2 * second.estimate.qpu_s + 10)),
    ]

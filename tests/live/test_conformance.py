"""The conformance suite on a real device, when somebody names one and says what it may cost.

    QLQ_LIVE_BACKEND=ibm:ibm_fez QLQ_LIVE_MAX_QPU_SECONDS=60 uv run pytest tests/live -m live -n 0

Credentials come from where the vendor's client keeps them. The cap covers all tests of a run
together, by the backend's own estimates.
"""

from __future__ import annotations

import os
from decimal import Decimal
from typing import ClassVar

import numpy as np
import pytest

from qlq.backends import conformance, driver
from qlq.backends.conformance import BackendConformance
from qlq.backends.port import Backend, Status
from qlq.circuit import Plan
from qlq.shots import Shots

BACKEND = os.environ.get("QLQ_LIVE_BACKEND", "")
QPU_SECONDS = os.environ.get("QLQ_LIVE_MAX_QPU_SECONDS", "")
COST = os.environ.get("QLQ_LIVE_MAX_COST", "")
NOISE_MAX = float(os.environ.get("QLQ_LIVE_NOISE_MAX", "0.15"))
TIMEOUT_S = 4 * 3600.0
"""A queue may be long."""

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not (BACKEND and (QPU_SECONDS or COST)),
        reason="live: set QLQ_LIVE_BACKEND, and QLQ_LIVE_MAX_QPU_SECONDS or QLQ_LIVE_MAX_COST",
    ),
]


class Purse:
    """What is left of the caps."""

    qpu_s = float(QPU_SECONDS) if QPU_SECONDS else None
    amount = Decimal(COST) if COST else None

    @classmethod
    def pay(cls, backend: Backend, plan: Plan) -> None:
        """Take a plan's estimate from what is left; skips the test where that is not enough."""
        cost = backend.estimate(plan)
        if cls.qpu_s is not None:
            if cost.qpu_s > cls.qpu_s:
                pytest.skip(f"live: {cost.qpu_s:.1f} QPU s wanted, {cls.qpu_s:.1f} left")
            cls.qpu_s -= cost.qpu_s
        if cls.amount is not None:
            if cost.amount is None or cost.amount > cls.amount:
                pytest.skip(f"live: {cost.amount} {cost.currency} wanted, {cls.amount} left")
            cls.amount -= cost.amount


class TestLive(BackendConformance):
    uri: ClassVar[str] = BACKEND
    noise_max: ClassVar[float] = NOISE_MAX
    takes_seeds: ClassVar[bool] = False

    def shots(self, plan: Plan) -> Shots:
        for backend in self.opened():
            if plan.seed is None:
                Purse.pay(backend, plan)
            return driver.run(backend, plan, timeout_s=TIMEOUT_S)
        raise AssertionError("the backend was not opened")

    def test_a_cancelled_job_has_no_shots(self) -> None:
        """As in the suite, with a job that costs little if the cancel comes late."""
        plan = Plan(conformance.canary(), np.array([[0.3]]), 100)
        for backend in self.opened():
            Purse.pay(backend, plan)
            handle = backend.submit(plan)
            backend.cancel(handle)
            assert backend.status(handle) in {Status.CANCELLED, Status.DONE}

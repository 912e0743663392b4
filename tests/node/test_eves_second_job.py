"""A session with Eve is two paid jobs: consent covers both, or the first one waits for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from qlq.config import Settings
from qlq.errors import BudgetRefused
from qlq.node import jobs, jobs_desk, orders
from qlq.node.consent import Caps, Consent, say_yes
from qlq.node.jobs import State
from qlq.node.sessions import Session

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("no_pauses")]

YES = Consent(ask=say_yes)


def order(settings: Settings, **changes: Any) -> Session:
    """Every pulse attacked: the second job is as large as it can be."""
    wish = {"protocol": "bb84", "pulses": 60_000, "eve": "intercept-resend:1", **changes}
    return orders.fulfil(orders.Order(backend="rented", **wish), settings, lambda _text: None)


def resume(settings: Settings, allowed: Consent) -> jobs_desk.Resumed:
    return jobs_desk.resume(
        settings,
        only(settings).id,
        deadline_s=60.0,
        archive=None,
        tell=lambda _text: None,
        allowed=allowed,
    )


def only(settings: Settings) -> jobs.Record:
    (record,) = jobs.read_all(settings.home).records
    return record


@pytest.mark.parametrize("protocol", ["bb84", "e91"])
@pytest.mark.parametrize("invoice", ["transient", "ok", "dear"])
def test_an_answer_covers_both_jobs_whatever_the_first_has_cost_in_the_end(
    vendor: Any, settings: Settings, protocol: str, invoice: str
) -> None:
    vendor.script(spent=[invoice, "..."])
    assert order(settings, protocol=protocol, consent=YES).document["aborted"] is not None
    record = only(settings)
    assert (record.state, len(vendor.jobs())) == (State.ABORTED, 2)
    estimates = [job.estimate for job in record.submissions]
    assert record.agreed is not None
    assert record.agreed.amount is not None
    assert sum(cost.amount or 0 for cost in estimates) <= record.agreed.amount
    assert sum(cost.qpu_s for cost in estimates) <= record.agreed.qpu_s
    # and not much less: nobody agrees to a session for what it will never cost
    assert record.agreed.amount < Decimal("1.15") * sum(cost.amount or 0 for cost in estimates)


@pytest.mark.parametrize("protocol", ["bb84", "e91"])
def test_a_cap_that_the_estimate_of_both_jobs_exceeds_pays_for_none(
    vendor: Any, settings: Settings, protocol: str
) -> None:
    order(settings, protocol=protocol, consent=YES)
    agreed = only(settings).agreed
    assert agreed is not None
    assert agreed.amount is not None
    vendor.script()
    # rows differ by some per cent from session to session
    for cap in (Caps(cost=agreed.amount * Decimal("0.9")), Caps(qpu_s=agreed.qpu_s * 0.9)):
        with pytest.raises(BudgetRefused, match="send fewer pulses"):
            order(settings, protocol=protocol, consent=Consent(cap))
    assert vendor.calls("submit") == 0


@pytest.mark.parametrize(
    ("cap", "more", "flag"),
    [
        (Caps(cost=Decimal(2)), Caps(cost=Decimal(300)), "--max-cost 2"),
        (Caps(qpu_s=50.0), Caps(qpu_s=2000.0), "--max-qpu-seconds 50"),
    ],
)
def test_a_cap_that_the_first_job_broke_holds_until_it_is_raised_and_nothing_is_lost(
    vendor: Any, settings: Settings, cap: Caps, more: Caps, flag: str
) -> None:
    vendor.script(spent=["dear", "..."])
    with pytest.raises(BudgetRefused, match=f"has paid for.*{flag}") as caught:
        order(settings, consent=Consent(cap))
    assert f"qlq job resume {only(settings).id}" in "".join(caught.value.__notes__)
    first = vendor.paid()
    for allowed in (Consent(), YES, Consent(cap)):  # --yes never lifts a cap
        with pytest.raises(BudgetRefused, match=flag):
            resume(settings, allowed)
    assert (only(settings).state, vendor.paid()) == (State.WAITING, first)
    done = resume(settings, Consent(more))
    assert only(settings).caps == more
    assert done.document is not None
    assert done.document["provenance"]["job_ids"] == vendor.paid()
    assert (vendor.paid()[:1], len(vendor.jobs())) == (first, 2)


def test_a_price_that_has_risen_is_asked_for_again_and_paid_with_a_new_answer(
    vendor: Any, settings: Settings
) -> None:
    vendor.script(estimate=["ok", "ok", "dear", "..."])
    with pytest.raises(BudgetRefused, match="would cost"):
        order(settings, consent=YES)
    questions: list[str] = []

    def refuse(question: str) -> bool:
        questions.append(question)
        return False

    with pytest.raises(BudgetRefused):
        resume(settings, Consent(ask=refuse))
    with pytest.raises(BudgetRefused, match="--yes"):
        resume(settings, Consent())
    assert vendor.calls("submit") == 1
    assert resume(settings, YES).is_new
    assert len(questions) == 1
    assert "with the jobs that it has paid for" in questions[0]
    assert len(vendor.jobs()) == 2


def test_a_record_whose_caps_were_the_answer_goes_on(vendor: Any, settings: Settings) -> None:
    """As earlier versions wrote it: no `agreed`, and the estimate as a cap."""
    vendor.script(submit=["ok", "unavailable"], spent=["dear"])
    with pytest.raises(Exception, match="resume"):
        order(settings, consent=YES)
    with jobs.take(settings.home, only(settings).id) as job:
        whole = job.record.agreed
        assert whole is not None
        job.update(agreed=None, caps=Caps(whole.amount, whole.qpu_s))
    vendor.script()
    assert resume(settings, Consent()).is_new

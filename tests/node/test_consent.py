"""Who may spend what: every pair of a price and an operator's answer."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from qlq.backends.port import FREE, Cost
from qlq.errors import BudgetRefused
from qlq.node import consent
from qlq.node.consent import Caps, Consent

TEN = Cost(0.0, Decimal("10.00"), "USD", "price list", "2026-01-01")
SECONDS = Cost(30.0, None, "USD", "the plan's contract", None)
BOTH = Cost(30.0, Decimal("10.00"), "USD", "price list", "2026-01-01")
BLANK = Cost(0.0, None, "USD", "no price list", None)


def answer(*, yes: bool) -> tuple[consent.Ask, list[str]]:
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return yes

    return ask, asked


# Price, cap on money, cap on seconds: allowed (True), refused (False), or to be asked (None).
CAPS = [
    (FREE, None, None, True),
    (FREE, "0", 0.0, True),
    (TEN, "10.00", None, True),
    (TEN, "9.99", None, False),
    (TEN, "0", None, False),
    (TEN, None, None, None),
    (TEN, None, 100.0, None),  # no second is charged: this cap bounds nothing
    (SECONDS, None, 30.0, True),
    (SECONDS, None, 29.9, False),
    (SECONDS, "1000000", None, False),  # unknown price
    (SECONDS, "1000000", 30.0, False),
    (SECONDS, None, None, None),
    (BOTH, "10.00", None, True),
    (BOTH, None, 30.0, True),
    (BOTH, "10.00", 29.9, False),
    (BOTH, "9.99", 30.0, False),
    (BLANK, "1000000", None, False),
    (BLANK, None, 1000.0, None),
    (BLANK, None, None, None),
]


@pytest.mark.parametrize(("cost", "money", "seconds", "allowed"), CAPS)
@pytest.mark.parametrize("present", ["yes", "no", "nobody"])
def test_caps_decide_first_and_the_operator_only_what_they_leave_open(
    cost: Cost, money: str | None, seconds: float | None, allowed: bool | None, present: str
) -> None:
    ask, asked = answer(yes=present == "yes")
    caps = Caps(None if money is None else Decimal(money), seconds)
    given = Consent(caps, None if present == "nobody" else ask)
    may = allowed if allowed is not None else present == "yes"
    if may:
        given.allow(cost, what="the session")
    else:
        with pytest.raises(BudgetRefused, match="the session"):
            given.allow(cost, what="the session")
    assert bool(asked) is (allowed is None and present != "nobody")


def test_the_question_and_the_refusal_name_price_source_and_the_way_out() -> None:
    ask, asked = answer(yes=True)
    Consent(ask=ask).allow(BOTH, what="the session on ibm:fez")
    for word in ("ibm:fez", "10.00 USD", "30 QPU seconds", "price list", "2026-01-01"):
        assert word in asked[0]
    both = r"give --max-cost AMOUNT or --max-qpu-seconds S or --yes, or answer"
    for cost, ways in (
        (BOTH, both),
        (TEN, "give --max-cost AMOUNT or --yes, or answer"),
        (SECONDS, "give --max-qpu-seconds S or --yes, or answer"),
        (replace(SECONDS, qpu_s=0.0), "give --yes, or answer"),
    ):
        with pytest.raises(BudgetRefused, match=ways):
            Consent().allow(cost, what="the session")
    with pytest.raises(BudgetRefused, match="unknown"):
        Consent(Caps(cost=Decimal(5))).allow(SECONDS, what="the session")


@pytest.mark.parametrize("value", ["-0.01", "NaN", "Infinity"])
def test_a_cap_that_is_no_amount_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=value):
        Caps(cost=Decimal(value))
    with pytest.raises(ValueError, match="--max-qpu-seconds"):
        Caps(qpu_s=float(value))


def test_costs_add_up_and_an_unknown_one_stays_unknown() -> None:
    assert consent.add(TEN, TEN).amount == Decimal("20.00")
    assert consent.add(SECONDS, SECONDS).qpu_s == 60.0
    assert consent.add(TEN, SECONDS).amount is None
    assert consent.add(FREE, TEN) == consent.add(TEN, FREE) == TEN
    euros = Cost(0.0, Decimal(1), "EUR", "price list", None)
    assert consent.add(TEN, euros).amount is None


@pytest.mark.parametrize(
    ("limit", "cost", "expected"),
    [
        (TEN, TEN, True),
        (TEN, replace(TEN, amount=Decimal("10.01")), False),
        (TEN, replace(TEN, amount=Decimal("9.99"), qpu_s=0.1), False),
        (TEN, replace(TEN, currency="EUR"), False),  # nobody has agreed to euros
        (TEN, FREE, True),
        (TEN, BLANK, False),  # an unknown price in place of a known one
        (SECONDS, replace(SECONDS, qpu_s=30.1), False),
        (SECONDS, BOTH, True),  # whoever agreed to any price agreed to this one
        (BLANK, replace(TEN, amount=Decimal(1000)), True),
    ],
)
def test_what_was_agreed_to_covers_no_more(limit: Cost, cost: Cost, expected: bool) -> None:
    assert consent.is_within(cost, limit) is expected


def test_caps_given_later_replace_those_that_they_name() -> None:
    caps = Caps(Decimal(5), 10.0)
    assert caps.changed_by(Caps()) == caps
    assert caps.changed_by(Caps(cost=Decimal(6))) == Caps(Decimal(6), 10.0)
    assert caps.changed_by(Caps(qpu_s=20.0)) == Caps(Decimal(5), 20.0)


NOTHING = Cost(0.0, Decimal(0), "USD", "nothing", None)


@pytest.mark.parametrize(
    ("caps", "job", "beside", "left_s"),
    [
        (Caps(), BOTH, NOTHING, None),
        (Caps(qpu_s=100.0), BOTH, NOTHING, 100.0),
        (Caps(qpu_s=100.0), SECONDS, replace(SECONDS, qpu_s=40.0), 60.0),
        (Caps(qpu_s=100.0), SECONDS, replace(SECONDS, qpu_s=140.0), 0.0),
        (Caps(cost=Decimal(20)), BOTH, NOTHING, 60.0),  # 30 s for 10 USD
        (Caps(cost=Decimal(20)), BOTH, BOTH, 30.0),
        (Caps(cost=Decimal(20), qpu_s=50.0), BOTH, NOTHING, 50.0),
        (Caps(cost=Decimal(20)), TEN, NOTHING, None),  # no second is charged
        (Caps(cost=Decimal(20)), SECONDS, NOTHING, None),  # at an unknown price
        (Caps(cost=Decimal(20)), BOTH, BLANK, None),
    ],
)
def test_caps_leave_a_job_what_the_others_do_not_take(
    caps: Caps, job: Cost, beside: Cost, left_s: float | None
) -> None:
    assert consent.seconds_left(caps, job, beside=beside) == left_s


def test_the_rest_of_a_cost_is_never_negative() -> None:
    assert consent.rest(BOTH, replace(BOTH, qpu_s=10.0, amount=Decimal(4))) == replace(
        BOTH, qpu_s=20.0, amount=Decimal(6)
    )
    assert consent.rest(TEN, BOTH) == replace(TEN, amount=Decimal(0))
    assert consent.rest(BOTH, SECONDS).amount is None

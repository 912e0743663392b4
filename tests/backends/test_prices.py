"""Prices: amounts in decimal arithmetic, nothing guessed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from qlq.backends import prices

GARNET = "arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"


def test_a_task_costs_its_fee_and_its_shots() -> None:
    """Amazon's own example of 10,000 shots: 0.30 and the price of a shot, to the cent."""
    price = prices.braket_qpu_price("arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1")
    assert price is not None
    assert price.amount(tasks=1, shots=10_000) == Decimal("800.30")
    assert price.currency == "USD"
    assert "Amazon" in price.source


def test_many_small_prices_add_up_exactly() -> None:
    price = prices.braket_qpu_price(GARNET)
    assert price is not None
    assert sum(price.amount(tasks=0, shots=1) for _ in range(1000)) == Decimal("1.45")


@pytest.mark.parametrize(
    ("device", "shot"),
    [
        ("ionq/Aria-1", "0.03"),
        ("ionq/Forte-Enterprise-1", "0.08"),
        ("iqm/Emerald", "0.0016"),
        ("rigetti/Ankaa-3", "0.0009"),
        ("rigetti/Cepheus-1-108Q", "0.000425"),
        ("aqt/Ibex-Q1", "0.0235"),
        ("quera/Aquila", "0.01"),
    ],
)
def test_every_device_has_its_price_and_the_day_it_was_seen(device: str, shot: str) -> None:
    price = prices.braket_qpu_price(f"arn:aws:braket:us-east-1::device/qpu/{device}")
    assert price is not None
    assert (price.task, price.shot) == (Decimal("0.30"), Decimal(shot))
    assert len(price.date.split("-")) == 3


@pytest.mark.parametrize(
    "arn", ["", "iqm/garnet", "arn:aws:braket:::device/qpu/iqm/Unheard", "x:device/qpu/iqm/Garnet"]
)
def test_a_device_that_is_not_in_the_list_has_no_price(arn: str) -> None:
    assert prices.braket_qpu_price(arn) is None
    assert prices.braket_simulator_price(arn) is None


@pytest.mark.parametrize(("name", "minute"), [("sv1", "0.075"), ("dm1", "0.075"), ("tn1", "0.275")])
def test_a_simulator_costs_its_time_and_three_seconds_at_least(name: str, minute: str) -> None:
    arn = f"arn:aws:braket:::device/quantum-simulator/amazon/{name}"
    price = prices.braket_simulator_price(arn)
    assert price is not None
    assert float(price.amount(seconds=Decimal(60))) == pytest.approx(float(minute))
    assert price.amount(seconds=Decimal(0)) == price.amount(seconds=Decimal(3)) > 0


@pytest.mark.parametrize(
    ("plan", "minute"),
    [
        ("Open Plan", 0),
        ("pay-as-you-go", 96),
        ("Pay As You Go Plan", 96),
        ("paygo", 96),
        ("FLEX", 72),
        ("premium_plan", 48),
    ],
)
def test_an_ibm_plan_has_its_price_by_the_minute(plan: str, minute: int) -> None:
    price = prices.ibm_price(plan)
    assert price is not None
    assert price.amount(seconds=Decimal(60)) == minute


def test_an_unknown_plan_has_no_price() -> None:
    assert prices.ibm_price("gold") is None


def test_negative_quantities_are_refused() -> None:
    price, by_time = prices.braket_qpu_price(GARNET), prices.ibm_price("flex")
    assert price is not None
    assert by_time is not None
    with pytest.raises(ValueError, match="-1"):
        price.amount(tasks=1, shots=-1)
    with pytest.raises(ValueError, match="-1"):
        by_time.amount(seconds=Decimal(-1))

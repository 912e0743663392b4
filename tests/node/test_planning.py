"""Estimates: what a session would take, and what a pilot changes about it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from qlq.config import environment, load
from qlq.errors import BackendUnavailable, BudgetRefused, ConfigError
from qlq.node import pilots, planning
from qlq.node.consent import Caps, Consent
from qlq.node.orders import Order
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.qkd.parameters import Protocol
from qlq.shots import Shots

ENOUGH = Consent(Caps(cost=Decimal(100)))


def order(**changes: Any) -> Order:
    wish = {"protocol": "bb84", "backend": "rented", "pulses": 60_000, "consent": ENOUGH}
    return Order(**{**wish, **changes})


def pilot(**changes: Any) -> dict[str, Any]:
    shots = changes.pop("shots", 2000)
    settings = load(flags={}, environ=environment(), profile=None)
    return planning.estimate_with_pilot(
        order(**changes), settings, shots=shots, tell=lambda _text: None
    )


def test_an_estimate_submits_nothing_and_needs_no_consent(vendor: Any) -> None:
    found = planning.estimate(order(consent=Consent()))
    assert vendor.calls("submit") == 0
    # the rented device's own price and speed
    assert found["cost"]["amount"] == f"{Decimal('0.00001') * found['shots']:f}"
    assert found["cost"]["date"] == "2026-01-01"
    assert found["qpu_s"] == found["shots"] / 4000
    assert found["expected_secret_bits"] == round(
        found["secret_bits"] * found["success_probability"]
    )
    net = (found["secret_bits"] - 512) * found["success_probability"]
    expected = float(found["cost"]["amount"]) / net
    assert float(found["cost_per_net_bit"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("vendor")
def test_eve_s_second_job_is_in_the_price() -> None:
    alone, both = (planning.estimate(order(eve=eve)) for eve in (None, "intercept-resend:1"))
    ratio = Decimal(both["cost"]["amount"]) / Decimal(alone["cost"]["amount"])
    assert 2 <= ratio < Decimal("2.3")  # every pulse again, with the largest surplus of shots


@pytest.mark.parametrize("protocol", ["bb84", "e91"])
def test_a_pilot_on_an_ideal_device_bounds_the_error_rate_by_its_size(protocol: str) -> None:
    found = pilot(protocol=protocol, backend="aer", consent=Consent())
    assert (found["pilot"]["errors_key"], found["pilot"]["errors_test"]) == (0, 0)
    # Clopper and Pearson without errors, in closed form; each basis has half of the shots.
    upper = 1.0 - 0.025 ** (1.0 / 1000)
    assert found["pilot"]["qber_upper"] == pytest.approx(upper, rel=1e-9)
    assert found["predicted_qber"] == found["pilot"]["qber_upper"]
    assert found["qber_source"] == "pilot"


def test_a_pilot_measures_the_error_rate_of_a_noisy_device(vendor: Any) -> None:
    vendor.script()
    honest = pilot(backend="rented?qber=0.12")
    assert 0.09 < honest["pilot"]["qber"] < 0.15  # four standard errors
    assert honest["pilot"]["qber_upper"] > honest["pilot"]["qber"]
    assert honest["success_probability"] == 0.0
    assert vendor.calls("submit") == 1


@pytest.mark.parametrize("consent", [Consent(), Consent(Caps(cost=Decimal("0.001")))])
def test_a_pilot_needs_consent_as_a_session_does(vendor: Any, consent: Consent) -> None:
    with pytest.raises(BudgetRefused, match="the pilot on rented"):
        pilot(consent=consent)
    assert vendor.calls("submit") == 0


@pytest.mark.parametrize("shots", [-1, 0, 7, 100_001])
def test_a_pilot_of_a_useless_size_is_refused(vendor: Any, shots: int) -> None:
    with pytest.raises(ConfigError, match=str(shots)):
        pilot(shots=shots)
    assert vendor.calls("estimate") == 0


@pytest.mark.usefixtures("vendor")
def test_the_first_usable_backend_is_planned_and_classical_is_none() -> None:
    assert planning.estimate(order(backend="rented:closed", then=("rented",)))["backend"] == (
        "rented"
    )
    with pytest.raises(BackendUnavailable, match="offline until Monday"):
        planning.estimate(order(backend="rented:closed", then=("classical",)))


def test_errors_are_counted_by_basis() -> None:
    """A hand-made result: three errors in the key basis, one in the test basis."""
    plan, bases = pilots.plan_pilot(Protocol.BB84, shots=16)
    assert bases == (0, 0, 1, 1)
    bits = np.array([[0, 1, 1, 0], [1, 1, 1, 0], [0, 0, 1, 0], [1, 1, 1, 1]], dtype=np.uint8)
    origin = Provenance(
        Tier.SIMULATOR,
        Claim.SIMULATION,
        backend="hand",
        provider="tests",
        device="hand",
        kind=Kind.IDEAL,
        job_id="1",
        program_digest=plan.program.digest,
        sdk={},
    )
    shots = Shots(bits[:, :, np.newaxis], origin)
    assert pilots.count_errors(Protocol.BB84, shots, bases) == (3, 1)


def test_no_number_of_pulses_helps_where_the_prediction_is_above_the_tolerance() -> None:
    order = Order(protocol="e91", backend="cirq:rainbow", pulses=100_000)
    found = planning.estimate(order)
    assert found["predicted_qber"] > found["qber_max"]
    assert found["min_pulses_for_key"] is None
    assert found["success_probability"] < 1e-3

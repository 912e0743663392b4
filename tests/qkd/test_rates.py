"""Asymptotic rates: published thresholds and closed forms."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.qkd import rates


def test_thresholds_are_the_published_ones() -> None:
    assert rates.bb84_qber_limit() == pytest.approx(0.1100, abs=5e-5)
    assert rates.six_state_qber_limit() == pytest.approx(0.1262, abs=5e-5)
    assert rates.device_independent_qber_limit() == pytest.approx(0.07149, abs=5e-6)


def test_the_device_independent_threshold_has_its_published_chsh_value() -> None:
    qber = rates.device_independent_qber_limit()
    assert rates.werner_chsh(1.0 - 2.0 * qber) == pytest.approx(2.4240, abs=5e-5)


def test_perfect_pairs_give_one_bit() -> None:
    assert rates.bb84(0.0) == 1.0
    assert rates.six_state(0.0) == 1.0
    assert rates.device_independent(qber=0.0, s=2 * math.sqrt(2)) == pytest.approx(1.0)


def test_a_classical_chsh_value_gives_nothing() -> None:
    assert rates.device_independent(qber=0.0, s=2.0) == pytest.approx(0.0)


@given(st.floats(0.001, 0.5))
def test_weaker_assumptions_never_give_more(qber: float) -> None:
    s = 2 * math.sqrt(2) * (1 - 2 * qber)
    assert rates.bb84(qber) <= rates.six_state(qber) + 1e-12
    if s >= 2:
        assert rates.device_independent(qber=qber, s=s) <= rates.bb84(qber)


def test_bases_are_judged_one_by_one() -> None:
    """h(0.25) = 2 - 0.75 log2(3)."""
    h = 2 - 0.75 * math.log2(3)
    assert rates.bbm92(qber_key=0.25, qber_test=0.0) == pytest.approx(1 - h)
    assert rates.bbm92(qber_key=0.0, qber_test=0.25) == pytest.approx(1 - h)
    assert rates.bb84(0.25) == pytest.approx(1 - 2 * h)


@given(st.floats(0.0, 1.0))
def test_a_werner_state_loses_both_alike(visibility: float) -> None:
    assert rates.werner_chsh(visibility) == pytest.approx(2 * math.sqrt(2) * visibility)
    assert rates.werner_qber(visibility) == pytest.approx((1 - visibility) / 2)


def test_full_interception_makes_a_quarter() -> None:
    assert rates.intercept_resend_qber(1.0) == 0.25
    assert rates.intercept_resend_qber(0.4) == pytest.approx(0.1)


@pytest.mark.parametrize("wrong", [-0.1, 0.6, math.nan])
def test_error_rates_outside_their_range_are_refused(wrong: float) -> None:
    for rate in (rates.bb84, rates.six_state):
        with pytest.raises(ValueError, match="QBER"):
            rate(wrong)
    with pytest.raises(ValueError, match="QBER"):
        rates.device_independent(qber=wrong, s=2.5)


@pytest.mark.parametrize("wrong", [1.99, 2.83, math.nan])
def test_chsh_values_outside_quantum_mechanics_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="CHSH"):
        rates.device_independent(qber=0.01, s=wrong)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_shares_and_visibilities_outside_the_unit_interval_are_refused(wrong: float) -> None:
    for function in (rates.werner_chsh, rates.werner_qber, rates.intercept_resend_qber):
        with pytest.raises(ValueError, match="outside"):
            function(wrong)

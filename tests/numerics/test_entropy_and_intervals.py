"""Binary entropy and sampling bounds against mpmath, exact sums and published rates."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.numerics import entropy, intervals


@given(st.floats(1e-12, 1.0 - 1e-12))
def test_entropy_agrees_with_forty_digits(p: float) -> None:
    with mpmath.workdps(40):
        x = mpmath.mpf(p)
        exact = -x * mpmath.log(x, 2) - (1 - x) * mpmath.log(1 - x, 2)
        assert entropy.binary_entropy(p) == pytest.approx(float(exact), rel=1e-13, abs=1e-15)


def test_entropy_at_its_corners() -> None:
    assert entropy.binary_entropy(0.0) == 0.0
    assert entropy.binary_entropy(1.0) == 0.0
    assert entropy.binary_entropy(0.5) == 1.0
    assert entropy.binary_entropy(0.11002786443835955) == pytest.approx(0.5, abs=1e-13)


@given(st.floats(0.0, 1.0))
def test_the_inverse_takes_entropy_back(bits: float) -> None:
    p = entropy.inverse_binary_entropy(bits)
    assert 0.0 <= p <= 0.5
    assert entropy.binary_entropy(p) == pytest.approx(bits, abs=1e-14)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_outside_the_unit_interval_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        entropy.binary_entropy(wrong)
    with pytest.raises(ValueError, match="outside"):
        entropy.inverse_binary_entropy(wrong)


@pytest.mark.parametrize(("errors", "trials"), [(0, 20), (1, 30), (7, 50), (50, 50), (499, 500)])
def test_each_clopper_pearson_end_leaves_its_binomial_tail(errors: int, trials: int) -> None:
    """The definition: at either end the observed count has a tail of 2.5 %, summed exactly."""
    low, high = intervals.clopper_pearson(errors=errors, trials=trials, confidence=0.95)

    def upper_tail(p: float, least: int) -> float:
        return sum(
            math.comb(trials, i) * p**i * (1 - p) ** (trials - i) for i in range(least, trials + 1)
        )

    if errors:
        assert upper_tail(low, errors) == pytest.approx(0.025, rel=1e-9)
    else:
        assert low == 0.0
    if errors < trials:
        assert 1.0 - upper_tail(high, errors + 1) == pytest.approx(0.025, rel=1e-9)
    else:
        assert high == 1.0


def test_no_error_in_twenty_is_the_textbook_interval() -> None:
    """Closed form for zero errors: 1 - (alpha / 2)^(1 / n)."""
    high = intervals.clopper_pearson(errors=0, trials=20, confidence=0.95)[1]
    assert high == pytest.approx(1.0 - 0.025 ** (1 / 20), rel=1e-12)


def test_serfling_bounds_the_hypergeometric_tail() -> None:
    """Exact tail by integer binomials: Serfling's bound must lie above it, within its slack."""
    rest, sample, errors = 300, 200, 60
    total = rest + sample
    deviation = intervals.serfling_deviation(rest=rest, sample=sample, ln_failure=math.log(0.01))
    tail = sum(
        math.comb(errors, inside) * math.comb(total - errors, sample - inside)
        for inside in range(min(errors, sample) + 1)
        if (errors - inside) / rest >= inside / sample + deviation
    ) / math.comb(total, sample)
    assert 1e-9 < tail <= 0.01


def test_serfling_agrees_with_the_printed_formula() -> None:
    """The printed mu = sqrt((n+k)/(n k) (k+1)/k ln(4/eps)) is the deviation for (eps/4)^2."""
    n, k, eps = 10_000, 3_000, 1e-10
    printed = math.sqrt((n + k) / (n * k) * (k + 1) / k * math.log(4 / eps))
    ours = intervals.serfling_deviation(rest=n, sample=k, ln_failure=2 * math.log(eps / 4))
    assert ours == pytest.approx(printed, rel=1e-13)


@pytest.mark.parametrize(
    "arguments",
    [
        {"errors": 3, "trials": 2, "confidence": 0.9},
        {"errors": -1, "trials": 2, "confidence": 0.9},
        {"errors": 0, "trials": 0, "confidence": 0.9},
        {"errors": 0, "trials": 2, "confidence": 1.0},
    ],
)
def test_impossible_samples_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"errors out of|confidence"):
        intervals.clopper_pearson(**arguments)


@pytest.mark.parametrize(
    ("rest", "sample", "ln_failure"), [(0, 1, -1.0), (1, 0, -1.0), (1, 1, 0.0)]
)
def test_serfling_refuses_empty_parts(rest: int, sample: int, ln_failure: float) -> None:
    with pytest.raises(ValueError, match=r"at least 1|negative"):
        intervals.serfling_deviation(rest=rest, sample=sample, ln_failure=ln_failure)


def test_numpy_floats_are_taken() -> None:
    assert entropy.binary_entropy(float(np.float64(0.25))) == pytest.approx(
        2.0 - 0.75 * math.log2(3.0), rel=1e-15
    )

"""Entropy after conditioning: NIST's own two values, and the formula with many digits."""

from __future__ import annotations

import math

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.qrng.assessment import conditioning


def test_the_vetted_value_of_nist_s_tool() -> None:
    found = conditioning.output_entropy(n_in=2048, n_out=256, narrowest=256, h_in=1024)
    assert found == pytest.approx(256, abs=1e-12)


def test_the_unvetted_value_of_nist_s_tool() -> None:
    found = conditioning.unvetted_entropy(
        n_in=2048, n_out=1024, narrowest=1024, h_in=1600, h_assessed=0.95
    )
    assert found == pytest.approx(972.8, abs=1e-9)


def test_an_unvetted_function_never_gives_full_entropy() -> None:
    found = conditioning.unvetted_entropy(
        n_in=2048, n_out=256, narrowest=256, h_in=2048, h_assessed=1.0
    )
    assert found == pytest.approx(0.999 * 256)


@given(
    n_in=st.integers(1, 600),
    n_out=st.integers(1, 600),
    narrowest=st.integers(1, 600),
    share=st.floats(1e-6, 1.0),
)
def test_the_formula_is_that_of_the_standard(
    n_in: int, n_out: int, narrowest: int, share: float
) -> None:
    """Clause 3.1.5.1.2 with numbers long enough to hold every term."""
    h_in = n_in * share
    found = conditioning.output_entropy(n_in=n_in, n_out=n_out, narrowest=narrowest, h_in=h_in)
    n = min(n_out, narrowest)
    with mpmath.workprec(4000):
        two = mpmath.mpf(2)
        p_high = two ** -mpmath.mpf(h_in)
        p_low = (1 - p_high) / (two**n_in - 1)
        spread = two ** (n_in - n)
        psi = spread * p_low + p_high
        omega = (spread + mpmath.sqrt(2 * n * spread * mpmath.log(2))) * p_low
        expected = float(-mpmath.log(min(max(psi, omega), mpmath.mpf(1)), 2))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert found <= min(n_out, h_in)


def test_the_seed_of_a_generator_is_full_from_448_bits() -> None:
    found = conditioning.output_entropy(n_in=560, n_out=384, narrowest=512, h_in=448)
    assert found == pytest.approx(384, abs=1e-12)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"n_in": 0}, "input"),
        ({"n_out": 0}, "output"),
        ({"narrowest": -1}, "narrowest state"),
        ({"h_in": 0.0}, "min-entropy of the input"),
        ({"h_in": 101.0}, "min-entropy of the input"),
        ({"h_in": math.nan}, "min-entropy of the input"),
    ],
)
def test_numbers_out_of_range_are_named(wrong: dict[str, float], words: str) -> None:
    numbers = {"n_in": 100, "n_out": 50, "narrowest": 50, "h_in": 60.0} | wrong
    with pytest.raises(ValueError, match=words):
        conditioning.output_entropy(**numbers)  # type: ignore[arg-type]


@pytest.mark.parametrize("h", [-0.1, 1.1, math.nan])
def test_an_impossible_assessment_is_refused(h: float) -> None:
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        conditioning.unvetted_entropy(n_in=9, n_out=9, narrowest=9, h_in=4, h_assessed=h)


def test_the_vetted_functions_are_those_of_the_standard() -> None:
    """Clause 3.1.5.1.1: three keyed functions, a hash, and two derivation functions."""
    assert {one.value for one in conditioning.Vetted} == {
        "HMAC", "CMAC", "CBC-MAC", "hash function", "Hash_df", "Block_Cipher_df",
    }  # fmt: skip

"""The binary expansions of e and pi, from integers alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

EXPANSION_BITS = 1_000_000
GUARD_BITS = 128


@pytest.fixture(scope="session")
def e_bits() -> NDArray[np.uint8]:
    """The first 1,000,000 bits of e = 10.1011..., the integer part included."""
    terms = 4
    while math.lgamma(terms) < (EXPANSION_BITS + GUARD_BITS) * math.log(2):
        terms += 1_000
    numerator, denominator = sum_of_inverse_factorials(0, terms)
    return leading_bits(quotient(numerator + denominator, denominator))


@pytest.fixture(scope="session")
def pi_bits() -> NDArray[np.uint8]:
    """The first 1,000,000 bits of pi = 11.0010..., by the series of the Chudnovskys."""
    precision = EXPANSION_BITS + GUARD_BITS
    _, q, t = chudnovsky(0, precision // 47 + 2)
    root = 10005 * inverse_root(10005, precision)
    return leading_bits(quotient(426880 * q, t) * root)


def leading_bits(number: int) -> NDArray[np.uint8]:
    number >>= number.bit_length() - EXPANSION_BITS
    data = np.frombuffer(number.to_bytes(EXPANSION_BITS // 8, "big"), dtype=np.uint8)
    bits = np.unpackbits(data)
    bits.setflags(write=False)
    return bits


def sum_of_inverse_factorials(start: int, end: int) -> tuple[int, int]:
    if end - start == 1:
        return 1, end
    middle = (start + end) // 2
    p, q = sum_of_inverse_factorials(start, middle)
    r, s = sum_of_inverse_factorials(middle, end)
    return p * s + r, q * s


def chudnovsky(start: int, end: int) -> tuple[int, int, int]:
    if end - start == 1:
        k = start
        p = (6 * k - 5) * (2 * k - 1) * (6 * k - 1) if k else 1
        t = p * (13591409 + 545140134 * k)
        return p, k**3 * (640320**3 // 24) if k else 1, -t if k % 2 else t
    middle = (start + end) // 2
    p, q, t = chudnovsky(start, middle)
    r, s, u = chudnovsky(middle, end)
    return p * r, q * s, s * t + p * u


def quotient(numerator: int, denominator: int) -> int:
    """The leading bits of the quotient, good to the precision wanted."""
    precision = EXPANSION_BITS + GUARD_BITS
    cut = max(0, denominator.bit_length() - precision)
    return (numerator >> cut) * inverse(denominator >> cut, precision)


def inverse(number: int, precision: int) -> int:
    """About 2^(its length + precision) / number, by Newton's iteration."""
    length = number.bit_length()
    if precision <= 64:
        return (1 << (length + precision)) // number
    half = precision // 2 + 8
    rough = inverse(number >> max(0, length - half - 16), half) << (precision - half)
    error = (1 << (length + precision)) - number * rough
    return rough + ((error >> length) * rough >> precision)


def inverse_root(number: int, precision: int) -> int:
    """About 2^precision / sqrt(number), by Newton's iteration."""
    if precision <= 64:
        return math.isqrt((1 << (2 * precision + 64)) // number) >> 32
    half = precision // 2 + 8
    rough = inverse_root(number, half) << (precision - half)
    error = (1 << precision) - number * (rough * rough >> precision)
    return rough + (rough * error >> (precision + 1))

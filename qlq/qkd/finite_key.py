"""Secret key lengths that pay for a finite sample: closed forms of two theorems.

The symmetric bound holds for uniform bases and a random sample of all sifted rounds; the
biased bound for key and test rounds in different bases, both counts fixed beforehand. Using the
one for the other is insecure. All logarithms of lengths are base 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from qlq.numerics.entropy import binary_entropy
from qlq.numerics.intervals import serfling_deviation

SYMMETRIC_THEOREM = "Tomamichel, Leverrier, Quantum 1, 14 (2017)"
BIASED_THEOREM = "Tomamichel, Lim, Gisin, Renner, Nat. Commun. 3, 634 (2012)"

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_GOLDEN_STEPS = 90
"""Shrinks the interval by 0.618^90 = 2e-19: below the resolution of a float."""


def secret_length_bits_biased(
    *, n: int, k: int, q_tol: float, leak_bits: int, tag_bits: int, eps_sec: float
) -> int:
    """Secret bits when key rounds and test rounds lie in different bases; 0 where none are.

    Args:
        n: Key rounds, all in the key basis; fixed before the first pulse.
        k: Test rounds, all in the test basis; fixed before the first pulse.
        q_tol: Tolerated error rate of the test rounds, in [0, 0.5); the run aborts above it.
        leak_bits: Bits revealed by information reconciliation, both directions.
        tag_bits: Bits of the verification tag; the correctness epsilon is 2^-tag_bits.
        eps_sec: Secrecy epsilon, in (0, 1).

    Raises:
        ValueError: Naming the argument outside its range.

    Source:
        Tomamichel, Lim, Gisin and Renner (2012), with
        preparation quality q = 1.
    """
    length = biased_length_unclipped(
        n=n, k=k, q_tol=q_tol, leak_bits=leak_bits, tag_bits=tag_bits, eps_sec=eps_sec
    )
    return max(0, math.floor(length))


def biased_length_unclipped(
    *, n: int, k: int, q_tol: float, leak_bits: int, tag_bits: int, eps_sec: float
) -> float:
    """`secret_length_bits_biased` before rounding down and clipping, for optimisers."""
    _check(key=n, test=k, q_tol=q_tol, leak_bits=leak_bits, tag_bits=tag_bits, eps_sec=eps_sec)
    mu = deviation_biased(n=n, k=k, eps_sec=eps_sec)
    smoothing = 1.0 - 2.0 * math.log2(eps_sec)
    return _key_entropy(n, q_tol + mu) - leak_bits - tag_bits - smoothing


def deviation_biased(*, n: int, k: int, eps_sec: float) -> float:
    """mu: what is added to the test rate to bound the phase error of the key.

    Source:
        Tomamichel, Lim, Gisin and Renner (2012): the failure probability in Serfling's
        bound is (eps_sec / 4)^2.
    """
    return serfling_deviation(rest=n, sample=k, ln_failure=2.0 * math.log(eps_sec / 4.0))


def secret_length_bits_symmetric(
    *, m: int, k: int, q_tol: float, leak_bits: int, tag_bits: int, eps_sec: float
) -> int:
    """Secret bits when the test rounds are a random sample of all rounds; 0 where none are.

    Args:
        m: Sifted rounds, bases uniform.
        k: Test rounds out of the m, fixed before the first pulse; m - k make the key.
        q_tol: Tolerated error rate of the sample, in [0, 0.5); the run aborts above it.
        leak_bits: Bits revealed by information reconciliation, both directions.
        tag_bits: Bits of the verification tag; the correctness epsilon is 2^-tag_bits.
        eps_sec: Secrecy epsilon, in (0, 1); shared between estimation and amplification so that
            the key is longest.

    Raises:
        ValueError: Naming the argument outside its range.

    Source:
        Tomamichel and Leverrier (2017), the bound behind their figure 7, overlap c = 1/2.
    """
    length = symmetric_length_unclipped(
        m=m, k=k, q_tol=q_tol, leak_bits=leak_bits, tag_bits=tag_bits, eps_sec=eps_sec
    )
    return max(0, math.floor(length))


def symmetric_length_unclipped(
    *, m: int, k: int, q_tol: float, leak_bits: int, tag_bits: int, eps_sec: float
) -> float:
    """`secret_length_bits_symmetric` before rounding down and clipping.

    Where no slack below 1/2 - `q_tol` reaches `eps_sec` the value is negative and still rises
    with the sample, so that an optimiser finds its way.
    """
    n = m - k
    _check(key=n, test=k, q_tol=q_tol, leak_bits=leak_bits, tag_bits=tag_bits, eps_sec=eps_sec)
    least = math.sqrt(_ln_two_over(eps_sec) / _exponent(m=m, k=k))
    most = 0.5 - q_tol
    fixed = leak_bits + tag_bits - 2.0 - 2.0 * math.log2(eps_sec)
    # Nothing but costs: below zero for every tag, and what the bound falls under near `least`,
    # where it drops without end. So the value never rises when the demand does.
    floor = -fixed - 1.0
    if least >= most:
        return floor - n * (least - most)

    def length(slack: float) -> float:
        share = math.exp(-_exponent(m=m, k=k) * (slack**2 - least**2))
        if share >= 1.0:
            return -math.inf
        return _key_entropy(n, q_tol + slack) - fixed + 2.0 * math.log1p(-share) / math.log(2.0)

    return max(floor, length(_argmin(lambda slack: -length(slack), low=least, high=most)))


def eps_pe(*, m: int, k: int, slack: float) -> float:
    """Probability that the estimate is off by more than the slack: 2 exp(-n k^2 v^2/(m(k+1))).

    Source: Tomamichel and Leverrier (2017).
    """
    return 2.0 * math.exp(-_exponent(m=m, k=k) * slack**2)


def log2_eps_pa(
    *, n: int, q_tol: float, slack: float, leak_bits: int, tag_bits: int, length_bits: int
) -> float:
    """Binary logarithm of the amplification epsilon; a logarithm, as 2^x overflows.

    Source: Tomamichel and Leverrier (2017).
    """
    excess = leak_bits + tag_bits + length_bits - _key_entropy(n, q_tol + slack)
    return excess / 2.0 - 1.0


def eps_pa(
    *, n: int, q_tol: float, slack: float, leak_bits: int, tag_bits: int, length_bits: int
) -> float:
    """Amplification epsilon; infinite where it exceeds the largest float."""
    exponent = log2_eps_pa(
        n=n,
        q_tol=q_tol,
        slack=slack,
        leak_bits=leak_bits,
        tag_bits=tag_bits,
        length_bits=length_bits,
    )
    return 2.0**exponent if exponent < 1024.0 else math.inf  # noqa: PLR2004


def eps_sec_symmetric(
    *, m: int, k: int, q_tol: float, leak_bits: int, tag_bits: int, length_bits: int
) -> tuple[float, float]:
    """Least secrecy epsilon of a key of this length, and the slack v that reaches it.

    Source: Tomamichel and Leverrier (2017): the minimum over v in (0, 1/2 - q_tol)
    of eps_pe(v) + eps_pa(v).
    """

    def ln_sum(slack: float) -> float:
        estimation = math.log(2.0) - _exponent(m=m, k=k) * slack**2
        amplification = math.log(2.0) * log2_eps_pa(
            n=m - k,
            q_tol=q_tol,
            slack=slack,
            leak_bits=leak_bits,
            tag_bits=tag_bits,
            length_bits=length_bits,
        )
        high, low = max(estimation, amplification), min(estimation, amplification)
        return high + math.log1p(math.exp(low - high))

    slack = _argmin(ln_sum, low=0.0, high=0.5 - q_tol)
    return math.exp(min(ln_sum(slack), 700.0)), slack


def _check(
    *, key: int, test: int, q_tol: float, leak_bits: int, tag_bits: int, eps_sec: float
) -> None:
    if key < 1 or test < 1:
        raise ValueError(f"{key} key rounds and {test} test rounds: both must be at least 1")
    if not 0.0 <= q_tol < 0.5:  # noqa: PLR2004 - one half is no correlation at all
        raise ValueError(f"tolerated error rate outside [0, 0.5): {q_tol}")
    if leak_bits < 0 or tag_bits < 1:
        raise ValueError(f"leak of {leak_bits} bits and tag of {tag_bits} bits")
    if not 0.0 < eps_sec < 1.0:
        raise ValueError(f"eps_sec outside (0, 1): {eps_sec}")


def _key_entropy(n: int, phase_error: float) -> float:
    """Return n (1 - h(phase error)), where an error rate of one half or more leaves nothing."""
    return n * (1.0 - binary_entropy(min(phase_error, 0.5)))


def _exponent(*, m: int, k: int) -> float:
    """Return n k^2 / (m (k + 1)): the factor of -v^2 in eps_pe."""
    return (m - k) * k / m * k / (k + 1)


def _ln_two_over(eps: float) -> float:
    return math.log(2.0) - math.log(eps)


def _argmin(function: Callable[[float], float], *, low: float, high: float) -> float:
    """Where a function with a single minimum in (low, high) has it; golden section."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(_GOLDEN_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return left if at_left <= at_right else right

"""From a probability that was seen to the min-entropy that is claimed."""

from __future__ import annotations

import math
from collections.abc import Callable

Z_99 = 2.5758293035489008
"""The normal quantile at 0.995: two-sided confidence of 99 %. Source: SP 800-90B, clause 6.3."""
_CONFIDENCE = 0.99
_FIXED_POINT_ROUNDS = 66
_EPSILON = 2.0**-52


def upper_bound(p: float, *, count: int) -> float:
    """Upper end of the confidence interval of a probability seen in `count` trials, at most 1."""
    return min(1.0, p + Z_99 * math.sqrt(p * (1.0 - p) / (count - 1.0)))


def min_entropy(p: float) -> float:
    """-log2(p), in bits; 0 at p = 1, without a minus sign."""
    return -math.log2(p) if p < 1.0 else 0.0


def largest_root(
    function: Callable[[float], float], *, target: float, low: float, high: float
) -> float:
    """Where a decreasing function crosses `target` in (low, high), down to adjacent doubles.

    Returns the upper end of the last interval, which claims less entropy.
    """
    while low < (middle := (low + high) / 2.0) < high:
        if function(middle) > target:
            low = middle
        else:
            high = middle
    return high


def log_probability_of_no_run(p: float, *, run: int, count: int) -> float:
    """Logarithm of the chance that `count` predictions hold no run of `run` correct ones.

    Written in y = x - 1, where x is the root of 1 - x + q p^r x^(r+1) near 1: y is often
    smaller than a double's epsilon, and still counts because it is multiplied by the count.

    Args:
        p: Probability that a prediction is correct, in (0, 1).
        run: Length r of the run, at least 1.
        count: Number N of predictions.

    Source:
        SP 800-90B, clause 6.3.7, step 5.
    """
    q = 1.0 - p
    log_start = math.log(q) + run * math.log(p)
    y, earlier = 0.0, -1.0
    for _ in range(_FIXED_POINT_ROUNDS):
        if y - earlier <= _EPSILON * y:
            break
        earlier = y
        y = math.exp(log_start + (run + 1.0) * math.log1p(y))
    numerator, denominator = -p * y / q, -run * y
    if numerator <= -1.0 or denominator <= -1.0:
        return -math.inf  # rounding at the double root; a run is certain there
    return math.log1p(numerator) - math.log1p(denominator) - (count + 1.0) * math.log1p(y)


def prediction_entropy(*, correct: int, predictions: int, longest: int, alphabet: int) -> float:
    """Min-entropy per symbol left by a predictor, in bits.

    Args:
        correct: Correct predictions.
        predictions: All of them, those without a guess included; at least 2.
        longest: Length of the longest run of correct ones.
        alphabet: Number of different symbols, at least 2.

    Source:
        SP 800-90B, clauses 6.3.7 to 6.3.10: the larger one of P_global', P_local and 1/k.
    """
    if correct > 0:
        p_global = upper_bound(correct / predictions, count=predictions)
    else:
        p_global = 1.0 - 0.01 ** (1.0 / predictions)
    p = max(1.0 / alphabet, p_global)
    if p >= 1.0:
        return 0.0
    run = longest + 1
    target = math.log(_CONFIDENCE)

    def unlikely(candidate: float) -> float:
        return log_probability_of_no_run(candidate, run=run, count=predictions)

    if unlikely(p) > target:
        p = largest_root(unlikely, target=target, low=p, high=1.0)
    return min_entropy(p)

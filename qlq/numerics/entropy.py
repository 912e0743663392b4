"""Binary entropy and its inverse."""

from __future__ import annotations

import math

_BISECTION_STEPS = 60
"""Bisection halves [0, 1/2] to below one unit of the last place in this many steps."""


def binary_entropy(probability: float) -> float:
    """Entropy in bits of a bit that is 1 with this probability.

    Args:
        probability: In [0, 1].

    Raises:
        ValueError: Outside [0, 1], or not a number.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability outside [0, 1]: {probability}")
    if probability in (0.0, 1.0):
        return 0.0
    rest = math.log1p(-probability) / math.log(2.0)
    return -probability * math.log2(probability) - (1.0 - probability) * rest


def inverse_binary_entropy(entropy: float) -> float:
    """The probability in [0, 1/2] whose binary entropy is this, to 1e-15.

    Args:
        entropy: Bits, in [0, 1].

    Raises:
        ValueError: Outside [0, 1], or not a number.
    """
    if not 0.0 <= entropy <= 1.0:
        raise ValueError(f"entropy outside [0, 1]: {entropy}")
    low, high = 0.0, 0.5
    if entropy in (0.0, 1.0):
        return entropy / 2.0
    for _ in range(_BISECTION_STEPS):
        middle = (low + high) / 2.0
        if binary_entropy(middle) < entropy:
            low = middle
        else:
            high = middle
    return high

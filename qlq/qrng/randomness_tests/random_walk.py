"""The sequence as a walk of steps plus and minus one: cumulative sums and excursions from zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, ndtr

from qlq.numerics.bits import require_bits
from qlq.numerics.kernels import kernel
from qlq.qrng.randomness_tests.frequency import require_length

NEAR, FAR = 4, 9
EXCURSION_STATES = (*range(-NEAR, 0), *range(1, NEAR + 1))
VARIANT_STATES = (*range(-FAR, 0), *range(1, FAR + 1))
VISITS_MAX = 5
"""Visits of a state in one cycle are counted as 0 to 4 or at least 5. Source: 2.14.4 (6)."""


@dataclass(frozen=True, slots=True, eq=False)
class Excursions:
    """What a walk did between its returns to zero.

    Attributes:
        cycles: J, parts of the walk that start at zero and end at the next zero or, for the last
            one, at the end of the sequence.
        cycles_by_visits: int64 of shape (8, 6), read-only: of each state of `EXCURSION_STATES`,
            the cycles with 0, 1, 2, 3, 4 and at least 5 visits.
        visits: int64 of shape (18,), read-only: visits of each state of `VARIANT_STATES`.
    """

    cycles: int
    cycles_by_visits: NDArray[np.int64]
    visits: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        self.cycles_by_visits.setflags(write=False)
        self.visits.setflags(write=False)


def cumulative_sums(bits: NDArray[np.uint8]) -> tuple[float, float]:
    """p-values of the largest distance from zero, walking forwards and backwards.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, n at least 1.

    Raises:
        ValueError: For another type, shape or value.

    Source:
        SP 800-22 rev. 1a, 2.13.4.
    """
    require_length(bits, least=1)
    walk = np.cumsum(2 * bits.astype(np.int64) - 1)
    forward = int(np.abs(walk).max())
    backward = int(np.abs(walk[-1] - np.concatenate(([0], walk[:-1]))).max())
    return _reach_p_value(forward, bits.size), _reach_p_value(backward, bits.size)


def _reach_p_value(z: int, n: int) -> float:
    """Probability that a random walk of n steps gets as far as z from zero.

    The limits of the sums are rounded towards zero, as in NIST's implementation and examples.

    Source: SP 800-22 rev. 1a, 2.13.4 (4).
    """
    root, reach = math.sqrt(n), n // z
    first = np.arange(int((1 - reach) / 4), int((reach - 1) / 4) + 1)
    second = np.arange(int((-reach - 3) / 4), int((reach - 1) / 4) + 1)
    inside = (ndtr((4 * first + 1) * z / root) - ndtr((4 * first - 1) * z / root)).sum()
    outside = (ndtr((4 * second + 3) * z / root) - ndtr((4 * second + 1) * z / root)).sum()
    return min(1.0, max(0.0, float(1 - inside + outside)))


def excursions(bits: NDArray[np.uint8]) -> Excursions:
    """The walk's cycles and visits, from which both excursion tests follow.

    Args:
        bits: uint8 of shape (n,), values 0 and 1.

    Raises:
        ValueError: For another type, shape or value.

    Source:
        SP 800-22 rev. 1a, 2.14.4 (1) to (5).
    """
    require_bits(bits)
    by_visits = np.zeros((len(EXCURSION_STATES), VISITS_MAX + 1), dtype=np.int64)
    visits = np.zeros(2 * FAR + 1, dtype=np.int64)
    cycles = _walk(bits, by_visits, visits)
    return Excursions(int(cycles), by_visits, np.delete(visits, FAR))


def random_excursions(walk: Excursions) -> tuple[float, ...]:
    """p-values of the random excursions test, one for each of `EXCURSION_STATES`.

    Raises:
        ValueError: For a walk without a cycle.

    Source:
        SP 800-22 rev. 1a, 2.14.4 and 3.14.
    """
    _require_cycle(walk)
    p_values = []
    for state, observed in zip(EXCURSION_STATES, walk.cycles_by_visits, strict=True):
        expected = walk.cycles * np.array(visit_probabilities(state))
        chi_squared = float((np.square(observed - expected) / expected).sum())
        p_values.append(float(gammaincc(VISITS_MAX / 2, chi_squared / 2)))
    return tuple(p_values)


def random_excursions_variant(walk: Excursions) -> tuple[float, ...]:
    """p-values of the variant, one for each of `VARIANT_STATES`: as many visits as cycles.

    Raises:
        ValueError: For a walk without a cycle.

    Source:
        SP 800-22 rev. 1a, 2.15.4.
    """
    _require_cycle(walk)
    return tuple(
        math.erfc(
            abs(int(visits) - walk.cycles) / math.sqrt(2 * walk.cycles * (4 * abs(state) - 2))
        )
        for state, visits in zip(VARIANT_STATES, walk.visits, strict=True)
    )


def visit_probabilities(state: int) -> tuple[float, ...]:
    """Probabilities of 0, 1, 2, 3, 4 and at least 5 visits of a state in one cycle.

    Raises:
        ValueError: For the state 0, which is no excursion.

    Source:
        SP 800-22 rev. 1a, 3.14.
    """
    if state == 0:
        raise ValueError("state 0 is no excursion")
    away = 1 / (2 * abs(state))
    some = [away**2 * (1 - away) ** (visits - 1) for visits in range(1, VISITS_MAX)]
    return (1 - away, *some, away * (1 - away) ** (VISITS_MAX - 1))


def _require_cycle(walk: Excursions) -> None:
    if walk.cycles < 1:
        raise ValueError("a walk without a step has no excursions")


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64[:, ::1], int64[::1])")
def _walk(bits: NDArray[np.uint8], by_visits: NDArray[np.int64], visits: NDArray[np.int64]) -> int:
    """Fills the visits of -9 to 9 and the cycles by visits of -4 to 4; returns the cycles."""
    here = np.zeros(2 * NEAR + 1, dtype=np.int64)
    place, cycles = np.int64(0), 0
    for index in range(bits.size):
        place += 2 * np.int64(bits[index]) - 1
        if -FAR <= place <= FAR:
            visits[place + FAR] += 1
        if -NEAR <= place <= NEAR:
            here[place + NEAR] += 1
        if place == 0 or index == bits.size - 1:
            cycles += 1
            for state in range(NEAR):
                by_visits[state, min(here[state], VISITS_MAX)] += 1
                by_visits[NEAR + state, min(here[NEAR + 1 + state], VISITS_MAX)] += 1
            here[:] = 0
    return cycles

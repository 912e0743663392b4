"""One verdict from many p-values, at a stated rate of false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qlq.qrng.randomness_tests.outcome import Outcome, RandomnessTest

FAMILY_WISE_RATE = 0.01
"""Perfect sources that raise an alarm: at most one in a hundred."""

DISCLAIMER = (
    "A smoke alarm, not evidence of entropy: an alarm means that the bits are not uniform and "
    "independent, silence means nothing for their entropy. Pseudo-random bits pass as well."
)

RULE = "Bonferroni within a test, Holm across the tests"
"""How `judge` counts. Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which tests raise an alarm, every p-value counted.

    Attributes:
        family_wise_rate: Probability, at most, that a perfect source raises any alarm.
        adjusted: Of each test that was run its p-value, corrected for all p-values of that test
            and for all tests; an alarm is one at or below the rate.
        alarms: The tests that raise one, most extreme first.
    """

    family_wise_rate: float
    adjusted: tuple[tuple[RandomnessTest, float], ...]
    alarms: tuple[RandomnessTest, ...]


def judge(outcomes: Sequence[Outcome], *, family_wise_rate: float = FAMILY_WISE_RATE) -> Verdict:
    """The alarms of a suite: Bonferroni within each test, Holm across the tests.

    Both hold however the p-values depend on each other, as those of the suite do. A test with
    148 p-values weighs as much as a test with one. The rate is as good as the p-values: those of
    SP 800-22 are asymptotic.

    Args:
        outcomes: What `suite.run` returned; tests that were refused take no part.
        family_wise_rate: Above 0 and below 1.

    Raises:
        ValueError: For another rate, a test that occurs twice, or if no test was run.

    Source:
        Holm, Scandinavian Journal of Statistics 6 (1979) 65.
    """
    if not 0.0 < family_wise_rate < 1.0:
        raise ValueError(f"a rate is above 0 and below 1, not {family_wise_rate}")
    ran = [outcome for outcome in outcomes if outcome.was_run]
    if not ran:
        raise ValueError("no test was run: there is nothing to judge")
    if len({outcome.test for outcome in ran}) != len(ran):
        raise ValueError("a test occurs twice: judge one sequence at a time")
    combined = {outcome.test: outcome.combined for outcome in ran}
    ascending = sorted(combined, key=combined.__getitem__)
    corrected: dict[RandomnessTest, float] = {}
    highest = 0.0
    for index, test in enumerate(ascending):
        highest = max(highest, min(1.0, (len(ran) - index) * combined[test]))
        corrected[test] = highest
    return Verdict(
        family_wise_rate=family_wise_rate,
        adjusted=tuple((outcome.test, corrected[outcome.test]) for outcome in ran),
        alarms=tuple(test for test in ascending if corrected[test] <= family_wise_rate),
    )

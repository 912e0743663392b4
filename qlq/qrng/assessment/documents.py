"""Assessments as plain values for a JSON document."""

from __future__ import annotations

from typing import Any

from qlq.qrng.assessment.chi_square import ChiSquare
from qlq.qrng.assessment.iid import IidReport
from qlq.qrng.assessment.permutation_statistics import Statistic
from qlq.qrng.assessment.report import Assessment

MEANING = (
    "An upper bound on the min-entropy that may be claimed, if the samples are the raw output of "
    "a noise source. No evidence of a source: output of a pseudo-random generator scores as well."
)


def of_assessment(found: Assessment) -> dict[str, Any]:
    """`samples, bits, short, h_original, h_bitstring, assessed, estimators{name: value}, meaning`.

    Names are `original.` or `bitstring.` and the estimator; a value is null where an estimator
    has too little to work with, `h_bitstring` is null for data of two symbols.
    """
    return {
        "samples": found.samples,
        "bits": found.bits,
        "short": found.is_short,
        "h_original": found.h_original,
        "h_bitstring": found.h_bitstring,
        "assessed": found.assessed,
        "estimators": {
            f"{view}.{estimator.value}": value
            for view, estimates in (("original", found.original), ("bitstring", found.bitstring))
            for estimator, value in estimates.items()
        },
        "meaning": MEANING,
    }


def of_iid(found: IidReport, *, seed: int) -> dict[str, Any]:
    """Verdict, entropies and every test.

    `passed, assessed, h_original, h_bitstring, chi_square{independence, goodness_of_fit},
    longest_repeat, statistics{name: {value, above, equal, below, passed}}, shuffles, seed`.
    The entropies are null unless every test has passed. Counts of shuffles are null where
    another test had failed before any shuffle was made.
    """
    repeat = found.longest_repeat
    return {
        "passed": found.has_passed,
        "assessed": found.assessed,
        "h_original": found.h_original,
        "h_bitstring": found.h_bitstring,
        "chi_square": {
            "independence": _chi_square(found.independence),
            "goodness_of_fit": _chi_square(found.goodness_of_fit),
        },
        "longest_repeat": {
            "length": repeat.length,
            "p_value": repeat.p_value,
            "passed": repeat.has_passed,
        },
        "statistics": {one.value: _statistic(found, one) for one in found.initial},
        "shuffles": None if found.permutations is None else found.permutations.shuffles,
        "seed": seed,
    }


def _chi_square(found: ChiSquare) -> dict[str, Any]:
    return {
        "statistic": found.statistic,
        "degrees": found.degrees,
        "p_value": found.p_value,
        "passed": found.has_passed,
    }


def _statistic(found: IidReport, statistic: Statistic) -> dict[str, Any]:
    value = found.initial[statistic]
    if found.permutations is None:
        return {"value": value, "above": None, "equal": None, "below": None, "passed": None}
    rank = found.permutations.ranks[statistic]
    return {
        "value": value,
        "above": rank.above,
        "equal": rank.equal,
        "below": rank.below,
        "passed": rank.is_typical,
    }

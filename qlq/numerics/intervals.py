"""Bounds on a rate from a finite sample."""

from __future__ import annotations

import math

from scipy import special


def clopper_pearson(*, errors: int, trials: int, confidence: float) -> tuple[float, float]:
    """Two-sided exact interval of a probability, given `errors` out of `trials`.

    For independent trials only; a sample without replacement that must bound the rest takes
    `serfling_deviation`.

    Args:
        errors: 0 to `trials`.
        trials: At least 1.
        confidence: Coverage in (0, 1), for example 0.95; each tail gets half of the rest.

    Raises:
        ValueError: Outside these ranges.

    Source:
        Clopper and Pearson, Biometrika 26, 404 (1934), through the beta distribution.
    """
    if trials < 1 or not 0 <= errors <= trials:
        raise ValueError(f"{errors} errors out of {trials} trials")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence outside (0, 1): {confidence}")
    tail = (1.0 - confidence) / 2.0
    low = special.betaincinv(errors, trials - errors + 1, tail) if errors else 0.0
    high = special.betaincinv(errors + 1, trials - errors, 1.0 - tail) if errors < trials else 1.0
    return float(low), float(high)


def serfling_deviation(*, rest: int, sample: int, ln_failure: float) -> float:
    """How far the error rate of the rest may lie above that of the sample.

    A sample of fixed size is drawn without replacement from `rest + sample` positions. The rate
    among the rest exceeds the sample's rate plus this deviation with probability at most
    exp(`ln_failure`).

    Args:
        rest: Positions outside the sample, at least 1.
        sample: Positions in the sample, at least 1.
        ln_failure: Natural logarithm of the failure probability, negative.

    Raises:
        ValueError: Outside these ranges.

    Source:
        Serfling, Ann. Stat. 2, 39 (1974), as in Tomamichel, Lim, Gisin and Renner, Nat. Commun.
        3, 634 (2012): exp(-2 mu^2 n k^2 / ((n + k) (k + 1))).
    """
    if rest < 1 or sample < 1:
        raise ValueError(f"sample of {sample} beside {rest}: both must be at least 1")
    if not ln_failure < 0.0:
        raise ValueError(f"logarithm of a probability must be negative: {ln_failure}")
    size = (rest + sample) / rest * (sample + 1) / sample / sample
    return math.sqrt(size * -ln_failure / 2.0)

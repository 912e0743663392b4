"""Asymptotic key rates and state models in closed form: for plots and plans, never for a key.

Rates are secret bits per sifted round for an infinitely long key with perfect reconciliation;
they are negative where there is no key, so that roots can be found.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import optimize

from qlq.numerics.chsh import TSIRELSON
from qlq.numerics.entropy import binary_entropy


def bb84(qber: float) -> float:
    """1 - 2 h(Q) for Q in [0, 0.5], the same error rate in both bases.

    Source: Shor and Preskill, Phys. Rev. Lett. 85, 441 (2000).
    """
    return bbm92(qber_key=qber, qber_test=qber)


def bbm92(*, qber_key: float, qber_test: float) -> float:
    """1 - h(Q_key) - h(Q_test), error rates in [0, 0.5].

    Source: Shor and Preskill (2000), applied to entangled pairs; the errors of the key basis
    cost reconciliation, those of the test basis amplification.
    """
    for qber in (qber_key, qber_test):
        _check_qber(qber)
    return 1.0 - binary_entropy(qber_key) - binary_entropy(qber_test)


def six_state(qber: float) -> float:
    """1 - h(3Q/2) - (3Q/2) log 3 for Q in [0, 0.5].

    Source: Bruss, Phys. Rev. Lett. 81, 3018 (1998); Lo, Quantum Inf. Comput. 1, 81 (2001).
    """
    _check_qber(qber)
    return 1.0 - binary_entropy(1.5 * qber) - 1.5 * qber * math.log2(3.0)


def device_independent(*, qber: float, s: float) -> float:
    """1 - h(Q) - h((1 + sqrt((S/2)^2 - 1)) / 2) against collective attacks.

    Args:
        qber: Error rate of the key setting, in [0, 0.5].
        s: CHSH value in [2, 2 sqrt 2]; a value below 2 gives no key and is refused.

    Source:
        Acin, Brunner, Gisin, Massar, Pironio and Scarani, Phys. Rev. Lett. 98, 230501 (2007).
    """
    _check_qber(qber)
    if not 2.0 <= s <= TSIRELSON:  # noqa: PLR2004 - the classical bound
        raise ValueError(f"CHSH value outside [2, 2 sqrt 2]: {s}")
    eve = (1.0 + math.sqrt(max(0.0, (s / 2.0) ** 2 - 1.0))) / 2.0
    return 1.0 - binary_entropy(qber) - binary_entropy(min(eve, 1.0))


def werner_chsh(visibility: float) -> float:
    """S = 2 sqrt(2) V of a Werner state, V in [0, 1].

    Source: Werner, Phys. Rev. A 40, 4277 (1989), measured at the optimal settings.
    """
    _check_visibility(visibility)
    return TSIRELSON * visibility


def werner_qber(visibility: float) -> float:
    """Q = (1 - V) / 2 of a Werner state in every pair of equal bases, V in [0, 1]."""
    _check_visibility(visibility)
    return (1.0 - visibility) / 2.0


def intercept_resend_qber(share: float) -> float:
    """Error rate p / 4 of BB84 when a share p in [0, 1] is intercepted in a random basis."""
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share outside [0, 1]: {share}")
    return share / 4.0


def bb84_qber_limit() -> float:
    """The error rate at which `bb84` is zero, 11.00 %."""
    return _root(bb84, high=0.5)


def six_state_qber_limit() -> float:
    """The error rate at which `six_state` is zero, 12.62 %."""
    return _root(six_state, high=1.0 / 3.0)


def device_independent_qber_limit() -> float:
    """The error rate 7.149 % where `device_independent` with S = 2 sqrt 2 (1 - 2Q) is zero."""
    most = (1.0 - 2.0 / TSIRELSON) / 2.0 - 1e-12

    def rate(qber: float) -> float:
        return device_independent(qber=qber, s=TSIRELSON * (1.0 - 2.0 * qber))

    return _root(rate, high=most)


def _root(rate: Callable[[float], float], *, high: float) -> float:
    return float(optimize.brentq(rate, 1e-9, high, xtol=1e-14))


def _check_qber(qber: float) -> None:
    if not 0.0 <= qber <= 0.5:  # noqa: PLR2004
        raise ValueError(f"QBER outside [0, 0.5]: {qber}")


def _check_visibility(visibility: float) -> None:
    if not 0.0 <= visibility <= 1.0:
        raise ValueError(f"visibility outside [0, 1]: {visibility}")

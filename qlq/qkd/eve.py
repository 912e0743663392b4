"""An eavesdropper in the quantum link."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

ANGLE_MAX_RAD = 2.0 * math.pi
"""More than a turn is a number in degrees by mistake."""


class EveBasis(StrEnum):
    """How Eve chooses the axis she measures along."""

    RANDOM = "random"
    KEY = "key"
    TEST = "test"
    ANGLE = "angle"


@dataclass(frozen=True, slots=True)
class InterceptResend:
    """Eve measures a random fraction of the signals and sends on what she saw.

    Attributes:
        fraction: Probability of an attack on each pulse, in [0, 1].
        basis: Random (key or test basis with equal probability), key, test, or a fixed angle.
        angle_rad: Angle on the Bloch sphere from the Z axis towards X; only for ANGLE.
    """

    fraction: float
    basis: EveBasis = EveBasis.RANDOM
    angle_rad: float | None = None

    def __post_init__(self) -> None:
        """Refuse a fraction that is no probability and an angle without its basis."""
        if not 0.0 <= self.fraction <= 1.0:
            raise ValueError(f"Eve's fraction must be within [0, 1]: {self.fraction}")
        if (self.basis is EveBasis.ANGLE) != (self.angle_rad is not None):
            raise ValueError("an angle goes with basis ANGLE, and only with it")
        if self.angle_rad is not None and not abs(self.angle_rad) <= ANGLE_MAX_RAD:
            raise ValueError(
                f"Eve's angle must be within [-2 pi, 2 pi] radians: {self.angle_rad}; write "
                "degrees as 45deg"
            )

    def angles_rad(self, *, key_rad: float, test_rad: float) -> tuple[float, ...]:
        """The angles she chooses from, with equal probability."""
        match self.basis:
            case EveBasis.RANDOM:
                return (key_rad, test_rad)
            case EveBasis.KEY:
                return (key_rad,)
            case EveBasis.TEST:
                return (test_rad,)
            case _:
                return (float(self.angle_rad or 0.0),)

    def plan_attack(
        self, count: int, *, axes: int, sim_rng: np.random.Generator
    ) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        """Which of `count` pulses she attacks (bool), and the index of her axis (uint8)."""
        attacked = sim_rng.random(count) < self.fraction
        return attacked, sim_rng.integers(0, axes, count, dtype=np.uint8)


_SPEC = re.compile(r"intercept-resend:(?P<fraction>[^@]+)(?:@(?P<basis>.+))?")


def parse(text: str) -> InterceptResend:
    """The attack written as `intercept-resend:P[@random|key|test|ANGLE]`.

    ANGLE is in radians, or in degrees with the suffix `deg`. Raises ValueError naming the text.
    """
    found = _SPEC.fullmatch(text)
    if not found:
        raise ValueError(
            f"no such attack: {text!r}; write intercept-resend:P[@random|key|test|ANGLE], "
            "ANGLE in radians, or in degrees as 45deg"
        )
    fraction = _number(found["fraction"], what="Eve's fraction")
    basis = found["basis"] or "random"
    if basis in ("random", "key", "test"):
        return InterceptResend(fraction, EveBasis(basis))
    if basis.endswith("deg"):
        angle = math.radians(_number(basis[:-3], what="Eve's angle"))
    else:
        angle = _number(basis, what="Eve's basis (random, key, test) or angle")
    return InterceptResend(fraction, EveBasis.ANGLE, angle)


def _number(text: str, *, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what} is not a number: {text!r}") from None

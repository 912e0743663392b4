"""BB84 with biased or uniform bases: from settings to circuit inputs.

Key basis Z (angle 0), test basis X (angle pi/2). Alice prepares her bit along the axis of her
basis, Bob measures along his.

Source: Bennett and Brassard (1984); Lo, Chau, Ardehali, "Efficient quantum key distribution
scheme", J. Cryptology 18 (2005).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qlq import circuit
from qlq.qkd.link import Arrangement

SETTINGS_ALICE = 2
SETTINGS_BOB = 2
KEY_ANGLE_RAD = 0.0
TEST_ANGLE_RAD = math.pi / 2


def arrangement() -> Arrangement:
    """Circuit and angles; Alice's input index is 2 * setting + bit, Bob's is his setting."""
    axes = (KEY_ANGLE_RAD, TEST_ANGLE_RAD)
    return Arrangement(
        program=circuit.load("bb84"),
        alice_angles=np.array([(bit * math.pi, axis) for axis in axes for bit in (0, 1)]),
        bob_angles=np.array([(axis,) for axis in axes]),
        alice_bit=None,
        bob_bit=0,
        key_rad=KEY_ANGLE_RAD,
        test_rad=TEST_ANGLE_RAD,
    )


def alice_inputs(settings: NDArray[np.uint8], bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Index of Alice's angles for each pulse (uint8)."""
    return ((settings << 1) | bits).astype(np.uint8)

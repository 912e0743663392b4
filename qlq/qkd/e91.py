"""E91: entangled pairs, key from one mutually unbiased setting pair, CHSH as a witness.

Alice measures along 0 or pi/2, Bob along 0, pi/4, pi/2 or 3 pi/4 (angles from Z towards X).
Key from (pi/2, pi/2), test from (0, 0), CHSH from the four pairs with Bob at pi/4 and 3 pi/4.
The classic three by three settings are not used: their coincident pairs lie 45 degrees apart,
so that the entropic bound for mutually unbiased bases would not hold for them.

Source: Ekert, Phys. Rev. Lett. 67, 661 (1991); Bennett, Brassard, Mermin, Phys. Rev. Lett. 68,
557 (1992); Clauser, Horne, Shimony, Holt, Phys. Rev. Lett. 23, 880 (1969).
"""

from __future__ import annotations

import math

import numpy as np

from qlq import circuit
from qlq.qkd.link import Arrangement

SETTINGS_ALICE = 2
SETTINGS_BOB = 4
KEY_ANGLE_RAD = math.pi / 2
TEST_ANGLE_RAD = 0.0


def arrangement() -> Arrangement:
    """Circuit and angles in the order of `settings.Setting`; both parties get an outcome."""
    return Arrangement(
        program=circuit.load("e91"),
        alice_angles=np.array([(KEY_ANGLE_RAD,), (TEST_ANGLE_RAD,)]),
        bob_angles=np.array(
            [(KEY_ANGLE_RAD,), (TEST_ANGLE_RAD,), (math.pi / 4,), (3 * math.pi / 4,)]
        ),
        alice_bit=0,
        bob_bit=1,
        key_rad=KEY_ANGLE_RAD,
        test_rad=TEST_ANGLE_RAD,
    )

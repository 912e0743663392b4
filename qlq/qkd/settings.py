"""Each party's choices, drawn for every pulse from its own generator.

A party owns a 32-byte seed of operating-system entropy. Each kind of choice has its own key
stream of a ChaCha20 generator, so that no choice tells anything about another. The two
parties' seeds are independent.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from qlq.crypto import stream
from qlq.qkd.parameters import BIAS_STEPS

SEED_BYTES = 32


class Setting(IntEnum):
    """Measurement settings of both protocols; BB84 has the first two, and so has Alice of E91."""

    KEY = 0
    TEST = 1
    CHSH_LOW = 2
    CHSH_HIGH = 3


def draw_settings(seed: bytes, *, thresholds: tuple[int, ...], count: int) -> NDArray[np.uint8]:
    """One setting for each of `count` pulses (uint8).

    Args:
        seed: The party's 32 secret bytes.
        thresholds: Ascending upper ends, in 1/65536, of the interval of each setting; the last
            is 65536.
        count: Number of pulses.
    """
    if thresholds[-1] != BIAS_STEPS or list(thresholds) != sorted(thresholds):
        raise ValueError(f"thresholds must ascend to {BIAS_STEPS}: {thresholds}")
    table = np.searchsorted(np.asarray(thresholds), np.arange(BIAS_STEPS), side="right")
    draws = np.frombuffer(stream.expand(seed, label="settings", length=2 * count), dtype="<u2")
    settings: NDArray[np.uint8] = table.astype(np.uint8)[draws]
    return settings


def draw_bits(seed: bytes, *, count: int) -> NDArray[np.uint8]:
    """One uniform bit for each of `count` pulses (uint8)."""
    return draw_seed_bits(seed, label="bits", count=count)


def draw_seed_bits(seed: bytes, *, label: str, count: int) -> NDArray[np.uint8]:
    """`count` uniform bits (uint8) of the stream with this label."""
    data = stream.expand(seed, label=label, length=(count + 7) // 8)
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8))[:count]

"""Peaks of the discrete Fourier transform."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from qlq.qrng.randomness_tests.frequency import require_length

BELOW = 0.95
"""Share of the peaks that stays below the threshold in a random sequence. Source: 2.6.4 (5)."""


def spectral(bits: NDArray[np.uint8]) -> float:
    """p-value of the spectral test: 95 % of the peaks below sqrt(n ln 20).

    The variance is the one of the standard, n * 0.95 * 0.05 / 4. It errs on the side of too few
    alarms. The standard's two worked examples, of 10 and of 100 bits, print counts of peaks that
    their bits do not have; its values for e and pi are met.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, n at least 2.

    Raises:
        ValueError: For another type, shape or value, or fewer bits.

    Source:
        SP 800-22 rev. 1a, 2.6.4.
    """
    require_length(bits, least=2)
    n = bits.size
    peaks = np.abs(fft.rfft(2.0 * bits - 1.0)[: n // 2])
    below = int(np.count_nonzero(peaks < math.sqrt(math.log(1 / (1 - BELOW)) * n)))
    deviation = (below - BELOW * n / 2) / math.sqrt(n * BELOW * (1 - BELOW) / 4)
    return math.erfc(abs(deviation) / math.sqrt(2))

"""Maurer's universal statistical test: how far back each word last occurred."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qlq.numerics.kernels import kernel
from qlq.qrng.randomness_tests.frequency import require_length

MOMENTS: dict[int, tuple[float, float]] = {
    2: (1.5374383, 1.338),
    6: (5.2177052, 2.954),
    7: (6.1962507, 3.125),
    8: (7.1836656, 3.238),
    9: (8.1764248, 3.311),
    10: (9.1723243, 3.356),
    11: (10.170032, 3.384),
    12: (11.168765, 3.401),
    13: (12.168070, 3.410),
    14: (13.167693, 3.416),
    15: (14.167488, 3.419),
    16: (15.167379, 3.421),
}
"""Mean and variance of log2 of the distance, by word length L in bits.

Source: SP 800-22 rev. 1a, 2.9.4 (5), from the Handbook of Applied Cryptography; L = 2 is the one
of the worked example.
"""

LENGTHS_BITS: dict[int, int] = {
    6: 387_840,
    7: 904_960,
    8: 2_068_480,
    9: 4_654_080,
    10: 10_342_400,
    11: 22_753_280,
    12: 49_643_520,
    13: 107_560_960,
    14: 231_669_760,
    15: 496_435_200,
    16: 1_059_061_760,
}
"""Least length of the sequence, by word length L. Source: SP 800-22 rev. 1a, 2.9.7."""


def word_length(length_bits: int) -> int:
    """L for a sequence of this length.

    Raises:
        ValueError: Below 387,840 bits, the least for L = 6.
    """
    fitting = [word for word, least in LENGTHS_BITS.items() if length_bits >= least]
    if not fitting:
        raise ValueError(f"{length_bits} bits, where the test needs at least {LENGTHS_BITS[6]}")
    return max(fitting)


def universal(bits: NDArray[np.uint8], *, word_bits: int, initial_words: int) -> float:
    """p-value of Maurer's test: words return after the distances of a random sequence.

    The spread follows the formula of the standard's 2.9.4 (6), whose factor c is a fit for
    L >= 6; for L = 2, as in the standard's example, c is left at 1.

    Args:
        bits: uint8 of shape (n,), values 0 and 1.
        word_bits: L, a key of `MOMENTS`.
        initial_words: Q, words that only fill the table, at least 1; NIST's is 10 * 2^L.

    Raises:
        ValueError: For another type, shape, value or word length, or no word after the first Q.

    Source:
        SP 800-22 rev. 1a, 2.9.4 and 3.9.
    """
    if word_bits not in MOMENTS or initial_words < 1:
        raise ValueError(f"no moments for words of {word_bits} bits after {initial_words} words")
    require_length(bits, least=word_bits * (initial_words + 1))
    mean, variance = MOMENTS[word_bits]
    count = bits.size // word_bits - initial_words
    statistic = _log_distances(bits, word_bits, initial_words) / count
    factor = 1.0
    if word_bits in LENGTHS_BITS:
        spread = (4 + 32 / word_bits) * count ** (-3 / word_bits) / 15
        factor = 0.7 - 0.8 / word_bits + spread
    sigma = factor * math.sqrt(variance / count)
    return math.erfc(abs(statistic - mean) / (math.sqrt(2) * sigma))


@kernel("float64(Array(uint8, 1, 'C', readonly=True), int64, int64)")
def _log_distances(bits: NDArray[np.uint8], word_bits: int, initial_words: int) -> float:
    """Sum of log2 of the distances, over the words after the initial ones."""
    last = np.zeros(1 << word_bits, dtype=np.int64)
    total = 0.0
    for place in range(1, bits.size // word_bits + 1):
        word = np.int64(0)
        for index in range((place - 1) * word_bits, place * word_bits):
            word = (word << 1) | np.int64(bits[index])
        if place > initial_words:
            total += math.log2(place - last[word])
        last[word] = place
    return total

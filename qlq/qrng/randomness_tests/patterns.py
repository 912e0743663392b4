"""How often all words of a length occur, read around the end: serial and approximate entropy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, xlogy

from qlq.numerics.kernels import kernel
from qlq.qrng.randomness_tests.frequency import require_length

WORD_BITS_MAX = 24
"""Longest word counted: 2^24 counters are 128 MiB."""


def serial(bits: NDArray[np.uint8], *, word_bits: int) -> tuple[float, float]:
    """Both p-values of the serial test: every word of m bits as often as any other.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, n at least m.
        word_bits: m, 3 to 24.

    Returns:
        The p-values of the first and of the second difference of psi squared.

    Raises:
        ValueError: For another type, shape, value or word length, or fewer bits.

    Source:
        SP 800-22 rev. 1a, 2.11.4.
    """
    _require_word(bits, word_bits, least=3)
    counts = _circular_counts(bits, word_bits)
    psi = []
    for m in range(word_bits, word_bits - 3, -1):
        psi.append(2**m / bits.size * float(np.square(counts, dtype=np.float64).sum()) - bits.size)
        counts = counts.reshape(-1, 2).sum(axis=1)
    first, second = psi[0] - psi[1], psi[0] - 2 * psi[1] + psi[2]
    return (
        float(gammaincc(2.0 ** (word_bits - 2), first / 2)),
        float(gammaincc(2.0 ** (word_bits - 3), max(0.0, second) / 2)),
    )


def approximate_entropy(bits: NDArray[np.uint8], *, word_bits: int) -> float:
    """p-value of the approximate entropy test: words of m and of m + 1 bits compared.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, n at least m + 1.
        word_bits: m, 1 to 23.

    Raises:
        ValueError: For another type, shape, value or word length, or fewer bits.

    Source:
        SP 800-22 rev. 1a, 2.12.4.
    """
    _require_word(bits, word_bits + 1, least=2)
    longer = _circular_counts(bits, word_bits + 1)
    phi = [
        float(xlogy(counts, counts / bits.size).sum()) / bits.size
        for counts in (longer.reshape(-1, 2).sum(axis=1), longer)
    ]
    chi_squared = 2 * bits.size * (math.log(2) - (phi[0] - phi[1]))
    return float(gammaincc(2.0 ** (word_bits - 1), max(0.0, chi_squared) / 2))


def _require_word(bits: NDArray[np.uint8], word_bits: int, *, least: int) -> None:
    if not least <= word_bits <= WORD_BITS_MAX:
        raise ValueError(f"words of {least} to {WORD_BITS_MAX} bits are counted, not {word_bits}")
    require_length(bits, least=word_bits)


@kernel("int64[::1](Array(uint8, 1, 'C', readonly=True), int64)")
def _circular_counts(bits: NDArray[np.uint8], word_bits: int) -> NDArray[np.int64]:
    """Occurrences of each word, one for each place of the sequence joined to its beginning."""
    counts = np.zeros(1 << word_bits, dtype=np.int64)
    mask = (1 << word_bits) - 1
    word = np.int64(0)
    for index in range(word_bits - 1):
        word = (word << 1) | np.int64(bits[index])
    for index in range(word_bits - 1, bits.size):
        word = ((word << 1) | np.int64(bits[index])) & mask
        counts[word] += 1
    for index in range(word_bits - 1):
        word = ((word << 1) | np.int64(bits[index])) & mask
        counts[word] += 1
    return counts

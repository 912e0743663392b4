"""Ones and runs: frequency, block frequency, runs, longest run of ones.

Each function is the formula alone: it takes any length for which the formula is defined. The
lengths below which NIST does not recommend a test are in `suite`, and so are its parameters.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from qlq.numerics.bits import popcount, require_bits
from qlq.numerics.kernels import kernel

LONGEST_RUN_RULES: tuple[tuple[int, int, int, tuple[float, ...]], ...] = (
    (750_000, 10_000, 10, (0.0882, 0.2092, 0.2483, 0.1933, 0.1208, 0.0675, 0.0727)),
    (6_272, 128, 4, (0.1174035788, 0.242955959, 0.249363483, 0.17517706, 0.102701071, 0.112398847)),
    (128, 8, 1, (0.21484375, 0.3671875, 0.23046875, 0.1875)),
)
"""Least length in bits, block length M, longest run of the first class, class probabilities.

Those of 10,000 bits are the rounded ones of the standard, off by up to 0.0016, with which its
results were made: of no weight up to 10 Mbit. The others have the digits of NIST's implementation.

Source: SP 800-22 rev. 1a, 2.4.2, 2.4.4 and 3.4.
"""


def frequency(bits: NDArray[np.uint8]) -> float:
    """p-value of the frequency (monobit) test: as many ones as zeros.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, n at least 1.

    Raises:
        ValueError: For another type, shape or value.

    Source:
        SP 800-22 rev. 1a, 2.1.4.
    """
    require_length(bits, least=1)
    excess = abs(2 * popcount(bits) - bits.size)
    return math.erfc(excess / math.sqrt(2 * bits.size))


def block_frequency(bits: NDArray[np.uint8], *, block_bits: int) -> float:
    """p-value of the test for equally many ones and zeros in each block.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, at least one block.
        block_bits: M, at least 1; what remains after the last whole block is left out.

    Raises:
        ValueError: For another type, shape or value, or less than one block.

    Source:
        SP 800-22 rev. 1a, 2.2.4.
    """
    if block_bits < 1:
        raise ValueError(f"a block has at least one bit, not {block_bits}")
    require_length(bits, least=block_bits)
    blocks = bits.size // block_bits
    ones = bits[: blocks * block_bits].reshape(blocks, block_bits).sum(axis=1, dtype=np.int64)
    chi_squared = 4 * block_bits * float(np.square(ones / block_bits - 0.5).sum())
    return float(gammaincc(blocks / 2, chi_squared / 2))


def runs(bits: NDArray[np.uint8]) -> float:
    """p-value of the runs test: neither too many nor too few changes between neighbours.

    Zero where the ones are so far from one half that the frequency test has failed already:
    NIST does not compute the statistic then and sets its p-value to 0.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, n at least 1.

    Raises:
        ValueError: For another type, shape or value.

    Source:
        SP 800-22 rev. 1a, 2.3.4.
    """
    require_length(bits, least=1)
    n = bits.size
    ones = popcount(bits) / n
    spread = ones * (1 - ones)
    if not abs(ones - 0.5) < 2 / math.sqrt(n) or spread == 0:
        return 0.0
    count = 1 + int(np.count_nonzero(bits[1:] != bits[:-1]))
    return math.erfc(abs(count - 2 * n * spread) / (2 * math.sqrt(2 * n) * spread))


def longest_run(bits: NDArray[np.uint8]) -> float:
    """p-value of the test for the longest run of ones within a block.

    The block length (8, 128 or 10,000 bits) follows from the length of the sequence.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, n at least 128.

    Raises:
        ValueError: For another type, shape or value, or fewer bits.

    Source:
        SP 800-22 rev. 1a, 2.4.4.
    """
    require_length(bits, least=LONGEST_RUN_RULES[-1][0])
    _, block_bits, shortest, probabilities = next(
        rule for rule in LONGEST_RUN_RULES if bits.size >= rule[0]
    )
    longest = _longest_runs(bits, block_bits)
    classes = np.clip(longest - shortest, 0, len(probabilities) - 1)
    observed = np.bincount(classes, minlength=len(probabilities))
    return chi_squared_p_value(observed, probabilities)


def chi_squared_p_value(observed: NDArray[np.int64], probabilities: tuple[float, ...]) -> float:
    """p-value of Pearson's statistic with one degree of freedom less than classes.

    Args:
        observed: Counts of shape (classes,), at least 1 in sum.
        probabilities: Of each class, above 0; their sum is 1 but for rounding.

    Source:
        SP 800-22 rev. 1a, 3.4 and 5.5.3 (igamc).
    """
    expected = int(observed.sum()) * np.array(probabilities)
    chi_squared = float((np.square(observed - expected) / expected).sum())
    return float(gammaincc((len(probabilities) - 1) / 2, chi_squared / 2))


def require_length(bits: NDArray[np.uint8], *, least: int) -> None:
    """Refuse what is no sequence of bits, or a sequence for which a formula is not defined.

    Raises:
        ValueError: Naming the type, shape, value or length, and the length needed.
    """
    require_bits(bits)
    if bits.size < least:
        raise ValueError(f"{bits.size} bits, where the formula needs at least {least}")


@kernel("int64[::1](Array(uint8, 1, 'C', readonly=True), int64)")
def _longest_runs(bits: NDArray[np.uint8], block_bits: int) -> NDArray[np.int64]:
    """Length of the longest run of ones in each whole block."""
    longest = np.zeros(bits.size // block_bits, dtype=np.int64)
    for block in range(longest.size):
        run = 0
        for index in range(block * block_bits, (block + 1) * block_bits):
            run = run + 1 if bits[index] else 0
            longest[block] = max(longest[block], run)
    return longest

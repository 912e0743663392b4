"""Length of the shortest feedback register that makes each block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlq.numerics.bits import require_bits
from qlq.numerics.kernels import kernel
from qlq.qrng.randomness_tests.frequency import chi_squared_p_value, require_length

REFERENCE_PROBABILITIES = (0.01047, 0.03125, 0.125, 0.5, 0.25, 0.0625, 0.020833)
"""The classes as NIST's reference implementation has them.

Source: SP 800-22 rev. 1a, 2.10.4 (6), with 0.01047 in the first class, where 3.10 gives 0.010417;
all published results were made with 0.01047.
"""

EXACT_PROBABILITIES = (1 / 96, 1 / 32, 1 / 8, 1 / 2, 1 / 4, 1 / 16, 1 / 48)
"""The classes in the limit of long blocks. Source: SP 800-22 rev. 1a, 3.10."""

BLOCK_BITS_MIN, BLOCK_BITS_MAX = 4, 1 << 16
"""Below 4 bits a class is empty; the work grows with the square of the block."""


def linear_complexity(bits: NDArray[np.uint8], *, block_bits: int) -> float:
    """p-value of the linear complexity test with the constants of NIST's implementation.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, at least one block.
        block_bits: M, 4 to 65,536, NIST's range being 500 to 5,000; what remains after the last
            whole block is left out.

    Raises:
        ValueError: For another type, shape, value or block length, or less than one block.

    Source:
        SP 800-22 rev. 1a, 2.10.4.
    """
    return chi_squared_p_value(_observed(bits, block_bits), REFERENCE_PROBABILITIES)


def linear_complexity_exact_pi(bits: NDArray[np.uint8], *, block_bits: int) -> float:
    """p-value as `linear_complexity` gives it, but with the exact class probabilities.

    It agrees with no published result; the two differ by about 1e-4 at 1 Mbit.
    """
    return chi_squared_p_value(_observed(bits, block_bits), EXACT_PROBABILITIES)


def complexities(bits: NDArray[np.uint8], *, block_bits: int) -> NDArray[np.int64]:
    """Linear complexity of each whole block, by Berlekamp and Massey.

    Args:
        bits: uint8 of shape (n,), values 0 and 1.
        block_bits: M, 1 to 65,536.

    Returns:
        int64 of shape (n // M,), values 0 to M.

    Raises:
        ValueError: For another type, shape, value or block length.

    Source:
        Massey, IEEE Trans. Inf. Theory 15 (1969) 122, over GF(2), 64 coefficients a word.
    """
    require_bits(bits)
    if not 1 <= block_bits <= BLOCK_BITS_MAX:
        raise ValueError(f"blocks of 1 to {BLOCK_BITS_MAX} bits, not {block_bits}")
    return _register_lengths(bits, block_bits)


def _observed(bits: NDArray[np.uint8], block_bits: int) -> NDArray[np.int64]:
    """Blocks in each of the seven classes of T."""
    if not BLOCK_BITS_MIN <= block_bits <= BLOCK_BITS_MAX:
        raise ValueError(f"blocks of {BLOCK_BITS_MIN} to {BLOCK_BITS_MAX} bits, not {block_bits}")
    require_length(bits, least=block_bits)
    m, sign = block_bits, -1 if block_bits % 2 else 1
    mean = m / 2 + (9 - sign) / 36 - (m / 3 + 2 / 9) * 2.0**-m
    t = sign * (complexities(bits, block_bits=m) - mean) + 2 / 9
    classes = np.clip(np.ceil(t + 2.5), 0, 6).astype(np.int64)
    return np.bincount(classes, minlength=7)


@kernel("int64[::1](Array(uint8, 1, 'C', readonly=True), int64)")
def _register_lengths(bits: NDArray[np.uint8], block_bits: int) -> NDArray[np.int64]:
    """The connection polynomial, the one before the last change, and the bits seen, newest first.

    The discrepancy is the parity of polynomial and seen bits; the earlier polynomial moves up by
    one power at each bit. Bits above the register's length are zero, so that only the words up
    to the current place are touched.
    """
    words = block_bits // 64 + 1
    lengths = np.zeros(bits.size // block_bits, dtype=np.int64)
    connection = np.zeros(words, dtype=np.uint64)
    earlier = np.zeros(words, dtype=np.uint64)
    seen = np.zeros(words, dtype=np.uint64)
    one, top = np.uint64(1), np.uint64(63)
    for block in range(lengths.size):
        connection[:], earlier[:], seen[:] = np.uint64(0), np.uint64(0), np.uint64(0)
        connection[0] = earlier[0] = one
        length = 0
        for place in range(block_bits):
            carry_seen, carry_earlier = np.uint64(bits[block * block_bits + place]), np.uint64(0)
            odd = np.uint64(0)
            for word in range((place + 1) // 64 + 1):
                high_seen, high_earlier = seen[word] >> top, earlier[word] >> top
                seen[word] = (seen[word] << one) | carry_seen
                earlier[word] = (earlier[word] << one) | carry_earlier
                carry_seen, carry_earlier = high_seen, high_earlier
                odd ^= connection[word] & seen[word]
            for shift in (32, 16, 8, 4, 2, 1):
                odd ^= odd >> np.uint64(shift)
            if not odd & one:
                continue
            longer = 2 * length <= place
            for word in range((place + 1) // 64 + 1):
                before = connection[word]
                connection[word] ^= earlier[word]
                if longer:
                    earlier[word] = before
            if longer:
                length = place + 1 - length
        lengths[block] = length
    return lengths

"""Toeplitz hashing over GF(2), bit-exact.

The matrix has entry seed[i - j + n - 1] in row i and column j, so that
`out[i] = xor over j of seed[i - j + n - 1] & key[j]`. The family is 2-universal (any two
distinct keys collide with probability 2^-m over the seed) and linear in the key.

Short outputs are computed word by word, long ones by one cyclic transform in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from qlq.errors import InvariantBroken
from qlq.numerics.bits import require_bits
from qlq.numerics.kernels import kernel

WORD = 64

DIRECT_WORDS_MAX = 16
"""Outputs of up to 1024 bits take the direct way: one pass of about a nanosecond a bit for each
64 outputs, against 30 ns a bit for the transform at 10^6 bits."""

ROUNDING_ERROR_MAX = 0.25
"""A product that is further from a whole number has lost bits. Source: float64 errs by 1e-9 at
10^7 bits, so honest inputs stay far below."""


def hash_bits(
    key: NDArray[np.uint8], *, seed: NDArray[np.uint8], output_bits: int
) -> NDArray[np.uint8]:
    """The key times the Toeplitz matrix of the seed.

    Args:
        key: uint8 of shape (n,), values 0 and 1, n at least 1.
        seed: uint8 of shape (n + output_bits - 1,), values 0 and 1, uniformly random.
        output_bits: m, at least 1.

    Returns:
        uint8 of shape (output_bits,), values 0 and 1.

    Raises:
        ValueError: For another type, shape or value.
        InvariantBroken: If rounding errors of the transform reach a quarter.

    Source:
        Krawczyk, CRYPTO '94 (Toeplitz families); Mansour, Nisan and Tiwari (1993).
    """
    require_bits(key, "key")
    require_bits(seed, "seed")
    if key.size < 1 or output_bits < 1:
        raise ValueError(f"cannot hash {key.size} bits to {output_bits}")
    if seed.size != key.size + output_bits - 1:
        wanted = key.size + output_bits - 1
        raise ValueError(f"a seed of {wanted} bits is needed, not {seed.size}")
    words = -(-output_bits // WORD)
    if words <= DIRECT_WORDS_MAX:
        return _direct(key, seed, output_bits, words)
    return _transformed(key, seed, output_bits)


def _direct(
    key: NDArray[np.uint8], seed: NDArray[np.uint8], output_bits: int, words: int
) -> NDArray[np.uint8]:
    """64 outputs at a time, in integers."""
    padded = np.zeros(key.size + WORD * words - 1, dtype=np.uint8)
    padded[: seed.size] = seed
    hashed = [_hash_word(key, padded, WORD * word) for word in range(words)]
    every = np.unpackbits(np.array(hashed, dtype="<u8").view(np.uint8), bitorder="little")
    return every[:output_bits]


def _transformed(
    key: NDArray[np.uint8], seed: NDArray[np.uint8], output_bits: int
) -> NDArray[np.uint8]:
    """One cyclic transform: what wraps around falls on outputs that are not used."""
    size = fft.next_fast_len(seed.size, real=True)
    spectrum = fft.rfft(seed.astype(np.float64), size)
    spectrum *= fft.rfft(key.astype(np.float64), size)
    product = fft.irfft(spectrum, size)[key.size - 1 : key.size - 1 + output_bits]
    return _parities(product)


def _parities(product: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Each sum modulo two; raises InvariantBroken where a sum is not near a whole number."""
    whole = np.rint(product)
    error = float(np.abs(product - whole).max())
    if not error < ROUNDING_ERROR_MAX:
        raise InvariantBroken(f"Toeplitz product is {error:g} from a whole number")
    return (whole.astype(np.int64) & 1).astype(np.uint8)


_BITS = "Array(uint8, 1, 'C', readonly=True)"


@kernel(f"uint64({_BITS}, {_BITS}, int64)")
def _hash_word(key: NDArray[np.uint8], seed: NDArray[np.uint8], offset: int) -> np.uint64:
    """Outputs `offset` to `offset` + 63, the first one in the lowest bit.

    The window of 64 seed bits moves by one place for each bit of the key.
    """
    one = np.uint64(1)
    last = key.size - 1 + offset
    window = np.uint64(0)
    for place in range(63, -1, -1):
        window = (window << one) | np.uint64(seed[last + place])
    hashed = window & (np.uint64(0) - np.uint64(key[0]))
    for index in range(1, key.size):
        window = (window << one) | np.uint64(seed[last - index])
        hashed ^= window & (np.uint64(0) - np.uint64(key[index]))
    return hashed

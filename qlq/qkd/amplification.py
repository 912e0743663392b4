"""Privacy amplification by Toeplitz hashing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlq.numerics import toeplitz


def seed_length_bits(*, key_bits: int, length_bits: int) -> int:
    """Random bits that choose the matrix: key_bits + length_bits - 1."""
    return key_bits + length_bits - 1


def amplify(
    bits: NDArray[np.uint8], *, seed: NDArray[np.uint8], length_bits: int
) -> NDArray[np.uint8]:
    """The secret bits of a reconciled and verified key.

    Secrecy holds for a length from `finite_key` and a seed that is uniformly random, chosen
    after the quantum part has ended, and authenticated; the seed may be public.

    Args:
        bits: The reconciled key, uint8 of shape (n,), values 0 and 1.
        seed: uint8 of shape (n + length_bits - 1,), values 0 and 1.
        length_bits: Secret bits wanted, 1 to n.

    Returns:
        uint8 of shape (length_bits,), values 0 and 1.

    Raises:
        ValueError: For another type, shape or value, or a length above n.
        InvariantBroken: If the transform's rounding guard fails.

    Source:
        Leftover hashing lemma with a 2-universal family: Renner, arXiv quant-ph/0512258.
    """
    if length_bits > bits.size:
        raise ValueError(f"{length_bits} secret bits out of {bits.size} reconciled ones")
    return toeplitz.hash_bits(bits, seed=seed, output_bits=length_bits)

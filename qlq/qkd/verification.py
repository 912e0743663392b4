"""Verification of reconciled keys by a universal hash."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlq.errors import VerificationMismatch, require
from qlq.numerics import toeplitz


def seed_length_bits(*, key_bits: int, tag_bits: int) -> int:
    """Random bits that choose the hash function: key_bits + tag_bits - 1."""
    return key_bits + tag_bits - 1


def tag(bits: NDArray[np.uint8], *, seed: NDArray[np.uint8], tag_bits: int) -> NDArray[np.uint8]:
    """Hash of a key: equal for equal keys, and for unequal ones with probability 2^-tag_bits.

    The probability is over the seed, which must be drawn after both keys are fixed and used
    once. The tag is public: all its bits are charged against the key. A failed verification is
    not repeated on the same key without charging a second tag.

    Args:
        bits: The key, uint8 of shape (n,), values 0 and 1.
        seed: uint8 of shape (n + tag_bits - 1,), uniformly random.
        tag_bits: Length of the tag, at least 1.

    Raises:
        ValueError: For another type, shape or value.

    Source:
        Toeplitz family, Krawczyk, CRYPTO '94.
    """
    return toeplitz.hash_bits(bits, seed=seed, output_bits=tag_bits)


def verify(
    bits: NDArray[np.uint8], *, seed: NDArray[np.uint8], received: NDArray[np.uint8]
) -> None:
    """Return if the received tag is that of our key.

    Args:
        bits: Our key, uint8 of shape (n,), values 0 and 1.
        seed: The peer's seed, uint8, values 0 and 1.
        received: The peer's tag, uint8 of shape (tag_bits,), values 0 and 1. The caller has
            checked that it has the committed length.

    Raises:
        VerificationMismatch: If the keys differ.
        RemoteMisuse: If seed and tag do not fit the key in length.
    """
    require(received.size > 0, "empty verification tag")
    wanted = seed_length_bits(key_bits=bits.size, tag_bits=received.size)
    require(seed.size == wanted, f"verification seed of {seed.size} bits, not {wanted}")
    if not np.array_equal(tag(bits, seed=seed, tag_bits=received.size), received):
        raise VerificationMismatch(
            "the reconciled keys differ: errors remained; raise the estimated error rate "
            "or choose a variant with more passes"
        )

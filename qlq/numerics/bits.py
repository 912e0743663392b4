"""Bit arrays: uint8 with values 0 and 1, packed big-endian within bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHOICE_BYTES = 8
"""Random bytes that `choose` takes for each candidate."""


def require_bits(bits: NDArray[np.uint8], name: str = "bits") -> None:
    """Refuse anything but a one-dimensional uint8 array of zeros and ones.

    Raises:
        ValueError: Naming the type, the shape or the largest value.
    """
    if bits.dtype != np.uint8 or bits.ndim != 1:
        raise ValueError(f"{name} must be uint8 of one axis, not {bits.dtype} of {bits.shape}")
    if bits.size and bits.max() > 1:
        raise ValueError(f"{name} must be 0 or 1, not {bits.max()}")


def pack(bits: NDArray[np.uint8]) -> bytes:
    """Bits as bytes, the first bit in the highest place; the last byte is padded with zeros."""
    require_bits(bits)
    return np.packbits(bits).tobytes()


def unpack(data: bytes, *, count: int) -> NDArray[np.uint8]:
    """The first `count` bits of packed bytes, uint8 of shape (count,).

    Raises:
        ValueError: Unless `data` has exactly the bytes that `count` bits need, and its padding
            is zero.
    """
    if count < 0 or len(data) != (count + 7) // 8:
        raise ValueError(f"{len(data)} bytes do not hold {count} bits")
    every = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    if every[count:].any():
        raise ValueError(f"padding after bit {count} is not zero")
    return every[:count]


def parity(bits: NDArray[np.uint8]) -> int:
    """Exclusive or of all bits, 0 or 1."""
    require_bits(bits)
    return int(np.bitwise_xor.reduce(bits)) if bits.size else 0


def popcount(bits: NDArray[np.uint8]) -> int:
    """Number of ones."""
    require_bits(bits)
    return int(np.count_nonzero(bits))


def choose(count: int, *, out_of: int, keys: bytes) -> NDArray[np.bool_]:
    """A uniformly random subset, as a mask of shape (out_of,) with `count` True.

    Each candidate gets an 8-byte key; those with the smallest keys are chosen. Two equal keys
    at the border would break the tie by position: that happens with probability below
    out_of^2 / 2^65 (7e-8 for 1.6 million candidates), and is all that separates the choice from
    uniform.

    Args:
        count: How many to choose, 0 to `out_of`.
        out_of: Number of candidates.
        keys: 8 * `out_of` uniformly random bytes, used for nothing else.

    Raises:
        ValueError: For a count outside the range or another number of bytes.
    """
    if not 0 <= count <= out_of:
        raise ValueError(f"cannot choose {count} out of {out_of}")
    if len(keys) != CHOICE_BYTES * out_of:
        raise ValueError(f"{out_of} candidates need {CHOICE_BYTES * out_of} bytes, not {len(keys)}")
    mask = np.zeros(out_of, dtype=np.bool_)
    if count == out_of:
        mask[:] = True
    elif count:
        ranks = np.frombuffer(keys, dtype=np.uint64)
        mask[np.argpartition(ranks, count - 1)[:count]] = True
    return mask

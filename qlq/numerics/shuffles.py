"""Keyed public permutations: the same eight bytes give the same order on every machine.

They spread errors over blocks and protect nothing: anyone may know them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlq.numerics.kernels import kernel

SEED_BYTES = 8

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)


@kernel("uint64(uint64)")
def mix(state: np.uint64) -> np.uint64:
    """Output function of SplitMix64.

    Source: Steele, Lea and Flood, OOPSLA 2014, with Stafford's variant 13 of the constants.
    """
    mixed = (state ^ (state >> np.uint64(30))) * _MIX_A
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_B
    return mixed ^ (mixed >> np.uint64(31))


@kernel("uint64(uint64, int64)")
def stream(seed: np.uint64, number: int) -> np.uint64:
    """Start of the generator of permutation `number`, from 0."""
    return mix(seed + _GAMMA * np.uint64(number + 1))


@kernel("void(int32[::1], uint64)")
def order(positions: NDArray[np.int32], state: np.uint64) -> None:
    """Write a permutation of 0 to n-1 into `positions`, n below 2^31.

    Fisher-Yates with 32-bit multiplicative ranges: each order is equally likely up to a
    relative error of n / 2^32, which is irrelevant where permutations are public.
    """
    for index in range(positions.size):
        positions[index] = index
    for index in range(positions.size - 1, 0, -1):
        state += _GAMMA
        other = np.int64(((mix(state) >> _HALF) * np.uint64(index + 1)) >> _HALF)
        kept = positions[index]
        positions[index] = positions[other]
        positions[other] = kept


@kernel("void(uint8[::1], uint64)")
def shuffle(values: NDArray[np.uint8], state: np.uint64) -> None:
    """Rearrange `values` in place: what was at `order`'s positions[i] comes to i."""
    for index in range(values.size - 1, 0, -1):
        state += _GAMMA
        other = np.int64(((mix(state) >> _HALF) * np.uint64(index + 1)) >> _HALF)
        kept = values[index]
        values[index] = values[other]
        values[other] = kept


def order_of_pass(positions: NDArray[np.int32], *, seed: np.uint64, number: int) -> None:
    """Write the order of pass `number`: pass 0 keeps the bits as they are."""
    if number == 0:
        positions[:] = np.arange(positions.size)
    else:
        order(positions, stream(seed, number))


def shuffle_for_pass(values: NDArray[np.uint8], *, seed: np.uint64, number: int) -> None:
    """Rearrange `values` in place as `order_of_pass` says."""
    if number > 0:
        shuffle(values, stream(seed, number))

"""Keyed permutations against a plain Python oracle and published generator outputs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from qlq.numerics import shuffles

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15

SPLITMIX = (  # seed 1234567; the values of the Rosetta Code task "Pseudo-random: Splitmix64"
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
)


def test_the_generator_is_splitmix64() -> None:
    outputs = [int(shuffles.mix(np.uint64((1234567 + (i + 1) * GAMMA) & MASK))) for i in range(5)]
    assert tuple(outputs) == SPLITMIX


def oracle(state: int, size: int) -> list[int]:
    """Fisher-Yates in Python integers."""
    positions = list(range(size))
    for index in range(size - 1, 0, -1):
        state = (state + GAMMA) & MASK
        mixed = int(shuffles.mix(np.uint64(state)))
        other = ((mixed >> 32) * (index + 1)) >> 32
        positions[index], positions[other] = positions[other], positions[index]
    return positions


@pytest.mark.parametrize("size", [1, 2, 3, 64, 1000])
def test_an_order_is_the_one_of_the_oracle(size: int) -> None:
    state = shuffles.stream(np.uint64(42), 3)
    positions = np.empty(size, dtype=np.int32)
    shuffles.order(positions, state)
    assert positions.tolist() == oracle(int(state), size)


def test_shuffled_values_are_the_ordered_ones() -> None:
    state = shuffles.stream(np.uint64(7), 1)
    values = np.random.default_rng(1).integers(0, 2, 5000, dtype=np.uint8)
    positions = np.empty(values.size, dtype=np.int32)
    shuffles.order(positions, state)
    shuffled = values.copy()
    shuffles.shuffle(shuffled, state)
    assert np.array_equal(shuffled, values[positions])


def test_all_orders_of_four_are_equally_likely() -> None:
    """Chi-square over 24 orders: above 49.7 with probability 1e-3 (23 df)."""
    runs, positions, seen = 12_000, np.empty(4, dtype=np.int32), Counter()
    for seed in range(runs):
        shuffles.order(positions, shuffles.stream(np.uint64(seed), 0))
        seen[tuple(positions)] += 1
    expected = runs / 24
    assert len(seen) == 24
    assert sum((count - expected) ** 2 / expected for count in seen.values()) < 49.7


def test_every_pass_has_another_order() -> None:
    states = {int(shuffles.stream(np.uint64(seed), p)) for seed in (0, 1, MASK) for p in range(64)}
    assert len(states) == 3 * 64

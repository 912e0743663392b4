"""Tags of equal and unequal keys."""

from __future__ import annotations

import numpy as np
import pytest

from qlq.errors import RemoteMisuse, VerificationMismatch
from qlq.qkd import verification


def random_bits(count: int, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, count, dtype=np.uint8)


@pytest.mark.parametrize("tag_bits", [1, 40, 64, 100])
def test_equal_keys_pass_and_every_single_error_is_found(tag_bits: int) -> None:
    """Seeds are fixed; with 40 bits and more a miss would have probability 300 / 2^40."""
    key = random_bits(300, seed=1)
    seed = random_bits(verification.seed_length_bits(key_bits=300, tag_bits=tag_bits), seed=2)
    tag = verification.tag(key, seed=seed, tag_bits=tag_bits)
    verification.verify(key.copy(), seed=seed, received=tag)
    if tag_bits < 40:
        return
    for position in range(300):
        wrong = key.copy()
        wrong[position] ^= 1
        with pytest.raises(VerificationMismatch):
            verification.verify(wrong, seed=seed, received=tag)


def test_a_short_tag_misses_as_often_as_it_may() -> None:
    """2-bit tags of one wrong key under 4000 seeds: 1/4 +- 0.0069, within 4 standard errors."""
    key, rng = random_bits(100, seed=3), np.random.default_rng(4)
    wrong = key ^ random_bits(100, seed=5)
    runs = 4000
    misses = sum(
        np.array_equal(
            verification.tag(key, seed=seed, tag_bits=2),
            verification.tag(wrong, seed=seed, tag_bits=2),
        )
        for seed in rng.integers(0, 2, (runs, 101), dtype=np.uint8)
    )
    assert misses / runs == pytest.approx(0.25, abs=4 * 0.0069)


def test_what_does_not_fit_is_the_peers_fault() -> None:
    key = random_bits(100, seed=1)
    with pytest.raises(RemoteMisuse, match="seed"):
        verification.verify(key, seed=key, received=key[:8])
    with pytest.raises(RemoteMisuse, match="empty"):
        verification.verify(key, seed=key, received=key[:0])


def test_the_message_holds_no_key() -> None:
    key, seed = random_bits(64, seed=1), random_bits(103, seed=2)
    with pytest.raises(VerificationMismatch) as caught:
        verification.verify(
            key, seed=seed, received=verification.tag(key, seed=seed, tag_bits=40) ^ np.uint8(1)
        )
    assert "[" not in str(caught.value)

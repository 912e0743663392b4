"""Privacy amplification."""

from __future__ import annotations

import numpy as np
import pytest

from qlq.qkd import amplification


def random_bits(count: int, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, count, dtype=np.uint8)


@pytest.mark.parametrize("length_bits", [1, 900, 1500, 2000])
def test_the_secret_is_the_matrix_product(length_bits: int) -> None:
    """The whole matrix, written out, modulo two."""
    key = random_bits(2000, seed=1)
    seed = random_bits(
        amplification.seed_length_bits(key_bits=2000, length_bits=length_bits), seed=2
    )
    rows, columns = np.arange(length_bits)[:, None], np.arange(2000)[None, :]
    matrix = seed[rows - columns + 1999].astype(np.int64)
    secret = amplification.amplify(key, seed=seed, length_bits=length_bits)
    assert np.array_equal(secret, matrix @ key % 2)


def test_an_unknown_bit_of_the_key_hides_every_bit_of_the_secret() -> None:
    """Over the seeds each output differs in half of the cases: 0.5 +- 0.025 each, 4 sigma."""
    key, rng = random_bits(200, seed=3), np.random.default_rng(4)
    other = key.copy()
    other[77] ^= 1
    changed = np.mean(
        [
            amplification.amplify(key, seed=seed, length_bits=50)
            ^ amplification.amplify(other, seed=seed, length_bits=50)
            for seed in rng.integers(0, 2, (400, 249), dtype=np.uint8)
        ],
        axis=0,
    )
    assert np.abs(changed - 0.5).max() < 4 * 0.025


def test_no_more_secret_than_key() -> None:
    key = random_bits(100, seed=1)
    with pytest.raises(ValueError, match="101 secret bits out of 100"):
        amplification.amplify(key, seed=random_bits(200, seed=2), length_bits=101)
    with pytest.raises(ValueError, match="cannot hash"):
        amplification.amplify(key, seed=random_bits(99, seed=2), length_bits=0)
    with pytest.raises(ValueError, match="seed"):
        amplification.amplify(key, seed=key, length_bits=10)

"""The short sequences that SP 800-22 rev. 1a works through by hand, with its p-values.

Left out are the two of the spectral test (2.6.4 and 2.6.8): a plain DFT of their bits has not the
number of peaks that they print. `test_slow_oracles` has a plain DFT instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qlq.qrng.randomness_tests import (
    frequency,
    linear_complexity,
    patterns,
    random_walk,
    templates,
    universal,
)

PI_100 = (
    "11001001000011111101101010100010001000010110100011"
    "00001000110100110001001100011001100010100010111000"
)
LONGEST_RUN_128 = (
    "11001100000101010110110001001100111000000000001001001101010100010001001111010110"
    "100000001101011111001100111001101101100010110010"
)


def bits_of(text: str) -> NDArray[np.uint8]:
    return np.array([int(character) for character in text], dtype=np.uint8)


EXAMPLES: list[tuple[str, str, Callable[[NDArray[np.uint8]], Any], Any]] = [
    ("2.1.4", "1011010101", frequency.frequency, 0.527089),
    ("2.1.8", PI_100, frequency.frequency, 0.109599),
    ("2.2.4", "0110011010", lambda b: frequency.block_frequency(b, block_bits=3), 0.801252),
    ("2.2.8", PI_100, lambda b: frequency.block_frequency(b, block_bits=10), 0.706438),
    ("2.3.4", "1001101011", frequency.runs, 0.147232),
    ("2.3.8", PI_100, frequency.runs, 0.500798),
    ("2.4.8", LONGEST_RUN_128, frequency.longest_run, 0.180609),
    (
        "2.7.4",
        "10100100101110010110",
        lambda b: templates.non_overlapping(b, templates=("001",), blocks=2)["001"],
        0.344154,
    ),
    (
        "2.11.4",
        "0011011101",
        lambda b: patterns.serial(b, word_bits=3),
        (0.808792, 0.670320),
    ),
    ("2.12.4", "0100110101", lambda b: patterns.approximate_entropy(b, word_bits=3), 0.261961),
    ("2.12.8", PI_100, lambda b: patterns.approximate_entropy(b, word_bits=2), 0.235301),
    ("2.13.4", "1011010111", lambda b: random_walk.cumulative_sums(b)[0], 0.411659),
    ("2.13.8", PI_100, random_walk.cumulative_sums, (0.219194, 0.114866)),
    (
        "2.14.4",
        "0110110101",
        lambda b: random_walk.random_excursions(random_walk.excursions(b))[4],
        0.502488,
    ),
    (
        "2.15.4",
        "0110110101",
        lambda b: random_walk.random_excursions_variant(random_walk.excursions(b))[9],
        0.683091,
    ),
]


@pytest.mark.parametrize(
    ("text", "formula", "p_value"),
    [example[1:] for example in EXAMPLES],
    ids=[example[0] for example in EXAMPLES],
)
def test_the_standard_s_example_has_the_standard_s_value(
    text: str, formula: Callable[[NDArray[np.uint8]], Any], p_value: Any
) -> None:
    assert formula(bits_of(text)) == pytest.approx(p_value, abs=1.1e-6)


def test_the_register_of_the_standard_s_block_has_length_four() -> None:
    block = bits_of("1101011110001")  # 2.10.4
    assert linear_complexity.complexities(block, block_bits=13).tolist() == [4]


def test_maurer_s_statistic_is_that_of_the_standard_s_sequence() -> None:
    """2.9.4 prints f_n = 1.1949875 for K = 6, and then forgets K in the spread."""
    p_value = universal.universal(bits_of("01011010011101010111"), word_bits=2, initial_words=4)
    sigma = math.sqrt(1.338 / 6)
    assert p_value == pytest.approx(
        math.erfc(abs(1.1949875 - 1.5374383) / (math.sqrt(2) * sigma)), abs=1e-6
    )


def test_the_walk_of_the_standard_s_sequence_has_three_cycles() -> None:
    walk = random_walk.excursions(bits_of("0110110101"))  # 2.14.4
    assert walk.cycles == 3
    assert walk.visits.tolist() == [0] * 8 + [1, 4, 3] + [0] * 7

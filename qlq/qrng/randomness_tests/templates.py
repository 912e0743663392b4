"""How often given words occur: the non-overlapping and the overlapping template test."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from qlq.numerics.kernels import kernel
from qlq.qrng.randomness_tests.frequency import chi_squared_p_value, require_length

TEMPLATE_BITS_MIN, TEMPLATE_BITS_MAX = 2, 16
"""Templates of the non-overlapping test: a block's counts take at most 2^16 cells."""

OVERLAPPING_BITS = 9
OVERLAPPING_BLOCK_BITS = 1032
OVERLAPPING_MEAN = 2.0
"""Expected occurrences of nine ones in a block: (1032 - 9 + 1) / 2^9."""

EXACT_PROBABILITIES = (0.364091, 0.185659, 0.139381, 0.100571, 0.0704323, 0.139865)
"""Of 0, 1, 2, 3, 4 and at least 5 occurrences of nine ones in a block of 1,032 bits.

Source: SP 800-22 rev. 1a, 2.8.4 and 3.8 (Hamano and Kaneko, 2007).
"""


def is_aperiodic(template: str) -> bool:
    """Whether no proper beginning of the word is its end: it cannot overlap itself.

    Source:
        SP 800-22 rev. 1a, 3.7.
    """
    return not any(template[:size] == template[-size:] for size in range(1, len(template)))


def aperiodic_templates(length_bits: int) -> tuple[str, ...]:
    """All words of zeros and ones of this length that cannot overlap themselves, ascending.

    Raises:
        ValueError: For a length outside 2 to 16.
    """
    _require_template_length({length_bits})
    words = (f"{value:0{length_bits}b}" for value in range(2**length_bits))
    return tuple(word for word in words if is_aperiodic(word))


def non_overlapping(
    bits: NDArray[np.uint8], *, templates: tuple[str, ...], blocks: int
) -> Mapping[str, float]:
    """p-value of each template: as many occurrences in each block as by chance.

    A template that cannot overlap itself needs no window that jumps: one pass counts all.

    Args:
        bits: uint8 of shape (n,), values 0 and 1.
        templates: Words of zeros and ones, all of one length m in 2 to 16, none of which can
            overlap itself.
        blocks: N, at least 1; each has n // N bits, at least m. What remains is left out.

    Returns:
        The p-values by template, in the order of the templates.

    Raises:
        ValueError: For other templates, or too few bits.

    Source:
        SP 800-22 rev. 1a, 2.7.4.
    """
    m = _template_length(templates)
    if blocks < 1:
        raise ValueError(f"at least one block, not {blocks}")
    require_length(bits, least=m * blocks)
    block_bits = bits.size // blocks
    counts = _words_in_blocks(bits, block_bits, blocks, m)
    mean = (block_bits - m + 1) / 2**m
    variance = block_bits * (1 / 2**m - (2 * m - 1) / 2 ** (2 * m))
    chi_squared = np.square(counts - mean).sum(axis=0) / variance
    return {word: float(gammaincc(blocks / 2, chi_squared[int(word, 2)] / 2)) for word in templates}


def _template_length(templates: tuple[str, ...]) -> int:
    """Length of the templates in bits; refuses what is no set of aperiodic words."""
    lengths = {len(word) for word in templates}
    _require_template_length(lengths)
    for word in templates:
        if set(word) - {"0", "1"} or not is_aperiodic(word):
            raise ValueError(f"{word!r} is no word of zeros and ones that cannot overlap itself")
    return lengths.pop()


def _require_template_length(lengths: set[int]) -> None:
    if len(lengths) != 1 or not TEMPLATE_BITS_MIN <= min(lengths) <= TEMPLATE_BITS_MAX:
        raise ValueError(
            f"templates of one length of {TEMPLATE_BITS_MIN} to {TEMPLATE_BITS_MAX} bits, "
            f"not of {sorted(lengths)}"
        )


def overlapping(bits: NDArray[np.uint8]) -> float:
    """p-value of the overlapping template test: nine ones in blocks of 1,032 bits.

    The class probabilities are the asymptotic ones that NIST's implementation computes and that
    all its published results were made with, although its text lists better ones. They are off
    by up to 0.004: of no weight at 1 Mbit, but false alarms from some 10 Mbit on, where
    `overlapping_exact_pi` is the one to ask.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, at least one block of 1,032 bits; what remains
            after the last whole block is left out.

    Raises:
        ValueError: For another type, shape or value, or less than one block.

    Source:
        SP 800-22 rev. 1a, 2.8.4 and the worked example 2.8.8, which has these probabilities.
    """
    return chi_squared_p_value(_occurrences(bits), _asymptotic_probabilities())


def overlapping_exact_pi(bits: NDArray[np.uint8]) -> float:
    """p-value as `overlapping` gives it, but with the exact class probabilities.

    It agrees with no published result of the reference implementation.
    """
    return chi_squared_p_value(_occurrences(bits), EXACT_PROBABILITIES)


def _asymptotic_probabilities() -> tuple[float, ...]:
    """The classes by the compound Poisson law (Polya and Aeppli) with eta = lambda / 2.

    Source: SP 800-22 rev. 1a, 3.8.
    """
    eta = OVERLAPPING_MEAN / 2
    below = [math.exp(-eta)]
    for u in range(1, len(EXACT_PROBABILITIES) - 1):
        terms = (
            math.comb(u - 1, size - 1) * eta**size / math.factorial(size)
            for size in range(1, u + 1)
        )
        below.append(math.exp(-eta) / 2**u * sum(terms))
    return (*below, 1 - sum(below))


def _occurrences(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Blocks with 0, 1, 2, 3, 4 and at least 5 occurrences."""
    require_length(bits, least=OVERLAPPING_BLOCK_BITS)
    counts = _ones_in_blocks(bits, OVERLAPPING_BLOCK_BITS, OVERLAPPING_BITS)
    classes = len(EXACT_PROBABILITIES)
    return np.bincount(np.minimum(counts, classes - 1), minlength=classes)


@kernel("int64[:, ::1](Array(uint8, 1, 'C', readonly=True), int64, int64, int64)")
def _words_in_blocks(
    bits: NDArray[np.uint8], block_bits: int, blocks: int, word_bits: int
) -> NDArray[np.int64]:
    """Occurrences of each word within each block, of shape (blocks, 2^word_bits)."""
    counts = np.zeros((blocks, 1 << word_bits), dtype=np.int64)
    mask = (1 << word_bits) - 1
    for block in range(blocks):
        start = block * block_bits
        word = np.int64(0)
        for index in range(block_bits):
            word = ((word << 1) | np.int64(bits[start + index])) & mask
            if index >= word_bits - 1:
                counts[block, word] += 1
    return counts


@kernel("int64[::1](Array(uint8, 1, 'C', readonly=True), int64, int64)")
def _ones_in_blocks(bits: NDArray[np.uint8], block_bits: int, word_bits: int) -> NDArray[np.int64]:
    """Windows of ones only, overlapping ones too, within each whole block."""
    counts = np.zeros(bits.size // block_bits, dtype=np.int64)
    for block in range(counts.size):
        run = 0
        for index in range(block * block_bits, (block + 1) * block_bits):
            run = run + 1 if bits[index] else 0
            if run >= word_bits:
                counts[block] += 1
    return counts

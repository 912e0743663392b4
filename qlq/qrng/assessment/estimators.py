"""All ten estimators over one string of symbols, and the least of what they find."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from qlq.qrng.assessment import (
    bit_contexts,
    compression,
    counting,
    repeats,
    symbol_contexts,
    windows,
)
from qlq.qrng.assessment.bounds import prediction_entropy

SYMBOLS_MIN = 1_000
"""Below this no estimate means anything; a bound of ours, far below the standard's minimum."""


class Estimator(StrEnum):
    """The estimators of clause 6.3, in its order."""

    MOST_COMMON_VALUE = "most_common_value"
    COLLISION = "collision"
    MARKOV = "markov"
    COMPRESSION = "compression"
    T_TUPLE = "t_tuple"
    LONGEST_REPEATED_SUBSTRING = "longest_repeated_substring"
    MULTI_MCW = "multi_mcw"
    LAG = "lag"
    MULTI_MMC = "multi_mmc"
    LZ78Y = "lz78y"


_BINARY = 2
Estimates = dict[Estimator, float | None]


def multi_markov(symbols: NDArray[np.uint8], *, alphabet: int) -> float:
    """Min-entropy per symbol left by the best of 16 Markov models, in bits.

    Source: SP 800-90B, clause 6.3.9 (MultiMMC).
    """
    models = bit_contexts if alphabet == _BINARY else symbol_contexts
    correct, longest = models.markov_models(symbols)
    return prediction_entropy(
        correct=correct, predictions=symbols.size - 2, longest=longest, alphabet=alphabet
    )


def lz78y(symbols: NDArray[np.uint8], *, alphabet: int) -> float:
    """Min-entropy per symbol left by a dictionary of contexts of up to 16 symbols, in bits.

    Source: SP 800-90B, clause 6.3.10.
    """
    models = bit_contexts if alphabet == _BINARY else symbol_contexts
    correct, longest = models.dictionary(symbols)
    predictions = symbols.size - bit_contexts.DEPTH - 1
    return prediction_entropy(
        correct=correct, predictions=predictions, longest=longest, alphabet=alphabet
    )


def estimate(symbols: NDArray[np.uint8], *, alphabet: int) -> Estimates:
    """Min-entropy per symbol by each estimator that applies, in bits.

    Args:
        symbols: uint8 (samples,) of 0 ... alphabet - 1, at least 1,000.
        alphabet: Number of different symbols, 2 to 256. Collision, Markov and compression
            estimates exist for two symbols only.

    Returns:
        In the order of the standard; None where an estimator has too little to work with.

    Raises:
        ValueError: The alphabet is outside 2 to 256, or there are too few samples.
    """
    if not _BINARY <= alphabet <= 256:  # noqa: PLR2004 - what a byte can hold
        raise ValueError(f"alphabet outside 2 to 256: {alphabet}")
    if symbols.size < SYMBOLS_MIN:
        raise ValueError(f"{symbols.size} samples are fewer than {SYMBOLS_MIN}")
    found: Estimates = {Estimator.MOST_COMMON_VALUE: counting.most_common_value(symbols)}
    if alphabet == _BINARY:
        found[Estimator.COLLISION] = counting.collision(symbols)
        found[Estimator.MARKOV] = counting.markov(symbols)
        found[Estimator.COMPRESSION] = compression.compression(symbols)
    by_tuple, by_repeat = repeats.tuple_and_longest_repeat(symbols)
    found[Estimator.T_TUPLE] = by_tuple
    found[Estimator.LONGEST_REPEATED_SUBSTRING] = by_repeat
    found[Estimator.MULTI_MCW] = windows.multi_most_common(symbols, alphabet=alphabet)
    found[Estimator.LAG] = windows.lag(symbols, alphabet=alphabet)
    found[Estimator.MULTI_MMC] = multi_markov(symbols, alphabet=alphabet)
    found[Estimator.LZ78Y] = lz78y(symbols, alphabet=alphabet)
    return found


def least(estimates: Estimates, *, bits: int) -> float:
    """The least of the estimates, at most the width of a symbol, in bits."""
    return min([value for value in estimates.values() if value is not None], default=float(bits))

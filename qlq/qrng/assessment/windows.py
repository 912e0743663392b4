"""Predictors that look at the recent past (clauses 6.3.7 and 6.3.8)."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from qlq.numerics.kernels import kernel
from qlq.qrng.assessment.bounds import prediction_entropy

WINDOWS = (63, 255, 1023, 4095)
LAGS = 128
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_COUNTS = types.int64[::1]
_PAIR = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]


@kernel(types.int64(_COUNTS, _COUNTS))
def _mode(counts: NDArray[np.int64], recent: NDArray[np.int64]) -> int:
    """The most common symbol, of equally common ones that which was seen last."""
    mode = 0
    for other in range(1, counts.size):
        if counts[other] > counts[mode] or (
            counts[other] == counts[mode] and recent[other] > recent[mode]
        ):
            mode = other
    return mode


@kernel(_PAIR(_BYTES, types.int64))
def _most_common_in_windows(symbols: NDArray[np.uint8], alphabet: int) -> tuple[int, int]:
    """Correct predictions and their longest run; at least one sample more than a window has."""
    sizes = np.array(WINDOWS)
    counts = np.zeros((sizes.size, alphabet), dtype=np.int64)
    recent = np.zeros(alphabet, dtype=np.int64)
    guess = np.zeros(sizes.size, dtype=np.int64)
    scores = np.zeros(sizes.size, dtype=np.int64)
    winner, correct, run, longest = 0, 0, 0, 0
    for index in range(symbols.size):
        symbol = np.int64(symbols[index])
        leader = winner
        is_correct = index >= sizes[0] and guess[leader] == symbol
        recent[symbol] = index
        for window in range(sizes.size):
            size = sizes[window]
            if index >= size:
                if guess[window] == symbol:
                    scores[window] += 1
                    if scores[window] >= scores[winner]:
                        winner = window
                gone = np.int64(symbols[index - size])
                counts[window, gone] -= 1
            else:
                gone = np.int64(-1)
            counts[window, symbol] += 1
            if gone >= 0 and gone == guess[window]:
                guess[window] = _mode(counts[window], recent)
            elif counts[window, symbol] >= counts[window, guess[window]]:
                guess[window] = symbol
        if is_correct:
            correct += 1
            run += 1
            longest = max(longest, run)
        else:
            run = 0
    return correct, longest


@kernel(_PAIR(_BYTES))
def _lagged(symbols: NDArray[np.uint8]) -> tuple[int, int]:
    """Correct predictions and their longest run.

    `scores[LAGS - lag]` belongs to a lag, so that the past lies in memory as the scores do.
    """
    scores = np.zeros(LAGS, dtype=np.int32)
    high = np.int32(0)
    winner, correct, run, longest = 1, 0, 0, 0
    for index in range(1, symbols.size):
        symbol = symbols[index]
        if symbols[index - winner] == symbol:
            correct += 1
            run += 1
            longest = max(longest, run)
        else:
            run = 0
        reach = min(index, LAGS)
        past, seen = symbols[index - reach : index], scores[LAGS - reach :]
        top = np.int32(-1)
        for place in range(reach):
            hit = np.int32(past[place] == symbol)
            score = seen[place] + hit
            seen[place] = score
            top = max(top, score * hit)
        if top > 0 and top >= high:
            high = top
            for place in range(reach):  # ties go to the largest lag
                if seen[place] == top and past[place] == symbol:
                    winner = reach - place
                    break
    return correct, longest


def multi_most_common(symbols: NDArray[np.uint8], *, alphabet: int) -> float | None:
    """Min-entropy per symbol left by the best of four windows' most common symbols, in bits.

    Returns:
        None where the samples do not exceed the largest window.

    Source:
        SP 800-90B, clause 6.3.7 (MultiMCW).
    """
    if symbols.size <= WINDOWS[-1]:
        return None
    correct, longest = _most_common_in_windows(symbols, alphabet)
    predictions = symbols.size - WINDOWS[0]
    return prediction_entropy(
        correct=correct, predictions=predictions, longest=longest, alphabet=alphabet
    )


def lag(symbols: NDArray[np.uint8], *, alphabet: int) -> float:
    """Min-entropy per symbol left by repeating what was seen 1 to 128 samples ago, in bits.

    Args:
        symbols: uint8 (samples,), at least three.
        alphabet: Number of different symbols.

    Source:
        SP 800-90B, clause 6.3.8.
    """
    correct, longest = _lagged(symbols)
    return prediction_entropy(
        correct=correct, predictions=symbols.size - 1, longest=longest, alphabet=alphabet
    )

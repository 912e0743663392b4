"""Health tests of a noise source: they stop it when it breaks, between one batch and the next.

Each column of shots (one qubit) is watched, and so is the serialised stream of all columns, by
two tests: repetition count, for a source that sticks, and adaptive proportion, for one that turns
biased. What a test has seen lives on from batch to batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import types
from numpy.typing import NDArray
from scipy import special

from qlq.errors import HealthTestFailed
from qlq.numerics.kernels import kernel

ALPHA_BITS = 20
"""A sound source fails a test with probability 2^-20 a window. Source: SP 800-90B, 4.4: 2^-20
to 2^-40 are recommended."""
WINDOW_BITS, WINDOW_SYMBOLS = 1024, 512
"""Window of the adaptive proportion test, for bits and for wider symbols. Source: 4.4.2."""
START_UP = 1024
"""Samples that a source must deliver before any is used. Source: SP 800-90B, 4.3, point 5."""
REPETITION, PROPORTION = "repetition count", "adaptive proportion"

_BYTES = types.Array(types.uint8, 2, "C", readonly=True)
_NO_SYMBOL = -1
_SOUND, _REPEATED = 0, 1


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """When the two tests fail.

    Attributes:
        repetition: Equal samples in a row that fail the repetition count test.
        proportion: Samples equal to a window's first, itself included, that fail the adaptive
            proportion test.
        window: Samples in a window.
    """

    repetition: int
    proportion: int
    window: int


def repetition_cutoff(h: float) -> int:
    """Equal samples in a row that a source with min-entropy `h` per sample hardly ever gives.

    Args:
        h: Min-entropy per sample in bits, above 0.

    Source:
        SP 800-90B, clause 4.4.1: 1 + ceil(-log2(alpha) / H).
    """
    return 1 + math.ceil(ALPHA_BITS / _positive(h))


def proportion_cutoff(h: float, *, window: int) -> int:
    """Equal samples in a window that a source with min-entropy `h` per sample hardly ever gives.

    Args:
        h: Min-entropy per sample in bits, above 0.
        window: Samples in the window, at least 1.

    Source:
        SP 800-90B, clause 4.4.2: 1 + critbinom(W, 2^-H, 1 - alpha). A cutoff above W, which no
        window can reach, is possible for small H and kept: the window is then too short.
    """
    p = 2.0 ** -_positive(h)
    counts = np.arange(window + 1)
    tails = special.bdtrc(counts, window, p)  # the chance of more than so many
    return 1 + int(np.argmax(tails <= 2.0**-ALPHA_BITS))


def _positive(h: float) -> float:
    if not 0.0 < h <= 8.0:  # noqa: PLR2004 - a byte
        raise ValueError(f"min-entropy per sample outside (0, 8] bits: {h}")
    return h


def bit_cutoffs(h: float) -> Cutoffs:
    """Cutoffs for a source of bits that is claimed to have `h` bits per bit, in (0, 1].

    Raises:
        ValueError: The claim is outside that range.
    """
    if not 0.0 < h <= 1.0:
        raise ValueError(f"min-entropy per bit outside (0, 1]: {h}")
    proportion = proportion_cutoff(h, window=WINDOW_BITS)
    return Cutoffs(repetition_cutoff(h), proportion, WINDOW_BITS)


def symbol_cutoffs(h: float) -> Cutoffs:
    """Cutoffs for a source of symbols of 2 to 8 bits, claimed to have `h` bits each, in (0, 8].

    Raises:
        ValueError: The claim is outside that range.
    """
    proportion = proportion_cutoff(h, window=WINDOW_SYMBOLS)
    return Cutoffs(repetition_cutoff(h), proportion, WINDOW_SYMBOLS)


def alarm_rate(cutoffs: Cutoffs, *, shots: int, columns: int) -> float:
    """How often a source of fair bits fails the repetition count test within one batch.

    The test runs over each column and over the stream of all columns, and so does this rate. It
    is far below 2^-20 a sample, which is the rate of a source that is only as good as its claim;
    and it grows with the batch. Fair bits fail the adaptive proportion test at no rate worth
    counting: below 2^-68 a window of 1024 for a claim of 0.8 bit.

    Args:
        cutoffs: Of bits, with a repetition cutoff of 20 or more: the rate is within 1e-5 of
            itself there.
        shots: Samples of each column, at least 1.
        columns: Qubits, at least 1.

    Source:
        Feller, An Introduction to Probability Theory, volume 1, XIII.7: runs of equal bits begin
        at the first bit with probability 2^-(C-1), at each later one with 2^-C, hardly ever
        together.
    """
    alone = _expected_runs(shots, cutoffs.repetition)
    together = _expected_runs(shots * columns, cutoffs.repetition)
    return -math.expm1(-(columns * alone + together))


def _expected_runs(samples: int, cutoff: int) -> float:
    """How many runs of at least `cutoff` equal bits begin in a stream of fair bits."""
    if samples < cutoff:
        return 0.0
    return 2.0 ** (1 - cutoff) + (samples - cutoff) * 2.0**-cutoff


@kernel(types.int64(_BYTES, types.int64[:, ::1], types.int64[::1], types.int64[::1]))
def _watch(
    streams: NDArray[np.uint8],
    states: NDArray[np.int64],
    cutoffs: NDArray[np.int64],
    failure: NDArray[np.int64],
) -> int:
    """Run both tests over each stream, from its state on.

    `cutoffs` are repetition, proportion and window. At the first failure `failure` is filled with
    stream and count, and 1 (repetition) or 2 (proportion) is returned; else 0.
    """
    for stream in range(streams.shape[0]):
        last, run, first, seen, place = states[stream]
        for index in range(streams.shape[1]):
            symbol = np.int64(streams[stream, index])
            run = run + 1 if symbol == last else 1
            last = symbol
            if run >= cutoffs[0]:
                failure[0], failure[1] = stream, run
                return 1
            if place == 0:
                first, seen = symbol, 0
            seen += symbol == first
            if seen >= cutoffs[1]:
                failure[0], failure[1] = stream, seen
                return 2
            place += 1
            if place == cutoffs[2]:
                place = 0
        states[stream, 0], states[stream, 1] = last, run
        states[stream, 2], states[stream, 3], states[stream, 4] = first, seen, place
    return 0


@dataclass(frozen=True, slots=True)
class Failure:
    """What stopped a source: the data of `HealthTestFailed`."""

    test: str
    qubit: int | None
    count: int
    cutoff: int


class Monitor:
    """Watches one source from its start on; a source that failed once stays refused.

    Not safe to share between threads.
    """

    __slots__ = ("_columns", "_cutoffs", "_failure", "_samples", "_serial")

    def __init__(self, cutoffs: Cutoffs, *, columns: int) -> None:
        """Start anew.

        Args:
            cutoffs: When the tests fail; the same for each column and the serialised stream.
            columns: Qubits, or other parallel outputs, at least 1.

        Raises:
            ValueError: There is no column.
        """
        if columns < 1:
            raise ValueError(f"a source has at least one column: {columns}")
        self._cutoffs = cutoffs
        self._columns = _fresh(columns)
        self._serial = _fresh(1)
        self._samples = 0
        self._failure: Failure | None = None

    @property
    def failure(self) -> Failure | None:
        """What stopped the source; None while it is sound."""
        return self._failure

    @property
    def samples(self) -> int:
        """Samples of each column that passed so far, start-up included."""
        return self._samples

    def release(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The shots of a batch that may be used: all of them, or none while starting up.

        The start-up test ends with the batch that brings the source to `START_UP` samples a
        column; earlier batches are tested and dropped.

        Args:
            batch: uint8 (shots, columns), one symbol each, in the order they were measured.

        Returns:
            uint8 (shots, columns), the batch itself; (0, columns) while starting up.

        Raises:
            HealthTestFailed: A test fails in this batch, or has failed earlier.
            ValueError: The batch has another shape.

        Source:
            SP 800-90B, clauses 4.3 and 4.4.
        """
        columns = self._columns.shape[0]
        if batch.dtype != np.uint8 or batch.ndim != 2 or batch.shape[1] != columns:  # noqa: PLR2004
            raise ValueError(
                f"a batch must be uint8 (shots, {columns}), not {batch.dtype} {batch.shape}"
            )
        if self._failure is None:
            self._failure = self._watch(batch)
        if self._failure is not None:
            raise HealthTestFailed(
                test=self._failure.test,
                qubit=self._failure.qubit,
                count=self._failure.count,
                cutoff=self._failure.cutoff,
            )
        self._samples += batch.shape[0]
        return batch if self._samples >= START_UP else batch[:0]

    def _watch(self, batch: NDArray[np.uint8]) -> Failure | None:
        """The first failure of a column, else of the serialised stream."""
        cutoffs = self._cutoffs
        limits = np.array([cutoffs.repetition, cutoffs.proportion, cutoffs.window])
        where = np.zeros(2, dtype=np.int64)
        by_column = np.ascontiguousarray(batch.T)
        test = _watch(by_column, self._columns, limits, where)
        qubit: int | None = int(where[0])
        if test == _SOUND:
            serial = np.ascontiguousarray(batch).reshape(1, -1)
            test = _watch(serial, self._serial, limits, where)
            qubit = None
        if test == _SOUND:
            return None
        name = REPETITION if test == _REPEATED else PROPORTION
        cutoff = cutoffs.repetition if test == _REPEATED else cutoffs.proportion
        return Failure(test=name, qubit=qubit, count=int(where[1]), cutoff=cutoff)


def _fresh(streams: int) -> NDArray[np.int64]:
    """States of streams that have not begun: no symbol yet, and a window about to open."""
    states = np.zeros((streams, 5), dtype=np.int64)
    states[:, 0] = _NO_SYMBOL
    return states


def check(symbols: NDArray[np.uint8], cutoffs: Cutoffs) -> None:
    """Run both tests once over one stream of a source that starts with it.

    Args:
        symbols: uint8 (samples,).
        cutoffs: When the tests fail.

    Raises:
        HealthTestFailed: A test fails.
        ValueError: The array has another shape.
    """
    Monitor(cutoffs, columns=1).release(symbols[:, np.newaxis])

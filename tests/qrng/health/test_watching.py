"""What stops a source, where the failure is said to be, and that it stays stopped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.errors import EntropyRefused, HealthTestFailed
from qlq.qrng import health
from qlq.qrng.health import Cutoffs, Monitor

CLAIM = health.bit_cutoffs(0.8)


def fair(shots: int, columns: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (shots, columns), dtype=np.uint8)


def refused(monitor: Monitor, batch: np.ndarray) -> HealthTestFailed:
    with pytest.raises(HealthTestFailed) as caught:
        monitor.release(batch)
    return caught.value


@pytest.mark.parametrize("qubit", [0, 3, 7])
@pytest.mark.parametrize("value", [0, 1])
def test_a_stuck_qubit_is_named(qubit: int, value: int) -> None:
    batch = fair(2000, 8)
    batch[500:, qubit] = value
    error = refused(Monitor(CLAIM, columns=8), batch)
    assert (error.test, error.qubit, error.cutoff) == ("repetition count", qubit, 26)
    assert error.count == 26
    assert f"qubit {qubit}" in str(error)
    assert isinstance(error, EntropyRefused)


def test_a_bias_of_sixty_to_forty_is_caught() -> None:
    rng = np.random.default_rng(2)
    batch = (rng.random((20_000, 1)) < 0.6).astype(np.uint8)
    only_proportion = Cutoffs(10_000, health.bit_cutoffs(1.0).proportion, 1024)
    error = refused(Monitor(only_proportion, columns=1), batch)
    assert (error.test, error.qubit) == ("adaptive proportion", 0)
    assert error.count == error.cutoff == 589


def test_qubits_that_copy_each_other_are_caught_on_the_serialised_stream() -> None:
    batch = np.repeat(fair(5000, 1), 8, axis=1)
    error = refused(Monitor(CLAIM, columns=8), batch)
    assert error.qubit is None
    assert "serialised stream" in str(error)


def test_what_was_seen_lives_on_from_batch_to_batch() -> None:
    ones = np.ones((15, 1), dtype=np.uint8)
    monitor = Monitor(CLAIM, columns=1)
    monitor.release(ones)
    assert refused(monitor, ones).count == 26  # neither batch alone has so many


def test_a_source_that_failed_stays_refused() -> None:
    monitor = Monitor(CLAIM, columns=2)
    first = refused(monitor, np.zeros((100, 2), dtype=np.uint8))
    assert monitor.failure is not None
    again = refused(monitor, fair(2000, 2))
    assert (again.test, again.qubit, again.count) == (first.test, first.qubit, first.count)
    assert monitor.samples == 0


def test_nothing_is_released_before_the_start_up_test_is_over() -> None:
    monitor = Monitor(CLAIM, columns=3)
    data = fair(3000, 3)
    assert monitor.release(data[:1000]).shape == (0, 3)
    assert monitor.release(data[1000:1023]).shape == (0, 3)
    assert monitor.release(data[1023:1024]).shape == (1, 3)
    assert np.array_equal(monitor.release(data[1024:]), data[1024:])
    assert monitor.samples == 3000


def test_a_batch_that_fills_the_start_up_test_is_tested_whole_before_it_is_used() -> None:
    batch = fair(5000, 2)
    assert np.array_equal(Monitor(CLAIM, columns=2).release(batch), batch)
    batch[4000:, 1] = 1
    refused(Monitor(CLAIM, columns=2), batch)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((5, 3), dtype=np.uint8),
        np.zeros((5, 2), dtype=np.int64),
        np.zeros(10, dtype=np.uint8),
    ],
)
def test_another_shape_is_refused_and_changes_nothing(batch: np.ndarray) -> None:
    monitor = Monitor(CLAIM, columns=2)
    with pytest.raises(ValueError, match=r"uint8 \(shots, 2\)"):
        monitor.release(batch)
    assert monitor.failure is None


def test_a_source_has_a_column() -> None:
    with pytest.raises(ValueError, match="at least one column: 0"):
        Monitor(CLAIM, columns=0)


def oracle(symbols: list[int], cutoffs: Cutoffs) -> tuple[int, str] | None:
    """Where and how the source fails first, each test in one pass as the standard words it."""
    failures = []
    for end in range(len(symbols)):
        tail = symbols[max(0, end - cutoffs.repetition + 1) : end + 1]
        if len(tail) == cutoffs.repetition and len(set(tail)) == 1:
            failures.append((end, 0, "repetition count"))
            break
    for start in range(0, len(symbols), cutoffs.window):
        window = symbols[start : start + cutoffs.window]
        for place in range(len(window)):
            if window[: place + 1].count(window[0]) >= cutoffs.proportion:
                failures.append((start + place, 1, "adaptive proportion"))
                break
    if not failures:
        return None
    index, _, test = min(failures)  # at one sample the repetition count is looked at first
    return index, test


@given(
    symbols=st.lists(st.integers(0, 2), min_size=1, max_size=60),
    repetition=st.sampled_from([2, 3, 5, 100]),
    proportion=st.integers(2, 5),
    window=st.integers(3, 10),
    size=st.integers(1, 5),
)
def test_the_tests_are_those_of_the_standard(
    symbols: list[int], repetition: int, proportion: int, window: int, size: int
) -> None:
    cutoffs = Cutoffs(repetition, proportion, window)
    stream = np.array(symbols, dtype=np.uint8)[:, np.newaxis]
    monitor, found = Monitor(cutoffs, columns=1), None
    for start in range(0, len(symbols), size):
        try:
            monitor.release(stream[start : start + size])
        except HealthTestFailed as error:
            found = (start // size, error.test)
            break
    expected = oracle(symbols, cutoffs)
    assert found == (None if expected is None else (expected[0] // size, expected[1]))

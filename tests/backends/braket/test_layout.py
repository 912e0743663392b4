"""How rows become tasks and tasks rows again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.backends import braket_layout
from qlq.backends.braket_layout import TASKS_MAX, Part, Ranges
from qlq.errors import CircuitRejected


def different(rows: int) -> np.ndarray:
    """Parameters of rows that are all different."""
    return np.arange(rows, dtype=np.float64)[:, None]


def test_program_sets_hold_as_many_rows_as_the_device_takes() -> None:
    ranges = Ranges(1, 1000, executables_max=4, total_max=3000)
    assert braket_layout.split(different(5), shots=1000, ranges=ranges, device="d") == (
        Part((0, 1, 2), 1000, is_set=True),
        Part((3, 4), 1000, is_set=True),
    )


def test_a_row_with_too_many_shots_is_cut_into_equal_pieces() -> None:
    parts = braket_layout.split(different(2), shots=250, ranges=Ranges(10, 100), device="d")
    assert parts == tuple(Part((row,), 84, is_set=False) for row in (0, 0, 0, 1, 1, 1))


def test_rows_with_equal_parameters_share_a_task_within_a_quarter_of_the_plan() -> None:
    settings = np.tile([[0.0], [1.0]], (8, 1))  # 16 rows, two settings in turn
    parts = braket_layout.split(settings, shots=10, ranges=Ranges(20, 1000), device="d")
    assert [part.rows for part in parts] == [
        (0, 2), (1, 3), (4, 6), (5, 7), (8, 10), (9, 11), (12, 14), (13, 15),
    ]  # fmt: skip
    assert {part.executions for part in parts} == {20}


def test_a_shared_task_stays_within_the_shots_of_one_circuit() -> None:
    parts = braket_layout.split(np.zeros((20, 1)), shots=10, ranges=Ranges(1, 35), device="d")
    assert [len(part.rows) for part in parts] == [3, 2] * 4


@pytest.mark.parametrize(
    ("rows", "shots", "ranges", "word"),
    [
        (1, 9, Ranges(10, 100), "at least 10 shots of a circuit, not 9"),
        (3, 9, Ranges(10, 100, executables_max=5), "at least 10 shots of a circuit, not 9"),
        (TASKS_MAX + 1, 10, Ranges(1, 100), f"{TASKS_MAX + 1} tasks"),
        (1, 50, Ranges(1, 100, executables_max=5, total_min=60), "at least 60 shots a task"),
        (1, 50, Ranges(1, 100, executables_max=5, total_max=40), "fewer pulses"),
    ],
)
def test_what_fits_no_tasks_is_refused(rows: int, shots: int, ranges: Ranges, word: str) -> None:
    with pytest.raises(CircuitRejected, match=word):
        braket_layout.split(different(rows), shots=shots, ranges=ranges, device="d")


@given(
    settings=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    shots=st.integers(1, 60),
    high=st.integers(1, 40),
    executables=st.integers(1, 7),
)
def test_every_shot_comes_back_to_its_row_in_its_order(
    settings: list[int], shots: int, high: int, executables: int
) -> None:
    """Bits that spell the setting and the shot of the row, cut up and put together again."""
    ranges = Ranges(1, high, executables_max=executables)
    bindings = np.array(settings, dtype=np.float64)[:, None]
    parts = braket_layout.split(bindings, shots=shots, ranges=ranges, device="d")
    made = dict.fromkeys(range(len(settings)), 0)
    bits = []
    for part in parts:
        assert part.shots <= high
        assert len(part.rows) <= executables if part.is_set else part.executions <= high
        assert part.is_set or len({settings[row] for row in part.rows}) == 1
        piece = np.zeros((len(part.rows), part.shots, 2), dtype=np.uint8)
        for index, row in enumerate(part.rows):
            piece[index, :, 0] = row
            piece[index, :, 1] = np.arange(made[row], made[row] + part.shots)
            made[row] += part.shots
        bits.append(piece)
    joined = braket_layout.join(parts, bits, rows=len(settings), shots=shots)
    assert (joined[:, :, 0] == np.arange(len(settings))[:, None]).all()
    assert (joined[:, :, 1] == np.arange(shots)).all()


def test_ranges_come_back_from_their_text_and_from_no_other() -> None:
    ranges = Ranges(10, 5000, executables_max=7, total_min=3, total_max=100_000)
    assert Ranges.from_text(ranges.to_text()) == ranges
    for text in ("", "1.2.3", "1.2.3.4.x", "1.2.3.4.-5"):
        with pytest.raises(ValueError, match="not the ranges"):
            Ranges.from_text(text)


def test_bits_of_another_shape_than_their_task_are_refused() -> None:
    part = Part((0, 1), 5, is_set=True)
    with pytest.raises(ValueError, match="are not"):
        braket_layout.join([part], [np.zeros((2, 4, 1), dtype=np.uint8)], rows=2, shots=5)

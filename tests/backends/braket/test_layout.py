"""How rows become tasks and tasks rows again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.backends import braket_layout
from qlq.backends.braket_layout import TASKS_MAX, Held, Part, Ranges
from qlq.errors import CircuitRejected


def test_program_sets_hold_as_many_rows_as_the_device_takes() -> None:
    ranges = Ranges(1, 1000, executables_max=4, total_max=3000)
    assert braket_layout.split(rows=5, shots=1000, ranges=ranges, device="d") == (
        Part((0, 1, 2), 1000, is_set=True),
        Part((3, 4), 1000, is_set=True),
    )


def test_single_programs_hold_one_piece_of_a_row_each() -> None:
    parts = braket_layout.split(rows=2, shots=250, ranges=Ranges(10, 100), device="d")
    assert parts == tuple(Part((row,), 84, is_set=False) for row in (0, 0, 0, 1, 1, 1))


@pytest.mark.parametrize(
    ("rows", "shots", "ranges", "word"),
    [
        (1, 9, Ranges(10, 100), "at least 10 shots a row, not 9"),
        (TASKS_MAX + 1, 10, Ranges(1, 100), f"{TASKS_MAX + 1} tasks"),
        (1, 50, Ranges(1, 100, executables_max=5, total_min=60), "at least 60 shots a task"),
        (1, 50, Ranges(1, 100, executables_max=5, total_max=40), "fewer pulses"),
    ],
)
def test_what_fits_no_tasks_is_refused(rows: int, shots: int, ranges: Ranges, word: str) -> None:
    with pytest.raises(CircuitRejected, match=word):
        braket_layout.split(rows=rows, shots=shots, ranges=ranges, device="d")


@given(
    rows=st.integers(1, 9),
    shots=st.integers(1, 60),
    high=st.integers(1, 40),
    executables=st.integers(1, 7),
)
def test_every_shot_comes_back_to_its_row_in_its_order(
    rows: int, shots: int, high: int, executables: int
) -> None:
    """Bits that spell the row and the shot, cut up and put together again."""
    ranges = Ranges(1, high, executables_max=executables)
    parts = braket_layout.split(rows=rows, shots=shots, ranges=ranges, device="d")
    assert all(part.shots <= high and len(part.rows) <= executables for part in parts)
    made = dict.fromkeys(range(rows), 0)
    bits = []
    for part in parts:
        piece = np.zeros((len(part.rows), part.shots, 2), dtype=np.uint8)
        for index, row in enumerate(part.rows):
            piece[index, :, 0] = row
            piece[index, :, 1] = np.arange(made[row], made[row] + part.shots)
            made[row] += part.shots
        bits.append(piece)
    joined = braket_layout.join(parts, bits, rows=rows, shots=shots)
    assert (joined[:, :, 0] == np.arange(rows)[:, None]).all()
    assert (joined[:, :, 1] == np.arange(shots)).all()
    held = [Held(len(part.rows), part.executions, is_set=part.is_set) for part in parts]
    assert braket_layout.recall(held, rows=rows, shots=shots) == parts


@pytest.mark.parametrize(
    "held",
    [
        [Held(3, 30, is_set=True)],
        [Held(2, 20, is_set=True), Held(1, 10, is_set=True)],
        [Held(4, 80, is_set=True)],
        [Held(2, 20, is_set=True), Held(2, 10, is_set=True)],
    ],
)
def test_tasks_that_are_not_the_plan_are_refused(held: list[Held]) -> None:
    with pytest.raises(ValueError, match="are not 4 x 10"):
        braket_layout.recall(held, rows=4, shots=10)


def test_bits_of_another_shape_than_their_task_are_refused() -> None:
    part = Part((0, 1), 5, is_set=True)
    with pytest.raises(ValueError, match="are not"):
        braket_layout.join([part], [np.zeros((2, 4, 1), dtype=np.uint8)], rows=2, shots=5)

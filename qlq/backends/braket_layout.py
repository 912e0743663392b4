"""How the rows of a plan become quantum tasks, and the bits of those tasks rows again.

A task holds one circuit, or up to `executables_max` of them where the device takes program sets: a
task costs a fee, whatever it holds. A row with more shots than one circuit may have is cut into
equal pieces; what the last piece has too much is dropped by place, blind to the outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from qlq.errors import CircuitRejected

TASKS_MAX = 256
"""Tasks of one job: more would take minutes to create at the service's rate of 20 a second."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """What a device takes in one task.

    Attributes:
        shots_min: Least shots of a circuit.
        shots_max: Most shots of a circuit.
        executables_max: Circuits of one task; 1 without program sets.
        total_min: Least shots of a program set.
        total_max: Most shots of a program set.
    """

    shots_min: int
    shots_max: int
    executables_max: int = 1
    total_min: int = 1
    total_max: int = 1 << 62

    @property
    def takes_sets(self) -> bool:
        """Whether a task may hold more than one circuit."""
        return self.executables_max > 1


@dataclass(frozen=True, slots=True)
class Part:
    """One task.

    Attributes:
        rows: The plan's row of each circuit, in order.
        shots: Shots of each circuit.
        is_set: Whether it is a program set, which may hold one circuit, or a single program.
    """

    rows: tuple[int, ...]
    shots: int
    is_set: bool

    @property
    def executions(self) -> int:
        """Shots of all circuits."""
        return len(self.rows) * self.shots


@dataclass(frozen=True, slots=True)
class Held:
    """What the service says of a task.

    Attributes:
        circuits: How many it held, at least 1.
        shots: In all.
        is_set: Whether it is a program set.
    """

    circuits: int
    shots: int
    is_set: bool


def split(*, rows: int, shots: int, ranges: Ranges, device: str) -> tuple[Part, ...]:
    """The tasks of a plan, in the order of its rows.

    Args:
        rows: Rows of the plan.
        shots: Shots of each row.
        ranges: What the device takes.
        device: Its name, for messages.

    Raises:
        CircuitRejected: No tasks within the ranges hold these shots, or there would be too many.
    """
    pieces = -(-shots // ranges.shots_max)
    each = -(-shots // pieces)
    if each < ranges.shots_min:
        raise CircuitRejected(
            f"{device} takes at least {ranges.shots_min} shots a row, not {shots}: "
            "ask for more pulses"
        )
    size = min(ranges.executables_max, ranges.total_max // each) if ranges.takes_sets else 1
    every = [row for row in range(rows) for _ in range(pieces)]
    if size < 1 or -(-len(every) // size) > TASKS_MAX:
        raise CircuitRejected(
            f"{rows} rows of {shots} shots on {device} would take "
            f"{-(-len(every) // max(1, size))} tasks, and a job has at most {TASKS_MAX}: "
            "ask for fewer pulses, or in several sessions"
        )
    parts = [
        Part(tuple(every[start : start + size]), each, is_set=ranges.takes_sets)
        for start in range(0, len(every), size)
    ]
    for part in parts:
        if part.executions < ranges.total_min:
            raise CircuitRejected(
                f"{device} takes at least {ranges.total_min} shots a task, not "
                f"{part.executions}: ask for more pulses"
            )
    return tuple(parts)


def recall(held: Sequence[Held], *, rows: int, shots: int) -> tuple[Part, ...]:
    """The tasks of a job that ran, from what each of them held.

    The device's ranges may have changed since the job was submitted; what its tasks held has not.

    Args:
        held: Each task of the job, in order.
        rows: Rows of the plan.
        shots: Shots of each row.

    Raises:
        ValueError: The tasks do not hold these rows and shots.
    """
    circuits = sum(one.circuits for one in held)
    pieces, rest = divmod(circuits, rows)
    each = {one.shots // one.circuits for one in held}
    if rest or len(each) != 1 or not shots <= pieces * max(each) < shots + pieces:
        raise ValueError(f"{circuits} circuits of {sorted(each)} shots are not {rows} x {shots}")
    every = iter([row for row in range(rows) for _ in range(pieces)])
    return tuple(
        Part(tuple(islice(every, one.circuits)), max(each), is_set=one.is_set) for one in held
    )


def join(
    parts: Sequence[Part], bits: Sequence[NDArray[np.uint8]], *, rows: int, shots: int
) -> NDArray[np.uint8]:
    """The bits of the plan from those of its tasks.

    Args:
        parts: What `split` made.
        bits: For each part, uint8 (circuits, shots, bits).
        rows: Rows of the plan.
        shots: Shots of each row.

    Returns:
        uint8 (rows, shots, bits), each row's pieces in their order.

    Raises:
        ValueError: The bits of a part have another shape than the part.
    """
    by_row: list[list[NDArray[np.uint8]]] = [[] for _ in range(rows)]
    for part, found in zip(parts, bits, strict=True):
        if found.shape[:2] != (len(part.rows), part.shots):
            raise ValueError(f"bits of shape {found.shape} are not {part}")
        for row, piece in zip(part.rows, found, strict=True):
            by_row[row].append(piece)
    return np.stack([np.concatenate(pieces)[:shots] for pieces in by_row])

"""How the rows of a plan become quantum tasks, and the bits of those tasks rows again.

A task costs a fee, whatever it holds. Where the device takes program sets, a task holds many rows,
each a circuit of its own. Elsewhere it holds one circuit: rows with equal parameters share it and
are dealt its shots in their order. They share within a quarter of the plan only, so that a device
that drifts still shows every setting at several times. A row with more shots than one circuit may
have is cut into equal pieces; what the last piece has too much is dropped by place, blind to the
outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlq.errors import CircuitRejected

SPANS = 4
"""Parts of a plan in which rows share a task: as many as a session has blocks of time."""

TASKS_MAX = 256
"""Tasks of one job: more would take minutes to create at the service's rate of 20 a second."""


_RANGES = 5


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

    def to_text(self) -> str:
        """The ranges in a word that a tag can hold."""
        numbers = (self.shots_min, self.shots_max, self.executables_max)
        return ".".join(map(str, (*numbers, self.total_min, self.total_max)))

    @classmethod
    def from_text(cls, text: str) -> Ranges:
        """The ranges that `to_text` wrote; raises ValueError for anything else."""
        numbers = text.split(".")
        if len(numbers) != _RANGES or not all(number.isdecimal() for number in numbers):
            raise ValueError(f"not the ranges of a device: {text!r}")
        return cls(*map(int, numbers))


@dataclass(frozen=True, slots=True)
class Part:
    """One task.

    Attributes:
        rows: The plan's rows in it, in order; a row that is cut comes once for each piece.
        shots: Shots of each of them.
        is_set: Whether it is a program set with a circuit for each of them, or a single program
            whose shots they share.
    """

    rows: tuple[int, ...]
    shots: int
    is_set: bool

    @property
    def executions(self) -> int:
        """Shots of the task."""
        return len(self.rows) * self.shots


def split(
    bindings: NDArray[np.float64], *, shots: int, ranges: Ranges, device: str
) -> tuple[Part, ...]:
    """The tasks of a plan; the same ones for the same arguments.

    Args:
        bindings: float64 (rows, parameters) of the plan.
        shots: Shots of each row.
        ranges: What the device takes.
        device: Its name, for messages.

    Raises:
        CircuitRejected: No tasks within the ranges hold these shots, or there would be too many.
    """
    pieces = -(-shots // ranges.shots_max)
    each = -(-shots // pieces)
    if ranges.takes_sets:
        groups = [np.arange(len(bindings))]
        size = min(ranges.executables_max, ranges.total_max // each)
    else:
        groups = _alike(bindings)
        size = ranges.shots_max // each
    parts = [
        Part(tuple(map(int, chunk)), each, is_set=ranges.takes_sets)
        for group in groups
        for chunk in _chunks(np.repeat(group, pieces), max(1, size))
    ]
    if size < 1 or len(parts) > TASKS_MAX:
        raise CircuitRejected(
            f"{len(bindings)} rows of {shots} shots on {device} would take {len(parts)} tasks, "
            f"and a job has at most {TASKS_MAX}: ask for fewer pulses, or in several sessions"
        )
    for part in parts:
        _check(part, ranges, device)
    return tuple(parts)


def _alike(bindings: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Rows with equal parameters, within each span of the plan, by their first appearance."""
    groups: list[NDArray[np.intp]] = []
    for span in np.array_split(np.arange(len(bindings)), SPANS):
        alike: dict[bytes, list[int]] = {}
        for row in span:
            alike.setdefault(bindings[row].tobytes(), []).append(int(row))
        groups += [np.array(rows) for rows in alike.values()]
    return groups


def _chunks(rows: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    """Rows in order, in the fewest chunks of at most this size, as equal as can be."""
    return np.array_split(rows, -(-len(rows) // size))


def _check(part: Part, ranges: Ranges, device: str) -> None:
    """Refuse a task with too few shots."""
    found = part.shots if part.is_set else part.executions
    if found < ranges.shots_min:
        raise CircuitRejected(
            f"{device} takes at least {ranges.shots_min} shots of a circuit, not {found}: "
            "ask for more pulses"
        )
    if part.is_set and part.executions < ranges.total_min:
        raise CircuitRejected(
            f"{device} takes at least {ranges.total_min} shots a task, not {part.executions}: "
            "ask for more pulses"
        )


def join(
    parts: Sequence[Part], bits: Sequence[NDArray[np.uint8]], *, rows: int, shots: int
) -> NDArray[np.uint8]:
    """The bits of the plan from those of its tasks.

    Args:
        parts: What `split` made.
        bits: For each part, uint8 (its rows, shots, bits).
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

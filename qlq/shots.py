"""Measured bits in shot order, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlq.provenance import Provenance


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """Outcomes of one job.

    Attributes:
        bits: dtype uint8, shape (rows, shots, bits), values 0 and 1, read-only. The last axis
            is in the order of the classical register: index k is `c[k]`. The first axis is in
            the order of the plan's bindings, the second in the order of measurement.
        provenance: Origin of these bits.
    """

    bits: NDArray[np.uint8]
    provenance: Provenance

    def __post_init__(self) -> None:
        """Refuse another type or shape, and make the array read-only."""
        if self.bits.dtype != np.uint8 or self.bits.ndim != 3:  # noqa: PLR2004
            raise ValueError(
                f"shots must be uint8 of shape (rows, shots, bits), "
                f"not {self.bits.dtype} of shape {self.bits.shape}"
            )
        self.bits.setflags(write=False)

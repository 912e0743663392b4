"""What a plan becomes on a device, before anything is sent."""

from __future__ import annotations

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import registry
from qlq.backends.port import ReportsDepth
from qlq.circuit import Plan


@pytest.mark.parametrize(
    ("uri", "depth"),
    [
        # Aer takes the three rotations as they are, and one measurement
        ("aer", 4),
        # each party's rotations become two pulses between three frame changes, and the barrier
        # keeps the two apart: some ten layers and the measurement
        ("aer:fez", None),
        ("ibm-local:fez", None),
    ],
)
def test_depth_counts_what_the_device_will_run(uri: str, depth: int | None) -> None:
    plan = Plan(circuit.load("bb84"), np.zeros((1, 3)), 1)
    backend = registry.open_backend(uri)
    try:
        assert isinstance(backend, ReportsDepth)
        found = backend.depth(plan)
    finally:
        backend.close()
    if depth is not None:
        assert found == depth
    else:
        assert 11 <= found <= 16

"""The suite that every backend passes, over an emulated device of each family."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import registry
from qlq.backends.conformance import BackendConformance
from qlq.backends.emulator.server import Server
from qlq.circuit import Plan
from qlq.errors import CircuitRejected

RESET = (
    'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[1] q;\nbit[2] c;\nx q[0];\n'
    "c[1] = measure q[0];\nreset q[0];\nc[0] = measure q[0];\n"
)


class Emulated(BackendConformance):
    takes_seeds: ClassVar[bool] = False

    @pytest.fixture(autouse=True)
    def _emulator(self, start: Callable[..., Server]) -> None:
        start()


class TestForte(Emulated):
    uri = "braket:arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1"
    noise_max = 0.03

    def test_a_bit_measured_before_a_reset_stays(self) -> None:
        """The device has no reset: refused before a task exists."""
        plan = Plan(circuit.parse(RESET, name="reset"), np.zeros((1, 0)), 20)
        backend = registry.open_backend(self.uri)
        with pytest.raises(CircuitRejected, match="reset"):
            backend.submit(plan)


class TestGarnet(Emulated):
    uri = "braket:arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
    noise_max = 0.06

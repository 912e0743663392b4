"""Lanes on a chip: a fraction of the time for the same rows, each back in its place."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import driver
from qlq.backends.emulator.server import Server
from qlq.backends.port import Backend
from qlq.circuit import Plan
from qlq.errors import ConfigError

SHOTS = 400


def test_rows_come_back_from_their_lanes(
    ibm: Callable[[], Server], opened: Callable[[str], Backend]
) -> None:
    """Twelve rows of certain outcomes; the noise of the best qubits is below 2 %."""
    ibm()
    ones = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1])
    angles = np.zeros((12, 3))
    angles[:, 0] = ones * math.pi
    plan = Plan(circuit.load("bb84"), angles, SHOTS, tags=("lanes",))
    backend = opened("ibm:ibm_fez?lanes=5")
    shots = driver.run(backend, plan, timeout_s=60)
    assert shots.bits.shape == (12, SHOTS, 1)
    assert np.array_equal(np.round(shots.bits.mean(axis=(1, 2)), 0), ones)
    assert np.abs(shots.bits.mean(axis=(1, 2)) - ones).max() < 0.1
    assert len(set(shots.provenance.qubits)) == 5
    assert shots.provenance.program_digest == plan.program.digest


def test_pairs_in_lanes_are_entangled_with_their_own_partner(
    ibm: Callable[[], Server], opened: Callable[[str], Backend]
) -> None:
    ibm()
    plan = Plan(circuit.load("e91"), np.zeros((6, 2)), SHOTS, tags=("pairs",))
    bits = driver.run(opened("ibm:ibm_fez?lanes=3"), plan, timeout_s=60).bits
    assert (bits[:, :, 0] == bits[:, :, 1]).mean(axis=1).min() > 0.9
    assert 0.3 < bits[:, :, 0].mean() < 0.7


def test_lanes_divide_the_time(ibm: Callable[[], Server], opened: Callable[[str], Backend]) -> None:
    ibm()
    plan = Plan(circuit.load("bb84"), np.zeros((80, 3)), 10_000)
    one, eight = (
        opened(uri).estimate(plan).qpu_s for uri in ("ibm:ibm_fez", "ibm:ibm_fez?lanes=8")
    )
    overhead_s = 2.0  # of a job, IBM's guide on workload usage
    assert (one - overhead_s) / (eight - overhead_s) == pytest.approx(8, rel=0.01)


@pytest.mark.parametrize("value", ["0", "65", "two", "-1"])
def test_lanes_that_cannot_be_are_refused(
    ibm: Callable[[], Server], opened: Callable[[str], Backend], value: str
) -> None:
    ibm()
    with pytest.raises(ConfigError, match=f"lanes='{value}'"):
        opened(f"ibm:ibm_fez?lanes={value}")

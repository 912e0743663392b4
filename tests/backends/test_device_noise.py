"""Devices behave as their calibration says: the sanity marks, measured by another program.

Marks: QBER of the best qubit and S of the best pair of FakeFez, of FakeTorino's qubit 0, and of
Google's willow_pink, each from 40,000 shots a setting with whole-device tools.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import driver, registry
from qlq.circuit import Plan

SHOTS = 40_000


def qber(uri: str) -> float:
    """Error rate over both bases and both bits."""
    rows = np.array([(bit, axis, axis) for axis in (0, math.pi / 2) for bit in (0, math.pi)])
    backend = registry.open_backend(uri)
    bits = driver.run(backend, Plan(circuit.load("bb84"), rows, SHOTS, seed=5), timeout_s=60).bits
    backend.close()
    expected = np.array([0, 1, 0, 1])[:, None]
    return float((bits[:, :, 0] != expected).mean())


def chsh(uri: str) -> float:
    """S from the four pairs."""
    pairs = [(a, b) for a in (0, math.pi / 2) for b in (math.pi / 4, 3 * math.pi / 4)]
    backend = registry.open_backend(uri)
    plan = Plan(circuit.load("e91"), np.array(pairs), SHOTS, seed=5)
    bits = driver.run(backend, plan, timeout_s=60).bits
    backend.close()
    e = 1 - 2 * (bits[:, :, 0] != bits[:, :, 1]).mean(axis=1)
    return float(e[0] - e[1] + e[2] + e[3])


@pytest.mark.parametrize(
    ("uri", "low", "high"),
    [
        ("aer:fez", 0.001, 0.005),
        ("aer:torino?qubits=0", 0.15, 0.18),
        ("aer:fez?qubits=0", 0.006, 0.02),
    ],
)
def test_qber_is_that_of_the_calibrated_qubit(uri: str, low: float, high: float) -> None:
    assert low <= qber(uri) <= high


def test_the_best_qubits_are_the_ones_that_the_calibration_names() -> None:
    assert registry.open_backend("aer:fez").describe().qubits_bb84 == (4,)
    assert registry.open_backend("aer:torino").describe().qubits_bb84 == (51,)


def test_s_of_the_best_pair_of_fez() -> None:
    assert 2.74 <= chsh("aer:fez") <= 2.80


def test_s_of_willow_pink() -> None:
    assert 2.66 <= chsh("cirq:willow_pink") <= 2.80


def test_an_ideal_backend_has_no_errors_and_tsirelsons_value() -> None:
    assert qber("aer") == 0.0
    sigma = 2 * math.sqrt(0.5 / SHOTS)
    assert abs(chsh("aer") - 2 * math.sqrt(2)) < 4 * sigma  # false alarm 6e-5, seed fixed


@pytest.mark.parametrize("uri", ["aer:fez", "cirq:willow_pink", "cirq:weber"])
def test_the_predicted_error_rate_is_near_the_measured_one(uri: str) -> None:
    predicted = registry.open_backend(uri).describe().predicted_qber_bb84
    assert predicted is not None
    assert abs(predicted - qber(uri)) < 0.25 * predicted + 0.002

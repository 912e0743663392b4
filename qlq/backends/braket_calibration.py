"""A Braket device's capabilities in our words: calibration, gates, ranges of shots.

IQM and Rigetti publish tables of every qubit and coupling: qubits are chosen by them. IonQ and AQT
publish means, and every ion is coupled to all: error rates are predicted, and the device chooses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from qlq.backends import noise
from qlq.backends.braket_layout import Ranges
from qlq.backends.noise import Calibration, Qubit
from qlq.circuit import Program, components
from qlq.errors import BackendUnavailable

QBER_MAX = 0.11
"""No key above this error rate in both bases. Source: Shor and Preskill (2000)."""

PROGRAM = "braket.ir.openqasm.program"
PROGRAM_SET = "braket.ir.openqasm.program_set"
_READOUT = "READOUT"
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_BENCHMARKS = ("RANDOMIZED_BENCHMARKING", "SIMULTANEOUS_RANDOMIZED_BENCHMARKING")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device can do, and how well.

    Attributes:
        size: Number of qubits.
        operations: Gates and instructions that a program may use; empty if it does not say.
        ranges: Shots and circuits of a task.
        calibration: Its errors; None if it publishes none.
        has_choice: Whether the calibration tells qubits apart, so that they are chosen by it.
        takes_places: Whether a program may name physical qubits.
    """

    size: int
    operations: frozenset[str]
    ranges: Ranges
    calibration: Calibration | None
    has_choice: bool
    takes_places: bool


def read(document: Mapping[str, Any], *, device: str) -> Capabilities:
    """The capabilities in a device's document.

    Args:
        document: `deviceCapabilities` of `GetDevice`.
        device: Name to give the calibration.

    Raises:
        BackendUnavailable: The document lacks what is read from it, or the device runs no
            OpenQASM.
    """
    try:
        return _read(document, device)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackendUnavailable(
            f"the capabilities of {device} cannot be read: {error!r}"
        ) from error


def require_low_qber(capabilities: Capabilities, program: Program, qubits: tuple[int, ...]) -> None:
    """Refuse a device or qubits on which no key can be made, before anything is paid.

    Each qubit and each coupled pair of the program is judged alone, as BB84 and E91 would use it;
    larger groups are not judged. Nothing is where it is not known which qubits will be used.

    Raises:
        BackendUnavailable: The predicted error rate is above QBER_MAX. Not CircuitRejected: the
            program is right and another device may serve it, so the next backend is tried.
    """
    calibration = capabilities.calibration
    if calibration is None or (capabilities.has_choice and not qubits):
        return
    places = qubits or tuple(sorted(calibration.qubits))[: program.n_qubits]
    for group in components(program):
        chosen = tuple(places[index] for index in group)
        if len(chosen) == 1:
            predicted = noise.predicted_qber_bb84(calibration, chosen[0])
        elif len(chosen) == noise.PAIR:
            predicted = noise.predicted_qber_e91(calibration, *chosen)
        else:
            continue
        if not predicted <= QBER_MAX:
            words = ", ".join(map(str, chosen))
            raise BackendUnavailable(
                f"qubits {words} of {calibration.device} have a predicted error rate of "
                f"{predicted:.1%}, above {QBER_MAX:.0%}: no key could be made, and nothing was "
                "submitted; choose other qubits or another device"
            )


def _read(document: Mapping[str, Any], device: str) -> Capabilities:
    if PROGRAM not in document["action"]:
        raise BackendUnavailable(
            f"{device} runs no OpenQASM programs, only {', '.join(document['action'])}: "
            "take a gate-based device"
        )
    action = document["action"][PROGRAM]
    paradigm = document["paradigm"]
    tables = document.get("standardized") or {}
    if (tables.get("oneQubitProperties") or {}) and "twoQubitProperties" in tables:
        calibration: Calibration | None = _from_tables(document, device)
    else:
        calibration = _from_means(document, device)
    return Capabilities(
        size=int(paradigm["qubitCount"]),
        operations=frozenset(str(name).lower() for name in action.get("supportedOperations") or ()),
        ranges=_ranges(document),
        calibration=calibration,
        has_choice=calibration is not None and "twoQubitProperties" in tables,
        takes_places=bool(action.get("supportPhysicalQubits")),
    )


def _ranges(document: Mapping[str, Any]) -> Ranges:
    low, high = document["service"]["shotsRange"]
    sets = document["action"].get(PROGRAM_SET)
    if sets is None:
        return Ranges(max(1, int(low)), int(high))
    return Ranges(
        max(1, int(low)),
        int(high),
        executables_max=int(sets["maximumExecutables"]),
        total_min=int(sets.get("minimumTotalShots") or 1),
        total_max=int(sets["maximumTotalShots"]),
    )


def _from_tables(document: Mapping[str, Any], device: str) -> Calibration:
    """Errors by qubit and coupling; those without a readout, or below a coin's, are left out."""
    tables = document["standardized"]
    qubits = {
        int(name): qubit
        for name, entry in tables["oneQubitProperties"].items()
        if (qubit := _qubit(name, entry)) is not None
    }
    pairs: dict[tuple[int, int], float] = {}
    for name, entry in tables["twoQubitProperties"].items():
        a, b = (int(part) for part in name.split("-"))
        errors = [1.0 - float(one["fidelity"]) for one in entry["twoQubitGateFidelity"]]
        if errors and min(errors) < 1.0 and a in qubits and b in qubits:
            pairs[a, b] = min(errors)
    return Calibration(
        device=device,
        date=str(document["service"].get("updatedAt") or ""),
        size=int(document["paradigm"]["qubitCount"]),
        qubits=qubits,
        pair_errors=pairs,
    )


def _qubit(name: str, entry: Mapping[str, Any]) -> Qubit | None:
    """One qubit's calibration; None if its readout is not known or no better than a coin."""
    fidelities = {
        str(one["fidelityType"]["name"]).upper(): float(one["fidelity"])
        for one in entry["oneQubitFidelity"]
    }
    readout = 1.0 - fidelities.get(_READOUT, math.nan)
    if not readout < 0.5:  # noqa: PLR2004 - a coin's error
        return None
    pulse = next((1.0 - fidelities[word] for word in _BENCHMARKS if word in fidelities), 0.0)
    return Qubit(
        label=name,
        readout_error=readout,
        prob_1_given_0=readout,
        prob_0_given_1=readout,
        readout_s=0.0,
        t1_s=_seconds(entry.get("T1")),
        t2_s=_seconds(entry.get("T2")),
        pulse_error=pulse,
    )


def _from_means(document: Mapping[str, Any], device: str) -> Calibration | None:
    """The same errors for all qubits and pairs of a fully connected device; None without them."""
    connectivity = document["paradigm"].get("connectivity") or {}
    errors = _means(document)
    if errors is None or not connectivity.get("fullyConnected"):
        return None
    pulse, readout, pair = errors
    size = int(document["paradigm"]["qubitCount"])
    qubits = {
        index: Qubit(
            label=str(index),
            readout_error=readout,
            prob_1_given_0=readout,
            prob_0_given_1=readout,
            readout_s=0.0,
            t1_s=None,
            t2_s=None,
            pulse_error=pulse,
        )
        for index in range(size)
    }
    return Calibration(
        device=device,
        date=str(document["service"].get("updatedAt") or ""),
        size=size,
        qubits=qubits,
        pair_errors=dict.fromkeys(combinations(range(size), 2), pair),
    )


def _means(document: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Mean errors of a pulse, a readout and a two-qubit gate; None if they are not published."""
    fidelity = (document.get("provider") or {}).get("fidelity") or {}
    if {"1Q", "2Q", "spam"} <= fidelity.keys():
        means = (float(fidelity[word]["mean"]) for word in ("1Q", "spam", "2Q"))
    else:
        tables = document.get("standardized") or {}
        names = ("singleQubitFidelity", "readoutFidelity", "twoQubitGateFidelity")
        lists = [tables.get(name) or [] for name in names]
        if not all(lists):
            return None
        means = (float(found[0]["fidelity"]) for found in lists)
    pulse, readout, pair = (1.0 - mean for mean in means)
    return (pulse, readout, pair) if readout < 0.5 else None  # noqa: PLR2004 - a coin's error


def _seconds(entry: Mapping[str, Any] | None) -> float | None:
    """A time in seconds, None if it is not published."""
    if not entry or entry.get("value") is None:
        return None
    return float(entry["value"]) * _SECONDS.get(str(entry.get("unit", "s")).lower(), 1.0)

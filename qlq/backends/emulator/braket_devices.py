"""The devices that the Braket emulator offers, with capabilities in Braket's schemas.

They bear the ARNs of devices that exist, so that addresses, regions and prices are those of a real
account. Their shape follows the vendors' documents: numbering, couplings, gates, ranges. Their
calibration does not: every error is drawn from the device's name, and belongs to no machine. The
names end in `(emulated)`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

CALIBRATED = "2026-11-01T00:00:00"
_SCHEMA = "braket.device_schema"
_GATES = ["x", "y", "z", "h", "s", "si", "t", "ti", "v", "vi", "i", "rx", "ry", "rz", "phaseshift"]
_PAIRS = ["cnot", "cz", "swap", "iswap", "xy", "cphaseshift"]

Pair = tuple[int, int]


class DeviceType(StrEnum):
    """Braket's word for what a device is."""

    QPU = "QPU"
    SIMULATOR = "SIMULATOR"


class Coupling(StrEnum):
    """How a vendor's tables write the pairs of coupled qubits."""

    SYMMETRIC = "symmetric"
    DIRECTED = "directed"


@dataclass(frozen=True, slots=True)
class Errors:
    """How noisy a device is.

    Attributes:
        pulse: Average infidelity of a single-qubit gate, by qubit.
        readout: Probability to read a qubit wrongly.
        pair: Average infidelity of a two-qubit gate, by coupled pair in ascending order.
    """

    pulse: Mapping[int, float]
    readout: Mapping[int, float]
    pair: Mapping[Pair, float]


@dataclass(frozen=True, slots=True)
class Device:
    """One emulated device.

    Attributes:
        arn: As on the real service.
        name: What it calls itself.
        provider: Whose it is.
        device_type: QPU, or one of Amazon's simulators.
        errors: Its noise; None for an ideal simulator. Qubits are those that have a readout.
        operations: Gates that a program may use, and `reset` where it is possible.
        shots: Least and most shots of one circuit.
        executables_max: Circuits of one program set; 0 where there are none.
        total_shots_max: Shots of one program set.
        capabilities: What `GetDevice` answers, in Braket's schema.
    """

    arn: str
    name: str
    provider: str
    device_type: DeviceType
    errors: Errors | None
    operations: frozenset[str]
    shots: tuple[int, int]
    executables_max: int
    total_shots_max: int
    capabilities: Mapping[str, Any]

    @property
    def region(self) -> str:
        """Where it stands; empty for a simulator, which is in every region."""
        return self.arn.split(":")[3]


def devices() -> dict[str, Device]:
    """All emulated devices by ARN."""
    return {device.arn: device for device in (_garnet(), _forte(), _cepheus(), _sv1())}


def _garnet() -> Device:
    """Twenty qubits in a lattice, numbered from 1; program sets."""
    qubits = range(1, 21)
    pairs = _grid(list(qubits), width=5)
    errors = _drawn("garnet", qubits, pairs, pulse=1e-3, readout=0.02, pair=6e-3)
    errors = _spoiled(errors, qubit=7, pair=(12, 13))
    operations = [*_GATES, *_PAIRS, "prx", "reset"]
    standardized = _standardized(errors, gate="CZ", coupling=Coupling.SYMMETRIC)
    return _qpu(
        "arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet",
        provider="IQM",
        errors=errors,
        operations=operations,
        shots=(1, 20_000),
        executables_max=100,
        total_shots_max=100_000,
        schema=f"{_SCHEMA}.iqm.iqm_device_capabilities",
        version="1",
        paradigm=_paradigm(qubits, pairs, native=["cz", "prx"]),
        more={"standardized": standardized},
    )


def _cepheus() -> Device:
    """A strip of qubits numbered from 0, some of them missing; program sets."""
    qubits = [index for index in range(36) if index not in {5, 21}]
    pairs = [pair for pair in _grid(list(range(36)), width=9) if set(pair) <= set(qubits)]
    errors = _drawn("cepheus", qubits, pairs, pulse=1.5e-3, readout=0.04, pair=1e-2)
    return _qpu(
        "arn:aws:braket:us-west-1::device/qpu/rigetti/Cepheus-1-108Q",
        provider="Rigetti",
        errors=errors,
        operations=[*_GATES, *_PAIRS],
        shots=(10, 50_000),
        executables_max=100,
        total_shots_max=500_000,
        schema=f"{_SCHEMA}.rigetti.rigetti_device_capabilities",
        version="2",
        paradigm=_paradigm(qubits, pairs, native=["rx", "rz", "iswap"]),
        more={"standardized": _standardized(errors, gate="ISWAP", coupling=Coupling.DIRECTED)},
    )


def _forte() -> Device:
    """Thirty-six ions, each coupled to all; single programs only, means in place of tables."""
    qubits = range(36)
    pairs = [(a, b) for a in qubits for b in qubits if a < b]
    errors = Errors(
        pulse=dict.fromkeys(qubits, 2e-4),
        readout=dict.fromkeys(qubits, 5e-3),
        pair=dict.fromkeys(pairs, 6e-3),
    )
    provider = {
        "braketSchemaHeader": {"name": f"{_SCHEMA}.ionq.ionq_provider_properties", "version": "1"},
        "fidelity": {"1Q": {"mean": 0.9998}, "2Q": {"mean": 0.994}, "spam": {"mean": 0.995}},
        "timing": {"T1": 100.0, "T2": 1.0, "1Q": 1.3e-4, "2Q": 9.7e-4, "readout": 2e-4,
                   "reset": 2e-5},
    }  # fmt: skip
    return _qpu(
        "arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1",
        provider="IonQ",
        errors=errors,
        operations=[*_GATES, "cnot", "swap", "xx", "yy", "zz"],
        shots=(10, 5_000),
        executables_max=0,
        total_shots_max=0,
        schema=f"{_SCHEMA}.ionq.ionq_device_capabilities",
        version="1",
        paradigm=_paradigm(qubits, None, native=["gpi", "gpi2", "zz"]),
        more={"provider": provider},
    )


def _sv1() -> Device:
    """Amazon's state-vector simulator."""
    operations = [*_GATES, *_PAIRS]
    capabilities = {
        "braketSchemaHeader": {
            "name": f"{_SCHEMA}.simulators.gate_model_simulator_device_capabilities",
            "version": "1",
        },
        "service": _service((0, 100_000), location="us-east-1"),
        "action": {_OPENQASM: _openqasm(operations)},
        "paradigm": {
            "braketSchemaHeader": {
                "name": f"{_SCHEMA}.simulators.gate_model_simulator_paradigm_properties",
                "version": "1",
            },
            "qubitCount": 34,
        },
        "deviceParameters": {},
    }
    return Device(
        arn="arn:aws:braket:::device/quantum-simulator/amazon/sv1",
        name="SV1 (emulated)",
        provider="Amazon Braket",
        device_type=DeviceType.SIMULATOR,
        errors=None,
        operations=frozenset(operations),
        shots=(0, 100_000),
        executables_max=0,
        total_shots_max=0,
        capabilities=capabilities,
    )


_OPENQASM = "braket.ir.openqasm.program"
_PROGRAM_SET = "braket.ir.openqasm.program_set"


def _qpu(
    arn: str,
    *,
    provider: str,
    errors: Errors,
    operations: list[str],
    shots: tuple[int, int],
    executables_max: int,
    total_shots_max: int,
    schema: str,
    version: str,
    paradigm: dict[str, Any],
    more: dict[str, Any],
) -> Device:
    """A QPU with its capabilities put together."""
    action: dict[str, Any] = {_OPENQASM: _openqasm(operations)}
    if executables_max:
        action[_PROGRAM_SET] = {
            "actionType": _PROGRAM_SET,
            "version": ["1"],
            "maximumExecutables": executables_max,
            "maximumTotalShots": total_shots_max,
        }
    capabilities = {
        "braketSchemaHeader": {"name": schema, "version": version},
        "service": _service(shots, location=arn.split(":")[3]),
        "action": action,
        "paradigm": paradigm,
        "deviceParameters": {},
        **more,
    }
    return Device(
        arn=arn,
        name=f"{arn.rpartition('/')[2]} (emulated)",
        provider=provider,
        device_type=DeviceType.QPU,
        errors=errors,
        operations=frozenset(operations),
        shots=shots,
        executables_max=executables_max,
        total_shots_max=total_shots_max,
        capabilities=capabilities,
    )


def _openqasm(operations: list[str]) -> dict[str, Any]:
    return {
        "actionType": _OPENQASM,
        "version": ["1"],
        "supportedOperations": operations,
        "supportedResultTypes": [],
        "supportPhysicalQubits": True,
        "requiresAllQubitsMeasurement": False,
    }


def _service(shots: tuple[int, int], *, location: str) -> dict[str, Any]:
    day = {"executionDay": "Everyday", "windowStartHour": "00:00", "windowEndHour": "23:59:59"}
    return {
        "braketSchemaHeader": {"name": f"{_SCHEMA}.device_service_properties", "version": "1"},
        "executionWindows": [day],
        "shotsRange": list(shots),
        "deviceLocation": location,
        "updatedAt": CALIBRATED,
        "getTaskPollIntervalMillis": 500,
    }


def _paradigm(
    qubits: Iterable[int], pairs: list[Pair] | None, *, native: list[str]
) -> dict[str, Any]:
    """Number of qubits and couplings; no table of couplings where all are coupled."""
    graph: dict[str, list[str]] = {str(qubit): [] for qubit in qubits}
    for a, b in pairs or []:
        graph[str(a)].append(str(b))
    return {
        "braketSchemaHeader": {
            "name": f"{_SCHEMA}.gate_model_qpu_paradigm_properties",
            "version": "1",
        },
        "qubitCount": len(graph),
        "nativeGateSet": native,
        "connectivity": {
            "fullyConnected": pairs is None,
            "connectivityGraph": {} if pairs is None else graph,
        },
    }


def _standardized(errors: Errors, *, gate: str, coupling: Coupling) -> dict[str, Any]:
    """Tables of fidelities by qubit and by coupled pair."""
    one = {
        str(qubit): {
            "T1": {"value": 4e-5, "standardError": None, "unit": "S"},
            "T2": {"value": 1e-5, "standardError": None, "unit": "S"},
            "oneQubitFidelity": [
                _fidelity("RANDOMIZED_BENCHMARKING", errors.pulse[qubit]),
                _fidelity("READOUT", readout),
            ],
        }
        for qubit, readout in errors.readout.items()
    }
    two = {
        f"{a}-{b}": {
            "twoQubitGateFidelity": [
                {
                    "direction": {"control": a, "target": b}
                    if coupling is Coupling.DIRECTED
                    else None,
                    "gateName": gate,
                    **_fidelity("INTERLEAVED_RANDOMIZED_BENCHMARKING", error),
                }
            ]
        }
        for (a, b), error in errors.pair.items()
    }
    return {
        "braketSchemaHeader": {
            "name": f"{_SCHEMA}.standardized_gate_model_qpu_device_properties",
            "version": "1",
        },
        "oneQubitProperties": one,
        "twoQubitProperties": two,
    }


def _fidelity(name: str, error: float) -> dict[str, Any]:
    return {"fidelityType": {"name": name}, "fidelity": round(1.0 - error, 6)}


def _grid(labels: list[int], *, width: int) -> list[Pair]:
    """Neighbours of a rectangular lattice, row by row."""
    pairs = []
    for place, label in enumerate(labels):
        if (place + 1) % width and place + 1 < len(labels):
            pairs.append((label, labels[place + 1]))
        if place + width < len(labels):
            pairs.append((label, labels[place + width]))
    return pairs


def _drawn(
    name: str,
    qubits: Iterable[int],
    pairs: Iterable[Pair],
    *,
    pulse: float,
    readout: float,
    pair: float,
) -> Errors:
    """Errors between half and twice the given ones, the same for the same name."""
    places = list(qubits)
    return Errors(
        pulse={q: _near(pulse, f"{name} pulse {q}") for q in places},
        readout={q: _near(readout, f"{name} readout {q}") for q in places},
        pair={p: _near(pair, f"{name} pair {p[0]} {p[1]}") for p in pairs},
    )


def _near(middle: float, word: str) -> float:
    part = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") / (1 << 32)
    return float(round(middle * 4.0 ** (part - 0.5), 6))


def _spoiled(errors: Errors, *, qubit: int, pair: Pair) -> Errors:
    """The same with one qubit and one coupling on which no key can be made."""
    return Errors(
        pulse=errors.pulse,
        readout={**errors.readout, qubit: 0.35},
        pair={**errors.pair, pair: 0.4},
    )

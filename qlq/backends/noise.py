"""Calibration of a device, and which of its qubits to use.

A `Calibration` is free of any vendor's types: adapters read a device's files into it, choose qubits
with `choose`, predict error rates, and build the noise of the chosen qubits only. IBM's snapshots
are read here, from the JSON files that `qiskit_ibm_runtime` ships, without importing that package
(its own classes take seconds to build a whole chip).
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qlq.backends.port import DeviceInfo
from qlq.circuit import Plan, Program, components
from qlq.errors import BackendUnavailable, CircuitRejected, ConfigError
from qlq.provenance import Kind

PAIR_GATES = ("cz", "ecr", "cx")
"""Two-qubit gates of IBM devices, the first one that a device has is used."""

PAIR = 2

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_FIRST_QUBIT_PULSES = 3
_SECOND_QUBIT_PULSES = 4
_BB84_PULSES = 5
_PAIR_GATE_PARITY = 4.0 / 3.0


@dataclass(frozen=True, slots=True)
class Operation:
    """One native operation on given qubits.

    Attributes:
        error: Average gate infidelity in [0, 1); 0 if the device does not report it.
        duration_s: Duration in seconds, 0 for gates that only change a frame.
    """

    error: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Qubit:
    """Calibration of one usable qubit.

    Attributes:
        label: What the vendor calls it.
        readout_error: Mean assignment error in [0, 1).
        prob_1_given_0: Probability to read 1 after preparing 0.
        prob_0_given_1: Probability to read 0 after preparing 1.
        readout_s: Duration of a measurement in seconds.
        t1_s: Relaxation time in seconds, None if unknown.
        t2_s: Dephasing time in seconds, None if unknown.
        pulse_error: Average infidelity of one physical single-qubit pulse.
    """

    label: str
    readout_error: float
    prob_1_given_0: float
    prob_0_given_1: float
    readout_s: float
    t1_s: float | None
    t2_s: float | None
    pulse_error: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """One snapshot of a device; faulty qubits and couplings are left out.

    Attributes:
        device: Name of the device.
        date: ISO date of the snapshot.
        size: Number of qubits of the chip, faulty ones included.
        qubits: Usable qubits by physical index.
        pair_errors: Error of the two-qubit gate by usable directed pair.
        operations: Native operations by name and directed qubits, usable ones only.
    """

    device: str
    date: str
    size: int
    qubits: Mapping[int, Qubit]
    pair_errors: Mapping[tuple[int, int], float]
    operations: Mapping[str, Mapping[tuple[int, ...], Operation]] = field(default_factory=dict)

    def pair_error(self, a: int, b: int) -> float | None:
        """Error of the better direction of a coupling, None if there is none."""
        errors = (self.pair_errors.get((a, b)), self.pair_errors.get((b, a)))
        return min((error for error in errors if error is not None), default=None)

    def check_qubit(self, qubit: int) -> None:
        """Raise ConfigError, naming the nearest usable qubit, unless the qubit is usable."""
        if qubit in self.qubits:
            return
        near = min(self.qubits, key=lambda other: (abs(other - qubit), other))
        state = "faulty in this calibration" if 0 <= qubit < self.size else "not on the chip"
        raise ConfigError(
            f"qubit {qubit} of {self.device} is {state} (qubits 0 to {self.size - 1}); "
            f"the nearest usable one is {near}"
        )


def choose(calibration: Calibration, count: int) -> tuple[int, ...]:
    """The best coupled qubits of a device.

    One qubit: the smallest readout error. Two: the smallest sum of the two-qubit gate's error
    and both readout errors. More: the best pair, grown by the best coupled neighbour each time.

    Raises:
        BackendUnavailable: The device has no such set of usable, coupled qubits.
    """
    if count == 1 and calibration.qubits:
        return (min(calibration.qubits, key=lambda q: (_readout(calibration, q), q)),)
    if count < 1 or not calibration.pair_errors or count > len(calibration.qubits):
        raise BackendUnavailable(f"{calibration.device} has no {count} usable coupled qubits")
    pairs = calibration.pair_errors
    _, best = min((_pair_cost(calibration, pair), pair) for pair in pairs)
    chosen = list(best)
    while len(chosen) < count:
        growth = [
            (error + _readout(calibration, b), a, b)
            for (a, b), error in calibration.pair_errors.items()
            for a, b in ((a, b), (b, a))
            if a in chosen and b not in chosen
        ]
        if not growth:
            raise BackendUnavailable(f"{calibration.device} has no {count} coupled qubits")
        chosen.append(min(growth)[2])
    return tuple(chosen)


def choose_for(calibration: Calibration, program: Program) -> tuple[int, ...]:
    """The qubits for a program, in its order.

    Each group of connected qubits gets the best that are left, larger groups first. Groups keep
    a distance, so that no qubit is coupled to one of another group and crosstalk stays small;
    on a device too small for that they only differ.

    Raises:
        BackendUnavailable: The device has not enough usable, coupled qubits.
    """
    try:
        return _place(calibration, program, _neighbourhood)
    except BackendUnavailable:
        return _place(calibration, program, _itself)


def _place(
    calibration: Calibration,
    program: Program,
    taken_by: Callable[[Calibration, tuple[int, ...]], set[int]],
) -> tuple[int, ...]:
    """As `choose_for`; `taken_by` says which qubits a placed group takes from the others."""
    left = calibration
    placed: dict[int, int] = {}
    for group in sorted(components(program), key=len, reverse=True):
        found = choose(left, len(group))
        placed.update(zip(group, found, strict=True))
        left = _without(left, taken_by(calibration, found))
    return tuple(placed[qubit] for qubit in range(program.n_qubits))


def _itself(_calibration: Calibration, qubits: tuple[int, ...]) -> set[int]:
    return set(qubits)


def _neighbourhood(calibration: Calibration, qubits: tuple[int, ...]) -> set[int]:
    """The qubits and all that are coupled to them."""
    touching = [pair for pair in calibration.pair_errors if set(pair) & set(qubits)]
    return set(qubits).union(*touching)


def _without(calibration: Calibration, qubits: set[int]) -> Calibration:
    """The calibration of what is left of a device."""
    return replace(
        calibration,
        qubits={index: one for index, one in calibration.qubits.items() if index not in qubits},
        pair_errors={
            pair: error for pair, error in calibration.pair_errors.items() if not qubits & set(pair)
        },
    )


def is_coupled(calibration: Calibration, qubits: tuple[int, ...]) -> bool:
    """Whether usable couplings connect all the qubits with each other."""
    reached, waiting = {qubits[0]}, [qubits[0]]
    while waiting:
        here = waiting.pop()
        for other in set(qubits) - reached:
            if calibration.pair_error(here, other) is not None:
                reached.add(other)
                waiting.append(other)
    return len(reached) == len(qubits)


def predicted_qber_bb84(calibration: Calibration, qubit: int) -> float:
    """Expected BB84 error rate on a qubit, in [0, 0.5].

    Each of the five pulses of a compiled circuit flips the outcome with a probability of its
    infidelity (a depolarising channel of infidelity e flips a basis state with probability e),
    the readout with its assignment error; flips compose as 1 - 2Q = product of 1 - 2q.
    """
    one = calibration.qubits[qubit]
    return 0.5 * (1.0 - _kept(one, pulses=_BB84_PULSES))


def predicted_qber_e91(calibration: Calibration, a: int, b: int) -> float:
    """Expected E91 error rate on a coupled pair, in [0, 0.5].

    As for BB84, with both readouts, three and four pulses, and the two-qubit gate: a
    depolarising channel of infidelity e on two qubits leaves the parity 1 - 4e/3 of its value.
    """
    error = calibration.pair_error(a, b)
    if error is None:
        raise ConfigError(f"qubits {a} and {b} of {calibration.device} are not coupled")
    kept = _kept(calibration.qubits[a], pulses=_FIRST_QUBIT_PULSES)
    kept *= _kept(calibration.qubits[b], pulses=_SECOND_QUBIT_PULSES)
    return 0.5 * (1.0 - kept * max(0.0, 1.0 - _PAIR_GATE_PARITY * error))


def snapshot(calibration: Calibration, qubits: tuple[int, ...]) -> dict[str, Any]:
    """What a provenance keeps of the used qubits; JSON-serialisable."""
    return {
        "device": calibration.device,
        "date": calibration.date,
        "qubits": [
            {
                "index": qubit,
                "label": calibration.qubits[qubit].label,
                "readout_error": calibration.qubits[qubit].readout_error,
                "prob_1_given_0": calibration.qubits[qubit].prob_1_given_0,
                "prob_0_given_1": calibration.qubits[qubit].prob_0_given_1,
                "pulse_error": calibration.qubits[qubit].pulse_error,
                "t1_s": calibration.qubits[qubit].t1_s,
                "t2_s": calibration.qubits[qubit].t2_s,
            }
            for qubit in qubits
        ],
        "pairs": [
            {"qubits": [a, b], "error": error}
            for (a, b), error in sorted(calibration.pair_errors.items())
            if a in qubits and b in qubits
        ],
    }


def device_info(
    calibration: Calibration, qubits: tuple[int, ...] | None, *, provider: str
) -> DeviceInfo:
    """What to show of a device with noise.

    Args:
        calibration: Its snapshot.
        qubits: The qubits the operator chose, None if the best ones are to be taken.
        provider: The package that simulates it.
    """
    one = qubits if qubits is not None else choose(calibration, 1)
    two = (
        qubits
        if qubits is not None
        else (choose(calibration, 2) if calibration.pair_errors else ())
    )
    one, two = (one if len(one) == 1 else ()), (two if len(two) == PAIR else ())
    coupled = len(two) == PAIR and calibration.pair_error(*two) is not None
    return DeviceInfo(
        name=calibration.device,
        provider=provider,
        kind=Kind.NOISY,
        qubits=calibration.size,
        qubit_errors={index: one.readout_error for index, one in calibration.qubits.items()},
        pair_errors=dict(calibration.pair_errors),
        qubits_bb84=one,
        qubits_e91=two,
        predicted_qber_bb84=predicted_qber_bb84(calibration, one[0]) if one else None,
        predicted_qber_e91=predicted_qber_e91(calibration, *two) if coupled else None,
        calibrated=calibration.date,
    )


def qubits_of(
    calibration: Calibration, plan: Plan, fixed: tuple[int, ...] | None
) -> tuple[int, ...]:
    """The physical qubits a plan runs on: its own, else the operator's, else the best.

    Raises:
        CircuitRejected: The plan's own qubits do not fit its program, or are not coupled.
        ConfigError: Those of the operator do not; or a qubit is faulty or not on the chip.
    """
    qubits = plan.qubits if plan.qubits is not None else fixed
    if qubits is None:
        return choose_for(calibration, plan.program)
    try:
        _check_fit(calibration, plan.program, qubits)
    except CircuitRejected as error:
        if plan.qubits is not None:
            raise
        raise ConfigError(f"{error}: change qubits= in the backend's URI") from error
    return qubits


def _check_fit(calibration: Calibration, program: Program, qubits: tuple[int, ...]) -> None:
    """Raise CircuitRejected unless the program can run on these qubits."""
    if len(qubits) != program.n_qubits:
        raise CircuitRejected(
            f"{program.name} needs {program.n_qubits} qubits of {calibration.device}, "
            f"not the {len(qubits)} chosen ({', '.join(map(str, qubits))})"
        )
    for qubit in qubits:
        calibration.check_qubit(qubit)
    for group in components(program):
        chosen = tuple(qubits[qubit] for qubit in group)
        if not is_coupled(calibration, chosen):
            raise CircuitRejected(not_coupled(calibration, chosen))


def not_coupled(calibration: Calibration, qubits: tuple[int, ...]) -> str:
    """A message that names the qubits and what the first one is coupled to."""
    first = qubits[0]
    around = sorted({b for a, b in calibration.pair_errors if a == first})
    around = sorted({*around, *(a for a, b in calibration.pair_errors if b == first)})
    words = ", ".join(map(str, qubits))
    partners = ", ".join(map(str, around)) or "no usable qubit"
    return f"qubits {words} of {calibration.device} are not coupled; {first} is with {partners}"


def ibm_devices() -> dict[str, Path]:
    """Folders of the packaged snapshots of IBM devices by short name, for example `fez`."""
    spec = importlib.util.find_spec("qiskit_ibm_runtime")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(spec.submodule_search_locations[0]) / "fake_provider" / "backends"
    return {
        path.parent.name: path.parent
        for path in sorted(folder.glob("*/props_*.json"))
        if path.name == f"props_{path.parent.name}.json"
        and (path.parent / f"conf_{path.parent.name}.json").is_file()
    }


def ibm_size(folder: Path) -> int:
    """Number of qubits of a packaged IBM device."""
    return int(_read(folder / f"conf_{folder.name}.json")["n_qubits"])


def ibm_calibration(folder: Path) -> Calibration:
    """The packaged snapshot of an IBM device.

    A qubit or gate marked not operational, and a gate or readout with an error of 1 or more or
    none at all where one is due, is left out.

    Raises:
        BackendUnavailable: The files cannot be read.
    """
    return ibm_calibration_of(
        _read(folder / f"conf_{folder.name}.json"),
        _read(folder / f"props_{folder.name}.json"),
        device=f"fake_{folder.name}",
    )


def ibm_calibration_of(
    conf: Mapping[str, Any], props: Mapping[str, Any], *, device: str
) -> Calibration:
    """The calibration that IBM's two documents describe; faulty qubits and gates are left out.

    Args:
        conf: The configuration, of which `n_qubits` and `basis_gates` are read.
        props: The properties, of which `last_update_date`, `qubits` and `gates` are read.
        device: Name to give it.

    Raises:
        BackendUnavailable: A document lacks what is read from it.
    """
    try:
        return _ibm_calibration_of(conf, props, device)
    except (KeyError, TypeError, ValueError) as error:
        raise BackendUnavailable(
            f"the calibration of {device} cannot be read: {error!r}"
        ) from error


def _ibm_calibration_of(
    conf: Mapping[str, Any], props: Mapping[str, Any], device: str
) -> Calibration:
    operations = _ibm_operations(conf, props)
    pair_gate = next((gate for gate in PAIR_GATES if operations.get(gate)), None)
    qubits = {
        index: qubit
        for index, entries in enumerate(props["qubits"])
        if (qubit := _ibm_qubit(index, entries, operations)) is not None
    }
    usable = {
        name: {
            on: operation for on, operation in table.items() if all(qubit in qubits for qubit in on)
        }
        for name, table in operations.items()
    }
    pairs = usable.get(pair_gate, {}) if pair_gate else {}
    return Calibration(
        device=device,
        date=str(props["last_update_date"]),
        size=int(conf["n_qubits"]),
        qubits=qubits,
        pair_errors={(on[0], on[1]): operation.error for on, operation in pairs.items()},
        operations=usable,
    )


def _ibm_operations(
    conf: Mapping[str, Any], props: Mapping[str, Any]
) -> dict[str, dict[tuple[int, ...], Operation]]:
    """Usable native operations of a device, and reset."""
    native = {*conf["basis_gates"], "reset"}
    tables: dict[str, dict[tuple[int, ...], Operation]] = {}
    for gate in props["gates"]:
        values = _values(gate["parameters"])
        error = values.get("gate_error", 0.0)
        faulty = values.get("operational", 1.0) == 0.0 or not 0.0 <= error < 1.0
        if gate["gate"] in native and not faulty:
            operation = Operation(error, values.get("gate_length", 0.0))
            tables.setdefault(gate["gate"], {})[tuple(gate["qubits"])] = operation
    return tables


def _ibm_qubit(
    index: int,
    entries: list[dict[str, Any]],
    operations: Mapping[str, Mapping[tuple[int, ...], Operation]],
) -> Qubit | None:
    """One qubit's calibration; None if it is faulty."""
    values = _values(entries)
    readout = values.get("readout_error", math.nan)
    if values.get("operational", 1.0) == 0.0 or not 0.0 <= readout < 1.0:
        return None
    tables = (operations.get(gate, {}) for gate in ("sx", "u2"))
    pulse = next((table[(index,)] for table in tables if (index,) in table), None)
    if pulse is None:
        return None
    return Qubit(
        label=str(index),
        readout_error=readout,
        prob_1_given_0=values.get("prob_meas1_prep0", readout),
        prob_0_given_1=values.get("prob_meas0_prep1", readout),
        readout_s=values.get("readout_length", 0.0),
        t1_s=values.get("T1"),
        t2_s=values.get("T2"),
        pulse_error=pulse.error,
    )


def _values(entries: list[dict[str, Any]]) -> dict[str, float]:
    """Values by name, times in seconds."""
    return {
        entry["name"]: float(entry["value"]) * _SECONDS.get(entry["unit"], 1.0) for entry in entries
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BackendUnavailable(f"cannot read the calibration {path.name}: {error}") from error
    return content


def _kept(qubit: Qubit, *, pulses: int) -> float:
    """What readout and pulses leave of an expectation value that was 1."""
    readout = 1.0 - 2.0 * min(0.5, qubit.readout_error)
    return readout * (1.0 - 2.0 * min(0.5, qubit.pulse_error)) ** pulses


def _readout(calibration: Calibration, qubit: int) -> float:
    return calibration.qubits[qubit].readout_error


def _pair_cost(calibration: Calibration, pair: tuple[int, int]) -> float:
    a, b = pair
    return calibration.pair_errors[pair] + _readout(calibration, a) + _readout(calibration, b)

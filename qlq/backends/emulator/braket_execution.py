"""What an emulated Braket device makes of a task: its programs run with the device's noise.

Programs run on Braket's own density-matrix simulator. Behind every gate stands a depolarising
channel of the gate's average infidelity, before every measurement a bit flip of the qubit's readout
error. Shots come in a random order: the simulator gathers those of a program with mid-circuit
measurements by their outcomes, and the order that a device would have given is lost, but shots of a
simulator are exchangeable, so that a random order is as good.

Source: average infidelity of a depolarising channel on d levels, e = p d / (d + 1) with `p` the
probability of an error that is not the identity: p = 3e/2 on one qubit, 5e/4 on two.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qlq.backends import braket_simulation
from qlq.backends.emulator.braket_devices import Device
from qlq.errors import QLQError

if TYPE_CHECKING:
    from braket.ir.openqasm import Program, ProgramSet

SEED_BITS = 128
QUBITS_MAX = 12
"""A density matrix of so many qubits takes 256 MB."""

_ONE_QUBIT = 1.5
_TWO_QUBITS = 1.25
_FRAME_GATES = frozenset({"i", "z", "s", "si", "t", "ti", "rz", "phaseshift"})
"""Gates that change only a frame of reference, without a pulse."""
_PAIR = 2


class Refused(QLQError):
    """The device does not take this task; the message says why."""


@dataclass(frozen=True, slots=True)
class Work:
    """One task, checked.

    Attributes:
        device: Where it runs.
        programs: Circuits with their inputs bound; one for a single program.
        action: The parsed program or program set, as the client sent it.
        shots: Shots of each circuit.
    """

    device: Device
    programs: tuple[Program, ...]
    action: Program | ProgramSet
    shots: int

    @property
    def is_set(self) -> bool:
        """Whether the result is that of a program set."""
        return hasattr(self.action, "programs")


def read(device: Device, action: str, *, shots: int) -> Work:
    """The task that a client describes.

    Args:
        device: Where it is to run.
        action: JSON of a `braket.ir.openqasm` program or program set.
        shots: Shots of the whole task.

    Raises:
        Refused: The device cannot run it: gates, qubits, couplings, ranges of shots, syntax.
    """
    parsed = _parsed(action)
    programs = tuple(_executables(parsed))
    if not programs or (hasattr(parsed, "programs") and len(programs) > device.executables_max):
        raise Refused(f"{len(programs)} executables; allowed are {device.executables_max}")
    each, rest = divmod(shots, len(programs))
    low, high = device.shots
    if rest or not low <= each <= high or (low == 0 and each == 0):
        raise Refused(f"shots {shots} of {len(programs)} executables must be in [{low}, {high}]")
    if hasattr(parsed, "programs") and shots > device.total_shots_max:
        raise Refused(f"total shots {shots} exceed {device.total_shots_max}")
    work = Work(device, programs, parsed, each)
    _check(work)
    return work


def run(work: Work, *, task_arn: str) -> bytes:
    """JSON of the task's result, as the service puts it into the bucket.

    Raises:
        Refused: The simulator cannot run a program.
    """
    simulator = _simulator(work.device)
    generator = np.random.default_rng(secrets.randbits(SEED_BITS))
    try:
        with braket_simulation.alone:
            result = simulator.run(work.action, shots=work.shots * len(work.programs))
    except (ValueError, TypeError, NotImplementedError, IndexError, KeyError) as error:
        raise Refused(f"the program cannot be run: {error}") from error
    parts = [result]
    if work.is_set:
        parts = [one for program in result.programResults for one in program.executableResults]
    for part in parts:
        bits = np.asarray(part.measurements, dtype=np.uint8)
        part.measurements = generator.permutation(bits, axis=0).tolist()
        part.measurementProbabilities = None
    result.taskMetadata.id = task_arn
    result.taskMetadata.deviceId = work.device.arn
    return str(result.json()).encode()


def _parsed(action: str) -> Any:
    from braket.ir.openqasm import Program, ProgramSet
    from braket.schema_common import BraketSchemaBase

    try:
        parsed = BraketSchemaBase.parse_raw_schema(action)
    except (ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise Refused(f"the action is in no known schema: {error}") from error
    if not isinstance(parsed, Program | ProgramSet):
        raise Refused(f"action {type(parsed).__name__} is not supported")
    return parsed


def _executables(parsed: Any) -> Iterable[Program]:
    """Every circuit with one value for each input."""
    from braket.ir.openqasm import Program

    if isinstance(parsed, Program):
        yield parsed
        return
    for program in parsed.programs:
        names = list(program.inputs or {})
        if not names:
            yield program
            continue
        for values in zip(*(program.inputs[name] for name in names), strict=True):
            inputs = dict(zip(names, values, strict=True))
            yield Program(source=program.source, inputs=inputs)


class _Asked:
    """Gates, pairs and physical qubits that one program uses."""

    def __init__(self) -> None:
        self.gates: set[str] = set()
        self.pairs: set[tuple[int, ...]] = set()
        self.qubits: set[int] = set()

    def measure(self, qubit: int) -> None:
        """A measured qubit."""
        self.qubits.add(qubit)

    def gate(self, name: str, qubits: tuple[int, ...]) -> None:
        """A gate, and the qubits it acts on."""
        self.gates.add(name)
        self.qubits.update(qubits)
        if len(qubits) == _PAIR:
            self.pairs.add(tuple(sorted(qubits)))

    def reset(self) -> None:
        """A reset."""
        self.gates.add("reset")


def _check(work: Work) -> None:
    """Refuse what the device cannot run; circuits of one source are checked once."""
    for program in {one.source: one for one in work.programs}.values():
        asked = _Asked()
        try:
            _simulator(work.device, asked).parse_program(program)
        except (ValueError, TypeError, NotImplementedError, IndexError, KeyError,
                NameError, FileNotFoundError) as error:  # fmt: skip
            raise Refused(f"OpenQASM: {error}") from error
        if unknown := sorted(asked.gates - work.device.operations):
            raise Refused(f"operation {unknown[0]!r} is not supported by {work.device.name}")
        if "$" in program.source:
            _check_places(work.device, asked)
        elif work.device.errors and len(asked.qubits) > len(work.device.errors.readout):
            raise Refused(f"{len(asked.qubits)} qubits are more than {work.device.name} has")
        if len(asked.qubits) > QUBITS_MAX:
            raise Refused(f"the emulator runs at most {QUBITS_MAX} qubits")


def _check_places(device: Device, asked: _Asked) -> None:
    """Refuse physical qubits that the device does not have or does not couple."""
    if device.errors is None:
        return
    if missing := sorted(asked.qubits - device.errors.readout.keys()):
        raise Refused(f"qubit {missing[0]} is not on {device.name}")
    if apart := sorted(asked.pairs - device.errors.pair.keys()):
        raise Refused(f"qubits {apart[0]} of {device.name} are not connected")


class _Noise:
    """The noise of one program on a device, and a note of what the program asks for."""

    def __init__(self, device: Device, asked: _Asked) -> None:
        self._errors = device.errors
        self._asked = asked
        self._placed: list[int] | None = None

    def place(self) -> None:
        """The program names virtual qubits: they sit on the device's own, best readout first."""
        if self._errors is not None:
            table = self._errors.readout
            self._placed = sorted(table, key=lambda qubit: (table[qubit], qubit))

    def of_gate(self, name: str, target: tuple[int, ...]) -> Any:
        """The channel behind a gate, None if there is none."""
        from braket.default_simulator.noise_operations import Depolarizing, TwoQubitDepolarizing

        self._asked.gate(name, target)
        if self._errors is None:
            return None
        places = sorted(self._physical(qubit) for qubit in target)
        if len(target) == _PAIR:
            error = self._errors.pair.get((places[0], places[1]))
            if error is None:  # a virtual pair: the device routes it over an average coupling
                error = sum(self._errors.pair.values()) / len(self._errors.pair)
            return TwoQubitDepolarizing(target, _TWO_QUBITS * error)
        if len(target) == 1 and name not in _FRAME_GATES:
            return Depolarizing(target, _ONE_QUBIT * self._errors.pulse.get(places[0], 0.0))
        return None

    def of_measure(self, qubit: int) -> Any:
        """The channel before a measurement, None if there is none."""
        from braket.default_simulator.noise_operations import BitFlip

        self._asked.measure(qubit)
        if self._errors is None:
            return None
        return BitFlip([qubit], self._errors.readout.get(self._physical(qubit), 0.0))

    def of_reset(self) -> None:
        """Resets are perfect."""
        self._asked.reset()

    def _physical(self, qubit: int) -> int:
        if self._placed is None:
            return qubit
        return self._placed[min(qubit, len(self._placed) - 1)]


def _simulator(device: Device, asked: _Asked | None = None) -> Any:
    """Braket's simulator whose programs get the device's noise."""
    from braket.default_simulator import DensityMatrixSimulator, StateVectorSimulator

    kind = StateVectorSimulator if device.errors is None else DensityMatrixSimulator
    context = _context_class()

    class Emulated(kind):  # type: ignore[misc, valid-type]
        DEVICE_ID = device.arn

        def create_program_context(self) -> Any:
            return context(self, _Noise(device, asked or _Asked()))

    return Emulated()


def _context_class() -> Callable[[Any, _Noise], Any]:
    """The interpreter's context that puts noise behind gates and before measurements."""
    from braket.default_simulator.openqasm.program_context import ProgramContext

    class Noisy(ProgramContext):  # type: ignore[misc]
        def __init__(self, simulator: Any, noise: _Noise) -> None:
            super().__init__(simulator=simulator)
            self._noise = noise

        def add_qubits(self, name: str, num_qubits: int | None = 1) -> None:
            super().add_qubits(name, num_qubits)
            self._noise.place()

        def add_gate_instruction(
            self, gate_name: str, target: tuple[int, ...], *args: Any, **kwargs: Any
        ) -> None:
            super().add_gate_instruction(gate_name, target, *args, **kwargs)
            _append(self, self._noise.of_gate(gate_name, tuple(target)))

        def add_reset(self, target: list[int]) -> None:
            self._noise.of_reset()
            super().add_reset(target)

        def add_measure(self, target: tuple[int], *args: Any, **kwargs: Any) -> None:
            for qubit in target:
                _append(self, self._noise.of_measure(qubit))
            super().add_measure(target, *args, **kwargs)

    return Noisy


def _append(context: Any, operation: Any) -> None:
    """Put noise on every path that mid-circuit measurements have opened so far.

    The public properties of the context would end the interpretation's measurements.
    """
    if operation is None:
        return
    if context._is_branched:  # noqa: SLF001 - see above
        for path in context.active_paths:
            path.add_instruction(operation)
    else:
        context._circuit.add_instruction(operation)  # noqa: SLF001 - see above

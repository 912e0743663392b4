"""What a submitted IBM job does: Qiskit circuits on a chip's qubits, run on Aer with their noise.

A circuit of a whole chip is cut into parts of coupled qubits, and idle qubits are dropped: the
device's noise has no crosstalk, so the parts are independent, and a few qubits take milliseconds
where the chip would take minutes. Payloads are read and written with IBM's own schemas: a client
that speaks another version is refused here, loudly.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qlq.backends import aer
from qlq.backends.noise import Calibration

if TYPE_CHECKING:
    from ibm_quantum_schemas.executor.version_2_0 import ParamsModel
    from qiskit import QuantumCircuit
    from qiskit_aer import AerSimulator

PIECE_EXECUTIONS = 1 << 16
"""Shots simulated in one call; a cancelled job ends between two calls."""

QUBITS_MAX = 10
"""Coupled qubits of one part; their density matrix is simulated."""

UNSUPPORTED = 1517
"""IBM's reason code of a job whose circuit is not in the device's own gates."""

_TRANSPARENT = frozenset({"barrier", "measure", "reset", "delay"})


class Refused(Exception):
    """A payload or circuit that the service does not take; not an error of QLQ's own.

    Attributes:
        code: IBM's reason code.
    """

    def __init__(self, message: str, *, code: int) -> None:
        """Keep the code."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Work:
    """A job's payload after it was checked.

    Attributes:
        params: The payload in IBM's schema.
        executions: Shots of all rows of all circuits together.
        rep_delay_s: Pause between two shots in seconds; None for the device's own.
    """

    params: ParamsModel
    executions: int
    rep_delay_s: float | None


@dataclass(frozen=True, slots=True)
class _Part:
    """Coupled qubits of a circuit.

    Attributes:
        circuit: Qubits relabelled from 0 in the order of `qubits`, bits in the order of `bits`.
        qubits: Physical qubits.
        bits: Indices of the whole circuit's classical bits.
    """

    circuit: QuantumCircuit
    qubits: tuple[int, ...]
    bits: tuple[int, ...]


def prepare() -> None:
    """Import what runs jobs; to be called by a thread that lives as long as they do.

    Qiskit crashes the process if it was imported first by a thread that has ended since.
    """
    import ibm_quantum_schemas.executor.version_2_0  # noqa: F401
    import qiskit.qpy  # noqa: F401
    import qiskit_aer  # noqa: F401


def read(params: object) -> Work:
    """The work that a payload asks for; raises Refused if it does not fit IBM's schema."""
    from ibm_quantum_schemas.executor.version_2_0 import ParamsModel
    from pydantic import ValidationError

    try:
        model = ParamsModel.model_validate(params)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(
            f"params do not fit the schema: {where}: {first['msg']}", code=1217
        ) from error
    program = model.quantum_program
    if program.meas_level != "classified":
        raise Refused(f"meas_level {program.meas_level!r} is not emulated", code=1217)
    executions = 0
    for item in program.items:
        if item.item_type != "circuit":
            raise Refused("twirled circuits (samplex items) are not emulated", code=1217)
        executions += program.shots * int(
            np.prod(item.circuit_arguments.shape[:-1], dtype=np.int64)
        )
    return Work(model, executions, model.options.rep_delay)


def run(work: Work, calibration: Calibration, cancelled: threading.Event) -> str | None:
    """The answer of `GET /jobs/{id}/results`; None as soon as the job is cancelled.

    Raises:
        Refused: A circuit is not in the device's own gates, or on qubits that do not work.
    """
    from ibm_quantum_schemas.common import CompressedTensorModel
    from ibm_quantum_schemas.executor.version_2_0 import (
        ItemMetadataModel,
        MetadataModel,
        QuantumProgramResultItemModel,
        QuantumProgramResultModel,
    )

    program = work.params.quantum_program
    items = []
    circuits = program.circuits.to_python(use_cached=True)
    for circuit, item in zip(circuits, program.items, strict=True):
        arguments = item.circuit_arguments.to_numpy()
        bits = _sample(circuit, arguments, program.shots, calibration, cancelled)
        if bits is None:
            return None
        results, start = {}, 0
        for register in circuit.cregs:
            columns = bits[..., start : start + register.size]
            results[register.name] = CompressedTensorModel.from_numpy(columns)
            start += register.size
        items.append(QuantumProgramResultItemModel(results=results, metadata=ItemMetadataModel()))
    answer = QuantumProgramResultModel(
        data=items,
        metadata=MetadataModel(chunk_timing=[]),
        passthrough_data=program.passthrough_data,
        semantic_role=program.semantic_role,
    )
    text: str = answer.model_dump_json()
    return text


def _sample(
    circuit: QuantumCircuit,
    arguments: NDArray[np.float64],
    shots: int,
    calibration: Calibration,
    cancelled: threading.Event,
) -> NDArray[np.bool_] | None:
    """Bits of one circuit, bool (*leading axes of arguments, shots, bits)."""
    from qiskit_aer import AerSimulator

    shape = arguments.shape[:-1]
    rows = int(np.prod(shape, dtype=np.int64))
    values = arguments.reshape(rows, arguments.shape[-1])
    bits = np.zeros((rows, shots, circuit.num_clbits), dtype=np.bool_)
    simulator = AerSimulator()
    for part in _parts(circuit, calibration):
        noise_model = aer.sub_noise(
            calibration, part.qubits, aer.sub_target(calibration, part.qubits)
        )
        simulator.set_options(noise_model=noise_model)
        for chosen, span in _pieces(rows, shots):
            if cancelled.is_set():
                return None
            piece = _call(simulator, part, circuit, values[chosen], span.stop - span.start)
            bits[chosen, span, part.bits] = piece
    return bits.reshape(*shape, shots, circuit.num_clbits)


def _call(
    simulator: AerSimulator,
    part: _Part,
    circuit: QuantumCircuit,
    values: NDArray[np.float64],
    shots: int,
) -> NDArray[np.bool_]:
    """Bits of some rows of one part, in the shape that an index of bits, rows and shots takes."""
    column = {parameter: index for index, parameter in enumerate(circuit.parameters)}
    binds = {parameter: values[:, column[parameter]] for parameter in part.circuit.parameters}
    result = simulator.run(
        part.circuit if binds else [part.circuit] * len(values),
        shots=shots,
        memory=True,
        seed_simulator=secrets.randbits(62),
        max_parallel_experiments=0,
        max_parallel_shots=1,
        **({"parameter_binds": [binds]} if binds else {}),
    ).result()
    if not result.success:
        raise Refused(f"Aer could not run the circuit: {result.status}", code=UNSUPPORTED)
    rows = [aer.unpack_memory(row.data.memory, len(part.bits)) for row in result.results]
    return np.stack(rows).astype(np.bool_)


def _pieces(rows: int, shots: int) -> Iterator[tuple[slice, slice]]:
    """Slices of rows and of shots that cover all, of at most PIECE_EXECUTIONS each."""
    for start in range(0, shots, PIECE_EXECUTIONS):
        span = slice(start, min(shots, start + PIECE_EXECUTIONS))
        size = max(1, PIECE_EXECUTIONS // (span.stop - span.start))
        for first in range(0, rows, size):
            yield slice(first, min(rows, first + size)), span


def _parts(circuit: QuantumCircuit, calibration: Calibration) -> list[_Part]:
    """The circuit in groups of coupled qubits that are measured."""
    from qiskit import QuantumCircuit as Circuit

    found = []
    for qubits in _groups(circuit, calibration):
        place = {qubit: index for index, qubit in enumerate(qubits)}
        inside = [
            (instruction, [place[q] for q in _indices(circuit, instruction) if q in place])
            for instruction in circuit.data
        ]
        measured = [
            circuit.find_bit(instruction.clbits[0]).index
            for instruction, on in inside
            if on and instruction.operation.name == "measure"
        ]
        bits = tuple(dict.fromkeys(measured))
        if not bits:
            continue
        small = Circuit(len(qubits), len(bits))
        for instruction, on in inside:
            clbits = [bits.index(circuit.find_bit(bit).index) for bit in instruction.clbits if on]
            if on and instruction.operation.name == "barrier":
                small.barrier(on)
            elif on:
                small.append(instruction.operation, on, clbits)
        found.append(_Part(small, qubits, bits))
    return found


def _groups(circuit: QuantumCircuit, calibration: Calibration) -> list[tuple[int, ...]]:
    """Qubits that gates connect, each group in ascending order; raises Refused."""
    groups: dict[int, set[int]] = {}
    for instruction in circuit.data:
        qubits = _indices(circuit, instruction)
        name = instruction.operation.name
        if name == "barrier":
            continue
        _check(name, qubits, calibration)
        joined = set(qubits).union(*(groups.get(qubit, set()) for qubit in qubits))
        groups.update(dict.fromkeys(joined, joined))
    distinct = {tuple(sorted(group)) for group in groups.values()}
    for group in distinct:
        if len(group) > QUBITS_MAX:
            raise Refused(
                f"{len(group)} coupled qubits are more than the emulator's {QUBITS_MAX}",
                code=UNSUPPORTED,
            )
    return sorted(distinct)


def _check(name: str, qubits: tuple[int, ...], calibration: Calibration) -> None:
    """Raise Refused for a gate that the device does not have on these qubits."""
    known = name in _TRANSPARENT or qubits in calibration.operations.get(name, {})
    if not known or any(qubit not in calibration.qubits for qubit in qubits):
        raise Refused(
            f"the instruction {name} on qubits {qubits} is not supported by the target system",
            code=UNSUPPORTED,
        )


def _indices(circuit: QuantumCircuit, instruction: Any) -> tuple[int, ...]:
    """Physical qubits of an instruction."""
    return tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)

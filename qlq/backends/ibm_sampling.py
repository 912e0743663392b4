"""A plan as one call of IBM's Sampler, and the bits of its answer; the same for chip and simulator.

The circuit is compiled for the chosen qubits alone, at optimisation level 1: higher levels would
merge what Alice and Bob do apart. One parametrised PUB holds all rows. Nothing is mitigated,
twirled or decoupled: every bit is one that a measurement gave, in the order of the shots.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qlq.backends import aer, dialects, noise
from qlq.backends.noise import Calibration
from qlq.circuit import Plan, Program, components
from qlq.errors import BackendUnavailable, CircuitRejected, JobFailed

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit_ibm_runtime.options_models import SamplerOptions

QBER_MAX = 0.11
"""Above it one-way reconciliation leaves no key. Source: Shor and Preskill (2000)."""

_COMPILED_MAX = 64
_REGISTER = "c"


class Compiler:
    """Programs compiled for qubits of one calibration, each once."""

    def __init__(self, calibration: Calibration) -> None:
        """Start empty."""
        self._calibration = calibration
        self._compiled: dict[tuple[str, tuple[int, ...]], QuantumCircuit] = {}
        self._lock = threading.Lock()

    def compiled(self, program: Program, qubits: tuple[int, ...]) -> QuantumCircuit:
        """The program in native gates, its qubit i on qubit i of a chip of these qubits alone.

        Raises:
            CircuitRejected: The program does not fit the qubits.
        """
        key = (program.digest, qubits)
        with self._lock:
            if key not in self._compiled:
                if len(self._compiled) >= _COMPILED_MAX:
                    self._compiled.pop(next(iter(self._compiled)))
                self._compiled[key] = self._compile(program, qubits)
            return self._compiled[key]

    def _compile(self, program: Program, qubits: tuple[int, ...]) -> QuantumCircuit:
        from qiskit import qasm3
        from qiskit.exceptions import QiskitError
        from qiskit.transpiler import generate_preset_pass_manager

        try:
            manager = generate_preset_pass_manager(
                optimization_level=1,
                target=aer.sub_target(self._calibration, qubits),
                initial_layout=list(range(len(qubits))),
                seed_transpiler=0,
            )
            return manager.run(qasm3.loads(dialects.for_qiskit(program)))
        except QiskitError as error:
            raise CircuitRejected(f"{program.name} does not fit the device: {error}") from error


def on_chip(circuit: QuantumCircuit, qubits: tuple[int, ...], *, size: int) -> QuantumCircuit:
    """A compiled circuit on the physical qubits of a whole chip."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

    whole = QuantumCircuit(
        QuantumRegister(size, "q"), *(ClassicalRegister(c.size, c.name) for c in circuit.cregs)
    )
    whole.compose(circuit, qubits=list(qubits), clbits=range(circuit.num_clbits), inplace=True)
    return whole


def pubs(circuit: QuantumCircuit, plan: Plan) -> list[Any]:
    """The rows of a plan: one parametrised PUB, or one PUB a row where there is no parameter."""
    if not plan.program.params:
        return [circuit] * plan.bindings.shape[0]
    column = {name: index for index, name in enumerate(plan.program.params)}
    order = [column[parameter.name] for parameter in circuit.parameters]
    return [(circuit, plan.bindings[:, order])]


def options(*, tags: tuple[str, ...], max_execution_s: int | None) -> SamplerOptions:
    """Options of a raw sampling: everything that would change a bit is off, and says so."""
    from qiskit_ibm_runtime.options_models import SamplerOptions

    chosen = SamplerOptions()
    chosen.dynamical_decoupling.enable = False
    chosen.twirling.enable_gates = False
    chosen.twirling.enable_measure = False
    chosen.execution.init_qubits = True
    chosen.execution.meas_type = "classified"
    chosen.environment.job_tags = list(tags)
    chosen.max_execution_time = max_execution_s
    return chosen


def bits_of(result: Any, plan: Plan, *, job_id: str) -> NDArray[np.uint8]:
    """The bits of a Sampler's result, uint8 (rows, shots, bits), column k is `c[k]`.

    The client packs the bits of a shot into big-endian bytes, `c[0]` in the last one.

    Raises:
        JobFailed: The result has another shape than the plan.
    """
    shape = (plan.bindings.shape[0], plan.shots, plan.program.n_bits)
    packed = [getattr(one.data, _REGISTER, None) for one in result]
    arrays = [one.array for one in packed if one is not None and one.num_bits == shape[2]]
    width = (shape[2] + 7) // 8
    expected = [(*shape[:2], width)] if plan.program.params else [(shape[1], width)] * shape[0]
    if [array.shape for array in arrays] != expected:
        found = [None if one is None else one.array.shape for one in packed]
        raise JobFailed(
            f"job {job_id} came back with shapes {found[:4]}, not with {shape}: do not use it",
            job_id=job_id,
            reason="wrong shape",
        )
    words = arrays[0] if plan.program.params else np.stack(arrays)
    little = np.ascontiguousarray(words[..., ::-1])
    return np.unpackbits(little, axis=-1, bitorder="little", count=shape[2])


def require_low_qber(calibration: Calibration, program: Program, qubits: tuple[int, ...]) -> None:
    """Refuse qubits on which no key can be made, before anything is paid.

    Each qubit and each coupled pair of the program is judged alone, as BB84 and E91 would use it;
    larger groups are not judged.

    Raises:
        BackendUnavailable: The predicted error rate is above QBER_MAX. Not CircuitRejected: the
            program is right and another device may serve it, so the next backend is tried.
    """
    for group in components(program):
        chosen = tuple(qubits[index] for index in group)
        if len(chosen) == 1:
            predicted = noise.predicted_qber_bb84(calibration, chosen[0])
        elif len(chosen) == noise.PAIR:
            predicted = noise.predicted_qber_e91(calibration, *chosen)
        else:
            continue
        if not predicted <= QBER_MAX:
            raise BackendUnavailable(
                f"qubits {', '.join(map(str, chosen))} of {calibration.device} have a predicted "
                f"error rate of {predicted:.1%}, above {QBER_MAX:.0%}: no key could be made, and "
                "nothing was submitted; choose other qubits or another device"
            )

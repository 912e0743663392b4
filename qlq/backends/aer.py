"""Qiskit Aer: `aer` without noise, `aer:<device>` with the noise of an IBM device's snapshot.

A plan is one parametrised circuit run with all rows bound at once; the simulator's memory, one
hex word a shot, keeps the order of the shots. Device noise is built for the used qubits only,
relabelled from 0: a whole chip takes seconds to build and minutes to run.

Source: Aer's device model (depolarising channel and thermal relaxation fitted to the reported
gate error, readout confusion).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qlq.backends import dialects, noise, registry
from qlq.backends.local import LocalBackend, Piece
from qlq.backends.noise import Calibration
from qlq.backends.port import Address, Backend, DeviceInfo, Limits, Listing, Scheme
from qlq.circuit import Plan, Program
from qlq.errors import CircuitRejected, ConfigError
from qlq.provenance import Claim, Kind, Provenance, Tier

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.transpiler import Target
    from qiskit_aer.noise import NoiseModel

SEED_BITS = 32
"""Aer seeds itself with one 32-bit word of `std::random_device`; so do we, for the record."""

IDEAL_QUBITS_MAX = 24
NOISY_QUBITS_MAX = 10
PIECE_EXECUTIONS = 1 << 20
"""Shots simulated in one call: about 60 MB of hex words."""

_LIMITS = {
    "shots_max": 1 << 24,
    "executions_max": 1 << 28,
    "rows_max": 4096,
    "poll_interval_s": 0.02,
}
_HEX_DIGIT_BITS = 4
_COMPILED_MAX = 64


class AerBackend(LocalBackend):
    """Aer with or without a device's noise; opened through the registry.

    Args:
        name: Canonical URI.
        calibration: Snapshot of the device, None for the ideal simulator.
        qubits: Physical qubits every plan uses unless it names its own; None to choose the
            best ones for each program.
    """

    def __init__(
        self, *, name: str, calibration: Calibration | None, qubits: tuple[int, ...] | None
    ) -> None:
        """Import the simulator; nothing is compiled yet."""
        from qiskit.exceptions import QiskitError
        from qiskit_aer import AerSimulator

        size = IDEAL_QUBITS_MAX if calibration is None else NOISY_QUBITS_MAX
        super().__init__(
            name=name,
            limits=Limits(qubits_max=size, **_LIMITS),  # type: ignore[arg-type]
            seed_bits=SEED_BITS,
            vendor_errors=(QiskitError,),
        )
        self._calibration = calibration
        self._qubits = qubits
        self._simulator = AerSimulator()
        self._compiled: dict[tuple[str, tuple[int, ...]], _Compiled] = {}
        self._compiling = threading.Lock()

    def describe(self) -> DeviceInfo:
        """The device, its calibration and the qubits it would choose."""
        if self._calibration is None:
            return DeviceInfo(
                name="aer_simulator",
                provider="qiskit-aer",
                kind=Kind.IDEAL,
                qubits=self.limits.qubits_max,
                predicted_qber_bb84=0.0,
                predicted_qber_e91=0.0,
            )
        return noise.device_info(self._calibration, self._qubits, provider="qiskit-aer")

    def _chosen(self, plan: Plan) -> tuple[int, ...]:
        """Physical qubits of a plan, checked; empty for the ideal simulator."""
        if self._calibration is None:
            if plan.qubits is not None:
                raise CircuitRejected(f"{self.name} has no physical qubits to choose from")
            return ()
        return noise.qubits_of(self._calibration, plan, self._qubits)

    def depth(self, plan: Plan) -> int:
        """Layers of the compiled circuit, its measurement included."""
        return int(self._compile(plan).circuit.depth())

    def _prepare(self, plan: Plan) -> None:
        self._compile(plan)

    def _compile(self, plan: Plan) -> _Compiled:
        """Circuit and noise of a plan, made once for each program and set of qubits."""
        qubits = self._chosen(plan)
        key = (plan.program.digest, qubits)
        with self._compiling:
            if key not in self._compiled:
                if len(self._compiled) >= _COMPILED_MAX:
                    self._compiled.pop(next(iter(self._compiled)))
                self._compiled[key] = _Compiled(plan.program, self._calibration, qubits)
            return self._compiled[key]

    def _pieces(self, plan: Plan, entropy: np.random.SeedSequence) -> Iterator[Piece]:
        compiled = self._compile(plan)
        size = max(1, PIECE_EXECUTIONS // plan.shots)
        for start in range(0, plan.bindings.shape[0], size):
            bindings = plan.bindings[start : start + size]
            parts = [
                self._sample(compiled, plan.program, bindings, shots=shots, entropy=entropy)
                for shots in _slices(plan.shots)
            ]
            bits = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
            yield np.arange(start, start + len(bindings)), bits

    def _sample(
        self,
        compiled: _Compiled,
        program: Program,
        bindings: NDArray[np.float64],
        *,
        shots: int,
        entropy: np.random.SeedSequence,
    ) -> NDArray[np.uint8]:
        """Bits of some rows, from one call of the simulator.

        Aer gives row i the seed s + 2113 i, so s comes from 62 bits of the job's own stream.
        """
        seed = int(entropy.spawn(1)[0].generate_state(1, np.uint64)[0] >> np.uint64(2))
        circuit = compiled.circuit
        column = {name: i for i, name in enumerate(program.params)}
        binds = {p: bindings[:, column[p.name]] for p in circuit.parameters}
        many = {"parameter_binds": [binds]} if binds else {}
        circuits = circuit if binds else [circuit] * bindings.shape[0]
        result = self._simulator.run(
            circuits,
            shots=shots,
            memory=True,
            seed_simulator=seed,
            noise_model=compiled.noise_model,
            max_parallel_experiments=0,
            max_parallel_shots=1,
            **many,
        ).result()
        if not result.success:
            from qiskit_aer import AerError

            raise AerError(str(result.status))
        return np.stack([unpack_memory(row.data.memory, program.n_bits) for row in result.results])

    def _provenance(self, plan: Plan, job_id: str, cap_bits: int) -> Provenance:
        calibration = self._calibration
        qubits = self._chosen(plan)
        packages = ["qiskit", "qiskit-aer"]
        if calibration is not None:
            packages.append("qiskit-ibm-runtime")
        return Provenance(
            tier=Tier.SIMULATOR,
            claim=Claim.SIMULATION,
            backend=self.name,
            provider="qiskit-aer",
            device="aer_simulator" if calibration is None else calibration.device,
            kind=Kind.IDEAL if calibration is None else Kind.NOISY,
            job_id=job_id,
            program_digest=plan.program.digest,
            sdk={package: version(package) for package in packages},
            qubits=qubits,
            calibration={} if calibration is None else noise.snapshot(calibration, qubits),
            seed=plan.seed,
            entropy_cap_bits=cap_bits,
        )


class _Compiled:
    """A program as Aer runs it: the circuit, and the noise of its qubits."""

    def __init__(
        self, program: Program, calibration: Calibration | None, qubits: tuple[int, ...]
    ) -> None:
        from qiskit import qasm3

        circuit = qasm3.loads(dialects.for_qiskit(program))
        self.circuit: QuantumCircuit = circuit
        self.noise_model: NoiseModel | None = None
        if calibration is not None:
            target = sub_target(calibration, qubits)
            self.circuit = _compile_for(target, circuit, program)
            self.noise_model = sub_noise(calibration, qubits, target)


def unpack_memory(memory: list[str], n_bits: int) -> NDArray[np.uint8]:
    """Bits of Aer's hex words, shape (shots, n_bits), column k is `c[k]`.

    Args:
        memory: One word a shot, for example `0x201`, least significant bit `c[0]`.
        n_bits: Size of the classical register.
    """
    if n_bits <= _HEX_DIGIT_BITS:  # every word is `0x` and one digit
        digits = np.frombuffer("".join(memory).encode(), dtype=np.uint8)[2::3]
        values = np.where(digits >= ord("a"), digits - (ord("a") - 10), digits - ord("0"))
        return (values[:, None] >> np.arange(n_bits, dtype=np.uint8)) & np.uint8(1)
    width = 2 * ((n_bits + 7) // 8)
    packed = bytes.fromhex("".join([word[2:].zfill(width) for word in memory]))
    words = np.frombuffer(packed, dtype=np.uint8).reshape(len(memory), width // 2)
    little = np.ascontiguousarray(words[:, ::-1])
    return np.unpackbits(little, axis=1, bitorder="little", count=n_bits)


def sub_target(calibration: Calibration, qubits: tuple[int, ...]) -> Target:
    """Qiskit's description of the chosen qubits alone, relabelled 0, 1, ... in their order."""
    from qiskit.circuit import Delay, Measure, Parameter, Reset
    from qiskit.circuit.library import get_standard_gate_name_mapping
    from qiskit.providers import QubitProperties
    from qiskit.transpiler import InstructionProperties, Target

    place = {qubit: index for index, qubit in enumerate(qubits)}
    known = {**get_standard_gate_name_mapping(), "reset": Reset()}
    used = [calibration.qubits[qubit] for qubit in qubits]
    target = Target(
        num_qubits=len(qubits),
        qubit_properties=[QubitProperties(t1=one.t1_s, t2=one.t2_s) for one in used],
    )
    for name, table in sorted(calibration.operations.items()):
        inside: dict[tuple[int, ...], InstructionProperties | None] = {
            tuple(place[qubit] for qubit in on): InstructionProperties(
                error=operation.error, duration=operation.duration_s
            )
            for on, operation in table.items()
            if all(qubit in place for qubit in on)
        }
        if inside and name in known:
            target.add_instruction(known[name], inside)
    readout = {
        (index,): InstructionProperties(error=one.readout_error, duration=one.readout_s)
        for index, one in enumerate(used)
    }
    target.add_instruction(Measure(), readout)
    target.add_instruction(Delay(Parameter("t")), {(index,): None for index in place.values()})
    if "reset" not in target.operation_names:
        target.add_instruction(Reset(), {(index,): None for index in place.values()})
    return target


def sub_noise(calibration: Calibration, qubits: tuple[int, ...], target: Target) -> NoiseModel:
    """Aer's device noise of the chosen qubits, with the asymmetric readout of each."""
    from qiskit_aer.noise import NoiseModel, ReadoutError
    from qiskit_aer.noise.device import basic_device_gate_errors

    model = NoiseModel(basis_gates=[*target.operation_names])
    for name, on, error in basic_device_gate_errors(target=target):
        model.add_quantum_error(error, name, on)
    for index, qubit in enumerate(qubits):
        one = calibration.qubits[qubit]
        up, down = one.prob_1_given_0, one.prob_0_given_1
        if up > 0 or down > 0:
            model.add_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]), [index])
    return model


def _compile_for(target: Target, circuit: QuantumCircuit, program: Program) -> QuantumCircuit:
    """The circuit in the device's own gates, program qubit i starting on target qubit i.

    The passes are those that Qiskit's optimisation level 1 ends up running on such a circuit
    (routing, translation, direction, merging of runs of fixed single-qubit gates). They are
    listed here because building the preset loads every installed transpiler plug-in, among them
    all of `qiskit_ibm_runtime`, which takes seconds.

    Raises:
        CircuitRejected: The circuit does not fit the target.
    """
    from qiskit.circuit.equivalence_library import SessionEquivalenceLibrary as Library
    from qiskit.exceptions import QiskitError
    from qiskit.transpiler import PassManager
    from qiskit.transpiler.passes import (
        BasisTranslator,
        GateDirection,
        Optimize1qGatesDecomposition,
        SabreSwap,
    )

    routing = [] if program.n_qubits == 1 else [SabreSwap(target, heuristic="decay", seed=0)]
    manager = PassManager(
        [
            *routing,
            BasisTranslator(Library, None, target=target),
            GateDirection(None, target),
            BasisTranslator(Library, None, target=target),  # of what turning a gate has added
            Optimize1qGatesDecomposition(target=target),
        ]
    )
    try:
        compiled: QuantumCircuit = manager.run(circuit)
    except QiskitError as error:
        raise CircuitRejected(f"{program.name} does not fit the device: {error}") from error
    return compiled


def _slices(shots: int) -> list[int]:
    """Shots of a row in parts of at most PIECE_EXECUTIONS."""
    full, rest = divmod(shots, PIECE_EXECUTIONS)
    return [PIECE_EXECUTIONS] * full + ([rest] if rest else [])


def _open(address: Address) -> Backend:
    """`aer` or `aer:<device>[?qubits=...]`."""
    device = address.rest.lower().removeprefix("fake_").removeprefix("fake")
    if not device:
        registry.check_options(address, known=())
        return AerBackend(name="aer", calibration=None, qubits=None)
    registry.check_options(address, known=("qubits",))
    folders = noise.ibm_devices()
    if device not in folders:
        hint = registry.nearest(device, folders)
        raise ConfigError(f"unknown device {address.rest!r} in {address.uri!r}; {hint}")
    calibration = noise.ibm_calibration(folders[device])
    qubits = registry.qubits_option(address)
    for qubit in qubits or ():
        calibration.check_qubit(qubit)
    suffix = "" if qubits is None else f"?qubits={','.join(map(str, qubits))}"
    return AerBackend(name=f"aer:{device}{suffix}", calibration=calibration, qubits=qubits)


def _listing() -> list[Listing]:
    """The ideal simulator and every packaged device."""
    ideal = Listing(
        "aer",
        "qiskit-aer",
        "aer_simulator",
        Kind.IDEAL,
        IDEAL_QUBITS_MAX,
        available=True,
        reason="",
    )
    devices = [
        Listing(
            uri=f"aer:{name}",
            provider="qiskit-aer",
            device=f"fake_{name}",
            kind=Kind.NOISY,
            qubits=noise.ibm_size(folder),
            available=True,
            reason="",
        )
        for name, folder in noise.ibm_devices().items()
    ]
    return [ideal, *devices]


scheme = Scheme(open=_open, listing=_listing, extra="")

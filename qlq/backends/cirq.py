"""Cirq with or without the noise of a Google processor.

Rows with equal bindings run as one call, and its repetitions, which are independent and in no
order of their outcomes, are dealt to them in order. The stretches between two barriers are
compiled one by one, so that no gate moves across a barrier. Device noise is Cirq's own model of
the processor's published calibration, on the used qubits of a density-matrix simulation.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qlq.backends import dialects, noise, registry
from qlq.backends.local import LocalBackend, Piece, equal_rows
from qlq.backends.noise import Calibration, Qubit
from qlq.backends.port import Address, Backend, DeviceInfo, Limits, Listing, Scheme
from qlq.circuit import Plan, Program, statements
from qlq.errors import CircuitRejected, ConfigError, InvariantBroken
from qlq.provenance import Claim, Kind, Provenance, Tier

if TYPE_CHECKING:
    import cirq
    import cirq_google

SEED_BITS = 128
"""A job without a seed draws so many bits for numpy's SeedSequence."""

PROCESSORS = {"rainbow": 23, "weber": 53, "willow_pink": 105}
"""Qubits of the processors whose noise `cirq_google` ships."""

_LIMITS = {
    "shots_max": 1 << 24,
    "executions_max": 1 << 28,
    "rows_max": 4096,
    "poll_interval_s": 0.02,
}
IDEAL_QUBITS_MAX = 20
NOISY_QUBITS_MAX = 8
CALL_SHOTS_MAX = 1 << 16
"""Shots of one call, unless a single row has more: what a cancelled job may still run."""

_COMPILED_MAX = 256
_DATE = "as shipped with cirq-google"


@dataclass(frozen=True, slots=True, eq=False)
class _Processor:
    """A processor's noise: Cirq's own description and what we choose qubits by."""

    properties: cirq_google.GoogleNoiseProperties
    grid: tuple[cirq.GridQubit, ...]
    calibration: Calibration


class CirqBackend(LocalBackend):
    """Cirq's simulators; opened through the registry.

    Args:
        name: Canonical URI.
        processor: Whose noise to add, None for the ideal simulator.
        qubits: Qubits every plan uses unless it names its own, by index in the sorted grid.
    """

    def __init__(
        self, *, name: str, processor: _Processor | None, qubits: tuple[int, ...] | None
    ) -> None:
        """Nothing is compiled yet."""
        size = IDEAL_QUBITS_MAX if processor is None else NOISY_QUBITS_MAX
        super().__init__(
            name=name,
            limits=Limits(qubits_max=size, **_LIMITS),  # type: ignore[arg-type]
            seed_bits=SEED_BITS,
            vendor_errors=(ValueError, TypeError, RuntimeError),
        )
        self._processor = processor
        self._qubits = qubits
        self._compiled: dict[tuple[str, tuple[int, ...], bytes], cirq.Circuit] = {}
        self._compiling = threading.Lock()

    def describe(self) -> DeviceInfo:
        """The simulator, or the processor with the qubits it would choose."""
        if self._processor is None:
            return DeviceInfo(
                name="cirq_simulator",
                provider="cirq",
                kind=Kind.IDEAL,
                qubits=self.limits.qubits_max,
                predicted_qber_bb84=0.0,
                predicted_qber_e91=0.0,
            )
        return noise.device_info(self._processor.calibration, self._qubits, provider="cirq")

    def _chosen(self, plan: Plan) -> tuple[int, ...]:
        """Physical qubits of a plan, checked; empty for the ideal simulator."""
        if self._processor is None:
            if plan.qubits is not None:
                raise CircuitRejected(f"{self.name} has no physical qubits to choose from")
            return ()
        calibration = self._processor.calibration
        qubits = noise.qubits_of(calibration, plan, self._qubits)
        for statement in statements(plan.program):
            pair = tuple(qubits[index] for index in statement.qubits)
            if len(pair) == noise.PAIR and calibration.pair_error(*pair) is None:
                raise CircuitRejected(
                    f"{statement.text} of {plan.program.name} needs a coupling: "
                    f"{noise.not_coupled(calibration, pair)}"
                )
        return qubits

    def _prepare(self, plan: Plan) -> None:
        self._circuit(plan.program, self._chosen(plan), plan.bindings[0])

    def _circuit(
        self, program: Program, qubits: tuple[int, ...], binding: NDArray[np.float64]
    ) -> cirq.Circuit:
        """The circuit of one row, made once for each binding."""
        key = (program.digest, qubits, binding.tobytes())
        with self._compiling:
            if key not in self._compiled:
                if len(self._compiled) >= _COMPILED_MAX:
                    self._compiled.pop(next(iter(self._compiled)))
                self._compiled[key] = _compile(program, qubits, binding, self._processor)
            return self._compiled[key]

    def _pieces(self, plan: Plan, entropy: np.random.SeedSequence) -> Iterator[Piece]:
        """One piece for each group of equal bindings."""
        qubits = self._chosen(plan)
        simulator = _simulator(self._processor, np.random.RandomState(np.random.MT19937(entropy)))
        for rows in equal_rows(plan, executions_max=CALL_SHOTS_MAX):
            circuit = self._circuit(plan.program, qubits, plan.bindings[rows[0]])
            result = simulator.run(circuit, repetitions=plan.shots * rows.size)
            shape = (rows.size, plan.shots, plan.program.n_bits)
            yield rows, _columns(result, plan.program.n_bits).reshape(shape)

    def _provenance(self, plan: Plan, job_id: str, cap_bits: int) -> Provenance:
        qubits = self._chosen(plan)
        processor = self._processor
        packages = ["cirq-core"] if processor is None else ["cirq-core", "cirq-google"]
        return Provenance(
            tier=Tier.SIMULATOR,
            claim=Claim.SIMULATION,
            backend=self.name,
            provider="cirq",
            device="cirq_simulator" if processor is None else processor.calibration.device,
            kind=Kind.IDEAL if processor is None else Kind.NOISY,
            job_id=job_id,
            program_digest=plan.program.digest,
            sdk={package: version(package) for package in packages},
            qubits=qubits,
            calibration={} if processor is None else noise.snapshot(processor.calibration, qubits),
            seed=plan.seed,
            entropy_cap_bits=cap_bits,
        )


def _compile(
    program: Program,
    qubits: tuple[int, ...],
    binding: NDArray[np.float64],
    processor: _Processor | None,
) -> cirq.Circuit:
    """One row's circuit on the processor's qubits and in its gates, stretch by stretch."""
    import cirq

    values: dict[Any, Any] = dict(zip(program.params, map(float, binding), strict=True))
    whole = cirq.Circuit()
    for parsed in _stretches(program):
        stretch = cirq.resolve_parameters(parsed.unfreeze(), values)
        if processor is not None:
            place: dict[cirq.Qid, cirq.Qid] = {
                cirq.NamedQubit(f"q_{index}"): processor.grid[qubit]
                for index, qubit in enumerate(qubits)
            }
            stretch = cirq.optimize_for_target_gateset(
                stretch.transform_qubits(place),
                gateset=_gateset(processor.calibration.device),
            )
        whole += stretch
    # A measurement takes microseconds. One that slid ahead of another qubit's last gate would
    # let that qubit decay meanwhile, which no device does: all are read out together.
    return cirq.synchronize_terminal_measurements(whole)


@lru_cache(maxsize=64)
def _stretches(program: Program) -> tuple[cirq.FrozenCircuit, ...]:
    """The parametrised circuits between a program's barriers; parsing costs 14 ms each."""
    from cirq.contrib.qasm_import import QasmException, circuit_from_qasm

    try:
        return tuple(circuit_from_qasm(text).freeze() for text in dialects.for_cirq(program))
    except QasmException as error:
        raise CircuitRejected(f"{program.name} is refused by Cirq: {error}") from error


def _gateset(device: str) -> Any:
    import cirq

    if device == "willow_pink":
        return cirq.CZTargetGateset()
    return cirq.SqrtIswapTargetGateset()


def _simulator(processor: _Processor | None, random: np.random.RandomState) -> Any:
    import cirq

    if processor is None:
        return cirq.Simulator(seed=random)
    import cirq_google

    model = cirq_google.NoiseModelFromGoogleNoiseProperties(processor.properties)
    return cirq.DensityMatrixSimulator(noise=model, seed=random)


def _columns(result: Any, n_bits: int) -> NDArray[np.uint8]:
    """Bits of a result, uint8 (repetitions, n_bits); the last measurement of a bit counts."""
    columns = np.zeros((result.repetitions, n_bits), dtype=np.uint8)
    for key, record in result.records.items():
        name, _, index = key.rpartition("_")
        if name != "c" or not index.isdecimal():
            raise InvariantBroken(f"Cirq measured {key!r}, which is no bit of the program")
        columns[:, int(index)] = record[:, -1, 0]
    return columns


def _load(device: str) -> _Processor:
    """Noise and calibration of a processor, from the files inside `cirq_google`."""
    import cirq
    import cirq_google

    properties = cirq_google.engine.load_device_noise_properties(device)
    grid = tuple(q for q in sorted(properties.qubits) if isinstance(q, cirq.GridQubit))
    place: dict[cirq.Qid, int] = {qubit: index for index, qubit in enumerate(grid)}
    pair_gate = cirq.CZPowGate if device == "willow_pink" else cirq.ISwapPowGate
    pulses, pairs = {}, {}
    for identifier, error in properties.gate_pauli_errors.items():
        on = tuple(place[qubit] for qubit in identifier.qubits)
        if identifier.gate_type is cirq.PhasedXZGate:
            pulses[on[0]] = float(error) * 2 / 3  # average infidelity = Pauli error d/(d+1)
        elif identifier.gate_type is pair_gate:
            pairs[(on[0], on[1])] = float(error) * 4 / 5
    qubits = {
        place[qubit]: _qubit(properties, qubit, pulse_error=pulses.get(place[qubit], 0.0))
        for qubit in grid
        if qubit in properties.readout_errors
    }
    usable = {pair: e for pair, e in pairs.items() if pair[0] in qubits and pair[1] in qubits}
    return _Processor(properties, grid, Calibration(device, _DATE, len(grid), qubits, usable))


def _qubit(properties: Any, qubit: cirq.GridQubit, *, pulse_error: float) -> Qubit:
    """Calibration of one qubit in the terms of `noise`."""
    import cirq

    up, down = (float(p) for p in properties.readout_errors[qubit])
    t1_ns, tphi_ns = properties.t1_ns.get(qubit), properties.tphi_ns.get(qubit)
    t2_s = None if not (t1_ns and tphi_ns) else 1e-9 / (0.5 / t1_ns + 1.0 / tphi_ns)
    return Qubit(
        label=f"{qubit.row},{qubit.col}",
        readout_error=(up + down) / 2,
        prob_1_given_0=up,
        prob_0_given_1=down,
        readout_s=properties.gate_times_ns.get(cirq.MeasurementGate, 0.0) * 1e-9,
        t1_s=None if not t1_ns else t1_ns * 1e-9,
        t2_s=t2_s,
        pulse_error=pulse_error,
    )


def _open(address: Address) -> Backend:
    """`cirq` or `cirq:<processor>[?qubits=...]`."""
    import cirq.contrib.qasm_import  # noqa: F401 - says at once if ply is missing

    device = address.rest.lower()
    if not device:
        registry.check_options(address, known=())
        return CirqBackend(name="cirq", processor=None, qubits=None)
    registry.check_options(address, known=("qubits",))
    if device not in PROCESSORS:
        hint = registry.nearest(device, PROCESSORS)
        raise ConfigError(f"unknown processor {address.rest!r} in {address.uri!r}; {hint}")
    processor = _load(device)
    qubits = registry.qubits_option(address)
    for qubit in qubits or ():
        processor.calibration.check_qubit(qubit)
    suffix = "" if qubits is None else f"?qubits={','.join(map(str, qubits))}"
    return CirqBackend(name=f"cirq:{device}{suffix}", processor=processor, qubits=qubits)


def _listing() -> list[Listing]:
    """The ideal simulator and every processor whose noise is shipped."""
    reason = registry.missing("cirq-core", "ply", extra="cirq")
    ideal = Listing(
        "cirq",
        provider="cirq",
        device="cirq_simulator",
        kind=Kind.IDEAL,
        qubits=IDEAL_QUBITS_MAX,
        available=not reason,
        reason=reason,
    )
    processors = [
        Listing(f"cirq:{name}", "cirq", name, Kind.NOISY, size, available=not reason, reason=reason)
        for name, size in PROCESSORS.items()
    ]
    return [ideal, *processors]


scheme = Scheme(open=_open, listing=_listing, extra="cirq")

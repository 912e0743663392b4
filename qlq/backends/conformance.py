"""What every backend must pass, built in or third-party.

A package that adds a scheme runs the suite by subclassing it in its own tests:

    from qlq.backends.conformance import BackendConformance

    class TestMine(BackendConformance):
        uri = "mine:device"
        noise_max = 0.05

The circuits are asymmetric on purpose: a reversed register, swapped rows or columns, or counts in
place of shots cannot pass. Statistical checks state their false-alarm rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from qlq import circuit
from qlq.backends import driver, registry
from qlq.backends.port import Backend, Handle, Status
from qlq.circuit import Plan, Program
from qlq.errors import BackendError, CircuitRejected, JobFailed, QLQError
from qlq.faults import JobFault
from qlq.shots import Shots

TIMEOUT_S = 120.0
SIGMAS = 5.0
"""False-alarm rate below 6e-7 for each compared frequency."""

_HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
_CANARY = _HEAD + (
    "input float[64] turn;\nqubit[3] q;\nbit[3] c;\nx q[0];\nrx(turn) q[1];\n"
    "c[0] = measure q[0];\nc[2] = measure q[1];\nc[1] = measure q[2];\n"
)
_RESET = _HEAD + (
    "input float[64] turn;\nqubit[1] q;\nbit[2] c;\nrx(turn) q[0];\n"
    "c[1] = measure q[0];\nreset q[0];\nc[0] = measure q[0];\n"
)
_TEN = 10
_CHI_SQUARE_3_DOF = 30.665
"""Upper 1e-6 quantile of chi-square with three degrees of freedom."""

_WIDE_QUBITS = 1000


def canary() -> Program:
    """c[0] is always 1, c[1] always 0, c[2] follows the parameter."""
    return circuit.parse(_CANARY, name="canary")


class BackendConformance:
    """The suite. Subclasses name the URI and how noisy the backend may be.

    Attributes:
        uri: What is opened.
        noise_max: Largest probability of a wrong bit that the backend's noise explains; 0 for
            ideal backends.
        takes_seeds: Whether a plan may have a seed (simulators) or must be refused with one.
    """

    uri: ClassVar[str]
    noise_max: ClassVar[float] = 0.0
    takes_seeds: ClassVar[bool] = True

    def opened(self) -> Iterator[Backend]:
        """The backend of one test, closed afterwards."""
        backend = registry.open_backend(self.uri)
        try:
            yield backend
        finally:
            backend.close()

    def shots(self, plan: Plan) -> Shots:
        """The shots of a plan on a freshly opened backend."""
        shots: Shots | None = None
        for backend in self.opened():
            shots = driver.run(backend, plan, timeout_s=TIMEOUT_S)
        if shots is None:
            raise QLQError("the backend was not opened")
        return shots

    def expect(self, found: float, expected: float, *, shots: int) -> None:
        """Raise AssertionError unless a frequency fits its probability within noise."""
        spread = SIGMAS * math.sqrt(max(expected * (1 - expected), 1e-4) / shots)
        slack = self.noise_max + (spread if 0 < expected < 1 or self.noise_max else 0.0)
        if not abs(found - expected) <= slack:
            raise AssertionError(f"{self.uri}: frequency {found}, expected {expected} +- {slack}")

    def test_bit_k_is_column_k_and_row_i_is_binding_i(self) -> None:
        """Order of bits and rows, from a circuit without any symmetry."""
        turns = np.array([[0.0], [math.pi], [0.0], [math.pi / 2]])
        bits = self.shots(Plan(canary(), turns, 400)).bits
        if bits.shape != (4, 400, 3) or bits.dtype != np.uint8:
            raise AssertionError(f"{self.uri}: {bits.dtype} of {bits.shape}")
        for row, last in enumerate((0.0, 1.0, 0.0, 0.5)):
            self.expect(float(bits[row, :, 0].mean()), 1.0, shots=400)
            self.expect(float(bits[row, :, 2].mean()), last, shots=400)
            self.expect(float(bits[row, :, 1].mean()), 0.0, shots=400)

    def test_ten_bits_keep_their_places(self) -> None:
        """c[0], c[1] and c[9] alone are 1: more than one byte, and no symmetry within it."""
        lines = [f"c[{k}] = measure q[{(k + 3) % _TEN}];" for k in range(_TEN)]
        source = f"{_HEAD}qubit[{_TEN}] q;\nbit[{_TEN}] c;\nx q[3];\nx q[4];\nx q[2];\n"
        program = circuit.parse(source + "\n".join(lines) + "\n", name="ten")
        plan = Plan(program, np.empty((1, 0)), 50)
        for backend in self.opened():
            if backend.limits.qubits_max < _TEN or self.noise_max:
                return  # devices with noise are checked on few qubits by the canary
            bits = driver.run(backend, plan, timeout_s=TIMEOUT_S).bits[0]
            if not (bits == np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 1])).all():
                raise AssertionError(f"{self.uri}: ten bits came as {bits[0].tolist()}")

    def test_joint_outcomes_of_pairs_fit_borns_rule(self) -> None:
        """Chi-square of the four outcomes of E91, false-alarm rate 1e-6 for each row.

        Ideal backends only: a device with noise has another distribution.
        """
        if self.noise_max:
            return
        shots = 8000
        angles = np.array([[0.0, math.pi / 4], [math.pi / 2, 3 * math.pi / 4], [0.3, 1.4]])
        bits = self.shots(Plan(circuit.load("e91"), angles, shots)).bits.astype(np.intp)
        for row, (a, b) in enumerate(angles):
            counts = np.bincount(bits[row, :, 0] + 2 * bits[row, :, 1], minlength=4)
            differ = math.sin((a - b) / 2) ** 2
            expected = shots / 2 * np.array([1 - differ, differ, differ, 1 - differ])
            statistic = float(((counts - expected) ** 2 / expected).sum())
            if not statistic < _CHI_SQUARE_3_DOF:
                raise AssertionError(f"{self.uri}: chi-square {statistic:.1f} in row {row}")

    def test_shots_are_in_the_order_of_measurement(self) -> None:
        """Neither sorted nor gathered by value: runs of equal bits are short.

        A fair sequence of 2000 bits has a run above 60 with probability below 2000 / 2^60.
        """
        half = np.array([[math.pi / 2]])
        column = self.shots(Plan(canary(), half, 2000)).bits[0, :, 2]
        changes = np.flatnonzero(np.diff(column.astype(np.int8)))
        longest = int(np.diff(np.concatenate([[-1], changes, [column.size - 1]])).max())
        if longest > 60:  # noqa: PLR2004 - see the docstring
            raise AssertionError(f"{self.uri}: {longest} equal bits in a row: shots were sorted")

    def test_a_bit_measured_before_a_reset_stays(self) -> None:
        """Mid-circuit measurement, then reset, then another bit."""
        program = circuit.parse(_RESET, name="reset")
        bits = self.shots(Plan(program, np.array([[math.pi]]), 300)).bits
        self.expect(float(bits[0, :, 1].mean()), 1.0, shots=300)
        self.expect(float(bits[0, :, 0].mean()), 0.0, shots=300)

    def test_a_seed_gives_the_same_bits_and_another_seed_others(self) -> None:
        """Reproducible where seeds are taken, refused where they are not."""
        angles = np.array([[math.pi / 2], [1.0]])
        plans = [Plan(canary(), angles, 500, seed=seed) for seed in (1, 1, 2)]
        if not self.takes_seeds:
            try:
                self.shots(plans[0])
            except BackendError:
                return
            raise AssertionError(f"{self.uri}: a seed was taken by hardware")
        first, again, other = (self.shots(plan).bits for plan in plans)
        if not np.array_equal(first, again) or np.array_equal(first, other):
            raise AssertionError(f"{self.uri}: seeds do not decide the bits")

    def test_the_protocols_have_their_distributions(self) -> None:
        """Born's rule for BB84 and E91 circuits."""
        angles = [(bit, a, b) for bit in (0, math.pi) for a in (0, 1.1) for b in (0.4, 1.1)]
        bits = self.shots(Plan(circuit.load("bb84"), np.array(angles), 4000)).bits
        for row, (bit, a, b) in enumerate(angles):
            p = math.sin((a - b) / 2) ** 2
            self.expect(float(bits[row].mean()), 1 - p if bit else p, shots=4000)
        pairs = [(a, b) for a in (0, math.pi / 2) for b in (math.pi / 4, 3 * math.pi / 4)]
        bits = self.shots(Plan(circuit.load("e91"), np.array(pairs), 4000)).bits
        for row, (a, b) in enumerate(pairs):
            differ = float((bits[row, :, 0] != bits[row, :, 1]).mean())
            self.expect(differ, math.sin((a - b) / 2) ** 2, shots=4000)

    def test_provenance_names_program_and_job(self) -> None:
        """The shots say where they came from."""
        plan = Plan(canary(), np.array([[0.0]]), 10)
        origin = self.shots(plan).provenance
        if origin.program_digest != plan.program.digest or not origin.job_id or not origin.sdk:
            raise AssertionError(f"{self.uri}: incomplete provenance {origin}")

    def test_a_cancelled_job_has_no_shots(self) -> None:
        """Cancelled jobs end as CANCELLED, ended ones stay DONE, and only those give shots."""
        plan = Plan(canary(), np.array([[0.3]] * 64), 4000)
        for backend in self.opened():
            handle = backend.submit(plan)
            backend.cancel(handle)
            status = backend.status(handle)
            if status is Status.DONE:
                backend.fetch(handle, plan)
            elif status is not Status.CANCELLED:
                raise AssertionError(f"{self.uri}: a cancelled job is {status}")
            else:
                _fails(JobFault.CANCELLED, lambda b=backend, h=handle: b.fetch(h, plan))

    def test_an_unknown_job_is_named(self) -> None:
        """JobFailed that says that the job is unknown: nobody may take it for one that ended."""
        plan = Plan(canary(), np.array([[0.0]]), 10)
        for backend in self.opened():
            unknown = Handle(backend.name, "no-such-job", plan.digest)
            _fails(JobFault.UNKNOWN, lambda b=backend, h=unknown: b.status(h))

    def test_a_circuit_beyond_the_device_is_rejected_before_a_job_exists(self) -> None:
        """Too many qubits."""
        lines = f"qubit[{_WIDE_QUBITS}] q;\nbit[1] c;\nc[0] = measure q[0];\n"
        wide = circuit.parse(_HEAD + lines, name="wide")
        plan = Plan(wide, np.empty((1, 0)), 1, tags=("conformance-wide",))
        for backend in self.opened():
            _refuses(CircuitRejected, lambda b=backend: b.submit(plan))
            if backend.find("conformance-wide"):
                raise AssertionError(f"{self.uri}: a rejected circuit left a job")


def _refuses(kind: type[QLQError], call: object) -> None:
    """Raise AssertionError unless the call raises this error."""
    try:
        call()  # type: ignore[operator]
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


def _fails(fault: JobFault, call: object) -> None:
    """Raise AssertionError unless the call raises JobFailed with this fault."""
    try:
        call()  # type: ignore[operator]
    except JobFailed as error:
        if error.fault is not fault:
            raise AssertionError(f"JobFailed says {error.fault}, not {fault}: {error}") from error
        return
    raise AssertionError(f"JobFailed ({fault}) was not raised")

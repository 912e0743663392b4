"""IBM's Sampler in the client's local mode: `ibm-local:<device>`, with the noise of a snapshot.

The path of a plan is that of `ibm:<device>`, from the compiled circuit to the unpacked bits, but
the client runs it itself. The chip that it is given has the chosen qubits alone: with all of them
a job takes minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from qlq.backends import aer, ibm_sampling, noise, registry
from qlq.backends.local import LocalBackend, Piece
from qlq.backends.noise import Calibration
from qlq.backends.port import Address, Backend, DeviceInfo, Limits, Listing, Scheme
from qlq.circuit import Plan
from qlq.errors import ConfigError, JobFailed
from qlq.provenance import Claim, Kind, Provenance, Tier

if TYPE_CHECKING:
    from qiskit.transpiler import Target

SEED_BITS = 32
"""The client seeds Aer with one word a call; a job without a seed draws so much."""

QUBITS_MAX = 10
PIECE_EXECUTIONS = 1 << 20

_LIMITS = {
    "shots_max": 1 << 20,
    "executions_max": 10_000_000,
    "rows_max": 4096,
    "poll_interval_s": 0.02,
}


class IBMLocalBackend(LocalBackend):
    """The client's simulator of a few qubits of a device; opened through the registry.

    Args:
        name: Canonical URI.
        calibration: Snapshot of the device.
        qubits: Physical qubits every plan uses unless it names its own; None to choose the best
            ones for each program.
    """

    def __init__(
        self, *, name: str, calibration: Calibration, qubits: tuple[int, ...] | None
    ) -> None:
        """Import the client; nothing is compiled yet."""
        from qiskit.exceptions import QiskitError
        from qiskit.providers import BackendV2, Options

        super().__init__(
            name=name,
            limits=Limits(qubits_max=QUBITS_MAX, **_LIMITS),  # type: ignore[arg-type]
            seed_bits=SEED_BITS,
            vendor_errors=(QiskitError, JobFailed),
        )
        self._calibration = calibration
        self._qubits = qubits
        self._compiler = ibm_sampling.Compiler(calibration)

        class FewQubits(BackendV2):  # type: ignore[misc]
            """A chip that consists of a target alone; the client's local mode asks for no more."""

            def __init__(self, target: Target) -> None:
                super().__init__(name=calibration.device)
                self._target = target

            @property
            def target(self) -> Target:
                return self._target

            @property
            def max_circuits(self) -> None:
                return None

            @classmethod
            def _default_options(cls) -> Options:
                return Options()

            def run(self, run_input: Any, **options: Any) -> Any:
                raise NotImplementedError("the client simulates by itself")

        self._chip = FewQubits

    def describe(self) -> DeviceInfo:
        """The device, its calibration and the qubits it would choose."""
        return noise.device_info(self._calibration, self._qubits, provider="qiskit-ibm-runtime")

    def depth(self, plan: Plan) -> int:
        """Layers of the compiled circuit, its measurement included."""
        qubits = noise.qubits_of(self._calibration, plan, self._qubits)
        return int(self._compiler.compiled(plan.program, qubits).depth())

    def _prepare(self, plan: Plan) -> None:
        qubits = noise.qubits_of(self._calibration, plan, self._qubits)
        ibm_sampling.require_low_qber(self._calibration, plan.program, qubits)
        self._compiler.compiled(plan.program, qubits)

    def _pieces(self, plan: Plan, entropy: np.random.SeedSequence) -> Iterator[Piece]:
        """Some rows a call, so that a cancelled job ends early."""
        from qiskit_ibm_runtime.executor_sampler import Sampler

        qubits = noise.qubits_of(self._calibration, plan, self._qubits)
        circuit = self._compiler.compiled(plan.program, qubits)
        chip = self._chip(aer.sub_target(self._calibration, qubits))
        size = max(1, PIECE_EXECUTIONS // plan.shots)
        for start in range(0, plan.bindings.shape[0], size):
            part = Plan(plan.program, plan.bindings[start : start + size], plan.shots)
            options = ibm_sampling.options(tags=(), max_execution_s=None)
            seed = int(entropy.spawn(1)[0].generate_state(1, np.uint32)[0])
            options.simulator.seed_simulator = seed
            sampler = Sampler(mode=chip, options=options)
            job = sampler.run(ibm_sampling.pubs(circuit, part), shots=plan.shots)
            bits = ibm_sampling.bits_of(job.result(), part, job_id=job.job_id())
            yield np.arange(start, start + part.bindings.shape[0]), bits

    def _provenance(self, plan: Plan, job_id: str, cap_bits: int) -> Provenance:
        qubits = noise.qubits_of(self._calibration, plan, self._qubits)
        packages = ("qiskit", "qiskit-aer", "qiskit-ibm-runtime")
        return Provenance(
            tier=Tier.SIMULATOR,
            claim=Claim.SIMULATION,
            backend=self.name,
            provider="qiskit-ibm-runtime",
            device=self._calibration.device,
            kind=Kind.NOISY,
            job_id=job_id,
            program_digest=plan.program.digest,
            sdk={package: version(package) for package in packages},
            qubits=qubits,
            calibration=noise.snapshot(self._calibration, qubits),
            seed=plan.seed,
            entropy_cap_bits=cap_bits,
        )


def _open(address: Address) -> Backend:
    """`ibm-local:<device>[?qubits=...]`."""
    registry.check_options(address, known=("qubits",))
    device = address.rest.lower().removeprefix("fake_").removeprefix("ibm_")
    folders = noise.ibm_devices()
    if device not in folders:
        hint = registry.nearest(device, folders)
        raise ConfigError(f"unknown device {address.rest!r} in {address.uri!r}; {hint}")
    calibration = noise.ibm_calibration(folders[device])
    qubits = registry.qubits_option(address)
    for qubit in qubits or ():
        calibration.check_qubit(qubit)
    suffix = "" if qubits is None else f"?qubits={','.join(map(str, qubits))}"
    return IBMLocalBackend(
        name=f"ibm-local:{device}{suffix}", calibration=calibration, qubits=qubits
    )


def _listing() -> list[Listing]:
    """Every packaged device."""
    return [
        Listing(
            uri=f"ibm-local:{name}",
            provider="qiskit-ibm-runtime",
            device=f"fake_{name}",
            kind=Kind.NOISY,
            qubits=noise.ibm_size(folder),
            available=True,
            reason="",
        )
        for name, folder in noise.ibm_devices().items()
    ]


scheme = Scheme(open=_open, listing=_listing, extra="ibm")

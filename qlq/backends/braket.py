"""Amazon Braket: its local simulator, and the way to its devices (`braket_aws`).

Rows with equal bindings run as one task. The simulator returns the shots of a program with
mid-circuit measurements gathered by their outcomes, so every task's shots are shuffled before they
are dealt to rows: shots of a simulator are exchangeable, and a random order of them is as good as
the one that was lost. Bits that the SDK derived from probabilities are no shots and are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlq.backends import braket_aws, braket_simulation, dialects, registry
from qlq.backends.local import LocalBackend, Piece, equal_rows
from qlq.backends.port import Address, Backend, DeviceInfo, Limits, Listing, Scheme
from qlq.circuit import Plan
from qlq.errors import CircuitRejected, ConfigError, InvariantBroken, JobFailed
from qlq.provenance import Claim, Kind, Provenance, Tier

SEED_BITS = 128
"""A job without a seed draws so many bits for numpy's SeedSequence."""

QUBITS_MAX = 20
TASK_SHOTS_MAX = 1 << 16
"""Shots of one task: the SDK keeps a list of texts for each, some 200 bytes a bit. Also what a
cancelled job may still run."""

_LIMITS = {
    "shots_max": 1 << 24,
    "executions_max": 1 << 28,
    "rows_max": 4096,
    "poll_interval_s": 0.02,
}
_DEVICES = {
    "aqt/Ibex-Q1": ("eu-north-1", 12),
    "ionq/Forte-1": ("us-east-1", 36),
    "ionq/Forte-Enterprise-1": ("us-east-1", 36),
    "iqm/Emerald": ("eu-north-1", 54),
    "iqm/Garnet": ("eu-north-1", 20),
    "rigetti/Ankaa-3": ("us-west-1", 84),
    "rigetti/Cepheus-1-108Q": ("us-west-1", 108),
}


class BraketLocalBackend(LocalBackend):
    """Braket's state-vector simulator; opened through the registry."""

    def __init__(self) -> None:
        """Import the simulator."""
        from braket.default_simulator import StateVectorSimulator

        super().__init__(
            name="braket:local",
            limits=Limits(qubits_max=QUBITS_MAX, **_LIMITS),  # type: ignore[arg-type]
            seed_bits=SEED_BITS,
            vendor_errors=(ValueError, TypeError, RuntimeError, JobFailed),
        )

        class SeededSimulator(StateVectorSimulator):  # type: ignore[misc]
            """The simulator, drawing from a given generator; the SDK has no option for one."""

            def __init__(self, generator: np.random.Generator) -> None:
                super().__init__()
                self._generator = generator

            def initialize_simulation(self, **options: Any) -> Any:
                simulation = super().initialize_simulation(**options)
                if not hasattr(simulation, "_rng_generator"):
                    raise InvariantBroken("Braket's simulation draws from somewhere else now")
                simulation._rng_generator = self._generator  # noqa: SLF001 - see the class
                return simulation

        self._seeded = SeededSimulator

    def describe(self) -> DeviceInfo:
        """The simulator."""
        return DeviceInfo(
            name="braket_sv",
            provider="amazon-braket",
            kind=Kind.IDEAL,
            qubits=self.limits.qubits_max,
            predicted_qber_bb84=0.0,
            predicted_qber_e91=0.0,
        )

    def _prepare(self, plan: Plan) -> None:
        if plan.qubits is not None:
            raise CircuitRejected(f"{self.name} has no physical qubits to choose from")

    def _pieces(self, plan: Plan, entropy: np.random.SeedSequence) -> Iterator[Piece]:
        """One piece for each group of equal bindings."""
        generator = np.random.default_rng(entropy)
        for rows in equal_rows(plan, executions_max=TASK_SHOTS_MAX):
            tasks = []
            for start in range(0, plan.shots * rows.size, TASK_SHOTS_MAX):
                shots = min(TASK_SHOTS_MAX, plan.shots * rows.size - start)
                tasks.append(self._run(plan, rows[0], shots=shots, generator=generator))
            measured = generator.permutation(np.concatenate(tasks), axis=0)
            yield rows, measured.reshape(rows.size, plan.shots, plan.program.n_bits)

    def _run(
        self, plan: Plan, row: int, *, shots: int, generator: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Shots of one row's binding, uint8 (shots, bits), in no meaningful order."""
        from braket.devices import LocalSimulator
        from braket.ir.openqasm import Program as BraketProgram

        binding = map(float, plan.bindings[row])
        inputs = dict(zip(plan.program.params, binding, strict=True))
        program = BraketProgram(source=dialects.for_braket(plan.program), inputs=inputs)
        with braket_simulation.alone:
            result = LocalSimulator(self._seeded(generator)).run(program, shots=shots).result()
        if not result.measurements_copied_from_device:
            raise JobFailed(
                "the SDK made these bits up from probabilities", job_id="", reason="no shots"
            )
        return np.asarray(result.measurements, dtype=np.uint8)

    def _provenance(self, plan: Plan, job_id: str, cap_bits: int) -> Provenance:
        packages = ("amazon-braket-sdk", "amazon-braket-default-simulator")
        return Provenance(
            tier=Tier.SIMULATOR,
            claim=Claim.SIMULATION,
            backend=self.name,
            provider="amazon-braket",
            device="braket_sv",
            kind=Kind.IDEAL,
            job_id=job_id,
            program_digest=plan.program.digest,
            sdk={package: version(package) for package in packages},
            seed=plan.seed,
            entropy_cap_bits=cap_bits,
        )


def _open(address: Address) -> Backend:
    """`braket:local`, or `braket:<arn>` for a device of Amazon Braket."""
    if address.rest.startswith("arn:"):
        return braket_aws.open_device(address)
    if address.rest != "local":
        hint = registry.nearest(address.rest, ["local"])
        raise ConfigError(f"unknown device {address.rest!r} in {address.uri!r}; {hint}")
    registry.check_options(address, known=())
    return BraketLocalBackend()


def _devices() -> list[Listing]:
    """The gate-based QPUs that Amazon Braket offers, without asking an account.

    Source: Amazon Braket developer guide, supported devices.
    """
    reason = registry.missing("amazon-braket-sdk", extra="braket")
    return [
        Listing(
            uri=f"braket:arn:aws:braket:{region}::device/qpu/{path}",
            provider="amazon-braket",
            device=path.rpartition("/")[2],
            kind=None,
            qubits=qubits,
            available=not reason,
            reason=reason or "with an AWS account, whose endpoint decides what answers",
        )
        for path, (region, qubits) in _DEVICES.items()
    ]


def _listing() -> list[Listing]:
    """The local simulator, and the devices of the service."""
    reason = registry.missing("amazon-braket-sdk", extra="braket")
    local = Listing(
        "braket:local",
        provider="amazon-braket",
        device="braket_sv",
        kind=Kind.IDEAL,
        qubits=QUBITS_MAX,
        available=not reason,
        reason=reason,
    )
    return [local, *_devices()]


scheme = Scheme(open=_open, listing=_listing, extra="braket")

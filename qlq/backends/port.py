"""What a backend is: a place where plans become shots.

An adapter implements `Backend`; `qlq.backends.driver` is the only caller of submit, status and
fetch. Adapters translate every vendor's exception into the errors of `qlq.errors`, or into
`TransientError` and `AmbiguousSubmit`, which never leave the driver.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from enum import Enum, StrEnum, auto
from typing import Protocol, runtime_checkable

from qlq.circuit import Plan
from qlq.errors import ConfigError, QLQError
from qlq.provenance import Kind
from qlq.shots import Shots


class TransientError(QLQError):
    """Worth another try: a throttled call, a lost connection, a server's 5xx. Driver only."""


class Stalled(TransientError):
    """A call that gave no answer in time; what it asked for may still happen. Driver only."""


class AmbiguousSubmit(TransientError):
    """A submit whose answer was lost: the job may exist. The driver looks for its tag first."""


class Doing(Enum):
    """What was asked when an error came; it decides what the error means."""

    OPEN = auto()
    """Account, device, limits, session: nothing has been submitted."""
    SUBMIT = auto()
    """A job may exist although there was no answer."""
    READ = auto()
    """May be repeated at will."""


class Status(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the status never changes again."""
        return self in {Status.DONE, Status.FAILED, Status.CANCELLED}


@dataclass(frozen=True, slots=True)
class Handle:
    """What is needed to come back to a job, also from another process.

    Attributes:
        backend: URI of the backend.
        job_id: The vendor's or the simulator's id.
        plan_digest: `Plan.digest` of what was submitted.
    """

    backend: str
    job_id: str
    plan_digest: str

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps({"schema": "qlq.handle/1", **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Handle:
        """The handle that `to_json` wrote; raises ConfigError on anything else."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"not a job handle: {error}") from error
        names = ("backend", "job_id", "plan_digest")
        if not isinstance(document, dict) or document.get("schema") != "qlq.handle/1":
            raise ConfigError("not a job handle: schema must be qlq.handle/1")
        if any(not isinstance(document.get(name), str) for name in names):
            raise ConfigError(f"not a job handle: it needs the texts {', '.join(names)}")
        return cls(*(document[name] for name in names))


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may ask for.

    Attributes:
        shots_max: Shots of a row.
        executions_max: Shots of all rows together.
        rows_max: Rows.
        qubits_max: Qubits of the program.
        poll_interval_s: The longest sensible pause between two looks at a job.
    """

    shots_max: int
    executions_max: int
    rows_max: int
    qubits_max: int
    poll_interval_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan will cost.

    Attributes:
        qpu_s: Seconds of quantum hardware; 0 for simulators.
        amount: Money, None if the price is not known.
        currency: ISO 4217 code.
        source: Where the price comes from.
        date: ISO date of the price, None where prices do not change.
    """

    qpu_s: float
    amount: Decimal | None
    currency: str
    source: str
    date: str | None


FREE = Cost(0.0, Decimal(0), "USD", "local simulator", None)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device as an operator needs to see it.

    Attributes:
        name: Name of the device or simulator.
        provider: Package or vendor, for example `qiskit-aer`.
        kind: Ideal, noisy or QPU.
        qubits: How many qubits it has; for simulators without a device, the most it takes.
        available: Whether it can be used now.
        reason: Why it cannot, empty if it can.
        qubit_errors: Readout error by physical qubit, in [0, 1].
        pair_errors: Two-qubit gate error by usable coupled pair, in [0, 1].
        qubits_bb84: The physical qubit BB84 would use; empty where there is no choice.
        qubits_e91: The pair E91 would use; empty where there is no choice.
        predicted_qber_bb84: Predicted error rate on that qubit, 0.0 for an ideal backend, None
            if it cannot be predicted or the chosen qubits do not fit.
        predicted_qber_e91: The same for the pair.
        calibrated: ISO date of the calibration, None without one.
        queue: Jobs waiting, None where there is no queue.
    """

    name: str
    provider: str
    kind: Kind
    qubits: int
    available: bool = True
    reason: str = ""
    qubit_errors: Mapping[int, float] = field(default_factory=dict)
    pair_errors: Mapping[tuple[int, int], float] = field(default_factory=dict)
    qubits_bb84: tuple[int, ...] = ()
    qubits_e91: tuple[int, ...] = ()
    predicted_qber_bb84: float | None = None
    predicted_qber_e91: float | None = None
    calibrated: str | None = None
    queue: int | None = None


class Backend(Protocol):
    """A place where plans become shots.

    `submit` refuses what the device cannot run with CircuitRejected, before any job exists.
    `status`, `fetch`, `cancel` and `spent` raise JobFailed for a job that the backend does not
    know.
    """

    @property
    def name(self) -> str:
        """The URI the backend was opened with, in canonical form."""

    @property
    def limits(self) -> Limits:
        """What one job may ask for."""

    def describe(self) -> DeviceInfo:
        """The device, its calibration and the qubits it would choose."""

    def estimate(self, plan: Plan) -> Cost:
        """Seconds and money the plan would cost; submits nothing."""

    def submit(self, plan: Plan) -> Handle:
        """Start the plan's job and return at once."""

    def status(self, handle: Handle) -> Status:
        """Where the job stands."""

    def fetch(self, handle: Handle, plan: Plan) -> Shots:
        """The shots of a job that is DONE; raises JobFailed in every other case."""

    def cancel(self, handle: Handle) -> None:
        """End the job; a job that has ended already stays as it is."""

    def find(self, tag: str) -> list[Handle]:
        """Jobs whose plan carried the tag, newest first."""

    def spent(self, handle: Handle) -> Cost:
        """What the job has cost so far, as far as the vendor says; FREE for simulators."""

    def close(self) -> None:
        """Give back threads, files and connections; running local jobs are cancelled."""


@runtime_checkable
class CancelsByTag(Protocol):
    """A backend whose jobs may exist in part, where `find` does not show them."""

    def cancel_tagged(self, tag: str) -> Mapping[str, Status]:
        """End every part of jobs whose plan carried the tag, and say how each ended, by its id."""


@runtime_checkable
class ChargesWhileOpen(Protocol):
    """A backend that may hold something that is charged until it is closed."""

    @property
    def close_s_max(self) -> float:
        """Seconds that closing is worth waiting for."""


@runtime_checkable
class ReportsDepth(Protocol):
    """A backend that can say what a plan becomes on its device."""

    def depth(self, plan: Plan) -> int:
        """Depth of the plan's circuit after compilation; submits nothing."""


@dataclass(frozen=True, slots=True)
class Address:
    """A backend URI in its parts: `scheme[:rest][?key=value&...]`.

    Attributes:
        uri: The text as the operator wrote it.
        scheme: Before the first colon, lower case.
        rest: Between the first colon and the question mark, may be empty.
        options: The `key=value` pairs after the question mark.
    """

    uri: str
    scheme: str
    rest: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Listing:
    """One line of `qlq backend list`; made without importing an SDK and without asking anyone.

    Attributes:
        uri: What opens it.
        provider: Package or vendor.
        device: Name of the device or simulator.
        kind: Ideal, noisy or QPU; None where only what answers at the endpoint tells.
        qubits: How many it has, 0 where nobody was asked.
        available: Whether the packages that it needs are there.
        reason: Why not, or what else it needs.
    """

    uri: str
    provider: str
    device: str
    kind: Kind | None
    qubits: int
    available: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Scheme:
    """What an entry point of the group `qlq.backends` names: how to open and list its backends.

    Attributes:
        open: Opens the backend of an address; this is where an SDK is imported. Raises
            ConfigError for an unknown device, option or qubit.
        listing: The backends of this scheme that can be named without an account.
        extra: The extra of QLQ (or the package) that installs the SDK, for error messages.
    """

    open: Callable[[Address], Backend]
    listing: Callable[[], Sequence[Listing]]
    extra: str

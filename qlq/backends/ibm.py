"""IBM's quantum computers: `ibm:<name>` and `ibm:least_busy`, through the client's Sampler.

A plan is one job: one parametrised circuit with all rows. Its qubits are chosen by the calibration
of the day. The job carries, beside the plan's own tags, two of ours, so that another process can
come back to it: which plan it runs, and on which qubits.

Options of the URI: `qubits=96,103`, `mode=job|session|batch`, `instance=NAME`, `lanes=8`,
`max_execution_time=SECONDS`. With lanes, a job is the plan's wide form
(`qlq.backends.lanes`), and its shots come back in the plan's own.

Credentials stay with the client: its environment or its file.

Nothing here waits for a job, and no call has a deadline of its own: the client never stops to wait
for an answer, so callers run every method under `watchdog.within`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from qlq.backends import (
    answers,
    ibm_account,
    ibm_choices,
    ibm_errors,
    ibm_sampling,
    lanes,
    noise,
    patience,
    registry,
)
from qlq.backends.ibm_account import Account
from qlq.backends.ibm_choices import SESSION_S_MAX, Choices, Mode
from qlq.backends.noise import Calibration
from qlq.backends.patience import Clock
from qlq.backends.port import (
    Address,
    Backend,
    Cost,
    DeviceInfo,
    Doing,
    Handle,
    Limits,
    Listing,
    Scheme,
    Status,
)
from qlq.circuit import Plan
from qlq.errors import BackendError, BackendUnavailable, CircuitRejected, ConfigError, JobFailed
from qlq.faults import JobFault
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.shots import Shots

if TYPE_CHECKING:
    from qiskit_ibm_runtime import RuntimeJobV2, Session
    from qiskit_ibm_runtime.models import BackendProperties

EXECUTIONS_MAX = 10_000_000
"""Source: IBM's guide on job limits, executions of one Sampler job."""
OVERHEAD_S = 2.0
"""Preparation of a job. Source: IBM's guide on workload usage, 2 s + 0.00035 s per execution."""
CLOSE_S = 15.0
"""Time for closing a session: while it is open it is charged."""
FOREIGN_SEED_BITS = 32
"""Entropy granted to shots of an endpoint that is not IBM's: a simulator's smallest seed."""

_LIMITS = {
    "shots_max": EXECUTIONS_MAX,
    "executions_max": EXECUTIONS_MAX,
    "rows_max": 10_000,
    "poll_interval_s": 5.0,
}
_SESSION_NOTE = (
    "for the jobs alone: a session is charged by the clock, from its first job until this command "
    f"closes it, for at most --max-qpu-seconds or {SESSION_S_MAX} s"
)
_FOUND_MAX = 20
_PLAN_TAG = "qlq-plan-"
_QUBITS_TAG = "qlq-qubits-"
_STATUS = {
    "INITIALIZING": Status.QUEUED,
    "QUEUED": Status.QUEUED,
    "RUNNING": Status.RUNNING,
    "DONE": Status.DONE,
    "ERROR": Status.FAILED,
    "CANCELLED": Status.CANCELLED,
}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Placement:
    """Where a job's circuit ran, and the calibration of those qubits at that time."""

    qubits: tuple[int, ...]
    calibration: Mapping[str, Any]


class IBMBackend:
    """One device of one account; opened through the registry.

    Args:
        account: The account that reaches the device.
        device: The client's object of the device.
        choices: Options of the URI.

    Raises:
        BackendUnavailable: The device has no calibration, or cannot be asked for it.
        ConfigError: A chosen qubit is faulty or not on the chip.
    """

    def __init__(self, account: Account, device: Any, choices: Choices) -> None:
        """Fetch the calibration; nothing is submitted."""
        self._account, self._device, self._choices = account, device, choices
        self._device_name = str(device.name)
        self._name = choices.uri(self._device_name)
        what = f"calibration of {self._device_name}"
        with (
            answers.decoded(what, doing=Doing.OPEN),
            ibm_errors.translated(what, doing=Doing.OPEN),
        ):
            properties = device.properties()
            self._rep_delay_s = float(device.configuration().default_rep_delay)
        self._calibration = self._calibration_of(properties)
        for qubit in choices.qubits or ():
            self._calibration.check_qubit(qubit)
        self._limits = Limits(qubits_max=len(self._calibration.qubits), **_LIMITS)  # type: ignore[arg-type]
        self._sdk = {package: version(package) for package in ("qiskit", "qiskit-ibm-runtime")}
        self._compiler = ibm_sampling.Compiler(self._calibration)
        self._jobs: dict[str, RuntimeJobV2] = {}
        self._placements: dict[str, _Placement] = {}
        self._session: Session | None = None
        self._session_lock = threading.Lock()

    @property
    def name(self) -> str:
        """The URI in canonical form; `least_busy` has become a device."""
        return self._name

    @property
    def limits(self) -> Limits:
        """What one job may ask for."""
        return self._limits

    def describe(self) -> DeviceInfo:
        """The device, its calibration, its queue, and the qubits it would choose."""
        info = noise.device_info(
            self._calibration, self._choices.qubits, provider="qiskit-ibm-runtime"
        )
        with ibm_errors.translated(f"status of {self._name}", doing=Doing.READ):
            status = self._device.status()
        return replace(
            info,
            kind=self._kind,
            available=bool(status.operational),
            reason="" if status.operational else f"the device says: {status.status_msg}",
            queue=int(status.pending_jobs),
        )

    def estimate(self, plan: Plan) -> Cost:
        """Seconds of QPU time and money; asks nobody and submits nothing.

        Source: IBM's guide on workload usage: overhead + (rep_delay + circuit length) x executions.
        """
        wide = self._wide(plan)
        qubits = self._checked(wide)
        readout_s = max(self._calibration.qubits[qubit].readout_s for qubit in qubits)
        return self._cost(OVERHEAD_S + wide.executions * (self._rep_delay_s + readout_s))

    def depth(self, plan: Plan) -> int:
        """Layers of the compiled circuit, its measurement included."""
        wide = self._wide(plan)
        return int(self._compiler.compiled(wide.program, self._checked(wide)).depth())

    def submit(self, plan: Plan) -> Handle:
        """Start the plan's job.

        Raises:
            CircuitRejected: The plan is beyond the limits, has a seed, or does not fit.
            BackendUnavailable: The account may not, or the predicted error rate allows no key.
            TransientError: No job exists; try again.
            AmbiguousSubmit: A job may exist; look for its tag first.
        """
        from qiskit_ibm_runtime.executor_sampler import Sampler

        wide = self._wide(plan)
        qubits = self._checked(wide)
        ibm_sampling.require_low_qber(self._calibration, wide.program, qubits)
        circuit = ibm_sampling.on_chip(
            self._compiler.compiled(wide.program, qubits), qubits, size=self._calibration.size
        )
        with ibm_errors.translated(f"usage of {self._name}", doing=Doing.READ):
            self._account.require_allowance()
        estimate_s = self.estimate(plan).qpu_s
        options = ibm_sampling.options(
            tags=(*plan.tags, _PLAN_TAG + plan.digest, _qubits_tag(qubits)),
            max_execution_s=self._choices.execution_s(estimate_s, cap_s=plan.qpu_s_max),
        )
        session_s = self._choices.session_s(estimate_s, cap_s=plan.qpu_s_max)
        sampler = Sampler(mode=self._mode(session_s), options=options)
        pubs, what = ibm_sampling.pubs(circuit, wide), f"submit to {self._name}"
        with (
            answers.decoded(what, doing=Doing.SUBMIT),
            ibm_errors.translated(what, doing=Doing.SUBMIT),
        ):
            job = sampler.run(pubs, shots=wide.shots)
        job_id = str(job.job_id())
        self._placements[job_id] = _Placement(qubits, noise.snapshot(self._calibration, qubits))
        self._jobs[job_id] = job
        return Handle(self._name, job_id, plan.digest)

    def status(self, handle: Handle) -> Status:
        """Where the job stands; a word that is not known yet counts as running."""
        job = self._job(handle)
        with self._asking(handle):
            return _STATUS.get(job.status(), Status.RUNNING)

    def fetch(self, handle: Handle, plan: Plan) -> Shots:
        """The shots of a job that is DONE; raises JobFailed in every other case."""
        if plan.digest != handle.plan_digest:
            raise ValueError(f"plan {plan.digest} is not the one of job {handle.job_id}")
        job = self._job(handle)
        ran = _digest_of(job.tags)
        if ran not in {"", plan.digest}:
            raise ValueError(f"job {handle.job_id} ran plan {ran}, not {plan.digest}")
        status = self.status(handle)
        if status is not Status.DONE:
            raise self._failed(handle, job, status)
        what = f"results of job {handle.job_id} of {self._name}"
        with _reading(what):  # the status is final: this fetches, and does not wait
            result = job.result()
        if result is None:
            raise answers.unreadable(what, "empty", doing=Doing.READ)
        wide = ibm_sampling.bits_of(result, self._wide(plan), job_id=handle.job_id)
        bits = lanes.narrow(wide, rows=plan.bindings.shape[0], lanes=self._choices.lanes)
        return Shots(bits, self._provenance(handle, job, plan))

    def cancel(self, handle: Handle) -> None:
        """End the job; a job that has ended already stays as it is."""
        from qiskit_ibm_runtime.exceptions import RuntimeInvalidStateError

        job = self._job(handle)
        with self._asking(handle):
            try:
                job.cancel()
            except RuntimeInvalidStateError:
                return

    def find(self, tag: str) -> list[Handle]:
        """Jobs of this device whose plan carried the tag, newest first, at most 20."""
        with _reading(f"jobs of {self._name}"):
            jobs = self._account.service.jobs(
                job_tags=[tag], backend_name=self._device_name, limit=_FOUND_MAX
            )
        found = [(str(job.job_id()), _digest_of(job.tags)) for job in jobs]
        return [Handle(self._name, job_id, digest) for job_id, digest in found if digest]

    def spent(self, handle: Handle) -> Cost:
        """QPU seconds that IBM has charged so far, and their price."""
        job = self._job(handle)
        with _reading(f"usage of job {handle.job_id} of {self._name}"):
            usage = job.metrics().get("usage", {})
        return self._cost(float(usage.get("qpu_charge_time_seconds") or 0.0))

    @property
    def close_s_max(self) -> float:
        """Seconds that closing may take: an open session is charged by the clock."""
        return CLOSE_S + patience.CLOSE_S_MAX if self._session else patience.CLOSE_S_MAX

    def close(self) -> None:
        """Let the session take no more jobs; those that it has go on."""
        with self._session_lock:
            session, self._session = self._session, None
        if session is None:
            return
        what = f"session {session.session_id} of {self._name}"
        close = partial(_close, session, what)
        try:
            patience.ask(close, clock=Clock(CLOSE_S), what=f"closing {what}")
        except BackendError as error:
            _LOG.warning(
                "%s is open, and charged, for %d s at most: %s", what, SESSION_S_MAX, error
            )

    @property
    def _kind(self) -> Kind:
        return Kind.QPU if self._is_qpu else Kind.NOISY

    @property
    def _is_qpu(self) -> bool:
        """Whether shots come from IBM's own hardware: its endpoint, and no simulator behind it."""
        device = self._device
        is_simulated = bool(device.configuration().simulator) or bool(device.is_mock)
        return self._account.is_vendors and not is_simulated

    def _asking(self, handle: Handle) -> Any:
        """Translates errors of the client's calls for a job's own document."""
        return _reading(f"job {handle.job_id} of {self._name}", job_id=handle.job_id)

    def _wide(self, plan: Plan) -> Plan:
        """The plan as it runs: in lanes, where the URI asks for them."""
        return lanes.widen(plan, lanes=self._choices.lanes)

    def _checked(self, plan: Plan) -> tuple[int, ...]:
        """The qubits of a plan that the device can run; raises CircuitRejected."""
        if plan.seed is not None:
            raise CircuitRejected(f"{self._name} is hardware and takes no seed: leave it out")
        asked = {
            "shots a row": (plan.shots, self._limits.shots_max),
            "shots in all": (plan.executions, self._limits.executions_max),
            "rows": (plan.bindings.shape[0], self._limits.rows_max),
            "qubits": (plan.program.n_qubits, self._limits.qubits_max),
        }
        for word, (value, limit) in asked.items():
            if value > limit:
                raise CircuitRejected(
                    f"{self._name} takes at most {limit} {word}, not {value}: split the plan"
                )
        return noise.qubits_of(self._calibration, plan, self._choices.qubits)

    def _cost(self, qpu_s: float) -> Cost:
        """What seconds of jobs cost; for a session it is said what else is charged."""
        cost = self._account.cost(qpu_s)
        if self._choices.mode is not Mode.SESSION:
            return cost
        return replace(cost, source=f"{cost.source}; {_SESSION_NOTE}")

    def _mode(self, session_s: int) -> Any:
        """What the Sampler runs in: the device, or the session, opened with the first job."""
        from qiskit_ibm_runtime import Batch, Session

        if self._choices.mode is Mode.JOB:
            return self._device
        with self._session_lock:
            opened = self._session
        if opened is None:
            kind = Session if self._choices.mode is Mode.SESSION else Batch
            with ibm_errors.translated(f"session on {self._name}", doing=Doing.OPEN):
                opened = kind(backend=self._device, max_time=session_s)
            with self._session_lock:
                self._session = opened
        return opened

    def _job(self, handle: Handle) -> RuntimeJobV2:
        """The client's object of a job; raises JobFailed if there is none on this device."""
        if handle.backend != self._name:
            raise ibm_errors.unknown_job(self._name, handle.job_id)
        if handle.job_id not in self._jobs:
            with self._asking(handle):
                job = self._account.service.job(handle.job_id)
                if job.backend().name != self._device_name:
                    raise ibm_errors.unknown_job(self._name, handle.job_id)
            self._jobs[handle.job_id] = job
        return self._jobs[handle.job_id]

    def _failed(self, handle: Handle, job: RuntimeJobV2, status: Status) -> JobFailed:
        reason = status.value
        if status is Status.FAILED:
            with self._asking(handle):
                said = job.error_message()
            reason = ibm_errors.SECRECY.said(said or "failed")
        return JobFailed(
            f"job {handle.job_id} of {self._name} has no shots: {reason}",
            job_id=handle.job_id,
            reason=reason,
            fault=JobFault.CANCELLED if status is Status.CANCELLED else JobFault.FAILED,
        )

    def _calibration_of(self, properties: BackendProperties | None) -> Calibration:
        """The client's documents in our words."""
        if properties is None:
            raise BackendUnavailable(
                f"{self._device_name} has no calibration, so no qubits can be chosen on it"
            )
        props = properties.to_dict()
        props["last_update_date"] = props["last_update_date"].isoformat()
        conf = self._device.configuration()
        known = {"n_qubits": conf.n_qubits, "basis_gates": conf.basis_gates}
        return noise.ibm_calibration_of(known, props, device=self._device_name)

    def _placement(self, handle: Handle, job: RuntimeJobV2) -> _Placement:
        """Qubits and calibration of a job; for one of another process as IBM remembers them."""
        if handle.job_id not in self._placements:
            qubits = _qubits_of(job.tags)
            with _reading(f"calibration of job {handle.job_id} of {self._name}"):
                properties = job.properties()
            calibration = self._calibration_of(properties)
            usable = tuple(qubit for qubit in qubits if qubit in calibration.qubits)
            placement = _Placement(qubits, noise.snapshot(calibration, usable))
            self._placements[handle.job_id] = placement
        return self._placements[handle.job_id]

    def _provenance(self, handle: Handle, job: RuntimeJobV2, plan: Plan) -> Provenance:
        placement = self._placement(handle, job)
        return Provenance(
            tier=Tier.QPU if self._is_qpu else Tier.SIMULATOR,
            claim=Claim.SAME_CHIP if self._is_qpu else Claim.SIMULATION,
            backend=self._name,
            provider="qiskit-ibm-runtime",
            device=self._device_name,
            kind=self._kind,
            job_id=handle.job_id,
            program_digest=plan.program.digest,
            sdk=self._sdk,
            qubits=placement.qubits,
            calibration=placement.calibration,
            entropy_cap_bits=None if self._is_qpu else FOREIGN_SEED_BITS,
        )


@contextmanager
def _reading(what: str, *, job_id: str = "") -> Iterator[None]:
    """Translates errors of the client's calls that read; our own code stays outside.

    Args:
        what: What is read, for messages.
        job_id: The job whose document is read; without it a 404 does not make a job unknown.
    """
    with (
        answers.decoded(what, doing=Doing.READ),
        ibm_errors.translated(what, doing=Doing.READ, job_id=job_id),
    ):
        yield


def _close(session: Session, what: str) -> None:
    with ibm_errors.translated(what, doing=Doing.READ):
        session.close()


def _qubits_tag(qubits: tuple[int, ...]) -> str:
    return _QUBITS_TAG + ".".join(map(str, qubits))


def _qubits_of(tags: list[str] | None) -> tuple[int, ...]:
    """The qubits that `_qubits_tag` wrote; empty for a job that is not ours."""
    found = [tag.removeprefix(_QUBITS_TAG) for tag in tags or () if tag.startswith(_QUBITS_TAG)]
    numbers = found[0].split(".") if found else []
    return tuple(map(int, numbers)) if all(number.isdecimal() for number in numbers) else ()


def _digest_of(tags: list[str] | None) -> str:
    """Digest of the plan that a job runs, empty for a job that is not ours."""
    found = [tag.removeprefix(_PLAN_TAG) for tag in tags or () if tag.startswith(_PLAN_TAG)]
    return found[0] if found else ""


def _open(address: Address) -> Backend:
    """`ibm:<name>` or `ibm:least_busy`, with options."""
    choices = ibm_choices.parse(address)
    if not address.rest:
        raise ConfigError("'ibm' needs a device: ibm:least_busy, or for example ibm:ibm_fez")
    account = ibm_account.open_account(choices.instance)
    return IBMBackend(account, account.device(address.rest), choices)


def _listing() -> list[Listing]:
    """What can be named without asking the account for its devices."""
    reason = registry.missing("qiskit-ibm-runtime", extra="ibm")
    return [
        Listing(
            "ibm:least_busy",
            provider="qiskit-ibm-runtime",
            device="least_busy",
            kind=None,
            qubits=0,
            available=not reason,
            reason=reason or "with an IBM Quantum account, whose endpoint decides what answers",
        )
    ]


scheme = Scheme(open=_open, listing=_listing, extra="ibm")

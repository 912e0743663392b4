"""Jobs of simulators in this process: the same submit, status, fetch flow as a remote device.

One worker thread runs one job after the other. Cancelling takes effect between two pieces of a
job; an adapter yields a piece at least for each row or bounded group of rows.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlq.backends.port import FREE, Cost, DeviceInfo, Handle, Limits, Status
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected, InvariantBroken, JobFailed
from qlq.faults import JobFault
from qlq.provenance import Provenance
from qlq.shots import Shots

Piece = tuple[NDArray[np.intp], NDArray[np.uint8]]
"""Indices of some rows of a plan, and their bits, uint8 (rows, shots, bits)."""

JOBS_KEPT_MAX = 16
"""Ended jobs whose shots stay fetchable; the oldest ones go first."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One job: its plan, its cancel flag, and the worker's promise of bits."""

    plan: Plan
    cancelled: threading.Event
    future: Future[NDArray[np.uint8] | None]

    @property
    def status(self) -> Status:
        """Where the job stands; stable once final, because `cancel` leaves an ended job."""
        if self.cancelled.is_set():
            return Status.CANCELLED
        if self.future.done():
            return Status.FAILED if self.future.exception() else Status.DONE
        return Status.RUNNING if self.future.running() else Status.QUEUED


class LocalBackend(ABC):
    """A simulator in this process. Subclasses say how a plan becomes bits.

    Args:
        name: Canonical URI.
        limits: What one job may ask for.
        seed_bits: Entropy a job draws from the operating system when the plan has no seed; the
            shots of the job hold no more than that.
        vendor_errors: What the simulator raises when it fails; becomes JobFailed.
    """

    def __init__(
        self,
        *,
        name: str,
        limits: Limits,
        seed_bits: int,
        vendor_errors: tuple[type[Exception], ...],
    ) -> None:
        """Start with no job and no thread; the thread starts with the first job."""
        self._name = name
        self._limits = limits
        self._seed_bits = seed_bits
        self._vendor_errors = vendor_errors
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"qlq-{name}")
        self._closed = False

    @property
    def name(self) -> str:
        """The URI the backend was opened with, in canonical form."""
        return self._name

    @property
    def limits(self) -> Limits:
        """What one job may ask for."""
        return self._limits

    @abstractmethod
    def describe(self) -> DeviceInfo:
        """The device, its calibration and the qubits it would choose."""

    @abstractmethod
    def _prepare(self, plan: Plan) -> None:
        """Compile what the plan needs; raises CircuitRejected before a job exists."""

    @abstractmethod
    def _pieces(self, plan: Plan, entropy: np.random.SeedSequence) -> Iterator[Piece]:
        """The bits of the plan, some rows at a time, every row once."""

    @abstractmethod
    def _provenance(self, plan: Plan, job_id: str, cap_bits: int) -> Provenance:
        """Origin of the shots of the plan."""

    def estimate(self, plan: Plan) -> Cost:
        """Nothing: the simulator runs on this machine."""
        self._check(plan)
        return FREE

    def submit(self, plan: Plan) -> Handle:
        """Queue the plan; the same seeded plan is the same job."""
        self._check(plan)
        self._prepare(plan)
        seeded = plan.seed is not None
        entropy = plan.seed if plan.seed is not None else secrets.randbits(self._seed_bits)
        identity = hashlib.sha256(f"{self._name}\n{plan.digest}".encode()).digest()
        job_id = str(uuid.UUID(bytes=identity[:16], version=4) if seeded else uuid.uuid4())
        with self._lock:
            if self._closed:
                raise BackendUnavailable(f"backend {self._name} is closed; open it again")
            self._forget_old()
            cancelled = threading.Event()
            seeds = np.random.SeedSequence(entropy)
            future = self._pool.submit(self._gather, plan, seeds, cancelled)
            self._jobs.pop(job_id, None)
            self._jobs[job_id] = _Job(plan, cancelled, future)
        return Handle(self._name, job_id, plan.digest)

    def status(self, handle: Handle) -> Status:
        """Where the job stands."""
        with self._lock:
            return self._job(handle).status

    def fetch(self, handle: Handle, plan: Plan) -> Shots:
        """The shots of a job that is DONE; raises JobFailed in every other case."""
        with self._lock:
            job = self._job(handle)
            status = job.status
        if plan.digest != handle.plan_digest or plan.digest != job.plan.digest:
            raise ValueError(f"plan {plan.digest} is not the one of job {handle.job_id}")
        bits = self._outcome(job, handle, status)
        cap_bits = 0 if plan.seed is not None else self._seed_bits
        return Shots(bits, self._provenance(plan, handle.job_id, cap_bits))

    def _outcome(self, job: _Job, handle: Handle, status: Status) -> NDArray[np.uint8]:
        """The bits of a DONE job; raises JobFailed, or what a bug of ours raised."""
        error = job.future.exception() if status is Status.FAILED else None
        if error is not None and not isinstance(error, self._vendor_errors):
            raise error
        bits = job.future.result() if status is Status.DONE else None
        if bits is None:
            reason = str(error) if error is not None else status.value
            raise JobFailed(
                f"job {handle.job_id} of {self._name} has no shots: {reason}",
                job_id=handle.job_id,
                reason=reason,
                fault=JobFault.CANCELLED if status is Status.CANCELLED else JobFault.FAILED,
            ) from error
        return bits

    def cancel(self, handle: Handle) -> None:
        """End the job; a job that has ended already stays as it is."""
        with self._lock:
            self._stop(self._job(handle))

    def find(self, tag: str) -> list[Handle]:
        """Jobs whose plan carried the tag, newest first."""
        with self._lock:
            jobs = list(self._jobs.items())
        return [
            Handle(self._name, job_id, job.plan.digest)
            for job_id, job in reversed(jobs)
            if tag in job.plan.tags
        ]

    def spent(self, handle: Handle) -> Cost:
        """Nothing: the simulator runs on this machine."""
        with self._lock:
            self._job(handle)
        return FREE

    def close(self) -> None:
        """Cancel what runs and end the thread; closing twice does no harm."""
        with self._lock:
            self._closed = True
            for job in self._jobs.values():
                self._stop(job)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _check(self, plan: Plan) -> None:
        """Refuse what is beyond the limits."""
        rows = plan.bindings.shape[0]
        asked = {
            "shots a row": (plan.shots, self._limits.shots_max),
            "shots in all": (plan.executions, self._limits.executions_max),
            "rows": (rows, self._limits.rows_max),
            "qubits": (plan.program.n_qubits, self._limits.qubits_max),
        }
        for word, (value, limit) in asked.items():
            if value > limit:
                raise CircuitRejected(
                    f"{self._name} takes at most {limit} {word}, not {value}: split the plan"
                )

    def _job(self, handle: Handle) -> _Job:
        """The job of a handle; call with the lock held."""
        job = self._jobs.get(handle.job_id)
        if job is None or handle.backend != self._name:
            raise JobFailed(
                f"{self._name} knows no job {handle.job_id}: jobs of a simulator end with the "
                "process that started them, run the plan again",
                job_id=handle.job_id,
                reason=JobFault.UNKNOWN.value,
                fault=JobFault.UNKNOWN,
            )
        return job

    def _forget_old(self) -> None:
        """Drop the oldest ended jobs beyond the bound; call with the lock held."""
        ended = [job_id for job_id, job in self._jobs.items() if job.status.is_final]
        for job_id in ended[: max(0, len(ended) - JOBS_KEPT_MAX + 1)]:
            del self._jobs[job_id]

    @staticmethod
    def _stop(job: _Job) -> None:
        """Cancel a job that has not ended; call with the lock held."""
        if not job.future.done():
            job.cancelled.set()
            job.future.cancel()

    def _gather(
        self, plan: Plan, entropy: np.random.SeedSequence, cancelled: threading.Event
    ) -> NDArray[np.uint8] | None:
        """Worker thread: all bits of a job in one array; None as soon as it is cancelled."""
        shape = (plan.bindings.shape[0], plan.shots, plan.program.n_bits)
        bits = np.empty(shape, dtype=np.uint8)
        made = np.zeros(shape[0], dtype=np.intp)
        for rows, piece in self._pieces(plan, entropy):
            if cancelled.is_set():
                return None
            bits[rows] = piece
            np.add.at(made, rows, 1)
        if (made != 1).any():
            raise InvariantBroken(f"{self._name} made rows {np.flatnonzero(made != 1)} not once")
        return bits


def equal_rows(plan: Plan, *, executions_max: int) -> Iterator[NDArray[np.intp]]:
    """Indices of rows that share their bindings, so that one call can run them together.

    Every row comes once. A group is cut where its shots would exceed `executions_max`, but holds
    at least one row: a cancelled job ends between two groups.
    """
    distinct, which = np.unique(plan.bindings, axis=0, return_inverse=True)
    size = max(1, executions_max // plan.shots)
    for index in range(len(distinct)):
        rows = np.flatnonzero(which.reshape(-1) == index)
        for start in range(0, rows.size, size):
            yield rows[start : start + size]

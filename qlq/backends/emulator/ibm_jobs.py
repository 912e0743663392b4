"""Jobs and sessions of the IBM emulator: one worker, one job after the other, all in memory.

    Queued --> Running --> Completed | Failed | Cancelled

A job is charged for its shots and the pauses between them, as a real device would take them, not
for the time that simulating them takes. One that would take longer than its `cost` (the client's
`max_execution_time`) ends as cancelled with code 1305, as on the real service.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from qlq.backends.emulator import ibm_execution
from qlq.backends.emulator.faults import Action, Fault
from qlq.backends.emulator.ibm_devices import Device
from qlq.backends.emulator.ibm_execution import Work

JOBS_MAX = 10_000
RAN_TOO_LONG = 1305
_INTERNAL = 9999
FINAL = frozenset({"Completed", "Failed", "Cancelled"})


@dataclass(slots=True, eq=False)
class Job:
    """One job; everything that changes is changed under the store's lock.

    Attributes:
        job_id: As the client sees it.
        device: Where it runs.
        work: What it runs.
        tags: As submitted.
        session_id: The session or batch it belongs to.
        qpu_s_max: The client's `max_execution_time`.
        fault: What the fault script wants for it.
        status: IBM's word.
        reason: Why it ended, empty if there is nothing to say.
        reason_code: IBM's number for that.
        results: The text of the results.
        charged_s: Seconds on the device.
        times: ISO time of creation, start and end.
    """

    job_id: str
    device: Device
    work: Work
    tags: tuple[str, ...]
    session_id: str | None
    qpu_s_max: float | None
    fault: Fault | None
    status: str = "Queued"
    reason: str = ""
    reason_code: int | None = None
    results: str = ""
    charged_s: float = 0.0
    times: dict[str, str] = field(default_factory=dict)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def qpu_s(self) -> float:
        """Seconds that a device would take for all shots."""
        rep_delay_s = self.work.rep_delay_s
        pause_s = self.device.rep_delay_s if rep_delay_s is None else rep_delay_s
        return self.work.executions * (pause_s + self.device.shot_s)

    def document(self) -> dict[str, Any]:
        """The answer of `GET /jobs/{id}`."""
        return {
            "id": self.job_id,
            "backend": self.device.name,
            "program": {"id": "executor"},
            "created": self.times["created"],
            "status": self.status,
            "state": {
                "status": self.status,
                "reason": self.reason or None,
                "reason_code": self.reason_code,
            },
            "tags": list(self.tags),
            "session_id": self.session_id,
            "cost": self.qpu_s_max,
            "estimated_running_time_seconds": self.qpu_s,
        }

    def metrics(self) -> dict[str, Any]:
        """The answer of `GET /jobs/{id}/metrics`."""
        ended = self.status in FINAL
        return {
            "timestamps": self.times,
            "usage": {
                "qpu_charge_time_seconds": self.charged_s,
                "quantum_seconds": self.charged_s,
                "status": "complete" if ended else "pending",
            },
        }


class Store:
    """All jobs and sessions of one emulator."""

    def __init__(self) -> None:
        """Start empty; the worker starts with the first job and ends when there is none left."""
        self._jobs: dict[str, Job] = {}
        self._sessions: dict[str, dict[str, Any]] = {}
        self._waiting: deque[Job] = deque()
        self._works = False
        self._lock = threading.RLock()

    def submit(
        self,
        device: Device,
        work: Work,
        *,
        tags: tuple[str, ...],
        session_id: str | None,
        qpu_s_max: float | None,
        fault: Fault | None,
    ) -> Job:
        """Queue a job; one that the fault script loses has an id and nothing else."""
        job = Job(
            job_id=f"emu{uuid.uuid4().hex[:17]}",
            device=device,
            work=work,
            tags=tags,
            session_id=session_id,
            qpu_s_max=qpu_s_max,
            fault=fault,
            times={"created": _now()},
        )
        if fault is not None and fault.do is Action.LOSE_JOB:
            return job
        with self._lock:
            if len(self._jobs) >= JOBS_MAX:
                self._jobs.pop(next(iter(self._jobs)))
            self._jobs[job.job_id] = job
            self._waiting.append(job)
            if not self._works:
                self._works = True
                threading.Thread(target=self._run_all, name="ibm-emulator", daemon=True).start()
        return job

    def get(self, job_id: str) -> Job | None:
        """The job of an id, None if there is none."""
        with self._lock:
            return self._jobs.get(job_id)

    def delete(self, job_id: str) -> Job | None:
        """Forget a job; the one that was forgotten."""
        with self._lock:
            return self._jobs.pop(job_id, None)

    def select(self, accepts: Callable[[Job], bool]) -> list[Job]:
        """The jobs that a filter accepts, newest first."""
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if accepts(job)]

    def cancel(self, job: Job) -> bool:
        """Cancel a job; False, and nothing changes, if it has ended."""
        with self._lock:
            if job.status in FINAL:
                return False
            job.cancelled.set()
            self._end(job, "Cancelled", reason="cancelled by the user")
            return True

    def waiting(self, device: Device) -> int:
        """Jobs of a device that have not ended."""
        return len(self.select(lambda job: job.device is device and job.status not in FINAL))

    def consumed_s(self) -> float:
        """Seconds charged so far."""
        with self._lock:
            return sum(job.charged_s for job in self._jobs.values())

    def open_session(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A new session or batch, as IBM describes it."""
        session = {
            "id": f"ses{uuid.uuid4().hex[:17]}",
            "backend_name": asked.get("backend"),
            "mode": asked.get("mode", "dedicated"),
            "max_ttl": asked.get("max_ttl"),
            "state": "open",
            "accepting_jobs": True,
            "elapsed_time": 0,
            "timestamps": [],
        }
        with self._lock:
            self._sessions[str(session["id"])] = session
        return session

    def session(self, session_id: str) -> dict[str, Any] | None:
        """A session or batch, None if there is none."""
        with self._lock:
            return self._sessions.get(session_id)

    def close_session(self, session_id: str) -> dict[str, Any] | None:
        """Let the session take no more jobs; None if there is none."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is not None:
                session.update(accepting_jobs=False, state="closed")
            return session

    def _run_all(self) -> None:
        """The worker."""
        try:
            while (job := self._next()) is not None:
                self._run(job)
        except BaseException:
            with self._lock:
                self._works = False  # the next submit starts another worker
            raise

    def _next(self) -> Job | None:
        """The next job, now Running; None, and the worker counts as gone, if there is none."""
        with self._lock:
            while self._waiting:
                job = self._waiting.popleft()
                if job.status not in FINAL:
                    job.status = "Running"
                    job.times["running"] = _now()
                    return job
            self._works = False
            return None

    def _run(self, job: Job) -> None:
        """One job from Running to its end."""
        fault = job.fault
        if fault is not None and fault.do is Action.CANCEL_JOB:
            self._end(job, "Cancelled", reason=fault.reason)
            return
        if fault is not None and fault.do is Action.FAIL_JOB:
            code = fault.code if isinstance(fault.code, int) else _INTERNAL
            self._fail(job, fault.reason, code)
            return
        if job.qpu_s_max is not None and job.qpu_s > job.qpu_s_max:
            job.charged_s = job.qpu_s_max
            self._fail(job, f"the job ran longer than {job.qpu_s_max:g} s", RAN_TOO_LONG)
            return
        try:
            results = ibm_execution.run(job.work, job.device.calibration, job.cancelled)
        except ibm_execution.Refused as error:
            self._fail(job, str(error), error.code)
        else:
            if results is not None:
                job.results = results
                self._end(job, "Completed", charged_s=job.qpu_s)
        finally:  # a bug of ours leaves no job that runs for ever
            self._fail(job, "internal error of the emulator", _INTERNAL)

    def _fail(self, job: Job, reason: str, code: int) -> None:
        word = "Cancelled" if code == RAN_TOO_LONG else "Failed"
        self._end(job, word, reason=reason, code=code)

    def _end(
        self,
        job: Job,
        status: str,
        *,
        reason: str = "",
        code: int | None = None,
        charged_s: float | None = None,
    ) -> None:
        """Make a status final, unless one is already."""
        with self._lock:
            if job.status in FINAL:
                return
            job.status, job.reason, job.reason_code = status, reason, code
            if code is not None:
                job.results = f"{reason} (code {code})"
            job.charged_s = job.charged_s if charged_s is None else charged_s
            job.times["finished"] = _now()


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")

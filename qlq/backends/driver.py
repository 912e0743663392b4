"""The one loop that turns a plan into shots on any backend: submit, poll, fetch.

    submit --(lost answer)--> find by tag --(none)--> submit again
      |  handle: written by `on_handle` before anything else happens
      v
    status ... status --(DONE)--> fetch --> Shots
      |           |
      |           +--(FAILED, CANCELLED)--> JobFailed
      +--(deadline, network)--> JobPending; the job is left, and `resume` comes back to it

Transient errors are retried with jittered exponential pauses, and every call has a deadline. Once
an answer to a submit was lost, no further submit happens before a look for the plan's tag has
found nothing, and what cannot be settled is JobPending: a job may exist, and another one would be
paid for twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from qlq.backends import patience
from qlq.backends.patience import Clock
from qlq.backends.port import AmbiguousSubmit, Backend, Handle, Stalled, Status
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected, ConfigError, JobFailed, JobPending
from qlq.faults import JobFault
from qlq.shots import Shots

OnHandle = Callable[[Handle], None]
Progress = Callable[[Status, float], None]
_Result = TypeVar("_Result")

ATTEMPTS_MAX = patience.ATTEMPTS_MAX
POLL_ATTEMPTS_MAX = 32
"""Tries of a look at a job: about eight minutes without a network, and the job goes on anyway."""
SUBMIT_S_MAX = 900.0
"""Longest wait for the answer to a submit: a large job is compiled before it is accepted."""
LOOKS = 3
"""Looks for a job whose answer was lost, before it counts as absent: lists may lag behind."""
LOOK_PAUSE_S = 0.5
_POLL_FIRST_S = 0.001
_POLL_GROWTH = 1.5
_HANDLE_BYTES_MAX = 1 << 16


def run(
    backend: Backend,
    plan: Plan,
    *,
    timeout_s: float,
    on_handle: OnHandle | None = None,
    progress: Progress | None = None,
) -> Shots:
    """The shots of a plan, from submit to fetch.

    An interrupt leaves the job as it is and is raised again: the handle given to `on_handle`
    leads back to it.

    Args:
        backend: Where to run.
        plan: What to run. A tag lets a submit whose answer was lost be found again.
        timeout_s: Deadline for everything together, in seconds, above 0.
        on_handle: Called once, as soon as the job has an id; `write_handle` keeps it on disk.
        progress: Called after each look at the job with its status and the seconds so far.

    Raises:
        CircuitRejected: The backend cannot run the plan.
        BackendUnavailable: No job was accepted: transient errors did not end, or the backend
            cannot be used.
        JobPending: A job was accepted, or may have been, and has no shots yet (reason `deadline`
            where the time was over).
        JobFailed: The job ended without shots.
    """
    clock = Clock(timeout_s)
    placing = _Placing(backend, plan, clock)
    return _follow(placing, on_handle, progress)


def recover(
    backend: Backend,
    plan: Plan,
    *,
    timeout_s: float,
    on_handle: OnHandle | None = None,
    progress: Progress | None = None,
    before_submit: Callable[[], None] | None = None,
) -> Shots:
    """As `run`, for a plan that an earlier process may have submitted under the same tags.

    Looks for the job first, and submits only where there is none, after one `before_submit`;
    what that raises ends it with nothing submitted.
    """
    placing = _Placing(backend, plan, Clock(timeout_s))
    placing.before_submit = before_submit
    placing.doubt = "an earlier process did not learn whether its submit was accepted"
    return _follow(placing, on_handle, progress)


def resume(
    backend: Backend,
    handle: Handle,
    plan: Plan,
    *,
    timeout_s: float,
    progress: Progress | None = None,
) -> Shots:
    """The shots of a job that was submitted earlier, perhaps by another process.

    Raises:
        ValueError: The handle belongs to another plan or another backend.
        JobPending: There are no shots yet: the time was over, or the backend cannot be reached.
        JobFailed: The job is unknown, or ended without shots.
    """
    if handle.plan_digest != plan.digest:
        raise ValueError(f"job {handle.job_id} ran plan {handle.plan_digest}, not {plan.digest}")
    if handle.backend != backend.name:
        raise ValueError(f"job {handle.job_id} is on {handle.backend}, not on {backend.name}")
    return _await(backend, handle, plan, Clock(timeout_s), progress)


def write_handle(handle: Handle, path: Path) -> None:
    """Keep a handle on disk, durably and all at once; raises ConfigError if it cannot."""
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(handle.to_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write the job handle {path}: {error.strerror}") from error


def read_handle(path: Path) -> Handle:
    """The handle that `write_handle` kept; raises ConfigError if there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(_HANDLE_BYTES_MAX)
        return Handle.from_json(content.decode())
    except OSError as error:
        raise ConfigError(f"cannot read the job handle {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"not a job handle: {path}") from error


class _Submission:
    """One submit, whose answer may come after its caller has gone on.

    A late job is taken by the caller if it comes before the next submit, and is cancelled once
    another one counts. It may be the same one: where a vendor knows a repeated submit by its token.
    """

    def __init__(self, backend: Backend, plan: Plan) -> None:
        self._backend, self._plan = backend, plan
        self._lock = threading.Lock()
        self._handle: Handle | None = None
        self._kept: Handle | None = None

    def __call__(self) -> Handle:
        """Submit; runs in a thread that may be left behind."""
        handle = self._backend.submit(self._plan)
        with self._lock:
            self._handle = handle
            is_surplus = self._kept not in {None, handle}
        if is_surplus:
            self._backend.cancel(handle)
        return handle

    @property
    def arrived(self) -> Handle | None:
        """The job, if its answer has come by now."""
        with self._lock:
            return self._handle

    def settle(self, kept: Handle) -> Handle | None:
        """The other job that has come by now; one that comes later cancels itself."""
        with self._lock:
            self._kept = kept
            return None if self._handle == kept else self._handle


class _Placing:
    """The way of one plan to one job: submits, and looks for what a submit may have left."""

    def __init__(self, backend: Backend, plan: Plan, clock: Clock) -> None:
        self.backend, self.plan, self.clock = backend, plan, clock
        self.doubt = ""
        """Why a job may exist that we have no id of; empty while none can."""
        self.before_submit: Callable[[], None] | None = None
        """Is called once, before the first submit."""
        self._late: list[_Submission] = []

    def place(self) -> Handle:
        """The job's handle; see `run` for errors."""
        what = f"submit to {self.backend.name}"
        try:
            return patience.retry(self._attempt, clock=self.clock, what=what)
        except (BackendUnavailable, CircuitRejected) as error:
            if not self.doubt:
                raise
            raise JobPending(
                f"a job may exist on {self.backend.name}, and its id is unknown: {self.doubt}; "
                f"not submitted again, because {error}",
                job_id="",
                reason=self.doubt,
            ) from error

    def _attempt(self) -> Handle:
        """Look first where a job may exist, then submit."""
        handle = self._look() if self.doubt else None
        if handle is None:
            handle = next((late.arrived for late in self._late if late.arrived), None)
        if handle is None:
            handle = self._submit()
        for late in self._late:
            if surplus := late.settle(handle):
                self._ask(partial(self.backend.cancel, surplus), "cancel")
        return handle

    def _submit(self) -> Handle:
        if self.before_submit is not None:
            self.before_submit()
            self.before_submit = None
        submission = _Submission(self.backend, self.plan)
        what = f"submit to {self.backend.name}"
        if self.clock.remaining_s() <= 0:
            raise patience.NotAsked(f"{what} was not tried: the deadline has passed")
        try:
            return patience.once(submission, clock=self.clock, what=what, limit_s=SUBMIT_S_MAX)
        except AmbiguousSubmit as error:
            self.doubt = str(error)
            raise
        except Stalled as error:
            self.doubt = self.doubt or str(error)  # a lost answer says more than the deadline
            self._late.append(submission)
            raise

    def _look(self) -> Handle | None:
        """The oldest job with the plan's tag and digest; None after several looks without one."""
        if not self.plan.tags:
            raise BackendUnavailable("the plan has no tag to look for")
        for look in range(LOOKS):
            if look:
                time.sleep(max(0.0, min(LOOK_PAUSE_S, self.clock.remaining_s())))
            asked = self._ask(partial(self.backend.find, self.plan.tags[0]), "search")
            found = [handle for handle in asked if handle.plan_digest == self.plan.digest]
            if found:
                return self._only(found)
        return None

    def _only(self, found: list[Handle]) -> Handle:
        """The oldest of these jobs; one submit too many was accepted late, and is cancelled."""
        if len(found) == 1:
            return found[0]
        alive = [
            handle
            for handle in found
            if self._ask(partial(self.backend.status, handle), "status") is not Status.CANCELLED
        ]
        for surplus in alive[:-1]:
            self._ask(partial(self.backend.cancel, surplus), "cancel")
        return (alive or found)[-1]

    def _ask(self, call: Callable[[], _Result], word: str) -> _Result:
        return patience.once(call, clock=self.clock, what=f"{word} on {self.backend.name}")


def _follow(placing: _Placing, on_handle: OnHandle | None, progress: Progress | None) -> Shots:
    """Place the job, tell its handle, wait for its shots."""
    handle = placing.place()
    if on_handle is not None:
        on_handle(handle)
    return _await(placing.backend, handle, placing.plan, placing.clock, progress)


def _await(
    backend: Backend, handle: Handle, plan: Plan, clock: Clock, progress: Progress | None
) -> Shots:
    """Poll until the job is final, then fetch."""
    try:
        _poll(backend, handle, clock, progress)
        # fetch of a FAILED job raises with the vendor's reason
        return _look_at(lambda: backend.fetch(handle, plan), handle, clock)
    except BackendUnavailable as error:
        is_late = isinstance(error.__cause__, patience.NotAsked)
        raise _pending(handle, "deadline" if is_late else str(error)) from error


def _poll(backend: Backend, handle: Handle, clock: Clock, progress: Progress | None) -> None:
    """Wait for a final status; raises JobFailed for a cancelled job."""
    pause_s = _POLL_FIRST_S
    while True:
        status = _look_at(lambda: backend.status(handle), handle, clock)
        if progress is not None:
            progress(status, clock.elapsed_s())
        if status is Status.CANCELLED:
            raise JobFailed(
                f"job {handle.job_id} on {handle.backend} was cancelled: run the plan again",
                job_id=handle.job_id,
                reason=JobFault.CANCELLED.value,
                fault=JobFault.CANCELLED,
            )
        if status.is_final:
            return
        if clock.remaining_s() <= 0:
            raise _pending(handle, "deadline")
        time.sleep(max(0.0, min(pause_s, clock.remaining_s())))
        pause_s = min(pause_s * _POLL_GROWTH, backend.limits.poll_interval_s)


def _look_at(call: Callable[[], _Result], handle: Handle, clock: Clock) -> _Result:
    """A call about an accepted job; at the deadline JobPending, without asking."""
    if clock.remaining_s() <= 0:
        raise _pending(handle, "deadline")
    what = f"job {handle.job_id} on {handle.backend}"
    return patience.retry(
        lambda: patience.once(call, clock=clock, what=what),
        clock=clock,
        what=what,
        attempts=POLL_ATTEMPTS_MAX,
    )


def _pending(handle: Handle, reason: str) -> JobPending:
    return JobPending(
        f"job {handle.job_id} on {handle.backend} was accepted and has no shots yet: {reason}; "
        "it is left as it is",
        job_id=handle.job_id,
        reason=reason,
    )

"""The one loop that turns a plan into shots on any backend: submit, poll, fetch.

    submit --(lost answer)--> find by tag --(none)--> submit again
      |  handle: written by `on_handle` before anything else happens
      v
    status ... status --(DONE)--> fetch --> Shots
      |           |
      |           +--(FAILED, CANCELLED)--> JobFailed
      +--(deadline)--> JobFailed; the job is left, and `resume` comes back to it

Transient errors are retried with jittered exponential pauses, never beyond the deadline.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import stamina

from qlq.backends.port import AmbiguousSubmit, Backend, Handle, Status, TransientError
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, ConfigError, JobFailed
from qlq.shots import Shots

OnHandle = Callable[[Handle], None]
Progress = Callable[[Status, float], None]
_Result = TypeVar("_Result")

ATTEMPTS_MAX = 8
_WAIT_INITIAL_S = 0.2
_WAIT_MAX_S = 20.0
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
        BackendUnavailable: Transient errors did not end, or the backend cannot be used.
        JobFailed: The job ended without shots, or the deadline passed (reason `deadline`).
    """
    clock = _Clock(timeout_s)
    handle = _retry(lambda: _submit(backend, plan), clock, backend)
    if on_handle is not None:
        on_handle(handle)
    return _await(backend, handle, plan, clock, progress)


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
        BackendUnavailable: Transient errors did not end, or the backend cannot be used.
        JobFailed: The job is unknown, ended without shots, or the deadline passed.
    """
    if handle.plan_digest != plan.digest:
        raise ValueError(f"job {handle.job_id} ran plan {handle.plan_digest}, not {plan.digest}")
    if handle.backend != backend.name:
        raise ValueError(f"job {handle.job_id} is on {handle.backend}, not on {backend.name}")
    return _await(backend, handle, plan, _Clock(timeout_s), progress)


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


class _Clock:
    """Time since the start, and until the deadline."""

    def __init__(self, timeout_s: float) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0, not {timeout_s}")
        self._start_s = time.monotonic()
        self._timeout_s = timeout_s

    def elapsed_s(self) -> float:
        return time.monotonic() - self._start_s

    def remaining_s(self) -> float:
        return self._timeout_s - self.elapsed_s()


def _submit(backend: Backend, plan: Plan) -> Handle:
    """Submit once; if the answer is lost, take the job that carries the plan's tag."""
    try:
        return backend.submit(plan)
    except AmbiguousSubmit:
        found = [
            handle
            for tag in plan.tags
            for handle in backend.find(tag)
            if handle.plan_digest == plan.digest
        ]
        if found:
            return found[0]
        raise


def _await(
    backend: Backend, handle: Handle, plan: Plan, clock: _Clock, progress: Progress | None
) -> Shots:
    """Poll until the job is final, then fetch."""
    pause_s = _POLL_FIRST_S
    while True:
        status = _retry(lambda: backend.status(handle), clock, backend)
        if progress is not None:
            progress(status, clock.elapsed_s())
        if status is Status.CANCELLED:
            raise _failed(handle, "cancelled")
        if status.is_final:  # fetch of a FAILED job raises with the vendor's reason
            return _retry(lambda: backend.fetch(handle, plan), clock, backend)
        if clock.remaining_s() <= 0:
            raise _failed(handle, "deadline")
        time.sleep(max(0.0, min(pause_s, clock.remaining_s())))
        pause_s = min(pause_s * _POLL_GROWTH, backend.limits.poll_interval_s)


def _retry(call: Callable[[], _Result], clock: _Clock, backend: Backend) -> _Result:
    """The result of a call that may fail for a while; raises BackendUnavailable in the end."""
    attempts = stamina.retry_context(
        on=TransientError,
        attempts=ATTEMPTS_MAX,
        timeout=max(0.001, clock.remaining_s()),
        wait_initial=_WAIT_INITIAL_S,
        wait_max=_WAIT_MAX_S,
        wait_jitter=_WAIT_INITIAL_S,
    )
    try:
        for attempt in attempts:
            with attempt:
                return call()
    except TransientError as error:
        raise BackendUnavailable(
            f"{backend.name} kept failing after {clock.elapsed_s():.1f} s: {error}"
        ) from error
    raise BackendUnavailable(f"{backend.name} was not asked: no attempt was left")


def _failed(handle: Handle, reason: str) -> JobFailed:
    way_out = "resume it with its handle" if reason == "deadline" else "run the plan again"
    return JobFailed(
        f"job {handle.job_id} on {handle.backend} gave no shots: {reason}; {way_out}",
        job_id=handle.job_id,
        reason=reason,
    )

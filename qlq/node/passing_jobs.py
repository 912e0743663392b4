"""A job whose shots are of use to this process alone: whoever leaves it cancels it, and says so.

    record on disk -> submit -> handle on disk -> shots -> spent
                        |
                        +-- left, at the deadline or by Ctrl-C: cancelled, its cost noted

Random bits are measured anew the next time, so that nobody comes back to such a job. One that
costs something must not run for nobody, and must not be lost: a process that dies leaves its
record behind, `qlq job list` shows it, and `qlq job cancel` ends its job.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from qlq.backends import driver
from qlq.backends.patience import Clock
from qlq.backends.port import Backend, Cost, Handle, Status
from qlq.circuit import Plan
from qlq.errors import BackendError, BackendUnavailable, CircuitRejected, JobFailed, JobPending
from qlq.node import consent, jobs, jobs_ending, jobs_running
from qlq.node.consent import Caps
from qlq.node.jobs import OpenJob, Purpose, Record, State, Submission
from qlq.node.jobs_running import Tell
from qlq.provenance import Attempt
from qlq.shots import Shots

LEAVE_S = 30.0
"""Longest time for finding and cancelling what is left behind, beyond the command's deadline."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the record of a job says beside the job.

    Attributes:
        home: Home folder.
        uri: The backend as the operator named it.
        caps: What the operator allows.
        attempts: Backends that were tried before.
    """

    home: Path
    uri: str
    caps: Caps
    attempts: tuple[Attempt, ...]


def run(
    backend: Backend, plan: Plan, *, cost: Cost, clock: Clock, tell: Tell, order: Order
) -> Shots:
    """The shots of a plan that was agreed to; as `driver.run` but for what is left behind.

    Args:
        backend: Where to run.
        plan: What to run; its first tag is unique.
        cost: What it was expected to cost; a job that is free has no record, and is left as it is.
        clock: Deadline of the command.
        tell: Is told the job's ids.
        order: For the record.

    Raises:
        JobPending: The job was left at the deadline, or nobody knows whether it was accepted; a
            note says whether it was cancelled.
        KeyboardInterrupt: Likewise.
        CircuitRejected, BackendUnavailable, JobFailed: As for `driver.run`.
        ConfigError: The record cannot be written; nothing was sent.
    """
    if consent.is_free(cost):
        return driver.run(backend, plan, timeout_s=max(0.001, clock.remaining_s()))
    with _recorded(backend, plan, cost, order) as job:
        tell(f"job {job.record.id} is on record; if this process ends: {_way_out(job.record)}")
        return _followed(job, backend, plan, clock, tell)


def _recorded(backend: Backend, plan: Plan, cost: Cost, order: Order) -> OpenJob:
    """A record on disk of a job that is about to be submitted."""
    record = Record(
        id=jobs.new_id(),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        uri=order.uri,
        backend=backend.name,
        parameters=None,
        eve=None,
        archive=None,
        attempts=order.attempts,
        caps=order.caps,
        submissions=(Submission(plan.tags[0], plan.digest, cost),),
        purpose=Purpose.RANDOM,
        agreed=cost,
    )
    return jobs.create_without_seeds(order.home, record)


def _followed(job: OpenJob, backend: Backend, plan: Plan, clock: Clock, tell: Tell) -> Shots:
    """Run the job, and write down how it ended."""

    def on_handle(handle: Handle) -> None:
        job.change(0, job_id=handle.job_id)
        tell(f"accepted as {handle.job_id}")

    try:
        shots = driver.run(
            backend,
            plan,
            timeout_s=max(0.001, clock.remaining_s()),
            on_handle=on_handle,
            progress=lambda status, _s: _note(job, status),
        )
    except (JobPending, KeyboardInterrupt) as error:
        error.add_note(_leave(job, backend))
        raise
    except JobFailed as error:
        _end(job, backend, State.FAILED, detail=str(error))
        raise
    except (CircuitRejected, BackendUnavailable) as error:
        if job.record.submissions[0].job_id is None:
            job.discard()
        else:
            error.add_note(f"its job may go on: {_way_out(job.record)} ends it")
        raise
    _end(job, backend, State.DONE)
    return shots


def _note(job: OpenJob, status: Status) -> None:
    """Write a status down when it changes."""
    if status is not job.record.submissions[0].status:
        job.change(0, status=status)


def _end(job: OpenJob, backend: Backend, state: State, *, detail: str = "") -> None:
    """Close the record with what the job has cost."""
    spent = jobs_running.ask_spent(backend, job, 0, clock=Clock(LEAVE_S))
    status = Status.DONE if state is State.DONE else Status.FAILED
    job.change(0, status=status, spent=spent)
    job.end(state, detail=detail)


def _leave(job: OpenJob, backend: Backend) -> str:
    """Cancel what may have been accepted; what became of it, in words."""
    clock = Clock(LEAVE_S)
    try:
        left = jobs_ending.cancel_all(job.record, backend, clock)
    except BackendError as error:
        sent = job.record.submissions[0]
        what = f"job {sent.job_id}" if sent.job_id else f"a job with the tag {sent.tag}"
        return f"{what} could not be cancelled ({error}): {_way_out(job.record)} tries again"
    jobs_ending.close(job, backend, clock, detail=left)
    return f"its job was not left to run: {left}; what it has cost until then stays spent"


def _way_out(record: Record) -> str:
    return jobs_running.way_out(record)

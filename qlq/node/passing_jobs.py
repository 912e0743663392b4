"""A job whose shots are of use to this process alone: whoever leaves it cancels it, and says so.

Random bits are measured anew the next time, so that nobody comes back to such a job. One that
costs something must not run for nobody: a command that leaves it behind, at its deadline or by
Ctrl-C, asks the vendor to cancel it.
"""

from __future__ import annotations

from collections.abc import Callable

from qlq.backends import cancelling, driver
from qlq.backends.cancelling import Cancellation
from qlq.backends.patience import Clock
from qlq.backends.port import Backend, Cost, Handle
from qlq.circuit import Plan
from qlq.errors import BackendError, JobPending
from qlq.node import consent
from qlq.shots import Shots

LEAVE_S = 30.0
"""Longest time for finding and cancelling what is left behind, beyond the command's deadline."""

Tell = Callable[[str], None]


def run(backend: Backend, plan: Plan, *, cost: Cost, clock: Clock, tell: Tell) -> Shots:
    """The shots of a plan that was agreed to; as `driver.run` but for what is left behind.

    Args:
        backend: Where to run.
        plan: What to run; its first tag is unique.
        cost: What it was expected to cost; a job that is free is left as it is.
        clock: Deadline of the command.
        tell: Is told the job's id.

    Raises:
        JobPending: The job was left at the deadline, or nobody knows whether it was accepted; a
            note says whether it was cancelled.
        KeyboardInterrupt: Likewise.
        CircuitRejected, BackendUnavailable, JobFailed: As for `driver.run`.
    """
    accepted: list[Handle] = []

    def on_handle(handle: Handle) -> None:
        accepted.append(handle)
        tell(f"accepted as {handle.job_id}")

    is_free = consent.is_free(cost)
    try:
        return driver.run(
            backend,
            plan,
            timeout_s=max(0.001, clock.remaining_s()),
            on_handle=None if is_free else on_handle,
        )
    except (JobPending, KeyboardInterrupt) as error:
        if not is_free:
            error.add_note(_leave(backend, plan, accepted))
        raise


def _leave(backend: Backend, plan: Plan, accepted: list[Handle]) -> str:
    """Cancel what may have been accepted; what became of it, in words."""
    clock, tag = Clock(LEAVE_S), plan.tags[0]
    by_hand = f"look for the tag {tag} on {backend.name}, and cancel its job there"
    if accepted:
        return "; ".join(_cancelled(backend, handle, clock) for handle in accepted)
    try:
        found = cancelling.tagged(backend, tag, clock=clock)
    except BackendError as error:
        return f"whether a job was accepted is not known ({error}): {by_hand}"
    return _told(found) or f"no job was found: if one shows later, {by_hand}"


def _cancelled(backend: Backend, handle: Handle, clock: Clock) -> str:
    try:
        return _told(cancelling.job(backend, handle, clock=clock))
    except BackendError as error:
        return (
            f"job {handle.job_id} could not be cancelled ({error}): cancel it on {backend.name}, "
            "or it is paid for in vain"
        )


def _told(found: Cancellation) -> str:
    """What became of jobs, in words; empty if there were none."""
    words = {
        "was cancelled: what it has cost until then stays spent": found.cancelled,
        "had ended before it could be cancelled, and is paid for": found.ended,
        "is not known there any more": found.unknown,
    }
    return "; ".join(f"job {one} {word}" for word, ids in words.items() for one in ids)

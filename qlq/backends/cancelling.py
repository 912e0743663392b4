"""The end of jobs that nobody waits for any more, and what became of each, in the vendor's ids."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from qlq.backends import driver, patience
from qlq.backends.patience import Clock
from qlq.backends.port import Backend, CancelsByTag, Handle, Status
from qlq.errors import BackendError, JobFailed
from qlq.faults import JobFault
from qlq.provenance import vendor_ids


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What became of the jobs that were to be cancelled.

    Attributes:
        cancelled: Ids of what was cancelled, by this call or before.
        ended: Ids of what had ended before, and is paid for.
        unknown: Ids that the vendor does not know.
    """

    cancelled: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to cancel."""
        return not (self.cancelled or self.ended or self.unknown)

    def __str__(self) -> str:
        """For people; empty if there was nothing."""
        told = {
            "cancelled": self.cancelled,
            "had ended before": self.ended,
            "not known there": self.unknown,
        }
        return "; ".join(f"{word}: {', '.join(ids)}" for word, ids in told.items() if ids)


def together(parts: list[Cancellation]) -> Cancellation:
    """Several as one; what one of them has cancelled, another one may have found ended."""
    cancelled = dict.fromkeys(one for part in parts for one in part.cancelled)
    ended = dict.fromkeys(one for part in parts for one in part.ended)
    unknown = dict.fromkeys(one for part in parts for one in part.unknown)
    return Cancellation(
        tuple(cancelled),
        tuple(one for one in ended if one not in cancelled),
        tuple(one for one in unknown if one not in cancelled and one not in ended),
    )


def job(backend: Backend, handle: Handle, *, clock: Clock) -> Cancellation:
    """Cancel one job.

    Raises:
        BackendUnavailable: The backend cannot be asked now.
    """
    what, ids = f"cancel {handle.job_id}", tuple(vendor_ids(handle.job_id))
    try:
        patience.ask(partial(backend.cancel, handle), clock=clock, what=what)
    except JobFailed as error:
        if error.fault is not JobFault.UNKNOWN:
            raise
        return Cancellation(unknown=ids)
    try:
        status = patience.ask(partial(backend.status, handle), clock=clock, what=what)
    except BackendError:  # it was cancelled, and that is what matters
        return Cancellation(cancelled=ids)
    has_ended = status in {Status.DONE, Status.FAILED}
    return Cancellation(ended=ids) if has_ended else Cancellation(cancelled=ids)


def tagged(backend: Backend, tag: str, *, clock: Clock) -> Cancellation:
    """Cancel whatever a submit with this tag has made, a job that is not whole included.

    Looks several times, for lists lag behind; empty if nothing was found in any of them.

    Raises:
        BackendUnavailable: The backend cannot be asked now.
    """
    found: list[Cancellation] = []
    known: set[str] = set()
    for look in range(driver.LOOKS):
        if look and clock.remaining_s() <= 0:
            break
        if look:
            time.sleep(max(0.0, min(driver.LOOK_PAUSE_S, clock.remaining_s())))
        found.append(_seen(backend, tag, clock, known))
    return together(found)


def _seen(backend: Backend, tag: str, clock: Clock, known: set[str]) -> Cancellation:
    """Cancel what one look shows, but for jobs that are known from an earlier one."""
    what = f"search on {backend.name}"
    if not isinstance(backend, CancelsByTag):
        handles = patience.ask(partial(backend.find, tag), clock=clock, what=what)
        fresh = [handle for handle in handles if handle.job_id not in known]
        known.update(handle.job_id for handle in fresh)
        return together([job(backend, handle, clock=clock) for handle in fresh])
    ends = patience.ask(partial(backend.cancel_tagged, tag), clock=clock, what=what)
    return Cancellation(
        cancelled=tuple(one for one, end in ends.items() if end is Status.CANCELLED),
        ended=tuple(one for one, end in ends.items() if end is not Status.CANCELLED),
    )

"""The end of a record's jobs at the vendor, and what they have cost until then."""

from __future__ import annotations

import time
from decimal import Decimal
from functools import partial
from typing import Any

from qlq.backends import driver, patience
from qlq.backends.patience import Clock
from qlq.backends.port import Backend, Cost, Handle, Status
from qlq.errors import JobFailed
from qlq.node import consent, jobs, jobs_running
from qlq.node.jobs import OpenJob, Record, State


def cost_document(record: Record) -> dict[str, Any]:
    """What a session has cost so far; the estimate of a job whose vendor has not said."""
    costs, is_known = jobs.total(record)
    whole = Cost(0.0, Decimal(0), "USD", "nothing submitted", None)
    for cost in costs:
        whole = consent.add(whole, cost)
    return {**consent.as_document(whole), "qpu_s": whole.qpu_s, "estimated": not is_known}


def cancel_all(record: Record, backend: Backend, clock: Clock) -> str:
    """Cancel every job of the record, those whose id was lost included; what is left, in words.

    Raises:
        BackendUnavailable: The backend cannot be asked now.
    """
    missing = []
    for job in record.submissions:
        handles = [Handle(backend.name, job.job_id or "", job.plan_digest)]
        if job.job_id is None:
            handles = _found(backend, job.tag, clock)
            missing += [] if handles else [job.tag]
        for handle in handles:
            _cancel_one(backend, handle, clock)
    if not missing:
        return ""
    return (
        f"no job with the tag {' or '.join(missing)} was found on {backend.name}: if one shows "
        "later, it has to be cancelled there"
    )


def _found(backend: Backend, tag: str, clock: Clock) -> list[Handle]:
    """Jobs with a tag; looks several times, for lists lag behind."""
    what = f"search on {backend.name}"
    for look in range(driver.LOOKS):
        if look:
            time.sleep(max(0.0, min(driver.LOOK_PAUSE_S, clock.remaining_s())))
        if handles := patience.ask(partial(backend.find, tag), clock=clock, what=what):
            return handles
    return []


def _cancel_one(backend: Backend, handle: Handle, clock: Clock) -> None:
    what = f"cancel {handle.job_id}"
    try:
        patience.ask(lambda: backend.cancel(handle), clock=clock, what=what)
    except JobFailed:
        return  # the vendor does not know it any more


def close(job: OpenJob, backend: Backend, clock: Clock, *, detail: str) -> Record:
    """Write down what the cancelled jobs have cost, and why the session is over."""
    for index, submission in enumerate(job.record.submissions):
        status = submission.status if submission.status.is_final else Status.CANCELLED
        spent = jobs_running.ask_spent(backend, job, index, clock=clock)
        job.change(index, status=status, spent=spent)
    job.end(State.CANCELLED, detail=detail)
    return job.record

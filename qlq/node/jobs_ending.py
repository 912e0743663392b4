"""The end of a record's jobs at the vendor, and what they have cost until then."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from qlq.backends import cancelling
from qlq.backends.patience import Clock
from qlq.backends.port import Backend, Cost, Handle, Status
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
    """Cancel every job of the record, those whose id was lost included; what became of them.

    Raises:
        BackendUnavailable: The backend cannot be asked now.
    """
    parts, missing = [], []
    for job in record.submissions:
        if job.job_id is None:
            found = cancelling.tagged(backend, job.tag, clock=clock)
            missing += [job.tag] if found.is_empty else []
        else:
            handle = Handle(backend.name, job.job_id, job.plan_digest)
            found = cancelling.job(backend, handle, clock=clock)
        parts.append(found)
    told = str(cancelling.together(parts))
    if not missing:
        return told
    lost = (
        f"no job with the tag {' or '.join(missing)} was found on {backend.name}: if one shows "
        "later, it has to be cancelled there"
    )
    return f"{told}; {lost}" if told else lost


def close(job: OpenJob, backend: Backend, clock: Clock, *, detail: str) -> Record:
    """Write down what the cancelled jobs have cost, and why the session is over."""
    for index, submission in enumerate(job.record.submissions):
        status = submission.status if submission.status.is_final else Status.CANCELLED
        spent = jobs_running.ask_spent(backend, job, index, clock=clock)
        job.change(index, status=status, spent=spent)
    job.end(State.CANCELLED, detail=detail)
    return job.record

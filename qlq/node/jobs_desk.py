"""What an operator may ask of recorded jobs: list, show, resume, cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlq.backends import chain, patience
from qlq.backends.patience import Clock
from qlq.backends.port import Backend, Handle
from qlq.config import Settings
from qlq.errors import BackendError, BackendUnavailable, ConfigError, JobFailed
from qlq.node import consent, jobs, jobs_ending, jobs_running, orders, parties, pilots
from qlq.node.consent import Ask, Consent
from qlq.node.jobs import Damaged, OpenJob, Purpose, Record, State
from qlq.node.jobs_running import PaidRun
from qlq.provenance import vendor_ids
from qlq.qkd.duties import Party

Tell = Callable[[str], None]

DAMAGED = "damaged"
"""The status in a list of a record that cannot be read; its real one is not known."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a resume gave.

    Attributes:
        record: As it is afterwards.
        document: The `qlq.qkd.run/1` document, or a pilot's `qlq.pilot/1`; None where an earlier
            process ended before it could write it down.
        is_new: Whether this call ended the session or pilot; False if it was over already.
    """

    record: Record
    document: dict[str, Any] | None
    is_new: bool


def describe_all(home: Path) -> list[dict[str, Any]]:
    """One line for each job on record, newest first: `qlq job list`. Asks nobody.

    Records that cannot be read come last, with the status `damaged` and the reason as detail.
    """
    shelf = jobs.read_all(home)
    lines = [{**_line(record), "detail": record.detail or None} for record in shelf.records]
    return [*lines, *map(_damaged_line, shelf.damaged)]


def _damaged_line(found: Damaged) -> dict[str, Any]:
    unknown = dict.fromkeys(("purpose", "backend", "protocol", "submitted", "cost", "key_id"))
    return {
        "id": found.id,
        **unknown,
        "status": DAMAGED,
        "job_ids": [],
        "detail": found.reason,
    }


def _line(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "purpose": record.purpose.value,
        "backend": record.backend,
        "protocol": None if record.parameters is None else record.parameters.protocol.value,
        "status": record.state.value,
        "submitted": record.created,
        "job_ids": [
            one
            for job in record.submissions
            if job.job_id is not None
            for one in vendor_ids(job.job_id)
        ],
        "cost": jobs_ending.cost_document(record),
        "key_id": record.key_id if record.state is State.DONE else None,
    }


def describe(settings: Settings, job_id: str, *, deadline_s: float) -> dict[str, Any]:
    """A job on record in full; the vendor is asked where it stands if it has not ended.

    Raises:
        ConfigError: There is no such record.
    """
    record = jobs.read(settings.home, job_id)
    live, detail = "", record.detail
    if not record.state.is_final:
        try:
            live = _ask_status(record, Clock(deadline_s))
        except BackendError as error:
            detail = str(error)
    return {
        **_line(record),
        "pulses": _pulses(record),
        "pilot_shots": record.pilot_shots,
        "eve": record.eve,
        "archive": record.archive,
        "jobs": [
            {
                "job_id": job.job_id,
                "tag": job.tag,
                "plan_digest": job.plan_digest,
                "status": job.status.value,
                "estimate": consent.as_document(job.estimate),
                "spent": None if job.spent is None else consent.as_document(job.spent),
            }
            for job in record.submissions
        ],
        "vendor_status": live or None,
        "detail": detail or None,
        "result": record.result,
    }


def _pulses(record: Record) -> int | None:
    """Pulses of a session; None for jobs that are none."""
    if record.parameters is None or record.purpose is Purpose.PILOT:
        return None
    return record.parameters.pulses


def _ask_status(record: Record, clock: Clock) -> str:
    """Where the session's latest job stands at the vendor."""
    job = record.submissions[-1] if record.submissions else None
    if job is None or job.job_id is None:
        return ""
    with chain.opened(record.backend, clock=clock) as backend:
        handle = Handle(backend.name, job.job_id, job.plan_digest)
        status = patience.ask(
            lambda: backend.status(handle), clock=clock, what=f"status of {job.job_id}"
        )
        return status.value


def resume(
    settings: Settings,
    job_id: str,
    *,
    deadline_s: float,
    archive: Path | None,
    tell: Tell,
    allowed: Consent = orders.ASK_NOBODY,
) -> Resumed:
    """Finish a session or pilot whose jobs were submitted earlier; one that is over stays so.

    Args:
        settings: Home folder and master key.
        job_id: Of the record.
        deadline_s: Seconds for everything together.
        archive: Another folder for the archive; None keeps the one of the order.
        tell: Is told in words what happens.
        allowed: Its caps replace those of the order; it answers where a job that is still to be
            submitted may cost more than was agreed to.

    Raises:
        ConfigError: No such record, another process works on it, or only its own process could
            have gone on with it.
        BudgetRefused: The operator does not allow what is still to be submitted; the record stays.
        BackendUnavailable: The backend cannot be asked now; the record stays.
        JobPending: The shots are still to come.
        JobFailed: It ended without a result, now or earlier.
        KeyStoreDamaged: The record's seeds were changed.
    """
    clock = Clock(deadline_s)
    with jobs.take(settings.home, job_id) as job:
        record = job.record
        if record.purpose.is_passing:
            raise jobs.no_way_back(record)
        if record.state in {State.DONE, State.ABORTED}:
            return Resumed(record, record.result, is_new=False)
        if record.state.is_final:
            raise _failed(record)
        caps = record.caps.changed_by(allowed.caps)
        if caps != record.caps:
            job.update(caps=caps)
        if record.purpose is Purpose.PILOT:
            return _finish_pilot(job, clock=clock, archive=archive, tell=tell)
        pair = orders.open_stored_pair(settings)
        try:
            if record.state is State.KEEPING and _is_kept(job, pair):
                return Resumed(job.record, None, is_new=False)
            return _finish(
                job, settings, pair, clock=clock, archive=archive, tell=tell, ask=allowed.ask
            )
        finally:
            pair.close()


def _failed(record: Record) -> JobFailed:
    """What is to be said of a session or pilot that has ended without a result."""
    submitted = [job.job_id for job in record.submissions if job.job_id is not None]
    return JobFailed(
        f"job {record.id} is {record.state.value}: {record.detail}",
        job_id=submitted[-1] if submitted else "",
        reason=record.detail,
    )


def _is_kept(job: OpenJob, pair: parties.Pair) -> bool:
    """Whether the process that ended while it stored the key had done so for both parties.

    Raises:
        JobFailed: Only one party has it; it will never be given to the other one.
    """
    key_id = job.record.key_id
    stores = pair.stores or {}
    holders = [
        party.value
        for party, store in stores.items()
        if any(row.description.key_id == key_id for row in store.list())
    ]
    if not holders:
        return False
    if len(holders) < len(Party):
        detail = (
            f"its process ended when only {holders[0]} had stored key {key_id}: run a new session"
        )
        job.end(State.FAILED, detail=detail)
        raise _failed(job.record)
    job.end(State.DONE)
    return True


def _finish(
    job: OpenJob,
    settings: Settings,
    pair: parties.Pair,
    *,
    clock: Clock,
    archive: Path | None,
    tell: Tell,
    ask: Ask | None,
) -> Resumed:
    record = job.record
    seeds = job.seeds(orders.obtain_master(settings))
    kept = None if record.archive is None else Path(record.archive)
    with _reopened(record, clock=clock, tell=tell) as backend:
        session = jobs_running.conduct(
            PaidRun(backend, clock=clock, tell=tell, job=job, ask=ask),
            record.of_session,
            backend,
            pair,
            seeds=seeds,
            eve_text=record.eve,
            archive=archive or kept,
            attempts=record.attempts,
            tell=tell,
        )
    return Resumed(job.record, session.document, is_new=True)


def _finish_pilot(job: OpenJob, *, clock: Clock, archive: Path | None, tell: Tell) -> Resumed:
    record = job.record
    if archive is not None:
        raise ConfigError(f"job {record.id} is a pilot, which has no archive: leave --archive out")
    shots = record.pilot_shots or 0
    pilots.check_shots(shots)
    with _reopened(record, clock=clock, tell=tell) as backend:
        pilots.conduct(
            PaidRun(backend, clock=clock, tell=tell, job=job),
            record.of_session.protocol,
            shots=shots,
        )
    return Resumed(job.record, job.record.result, is_new=True)


@contextmanager
def _reopened(record: Record, *, clock: Clock, tell: Tell) -> Iterator[Backend]:
    """The backend that has the jobs of a record."""
    tell(f"opening {record.backend}")
    with chain.opened(record.backend, clock=clock) as backend:
        if backend.name != record.backend:
            raise BackendUnavailable(
                f"{record.backend} opened as {backend.name}: the job is not there"
            )
        yield backend


def cancel(settings: Settings, job_id: str, *, deadline_s: float) -> Record:
    """End a session's jobs at the vendor; what they have cost until then stays spent.

    Another process that waits for them learns of it from the vendor, and closes the record. A key
    that is in the stores stays there.

    Raises:
        ConfigError: No such record, the session is over, or another process stores its key.
        JobFailed: The session has ended with a key that only one party has.
        BackendUnavailable: The backend cannot be asked now.
    """
    record = jobs.read(settings.home, job_id)
    if record.state is State.KEEPING:
        with jobs.take(settings.home, job_id) as job:
            _settle(job, settings)
            record = job.record
    _refuse_if_over(record)
    clock = Clock(deadline_s)
    with chain.opened(record.backend, clock=clock) as backend:
        left = jobs_ending.cancel_all(record, backend, clock)
        try:
            job = jobs.take(settings.home, job_id)
        except ConfigError:
            return jobs.read(settings.home, job_id)  # the waiting process closes it
        with job:
            _settle(job, settings)
            if job.record.state.is_final:  # by whoever waited for it
                return job.record
            detail = "; ".join(filter(None, ["cancelled by the operator", left]))
            return jobs_ending.close(job, backend, clock, detail=detail)


def _settle(job: OpenJob, settings: Settings) -> None:
    """Close the record of a process that ended when both stores had the key."""
    if job.record.state is not State.KEEPING:
        return
    pair = orders.open_stored_pair(settings)
    try:
        _is_kept(job, pair)
    finally:
        pair.close()


def _refuse_if_over(record: Record) -> None:
    if record.state.is_final:
        key = f"; key {record.key_id} is in the stores" if record.state is State.DONE else ""
        raise ConfigError(f"job {record.id} is over already: {record.state.value}{key}")

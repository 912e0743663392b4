"""A session's plans on a backend that costs something: agreed to, recorded, run, and resumed.

    agree -> record on disk -> submit -> handle on disk -> poll -> shots -> spent
               |                 |
               |                 +-- accepted, then lost: JobPending, `qlq job resume` goes on
               +-- not accepted: the record goes, another backend may be tried

Whatever happens, a plan has one record and one tag, and the tag is looked up before anything is
submitted a second time.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

from qlq.backends import driver, patience
from qlq.backends.patience import Clock
from qlq.backends.port import FREE, Backend, Cost, Handle, Status, TransientError
from qlq.circuit import Plan
from qlq.errors import (
    BackendError,
    BackendUnavailable,
    BudgetRefused,
    CircuitRejected,
    ConfigError,
    JobFailed,
    JobPending,
    KeyTooShort,
)
from qlq.faults import JobFault
from qlq.node import consent, jobs, sessions
from qlq.node.consent import Ask, Consent
from qlq.node.jobs import OpenJob, Purpose, Record, State, Submission
from qlq.node.parties import Pair
from qlq.node.sessions import Seeds, Session
from qlq.provenance import Attempt
from qlq.qkd import bb84, e91, eve, link
from qlq.qkd.parameters import Parameters, Protocol
from qlq.shots import Shots

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a session's record seals.

    Attributes:
        seeds: Every choice of the session.
        master: 32 secret bytes that seal them; asked for only when a record is made.
    """

    seeds: Seeds = field(repr=False)
    master: Callable[[], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a record is made from, as soon as one is needed.

    Attributes:
        home: Home folder.
        uri: The backend as the operator named it.
        parameters: What both parties committed to; of the planned session for a pilot.
        consent: What the operator allows.
        purpose: What the jobs are for.
        secrets: What a session's record seals; None for a pilot or a link.
        eve: Attack as text, None for none.
        archive: Folder of the archive, None for none.
        attempts: Backends that were tried before.
        pilot_shots: Shots of a pilot; None otherwise.
    """

    home: Path
    uri: str
    parameters: Parameters
    consent: Consent
    purpose: Purpose = Purpose.SESSION
    secrets: Secrets | None = field(default=None, repr=False)
    eve: str | None = None
    archive: Path | None = None
    attempts: tuple[Attempt, ...] = ()
    pilot_shots: int | None = None


class PaidRun:
    """Runs the plans of one session in order, or a pilot's; `sessions.run` takes it as `run_plan`.

    Args:
        backend: Where they run.
        clock: Deadline of everything together.
        tell: Is told in words what happens.
        draft: For a new session: makes the record when the first plan costs something.
        job: For a resumed session: its record.
        ask: For a resumed session: answers for a job that may cost more than was agreed to.
        go_on: Is called before each submit and after each look at a job; what it raises ends the
            run there, and leaves the job as it is.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Clock,
        tell: Tell,
        draft: Draft | None = None,
        job: OpenJob | None = None,
        ask: Ask | None = None,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        """Start before the first plan."""
        self._backend, self._clock, self._tell = backend, clock, tell
        self._draft, self._ask, self._go_on = draft, ask, go_on
        self.job = job
        self._plans = 0
        self._last_status: Status | None = None
        self._agreed: Cost | None = None

    def __call__(self, plan: Plan) -> Shots:
        """The shots of the session's next plan.

        Raises:
            BudgetRefused: The operator does not allow it; nothing was sent.
            BackendUnavailable: No job of the session was accepted; another backend may be tried.
            JobPending: The session goes on with `qlq job resume`.
            CircuitRejected, JobFailed: The session is over.
            ConfigError: A seed was given, or the record cannot be written.
        """
        index = self._plans
        self._plans += 1
        if self.job is None:
            cost = self._estimate(plan)
            if cost == FREE:
                return self._run_here(plan)
            self._begin(plan, cost)
        job = self._opened()
        if index < len(job.record.submissions):
            return self._guarded(lambda: self._come_back(plan, index))
        return self._guarded(lambda: self._submit(plan, index))

    def keeping(self, key_id: str) -> None:
        """Note that the key is about to be stored."""
        if self.job is not None:
            self.job.update(state=State.KEEPING, key_id=key_id)

    def end(self, document: Mapping[str, Any]) -> None:
        """Note how the session ended, and erase what only a resume would need."""
        if self.job is None:
            return
        state = State.ABORTED if document["aborted"] else State.DONE
        self.job.end(state, result=dict(document), key_id=document.get("key_id"))

    def add_way_out(self, error: BaseException) -> None:
        """Add to an error that ends this process how the session goes on, if it does."""
        if self.job is not None and self.job.is_open:
            record = self.job.record
            error.add_note(f"the {record.purpose.value} goes on with: {way_out(record)}")

    def close(self) -> None:
        """Let other processes work on the record."""
        if self.job is not None:
            self.job.close()

    def _run_here(self, plan: Plan) -> Shots:
        """A simulator's job ends with this process, so that no record of it could help."""
        return driver.run(self._backend, plan, timeout_s=self._time_left_s())

    def _estimate(self, plan: Plan) -> Cost:
        return patience.ask(
            lambda: self._backend.estimate(plan),
            clock=self._clock,
            what=f"estimate of {self._backend.name}",
        )

    def _begin(self, plan: Plan, cost: Cost) -> None:
        """Agree to the cost of everything, then make the record."""
        draft = self._draft
        if draft is None:
            raise BudgetRefused(
                f"{self._backend.name} costs something, and this command keeps nothing: use a "
                "simulator of this machine"
            )
        if plan.seed is not None:
            raise ConfigError(
                f"--seed works with simulators of this machine only, not with {self._backend.name}"
            )
        if draft.purpose is not Purpose.PILOT:
            _refuse_keyless(draft, self._backend)
        whole = whole_cost(cost, draft.parameters, eve_text=draft.eve, ask=self._estimate)
        self._agreed = cost
        draft.consent.allow(whole, what=f"the {draft.purpose.value} on {self._backend.name}")
        record = jobs.Record(
            id=jobs.new_id(),
            created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            uri=draft.uri,
            backend=self._backend.name,
            parameters=draft.parameters,
            eve=draft.eve,
            archive=None if draft.archive is None else str(draft.archive.absolute()),
            attempts=draft.attempts,
            caps=draft.consent.caps,
            purpose=draft.purpose,
            pilot_shots=draft.pilot_shots,
            agreed=whole,
        )
        self.job = _created(draft, record)
        self._tell(f"job {record.id} is on record; if this process ends: {way_out(record)}")

    def _opened(self) -> OpenJob:
        if self.job is None:
            raise ValueError("there is no record yet")
        return self.job

    def _submit(self, plan: Plan, index: int) -> Shots:
        job = self._opened()
        cost = self._agreed or self._estimate(plan)
        if self._agreed is None:
            self._stay_within(cost, index)
        self._agreed = None
        self._go_on()
        word = "qlq-pilot" if job.record.purpose is Purpose.PILOT else "qlq"
        tag = f"{word}-{uuid.uuid4()}"
        job.submit(_tagged(plan, tag), Submission(tag, plan.digest, cost))
        return self._followed(
            index,
            lambda: driver.run(
                self._backend,
                self._capped(_tagged(plan, tag), index),
                timeout_s=self._time_left_s(),
                on_handle=lambda handle: self._keep(index, handle),
                progress=lambda status, _s: self._note(index, status),
            ),
        )

    def _stay_within(self, cost: Cost, index: int) -> None:
        """What was agreed to for the session holds for the job of this index, at today's price."""
        record = self._opened().record
        others = [job for i, job in enumerate(record.submissions) if i != index]
        spent = [job.spent or job.estimate for job in others]
        planned = reduce(consent.add, (job.estimate for job in others), cost)
        whole = planned if record.agreed is None else reduce(consent.add, spent, cost)
        Consent(record.caps, self._ask).allow_rest(
            whole,
            agreed=record.agreed or planned,
            planned=planned,
            what=f"the {record.purpose.value} on {record.backend}",
        )

    def _capped(self, plan: Plan, index: int) -> Plan:
        """The plan with what the operator's caps leave for it beside the session's other jobs."""
        record = self._opened().record
        sent = record.submissions
        beside = [job.spent or job.estimate for i, job in enumerate(sent) if i != index]
        if record.eve is not None and record.agreed is not None and len(sent) == 1:
            beside.append(consent.rest(record.agreed, sent[0].estimate))  # Eve's is still to come
        others = reduce(consent.add, beside, FREE)
        left_s = consent.seconds_left(record.caps, sent[index].estimate, beside=others)
        return replace(plan, qpu_s_max=left_s)

    def _come_back(self, plan: Plan, index: int) -> Shots:
        """The shots of a plan that an earlier process has submitted, or was about to."""
        job = self._opened()
        submission = job.record.submissions[index]
        if submission.plan_digest != plan.digest:
            raise ConfigError(
                f"job {job.record.id} ran another plan than this version of QLQ makes from its "
                "seeds: resume it with the version that submitted it"
            )
        timeout_s = self._time_left_s()
        if submission.job_id is None:
            return self._followed(
                index,
                lambda: driver.recover(
                    self._backend,
                    self._capped(_tagged(plan, submission.tag), index),
                    timeout_s=timeout_s,
                    on_handle=lambda handle: self._keep(index, handle),
                    progress=lambda status, _s: self._note(index, status),
                    before_submit=lambda: self._stay_within(self._estimate(plan), index),
                ),
            )
        handle = Handle(self._backend.name, submission.job_id, plan.digest)
        return self._followed(
            index,
            lambda: driver.resume(
                self._backend,
                handle,
                _tagged(plan, submission.tag),
                timeout_s=timeout_s,
                progress=lambda status, _s: self._note(index, status),
            ),
        )

    def _keep(self, index: int, handle: Handle) -> None:
        self._opened().change(index, job_id=handle.job_id)
        self._tell(f"accepted as {handle.job_id}")
        self._go_on()

    def _note(self, index: int, status: Status) -> None:
        """Write a status down when it changes."""
        if status is not self._last_status:
            self._last_status = status
            self._opened().change(index, status=status)
            self._tell(f"{self._backend.name}: {status.value}")
        self._go_on()

    def _followed(self, index: int, run: Callable[[], Shots]) -> Shots:
        """Run, and note what the job has cost whether or not it gave shots."""
        self._last_status = None
        try:
            shots = run()
        except JobPending:
            raise
        except JobFailed as error:
            if error.fault is JobFault.UNKNOWN:
                raise
            is_cancelled = error.fault is JobFault.CANCELLED
            status = Status.CANCELLED if is_cancelled else Status.FAILED
            self._opened().change(index, status=status)
            self._note_spent(index)
            raise
        self._note_spent(index)
        return shots

    def _note_spent(self, index: int) -> None:
        spent = ask_spent(self._backend, self._opened(), index, clock=self._clock)
        if spent is not None:
            self._opened().change(index, spent=spent)

    def _guarded(self, run: Callable[[], Shots]) -> Shots:
        """Give every end the words that lead on, and the record its last state."""
        job = self._opened()
        try:
            return run()
        except JobPending as error:
            raise _resumable(error, job.record) from error
        except BackendUnavailable as error:
            if self._draft is None or not self._is_untouched():
                pending = JobPending(str(error), job_id="", reason=str(error))
                raise _resumable(pending, job.record) from error
            job.discard()
            raise
        except CircuitRejected as error:
            if self._is_untouched():
                job.discard()
            else:
                job.end(State.FAILED, detail=str(error))
            raise
        except JobFailed as error:
            if error.fault is JobFault.UNKNOWN:  # perhaps another account's: the shots are paid
                pending = JobPending(str(error), job_id=error.job_id, reason=error.reason)
                raise _resumable(pending, job.record) from error
            state = State.CANCELLED if error.fault is JobFault.CANCELLED else State.FAILED
            job.end(state, detail=str(error))
            raise

    def _is_untouched(self) -> bool:
        """Whether no job of the session was ever accepted."""
        return all(job.job_id is None for job in self._opened().record.submissions)

    def _time_left_s(self) -> float:
        return max(0.001, self._clock.remaining_s())


def conduct(
    paid: PaidRun,
    parameters: Parameters,
    backend: Backend,
    pair: Pair,
    *,
    seeds: Seeds,
    eve_text: str | None,
    archive: Path | None,
    attempts: tuple[Attempt, ...],
    tell: Tell,
) -> Session:
    """A session whose plans are paid for; see `sessions.run` and `PaidRun` for errors."""
    try:
        session = sessions.run(
            parameters,
            backend,
            pair,
            seeds=seeds,
            attack=None if eve_text is None else eve.parse(eve_text),
            attack_text=eve_text,
            archive=archive,
            progress=tell,
            attempts=attempts,
            run_plan=paid,
            before_keeping=paid.keeping,
        )
        paid.end(session.document)
    except JobPending:
        raise  # its message has the way out
    except BaseException as error:
        paid.add_way_out(error)
        raise
    finally:
        paid.close()
    return session


def whole_cost(
    cost: Cost,
    parameters: Parameters,
    *,
    eve_text: str | None,
    ask: Callable[[Plan], Cost],
) -> Cost:
    """The most that a session costs by the estimates, whose first job costs this.

    Args:
        cost: Of the first job.
        parameters: What both parties commit to.
        eve_text: Attack as text, None for none; she makes a second job.
        ask: Gives the estimate of a plan.
    """
    if eve_text is None:
        return cost
    which = bb84 if parameters.protocol is Protocol.BB84 else e91
    second = link.largest_second_plan(
        which.arrangement(),
        eve.parse(eve_text),
        pulses=parameters.pulses,
        blocks=min(parameters.blocks, parameters.pulses),
    )
    return cost if second is None else consent.add(cost, ask(second))


def ask_spent(backend: Backend, job: OpenJob, index: int, *, clock: Clock) -> Cost | None:
    """What a job has cost; None if the vendor does not say it now: shots do not wait for that."""
    submission = job.record.submissions[index]
    if submission.job_id is None or clock.remaining_s() <= 0:
        return None
    handle = Handle(backend.name, submission.job_id, submission.plan_digest)
    try:
        return patience.once(
            lambda: backend.spent(handle), clock=clock, what=f"cost of {submission.job_id}"
        )
    except (BackendError, TransientError):
        return None


def way_out(record: Record) -> str:
    """The command that goes on with a session or a pilot; others can only be ended."""
    word = "cancel" if record.purpose.is_passing else "resume"
    return f"qlq job {word} {record.id}"


def _refuse_keyless(draft: Draft, backend: Backend) -> None:
    """Raise KeyTooShort for a session that could give nothing for what it costs."""
    if not draft.parameters.secret_bits and draft.eve is None:  # Eve is there to be seen
        raise KeyTooShort(
            f"{draft.parameters.pulses} pulses cannot give a key at a tolerated QBER of "
            f"{draft.parameters.qber_max:.2%}, and {backend.name} costs something: "
            "nothing was sent; qlq backend estimate says how many are needed"
        )


def _created(draft: Draft, record: Record) -> OpenJob:
    if draft.secrets is None:
        return jobs.create_without_seeds(draft.home, record)
    sealed = draft.secrets
    return jobs.create(draft.home, record, seeds=sealed.seeds, master=sealed.master())


def _resumable(error: JobPending, record: Record) -> JobPending:
    """The error with the command that leads on; a link ends its jobs itself, and says so."""
    if record.purpose is Purpose.LINK:
        return error
    return JobPending(
        f"{error}; go on with: {way_out(record)}", job_id=error.job_id, reason=error.reason
    )


def _tagged(plan: Plan, tag: str) -> Plan:
    return Plan(
        plan.program, plan.bindings, plan.shots, qubits=plan.qubits, seed=plan.seed, tags=(tag,)
    )

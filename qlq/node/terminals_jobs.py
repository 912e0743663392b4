"""The link's jobs: on record before they are sent, and cancelled when nobody waits for them.

    run --> shots of every plan --> end(document)
     |
     +-- leave, or an error --> what was submitted is cancelled, its cost noted, the record closed

A party's state ends with its process, so that nobody can come back to a link's job: one that costs
something must not run for nobody. A link process that dies leaves its record behind: `qlq job
list` shows it, and `qlq job cancel` ends its jobs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlq.backends import watchdog
from qlq.backends.patience import Clock
from qlq.backends.port import Backend
from qlq.errors import BackendError, PeerAborted
from qlq.node import jobs_ending, jobs_running, sessions
from qlq.node.consent import Consent
from qlq.node.jobs import OpenJob, Purpose, State
from qlq.node.jobs_running import Draft, PaidRun
from qlq.qkd import link
from qlq.qkd.conversation import LinkUse
from qlq.qkd.eve import InterceptResend
from qlq.qkd.parameters import Parameters

LEAVE_S = 30.0
"""Longest time for cancelling what is left behind, beyond the command's deadline."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator of a link allows and wants.

    Attributes:
        home: Home folder of the record.
        uri: The backend as the operator named it.
        consent: What may be spent.
        attack_text: Eve's attack as text; None for none.
        attack: The same, parsed.
    """

    home: Path
    uri: str
    consent: Consent
    attack_text: str | None
    attack: InterceptResend | None


class LinkJobs:
    """All jobs of one session, run in a thread that can be left behind.

    Args:
        terms: What the operator allows and wants.
        backend: Where they run.
        clock: Deadline of the session.
        tell: Is told in words what happens.
    """

    def __init__(self, terms: Terms, backend: Backend, *, clock: Clock, tell: Tell) -> None:
        """Nothing runs yet."""
        self._terms, self._backend, self._clock, self._tell = terms, backend, clock, tell
        self._is_left = threading.Event()
        self._paid: PaidRun | None = None
        self._future: Future[link.Delivery] | None = None
        self._outcome = ""

    async def run(
        self, parameters: Parameters, use: LinkUse, *, seeds: sessions.Seeds
    ) -> link.Delivery:
        """The outcomes of both parties; see `PaidRun` for errors."""
        terms = self._terms
        draft = Draft(
            home=terms.home,
            uri=terms.uri,
            parameters=parameters,
            consent=terms.consent,
            purpose=Purpose.LINK,
            eve=terms.attack_text,
        )
        paid = PaidRun(
            self._backend, clock=self._clock, tell=self._tell, draft=draft, go_on=self._go_on
        )
        sending = sessions.sending(parameters, use, seeds=seeds, attack=terms.attack)
        self._paid = paid
        self._future = watchdog.begin(lambda: self._deliver(paid, sending))
        return await asyncio.wrap_future(self._future)

    def leave(self) -> str:
        """End what still runs, within `LEAVE_S`; what became of it, in words, empty for nothing."""
        self._is_left.set()
        if self._future is None or self._paid is None or self._paid.job is None:
            return ""
        wait([self._future], LEAVE_S)
        if self._future.done():
            return self._outcome
        record = self._paid.job.record
        return f"a job may go on at {record.backend}: {jobs_running.way_out(record)} ends it"

    def end(self, document: Mapping[str, Any]) -> None:
        """Note how a session ended whose jobs have given their shots; others are closed already."""
        if self._is_to_be_closed and self._paid is not None:
            self._paid.end(document)
            self._paid.close()

    def fail(self, detail: str) -> None:
        """Note why there is no result, although the jobs have given their shots."""
        if self._is_to_be_closed and self._paid is not None and self._paid.job is not None:
            self._paid.job.end(State.FAILED, detail=detail)
            self._paid.close()

    @property
    def _is_to_be_closed(self) -> bool:
        """Whether the shots are there and the record is open: otherwise `_give_up` had it."""
        if self._future is None or self._paid is None or self._paid.job is None:
            return False
        is_delivered = self._future.done() and self._future.exception() is None
        return is_delivered and self._paid.job.is_open

    def _go_on(self) -> None:
        if self._is_left.is_set():
            raise PeerAborted("the session ended before its outcomes were there")

    def _deliver(self, paid: PaidRun, sending: sessions.Sending) -> link.Delivery:
        """All jobs, one after the other; runs in the thread."""
        delivery: link.Delivery | None = None
        try:
            delivery = sessions.carry(sending, paid)
        finally:
            if delivery is None and paid.job is not None:
                self._outcome = self._give_up(paid.job)
                paid.close()
        return delivery

    def _give_up(self, job: OpenJob) -> str:
        """Cancel what was submitted and close its record; what became of it, in words."""
        if not job.is_open:
            return ""
        if not job.record.submissions:
            job.discard()
            return ""
        clock = Clock(LEAVE_S)
        try:
            left = jobs_ending.cancel_all(job.record, self._backend, clock)
        except BackendError as error:
            way_out = jobs_running.way_out(job.record)
            return f"its jobs could not be cancelled ({error}): {way_out} does it later"
        detail = "; ".join(filter(None, ["the session ended before its outcomes were dealt", left]))
        cost = jobs_ending.cost_document(
            jobs_ending.close(job, self._backend, clock, detail=detail)
        )
        money = "unknown" if cost["amount"] is None else f"{cost['amount']} {cost['currency']}"
        told = f"its jobs were cancelled; what they have cost stays spent: {money}"
        return "; ".join(filter(None, [told, left]))

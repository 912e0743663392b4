"""One party in a process of its own: its state machine, its store, its two connections.

    Alice                      link                       Bob
      Join, Welcome  <-------->    <-------->  Join, Welcome
      Greeting  <------------------------------>  Greeting
      [messages of the protocol; inputs to the link and outcomes from it in between]
                <-------------------------------  Kept
      Ended      ---------->           <-------  Ended

What `conversation.converse` does for both parties in one process, each does here for itself. A
party sees the other one's messages and its own outcomes, and nothing else.

Bob stores his key when he has verified Alice's tag, and says so; Alice stores hers when she hears
it. A party that dies in between leaves at most Bob's copy, which Alice has confirmed.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from qlq.archive import folder
from qlq.errors import (
    BackendError,
    BackendUnavailable,
    BudgetRefused,
    PeerAborted,
    ProtocolAbort,
    QLQError,
    RemoteMisuse,
    require,
)
from qlq.network.transport import Connection
from qlq.node import terminals_arrival, terminals_result, terminals_talk
from qlq.node import terminals_messages as wire
from qlq.node.terminals_arrival import GRACE_S, Meeting, PartyOrder, Tell
from qlq.node.terminals_messages import Ended, Inputs, Kept, Outcomes, Refused
from qlq.node.terminals_pairing import Belongings
from qlq.node.terminals_result import Facts
from qlq.node.terminals_talk import Talk
from qlq.provenance import Provenance
from qlq.qkd import bb84, e91, messages, record
from qlq.qkd.duties import Duty, Measured, Party, TakeTagKey, UseLink
from qlq.qkd.parameters import Protocol
from qlq.qkd.settings import SEED_BYTES

HELD_MAX = 4
"""Messages of the other party that may arrive while the link is at work; one is honest."""


class _Side(Enum):
    """Where something came from."""

    LINK = "link"
    PEER = "peer"


@dataclass(slots=True)
class _Work:
    """What a session works with while it runs."""

    order: PartyOrder
    belongings: Belongings
    tell: Tell
    meeting: Meeting
    talk: Talk
    inbox: asyncio.Queue[tuple[_Side, bytes | QLQError]]
    held: deque[bytes] = field(default_factory=deque)
    jobs: tuple[Provenance, ...] = ()
    order_seed: int = 0
    bootstrap_bits: int = 0
    waits_for_link: bool = False
    bob_has_kept: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to say or to hear."""
        if self.talk.abort is not None:
            return True
        return self.talk.key is not None and (self.talk.party is Party.BOB or self.bob_has_kept)


def run(order: PartyOrder, belongings: Belongings, tell: Tell) -> dict[str, Any]:
    """Run one session to its end and return the party's document; an abort is a result.

    Raises:
        ConfigError: An address, the archive, the pairing or the other party's parameters do not
            fit.
        BackendError, BudgetRefused: The link gave no outcomes.
        KeysExhausted: The authentication pool is empty; found out before anything is sent.
        KeyStoreError: The store or the pool cannot be used.
        PeerAborted: The link or the other party was not there.
    """
    belongings.require_tags()
    if order.archive is not None:
        folder.check_free(order.archive)
    return asyncio.run(_run(order, belongings, tell))


async def _run(order: PartyOrder, belongings: Belongings, tell: Tell) -> dict[str, Any]:
    started = time.perf_counter()
    async with AsyncExitStack() as stack:
        try:
            meeting = await terminals_arrival.arrive(order, belongings, tell, stack)
        except RemoteMisuse as error:
            broken = f"the link or the other party broke the protocol: {error}"
            raise PeerAborted(broken) from error
        talk = Talk(order.party, meeting.parameters, seed=os.urandom(SEED_BYTES))
        work = _Work(order, belongings, tell, meeting, talk, asyncio.Queue(HELD_MAX))
        try:
            await _converse(work)
            tell("writing the result")
            facts = Facts(meeting.backend, work.jobs, work.order_seed, work.bootstrap_bits)
            result = terminals_result.finish(talk, facts, belongings, archive=order.archive)
        except QLQError as error:
            await _leave(work, error)
            raise
        await _farewell(work)
        return {**result, "timing": {"wall_s": time.perf_counter() - started}}


async def _converse(work: _Work) -> None:
    """From the first message to a confirmed key or an abort."""
    pumps = [
        asyncio.ensure_future(_pump(work, side, connection))
        for side, connection in ((_Side.LINK, work.meeting.link), (_Side.PEER, work.meeting.peer))
    ]
    heard: bytes | None = None
    try:
        async with asyncio.timeout(work.order.timeout_s):
            await _say(work, work.talk.open())
            while not work.is_over:
                heard = None
                heard = await _next(work)
                if heard is not None:
                    await _say(work, work.talk.hear(heard))
    except TimeoutError:
        late = f"the session has not ended within {work.order.timeout_s:g} s"
        await _abort(work, PeerAborted(late), None)
    except ProtocolAbort as error:
        await _abort(work, error, heard)
    except RemoteMisuse as error:
        broken = f"{work.talk.other.value} or the link broke the protocol: {error}"
        await _abort(work, PeerAborted(broken), None)
    finally:
        for pump in pumps:
            pump.cancel()


async def _pump(work: _Work, side: _Side, connection: Connection) -> None:
    """Put whatever arrives into the inbox, and at last the reason why nothing more will."""
    try:
        while True:
            await work.inbox.put((side, await connection.receive(timeout_s=None)))
    except QLQError as error:
        await work.inbox.put((side, error))


async def _next(work: _Work) -> bytes | None:
    """Do one thing: a duty, or take what arrived; returns a message that the party must hear."""
    if work.talk.duties:
        await _do(work, work.talk.duties.popleft())
        return None
    if work.held and not work.waits_for_link:
        return work.held.popleft()
    side, item = await _arrived(work)
    if side is _Side.LINK:
        await _from_link(work, item)
        return None
    return await _from_peer(work, item)


async def _arrived(work: _Work) -> tuple[_Side, bytes | QLQError]:
    """What arrives next. The other party may be silent for long only while the link works."""
    timeout_s = None if work.waits_for_link else work.order.peer_timeout_s
    try:
        return await asyncio.wait_for(work.inbox.get(), timeout_s)
    except TimeoutError as error:
        other = work.talk.other.value
        raise PeerAborted(f"{other} has been silent for {timeout_s:g} s") from error


async def _do(work: _Work, duty: Duty) -> None:
    """One duty of the party on its own side."""
    if isinstance(duty, UseLink):
        which = bb84 if work.talk.parameters.protocol is Protocol.BB84 else e91
        arrangement = which.arrangement()
        is_alice = work.talk.party is Party.ALICE
        angles = arrangement.alice_angles if is_alice else arrangement.bob_angles
        packed = messages.pack_settings(duty.inputs, settings_count=len(angles))
        work.tell(f"{work.talk.parameters.pulses} pulses on {work.meeting.backend}")
        work.waits_for_link = True
        await _send_link(work, Inputs(work.talk.parameters, packed))
    elif isinstance(duty, TakeTagKey):
        pair = work.belongings.pair
        before = pair.bootstrap_bits_spent
        taken = pair.take_tag_key(work.talk.party, duty)
        work.bootstrap_bits += pair.bootstrap_bits_spent - before
        await _say(work, work.talk.tell(taken))


async def _from_link(work: _Work, item: bytes | QLQError) -> None:
    """The outcomes; before and after them the link has nothing to say that matters."""
    if not work.waits_for_link:
        return
    if isinstance(item, QLQError):
        raise BackendUnavailable(f"the link gave no outcomes: {item}") from item
    outcomes = terminals_arrival.from_link(item, Outcomes)
    count = work.talk.parameters.pulses
    bits = None if outcomes.bits is None else messages.unpack(outcomes.bits, count=count)
    prepares = work.talk.party is Party.ALICE and work.talk.parameters.protocol is Protocol.BB84
    require((bits is None) == prepares, "outcomes for a party that only prepares, or none")
    work.jobs = wire.unpack_jobs(outcomes.jobs)
    work.order_seed = outcomes.order_seed
    work.waits_for_link = False
    work.tell("post-processing")
    await _say(work, work.talk.tell(Measured(bits)))


async def _from_peer(work: _Work, item: bytes | QLQError) -> bytes | None:
    """A message that the party must hear now; None if it is for later, or not for it."""
    if isinstance(item, QLQError):
        await _ask_link_why(work)
        raise item
    if item[:1] == wire.CONTROL:
        await _ask_link_why(work)
        kept = terminals_arrival.beside(item, Kept)
        is_due = work.talk.party is Party.ALICE and work.talk.key is not None
        require(is_due, f"{work.talk.other.value} keeps a key that is none yet")
        require(kept.key_id == record.key_id(work.talk.transcript), "another key is kept")
        work.bob_has_kept = True
        return None
    require(item[:1] == wire.PROTOCOL, "a frame of unknown purpose")
    data = item[1:]
    message = messages.decode(data)
    if isinstance(message, messages.Abort):
        return data
    if work.waits_for_link:
        require(len(work.held) < HELD_MAX, "too many messages before the outcomes")
        work.held.append(data)
        return None
    return data


async def _ask_link_why(work: _Work) -> None:
    """Where the link owes outcomes, give it a moment: its reason is the better one."""
    if not work.waits_for_link:
        return
    with suppress(TimeoutError, PeerAborted):
        async with asyncio.timeout(GRACE_S):
            while True:
                side, item = await work.inbox.get()
                if side is _Side.LINK:
                    await _from_link(work, item)
                    return


async def _say(work: _Work, said: list[bytes]) -> None:
    for data in said:
        await work.meeting.peer.send(wire.PROTOCOL + data, timeout_s=work.order.peer_timeout_s)


async def _send_link(work: _Work, message: wire.ToLink) -> None:
    try:
        await work.meeting.link.send(wire.encode(message), timeout_s=work.order.peer_timeout_s)
    except PeerAborted as error:
        raise BackendUnavailable(f"the link takes no inputs: {error}") from error


async def _abort(work: _Work, error: ProtocolAbort, heard: bytes | None) -> None:
    """End without a key, and tell both others why."""
    reason = terminals_talk.reason_of(error, heard)
    work.talk.abort = {"reason": reason, "detail": str(error)}
    if isinstance(error, PeerAborted) and heard is not None:
        work.talk.drop()
        return
    await _last_word(work, work.talk.end(reason))


async def _leave(work: _Work, error: QLQError) -> None:
    """Tell both others that this party cannot go on; its own troubles stay its own."""
    work.talk.drop()
    refused = Refused(PeerAborted.__name__, f"{work.talk.party.value} cannot go on")
    if isinstance(error, BackendError | BudgetRefused):
        refused = Refused(type(error).__name__, str(error))
    with suppress(PeerAborted):
        await terminals_arrival.send_beside(work.meeting.peer, refused, GRACE_S)
    await _tell_link(work, PeerAborted.reason)


async def _farewell(work: _Work) -> None:
    """The last words of a session that came to an end, good or not."""
    if work.talk.party is Party.BOB and work.talk.key is not None:
        kept = Kept(record.key_id(work.talk.transcript))
        with suppress(PeerAborted):
            await terminals_arrival.send_beside(work.meeting.peer, kept, work.order.peer_timeout_s)
    await _tell_link(work, (work.talk.abort or {}).get("reason", ""))


async def _last_word(work: _Work, data: bytes) -> None:
    """A message to the other party that may be gone."""
    with suppress(PeerAborted):
        await work.meeting.peer.send(wire.PROTOCOL + data, timeout_s=GRACE_S)


async def _tell_link(work: _Work, reason: str) -> None:
    with suppress(PeerAborted):
        await work.meeting.link.send(wire.encode(Ended(reason)), timeout_s=GRACE_S)

"""The link process: it holds the backend, takes each party's inputs, gives each its own outcomes.

    seats empty --Join--> Welcome ... both Inputs --> jobs --> Outcomes to each ... both Ended

One session, then it ends. It hears nothing of the classical channel. It does know every input
and outcome, as any device does: whoever runs it is the device's operator.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlq.backends import chain, patience
from qlq.backends.port import Backend, DeviceInfo
from qlq.errors import (
    ConfigError,
    KeyStoreError,
    PeerAborted,
    ProtocolAbort,
    QLQError,
    RemoteMisuse,
)
from qlq.network import transport
from qlq.network.transport import Address, Connection
from qlq.node import orders, sessions
from qlq.node import terminals_messages as wire
from qlq.node.consent import Consent
from qlq.node.terminals_jobs import LinkJobs, Terms
from qlq.node.terminals_messages import Ended, Inputs, Join, Outcomes, Refused, Welcome
from qlq.provenance import Provenance, vendor_ids
from qlq.qkd import bb84, e91, eve, link, messages
from qlq.qkd.conversation import LinkUse
from qlq.qkd.duties import Party
from qlq.qkd.parameters import Parameters, Protocol

SCHEMA = "qlq.qkd.link/1"
JOIN_S = 10.0
"""How long a new connection may take to say who it is."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LinkOrder:
    """What `qlq qkd link` was asked for.

    Attributes:
        listen: Where the parties find it.
        backend: URI.
        home: Home folder, where jobs that cost something are on record.
        eve: Attack as text; None for none.
        consent: What the operator allows to be spent.
        timeout_s: Seconds that the whole session may take, above 0; cancelling what is then left
            of its jobs takes at most `terminals_jobs.LEAVE_S` more.
        peer_timeout_s: Seconds of silence after which a party counts as gone, above 0.
    """

    listen: Address
    backend: str
    home: Path
    eve: str | None = None
    consent: Consent = field(default_factory=Consent)
    timeout_s: float = sessions.TIMEOUT_S
    peer_timeout_s: float = 60.0


@dataclass(slots=True)
class _Session:
    """What the link works with, and what it gathers."""

    order: LinkOrder
    backend: Backend
    work: LinkJobs
    tell: Tell
    clock: patience.Clock
    seats: dict[Party, Connection] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    parameters: Parameters | None = None
    jobs: tuple[Provenance, ...] = ()
    reasons: dict[Party, str] = field(default_factory=dict)
    backend_s: float = 0.0


def serve(order: LinkOrder, tell: Tell) -> dict[str, Any]:
    """Serve one session and return the `qlq.qkd.link/1` document; an abort is a result.

    Jobs that cost something are on record before they are sent; what nobody waits for any more is
    cancelled, and a note or the abort's detail says what became of it.

    Raises:
        ConfigError: The address or the attack cannot be used, or the parties want different
            sessions.
        KeyStoreError: The parties' pools differ.
        BackendError: No shots; both parties have been told.
        BudgetRefused: The operator does not allow what the jobs would cost.
    """
    attack = _attack(order.eve)
    tell(f"opening {order.backend}")
    clock = patience.Clock(order.timeout_s)
    with chain.opened(order.backend, clock=clock) as backend:
        info = orders.describe(backend, clock)
        terms = Terms(order.home, order.backend, order.consent, order.eve, attack)
        work = LinkJobs(terms, backend, clock=clock, tell=tell)
        try:
            document = asyncio.run(_serve(_Session(order, backend, work, tell, clock), info))
        except BaseException as error:
            if left := work.leave():
                error.add_note(left)
            work.fail(str(error) or "interrupted")
            raise
        if left := work.leave():
            document["aborted"]["detail"] += f"; {left}"
        work.end(document)
        return document


def _attack(text: str | None) -> eve.InterceptResend | None:
    try:
        return None if text is None else eve.parse(text)
    except ValueError as error:
        raise ConfigError(str(error)) from error


async def _serve(session: _Session, info: DeviceInfo) -> dict[str, Any]:
    started = time.perf_counter()
    order = session.order
    welcome = wire.encode(_welcome(session.backend, info))

    async def accepted(connection: Connection) -> None:
        await _seat(session, connection, welcome)

    listener = await transport.listen(
        order.listen, accepted, who="a party", limit_bytes=wire.FIRST_BYTES_MAX
    )
    session.tell(f"listening on {listener.address}")
    abort = None
    try:
        async with asyncio.timeout(session.clock.remaining_s()):
            await session.arrived.wait()
            await _conduct(session)
    except TimeoutError:
        abort = _lost(f"the session has not ended within {order.timeout_s:g} s")
        await _refuse_all(session, PeerAborted.__name__, abort["detail"])
    except RemoteMisuse as error:
        abort = _lost(str(error))
        await _refuse_all(session, PeerAborted.__name__, str(error))
    except ProtocolAbort as error:
        abort = {"reason": error.reason, "detail": str(error)}
        await _refuse_all(session, type(error).__name__, str(error))
    except QLQError as error:
        await _refuse_all(session, type(error).__name__, str(error))
        raise
    finally:
        session.over.set()
        await listener.close()
    return _document(session, abort, wall_s=time.perf_counter() - started)


def _lost(detail: str) -> dict[str, str]:
    return {"reason": PeerAborted.reason, "detail": detail}


def _welcome(backend: Backend, info: DeviceInfo) -> Welcome:
    rates = (info.predicted_qber_bb84, info.predicted_qber_e91)
    bb84_ppm, e91_ppm = (None if rate is None else round(rate * 1e6) for rate in rates)
    return Welcome(backend.name, info.name, info.provider, info.kind.value, bb84_ppm, e91_ppm)


async def _seat(session: _Session, connection: Connection, welcome: bytes) -> None:
    """Give a party its seat and keep the connection until the session is over."""
    try:
        data = await connection.receive(timeout_s=JOIN_S)
        party = wire.expect(wire.decode_to_link(data), Join).party
    except (PeerAborted, RemoteMisuse) as error:
        session.tell(f"a connection was refused: {error}")
        await _refuse(connection, type(error).__name__, str(error))
        return
    if party in session.seats:
        taken = f"{party.value} is at this link already: start another link for another session"
        session.tell(f"a connection was refused: {taken}")
        await _refuse(connection, "ConfigError", taken)
        return
    connection.who = party.value
    connection.limit(wire.LINK_BYTES_MAX)
    session.seats[party] = connection
    session.tell(f"{party.value} is here")
    with suppress(PeerAborted):  # whoever reads from it next finds out
        await connection.send(welcome, timeout_s=JOIN_S)
    if len(session.seats) == len(Party):
        session.arrived.set()
    await session.over.wait()


async def _refuse(connection: Connection, error: str, detail: str) -> None:
    with suppress(PeerAborted):
        await connection.send(wire.encode(Refused(error, detail)), timeout_s=1.0)


async def _refuse_all(session: _Session, error: str, detail: str) -> None:
    for connection in session.seats.values():
        await _refuse(connection, error, detail)


async def _conduct(session: _Session) -> None:
    """From both parties' inputs to both parties' end; one that ends early ends it for both."""
    given: dict[Party, Inputs] = {}
    waiting = {
        asyncio.ensure_future(
            session.seats[party].receive(timeout_s=session.order.peer_timeout_s)
        ): party
        for party in Party
    }
    try:
        while len(given) < len(Party) and not session.reasons:
            done, _ = await asyncio.wait(
                [task for task, party in waiting.items() if party not in given],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                message = wire.decode_to_link(task.result())
                if isinstance(message, Ended):
                    session.reasons[waiting[task]] = message.reason or PeerAborted.reason
                elif isinstance(message, Refused):
                    raise _disagreement(waiting[task], message)
                else:
                    given[waiting[task]] = wire.expect(message, Inputs)
    finally:
        await _drop(*waiting)
    if session.reasons:
        gone = " and ".join(party.value for party in session.reasons)
        await _refuse_all(session, PeerAborted.__name__, f"{gone} ended the session")
        return
    await _transmit(session, given)


def _disagreement(party: Party, refused: Refused) -> QLQError:
    """What ends all three alike: both parties have found out that they want different sessions."""
    kind = {kind.__name__: kind for kind in (ConfigError, KeyStoreError)}.get(refused.error)
    if kind is None:
        return RemoteMisuse(f"{party.value} refuses as {refused.error}")
    return kind(f"{party.value} refuses: {refused.detail}")


async def _transmit(session: _Session, given: dict[Party, Inputs]) -> None:
    """Run the jobs, deal the outcomes, and wait until both parties have come to an end."""
    parameters = given[Party.ALICE].parameters
    if given[Party.BOB].parameters != parameters:
        raise RemoteMisuse("the two parties have sent inputs for different parameters")
    session.parameters = parameters
    use = LinkUse(*(_unpack(given[party], party) for party in (Party.ALICE, Party.BOB)))
    seeds = sessions.Seeds.from_system()
    session.tell(f"{parameters.pulses} pulses on {session.backend.name}")
    ends = {party: asyncio.ensure_future(_end_of(session, party)) for party in Party}
    started = time.perf_counter()
    work = asyncio.ensure_future(session.work.run(parameters, use, seeds=seeds))
    try:
        await asyncio.wait([work, *ends.values()], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await _leave_early(session, ends)
            return
        delivery = work.result()
        session.backend_s = time.perf_counter() - started
        session.jobs = tuple(shots.provenance for shots in delivery.shots)
        await _deal(session, delivery, order_seed=seeds.order)
        session.tell("the outcomes are dealt")
        for party, end in ends.items():
            session.reasons[party] = await end
    finally:
        await _drop(work, *ends.values())


async def _leave_early(session: _Session, ends: Mapping[Party, asyncio.Future[str]]) -> None:
    """A party has ended before there were outcomes: wait a moment for the other one's reason."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            for party, end in ends.items():
                session.reasons[party] = await end
    if not any(session.reasons.values()):
        raise PeerAborted("a party has left before the outcomes were there")


async def _end_of(session: _Session, party: Party) -> str:
    """The reason with which a party ends; waits for as long as it is there."""
    data = await session.seats[party].receive(timeout_s=None)
    return wire.expect(wire.decode_to_link(data), Ended).reason


async def _drop(*tasks: asyncio.Future[Any]) -> None:
    """End what nobody waits for any more; what it raised has been told already."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _unpack(given: Inputs, party: Party) -> NDArray[np.uint8]:
    """A party's inputs; raises RemoteMisuse for others than its circuit has."""
    parameters = given.parameters
    arrangement = _arrangement(parameters)
    angles = arrangement.alice_angles if party is Party.ALICE else arrangement.bob_angles
    return messages.unpack_settings(
        given.inputs, count=parameters.pulses, settings_count=len(angles)
    )


def _arrangement(parameters: Parameters) -> link.Arrangement:
    return bb84.arrangement() if parameters.protocol is Protocol.BB84 else e91.arrangement()


async def _deal(session: _Session, delivery: link.Delivery, *, order_seed: int) -> None:
    """Each party gets its own outcomes and nothing of the other one's."""
    jobs = wire.pack_jobs(session.jobs)
    own = {Party.ALICE: delivery.alice_bits, Party.BOB: delivery.bob_bits}
    for party, bits in own.items():
        packed = None if bits is None else messages.pack(bits)
        message = Outcomes(packed, order_seed, jobs)
        await session.seats[party].send(
            wire.encode(message), timeout_s=session.order.peer_timeout_s
        )


def _document(session: _Session, abort: dict[str, str] | None, *, wall_s: float) -> dict[str, Any]:
    """What the link may tell: jobs and origin, no setting and no outcome."""
    said = [(party, reason) for party, reason in session.reasons.items() if reason]
    if abort is None and said:
        party, reason = said[0]
        abort = {"reason": reason, "detail": f"{party.value} ended the session: {reason}"}
    first = session.jobs[0] if session.jobs else None
    return {
        "schema": SCHEMA,
        "backend": session.order.backend,
        "eve": session.order.eve,
        "protocol": session.parameters.protocol.value if session.parameters else None,
        "pulses": session.parameters.pulses if session.parameters else 0,
        "provenance": None if first is None else _provenance(session.jobs),
        "aborted": abort,
        "timing": {"wall_s": wall_s, "backend_s": session.backend_s},
    }


def _provenance(jobs: tuple[Provenance, ...]) -> dict[str, Any]:
    first = jobs[0]
    return {
        "tier": first.tier.value,
        "claim": first.claim.label,
        "provider": first.provider,
        "device": first.device,
        "kind": first.kind.value,
        "qubits": list(first.qubits),
        "job_ids": [one for job in jobs for one in vendor_ids(job.job_id)],
        "sdk": dict(sorted(first.sdk.items())),
    }

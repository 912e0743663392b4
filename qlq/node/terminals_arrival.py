"""How a party comes to a session: the link, the other party, and what both agree on before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from qlq import errors
from qlq.backends.port import DeviceInfo
from qlq.errors import (
    BackendUnavailable,
    ConfigError,
    KeyStoreError,
    PeerAborted,
    QLQError,
    RemoteMisuse,
    require,
)
from qlq.network import transport
from qlq.network.transport import Address, Connection
from qlq.node import sessions
from qlq.node import terminals_messages as wire
from qlq.node.terminals_messages import Beside, Ended, FromLink, Greeting, Join, Refused, Welcome
from qlq.node.terminals_pairing import Belongings
from qlq.provenance import Kind
from qlq.qkd import messages
from qlq.qkd.duties import Party
from qlq.qkd.parameters import Parameters, Wanted, commit

GREET_S = 10.0
"""How long somebody who has connected may take to say who it is."""
GRACE_S = 1.0
"""How long a last word to somebody who may be gone may take."""
REFUSALS: dict[str, type[QLQError]] = {
    "BudgetRefused": errors.BudgetRefused,
    "CircuitRejected": errors.CircuitRejected,
    "ConfigError": errors.ConfigError,
    "KeyStoreError": errors.KeyStoreError,
    "KeyTooShort": errors.KeyTooShort,
    "OutOfTurn": errors.PeerAborted,
    "PeerAborted": errors.PeerAborted,
    "RemoteMisuse": errors.PeerAborted,
}
"""What a refusal makes us raise, by the name that it gives; any other is a backend's."""

Tell = Callable[[str], None]
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class PartyOrder:
    """What `qlq qkd alice` or `qlq qkd bob` was asked for.

    Attributes:
        party: Which of them.
        link: Where the link listens.
        peer: Alice: where Bob listens. Bob: where he listens himself.
        wanted: The same for both parties, but for its tolerated QBER where `qber_max` is None.
        qber_max: The tolerated QBER; None takes one from the calibration of the link's device.
        archive: Folder to write; None for none.
        arrival_s: Seconds that the others may take to be there, above 0.
        timeout_s: Seconds that the whole session may take, above 0.
        peer_timeout_s: Seconds of silence after which the other party counts as gone, above 0.
    """

    party: Party
    link: Address
    peer: Address
    wanted: Wanted
    qber_max: float | None = None
    archive: Path | None = None
    arrival_s: float = 600.0
    timeout_s: float = sessions.TIMEOUT_S
    peer_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Meeting:
    """Both connections are open, and both parties want the same.

    Attributes:
        link: To the link.
        peer: To the other party.
        parameters: What both commit to.
        backend: The link's backend, as the link names it.
    """

    link: Connection
    peer: Connection
    parameters: Parameters
    backend: str


async def arrive(
    order: PartyOrder, belongings: Belongings, tell: Tell, stack: AsyncExitStack
) -> Meeting:
    """Connect to the link and to the other party, and agree on what is about to happen.

    Raises:
        ConfigError: The address cannot be listened on, or the other party wants something else.
        KeyStoreError: The two pools differ.
        PeerAborted: The link or the other party was not there.
        RemoteMisuse: One of them said what it must not say.
    """
    door = await _Door.open(order, tell, stack) if order.party is Party.BOB else None
    link = await transport.connect(
        order.link, who="the link", limit_bytes=wire.LINK_BYTES_MAX, timeout_s=order.arrival_s
    )
    await stack.enter_async_context(link)
    await link.send(wire.encode(Join(order.party)), timeout_s=order.peer_timeout_s)
    welcome = from_link(await link.receive(timeout_s=order.peer_timeout_s), Welcome)
    tell(f"the link runs on {welcome.backend}")
    parameters = _parameters(order, welcome)
    own = Greeting(order.party, belongings.pairing_id, belongings.pool_digest, parameters)
    try:
        meeting = _visit(order, own, stack) if door is None else _receive(order, own, door)
        peer, theirs = await _unless_link_ends(link, meeting)
        _compare(own, theirs)
    except QLQError as error:
        last: Ended | Refused = Ended(PeerAborted.reason)
        if isinstance(error, ConfigError | KeyStoreError):  # the other party ends with the same
            last = Refused(type(error).__name__, str(error))
        with suppress(PeerAborted):
            await link.send(wire.encode(last), timeout_s=GRACE_S)
        raise
    peer.limit(messages.MESSAGE_BYTES_MAX)
    tell(f"{theirs.party.value} is here")
    return Meeting(link, peer, parameters, welcome.backend)


def _parameters(order: PartyOrder, welcome: Welcome) -> Parameters:
    """What this party commits to, from its operator's wish alone, or with the device's rates."""
    tolerance = order.qber_max
    if tolerance is None:
        rates = (welcome.qber_bb84_ppm, welcome.qber_e91_ppm)
        require(all(r is None or 0 <= r <= 500_000 for r in rates), f"error rates {rates}")  # noqa: PLR2004
        bb84_rate, e91_rate = (None if rate is None else rate / 1e6 for rate in rates)
        info = DeviceInfo(
            welcome.device,
            welcome.provider,
            kind=Kind.NOISY,
            qubits=0,
            predicted_qber_bb84=bb84_rate,
            predicted_qber_e91=e91_rate,
        )
        tolerance = sessions.default_qber_max(info, order.wanted.protocol)
    return commit(msgspec.structs.replace(order.wanted, qber_max=tolerance))


async def _visit(
    order: PartyOrder, own: Greeting, stack: AsyncExitStack
) -> tuple[Connection, Greeting]:
    """Alice goes to Bob and greets."""
    peer = await transport.connect(
        order.peer, who="bob", limit_bytes=wire.FIRST_BYTES_MAX, timeout_s=order.arrival_s
    )
    await stack.enter_async_context(peer)
    await send_beside(peer, own, order.peer_timeout_s)
    return peer, beside(await peer.receive(timeout_s=order.arrival_s), Greeting)


async def _receive(order: PartyOrder, own: Greeting, door: _Door) -> tuple[Connection, Greeting]:
    """Bob waits for Alice and greets back."""
    peer, theirs = await door.guest(order.arrival_s)
    await send_beside(peer, own, order.peer_timeout_s)
    return peer, theirs


async def _unless_link_ends(link: Connection, meeting: Coroutine[Any, Any, M]) -> M:
    """What comes of a meeting, unless the link ends the session before; then its reason."""
    both = (
        asyncio.ensure_future(meeting),
        asyncio.ensure_future(link.receive(timeout_s=None)),
    )
    met, ended = both
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        # The other party may have said why, on a wire of its own.
        await asyncio.wait([met], timeout=GRACE_S)
        if met.done():
            return met.result()
        from_link(ended.result(), Refused)
        raise RemoteMisuse("the link speaks without being asked")
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


class _Door:
    """Where Bob waits for Alice; whoever does not greet, or comes second, is sent away."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._over = asyncio.Event()
        self._guest: asyncio.Future[tuple[Connection, Greeting]] = (
            asyncio.get_running_loop().create_future()
        )

    @classmethod
    async def open(cls, order: PartyOrder, tell: Tell, stack: AsyncExitStack) -> _Door:
        """Listen until the stack unwinds."""
        door = cls(tell)
        listener = await transport.listen(
            order.peer, door._accepted, who="alice", limit_bytes=wire.FIRST_BYTES_MAX
        )
        stack.push_async_callback(listener.close)
        stack.callback(door._over.set)
        tell(f"listening on {listener.address}")
        return door

    async def guest(self, timeout_s: float) -> tuple[Connection, Greeting]:
        """The connection of the first one who greets, and the greeting."""
        try:
            return await asyncio.wait_for(self._guest, timeout_s)
        except TimeoutError as error:
            raise PeerAborted(f"alice has not come within {timeout_s:g} s") from error

    async def _accepted(self, connection: Connection) -> None:
        try:
            greeting = beside(await connection.receive(timeout_s=GREET_S), Greeting)
            require(greeting.party is Party.ALICE, f"{greeting.party.value} greets bob")
            if self._guest.done():
                raise ConfigError("bob is in a session already")
        except QLQError as error:
            self._tell(f"a connection was refused: {error}")
            refused = Refused(type(error).__name__, str(error))
            with suppress(PeerAborted):
                await send_beside(connection, refused, GRACE_S)
            return
        self._guest.set_result((connection, greeting))
        await self._over.wait()


async def send_beside(connection: Connection, message: Beside, timeout_s: float) -> None:
    """Say something to the other party that is no message of the protocol."""
    await connection.send(wire.CONTROL + wire.encode(message), timeout_s=timeout_s)


def beside(data: bytes, kind: type[M]) -> M:
    """What the other party said beside the protocol, of this kind.

    Raises:
        RemoteMisuse: Anything else.
        QLQError: Its refusal.
    """
    require(data[:1] == wire.CONTROL, "a message of the protocol before its turn")
    return _unless_refused(wire.decode_beside(data[1:]), kind, who="the other party")


def from_link(data: bytes, kind: type[M]) -> M:
    """What the link said, of this kind; see `beside`."""
    return _unless_refused(wire.decode_from_link(data), kind, who="the link")


def _unless_refused(message: FromLink | Beside, kind: type[M], *, who: str) -> M:
    if isinstance(message, Refused):
        error = REFUSALS.get(message.error, BackendUnavailable)
        raise error(f"{who} refuses: {message.detail}")
    return wire.expect(message, kind)


def _compare(own: Greeting, theirs: Greeting) -> None:
    """Return if both parties want the same session.

    Raises:
        ConfigError: Other parameters or another pairing, naming them.
        KeyStoreError: The two pools differ.
        RemoteMisuse: It is the same party twice.
    """
    require(theirs.party is not own.party, f"two parties that are {own.party.value}")
    mine, other = (msgspec.structs.asdict(said.parameters) for said in (own, theirs))
    different = [
        f"{name} {value} and {other[name]}" for name, value in mine.items() if value != other[name]
    ]
    if different:
        raise ConfigError(
            f"the two parties want different sessions ({'; '.join(different)}): start both with "
            "the same options"
        )
    if theirs.pairing != own.pairing:
        raise ConfigError(
            f"{own.party.value} uses pairing {own.pairing}, {theirs.party.value} {theirs.pairing}: "
            "name the same file with --pairing on both sides"
        )
    if theirs.pool_digest != own.pool_digest:
        raise KeyStoreError(
            "the two authentication pools differ: a session was cut off at its very end; make a "
            "new pairing with qlq qkd pair FILE and name it on both sides"
        )

"""Three terminals in threads of one process, with an observer on each of their wires."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from qlq.kme.lifecycle import State
from qlq.network import framing
from qlq.network.transport import Address
from qlq.node import terminals, terminals_link, terminals_pairing
from qlq.node.terminals_arrival import PartyOrder
from qlq.node.terminals_link import LinkOrder
from qlq.node.terminals_pairing import Belongings, Pairing
from qlq.qkd.duties import Party
from qlq.qkd.parameters import Protocol, Wanted

MASTERS = {Party.ALICE: b"a" * 32, Party.BOB: b"b" * 32}
WIRES = ("alice-link", "bob-link", "alice-bob")
PULSES = 30_000

Tamper = Callable[[str, str, int, bytes], list[bytes] | None]
"""Wire, direction (`out` or `back`), number of the frame in it, payload -> the payloads that
arrive instead; None cuts the wire."""


@dataclass
class Frame:
    """A payload as it was sent: on which wire, which way, and when among all others."""

    wire: str
    way: str
    payload: bytes
    order: int


@dataclass
class Ran:
    """How one terminal ended: with a document or with an error."""

    document: dict[str, Any] | None = None
    error: BaseException | None = None
    told: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """The reason of its abort."""
        assert self.document is not None, self.error
        return str(self.document["aborted"]["reason"])

    @property
    def port(self) -> int | None:
        """Where it listens, as soon as it has said so: the system chose a free one."""
        said = [told for told in self.told if told.startswith("listening on ")]
        return int(said[0].rpartition(":")[2]) if said else None


@dataclass
class Observer:
    """A relay on one wire: `out` is what the party that connects says, `back` the answers."""

    wire: str
    target: Ran
    tamper: Tamper
    frames: list[Frame]
    clock: Any
    server: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.getsockname()[1])

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.server.accept()
                try:
                    far = self.reach()
                except OSError:
                    near.close()
                    raise
                for way, source, sink in (("out", near, far), ("back", far, near)):
                    arguments = (way, source, sink)
                    threading.Thread(target=self.relay, args=arguments, daemon=True).start()

    def reach(self) -> socket.socket:
        """A connection to the target, which may start later than we do."""
        end_s = time.monotonic() + 10
        while self.target.port is None:
            if time.monotonic() > end_s:
                raise ConnectionRefusedError("it has not said where it listens")
            time.sleep(0.02)
        return socket.create_connection(("127.0.0.1", self.target.port))

    def relay(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        receiver, numbers = framing.Receiver(), itertools.count()
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                receiver.feed(piece)
                while (payload := receiver.next()) is not None:
                    self.frames.append(Frame(self.wire, way, payload, next(self.clock)))
                    arriving = self.tamper(self.wire, way, next(numbers), payload)
                    if arriving is None:
                        for end in (source, sink):
                            end.shutdown(socket.SHUT_RDWR)
                        return
                    for one in arriving:
                        sink.sendall(framing.encode(one))
            sink.shutdown(socket.SHUT_WR)


@dataclass
class Trio:
    """What a session in three terminals left behind."""

    link: Ran
    alice: Ran
    bob: Ran
    frames: list[Frame]

    @property
    def all(self) -> tuple[Ran, Ran, Ran]:
        return (self.link, self.alice, self.bob)

    def said(self, wire: str, way: str) -> list[bytes]:
        """Payloads of one direction of a wire."""
        return [frame.payload for frame in self.frames if (frame.wire, frame.way) == (wire, way)]


def untouched(_wire: str, _way: str, _number: int, payload: bytes) -> list[bytes]:
    return [payload]


class Stage:
    """Two homes, a pairing, and sessions on them."""

    def __init__(self, folder: Path) -> None:
        self.homes = {party: folder / party.value for party in Party}
        self.link_home = folder / "link"
        self.pairing: Pairing | None = Pairing.from_system()

    def belongings(self, party: Party, pairing: Pairing | None = None) -> Belongings:
        return terminals_pairing.open_belongings(
            self.homes[party], party, master=MASTERS[party], pairing=pairing
        )

    def keys(self, party: Party) -> dict[str, bytes]:
        """All usable keys of a party's store, by id; each can be asked for once."""
        held = self.belongings(party, self.pairing)
        try:
            store = held.pair.stores[party]  # type: ignore[index]
            found = {}
            for row in store.list():
                if row.state is State.READY:
                    key_id = row.description.key_id
                    store.reserve(key_id)
                    found[key_id] = store.deliver(key_id)
            return found
        finally:
            held.close()

    def run(
        self,
        *,
        protocol: Protocol = Protocol.BB84,
        pulses: int = PULSES,
        eve: str | None = None,
        tamper: Tamper = untouched,
        changes: dict[Party, dict[str, Any]] | None = None,
        pairings: dict[Party, Pairing | None] | None = None,
        peer_timeout_s: float = 10.0,
        link_changes: dict[str, Any] | None = None,
    ) -> Trio:
        """One session; `changes` alter a party's order, `link_changes` the link's."""
        frames: list[Frame] = []
        clock = itertools.count()
        ran = {"link": Ran(), Party.ALICE: Ran(), Party.BOB: Ran()}
        self.link, self.bob = ran["link"], ran[Party.BOB]
        ends = {"link": self.link, "bob": self.bob}
        wires = {
            wire: Observer(wire, ends[wire.split("-")[1]], tamper, frames, clock) for wire in WIRES
        }
        times = {"timeout_s": 60.0, "peer_timeout_s": peer_timeout_s}
        wanted = Wanted(protocol=protocol, pulses=pulses, qber_max=0.02)
        peers = {Party.ALICE: wires["alice-bob"].port, Party.BOB: 0}
        order = LinkOrder(Address("127.0.0.1", 0), "aer", self.link_home, eve, **times)
        order = replace(order, **(link_changes or {}))

        def take_part(party: Party) -> dict[str, Any]:
            place = Address("127.0.0.1", wires[f"{party.value}-link"].port)
            peer = Address("127.0.0.1", peers[party])
            own = PartyOrder(party, place, peer, wanted, 0.02, arrival_s=20.0, **times)
            own = replace(own, **(changes or {}).get(party, {}))
            held = self.belongings(party, (pairings or {}).get(party, self.pairing))
            try:
                return terminals.run(own, held, ran[party].told.append)
            finally:
                held.close()

        play(
            ran,
            {
                "link": lambda: terminals_link.serve(order, ran["link"].told.append),
                Party.ALICE: lambda: take_part(Party.ALICE),
                Party.BOB: lambda: take_part(Party.BOB),
            },
        )
        for observer in wires.values():
            observer.server.close()
        return Trio(ran["link"], ran[Party.ALICE], ran[Party.BOB], frames)


def play(ran: dict[str, Ran], work: dict[str, Callable[[], dict[str, Any]]]) -> None:
    """Run each terminal in a thread, until all have ended."""

    def one(name: str) -> None:
        try:
            ran[name].document = work[name]()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            ran[name].error = error

    threads = [threading.Thread(target=one, args=(name,), daemon=True) for name in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a terminal has not ended"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)

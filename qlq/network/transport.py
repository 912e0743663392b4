"""Sockets that carry frames, with deadlines and limits. Loopback addresses only.

Links between machines have to be sealed and both ends authenticated before a byte may leave this
one; until they are, every other address is refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from qlq.errors import ConfigError, LocalMisuse, PeerAborted
from qlq.network import framing

PIECE_BYTES = 1 << 16
RETRY_S = 0.1
CLOSE_S = 1.0
"""How long the goodbye of a socket may take."""
CONNECTIONS_MAX = 16
"""Of a listener at one time, those that it is about to refuse included."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a process listens.

    Attributes:
        host: A loopback address in numbers.
        port: 0 to 65535; 0 lets the system choose.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address:
    """The address written as HOST:PORT.

    Raises:
        ConfigError: Not an address, or not on loopback.
    """
    host, _, port_text = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        address, port = ipaddress.ip_address(host), int(port_text)
    except ValueError:
        raise ConfigError(f"{text!r} is not an address such as 127.0.0.1:7001") from None
    if not 0 <= port <= 65535:  # noqa: PLR2004 - sixteen bits
        raise ConfigError(f"the port of {text!r} is not within 0 to 65535")
    if not address.is_loopback:
        raise ConfigError(
            f"{text!r} is not on this machine: links are not sealed yet, and whoever listens on "
            "the way would see every message; use 127.0.0.1"
        )
    return Address(str(address), port)


class Connection:
    """One end of a connection; `who` names the other one in errors."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        who: str,
        limit_bytes: int,
    ) -> None:
        """Wrap a pair of streams; payloads of up to `limit_bytes` are accepted."""
        self.who = who
        self._reader = reader
        self._writer = writer
        self._frames = framing.Receiver(limit_bytes=limit_bytes)

    async def __aenter__(self) -> Self:
        """The connection itself."""
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()

    def limit(self, limit_bytes: int) -> None:
        """Accept payloads of up to so many bytes from the next frame on."""
        self._frames.limit(limit_bytes)

    async def send(self, payload: bytes, *, timeout_s: float) -> None:
        """Send one frame; it has left this process when this returns.

        Raises:
            PeerAborted: The other end is gone, or has not read for so long.
        """
        try:
            self._writer.write(framing.encode(payload))
            await asyncio.wait_for(self._writer.drain(), timeout_s)
        except TimeoutError as error:
            raise PeerAborted(f"{self.who} has not read for {timeout_s:g} s") from error
        except OSError as error:
            raise PeerAborted(f"{self.who} has gone away: {_reason(error)}") from error

    async def receive(self, *, timeout_s: float | None) -> bytes:
        """The next frame's payload.

        Args:
            timeout_s: Seconds to wait; None waits for as long as the other end is there.

        Raises:
            RemoteMisuse: What arrives is no frame, or too long.
            PeerAborted: The other end is gone, or silent for so long.
        """
        try:
            return await asyncio.wait_for(self._receive(), timeout_s)
        except TimeoutError as error:
            raise PeerAborted(f"{self.who} has been silent for {timeout_s:g} s") from error
        except OSError as error:
            raise PeerAborted(f"{self.who} has gone away: {_reason(error)}") from error

    async def _receive(self) -> bytes:
        while (payload := self._frames.next()) is None:
            piece = await self._reader.read(PIECE_BYTES)
            if not piece:
                self._frames.finish()
                raise PeerAborted(f"{self.who} has closed the connection")
            self._frames.feed(piece)
        return payload

    async def close(self) -> None:
        """Say goodbye; never waits long, never raises."""
        with suppress(OSError, TimeoutError):
            self._writer.close()
            await asyncio.wait_for(self._writer.wait_closed(), CLOSE_S)


Accepted = Callable[[Connection], Awaitable[None]]


class Listener:
    """Takes connections on a loopback address until it is closed."""

    def __init__(self, accepted: Accepted, *, who: str, limit_bytes: int) -> None:
        """Not listening yet; see `listen`."""
        self._accepted, self._who, self._limit_bytes = accepted, who, limit_bytes
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._is_closed = False

    @property
    def address(self) -> Address:
        """Where it listens, with the port that the system chose."""
        if self._server is None:
            raise LocalMisuse("nothing is listened on yet")
        host, port = self._server.sockets[0].getsockname()[:2]
        return Address(host, port)

    async def open(self, address: Address) -> None:
        """Start to listen; raises ConfigError if the address cannot be listened on."""
        try:
            self._server = await asyncio.start_server(self._arrived, address.host, address.port)
        except OSError as error:
            raise ConfigError(f"cannot listen on {address}: {_reason(error)}") from error

    async def close(self) -> None:
        """Take no more connections, and end what is still being said on the old ones."""
        self._is_closed = True
        if self._server is not None:
            for door in self._server.sockets:
                asyncio.get_running_loop().remove_reader(door.fileno())
            # What the loop has accepted gets its transport in the next step, and only from a
            # server that is open; without one nobody would close it.
            await asyncio.sleep(0)
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _arrived(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_closed or len(self._tasks) >= CONNECTIONS_MAX:
            writer.close()
            return
        connection = Connection(reader, writer, who=self._who, limit_bytes=self._limit_bytes)
        task = asyncio.ensure_future(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # One that is cancelled before its first step has entered nothing that would close it.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, connection: Connection) -> None:
        async with connection:
            await self._accepted(connection)


async def listen(address: Address, accepted: Accepted, *, who: str, limit_bytes: int) -> Listener:
    """Listen, and hand each new connection to `accepted`; it is closed when that returns.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    listener = Listener(accepted, who=who, limit_bytes=limit_bytes)
    await listener.open(address)
    return listener


async def connect(address: Address, *, who: str, limit_bytes: int, timeout_s: float) -> Connection:
    """A connection to a listener, which may start later than we do.

    Raises:
        PeerAborted: Nobody listens there within the time.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + timeout_s
    while True:
        try:
            async with asyncio.timeout_at(end_s):
                reader, writer = await asyncio.open_connection(address.host, address.port)
            return Connection(reader, writer, who=who, limit_bytes=limit_bytes)
        except OSError as error:  # TimeoutError is one
            if loop.time() + RETRY_S >= end_s:
                raise PeerAborted(
                    f"{who} does not listen on {address} within {timeout_s:g} s: start it, or "
                    "name another address"
                ) from error
            await asyncio.sleep(RETRY_S)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__

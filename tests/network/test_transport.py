"""Sockets: who may be talked to, how long one waits, what the other end can do to us."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from qlq.errors import ConfigError, PeerAborted, RemoteMisuse
from qlq.network import framing, transport
from qlq.network.transport import Address, Connection

LIMIT = 1 << 10
ANYWHERE = Address("127.0.0.1", 0)


def with_server(
    server: Callable[[Connection], Awaitable[None]],
    client: Callable[[Connection], Coroutine[Any, Any, Any]],
) -> Any:
    """What the client returns in front of a listener that runs `server` for each connection."""

    async def main() -> Any:
        listener = await transport.listen(ANYWHERE, server, who="client", limit_bytes=LIMIT)
        try:
            connection = await transport.connect(
                listener.address, who="server", limit_bytes=LIMIT, timeout_s=5
            )
            async with connection:
                return await client(connection)
        finally:
            await listener.close()

    return asyncio.run(main())


def raw_server(data: bytes) -> Callable[[Connection], Awaitable[None]]:
    """A server that writes these very bytes and leaves."""

    async def serve(connection: Connection) -> None:
        connection._writer.write(data)

    return serve


async def receive(connection: Connection) -> bytes:
    return await connection.receive(timeout_s=5)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7001", Address("127.0.0.1", 7001)),
        ("127.8.0.9:1", Address("127.8.0.9", 1)),
        ("localhost:7001", Address("127.0.0.1", 7001)),
        ("[::1]:7001", Address("::1", 7001)),
    ],
)
def test_loopback_addresses_are_read(text: str, address: Address) -> None:
    assert transport.parse(text) == address
    assert transport.parse(str(address)) == address


@pytest.mark.parametrize("text", ["10.0.0.1:7001", "0.0.0.0:7001", "[::]:7001", "192.0.2.1:1"])
def test_other_addresses_are_refused_because_links_are_not_sealed(text: str) -> None:
    with pytest.raises(ConfigError, match="not sealed"):
        transport.parse(text)


@pytest.mark.parametrize(
    "text", ["", "7001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "host:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        transport.parse(text)


def test_payloads_go_both_ways() -> None:
    async def echo(connection: Connection) -> None:
        for _ in range(2):
            await connection.send(await connection.receive(timeout_s=5) + b"!", timeout_s=5)

    async def client(connection: Connection) -> list[bytes]:
        await connection.send(b"", timeout_s=5)
        await connection.send(bytes(LIMIT - 1), timeout_s=5)
        return [await receive(connection) for _ in range(2)]

    assert with_server(echo, client) == [b"!", bytes(LIMIT - 1) + b"!"]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", RemoteMisuse),
        (framing.encode(b"key")[:6], RemoteMisuse),
        (b"\x01\x00\x00\x04\x01", RemoteMisuse),  # 1025 bytes
        (b"", PeerAborted),
    ],
)
def test_whatever_is_no_frame_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        with_server(raw_server(data), receive)


def test_silence_ends_at_the_deadline_and_names_who_is_silent() -> None:
    async def silent(connection: Connection) -> None:
        with pytest.raises(PeerAborted):
            await connection.receive(timeout_s=10)

    async def client(connection: Connection) -> None:
        await connection.receive(timeout_s=0.2)

    started = time.monotonic()
    with pytest.raises(PeerAborted, match=r"server has been silent for 0.2 s"):
        with_server(silent, client)
    assert time.monotonic() - started < 5


def test_a_deadline_within_a_frame_loses_none_of_it() -> None:
    async def slow(connection: Connection) -> None:
        frame = framing.encode(b"late key")
        connection._writer.write(frame[:9])
        await connection.receive(timeout_s=5)
        connection._writer.write(frame[9:])

    async def client(connection: Connection) -> bytes:
        with pytest.raises(PeerAborted):
            await connection.receive(timeout_s=0.2)
        await connection.send(b"go on", timeout_s=5)
        return await receive(connection)

    assert with_server(slow, client) == b"late key"


def test_an_end_that_does_not_read_is_given_up() -> None:
    async def deaf(_connection: Connection) -> None:
        await asyncio.sleep(2)

    async def client(connection: Connection) -> None:
        for _ in range(64):
            await connection.send(bytes(1 << 20), timeout_s=0.3)

    with pytest.raises(PeerAborted, match="server has not read"):
        with_server(deaf, client)


def test_a_listener_may_start_after_the_one_who_connects() -> None:
    async def main() -> bytes:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        server.close()
        await server.wait_closed()
        coming = asyncio.ensure_future(
            transport.connect(address, who="server", limit_bytes=LIMIT, timeout_s=5)
        )
        await asyncio.sleep(0.3)
        greet = raw_server(framing.encode(b"here"))
        listener = await transport.listen(address, greet, who="client", limit_bytes=LIMIT)
        try:
            async with await coming as connection:
                return await receive(connection)
        finally:
            await listener.close()

    assert asyncio.run(main()) == b"here"


def test_nobody_there_is_said_at_the_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(PeerAborted, match=r"bob does not listen on 127\.0\.0\.1:1 within 0\.3 s"):
        asyncio.run(
            transport.connect(Address("127.0.0.1", 1), who="bob", limit_bytes=1, timeout_s=0.3)
        )
    assert time.monotonic() - started < 3


def test_an_address_in_use_is_named() -> None:
    async def main() -> None:
        first = await transport.listen(ANYWHERE, raw_server(b""), who="x", limit_bytes=LIMIT)
        try:
            with pytest.raises(ConfigError, match=str(first.address.port)):
                await transport.listen(first.address, raw_server(b""), who="x", limit_bytes=LIMIT)
        finally:
            await first.close()

    asyncio.run(main())


def test_connections_beyond_the_most_are_closed_at_once() -> None:
    async def main() -> None:
        over = asyncio.Event()

        async def hold(_connection: Connection) -> None:
            await over.wait()

        listener = await transport.listen(ANYWHERE, hold, who="x", limit_bytes=LIMIT)
        held = [
            await transport.connect(listener.address, who="y", limit_bytes=LIMIT, timeout_s=5)
            for _ in range(transport.CONNECTIONS_MAX + 1)
        ]
        with pytest.raises(PeerAborted, match="closed"):
            await held[-1].receive(timeout_s=5)
        with pytest.raises(PeerAborted, match="silent"):
            await held[0].receive(timeout_s=0.1)
        over.set()
        for connection in held:
            await connection.close()
        await listener.close()

    asyncio.run(main())


@pytest.mark.parametrize("steps", range(12))
def test_a_connection_that_comes_as_the_listener_closes_is_closed_too(steps: int) -> None:
    async def main(client: socket.socket) -> None:
        async def hold(_connection: Connection) -> None:
            await asyncio.Event().wait()

        listener = await transport.listen(ANYWHERE, hold, who="x", limit_bytes=LIMIT)
        client.connect((listener.address.host, listener.address.port))
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in listener._tasks:  # what a loop does that ends
            task.cancel()
        await listener.close()

    gc.collect()
    with warnings.catch_warnings(record=True) as told, socket.socket() as client:
        warnings.simplefilter("always")
        asyncio.run(main(client))
        gc.collect()
    assert [str(warning.message) for warning in told] == []

"""The emulator of Amazon Braket, with the variables that lead the SDK's client to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from botocore.httpsession import URLLib3Session

from qlq.backends.emulator.braket import BraketEmulator
from qlq.backends.emulator.faults import Fault, FaultScript
from qlq.backends.emulator.server import Server

Start = Callable[..., Server]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts an emulator with some faults, and points the client of this process at it."""
    servers: list[Server] = []
    sessions: list[URLLib3Session] = []

    construct = URLLib3Session.__init__

    def noting(session: URLLib3Session, *arguments: object, **settings: object) -> None:
        construct(session, *arguments, **settings)
        sessions.append(session)

    monkeypatch.setattr(URLLib3Session, "__init__", noting)  # the client never closes its sockets

    def started(*faults: Fault, **settings: object) -> Server:
        emulator = BraketEmulator(**settings)  # type: ignore[arg-type]
        server = Server(emulator, faults=FaultScript(faults))
        servers.append(server)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        return server

    yield started
    for server in servers:
        server.close()
    for session in sessions:
        session.close()

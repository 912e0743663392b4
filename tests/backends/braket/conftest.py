"""The emulator of Amazon Braket, with the variables that lead the SDK's client to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from qlq.backends import registry
from qlq.backends.emulator.braket import BraketEmulator
from qlq.backends.emulator.faults import Fault, FaultScript
from qlq.backends.emulator.server import Server
from qlq.backends.port import Backend

GARNET = "braket:arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
FORTE = "braket:arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1"

Start = Callable[..., Server]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts an emulator with some faults, and points the client of this process at it."""
    servers: list[Server] = []

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


@pytest.fixture
def garnet(start: Start) -> Iterator[Backend]:
    """The device with program sets, on an emulator without faults."""
    start()
    backend = registry.open_backend(GARNET)
    yield backend
    backend.close()

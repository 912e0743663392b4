"""An emulator of IBM's service for each test that asks for one, and the client led to it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import registry
from qlq.backends.emulator.faults import Fault, FaultScript
from qlq.backends.emulator.ibm import IBMEmulator
from qlq.backends.emulator.server import Server
from qlq.backends.port import Backend
from qlq.circuit import Plan

SUBMIT = "POST /experimental/jobs"

Start = Callable[..., Server]
Open = Callable[..., Backend]

_COUNT = itertools.count()


@pytest.fixture
def bb84() -> Callable[..., Plan]:
    """Makes BB84 plans with a tag of their own; rows differ."""

    def plan(*, rows: int = 8, shots: int = 200, **fields: Any) -> Plan:
        angles = np.linspace(0.0, 3.0, rows * 3).reshape(rows, 3)
        tags = (f"test-{os.getpid()}-{next(_COUNT)}",)
        return Plan(circuit.load("bb84"), angles, shots, tags=tags, **fields)

    return plan


@pytest.fixture
def ibm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts an emulator with these faults and leads the client to it."""
    servers: list[Server] = []

    def start(*faults: Fault, **account: Any) -> Server:
        server = Server(IBMEmulator(**account), faults=FaultScript(faults))
        servers.append(server)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        return server

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def opened(ibm: Start) -> Iterator[Open]:  # noqa: ARG001 - the emulator outlives the backends
    """Opens backends and closes them after the test."""
    backends: list[Backend] = []

    def open_(uri: str = "ibm:ibm_fez") -> Backend:
        backend = registry.open_backend(uri)
        backends.append(backend)
        return backend

    yield open_
    for backend in backends:
        backend.close()


@pytest.fixture(scope="session")
def _shared() -> Iterator[tuple[Server, Backend]]:
    """One emulator with one opened device, for tests of what happens to jobs."""
    server = Server(IBMEmulator())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        backend = registry.open_backend("ibm:ibm_fez")
        yield server, backend
        backend.close()
    server.close()


@dataclass(slots=True)
class Scene:
    """A device behind an emulator, and the submits that the emulator has seen in this test."""

    server: Server
    backend: Backend
    _before: int

    @property
    def submits(self) -> int:
        return self.server.count(SUBMIT) - self._before


@pytest.fixture
def fez(_shared: tuple[Server, Backend]) -> Iterator[Callable[..., Scene]]:
    """`ibm:ibm_fez` while its emulator carries out these faults."""
    server, backend = _shared

    def with_faults(*faults: Fault) -> Scene:
        server._faults = FaultScript(faults)
        return Scene(server, backend, server.count(SUBMIT))

    yield with_faults
    server._faults = FaultScript()

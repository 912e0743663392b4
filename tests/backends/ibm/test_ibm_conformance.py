"""The suite that every backend passes, through IBM's client: over HTTP and in its local mode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qlq.backends.conformance import BackendConformance
from qlq.backends.emulator.ibm import IBMEmulator
from qlq.backends.emulator.server import Server


@pytest.fixture(scope="class")
def emulated() -> Iterator[None]:
    """One emulator for all tests of a class."""
    server = Server(IBMEmulator())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield
    server.close()


@pytest.mark.usefixtures("emulated")
class TestIBMFez(BackendConformance):
    uri = "ibm:ibm_fez"
    noise_max = 0.03
    takes_seeds = False


class TestIBMLocalFez(BackendConformance):
    uri = "ibm-local:fez"
    noise_max = 0.03

"""What our path to rented hardware costs beside the vendor's client alone.

An eight-row BB84 plan goes to an emulator of IBM's service, in a process of its own, and comes back
as bits: once through the adapter and the driver, once through the client's Sampler with a circuit
that was compiled beforehand. Both wait for the same service, in turn. The client is asked for the
status at the driver's pace in both, so that its own pause of seconds hides nothing.

    python benchmarks/hardware_path.py [--json] [--small]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import measuring
import numpy as np

from qlq import circuit
from qlq.backends import driver, registry
from qlq.circuit import Plan

DEVICE = "ibm_fez"
ROWS = 8
TIMEOUT_S = 120.0
_POLL_FIRST_S, _POLL_GROWTH, _POLL_MAX_S = 0.001, 1.5, 5.0


@contextmanager
def emulator() -> Iterator[None]:
    """A service in another process, with this process's client led to it."""
    command = "import sys; from qlq.cli.main import run; sys.exit(run(['emulator', 'ibm']))"
    service = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        if service.stdout is None or service.stderr is None:
            raise RuntimeError("the service has no output to read")
        service.stderr.readline()  # it listens now, and has said all it has to say
        os.set_blocking(service.stdout.fileno(), False)
        for line in service.stdout.read().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            os.environ[name] = value.strip("'")
        yield
    finally:
        service.terminate()
        service.wait()


def plan(shots: int) -> Plan:
    """The eight settings of BB84, with a tag of its own."""
    settings = [
        (bit * np.pi, alice, bob)
        for bit in (0, 1)
        for alice in (0.0, np.pi / 2)
        for bob in (0.0, np.pi / 2)
    ]
    return Plan(circuit.load("bb84"), np.array(settings), shots, tags=(str(uuid.uuid4()),))


def through_ours(shots: int) -> Callable[[], np.ndarray]:
    """A call of the driver on the opened device."""
    backend = registry.open_backend(f"ibm:{DEVICE}")
    return lambda: driver.run(backend, plan(shots), timeout_s=TIMEOUT_S).bits


def through_client(shots: int) -> Callable[[], np.ndarray]:
    """The same with the client alone: nothing checked, nothing recorded, nothing retried."""
    from qiskit import qasm3
    from qiskit.transpiler import generate_preset_pass_manager
    from qiskit_ibm_runtime import QiskitRuntimeService
    from qiskit_ibm_runtime.executor_sampler import Sampler

    device = QiskitRuntimeService().backend(DEVICE)
    program = qasm3.loads(circuit.load("bb84").source)
    manager = generate_preset_pass_manager(optimization_level=1, backend=device, initial_layout=[4])
    compiled = manager.run(program)
    order = [circuit.load("bb84").params.index(p.name) for p in compiled.parameters]
    sampler = Sampler(mode=device)

    def call() -> np.ndarray:
        bindings = plan(shots).bindings[:, order]
        job = sampler.run([(compiled, bindings)], shots=shots)
        pause_s = _POLL_FIRST_S
        while str(job.status()) != "DONE":
            time.sleep(pause_s)
            pause_s = min(pause_s * _POLL_GROWTH, _POLL_MAX_S)
        return np.asarray(job.result()[0].data.c.array)

    return call


def measure(shots: int, repeats: int) -> list[dict[str, Any]]:
    """Seconds from submit to bits, both ways in turn, and the ratio of the medians."""
    ours, bare = through_ours(shots), through_client(shots)
    for call in (ours, bare):
        found = call()  # warm: connections, imports, compiled circuit
        if found.shape[:2] != (ROWS, shots):
            raise RuntimeError(f"bits of shape {found.shape}")
    times = []
    for _ in range(repeats):
        row = []
        for call in (ours, bare):
            start = time.perf_counter()
            call()
            row.append(time.perf_counter() - start)
        times.append(row)
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    return [
        measuring.measurement(
            f"ibm_roundtrip_{ROWS}x{shots}",
            mine,
            "s",
            reference="qiskit-ibm-runtime's Sampler alone, same emulator",
            reference_value=theirs,
        )
    ]


def main() -> None:
    """Measure and print."""
    asked = measuring.options(__doc__, small="few repeats, for a test of the script")
    with emulator():
        figures = measure(500, 3) if asked.small else measure(2000, 15)
    measuring.show(figures, asked)


if __name__ == "__main__":
    main()

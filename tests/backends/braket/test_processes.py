"""Jobs that outlive a process, and processes that outlive no deadline."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import driver, registry
from qlq.backends.emulator.faults import Action, Fault
from qlq.backends.emulator.server import Server
from qlq.circuit import Plan
from qlq.errors import JobPending

pytestmark = pytest.mark.long

GARNET = "braket:arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
FORTE = "braket:arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1"
Start = Callable[..., Server]

PLAN = (
    "import numpy as np\nfrom qlq import circuit\nfrom qlq.circuit import Plan\n"
    "plan = Plan(circuit.load('e91'), np.array([[0.0, 0.8], [1.6, 0.8]]), 60, tags=('b2',))\n"
)
RESUME = PLAN + (
    "import hashlib, sys\nfrom pathlib import Path\nfrom qlq.backends import driver, registry\n"
    "for path in map(Path, sys.argv[1:]):\n"
    "    handle = driver.read_handle(path)\n"
    "    backend = registry.open_backend(handle.backend)\n"
    "    shots = driver.resume(backend, handle, plan, timeout_s=60)\n"
    "    print(hashlib.sha256(shots.bits.tobytes()).hexdigest(), shots.provenance.qubits)\n"
)
STALL = PLAN + (
    "import sys, time\nfrom qlq.backends import driver, registry\nfrom qlq.errors import QLQError\n"
    "backend = registry.open_backend(sys.argv[1])\nbegan = time.time()\n"
    "try:\n    driver.run(backend, plan, timeout_s=3.0)\n"
    "except QLQError as error:\n    print(type(error).__name__, time.time() - began)\n"
    "backend.close()\nprint(time.time(), flush=True)\n"
)


def plan() -> Plan:
    angles = np.array([[0.0, 0.8], [1.6, 0.8]])
    return Plan(circuit.load("e91"), angles, 60, tags=("b2",))


def in_another_process(script: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split("\n")


def test_another_process_gets_the_identical_shots(start: Start, tmp_path: Path) -> None:
    server = start()
    expected, kept = [], []
    for index, uri in enumerate((GARNET, FORTE)):
        kept.append(tmp_path / f"job{index}.json")
        shots = driver.run(
            registry.open_backend(uri),
            plan(),
            timeout_s=30,
            on_handle=partial(driver.write_handle, path=kept[-1]),
        )
        digest = hashlib.sha256(shots.bits.tobytes()).hexdigest()
        expected.append(f"{digest} {shots.provenance.qubits}")
    assert in_another_process(RESUME, *map(str, kept))[:2] == expected
    assert len(server.emulator.tasks) == 3  # type: ignore[attr-defined]


def test_a_process_ends_within_two_seconds_of_its_deadline(start: Start) -> None:
    start(Fault("POST /quantum-task", Action.STALL, seconds=60.0))
    refused, ended, *_ = in_another_process(STALL, GARNET)
    word, elapsed_s = refused.split()
    assert word == "JobPending"
    assert float(elapsed_s) < 3.0 + 2.0
    exit_s = time.time() - float(ended)
    assert exit_s < 20.0  # the interpreter's own end, on a busy machine; the stall takes 60 s


@pytest.mark.parametrize("path", ["GET /quantum-task/*", "GET /amazon-braket-emulator/*"])
def test_no_call_about_a_job_lasts_beyond_the_deadline(start: Start, path: str) -> None:
    start(Fault(path, Action.STALL, seconds=6.0))
    backend = registry.open_backend(GARNET)
    began = time.monotonic()
    with pytest.raises(JobPending) as caught:
        driver.run(backend, plan(), timeout_s=2.0)
    assert time.monotonic() - began < 2.0 + 2.0
    assert caught.value.job_id.startswith("arn:aws:braket:")

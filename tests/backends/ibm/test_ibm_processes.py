"""Jobs that outlive a process, processes that outlive a silent server, and secrets that stay."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qlq.backends import driver, registry
from qlq.backends.emulator.faults import Action, Fault
from qlq.backends.emulator.server import Server
from qlq.backends.port import Backend
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable

pytestmark = pytest.mark.long

SUBMIT = "POST /experimental/jobs"
CANARY = "canary-4b1d0f8e"

Open = Callable[..., Backend]
MakePlan = Callable[..., Plan]

_HEAD = """
import hashlib, json, logging, sys, time, traceback
import numpy as np
from qlq import circuit
from qlq.backends import driver, registry
from qlq.backends.port import Handle
from qlq.circuit import Plan
from qlq.errors import BackendError, QLQError
asked = json.loads(sys.argv[1])
plan = Plan(circuit.load("bb84"), np.array(asked["rows"]), asked["shots"], tags=("child",))
"""

_RESUME = (
    _HEAD
    + """
logging.basicConfig(level=logging.DEBUG)
backend = registry.open_backend("ibm:ibm_fez")
shots = driver.resume(backend, Handle.from_json(asked["handle"]), plan, timeout_s=30)
print(json.dumps({"bits": hashlib.sha256(shots.bits.tobytes()).hexdigest(),
                  "qubits": shots.provenance.qubits, "date": shots.provenance.calibration["date"]}))
print(repr(backend), backend.describe(), backend.spent(backend.find(asked["tag"])[0]), shots)
for _ in range(2):  # one is refused, of one the answer is lost
    try:
        driver.run(backend, plan, timeout_s=20)
    except QLQError:
        traceback.print_exc()
backend.close()
"""
)

_STALLED = (
    _HEAD
    + """
backend = registry.open_backend("ibm:ibm_fez")
print(time.time(), flush=True)
try:
    driver.run(backend, plan, timeout_s=1.0)
finally:
    backend.close()
"""
)


def child(server: Server, script: str, plan: Plan, **asked: str) -> subprocess.Popen[str]:
    """Another process with nothing of this one but the environment that the emulator prints."""
    asked_all = {"rows": plan.bindings.tolist(), "shots": plan.shots, **asked}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("QISKIT")},
        **server.environment,
        "QISKIT_IBM_RUNTIME_LOG_LEVEL": "DEBUG",
    }
    return subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(asked_all)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_another_process_gets_the_identical_shots_and_shows_no_secret(
    ibm: Any, opened: Open, bb84: MakePlan
) -> None:
    server = ibm(
        Fault(SUBMIT, Action.ANSWER, nth=(2,), status=403, message="no"),
        Fault(SUBMIT, Action.DROP_AFTER, nth=(3,)),
        token=CANARY,
    )
    plan = bb84()
    handles: list[Any] = []
    shots = driver.run(opened(), plan, timeout_s=60, on_handle=handles.append)
    asked = {"handle": handles[0].to_json(), "tag": plan.tags[0]}
    out, err = child(server, _RESUME, plan, **asked).communicate(timeout=60)
    found = json.loads(out.splitlines()[0])
    assert found["bits"] == hashlib.sha256(shots.bits.tobytes()).hexdigest()
    assert tuple(found["qubits"]) == shots.provenance.qubits
    assert found["date"] == shots.provenance.calibration["date"]
    assert server.count(SUBMIT) == 3
    assert "DEBUG" in err, "the client's log was not on"
    assert "refused by IBM" in err
    crn = server.environment["QISKIT_IBM_INSTANCE"]
    for secret in (CANARY, crn, crn.split(":a/")[1], "Bearer ey", "eyJ"):
        assert secret not in out + err


def test_a_process_ends_within_its_deadline_before_a_silent_server(
    ibm: Any, bb84: MakePlan
) -> None:
    server = ibm(Fault("GET /experimental/jobs/*", Action.STALL, seconds=30.0))
    process = child(server, _STALLED, bb84())
    assert process.stdout is not None
    start_s = float(process.stdout.readline())
    _, err = process.communicate(timeout=60)
    assert time.time() - start_s < 1.0 + 2.0
    assert "JobPending" in err


def test_an_emulator_of_its_own_survives_a_client_that_is_cut_off(
    opened: Open, bb84: MakePlan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The thread that took the job has ended when it runs: Qiskit, had that thread imported it,
    # would take the process down.
    fault = {"on": SUBMIT, "nth": [1], "do": "drop-after"}
    script = tmp_path / "faults.json"
    script.write_text(json.dumps({"schema": "qlq.faults/1", "faults": [fault]}))
    command = [Path(sys.executable).with_name("qlq"), "emulator", "ibm", "--faults", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for _ in range(7):
                name, _, value = process.stdout.readline().strip().partition("=")
                monkeypatch.setenv(name.removeprefix("export "), value)
            assert driver.run(opened(), bb84(), timeout_s=30).bits.shape == (8, 200, 1)
            assert process.poll() is None
        finally:
            process.terminate()


def test_without_an_account_the_way_to_one_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("QISKIT_IBM")]:
        monkeypatch.delenv(name)
    saved = "qiskit_ibm_runtime.accounts.management._DEFAULT_ACCOUNT_CONFIG_JSON_FILE"
    monkeypatch.setattr(saved, str(tmp_path / "none.json"))
    with pytest.raises(BackendUnavailable, match=r"QISKIT_IBM_TOKEN.*save_account"):
        registry.open_backend("ibm:least_busy")


def test_an_instance_that_is_not_ours_is_not_repeated_even_in_a_traceback(
    ibm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ibm()
    foreign = "crn:v1:bluemix:public:quantum-computing:us-east:a/deadbeef:c0ffee::"
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", foreign)
    with pytest.raises(BackendUnavailable, match="does not have access") as caught:
        registry.open_backend("ibm:ibm_fez")
    shown = "".join(traceback.format_exception(caught.value))
    assert "does not have access" in shown
    assert "deadbeef" not in shown

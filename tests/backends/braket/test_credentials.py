"""No access key, secret or session token in messages, logs, provenance or representations."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest

from qlq import circuit
from qlq.backends import braket_errors, driver, registry
from qlq.backends.emulator.faults import Action, Fault
from qlq.backends.emulator.server import Server
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable

GARNET = "braket:arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
Start = Callable[..., Server]
KEY = "AKIACANARYCANARYCANA"
SECRET = "canary/secret+0123456789abcdefghijklmno"  # noqa: S105 - a canary, not a secret
TOKEN = "IQoJcanarytoken//////////canary" * 4


def plan() -> Plan:
    return Plan(circuit.load("qrng"), np.zeros((2, 0)), 30, tags=("c4",))


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Puts canaries in place of the credentials that the emulator asks for."""

    def put() -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)

    return put


def test_a_run_with_debug_logs_shows_no_credential(
    start: Start, canaries: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    start(Fault("POST /quantum-task", Action.ANSWER, (1,), status=500))
    canaries()
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):  # loggers that the first run has made are quiet in the second as well
            backend = registry.open_backend(GARNET)
            shots = driver.run(backend, plan(), timeout_s=30)
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "Sending http request" in logged
    shown = f"{logged} {backend!r} {backend.__dict__!r} {shots.provenance!r}"
    for canary in (KEY, SECRET, TOKEN):
        assert canary not in shown


def test_an_error_that_repeats_the_credentials_is_shown_without_them(
    start: Start, canaries: Callable[[], None]
) -> None:
    message = f"the key {KEY} with {SECRET} and {TOKEN} is not valid"
    start(Fault("POST /quantum-task", Action.ANSWER, status=403, message=message))
    canaries()
    with pytest.raises(BackendUnavailable, match="is not valid") as caught:
        driver.run(registry.open_backend(GARNET), plan(), timeout_s=30)
    for canary in (KEY, SECRET, TOKEN):
        assert canary not in str(caught.value)


def test_a_key_that_is_not_ours_is_hidden_by_its_form() -> None:
    said = braket_errors.SECRECY.hidden(
        "user ASIAABCDEFGHIJKLMNOP over http://me:pass@proxy:1 said no"
    )
    assert said == "user [hidden] over http://[hidden]proxy:1 said no"


def test_without_credentials_the_message_says_how_to_set_them(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BackendUnavailable, match="aws configure"):
        registry.open_backend(GARNET)

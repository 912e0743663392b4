"""`qlq backend list` and `qlq backend show`."""

from __future__ import annotations

from typing import Any

import pytest


def test_the_simulators_are_listed_without_opening_them(qlq: Any, document: Any) -> None:
    done = qlq("backend", "list", "--json")
    assert done.returncode == 0, done.stderr
    listed = {line["uri"]: line for line in document(done.stdout, "qlq.backend.list")["backends"]}
    assert listed["aer"]["kind"] == "ideal"
    assert listed["aer:fez"]["kind"] == "noisy"
    assert listed["ibm:least_busy"]["kind"] is None  # an emulator may answer
    assert (listed["aer:fez"]["device"], listed["aer:fez"]["qubits"]) == ("fake_fez", 156)
    assert list(listed) == sorted(listed)


def test_a_device_shows_its_calibration_and_the_chosen_qubits(qlq: Any, document: Any) -> None:
    done = qlq("backend", "show", "aer:fez", "--json")
    assert done.returncode == 0, done.stderr
    found = document(done.stdout, "qlq.backend.show")
    assert (found["device"], found["kind"], found["qubits"]) == ("fake_fez", "noisy", 156)
    (qubit,) = found["qubits_bb84"]
    assert found["qubit_errors"][str(qubit)] == min(found["qubit_errors"].values())
    assert len(found["qubits_e91"]) == 2
    assert sorted(found["qubits_e91"]) in [sorted(p["pair"]) for p in found["pair_errors"]]


@pytest.mark.parametrize(
    ("uri", "told"),
    [("aer:fezz", "did you mean 'fez'"), ("nosuch:x", "nosuch"), ("", "backend URI")],
)
def test_an_unknown_backend_exits_with_2(qlq: Any, document: Any, uri: str, told: str) -> None:
    done = qlq("backend", "show", uri, "--json")
    assert done.returncode == 2
    assert told in document(done.stdout, "qlq.error")["error"]["message"]
    assert "Traceback" not in done.stderr

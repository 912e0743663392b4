"""Calls with a deadline: results, errors, calls that never end, and threads that do not."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from qlq.backends import watchdog
from qlq.backends.port import Stalled

LATER = """
import numpy as np
from qlq.backends import driver, patience, registry
from qlq.circuit import Plan, load

clock = patience.Clock(60)
backend = patience.ask(lambda: registry.open_backend("aer"), clock=clock, what="opening")
shots = driver.run(backend, Plan(load("bb84"), np.zeros((40, 3)), 50), timeout_s=60)
print(shots.bits.sum())
"""


def test_the_result_or_the_error_of_a_call_comes_back() -> None:
    assert watchdog.within(5, lambda: 7, what="seven") == 7
    error = KeyError("x")

    def broken() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        watchdog.within(5, broken, what="broken")
    assert caught.value is error


def test_a_call_that_does_not_end_is_left_behind_and_others_go_on() -> None:
    never = threading.Event()
    started = time.monotonic()
    with pytest.raises(Stalled, match="silence gave no answer within"):
        watchdog.within(0.05, lambda: never.wait(30), what="silence")
    assert watchdog.within(5, lambda: "on", what="next") == "on"
    assert time.monotonic() - started < 2
    never.set()


def test_a_hundred_calls_need_no_hundred_threads() -> None:
    before = threading.active_count()
    names = {watchdog.within(5, threading.get_ident, what="which thread") for _ in range(100)}
    assert len(names) == 1
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_a_deadline_that_is_none_is_refused(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="timeout_s"):
        watchdog.within(timeout_s, lambda: 7, what="seven")


def test_a_simulator_opened_in_one_call_runs_in_a_later_one() -> None:
    """In a process of its own: Qiskit must be imported there for the first time."""
    done = subprocess.run(
        [sys.executable, "-c", LATER], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "0")

"""Calls with a deadline, for vendor clients that have none.

Some clients never time out while they read. A call runs in a daemon thread; when its time is over
the caller goes on and the thread is left behind. It cannot keep the process alive: the
interpreter does not wait for daemon threads, as it would for those of an executor.

Threads that have finished a call wait for the next one and never end: Qiskit, first imported in a
thread that has ended, crashes the process when it is used later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TypeVar

from qlq.backends.port import Stalled

_Result = TypeVar("_Result")
_Calls = SimpleQueue[Callable[[], None]]
_idle: list[_Calls] = []
"""The queues of threads that wait for a call; taking and putting back are atomic."""


def within(timeout_s: float, call: Callable[[], _Result], *, what: str) -> _Result:
    """The result of `call`, or what it raised, if it ends in time.

    Args:
        timeout_s: Seconds to wait, above 0.
        call: Runs in another thread, and may go on there after the deadline: it must own
            whatever it changes.
        what: Names the call in the error's message.

    Raises:
        Stalled: The call did not end in time; what it asked for may still happen.
    """
    if not timeout_s > 0:
        raise ValueError(f"timeout_s must be above 0, not {timeout_s}")
    future = begin(call)
    wait([future], timeout_s)
    if not future.done():
        raise Stalled(f"{what} gave no answer within {timeout_s:.1f} s")
    return future.result()


def begin(call: Callable[[], _Result]) -> Future[_Result]:
    """The future of a call that has begun in another thread, and that nobody can cancel."""
    future: Future[_Result] = Future()
    future.set_running_or_notify_cancel()
    calls = _take_thread()

    def body() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            _idle.append(calls)
            future.set_exception(error)
        else:
            _idle.append(calls)
            future.set_result(result)

    calls.put(body)
    return future


def _take_thread() -> _Calls:
    """The queue of a thread that waits for a call; a new one if all are at work."""
    try:
        return _idle.pop()
    except IndexError:
        calls: _Calls = SimpleQueue()
        threading.Thread(target=_serve, args=(calls,), name="qlq-call", daemon=True).start()
        return calls


def _serve(calls: _Calls) -> None:
    while True:
        calls.get()()

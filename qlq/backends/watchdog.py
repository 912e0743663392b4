"""Calls with a deadline, for vendor clients that have none.

Some clients never time out while they read. A call runs in a daemon thread of its own; when its
time is over the caller goes on and the thread is left behind. It cannot keep the process alive:
the interpreter does not wait for daemon threads, as it would for those of an executor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from qlq.backends.port import Stalled

_Result = TypeVar("_Result")


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
    results: list[_Result] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def body() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=body, name=f"qlq-{what}", daemon=True).start()
    if not done.wait(timeout_s):
        raise Stalled(f"{what} gave no answer within {timeout_s:.1f} s")
    if errors:
        raise errors[0]
    return results[0]

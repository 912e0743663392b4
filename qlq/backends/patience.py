"""How long to wait and how often to ask again: one clock, and calls that end by it.

Vendor clients may wait for ever, and networks fail for a while. `ask` gives every call a deadline
of its own, repeats what may be repeated, and never goes beyond the clock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import stamina

from qlq.backends import watchdog
from qlq.backends.port import AmbiguousSubmit, Stalled, TransientError
from qlq.errors import BackendError, BackendUnavailable, InvariantBroken

_Result = TypeVar("_Result")

# Without a handler of its own Python would print each retry on stderr, in the middle of ours.
logging.getLogger("stamina").addHandler(logging.NullHandler())

CALL_S_MAX = 120.0
"""Longest wait for one answer: lists of devices take seconds, a large result a minute."""
ATTEMPTS_MAX = 8
"""Tries of one call: about 25 seconds of an unreachable server."""
INSIST_ATTEMPTS_MAX = 4
"""Tries of `insist`: about two seconds."""
CLOSE_S_MAX = 1.0
"""Longest wait for a backend that is closed, where nothing depends on it any more."""
_WAIT_INITIAL_S = 0.2
_WAIT_MAX_S = 20.0
_WAIT_LATE_S = 0.5
_WAIT_INSIST_S = 1.0


class NotAsked(Stalled):
    """No time was left for another call: whatever went wrong before is the reason."""


ASK_S_MIN = 0.05
"""With less time than this nobody answers: the deadline is told, not a silence of 0.0 s."""


class Clock:
    """Time since the start, and until the deadline.

    Args:
        timeout_s: Seconds from now to the deadline, above 0.
    """

    def __init__(self, timeout_s: float) -> None:
        """Start now; raises ValueError for a time that is not above 0."""
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0, not {timeout_s}")
        self._start_s = time.monotonic()
        self._timeout_s = timeout_s

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start_s

    def remaining_s(self) -> float:
        """Seconds until the deadline, below 0 after it."""
        return self._timeout_s - self.elapsed_s()


def once(
    call: Callable[[], _Result], *, clock: Clock, what: str, limit_s: float = CALL_S_MAX
) -> _Result:
    """The result of one call that ends within `limit_s` and by the clock.

    Raises:
        Stalled: It gave no answer in time, or no time was left to ask.
    """
    left_s = min(limit_s, clock.remaining_s())
    if left_s <= ASK_S_MIN:
        raise NotAsked(f"{what} was not asked: the deadline has passed")
    return watchdog.within(left_s, call, what=what)


def retry(
    call: Callable[[], _Result], *, clock: Clock, what: str, attempts: int = ATTEMPTS_MAX
) -> _Result:
    """The result of a call that may fail for a while, with jittered exponential pauses.

    Args:
        call: Keeps its own time, for example through `once`.
        clock: No pause and no further try goes beyond it.
        what: Names the call in the error's message.
        attempts: Tries in all.

    Raises:
        BackendUnavailable: Transient errors did not end.
    """

    def pause(error: Exception) -> bool | float:
        if not isinstance(error, TransientError) or clock.remaining_s() <= 0:
            return False
        if clock.remaining_s() > _WAIT_MAX_S:
            return True  # the exponential pause
        return min(_WAIT_LATE_S, clock.remaining_s())

    tries = stamina.retry_context(
        on=pause,
        attempts=attempts,
        timeout=max(0.001, clock.remaining_s()),
        wait_initial=_WAIT_INITIAL_S,
        wait_max=_WAIT_MAX_S,
        wait_jitter=_WAIT_INITIAL_S,
    )
    reason: TransientError | None = None
    try:
        for attempt in tries:
            with attempt:
                try:
                    return call()
                except TransientError as error:
                    if reason is None or not isinstance(error, Stalled):
                        reason = error  # what the vendor said tells more than the deadline's end
                    raise
    except TransientError:
        raise BackendUnavailable(
            f"{what} kept failing for {clock.elapsed_s():.1f} s: {reason}"
        ) from reason
    raise BackendUnavailable(f"{what} was not asked: no attempt was left")


def ask(call: Callable[[], _Result], *, clock: Clock, what: str) -> _Result:
    """The result of a call that may be repeated at will: one that reads, or that changes nothing.

    Raises:
        BackendUnavailable: Transient errors did not end, or there was no answer in time.
    """
    return retry(lambda: once(call, clock=clock, what=what), clock=clock, what=what)


def insist(call: Callable[[], _Result]) -> _Result:
    """The result of one of the many calls that an adapter makes in a method of its own.

    A few tries with short pauses, so that one throttled call of forty does not undo the others.
    What lasts longer is the caller's, who has a clock. A submit whose answer was lost is not
    repeated.
    """

    def passes(error: Exception) -> bool:
        return isinstance(error, TransientError) and not isinstance(error, AmbiguousSubmit)

    for attempt in stamina.retry_context(
        on=passes,
        attempts=INSIST_ATTEMPTS_MAX,
        timeout=None,
        wait_initial=_WAIT_INITIAL_S,
        wait_max=_WAIT_INSIST_S,
        wait_jitter=_WAIT_INITIAL_S,
    ):
        with attempt:
            return call()
    raise InvariantBroken("the last attempt neither returned nor raised")


def part(close: Callable[[], None], *, what: str, limit_s: float = CLOSE_S_MAX) -> None:
    """Close something without waiting long: what hangs or fails is left behind.

    What was to be done with it is done: an error here must not lead to another backend.
    """
    with suppress(TransientError, BackendError):
        watchdog.within(limit_s, close, what=what)

"""Several backends in order of preference: the first that can be used, and why others were left.

Only BackendUnavailable leads to the next one, and the driver raises it only before a job was
accepted: every key comes from one backend. `classical` may be the last choice; it makes no shots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TypeVar

from qlq.backends import patience, registry
from qlq.backends.patience import Clock
from qlq.backends.port import Address, Backend, ChargesWhileOpen
from qlq.backends.registry import Classical
from qlq.errors import BackendUnavailable, ConfigError
from qlq.provenance import Attempt

_Result = TypeVar("_Result")
Choice = Address | Classical
CHOICES_MAX = 16


class Fallback(StrEnum):
    """Whether a key may be made without a quantum backend."""

    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"


def parse(uris: Sequence[str], *, fallback: Fallback) -> tuple[Choice, ...]:
    """The choices that the texts name, in order; opens nothing.

    Raises:
        ConfigError: A text names no backend or one twice, `classical` is not the last of
            several, or it is named although it is forbidden.
    """
    if not 1 <= len(uris) <= CHOICES_MAX:
        raise ConfigError(f"name from 1 to {CHOICES_MAX} backends, not {len(uris)}")
    for uri in uris:
        if uris.count(uri) > 1:
            raise ConfigError(f"backend {uri!r} is named twice")
    choices = tuple(registry.resolve(uri) for uri in uris)
    if any(isinstance(choice, Classical) for choice in choices[:-1]):
        raise ConfigError("'classical' is the last resort: name it after every backend")
    if isinstance(choices[-1], Classical):
        if fallback is Fallback.FORBIDDEN:
            raise ConfigError("--strict forbids 'classical': leave one of them out")
        if len(choices) == 1:
            raise ConfigError(
                "'classical' is no quantum backend: it is accepted after at least one, as in "
                "--backend aer --backend classical"
            )
    return choices


def first(
    choices: Sequence[Choice], use: Callable[[Choice, tuple[Attempt, ...]], _Result]
) -> _Result:
    """What `use` gives for the first choice that can be used.

    Args:
        choices: In order of preference, at least one.
        use: Is given a choice and the attempts before it.

    Raises:
        BackendUnavailable: No choice could be used; the message names each and its reason.
    """
    attempts: tuple[Attempt, ...] = ()
    last: BackendUnavailable | None = None
    for choice in choices:
        try:
            return use(choice, attempts)
        except BackendUnavailable as error:
            if len(choices) == 1:
                raise
            attempts += (Attempt(choice.uri, type(error).__name__, str(error)),)
            last = error
    told = "; ".join(f"{attempt.backend}: {attempt.detail}" for attempt in attempts)
    raise BackendUnavailable(f"none of {len(attempts)} backends can be used: {told}") from last


@contextmanager
def opened(uri: str, *, clock: Clock) -> Iterator[Backend]:
    """The backend of a URI, opened by the clock's deadline and closed in the end.

    Raises:
        ConfigError: The URI names no backend.
        BackendUnavailable: It cannot be used, or did not answer in time.
    """
    backend = patience.ask(lambda: registry.open_backend(uri), clock=clock, what=f"opening {uri}")
    try:
        yield backend
    finally:
        limit_s = patience.CLOSE_S_MAX
        if isinstance(backend, ChargesWhileOpen):
            limit_s = backend.close_s_max
        patience.part(backend.close, what=f"closing {uri}", limit_s=limit_s)

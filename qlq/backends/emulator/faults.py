"""Fault scripts: which requests of an emulator go wrong, and how.

A script is a JSON file:

    {"schema": "qlq.faults/1", "faults": [
      {"on": "POST /*/jobs", "nth": [1, 2], "do": "answer", "status": 500},
      {"on": "GET /*/jobs/*", "nth": [3], "do": "answer", "status": 429, "retry_after_s": 1},
      {"on": "POST /*/jobs", "nth": [1], "do": "drop-after"},
      {"on": "POST /*/jobs", "nth": [1], "do": "fail-job", "reason": "...", "code": 1305}]}

`on` is a method and a pattern of the path without the query, in which `*` stands for any text;
`nth` counts the requests that match, from 1, and is every one of them where it is left out.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from qlq.errors import ConfigError

SCRIPT_BYTES_MAX = 1 << 20
STALL_S_MAX = 600.0


class Action(StrEnum):
    """What happens to a request."""

    ANSWER = "answer"
    """Answered with `status`, `code`, `message` and, if given, a Retry-After header."""
    DROP_BEFORE = "drop-before"
    """The connection is closed and nothing is done."""
    DROP_AFTER = "drop-after"
    """The request is carried out and the connection closed in place of an answer."""
    STALL = "stall"
    """The answer comes `seconds` late."""
    FAIL_JOB = "fail-job"
    """The job that the request submits ends as failed, with `reason` and `code`."""
    CANCEL_JOB = "cancel-job"
    """The job that the request submits ends as cancelled, as by an operator."""
    LOSE_JOB = "lose-job"
    """The job that the request submits is unknown afterwards."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a script.

    Attributes:
        on: `METHOD /path/pattern`.
        do: What happens.
        nth: Which of the matching requests, from 1; empty for all.
        status: HTTP status of an `answer`, 400 to 599.
        retry_after_s: Seconds in the Retry-After header of an `answer`; None for no header.
        code: The vendor's code: Braket's error name, IBM's reason code.
        message: Text of an `answer`.
        reason: Reason of a job that fails.
        seconds: Length of a `stall`, up to 600.
    """

    on: str
    do: Action
    nth: tuple[int, ...] = ()
    status: int = 500
    retry_after_s: float | None = None
    code: str | int | None = None
    message: str = "a fault that was asked for"
    reason: str = "a fault that was asked for"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be carried out; msgspec turns it into a ValidationError."""
        method, _, path = self.on.partition(" ")
        if method not in {"GET", "POST", "PUT", "PATCH", "DELETE"} or not path.startswith("/"):
            raise ValueError(f"'on' must read like 'POST /jobs', not {self.on!r}")
        if not 400 <= self.status <= 599:  # noqa: PLR2004 - HTTP's error statuses
            raise ValueError(f"'status' must be in [400, 599], not {self.status}")
        if not 0 <= self.seconds <= STALL_S_MAX:
            raise ValueError(f"'seconds' must be in [0, {STALL_S_MAX:.0f}], not {self.seconds}")
        if any(count < 1 for count in self.nth):
            raise ValueError(f"'nth' counts from 1: {list(self.nth)}")


class _Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class FaultScript:
    """The faults of one emulator, with how often each pattern has matched so far."""

    faults: tuple[Fault, ...] = ()
    _seen: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_for(self, method: str, path: str) -> Fault | None:
        """The fault of this request, None if it goes well; counts the request."""
        line = f"{method} {path}"
        with self._lock:
            patterns = {f.on for f in self.faults if fnmatchcase(line, f.on)}
            for pattern in patterns:
                self._seen[pattern] = self._seen.get(pattern, 0) + 1
            for fault in self.faults:
                if fault.on in patterns and (not fault.nth or self._seen[fault.on] in fault.nth):
                    return fault
        return None


def read(path: Path) -> FaultScript:
    """The script in a file; raises ConfigError naming the file and what is wrong in it."""
    try:
        with path.open("rb") as file:
            content = file.read(SCRIPT_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the fault script {path}: {error.strerror}") from error
    if len(content) > SCRIPT_BYTES_MAX:
        raise ConfigError(f"the fault script {path} has more than {SCRIPT_BYTES_MAX} bytes")
    return parse(content, name=str(path))


def parse(content: bytes, *, name: str) -> FaultScript:
    """The script in these bytes; raises ConfigError that names it."""
    try:
        script = msgspec.json.decode(content, type=_Script)
    except msgspec.DecodeError as error:
        raise ConfigError(f"not a fault script: {name}: {error}") from error
    if script.schema != "qlq.faults/1":
        raise ConfigError(f"not a fault script: {name}: schema must be qlq.faults/1")
    return FaultScript(script.faults)


def describe(fault: Fault) -> dict[str, Any]:
    """A fault as the server's log shows it."""
    return {"on": fault.on, "do": fault.do.value}

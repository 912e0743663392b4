"""The options of an `ibm:` URI: `qubits`, `mode`, `instance`, `lanes`, `max_execution_time`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from qlq.backends import registry
from qlq.backends.port import Address
from qlq.errors import ConfigError

OPTIONS = ("qubits", "mode", "instance", "lanes", "max_execution_time")
EXECUTION_S_MAX = 10_800
"""Longest job, 3 h. Source: IBM's guide on the maximum execution time."""
SESSION_S_MAX = 3_600
"""A session that nobody closes ends after this; IBM's own limit is eight hours."""
LANES_MAX = 64
"""More copies than any chip has pairs of qubits at a distance."""
_MARGIN = 2.0
_MARGIN_S = 10.0


class Mode(StrEnum):
    """How jobs queue: each alone, in a session that holds the device, or in a batch."""

    JOB = "job"
    SESSION = "session"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Choices:
    """What the options of a URI ask for.

    Attributes:
        qubits: Physical qubits for every plan; None for the best ones of each.
        mode: Job, session or batch.
        instance: Name of the account's instance; None for the account's own choice.
        lanes: Copies of a program that run side by side, each with rows of its own.
        max_execution_s: Seconds of QPU time after which IBM ends a job; None for an estimate
            with margin.
    """

    qubits: tuple[int, ...] | None = None
    mode: Mode = Mode.JOB
    instance: str | None = None
    lanes: int = 1
    max_execution_s: int | None = None

    def execution_s(self, estimate_s: float, *, cap_s: float | None) -> int:
        """Seconds of QPU time after which IBM is to end a job.

        Args:
            estimate_s: What it is expected to take.
            cap_s: What it may take; None for no cap.
        """
        asked = self.max_execution_s
        if asked is None:
            asked = min(EXECUTION_S_MAX, math.ceil(_MARGIN * estimate_s + _MARGIN_S))
        return asked if cap_s is None else min(asked, _whole_s(cap_s, at_least_s=estimate_s))

    def session_s(self, estimate_s: float, *, cap_s: float | None) -> int:
        """Seconds after which IBM is to end a session or batch; a session is charged for them all.

        Args:
            estimate_s: What its first job is expected to take.
            cap_s: What the operator may be charged for; None for no cap.
        """
        if cap_s is None or self.mode is not Mode.SESSION:
            return SESSION_S_MAX
        return min(SESSION_S_MAX, _whole_s(cap_s, at_least_s=estimate_s))

    def uri(self, device: str) -> str:
        """The canonical URI of a device with these options."""
        asked = {
            "qubits": None if self.qubits is None else ",".join(map(str, self.qubits)),
            "mode": None if self.mode is Mode.JOB else self.mode.value,
            "instance": self.instance,
            "lanes": None if self.lanes == 1 else self.lanes,
            "max_execution_time": self.max_execution_s,
        }
        parts = "&".join(f"{key}={value}" for key, value in asked.items() if value is not None)
        return f"ibm:{device}" + (f"?{parts}" if parts else "")


def _whole_s(cap_s: float, *, at_least_s: float) -> int:
    """A cap in IBM's whole seconds, rounded down, but not below what was agreed to."""
    return max(1, math.floor(cap_s), math.ceil(at_least_s))


def parse(address: Address) -> Choices:
    """The options of a URI; raises ConfigError that names the value."""
    registry.check_options(address, known=OPTIONS)
    options = address.options
    mode, instance = options.get("mode", "job"), options.get("instance")
    modes = [one.value for one in Mode]
    if mode not in modes:
        hint = registry.nearest(mode, modes)
        raise ConfigError(f"unknown mode {mode!r} in {address.uri!r}; {hint}")
    if instance is not None and instance.lower().startswith("crn"):
        raise ConfigError(
            "instance= takes the name of an instance: a resource name (CRN) belongs into "
            "QISKIT_IBM_INSTANCE or the saved account, not into a URI that is shown and kept"
        )
    seconds = options.get("max_execution_time")
    if seconds is not None and not (seconds.isdecimal() and 1 <= int(seconds) <= EXECUTION_S_MAX):
        raise ConfigError(
            f"max_execution_time={seconds!r} must be whole seconds in [1, {EXECUTION_S_MAX}]"
        )
    lanes = options.get("lanes", "1")
    if not (lanes.isdecimal() and 1 <= int(lanes) <= LANES_MAX):
        raise ConfigError(f"lanes={lanes!r} must be a whole number in [1, {LANES_MAX}]")
    return Choices(
        qubits=registry.qubits_option(address),
        mode=Mode(mode),
        instance=instance,
        lanes=int(lanes),
        max_execution_s=None if seconds is None else int(seconds),
    )

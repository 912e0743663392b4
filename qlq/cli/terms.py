"""Options of every command that may spend money or time on a backend."""

from __future__ import annotations

import math
import sys
import time
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qlq.node.consent import Consent

_STARTED_S = time.monotonic()
"""The moment this module was loaded: before any heavy import."""


class Answer(Enum):
    """Who answers a question about money."""

    ASK = "ask"
    """The operator, on a terminal."""
    YES = "yes"
    """`--yes`."""


MaxCost = Annotated[
    str | None, typer.Option("--max-cost", help="Most money to spend, in the price's currency.")
]
MaxQpuSeconds = Annotated[
    float | None, typer.Option("--max-qpu-seconds", help="Most seconds of a QPU to spend.")
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Answer the question with yes; caps still hold.")
]
Deadline = Annotated[
    float | None, typer.Option("--deadline", help="Seconds until the command must end.")
]


def consent(*, max_cost: str | None, max_qpu_seconds: float | None, answer: Answer) -> Consent:
    """What the operator allows: caps, and who answers when they leave it open.

    Raises:
        ConfigError: A cap is no amount.
    """
    from qlq.errors import ConfigError
    from qlq.node.consent import Caps, Consent, say_yes

    try:
        cost = None if max_cost is None else Decimal(max_cost)
        caps = Caps(cost, max_qpu_seconds)
    except (InvalidOperation, ValueError) as error:
        given = f"--max-cost is not an amount: {max_cost!r}"
        raise ConfigError(given if isinstance(error, InvalidOperation) else str(error)) from error
    if answer is Answer.YES:
        return Consent(caps, say_yes)
    return Consent(caps, _ask if sys.stdin.isatty() and sys.stderr.isatty() else None)


def _ask(question: str) -> bool:
    """Put the question on stderr: stdout is for the document."""
    return typer.confirm(question, err=True)


def time_left(deadline: float | None, *, default_s: float | None = None) -> float:
    """Seconds until a command must end; a given deadline counts from the start of the process.

    Args:
        deadline: As the operator gave it; None if he did not.
        default_s: Seconds without a deadline; None for those of a question to a vendor.

    Raises:
        ConfigError: It is not above 0.
        BackendUnavailable: It has passed already.
    """
    from qlq.errors import BackendUnavailable, ConfigError

    if deadline is None:
        from qlq.node import planning

        return planning.COMMAND_S if default_s is None else default_s
    if not 0 < deadline < math.inf:
        raise ConfigError(f"the deadline must be above 0 seconds: {deadline}")
    left_s = deadline - (time.monotonic() - _STARTED_S)
    if left_s <= 0:
        raise BackendUnavailable(
            f"the deadline of {deadline:g} s has passed while this program started: give it more"
        )
    return left_s

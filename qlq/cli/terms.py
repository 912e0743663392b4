"""Options of every command that may spend money or time on a backend."""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qlq.node.consent import Consent

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


def consent(*, max_cost: str | None, max_qpu_seconds: float | None, yes: bool) -> Consent:
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
    if yes:
        return Consent(caps, say_yes)
    return Consent(caps, _ask if sys.stdin.isatty() and sys.stderr.isatty() else None)


def _ask(question: str) -> bool:
    """Put the question on stderr: stdout is for the document."""
    return typer.confirm(question, err=True)


def check_deadline(deadline: float | None) -> float:
    """The seconds a command may take; raises ConfigError for a deadline that is none."""
    from math import inf

    from qlq.errors import ConfigError
    from qlq.node.planning import COMMAND_S

    if deadline is None:
        return COMMAND_S
    if not 0 < deadline < inf:
        raise ConfigError(f"the deadline must be above 0 seconds: {deadline}")
    return deadline

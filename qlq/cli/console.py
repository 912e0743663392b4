"""What every command shares: documents on stdout, words on stderr, exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

EXIT_OK = 0
EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_ABORTED = 3
EXIT_BACKEND = 4
EXIT_EXHAUSTED = 5
EXIT_BUDGET = 6
EXIT_INTEGRITY = 7
EXIT_INTERRUPTED = 130

WIDTH_WITHOUT_TERMINAL = 1000
"""Columns of a table that goes to a file or a pipe: enough that no id is cut off."""


class Output(Enum):
    """How a command shows its result."""

    TABLE = "table"
    JSON = "json"


class State:
    """What the global options said; set once, before the command runs."""

    verbose = False
    quiet = False
    home: str | None = None
    profile: str | None = None
    document_schema: str | None = None


def document(schema: str, fields: dict[str, Any]) -> None:
    """Print the one JSON document of a command on stdout."""
    sys.stdout.write(json.dumps({"schema": schema, **fields}, indent=2) + "\n")


def tell(text: str) -> None:
    """A line of progress or advice for people, on stderr."""
    if not State.quiet:
        sys.stderr.write(text + "\n")


def out() -> Console:
    """A console for tables on stdout; plain where stdout is no terminal or NO_COLOR is set."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(width=width, soft_wrap=width is not None, highlight=False)


def table(fields: dict[str, Any]) -> None:
    """The fields of a document for people, one a line."""
    from rich.table import Table

    rows = Table(show_header=False)
    for name, value in fields.items():
        rows.add_row(name.replace("_", " "), _words(name, value))
    out().print(rows)


def _words(name: str, value: Any) -> str:
    """A field's value for people: rates in percent, money with its source, a dash for nothing."""
    if value is None or value in ([], ""):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        is_rate = "qber" in name or "probability" in name
        return f"{value:.2%}" if is_rate else f"{value:.4g}"
    if isinstance(value, dict):
        return _money(value) if "amount" in value else _listed(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _money(cost: dict[str, Any]) -> str:
    amount = "unknown" if cost["amount"] is None else f"{cost['amount']} {cost['currency']}"
    origin = ", ".join(str(cost[key]) for key in ("source", "date") if cost.get(key))
    return f"{amount} ({origin})" if origin else amount


def _listed(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_words(name, v)}" for name, v in fields.items())


def exit_code(error: BaseException) -> int:
    """The documented exit code of an error."""
    from qlq import errors

    table: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int], ...] = (
        (KeyboardInterrupt, EXIT_INTERRUPTED),
        (errors.BudgetRefused, EXIT_BUDGET),
        (errors.ConfigError, EXIT_USAGE),
        (errors.ProtocolAbort, EXIT_ABORTED),
        (errors.BackendError, EXIT_BACKEND),
        ((errors.KeysExhausted, errors.EntropyRefused), EXIT_EXHAUSTED),
        (
            (
                *(errors.KeyStoreDamaged, errors.ArchiveInvalid, errors.LedgerDamaged),
                *(errors.CryptoError, errors.InvalidPulse, errors.InvalidProof),
                *(errors.InvalidBlock, errors.InvalidCertificate),
            ),
            EXIT_INTEGRITY,
        ),
        ((errors.KeyStoreError, errors.LedgerError, errors.InvalidTransaction), EXIT_USAGE),
        (errors.ContractError, EXIT_USAGE),
        (OSError, EXIT_USAGE),  # a full disk, a folder that has gone
    )
    for kinds, code in table:
        if isinstance(error, kinds):
            return code
    return EXIT_BUG


def schema_of(tree: object, arguments: list[str]) -> str:
    """The schema of the document that a command line prints: `qlq.<command>/1`."""
    here = tree
    path = []
    for word in arguments:
        inside = getattr(here, "commands", {})
        if word in inside:
            path.append(word)
            here = inside[word]
    return f"qlq.{'.'.join(path) or 'error'}/1"


def name_value(error: BaseException, arguments: list[str]) -> None:
    """Add the value to the message about an option that typer cannot convert."""
    names = getattr(getattr(error, "param", None), "opts", None) or ()
    for index, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in names and (equals or index + 1 < len(arguments)):
            value = value if equals else arguments[index + 1]
            message = str(getattr(error, "message", ""))
            if repr(value) not in message:
                error.message = f"{value!r}: {message}"  # type: ignore[attr-defined]
            return


def document_usage(error: BaseException) -> None:
    """Print the document of a command line that typer itself refuses, if one is wanted."""
    from typer.exceptions import TyperException

    if State.document_schema is not None and isinstance(error, TyperException):
        fields = {"error": {"kind": "UsageError", "message": error.format_message()}}
        document(State.document_schema, fields)


@contextmanager
def interruptible() -> Iterator[None]:
    """Around work that Ctrl-C leaves behind: says how it goes on, which typer would swallow."""
    import typer

    try:
        yield
    except KeyboardInterrupt as error:
        raise typer.Exit(report(error)) from error


def report(error: BaseException) -> int:
    """Say what went wrong, without a traceback, and return the exit code."""
    code = exit_code(error)
    notes = getattr(error, "__notes__", [])
    message = "; ".join([str(error) or "interrupted", *notes])
    if State.document_schema is not None:
        fields = {"error": {"kind": type(error).__name__, "message": message}}
        document(State.document_schema, fields)
    if code == EXIT_INTERRUPTED:
        sys.stderr.write(f"{message}\n")
    elif code == EXIT_BUG:
        sys.stderr.write(f"bug in QLQ: {type(error).__name__}: {message} (-v shows where)\n")
    else:
        sys.stderr.write(f"error: {message}\n")
    if State.verbose:
        import traceback

        traceback.print_exception(error)
    return code

"""What commands of accounts share: the passphrase, and how a transaction is shown."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from qlq.cli import console, qkd

Home = Annotated[str | None, typer.Option(help="Folder of the wallet and the ledger.")]
Json = qkd.Json


def passphrase() -> str:
    """The wallet's passphrase: `QLQ_PASSPHRASE`, else an answered question.

    Raises:
        ConfigError: Neither is possible.
    """
    from qlq.errors import ConfigError

    given = _environment("QLQ_PASSPHRASE")
    if given is not None:
        return given
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError("a wallet needs a passphrase: set QLQ_PASSPHRASE, or use a terminal")
    return str(typer.prompt("Passphrase of the wallet", hide_input=True, err=True))


def new_passphrase() -> str:
    """A passphrase for a new wallet, typed twice where it is typed."""
    if _environment("QLQ_PASSPHRASE") is not None or not sys.stdin.isatty():
        return passphrase()
    question = "Passphrase for the new wallet"
    return str(typer.prompt(question, hide_input=True, confirmation_prompt=True, err=True))


def replacement() -> str:
    """The passphrase that takes the place of the present one, typed twice.

    Raises:
        ConfigError: There is no terminal.
    """
    from qlq.errors import ConfigError

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError("a new passphrase is typed: use a terminal")
    return str(typer.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True))


def confirm(question: str, *, yes: bool) -> None:
    """Return if the operator agrees to what cannot be undone.

    Raises:
        BudgetRefused: He does not, or there is nobody to ask.
    """
    from qlq.errors import BudgetRefused

    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BudgetRefused(f"nobody is here to ask, --yes answers: {question}")
    if not typer.confirm(question, err=True):
        raise BudgetRefused("nothing was changed: the answer was no")


def _environment(name: str) -> str | None:
    from qlq import config

    return config.environment().get(name)


def show_sent(schema: str, document: dict[str, Any], *, output: console.Output) -> None:
    """A transaction that is in a block; exits with 2 if it had no effect."""
    if output is console.Output.JSON:
        console.document(schema, document)
    else:
        console.table(for_people(document))
        if document["tx_id"] is not None:
            console.tell(f"Next: qlq ledger prove {document['tx_id']} -o proof.json")
    if document.get("status") == "failed":
        console.tell(
            f"error: {document['reason']}: the transaction is in block {document['height']}, has "
            "used its nonce, and changed nothing else"
        )
        raise typer.Exit(console.EXIT_USAGE)


def for_people(document: dict[str, Any]) -> dict[str, Any]:
    """The fields that have a value, the seal as one line."""
    seal = document.get("sealed_with")
    shown = {name: value for name, value in document.items() if value is not None}
    if seal is not None:
        parts = [seal["kind"], seal["key_id"], seal["claim"]]
        shown["sealed_with"] = ", ".join(part for part in parts if part)
    return shown


def output(*, json: bool) -> console.Output:
    """How a command shows its result."""
    return console.Output.JSON if json else console.Output.TABLE

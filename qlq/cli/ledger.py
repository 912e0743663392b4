"""`qlq ledger`: the chain of this home."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from qlq.cli import console, purse, settings

app = typer.Typer(help="The chain of this home.", no_args_is_help=True, rich_markup_mode=None)

SCHEMA_INIT = "qlq.ledger.init/1"
SCHEMA_STATUS = "qlq.ledger.status/1"
SCHEMA_TX = "qlq.ledger.tx/1"
SCHEMA_BLOCK = "qlq.ledger.block/1"
SCHEMA_ENROL = "qlq.ledger.enrol/1"

TransactionId = Annotated[
    str, typer.Argument(help="Id of the transaction, 64 hexadecimal digits, or: last.")
]


class PolicyName(StrEnum):
    """What keeps the ledger from being flooded."""

    QUOTAS = "quotas"
    FEES = "fees"


@app.command()
def init(
    *,
    name: Annotated[str, typer.Option(help="Name of the chain, for people.")] = "qlq",
    policy: Annotated[
        PolicyName,
        typer.Option(help="quotas: accounts are enrolled; fees: whoever can pay may send."),
    ] = PolicyName.QUOTAS,
    native: Annotated[
        str, typer.Option(help="QLQ that this node's account has at the beginning.")
    ] = "0",
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Begin the ledger of this home, with this node as validator and administrator."""
    console.State.document_schema = SCHEMA_INIT if json else None
    from qlq.ledger import amounts, genesis
    from qlq.node import certifying, chains, chronicle

    found = settings.load(home=home)
    chains.need_none(found)
    units = 0 if native == "0" else amounts.parse(native, genesis.NATIVE_DECIMALS)
    rules = genesis.FEES if policy is PolicyName.FEES else genesis.QUOTAS
    beacon = certifying.open_signer(found).verifying_key
    beginning = chains.Beginning(name, rules, genesis.Limits(), beacon, units)
    chains.begin(beginning, found)
    with chains.opened(found) as validator:
        show(SCHEMA_INIT, chronicle.status(validator), output=purse.output(json=json))
    console.tell("Next: qlq wallet new NAME, then qlq asset define SYMBOL --owner NAME")


@app.command()
def status(*, home: purse.Home = None, json: purse.Json = False) -> None:
    """Show where the chain stands, and its rules."""
    console.State.document_schema = SCHEMA_STATUS if json else None
    from qlq.node import chains, chronicle

    with chains.opened(settings.load(home=home)) as validator:
        show(SCHEMA_STATUS, chronicle.status(validator), output=purse.output(json=json))


@app.command()
def tx(
    transaction: TransactionId,
    *,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="New file for its signed bytes, which are not shown."),
    ] = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Show a transaction: what it did, how it was sealed, what came of it."""
    console.State.document_schema = SCHEMA_TX if json else None
    from qlq.node import chains, chronicle, proof_files

    found = settings.load(home=home)
    wanted = chronicle.resolve(transaction, found)
    if out is not None:
        proof_files.write_entry(out, found, wanted)
    with chains.opened(found) as validator:
        show(SCHEMA_TX, chronicle.show(validator, wanted), output=purse.output(json=json))


@app.command()
def block(
    height: Annotated[int, typer.Argument(help="Height, from 1.")],
    *,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Show a final block: header, transactions, certificate."""
    console.State.document_schema = SCHEMA_BLOCK if json else None
    from qlq.node import chains, chronicle

    with chains.opened(settings.load(home=home)) as validator:
        show(SCHEMA_BLOCK, chronicle.block(validator, height), output=purse.output(json=json))


@app.command()
def enrol(
    account: Annotated[str, typer.Argument(help="Address, or name of an account of this home.")],
    *,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Let an account send and receive, where the chain has quotas and this node administers it."""
    console.State.document_schema = SCHEMA_ENROL if json else None
    from qlq.node import wallets

    document = wallets.enrol(account, settings.load(home=home))
    purse.show_sent(SCHEMA_ENROL, document, output=purse.output(json=json))


def show(schema: str, document: dict[str, Any], *, output: console.Output) -> None:
    """A document of the ledger, for scripts or for people."""
    if output is console.Output.JSON:
        console.document(schema, document)
        return
    console.table({name: _lines(value) for name, value in document.items() if value is not None})


def _lines(value: Any) -> Any:
    """A field's value, one line for each part of a list; parts of parts as JSON."""
    import json

    if isinstance(value, str | int) or not value:
        return value
    if isinstance(value, list):
        return "\n".join(part if isinstance(part, str) else json.dumps(part) for part in value)
    return json.dumps(value, indent=1)

"""`qlq ledger snapshot`, `restore`, `export`, `repair`, `recover`: damage, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qlq.cli import console, ledger, ledger_proofs, purse, settings

SCHEMA_SNAPSHOT = "qlq.ledger.snapshot/1"
SCHEMA_RESTORE = "qlq.ledger.restore/1"
SCHEMA_EXPORT = "qlq.ledger.export/1"
SCHEMA_REPAIR = "qlq.ledger.repair/1"
SCHEMA_RECOVER = "qlq.ledger.recover/1"

NewFile = Annotated[Path, typer.Argument(help="New file.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `qlq ledger`."""
    app.command()(snapshot)
    app.command()(restore)
    app.command()(export)
    app.command()(repair)
    app.command()(recover)


def snapshot(file: NewFile, *, home: purse.Home = None, json: purse.Json = False) -> None:
    """Copy the state after the last block, for this chain's validators."""
    console.State.document_schema = SCHEMA_SNAPSHOT if json else None
    from qlq.node import copies

    made = copies.snapshot(settings.load(home=home), file)
    ledger.show(SCHEMA_SNAPSHOT, made, output=purse.output(json=json))
    console.tell("It opens with this node's keys: keep ledger/identity.sealed, node.sealed too")


def restore(
    file: Annotated[Path, typer.Argument(help="Snapshot.")],
    *,
    chain: ledger_proofs.Chain = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Begin the ledger of an empty home that has the node's keys: equal roots, or nothing."""
    console.State.document_schema = SCHEMA_RESTORE if json else None
    from qlq.node import copies

    made = copies.restore(settings.load(home=home), file, chain=ledger_proofs.chain_id(chain))
    ledger.show(SCHEMA_RESTORE, made, output=purse.output(json=json))


def export(
    file: NewFile,
    *,
    first: Annotated[int | None, typer.Option(min=1, help="First block; the first here.")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Last block; the last here.")] = None,
    headers: Annotated[
        bool, typer.Option("--headers", help="All headers instead, clear, for anybody to verify.")
    ] = False,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Copy blocks for this chain's validators, or with --headers what anybody can verify."""
    console.State.document_schema = SCHEMA_EXPORT if json else None
    from qlq.errors import ConfigError
    from qlq.node import chains, copies

    if headers and (first, last) != (None, None):
        raise ConfigError("--headers copies all of them: leave --first and --last out")
    with chains.opened(settings.load(home=home)) as validator:
        store = validator.store
        if headers:
            made = copies.write_headers(store, file)
        else:
            begin = store.base_height + 1 if first is None else first
            end = store.height() if last is None else last
            made = copies.write_export(store, validator.state, file, first=begin, last=end)
    ledger.show(SCHEMA_EXPORT, made, output=purse.output(json=json))


def repair(
    *,
    source: Annotated[
        Path | None, typer.Option("--from", help="Snapshot or export to take what is damaged from.")
    ] = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Make the ledger whole again from what is sound; the damaged file is kept aside."""
    console.State.document_schema = SCHEMA_REPAIR if json else None
    from qlq.node import repairing

    done = repairing.repair(settings.load(home=home), source)
    ledger.show(SCHEMA_REPAIR, done, output=purse.output(json=json))


def recover(
    *,
    drop_unfinished: Annotated[
        bool,
        typer.Option(
            "--drop-unfinished", help="Give up a block that was voted on, not reported, and lost."
        ),
    ] = False,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Take up the block that a crash interrupted, or say why it cannot be."""
    console.State.document_schema = SCHEMA_RECOVER if json else None
    from qlq.node import recovering
    from qlq.node.recovering import Unfinished

    wish = Unfinished.DROP if drop_unfinished else Unfinished.KEEP
    done = recovering.recover(settings.load(home=home), unfinished=wish)
    ledger.show(SCHEMA_RECOVER, done, output=purse.output(json=json))

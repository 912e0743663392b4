"""`qlq ledger anchor`, `attach`, `fetch`, `purge`, `pulse`: what is on the chain beside assets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from qlq.cli import console, ledger, purse, settings

SCHEMA_ANCHOR = "qlq.ledger.anchor/1"
SCHEMA_ATTACH = "qlq.ledger.attach/1"
SCHEMA_FETCH = "qlq.ledger.fetch/1"
SCHEMA_PURGE = "qlq.ledger.purge/1"
SCHEMA_PULSE = "qlq.ledger.pulse/1"

Source = Annotated[
    str | None,
    typer.Option("--from", help="Account of this home; without it, the node's own account."),
]
Commitment = Annotated[str, typer.Argument(help="As `attach` printed it, 64 hexadecimal digits.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `qlq ledger`."""
    app.command()(anchor)
    app.command()(attach)
    app.command()(fetch)
    app.command()(purge)
    app.command()(pulse)


def anchor(
    path: Annotated[
        Path, typer.Argument(help="File, or folder of a QKD session or of a certificate.")
    ],
    *,
    source: Source = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Put the digest of a session, a certificate or a document on the chain."""
    console.State.document_schema = SCHEMA_ANCHOR if json else None
    from qlq.node import anchoring

    document = anchoring.anchor(path, _purse(source), settings.load(home=home), console.tell)
    purse.show_sent(SCHEMA_ANCHOR, document, output=purse.output(json=json))


def attach(
    file: Annotated[Path, typer.Argument(help="File whose bytes stay outside the chain.")],
    *,
    source: Source = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Commit to a file's bytes on the chain, and keep them sealed outside, where they can go."""
    console.State.document_schema = SCHEMA_ATTACH if json else None
    from qlq.node import attachments

    document = attachments.attach(file, _purse(source), settings.load(home=home), console.tell)
    purse.show_sent(SCHEMA_ATTACH, document, output=purse.output(json=json))


def fetch(
    commitment: Commitment,
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="New file for the data.")],
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Write data outside the chain to a file, after holding them against their commitment."""
    console.State.document_schema = SCHEMA_FETCH if json else None
    from qlq.node import attachments

    done = attachments.fetch(commitment, out, settings.load(home=home))
    ledger.show(SCHEMA_FETCH, done, output=purse.output(json=json))


def purge(commitment: Commitment, *, home: purse.Home = None, json: purse.Json = False) -> None:
    """Destroy data outside the chain, and their salt; the commitment on it tells nothing then."""
    console.State.document_schema = SCHEMA_PURGE if json else None
    from qlq.node import attachments

    done = attachments.purge(commitment, settings.load(home=home))
    ledger.show(SCHEMA_PURGE, done, output=purse.output(json=json))


def pulse(*, home: purse.Home = None, json: purse.Json = False) -> None:
    """Put this home's beacon pulses on the chain, those that it does not have yet."""
    console.State.document_schema = SCHEMA_PULSE if json else None
    from qlq.node import publishing

    done = publishing.publish(settings.load(home=home))
    if json:
        console.document(SCHEMA_PULSE, done)
        return
    count = len(done["published"])
    shown = {
        "file": done["file"],
        "published": count,
        "latest round": done["round"],
        "latest round of contracts": done["contract_round"],
    }
    ledger.show(SCHEMA_PULSE, shown, output=console.Output.TABLE)
    if late := sum(one["contract_round"] is None for one in done["published"]):
        console.tell(
            f"{late} of them bring contracts no round: a round takes a pulse that was made after "
            "the block of the round before"
        )


def _purse(source: str | None) -> Any:
    from qlq.node.wallets import Purse

    return None if source is None else Purse(source, purse.passphrase)

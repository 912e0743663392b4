"""`qlq keys`: what the key stores hold, never the keys."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from qlq.cli import console, qkd, settings

app = typer.Typer(help="Stored keys.", no_args_is_help=True, rich_markup_mode=None)

SCHEMA_LIST = "qlq.keys.list/1"
DAY_S = 86_400
HOUR_S = 3_600
KEY_ID_CHARACTERS = 36


class Owner(StrEnum):
    """Whose store is looked at."""

    ALICE = "alice"
    BOB = "bob"


@app.callback()
def _group() -> None:
    """Stored keys: ids, bits, claims and ages, never their bytes."""


@app.command("list")
def list_keys(
    *,
    party: Annotated[
        Owner | None, typer.Option(help="Whose store; without it, both parties'.")
    ] = None,
    home: Annotated[str | None, typer.Option(help="Folder of keys and jobs.")] = None,
    json: qkd.Json = False,
) -> None:
    """List stored keys, oldest first; exits with 7 if a store has been changed."""
    console.State.document_schema = SCHEMA_LIST if json else None
    from qlq.node import holdings

    found = settings.load(home=home)
    rows = [
        {"party": owner.value, **row}
        for owner in ([party] if party else Owner)
        for row in holdings.describe_keys(found, owner.value)
    ]
    if json:
        console.document(SCHEMA_LIST, {"home": str(found.home), "keys": rows})
    elif rows:
        _print(rows)
    else:
        console.out().print("No keys yet.")
        console.tell("Next: qlq qkd run makes one")


def _print(rows: list[dict[str, Any]]) -> None:
    """The same for people."""
    from rich.table import Column, Table

    key_id = Column("key id", no_wrap=True, min_width=KEY_ID_CHARACTERS)
    table = Table("party", key_id, "bits", "state", "age", "claim")
    for row in rows:
        table.add_row(
            row["party"],
            row["key_id"],
            str(row["bits"]),
            row["state"],
            _age(row["age_s"]),
            row["claim"],
        )
    console.out().print(table)


def _age(age_s: int) -> str:
    """An age in its largest fitting unit."""
    for unit_s, unit in ((DAY_S, "d"), (HOUR_S, "h"), (60, "min")):
        if age_s >= 2 * unit_s:
            return f"{age_s // unit_s} {unit}"
    return f"{age_s} s"

"""`qlq keys`: what the key stores hold, never the keys."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlq.cli import console, settings

if TYPE_CHECKING:
    from qlq.config import Settings
    from qlq.kme.store import KeyRow

app = typer.Typer(help="Stored keys.", no_args_is_help=True)

SCHEMA_LIST = "qlq.keys.list/1"
DAY_S = 86_400
HOUR_S = 3_600


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
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout.")
    ] = False,
) -> None:
    """List stored keys, oldest first; exits with 7 if a store has been changed."""
    console.State.document_schema = SCHEMA_LIST if json else None
    import time

    found = settings.load(home=home)
    now_s = int(time.time())
    rows = [
        _line(owner, row, now_s)
        for owner in ([party] if party else Owner)
        for row in _rows(found, owner)
    ]
    if json:
        console.document(SCHEMA_LIST, {"home": str(found.home), "keys": rows})
    elif rows:
        _print(rows)
    else:
        console.out().print("No keys yet.")
        console.tell("Next: qlq qkd run makes one")


def _rows(found: Settings, owner: Owner) -> tuple[KeyRow, ...]:
    """A party's keys; none, and nothing created, where there is no store."""
    from qlq.kme import master, store
    from qlq.kme.database import FILE

    folder = found.home / "parties" / owner.value
    if not (folder / FILE).exists():
        return ()
    key = master.obtain(
        passphrase=found.passphrase,
        data_folder=found.home,
        settings_folder=found.settings_folder,
    )
    with store.KeyStore(folder, key) as opened:
        return opened.list()


def _line(owner: Owner, row: KeyRow, now_s: int) -> dict[str, Any]:
    """What a document says of one key."""
    key = row.description
    return {
        "party": owner.value,
        "key_id": key.key_id,
        "peer": key.peer,
        "bits": key.length_bits,
        "state": row.state.value,
        "age_s": max(0, now_s - key.added_s),
        "claim": key.worth.claim.label,
        "secret_against": list(key.worth.secret_against),
        "entropy_cap_bits": key.worth.entropy_cap_bits,
        "eps_sec": key.eps_sec,
        "eps_cor": key.eps_cor,
        "eps_auth": key.eps_auth,
        "tier": key.provenance.tier.value,
        "backend": key.provenance.backend,
        "device": key.provenance.device,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    """The same for people."""
    from rich.table import Table

    table = Table("party", "key id", "bits", "state", "age", "claim", "device")
    for row in rows:
        table.add_row(
            row["party"],
            row["key_id"],
            str(row["bits"]),
            row["state"],
            _age(row["age_s"]),
            row["claim"],
            row["device"],
        )
    console.out().print(table)


def _age(age_s: int) -> str:
    """An age in its largest fitting unit."""
    for unit_s, unit in ((DAY_S, "d"), (HOUR_S, "h"), (60, "min")):
        if age_s >= 2 * unit_s:
            return f"{age_s // unit_s} {unit}"
    return f"{age_s} s"

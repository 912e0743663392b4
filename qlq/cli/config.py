"""`qlq config`: settings and where each came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qlq.cli import console, qkd, settings

if TYPE_CHECKING:
    from qlq.config import Settings

app = typer.Typer(help="Settings.", no_args_is_help=True, rich_markup_mode=None)

SCHEMA_SHOW = "qlq.config.show/1"


@app.callback()
def _group() -> None:
    """Settings: flag, then QLQ_* environment, then profile, then qlq.toml, then default."""


@app.command()
def show(
    *,
    origin: Annotated[
        bool, typer.Option("--origin", help="Also say where each value came from.")
    ] = False,
    home: Annotated[str | None, typer.Option(help="Folder of keys and jobs.")] = None,
    json: qkd.Json = False,
) -> None:
    """Show the settings in effect; a passphrase is never shown, only whether there is one."""
    console.State.document_schema = SCHEMA_SHOW if json else None
    found = settings.load(home=home)
    values = _values(found)
    if json:
        fields = {
            name: {"value": value, "origin": found.origins[name].value}
            for name, value in values.items()
        }
        console.document(
            SCHEMA_SHOW,
            {
                "file": str(found.file),
                "settings_folder": str(found.settings_folder),
                "settings": fields,
            },
        )
        return
    from rich.table import Table

    table = Table("setting", "value", *(["origin"] if origin else []))
    for name, value in values.items():
        row = [name, "not set" if value is None else value]
        table.add_row(*row, *([found.origins[name].value] if origin else []))
    console.out().print(table)
    console.tell(f"File: {found.file}" + ("" if found.file.is_file() else " (not there)"))


def _values(found: Settings) -> dict[str, str | None]:
    """What may be shown of each setting."""
    return {
        "home": str(found.home),
        "backend": found.backend,
        "passphrase": None if found.passphrase is None else "set",
    }

"""`qlq doctor`: what is installed, what is missing, and how to get it."""

from __future__ import annotations

from typing import Any

import typer

from qlq.cli import console, qkd, settings

SCHEMA = "qlq.doctor/1"


def doctor(*, json: qkd.Json = False) -> None:
    """Versions, extras, folders, a loopback port; exits with 2 if something cannot be used."""
    console.State.document_schema = SCHEMA if json else None
    from qlq.node import health

    found: list[dict[str, Any]] = health.examine(settings.load())
    if json:
        console.document(SCHEMA, {"healthy": all(c["ok"] for c in found), "checks": found})
    else:
        out = console.out()
        for line in found:
            mark = "ok  " if line["ok"] else "FAIL"
            advice = f"  -> {line['advice']}" if line["advice"] else ""
            out.print(f"{mark} {line['name']}: {line['value']}{advice}", markup=False)
    if not all(line["ok"] for line in found):
        raise typer.Exit(console.EXIT_USAGE)

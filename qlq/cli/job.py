"""`qlq job`: jobs that outlive the command which submitted them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from qlq.cli import console, qkd, settings, terms

app = typer.Typer(help="Paid jobs on record.", no_args_is_help=True, rich_markup_mode=None)

SCHEMA_LIST = "qlq.job.list/1"
SCHEMA_SHOW = "qlq.job.show/1"
SCHEMA_RESUME = "qlq.job.resume/1"
SCHEMA_CANCEL = "qlq.job.cancel/1"

Home = Annotated[str | None, typer.Option(help="Folder of keys and jobs.")]
JobId = Annotated[str, typer.Argument(help="Id of the record, as qlq job list shows it.")]
Archive = Annotated[
    Path | None, typer.Option(help="Folder for the archive, in place of the one that was ordered.")
]


@app.command("list")
def list_jobs(*, home: Home = None, json: qkd.Json = False) -> None:
    """Jobs of this home, newest first, and what each has cost so far; asks no backend."""
    console.State.document_schema = SCHEMA_LIST if json else None
    from qlq.node import jobs_desk

    found = settings.load(home=home)
    rows = jobs_desk.describe_all(found.home)
    if json:
        console.document(SCHEMA_LIST, {"home": str(found.home), "jobs": rows})
    elif rows:
        _print(rows)
    else:
        console.out().print("No jobs on record.")
        console.tell("Simulators of this machine leave none: their jobs end with the command.")


def _print(rows: list[dict[str, Any]]) -> None:
    """The same for people."""
    from rich.table import Table

    table = Table("id", "purpose", "backend", "protocol", "status", "submitted", "cost", "QPU s")
    for row in rows:
        cost = row["cost"]
        table.add_row(
            *(
                row[name] or "–"
                for name in ("id", "purpose", "backend", "protocol", "status", "submitted")
            ),
            *(("–", "–") if cost is None else (cost_text(cost), f"{cost['qpu_s']:g}")),
        )
    console.out().print(table)
    for row in rows:
        if row["status"] == "damaged":
            console.tell(f"{row['id']}: {row['detail']}")


def cost_text(cost: dict[str, Any]) -> str:
    """Money for people; a sign before it where the vendor has not said yet."""
    amount = "unknown" if cost["amount"] is None else f"{cost['amount']} {cost['currency']}"
    return f"≈ {amount}" if cost["estimated"] else amount


@app.command()
def show(
    job: JobId, *, deadline: terms.Deadline = None, home: Home = None, json: qkd.Json = False
) -> None:
    """One job in full; its backend is asked where it stands."""
    console.State.document_schema = SCHEMA_SHOW if json else None
    from qlq.node import jobs_desk

    fields = jobs_desk.describe(settings.load(home=home), job, deadline_s=terms.time_left(deadline))
    if json:
        console.document(SCHEMA_SHOW, fields)
        return
    from rich.table import Table

    table = Table(show_header=False)
    for name, value in fields.items():
        if name not in {"result", "jobs"}:
            table.add_row(name, "–" if value is None else str(value))
    console.out().print(table)
    if fields["result"] is None:
        return
    if fields["purpose"] == "session":
        qkd.show(fields["result"])
    else:
        console.table(fields["result"])


@app.command()
def resume(
    job: JobId,
    *,
    archive: Archive = None,
    max_cost: terms.MaxCost = None,
    max_qpu_seconds: terms.MaxQpuSeconds = None,
    yes: terms.Yes = False,
    deadline: terms.Deadline = None,
    home: Home = None,
    json: qkd.Json = False,
) -> None:
    """Take the shots of a job, and finish its session or pilot; an abort exits with 3.

    Only a session with Eve may still have a job to submit: caps replace those of its order.
    """
    console.State.document_schema = SCHEMA_RESUME if json else None
    from qlq.node import jobs, jobs_desk, pilots, sessions

    with console.interruptible():
        done = jobs_desk.resume(
            settings.load(home=home),
            job,
            deadline_s=terms.time_left(deadline, default_s=sessions.TIMEOUT_S),
            archive=archive,
            tell=console.tell,
            allowed=terms.consent(
                max_cost=max_cost,
                max_qpu_seconds=max_qpu_seconds,
                answer=terms.Answer.YES if yes else terms.Answer.ASK,
            ),
        )
    qkd.show_resumed(done, schema=SCHEMA_RESUME if json else None)
    if done.record.purpose is jobs.Purpose.PILOT:
        console.tell(pilots.advice(done.record))


@app.command()
def cancel(
    job: JobId, *, deadline: terms.Deadline = None, home: Home = None, json: qkd.Json = False
) -> None:
    """End a job at its backend; what it has cost until then stays spent."""
    console.State.document_schema = SCHEMA_CANCEL if json else None
    from qlq.node import jobs_desk, jobs_ending

    record = jobs_desk.cancel(settings.load(home=home), job, deadline_s=terms.time_left(deadline))
    cost = jobs_ending.cost_document(record)
    if json:
        fields = {
            "id": job,
            "status": record.state.value,
            "cost": cost,
            "detail": record.detail or None,
        }
        console.document(SCHEMA_CANCEL, fields)
    else:
        console.out().print(f"{job}: {record.state.value}; {cost_text(cost)}")
        if record.detail:
            console.tell(record.detail)

"""`qlq backend`: devices and what a session on them would take."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qlq.cli import console, qkd, settings, terms

app = typer.Typer(help="Quantum backends.", no_args_is_help=True, rich_markup_mode=None)

SCHEMA_LIST = "qlq.backend.list/1"
SCHEMA_SHOW = "qlq.backend.show/1"
SCHEMA_ESTIMATE = "qlq.backend.estimate/1"


@app.command("list")
def list_backends(*, json: qkd.Json = False) -> None:
    """Every backend that needs no account."""
    console.State.document_schema = SCHEMA_LIST if json else None
    from dataclasses import asdict

    from qlq.backends import registry

    rows = [
        {**asdict(line), "kind": None if line.kind is None else line.kind.value}
        for line in registry.known_uris()
    ]
    if json:
        console.document(SCHEMA_LIST, {"backends": rows})
        return
    from rich.table import Table

    table = Table("URI", "provider", "device", "kind", "qubits", "available")
    for row in rows:
        state = "yes" if row["available"] else row["reason"]
        kind = row["kind"] or "when opened"
        table.add_row(row["uri"], row["provider"], row["device"], kind, str(row["qubits"]), state)
    console.out().print(table)


@app.command()
def show(
    uri: Annotated[str, typer.Argument(help="Backend URI.")],
    *,
    deadline: terms.Deadline = None,
    json: qkd.Json = False,
) -> None:
    """A device, its calibration, and the qubits that a session would use."""
    console.State.document_schema = SCHEMA_SHOW if json else None
    from qlq.node import planning

    info = planning.describe(uri, deadline_s=terms.time_left(deadline))
    fields: dict[str, Any] = {
        "uri": uri,
        "provider": info.provider,
        "device": info.name,
        "kind": info.kind.value,
        "qubits": info.qubits,
        "available": info.available,
        "reason": info.reason,
        "calibrated": info.calibrated,
        "queue": info.queue,
        "qubits_bb84": list(info.qubits_bb84),
        "qubits_e91": list(info.qubits_e91),
        "predicted_qber_bb84": info.predicted_qber_bb84,
        "predicted_qber_e91": info.predicted_qber_e91,
    }
    if json:
        errors = {str(qubit): error for qubit, error in sorted(info.qubit_errors.items())}
        pairs = [
            {"pair": list(pair), "error": error} for pair, error in sorted(info.pair_errors.items())
        ]
        console.document(SCHEMA_SHOW, {**fields, "qubit_errors": errors, "pair_errors": pairs})
        return
    console.table(fields)


@app.command()
def estimate(
    uri: Annotated[str, typer.Argument(help="Backend URI.")],
    *,
    protocol: Annotated[str, typer.Option(help="bb84 or e91.")] = "bb84",
    pulses: Annotated[int, typer.Option(help="Signals or pairs.")] = 100_000,
    qber_max: Annotated[float | None, typer.Option(help="Tolerated QBER.")] = None,
    eps_sec: Annotated[float, typer.Option(help="Secrecy epsilon.")] = 1e-10,
    eps_cor: Annotated[float, typer.Option(help="Correctness epsilon.")] = 1e-12,
    pilot: Annotated[
        int | None,
        typer.Option(help="Measure the QBER first with this many shots; costs what they cost."),
    ] = None,
    max_cost: terms.MaxCost = None,
    max_qpu_seconds: terms.MaxQpuSeconds = None,
    yes: terms.Yes = False,
    deadline: terms.Deadline = None,
    home: Annotated[str | None, typer.Option(help="Folder of keys and jobs.")] = None,
    json: qkd.Json = False,
) -> None:
    """Shots, cost, chance of success and the least pulses for a key; submits at most a pilot."""
    console.State.document_schema = SCHEMA_ESTIMATE if json else None
    from qlq.node import orders, planning

    order = orders.Order(
        protocol=protocol,
        backend=uri,
        pulses=pulses,
        qber_max=qber_max,
        eps_sec=eps_sec,
        eps_cor=eps_cor,
        consent=terms.consent(
            max_cost=max_cost,
            max_qpu_seconds=max_qpu_seconds,
            answer=terms.Answer.YES if yes else terms.Answer.ASK,
        ),
        deadline_s=terms.time_left(deadline),
    )
    if pilot is None:
        fields = planning.estimate(order)
    else:
        with console.interruptible():
            fields = planning.estimate_with_pilot(
                order, settings.load(home=home), shots=pilot, tell=console.tell
            )
    if json:
        console.document(SCHEMA_ESTIMATE, fields)
    else:
        console.table(fields)

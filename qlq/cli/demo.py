"""`qlq demo`: key distribution on a simulated device, told from beginning to end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qlq.cli import console, qkd

SCHEMA = "qlq.demo/1"
BACKEND = "aer:fez"
PULSES = 60_000


def demo(
    *,
    backend: Annotated[str, typer.Option(help="Backend URI.")] = BACKEND,
    json: qkd.Json = False,
) -> None:
    """BB84, BB84 with an eavesdropper, and E91, on a real device's noise. Keeps nothing."""
    console.State.document_schema = SCHEMA if json else None
    from qlq.node import orders

    stories = (
        ("BB84", orders.Order(protocol="bb84", backend=backend, pulses=PULSES)),
        (
            "BB84, Eve on every pulse",
            orders.Order(protocol="bb84", backend=backend, pulses=PULSES, eve="intercept-resend:1"),
        ),
        ("E91", orders.Order(protocol="e91", backend=backend, pulses=2 * PULSES)),
    )
    told = [
        (title, session.document)
        for (title, _), session in zip(
            stories,
            orders.fulfil_passing([order for _, order in stories], console.tell),
            strict=True,
        )
    ]
    if json:
        console.document(SCHEMA, {"sessions": [document for _, document in told]})
    else:
        _show(told)


def _show(told: list[tuple[str, dict[str, Any]]]) -> None:
    """One table of all sessions, what the keys are worth, and what to type next."""
    from rich.table import Table

    table = Table(title="Quantum key distribution on a simulated device")
    for name in ("", "QBER key", "QBER test", "CHSH S", "secret bits", "outcome"):
        table.add_column(name)
    for title, document in told:
        chsh, aborted = document["chsh"], document["aborted"]
        table.add_row(
            title,
            qkd.percent(document["qber_key"]),
            qkd.percent(document["qber_test"]),
            f"{chsh['s']:.3f} ± {chsh['sigma']:.3f}" if chsh else "–",
            str(document["secret_bits"]),
            f"aborted: {aborted['reason']}" if aborted else "key",
        )
    out = console.out()
    out.print(table)
    for title, document in told:
        if not document["aborted"]:
            out.print(f"{title}: {qkd.worth_line(document)}")
    out.print(
        "Each session sifted, estimated, reconciled (Cascade), verified, amplified (Toeplitz) "
        "and authenticated for real; keys of this demo are not kept.\n"
        "Next:\n"
        "  qlq qkd run --backend aer:fez --archive mysession\n"
        "  qlq qkd verify mysession\n"
        "  qlq backend list"
    )

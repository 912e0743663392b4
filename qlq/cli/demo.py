"""`qlq demo`: key distribution on a simulated device, told from beginning to end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qlq.cli import console, qkd, settings

SCHEMA = "qlq.demo/1"
BACKEND = "aer:fez"
PULSES = 60_000
NEXT = """Next:
  qlq qkd run --backend aer:fez --archive mysession
  qlq qkd verify mysession
  qlq rng get --bytes 32 --backend aer:fez
  qlq backend list"""


def demo(
    *,
    backend: Annotated[str, typer.Option(help="Backend URI.")] = BACKEND,
    json: qkd.Json = False,
) -> None:
    """Keys with and without an eavesdropper, and randomness, on simulated noise. Keeps nothing."""
    console.State.document_schema = SCHEMA if json else None
    from qlq.node import demonstration, orders

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
    random = demonstration.randomness(backend, settings.load(), console.tell)
    if json:
        sessions = [document for _, document in told]
        console.document(SCHEMA, {"sessions": sessions, "randomness": random})
        return
    _show(told)
    _show_randomness(random)
    console.out().print(NEXT)


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
        "and authenticated for real; keys of this demo are not kept."
    )


def _show_randomness(told: dict[str, Any]) -> None:
    """A table of the bytes, the certificate and the pulses, and what the bytes are worth."""
    from rich.table import Table

    draw, certificate, beacon = told["draw"], told["certificate"], told["beacon"]
    table = Table(title="Quantum randomness on a simulated device", show_header=False)
    table.add_row("32 bytes", draw["bytes_hex"])
    table.add_row("tier, claim", f"{draw['tier']}, {draw['claim_bits']:g} bits")
    table.add_row(
        "Bell test",
        f"S = {certificate['s']:.3f} ± {certificate['sigma']:.3f}, "
        f"{certificate['certified_bits']} bits certified at epsilon {certificate['epsilon']:.1e}, "
        f"of which {certificate['claim_bits']:g} may be claimed",
    )
    state = "verified" if beacon["valid"] and certificate["valid"] else "NOT VERIFIED"
    table.add_row("beacon", f"{beacon['pulses']} pulses, the last one {beacon['value'][:32]}…")
    table.add_row("bundle and pulses", state)
    out = console.out()
    out.print(table)
    out.print(f"Worth: {draw['reasons'][0]}")

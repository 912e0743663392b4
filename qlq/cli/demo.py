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
    """The whole story on simulated noise: keys, randomness, a ledger, a contract. Keeps nothing."""
    console.State.document_schema = SCHEMA if json else None
    from qlq.node import demonstration, demonstration_contracts, orders

    stories = (
        ("BB84", orders.Order(protocol="bb84", backend=backend, pulses=PULSES)),
        (
            "BB84, Eve on every pulse",
            orders.Order(protocol="bb84", backend=backend, pulses=PULSES, eve="intercept-resend:1"),
        ),
        ("E91", orders.Order(protocol="e91", backend=backend, pulses=2 * PULSES)),
    )
    with demonstration.passing(settings.load()) as home:
        # the first session's key stays in the passing home: it will seal a transaction
        made = [orders.fulfil(stories[0][1], home, console.tell)]
        made += orders.fulfil_passing([order for _, order in stories[1:]], console.tell)
        random = demonstration.randomness(backend, home, console.tell)
        chain = demonstration.ledger(home, console.tell)
        lottery = demonstration_contracts.lottery(backend, home, console.tell)
    if json:
        sessions = [session.document for session in made]
        told = {"sessions": sessions, "randomness": random, "ledger": chain, "lottery": lottery}
        console.document(SCHEMA, told)
        return
    titles = (title for title, _ in stories)
    _show([(title, one.document) for title, one in zip(titles, made, strict=True)])
    _show_randomness(random)
    _show_ledger(chain)
    _show_lottery(lottery)
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


def _show_ledger(told: dict[str, Any]) -> None:
    """A table of the transfer, its proof and the chain's verification."""
    from rich.table import Table

    sent, proof, checked = told["transfer"], told["proof"], told["verification"]
    seal = sent["sealed_with"]
    table = Table(title="A ledger that uses the session's key", show_header=False)
    table.add_row("transfer", f"alice to bob: {sent['amount']} {sent['asset']}, {sent['status']}")
    table.add_row("sealed with", f"{seal['kind']}, key {seal['key_id']} ({seal['claim']})")
    table.add_row("block", f"{sent['height']}, transaction {sent['tx_id'][:32]}…")
    for name, held in told["balances"].items():
        table.add_row(name, ", ".join(f"{amount} {symbol}" for symbol, amount in held.items()))
    verdict = "holds" if proof["valid"] else "DOES NOT HOLD"
    table.add_row("proof", f"{verdict}: leaf {proof['index']} of {proof['size']}")
    state = "every block follows" if checked["valid"] else "NOT VERIFIED"
    table.add_row("ledger verify", f"{state}, height {checked['height']}")
    console.out().print(table)


def _show_lottery(told: dict[str, Any]) -> None:
    """A table of the draw, and whether it can be repeated."""
    from rich.table import Table

    table = Table(title="A contract that draws from the beacon", show_header=False)
    table.add_row("lottery", told["address"])
    table.add_row("tickets", f"{told['tickets']}, bought by alice and bob")
    table.add_row("drawn by", f"round {told['round']}, unknown when the sale ended")
    table.add_row("winner", f"{told['winner']}, {told['prize']} units of GOLD")
    for name, held in told["balances"].items():
        table.add_row(name, ", ".join(f"{amount} {symbol}" for symbol, amount in held.items()))
    state = "both back-ends lead to the block" if told["agrees"] else "DOES NOT LEAD TO THE BLOCK"
    table.add_row("replay", f"{state}, gas {told['gas_used']}")
    console.out().print(table)

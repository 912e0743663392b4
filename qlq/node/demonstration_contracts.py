"""The last part of `qlq demo`: a lottery whose winner the chain's beacon draws."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

from qlq.config import Settings
from qlq.errors import InvariantBroken
from qlq.node import contract_documents, contract_replay, contracting, publishing, pulsing, wallets
from qlq.node.contracting import Order
from qlq.node.entropy import EntropyOrder, Sampling, Tell
from qlq.node.transacting import SealPolicy
from qlq.node.wallets import Purse

SOURCE = "contracts/templates/lottery/contract.py"
TICKET = "5.00"
TICKET_UNITS = 500
ROUNDS_AHEAD = 2
"""From the one that the chain has when the lottery closes."""


def lottery(backend: str, settings: Settings, tell: Tell) -> dict[str, Any]:
    """Alice and bob buy tickets, new pulses of the home's beacon decide, the winner is paid.

    Args:
        backend: URI of a simulator.
        settings: Of a passing home in which alice and bob hold GOLD, and a beacon has pulses.
        tell: Is told in words what happens.

    Returns:
        `address`, `tickets`, `round`, `winner` (alice or bob), `prize`, `gas_used` of the draw,
        `agrees` (whether the draw, carried out again by both back-ends, is the chain's), and
        `balances` by account.
    """
    passphrase = settings.passphrase or ""
    purses = {name: Purse(name, lambda: passphrase) for name in ("alice", "bob")}
    told = publishing.publish(settings)
    closes = told["published"][-1]["height"] + len(purses) + 2
    with as_file(files("qlq").joinpath(*SOURCE.split("/"))) as source:
        order = Order(f'["GOLD", {TICKET_UNITS}, {closes}, "NONE"]', seal=SealPolicy.PQ)
        made = contracting.deploy(purses["alice"], source, order, settings, tell)
    at = made["address"]
    entry = Order(value=TICKET, asset="GOLD", seal=SealPolicy.PQ)
    for purse in purses.values():
        _done(contracting.call(purse, at, "enter", entry, settings=settings, tell=tell))
    plain = Order(seal=SealPolicy.PQ)
    closed = _done(
        contracting.call(purses["bob"], at, "close", plain, settings=settings, tell=tell)
    )
    for _ in range(ROUNDS_AHEAD):  # nobody knew these when no more tickets were sold
        pulsing.pulse(_entropy(backend), settings, period_s=0, tell=tell)
        publishing.publish(settings)
    drawn = _done(contracting.call(purses["bob"], at, "draw", plain, settings=settings, tell=tell))
    account = drawn["events"][0]["values"]["winner"]
    winner = next(name for name in purses if wallets.show(name, settings)["address"] == account)
    paid = _done(contracting.call(purses[winner], at, "claim", plain, settings=settings, tell=tell))
    replayed = contract_replay.replay(drawn["tx_id"], settings, tell)
    return {
        "address": at,
        "tickets": int(closed["events"][0]["values"]["tickets"]),
        "round": int(closed["events"][0]["values"]["deciding"]),
        "winner": winner,
        "prize": paid["events"][0]["values"]["prize"],
        "gas_used": drawn["gas_used"],
        "agrees": replayed["agrees"] and replayed["receipt_matches"],
        "balances": {name: wallets.show(name, settings)["balances"] for name in purses},
    }


def _entropy(backend: str) -> EntropyOrder:
    return EntropyOrder(backends=(backend,), sampling=Sampling.SHORT)


def _done(told: dict[str, Any]) -> dict[str, Any]:
    """What came of a call that cannot fail in this story."""
    if told["status"] != contract_documents.OK:
        raise InvariantBroken(f"the demonstration's lottery: {told['failure']}")
    return told

"""A draft that will have no effect is known before anybody signs or seals it."""

from __future__ import annotations

from typing import Any

import pytest

from qlq.errors import InvalidTransaction
from qlq.faults import TransactionFault
from qlq.ledger import records, transition
from qlq.ledger.operations import (
    NATIVE,
    Anchor,
    Burn,
    DefineAsset,
    Enrol,
    Issue,
    Leg,
    Operation,
    Transfer,
)

ID = bytes(range(32))


def gold_of(chain: Any, owner: Any) -> bytes:
    made = chain.send(owner, DefineAsset("GOLD", 2, 1_000))
    asset = records.asset_id(made.transaction, 0)
    assert chain.send(owner, Issue(asset, owner.address, 100)).reason is None
    return asset


def foretold(chain: Any, sender: Any, *operations: Operation) -> TransactionFault | None:
    draft = chain.draft(sender, *operations)
    try:
        transition.foresee(chain.state, draft, height=chain.tip.height + 1, rules=chain.rules)
    except InvalidTransaction as error:
        return error.reason
    return None


@pytest.mark.parametrize(
    "case",
    [
        *("moves what there is", "moves more", "twice too much", "to a stranger", "of no asset"),
        *("takes a symbol", "issues over the cap", "issues another's", "burns more", "enrols"),
        "anchors twice",
    ],
)
def test_what_is_foreseen_is_what_the_receipt_says(
    quotas: Any, alice: Any, bob: Any, case: str
) -> None:
    gold = gold_of(quotas, alice)
    stranger = bytes(reversed(ID))
    to_bob = Transfer((Leg(alice.address, bob.address, gold, 60),))
    wanted: dict[str, tuple[Any, tuple[Operation, ...]]] = {
        "moves what there is": (alice, (to_bob,)),
        "moves more": (alice, (Transfer((Leg(alice.address, bob.address, gold, 101),)),)),
        "twice too much": (alice, (to_bob, to_bob)),
        "to a stranger": (alice, (Transfer((Leg(alice.address, stranger, gold, 1),)),)),
        "of no asset": (alice, (Burn(ID, 1),)),
        "takes a symbol": (bob, (DefineAsset("GOLD", 0),)),
        "issues over the cap": (alice, (Issue(gold, bob.address, 901),)),
        "issues another's": (bob, (Issue(gold, bob.address, 1),)),
        "burns more": (bob, (Burn(gold, 1),)),
        "enrols": (bob, (Enrol(stranger),)),
        "anchors twice": (bob, (Anchor(3, ID), Anchor(3, ID))),
    }
    sender, operations = wanted[case]
    root = quotas.state.tree.root
    found = foretold(quotas, sender, *operations)
    assert quotas.state.tree.root == root
    assert quotas.send(sender, *operations).reason is found
    assert (found is None) == (case == "moves what there is")


def test_a_fee_leaves_less_to_move(fees: Any, alice: Any, bob: Any) -> None:
    fee = fees.rules.genesis.policy.fee_min
    held = fees.balance(alice.address)
    assert fee > 0

    def moved(amount: int) -> Transfer:
        return Transfer((Leg(alice.address, bob.address, NATIVE, amount),))

    assert foretold(fees, alice, moved(held - fee)) is None
    assert foretold(fees, alice, moved(held - fee + 1)) is TransactionFault.INSUFFICIENT_BALANCE


def test_a_swap_takes_the_other_side_to_have_signed(quotas: Any, alice: Any, bob: Any) -> None:
    gold = gold_of(quotas, alice)
    swap = Transfer((Leg(bob.address, alice.address, gold, 5),))
    assert foretold(quotas, alice, swap) is TransactionFault.INSUFFICIENT_BALANCE
    quotas.send(alice, Transfer((Leg(alice.address, bob.address, gold, 5),)))
    assert foretold(quotas, alice, swap) is None

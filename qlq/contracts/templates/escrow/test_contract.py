"""The escrow: for every height either a claim or a refund is possible, never both."""

from __future__ import annotations

import hashlib

import pytest

from qlq.node.contract_testing import Account, Chain, Contract, reverts

SECRET = bytes(range(32))
LOCK = hashlib.sha256(SECRET).digest()
AMOUNT = 500


@pytest.fixture
def escrow(chain: Chain, alice: Account) -> Contract:
    """Nothing locked yet; alice has gold."""
    chain.give(alice, AMOUNT, "GOLD")
    return chain.deploy("contract.py", sender=alice)


def opened(escrow: Contract, alice: Account, bob: Account, *, blocks: int = 10) -> int:
    """Alice's gold is locked for bob; the number of the escrow."""
    timeout = escrow.chain.height + blocks
    number: int = escrow.open(bob, LOCK, timeout, sender=alice, value=AMOUNT, asset="GOLD")
    return number


def test_the_secret_brings_the_value_to_the_receiver(
    chain: Chain, escrow: Contract, alice: Account, bob: Account, carol: Account
) -> None:
    number = opened(escrow, alice, bob)
    assert chain.balance(escrow, "GOLD") == AMOUNT
    escrow.claim(number, SECRET, sender=carol)  # whoever brings the secret
    assert chain.balance(bob, "GOLD") == AMOUNT
    assert chain.balance(carol, "GOLD") == 0
    assert escrow.events("Claimed") == [{"deal": number, "secret": SECRET}]
    assert escrow.deal(number).state.name == "CLAIMED"


def test_another_secret_opens_nothing(escrow: Contract, alice: Account, bob: Account) -> None:
    number = opened(escrow, alice, bob)
    with reverts("another secret"):
        escrow.claim(number, LOCK, sender=bob)


@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_claim_and_refund_exclude_each_other_at_every_height(
    chain: Chain, escrow: Contract, alice: Account, bob: Account, blocks: int
) -> None:
    number = opened(escrow, alice, bob, blocks=blocks)
    timeout = chain.height + blocks
    while chain.height < timeout + 2:
        before = chain.snapshot()
        with reverts("too late" if chain.height >= timeout else "too early"):
            if chain.height >= timeout:
                escrow.claim(number, SECRET, sender=bob)
            else:
                escrow.refund(number, sender=alice)
        chain.revert(before)
        if chain.height >= timeout:
            escrow.refund(number, sender=bob)
            assert chain.balance(alice, "GOLD") == AMOUNT
        else:
            escrow.claim(number, SECRET, sender=bob)
            assert chain.balance(bob, "GOLD") == AMOUNT
        chain.revert(before)
        chain.mine()


def test_nothing_is_paid_twice(
    chain: Chain, escrow: Contract, alice: Account, bob: Account
) -> None:
    number = opened(escrow, alice, bob)
    escrow.claim(number, SECRET, sender=bob)
    with reverts("not open"):
        escrow.claim(number, SECRET, sender=bob)
    chain.mine(20)
    with reverts("not open"):
        escrow.refund(number, sender=alice)


def test_two_escrows_do_not_touch_each_other(
    chain: Chain, escrow: Contract, alice: Account, bob: Account, carol: Account
) -> None:
    first = escrow.open(bob, LOCK, chain.height + 5, sender=alice, value=100, asset="GOLD")
    second = escrow.open(carol, LOCK, chain.height + 9, sender=alice, value=50, asset="GOLD")
    assert (first, second) == (1, 2)
    escrow.claim(second, SECRET, sender=carol)
    chain.mine(5)
    escrow.refund(first, sender=alice)
    assert chain.balance(alice, "GOLD") == AMOUNT - 50
    assert chain.balance(carol, "GOLD") == 50


def test_what_cannot_end_well_is_not_opened(
    chain: Chain, escrow: Contract, alice: Account, bob: Account
) -> None:
    with reverts("nothing to lock"):
        escrow.open(bob, LOCK, chain.height + 5, sender=alice)
    with reverts("the timeout has passed already"):
        escrow.open(bob, LOCK, chain.height, sender=alice, value=1, asset="GOLD")
    with reverts("nobody could claim it"):
        escrow.open(bytes(32), LOCK, chain.height + 5, sender=alice, value=1, asset="GOLD")
    with reverts("insufficient-balance"):
        escrow.open(bob, LOCK, chain.height + 5, sender=bob, value=1, asset="GOLD")


def test_there_is_nothing_where_nothing_was_opened(escrow: Contract, bob: Account) -> None:
    assert escrow.deal(7).state.name == "NONE"
    with reverts("not open"):
        escrow.claim(7, SECRET, sender=bob)
    with reverts("not open"):
        escrow.refund(7, sender=bob)

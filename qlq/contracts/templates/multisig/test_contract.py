"""The purse of several owners: what is approved by enough of them happens, and nothing else."""

from __future__ import annotations

import pytest

from qlq.node.contract_testing import Account, Chain, Contract, reverts


@pytest.fixture
def purse(chain: Chain, alice: Account, bob: Account, carol: Account) -> Contract:
    """Of alice, bob and carol, two of whom must approve; with 1000 gold."""
    made = chain.deploy("contract.py", sender=alice)
    for owner in (bob, carol):
        made.approve(made.propose_owner(owner, sender=alice), sender=alice)
    made.approve(made.propose_threshold(2, sender=alice), sender=alice)
    chain.give(alice, 1000, "GOLD")
    made.receive(sender=alice, value=1000, asset="GOLD")
    return made


@pytest.fixture
def dave(chain: Chain) -> Account:
    """No owner."""
    return chain.account("dave")


def test_a_payment_needs_two(
    chain: Chain, purse: Contract, alice: Account, bob: Account, dave: Account
) -> None:
    number = purse.propose_payment(dave, chain.asset("GOLD"), 300, sender=alice)
    assert purse.approve(number, sender=alice) is False
    assert chain.balance(dave, "GOLD") == 0
    assert purse.approve(number, sender=bob) is True
    assert chain.balance(dave, "GOLD") == 300
    assert purse.events("Executed") == [{"proposal": number}]
    assert purse.proposal(number).done


def test_one_owner_counts_once(
    chain: Chain, purse: Contract, alice: Account, dave: Account
) -> None:
    number = purse.propose_payment(dave, chain.asset("GOLD"), 300, sender=alice)
    purse.approve(number, sender=alice)
    with reverts("approved already"):
        purse.approve(number, sender=alice)


def test_nothing_is_carried_out_twice(
    chain: Chain, purse: Contract, alice: Account, bob: Account, carol: Account, dave: Account
) -> None:
    number = purse.propose_payment(dave, chain.asset("GOLD"), 300, sender=alice)
    purse.approve(number, sender=alice)
    purse.approve(number, sender=bob)
    with reverts("carried out already"):
        purse.approve(number, sender=carol)
    with reverts("carried out already"):
        purse.revoke(number, sender=bob)


def test_an_approval_can_be_taken_back(
    chain: Chain, purse: Contract, alice: Account, bob: Account, carol: Account, dave: Account
) -> None:
    number = purse.propose_payment(dave, chain.asset("GOLD"), 300, sender=alice)
    purse.approve(number, sender=alice)
    purse.revoke(number, sender=alice)
    with reverts("not approved"):
        purse.revoke(number, sender=alice)
    assert purse.approve(number, sender=bob) is False
    assert purse.approve(number, sender=carol) is True


def test_strangers_have_no_say(
    chain: Chain, purse: Contract, alice: Account, dave: Account
) -> None:
    number = purse.propose_payment(dave, chain.asset("GOLD"), 300, sender=alice)
    with reverts("only owners"):
        purse.approve(number, sender=dave)
    with reverts("only owners"):
        purse.revoke(number, sender=dave)
    with reverts("only owners"):
        purse.propose_owner(dave, sender=dave)
    with reverts("only owners"):
        purse.propose_payment(dave, chain.asset("GOLD"), 1, sender=dave)


def test_more_than_there_is_cannot_be_paid_and_the_approval_stays_open(
    chain: Chain, purse: Contract, alice: Account, bob: Account, dave: Account
) -> None:
    number = purse.propose_payment(dave, chain.asset("GOLD"), 1001, sender=alice)
    purse.approve(number, sender=alice)
    with reverts("insufficient-balance"):
        purse.approve(number, sender=bob)
    assert not purse.proposal(number).done
    chain.give(purse, 1, "GOLD")
    assert purse.approve(number, sender=bob) is True


def test_a_removed_owner_s_approval_is_worth_nothing(
    chain: Chain, purse: Contract, alice: Account, bob: Account, carol: Account, dave: Account
) -> None:
    payment = purse.propose_payment(dave, chain.asset("GOLD"), 300, sender=carol)
    purse.approve(payment, sender=carol)
    removal = purse.propose_removal(carol, sender=alice)
    purse.approve(removal, sender=alice)
    purse.approve(removal, sender=bob)
    assert not purse.is_owner(carol)
    with reverts("owners or threshold have changed"):
        purse.approve(payment, sender=alice)
    with reverts("only owners"):
        purse.approve(payment, sender=carol)


def test_the_purse_cannot_lock_itself_up(
    purse: Contract, alice: Account, bob: Account, carol: Account
) -> None:
    """Never more approvals are needed than there are owners."""
    for threshold in (0, 4):
        number = purse.propose_threshold(threshold, sender=alice)
        purse.approve(number, sender=alice)
        with reverts("no such number of owners"):
            purse.approve(number, sender=bob)
    first = purse.propose_removal(carol, sender=alice)
    purse.approve(first, sender=alice)
    purse.approve(first, sender=bob)
    second = purse.propose_removal(bob, sender=alice)
    purse.approve(second, sender=alice)
    with reverts("fewer owners than must approve"):
        purse.approve(second, sender=bob)
    assert purse.needed() == 2


def test_owners_are_added_and_removed_once(
    purse: Contract, alice: Account, bob: Account, dave: Account
) -> None:
    again = purse.propose_owner(bob, sender=alice)
    purse.approve(again, sender=alice)
    with reverts("an owner already"):
        purse.approve(again, sender=bob)
    stranger = purse.propose_removal(dave, sender=alice)
    purse.approve(stranger, sender=alice)
    with reverts("no owner"):
        purse.approve(stranger, sender=bob)


def test_there_are_at_most_32_owners(chain: Chain, alice: Account) -> None:
    made = chain.deploy("contract.py", sender=alice)
    for number in range(31):
        owner = chain.account(f"owner {number}")
        made.approve(made.propose_owner(owner, sender=alice), sender=alice)
    last = made.propose_owner(chain.account("one too many"), sender=alice)
    with reverts("too many owners"):
        made.approve(last, sender=alice)


def test_what_makes_no_sense_is_not_proposed(
    chain: Chain, purse: Contract, alice: Account, dave: Account
) -> None:
    with reverts("a payment of nothing"):
        purse.propose_payment(dave, chain.asset("GOLD"), 0, sender=alice)
    with reverts("nobody would get it"):
        purse.propose_payment(bytes(32), chain.asset("GOLD"), 1, sender=alice)
    with reverts("nobody has this address"):
        purse.propose_owner(bytes(32), sender=alice)
    with reverts("no such proposal"):
        purse.approve(99, sender=alice)
    with reverts("nothing came"):
        purse.receive(sender=alice)

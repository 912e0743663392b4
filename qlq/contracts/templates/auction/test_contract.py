"""The English auction: the highest bid wins, and nobody can stop it."""

from __future__ import annotations

import pytest

from qlq.node.contract_testing import Account, Chain, Contract, reverts

RESERVE = 100
BLOCKS = 50
EXTENSION = 10


@pytest.fixture
def auction(chain: Chain, alice: Account, bob: Account, carol: Account) -> Contract:
    """Alice sells; bob and carol have gold."""
    for bidder in (bob, carol):
        chain.give(bidder, 1000, "GOLD")
    arguments = (chain.asset("GOLD"), RESERVE, chain.height + BLOCKS)
    return chain.deploy("contract.py", *arguments, sender=alice)


def bid(auction: Contract, bidder: Account, amount: int) -> None:
    """Bid gold."""
    auction.bid(sender=bidder, value=amount, asset="GOLD")


def test_the_highest_bid_wins_and_the_others_come_back(
    chain: Chain, auction: Contract, alice: Account, bob: Account, carol: Account
) -> None:
    bid(auction, bob, 100)
    bid(auction, carol, 150)
    bid(auction, bob, 200)
    assert auction.refund_of(bob) == 100
    assert auction.withdraw(sender=bob) == 100
    assert auction.withdraw(sender=carol) == 150
    chain.mine(BLOCKS)
    auction.settle(sender=carol)
    assert auction.winner() == bob.address
    assert chain.balance(alice, "GOLD") == 200
    assert chain.balance(bob, "GOLD") == 800
    assert chain.balance(carol, "GOLD") == 1000
    assert chain.balance(auction, "GOLD") == 0


def test_bids_begin_at_the_reserve_and_rise_by_a_twentieth(
    auction: Contract, bob: Account, carol: Account
) -> None:
    with reverts("the bid is too low"):
        bid(auction, bob, RESERVE - 1)
    bid(auction, bob, RESERVE)
    assert auction.next_bid() == 106
    with reverts("the bid is too low"):
        bid(auction, carol, 105)
    bid(auction, carol, 106)
    assert auction.highest_bid() == 106


def test_a_bid_of_another_asset_is_none(auction: Contract, bob: Account) -> None:
    with reverts("bids are in another asset"):
        auction.bid(sender=bob, value=RESERVE, asset="QLQ")


def test_a_late_bid_leaves_time_to_answer(
    chain: Chain, auction: Contract, bob: Account, carol: Account
) -> None:
    end = auction.end()
    bid(auction, bob, RESERVE)
    assert auction.end() == end
    chain.mine_to(end - 1)
    bid(auction, carol, 200)
    assert auction.end() == end - 1 + EXTENSION
    assert auction.events("Bid") == [
        {"bidder": carol.address, "amount": 200, "ends": end - 1 + EXTENSION}
    ]
    chain.mine_to(end + EXTENSION - 2)
    bid(auction, bob, 300)


def test_after_the_end_nobody_bids_and_before_it_nobody_settles(
    chain: Chain, auction: Contract, bob: Account
) -> None:
    bid(auction, bob, RESERVE)
    with reverts("bids are still taken"):
        auction.settle(sender=bob)
    chain.mine(BLOCKS)
    with reverts("the auction is over"):
        bid(auction, bob, 500)
    auction.settle(sender=bob)
    with reverts("settled already"):
        auction.settle(sender=bob)


def test_without_a_bid_there_is_nothing_to_settle(
    chain: Chain, auction: Contract, bob: Account
) -> None:
    chain.mine(BLOCKS)
    with reverts("nobody bid"):
        auction.settle(sender=bob)


def test_nobody_takes_back_what_they_have_not_bid(
    auction: Contract, bob: Account, carol: Account
) -> None:
    bid(auction, bob, RESERVE)
    with reverts("nothing to take back"):
        auction.withdraw(sender=bob)  # the highest bid stays
    with reverts("nothing to take back"):
        auction.withdraw(sender=carol)
    bid(auction, carol, 200)
    auction.withdraw(sender=bob)
    with reverts("nothing to take back"):
        auction.withdraw(sender=bob)


def test_the_contract_holds_the_highest_bid_and_all_refunds(
    chain: Chain, auction: Contract, bob: Account, carol: Account
) -> None:
    amount = RESERVE
    for turn in range(6):
        bid(auction, (bob, carol)[turn % 2], amount)
        owed = auction.refund_of(bob) + auction.refund_of(carol)
        assert chain.balance(auction, "GOLD") == auction.highest_bid() + owed
        amount = auction.next_bid()


def test_what_cannot_be_sold_is_not_offered(chain: Chain, alice: Account) -> None:
    gold = chain.asset("GOLD")
    with reverts("a reserve of 0 sells for nothing"):
        chain.deploy("contract.py", gold, 0, chain.height + 1, sender=alice)
    with reverts("it would be over already"):
        chain.deploy("contract.py", gold, 1, chain.height, sender=alice)

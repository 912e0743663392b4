"""The sealed auction: bids are hidden until all are in, and hidden bids cost their forfeit."""

from __future__ import annotations

import hashlib

import pytest

from qlq.node.contract_testing import Account, Chain, Contract, reverts

RESERVE = 100
COMMIT = 10
REVEAL = 10
SALT = hashlib.sha256(b"salt").digest()


@pytest.fixture
def auction(chain: Chain, alice: Account, bob: Account, carol: Account) -> Contract:
    """Alice sells; bob and carol have gold."""
    for bidder in (bob, carol):
        chain.give(bidder, 1000, "GOLD")
    reveals = chain.height + COMMIT
    arguments = (chain.asset("GOLD"), RESERVE, reveals, reveals + REVEAL)
    return chain.deploy("sealed.py", *arguments, sender=alice)


def digest(auction: Contract, bidder: Account, amount: int, salt: bytes = SALT) -> bytes:
    """What a bidder commits to, made at home."""
    packed = auction.address + bidder.address + amount.to_bytes(8, "little") + salt
    return hashlib.sha256(packed).digest()


def commit(auction: Contract, bidder: Account, amount: int, deposit: int) -> None:
    """Commit to a bid."""
    hidden = digest(auction, bidder, amount)
    auction.commit(hidden, sender=bidder, value=deposit, asset="GOLD")


def test_the_highest_revealed_bid_wins(
    chain: Chain, auction: Contract, alice: Account, bob: Account, carol: Account
) -> None:
    commit(auction, bob, 200, 400)
    commit(auction, carol, 300, 300)
    chain.mine(COMMIT)
    auction.reveal(200, SALT, sender=bob)
    auction.reveal(300, SALT, sender=carol)
    chain.mine(REVEAL)
    auction.settle(sender=bob)
    assert auction.withdraw(sender=bob) == 400
    assert auction.withdraw(sender=carol) == 0
    assert auction.winner() == carol.address
    assert chain.balance(alice, "GOLD") == 300
    assert chain.balance(bob, "GOLD") == 1000
    assert chain.balance(carol, "GOLD") == 700
    assert chain.balance(auction, "GOLD") == 0


def test_the_digest_is_the_one_that_is_written_down(auction: Contract, bob: Account) -> None:
    assert auction.digest_of(bob, 200, SALT) == digest(auction, bob, 200)


def test_of_two_equal_bids_the_first_revealed_one_wins(
    chain: Chain, auction: Contract, bob: Account, carol: Account
) -> None:
    commit(auction, bob, 200, 200)
    commit(auction, carol, 200, 200)
    chain.mine(COMMIT)
    auction.reveal(200, SALT, sender=carol)
    auction.reveal(200, SALT, sender=bob)
    assert auction.winner() == carol.address


def test_a_hidden_bid_costs_a_tenth_of_its_deposit(
    chain: Chain, auction: Contract, alice: Account, bob: Account
) -> None:
    commit(auction, bob, 200, 400)
    chain.mine(COMMIT + REVEAL)
    assert auction.withdraw(sender=bob) == 360
    assert auction.events("Withdrawn") == [{"bidder": bob.address, "amount": 360, "forfeited": 40}]
    assert chain.balance(alice, "GOLD") == 40
    with reverts("nothing to take back"):
        auction.withdraw(sender=bob)
    with reverts("no bid was revealed"):
        auction.settle(sender=bob)


def test_nobody_uses_somebody_else_s_commitment(
    chain: Chain, auction: Contract, bob: Account, carol: Account
) -> None:
    commit(auction, bob, 200, 400)
    copied = digest(auction, bob, 200)
    auction.commit(copied, sender=carol, value=400, asset="GOLD")
    chain.mine(COMMIT)
    auction.reveal(200, SALT, sender=bob)
    with reverts("another bid or salt"):
        auction.reveal(200, SALT, sender=carol)


def test_a_revealed_bid_is_the_committed_one_and_covered(
    chain: Chain, auction: Contract, bob: Account, carol: Account
) -> None:
    commit(auction, bob, 500, 400)
    commit(auction, carol, 50, 400)
    chain.mine(COMMIT)
    with reverts("another bid or salt"):
        auction.reveal(399, SALT, sender=bob)
    with reverts("the deposit does not cover the bid"):
        auction.reveal(500, SALT, sender=bob)
    with reverts("below the reserve"):
        auction.reveal(50, SALT, sender=carol)


def test_each_step_has_its_heights(
    chain: Chain, auction: Contract, alice: Account, bob: Account
) -> None:
    commit(auction, bob, 200, 200)
    with reverts("too early"):
        auction.reveal(200, SALT, sender=bob)
    with reverts("bids are still revealed"):
        auction.withdraw(sender=bob)
    chain.mine(COMMIT)
    with reverts("commitments are closed"):
        commit(auction, bob, 300, 300)
    with reverts("bids are still revealed"):
        auction.settle(sender=bob)
    auction.reveal(200, SALT, sender=bob)
    with reverts("revealed already"):
        auction.reveal(200, SALT, sender=bob)
    chain.mine(REVEAL)
    with reverts("too late"):
        auction.reveal(200, SALT, sender=bob)
    auction.settle(sender=alice)
    with reverts("settled already"):
        auction.settle(sender=alice)


def test_one_commitment_each_with_a_deposit(
    auction: Contract, bob: Account, carol: Account
) -> None:
    with reverts("the deposit is below the reserve"):
        commit(auction, bob, 50, RESERVE - 1)
    with reverts("bids are in another asset"):
        auction.commit(SALT, sender=bob, value=RESERVE, asset="QLQ")
    commit(auction, bob, 200, 200)
    with reverts("committed already"):
        commit(auction, bob, 300, 300)
    auction.chain.mine(COMMIT)
    with reverts("nothing committed"):
        auction.reveal(200, SALT, sender=carol)


def test_what_cannot_be_sold_is_not_offered(chain: Chain, alice: Account) -> None:
    gold, now = chain.asset("GOLD"), chain.height
    with reverts("a reserve of 0 sells for nothing"):
        chain.deploy("sealed.py", gold, 0, now + 1, now + 2, sender=alice)
    with reverts("nobody could commit"):
        chain.deploy("sealed.py", gold, 1, now, now + 2, sender=alice)
    with reverts("nobody could reveal"):
        chain.deploy("sealed.py", gold, 1, now + 1, now + 1, sender=alice)

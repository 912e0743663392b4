"""The lottery: nobody can choose the winner, nobody's stake is lost."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from qlq.contract import Quality
from qlq.node.contract_testing import Account, Chain, Contract, reverts

PRICE = 5
BLOCKS = 10
PATIENCE = 1000


@pytest.fixture
def lottery(chain: Chain, alice: Account, bob: Account, carol: Account) -> Contract:
    """Open for ten blocks; everybody has gold for twenty tickets."""
    for player in (alice, bob, carol):
        chain.give(player, 20 * PRICE, "GOLD")
    arguments = (chain.asset("GOLD"), PRICE, chain.height + BLOCKS, Quality.NONE)
    return chain.deploy("contract.py", *arguments, sender=alice)


def enter(lottery: Contract, *players: Account) -> None:
    """Each of them buys a ticket."""
    for player in players:
        lottery.enter(sender=player, value=PRICE, asset="GOLD")


def close(lottery: Contract, anyone: Account) -> int:
    """Tickets are not sold any more; the round that decides."""
    lottery.chain.mine(BLOCKS)
    lottery.close(sender=anyone)
    found: int = lottery.deciding_round()
    return found


def test_the_winner_takes_everything(
    chain: Chain, lottery: Contract, alice: Account, bob: Account, carol: Account
) -> None:
    enter(lottery, alice, bob, carol, bob)
    deciding = close(lottery, carol)
    chain.beacon.publish_until(deciding)
    lottery.draw(sender=carol)
    winner = {one.address: one for one in (alice, bob, carol)}[lottery.drawn_winner()]
    before = chain.balance(winner, "GOLD")
    lottery.claim(sender=winner)
    assert chain.balance(winner, "GOLD") == before + 4 * PRICE
    assert chain.balance(lottery, "GOLD") == 0
    with reverts("not drawn, or paid already"):
        lottery.claim(sender=winner)


def test_the_draw_is_the_rule_that_is_written_down(
    chain: Chain, lottery: Contract, alice: Account, bob: Account, carol: Account
) -> None:
    """SHA-256 of the pulse, the contract and the tag; a draw above the largest multiple again."""
    players = (alice, bob, carol)
    enter(lottery, *players)
    deciding = close(lottery, alice)
    chain.beacon.publish_until(deciding - 1)
    value = hashlib.sha512(b"a pulse").digest()
    chain.beacon.set(deciding, value)
    lottery.draw(sender=alice)

    drawn = hashlib.sha256(value + lottery.address + b"winner").digest()
    while int.from_bytes(drawn[:8], "little") >= 2**64 // 3 * 3:
        drawn = hashlib.sha256(drawn).digest()
    expected = int.from_bytes(drawn[:8], "little") % 3
    assert lottery.events("Drawn") == [{"ticket": expected, "winner": players[expected].address}]


def test_every_ticket_wins_about_as_often(
    chain: Chain, lottery: Contract, alice: Account, bob: Account, carol: Account
) -> None:
    """300 fixed pulses and three tickets; four standard deviations of 100 are 33."""
    enter(lottery, alice, bob, carol)
    deciding = close(lottery, alice)
    chain.beacon.publish_until(deciding - 1)
    before = chain.snapshot()
    wins: Counter[bytes] = Counter()
    for pulse in range(300):
        chain.revert(before)
        chain.beacon.set(deciding, hashlib.sha512(pulse.to_bytes(4, "big")).digest())
        lottery.draw(sender=alice)
        wins[lottery.drawn_winner()] += 1
    assert len(wins) == 3
    assert all(abs(count - 100) < 33 for count in wins.values())


def test_nobody_knows_the_round_when_tickets_are_sold(
    chain: Chain, lottery: Contract, alice: Account
) -> None:
    chain.beacon.publish()
    enter(lottery, alice)
    assert close(lottery, alice) == chain.beacon.latest + 2
    with reverts("round-not-reached"):
        lottery.draw(sender=alice)
    chain.beacon.publish()
    with reverts("round-not-reached"):
        lottery.draw(sender=alice)
    chain.beacon.publish()
    lottery.draw(sender=alice)


def test_a_draw_is_final(chain: Chain, lottery: Contract, alice: Account, bob: Account) -> None:
    enter(lottery, alice, bob)
    chain.beacon.publish_until(close(lottery, bob))
    lottery.draw(sender=bob)
    with reverts("not closed, or drawn already"):
        lottery.draw(sender=bob)
    with reverts("closed already"):
        lottery.close(sender=bob)


def test_only_the_winner_is_paid(
    chain: Chain, lottery: Contract, alice: Account, bob: Account
) -> None:
    enter(lottery, alice)
    chain.beacon.publish_until(close(lottery, bob))
    with reverts("not drawn, or paid already"):
        lottery.claim(sender=alice)
    lottery.draw(sender=bob)
    with reverts("only the winner"):
        lottery.claim(sender=bob)
    lottery.claim(sender=alice)


def test_a_ticket_has_one_price_and_a_last_height(
    chain: Chain, lottery: Contract, alice: Account
) -> None:
    for value, asset in ((PRICE - 1, "GOLD"), (PRICE + 1, "GOLD"), (PRICE, "QLQ")):
        with reverts("not the price of a ticket"):
            lottery.enter(sender=alice, value=value, asset=asset)
    with reverts("tickets are still sold"):
        lottery.close(sender=alice)
    chain.mine(BLOCKS - 1)
    enter(lottery, alice)
    chain.mine()
    with reverts("entries are closed"):
        lottery.enter(sender=alice, value=PRICE, asset="GOLD")
    assert lottery.tickets_of(alice) == 1
    assert lottery.prize() == PRICE


def test_nothing_is_drawn_where_nobody_entered(
    chain: Chain, lottery: Contract, alice: Account
) -> None:
    chain.mine(BLOCKS)
    with reverts("nobody entered"):
        lottery.close(sender=alice)


def test_simulated_randomness_decides_nothing_where_hardware_is_asked_for(
    chain: Chain, alice: Account
) -> None:
    chain.give(alice, PRICE, "GOLD")
    arguments = (chain.asset("GOLD"), PRICE, chain.height + BLOCKS, Quality.VENDOR)
    strict = chain.deploy("contract.py", *arguments, sender=alice)
    enter(strict, alice)
    deciding = close(strict, alice)
    chain.beacon.publish_until(deciding)
    with reverts("the randomness is not good enough"):
        strict.draw(sender=alice)
    chain.beacon.set(deciding, 1, Quality.VENDOR)
    strict.draw(sender=alice)


def test_stakes_come_back_if_the_beacon_stays_away(
    chain: Chain, lottery: Contract, alice: Account, bob: Account
) -> None:
    enter(lottery, alice, bob, bob)
    close(lottery, alice)
    chain.mine(PATIENCE - 1)
    with reverts("wait for the draw"):
        lottery.refund(sender=bob)
    chain.mine()
    lottery.refund(sender=bob)
    assert chain.balance(bob, "GOLD") == 20 * PRICE
    with reverts("nothing to pay back"):
        lottery.refund(sender=bob)
    # what is left belongs to alice: no draw can give it to anybody
    chain.beacon.publish_until(lottery.deciding_round())
    with reverts("not closed, or drawn already"):
        lottery.draw(sender=bob)
    with reverts("closed already"):
        lottery.close(sender=bob)
    lottery.refund(sender=alice)
    assert chain.balance(lottery, "GOLD") == 0


def test_a_late_close_leaves_time_for_the_draw(
    chain: Chain, lottery: Contract, alice: Account, bob: Account
) -> None:
    """Else a loser could wait for the result and take the stake back."""
    enter(lottery, alice, bob)
    chain.mine(BLOCKS + PATIENCE - 1)
    lottery.close(sender=alice)
    chain.mine(2)
    with reverts("wait for the draw"):
        lottery.refund(sender=bob)


def test_nothing_is_refunded_after_the_draw(
    chain: Chain, lottery: Contract, alice: Account, bob: Account
) -> None:
    enter(lottery, alice, bob)
    chain.beacon.publish_until(close(lottery, alice))
    lottery.draw(sender=alice)
    chain.mine(2 * PATIENCE)
    with reverts("it was drawn"):
        lottery.refund(sender=bob)


def test_a_lottery_has_a_price_and_an_end_to_come(chain: Chain, alice: Account) -> None:
    gold = chain.asset("GOLD")
    with reverts("a ticket costs something"):
        chain.deploy("contract.py", gold, 0, chain.height + 1, Quality.NONE, sender=alice)
    with reverts("it would be closed already"):
        chain.deploy("contract.py", gold, 1, chain.height, Quality.NONE, sender=alice)

"""The token: who may do what, and what each refusal says."""

from __future__ import annotations

import pytest

from qlq.node.contract_testing import Account, Chain, Contract, reverts

CAP = 1000


@pytest.fixture
def token(chain: Chain, alice: Account) -> Contract:
    """Alice's token, of which she holds 100."""
    made = chain.deploy("contract.py", CAP, sender=alice)
    made.mint(alice, 100, sender=alice)
    return made


def test_a_transfer_moves_units_and_tells(token: Contract, alice: Account, bob: Account) -> None:
    token.transfer(bob, 30, sender=alice)
    assert token.balance_of(alice) == 70
    assert token.balance_of(bob) == 30
    assert token.events("Transfer") == [
        {"source": alice.address, "target": bob.address, "amount": 30}
    ]


def test_nobody_sends_more_than_they_hold(token: Contract, alice: Account, bob: Account) -> None:
    with reverts("insufficient balance"):
        token.transfer(bob, 101, sender=alice)
    with reverts("insufficient balance"):
        token.transfer(alice, 1, sender=bob)
    assert token.balance_of(alice) == 100


def test_a_transfer_to_oneself_makes_no_units(token: Contract, alice: Account) -> None:
    token.transfer(alice, 100, sender=alice)
    assert token.balance_of(alice) == 100


def test_the_zero_address_holds_nothing(token: Contract, alice: Account) -> None:
    with reverts("nobody would hold them"):
        token.transfer(bytes(32), 1, sender=alice)
    with reverts("nobody would hold them"):
        token.mint(bytes(32), 1, sender=alice)


def test_only_the_owner_mints_up_to_the_cap(token: Contract, alice: Account, bob: Account) -> None:
    with reverts("only the owner mints"):
        token.mint(bob, 1, sender=bob)
    with reverts("above the cap"):
        token.mint(bob, CAP - 99, sender=alice)
    token.mint(bob, CAP - 100, sender=alice)
    assert token.total_supply() == CAP


def test_a_cap_of_nothing_is_refused(chain: Chain, alice: Account) -> None:
    with reverts("a cap of 0 allows no units"):
        chain.deploy("contract.py", 0, sender=alice)


def test_burned_units_can_be_minted_again(token: Contract, alice: Account, bob: Account) -> None:
    token.burn(40, sender=alice)
    assert token.total_supply() == 60
    with reverts("insufficient balance"):
        token.burn(61, sender=alice)
    token.mint(bob, CAP - 60, sender=alice)
    assert token.total_supply() == CAP


def test_an_allowance_is_used_up(
    token: Contract, alice: Account, bob: Account, carol: Account
) -> None:
    token.approve(bob, 0, 25, sender=alice)
    token.transfer_from(alice, carol, 20, sender=bob)
    assert token.allowance(alice, bob) == 5
    assert token.balance_of(carol) == 20
    with reverts("insufficient allowance"):
        token.transfer_from(alice, carol, 6, sender=bob)
    with reverts("insufficient allowance"):
        token.transfer_from(alice, carol, 1, sender=carol)


def test_an_allowance_beyond_the_balance_moves_no_more_than_the_balance(
    token: Contract, alice: Account, bob: Account
) -> None:
    token.approve(bob, 0, 500, sender=alice)
    with reverts("insufficient balance"):
        token.transfer_from(alice, bob, 101, sender=bob)
    assert token.allowance(alice, bob) == 500


def test_a_spender_who_was_faster_does_not_get_both(
    token: Contract, alice: Account, bob: Account
) -> None:
    token.approve(bob, 0, 25, sender=alice)
    token.transfer_from(alice, bob, 25, sender=bob)
    with reverts("the allowance is another by now"):
        token.approve(bob, 25, 10, sender=alice)


def test_ownership_can_be_given_away_and_ended(
    token: Contract, alice: Account, bob: Account
) -> None:
    with reverts("only the owner gives it away"):
        token.give_ownership(bob, sender=bob)
    token.give_ownership(bob, sender=alice)
    token.mint(bob, 1, sender=bob)
    token.give_ownership(bytes(32), sender=bob)
    with reverts("only the owner mints"):
        token.mint(bob, 1, sender=bob)


def test_balances_always_add_up_to_the_supply(
    token: Contract, alice: Account, bob: Account, carol: Account
) -> None:
    everybody = (alice, bob, carol)
    for step in range(1, 30):
        source, target = everybody[step % 3], everybody[step * 7 % 3]
        amount = step * 13 % 60
        if token.balance_of(source) >= amount:
            token.transfer(target, amount, sender=source)
        assert sum(token.balance_of(one) for one in everybody) == token.total_supply()

"""The journal over a ledger is the ledger with the writes in it."""

from __future__ import annotations

import random

import pytest

from qlq.contracts.journal import AMOUNT_MAX, Journal
from qlq.contracts.outcome import Failure, Moved, Reason, Write

CONTRACT, OTHER = b"\x01" * 32, b"\x02" * 32
ALICE, BOB = b"\xaa" * 32, b"\xbb" * 32
GOLD = b"\x09" * 32


def random_keys(rng: random.Random, count: int) -> list[bytes]:
    """Keys with few different bytes, so that prefixes and neighbours meet."""
    return [bytes(rng.choices(b"\x00\x01\xff", k=rng.randint(1, 4))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(200))
def test_pages_are_those_of_a_ledger_that_has_the_writes(ledger_class, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    ledger = ledger_class()
    for key in random_keys(rng, rng.randint(0, 30)):
        ledger.entries[CONTRACT, key] = b"stored " + key
        ledger.entries[OTHER, key] = b"another's"
    journal = Journal(ledger)
    after = {key: value for (owner, key), value in ledger.entries.items() if owner == CONTRACT}
    removed = set()
    for round_number in range(4):
        for key in random_keys(rng, rng.randint(0, 10)):
            value = rng.choice([None, b"written", bytes([round_number])])
            journal.write(CONTRACT, key, value)
            after.pop(key, None)
            removed.discard(key)
            if value is None:
                removed.add(key)
            else:
                after[key] = value
            assert journal.read(CONTRACT, key) == value
        prefix = bytes(rng.choices(b"\x00\x01\xff", k=rng.randint(0, 2)))
        start = prefix + bytes(rng.choices(b"\x00\x01\xff", k=rng.randint(0, 2)))
        expected = sorted(
            {key: after.get(key) for key in {*after, *removed}}.items(), key=lambda item: item[0]
        )
        wanted = [item for item in expected if item[0].startswith(prefix) and item[0] >= start]
        found = list(journal.ascending(CONTRACT, prefix, start, rng.randint(1, 5)))
        assert found == wanted


def test_reading_falls_through_to_the_ledger(ledger_class) -> None:
    journal = Journal(ledger_class(entries={(CONTRACT, b"k"): b"v"}))
    assert journal.read(CONTRACT, b"k") == b"v"
    assert journal.read(OTHER, b"k") is None
    journal.write(CONTRACT, b"k", None)
    assert journal.read(CONTRACT, b"k") is None


def test_writes_come_in_one_order_whatever_the_order_in_which_they_were_made(ledger_class) -> None:
    journal = Journal(ledger_class())
    journal.entries(ALICE)
    for contract, key in [(OTHER, b"b"), (CONTRACT, b"z"), (OTHER, b"a"), (CONTRACT, b"b")]:
        journal.write(contract, key, key)
    journal.write(OTHER, b"a", None)
    assert journal.writes() == (
        Write(CONTRACT, b"b", b"b"),
        Write(CONTRACT, b"z", b"z"),
        Write(OTHER, b"a", None),
        Write(OTHER, b"b", b"b"),
    )


def test_units_move_and_the_ledger_stays_as_it_is(ledger_class) -> None:
    ledger = ledger_class(balances={(ALICE, GOLD): 10})
    journal = Journal(ledger)
    journal.move(ALICE, BOB, GOLD, 7)
    journal.move(BOB, ALICE, GOLD, 2)
    journal.move(ALICE, ALICE, GOLD, 5)
    journal.move(ALICE, BOB, GOLD, 0)
    assert (journal.balance(ALICE, GOLD), journal.balance(BOB, GOLD)) == (5, 5)
    assert journal.moves == [Moved(ALICE, BOB, GOLD, 7), Moved(BOB, ALICE, GOLD, 2)]
    assert ledger.balances == {(ALICE, GOLD): 10}


@pytest.mark.parametrize("target", [ALICE, BOB])
def test_nobody_gives_what_they_do_not_hold(ledger_class, target: bytes) -> None:
    journal = Journal(ledger_class(balances={(ALICE, GOLD): 10}))
    with pytest.raises(Failure, match="10 units, not 11") as raised:
        journal.move(ALICE, target, GOLD, 11)
    assert raised.value.reason is Reason.INSUFFICIENT_BALANCE
    assert not journal.moves


def test_nobody_holds_more_than_the_ledger_counts(ledger_class) -> None:
    journal = Journal(ledger_class(balances={(ALICE, GOLD): 1, (BOB, GOLD): AMOUNT_MAX}))
    with pytest.raises(Failure) as raised:
        journal.move(ALICE, BOB, GOLD, 1)
    assert raised.value.reason is Reason.BALANCE_OVERFLOW
    assert journal.balance(ALICE, GOLD) == 1

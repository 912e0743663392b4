"""What a contract may ask of its host, what it pays, and what it gets."""

from __future__ import annotations

import hashlib

import pytest

from qlq.contracts import gas, host
from qlq.contracts.host import Host, Transaction
from qlq.contracts.journal import Journal
from qlq.contracts.outcome import Emitted, Env, Failure, Moved, Reason
from qlq.crypto.signing import Algorithm, SigningKey

CONTRACT, SENDER, BOB, GOLD = (bytes([number]) * 32 for number in (1, 2, 3, 9))
PLENTY = 10_000_000
KEY = b"slot...." + bytes(8)


def host_on(ledger, *, gas_limit: int = PLENTY) -> tuple[Host, Journal]:
    journal = Journal(ledger)

    def nobody(_host: Host, _data: bytes) -> bytes:
        raise AssertionError

    transaction = Transaction(Env(bytes(32), 7, 1000), journal, nobody)
    made = Host(
        transaction,
        contract=CONTRACT,
        sender=SENDER,
        gas_limit=gas_limit,
        asset=bytes(32),
        value=0,
    )
    return made, journal


def paid(made: Host) -> int:
    return PLENTY - made.gas


def test_an_entry_that_is_not_there_is_zero(ledger_class) -> None:
    made, _ = host_on(ledger_class())
    assert made.get(KEY, 16) == bytes(16)
    assert paid(made) == 1_600 + 16


def test_an_entry_is_read_back_as_written(ledger_class) -> None:
    made, journal = host_on(ledger_class())
    made.put(KEY, b"\x01" + bytes(7))
    assert paid(made) == 2_500 + 8 * 10 + 5_000
    assert made.get(KEY, 8) == b"\x01" + bytes(7)
    made.put(KEY, b"\x02" + bytes(7))
    assert paid(made) == 2 * (2_500 + 8 * 10) + 5_000 + 1_600 + 8
    assert [write.value for write in journal.writes()] == [b"\x02" + bytes(7)]


@pytest.mark.parametrize("stored", [{}, {(CONTRACT, KEY): b"\x01" * 8}])
def test_zero_removes_an_entry_and_makes_none(ledger_class, stored) -> None:
    made, journal = host_on(ledger_class(entries=dict(stored)))
    made.put(KEY, bytes(8))
    assert paid(made) == 2_500 + 8 * 10
    assert [write.value for write in journal.writes()] == [None] * len(stored)
    assert made.get(KEY, 8) == bytes(8)


def test_contracts_do_not_see_each_other_s_entries(ledger_class) -> None:
    made, _ = host_on(ledger_class(entries={(BOB, KEY): b"\x01" * 8}))
    assert made.get(KEY, 8) == bytes(8)


def test_a_page_has_the_first_entries_and_pays_for_all_that_it_asks_for(ledger_class) -> None:
    prefix = b"prefix.."
    entries = {(CONTRACT, prefix + bytes([number])): b"%08d" % number for number in range(20)}
    made, _ = host_on(ledger_class(entries=entries))
    found = made.page(prefix, prefix + b"\x05", 3, 9)
    assert found == [(bytes([number]), b"%08d" % number) for number in (5, 6, 7)]
    assert paid(made) == 5_000 + 3 * (1_700 + 9)


def test_a_page_pays_for_each_removed_entry_that_it_goes_past(ledger_class) -> None:
    prefix = b"prefix.."
    entries = {(CONTRACT, prefix + bytes([number])): b"\x01" * 8 for number in range(20)}
    made, _ = host_on(ledger_class(entries=entries))
    for number in range(10):
        made.put(prefix + bytes([number]), bytes(8))
    before = made.gas
    assert [key for key, _ in made.page(prefix, prefix, 2, 9)] == [b"\x0a", b"\x0b"]
    assert before - made.gas == 5_000 + 2 * (1_700 + 9) + 10 * 1_700


def test_events_are_kept_in_order_and_bounded(ledger_class) -> None:
    made, journal = host_on(ledger_class())
    for number in range(64):
        made.emit("Paid", bytes([number]))
    assert journal.events == [Emitted(CONTRACT, "Paid", bytes([number])) for number in range(64)]
    assert paid(made) == 64 * (1_300 + 8)
    with pytest.raises(Failure) as raised:
        made.emit("Paid", b"")
    assert raised.value.reason is Reason.EVENTS_TOO_MANY


def test_a_contract_gives_from_its_own_account_alone(ledger_class) -> None:
    made, journal = host_on(ledger_class(balances={(CONTRACT, GOLD): 10, (SENDER, GOLD): 99}))
    made.transfer(BOB, GOLD, 4)
    assert made.balance(CONTRACT, GOLD) == 6
    assert made.balance(BOB, GOLD) == 4
    assert made.balance(SENDER, GOLD) == 99
    assert journal.moves == [Moved(CONTRACT, BOB, GOLD, 4)]
    with pytest.raises(Failure) as raised:
        made.transfer(BOB, GOLD, 7)
    assert raised.value.reason is Reason.INSUFFICIENT_BALANCE


@pytest.mark.parametrize("size", [0, 1, 64, 1000])
def test_hashes_are_the_standard_s(ledger_class, size: int) -> None:
    made, _ = host_on(ledger_class())
    data = bytes(range(256)) * 4
    assert made.sha256(data[:size]) == hashlib.sha256(data[:size]).digest()
    assert made.sha3_256(data[:size]) == hashlib.sha3_256(data[:size]).digest()
    assert paid(made) == 2 * 1_800 + (3 + 4) * size


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ML_DSA_65])
def test_signatures_made_for_contracts_fit_and_no_others(ledger_class, algorithm) -> None:
    made, _ = host_on(ledger_class())
    key = SigningKey(algorithm, bytes(range(32)))
    verify = made.verify_ed25519 if algorithm is Algorithm.ED25519 else made.verify_mldsa65
    public = key.verifying_key.data
    signature = key.sign(b"message", context=host.SIGNATURE_CONTEXT)[1:]
    assert verify(public, b"message", signature)
    assert not verify(public, b"massage", signature)
    assert not verify(public, b"message", signature[:-1])
    assert not verify(public, b"message", b"")
    assert not verify(public, b"message", signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not verify(public[:-1], b"message", signature)
    assert not verify(bytes(len(public)), b"message", signature)
    elsewhere = key.sign(b"message", context=b"qlq/transaction/1")[1:]
    assert not verify(public, b"message", elsewhere)


PULSE = bytes(range(64))


def test_a_round_s_value_is_the_contract_s_own(ledger_class) -> None:
    made, _ = host_on(ledger_class(pulses={5: (PULSE, 3)}))
    assert made.beacon_value(5) == hashlib.sha256(PULSE + CONTRACT).digest()
    assert made.beacon_quality(5) == 3


@pytest.mark.parametrize("ask", ["beacon_value", "beacon_quality"])
@pytest.mark.parametrize("number", [0, 6, 2**64 - 1])
def test_a_round_that_is_not_there_reverts(ledger_class, ask: str, number: int) -> None:
    made, _ = host_on(ledger_class(pulses={5: (PULSE, 3)}))
    with pytest.raises(Failure, match="the latest is 5") as raised:
        getattr(made, ask)(number)
    assert raised.value.reason is Reason.ROUND_NOT_REACHED


def test_the_next_round_is_known_to_nobody(ledger_class) -> None:
    made, _ = host_on(ledger_class(pulses={5: (PULSE, 3)}))
    assert made.beacon_next_round(2) == 7
    assert made.beacon_next_round(100) == 105
    for delay in (0, 1):
        with pytest.raises(Failure) as raised:
            made.beacon_next_round(delay)
        assert raised.value.reason is Reason.ROUND_DELAY
    with pytest.raises(Failure) as raised:
        made.beacon_next_round(2**64 - 5)
    assert raised.value.reason is Reason.OVERFLOW


def slow_uniform(below: int, tag: bytes) -> tuple[int, int]:
    """The draw, and how many were thrown away: the largest multiple is found by going up."""
    digest, thrown = hashlib.sha256(PULSE + CONTRACT + tag).digest(), 0
    while True:
        number = int.from_bytes(digest[:8], "little")
        if number // below < 2**64 // below:
            return number % below, thrown
        digest, thrown = hashlib.sha256(digest).digest(), thrown + 1


@pytest.mark.parametrize("below", [1, 2, 3, 10, 2**63, 2**63 + 1, 2**64 - 1])
def test_a_uniform_number_is_thrown_again_where_it_would_favour_some(
    ledger_class, below: int
) -> None:
    thrown_at_all = 0
    for number in range(40):
        made, _ = host_on(ledger_class(pulses={5: (PULSE, 3)}))
        tag = number.to_bytes(8, "little")
        drawn, thrown = slow_uniform(below, tag)
        assert made.beacon_uniform(5, below, tag) == drawn
        assert paid(made) == gas.BEACON + 8 * gas.HASH_BYTE + thrown * gas.BEACON_DRAW
        thrown_at_all += thrown
    assert (thrown_at_all > 0) == (below == 2**63 + 1)


def test_nothing_is_drawn_from_nothing(ledger_class) -> None:
    made, _ = host_on(ledger_class(pulses={5: (PULSE, 3)}))
    with pytest.raises(Failure) as raised:
        made.beacon_uniform(5, 0, b"")
    assert raised.value.reason is Reason.RANGE_EMPTY


CALLS = {
    "get": lambda made: made.get(KEY, 8),
    "put": lambda made: made.put(KEY, b"\x01" * 8),
    "page": lambda made: made.page(KEY, KEY, 1, 8),
    "emit": lambda made: made.emit("Paid", b"12345678"),
    "balance": lambda made: made.balance(BOB, GOLD),
    "transfer": lambda made: made.transfer(BOB, GOLD, 1),
    "sha256": lambda made: made.sha256(b"12345678"),
    "sha3_256": lambda made: made.sha3_256(b"12345678"),
    "verify_ed25519": lambda made: made.verify_ed25519(BOB, b"m", bytes(64)),
    "verify_mldsa65": lambda made: made.verify_mldsa65(bytes(1952), b"m", bytes(3309)),
    "beacon_next_round": lambda made: made.beacon_next_round(2),
    "beacon_value": lambda made: made.beacon_value(5),
    "beacon_uniform": lambda made: made.beacon_uniform(5, 6, b""),
    "beacon_quality": lambda made: made.beacon_quality(5),
}


@pytest.mark.parametrize("name", CALLS)
def test_everything_is_paid_for_to_the_unit_or_not_done(ledger_class, name: str) -> None:
    def ledger():
        return ledger_class(pulses={5: (PULSE, 3)}, balances={(CONTRACT, GOLD): 10})

    made, _ = host_on(ledger())
    CALLS[name](made)
    units = paid(made)
    assert units > 0
    enough, _ = host_on(ledger(), gas_limit=units)
    CALLS[name](enough)
    assert enough.gas == 0
    short, journal = host_on(ledger(), gas_limit=units - 1)
    with pytest.raises(Failure) as raised:
        CALLS[name](short)
    assert raised.value.reason is Reason.OUT_OF_GAS
    assert short.gas == 0
    assert not journal.writes()
    assert not journal.events
    assert not journal.moves

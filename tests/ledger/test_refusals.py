"""Every reason for which a transaction is refused or fails, each provoked; nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qlq import codec
from qlq.consensus import validators as validator_sets
from qlq.crypto.signing import Algorithm
from qlq.errors import ConfigError, InvalidTransaction
from qlq.faults import TransactionFault as Fault
from qlq.ledger import genesis, records, transaction
from qlq.ledger.genesis import Limits
from qlq.ledger.operations import (
    AMOUNT_MAX,
    NATIVE,
    Anchor,
    AnnounceUpgrade,
    Burn,
    Call,
    ChangeValidators,
    CommitData,
    DefineAsset,
    Enrol,
    Issue,
    Leg,
    Post,
    PublishPulse,
    Reserve,
    RotateKey,
    Transfer,
    Void,
)
from qlq.ledger.transaction import SealKind, SealRecord
from qlq.provenance import Claim

ID = bytes(range(32))
KEY_ID = bytes(range(16))


def legs(*parts: tuple[Any, Any, bytes, int]) -> Transfer:
    return Transfer(tuple(Leg(a.address, b.address, asset, n) for a, b, asset, n in parts))


def gold(chain: Any, owner: Any, amount: int = 1000, cap: int = AMOUNT_MAX) -> bytes:
    """An asset of the owner's, with some of it issued to it."""
    made = chain.send(owner, DefineAsset("GOLD", 2, cap))
    asset = records.asset_id(made.transaction, 0)
    if amount:
        assert chain.send(owner, Issue(asset, owner.address, amount)).reason is None
    return asset


# -- refused before any block holds them ----------------------------------------------------------

Refused = Callable[[Any, Any, Any], Any]
REFUSED: dict[Fault, Refused] = {
    Fault.MALFORMED: lambda c, a, _b: c.signed(c.draft(a, Enrol(ID)), a).to_bytes() + b"\x00",
    Fault.CHAIN: lambda c, a, _b: c.signed(c.draft(a, Enrol(ID), chain=ID), a),
    Fault.EXPIRED: lambda c, a, _b: c.signed(c.draft(a, Enrol(ID), valid_until=c.tip.height), a),
    Fault.EXPIRY_TOO_FAR: lambda c, a, _b: c.signed(
        c.draft(a, Enrol(ID), valid_until=c.tip.height + 1 + 10_001), a
    ),
    Fault.NONCE_GAP: lambda c, a, _b: c.signed(c.draft(a, Enrol(ID), nonce=c.nonce(a) + 1), a),
    Fault.AMOUNT_ZERO: lambda c, a, b: c.signed(c.draft(a, legs((a, b, NATIVE, 0))), a),
    Fault.AMOUNT_NEGATIVE: lambda c, a, b: c.signed(c.draft(a, legs((a, b, NATIVE, -1))), a),
    Fault.AMOUNT_TOO_LARGE: lambda c, a, b: c.signed(c.draft(a, legs((a, b, NATIVE, 2**63))), a),
    Fault.SELF_TRANSFER: lambda c, a, _b: c.signed(c.draft(a, legs((a, a, NATIVE, 1))), a),
    Fault.SIGNER_MISSING: lambda c, a, b: c.signed(c.draft(a, legs((b, a, NATIVE, 1))), a),
    Fault.SIGNER_UNNEEDED: lambda c, a, b: c.signed(c.draft(a, legs((a, b, NATIVE, 1))), a, b),
    Fault.GAS_TOO_HIGH: lambda c, a, _b: c.signed(
        c.draft(a, Call(ID, b"read", b"", 10_000_001)), a
    ),
    Fault.SEAL_POLICY: lambda c, a, _b: c.signed(
        c.draft(
            a,
            Enrol(ID),
            seals=(SealRecord(c.nodes[0].address, SealKind.QKD, KEY_ID, Claim.SAME_CHIP),),
        ),
        a,
    ),
}


@pytest.mark.parametrize("reason", REFUSED, ids=lambda reason: reason.word)
def test_a_transaction_is_refused_with_its_reason(
    quotas: Any, alice: Any, bob: Any, reason: Fault
) -> None:
    refusal = quotas.refusal(REFUSED[reason](quotas, alice, bob))
    assert refusal.reason is reason
    assert refusal.reason < 64


def test_an_unknown_sender_is_refused(quotas: Any, carol: Any) -> None:
    signed = quotas.signed(quotas.draft(carol, Enrol(ID)), carol)
    assert quotas.refusal(signed).reason is Fault.UNKNOWN_SENDER


def test_a_replay_is_refused(quotas: Any, alice: Any) -> None:
    signed = quotas.signed(quotas.draft(alice, Anchor(1, ID)), alice)
    assert quotas.put(signed).reason is None
    assert quotas.refusal(signed).reason is Fault.NONCE_USED


def test_another_chain_refuses_what_was_signed_for_this_one(world: Any, alice: Any) -> None:
    one, other = world.chain(), world.chain(nodes=2)
    one.enrol(alice)
    other.enrol(alice)
    signed = one.signed(one.draft(alice, Anchor(1, ID)), alice)
    assert other.refusal(signed).reason is Fault.CHAIN
    assert one.put(signed).reason is None


def test_the_first_transaction_shows_the_key_and_no_other(
    world: Any, quotas: Any, alice: Any, bob: Any
) -> None:
    draft = quotas.draft(alice, Anchor(1, ID))
    good = quotas.authorise(draft, alice)
    bare = world.changed(good, key=b"")
    of_bob = transaction.sign(draft, alice.address, bob.key, shown=bob.key.verifying_key)
    for authorisation, reason in (
        (bare, Fault.KEY_MISSING),
        (of_bob, Fault.KEY_MISMATCH),
        (world.changed(good, key=good.key[:-1]), Fault.KEY_MISMATCH),
    ):
        signed = transaction.SignedTransaction(draft, (authorisation,))
        assert quotas.refusal(signed).reason is reason
    assert quotas.send(alice, Anchor(1, ID)).reason is None
    shown = quotas.draft(alice, Anchor(1, bytes(32)))
    authorisation = transaction.sign(shown, alice.address, bob.key, shown=bob.key.verifying_key)
    signed = transaction.SignedTransaction(shown, (authorisation,))
    assert quotas.refusal(signed).reason is Fault.KEY_MISMATCH


def test_a_key_given_another_algorithms_name_is_refused(
    world: Any, quotas: Any, alice: Any
) -> None:
    quotas.send(alice, Anchor(1, ID))
    draft = quotas.draft(alice, Anchor(1, bytes(32)))
    good = quotas.authorise(draft, alice)
    renamed = bytes([Algorithm.HYBRID.value]) + good.signature[1:]
    signed = transaction.SignedTransaction(draft, (world.changed(good, signature=renamed),))
    assert quotas.refusal(signed).reason is Fault.ALGORITHM


def test_a_signature_of_another_use_or_message_is_refused(
    world: Any, quotas: Any, alice: Any
) -> None:
    quotas.send(alice, Anchor(1, ID))
    draft = quotas.draft(alice, Anchor(1, bytes(32)))
    good = quotas.authorise(draft, alice)
    elsewhere = alice.key.sign(draft.to_bytes(), context=b"qlq/tx/2")
    flipped = good.signature[:-1] + bytes([good.signature[-1] ^ 1])
    for signature in (elsewhere, flipped):
        signed = transaction.SignedTransaction(draft, (world.changed(good, signature=signature),))
        assert quotas.refusal(signed).reason is Fault.SIGNATURE
    other = world.changed(draft, memo=b"another")
    assert quotas.refusal(transaction.SignedTransaction(other, (good,))).reason is Fault.SIGNATURE


def test_fees_are_a_condition(fees: Any, alice: Any) -> None:
    low = fees.signed(fees.draft(alice, Anchor(1, ID), fee=999), alice)
    assert fees.refusal(low).reason is Fault.FEE_TOO_LOW
    high = fees.signed(fees.draft(alice, Anchor(1, ID), fee=10**12 + 1), alice)
    assert fees.refusal(high).reason is Fault.FEE_UNAFFORDABLE
    gas = fees.draft(alice, Call(ID, b"read", b"", 10_000_000), fee=10**12 - 99_999)
    assert fees.refusal(fees.signed(gas, alice)).reason is Fault.FEE_UNAFFORDABLE


def test_a_seal_key_seals_once(quotas: Any, alice: Any) -> None:
    record = SealRecord(quotas.nodes[0].address, SealKind.QKD_AND_PQ, KEY_ID, Claim.SIMULATION)
    assert quotas.send(alice, Anchor(1, ID), seals=(record,)).reason is None
    again = quotas.signed(quotas.draft(alice, Anchor(1, bytes(32)), seals=(record,)), alice)
    assert quotas.refusal(again).reason is Fault.SEAL_KEY_REUSED


def test_nobody_uses_up_the_seal_key_of_another_sender(quotas: Any, alice: Any, bob: Any) -> None:
    """Ids are readable in envelopes: whoever copies one names a key of another link."""
    record = SealRecord(quotas.nodes[0].address, SealKind.QKD_AND_PQ, KEY_ID, Claim.SIMULATION)
    assert quotas.send(bob, Anchor(1, bytes(32)), seals=(record,)).reason is None
    assert quotas.send(alice, Anchor(1, ID), seals=(record,)).reason is None


def test_seals_are_for_validators_alone(quotas: Any, alice: Any, bob: Any) -> None:
    own = SealRecord(quotas.nodes[0].address, SealKind.PQ, b"", 0)
    for stranger in (bob.address, bytes(32)):
        records_ = (own, SealRecord(stranger, SealKind.QKD_AND_PQ, KEY_ID, Claim.SIMULATION))
        ordered = tuple(sorted(records_, key=lambda one: one.reader))
        draft = quotas.draft(alice, Anchor(1, ID), seals=ordered)
        assert quotas.refusal(quotas.signed(draft, alice)).reason is Fault.SEAL_POLICY


def test_a_seal_key_is_used_up_by_a_transaction_that_fails(
    quotas: Any, alice: Any, bob: Any
) -> None:
    record = SealRecord(quotas.nodes[0].address, SealKind.QKD_AND_PQ, KEY_ID, Claim.SIMULATION)
    failed = quotas.send(alice, legs((alice, bob, NATIVE, 1)), seals=(record,))
    assert failed.reason is Fault.INSUFFICIENT_BALANCE
    again = quotas.signed(quotas.draft(alice, Anchor(1, ID), seals=(record,)), alice)
    assert quotas.refusal(again).reason is Fault.SEAL_KEY_REUSED


def test_a_block_has_bounds(world: Any, alice: Any) -> None:
    chain = world.chain(limits=Limits(transactions_max=2, block_gas_max=20_000_000))
    chain.enrol(alice)
    chain.send(alice, Anchor(1, ID))
    base = chain.nonce(alice)
    many = [
        chain.signed(chain.draft(alice, Anchor(1, bytes([k]) * 32), nonce=base + k), alice)
        for k in range(3)
    ]
    proposal = chain.propose(*(one.to_bytes() for one in many))
    assert len(proposal.block.entries) == 2
    assert [error.reason for _, error in proposal.refused] == [Fault.BLOCK_FULL]


def test_what_stands_behind_a_transaction_without_room_waits_too(
    world: Any, alice: Any, bob: Any
) -> None:
    """A later one would find room: it is not refused for the nonce that is missing."""
    chain = world.chain(limits=Limits(block_bytes_max=2_200))
    for one in (alice, bob):
        chain.enrol(one)
        chain.send(one, Anchor(1, ID))
    base, large = chain.nonce(alice), tuple(Anchor(1, bytes([k]) * 32) for k in range(16))
    drafts = [
        chain.draft(alice, *large, nonce=base, memo=bytes(500)),
        chain.draft(alice, *large, nonce=base + 1, memo=bytes(500)),
        chain.draft(alice, Anchor(1, bytes(32)), nonce=base + 2),
    ]
    entries = [chain.signed(draft, alice).to_bytes() for draft in drafts]
    last = chain.signed(chain.draft(bob, Anchor(1, bytes(32))), bob).to_bytes()
    assert 2 * len(entries[0]) > 2_200 > len(entries[0]) + len(entries[2]) + len(last)
    proposal = chain.propose(*entries, last)
    assert proposal.block.entries == (entries[0], last)
    assert [error.reason for _, error in proposal.refused] == [Fault.BLOCK_FULL] * 2


# -- in a block, without effect -------------------------------------------------------------------


def fails(chain: Any, sender: Any, *operations: Any, **fields: Any) -> Fault:
    """Why a transaction fails in a block; it uses its nonce and changes nothing else."""
    before = dict(chain.state.items())
    nonce = chain.nonce(sender)
    receipt = chain.send(sender, *operations, **fields)
    after = dict(chain.state.items())
    assert chain.nonce(sender) == nonce + 1
    ours = {records.account_key(sender.address), records.TIMES}
    ours |= {records.account_key(chain.nodes[0].address)} if receipt.fee else set()
    touched = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert touched <= ours
    assert receipt.events == ()
    assert receipt.result == b""
    assert receipt.reason is not None
    assert receipt.reason >= 64
    return receipt.reason


def test_balances_are_bounds(quotas: Any, alice: Any, bob: Any) -> None:
    asset = gold(quotas, alice)
    assert fails(quotas, alice, legs((alice, bob, asset, 1001))) is Fault.INSUFFICIENT_BALANCE
    assert fails(quotas, alice, legs((alice, bob, ID, 1))) is Fault.INSUFFICIENT_BALANCE
    assert fails(quotas, alice, Burn(asset, 1001)) is Fault.INSUFFICIENT_BALANCE
    assert fails(quotas, alice, Burn(ID, 1)) is Fault.UNKNOWN_ASSET
    assert fails(quotas, alice, Issue(ID, bob.address, 1)) is Fault.UNKNOWN_ASSET


def test_the_first_leg_is_undone_when_the_second_fails(quotas: Any, alice: Any, bob: Any) -> None:
    asset = gold(quotas, alice)
    two = legs((alice, bob, asset, 600), (alice, bob, asset, 600))
    assert fails(quotas, alice, two) is Fault.INSUFFICIENT_BALANCE
    assert quotas.balance(alice, asset) == 1000
    assert quotas.balance(bob, asset) == 0


def test_nobody_holds_more_than_an_integer_can(quotas: Any, alice: Any, bob: Any) -> None:
    asset = gold(quotas, alice, AMOUNT_MAX)
    assert fails(quotas, alice, Issue(asset, alice.address, 1)) is Fault.SUPPLY_OVERFLOW
    assert quotas.send(alice, legs((alice, bob, asset, AMOUNT_MAX))).reason is None
    assert quotas.balance(bob, asset) == AMOUNT_MAX


def test_a_balance_of_native_units_does_not_overflow(world: Any, alice: Any, bob: Any) -> None:
    """The supply is below 2^63, so that only a damaged state could: it is refused all the same."""
    chain = world.chain(genesis.FEES, rich=(alice, bob))
    full = records.Account(native=AMOUNT_MAX)
    key = records.account_key(bob.address)
    chain.state.accept(
        {key: codec.encode(full)}, chain.state.tree.update({key: codec.encode(full)})
    )
    assert fails(chain, alice, legs((alice, bob, NATIVE, 1))) is Fault.BALANCE_OVERFLOW


def test_a_cap_is_a_cap(quotas: Any, alice: Any) -> None:
    asset = gold(quotas, alice, 10, cap=10)
    assert fails(quotas, alice, Issue(asset, alice.address, 1)) is Fault.SUPPLY_OVERFLOW
    assert quotas.send(alice, Burn(asset, 4)).reason is None
    assert quotas.send(alice, Issue(asset, alice.address, 4)).reason is None


def test_assets_have_one_issuer_and_one_symbol(quotas: Any, alice: Any, bob: Any) -> None:
    asset = gold(quotas, alice)
    assert fails(quotas, bob, Issue(asset, bob.address, 1)) is Fault.NOT_ISSUER
    assert fails(quotas, bob, DefineAsset("GOLD", 0)) is Fault.SYMBOL_TAKEN
    assert fails(quotas, bob, DefineAsset("QLQ", 0)) is Fault.SYMBOL_TAKEN


def test_accounts_are_enrolled_by_an_administrator(
    quotas: Any, alice: Any, bob: Any, carol: Any
) -> None:
    asset = gold(quotas, alice)
    assert fails(quotas, alice, legs((alice, carol, asset, 1))) is Fault.UNKNOWN_ACCOUNT
    assert fails(quotas, alice, Enrol(carol.address)) is Fault.NOT_ADMIN
    reason = fails(quotas, quotas.administrator, Enrol(bob.address))
    assert reason is Fault.ALREADY_ENROLLED


def test_escrows_end_once_and_by_whom_they_should(
    quotas: Any, alice: Any, bob: Any, carol: Any
) -> None:
    quotas.enrol(carol)
    asset = gold(quotas, alice)
    until = quotas.tip.height + 4
    made = quotas.send(alice, Reserve(bob.address, asset, 100, carol.address, until))
    escrow = records.escrow_id(made.transaction, 0)
    assert fails(quotas, bob, Post(escrow)) is Fault.NOT_ARBITER
    assert fails(quotas, bob, Void(escrow)) is Fault.ESCROW_OPEN
    assert fails(quotas, bob, Void(ID)) is Fault.UNKNOWN_ESCROW
    assert fails(quotas, carol, Post(escrow)) is Fault.ESCROW_EXPIRED
    assert quotas.send(bob, Void(escrow)).reason is None
    assert quotas.balance(alice, asset) == 1000
    assert fails(quotas, carol, Post(escrow)) is Fault.UNKNOWN_ESCROW
    late = Reserve(bob.address, asset, 1, carol.address, quotas.tip.height)
    assert fails(quotas, alice, late) is Fault.ESCROW_EXPIRED


def test_a_digest_is_anchored_once(quotas: Any, alice: Any, bob: Any) -> None:
    assert quotas.send(alice, Anchor(1, ID)).reason is None
    assert fails(quotas, bob, Anchor(2, ID)) is Fault.ALREADY_ANCHORED
    assert quotas.send(alice, CommitData(ID, 7)).reason is None
    assert fails(quotas, bob, CommitData(ID, 7)) is Fault.ALREADY_ANCHORED


def test_a_new_key_is_another_and_somebody_holds_it(
    world: Any, quotas: Any, alice: Any, bob: Any
) -> None:
    chain_id = quotas.rules.chain
    quotas.send(alice, Anchor(1, ID))
    same = transaction.rotation(alice.address, alice.key, chain=chain_id)
    assert fails(quotas, alice, same) is Fault.SAME_KEY
    new = world.person("alice's second").key
    of_bob = transaction.rotation(bob.address, new, chain=chain_id)
    assert fails(quotas, alice, of_bob) is Fault.NEW_KEY_INVALID
    assert fails(quotas, alice, RotateKey(b"\x09" * 33, b"")) is Fault.NEW_KEY_INVALID


def test_a_change_of_validators_takes_a_quorum(world: Any, alice: Any) -> None:
    chain = world.chain(nodes=4)
    chain.enrol(alice)
    new = validator_sets.of(*(world.node(f"new {index}").member for index in range(4)))
    change = ChangeValidators(new.to_bytes())
    assert fails(chain, alice, change) is Fault.NO_QUORUM
    assert fails(chain, alice, ChangeValidators(b"\x01\x90")) is Fault.VALIDATORS_INVALID
    voters = [world.person(f"{k}") for k in range(4)]
    for voter, node in zip(voters, chain.nodes, strict=True):
        voter.key, voter.address = node.key, node.address
    draft = chain.draft(voters[0], change)
    assert chain.put(chain.signed(draft, voters[0], voters[1])).reason is Fault.NO_QUORUM
    draft = chain.draft(voters[0], change)
    assert chain.put(chain.signed(draft, *voters[:3])).reason is None
    draft = chain.draft(voters[0], change)
    assert chain.put(chain.signed(draft, *voters[:3])).reason is Fault.VALIDATORS_PENDING


def test_pulses_need_a_beacon(world: Any, quotas: Any, alice: Any) -> None:
    assert fails(quotas, alice, PublishPulse(b"")) is Fault.NO_BEACON
    chain = world.chain(beacon=world.person("beacon").key.verifying_key.to_bytes())
    chain.enrol(alice)
    assert fails(chain, alice, PublishPulse(b"\x01\x90")) is Fault.PULSE_INVALID


def test_entries_have_a_quota(world: Any, alice: Any) -> None:
    chain = world.chain(world.changed(genesis.QUOTAS, entries_max=2))
    chain.enrol(alice)
    assert chain.send(alice, Anchor(1, ID), Anchor(1, bytes(32))).reason is None
    assert fails(chain, alice, Anchor(1, b"\x01" * 32)) is Fault.STATE_QUOTA


def test_entries_take_a_deposit(world: Any, alice: Any) -> None:
    chain = world.chain(genesis.FEES, rich=(alice,), native=11_000)
    assert chain.send(alice, Anchor(1, ID)).reason is None
    chain = world.chain(genesis.FEES, rich=(alice,), native=10_999)
    assert fails(chain, alice, Anchor(1, ID)) is Fault.DEPOSIT_UNAFFORDABLE


def test_a_chain_without_contracts_says_so(quotas: Any, alice: Any) -> None:
    announced = AnnounceUpgrade(ID, ID)
    assert fails(quotas, alice, announced) is Fault.CONTRACTS_ABSENT


def test_amounts_beyond_the_wire_do_not_decode(quotas: Any, alice: Any, bob: Any) -> None:
    entry = quotas.signed(quotas.draft(alice, legs((alice, bob, NATIVE, AMOUNT_MAX))), alice)
    data = entry.to_bytes()
    largest = b"\xcf" + AMOUNT_MAX.to_bytes(8, "big")
    assert data.count(largest) == 1
    with pytest.raises(InvalidTransaction) as caught:
        transaction.decode(data.replace(largest, b"\xcf" + (2**63).to_bytes(8, "big")))
    assert caught.value.reason is Fault.AMOUNT_TOO_LARGE
    with pytest.raises(InvalidTransaction) as caught:
        transaction.decode(data.replace(largest, b"\xcb" + bytes(8)))
    assert caught.value.reason is Fault.MALFORMED


@pytest.mark.parametrize("bad", [b"\xff" * 1216, bytes(1216)], ids=["range", "low order"])
def test_nobody_votes_for_whom_nothing_can_be_sealed(world: Any, bad: bytes) -> None:
    """Every block of the set would have to be sealed for it: none could be made."""
    chain = world.chain()
    joining = world.node("joining").member
    broken = world.changed(joining, encapsulation_key=joining.encapsulation_key[:1] + bad)
    new = validator_sets.of(chain.nodes[0].member, broken)
    administrator = chain.administrator
    change = ChangeValidators(new.to_bytes())
    assert fails(chain, administrator, change) is Fault.VALIDATORS_INVALID
    with pytest.raises(ConfigError, match=broken.address.hex()[:16]):
        genesis.check(world.changed(chain.rules.genesis, validators=new))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"limits": Limits(block_bytes_max=16 << 20)}, "block_bytes_max 16777216"),
        ({"limits": Limits(sealed_bytes_max=1 << 40)}, "sealed_bytes_max"),
        ({"limits": Limits(transactions_max=1 << 30)}, "transactions_max"),
        ({"limits": Limits(transaction_gas_max=10**9)}, "transaction_gas_max"),
        ({"limits": Limits(expiry_max=0)}, "expiry_max 0"),
        ({"beacon": b"\x07junk"}, "algorithm"),
        ({"beacon": b"\x01short"}, "key"),
    ],
)
def test_a_chain_does_not_begin_with_what_would_stop_it(
    world: Any, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        genesis.check(world.changed(world.chain().rules.genesis, **fields))

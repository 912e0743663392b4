"""What transactions and blocks do, and blocks that do not follow from the state before them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from qlq import codec
from qlq.consensus import validators as validator_sets
from qlq.consensus.proposer import ProposerMode
from qlq.errors import InvalidBlock, InvalidTransaction, InvariantBroken
from qlq.faults import BlockFault, TransactionFault
from qlq.ledger import execution, genesis, holdings, merkle, records, transaction, transition
from qlq.ledger.block import NO_BEACON, Block
from qlq.ledger.execution import Work
from qlq.ledger.operations import (
    NATIVE,
    Anchor,
    Call,
    ChangeValidators,
    DefineAsset,
    Issue,
    Leg,
    Operation,
    Post,
    PublishPulse,
    Reserve,
    Transfer,
)
from qlq.provenance import EntropyTier
from qlq.qrng import beacon
from qlq.qrng.beacon import LocalValue

ID = bytes(range(32))


def legs(*parts: tuple[Any, Any, bytes, int]) -> Transfer:
    return Transfer(tuple(Leg(a.address, b.address, asset, n) for a, b, asset, n in parts))


def asset_of(chain: Any, owner: Any, symbol: str, amount: int) -> bytes:
    made = chain.send(owner, DefineAsset(symbol, 2))
    asset = records.asset_id(made.transaction, 0)
    assert chain.send(owner, Issue(asset, owner.address, amount)).reason is None
    return asset


def test_an_exchange_of_two_assets_needs_both_and_happens_at_once(
    quotas: Any, alice: Any, bob: Any
) -> None:
    gold, silver = asset_of(quotas, alice, "GOLD", 100), asset_of(quotas, bob, "SILVER", 900)
    swap = legs((alice, bob, gold, 10), (bob, alice, silver, 90))
    draft = quotas.draft(alice, swap)
    assert quotas.put(quotas.signed(draft, alice, bob)).reason is None
    held = [quotas.balance(who, what) for who in (alice, bob) for what in (gold, silver)]
    assert held == [90, 90, 10, 810]
    assert quotas.nonce(bob) == 2  # only the sender's nonce is used


def test_events_say_what_moved(quotas: Any, alice: Any, bob: Any) -> None:
    gold = asset_of(quotas, alice, "GOLD", 100)
    receipt = quotas.send(alice, legs((alice, bob, gold, 7)))
    (event,) = receipt.events
    values = codec.decode(event.data, tuple[bytes, bytes, bytes, int])
    assert (event.emitter, event.name) == (alice.address, "transfer")
    assert values == (alice.address, bob.address, gold, 7)


def test_fees_go_to_the_proposer_and_are_paid_by_failures_too(
    fees: Any, alice: Any, bob: Any
) -> None:
    proposer = fees.nodes[0].address
    before = fees.balance(proposer)
    assert fees.send(alice, legs((alice, bob, NATIVE, 5)), fee=1_234).reason is None
    assert fees.balance(proposer) == before + 1_234
    failed = fees.send(alice, legs((alice, bob, ID, 5)), fee=2_000)
    assert failed.reason is TransactionFault.INSUFFICIENT_BALANCE
    assert failed.fee == 2_000
    assert fees.balance(proposer) == before + 3_234
    assert fees.balance(alice) == 10**12 - 5 - 3_234


def test_a_deposit_is_held_for_each_entry_and_goes_to_whoever_removes_it(
    fees: Any, alice: Any, bob: Any
) -> None:
    deposit = fees.rules.genesis.policy.deposit
    gold = asset_of(fees, alice, "GOLD", 100)  # asset, symbol, balance
    assert fees.balance(records.DEPOSITS) == 3 * deposit
    assert fees.send(alice, legs((alice, bob, gold, 40))).reason is None
    assert fees.balance(records.DEPOSITS) == 4 * deposit
    before = fees.balance(bob)
    assert fees.send(bob, legs((bob, alice, gold, 40))).reason is None
    assert fees.balance(records.DEPOSITS) == 3 * deposit
    assert fees.balance(bob) == before + deposit - fees.rules.genesis.policy.fee_min


def test_with_fees_an_account_exists_once_it_is_given_something(
    fees: Any, alice: Any, carol: Any
) -> None:
    assert fees.send(alice, legs((alice, carol, NATIVE, 100_000))).reason is None
    assert fees.send(carol, Anchor(1, ID)).reason is None
    assert fees.balance(carol) == 100_000 - 1_000 - 10_000


class _Metered:
    """Stands in for contracts: uses some of the gas that it is given, and may fail."""

    def __init__(self, used: int, reason: TransactionFault | None = None) -> None:
        self.used, self.reason = used, reason

    def carry_out(self, work: Work, operation: Operation, index: int) -> None:
        work.gas += self.used
        work.overlay.put(records.STORAGE + ID + bytes([index]), b"\x01")
        if self.reason is not None:
            raise InvalidTransaction(self.reason, type(operation).__name__)


@pytest.mark.parametrize("reason", [None, TransactionFault.REVERTED])
def test_gas_that_was_not_used_is_given_back(
    world: Any, alice: Any, reason: TransactionFault | None
) -> None:
    chain = world.chain(genesis.FEES, rich=(alice,), contracts=_Metered(1_001, reason))
    receipt = chain.send(alice, Call(ID, b"read", b"", 500_000), fee=1_000)
    assert receipt.reason is reason
    assert (receipt.gas, receipt.fee) == (1_001, 1_000 + 11)  # 10 for 1,000 gas, rounded up
    entry = 0 if reason else chain.rules.genesis.policy.deposit
    assert chain.balance(alice) == 10**12 - receipt.fee - entry


def test_an_escrow_that_is_posted_pays_its_target(quotas: Any, alice: Any, bob: Any) -> None:
    gold = asset_of(quotas, alice, "GOLD", 100)
    until = quotas.tip.height + 10
    made = quotas.send(alice, Reserve(bob.address, gold, 30, bob.address, until))
    assert quotas.balance(alice, gold) == 70
    assert quotas.send(bob, Post(records.escrow_id(made.transaction, 0))).reason is None
    assert quotas.balance(bob, gold) == 30


def test_after_a_rotation_the_old_key_signs_nothing(world: Any, quotas: Any, alice: Any) -> None:
    quotas.send(alice, Anchor(1, ID))
    new = world.person("alice's second")
    rotate = transaction.rotation(alice.address, new.key, chain=quotas.rules.chain)
    assert quotas.send(alice, rotate).reason is None
    late = quotas.signed(quotas.draft(alice, Anchor(1, bytes(32))), alice)
    assert quotas.refusal(late).reason is TransactionFault.SIGNATURE
    alice.key = new.key
    assert quotas.send(alice, Anchor(1, bytes(32))).reason is None


def test_a_key_that_rotates_within_a_block_holds_from_the_next_transaction(
    world: Any, quotas: Any, alice: Any
) -> None:
    quotas.send(alice, Anchor(1, ID))
    new = world.person("alice's second")
    rotate = transaction.rotation(alice.address, new.key, chain=quotas.rules.chain)
    first = quotas.signed(quotas.draft(alice, rotate), alice)
    nonce = quotas.nonce(alice) + 1
    draft = quotas.draft(alice, Anchor(1, bytes(32)), nonce=nonce)
    of_old = quotas.signed(draft, alice)
    alice.key = new.key
    of_new = quotas.signed(draft, alice)
    proposal = quotas.propose(first.to_bytes(), of_old.to_bytes(), of_new.to_bytes())
    assert [error.reason for _, error in proposal.refused] == [TransactionFault.SIGNATURE]
    quotas.accept(proposal)
    assert [receipt.reason for receipt in proposal.outcome.receipts] == [None, None]


def test_a_new_set_of_validators_votes_two_heights_later(world: Any) -> None:
    chain = world.chain(nodes=4)
    old = chain.rules.genesis.validators
    new = validator_sets.of(*(world.node(f"new {index}").member for index in range(4)))
    voters = [world.person(f"{index}") for index in range(3)]
    for voter, node in zip(voters, chain.nodes, strict=False):
        voter.key, voter.address = node.key, node.address
    draft = chain.draft(voters[0], ChangeValidators(new.to_bytes()))
    assert chain.put(chain.signed(draft, *voters)).reason is None
    height = chain.tip.height
    for _ in range(3):
        chain.accept(chain.propose())
    hashes = [one.block.header.validators_hash for one in chain.proposals[-4:]]
    assert hashes == [old.hash, old.hash, new.hash, new.hash]
    last = chain.proposals[-1].block.header
    assert last.height == height + 3
    assert last.proposer in new
    assert last.mode is ProposerMode.FALLBACK_RR


def test_headers_name_the_latest_pulse_of_the_block_before(world: Any, alice: Any) -> None:
    key = world.person("beacon").key
    chain = world.chain(beacon=key.verifying_key.to_bytes())
    chain.enrol(alice)
    assert chain.proposals[-1].block.header.beacon_round == 0
    assert chain.proposals[-1].block.header.beacon_digest == NO_BEACON
    state = beacon.begin(key.verifying_key)
    for index in range(5):
        pulse = beacon.make(
            state,
            key,
            local=drawn(local(index)),
            next_local=local(index + 1),
            time_s=1_900_000_000 + index,
            period_s=0,
        )
        state = beacon.extend(state, pulse)
        if index >= 2:  # a chain may begin with a later pulse, and goes on without gaps
            assert chain.send(alice, PublishPulse(pulse.to_bytes())).reason is None
            chain.accept(chain.propose())
            header = chain.proposals[-1].block.header
            assert header.beacon_round == index + 1
            assert header.beacon_digest == pulse.digest
    again = chain.send(alice, PublishPulse(pulse.to_bytes()))
    assert again.reason is TransactionFault.PULSE_INVALID
    stored = chain.state.get(records.pulse_key(4))
    assert stored is not None
    assert records.read(stored, records.PulseRecord).tier == 0


def local(index: int) -> bytes:
    return hashlib.sha512(b"local %d" % index).digest()


def drawn(data: bytes) -> LocalValue:
    return LocalValue(data, EntropyTier.NONE, 0, degraded=False, origin="aer", certificate=b"")


def test_headers_form_a_log(quotas: Any) -> None:
    for _ in range(6):
        quotas.accept(quotas.propose())
    headers = [one.block.header for one in quotas.proposals]
    for index, header in enumerate(headers):
        assert header.log_root == merkle.root([one.hash for one in headers[:index]])
        assert header.parent == (headers[index - 1].hash if index else quotas.rules.chain)
    assert quotas.tip.log.root == merkle.root([one.hash for one in headers])


def test_contracts_see_the_median_of_eleven_times(quotas: Any) -> None:
    for _ in range(15):
        quotas.accept(quotas.propose())
    times = sorted(one.block.header.time_ms for one in quotas.proposals)[-11:]
    assert transition.median_time_s(quotas.state) == times[5] // 1000


FAULTS: dict[BlockFault, dict[str, Any]] = {
    BlockFault.CHAIN: {"chain": ID},
    BlockFault.HEIGHT: {"height": 9},
    BlockFault.PARENT: {"parent": ID},
    BlockFault.TIME: {"time_ms": 0},
    BlockFault.PROPOSER: {"proposer": ID},
    BlockFault.VALIDATORS: {"validators_hash": ID},
    BlockFault.PARAMETERS: {"parameters_hash": ID},
    BlockFault.BEACON: {"beacon_round": 1},
    BlockFault.TX_ROOT: {"tx_root": ID},
    BlockFault.RECEIPT_ROOT: {"receipt_root": ID},
    BlockFault.STATE_ROOT: {"state_root": ID},
    BlockFault.LOG_ROOT: {"log_root": ID},
}


@pytest.mark.parametrize("reason", FAULTS, ids=lambda reason: reason.value)
def test_a_block_that_does_not_follow_is_refused_with_its_reason(
    world: Any, quotas: Any, alice: Any, reason: BlockFault
) -> None:
    entry = quotas.signed(quotas.draft(alice, Anchor(1, ID)), alice).to_bytes()
    good = quotas.propose(entry).block
    header = world.changed(good.header, **FAULTS[reason])
    root = quotas.state.tree.root
    with pytest.raises(InvalidBlock) as caught:
        transition.apply_block(
            quotas.state, quotas.tip, Block(header, good.entries), rules=quotas.rules
        )
    assert caught.value.reason is reason
    assert quotas.state.tree.root == root


def test_a_block_with_an_entry_that_may_not_be_there_is_refused(quotas: Any, carol: Any) -> None:
    entry = quotas.signed(quotas.draft(carol, Anchor(1, ID)), carol).to_bytes()
    header = quotas.propose().block.header
    root = merkle.root([entry])
    changed = type(header)(
        **{
            **{name: getattr(header, name) for name in header.__struct_fields__},
            "tx_root": root,
            "transaction_count": 1,
        }
    )
    with pytest.raises(InvalidBlock) as caught:
        transition.apply_block(
            quotas.state, quotas.tip, Block(changed, (entry,)), rules=quotas.rules
        )
    assert caught.value.reason is BlockFault.TRANSACTION


def test_every_fault_of_a_block_is_provoked() -> None:
    elsewhere = {BlockFault.TRANSACTION, BlockFault.MALFORMED}
    assert set(FAULTS) | elsewhere == set(BlockFault)


class _Minting:
    """A contract engine with a bug: it makes units of nothing."""

    def carry_out(self, work: Work, operation: Operation, index: int) -> None:
        del operation, index
        account = holdings.find_account(work.overlay, work.sender)
        assert account is not None
        richer = records.Account(account.nonce, account.native + 1, account.key, account.entries)
        holdings.put_account(work.overlay, work.sender, richer)


def test_units_made_of_nothing_stop_the_node(world: Any, alice: Any) -> None:
    chain = world.chain(contracts=_Minting())
    chain.enrol(alice)
    with pytest.raises(InvariantBroken, match="changed by 1"):
        chain.send(alice, Call(ID, b"read", b"", 1))


def test_rules_without_contracts_are_the_default(quotas: Any) -> None:
    assert isinstance(quotas.rules.contracts, execution.NoContracts)

"""Blocks as pure steps: the state before and a block give the state after and the receipts.

    propose       transactions -> a block that names its outcome, and the outcome
    apply_block   a block -> the outcome, if it is the one that the block names
    foresee       a draft -> why it would have no effect, before anybody signs or seals it

Nothing is changed in place: the outcome holds the changes and the tree after them, and whoever
holds the state accepts them once the block is final, or drops them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from qlq import codec
from qlq.consensus import proposer
from qlq.contracts.gas import BLOCK_SOURCE_MAX
from qlq.crypto import digest
from qlq.errors import InvalidBlock, InvalidTransaction
from qlq.faults import BlockFault, TransactionFault
from qlq.ledger import (
    admission,
    block,
    conservation,
    execution,
    holdings,
    merkle,
    operations,
    records,
    transaction,
)
from qlq.ledger.admission import Verify
from qlq.ledger.block import NO_BEACON, Block, Header
from qlq.ledger.execution import Contracts, Setting, Work
from qlq.ledger.genesis import Genesis, Policy
from qlq.ledger.merkle import Frontier
from qlq.ledger.receipt import NO_FAULT, NO_WRITES, Receipt, Status
from qlq.ledger.records import Account, ValidatorRecord
from qlq.ledger.state import Changes, Overlay, State, View
from qlq.ledger.state_tree import Tree
from qlq.ledger.transaction import Authorisation, Draft, SignedTransaction
from qlq.qrng import beacon

_WRITES_NAME = b"qlq/writes/1"


@dataclass(frozen=True, slots=True)
class Tip:
    """The last final block, as the next one has to know it.

    Attributes:
        height: 0 before the first block.
        hash: Its hash; the chain id before the first block.
        time_ms: Its time.
        log: The tree over the hashes of all blocks up to it.
    """

    height: int
    hash: bytes
    time_ms: int
    log: Frontier

    def after(self, header: Header) -> Tip:
        """The tip once a block is final."""
        return Tip(
            header.height,
            header.hash,
            header.time_ms,
            self.log.append(merkle.leaf_hash(header.hash)),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a block does.

    Attributes:
        changes: New values by state key, None for removed entries.
        tree: The state's tree after them.
        receipts: One for each entry.
        ids: The entries' transaction ids.
    """

    changes: Changes
    tree: Tree
    receipts: tuple[Receipt, ...]
    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A block that may be voted on.

    Attributes:
        block: The block.
        outcome: What it does.
        refused: Candidates that are not in it, each with its reason.
    """

    block: Block
    outcome: Outcome
    refused: tuple[tuple[bytes, InvalidTransaction], ...]


@dataclass(frozen=True, slots=True)
class _Carried:
    """What carrying out a list of transactions gives, before the block is finished."""

    entries: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]
    changes: Changes
    refused: tuple[tuple[bytes, InvalidTransaction], ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What stays the same from block to block.

    Attributes:
        genesis: The chain's beginning.
        chain: Its id.
        contracts: Whatever carries out contracts.
        verify: Whatever verifies signatures, for example from memory.
    """

    genesis: Genesis
    chain: bytes
    contracts: Contracts
    verify: Verify = admission.verify


def begin(genesis: Genesis) -> tuple[State, Tip]:
    """The state and the tip before the first block."""
    entries: dict[bytes, bytes] = {}
    members = {member.address: member.key for member in genesis.validators.members}
    accounts = {address: Account(key=key) for address, key in members.items()}
    for administrator in genesis.administrators:
        accounts.setdefault(administrator, Account())
    accounts[records.DEPOSITS] = Account()
    for allocation in genesis.allocations:
        held = accounts.get(allocation.account, Account())
        accounts[allocation.account] = replace(held, native=allocation.amount)
    for address, account in accounts.items():
        entries[records.account_key(address)] = codec.encode(account)
    entries[records.VALIDATORS] = codec.encode(ValidatorRecord(genesis.validators))
    entries[records.TIMES] = codec.encode((genesis.time_ms,))
    return State(entries), Tip(0, genesis.chain, genesis.time_ms, Frontier())


@dataclass(frozen=True, slots=True)
class _Room:
    """What a block has, and what an entry takes, of gas, bytes and bytes of sources."""

    gas: int
    entry_bytes: int
    source_bytes: int

    @classmethod
    def of(cls, draft: Draft, entry: bytes) -> _Room:
        """What this entry takes."""
        return cls(draft.gas_limit, len(entry), draft.source_bytes)

    def is_within(self, other: _Room) -> bool:
        """Whether there is no less of anything in the other."""
        return (
            self.gas <= other.gas
            and self.entry_bytes <= other.entry_bytes
            and self.source_bytes <= other.source_bytes
        )

    def without(self, other: _Room) -> _Room:
        """What is left."""
        return _Room(
            self.gas - other.gas,
            self.entry_bytes - other.entry_bytes,
            self.source_bytes - other.source_bytes,
        )


def propose(
    state: State, tip: Tip, candidates: Iterable[bytes], *, time_ms: int, rules: Rules
) -> Proposal:
    """A block with these transactions on the tip, and what it does.

    Candidates that may not be in it, or that find no room, are left out and named.

    Args:
        state: After the tip.
        tip: The last final block.
        candidates: Signed transactions in canonical bytes, in the order wanted.
        time_ms: Now; a time that is not after the tip's is moved behind it.
        rules: The chain's.
    """
    height = tip.height + 1
    current = execution.read_validators(state).current
    whose, mode = proposer.proposer(current, height)
    time_ms = max(time_ms, tip.time_ms + 1)
    setting = _setting(state, height, time_ms, whose.address, rules)
    carried = _carry_out(state, candidates, setting, rules)
    beacon_round, beacon_digest = latest_pulse(state)
    header = Header(
        chain=rules.chain,
        height=height,
        parent=tip.hash,
        time_ms=time_ms,
        proposer=whose.address,
        mode=mode,
        beacon_round=beacon_round,
        beacon_digest=beacon_digest,
        transaction_count=len(carried.entries),
        tx_root=block.tx_root(carried.entries),
        receipt_root=block.receipt_root(carried.receipts),
        state_root=b"",
        log_root=tip.log.root,
        validators_hash=current.hash,
        parameters_hash=rules.genesis.parameters_hash,
    )
    outcome = _finish(state, carried, header)
    header = replace(header, state_root=outcome.tree.root)
    return Proposal(Block(header, carried.entries), outcome, carried.refused)


def apply_block(state: State, tip: Tip, proposed: Block, *, rules: Rules) -> Outcome:
    """What a block does to the state, if it follows from it.

    Pure: state and tip are only read.

    Raises:
        InvalidBlock: It does not follow, with the first thing that is wrong.
        InvariantBroken: An asset was made or lost; a bug of ours.
    """
    header = proposed.header
    _check_header(state, tip, proposed, rules)
    setting = _setting(state, header.height, header.time_ms, header.proposer, rules)
    carried = _carry_out(state, proposed.entries, setting, rules)
    if carried.refused:
        raise _fault(BlockFault.TRANSACTION, header, str(carried.refused[0][1]))
    outcome = _finish(state, carried, header)
    if block.receipt_root(outcome.receipts) != header.receipt_root:
        raise _fault(BlockFault.RECEIPT_ROOT, header, "its transactions have other receipts")
    if outcome.tree.root != header.state_root:
        raise _fault(BlockFault.STATE_ROOT, header, "its transactions lead to another state")
    return outcome


def admit(view: View, signed: SignedTransaction, *, height: int, rules: Rules) -> None:
    """Return if a transaction may be in a block of this height on this state.

    Raises:
        InvalidTransaction: It may not.
    """
    needs = admission.check(view, signed, height=height, chain=rules.chain, rules=rules.genesis)
    for need in needs:
        rules.verify(need)


def foresee(view: View, draft: Draft, *, height: int, rules: Rules) -> None:
    """Return if a draft would have its effect in a block of this height on this state.

    Nothing is changed. Whoever has to sign is taken to have signed, whatever waits is left out of
    account, and the block may still find another state.

    Raises:
        InvalidTransaction: It would not, with the reason that its receipt would have.
    """
    givers = {one for part in draft.operations for one in operations.givers(part)}
    signers = (draft.sender, *sorted(givers - {draft.sender}))
    signed = SignedTransaction(draft, tuple(Authorisation(one, b"", b"") for one in signers))
    whose, _ = proposer.proposer(execution.read_validators(view).current, height)
    overlay = Overlay(view)
    work = _begin(
        overlay,
        signed,
        _offered(draft, rules),
        _setting(view, height, _times(view)[-1] + 1, whose.address, rules),
    )
    for index, part in enumerate(draft.operations):
        execution.carry_out(work, part, index, rules.contracts)
    _settle_entries(work, rules.genesis.policy)


def _check_header(state: State, tip: Tip, proposed: Block, rules: Rules) -> None:
    """Return if everything in a header that does not follow from the entries is right."""
    header = proposed.header
    current = execution.read_validators(state).current
    whose, mode = proposer.proposer(current, tip.height + 1)
    expected = (
        (BlockFault.CHAIN, header.chain, rules.chain),
        (BlockFault.HEIGHT, header.height, tip.height + 1),
        (BlockFault.PARENT, header.parent, tip.hash),
        (BlockFault.PROPOSER, (header.proposer, header.mode), (whose.address, mode)),
        (BlockFault.BEACON, (header.beacon_round, header.beacon_digest), latest_pulse(state)),
        (BlockFault.LOG_ROOT, header.log_root, tip.log.root),
        (BlockFault.VALIDATORS, header.validators_hash, current.hash),
        (BlockFault.PARAMETERS, header.parameters_hash, rules.genesis.parameters_hash),
        (BlockFault.TX_ROOT, header.tx_root, block.tx_root(proposed.entries)),
        (BlockFault.TX_ROOT, header.transaction_count, len(proposed.entries)),
    )
    for reason, found, wanted in expected:
        if found != wanted:
            raise _fault(reason, header, f"{_shown(found)}, not {_shown(wanted)}")
    if header.time_ms <= tip.time_ms:
        raise _fault(BlockFault.TIME, header, f"{header.time_ms} ms, its parent {tip.time_ms} ms")


def _setting(view: View, height: int, time_ms: int, whose: bytes, rules: Rules) -> Setting:
    return Setting(rules.chain, height, median_time_s(view), time_ms, whose, rules.genesis)


def _carry_out(view: View, entries: Iterable[bytes], setting: Setting, rules: Rules) -> _Carried:
    """Carry out entries one after the other; those that may not be there change nothing."""
    overlay, limits = Overlay(view), rules.genesis.limits
    kept: list[bytes] = []
    receipts: list[Receipt] = []
    refused: list[tuple[bytes, InvalidTransaction]] = []
    left = _Room(limits.block_gas_max, limits.block_bytes_max, BLOCK_SOURCE_MAX)
    waiting: set[bytes] = set()  # senders without room: what they sent after that waits too
    for entry in entries:
        try:
            signed = transaction.decode(entry)
            sender, needed = signed.draft.sender, _Room.of(signed.draft, entry)
            is_full = len(kept) == limits.transactions_max or not needed.is_within(left)
            if sender in waiting or is_full:
                waiting.add(sender)
                refused.append((entry, _full()))
                continue
            admit(overlay, signed, height=setting.height, rules=rules)
        except InvalidTransaction as error:
            refused.append((entry, error))
            continue
        left = left.without(needed)
        kept.append(entry)
        receipts.append(_carry_out_one(overlay, signed, setting, rules))
    return _Carried(tuple(kept), tuple(receipts), overlay.changes, tuple(refused))


def _full() -> InvalidTransaction:
    return InvalidTransaction(TransactionFault.BLOCK_FULL, "wait for the next block")


def _carry_out_one(
    below: Overlay, signed: SignedTransaction, setting: Setting, rules: Rules
) -> Receipt:
    """Charge the fee, use the nonce, and do all operations or none."""
    draft, policy = signed.draft, setting.rules.policy
    offered = _offered(draft, rules)
    work = _begin(below, signed, offered, setting)
    index, fault = 0, NO_FAULT
    try:
        for index, part in enumerate(draft.operations):
            execution.carry_out(work, part, index, rules.contracts)
        _settle_entries(work, policy)
    except InvalidTransaction as error:
        fault = int(error.reason)
    changes = {} if fault else work.overlay.differences()
    below.absorb(changes)
    paid = draft.fee + admission.gas_cost(work.gas, policy)
    _pay(below, draft.sender, refund=offered - paid, fee=paid, proposer=setting.proposer)
    return Receipt(
        transaction=work.id,
        status=Status.FAILED if fault else Status.DONE,
        fault=fault,
        operation=index if fault else 0,
        code=work.code,
        gas=work.gas,
        fee=paid,
        result=b"" if fault else work.result,
        events=() if fault else tuple(work.events),
        writes=NO_WRITES if fault else writes_digest(changes),
    )


def _offered(draft: Draft, rules: Rules) -> int:
    """What the sender has to have: its fee, and all the gas that it asks for."""
    return draft.fee + admission.gas_cost(draft.gas_limit, rules.genesis.policy)


def _begin(below: Overlay, signed: SignedTransaction, offered: int, setting: Setting) -> Work:
    """Charge the fee and use the nonce; the operations are still to do."""
    _enter(below, signed, offered, setting)
    return Work(setting, signed, signed.draft.id, Overlay(below))


def _enter(below: Overlay, signed: SignedTransaction, offered: int, setting: Setting) -> None:
    """What being in a block does, whatever comes of it: nonce, keys, fee, spent seal keys."""
    draft = signed.draft
    for authorisation in signed.authorisations:
        account = holdings.find_account(below, authorisation.signer) or Account()
        if authorisation.key:
            account = replace(account, key=authorisation.key)
        if authorisation.signer == draft.sender:
            account = replace(account, nonce=account.nonce + 1, native=account.native - offered)
        holdings.put_account(below, authorisation.signer, account)
    height = records.write_integer(setting.height)
    for seal in draft.seals:
        if seal.key_id:
            below.put(records.seal_key(seal.reader, draft.sender, seal.key_id), height)


def _settle_entries(work: Work, policy: Policy) -> None:
    """Hold the deposit for new entries and give back that of removed ones, or count the quota.

    Raises:
        InvalidTransaction: The sender cannot pay the deposit, or has used its quota.
    """
    made = 0
    for key, value in work.overlay.changes.items():
        if key[:1] in records.COUNTED:
            made += (value is not None) - (not work.overlay.is_new(key))
    if not made:
        return
    account = holdings.find_account(work.overlay, work.sender) or Account()
    entries, cost = max(0, account.entries + made), made * policy.deposit
    if policy.entries_max and entries > policy.entries_max:
        detail = f"the account would have made {entries} entries, its quota is {policy.entries_max}"
        raise InvalidTransaction(TransactionFault.STATE_QUOTA, detail)
    if cost > account.native:
        detail = f"{made} entries take a deposit of {cost}, the sender has {account.native}"
        raise InvalidTransaction(TransactionFault.DEPOSIT_UNAFFORDABLE, detail)
    changed = replace(account, entries=entries, native=account.native - cost)
    holdings.put_account(work.overlay, work.sender, changed)
    held = holdings.find_account(work.overlay, records.DEPOSITS) or Account()
    kept = replace(held, native=held.native + cost)
    holdings.put_account(work.overlay, records.DEPOSITS, kept)


def _pay(below: Overlay, sender: bytes, *, refund: int, fee: int, proposer: bytes) -> None:
    """Give the proposer the fee, and the sender what its gas did not cost."""
    for address, amount in ((sender, refund), (proposer, fee)):
        if amount:
            account = holdings.find_account(below, address) or Account()
            holdings.put_account(below, address, replace(account, native=account.native + amount))


def _finish(state: State, carried: _Carried, header: Header) -> Outcome:
    """Note the block's time, let a new set of validators take over, and check conservation."""
    overlay = Overlay(state)
    overlay.absorb(carried.changes)
    recent = (*_times(state), header.time_ms)[-records.TIMES_COUNT :]
    overlay.put(records.TIMES, codec.encode(recent))
    validators = execution.read_validators(overlay)
    if validators.following is not None and validators.following_height == header.height + 1:
        overlay.put(records.VALIDATORS, codec.encode(ValidatorRecord(validators.following)))
    changes = overlay.differences()
    conservation.check(state, changes, height=header.height)
    ids = tuple(receipt.transaction for receipt in carried.receipts)
    return Outcome(changes, state.tree.update(changes), carried.receipts, ids)


def writes_digest(changes: Changes) -> bytes:
    """Digest of changes in ascending order of their keys, as receipts hold it."""
    return digest.named(_WRITES_NAME, codec.encode(tuple(sorted(changes.items()))))


def latest_pulse(view: View) -> tuple[int, bytes]:
    """Round and digest of the latest pulse on the chain; 0 and zeros without one."""
    latest = view.get(records.BEACON)
    if latest is None:
        return 0, NO_BEACON
    pulse = beacon.decode(latest)
    return pulse.body.index + 1, pulse.digest


def median_time_s(view: View) -> int:
    """Median of the times of up to eleven blocks before this one, whole seconds."""
    times = _times(view)
    return sorted(times)[len(times) // 2] // 1000


def _times(view: View) -> tuple[int, ...]:
    """Times of recent blocks, the latest last."""
    found: tuple[int, ...] = records.read(view.get(records.TIMES) or b"", tuple[int, ...])
    return found


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _fault(reason: BlockFault, header: Header, detail: str) -> InvalidBlock:
    return InvalidBlock(reason, height=header.height, detail=detail)

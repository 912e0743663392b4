"""What one transaction's operations do to the state; one function for each kind.

All of them work on an overlay that is given up when one of them fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from msgspec.structs import replace

from qlq import codec
from qlq.consensus import validators as validator_sets
from qlq.crypto import digest
from qlq.crypto.signing import VerifyingKey
from qlq.errors import BadSignature, InvalidPulse, InvalidTransaction, RemoteMisuse
from qlq.faults import TransactionFault
from qlq.ledger import holdings, operations, records
from qlq.ledger.genesis import Genesis
from qlq.ledger.operations import Leg, Operation
from qlq.ledger.receipt import Event
from qlq.ledger.records import (
    Account,
    Asset,
    Escrow,
    PulseRecord,
    Round,
    Rounds,
    ValidatorRecord,
)
from qlq.ledger.state import Overlay, View
from qlq.ledger.transaction import ROTATION_CONTEXT, SignedTransaction
from qlq.qrng import beacon

VALIDATORS_DELAY = 2
"""Heights until a changed set of validators votes: the next block is proposed already."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a transaction is carried out.

    Attributes:
        chain: Chain id.
        height: Of the block.
        time_s: Median of the times of the blocks before, seconds since 1970.
        time_ms: Of the block itself, milliseconds since 1970.
        proposer: Address of the block's proposer, who gets the fees.
        rules: The chain's genesis.
    """

    chain: bytes
    height: int
    time_s: int
    time_ms: int
    proposer: bytes
    rules: Genesis


@dataclass(slots=True)
class Work:
    """One transaction under way.

    Attributes:
        setting: Where.
        signed: The transaction.
        id: Its id.
        overlay: Changes so far, given up if an operation fails.
        events: What happened so far.
        gas: Used by contracts so far.
        result: What the last contract call returned.
        code: A contract's own number of its failure.
        contract_events: How many of the events are of contracts.
    """

    setting: Setting
    signed: SignedTransaction
    id: bytes
    overlay: Overlay
    events: list[Event] = field(default_factory=list)
    gas: int = 0
    result: bytes = b""
    code: int = 0
    contract_events: int = 0

    @property
    def sender(self) -> bytes:
        """Address of the sender."""
        return self.signed.draft.sender

    def emit(self, name: str, *values: bytes | int | str) -> None:
        """Note that something happened."""
        self.events.append(Event(self.sender, name, codec.encode(values)))

    def credit(self, account: bytes, asset: bytes, amount: int) -> None:
        """Give units to an account, under the chain's policy."""
        policy = self.setting.rules.policy.kind
        holdings.credit(self.overlay, account, asset, amount, policy=policy)


def read_validators(view: View) -> ValidatorRecord:
    """The present validators, and those to come."""
    return records.read(view.get(records.VALIDATORS) or b"", ValidatorRecord)


class Contracts(Protocol):
    """Whatever carries out the operations of contracts."""

    def carry_out(self, work: Work, operation: Operation, index: int) -> None:
        """Carry out a deploy, call or upgrade; raises InvalidTransaction."""


class NoContracts:
    """Of a chain that runs none."""

    def carry_out(self, work: Work, operation: Operation, index: int) -> None:
        """Refuse."""
        detail = f"operation {index} of {work.id.hex()} ({type(operation).__name__})"
        raise InvalidTransaction(TransactionFault.CONTRACTS_ABSENT, detail)


def carry_out(work: Work, operation: Operation, index: int, contracts: Contracts) -> None:
    """Do one operation.

    Args:
        work: The transaction, with its changes so far.
        operation: One of its operations.
        index: Which one.
        contracts: For deploys, calls and upgrades.

    Raises:
        InvalidTransaction: With a reason of 64 or more; the changes are to be given up.
    """
    match operation:
        case operations.Transfer(legs):
            for leg in legs:
                _move(work, leg)
        case operations.DefineAsset():
            _define(work, operation, index)
        case operations.Issue() | operations.Burn():
            _change_supply(work, operation)
        case operations.Reserve():
            _reserve(work, operation, index)
        case operations.Post(escrow):
            _post(work, escrow)
        case operations.Void(escrow):
            _void(work, escrow)
        case _:
            _administer(work, operation, index, contracts)


def _administer(work: Work, operation: Operation, index: int, contracts: Contracts) -> None:
    """Do an operation that moves no asset by itself."""
    match operation:
        case operations.RotateKey():
            _rotate(work, operation)
        case operations.ChangeValidators(validators):
            _change_validators(work, validators)
        case operations.Anchor() | operations.CommitData():
            _record(work, operation)
        case operations.Enrol(account):
            _enrol(work, account)
        case operations.PublishPulse(pulse):
            _publish(work, pulse)
        case _:
            contracts.carry_out(work, operation, index)


def _move(work: Work, leg: Leg) -> None:
    holdings.debit(work.overlay, leg.source, leg.asset, leg.amount)
    work.credit(leg.target, leg.asset, leg.amount)
    work.emit("transfer", leg.source, leg.target, leg.asset, leg.amount)


def _define(work: Work, wanted: operations.DefineAsset, index: int) -> None:
    key = records.symbol_key(wanted.symbol)
    if work.overlay.get(key) is not None or wanted.symbol == "QLQ":
        detail = f"{wanted.symbol} exists: choose another symbol"
        raise InvalidTransaction(TransactionFault.SYMBOL_TAKEN, detail)
    asset = records.asset_id(work.id, index)
    record = Asset(wanted.symbol, wanted.decimals, work.sender, 0, wanted.cap)
    work.overlay.put(records.asset_key(asset), codec.encode(record))
    work.overlay.put(key, asset)
    work.emit("asset-defined", asset, wanted.symbol)


def _change_supply(work: Work, operation: operations.Issue | operations.Burn) -> None:
    asset = operation.asset
    record = holdings.find_asset(work.overlay, asset)
    if isinstance(operation, operations.Issue):
        if record.issuer != work.sender:
            detail = f"{record.symbol} is issued by {record.issuer.hex()} alone"
            raise InvalidTransaction(TransactionFault.NOT_ISSUER, detail)
        supply = record.supply + operation.amount
        if supply > record.cap:
            detail = f"a supply of {supply} {record.symbol} is above its cap of {record.cap}"
            raise InvalidTransaction(TransactionFault.SUPPLY_OVERFLOW, detail)
        work.credit(operation.target, asset, operation.amount)
        work.emit("issued", asset, operation.target, operation.amount)
    else:
        holdings.debit(work.overlay, work.sender, asset, operation.amount)
        supply = record.supply - operation.amount
        work.emit("burned", asset, operation.amount)
    work.overlay.put(records.asset_key(asset), codec.encode(replace(record, supply=supply)))


def _reserve(work: Work, wanted: operations.Reserve, index: int) -> None:
    if wanted.until < work.setting.height:
        detail = f"height {wanted.until} has passed"
        raise InvalidTransaction(TransactionFault.ESCROW_EXPIRED, detail)
    holdings.debit(work.overlay, work.sender, wanted.asset, wanted.amount)
    escrow = records.escrow_id(work.id, index)
    record = Escrow(
        work.sender, wanted.target, wanted.asset, wanted.amount, wanted.arbiter, wanted.until
    )
    work.overlay.put(records.escrow_key(escrow), codec.encode(record))
    work.emit("reserved", escrow, wanted.target, wanted.asset, wanted.amount)


def _post(work: Work, escrow: bytes) -> None:
    record = _escrow(work, escrow)
    if work.sender != record.arbiter:
        detail = f"{record.arbiter.hex()} decides on escrow {escrow.hex()}"
        raise InvalidTransaction(TransactionFault.NOT_ARBITER, detail)
    if work.setting.height > record.until:
        detail = f"it could be posted until height {record.until}; void it"
        raise InvalidTransaction(TransactionFault.ESCROW_EXPIRED, detail)
    work.overlay.remove(records.escrow_key(escrow))
    work.credit(record.target, record.asset, record.amount)
    work.emit("posted", escrow, record.target, record.asset, record.amount)


def _void(work: Work, escrow: bytes) -> None:
    record = _escrow(work, escrow)
    if work.sender != record.arbiter and work.setting.height <= record.until:
        detail = f"until height {record.until} only {record.arbiter.hex()} can void it"
        raise InvalidTransaction(TransactionFault.ESCROW_OPEN, detail)
    work.overlay.remove(records.escrow_key(escrow))
    work.credit(record.source, record.asset, record.amount)
    work.emit("voided", escrow, record.source, record.asset, record.amount)


def _escrow(work: Work, escrow: bytes) -> Escrow:
    found = work.overlay.get(records.escrow_key(escrow))
    if found is None:
        detail = f"no escrow {escrow.hex()}: it was posted or voided, or never reserved"
        raise InvalidTransaction(TransactionFault.UNKNOWN_ESCROW, detail)
    return records.read(found, Escrow)


def _rotate(work: Work, wanted: operations.RotateKey) -> None:
    account = holdings.find_account(work.overlay, work.sender) or Account()
    if account.key == wanted.key:
        raise InvalidTransaction(TransactionFault.SAME_KEY, "it is the account's key already")
    try:
        key = VerifyingKey.from_bytes(wanted.key)
        message = work.setting.chain + work.sender
        key.verify(message, wanted.proof, context=ROTATION_CONTEXT)
    except (RemoteMisuse, BadSignature) as error:
        raise InvalidTransaction(TransactionFault.NEW_KEY_INVALID, str(error)) from error
    holdings.put_account(work.overlay, work.sender, replace(account, key=wanted.key))
    work.emit("key-rotated", digest.sha256(wanted.key))


def _change_validators(work: Work, wanted: bytes) -> None:
    overlay = work.overlay
    record = read_validators(overlay)
    if record.following is not None:
        detail = f"another set takes over at height {record.following_height}"
        raise InvalidTransaction(TransactionFault.VALIDATORS_PENDING, detail)
    try:
        following = validator_sets.decode(wanted)
        validator_sets.check_joining(following, record.current)
    except RemoteMisuse as error:
        raise InvalidTransaction(TransactionFault.VALIDATORS_INVALID, str(error)) from error
    present = {member.address for member in record.current.members}
    signed = sum(signer in present for signer in work.signed.signers)
    if signed < record.current.quorum:
        detail = f"{signed} of {len(present)} validators signed, {record.current.quorum} must"
        raise InvalidTransaction(TransactionFault.NO_QUORUM, detail)
    for member in following.members:
        if holdings.find_account(overlay, member.address) is None:
            holdings.put_account(overlay, member.address, Account())
    height = work.setting.height + VALIDATORS_DELAY
    changed = replace(record, following=following, following_height=height)
    overlay.put(records.VALIDATORS, codec.encode(changed))
    work.emit("validators-changed", following.hash, height)


def _record(work: Work, operation: operations.Anchor | operations.CommitData) -> None:
    """Put a digest on the chain, once."""
    record: msgspec.Struct
    if isinstance(operation, operations.Anchor):
        key = records.anchor_key(operation.digest)
        record = records.Anchored(operation.kind, work.sender, work.setting.height)
        name, shown = "anchored", operation.digest
    else:
        key = records.commitment_key(operation.commitment)
        record = records.Committed(work.sender, operation.size, work.setting.height)
        name, shown = "committed", operation.commitment
    if work.overlay.get(key) is not None:
        detail = f"{shown.hex()} is on the chain already"
        raise InvalidTransaction(TransactionFault.ALREADY_ANCHORED, detail)
    work.overlay.put(key, codec.encode(record))
    work.emit(name, shown)


def _enrol(work: Work, account: bytes) -> None:
    if work.sender not in work.setting.rules.administrators:
        detail = "only an administrator of the chain enrols accounts"
        raise InvalidTransaction(TransactionFault.NOT_ADMIN, detail)
    if holdings.find_account(work.overlay, account) is not None:
        detail = f"{account.hex()} is enrolled already"
        raise InvalidTransaction(TransactionFault.ALREADY_ENROLLED, detail)
    holdings.put_account(work.overlay, account, Account())
    work.emit("enrolled", account)


def _publish(work: Work, data: bytes) -> None:
    """Take the beacon's next pulse; the first one on a chain may have any index."""
    rules = work.setting.rules
    if not rules.beacon:
        raise InvalidTransaction(TransactionFault.NO_BEACON, "the genesis names no beacon")
    key = VerifyingKey.from_bytes(rules.beacon)
    latest = work.overlay.get(records.BEACON)
    try:
        pulse = beacon.decode(data)
        if latest is None:
            beacon.adopt(key, pulse)
        else:
            beacon.extend(beacon.resume(key, beacon.decode(latest)), pulse)
    except InvalidPulse as error:
        raise InvalidTransaction(TransactionFault.PULSE_INVALID, str(error)) from error
    beacon_round = pulse.body.index + 1
    record = PulseRecord(pulse.body.value, pulse.body.tier, work.setting.height)
    work.overlay.put(records.BEACON, data)
    work.overlay.put(records.pulse_key(beacon_round), codec.encode(record))
    work.emit("pulse", beacon_round, pulse.body.value)
    rounds = records.read_rounds(work.overlay.get(records.ROUNDS))
    # A round is named while the one before the last is the latest: up to the block that brings the
    # one before it. A pulse that was made by then may have been known to whoever named the round.
    is_new = pulse.body.time_s * 1000 > rounds.time_ms and work.setting.height > rounds.height
    if is_new:
        number, height = rounds.count + 1, work.setting.height
        made = Round(pulse.body.value, pulse.body.tier, height, pulse.body.index)
        work.overlay.put(records.round_key(number), codec.encode(made))
        latest_round = Rounds(number, height, work.setting.time_ms)
        work.overlay.put(records.ROUNDS, codec.encode(latest_round))
        work.emit("round", number, pulse.body.index)

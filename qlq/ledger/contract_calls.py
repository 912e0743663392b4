"""Contracts on the ledger: deploys, calls and upgrades as operations of a transaction.

Every node compiles the source itself and compares the code's hash with the transaction's. It is
paid for before it is done, whatever comes of it; a call never compiles. What an engine's outcome
asks for is written here: storage, transfers from the contract's account, events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from qlq import codec
from qlq.contracts import gas
from qlq.contracts.code_store import Codes
from qlq.contracts.compiled import COMPILER_VERSION, Code, Compiled
from qlq.contracts.engine import Engine
from qlq.contracts.host import EVENTS_MAX
from qlq.contracts.outcome import Call, Env, Outcome, Reason, Status
from qlq.contracts.program import Upgrade
from qlq.crypto import digest
from qlq.errors import ContractError, InvalidTransaction, InvariantBroken
from qlq.faults import TransactionFault
from qlq.ledger import holdings, operations, records
from qlq.ledger.execution import Work
from qlq.ledger.operations import NATIVE, Operation
from qlq.ledger.receipt import Event
from qlq.ledger.records import Account, ContractRecord, Round
from qlq.ledger.state import View

_ADDRESS_NAME = b"qlq/contract/1"

CheckUpgrade = Callable[[Code, Code], None]
"""Raises ContractError where the new code has lost or retyped a field of the old."""

_FAULTS = {
    Status.REVERTED: TransactionFault.REVERTED,
    Status.OUT_OF_GAS: TransactionFault.OUT_OF_GAS,
    Status.REFUSED: TransactionFault.CALL_REFUSED,
}
_REASON_SHIFT = 1 << 32
"""A receipt's code holds the engine's reason above the number of the contract's own text."""


def address_of(deployer: bytes, nonce: int, operation: int, code_hash: bytes) -> bytes:
    """The address of a contract that this operation deploys, 32 bytes."""
    place = nonce.to_bytes(8, "big") + operation.to_bytes(2, "big")
    return digest.named(_ADDRESS_NAME, deployer + place + code_hash)


def split_code(code: int) -> tuple[int, int]:
    """The engine's reason and the number of the contract's own text, of a receipt's code."""
    return divmod(code, _REASON_SHIFT)


@dataclass(frozen=True, slots=True)
class LedgerView:
    """The state as contracts see it; see `contracts.journal.Ledger`.

    Attributes:
        view: The state.
        height: Of the block that is made on it: what it brings itself of the beacon is not seen.
        find: Looks up code.
    """

    view: View
    height: int
    find: Callable[[View, bytes], Code | None]

    def storage(self, contract: bytes, key: bytes) -> bytes | None:
        """An entry of a contract."""
        return self.view.get(records.storage_key(contract, key))

    def storage_page(
        self, contract: bytes, prefix: bytes, start: bytes, count: int
    ) -> list[tuple[bytes, bytes | None]]:
        """Entries of a contract, ascending by their keys; what this block removed has None."""
        skip = len(records.storage_key(contract, b""))
        found = self.view.page(
            records.storage_key(contract, prefix), records.storage_key(contract, start), count
        )
        return [(key[skip:], value) for key, value in found]

    def balance(self, address: bytes, asset: bytes) -> int:
        """What an account holds."""
        return holdings.balance(self.view, address, asset)

    def beacon(self, round_number: int) -> tuple[bytes, int] | None:
        """Value and tier of a round that an earlier block brought."""
        found = self.view.get(records.round_key(round_number))
        if found is None:
            return None
        record = records.read(found, Round)
        return (record.value, record.tier) if record.height < self.height else None

    def beacon_latest(self) -> int:
        """The latest round that an earlier block brought; 0 without one."""
        rounds = records.read_rounds(self.view.get(records.ROUNDS))
        return rounds.count if rounds.height < self.height else rounds.count - 1

    def code(self, contract: bytes) -> Code | None:
        """What runs at an address."""
        return self.find(self.view, contract)


class ContractCalls:
    """Carries out the operations of contracts by an engine; an `execution.Contracts`."""

    def __init__(self, engine: Engine, codes: Codes, check_upgrade: CheckUpgrade) -> None:
        """Use this engine and this compiler, which are the same on every node.

        Args:
            engine: Runs calls.
            codes: Source to code.
            check_upgrade: Whether one code may take the place of another.
        """
        self._engine = engine
        self._codes = codes
        self._check_upgrade = check_upgrade

    def carry_out(self, work: Work, operation: Operation, index: int) -> None:
        """See `execution.Contracts`."""
        match operation:
            case operations.Deploy():
                self._deploy(work, operation, index)
            case operations.Call():
                self._call(work, operation)
            case operations.AnnounceUpgrade():
                self._announce(work, operation)
            case operations.Upgrade():
                self._upgrade(work, operation)

    def view(self, view: View, height: int) -> LedgerView:
        """A state as contracts see it in a block of this height."""
        return LedgerView(view, height, self._find)

    def look(self, view: View, env: Env, call: Call) -> Outcome:
        """What a call would do in this block; nothing is done."""
        return self._engine.apply(self.view(view, env.height), env, call)

    def look_at_deploy(self, view: View, env: Env, call: Call, code: Code) -> Outcome:
        """What the deploy of a contract would do in this block; nothing is done."""
        return self._engine.deploy(self.view(view, env.height), env, call, code)

    def compiled(self, view: View, contract: bytes) -> Compiled | None:
        """What runs at an address, with its program, for people; None if it is no contract."""
        found = view.get(records.contract_key(contract))
        record = None if found is None else records.read(found, ContractRecord)
        return None if record is None else self._codes.compiled(record.source)

    def _find(self, view: View, contract: bytes) -> Code | None:
        found = view.get(records.contract_key(contract))
        if found is None:
            return None
        record = records.read(found, ContractRecord)
        code = self._codes.code(record.source)
        if (record.compiler, record.code_hash) != (code.compiler_version, code.code_hash):
            raise InvariantBroken(
                f"contract {contract.hex()} was compiled by version {record.compiler} to "
                f"{record.code_hash.hex()}; version {code.compiler_version} here compiles it to "
                f"{code.code_hash.hex()}: use the release that its chain runs on"
            )
        return code

    def _deploy(self, work: Work, wanted: operations.Deploy, index: int) -> None:
        compiled = self._compiled_as(work, wanted, wanted.code_hash)
        nonce = work.signed.draft.nonce
        contract = address_of(work.sender, nonce, index, wanted.code_hash)
        call = Call(contract=contract, sender=work.sender, data=wanted.arguments, gas=wanted.gas)
        ledger = self.view(work.overlay, work.setting.height)
        outcome = self._engine.deploy(ledger, _env(work), call, compiled)
        record = ContractRecord(wanted.source, wanted.compiler, wanted.code_hash, work.sender)
        work.overlay.put(records.contract_key(contract), codec.encode(record))
        if holdings.find_account(work.overlay, contract) is None:  # somebody may have paid into it
            holdings.put_account(work.overlay, contract, Account())
        _apply(work, outcome)
        work.result = contract
        work.emit("deployed", contract, wanted.code_hash)

    def _call(self, work: Work, wanted: operations.Call) -> None:
        self._existing(work, wanted.contract)
        call = Call(
            contract=wanted.contract,
            sender=work.sender,
            data=wanted.method + wanted.arguments,
            gas=wanted.gas,
            asset=wanted.asset if wanted.amount else NATIVE,
            value=wanted.amount,
        )
        ledger = self.view(work.overlay, work.setting.height)
        outcome = self._engine.apply(ledger, _env(work), call)
        _apply(work, outcome)
        work.result = outcome.result

    def _announce(self, work: Work, wanted: operations.AnnounceUpgrade) -> None:
        record, _, upgrade = self._upgradable(work, wanted.contract)
        ready = work.setting.height + upgrade.delay
        changed = replace(record, announced=wanted.code_hash, ready_height=ready)
        work.overlay.put(records.contract_key(wanted.contract), codec.encode(changed))
        work.emit("upgrade-announced", wanted.contract, wanted.code_hash, ready)

    def _upgrade(self, work: Work, wanted: operations.Upgrade) -> None:
        record, old, _ = self._upgradable(work, wanted.contract)
        if not record.announced:
            raise _refused("no upgrade is announced")
        if work.setting.height < record.ready_height:
            raise _refused(f"it may be carried out from height {record.ready_height} on")
        compiled = self._compiled_as(work, wanted, record.announced)
        try:
            self._check_upgrade(old, compiled)
        except ContractError as error:
            raise _refused(str(error)) from error
        call = Call(contract=wanted.contract, sender=work.sender, data=b"", gas=wanted.gas)
        ledger = self.view(work.overlay, work.setting.height)
        outcome = self._engine.migrate(ledger, _env(work), call, compiled)
        changed = ContractRecord(wanted.source, wanted.compiler, record.announced, record.deployer)
        work.overlay.put(records.contract_key(wanted.contract), codec.encode(changed))
        _apply(work, outcome)
        work.emit("upgraded", wanted.contract, record.announced)

    def _existing(self, work: Work, contract: bytes) -> ContractRecord:
        found = work.overlay.get(records.contract_key(contract))
        if found is None:
            detail = f"there is no contract at {contract.hex()}"
            raise InvalidTransaction(TransactionFault.UNKNOWN_CONTRACT, detail)
        return records.read(found, ContractRecord)

    def _upgradable(self, work: Work, contract: bytes) -> tuple[ContractRecord, Code, Upgrade]:
        """A contract's record and code, if the sender is the one who may replace it."""
        record = self._existing(work, contract)
        code = self._find(work.overlay, contract)
        if code is None or code.upgrade is None:
            detail = "the contract names nobody who may replace its code"
            raise InvalidTransaction(TransactionFault.NOT_UPGRADABLE, detail)
        slot = code.fields[code.upgrade.admin].slot
        admin = work.overlay.get(records.storage_key(contract, slot))
        if admin != work.sender:
            detail = "the sender is not the contract's administrator"
            raise InvalidTransaction(TransactionFault.NOT_ADMIN, detail)
        return record, code, code.upgrade

    def _compiled_as(
        self, work: Work, wanted: operations.Deploy | operations.Upgrade, code_hash: bytes
    ) -> Compiled:
        """A source's code, if it is of this compiler and has the hash that was named.

        Nothing is compiled that is not paid for: where it ends here, its gas is used.
        """
        if wanted.compiler != COMPILER_VERSION:
            detail = f"compiler version {wanted.compiler}; this is {COMPILER_VERSION}"
            raise InvalidTransaction(TransactionFault.CODE_MISMATCH, detail)
        units = gas.DEPLOY + len(wanted.source) * gas.DEPLOY_BYTE
        if wanted.gas < units:
            work.gas += wanted.gas
            work.code = Reason.OUT_OF_GAS * _REASON_SHIFT
            detail = f"a source of {len(wanted.source)} bytes costs {units} gas to compile"
            raise InvalidTransaction(TransactionFault.OUT_OF_GAS, detail)
        try:
            compiled = self._codes.compiled(wanted.source)
        except ContractError as error:
            work.gas += units
            raise InvalidTransaction(TransactionFault.SOURCE_REFUSED, str(error)) from error
        if compiled.code_hash != code_hash:
            work.gas += units
            detail = f"the source compiles to {compiled.code_hash.hex()}, not {code_hash.hex()}"
            raise InvalidTransaction(TransactionFault.CODE_MISMATCH, detail)
        return compiled


def _env(work: Work) -> Env:
    setting = work.setting
    return Env(chain=setting.chain, height=setting.height, time_s=setting.time_s)


def _apply(work: Work, outcome: Outcome) -> None:
    """Do what an outcome asks for; raises InvalidTransaction for one that failed."""
    work.gas += outcome.gas_used
    if outcome.status is not Status.OK:
        work.code = outcome.reason * _REASON_SHIFT + outcome.code
        place = f" at line {outcome.line}" if outcome.line else ""
        raise InvalidTransaction(_FAULTS[outcome.status], f"{outcome.message}{place}")
    work.contract_events += len(outcome.events)
    if work.contract_events > EVENTS_MAX:  # each call has kept within it by itself
        work.code = Reason.EVENTS_TOO_MANY * _REASON_SHIFT
        detail = f"{work.contract_events} events of contracts; {EVENTS_MAX} in one transaction"
        raise InvalidTransaction(TransactionFault.REVERTED, detail)
    for write in outcome.writes:
        key = records.storage_key(write.contract, write.key)
        if write.value is None:
            work.overlay.remove(key)
        else:
            work.overlay.put(key, write.value)
    for move in outcome.moves:
        holdings.debit(work.overlay, move.source, move.asset, move.amount)
        work.credit(move.target, move.asset, move.amount)
    work.events.extend(Event(one.contract, one.name, one.data) for one in outcome.events)


def _refused(detail: str) -> InvalidTransaction:
    return InvalidTransaction(TransactionFault.UPGRADE_REFUSED, detail)

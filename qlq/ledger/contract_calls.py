"""Contracts on the ledger: deploys, calls and upgrades as operations of a transaction.

Every node compiles the source itself and compares the code's hash with the transaction's. What an
engine's outcome asks for is written here: storage, transfers from the contract's account, events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from msgspec.structs import replace

from qlq import codec
from qlq.contracts.compiled import COMPILER_VERSION, Compiled
from qlq.contracts.engine import Engine
from qlq.contracts.outcome import Call, Env, Outcome, Status
from qlq.crypto import digest
from qlq.errors import ContractError, InvalidTransaction
from qlq.faults import TransactionFault
from qlq.ledger import holdings, operations, records
from qlq.ledger.execution import Work
from qlq.ledger.operations import NATIVE, Operation
from qlq.ledger.receipt import Event
from qlq.ledger.records import Account, ContractRecord, Round
from qlq.ledger.state import View

_ADDRESS_NAME = b"qlq/contract/1"
COMPILED_MAX = 256
"""Contracts whose compiled form is remembered."""

Compile = Callable[[bytes], Compiled]
CheckUpgrade = Callable[[Compiled, Compiled], None]
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
    find: Callable[[View, bytes], Compiled | None]

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

    def code(self, contract: bytes) -> Compiled | None:
        """What runs at an address."""
        return self.find(self.view, contract)


class ContractCalls:
    """Carries out the operations of contracts by an engine; an `execution.Contracts`."""

    def __init__(self, engine: Engine, compile_: Compile, check_upgrade: CheckUpgrade) -> None:
        """Use this engine and this compiler, which are the same on every node.

        Args:
            engine: Runs calls.
            compile_: Source to code; raises ContractError for a source that is refused.
            check_upgrade: Whether one code may take the place of another.
        """
        self._engine = engine
        self._compile = lru_cache(COMPILED_MAX)(compile_)
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

    def look_at_deploy(self, view: View, env: Env, call: Call, compiled: Compiled) -> Outcome:
        """What the deploy of a contract would do in this block; nothing is done."""
        return self._engine.deploy(self.view(view, env.height), env, call, compiled)

    def compiled(self, view: View, contract: bytes) -> Compiled:
        """What runs at an address; raises InvalidTransaction if it is no contract."""
        found = self._find(view, contract)
        if found is None:
            detail = f"there is no contract at {contract.hex()}"
            raise InvalidTransaction(TransactionFault.UNKNOWN_CONTRACT, detail)
        return found

    def _find(self, view: View, contract: bytes) -> Compiled | None:
        found = view.get(records.contract_key(contract))
        return None if found is None else self._compile(records.read(found, ContractRecord).source)

    def _deploy(self, work: Work, wanted: operations.Deploy, index: int) -> None:
        compiled = self._compiled_as(wanted.source, wanted.compiler, wanted.code_hash)
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
        self.compiled(work.overlay, wanted.contract)
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
        record, compiled = self._upgradable(work, wanted.contract)
        assert_upgrade = compiled.program.upgrade
        delay = 0 if assert_upgrade is None else assert_upgrade.delay
        ready = work.setting.height + delay
        changed = replace(record, announced=wanted.code_hash, ready_height=ready)
        work.overlay.put(records.contract_key(wanted.contract), codec.encode(changed))
        work.emit("upgrade-announced", wanted.contract, wanted.code_hash, ready)

    def _upgrade(self, work: Work, wanted: operations.Upgrade) -> None:
        record, old = self._upgradable(work, wanted.contract)
        if not record.announced:
            raise _refused("no upgrade is announced")
        if work.setting.height < record.ready_height:
            raise _refused(f"it may be carried out from height {record.ready_height} on")
        compiled = self._compiled_as(wanted.source, wanted.compiler, record.announced)
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

    def _upgradable(self, work: Work, contract: bytes) -> tuple[ContractRecord, Compiled]:
        """A contract's record and code, if the sender is the one who may replace it."""
        compiled = self.compiled(work.overlay, contract)
        upgrade = compiled.program.upgrade
        if upgrade is None:
            detail = "the contract names nobody who may replace its code"
            raise InvalidTransaction(TransactionFault.NOT_UPGRADABLE, detail)
        slot = compiled.program.fields[upgrade.admin].slot
        admin = work.overlay.get(records.storage_key(contract, slot))
        if admin != work.sender:
            detail = "the sender is not the contract's administrator"
            raise InvalidTransaction(TransactionFault.NOT_ADMIN, detail)
        found = work.overlay.get(records.contract_key(contract))
        return records.read(found or b"", ContractRecord), compiled

    def _compiled_as(self, source: bytes, compiler: int, code_hash: bytes) -> Compiled:
        """A source's code, if it is of this compiler and has the hash that was named."""
        if compiler != COMPILER_VERSION:
            detail = f"compiler version {compiler}; this is {COMPILER_VERSION}"
            raise InvalidTransaction(TransactionFault.CODE_MISMATCH, detail)
        try:
            compiled = self._compile(source)
        except ContractError as error:
            raise InvalidTransaction(TransactionFault.SOURCE_REFUSED, str(error)) from error
        if compiled.code_hash != code_hash:
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

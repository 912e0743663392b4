"""A transaction's contract calls once more, line by line: what the chain says, and why.

The state before is rebuilt by carrying out the chain up to the transaction. Then each call is
carried out by both back-ends: WebAssembly, whose outcome the chain holds, and CPython, which tells
of every statement. The two must agree, and the receipt must be the one in the block.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from qlq.config import Settings
from qlq.contracts import abi, compiler, upgrade
from qlq.contracts.code_store import Programs
from qlq.contracts.compiled import Code, Compiled, with_program
from qlq.contracts.encoding import DecodingError
from qlq.contracts.engine import CodeLedger, Engine
from qlq.contracts.outcome import Call, Env, Outcome, Status
from qlq.contracts.program import METHOD_ID_BYTES, Function, FunctionKind
from qlq.contracts.wasm_runner import WasmRunner
from qlq.errors import ConfigError
from qlq.ledger import operations, records, transition
from qlq.ledger.admission import Need
from qlq.ledger.contract_calls import ContractCalls, LedgerView
from qlq.ledger.execution import Work
from qlq.ledger.operations import Operation
from qlq.ledger.receipt import Receipt
from qlq.ledger.records import ContractRecord
from qlq.ledger.state import State
from qlq.ledger.store import Stored
from qlq.ledger.transition import Rules, Tip
from qlq.node import chains, chronicle, contract_documents, contract_trace, contract_values, wallets
from qlq.node.contract_desk import Desk, Tell
from qlq.node.contract_trace import Run, Step, Traced
from qlq.node.contract_values import Names
from qlq.node.validator import Validator


@dataclass(frozen=True, slots=True)
class _Code:
    """A contract as it was then."""

    source: bytes
    compiled: Compiled


@dataclass(frozen=True, slots=True)
class _Replayed:
    """One call, by both back-ends."""

    call: Call
    function: Function | None
    outcome: Outcome
    traced: Traced
    codes: dict[bytes, _Code]

    @property
    def agrees(self) -> bool:
        """Whether the outcomes are equal in everything but words."""
        return replace(self.outcome, message="") == replace(self.traced.outcome, message="")


class _Twice(Engine):
    """Carries out each call by both back-ends, and keeps what came of it."""

    def __init__(self) -> None:
        super().__init__(WasmRunner())
        self.replayed: list[_Replayed] = []
        self.source = b""

    def apply(self, ledger: CodeLedger, env: Env, call: Call) -> Outcome:
        """See `Engine.apply`."""
        outcome = super().apply(ledger, env, call)
        code = ledger.code(call.contract)
        function = None if code is None else _called(with_program(code), call.data)
        self._keep(ledger, call, function, outcome, lambda engine: engine.apply(ledger, env, call))
        return outcome

    def deploy(self, ledger: CodeLedger, env: Env, call: Call, code: Code) -> Outcome:
        """See `Engine.deploy`."""
        compiled = with_program(code)
        outcome = super().deploy(ledger, env, call, compiled)
        function = _once(compiled, FunctionKind.INIT)
        self._keep(
            ledger,
            call,
            function,
            outcome,
            lambda engine: engine.deploy(ledger, env, call, compiled),
        )
        self.replayed[-1].codes[call.contract] = _Code(self.source, compiled)
        return outcome

    def migrate(self, ledger: CodeLedger, env: Env, call: Call, code: Code) -> Outcome:
        """See `Engine.migrate`."""
        compiled = with_program(code)
        outcome = super().migrate(ledger, env, call, compiled)
        function = _once(compiled, FunctionKind.MIGRATE)
        self._keep(
            ledger,
            call,
            function,
            outcome,
            lambda engine: engine.migrate(ledger, env, call, compiled),
        )
        self.replayed[-1].codes[call.contract] = _Code(self.source, compiled)
        return outcome

    def _keep(
        self, ledger: CodeLedger, call: Call, function: Function | None, outcome: Outcome, run: Run
    ) -> None:
        traced = contract_trace.trace(run)
        seen = {call.contract, *(step.contract for step in traced.steps)}
        codes = {}
        for contract in sorted(seen):
            code = ledger.code(contract)
            if code is not None:
                codes[contract] = _Code(_source(ledger, contract), with_program(code))
        self.replayed.append(_Replayed(call, function, outcome, traced, codes))


@dataclass(slots=True)
class _Rehearsal:
    """An `execution.Contracts` that carries out one transaction twice, and the others once."""

    wanted: bytes
    plain: ContractCalls
    engine: _Twice = field(default_factory=_Twice)

    def carry_out(self, work: Work, operation: Operation, index: int) -> None:
        """See `execution.Contracts`."""
        if work.id != self.wanted:
            self.plain.carry_out(work, operation, index)
            return
        if isinstance(operation, operations.Deploy | operations.Upgrade):
            self.engine.source = operation.source
        calls = ContractCalls(self.engine, Programs(compiler.compile_source), upgrade.check)
        calls.carry_out(work, operation, index)


def replay(text: str, settings: Settings, tell: Tell) -> dict[str, Any]:
    """A transaction's contract calls line by line; the document of `contract replay`.

    Args:
        text: Id of the transaction, or `last`.
        settings: Of the home.
        tell: Is told in words what happens.

    Raises:
        ConfigError: No such transaction, it calls no contract, or the blocks before it are not
            here.
        LedgerDamaged: The file was changed.
        InvalidBlock: The blocks do not follow from each other.
    """
    wallets.need_ledger(settings)
    wanted = chronicle.resolve(text, settings)
    with chains.opened(settings) as validator:
        found, index = chronicle.find(validator, wanted)
        tell(f"carrying out {found.block.header.height} blocks from the beginning")
        desk = Desk(validator, settings, tell)
        rehearsal = _Rehearsal(wanted, desk.calls)
        receipt = _carry_out(validator, found, index, rehearsal)
        if not rehearsal.engine.replayed:
            raise ConfigError(f"transaction {wanted.hex()} runs no contract: qlq ledger tx {text}")
        return {
            "tx_id": wanted.hex(),
            "height": found.block.header.height,
            "index": index,
            "receipt_matches": receipt == found.receipts[index],
            "agrees": all(one.agrees for one in rehearsal.engine.replayed),
            "calls": [_call(one, desk.names) for one in rehearsal.engine.replayed],
        }


def _carry_out(validator: Validator, found: Stored, index: int, rehearsal: _Rehearsal) -> Receipt:
    """The transaction's receipt, carried out on the state before it."""
    rules = dataclasses.replace(validator.rules, contracts=rehearsal, verify=_final_already)
    state, tip = _before(validator, found.block.header.height, rules)
    entries = found.block.entries[: index + 1]
    time_ms = found.block.header.time_ms
    return transition.propose(state, tip, entries, time_ms=time_ms, rules=rules).outcome.receipts[
        index
    ]


def _before(validator: Validator, height: int, rules: Rules) -> tuple[State, Tip]:
    """State and tip before a block."""
    base = validator.store.base_height
    if base:
        raise ConfigError(
            f"this ledger was restored at block {base} and has no state of before it: replay "
            "where the whole chain is"
        )
    state, tip = transition.begin(validator.store.genesis)
    for stored in validator.store.blocks():
        header = stored.block.header
        if header.height >= height:
            break
        outcome = transition.apply_block(state, tip, stored.block, rules=rules)
        state.accept(outcome.changes, outcome.tree)
        tip = tip.after(header)
    return state, tip


def _final_already(_: Need) -> None:
    """Signatures of a final block were verified; its roots are compared all the same."""


def _called(compiled: Compiled, data: bytes) -> Function | None:
    method = compiled.methods.get(data[:METHOD_ID_BYTES])
    return None if method is None else compiled.program.functions[method.function]


def _once(compiled: Compiled, kind: FunctionKind) -> Function | None:
    return next((one for one in compiled.program.functions if one.kind is kind), None)


def _source(ledger: CodeLedger, contract: bytes) -> bytes:
    """A contract's source as the ledger had it then."""
    if not isinstance(ledger, LedgerView):
        return b""
    stored = ledger.view.get(records.contract_key(contract))
    return b"" if stored is None else records.read(stored, ContractRecord).source


def _call(one: _Replayed, names: Names) -> dict[str, Any]:
    """One call for a document."""
    outcome, traced, code = one.outcome, one.traced, one.codes.get(one.call.contract)
    is_done = outcome.status is Status.OK
    reason = contract_documents.word(outcome.reason)
    return {
        "contract": names.show_address(one.call.contract),
        "name": None if code is None else code.compiled.program.name,
        "method": None if one.function is None else one.function.name,
        "arguments": _arguments(one, names),
        "sender": names.show_address(one.call.sender),
        "status": contract_documents.word(outcome.status),
        "return": contract_documents.returned(one.function, outcome.result, names)
        if is_done
        else None,
        "gas_limit": one.call.gas,
        "gas_used": outcome.gas_used,
        "agrees": one.agrees,
        "failure": None
        if is_done
        else {"reason": reason, "message": outcome.message, "line": outcome.line or None},
        "steps": [_step(step, one.codes, names) for step in _shown(traced)],
        "steps_left_out": traced.left_out,
    }


def _shown(traced: Traced) -> list[Step]:
    """The kept statements, and the last one where others are missing before it."""
    ending = [traced.last] if traced.left_out and traced.last else []
    return [*traced.steps, *ending]


def _step(step: Step, codes: dict[bytes, _Code], names: Names) -> dict[str, Any]:
    code = codes.get(step.contract)
    return {
        "contract": None if code is None else code.compiled.program.name,
        "function": step.function,
        "line": step.line,
        "text": None if code is None else contract_documents.line_of(code.source, step.line),
        "gas_left": step.gas,
        "values": {} if code is None else step.shown(code.compiled.program, names),
    }


def _arguments(one: _Replayed, names: Names) -> dict[str, Any]:
    if one.function is None:
        return {}
    try:
        values = abi.decode_arguments(one.function, one.call.data)
    except DecodingError:  # why the call failed
        return {"encoded": one.call.data.hex()}
    return {
        parameter.name: contract_values.shown(parameter.type, value, names)
        for parameter, value in zip(abi.parameters(one.function), values, strict=True)
    }

"""What came of deploys and calls, as documents: results, events, and why something failed."""

from __future__ import annotations

from typing import Any

from qlq.contracts import abi
from qlq.contracts.compiled import Compiled
from qlq.contracts.outcome import Outcome, Reason, Status
from qlq.contracts.program import Function
from qlq.ledger import contract_calls
from qlq.ledger.receipt import Event
from qlq.node import contract_values, wallets
from qlq.node.contract_desk import Desk
from qlq.node.contract_trace import Traced
from qlq.node.contract_values import Names
from qlq.node.transacting import Sent

OK = "ok"
FAILED = "failed"
"""The ledger, and not the contract, let a transaction have no effect."""


def word(item: Status | Reason) -> str:
    """A status or reason as documents name it."""
    return item.name.lower().replace("_", "-")


def event_document(compiled: Compiled | None, event: Event, names: Names) -> dict[str, Any]:
    """A contract's event by the names of its values; its bytes where the code has no such one."""
    shown: dict[str, Any] = {"contract": names.show_address(event.emitter), "name": event.name}
    declared = None
    if compiled is not None:
        declared = next((e for e in compiled.program.events if e.name == event.name), None)
    if declared is None:
        return {**shown, "values": None, "data": event.data.hex()}
    try:
        values = abi.decode_event(declared, event.data)
    except ValueError:  # of code that has been replaced since
        return {**shown, "values": None, "data": event.data.hex()}
    kinds = {one.name: one.type for one in declared.parameters}
    told = {
        name: contract_values.shown(kinds[name], value, names) for name, value in values.items()
    }
    return {**shown, "values": told, "data": event.data.hex()}


def returned(function: Function | None, result: bytes, names: Names) -> Any:
    """The value of a result; None for a function without one."""
    if function is None or function.result is None:
        return None
    value = abi.decode_return(function, result)
    return None if value is None else contract_values.shown(function.result, value, names)


def unsent(
    outcome: Outcome,
    function: Function | None,
    why: dict[str, Any] | None,
    desk: Desk,
) -> dict[str, Any]:
    """What came of something that was looked at, and that no block holds."""
    is_done = outcome.status is Status.OK
    return {
        "status": word(outcome.status),
        "return": returned(function, outcome.result, desk.names) if is_done else None,
        "events": [],
        "gas_used": outcome.gas_used,
        "tx_id": None,
        "height": None,
        "fee": None,
        "sealed_with": None,
        "failure": why,
    }


def sent(
    done: Sent,
    foreseen: Outcome,
    function: Function | None,
    why: dict[str, Any] | None,
    desk: Desk,
) -> dict[str, Any]:
    """What came of a transaction in a block.

    Args:
        done: The transaction.
        foreseen: What was expected of it.
        function: What was called.
        why: Why the expected failure comes about; None where none was expected.
        desk: After the block.
    """
    receipt, told = done.receipt, wallets.document(done)
    status = OK
    if receipt.reason is not None:
        reason, _ = contract_calls.split_code(receipt.code)
        as_expected = foreseen.status is not Status.OK and reason == foreseen.reason
        status = word(foreseen.status) if as_expected else FAILED
        why = why if as_expected else by_the_ledger(told["reason"])
    codes = [(desk.calls.compiled(desk.state, one.emitter), one) for one in receipt.events]
    return {
        "status": status,
        "return": returned(function, receipt.result, desk.names) if status == OK else None,
        "events": [event_document(code, event, desk.names) for code, event in codes if code],
        "gas_used": receipt.gas,
        "tx_id": told["tx_id"],
        "height": told["height"],
        "fee": told["fee"],
        "sealed_with": told["sealed_with"],
        "failure": why,
    }


def by_the_ledger(reason: str) -> dict[str, Any]:
    """Why the ledger let a transaction have no effect."""
    return {
        "reason": reason,
        "message": reason.replace("-", " "),
        "contract": None,
        "function": None,
        "line": None,
        "text": None,
        "values": {},
    }


def failure(
    outcome: Outcome, traced: Traced | None, deployed: tuple[bytes, Compiled] | None, desk: Desk
) -> dict[str, Any] | None:
    """Why a call failed: the place, its line, and what the variables were there.

    Args:
        outcome: Of the call.
        traced: The same call line by line; None where no code ran.
        deployed: Source and code of a contract that the ledger does not have.
        desk: Where the other contracts are looked up.

    Returns:
        None if it did not fail.
    """
    if outcome.status is Status.OK:
        return None
    record = desk.record(outcome.contract)
    compiled = desk.calls.compiled(desk.state, outcome.contract)
    source = b"" if record is None else record.source
    if compiled is None and deployed is not None:
        source, compiled = deployed
    last = traced.last if traced else None
    here = last if last and (last.contract, last.line) == (outcome.contract, outcome.line) else None
    name = None if compiled is None else compiled.program.name
    return {
        "reason": word(outcome.reason),
        "message": outcome.message,
        "contract": name,
        "function": here.function if here else None,
        "line": outcome.line or None,
        "text": line_of(source, outcome.line),
        "values": here.shown(compiled.program, desk.names) if here and compiled else {},
    }


def line_of(source: bytes, line: int) -> str | None:
    """A line of a source without its indentation; None for line 0."""
    lines = source.decode("ascii", errors="replace").split("\n")
    return lines[line - 1].strip() if 1 <= line <= len(lines) else None

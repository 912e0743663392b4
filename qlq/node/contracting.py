"""Contracts on this home's ledger: deployed, called, looked at, upgraded.

    order -> arguments encoded by the contract's interface -> tried on the state as it is
      -> sent like any transaction, sealed and final -> what came of it, in the contract's words

What is tried and fails is not sent, unless the order names its gas: then it is in a block whatever
comes of it. Why it fails is found by running it again, on the state before, line by line; the
chain holds a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlq.config import Settings
from qlq.contracts import compiler, upgrade
from qlq.contracts.compiled import Compiled
from qlq.contracts.outcome import Call, Outcome, Status
from qlq.contracts.program import Function, FunctionKind
from qlq.errors import ConfigError, ContractError
from qlq.ledger import address, amounts, contract_calls, holdings, operations, records
from qlq.ledger.address import Kind
from qlq.ledger.operations import NATIVE, Operation
from qlq.node import (
    chains,
    contract_desk,
    contract_documents,
    contract_trace,
    transacting,
    wallets,
)
from qlq.node.contract_desk import Desk, Tell
from qlq.node.transacting import SealPolicy, Sent, Wish
from qlq.node.wallets import Purse
from qlq.wallet import accounts

NOBODY = bytes(32)
"""The sender of a look for which nobody is named."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants of a contract.

    Attributes:
        arguments: JSON: an array in the order of the parameters, or an object by their names.
        gas: The most that it may use; None: what it takes now and half as much again.
        value: Decimal amount that goes with the call; None for none.
        asset: Symbol of the value's asset.
        seal: How the transaction travels.
    """

    arguments: str = "[]"
    gas: int | None = None
    value: str | None = None
    asset: str = "QLQ"
    seal: SealPolicy = SealPolicy.AUTO


def deploy(
    purse: Purse, file: Path, order: Order, settings: Settings, tell: Tell
) -> dict[str, Any]:
    """A new contract; the document of `contract deploy`.

    Raises:
        CompileError: The source is not in the contract language.
        ConfigError: The file, the arguments or the account cannot be used.
        InvalidTransaction, KeysExhausted: See `wallets.act`.
    """
    source = contract_desk.read_source(file)
    compiled = compiler.compile_source(source, file.name)
    init = contract_desk.init_of(compiled.program)
    given = contract_desk.arguments_of(order.arguments, init, f"{compiled.program.name}'s init")
    accounts.find(settings.home, purse.name)
    with wallets.ledger(settings, tell) as validator:
        desk = Desk(validator, settings, tell)
        sender = _ready(purse, desk)
        data = contract_desk.encode(init, given, desk.names) if init else b""
        place = contract_calls.address_of(sender, _nonce(sender, desk), 0, compiled.code_hash)
        call = Call(contract=place, sender=sender, data=data, gas=_tried_gas(order, desk))
        view, env = desk.view, desk.env()
        foreseen = desk.calls.look_at_deploy(desk.state, env, call, compiled)
        why = _why(
            foreseen,
            lambda engine: engine.deploy(view, env, call, compiled),
            (source, compiled),
            desk,
        )
        shown = {
            "address": address.to_text(place, Kind.CONTRACT),
            "name": compiled.program.name,
            "code_hash": compiled.code_hash.hex(),
        }
        if _is_refused(foreseen, order):
            return shown | contract_documents.unsent(foreseen, None, why, desk)
        version, limit = compiled.compiler_version, _sent_gas(order, foreseen, desk)
        wanted = operations.Deploy(source, version, compiled.code_hash, data, limit)
        sent = _send(purse, wanted, order, desk)
        return shown | contract_documents.sent(sent, foreseen, None, why, desk)


def call(
    purse: Purse | None,
    contract: str,
    method: str,
    order: Order,
    *,
    settings: Settings,
    tell: Tell,
) -> dict[str, Any]:
    """One call; the document of `contract call`. Views are looked at, and nothing is sent.

    Args:
        purse: Who calls; None for a view.
        contract: Address of the contract, or `last`.
        method: Its name.
        order: Arguments, gas, value.
        settings: Of the home.
        tell: Is told in words what happens.

    Raises:
        ConfigError: No such contract, method or account; arguments that do not fit.
        InvalidTransaction, KeysExhausted: See `wallets.act`.
    """
    wallets.need_ledger(settings)
    with chains.opened(settings) as validator:
        desk = Desk(validator, settings, tell)
        place = desk.contract(contract)
        function = contract_desk.method_of(desk.code(place).program, method)
        given = contract_desk.arguments_of(order.arguments, function, method)
        asset, units = _value(order, desk)
        data = contract_desk.encode(function, given, desk.names)
        sender = _caller(purse, function, desk)
        gas = _tried_gas(order, desk)
        wanted = Call(contract=place, sender=sender, data=data, gas=gas, asset=asset, value=units)
        view, env = desk.view, desk.env()
        foreseen = desk.calls.look(desk.state, env, wanted)
        why = _why(foreseen, lambda engine: engine.apply(view, env, wanted), None, desk)
        shown = {"contract": address.to_text(place, Kind.CONTRACT), "method": method}
        is_view = function.kind is FunctionKind.VIEW
        if is_view or purse is None or _is_refused(foreseen, order):
            return shown | contract_documents.unsent(foreseen, function, why, desk)
        operation = operations.Call(
            place,
            function.method_id,
            data[len(function.method_id) :],
            _sent_gas(order, foreseen, desk),
            asset,
            units,
        )
        sent = _send(purse, operation, order, desk)
        return shown | contract_documents.sent(sent, foreseen, function, why, desk)


def replace(
    purse: Purse, contract: str, file: Path, order: Order, *, settings: Settings, tell: Tell
) -> dict[str, Any]:
    """The next step of an upgrade: its announcement, or once that is old enough, the new code.

    Raises:
        CompileError: The source is not in the contract language.
        ContractError: The new code would lose something that is stored.
        ConfigError: No such contract, or the announced code has to wait.
        InvalidTransaction, KeysExhausted: See `wallets.act`.
    """
    source = contract_desk.read_source(file)
    compiled = compiler.compile_source(source, file.name)
    wallets.need_ledger(settings)
    with chains.opened(settings) as validator:
        desk = Desk(validator, settings, tell)
        place = desk.contract(contract)
        old = desk.code(place)
        if old.program.upgrade is None:
            raise ContractError(
                f"{old.program.name} names nobody who may replace its code: deploy another contract"
            )
        upgrade.check(old, compiled)
        sender = _ready(purse, desk)
        _check_admin(sender, place, old, desk)
        record = desk.record(place)
        ready = 0 if record is None else record.ready_height
        shown = {
            "contract": address.to_text(place, Kind.CONTRACT),
            "code_hash": compiled.code_hash.hex(),
        }
        if record is None or record.announced != compiled.code_hash:
            announced = operations.AnnounceUpgrade(place, compiled.code_hash)
            told = _told(_send(purse, announced, order, desk))
            ready = told["height"] + old.program.upgrade.delay
            return {**shown, "step": "announced", "ready_height": ready, **told}
        if desk.env().height < ready:
            raise ConfigError(
                f"this code is announced, and may take over from height {ready} on; the next "
                f"block is {desk.env().height}"
            )
        limit = _tried_gas(order, desk)
        wanted = operations.Upgrade(place, source, compiled.compiler_version, limit)
        told = _told(_send(purse, wanted, order, desk))
        return {**shown, "step": "upgraded", "ready_height": ready, **told}


def _check_admin(sender: bytes, place: bytes, old: Compiled, desk: Desk) -> None:
    """Refuse here what the ledger would refuse, before a link key is used up for it."""
    found = old.program.upgrade
    if found is None:
        return
    slot = old.program.fields[found.admin].slot
    admin = desk.state.get(records.storage_key(place, slot)) or NOBODY
    if admin != sender:
        raise ConfigError(
            f"only {desk.names.show_address(admin)} may replace the code, not "
            f"{desk.names.show_address(sender)}"
        )


def _told(sent: Sent) -> dict[str, Any]:
    return {**wallets.document(sent), "gas_used": sent.receipt.gas}


def _send(purse: Purse, wanted: Operation, order: Order, desk: Desk) -> Sent:
    wish = Wish((wanted,), seal=order.seal)
    return wallets.act(purse, wish, desk.validator, desk.settings, desk.tell)


def _ready(purse: Purse, desk: Desk) -> bytes:
    """The sender's address, enrolled: what is tried must be what is sent."""
    account = accounts.find(desk.settings.home, purse.name).address
    if transacting.needs_enrolment(desk.validator, account):
        transacting.enrol(desk.validator, chains.open_keys(desk.settings), account)
        desk.tell(f"enrolled {purse.name} ({address.to_text(account)}) on this ledger")
    return account


def _nonce(account: bytes, desk: Desk) -> int:
    known = holdings.find_account(desk.state, account)
    return desk.validator.waiting.next_nonce(account, 0 if known is None else known.nonce)


def _caller(purse: Purse | None, function: Function, desk: Desk) -> bytes:
    if function.kind is FunctionKind.VIEW:
        return NOBODY if purse is None else accounts.find(desk.settings.home, purse.name).address
    if purse is None:
        raise ConfigError(f"{function.name} changes the state: say who calls with --from NAME")
    return _ready(purse, desk)


def _value(order: Order, desk: Desk) -> tuple[bytes, int]:
    if order.value is None:
        return NATIVE, 0
    facts = wallets.find_asset(desk.state, order.asset)
    return facts.id, amounts.parse(order.value, facts.decimals)


def _tried_gas(order: Order, desk: Desk) -> int:
    most = desk.validator.rules.genesis.limits.transaction_gas_max
    return most if order.gas is None else order.gas


def _sent_gas(order: Order, foreseen: Outcome, desk: Desk) -> int:
    """As ordered; else room for a state that has moved on a little before the block."""
    most = desk.validator.rules.genesis.limits.transaction_gas_max
    with_room = foreseen.gas_used + foreseen.gas_used // 2
    return min(most, with_room) if order.gas is None else order.gas


def _is_refused(foreseen: Outcome, order: Order) -> bool:
    """Whether it is not worth a block: no code would run, or it fails and nobody asked for it."""
    if foreseen.status is Status.REFUSED:
        return True
    return foreseen.status is not Status.OK and order.gas is None


def _why(
    foreseen: Outcome,
    run: contract_trace.Run,
    deployed: tuple[bytes, Compiled] | None,
    desk: Desk,
) -> dict[str, Any] | None:
    """Why something fails; a revert is run again line by line, since it has a line."""
    if foreseen.status is Status.OK:
        return None
    traced = contract_trace.trace(run) if foreseen.status is Status.REVERTED else None
    return contract_documents.failure(foreseen, traced, deployed, desk)

"""Contracts of a test as Python objects: methods are called, results and events are values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from qlq.contracts import compiler, encoding, gas, upgrade
from qlq.contracts.compiled import Compiled
from qlq.contracts.engine import Engine
from qlq.contracts.outcome import NATIVE, Call, Emitted, Outcome, Status
from qlq.contracts.program import Function, FunctionKind, StateField
from qlq.contracts.values import size, zero
from qlq.errors import CallFailed, ConfigError
from qlq.node import contract_values, trial_ledger
from qlq.node.trial_ledger import BLOCK_S, Account, BeaconControl, TrialLedger, World

GAS_MAX = gas.TRANSACTION_MAX
PURSE = 1_000_000_000
"""Native units of each account at the beginning."""
COMPILED_MAX = 256
"""Sources whose compiled form is remembered from test to test."""
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a contract told.

    Attributes:
        contract: Its address.
        name: Of the event.
        values: By the names of its parameters.
    """

    contract: bytes
    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """What the last call or deploy did.

    Attributes:
        result: Its value; None without one.
        gas_used: Units.
        events: In order, those of contracts that it called included.
    """

    result: Any
    gas_used: int
    events: tuple[Event, ...]


class Chain:
    """A chain in memory for one test.

    Attributes:
        beacon: Puts rounds of randomness on the chain.
        last: What the last call or deploy that did not fail did; None before the first.
    """

    def __init__(self, engines: Mapping[str, Engine], folder: Path) -> None:
        """An empty chain.

        Args:
            engines: Back-ends by name; all carry out everything.
            folder: Where names of contract files are looked up.
        """
        self.ledger = TrialLedger(engines)
        self.beacon = BeaconControl(self.ledger)
        self.last: Done | None = None
        self._folder = folder
        self._accounts: dict[bytes, str] = {}
        self._assets: dict[bytes, str] = {NATIVE: "QLQ"}

    @property
    def height(self) -> int:
        """Of the block that the next call is part of."""
        return self.ledger.world.height

    @property
    def now(self) -> int:
        """Seconds since 1970 that contracts see."""
        return self.ledger.world.time_s

    def mine(self, blocks: int = 1) -> int:
        """Go on by so many blocks; returns the height."""
        if blocks < 1:
            raise ConfigError(f"mine 1 block or more, not {blocks}")
        self.ledger.world.height += blocks
        self.ledger.world.time_s += blocks * BLOCK_S
        return self.height

    def mine_to(self, height: int) -> int:
        """Go on to a height; returns it."""
        return self.height if height <= self.height else self.mine(height - self.height)

    def time(self, seconds: int) -> int:
        """Let so many seconds pass without a block; returns the time that contracts see."""
        if seconds < 0:
            raise ConfigError(f"time goes forward, not by {seconds} s")
        self.ledger.world.time_s += seconds
        return self.now

    def account(self, name: str) -> Account:
        """Somebody with this name, and with native units."""
        made = Account(name, trial_ledger.address_of(name))
        if made.address not in self._accounts:
            self._accounts[made.address] = name
            self.ledger.world.balances[made.address, NATIVE] = PURSE
        return made

    def asset(self, symbol: str) -> bytes:
        """The id of an asset; `give` makes units of it."""
        found = trial_ledger.asset_of(symbol)
        self._assets[found] = symbol
        return found

    def give(self, account: Account | Contract, amount: int, asset: bytes | str = NATIVE) -> None:
        """New units for somebody."""
        wanted = self.asset(asset) if isinstance(asset, str) else asset
        held = self.ledger.world.balance(account.address, wanted)
        self.ledger.world.balances[account.address, wanted] = held + amount

    def balance(self, account: Account | Contract, asset: bytes | str = NATIVE) -> int:
        """What somebody holds."""
        wanted = self.asset(asset) if isinstance(asset, str) else asset
        return self.ledger.world.balance(account.address, wanted)

    def deploy(
        self, file: str | Path, *arguments: object, sender: Account, gas_limit: int = GAS_MAX
    ) -> Contract:
        """A new contract.

        Args:
            file: Its source; a relative one is beside the test.
            arguments: Of `init`.
            sender: Who deploys it.
            gas_limit: The most that it may use.

        Raises:
            CompileError: The source is not in the contract language.
            CallFailed: `init` failed.
        """
        compiled = self._compiled(file)
        init = next((f for f in compiled.program.functions if f.kind is FunctionKind.INIT), None)
        data = self._encoded(init, arguments) if init else _nothing(arguments)
        address, outcome = self.ledger.deploy(
            compiled, sender=sender.address, arguments=data, gas_limit=gas_limit
        )
        made = Contract(self, address)
        self._finish(outcome, None, made.compiled if outcome.status is Status.OK else compiled)
        return made

    def upgrade(
        self, contract: Contract, file: str | Path, *, sender: Account, gas_limit: int = GAS_MAX
    ) -> None:
        """New code for a contract, at once: who may, and when, is the ledger's to check.

        Raises:
            CompileError: The source is not in the contract language.
            ContractError: The new code has lost or retyped a field.
            CallFailed: `migrate` failed.
        """
        compiled = self._compiled(file)
        upgrade.check(contract.compiled, compiled)
        call = Call(contract=contract.address, sender=sender.address, data=b"", gas=gas_limit)
        self._finish(self.ledger.migrate(call, compiled), None, compiled)

    def snapshot(self) -> World:
        """Everything as it is now, for `revert`."""
        return self.ledger.world.copy()

    def revert(self, snapshot: World) -> None:
        """Everything as it was; a snapshot can be used again."""
        self.ledger.world = snapshot.copy()

    def send(
        self,
        contract: Contract,
        function: Function,
        arguments: tuple[object, ...],
        *,
        sender: Account | None,
        value: int,
        asset: bytes | str,
        gas_limit: int,
    ) -> Any:
        """Call a method; its result. Views change nothing and need no sender."""
        is_view = function.kind is FunctionKind.VIEW
        if sender is None and not is_view:
            raise ConfigError(f"{function.name} is no view: say who calls, sender=alice")
        call = Call(
            contract=contract.address,
            sender=sender.address if sender else _NOBODY,
            data=function.method_id + self._encoded(function, arguments),
            gas=gas_limit,
            asset=self.asset(asset) if isinstance(asset, str) else asset,
            value=value,
        )
        name = contract.compiled.program.name
        if is_view:
            outcome = self.ledger.look(call)
            return self._result(outcome, function, contract.compiled)
        outcome = self.ledger.call(call, contract=name, method=function.name)
        return self._finish(outcome, function, contract.compiled)

    def _compiled(self, file: str | Path) -> Compiled:
        path = self._folder / file
        return _compile(trial_ledger.read_source(path), path.name)

    def _encoded(self, function: Function, arguments: tuple[object, ...]) -> bytes:
        parameters = function.locals[: function.parameters]
        if len(arguments) != len(parameters):
            raise ConfigError(f"{function.signature} takes {len(parameters)} arguments")
        pairs = zip(parameters, arguments, strict=True)
        return b"".join(
            encoding.encode(one.type, contract_values.read(one.type, given, self, place=one.name))
            for one, given in pairs
        )

    def _finish(self, outcome: Outcome, function: Function | None, compiled: Compiled) -> Any:
        result = self._result(outcome, function, compiled)
        events = tuple(self._event(one) for one in outcome.events)
        self.last = Done(result, outcome.gas_used, events)
        return result

    def _result(self, outcome: Outcome, function: Function | None, compiled: Compiled) -> Any:
        if outcome.status is not Status.OK:
            raise self._failed(outcome, compiled)
        if function is None or function.result is None:
            return None
        value = encoding.decode(function.result, outcome.result)
        return contract_values.native(function.result, value)

    def _failed(self, outcome: Outcome, compiled: Compiled) -> CallFailed:
        """What went wrong, with the contract's name: it may be one that the called one called."""
        where = self.ledger.world.code(outcome.contract) or compiled
        return CallFailed(
            outcome.message,
            status=outcome.status.name.lower().replace("_", "-"),
            reason=outcome.reason.name.lower().replace("_", "-"),
            contract=where.program.name,
            line=outcome.line,
        )

    def _event(self, emitted: Emitted) -> Event:
        code = self.ledger.world.codes[emitted.contract].program
        declared = next(event for event in code.events if event.name == emitted.name)
        values, place = {}, 0
        for one in declared.parameters:
            end = place + size(one.type)
            value = encoding.decode(one.type, emitted.data[place:end])
            values[one.name], place = contract_values.native(one.type, value), end
        return Event(emitted.contract, emitted.name, values)

    # how `contract_values` reads texts: names and symbols of this test

    def address(self, text: str) -> bytes:
        """The address of an account that the test has named."""
        found = trial_ledger.address_of(text)
        if found not in self._accounts:
            raise ConfigError(f"no account {text!r} in this test: chain.account makes one")
        return found

    def show_address(self, address: bytes) -> str:
        """The account's name, or its digits."""
        return self._accounts.get(address, address.hex())

    def show_asset(self, asset: bytes) -> str:
        """The asset's symbol, or its digits."""
        return self._assets.get(asset, asset.hex())


class Contract:
    """A deployed contract: `token.transfer(bob, 5, sender=alice)`.

    Methods take the arguments in order, and `sender`, `value`, `asset`, `gas_limit`. Views need
    no sender.
    """

    def __init__(self, chain: Chain, address: bytes) -> None:
        """The contract at an address."""
        self.chain = chain
        self.address = address

    @property
    def compiled(self) -> Compiled:
        """Its code now."""
        return self.chain.ledger.world.codes[self.address]

    def call(
        self,
        method: str,
        *arguments: object,
        sender: Account | None = None,
        value: int = 0,
        asset: bytes | str = NATIVE,
        gas_limit: int = GAS_MAX,
    ) -> Any:
        """Call a method by its name; raises CallFailed where it fails."""
        return self.chain.send(
            self,
            self._function(method),
            arguments,
            sender=sender,
            value=value,
            asset=asset,
            gas_limit=gas_limit,
        )

    def __getattr__(self, name: str) -> Any:
        """A method as something to call."""
        if name.startswith("_"):
            raise AttributeError(name)
        self._function(name)
        return partial(self.call, name)

    def events(self, name: str) -> list[Mapping[str, Any]]:
        """Values of the events of this name that the last call made this contract emit."""
        last = self.chain.last
        found = last.events if last else ()
        return [one.values for one in found if (one.contract, one.name) == (self.address, name)]

    def state(self, field: str, *keys: object) -> Any:
        """What a field of the state holds now, or with keys an entry of a map."""
        found = self._field(field)
        if len(keys) != len(found.keys):
            raise ConfigError(f"{field} has {len(found.keys)} keys, not {len(keys)}")
        place = found.slot
        for kind, key in zip(found.keys, keys, strict=True):
            value = contract_values.read(kind, key, self.chain, place=field)
            place += encoding.encode_key(kind, value)
        stored = self.chain.ledger.world.storage(self.address, place)
        value = zero(found.value) if stored is None else encoding.decode(found.value, stored)
        return contract_values.native(found.value, value)

    def __repr__(self) -> str:
        """Name and address."""
        return f"{self.compiled.program.name}({self.address.hex()[:16]}...)"

    def _field(self, name: str) -> StateField:
        fields = {field.name: field for field in self.compiled.program.fields}
        if name not in fields:
            raise ConfigError(f"no field {name!r}; there are {', '.join(fields)}")
        return fields[name]

    def _function(self, name: str) -> Function:
        callable_ = (FunctionKind.EXTERNAL, FunctionKind.VIEW)
        program = self.compiled.program
        methods = {one.name: one for one in program.functions if one.kind in callable_}
        if name not in methods:
            raise AttributeError(
                f"{program.name} has no method {name!r}; there are {', '.join(methods)}"
            )
        return methods[name]


_compile = lru_cache(COMPILED_MAX)(compiler.compile_source)


def _nothing(arguments: tuple[object, ...]) -> bytes:
    if arguments:
        raise ConfigError(f"the contract has no init and takes no arguments: {arguments!r}")
    return b""

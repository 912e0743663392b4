"""An open ledger and what is needed to speak with its contracts: code, names, arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qlq import codec
from qlq.config import Settings
from qlq.contracts import abi
from qlq.contracts.compiled import Compiled
from qlq.contracts.outcome import Env
from qlq.contracts.program import Function, FunctionKind, Program
from qlq.errors import ConfigError, InvariantBroken
from qlq.ledger import address, records, transition
from qlq.ledger.address import Kind
from qlq.ledger.contract_calls import ContractCalls, LedgerView
from qlq.ledger.operations import ARGUMENT_BYTES_MAX
from qlq.ledger.records import ContractRecord
from qlq.ledger.state import State
from qlq.node import contract_names, contract_values
from qlq.node.contract_engine import ContractEngine
from qlq.node.contract_names import HomeNames
from qlq.node.validator import Validator

Tell = Callable[[str], None]
LAST = "last"
DEPLOYED = "deployed"
"""The ledger's event of a deploy; its emitter is the sender, and never a contract."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One command's place at an open ledger.

    Attributes:
        validator: This home's, opened.
        settings: Of the home.
        tell: Is told in words what happens.
    """

    validator: Validator
    settings: Settings
    tell: Tell

    @property
    def state(self) -> State:
        """After the last final block."""
        return self.validator.state

    @property
    def names(self) -> HomeNames:
        """What texts mean here."""
        return HomeNames(self.settings, self.state)

    @property
    def calls(self) -> ContractCalls:
        """What carries out this node's contracts."""
        contracts = self.validator.rules.contracts
        if not isinstance(contracts, ContractEngine):
            raise InvariantBroken(f"a home's ledger runs contracts, not {contracts!r}")
        return contracts.calls

    @property
    def view(self) -> LedgerView:
        """The state as contracts see it, with programs: what fails is followed line by line."""
        return LedgerView(self.state, self.validator.tip.height + 1, self.calls.compiled)

    def env(self) -> Env:
        """The block that comes next."""
        return Env(
            chain=self.validator.rules.chain,
            height=self.validator.tip.height + 1,
            time_s=transition.median_time_s(self.state),
        )

    def contract(self, text: str) -> bytes:
        """The address that a text names; `last` is the contract that was deployed last.

        Raises:
            ConfigError: It names no contract, or none was deployed in the blocks that are here.
        """
        if text != LAST:
            return contract_names.contract_of(text)
        store = self.validator.store
        for height in range(store.height(), store.base_height, -1):
            for receipt in reversed(store.block(height).receipts):
                for event in reversed(receipt.events):
                    if event.name == DEPLOYED and self.view.code(event.emitter) is None:
                        made: bytes = codec.decode(event.data, tuple[bytes, bytes])[0]
                        return made
        raise ConfigError("no contract was deployed here yet: qlq contract deploy FILE")

    def code(self, contract: bytes) -> Compiled:
        """What runs at an address; raises ConfigError if it is no contract."""
        compiled = self.calls.compiled(self.state, contract)
        if compiled is None:
            raise ConfigError(
                f"no contract at {address.to_text(contract, Kind.CONTRACT)} on this ledger: qlq "
                "contract deploy prints the address"
            )
        return compiled

    def record(self, contract: bytes) -> ContractRecord | None:
        """What the ledger holds of a contract; None if it is none."""
        found = self.state.get(records.contract_key(contract))
        return None if found is None else records.read(found, ContractRecord)


def read_source(file: Path) -> bytes:
    """A contract's source; raises ConfigError if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error


def method_of(program: Program, name: str) -> Function:
    """A method that can be called; raises ConfigError naming those that there are."""
    open_kinds = (FunctionKind.EXTERNAL, FunctionKind.VIEW)
    methods = {one.name: one for one in program.functions if one.kind in open_kinds}
    if name not in methods:
        listed = ", ".join(one.signature for one in methods.values()) or "none"
        raise ConfigError(f"{program.name} has no method {name!r}; it has {listed}")
    return methods[name]


def init_of(program: Program) -> Function | None:
    """What runs when a contract is deployed; None: nothing does."""
    return next((one for one in program.functions if one.kind is FunctionKind.INIT), None)


def arguments_of(text: str, function: Function | None, name: str) -> list[object]:
    """The arguments in a JSON text, in the order of the parameters.

    Args:
        text: An array, or an object by the names of the parameters.
        function: None takes none.
        name: For the message.

    Raises:
        ConfigError: No JSON, or not one value for each parameter.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--args is no JSON: {error}: {text[:80]!r}") from error
    parameters = [] if function is None else [one.name for one in abi.parameters(function)]
    if isinstance(given, dict) and given and set(given) == set(parameters):
        return [given[parameter] for parameter in parameters]
    if not isinstance(given, list) or len(given) != len(parameters):
        takes = ", ".join(parameters) or "nothing"
        raise ConfigError(
            f"{name} takes {takes}: --args {text[:80]} does not fit; give an array in this order, "
            "or an object by these names"
        )
    return given


def encode(function: Function, given: list[object], names: contract_values.Names) -> bytes:
    """The data of a call; raises ConfigError naming the argument that does not fit."""
    pairs = zip(abi.parameters(function), given, strict=True)
    values = [
        contract_values.read(parameter.type, one, names, place=parameter.name)
        for parameter, one in pairs
    ]
    data = abi.encode_arguments(function, values)
    if len(data) > ARGUMENT_BYTES_MAX:
        raise ConfigError(f"{len(data)} bytes of arguments; {ARGUMENT_BYTES_MAX} fit")
    return data

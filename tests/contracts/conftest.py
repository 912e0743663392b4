"""A ledger in dictionaries, and what tests of contracts share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from qlq.contracts import compiler, encoding
from qlq.contracts.compiled import Compiled
from qlq.contracts.engine import Engine, Runner
from qlq.contracts.outcome import Call, Env, Outcome, Status
from qlq.contracts.program import Function
from qlq.contracts.python import PythonRunner
from qlq.contracts.values import Value
from qlq.contracts.wasm_runner import WasmRunner
from qlq.contracts.wasmtime_fast import FastMachine
from qlq.contracts.wasmtime_public import PublicMachine

SOURCES = Path(__file__).with_name("sources")
ALICE, BOB, CAROL = (bytes([number]) * 32 for number in (0xA1, 0xB0, 0xC4))
CHAIN = b"\xcc" * 32
GAS = 10_000_000


@dataclass
class DictLedger:
    """A ledger as slow and plain as it can be."""

    entries: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    balances: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    pulses: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    codes: dict[bytes, Compiled] = field(default_factory=dict)

    def storage(self, contract: bytes, key: bytes) -> bytes | None:
        return self.entries.get((contract, key))

    def storage_page(
        self, contract: bytes, prefix: bytes, start: bytes, count: int
    ) -> list[tuple[bytes, bytes]]:
        found = sorted(
            (key, value)
            for (owner, key), value in self.entries.items()
            if owner == contract and key.startswith(prefix) and key >= start
        )
        return found[:count]

    def balance(self, address: bytes, asset: bytes) -> int:
        return self.balances.get((address, asset), 0)

    def beacon(self, round_number: int) -> tuple[bytes, int] | None:
        return self.pulses.get(round_number)

    def beacon_latest(self) -> int:
        return max(self.pulses, default=0)

    def code(self, contract: bytes) -> Compiled | None:
        return self.codes.get(contract)

    def take(self, outcome: Outcome) -> None:
        """Do what a call has asked for."""
        for write in outcome.writes:
            if write.value is None:
                self.entries.pop((write.contract, write.key), None)
            else:
                self.entries[write.contract, write.key] = write.value
        for moved in outcome.moves:
            self.balances[moved.source, moved.asset] -= moved.amount
            held = self.balance(moved.target, moved.asset)
            self.balances[moved.target, moved.asset] = held + moved.amount


@pytest.fixture
def ledger_class() -> type[DictLedger]:
    return DictLedger


@cache
def compiled_source(name: str) -> Compiled:
    """One of the contracts in `sources`."""
    return compiler.compile_source((SOURCES / f"{name}.py").read_bytes(), f"{name}.py")


def function_of(compiled: Compiled, name: str) -> Function:
    (found,) = [function for function in compiled.program.functions if function.name == name]
    return found


def data_of(compiled: Compiled, name: str, *arguments: Value) -> bytes:
    """The data of a call."""
    function = function_of(compiled, name)
    kinds = [local.type for local in function.locals[: function.parameters]]
    parts = zip(kinds, arguments, strict=True)
    return function.method_id + b"".join(encoding.encode(kind, value) for kind, value in parts)


class World:
    """A ledger with contracts on one back-end, whose calls have their effect."""

    def __init__(self, runner: Runner) -> None:
        self.engine = Engine(runner)
        self.ledger = DictLedger()
        self.env = Env(CHAIN, 100, 1_700_000_000)

    def deploy(self, name: str, address: bytes) -> bytes:
        self.ledger.codes[address] = compiled_source(name)
        return address

    def apply(self, call: Call) -> Outcome:
        outcome = self.engine.apply(self.ledger, self.env, call)
        if outcome.status is Status.OK:
            self.ledger.take(outcome)
        return outcome

    def call(self, contract: bytes, name: str, *arguments: Value, **rest: object) -> Outcome:
        data = data_of(self.ledger.codes[contract], name, *arguments)
        fields = {"sender": ALICE, "gas": GAS, **rest}
        return self.apply(Call(contract=contract, data=data, **fields))

    def ask(self, contract: bytes, name: str, *arguments: Value, **rest: object) -> Value | None:
        """The decoded result of a call that is good."""
        outcome = self.call(contract, name, *arguments, **rest)
        assert outcome.status is Status.OK, outcome
        kind = function_of(self.ledger.codes[contract], name).result
        return None if kind is None else encoding.decode(kind, outcome.result)


RUNNERS: dict[str, Callable[[], Runner]] = {
    "fast": lambda: WasmRunner(FastMachine),
    "public": lambda: WasmRunner(PublicMachine),
    "python": PythonRunner,
}


@pytest.fixture(params=RUNNERS.values(), ids=RUNNERS.keys())
def world(request: pytest.FixtureRequest) -> World:
    """On each back-end."""
    return World(request.param())


@pytest.fixture
def worlds() -> list[World]:
    """One on each back-end."""
    return [World(runner()) for runner in RUNNERS.values()]


class Calls:
    """Contracts and calls by the names in their sources."""

    @staticmethod
    def compiled(name: str) -> Compiled:
        return compiled_source(name)

    @staticmethod
    def line(name: str, text: str) -> int:
        """The line of a source that has this text in it."""
        lines = (SOURCES / f"{name}.py").read_text().splitlines()
        (found,) = [number for number, line in enumerate(lines, start=1) if text in line]
        return found

    @staticmethod
    def data(world: World, contract: bytes, name: str, *arguments: Value) -> bytes:
        return data_of(world.ledger.codes[contract], name, *arguments)


@pytest.fixture
def calls() -> type[Calls]:
    return Calls


@pytest.fixture
def world_on() -> type[World]:
    """For a back-end that a test makes itself."""
    return World

"""The back-ends beside an interpreter that shares nothing with them: `reference`."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import random_programs
from callers import ADDRESSES, CONTRACTS, GOLD, SECOND_CALLS, Callers
from reference import kinds, operators, reading, running, types_and_costs, world

from qlq.contracts import compiler
from qlq.contracts.outcome import Call, Outcome, Status
from qlq.contracts.program import FunctionKind

SOURCES = Path(__file__).with_name("sources")
TEMPLATES = Path(compiler.__file__).parent / "templates"
CONTRACTS_OF_TEMPLATES = sorted(TEMPLATES.glob("*/contract.py"))
PLACES = (b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)
CALLS_A_PROGRAM = 50


def told(outcome: Outcome) -> running.Result:
    """An outcome as the interpreter says it."""
    return running.Result(
        status=outcome.status.name,
        reason=outcome.reason.name,
        code=outcome.code,
        result=outcome.result,
        gas=outcome.gas_used,
        events=[(one.contract, one.name, one.data) for one in outcome.events],
        writes=[(one.contract, one.key, one.value) for one in outcome.writes],
        moves=[(one.source, one.target, one.asset, one.amount) for one in outcome.moves],
    )


class Side:
    """The back-ends' worlds and the interpreter's chain, with the same contracts and past."""

    def __init__(self, worlds: list[Any]) -> None:
        self.worlds = worlds
        env = worlds[0].env
        self.chain = world.Chain(env.chain, env.height, env.time_s)

    def install(self, address: bytes, source: str) -> None:
        compiled = compiler.compile_source(source.encode())
        for one in self.worlds:
            one.ledger.codes[address] = compiled
        self.chain.files[address] = reading.read(source)

    def deploy(self, address: bytes, source: str, arguments: bytes) -> Status:
        """A contract whose `init` runs, with the same outcome everywhere."""
        call = Call(contract=address, sender=ADDRESSES[-3], data=arguments, gas=10**7)
        message = running.Message(address, call.sender, arguments, call.gas)
        expected = running.deploy(self.chain, message, reading.read(source))
        compiled = compiler.compile_source(source.encode())
        for one in self.worlds:
            outcome = one.engine.deploy(one.ledger, one.env, call, compiled)
            assert told(outcome) == expected
            if outcome.status is Status.OK:
                one.ledger.take(outcome)
                one.ledger.codes[address] = compiled
        return outcome.status

    def give(self, people: list[bytes]) -> None:
        held = {(who, what): 10**6 for who in people for what in (GOLD, bytes(32))}
        self.chain.balances = dict(held)
        for one in self.worlds:
            one.ledger.balances = dict(held)

    def publish(self, number: int) -> None:
        pulse = (number.to_bytes(64, "big"), number % 5)
        self.chain.pulses[number] = pulse
        for one in self.worlds:
            one.ledger.pulses[number] = pulse

    def apply(self, call: Call) -> Outcome:
        """The outcome on which all agree."""
        message = running.Message(
            call.contract, call.sender, call.data, call.gas, call.asset, call.value
        )
        expected = running.apply(self.chain, message)
        outcomes = [one.apply(call) for one in self.worlds]
        for one, outcome in zip(self.worlds, outcomes, strict=True):
            assert told(outcome) == expected, (one.engine._runner, call, outcome.message)
        return outcomes[0]

    def check_state(self) -> None:
        for one in self.worlds:
            assert one.ledger.entries == self.chain.entries
            held = {place: amount for place, amount in self.chain.balances.items() if amount}
            assert {k: v for k, v in one.ledger.balances.items() if v} == held


def functions(side: Side) -> list[tuple[bytes, Any]]:
    return [
        (address, function)
        for address, compiled in side.worlds[0].ledger.codes.items()
        for function in compiled.program.functions
        if function.kind in (FunctionKind.EXTERNAL, FunctionKind.VIEW)
    ]


def call_all(side: Side, seed: int, count: int, plenty: int = 60_000) -> Counter[str]:
    """So many random calls, with that gas or ten times as much; how often each reason was met."""
    rng = random.Random(seed)  # noqa: S311 - which calls a test makes
    callers, chosen = Callers(rng, plenty=plenty), functions(side)
    seen: Counter[str] = Counter()
    for number in range(count):
        seen[side.apply(callers.call(chosen)).reason.name] += 1
        if number % 50 == 0:
            side.publish(max(side.chain.pulses, default=0) + 1)
    side.check_state()
    return seen


def calls_of_sources(worlds: list[Any], seed: int, count: int) -> Counter[str]:
    side = Side(worlds)
    for name, address in [*CONTRACTS.items(), ("calls", SECOND_CALLS)]:
        side.install(address, (SOURCES / f"{name}.py").read_text())
    side.give(ADDRESSES)
    return call_all(side, seed, count)


def calls_of_programs(worlds: list[Any], seed: int, count: int) -> Counter[str]:
    """Two random programs, one of them at two addresses."""
    side = Side(worlds)
    source = random_programs.write(seed)
    for address, text in (
        (PLACES[0], source), (PLACES[1], source), (PLACES[2], random_programs.write(seed + 1)),
    ):  # fmt: skip
        side.install(address, text)
    side.give(ADDRESSES)
    return call_all(side, seed, count, plenty=300_000)


def test_calls_of_written_contracts(worlds: list[Any]) -> None:
    seen = calls_of_sources(worlds, 1, 400)
    assert len(seen) >= 12, seen


@pytest.mark.parametrize("template", [path.parent.name for path in CONTRACTS_OF_TEMPLATES])
def test_calls_of_templates(worlds: list[Any], template: str) -> None:
    side = Side(worlds)
    source = (TEMPLATES / template / "contract.py").read_text()
    compiled = compiler.compile_source(source.encode())
    side.give(ADDRESSES)
    callers, tries = Callers(random.Random(3)), 0  # noqa: S311 - which arguments a test tries
    while side.deploy(PLACES[0], source, callers.arguments(compiled.program)) is not Status.OK:
        tries += 1
        assert tries < 1000
    seen = call_all(side, 2, 60)
    assert seen["NONE"], seen


@pytest.mark.parametrize("seed", range(12))
def test_calls_of_random_programs(worlds: list[Any], seed: int) -> None:
    calls_of_programs(worlds[:1] + worlds[2:], seed, 25)


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "a product is cheaper": (types_and_costs, "PRODUCT", 1),
    "a turn is dearer": (running, "LOOP_TURN", 4),
    "a new entry is free": (world, "NEW", 0),
    "a page's key is read the wrong way round": (kinds, "unpack_key", kinds.unpack),
    "nothing overflows": (operators, "bounded", lambda value, _kind: value),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(worlds: list[Any], fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter with a fault differs from the back-ends within a few programs."""
    monkeypatch.setattr(*FAULTS[fault])
    found = None
    for seed in range(60):
        try:
            calls_of_programs([type(worlds[2])(worlds[2].engine._runner)], seed, 25)
        except (AssertionError, OverflowError, kinds.Malformed) as error:
            found = error
            break
    assert found is not None


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_many_calls_of_random_programs(worlds: list[Any], part: int) -> None:
    """5,000 calls each; QLQ_CONTRACT_CALLS sets how many (10^6 in all: 100,000)."""
    count, seen = int(os.environ.get("QLQ_CONTRACT_CALLS", "5000")), Counter[str]()
    fresh = [type(one) for one in worlds]
    for number in range(count // CALLS_A_PROGRAM):
        seed = 1_000_000 * (part + 1) + number
        pair = [fresh[0](worlds[0].engine._runner), fresh[2](worlds[2].engine._runner)]
        try:
            seen += calls_of_programs(pair, seed, CALLS_A_PROGRAM)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert len(seen) >= 12, seen

"""One contract with every construct: any calls, the same on each back-end, and as in Python."""

from __future__ import annotations

import hashlib
import random

import pytest

from qlq.contracts import encoding
from qlq.contracts.outcome import Call, Env, Outcome, Reason, Status
from qlq.contracts.program import FunctionKind
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type, Value

MAIN, OTHER = b"\x11" * 32, b"\x22" * 32
ALICE, BOB = b"\xa1" * 32, b"\xb0" * 32
SOMEBODY = bytes.fromhex("00112233445566778899aabbccddeeff" * 2)
NUMBERS = [0, 1, 2, 3, 4, 5, 7, 10, 40, 63, 64, 127, 128, 2**32, 2**63, 2**64 - 1]
TEXTS = [b"", b"hi\x00\n", b"ab", b"abc", bytes(32), b"x" * 33, b"y" * 40]
WIDE_VALUES = [bytes(32), ALICE, BOB, MAIN, OTHER, SOMEBODY]


def drawn(rng: random.Random, kind: Type) -> Value:  # noqa: PLR0911 - one for each type
    match kind:
        case Plain.U64:
            return rng.choice(NUMBERS)
        case Plain.U128:
            return rng.choice([*NUMBERS, 2**64, 2**100, 2**128 - 1])
        case Plain.BOOL:
            return rng.random() < 0.5
        case EnumType(_, members):
            return rng.randrange(len(members))
        case BytesType(capacity):
            return rng.choice(TEXTS)[:capacity]
        case StructType(_, fields):
            return tuple(drawn(rng, part) for _, part in fields)
    return rng.choice(WIDE_VALUES)


def calls(compiled, count: int, seed: int) -> list[Call]:
    rng = random.Random(seed)  # noqa: S311 - which calls a test makes
    methods = [
        function
        for function in compiled.program.functions
        if function.kind in (FunctionKind.EXTERNAL, FunctionKind.VIEW)
    ]
    made = []
    for _ in range(count):
        function = rng.choice(methods)
        data = function.method_id
        for parameter in function.locals[: function.parameters]:
            data += encoding.encode(parameter.type, drawn(rng, parameter.type))
        if rng.random() < 0.05:
            data = data[:-1] + rng.randbytes(1)
        gas = 10**6 if rng.random() < 0.7 else rng.randrange(40_000)
        value = rng.choice([0, 5]) if function.takes_value else 0
        sender, contract = rng.choice([ALICE, BOB]), rng.choice([MAIN, OTHER])
        made.append(Call(contract=contract, sender=sender, data=data, gas=gas, value=value))
    return made


def alike(outcome: Outcome) -> tuple[object, ...]:
    """All but the message, which is for people."""
    return (
        outcome.status, outcome.reason, outcome.code, outcome.contract, outcome.line,
        outcome.result, outcome.gas_used, outcome.events, outcome.writes, outcome.moves,
    )  # fmt: skip


def differences(worlds, count: int, seed: int) -> dict[Reason, int]:
    reasons: dict[Reason, int] = {}
    for world in worlds:
        world.deploy("constructs", MAIN)
        world.deploy("constructs", OTHER)
        world.ledger.balances = {(ALICE, bytes(32)): 10**6, (BOB, bytes(32)): 2**62}
        world.ledger.pulses = {1: (b"\x07" * 64, 0), 2: (b"\x08" * 64, 1)}
    for number, call in enumerate(calls(worlds[0].ledger.codes[MAIN], count, seed)):
        outcomes = []
        for world in worlds:
            world.env = Env(bytes(32), 100 + number, 1_700_000_000 + number)
            world.ledger.pulses[2 + number // 20] = (number.to_bytes(64, "big"), number // 20 % 4)
            outcomes.append(world.apply(call))
        first = alike(outcomes[0])
        assert all(alike(outcome) == first for outcome in outcomes), (number, outcomes)
        reasons[outcomes[0].reason] = reasons.get(outcomes[0].reason, 0) + 1
    assert all(world.ledger == worlds[0].ledger for world in worlds)
    return reasons


def test_any_calls_have_the_same_outcome_on_each_back_end(worlds) -> None:
    reasons = differences(worlds, 1_500, seed=1)
    assert reasons[Reason.NONE] > 400
    assert len(reasons) > 12


@pytest.mark.long
def test_many_calls_have_the_same_outcome_on_each_back_end(worlds) -> None:
    assert len(differences(worlds, 30_000, seed=2)) > 12


def loops(a: int, b: int) -> int:
    """The method of this name as Python runs it."""
    found = 0
    for i in range(a, b):
        if i == 3:
            continue
        if i > 40:
            break
        last = i
        for j in range(last):
            found += j + 2
        found += max(last - 1 + 2, 0) if last else 0
    while found > 100:
        found -= 7
        if found % 5 == 0:
            break
    return found


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 4), (2, 9), (0, 60), (9, 2), (39, 2**64 - 1)])
def test_loops_turn_as_in_python(world, a: int, b: int) -> None:
    world.deploy("constructs", MAIN)
    assert world.ask(MAIN, "loops", a, b) == loops(a, b)


def test_operands_are_evaluated_from_left_to_right_and_values_before_keys(world) -> None:
    """`self.total += f()` reads the old value first, as Python does, though f writes it."""
    world.deploy("constructs", MAIN)
    assert world.ask(MAIN, "scalars", 5, 9, 1) == 10
    bid = world.ask(MAIN, "structs", 3, BOB)
    assert bid == (bytes(32), (0, 0), 0, b"", False)
    (event,) = world.call(MAIN, "structs", 3, BOB).events
    # best.point.x was 0, then 3 + 3: the copy that the first call returned was not touched.
    assert event.data[32:40] == (6).to_bytes(8, "little")


def test_hashes_are_those_of_hashlib_over_the_documented_bytes(world) -> None:
    world.deploy("constructs", MAIN)
    point = (7).to_bytes(8, "little") + (2**90).to_bytes(16, "little")
    packed = (
        hashlib.sha256(b"text").digest()
        + hashlib.sha3_256(point).digest()
        + hashlib.sha3_256(b"text").digest()
        + point
    )
    wanted = hashlib.sha256(packed).digest()
    assert world.ask(MAIN, "hashes", b"text", (7, 2**90)) == wanted


def test_a_call_knows_its_surroundings(world) -> None:
    world.deploy("constructs", MAIN)
    world.env = Env(b"\x5c" * 32, 77, 88)
    found = world.ask(MAIN, "environment", sender=BOB)
    numbers = (77).to_bytes(8, "little") + (88).to_bytes(8, "little")
    assert found == BOB + MAIN + b"\x5c" * 32 + numbers + bytes(32)


def test_and_and_or_pay_for_their_right_side_only_where_they_look_at_it(worlds) -> None:
    used = set()
    for world in worlds:
        world.deploy("constructs", MAIN)
        short, far = (world.call(MAIN, "logic", 1, 1, c) for c in (4, 10))
        assert short.status is Status.OK
        assert far.gas_used > short.gas_used
        used.add((short.gas_used, far.gas_used))
        assert world.call(MAIN, "logic", 1, 1, 0).reason is Reason.DIVISION_BY_ZERO
        assert world.ask(MAIN, "logic", 0, 1, 0) is False
    assert len(used) == 1

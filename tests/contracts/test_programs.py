"""Contracts do what their sources say, beside the same written in Python."""

from __future__ import annotations

import hashlib
import random

import pytest

from qlq.contracts.outcome import Reason, Status
from qlq.crypto.signing import Algorithm, SigningKey

A, B = b"\x11" * 32, b"\x22" * 32
ALICE, BOB = b"\xa1" * 32, b"\xb0" * 32
EDGES = [0, 1, 2, 3, 63, 64, 2**32, 2**63, 2**64 - 1]
WIDE_EDGES = [*EDGES, 2**64, 2**65 + 1, 2**127, 2**128 - 1]


def bits_of(a: int, b: int) -> int:
    pairs = [a < b, a <= b, a > b, a >= b, a == b, a != b]
    return sum(1 << place for place, holds in enumerate(pairs) if holds)


def shifted(a: int, b: int, width: int) -> int | Reason:
    if b >= width:
        return Reason.SHIFT
    return a << b if a << b < 2**width else Reason.OVERFLOW


def operations(width: int) -> dict:
    top = 2**width
    return {
        "add": lambda a, b: a + b if a + b < top else Reason.OVERFLOW,
        "subtract": lambda a, b: a - b if a >= b else Reason.UNDERFLOW,
        "multiply": lambda a, b: a * b if a * b < top else Reason.OVERFLOW,
        "divide": lambda a, b: a // b if b else Reason.DIVISION_BY_ZERO,
        "remainder": lambda a, b: a % b if b else Reason.DIVISION_BY_ZERO,
        "bits": lambda a, b: (a & b) | (a ^ 3),
        "shifts": lambda a, b: (a >> b) << b if b < width else Reason.SHIFT,
        "left": lambda a, b: shifted(a, b, width),
        "compare": bits_of,
    }


@pytest.mark.parametrize("width", [64, 128])
def test_arithmetic_is_exact_or_reverts(world, width: int) -> None:
    contract = world.deploy("arithmetic", A)
    edges = EDGES if width == 64 else WIDE_EDGES
    for name, wanted_of in operations(width).items():
        method = name if width == 64 else f"{name}_wide"
        for a in edges:
            for b in edges:
                wanted = wanted_of(a, b)
                if isinstance(wanted, Reason):
                    outcome = world.call(contract, method, a, b)
                    assert outcome.status is Status.REVERTED
                    assert outcome.reason is wanted, (method, a, b)
                else:
                    assert world.ask(contract, method, a, b) == wanted, (method, a, b)


def test_a_product_is_never_too_large_for_its_quotient(world) -> None:
    contract = world.deploy("arithmetic", A)
    top = 2**64 - 1
    assert world.ask(contract, "scale", top, top, top) == top
    assert world.ask(contract, "scale_wide", 2**128 - 1, 2**128 - 1, 2**128 - 1) == 2**128 - 1
    assert world.call(contract, "scale", top, 2, 1).reason is Reason.OVERFLOW
    assert world.call(contract, "scale", 1, 2, 0).reason is Reason.DIVISION_BY_ZERO


def test_conversions_and_enums(world) -> None:
    contract = world.deploy("arithmetic", A)
    assert world.ask(contract, "mixed", 300, 10) == (300 * 10 + 1) // 3 + 1
    assert world.call(contract, "mixed", 2**127, 1).reason is Reason.CONVERSION
    assert world.call(contract, "paint", 3, 1).reason is Reason.CONVERSION
    assert [world.ask(contract, "paint", 2, 0) for _ in range(3)] == [2, 2, 0]
    assert [world.ask(contract, "paint", number, 1) for number in (0, 1, 2)] == [0, 0, 2]
    assert world.ask(contract, "accumulate", 5, 7) == 30
    assert world.ask(contract, "accumulate", 5, 7) == 30 + 70 - 10
    assert world.call(contract, "accumulate", 0, 2**128 - 1).reason is Reason.OVERFLOW


RECORD = (ALICE, (5, 2**100, 1), b"text", False)


def test_values_are_copied_when_they_are_assigned_stored_or_passed(world) -> None:
    contract = world.deploy("data", A)
    kept = world.call(contract, "keep", 3, RECORD)
    assert kept.status is Status.OK
    assert kept.events[0].name == "Changed"
    assert world.ask(contract, "keep", 3, RECORD) == (ALICE, (6, 2**100, 1), b"text", True)
    bent = world.ask(contract, "bend", 3, (9, 1, 2), b"new")
    assert bent == (ALICE, (9, 2**100 + 1, 2), b"new", False)
    old = world.ask(contract, "bend", 3, (8, 1, 2), b"newer")
    assert old == (ALICE, (9, 2**100 + 1, 2), b"new", False)
    assert world.ask(contract, "same", ALICE, BOB) is True
    assert world.ask(contract, "same", ALICE, ALICE) is True


def test_no_name_means_the_place_of_another(world) -> None:
    def other(a: bytes, b: bytes) -> bytes:
        digest = hashlib.sha256(a).digest()
        return digest if digest != b else b

    contract = world.deploy("data", A)
    for a, b in [
        (ALICE, BOB),
        (BOB, ALICE),
        (ALICE, ALICE),
        (ALICE, hashlib.sha256(ALICE).digest()),
    ]:
        packed = b + a + other(b, a) + other(a, b) + other(b, a)
        assert world.ask(contract, "alias", a, b) == hashlib.sha256(packed).digest()
        assert world.ask(contract, "twins", a, b) == (other(a, b) == other(b, a))
    assert world.ask(contract, "both", b"abcdef", b"1234") == b"abc.12."


def test_bytes_are_cut_joined_and_converted(world) -> None:
    contract = world.deploy("data", A)
    text = bytes(range(1, 41))
    for length in (0, 1, 8, 9, 32, 40):
        for start in (0, 1, 8, 39, 40, 41, 2**63):
            for stop in (0, 1, 9, 40, 41, 2**64 - 1):
                outcome = world.call(contract, "cut", text[:length], start, stop)
                if start <= stop <= length:
                    assert outcome.result[2:] == text[start:stop].ljust(40, b"\0")
                    assert outcome.result[0] == stop - start
                else:
                    assert outcome.reason is Reason.INDEX
        shrunk = world.call(contract, "shrink", text[:length])
        assert (shrunk.status is Status.OK) == (length <= 8)
        assert (world.call(contract, "as_hash", text[:length]).status is Status.OK) == (
            length == 32
        )
        assert world.ask(contract, "join", text[:8], text[:length]) == text[:8] + text[:length]
    assert world.ask(contract, "grow", b"") == b""
    assert world.ask(contract, "grow", b"12345678") == b"12345678"
    assert world.ask(contract, "as_text", ALICE) == ALICE
    assert world.ask(contract, "as_hash", ALICE) == ALICE
    assert world.ask(contract, "byte", text, 39) == 40 + 40
    assert world.call(contract, "byte", text[:3], 3).reason is Reason.INDEX
    assert world.ask(contract, "write", b"key", b"first") == b""
    assert world.ask(contract, "write", b"key", b"second") == b"first"
    assert world.ask(contract, "write", b"key\0", b"third") == b""


def test_keys_of_all_types_are_apart(world) -> None:
    contract = world.deploy("data", A)
    model: dict = {}
    rng = random.Random(5)  # noqa: S311 - which calls a test makes
    for _ in range(200):
        number, side = rng.choice([0, 1, 256, 2**64, 2**127]), rng.randrange(3)
        who = rng.choice([ALICE, BOB])
        assert world.ask(contract, "rank", number, side, who) == model.get(
            (number, side), bytes(32)
        )
        model[number, side] = who
        first, key, second = rng.random() < 0.5, rng.choice([ALICE, BOB]), rng.random() < 0.5
        old = model.get((first, key), False)
        model[first, key] = second or (first and old)
        assert world.ask(contract, "flag", first, key, second) == (old != model[first, key])
    assert world.ask(contract, "addresses", ALICE) == ALICE
    assert world.ask(contract, "place", 3, 2**99, 2) == (4, 2**99, 2)
    assert world.ask(contract, "place", 10, 2**99, 2) == (10, 2**99, 2)


def test_what_a_call_knows_of_itself(world) -> None:
    contract = world.deploy("data", A)
    packed = bytes(32) + b"\x02\0ab".ljust(42, b"\0") + (7).to_bytes(8, "little") + ALICE + A
    last = hashlib.sha3_256(packed).digest()
    rest = world.env.chain + b"".join(
        number.to_bytes(8, "little") for number in (world.env.height, world.env.time_s, 0)
    )
    wanted = hashlib.sha256(last + rest + bytes(32)).digest()
    assert world.ask(contract, "digest", b"ab", 7) == wanted


def collatz(number: int) -> int:
    steps = 0
    while number > 1:
        number = number // 2 if number % 2 == 0 else number * 3 + 1
        steps += 1
        if steps > 200:
            break
    return steps


def table(rows: int, columns: int) -> int:
    total = 0
    for i in range(rows):
        for j in range(columns):
            if j == 3:
                continue
            if j == i:
                break
            total += i * columns + j
        total += 1
    return total


def test_loops_turn_as_in_python(world) -> None:
    contract = world.deploy("loops", A)
    for number in (0, 1, 2, 5, 41, 100):
        counted = sum(i for i in range(min(number, 42)) if i % 3 != 1 and i <= 40)
        assert world.ask(contract, "count", number) == counted
        assert world.ask(contract, "table", number % 9, 6) == table(number % 9, 6)
        assert world.ask(contract, "between", 3, 3 + number) == (
            number if number <= 30 else (3 + 30) * 2
        )
    for number in (0, 1, 7, 27, 97, 2**40 + 1):
        assert world.ask(contract, "collatz", number) == collatz(number)
    assert world.ask(contract, "between", 9, 3) == 0
    assert world.ask(contract, "tail", 2**64 - 3) == 2**64 - 2
    assert world.ask(contract, "tail", 2**64 - 1) == 0


def test_pages_ascend_by_number_and_start_where_they_should(world) -> None:
    contract = world.deploy("loops", A)
    model: dict[int, int] = {}
    rng = random.Random(6)  # noqa: S311 - which calls a test makes
    for _ in range(150):
        key, value = rng.choice([rng.randrange(300), rng.getrandbits(64)]), rng.randrange(4)
        assert world.ask(contract, "score", key, value) == model.pop(key, 0)
        if value:
            model[key] = value
        start = rng.choice([0, key, key + 1 if key < 2**64 - 1 else key, rng.getrandbits(64)])
        total = 0
        for found in sorted(found for found in model if found >= start)[:5]:
            total = total * 31 % 1000003 + found % 1000 + model[found] % 1000
        assert world.ask(contract, "sum_from", start) == total
    for number in range(70):
        world.call(contract, "hold", bytes([number]) * 32, 2**70 + number)
    assert world.ask(contract, "richest", bytes(32)) == bytes([63]) * 32
    assert world.ask(contract, "richest", bytes([10]) * 32) == bytes([69]) * 32
    assert world.ask(contract, "richest", b"\xff" * 32) == bytes(32)


def test_a_page_does_not_see_what_its_loop_writes(world) -> None:
    contract = world.deploy("loops", A)
    for second in (2**64, 1, 5, 2**127):
        world.call(contract, "nest", 4, second, 2 if second == 5 else second % 1000 * 2 + 1)
    world.call(contract, "nest", 5, 0, 8)
    world.call(contract, "score", 3, 4)
    assert world.ask(contract, "sweep", 4, 0) // 1000 == 1
    keys = [key[16:32] for _, key in world.ledger.entries if len(key) == 32]
    assert sorted(int.from_bytes(key, "big") for key in keys) == [0, 1, 2**64, 2**127]


def test_contracts_call_each_other(world) -> None:
    first, second = world.deploy("calls", A), world.deploy("calls", B)
    assert world.ask(first, "ask", second, 7) == 7 + 4
    assert world.call(first, "ask", second, 4).message == "no"
    large = world.call(first, "ask", second, 101)
    assert (large.status, large.message, large.contract) == (Status.REVERTED, "too large", second)
    outcome = world.call(first, "visit", 1, second)
    assert int.from_bytes(outcome.result, "little") == 2
    assert [(event.contract, event.data[8:]) for event in outcome.events] == [(A, ALICE), (B, A)]


def test_assets_move_from_the_contract_s_own_account(world) -> None:
    contract, gold = world.deploy("calls", A), b"\x09" * 32
    world.ledger.balances[ALICE, gold] = 100
    assert world.ask(contract, "deposit", value=60, asset=gold) == 120
    assert world.ask(contract, "pay", BOB, gold, 25) == 25
    assert world.ask(contract, "pay", A, gold, 35) == 35
    short = world.call(contract, "pay", BOB, gold, 36)
    assert short.reason is Reason.INSUFFICIENT_BALANCE
    assert world.ledger.balances == {(ALICE, gold): 40, (A, gold): 35, (BOB, gold): 25}


def test_the_beacon_is_asked_after_its_round(world) -> None:
    contract = world.deploy("calls", A)
    world.ledger.pulses[5] = (bytes(64), 0)
    assert world.call(contract, "close", 1).reason is Reason.ROUND_DELAY
    assert world.ask(contract, "close", 2) == 7
    assert world.call(contract, "draw", 6).reason is Reason.ROUND_NOT_REACHED
    world.ledger.pulses[7] = (bytes(range(64)), 1)
    assert world.call(contract, "lot").message == "not good enough"
    world.ledger.pulses[7] = (bytes(range(64)), 3)
    tagged = hashlib.sha256(bytes(range(64)) + A + (6).to_bytes(8, "little")).digest()
    assert world.ask(contract, "draw", 6) == int.from_bytes(tagged[:8], "little") % 6
    assert world.ask(contract, "lot") == hashlib.sha256(bytes(range(64)) + A).digest()
    assert world.call(contract, "draw", 0).reason is Reason.RANGE_EMPTY


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ML_DSA_65])
def test_signatures_are_verified(world, algorithm: Algorithm) -> None:
    contract = world.deploy("calls", A)
    key = SigningKey(algorithm, bytes(range(32)))
    method = "signed" if algorithm is Algorithm.ED25519 else "signed_later"
    signature = key.sign(b"message", context=b"qlq/contract/1")[1:]
    public = key.verifying_key.data
    assert world.ask(contract, method, public, b"message", signature) is True
    assert world.ask(contract, method, public, b"massage", signature) is False
    assert world.ask(contract, method, public, b"message", signature[:-1]) is False

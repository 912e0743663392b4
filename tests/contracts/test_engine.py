"""The engine's rules: what is refused, what is undone, what it costs, who may call whom."""

from __future__ import annotations

import pytest

from qlq.contracts import gas
from qlq.contracts.outcome import Call, Env, Moved, Outcome, Reason, Status

A, B = b"\x11" * 32, b"\x22" * 32
ALICE, BOB = b"\xa1" * 32, b"\xb0" * 32
GOLD = b"\x09" * 32


def nothing_happened(outcome: Outcome) -> bool:
    return not (outcome.result or outcome.events or outcome.writes or outcome.moves)


REFUSED = {
    Reason.UNKNOWN_CONTRACT: {"contract": B},
    Reason.UNKNOWN_METHOD: {"data": b"\0\0\0\0"},
    Reason.ARGUMENTS_INVALID: {"data": None},
    Reason.VALUE_NOT_TAKEN: {"value": 1},
    Reason.INSUFFICIENT_BALANCE: {"value": 10**9, "method": "deposit"},
}


@pytest.mark.parametrize("reason", REFUSED, ids=lambda reason: reason.name)
def test_what_cannot_be_called_is_refused_and_costs_nothing(world, calls, reason) -> None:
    world.deploy("calls", A)
    world.ledger.balances[ALICE, bytes(32)] = 1000
    change = dict(REFUSED[reason])
    method = change.pop("method", "odd")
    data = calls.data(world, A, method, *([3] if method == "odd" else []))
    call = {"contract": A, "sender": ALICE, "data": data, "gas": 100_000}
    if reason is Reason.ARGUMENTS_INVALID:
        change["data"] = data[:-1]
    outcome = world.apply(Call(**{**call, **change}))
    assert (outcome.status, outcome.reason, outcome.gas_used) == (Status.REFUSED, reason, 0)
    assert nothing_happened(outcome)
    assert outcome.message


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x02\x03"])
def test_data_too_short_for_a_method_are_no_method(world, data: bytes) -> None:
    world.deploy("calls", A)
    outcome = world.apply(Call(contract=A, sender=ALICE, data=data, gas=100_000))
    assert outcome.reason is Reason.UNKNOWN_METHOD


BAD_ARGUMENTS = {
    "bool": ("flag", lambda data: data[:4] + b"\x02" + data[5:], (1, bytes(32), 1)),
    "enum": ("rank", lambda data: data[:20] + b"\x03" + data[21:], (5, 2, ALICE)),
    "length": ("write", lambda data: data[:4] + b"\x09" + data[5:], (b"12345678", b"")),
    "padding": ("write", lambda data: data[:-1] + b"\x01", (b"12345678", b"")),
    "inside": ("bend", lambda data: data[:36] + b"\x03" + data[37:], (1, (1, 1, 1), b"")),
    "longer": ("same", lambda data: data + b"\0", (ALICE, BOB)),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_arguments_have_one_encoding(world, calls, case: str) -> None:
    method, change, arguments = BAD_ARGUMENTS[case]
    world.deploy("data", A)
    data = calls.data(world, A, method, *arguments)
    good = world.apply(Call(contract=A, sender=ALICE, data=data, gas=1_000_000))
    assert good.reason is not Reason.ARGUMENTS_INVALID
    outcome = world.apply(Call(contract=A, sender=ALICE, data=change(data), gas=1_000_000))
    assert (outcome.status, outcome.reason) == (Status.REFUSED, Reason.ARGUMENTS_INVALID)


def test_a_revert_gives_the_rest_of_the_gas_back_and_nothing_else(world, calls) -> None:
    world.deploy("chain", A)
    outcome = world.call(A, "walk", 1000, gas=100_000)
    assert (outcome.status, outcome.reason) == (Status.REVERTED, Reason.ASSERTION)
    assert (outcome.message, outcome.contract) == ("a thousand", A)
    assert 0 < outcome.gas_used < 100_000
    assert nothing_happened(outcome)
    assert outcome.line == calls.line("chain", "a thousand")


def test_out_of_gas_burns_all_of_it_at_every_amount_that_is_too_small(world) -> None:
    world.deploy("arithmetic", A)
    full = world.call(A, "mixed", 300, 10)
    assert full.status is Status.OK
    for limit in [*range(0, gas.CALL, 1001), *range(gas.CALL - 1, full.gas_used)]:
        outcome = world.call(A, "mixed", 300, 10, gas=limit)
        assert (outcome.status, outcome.reason) == (Status.OUT_OF_GAS, Reason.OUT_OF_GAS), limit
        assert outcome.gas_used == limit
        assert nothing_happened(outcome)
    enough = world.call(A, "mixed", 300, 10, gas=full.gas_used)
    assert (enough.status, enough.gas_used) == (Status.OK, full.gas_used)


def test_the_value_comes_first_and_goes_back_with_a_failure(world) -> None:
    world.deploy("calls", A)
    world.ledger.balances[ALICE, GOLD] = 10
    outcome = world.call(A, "deposit", asset=GOLD, value=10)
    assert outcome.moves == (Moved(ALICE, A, GOLD, 10),)
    world.ledger.balances = {(ALICE, GOLD): 10}
    short = world.call(A, "deposit", asset=GOLD, value=10, gas=gas.CALL + 10)
    assert short.status is Status.OUT_OF_GAS
    assert nothing_happened(short)


def test_nobody_comes_back_into_a_contract_that_waits(world) -> None:
    world.deploy("calls", A)
    world.deploy("calls", B)
    for onward, place in ((B, B), (A, A)):
        outcome = world.call(A, "visit", 5, onward)
        assert (outcome.status, outcome.reason) == (Status.REVERTED, Reason.ALREADY_CALLED)
        assert outcome.contract == place
        assert nothing_happened(outcome)


def row(world, count: int) -> list[bytes]:
    addresses = [bytes([number]) * 32 for number in range(1, count + 1)]
    for address, following in zip(addresses, [*addresses[1:], addresses[-1]], strict=True):
        world.deploy("chain", address)
        world.ask(address, "lead_to", following)
    return addresses


def test_eight_contracts_deep_and_no_deeper(world) -> None:
    addresses = row(world, 9)
    outcome = world.call(addresses[0], "walk", 7)
    assert int.from_bytes(outcome.result, "little") == 8
    assert [event.contract for event in outcome.events] == addresses[:8]
    assert len(outcome.writes) == 8
    deeper = world.call(addresses[0], "walk", 8)
    assert (deeper.status, deeper.reason) == (Status.REVERTED, Reason.TOO_DEEP)
    assert deeper.contract == addresses[7]
    assert nothing_happened(deeper)


def test_a_failure_deep_down_undoes_everything_above(world, calls) -> None:
    addresses = row(world, 5)
    world.ledger.codes.pop(addresses[4])
    outcome = world.call(addresses[0], "walk", 4)
    assert (outcome.status, outcome.reason) == (Status.REVERTED, Reason.UNKNOWN_CONTRACT)
    assert outcome.contract == addresses[3]
    assert outcome.line == calls.line("chain", "return at(Link")
    assert nothing_happened(outcome)


def test_gas_runs_out_wherever_it_does(world) -> None:
    addresses = row(world, 4)
    assert world.ask(addresses[0], "walk", 3) == 4  # entries that are new cost more
    full = world.call(addresses[0], "walk", 3).gas_used
    for limit in range(gas.CALL, full, 997):
        outcome = world.call(addresses[0], "walk", 3, gas=limit)
        assert (outcome.status, outcome.gas_used) == (Status.OUT_OF_GAS, limit)
        assert outcome.line == 0
    assert world.call(addresses[0], "walk", 3, gas=full).status is Status.OK


MISMATCHES = {
    "an enum without that member": ("ask", 2, "at(Other, other).reply(number)"),
    "something for nothing": ("ask", 1, "at(Other, other).nothing(number)"),
    "no bool": ("ask_odd", 2, "return at(Other, other).odd(number)"),
    "bytes longer than their capacity": ("ask_raw", 13, "at(Other, other).raw(number)"),
    "bytes much longer": ("ask_raw", 1 << 8, "at(Other, other).raw(number)"),
    "bytes without padding": ("ask_raw", 1 << 24 | 1, "at(Other, other).raw(number)"),
}


@pytest.mark.parametrize("case", MISMATCHES)
def test_results_of_others_are_checked_to_be_of_their_type(world, calls, case: str) -> None:
    method, number, statement = MISMATCHES[case]
    world.deploy("calls", A)
    world.deploy("liar", B)
    outcome = world.call(A, method, B, number)
    assert (outcome.status, outcome.reason) == (Status.REVERTED, Reason.RESULT_MISMATCH)
    assert (outcome.contract, outcome.line) == (A, calls.line("calls", statement))


def test_results_that_are_of_their_type_by_chance_are_taken(world) -> None:
    world.deploy("calls", A)
    world.deploy("liar", B)
    assert world.ask(A, "ask_odd", B, 1) is True
    assert world.ask(A, "ask_raw", B, 12) == bytes(12)
    assert world.ask(A, "ask_raw", B, 7 << 16 | 1) == b"\x07"


def test_a_new_contract_runs_its_init_once(world, calls) -> None:
    compiled = calls.compiled("chain")
    call = Call(contract=A, sender=ALICE, data=B, gas=10_000_000)
    outcome = world.engine.deploy(world.ledger, world.env, call, compiled)
    assert outcome.status is Status.OK
    assert sorted(write.value for write in outcome.writes) == sorted([ALICE, B])
    paid = gas.DEPLOY + compiled.source_bytes * gas.DEPLOY_BYTE
    assert outcome.gas_used > paid
    short = world.engine.deploy(
        world.ledger, world.env, Call(contract=A, sender=ALICE, data=B, gas=paid - 1), compiled
    )
    assert (short.status, short.gas_used) == (Status.OUT_OF_GAS, paid - 1)
    world.ledger.codes[A] = compiled
    again = world.engine.deploy(world.ledger, world.env, call, compiled)
    assert (again.status, again.reason) == (Status.REFUSED, Reason.ALREADY_DEPLOYED)
    assert world.call(A, "init", B).reason is Reason.UNKNOWN_METHOD


def test_a_contract_without_init_takes_no_arguments_and_no_value(world, calls) -> None:
    compiled = calls.compiled("loops")
    for change, reason in (
        ({"data": b"\0"}, Reason.ARGUMENTS_INVALID),
        ({"value": 1}, Reason.VALUE_NOT_TAKEN),
        ({}, Reason.NONE),
    ):
        fields = {"contract": A, "sender": ALICE, "data": b"", "gas": 10_000_000, **change}
        outcome = world.engine.deploy(world.ledger, world.env, Call(**fields), compiled)
        assert outcome.reason is reason


def test_new_code_runs_its_migrate_on_what_is_stored(world, calls) -> None:
    compiled = calls.compiled("chain")
    call = Call(contract=A, sender=ALICE, data=b"", gas=10_000_000)
    unknown = world.engine.migrate(world.ledger, world.env, call, compiled)
    assert (unknown.status, unknown.reason) == (Status.REFUSED, Reason.UNKNOWN_CONTRACT)
    deployed = world.engine.deploy(
        world.ledger, world.env, Call(contract=A, sender=BOB, data=B, gas=10_000_000), compiled
    )
    world.ledger.take(deployed)
    world.ledger.codes[A] = compiled
    outcome = world.engine.migrate(world.ledger, world.env, call, compiled)
    assert outcome.message == "only the owner"
    outcome = world.engine.migrate(
        world.ledger,
        world.env,
        Call(contract=A, sender=BOB, data=b"", gas=call.gas),
        compiled,
    )
    assert [write.value for write in outcome.writes] == [(77).to_bytes(8, "little")]


@pytest.mark.parametrize(
    "change",
    [{"gas": -1}, {"gas": 1 << 63}, {"value": -1}, {"value": 1 << 63}, {"contract": b""},
     {"sender": bytes(31)}, {"asset": bytes(33)}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_call_outside_its_ranges_is_our_caller_s_mistake(world, change) -> None:
    fields = {"contract": A, "sender": ALICE, "data": b"", "gas": 1, **change}
    with pytest.raises(ValueError, match=r"outside|bytes"):
        world.engine.apply(world.ledger, world.env, Call(**fields))


@pytest.mark.parametrize(
    "env", [Env(bytes(31), 1, 1), Env(bytes(32), -1, 1), Env(bytes(32), 1, -1)]
)
def test_a_block_outside_its_ranges_is_our_caller_s_mistake(world, env: Env) -> None:
    with pytest.raises(ValueError, match=r"outside|bytes"):
        world.engine.apply(world.ledger, env, Call(contract=A, sender=ALICE, data=b"", gas=1))


def test_an_instance_is_not_used_after_a_failure(world) -> None:
    """What a failed call left in its memory would be seen by the next one."""
    world.deploy("data", A)
    before = world.call(A, "alias", ALICE, BOB)
    assert world.call(A, "cut", b"x" * 40, 41, 41).status is Status.REVERTED
    assert world.call(A, "alias", ALICE, BOB, gas=gas.CALL + 700).status is Status.OUT_OF_GAS
    assert world.call(A, "alias", ALICE, BOB) == before

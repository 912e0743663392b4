"""Random calls on all back-ends: equal in everything that the chain agrees on."""

from __future__ import annotations

import random

import msgspec
import pytest
from callers import ADDRESSES, CONTRACTS, GOLD, SECOND_CALLS, Callers

from qlq.contracts import gas
from qlq.contracts.outcome import Call, Outcome, Status
from qlq.contracts.program import FunctionKind


def agreed(outcome: Outcome) -> Outcome:
    """All but the words for people."""
    return msgspec.structs.replace(outcome, message="")


def compare(worlds, seed: int, count: int) -> dict[Status, int]:
    rng = random.Random(seed)  # noqa: S311 - which calls a test makes
    callers = Callers(rng)
    functions = []
    for world in worlds:
        for name, address in [*CONTRACTS.items(), ("calls", SECOND_CALLS)]:
            world.deploy(name, address)
        world.ledger.balances = {
            (who, what): 10**6 for who in ADDRESSES for what in (GOLD, bytes(32))
        }
        world.ledger.pulses = {number: (bytes([number]) * 64, number % 5) for number in range(1, 9)}
    for address, compiled in worlds[0].ledger.codes.items():
        functions += [
            (address, function)
            for function in compiled.program.functions
            if function.kind in (FunctionKind.EXTERNAL, FunctionKind.VIEW)
        ]
    seen: dict[Status, int] = dict.fromkeys(Status, 0)
    for number in range(count):
        call = callers.call(functions)
        first, *others = [agreed(world.apply(call)) for world in worlds]
        for world, other in zip(worlds[1:], others, strict=True):
            assert other == first, (seed, number, call, type(world.engine))
        seen[first.status] += 1
        if number % 200 == 0:
            for world in worlds:
                latest = max(world.ledger.pulses) + 1
                world.ledger.pulses[latest] = (latest.to_bytes(64, "big"), latest % 5)
    for world in worlds[1:]:
        assert world.ledger.entries == worlds[0].ledger.entries
        assert world.ledger.balances == worlds[0].ledger.balances
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_back_ends_agree_on_random_calls(worlds, seed: int) -> None:
    seen = compare(worlds, seed, 500)
    assert all(count >= 5 for count in seen.values()), seen


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
def test_back_ends_agree_on_many_random_calls(worlds, seed: int) -> None:
    seen = compare(worlds, seed, 5_000)
    assert all(count >= 50 for count in seen.values()), seen


EVERY_AMOUNT = {
    "loops and conditions": ("loops", "table", (5, 7)),
    "conversions": ("arithmetic", "mixed", (2**60, 9)),
    "short circuits": ("arithmetic", "paint", (2, 0)),
    "structs and bytes": ("data", "place", (3, 2**99, 2)),
    "aliases and hashes": ("data", "alias", (b"\x01" * 32, b"\x02" * 32)),
}


@pytest.mark.parametrize("case", EVERY_AMOUNT)
def test_back_ends_agree_at_every_amount_of_gas_that_is_too_small(worlds, calls, case) -> None:
    name, method, arguments = EVERY_AMOUNT[case]
    contract = CONTRACTS[name]
    for world in worlds:
        world.deploy(name, contract)
    data = calls.data(worlds[0], contract, method, *arguments)
    full = Call(contract=contract, sender=bytes(32), data=data, gas=10**7)
    used = {world.engine.apply(world.ledger, world.env, full).gas_used for world in worlds}
    assert len(used) == 1
    (enough,) = used
    step = max(1, (enough - gas.CALL) // 700)
    for limit in [*range(gas.CALL, enough, step), enough - 1, enough, enough + 1]:
        call = msgspec.structs.replace(full, gas=limit)
        outcomes = [agreed(world.engine.apply(world.ledger, world.env, call)) for world in worlds]
        assert outcomes[0] == outcomes[1] == outcomes[2], limit
        assert (outcomes[0].status is Status.OK) == (limit >= enough), limit

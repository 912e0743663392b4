"""What a unit of gas costs in time, for each kind of work of contracts.

Each method of contract_sources/work.py does one thing in a loop. Two numbers of turns give the time
and the gas of what is between them, so that entering the contract is no part of either. A ledger of
dictionaries stands behind: what its own storage costs is not ours to measure here.

    python benchmarks/contracts_gas.py [--json] [--small]
"""

from __future__ import annotations

import time
from bisect import bisect_left
from pathlib import Path
from typing import Any

import measuring

from qlq.contracts import compiler, encoding, gas
from qlq.contracts.compiled import Compiled
from qlq.contracts.engine import Engine
from qlq.contracts.outcome import Call, Env, Outcome, Status
from qlq.contracts.values import Value
from qlq.contracts.wasm_runner import WasmRunner
from qlq.crypto.signing import Algorithm, SigningKey

SOURCE = Path(__file__).with_name("contract_sources") / "work.py"
CONTRACT, OTHER, SENDER = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
CONTEXT = b"qlq/contract/1"
BUDGET, SMALL_BUDGET = 20_000_000, 2_000_000
GAS = 1 << 40
EVENTS = 60
ROOM = ("new_entries", "long_writes", "long_events")
"""Work that pays for the room it takes on every node, far more than for its time."""


class Memory:
    """A ledger in memory, whose entries of one contract are in order."""

    def __init__(self, codes: dict[bytes, Compiled]) -> None:
        """Contracts, balances and a beacon, and no entries yet."""
        self.codes = codes
        self.entries: dict[bytes, dict[bytes, bytes]] = {}
        self.ordered: dict[bytes, list[bytes]] = {}

    def code(self, contract: bytes) -> Compiled | None:
        return self.codes.get(contract)

    def storage(self, contract: bytes, key: bytes) -> bytes | None:
        return self.entries.get(contract, {}).get(key)

    def storage_page(
        self, contract: bytes, prefix: bytes, start: bytes, count: int
    ) -> list[tuple[bytes, bytes]]:
        entries, ordered = self.entries.get(contract, {}), self.ordered.get(contract, [])
        place = bisect_left(ordered, start)
        keys = ordered[place : place + count]
        return [(key, entries[key]) for key in keys if key.startswith(prefix)]

    def balance(self, _address: bytes, _asset: bytes) -> int:
        return 1 << 40

    def beacon(self, number: int) -> tuple[bytes, int] | None:
        return (bytes(64), 3) if number <= self.beacon_latest() + 2 else None

    def beacon_latest(self) -> int:
        return 5

    def take(self, outcome: Outcome) -> None:
        for write in outcome.writes:
            entries = self.entries.setdefault(write.contract, {})
            if write.value is None:
                entries.pop(write.key, None)
            else:
                entries[write.key] = write.value
        self.ordered = {contract: sorted(found) for contract, found in self.entries.items()}


class Bench:
    """The contract of all kinds of work, deployed twice."""

    def __init__(self) -> None:
        """Compile and fill it."""
        self.compiled = compiler.compile_source(SOURCE.read_bytes(), SOURCE.name)
        self.ledger = Memory({CONTRACT: self.compiled, OTHER: self.compiled})
        self.engine = Engine(WasmRunner())
        self.env = Env(bytes(32), 1, 1)
        self.ledger.take(self.call("close"))
        slot = self.compiled.program.fields[0].slot
        entries = self.ledger.entries.setdefault(CONTRACT, {})
        entries |= {slot + n.to_bytes(8, "big"): b"\x01" + bytes(7) for n in range(20_000)}
        self.ledger.ordered = {CONTRACT: sorted(entries)}

    def call(self, name: str, *arguments: Value) -> Outcome:
        """One call; its effect is not taken."""
        (function,) = [found for found in self.compiled.program.functions if found.name == name]
        kinds = [local.type for local in function.locals[: function.parameters]]
        encoded = [
            encoding.encode(kind, value) for kind, value in zip(kinds, arguments, strict=True)
        ]
        data = function.method_id + b"".join(encoded)
        outcome = self.engine.apply(
            self.ledger,
            self.env,
            Call(contract=CONTRACT, sender=SENDER, data=data, gas=GAS),
        )
        if outcome.status is not Status.OK:
            raise RuntimeError(f"{name}: {outcome.reason.name}: {outcome.message}")
        return outcome

    def unit_ns(self, name: str, budget: int, *rest: Value) -> float:
        """Nanoseconds of processor time for a unit of gas of this method's work."""
        few = 2
        base = self.call(name, few, *rest).gas_used
        per_turn = (self.call(name, 2 * few, *rest).gas_used - base) / few
        turns = few + max(4, int(budget / per_turn))
        if name.endswith("events"):
            turns = EVENTS
        repeats = 5 if turns > EVENTS else 200
        used = self.call(name, turns, *rest).gas_used - base
        spent = self._time_s(name, turns, rest, repeats) - self._time_s(name, few, rest, repeats)
        return spent / used * 1e9

    def _time_s(self, name: str, turns: int, rest: tuple[Value, ...], repeats: int) -> float:
        best = float("inf")
        for _ in range(repeats):
            start = time.process_time()
            self.call(name, turns, *rest)
            best = min(best, time.process_time() - start)
        return best


def entering_ns(bench: Bench) -> float:
    """Nanoseconds for a unit of gas of a call that does nothing."""
    used = bench.call("nothing").gas_used
    start = time.process_time()
    for _ in range(2_000):
        bench.call("nothing")
    return (time.process_time() - start) / 2_000 / used * 1e9


def unit_costs(budget: int) -> dict[str, float]:
    """Nanoseconds for a unit of gas, by kind of work."""
    bench = Bench()
    text = bytes(range(1, 251)) * 4
    wide = (SENDER, 5, 2**100, text[:200])
    keys = {kind: SigningKey(kind, bytes(range(32))) for kind in Algorithm}
    signed: dict[str, tuple[Value, ...]] = {}
    for name, kind in (
        ("signatures", Algorithm.ED25519),
        ("later_signatures", Algorithm.ML_DSA_65),
    ):
        signature = keys[kind].sign(b"message", context=CONTEXT)[1:]
        signed[name] = (keys[kind].verifying_key.data, signature)
    rest: dict[str, tuple[Value, ...]] = {
        "passing": (wide,), "copies": (text,), "hashes_32": (SENDER, OTHER), "cuts": (text,),
        "joins": (text,), "packs": (SENDER,), "long_writes": (text,), "long_events": (text,),
        "transfers": (OTHER,), "visits": (OTHER,), "long_digests": (text,),
        "long_digests_3": (text,), **signed,
    }  # fmt: skip
    names = [
        function.name
        for function in bench.compiled.program.functions
        if function.locals and function.locals[0].name == "turns"
    ]
    costs = {name: bench.unit_ns(name, budget, *rest.get(name, ())) for name in names}
    return {"entering": entering_ns(bench), **costs}


def measurements(*, small: bool) -> list[dict[str, Any]]:
    """Each kind of work beside the cheapest that pays for time; then the worst of all."""
    costs = unit_costs(SMALL_BUDGET if small else BUDGET)
    best = min(cost for name, cost in costs.items() if name not in ROOM)
    worst = max(costs.values())
    reference = {"reference": "least that pays for time", "reference_value": best}
    return [
        *(
            measuring.measurement(f"gas_{name}", cost, "ns/unit", **reference)
            for name, cost in sorted(costs.items(), key=lambda item: item[1])
        ),
        measuring.measurement("gas_worst", worst, "ns/unit", **reference),
        measuring.measurement("gas_block_longest", worst * gas.BLOCK_MAX / 1e9, "s"),
    ]


def main() -> None:
    """Measure and print."""
    asked = measuring.options(__doc__, small="less work of each kind")
    measuring.show(measurements(small=asked.small), asked)


if __name__ == "__main__":
    main()

"""Contracts: calls a second, loops, the time from a source to its first call, each beside its mark.

A token's transfer through the engine, with arguments packed, six host calls, outcome and write set,
and the writes taken over: on the fast machine, on wasmtime's public interface and on the back-end
in Python, in one run. A ledger of dictionaries stands behind. contracts_gas.py measures gas,
contracts_peers.py other machines.

    python benchmarks/contracts.py [--json] [--small]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import contracts_gas
import contracts_peers
import measuring

from qlq.contracts import compiler, encoding
from qlq.contracts.compiled import Compiled
from qlq.contracts.engine import Engine, Runner
from qlq.contracts.native_cache import NativeCache
from qlq.contracts.outcome import NATIVE, Call, Env, Outcome, Status
from qlq.contracts.python import PythonRunner
from qlq.contracts.values import Plain, Value
from qlq.contracts.wasm_runner import WasmRunner
from qlq.contracts.wasmtime_fast import FastMachine
from qlq.contracts.wasmtime_public import PublicMachine

TEMPLATES = Path(compiler.__file__).parent / "templates"
TOKEN, OWNER, OTHER = b"\x01" * 32, b"\x03" * 32, b"\x04" * 32
GAS = 1 << 40
ENV = Env(bytes(32), 1, 1)
TRANSFERS, SMALL_TRANSFERS = 20_000, 1_000
TURNS, SMALL_TURNS = 1_000_000, 20_000
SOURCE_BYTES_MAX = 32 * 1024

TRANSFERS_MARK, LOOP_MARK = 50_000, 15
COLD_MARK_S, CACHED_MARK_S, LARGE_MARK_S = 0.020, 0.001, 0.5

LOOP = b"""from qlq.contract import Contract, u64, view


class Loop(Contract):
    @view
    def run(self, turns: u64) -> u64:
        total: u64 = 0
        for i in range(turns):
            total += i % 7
        return total
"""


def data_of(compiled: Compiled, name: str, *arguments: Value) -> bytes:
    """The data of a call."""
    (function,) = [found for found in compiled.program.functions if found.name == name]
    kinds = [local.type for local in function.locals[: function.parameters]]
    parts = zip(kinds, arguments, strict=True)
    return function.method_id + b"".join(encoding.encode(kind, value) for kind, value in parts)


def good(outcome: Outcome) -> Outcome:
    """The outcome of a call that had its effect."""
    if outcome.status is not Status.OK:
        raise RuntimeError(f"{outcome.reason.name}: {outcome.message}")
    return outcome


def transfers_on(runner: Runner, compiled: Compiled) -> Callable[[int], None]:
    """Makes transfers of a new token, each taken over before the next."""
    engine, ledger = Engine(runner), contracts_gas.Memory({})
    cap = encoding.encode(Plain.U64, 1 << 60)
    begun = Call(contract=TOKEN, sender=OWNER, data=cap, gas=GAS)
    ledger.take(good(engine.deploy(ledger, ENV, begun, compiled)))
    ledger.codes[TOKEN] = compiled
    mint = data_of(compiled, "mint", OWNER, 1 << 50)
    ledger.take(
        good(engine.apply(ledger, ENV, Call(contract=TOKEN, sender=OWNER, data=mint, gas=GAS)))
    )
    entries = ledger.entries[TOKEN]
    head = data_of(compiled, "transfer", OTHER, 0)[:-8]

    def run(count: int) -> None:
        for amount in range(1, count + 1):
            data = head + amount.to_bytes(8, "little")
            outcome = engine.apply(
                ledger,
                ENV,
                Call(contract=TOKEN, sender=OWNER, data=data, gas=1_000_000, asset=NATIVE, value=0),
            )
            if outcome.status is not Status.OK:
                raise RuntimeError(outcome.message)
            for write in outcome.writes:
                entries[write.key] = write.value

    return run


def transfers_a_second(runner: Runner, compiled: Compiled, count: int) -> float:
    """The best of five runs of so many transfers."""
    run = transfers_on(runner, compiled)
    return count / measuring.best_time_s(lambda: run(count), 5)


def measure_transfers(count: int) -> list[dict[str, Any]]:
    """The fast machine beside the mark, and beside the other back-ends."""
    compiled = compiler.compile_source((TEMPLATES / "token" / "contract.py").read_bytes())
    fast, public, python = (
        transfers_a_second(runner, compiled, count)
        for runner in (WasmRunner(FastMachine), WasmRunner(PublicMachine), PythonRunner())
    )
    name = "token_transfers"
    return [
        measuring.measurement(
            name, fast, "1/s", reference="mark", reference_value=float(TRANSFERS_MARK)
        ),
        measuring.measurement(
            f"{name}_beside_public", fast, "1/s",
            reference="wasmtime's public interface", reference_value=public,
        ),
        measuring.measurement(
            f"{name}_beside_python", fast, "1/s",
            reference="the back-end in Python", reference_value=python,
        ),
        *contracts_peers.measurements(transfers_on(WasmRunner(FastMachine), compiled), count),
    ]  # fmt: skip


def measure_loop(turns: int) -> list[dict[str, Any]]:
    """A loop without host calls in WebAssembly, beside the same in Python."""
    compiled = compiler.compile_source(LOOP)
    call = Call(contract=TOKEN, sender=OWNER, data=data_of(compiled, "run", turns), gas=GAS)
    times = []
    for runner in (WasmRunner(FastMachine), PythonRunner()):
        engine, ledger = Engine(runner), contracts_gas.Memory({TOKEN: compiled})
        good(engine.apply(ledger, ENV, call))
        times.append(measuring.best_time_s(lambda: good(engine.apply(ledger, ENV, call)), 5))  # noqa: B023
    ours, python = times
    return [
        measuring.measurement(
            f"loop_{turns}", ours, "s",
            reference="the back-end in Python", reference_value=python, ratio=python / ours,
        ),
        measuring.measurement(
            "loop_speedup", python / ours, "times", reference="mark", reference_value=LOOP_MARK
        ),
    ]  # fmt: skip


def first_call_s(runner: WasmRunner, make: Callable[[], Compiled], method: str) -> float:
    """From nothing but the runner to the outcome of a call."""
    start = time.perf_counter()
    compiled = make()
    ledger = contracts_gas.Memory({TOKEN: compiled})
    data = data_of(compiled, method)
    Engine(runner).apply(ledger, ENV, Call(contract=TOKEN, sender=OWNER, data=data, gas=GAS))
    return time.perf_counter() - start


def measure_start() -> list[dict[str, Any]]:
    """A contract of some 200 lines from its source, and from native code on disk."""
    source = (TEMPLATES / "multisig" / "contract.py").read_bytes()
    cold = min(
        first_call_s(WasmRunner(FastMachine), lambda: compiler.compile_source(source), "needed")
        for _ in range(7)
    )
    compiled = compiler.compile_source(source)
    with tempfile.TemporaryDirectory() as folder:
        cache = NativeCache(Path(folder) / "native", settings=b"benchmark")
        first_call_s(WasmRunner(FastMachine, cache), lambda: compiled, "needed")
        cached = min(
            first_call_s(WasmRunner(FastMachine, cache), lambda: compiled, "needed")
            for _ in range(7)
        )
    lines = source.count(b"\n")
    return [
        measuring.measurement(
            f"first_call_of_{lines}_lines", cold, "s",
            reference="mark", reference_value=COLD_MARK_S,
        ),
        measuring.measurement(
            "first_call_from_disk", cached, "s", reference="mark", reference_value=CACHED_MARK_S
        ),
    ]  # fmt: skip


def large_source() -> bytes:
    """As many functions of long sums as a source has room for: the slowest we know to compile."""
    text = "from qlq.contract import Contract, u64, view\nclass Large(Contract):\n"
    number = 0
    while True:
        part = f"    @view\n    def f{number}(self, a: u64) -> u64:\n        return "
        part += "+".join(["a"] * 60) + "\n"
        if len(text) + len(part) > SOURCE_BYTES_MAX:
            return text.encode()
        text, number = text + part, number + 1


def measure_large() -> list[dict[str, Any]]:
    """The largest source to native code."""
    source, machine = large_source(), FastMachine(WasmRunner()._border.host_calls())  # noqa: SLF001
    spent = measuring.best_time_s(lambda: machine.compile(compiler.compile_source(source).wasm), 3)
    return [
        measuring.measurement(
            "largest_source", spent, "s", reference="mark", reference_value=LARGE_MARK_S
        )
    ]


def measurements(*, small: bool) -> list[dict[str, Any]]:
    """Everything measured, at the sizes of our claims or at small ones."""
    return [
        *measure_transfers(SMALL_TRANSFERS if small else TRANSFERS),
        *measure_loop(SMALL_TURNS if small else TURNS),
        *measure_start(),
        *measure_large(),
        *contracts_gas.measurements(small=True),
    ]


def main() -> None:
    """Measure and print."""
    asked = measuring.options(__doc__, small="fewer calls and turns")
    measuring.show(measurements(small=asked.small), asked)


if __name__ == "__main__":
    main()

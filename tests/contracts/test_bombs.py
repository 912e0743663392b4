"""What would never end, ends: within a second at the limit of a block, in little memory."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qlq.contracts import checker, compiler, gas, wasm
from qlq.contracts.outcome import Reason, Status
from qlq.contracts.wasm_runner import WasmRunner
from qlq.errors import CompileError

A, B = b"\x11" * 32, b"\x22" * 32
TIME_MAX_S = 1.0
MEMORY_MAX_KIB = 64 * 1024
SOURCE_TIME_MAX_S = 3.0
BOMBS = {
    "forever": Reason.OUT_OF_GAS,
    "spin": Reason.OUT_OF_GAS,
    "count": Reason.OUT_OF_GAS,
    "flood": Reason.OUT_OF_GAS,
    "flood_small": Reason.OUT_OF_GAS,
    "churn": Reason.OUT_OF_GAS,
    "noise": Reason.EVENTS_TOO_MANY,
    "pages": Reason.OUT_OF_GAS,
    "skip": Reason.OUT_OF_GAS,
    "grind": Reason.OUT_OF_GAS,
}


def resident_kib(name: str) -> int:
    """A line of the kernel's about this process: VmRSS, or VmHWM, the most since the reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found)


@contextmanager
def takes_at_most(kib: int) -> Iterator[None]:
    """What runs within needs no more memory than this, even for a moment."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free already must not hide what is taken
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far, see proc(5)
    before = resident_kib("VmRSS")
    yield
    assert resident_kib("VmHWM") - before <= kib


def test_the_peak_is_seen() -> None:
    with pytest.raises(AssertionError), takes_at_most(8 * 1024):
        len(b"x" * (16 << 20))
    with takes_at_most(8 * 1024):
        len(b"x" * (1 << 20))


@pytest.fixture
def wasm_world(worlds):
    """The fast one alone: it is what nodes run."""
    return next(world for world in worlds if isinstance(world.engine._runner, WasmRunner))


@pytest.mark.parametrize("limit", [gas.TRANSACTION_MAX, gas.BLOCK_MAX])
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_in_time_and_memory_with_its_reason(wasm_world, name: str, limit: int) -> None:
    wasm_world.deploy("bombs", A)
    wasm_world.call(A, "spin", gas=gas.CALL)  # compiled before the clock starts
    start = time.process_time()
    with takes_at_most(MEMORY_MAX_KIB):
        outcome = wasm_world.call(A, name, gas=limit)
    spent = time.process_time() - start
    assert outcome.reason is BOMBS[name]
    assert (outcome.events, outcome.writes, outcome.moves) == ((), (), ())
    assert spent <= TIME_MAX_S


def test_contracts_that_call_each_other_end_at_once(wasm_world) -> None:
    for address in (A, B):
        wasm_world.deploy("bombs", address)
    outcome = wasm_world.call(A, "storm", B, gas=gas.BLOCK_MAX)
    assert outcome.reason is Reason.ALREADY_CALLED


def test_what_failed_a_thousand_times_takes_no_memory(wasm_world) -> None:
    wasm_world.deploy("bombs", A)
    for _ in range(50):
        wasm_world.call(A, "spin", gas=gas.CALL + 100)
    with takes_at_most(8 * 1024):
        for _ in range(1000):
            outcome = wasm_world.call(A, "spin", gas=gas.CALL + 100)
            assert outcome.status is Status.OUT_OF_GAS


HEAD = """from qlq.contract import Bytes, Contract, Map, external, u64, u128
class Large(Contract):
    numbers: Map[u64, u64]
    texts: Map[u64, Bytes[4096]]
"""
LARGE = {
    "sums": "        a = " + "+".join(["a"] * 30) + "\n",
    "writes": "        self.numbers[a] += a\n",
    "branches": "        if a > 7:\n            a -= 1\n",
    "loops": "        for i in range(a):\n            a += i\n",
    "nested reads": "        a = " + "self.numbers[" * 20 + "a" + "]" * 20 + "\n",
    "nothing": "        pass\n",
}


def large_source(statement: str) -> bytes:
    """Functions of forty such statements, as many as fit into 32 KiB."""
    parts, size = [HEAD], len(HEAD)
    while True:
        head = f"    @external\n    def f{len(parts)}(self, a: u64) -> u64:\n"
        count = 1 if "pass" in statement else 40
        part = head + statement * min(count, max(1, 2400 // len(statement))) + "        return a\n"
        if size + len(part) > 32 * 1024:
            return "".join(parts).encode()
        parts.append(part)
        size += len(part)


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_sources_compile_and_run_soon(wasm_world, name: str) -> None:
    """benchmarks/contracts.py has the slowest beside its mark; this finds what grows faster."""
    source = large_source(LARGE[name])
    assert len(source) > 28 * 1024
    start = time.process_time()
    wasm_world.ledger.codes[A] = compiler.compile_source(source)
    outcome = wasm_world.call(A, "f1", 0, gas=gas.TRANSACTION_MAX)
    assert outcome.status is Status.OK
    assert time.process_time() - start <= SOURCE_TIME_MAX_S


DEEP, VARIABLES = 30, 32


def test_the_deepest_row_of_functions_does_not_exhaust_the_stack(worlds) -> None:
    """As many calls in one another as there may be, with as much between them as has room."""
    rest = "".join(f"        v{i}: u64 = a + {i}\n" for i in range(VARIABLES))
    total = " + ".join(f"v{i}" for i in range(VARIABLES))
    functions = [
        f"    def f{n}(self, a: u64) -> u64:\n{rest}        return self.f{n + 1}(a) + {total}\n"
        for n in range(DEEP)
    ]
    source = (
        "from qlq.contract import Contract, external, u64\nclass Deep(Contract):\n"
        "    @external\n    def go(self, a: u64) -> u64:\n        return self.f0(a)\n"
        + "".join(functions)
        + f"    def f{DEEP}(self, a: u64) -> u64:\n        return 1\n"
    ).encode()
    assert 30 * 1024 < len(source) <= 32 * 1024
    compiled = compiler.compile_source(source)
    for world in worlds:
        world.ledger.codes[A] = compiled
        each = 5 * VARIABLES + sum(range(VARIABLES))
        assert world.ask(A, "go", 5) == 1 + DEEP * each


def test_a_source_whose_values_do_not_fit_into_memory_is_refused_with_its_place() -> None:
    wide = "".join(f"        v{i}: Bytes[4096] = self.texts[{i}]\n" for i in range(14))
    total = " + ".join(f"len(v{i})" for i in range(14))
    source = f"{HEAD}    @external\n    def big(self) -> u64:\n{wide}        return {total}\n"
    with pytest.raises(CompileError, match="bytes of memory") as raised:
        compiler.compile_source(source.encode(), "big.py")
    assert raised.value.line == 6
    with pytest.raises(wasm.MemoryExceeded):
        wasm.emit(checker.check(source.encode()))


def test_functions_that_are_never_active_together_share_memory(worlds) -> None:
    parts = [
        f"    def f{number}(self, a: u64) -> u64:\n"
        f"        text: Bytes[4096] = self.texts[a + {number}]\n        return len(text)\n"
        for number in range(30)
    ]
    calls = " + ".join(f"self.f{number}(a)" for number in range(30))
    parts.append(f"    @external\n    def all(self, a: u64) -> u64:\n        return {calls}\n")
    compiled = compiler.compile_source("".join([HEAD, *parts]).encode())
    for world in worlds:
        world.ledger.codes[A] = compiled
        assert world.ask(A, "all", 1) == 0

"""What the WebAssembly back-end keeps between calls, and when it takes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from qlq.contracts import wasm_runner
from qlq.contracts.machine import NativeCode
from qlq.contracts.native_cache import NativeCache
from qlq.contracts.outcome import Reason, Status
from qlq.contracts.wasm_calls import Border
from qlq.contracts.wasm_runner import WasmRunner
from qlq.contracts.wasmtime_fast import FastMachine

A = b"\x11" * 32


class Counting(FastMachine):
    """The fast machine, counting what it makes."""

    compiled = restored = instances = 0

    def compile(self, wasm: bytes) -> NativeCode:
        type(self).compiled += 1
        return self._counted(super().compile(wasm))

    def restore(self, serialized: bytes) -> NativeCode | None:
        found = super().restore(serialized)
        if found is None:
            return None
        type(self).restored += 1
        return self._counted(found)

    def _counted(self, code: NativeCode) -> NativeCode:
        plain = code.instantiate

        def instantiate():
            type(self).instances += 1
            return plain()

        code.instantiate = instantiate
        return code


@pytest.fixture
def counting() -> type[Counting]:
    """A class of its own for each test, so that it starts from zero."""
    return type("Counting", (Counting,), {})


def test_one_instance_serves_call_after_call_until_one_fails(world_on, counting) -> None:
    world = world_on(WasmRunner(counting))
    world.deploy("arithmetic", A)
    for number in range(5):
        assert world.ask(A, "add", number, 1) == number + 1
    assert (counting.compiled, counting.instances) == (1, 1)
    assert world.call(A, "divide", 1, 0).reason is Reason.DIVISION_BY_ZERO
    assert world.call(A, "add", 1, 1, gas=30).status is Status.OUT_OF_GAS  # before code runs
    assert counting.instances == 1
    for number in range(5):
        assert world.ask(A, "add", number, 1) == number + 1
    assert (counting.compiled, counting.instances) == (1, 2)


def test_contracts_of_one_code_call_each_other_in_instances_of_their_own(
    world_on, counting
) -> None:
    world = world_on(WasmRunner(counting))
    addresses = [bytes([number]) * 32 for number in range(1, 5)]
    for address, following in zip(addresses, [*addresses[1:], addresses[-1]], strict=True):
        world.deploy("chain", address)
        world.ask(address, "lead_to", following)
    before = counting.instances
    for _ in range(3):
        assert world.ask(addresses[0], "walk", 3) == 4
    # four at a time: one was there, then two stay from each turn to the next
    assert counting.instances - before == 3 + 2 + 2
    assert counting.compiled == 1


@pytest.mark.parametrize("bound", ["CONTRACTS_MAX", "NATIVE_BYTES_MAX"])
def test_the_contracts_in_memory_are_bounded_and_the_oldest_goes(
    world_on, counting, calls, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    machine = FastMachine(Border().host_calls())
    modules = [calls.compiled(name).wasm for name in ("arithmetic", "loops", "chain")]
    together = sum(len(machine.compile(wasm).serialize()) for wasm in modules)
    monkeypatch.setattr(wasm_runner, bound, 2 if bound == "CONTRACTS_MAX" else together - 1)
    world = world_on(WasmRunner(counting))
    for number, name in enumerate(("arithmetic", "loops", "chain"), start=1):
        world.deploy(name, bytes([number]) * 32)
    first, second, third = (bytes([number]) * 32 for number in (1, 2, 3))
    world.ask(first, "add", 1, 2)
    world.ask(second, "count", 3)
    world.ask(first, "add", 1, 2)
    world.ask(third, "walk", 0)
    assert counting.compiled == 3
    world.ask(first, "add", 1, 2)
    assert counting.compiled == 3
    world.ask(second, "count", 3)
    assert counting.compiled == 4


def test_native_code_on_disk_is_used_by_the_next_process(
    world_on, counting, tmp_path: Path
) -> None:
    for turn in range(2):
        world = world_on(WasmRunner(counting, NativeCache(tmp_path / "native", settings=b"1")))
        world.deploy("arithmetic", A)
        assert world.ask(A, "add", 2, 3) == 5
        assert (counting.compiled, counting.restored) == (1, turn)


@pytest.mark.parametrize("content", [b"", b"\x01" * 500])
def test_native_code_that_is_damaged_is_compiled_anew(
    world_on, counting, tmp_path: Path, content: bytes
) -> None:
    for turn in (1, 2):
        world = world_on(WasmRunner(counting, NativeCache(tmp_path / "native", settings=b"1")))
        world.deploy("arithmetic", A)
        assert world.ask(A, "add", 2, 3) == 5
        assert (counting.compiled, counting.restored) == (turn, 0)
        (path,) = (tmp_path / "native").iterdir()
        path.write_bytes(content)


def test_native_code_of_another_machine_is_compiled_anew(
    world_on, counting, calls, tmp_path: Path
) -> None:
    cache = NativeCache(tmp_path / "native", settings=b"1")
    cache.put(calls.compiled("arithmetic").code_hash, b"of another machine" * 100)
    world = world_on(WasmRunner(counting, cache))
    world.deploy("arithmetic", A)
    assert world.ask(A, "add", 2, 3) == 5
    assert (counting.compiled, counting.restored) == (1, 0)

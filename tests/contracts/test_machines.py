"""Both ways of calling wasmtime do the same, and neither outlives or leaks what it should not."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import wasmtime

from qlq.contracts import wasmtime_fast
from qlq.contracts.machine import Ending, Instance, Machine
from qlq.contracts.wasmtime_fast import FastMachine
from qlq.contracts.wasmtime_public import PublicMachine
from qlq.errors import InvariantBroken

MACHINES = {"fast": FastMachine, "public": PublicMachine}
WASM = bytes(
    wasmtime.wat2wasm(r"""
(module
  (import "qlq" "first" (func $first)) (import "qlq" "second" (func $second))
  (memory (export "memory") 1 1)
  (func (export "both") call $first call $second)
  (func (export "add") i32.const 0 i32.const 0 i64.load i32.const 8 i64.load i64.add i64.store)
  (func (export "guarded") call $first i32.const 16 i32.load if unreachable end call $second)
  (func (export "trap") unreachable)
  (func (export "beyond") i32.const 65536 i32.load drop)
  (func $deep (param i32)
    local.get 0 if local.get 0 i32.const 1 i32.sub call $deep end)
  (func (export "deep") i32.const 10000000 call $deep)
  (data (i32.const 100) "constant"))
""")
)


@pytest.fixture(params=MACHINES.values(), ids=MACHINES.keys())
def opener(request: pytest.FixtureRequest) -> type[FastMachine | PublicMachine]:
    return request.param


def opened(opener: Callable[..., Machine]) -> tuple[Machine, list[str], Instance]:
    heard: list[str] = []
    calls = {name: (lambda name=name: heard.append(name) or 0) for name in ("first", "second")}
    machine = opener(calls)
    return machine, heard, machine.compile(WASM).instantiate()


def test_the_installed_release_has_what_the_fast_one_needs() -> None:
    assert wasmtime_fast.available()


def test_host_calls_come_in_order_also_after_the_garbage_is_collected(opener) -> None:
    machine, heard, instance = opened(opener)
    for _ in range(3):
        gc.collect()
        assert instance.run("both") is Ending.RETURNED
    assert heard == ["first", "second"] * 3
    assert machine is not None


def test_memory_is_one_page_with_its_constants_and_goes_both_ways(opener) -> None:
    _, _, instance = opened(opener)
    assert len(instance.memory) == 65536
    assert bytes(instance.memory[100:108]) == b"constant"
    assert not any(instance.memory[108:])
    instance.memory[0:8] = (2**64 - 1).to_bytes(8, "little")
    instance.memory[8:16] = (44).to_bytes(8, "little")
    assert instance.run("add") is Ending.RETURNED
    assert int.from_bytes(instance.memory[0:8], "little") == 43


@pytest.mark.parametrize("export", ["trap", "beyond", "deep"])
def test_a_trap_is_an_ending_and_other_instances_go_on(opener, export: str) -> None:
    machine, heard, instance = opened(opener)
    assert instance.run(export) is Ending.TRAPPED
    other = machine.compile(WASM).instantiate()
    assert other.run("both") is Ending.RETURNED
    assert heard == ["first", "second"]


def test_instances_share_no_memory(opener) -> None:
    machine, _, instance = opened(opener)
    other = machine.compile(WASM).instantiate()
    instance.memory[0] = 7
    assert other.memory[0] == 0


def test_an_instance_may_run_while_another_waits_for_its_host_call(opener) -> None:
    depth: list[int] = []

    def deeper() -> int:
        depth.append(len(depth))
        if len(depth) < 8:
            assert code.instantiate().run("both") is Ending.RETURNED
        return 0

    code = opener({"first": lambda: 0, "second": deeper}).compile(WASM)
    assert code.instantiate().run("both") is Ending.RETURNED
    assert depth == list(range(8))


def test_native_code_is_restored_and_runs(opener) -> None:
    machine, heard, _ = opened(opener)
    code = machine.restore(machine.compile(WASM).serialize())
    assert code is not None
    assert code.instantiate().run("both") is Ending.RETURNED
    assert heard == ["first", "second"]


def test_bytes_that_are_no_native_code_are_not_restored(opener) -> None:
    machine, _, _ = opened(opener)
    for other in (b"", b"native", WASM, bytes(4096)):
        assert machine.restore(other) is None


def test_a_module_that_does_not_validate_is_our_bug(opener) -> None:
    machine, _, _ = opened(opener)
    with pytest.raises(InvariantBroken):
        machine.compile(WASM[:-1])


def test_more_than_one_page_is_not_to_be_had(opener) -> None:
    wasm = wasmtime.wat2wasm('(module (memory (export "memory") 2 2))')
    machine, _, _ = opened(opener)
    with pytest.raises(InvariantBroken, match="instance"):
        machine.compile(bytes(wasm)).instantiate()


def test_newer_features_are_off(opener) -> None:
    machine, _, _ = opened(opener)
    for body in ("i32.const 0 i32.const 0 i32.const 9 memory.fill", "return_call 0"):
        wasm = wasmtime.wat2wasm(f'(module (memory (export "memory") 1 1) (func {body}))')
        with pytest.raises(InvariantBroken):
            machine.compile(bytes(wasm))

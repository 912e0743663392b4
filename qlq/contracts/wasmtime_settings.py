"""How wasmtime is set up, and modules: what both ways of calling it have in common.

Gas is in the code, so nothing that a runtime version may change is relied on: no fuel, no depth
of its stack, no features beyond the first version of WebAssembly. Modules come from our compiler
alone, which emits none of the newer features; they are off besides. Reference types stay on:
wasmtime does not start without them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from wasmtime import (
    Config,
    Engine,
    Func,
    Linker,
    Memory,
    Module,
    Store,
    WasmtimeError,
)

from qlq.contracts.wasm_binary import MEMORY_EXPORT, PAGE_BYTES
from qlq.errors import InvariantBroken

STACK_BYTES_MAX = 256 * 1024
"""Far above what a contract can use: the deepest calls with the most variables that a source has
room for take less than 16 KiB. Eight contracts in one another fit into the stack of a thread."""

Exports = Mapping[str, object]

_FEATURES_OFF = (
    "wasm_threads",
    "wasm_tail_call",
    "wasm_simd",
    "wasm_relaxed_simd",
    "wasm_bulk_memory",
    "wasm_multi_value",
    "wasm_multi_memory",
    "wasm_memory64",
    "wasm_exceptions",
    "wasm_function_references",
    "wasm_gc",
    "wasm_stack_switching",
)


def engine() -> Engine:
    """A compiler and its settings: Cranelift, one thread, features of WebAssembly 1.0."""
    config = Config()
    config.strategy = "cranelift"
    config.cranelift_opt_level = "speed"
    config.cranelift_nan_canonicalization = True
    config.parallel_compilation = False
    config.consume_fuel = False
    config.epoch_interruption = False
    config.max_wasm_stack = STACK_BYTES_MAX
    for feature in _FEATURES_OFF:
        setattr(config, feature, False)
    return Engine(config)


def store(with_engine: Engine) -> Store:
    """Room for one instance with one page of memory, and for nothing else."""
    made = Store(with_engine)
    made.set_limits(memory_size=PAGE_BYTES, instances=1, memories=1, tables=0, table_elements=0)
    return made


def compiled(with_engine: Engine, wasm: bytes) -> Module:
    """The module; raises InvariantBroken: our compiler makes no invalid ones."""
    try:
        return Module(with_engine, wasm)
    except WasmtimeError as error:
        raise InvariantBroken(f"our compiler made an invalid module: {error}") from error


def restored(with_engine: Engine, serialized: bytes) -> Module | None:
    """The module, or None for another version, processor or setting of wasmtime."""
    try:
        return Module.deserialize(with_engine, serialized)
    except WasmtimeError:
        return None


def instantiated(linker: Linker, store: Store, module: Module) -> Exports:
    """What a new instance exports; raises InvariantBroken: what we compile can be instantiated."""
    try:
        return linker.instantiate(store, module).exports(store)
    except WasmtimeError as error:
        raise InvariantBroken(f"no instance of a module of our compiler: {error}") from error


def memory(exports: Exports, store: Store) -> memoryview:
    """All memory of an instance, writable; good for as long as the store is kept."""
    found = exports[MEMORY_EXPORT]
    if not isinstance(found, Memory):
        raise InvariantBroken(f"the export {MEMORY_EXPORT!r} is no memory")
    address = ctypes.addressof(found.data_ptr(store).contents)
    return memoryview((ctypes.c_ubyte * PAGE_BYTES).from_address(address)).cast("B")


def function(exports: Exports, name: str) -> Func:
    """An exported function."""
    found = exports[name]
    if not isinstance(found, Func):
        raise InvariantBroken(f"the export {name!r} is no function")
    return found

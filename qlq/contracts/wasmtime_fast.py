"""WebAssembly by wasmtime's C interface without checks or wrappers around each call.

The private module `wasmtime._bindings` is generated from wasmtime's C header. This file uses two
functions of it on the hot path; where they are missing or of another shape, `available` says so
and `wasmtime_public` does the work.

Rules of the C interface that hold here:
- callbacks and function types are kept as long as the linker that names them;
- an exception in a callback would be printed and forgotten, so host calls never raise;
- a trap or an error belongs to the caller, who deletes it.

Source: wasmtime's C API, wasmtime/func.h and wasmtime/linker.h.
"""

# ruff: noqa: SLF001 - the C interface is private, and `available` guards it

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from wasmtime import Engine, FuncType, Linker, Module, _bindings

from qlq.contracts import wasmtime_settings
from qlq.contracts.machine import IMPORT_MODULE, Ending, HostCall
from qlq.errors import InvariantBroken

_Callback = ctypes.CFUNCTYPE(ctypes.c_size_t)
"""wasmtime_func_unchecked_callback_t without its four parameters: nobody looks at them.

In the C calling conventions of all platforms with a wheel the caller takes its arguments off
again, so that a function may leave them where they are; and each takes time to convert.
"""
_Finalizer = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NO_FINALIZER = _Finalizer(0)

_NEEDED = (
    "_wasmtime_func_call_unchecked",
    "_wasmtime_linker_define_func_unchecked",
    "wasmtime_func_unchecked_callback_t",
    "wasmtime_val_raw_t",
    "wasm_trap_t",
    "wasm_trap_delete",
    "wasmtime_error_delete",
)


def available() -> bool:
    """Whether this release of wasmtime has all that is used here."""
    return all(hasattr(_bindings, name) for name in _NEEDED)


class FastInstance:
    """An instance in a store of its own."""

    def __init__(self, engine: Engine, linker: Linker, module: Module) -> None:
        """Instantiate the module."""
        self._store = wasmtime_settings.store(engine)
        self._exports = wasmtime_settings.instantiated(linker, self._store, module)
        self.memory = wasmtime_settings.memory(self._exports, self._store)
        self._context = self._store._context()
        self._functions: dict[str, Any] = {}
        self._nothing = (_bindings.wasmtime_val_raw_t * 1)()
        self._trap: Any = ctypes.POINTER(_bindings.wasm_trap_t)()
        self._trap_reference = ctypes.byref(self._trap)

    def run(self, export: str) -> Ending:
        """Call an exported function."""
        function = self._functions.get(export)
        if function is None:
            function = self._functions[export] = self._find(export)
        error = _bindings._wasmtime_func_call_unchecked(
            self._context, function, self._nothing, 1, self._trap_reference
        )
        if error:
            _bindings.wasmtime_error_delete(error)
            return Ending.TRAPPED
        if self._trap:
            _bindings.wasm_trap_delete(self._trap)
            self._trap = ctypes.POINTER(_bindings.wasm_trap_t)()
            self._trap_reference = ctypes.byref(self._trap)
            return Ending.TRAPPED
        return Ending.RETURNED

    def _find(self, export: str) -> Any:
        return ctypes.byref(wasmtime_settings.function(self._exports, export)._func)


class FastCode:
    """A compiled module."""

    def __init__(self, engine: Engine, linker: Linker, module: Module) -> None:
        """Keep what instances are made of."""
        self._engine, self._linker, self._module = engine, linker, module

    def serialize(self) -> bytes:
        """Bytes for `FastMachine.restore`."""
        return bytes(self._module.serialize())

    def instantiate(self) -> FastInstance:
        """A new instance."""
        return FastInstance(self._engine, self._linker, self._module)


class FastMachine:
    """Compiles and runs; its contracts may call the given functions."""

    def __init__(self, host_calls: Mapping[str, HostCall]) -> None:
        """Set wasmtime up."""
        self._engine = wasmtime_settings.engine()
        self._linker = Linker(self._engine)
        self._kept: list[Any] = []
        for name, host_call in host_calls.items():
            self._define(name, host_call)

    def _define(self, name: str, host_call: HostCall) -> None:
        callback = ctypes.cast(_Callback(host_call), _bindings.wasmtime_func_unchecked_callback_t)
        nothing = FuncType([], [])
        module, function = IMPORT_MODULE.encode(), name.encode()
        error = _bindings._wasmtime_linker_define_func_unchecked(
            self._linker.ptr(),
            ctypes.create_string_buffer(module),
            len(module),
            ctypes.create_string_buffer(function),
            len(function),
            nothing.ptr(),
            callback,
            None,
            _NO_FINALIZER,
        )
        if error:
            _bindings.wasmtime_error_delete(error)
            raise InvariantBroken(f"the host call {name!r} cannot be defined")
        self._kept.append((callback, nothing))

    def compile(self, wasm: bytes) -> FastCode:
        """Native code of a module."""
        module = wasmtime_settings.compiled(self._engine, wasm)
        return FastCode(self._engine, self._linker, module)

    def restore(self, serialized: bytes) -> FastCode | None:
        """Native code that `serialize` wrote; None if this machine cannot use it."""
        module = wasmtime_settings.restored(self._engine, serialized)
        return None if module is None else FastCode(self._engine, self._linker, module)

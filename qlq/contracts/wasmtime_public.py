"""WebAssembly by wasmtime's public Python interface: slower, and works with every release.

Its own callback has a moment in which an interrupt, by Ctrl-C for example, ends the process; only
`wasmtime_fast` has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wasmtime import Engine, FuncType, Linker, Module, Trap

from qlq.contracts import wasmtime_settings
from qlq.contracts.machine import IMPORT_MODULE, Ending, HostCall


class PublicInstance:
    """An instance in a store of its own."""

    def __init__(self, engine: Engine, linker: Linker, module: Module) -> None:
        """Instantiate the module."""
        self._store = wasmtime_settings.store(engine)
        self._exports = wasmtime_settings.instantiated(linker, self._store, module)
        self._memory = wasmtime_settings.memory(self._exports, self._store)

    @property
    def memory(self) -> memoryview:
        """All of its memory."""
        return self._memory

    def run(self, export: str) -> Ending:
        """Call an exported function."""
        function = wasmtime_settings.function(self._exports, export)
        try:
            function(self._store)
        except Trap:
            return Ending.TRAPPED
        return Ending.RETURNED


class PublicCode:
    """A compiled module."""

    def __init__(self, engine: Engine, linker: Linker, module: Module) -> None:
        """Keep what instances are made of."""
        self._engine, self._linker, self._module = engine, linker, module

    def serialize(self) -> bytes:
        """Bytes for `PublicMachine.restore`."""
        return bytes(self._module.serialize())

    def instantiate(self) -> PublicInstance:
        """A new instance."""
        return PublicInstance(self._engine, self._linker, self._module)


class PublicMachine:
    """Compiles and runs; its contracts may call the given functions."""

    def __init__(self, host_calls: Mapping[str, HostCall]) -> None:
        """Set wasmtime up."""
        self._engine = wasmtime_settings.engine()
        self._linker = Linker(self._engine)
        for name, host_call in host_calls.items():
            self._linker.define_func(IMPORT_MODULE, name, FuncType([], []), _silent(host_call))

    def compile(self, wasm: bytes) -> PublicCode:
        """Native code of a module."""
        module = wasmtime_settings.compiled(self._engine, wasm)
        return PublicCode(self._engine, self._linker, module)

    def restore(self, serialized: bytes) -> PublicCode | None:
        """Native code that `serialize` wrote; None if this machine cannot use it."""
        module = wasmtime_settings.restored(self._engine, serialized)
        return None if module is None else PublicCode(self._engine, self._linker, module)


def _silent(host_call: HostCall) -> Callable[[], None]:
    """The host call without its result, which the public interface has no use for."""

    def call() -> None:
        host_call()

    return call

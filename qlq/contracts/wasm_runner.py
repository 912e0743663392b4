"""The WebAssembly back-end: native code and instances of contracts, kept for the next call."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from qlq.contracts import wasmtime_fast
from qlq.contracts.compiled import Code
from qlq.contracts.host import Host
from qlq.contracts.machine import Instance, MachineOpener, NativeCode
from qlq.contracts.native_cache import NativeCache
from qlq.contracts.wasm_calls import Border
from qlq.contracts.wasmtime_fast import FastMachine
from qlq.contracts.wasmtime_public import PublicMachine

CONTRACTS_MAX = 64
"""Contracts whose native code stays in memory."""
IDLE_INSTANCES_MAX = 2
"""Of one contract; more are needed only while contracts with one code call each other."""


@dataclass(slots=True)
class _Loaded:
    """A contract's native code and its instances that wait for a call."""

    native: NativeCode
    idle: list[Instance] = field(default_factory=list)


class WasmRunner:
    """Runs contracts as native code; one call at a time."""

    def __init__(
        self, opener: MachineOpener | None = None, cache: NativeCache | None = None
    ) -> None:
        """Nothing is loaded yet.

        Args:
            opener: Which machine; None: the fast one where wasmtime has what it needs.
            cache: Native code on disk; None: everything is compiled anew.
        """
        self._border = Border()
        self._machine = (opener or _opener())(self._border.host_calls())
        self._cache = cache
        self._loaded: OrderedDict[bytes, _Loaded] = OrderedDict()

    def run(self, code: Code, function: int, host: Host, arguments: bytes) -> bytes:
        """The encoded result of a function, see `engine.Runner`."""
        loaded = self._load(code)
        instance = loaded.idle.pop() if loaded.idle else loaded.native.instantiate()
        result = self._border.run(instance, host, function, arguments)
        # Only after a clean return: what failed may have left half of a change in its memory.
        if len(loaded.idle) < IDLE_INSTANCES_MAX:
            loaded.idle.append(instance)
        return result

    def _load(self, code: Code) -> _Loaded:
        loaded = self._loaded.get(code.code_hash)
        if loaded is None:
            loaded = self._loaded[code.code_hash] = _Loaded(self._native(code))
            if len(self._loaded) > CONTRACTS_MAX:
                self._loaded.popitem(last=False)
        else:
            self._loaded.move_to_end(code.code_hash)
        return loaded

    def _native(self, code: Code) -> NativeCode:
        if self._cache is None:
            return self._machine.compile(code.wasm)
        stored = self._cache.find(code.code_hash)
        if stored is not None:
            restored = self._machine.restore(stored)
            if restored is not None:
                return restored
        native = self._machine.compile(code.wasm)
        self._cache.put(code.code_hash, native.serialize())
        return native


def _opener() -> MachineOpener:
    """The faster machine that this release of wasmtime allows."""
    return FastMachine if wasmtime_fast.available() else PublicMachine

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

CONTRACTS_MAX = 1024
"""Contracts whose native code stays in memory: reading it takes longer than a call's gas tells."""
NATIVE_BYTES_MAX = 1 << 26
"""Of all that native code together, as serialized."""
IDLE_INSTANCES_MAX = 2
"""Of one contract; more are needed only while contracts with one code call each other."""


@dataclass(slots=True)
class _Loaded:
    """A contract's native code and its instances that wait for a call."""

    native: NativeCode
    size: int
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
        self._bytes = 0

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
            loaded = self._loaded[code.code_hash] = self._native(code)
            self._bytes += loaded.size
            while len(self._loaded) > 1 and (
                len(self._loaded) > CONTRACTS_MAX or self._bytes > NATIVE_BYTES_MAX
            ):
                self._bytes -= self._loaded.popitem(last=False)[1].size
        else:
            self._loaded.move_to_end(code.code_hash)
        return loaded

    def _native(self, code: Code) -> _Loaded:
        stored = None if self._cache is None else self._cache.find(code.code_hash)
        if stored is not None:
            restored = self._machine.restore(stored)
            if restored is not None:
                return _Loaded(restored, len(stored))
        native = self._machine.compile(code.wasm)
        serialized = native.serialize()
        if self._cache is not None:
            self._cache.put(code.code_hash, serialized)
        return _Loaded(native, len(serialized))


def _opener() -> MachineOpener:
    """The faster machine that this release of wasmtime allows."""
    return FastMachine if wasmtime_fast.available() else PublicMachine

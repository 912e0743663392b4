"""A WebAssembly machine as the engine sees it; `wasmtime_fast` and `wasmtime_public` are two.

Functions pass nothing on the stack: what goes over the border stands in the instance's memory,
at the addresses of `wasm_memory`. So a machine needs to know of two things only, functions of
type () -> () and 64 KiB of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Protocol

IMPORT_MODULE = "qlq"

HostCall = Callable[[], int]
"""What the contract may call. It never raises, see `wasm_calls`, and returns `NO_TRAP`."""

NO_TRAP = 0
"""The machine's C interface takes what a host call returns as the address of a trap."""


class Ending(Enum):
    """How a call came back."""

    RETURNED = auto()
    TRAPPED = auto()
    """The instance must not be used again: it may hold half of a change."""


class Instance(Protocol):
    """One contract's code with its memory; used by one call at a time."""

    @property
    def memory(self) -> memoryview:
        """All of its memory, writable. Not to be used after the instance is gone."""

    def run(self, export: str) -> Ending:
        """Call an exported function."""


class NativeCode(Protocol):
    """Code compiled for this processor, from which instances are made."""

    def serialize(self) -> bytes:
        """Bytes for `Machine.restore` of the same runtime, version and processor."""

    def instantiate(self) -> Instance:
        """A new instance with its constants in place and zeros everywhere else."""


class Machine(Protocol):
    """Compiles and runs."""

    def compile(self, wasm: bytes) -> NativeCode:
        """Native code of a module; raises InvariantBroken if the module is not valid."""

    def restore(self, serialized: bytes) -> NativeCode | None:
        """Native code that `serialize` wrote; None if this machine cannot use it.

        The bytes are trusted: they are run. They come from a file that only we write.
        """


MachineOpener = Callable[[Mapping[str, HostCall]], Machine]
"""Opens a machine whose contracts may call these functions, by name."""

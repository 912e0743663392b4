"""This node's contract engine, begun with the first contract that runs: most commands need none."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from qlq.ledger.contract_calls import ContractCalls
from qlq.ledger.execution import Work
from qlq.ledger.operations import Operation

CACHE_FOLDER = "native-code"
SETTINGS = b"1"
"""Goes up with every change of `wasmtime_settings`; the runtime compares them too."""


class ContractEngine:
    """Carries out the operations of contracts; an `execution.Contracts`."""

    def __init__(self, cache: Path | None) -> None:
        """Nothing is loaded yet.

        Args:
            cache: Folder of native code; None compiles anew in each process.
        """
        self._cache = cache

    @cached_property
    def calls(self) -> ContractCalls:
        """The engine itself, with the compiler that all nodes share."""
        from qlq.contracts import compiler, upgrade
        from qlq.contracts.engine import Engine
        from qlq.contracts.native_cache import NativeCache
        from qlq.contracts.wasm_runner import WasmRunner

        kept = None if self._cache is None else NativeCache(self._cache, settings=SETTINGS)
        engine = Engine(WasmRunner(cache=kept))
        return ContractCalls(engine, compiler.compile_source, upgrade.check)

    def carry_out(self, work: Work, operation: Operation, index: int) -> None:
        """See `execution.Contracts`."""
        self.calls.carry_out(work, operation, index)

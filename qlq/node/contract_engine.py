"""This node's contract engine, begun with the first contract that runs: most commands need none."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from qlq.ledger.contract_calls import ContractCalls
from qlq.ledger.execution import Work
from qlq.ledger.operations import Operation

CACHE_FOLDER = "native-code"
CODE_FOLDER = "code"
"""Within the other one: what the compiler made of sources."""
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
        from qlq.contracts import code_store, compiler, upgrade
        from qlq.contracts.code_store import CodeStore
        from qlq.contracts.engine import Engine
        from qlq.contracts.native_cache import NativeCache
        from qlq.contracts.wasm_runner import WasmRunner

        native = codes = None
        if self._cache is not None:
            native = NativeCache(self._cache, settings=SETTINGS)
            codes = NativeCache(self._cache / CODE_FOLDER, settings=code_store.SETTINGS)
        engine = Engine(WasmRunner(cache=native))
        return ContractCalls(engine, CodeStore(compiler.compile_source, codes), upgrade.check)

    def carry_out(self, work: Work, operation: Operation, index: int) -> None:
        """See `execution.Contracts`."""
        self.calls.carry_out(work, operation, index)

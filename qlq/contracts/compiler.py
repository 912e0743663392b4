"""From a contract's source to all that the chain and the engine need."""

from __future__ import annotations

from qlq.contracts import checker, compiled, wasm
from qlq.contracts.compiled import Compiled
from qlq.contracts.language import Source


def compile_source(source: bytes, file: str = "contract.py") -> Compiled:
    """The contract; the same bytes give the same code everywhere.

    Args:
        source: Printable ASCII, at most 32 KiB.
        file: Its name in messages.

    Raises:
        CompileError: Whatever is wrong with it, the first thing of it; nothing else.
    """
    program = checker.check(source, file)
    try:
        code = wasm.emit(program)
    except wasm.MemoryExceeded as error:
        function = error.function
        raise Source(source.decode("ascii"), file).error(
            f"{function.name} needs {error.bytes_needed} bytes of memory with all that call it, "
            f"there are {error.bytes_max}",
            hint="give Bytes less capacity, fewer variables, or smaller functions",
            line=function.line,
            column=1,
            width=1000,
        ) from error
    return compiled.assemble(program, code, source_bytes=len(source))

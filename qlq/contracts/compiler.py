"""From a contract's source to what the chain agrees on, the same on every machine."""

from __future__ import annotations

from qlq.contracts import checker, compiled, wasm
from qlq.contracts.compiled import Compiled
from qlq.contracts.language import Source


def compile_source(source: bytes, file: str = "contract.py") -> Compiled:
    """Compile a contract.

    Args:
        source: Printable ASCII, at most 32 KiB.
        file: Its name in messages.

    Raises:
        CompileError: Whatever is wrong with it; nothing else.
    """
    program = checker.check(source, file)
    try:
        module = wasm.emit(program)
    except wasm.MemoryExceeded as error:
        raise Source(source.decode("ascii"), file).error(
            f"variables and values on the way need {error.bytes_needed} bytes of memory",
            hint=f"there are {error.bytes_max}: use shorter Bytes, or fewer at once",
            line=error.function.line, column=5,
        ) from error  # fmt: skip
    return compiled.assemble(program, module, source_bytes=len(source))

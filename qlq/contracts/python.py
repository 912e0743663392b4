"""The back-end in Python: a program as guarded Python functions.

For tests, where it stands beside the WebAssembly one, and for replay, where each statement is
told with its values and the gas that is left. Not for nodes: what keeps a contract inside is that
this file writes no name but its own, and takes no text from the source; there is no second wall.

The written functions have no builtins. They call what `python_operations` offers, and each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qlq.contracts import encoding, values
from qlq.contracts.compiled import Code, with_program
from qlq.contracts.host import Host
from qlq.contracts.program import Program
from qlq.contracts.python_operations import Operations, Tracer
from qlq.contracts.python_writer import Tracing, Writer
from qlq.contracts.values import Value

CONTRACTS_MAX = 64
"""Contracts whose functions stay in memory."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The functions of a contract by their numbers."""

    functions: tuple[Callable[..., Value | None], ...]


class PythonRunner:
    """Runs contracts as Python functions; see `engine.Runner`."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        """Tell the tracer of every statement, if there is one."""
        self._tracer = tracer
        self._loaded: dict[bytes, _Loaded] = {}

    def run(self, code: Code, function: int, host: Host, arguments: bytes) -> bytes:
        """The encoded result of a function.

        Args:
            code: The contract, with its program.
            function: Its number in the program.
            host: Its gas is what is left, also after a failure.
            arguments: Encoded, of the types of the function.

        Raises:
            Failure: The contract failed; with the place where it did.
        """
        program = with_program(code).program
        loaded = self._loaded.get(code.code_hash)
        if loaded is None:
            if len(self._loaded) >= CONTRACTS_MAX:
                self._loaded.clear()
            loaded = self._loaded[code.code_hash] = _load(program, self._tracer)
        called = program.functions[function]
        given, place = [], 0
        for parameter in called.locals[: called.parameters]:
            end = place + values.size(parameter.type)
            given.append(encoding.decode(parameter.type, arguments[place:end]))
            place = end
        result = loaded.functions[function](host, *given)
        if called.result is None or result is None:
            return b""
        return encoding.encode(called.result, result)


def _load(program: Program, tracer: Tracer | None) -> _Loaded:
    writer = Writer(program, Tracing.OFF if tracer is None else Tracing.ON)
    compiled = compile(writer.text(), f"<{program.name}>", "exec", dont_inherit=True)
    names: dict[str, object] = {
        "__builtins__": {},
        **Operations(program, tracer).names(),
        **writer.kinds(),
    }
    exec(compiled, names)  # noqa: S102 - the text is the writer's own, see the module's docstring
    functions = [names[f"f{number}"] for number in range(len(program.functions))]
    return _Loaded(tuple(function for function in functions if callable(function)))

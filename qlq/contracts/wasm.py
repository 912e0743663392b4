"""A checked contract as a WebAssembly module: the same program gives the same bytes everywhere.

The module imports the host calls and exports its memory and one function, which runs the method
whose number stands at `wasm_memory.METHOD`: it finds the arguments, encoded, at
`wasm_memory.ARGUMENTS`, and says where the encoded result is.
"""

from __future__ import annotations

import dataclasses
from itertools import chain
from typing import Any

from qlq.contracts import values, wasm_frame, wasm_memory, wasm_statements, wasm_wide, wasm_words
from qlq.contracts.expressions import CallFunction
from qlq.contracts.machine import IMPORT_MODULE
from qlq.contracts.program import Function, FunctionKind, Program, Statement
from qlq.contracts.values import BytesType, EnumType, StructType
from qlq.contracts.wasm_binary import PAGE_BYTES, Code, Module, Op, Signature
from qlq.contracts.wasm_frame import Body, Constants, Frame
from qlq.contracts.wasm_library import HOST_CALLS, Library
from qlq.contracts.wasm_statements import Statements
from qlq.errors import InvariantBroken


class MemoryExceeded(Exception):
    """The contract's variables and temporaries do not fit into its memory.

    Attributes:
        function: Whose memory ends last.
        bytes_needed: Of variables, temporaries and constants.
        bytes_max: What there is.
    """

    def __init__(self, function: Function, *, bytes_needed: int, bytes_max: int) -> None:
        """Keep the numbers."""
        super().__init__(f"{bytes_needed} bytes of memory, there are {bytes_max}")
        self.function = function
        self.bytes_needed = bytes_needed
        self.bytes_max = bytes_max


def emit(program: Program) -> bytes:
    """The module.

    Raises:
        MemoryExceeded: Its values do not fit.
    """
    first = len(HOST_CALLS)
    library = Library(
        {**wasm_words.FUNCTIONS, **wasm_wide.FUNCTIONS}, first=first + len(program.functions) + 1
    )
    constants = Constants()
    codes = _functions(program, library, constants)
    return Module(
        imports=tuple((IMPORT_MODULE, name) for name in HOST_CALLS),
        functions=(*codes, _entry(program, library, constants), *library.codes),
        exports=((wasm_memory.EXPORT, first + len(codes)),),
        data=constants.data(),
    ).to_bytes()


def _functions(program: Program, library: Library, constants: Constants) -> list[Code]:
    """All functions in the order of the program; written callers first, see `wasm_frame`."""
    codes = [Code(wasm_statements.signature(function)) for function in program.functions]
    calls = [called(function.body) for function in program.functions]
    waiting = [0] * len(codes)
    for callee in chain.from_iterable(calls):
        waiting[callee] += 1
    bases = [wasm_memory.SLOTS] * len(codes)
    ready = [index for index, count in enumerate(waiting) if not count]
    loops, ends = 0, []
    for index in ready:
        frame = Frame(bases[index])
        body = Body(codes[index], frame, library, constants, len(HOST_CALLS))
        statements = Statements(body, program, program.functions[index], loops=loops)
        statements.write()
        loops = statements.loops
        ends.append((frame.end, index))
        for callee in sorted(calls[index]):
            bases[callee] = max(bases[callee], frame.end)
            waiting[callee] -= 1
            if not waiting[callee]:
                ready.append(callee)
    if len(ready) != len(codes):
        raise InvariantBroken("functions that call each other in a circle came past the checker")
    end, last = max(ends, default=(wasm_memory.SLOTS, 0))
    if end > constants.lowest:
        raise MemoryExceeded(
            program.functions[last],
            bytes_needed=end - wasm_memory.SLOTS + PAGE_BYTES - constants.lowest,
            bytes_max=PAGE_BYTES - wasm_memory.SLOTS,
        )
    return codes


def called(body: tuple[Statement, ...]) -> frozenset[int]:
    """The functions that are called somewhere in these statements."""
    found: set[int] = set()
    waiting: list[Any] = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(node)
            continue
        if isinstance(node, CallFunction):
            found.add(node.function)
        waiting.extend([getattr(node, name) for name in _parts(type(node))])
    return frozenset(found)


_TYPES = (BytesType, EnumType, StructType)
_PARTS: dict[type, tuple[str, ...]] = {}


def _parts(kind: type) -> tuple[str, ...]:
    """The fields of a kind of statements or expressions; anything else is walked no further."""
    if kind not in _PARTS:
        is_node = dataclasses.is_dataclass(kind) and kind not in _TYPES
        _PARTS[kind] = tuple(field.name for field in dataclasses.fields(kind)) if is_node else ()
    return _PARTS[kind]


def _entry(program: Program, library: Library, constants: Constants) -> Code:
    """Run the method of the number that stands in the memory."""
    code = Code(Signature())
    body = Body(code, Frame(wasm_memory.SLOTS), library, constants, len(HOST_CALLS))
    for index, function in enumerate(program.functions):
        if function.kind is FunctionKind.INTERNAL:
            continue
        code.i32(0)
        code.access(Op.I32_LOAD, wasm_memory.METHOD)
        code.i32(index)
        code.op(Op.I32_EQ)
        code.block(Op.IF)
        _enter(body, index, function)
        code.op(Op.RETURN, Op.END)
    code.op(Op.UNREACHABLE)
    return code


def _enter(body: Body, index: int, function: Function) -> None:
    code, result = body.code, function.result
    in_memory = result is not None and not wasm_frame.is_scalar(result)
    if result is not None:
        code.i32(0 if in_memory else wasm_memory.NUMBER)
    place = wasm_memory.ARGUMENTS
    for local in function.locals[: function.parameters]:
        code.i32(place)
        body.load(local.type)
        place += values.size(local.type)
    code.call(body.first_function + index)
    if result is None:
        return
    if in_memory:
        code.access(Op.I32_STORE, wasm_memory.RESULT)
    else:
        body.store(result)
        code.i32(0)
        code.i32(wasm_memory.NUMBER)
        code.access(Op.I32_STORE, wasm_memory.RESULT)
    code.i32(0)
    code.i32(values.size(result))
    code.access(Op.I32_STORE, wasm_memory.RESULT_SIZE)

"""Where a function's values stand in memory, and how values of each type are handled.

Numbers of 64 bits, bools and enums are WebAssembly values; every other value is the address of its
encoding. Calls form a tree, so that each function has one frame, at an address that is known: after
the frames of all functions that call it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from qlq.contracts import values
from qlq.contracts.outcome import Reason
from qlq.contracts.values import EnumType, Plain, StructType, Type
from qlq.contracts.wasm_binary import PAGE_BYTES, Code, Op, Value
from qlq.contracts.wasm_library import Library

_ALIGNMENT = 8


def is_scalar(kind: Type) -> bool:
    """Whether values of the type are on WebAssembly's stack, not in memory."""
    return kind in (Plain.U64, Plain.BOOL) or isinstance(kind, EnumType)


def value_of(kind: Type) -> Value:
    """What stands for a value of the type on WebAssembly's stack."""
    return Value.I64 if kind is Plain.U64 else Value.I32


def aligned(size: int) -> int:
    """The size, rounded up to whole words."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def part_offset(kind: StructType, index: int) -> int:
    """Where a field of a struct begins."""
    return sum(values.size(part) for _, part in kind.fields[:index])


@dataclass(slots=True)
class Constants:
    """Constant values, from the end of the memory downwards, each once."""

    lowest: int = PAGE_BYTES
    _places: dict[bytes, int] = field(default_factory=dict)

    def place(self, content: bytes) -> int:
        """The address of these bytes."""
        if content not in self._places:
            self.lowest -= aligned(len(content))
            self._places[content] = self.lowest
        return self._places[content]

    def data(self) -> tuple[tuple[int, bytes], ...]:
        """All constants with their addresses, but for the zeros that are there already."""
        return tuple((place, content) for content, place in self._places.items() if any(content))


@dataclass(slots=True)
class Frame:
    """The memory of one function: variables, then temporaries of the statement at hand.

    Attributes:
        end: Behind everything that the function has needed so far.
    """

    base: int
    end: int = 0
    _variables_end: int = 0
    _temporaries_end: int = 0

    def __post_init__(self) -> None:
        """Begin empty."""
        self.end = self._variables_end = self._temporaries_end = self.base

    def variable(self, size: int) -> int:
        """The address of room that stays; not to be asked for while temporaries are in use."""
        place = self._variables_end
        self._variables_end += aligned(size)
        self.new_statement()
        return place

    def temporary(self, size: int) -> int:
        """The address of room that lasts until the statement ends."""
        place = self._temporaries_end
        self._temporaries_end += aligned(size)
        self.end = max(self.end, self._temporaries_end)
        return place

    def new_statement(self) -> None:
        """Temporaries so far are no longer needed."""
        self._temporaries_end = self._variables_end
        self.end = max(self.end, self._variables_end)


@dataclass(slots=True)
class Body:
    """A function while it is written: its code, its frame, and what all functions share.

    Attributes:
        functions: How many indices come before that of the contract's first function.
    """

    code: Code
    frame: Frame
    library: Library
    constants: Constants
    first_function: int
    _free: dict[Value, list[int]] = field(default_factory=dict)

    @contextmanager
    def spare(self, value: Value) -> Iterator[int]:
        """A WebAssembly local for a while."""
        free = self._free.setdefault(value, [])
        local = free.pop() if free else self.code.local(value)
        yield local
        free.append(local)

    def call(self, name: str, line: int | None = None) -> None:
        """Call a function of the library; the line, where there is one, is its last argument."""
        if line is not None:
            self.code.i32(line)
        self.code.call(self.library[name])

    def charge(self, units: int) -> None:
        """Take gas."""
        if units:
            self.code.i64(units)
            self.call("charge")

    def fail(self, reason: Reason, code: int, line: int) -> None:
        """End the call here."""
        self.code.i32(reason)
        self.code.i32(code)
        self.call("fail", line)
        self.code.op(Op.UNREACHABLE)

    def load(self, kind: Type, offset: int = 0) -> None:
        """From the address on the stack to the value that stands there."""
        if kind is Plain.U64:
            self.code.access(Op.I64_LOAD, offset)
        elif is_scalar(kind):
            self.code.access(Op.I32_LOAD8_U, offset)
        elif offset:
            self.code.i32(offset)
            self.code.op(Op.I32_ADD)

    def store(self, kind: Type) -> None:
        """Put the value on the stack to the address below it."""
        if kind is Plain.U64:
            self.code.access(Op.I64_STORE, 0)
        elif is_scalar(kind):
            self.code.access(Op.I32_STORE8, 0)
        else:
            self.code.i32(values.size(kind))
            self.call("copy")

"""Small functions that a contract's code calls; a module has those that it uses, in that order.

What can fail takes the line of the source as its last argument. Numbers of 128 bits and longer
values are passed as addresses; an operation on numbers may write over its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qlq.contracts import wasm_memory
from qlq.contracts.outcome import Reason
from qlq.contracts.wasm_binary import Code, Op, Signature, Value

_I32, _I64 = Value.I32, Value.I64
_WORD_BYTES = 4
WIDE_BYTES = 8


@dataclass(frozen=True, slots=True)
class HostShape:
    """How a host call is passed: words, then wide words; a wide word may come back."""

    words: int
    wides: int = 0
    gives: int = 0


HOST_CALLS = {
    "get": HostShape(4),
    "put": HostShape(4),
    "open_page": HostShape(6, wides=1),
    "next_entry": HostShape(5, gives=1),
    "emit": HostShape(3),
    "balance": HostShape(2, gives=1),
    "transfer": HostShape(2, wides=1),
    "call": HostShape(5),
    "sha256": HostShape(3),
    "sha3_256": HostShape(3),
    "verify_ed25519": HostShape(5, gives=1),
    "verify_mldsa65": HostShape(6, gives=1),
    "beacon_next_round": HostShape(0, wides=1, gives=1),
    "beacon_value": HostShape(1, wides=1),
    "beacon_uniform": HostShape(2, wides=2, gives=1),
    "beacon_quality": HostShape(0, wides=1, gives=1),
}
"""By name, in the order in which a module imports them."""


Writer = Callable[[Code, "Library"], None]
Functions = Mapping[str, tuple[Signature, Writer]]


class Library:
    """The functions of one module, made when they are first asked for."""

    __slots__ = ("_codes", "_first", "_functions", "_indices")

    def __init__(self, functions: Functions, *, first: int) -> None:
        """No function yet.

        Args:
            functions: How each is written, by name, besides host calls.
            first: The index of the first one.
        """
        self._functions = {**_HOST_FUNCTIONS, **functions}
        self._first = first
        self._codes: list[Code] = []
        self._indices: dict[str, int] = {}

    @property
    def codes(self) -> tuple[Code, ...]:
        """All functions so far, by index."""
        return tuple(self._codes)

    def __getitem__(self, name: str) -> int:
        """The index of a function."""
        if name not in self._indices:
            signature, write = self._functions[name]
            code = Code(signature)
            self._indices[name] = self._first + len(self._codes)
            self._codes.append(code)
            write(code, self)
        return self._indices[name]


def _host_function(name: str) -> tuple[Signature, Writer]:
    shape = HOST_CALLS[name]
    parameters = (_I32,) * shape.words + (_I64,) * shape.wides + (_I32,)
    return Signature(parameters, (_I64,) * shape.gives), lambda code, _: _write_host_call(
        code, name
    )


def _write_host_call(code: Code, name: str) -> None:
    """Arguments to their places, the state to pending, and stop unless the host says done."""
    shape = HOST_CALLS[name]
    for place in range(shape.words):
        code.i32(0)
        code.get(place)
        code.access(Op.I32_STORE, wasm_memory.WORDS + place * _WORD_BYTES)
    for place in range(shape.wides):
        code.i32(0)
        code.get(shape.words + place)
        code.access(Op.I64_STORE, wasm_memory.WIDE + place * WIDE_BYTES)
    code.i32(0)
    code.get(shape.words + shape.wides)
    code.access(Op.I32_STORE, wasm_memory.LINE)
    code.i32(0)
    code.i32(wasm_memory.PENDING)
    code.access(Op.I32_STORE, wasm_memory.STATE)
    code.call(list(HOST_CALLS).index(name))
    code.i32(0)
    code.access(Op.I32_LOAD, wasm_memory.STATE)
    code.block(Op.IF)
    code.op(Op.UNREACHABLE, Op.END)
    if shape.gives:
        code.i32(0)
        code.access(Op.I64_LOAD, wasm_memory.WIDE)


def _write_fail(code: Code, _library: Library) -> None:
    """(reason, code, line): say why, and stop."""
    places = (wasm_memory.REASON, wasm_memory.CODE, wasm_memory.LINE)
    for parameter, place in enumerate(places):
        code.i32(0)
        code.get(parameter)
        code.access(Op.I32_STORE, place)
    code.op(Op.UNREACHABLE)


def fail(code: Code, library: Library, reason: Reason, line: Callable[[], None]) -> None:
    """Append the end of a call that failed; `line` pushes the line of the source."""
    code.i32(reason)
    code.i32(0)
    line()
    code.call(library["fail"])
    code.op(Op.UNREACHABLE)


def fail_if(code: Code, library: Library, reason: Reason, line: int) -> None:
    """Fail if the top of the stack is not zero; the line is in a local."""
    code.block(Op.IF)
    fail(code, library, reason, lambda: code.get(line))
    code.op(Op.END)


def top_bit(code: Code, word: int) -> None:
    """Push the uppermost bit of a word."""
    code.get(word)
    code.i64(63)
    code.op(Op.I64_SHR_U)


def shift_in(code: Code, word: int, bit: Callable[[], None]) -> None:
    """Shift a word left by one; the bit comes in."""
    code.get(word)
    code.i64(1)
    code.op(Op.I64_SHL)
    bit()
    code.op(Op.I64_OR)
    code.set(word)


def count_down(code: Code, count: int) -> None:
    """Close a loop that goes round until the count is zero."""
    code.get(count)
    code.i64(1)
    code.op(Op.I64_SUB)
    code.tee(count)
    code.op(Op.I64_EQZ, Op.I32_EQZ)
    code.branch_if(0)
    code.op(Op.END)


_HOST_FUNCTIONS: Functions = {
    "fail": (Signature((_I32, _I32, _I32)), _write_fail),
    **{name: _host_function(name) for name in HOST_CALLS},
}

"""Small functions that a contract's code calls; a module has those that it uses, in that order.

What can fail takes the line of the source as its last argument. Numbers of 128 bits and longer
values are passed as addresses; an operation may write over its operands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qlq.contracts import wasm_memory
from qlq.contracts.outcome import Reason
from qlq.contracts.wasm_binary import Code, Op, Signature, Value

_I32, _I64 = Value.I32, Value.I64
_WORD_BYTES, _WIDE_BYTES = 4, 8


@dataclass(frozen=True, slots=True)
class HostShape:
    """How a host call is passed: words, then wide words; a wide word may come back."""

    words: int
    wides: int = 0
    gives: int = 0


HOST_CALLS = {
    "get": HostShape(4),
    "put": HostShape(4),
    "emit": HostShape(3),
    "balance": HostShape(2, gives=1),
    "transfer": HostShape(2, wides=1),
    "call": HostShape(5),
    "sha256": HostShape(3),
    "sha3_256": HostShape(3),
    "verify_ed25519": HostShape(4, gives=1),
    "verify_mldsa65": HostShape(4, gives=1),
    "beacon_next_round": HostShape(0, wides=1, gives=1),
    "beacon_value": HostShape(1, wides=1),
    "beacon_uniform": HostShape(2, wides=2, gives=1),
    "beacon_quality": HostShape(0, wides=1, gives=1),
}
"""By name, in the order in which a module imports them."""


class Library:
    """The functions of one module, made when they are first asked for."""

    def __init__(self, *, first: int) -> None:
        """No function yet.

        Args:
            first: The index of the first one.
        """
        self._first = first
        self._codes: list[Code] = []
        self._indices: dict[str, int] = {}

    @property
    def codes(self) -> tuple[Code, ...]:
        """All functions so far, by index."""
        return tuple(self._codes)

    def __getitem__(self, name: str) -> int:
        """The index of a function: of a host call, or of one of `_FUNCTIONS`."""
        if name not in self._indices:
            signature, write = _found(name)
            code = Code(signature)
            self._indices[name] = self._first + len(self._codes)
            self._codes.append(code)
            write(code, self)
        return self._indices[name]


_Writer = Callable[[Code, Library], None]


def _found(name: str) -> tuple[Signature, _Writer]:
    if name in HOST_CALLS:
        shape = HOST_CALLS[name]
        parameters = (_I32,) * shape.words + (_I64,) * shape.wides + (_I32,)
        signature = Signature(parameters, (_I64,) * shape.gives)
        return signature, lambda code, _: _write_host_call(code, name)
    return _FUNCTIONS[name]


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
        code.access(Op.I64_STORE, wasm_memory.WIDE + place * _WIDE_BYTES)
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


def _fail_if(code: Code, library: Library, reason: Reason, line: int) -> None:
    """Fail if the top of the stack is not zero; the line is in a local."""
    code.block(Op.IF)
    fail(code, library, reason, lambda: code.get(line))
    code.op(Op.END)


def _write_charge(code: Code, library: Library) -> None:
    """(units): take gas, or stop without any."""
    left = code.local(_I64)
    code.i32(0)
    code.i32(0)
    code.access(Op.I64_LOAD, wasm_memory.GAS)
    code.get(0)
    code.op(Op.I64_SUB)
    code.tee(left)
    code.access(Op.I64_STORE, wasm_memory.GAS)
    code.get(left)
    code.i64(0)
    code.op(Op.I64_LT_S)
    code.block(Op.IF)
    fail(code, library, Reason.OUT_OF_GAS, lambda: code.i32(0))
    code.op(Op.END)


def _write_multiply(code: Code, library: Library) -> None:
    """(a, b, line) -> a * b."""
    code.get(0)
    code.get(1)
    code.op(Op.I64_OR)
    code.i64(32)
    code.op(Op.I64_SHR_U, Op.I64_EQZ, Op.I32_EQZ)
    code.block(Op.IF)
    code.get(0)
    code.get(1)
    code.call(library["high"])
    code.op(Op.I64_EQZ, Op.I32_EQZ)
    _fail_if(code, library, Reason.OVERFLOW, 2)
    code.op(Op.END)
    code.get(0)
    code.get(1)
    code.op(Op.I64_MUL)


def _write_high(code: Code, _library: Library) -> None:
    """(a, b) -> the upper 64 bits of a * b, from four products of halves.

    Source: H. S. Warren, Hacker's Delight, 2nd edition (2012), section 8-2.
    """
    low_a, high_a, low_b, high_b, middle, carry = (code.local(_I64) for _ in range(6))
    for whole, low, high in ((0, low_a, high_a), (1, low_b, high_b)):
        code.get(whole)
        code.i64(_LOW_HALF)
        code.op(Op.I64_AND)
        code.set(low)
        code.get(whole)
        code.i64(32)
        code.op(Op.I64_SHR_U)
        code.set(high)
    code.get(high_a)
    code.get(low_b)
    code.op(Op.I64_MUL)
    code.get(low_a)
    code.get(low_b)
    code.op(Op.I64_MUL)
    code.i64(32)
    code.op(Op.I64_SHR_U, Op.I64_ADD)
    code.set(middle)
    code.get(low_a)
    code.get(high_b)
    code.op(Op.I64_MUL)
    code.get(middle)
    code.i64(_LOW_HALF)
    code.op(Op.I64_AND, Op.I64_ADD)
    code.set(carry)
    code.get(high_a)
    code.get(high_b)
    code.op(Op.I64_MUL)
    for half in (middle, carry):
        code.get(half)
        code.i64(32)
        code.op(Op.I64_SHR_U, Op.I64_ADD)


_LOW_HALF = 0xFFFF_FFFF


def _load_pairs(code: Code, *parameters: int) -> list[tuple[int, int]]:
    """Locals with the lower and the upper half of the numbers at some addresses."""
    pairs = []
    for parameter in parameters:
        halves = code.local(_I64), code.local(_I64)
        for half, offset in zip(halves, (0, _WIDE_BYTES), strict=True):
            code.get(parameter)
            code.access(Op.I64_LOAD, offset)
            code.set(half)
        pairs.append(halves)
    return pairs


def _store_pair(code: Code, address: int, low: int, high: int) -> None:
    for half, offset in ((low, 0), (high, _WIDE_BYTES)):
        code.get(address)
        code.get(half)
        code.access(Op.I64_STORE, offset)


def _less(code: Code, first: tuple[int, int], second: tuple[int, int]) -> None:
    """Push whether the first number is less: its upper half is, or that is equal and its lower."""
    for half in (1, 0):
        code.get(first[half])
        code.get(second[half])
        code.op(Op.I64_LT_U)
    code.get(first[1])
    code.get(second[1])
    code.op(Op.I64_EQ, Op.I32_AND, Op.I32_OR)


def _write_less128(code: Code, _library: Library) -> None:
    """(a, b) -> whether a < b."""
    first, second = _load_pairs(code, 0, 1)
    _less(code, first, second)


def _write_add128(code: Code, library: Library) -> None:
    """(to, a, b, line)."""
    first, second = _load_pairs(code, 1, 2)
    low, high, carry = code.local(_I64), code.local(_I64), code.local(_I64)
    code.get(first[0])
    code.get(second[0])
    code.op(Op.I64_ADD)
    code.tee(low)
    code.get(first[0])
    code.op(Op.I64_LT_U, Op.I64_EXTEND_I32_U)
    code.set(carry)
    code.get(first[1])
    code.get(second[1])
    code.op(Op.I64_ADD)
    code.tee(high)
    code.get(first[1])
    code.op(Op.I64_LT_U)
    code.get(high)
    code.get(carry)
    code.op(Op.I64_ADD)
    code.tee(high)
    code.get(carry)
    code.op(Op.I64_LT_U, Op.I32_OR)
    _fail_if(code, library, Reason.OVERFLOW, 3)
    _store_pair(code, 0, low, high)


def _write_subtract128(code: Code, library: Library) -> None:
    """(to, a, b, line)."""
    first, second = _load_pairs(code, 1, 2)
    low, high = code.local(_I64), code.local(_I64)
    _less(code, first, second)
    _fail_if(code, library, Reason.UNDERFLOW, 3)
    _subtract(code, first, second, (low, high))
    _store_pair(code, 0, low, high)


def _subtract(
    code: Code, first: tuple[int, int], second: tuple[int, int], to: tuple[int, int]
) -> None:
    """The difference of two numbers, the first not less; `to` may be one of them."""
    code.get(first[1])
    code.get(second[1])
    code.op(Op.I64_SUB)
    code.get(first[0])
    code.get(second[0])
    code.op(Op.I64_LT_U, Op.I64_EXTEND_I32_U, Op.I64_SUB)
    code.get(first[0])
    code.get(second[0])
    code.op(Op.I64_SUB)
    code.set(to[0])
    code.set(to[1])


def _write_multiply128(code: Code, library: Library) -> None:
    """(to, a, b, line): at most one upper half is not zero, and its product fits into one."""
    first, second = _load_pairs(code, 1, 2)
    low, high, cross = code.local(_I64), code.local(_I64), code.local(_I64)
    for half in (first[1], second[1]):
        code.get(half)
        code.op(Op.I64_EQZ, Op.I32_EQZ)
    code.op(Op.I32_AND)
    for upper, lower in ((first[1], second[0]), (second[1], first[0])):
        code.get(upper)
        code.get(lower)
        code.call(library["high"])
        code.op(Op.I64_EQZ, Op.I32_EQZ, Op.I32_OR)
    _fail_if(code, library, Reason.OVERFLOW, 3)
    for upper, lower in ((first[1], second[0]), (second[1], first[0])):
        code.get(upper)
        code.get(lower)
        code.op(Op.I64_MUL)
    code.op(Op.I64_ADD)
    code.tee(cross)
    code.get(first[0])
    code.get(second[0])
    code.call(library["high"])
    code.op(Op.I64_ADD)
    code.tee(high)
    code.get(cross)
    code.op(Op.I64_LT_U)
    _fail_if(code, library, Reason.OVERFLOW, 3)
    code.get(first[0])
    code.get(second[0])
    code.op(Op.I64_MUL)
    code.set(low)
    _store_pair(code, 0, low, high)


def _write_divide128(code: Code, library: Library) -> None:
    """(quotient, remainder, a, b, line): one bit of the quotient at a time.

    The dividend is shifted left out of `first` into `rest`, and the quotient comes in at its
    other end. What is shifted out of `rest` makes it larger than any divisor.
    """
    first, second = _load_pairs(code, 2, 3)
    rest, count = (code.local(_I64), code.local(_I64)), code.local(_I64)
    out = code.local(_I64)
    code.get(second[0])
    code.get(second[1])
    code.op(Op.I64_OR, Op.I64_EQZ)
    _fail_if(code, library, Reason.DIVISION_BY_ZERO, 4)
    code.block(Op.BLOCK)
    code.get(first[1])
    code.get(second[1])
    code.op(Op.I64_OR, Op.I64_EQZ, Op.I32_EQZ)
    code.branch_if(0)
    code.get(first[0])
    code.get(second[0])
    code.op(Op.I64_REM_U)
    code.set(rest[0])
    code.get(first[0])
    code.get(second[0])
    code.op(Op.I64_DIV_U)
    code.set(first[0])
    _store_pair(code, 0, *first)
    _store_pair(code, 1, *rest)
    code.op(Op.RETURN, Op.END)
    code.i64(128)
    code.set(count)
    code.block(Op.LOOP)
    code.get(rest[1])
    code.i64(63)
    code.op(Op.I64_SHR_U)
    code.set(out)
    _shift_in(code, rest[1], lambda: _top_bit(code, rest[0]))
    _shift_in(code, rest[0], lambda: _top_bit(code, first[1]))
    _shift_in(code, first[1], lambda: _top_bit(code, first[0]))
    _shift_in(code, first[0], lambda: code.i64(0))
    code.get(out)
    code.op(Op.I32_WRAP_I64)
    _less(code, rest, second)
    code.op(Op.I32_EQZ, Op.I32_OR)
    code.block(Op.IF)
    _subtract(code, rest, second, rest)
    code.get(first[0])
    code.i64(1)
    code.op(Op.I64_OR)
    code.set(first[0])
    code.op(Op.END)
    _count_down(code, count)
    _store_pair(code, 0, *first)
    _store_pair(code, 1, *rest)


def _top_bit(code: Code, word: int) -> None:
    code.get(word)
    code.i64(63)
    code.op(Op.I64_SHR_U)


def _shift_in(code: Code, word: int, bit: Callable[[], None]) -> None:
    """Shift a word left by one; the bit comes in."""
    code.get(word)
    code.i64(1)
    code.op(Op.I64_SHL)
    bit()
    code.op(Op.I64_OR)
    code.set(word)


def _count_down(code: Code, count: int) -> None:
    """Close a loop that goes round until the count is zero."""
    code.get(count)
    code.i64(1)
    code.op(Op.I64_SUB)
    code.tee(count)
    code.op(Op.I64_EQZ, Op.I32_EQZ)
    code.branch_if(0)
    code.op(Op.END)


def _write_multiply_divide(code: Code, library: Library) -> None:
    """(a, b, c, line) -> a * b // c by a product of 128 bits."""
    rest, low, count, out = (code.local(_I64) for _ in range(4))
    code.get(2)
    code.op(Op.I64_EQZ)
    _fail_if(code, library, Reason.DIVISION_BY_ZERO, 3)
    code.get(0)
    code.get(1)
    code.op(Op.I64_MUL)
    code.set(low)
    code.get(0)
    code.get(1)
    code.call(library["high"])
    code.tee(rest)
    code.op(Op.I64_EQZ)
    code.block(Op.IF)
    code.get(low)
    code.get(2)
    code.op(Op.I64_DIV_U, Op.RETURN, Op.END)
    code.get(rest)
    code.get(2)
    code.op(Op.I64_GE_U)
    _fail_if(code, library, Reason.OVERFLOW, 3)
    code.i64(64)
    code.set(count)
    code.block(Op.LOOP)
    _top_bit(code, rest)
    code.set(out)
    _shift_in(code, rest, lambda: _top_bit(code, low))
    _shift_in(code, low, lambda: code.i64(0))
    code.get(out)
    code.op(Op.I32_WRAP_I64)
    code.get(rest)
    code.get(2)
    code.op(Op.I64_GE_U, Op.I32_OR)
    code.block(Op.IF)
    code.get(rest)
    code.get(2)
    code.op(Op.I64_SUB)
    code.set(rest)
    code.get(low)
    code.i64(1)
    code.op(Op.I64_OR)
    code.set(low)
    code.op(Op.END)
    _count_down(code, count)
    code.get(low)


def _write_copy(code: Code, _library: Library) -> None:
    """(to, from, size): eight bytes at a time, then one; the stretches do not overlap."""

    def move(load: Op, store: Op) -> None:
        code.get(0)
        code.get(1)
        code.access(load, 0)
        code.access(store, 0)

    _stride(code, 2, (0, 1), move)


def _write_clear(code: Code, _library: Library) -> None:
    """(to, size): zeros."""

    def clear(load: Op, store: Op) -> None:
        code.get(0)
        if load is Op.I64_LOAD:
            code.i64(0)
        else:
            code.i32(0)
        code.access(store, 0)

    _stride(code, 1, (0,), clear)


def _write_equal(code: Code, _library: Library) -> None:
    """(a, b, size) -> whether all bytes are the same."""

    def leave_if_different(load: Op, _store: Op) -> None:
        code.get(0)
        code.access(load, 0)
        code.get(1)
        code.access(load, 0)
        code.op(Op.I64_NE if load is Op.I64_LOAD else Op.I32_NE)
        code.block(Op.IF)
        code.i32(0)
        code.op(Op.RETURN, Op.END)

    _stride(code, 2, (0, 1), leave_if_different)
    code.i32(1)


def _stride(
    code: Code, size: int, addresses: tuple[int, ...], step: Callable[[Op, Op], None]
) -> None:
    """Take a step of eight bytes while there are eight, then of one while there is one."""
    for width, load, store in (
        (_WIDE_BYTES, Op.I64_LOAD, Op.I64_STORE),
        (1, Op.I32_LOAD8_U, Op.I32_STORE8),
    ):
        code.block(Op.BLOCK)
        code.block(Op.LOOP)
        code.get(size)
        code.i32(width)
        code.op(Op.I32_LT_U)
        code.branch_if(1)
        step(load, store)
        for address in addresses:
            code.get(address)
            code.i32(width)
            code.op(Op.I32_ADD)
            code.set(address)
        code.get(size)
        code.i32(width)
        code.op(Op.I32_SUB)
        code.set(size)
        code.branch(0)
        code.op(Op.END, Op.END)


_TERNARY_128 = Signature((_I32, _I32, _I32, _I32))
_FUNCTIONS: dict[str, tuple[Signature, _Writer]] = {
    "fail": (Signature((_I32, _I32, _I32)), _write_fail),
    "charge": (Signature((_I64,)), _write_charge),
    "multiply": (Signature((_I64, _I64, _I32), (_I64,)), _write_multiply),
    "high": (Signature((_I64, _I64), (_I64,)), _write_high),
    "multiply_divide": (Signature((_I64, _I64, _I64, _I32), (_I64,)), _write_multiply_divide),
    "less128": (Signature((_I32, _I32), (_I32,)), _write_less128),
    "add128": (_TERNARY_128, _write_add128),
    "subtract128": (_TERNARY_128, _write_subtract128),
    "multiply128": (_TERNARY_128, _write_multiply128),
    "divide128": (Signature((_I32, _I32, _I32, _I32, _I32)), _write_divide128),
    "copy": (Signature((_I32, _I32, _I32)), _write_copy),
    "clear": (Signature((_I32, _I32)), _write_clear),
    "equal": (Signature((_I32, _I32, _I32), (_I32,)), _write_equal),
}

"""Functions on numbers of 64 bits and on bytes, for contracts' code; see `wasm_library`."""

from __future__ import annotations

from collections.abc import Callable

from qlq.contracts import wasm_memory
from qlq.contracts.outcome import Reason
from qlq.contracts.wasm_binary import Code, Op, Signature, Value
from qlq.contracts.wasm_library import (
    WIDE_BYTES,
    Functions,
    Library,
    count_down,
    fail,
    fail_if,
    shift_in,
    top_bit,
)

_I32, _I64 = Value.I32, Value.I64
_LOW_HALF = 0xFFFF_FFFF
_WIDTH = 64
LENGTH_BYTES = 2
"""The length before the content of Bytes."""


def _write_add(code: Code, library: Library) -> None:
    """(a, b, line) -> a + b."""
    total = code.local(_I64)
    code.get(0)
    code.get(1)
    code.op(Op.I64_ADD)
    code.tee(total)
    code.get(0)
    code.op(Op.I64_LT_U)
    fail_if(code, library, Reason.OVERFLOW, 2)
    code.get(total)


def _write_subtract(code: Code, library: Library) -> None:
    """(a, b, line) -> a - b."""
    code.get(0)
    code.get(1)
    code.op(Op.I64_LT_U)
    fail_if(code, library, Reason.UNDERFLOW, 2)
    code.get(0)
    code.get(1)
    code.op(Op.I64_SUB)


def _write_quotient(code: Code, library: Library, op: Op) -> None:
    """(a, b, line) -> a // b, or a % b."""
    code.get(1)
    code.op(Op.I64_EQZ)
    fail_if(code, library, Reason.DIVISION_BY_ZERO, 2)
    code.get(0)
    code.get(1)
    code.op(op)


def _write_shift_left(code: Code, library: Library) -> None:
    """(a, count, line) -> a << count, without losing a bit."""
    shifted = code.local(_I64)
    _check_count(code, library)
    code.get(0)
    code.get(1)
    code.op(Op.I64_SHL)
    code.tee(shifted)
    code.get(1)
    code.op(Op.I64_SHR_U)
    code.get(0)
    code.op(Op.I64_NE)
    fail_if(code, library, Reason.OVERFLOW, 2)
    code.get(shifted)


def _write_shift_right(code: Code, library: Library) -> None:
    """(a, count, line) -> a >> count."""
    _check_count(code, library)
    code.get(0)
    code.get(1)
    code.op(Op.I64_SHR_U)


def _check_count(code: Code, library: Library) -> None:
    code.get(1)
    code.i64(_WIDTH)
    code.op(Op.I64_GE_U)
    fail_if(code, library, Reason.SHIFT, 2)


def _write_swap(code: Code, _library: Library) -> None:
    """(a) -> a with its bytes in the other order: halves, then pairs, then single bytes."""
    for distance, mask in (
        (32, 0x0000_0000_FFFF_FFFF),
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
    ):
        code.get(0)
        code.i64(distance)
        code.op(Op.I64_SHR_U)
        code.i64(mask)
        code.op(Op.I64_AND)
        code.get(0)
        code.i64(mask)
        code.op(Op.I64_AND)
        code.i64(distance)
        code.op(Op.I64_SHL, Op.I64_OR)
        code.set(0)
    code.get(0)


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
    fail_if(code, library, Reason.OVERFLOW, 2)
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


def _write_multiply_divide(code: Code, library: Library) -> None:
    """(a, b, c, line) -> a * b // c by a product of 128 bits."""
    rest, low, count, out = (code.local(_I64) for _ in range(4))
    code.get(2)
    code.op(Op.I64_EQZ)
    fail_if(code, library, Reason.DIVISION_BY_ZERO, 3)
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
    fail_if(code, library, Reason.OVERFLOW, 3)
    code.i64(64)
    code.set(count)
    code.block(Op.LOOP)
    top_bit(code, rest)
    code.set(out)
    shift_in(code, rest, lambda: top_bit(code, low))
    shift_in(code, low, lambda: code.i64(0))
    code.get(out)
    code.get(rest)
    code.get(2)
    code.op(Op.I64_GE_U, Op.I64_EXTEND_I32_U, Op.I64_OR)
    code.set(out)
    code.get(low)
    code.get(out)
    code.op(Op.I64_OR)
    code.set(low)
    code.get(rest)
    code.get(2)
    code.i64(0)
    code.get(out)
    code.op(Op.I64_SUB, Op.I64_AND, Op.I64_SUB)
    code.set(rest)
    count_down(code, count)
    code.get(low)


def _write_copy(code: Code, _library: Library) -> None:
    """(to, from, size); the stretches are the same, or apart."""

    def move(load: Op, store: Op, offset: int) -> None:
        code.get(0)
        code.get(1)
        code.access(load, offset)
        code.access(store, offset)

    _stride(code, 2, (0, 1), move)


def _write_clear(code: Code, _library: Library) -> None:
    """(to, size): zeros."""

    def clear(load: Op, store: Op, offset: int) -> None:
        code.get(0)
        if load is Op.I64_LOAD:
            code.i64(0)
        else:
            code.i32(0)
        code.access(store, offset)

    _stride(code, 1, (0,), clear)


def _write_equal(code: Code, _library: Library) -> None:
    """(a, b, size) -> whether all bytes are the same."""

    def leave_if_different(load: Op, _store: Op, offset: int) -> None:
        code.get(0)
        code.access(load, offset)
        code.get(1)
        code.access(load, offset)
        code.op(Op.I64_NE if load is Op.I64_LOAD else Op.I32_NE)
        code.block(Op.IF)
        code.i32(0)
        code.op(Op.RETURN, Op.END)

    _stride(code, 2, (0, 1), leave_if_different)
    code.i32(1)


def _stride(
    code: Code, size: int, addresses: tuple[int, ...], step: Callable[[Op, Op, int], None]
) -> None:
    """Four words at a time while there are so many, then one, then one byte.

    Args:
        code: To write into.
        size: The parameter with the number of bytes.
        addresses: The parameters that go along.
        step: Writes what is done with a word or byte at an offset from the addresses.
    """
    for width, load, store, offsets in (
        (4 * WIDE_BYTES, Op.I64_LOAD, Op.I64_STORE, range(0, 4 * WIDE_BYTES, WIDE_BYTES)),
        (WIDE_BYTES, Op.I64_LOAD, Op.I64_STORE, range(1)),
        (1, Op.I32_LOAD8_U, Op.I32_STORE8, range(1)),
    ):
        code.block(Op.BLOCK)
        code.block(Op.LOOP)
        code.get(size)
        code.i32(width)
        code.op(Op.I32_LT_U)
        code.branch_if(1)
        for offset in offsets:
            step(load, store, offset)
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


def _write_check_below(code: Code, library: Library) -> None:
    """(byte, count, line): what another contract gave is a bool, or a member of an enum."""
    code.get(0)
    code.access(Op.I32_LOAD8_U, 0)
    code.get(1)
    code.op(Op.I32_GE_U)
    fail_if(code, library, Reason.RESULT_MISMATCH, 2)


def _write_check_bytes(code: Code, library: Library) -> None:
    """(bytes, capacity, line): what another contract gave is at most full, and padded by zeros."""
    code.get(0)
    code.access(Op.I32_LOAD16_U, 0)
    code.get(1)
    code.op(Op.I32_GT_U)
    fail_if(code, library, Reason.RESULT_MISMATCH, 2)
    place = code.local(_I32)
    code.get(0)
    code.access(Op.I32_LOAD16_U, 0)
    code.set(place)
    code.block(Op.BLOCK)
    code.block(Op.LOOP)
    code.get(place)
    code.get(1)
    code.op(Op.I32_GE_U)
    code.branch_if(1)
    code.get(0)
    code.get(place)
    code.op(Op.I32_ADD)
    code.access(Op.I32_LOAD8_U, LENGTH_BYTES)
    fail_if(code, library, Reason.RESULT_MISMATCH, 2)
    code.get(place)
    code.i32(1)
    code.op(Op.I32_ADD)
    code.set(place)
    code.branch(0)
    code.op(Op.END, Op.END)


_BINARY = Signature((_I64, _I64, _I32), (_I64,))
FUNCTIONS: Functions = {
    "charge": (Signature((_I64,)), _write_charge),
    "add": (_BINARY, _write_add),
    "subtract": (_BINARY, _write_subtract),
    "multiply": (_BINARY, _write_multiply),
    "divide": (_BINARY, lambda code, library: _write_quotient(code, library, Op.I64_DIV_U)),
    "remainder": (_BINARY, lambda code, library: _write_quotient(code, library, Op.I64_REM_U)),
    "shift_left": (_BINARY, _write_shift_left),
    "shift_right": (_BINARY, _write_shift_right),
    "high": (Signature((_I64, _I64), (_I64,)), _write_high),
    "multiply_divide": (Signature((_I64, _I64, _I64, _I32), (_I64,)), _write_multiply_divide),
    "swap": (Signature((_I64,), (_I64,)), _write_swap),
    "copy": (Signature((_I32, _I32, _I32)), _write_copy),
    "clear": (Signature((_I32, _I32)), _write_clear),
    "equal": (Signature((_I32, _I32, _I32), (_I32,)), _write_equal),
    "check_below": (Signature((_I32, _I32, _I32)), _write_check_below),
    "check_bytes": (Signature((_I32, _I32, _I32)), _write_check_bytes),
}

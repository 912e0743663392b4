"""Functions on numbers of 128 bits, for contracts' code; see `wasm_library`.

Numbers are given as addresses of 16 bytes, little-endian; the result may lie over an operand.
"""

from __future__ import annotations

from qlq.contracts.outcome import Reason
from qlq.contracts.wasm_binary import Code, Op, Signature, Value
from qlq.contracts.wasm_library import (
    WIDE_BYTES,
    Functions,
    Library,
    count_down,
    fail_if,
    shift_in,
    top_bit,
)

_I32, _I64 = Value.I32, Value.I64
_WIDTH = 128


def _load_pairs(code: Code, *parameters: int) -> list[tuple[int, int]]:
    """Locals with the lower and the upper half of the numbers at some addresses."""
    pairs = []
    for parameter in parameters:
        halves = code.local(_I64), code.local(_I64)
        for half, offset in zip(halves, (0, WIDE_BYTES), strict=True):
            code.get(parameter)
            code.access(Op.I64_LOAD, offset)
            code.set(half)
        pairs.append(halves)
    return pairs


def _store_pair(code: Code, address: int, low: int, high: int) -> None:
    for half, offset in ((low, 0), (high, WIDE_BYTES)):
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
    fail_if(code, library, Reason.OVERFLOW, 3)
    _store_pair(code, 0, low, high)


def _write_subtract128(code: Code, library: Library) -> None:
    """(to, a, b, line)."""
    first, second = _load_pairs(code, 1, 2)
    low, high = code.local(_I64), code.local(_I64)
    _less(code, first, second)
    fail_if(code, library, Reason.UNDERFLOW, 3)
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
    fail_if(code, library, Reason.OVERFLOW, 3)
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
    fail_if(code, library, Reason.OVERFLOW, 3)
    code.get(first[0])
    code.get(second[0])
    code.op(Op.I64_MUL)
    code.set(low)
    _store_pair(code, 0, low, high)


def _write_divide128(code: Code, library: Library) -> None:
    """(quotient, remainder, a, b, line)."""
    first, second = _load_pairs(code, 2, 3)
    rest = code.local(_I64), code.local(_I64)
    _fail_if_zero(code, library, second, 4)
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
    _divide_bits(code, first, rest, second)
    _store_pair(code, 0, *first)
    _store_pair(code, 1, *rest)


def _fail_if_zero(code: Code, library: Library, number: tuple[int, int], line: int) -> None:
    code.get(number[0])
    code.get(number[1])
    code.op(Op.I64_OR, Op.I64_EQZ)
    fail_if(code, library, Reason.DIVISION_BY_ZERO, line)


def _divide_bits(
    code: Code, first: tuple[int, int], rest: tuple[int, int], second: tuple[int, int]
) -> None:
    """Divide `rest` * 2^128 + `first` by `second`, which is above `rest`; a bit at a time.

    The dividend is shifted left out of `first` into `rest`, and the quotient comes in at its
    other end. What is shifted out of `rest` makes it larger than any divisor. Nothing branches on
    a bit of the quotient: all quotients take the same time, as they cost the same.
    """
    count, out, mask = code.local(_I64), code.local(_I64), code.local(_I64)
    taken = code.local(_I64), code.local(_I64)
    code.i64(_WIDTH)
    code.set(count)
    code.block(Op.LOOP)
    top_bit(code, rest[1])
    code.set(out)
    shift_in(code, rest[1], lambda: top_bit(code, rest[0]))
    shift_in(code, rest[0], lambda: top_bit(code, first[1]))
    shift_in(code, first[1], lambda: top_bit(code, first[0]))
    shift_in(code, first[0], lambda: code.i64(0))
    code.i64(0)
    code.get(out)
    _less(code, rest, second)
    code.op(Op.I32_EQZ, Op.I64_EXTEND_I32_U, Op.I64_OR)
    code.tee(out)
    code.op(Op.I64_SUB)
    code.set(mask)
    code.get(first[0])
    code.get(out)
    code.op(Op.I64_OR)
    code.set(first[0])
    for half, other in zip(taken, second, strict=True):
        code.get(other)
        code.get(mask)
        code.op(Op.I64_AND)
        code.set(half)
    _subtract(code, rest, taken, rest)
    count_down(code, count)


def _write_multiply_divide128(code: Code, library: Library) -> None:
    """(to, a, b, c, line): a * b // c by a product of 256 bits, of four products of halves."""
    first, second, divisor = _load_pairs(code, 1, 2, 3)
    low = code.local(_I64), code.local(_I64)
    high = code.local(_I64), code.local(_I64)
    _fail_if_zero(code, library, divisor, 4)
    total = (*low, *high)
    for place, factors in (
        (0, (first[0], second[0])),
        (1, (first[1], second[0])),
        (1, (first[0], second[1])),
        (2, (first[1], second[1])),
    ):
        _add_product(code, library, total[place:], factors)
    _less(code, high, divisor)
    code.op(Op.I32_EQZ)
    fail_if(code, library, Reason.OVERFLOW, 4)
    _divide_bits(code, low, high, divisor)
    _store_pair(code, 0, *low)


def _add_product(
    code: Code, library: Library, total: tuple[int, ...], factors: tuple[int, int]
) -> None:
    """Add the product of two words to a number of some words, which has room for it."""
    carry, addend = code.local(_I64), code.local(_I64)
    for step, word in enumerate(total):
        if step == 0:
            code.get(factors[0])
            code.get(factors[1])
            code.op(Op.I64_MUL)
        elif step == 1:
            code.get(factors[0])
            code.get(factors[1])
            code.call(library["high"])
            code.get(carry)
            code.op(Op.I64_ADD)
        else:
            code.get(carry)
        code.set(addend)
        code.get(word)
        code.get(addend)
        code.op(Op.I64_ADD)
        code.tee(word)
        code.get(addend)
        code.op(Op.I64_LT_U, Op.I64_EXTEND_I32_U)
        code.set(carry)


def _write_bitwise(code: Code, op: Op) -> None:
    """(to, a, b): AND, OR or XOR."""
    first, second = _load_pairs(code, 1, 2)
    for half, other in zip(first, second, strict=True):
        code.get(half)
        code.get(other)
        code.op(op)
        code.set(half)
    _store_pair(code, 0, *first)


def _write_shift_left128(code: Code, library: Library) -> None:
    """(to, a, count, line): by 64 where the count says so, then by the rest; no bit is lost."""
    (low, high), count = _load_pairs(code, 1, 2)
    _check_count(code, library, count)
    code.get(count[0])
    code.i64(64)
    code.op(Op.I64_GE_U)
    code.block(Op.IF)
    code.get(high)
    code.op(Op.I64_EQZ, Op.I32_EQZ)
    fail_if(code, library, Reason.OVERFLOW, 3)
    code.get(low)
    code.set(high)
    code.i64(0)
    code.set(low)
    code.op(Op.END)
    _if_rest_of_count(code, count[0])
    _push_end(code, Op.I64_SHR_U, high, count[0])
    code.op(Op.I64_EQZ, Op.I32_EQZ)
    fail_if(code, library, Reason.OVERFLOW, 3)
    code.get(high)
    code.get(count[0])
    code.op(Op.I64_SHL)
    _push_end(code, Op.I64_SHR_U, low, count[0])
    code.op(Op.I64_OR)
    code.set(high)
    code.get(low)
    code.get(count[0])
    code.op(Op.I64_SHL)
    code.set(low)
    code.op(Op.END)
    _store_pair(code, 0, low, high)


def _write_shift_right128(code: Code, library: Library) -> None:
    """(to, a, count, line)."""
    (low, high), count = _load_pairs(code, 1, 2)
    _check_count(code, library, count)
    code.get(count[0])
    code.i64(64)
    code.op(Op.I64_GE_U)
    code.block(Op.IF)
    code.get(high)
    code.set(low)
    code.i64(0)
    code.set(high)
    code.op(Op.END)
    _if_rest_of_count(code, count[0])
    code.get(low)
    code.get(count[0])
    code.op(Op.I64_SHR_U)
    _push_end(code, Op.I64_SHL, high, count[0])
    code.op(Op.I64_OR)
    code.set(low)
    code.get(high)
    code.get(count[0])
    code.op(Op.I64_SHR_U)
    code.set(high)
    code.op(Op.END)
    _store_pair(code, 0, low, high)


def _check_count(code: Code, library: Library, count: tuple[int, int]) -> None:
    code.get(count[0])
    code.i64(_WIDTH)
    code.op(Op.I64_GE_U)
    code.get(count[1])
    code.op(Op.I64_EQZ, Op.I32_EQZ, Op.I32_OR)
    fail_if(code, library, Reason.SHIFT, 3)


def _if_rest_of_count(code: Code, count: int) -> None:
    """Open an if for a count that is no multiple of 64; shifts use its lower six bits alone."""
    code.get(count)
    code.i64(63)
    code.op(Op.I64_AND, Op.I64_EQZ, Op.I32_EQZ)
    code.block(Op.IF)


def _push_end(code: Code, op: Op, word: int, count: int) -> None:
    """Push the bits of a word that a shift by the count takes out of it, where they belong."""
    code.get(word)
    code.i64(0)
    code.get(count)
    code.op(Op.I64_SUB, op)


_BINARY = Signature((_I32, _I32, _I32, _I32))
FUNCTIONS: Functions = {
    "less128": (Signature((_I32, _I32), (_I32,)), _write_less128),
    "add128": (_BINARY, _write_add128),
    "subtract128": (_BINARY, _write_subtract128),
    "multiply128": (_BINARY, _write_multiply128),
    "divide128": (Signature((_I32,) * 5), _write_divide128),
    "multiply_divide128": (Signature((_I32,) * 5), _write_multiply_divide128),
    "and128": (Signature((_I32,) * 3), lambda code, _: _write_bitwise(code, Op.I64_AND)),
    "or128": (Signature((_I32,) * 3), lambda code, _: _write_bitwise(code, Op.I64_OR)),
    "xor128": (Signature((_I32,) * 3), lambda code, _: _write_bitwise(code, Op.I64_XOR)),
    "shift_left128": (_BINARY, _write_shift_left128),
    "shift_right128": (_BINARY, _write_shift_right128),
}

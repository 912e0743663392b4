"""ChaCha20 as three functions of C: the next 64 bits, 32 bits and double of a state in memory.

They are written as vector instructions, because the compiler finds none in a loop over blocks,
and called through their addresses, because a wrapper would cost as much as a draw.

Source:
    Bernstein (2008), ChaCha, with a counter of 64 bits; RFC 8439 sections 2.1 and 2.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from qlq.numerics.kernels import kernel

CONSTANTS = np.frombuffer(b"expand 32-byte k", dtype="<u4").astype(np.uint32)
"""Words 0 to 3 of a block."""

_LANES = 16
"""Blocks that are computed at once, one in each lane of a vector register."""
_PAIRS = 8 * _LANES
"""Numbers of 64 bits in the buffer."""
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_LANES_32 = ir.VectorType(_I32, _LANES)
COUNTER_AT, PLACE_AT, _BUFFER_AT = 8, 9, 16
"""The state in uint64: constants, key, two words without use and the nonce, as ChaCha20's first
block has them; the counter of the next block; the place in the buffer, in steps of 32 bits; the
buffer. Pair j of block l lies at j * _LANES + l of the buffer."""
STATE_LONGS = _BUFFER_AT + _PAIRS
PLACE_END = 2 * _PAIRS
"""The place where nothing is left in the buffer."""
_COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
"""The eight quarter rounds of a double round. Source: RFC 8439 section 2.3.1."""
_ROTATIONS = (16, 12, 8, 7)
"""Source: RFC 8439 section 2.1."""
_REFILL = "qlq_chacha20_refill"
# numba has no types for these
_THREE_ADDRESSES: Any = types.UniTuple(types.uintp, 3)  # type: ignore[no-untyped-call]
_function_of: Any = cgutils.get_or_insert_function


@intrinsic
def _addresses(typing_context: Any) -> Any:  # noqa: ARG001 - numba's protocol
    """Addresses of the functions, which come into the same module."""
    return _THREE_ADDRESSES(), _addresses_code


def _addresses_code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
    """Define the functions and return where they are."""
    module = builder.module
    refill = _defined(module, _REFILL, ir.VoidType(), _build_refill)
    refill.attributes.add("noinline")  # so that a draw without it stays small
    names = (
        ("qlq_chacha20_uint64", _I64, _build_next_uint64),
        ("qlq_chacha20_uint32", _I32, _build_next_uint32),
        ("qlq_chacha20_double", ir.DoubleType(), _build_next_double),
    )
    word = context.get_value_type(types.uintp)
    found = [
        builder.ptrtoint(_defined(module, name, result, build), word)
        for name, result, build in names
    ]
    return context.make_tuple(builder, signature.return_type, found)


def _defined(module: Any, name: str, result: Any, build: Any) -> Any:
    """The function of this name, built if it is not there yet."""
    kind = ir.FunctionType(result, [_I64.as_pointer()])
    function = _function_of(module, kind, name)
    if function.is_declaration:
        function.linkage = "internal"
        build(ir.IRBuilder(function.append_basic_block("entry")), function.args[0])
    return function


def _build_next_uint64(builder: Any, longs: Any) -> None:
    builder.ret(_take64(builder, longs))


def _build_next_double(builder: Any, longs: Any) -> None:
    """The upper 53 bits, as a multiple of 2^-53 in [0, 1)."""
    upper = builder.lshr(_take64(builder, longs), _I64(11))
    double = ir.DoubleType()
    builder.ret(builder.fmul(builder.uitofp(upper, double), double(2.0**-53)))


def _build_next_uint32(builder: Any, longs: Any) -> None:
    """The next 32 bits of the key stream."""
    stored = builder.load(builder.gep(longs, [_I64(PLACE_AT)]))
    place = _advanced(builder, longs, stored, builder.add(stored, _I64(1)), step=1)
    both = _buffered(builder, longs, builder.lshr(place, _I64(1)))
    down = builder.shl(builder.and_(place, _I64(1)), _I64(5))
    builder.ret(builder.trunc(builder.lshr(both, down), _I32))


def _take64(builder: Any, longs: Any) -> Any:
    """The next 64 bits of the key stream that start at a multiple of 8 bytes."""
    stored = builder.load(builder.gep(longs, [_I64(PLACE_AT)]))
    following = builder.and_(builder.add(stored, _I64(3)), _I64(~1))
    place = _advanced(builder, longs, stored, following, step=2)
    return _buffered(builder, longs, builder.lshr(builder.add(place, _I64(1)), _I64(1)))


def _advanced(builder: Any, longs: Any, stored: Any, following: Any, *, step: int) -> Any:
    """The place to read from, after `following` was stored; a refill first where it is too far.

    Few instructions lie between reading the place and storing the next one: draws wait for them.
    """
    before = builder.block
    is_over = builder.icmp_unsigned(">", following, _I64(PLACE_END))
    with builder.if_then(is_over, likely=False):
        builder.call(builder.module.get_global(_REFILL), [longs])
        refilled = builder.block
    place, then = builder.phi(_I64), builder.phi(_I64)
    place.add_incoming(stored, before)
    place.add_incoming(_I64(0), refilled)
    then.add_incoming(following, before)
    then.add_incoming(_I64(step), refilled)
    builder.store(then, builder.gep(longs, [_I64(PLACE_AT)]))
    return place


def _buffered(builder: Any, longs: Any, pair: Any) -> Any:
    """Pair number `pair` of the buffer."""
    row = builder.mul(builder.and_(pair, _I64(7)), _I64(_LANES))
    at = builder.add(builder.add(row, builder.lshr(pair, _I64(3))), _I64(_BUFFER_AT))
    return builder.load(builder.gep(longs, [at]))


def _build_refill(builder: Any, longs: Any) -> None:
    """Put the next blocks into the buffer."""
    words = builder.bitcast(longs, _I32.as_pointer())
    counter_at = builder.gep(longs, [_I64(COUNTER_AT)])
    counter = builder.load(counter_at)
    start = [_all_lanes(builder, builder.load(builder.gep(words, [_I64(i)]))) for i in range(16)]
    lanes = ir.VectorType(_I64, _LANES)
    counters = builder.add(
        _all_lanes(builder, counter), ir.Constant(lanes, [_I64(lane) for lane in range(_LANES)])
    )
    upper = builder.lshr(counters, ir.Constant(lanes, [_I64(32)] * _LANES))
    start[12], start[13] = (builder.trunc(part, _LANES_32) for part in (counters, upper))
    block = _ten_double_rounds(builder, start)
    mixed = [builder.add(one, other) for one, other in zip(block, start, strict=True)]
    order = [_I32(lane + half * _LANES) for lane in range(_LANES) for half in (0, 1)]
    for pair in range(8):
        both = builder.shuffle_vector(
            mixed[2 * pair],
            mixed[2 * pair + 1],
            ir.Constant(ir.VectorType(_I32, 2 * _LANES), order),
        )
        place = builder.gep(longs, [_I64(_BUFFER_AT + pair * _LANES)])
        builder.store(both, builder.bitcast(place, both.type.as_pointer()), align=8)
    builder.store(builder.add(counter, _I64(_LANES)), counter_at)
    builder.ret_void()


def _ten_double_rounds(builder: Any, start: list[Any]) -> list[Any]:
    """The block after 20 rounds, as a loop over double rounds."""
    before, body, after = (builder.append_basic_block(name) for name in ("chacha", "round", "end"))
    builder.branch(before)
    builder.position_at_end(before)
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(_I32)
    index.add_incoming(_I32(0), before)
    carried = []
    for word in start:
        phi = builder.phi(_LANES_32)
        phi.add_incoming(word, before)
        carried.append(phi)
    block = list(carried)
    for quarter in _COLUMNS_AND_DIAGONALS:
        _quarter_round(builder, block, quarter)
    following = builder.add(index, _I32(1))
    index.add_incoming(following, body)
    for phi, word in zip(carried, block, strict=True):
        phi.add_incoming(word, body)
    builder.cbranch(builder.icmp_unsigned("<", following, _I32(10)), body, after)
    builder.position_at_end(after)
    return block


def _quarter_round(builder: Any, block: list[Any], places: tuple[int, int, int, int]) -> None:
    """One quarter round on all lanes. Source: RFC 8439 section 2.1."""
    a, b, c, d = places
    for (add_to, added, turned), bits in zip(
        ((a, b, d), (c, d, b), (a, b, d), (c, d, b)), _ROTATIONS, strict=True
    ):
        block[add_to] = builder.add(block[add_to], block[added])
        mixed = builder.xor(block[turned], block[add_to])
        left = builder.shl(mixed, ir.Constant(_LANES_32, [_I32(bits)] * _LANES))
        right = builder.lshr(mixed, ir.Constant(_LANES_32, [_I32(32 - bits)] * _LANES))
        block[turned] = builder.or_(left, right)


def _all_lanes(builder: Any, value: Any) -> Any:
    """A vector with this value in every lane."""
    vector = ir.VectorType(value.type, _LANES)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _I32(0))
    zeros = ir.Constant(ir.VectorType(_I32, _LANES), [_I32(0)] * _LANES)
    return builder.shuffle_vector(first, first, zeros)


@kernel("UniTuple(uintp, 3)()")
def addresses() -> tuple[int, int, int]:
    """Of `next_uint64`, `next_uint32` and `next_double`; each takes the address of a state.

    They stay valid as long as the process runs, and call no Python.
    """
    return _addresses()  # type: ignore[call-arg]

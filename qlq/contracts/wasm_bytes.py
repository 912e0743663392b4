"""Conversions, and Bytes: a length of two bytes, the content, zeros up to the capacity."""

from __future__ import annotations

from qlq.contracts import values, wasm_frame
from qlq.contracts.expressions import ByteAt, Concatenate, Convert, Length, Pack, Slice
from qlq.contracts.outcome import Reason
from qlq.contracts.values import BytesType, EnumType, Plain, Type
from qlq.contracts.wasm_binary import Op, Value
from qlq.contracts.wasm_frame import Body
from qlq.contracts.wasm_library import WIDE_BYTES
from qlq.contracts.wasm_words import LENGTH_BYTES
from qlq.contracts.wasm_writer import Writer, type_of

_I32, _I64 = Value.I32, Value.I64
_HASH_BYTES = 32


def convert(writer: Writer, expression: Convert) -> None:
    """The same value in another type."""
    kind, given = expression.type, type_of(expression.value)
    writer.push(expression.value)
    if kind == given:
        return
    match given, kind:
        case _, Plain.U64 if given is Plain.U128:
            _narrow(writer, expression.line)
        case _, Plain.U64 if wasm_frame.is_scalar(given):
            writer.code.op(Op.I64_EXTEND_I32_U)
        case _, Plain.U128:
            _widen(writer, given)
        case Plain.U64, EnumType(_, members):
            _to_member(writer, len(members), expression.line)
        case BytesType(), BytesType():
            _resize(writer, given, kind, expression.line)
        case BytesType(), _:
            _to_hash(writer, expression.line)
        case _, BytesType():
            _from_hash(writer, kind)


def _fail_if(body: Body, reason: Reason, line: int) -> None:
    """Fail if the top of the stack is not zero."""
    body.code.block(Op.IF)
    body.fail(reason, 0, line)
    body.code.op(Op.END)


def _narrow(writer: Writer, line: int) -> None:
    with writer.body.spare(_I32) as number:
        writer.code.tee(number)
        writer.code.access(Op.I64_LOAD, WIDE_BYTES)
        writer.code.op(Op.I64_EQZ, Op.I32_EQZ)
        _fail_if(writer.body, Reason.CONVERSION, line)
        writer.code.get(number)
        writer.code.access(Op.I64_LOAD, 0)


def _widen(writer: Writer, given: Type) -> None:
    if given is not Plain.U64:
        writer.code.op(Op.I64_EXTEND_I32_U)
    to = writer.temporary(Plain.U128)
    with writer.body.spare(_I64) as number:
        writer.code.set(number)
        writer.code.i32(to)
        writer.code.get(number)
        writer.code.access(Op.I64_STORE, 0)
    writer.code.i32(to)
    writer.code.i64(0)
    writer.code.access(Op.I64_STORE, WIDE_BYTES)
    writer.code.i32(to)


def _to_member(writer: Writer, count: int, line: int) -> None:
    with writer.body.spare(_I64) as number:
        writer.code.tee(number)
        writer.code.i64(count)
        writer.code.op(Op.I64_GE_U)
        _fail_if(writer.body, Reason.CONVERSION, line)
        writer.code.get(number)
        writer.code.op(Op.I32_WRAP_I64)


def _resize(writer: Writer, given: BytesType, kind: BytesType, line: int) -> None:
    """A content that fits keeps its length; what is behind it is zero in both."""
    code, to = writer.code, writer.temporary(kind)
    with writer.body.spare(_I32) as source:
        code.set(source)
        if kind.capacity < given.capacity:
            code.get(source)
            code.access(Op.I32_LOAD16_U, 0)
            code.i32(kind.capacity)
            code.op(Op.I32_GT_U)
            _fail_if(writer.body, Reason.CONVERSION, line)
        kept = min(values.size(kind), values.size(given))
        code.i32(to)
        code.get(source)
        code.i32(kept)
        writer.body.call("copy")
    if values.size(kind) > kept:
        writer.words(to + kept, values.size(kind) - kept)
        writer.body.call("clear")
    code.i32(to)


def _to_hash(writer: Writer, line: int) -> None:
    with writer.body.spare(_I32) as source:
        writer.code.tee(source)
        writer.code.access(Op.I32_LOAD16_U, 0)
        writer.code.i32(_HASH_BYTES)
        writer.code.op(Op.I32_NE)
        _fail_if(writer.body, Reason.CONVERSION, line)
        writer.code.get(source)
        writer.code.i32(LENGTH_BYTES)
        writer.code.op(Op.I32_ADD)


def _from_hash(writer: Writer, kind: BytesType) -> None:
    code, to = writer.code, writer.temporary(kind)
    with writer.body.spare(_I32) as source:
        code.set(source)
        code.i32(to + LENGTH_BYTES)
        code.get(source)
        code.i32(_HASH_BYTES)
        writer.body.call("copy")
    if kind.capacity > _HASH_BYTES:
        writer.words(to + LENGTH_BYTES + _HASH_BYTES, kind.capacity - _HASH_BYTES)
        writer.body.call("clear")
    _set_length(writer, to, _HASH_BYTES)
    code.i32(to)


def _set_length(writer: Writer, address: int, count: int) -> None:
    writer.words(address, count)
    writer.code.access(Op.I32_STORE16, 0)


def length(writer: Writer, expression: Length) -> None:
    """The length of Bytes."""
    writer.push(expression.value)
    writer.code.access(Op.I32_LOAD16_U, 0)
    writer.code.op(Op.I64_EXTEND_I32_U)


def byte_at(writer: Writer, expression: ByteAt) -> None:
    """One byte."""
    code = writer.code
    with writer.body.spare(_I32) as source, writer.body.spare(_I64) as index:
        writer.push(expression.value)
        code.set(source)
        writer.push(expression.index)
        code.tee(index)
        code.get(source)
        code.access(Op.I32_LOAD16_U, 0)
        code.op(Op.I64_EXTEND_I32_U, Op.I64_GE_U)
        _fail_if(writer.body, Reason.INDEX, expression.line)
        code.get(source)
        code.get(index)
        code.op(Op.I32_WRAP_I64, Op.I32_ADD)
        code.access(Op.I32_LOAD8_U, LENGTH_BYTES)
        code.op(Op.I64_EXTEND_I32_U)


def cut(writer: Writer, expression: Slice) -> None:
    """Bytes from a start to before a stop."""
    code, to, spare = writer.code, writer.temporary(expression.type), writer.body.spare
    with spare(_I32) as source, spare(_I64) as start, spare(_I64) as stop:
        writer.push(expression.value)
        code.set(source)
        writer.push(expression.start)
        code.set(start)
        writer.push(expression.stop)
        code.tee(stop)
        code.get(source)
        code.access(Op.I32_LOAD16_U, 0)
        code.op(Op.I64_EXTEND_I32_U, Op.I64_GT_U)
        code.get(start)
        code.get(stop)
        code.op(Op.I64_GT_U, Op.I32_OR)
        _fail_if(writer.body, Reason.INDEX, expression.line)
        code.i32(to)
        code.get(stop)
        code.get(start)
        code.op(Op.I64_SUB, Op.I32_WRAP_I64)
        code.access(Op.I32_STORE16, 0)
        code.i32(to + LENGTH_BYTES)
        code.get(source)
        code.i32(LENGTH_BYTES)
        code.op(Op.I32_ADD)
        code.get(start)
        code.op(Op.I32_WRAP_I64, Op.I32_ADD)
        code.i32(to)
        code.access(Op.I32_LOAD16_U, 0)
        writer.body.call("copy")
    _pad(writer, to, expression.type)
    code.i32(to)


def concatenate(writer: Writer, expression: Concatenate) -> None:
    """Bytes after Bytes."""
    code, to = writer.code, writer.temporary(expression.type)
    with writer.body.spare(_I32) as left, writer.body.spare(_I32) as right:
        writer.push(expression.left)
        code.set(left)
        writer.push(expression.right)
        code.set(right)
        code.i32(to + LENGTH_BYTES)
        push_content(writer, left)
        writer.body.call("copy")
        code.i32(to + LENGTH_BYTES)
        code.get(left)
        code.access(Op.I32_LOAD16_U, 0)
        code.op(Op.I32_ADD)
        push_content(writer, right)
        writer.body.call("copy")
        code.i32(to)
        for side in (left, right):
            code.get(side)
            code.access(Op.I32_LOAD16_U, 0)
        code.op(Op.I32_ADD)
        code.access(Op.I32_STORE16, 0)
    _pad(writer, to, expression.type)
    code.i32(to)


def _pad(writer: Writer, address: int, kind: BytesType) -> None:
    """Zeros behind the content, whose length is there."""
    code = writer.code
    with writer.body.spare(_I32) as count:
        code.i32(address)
        code.access(Op.I32_LOAD16_U, 0)
        code.tee(count)
        code.i32(address + LENGTH_BYTES)
        code.op(Op.I32_ADD)
        code.i32(kind.capacity)
        code.get(count)
        code.op(Op.I32_SUB)
    writer.body.call("clear")


def push_content(writer: Writer, source: int) -> None:
    """Push address and length of the content of the Bytes whose address is in a local."""
    writer.code.get(source)
    writer.code.i32(LENGTH_BYTES)
    writer.code.op(Op.I32_ADD)
    writer.code.get(source)
    writer.code.access(Op.I32_LOAD16_U, 0)


def pack(writer: Writer, expression: Pack) -> None:
    """The encodings of values side by side."""
    to = writer.temporary(expression.type)
    _set_length(writer, to, expression.type.capacity)
    place = to + LENGTH_BYTES
    for part in expression.parts:
        kind = type_of(part)
        writer.put(place, part, kind)
        place += values.size(kind)
    writer.code.i32(to)

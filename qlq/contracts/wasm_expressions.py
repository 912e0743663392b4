"""Expressions as WebAssembly: each leaves its value, or the address of it, on the stack.

An address is that of a constant, of the call's environment or arguments, of a variable, or of
a temporary that belongs to this one expression; nothing writes there before it has been used.
What a called function gives back may stand in that function's frame, so it is copied at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from qlq.contracts import (
    encoding,
    values,
    wasm_bytes,
    wasm_crossings,
    wasm_frame,
    wasm_memory,
)
from qlq.contracts.expressions import (
    Arithmetic,
    ByteAt,
    CallContract,
    CallFunction,
    CallHost,
    Choose,
    Compare,
    Comparison,
    Concatenate,
    Convert,
    Environment,
    Expression,
    Join,
    Junction,
    Length,
    Literal,
    Load,
    Make,
    MulDiv,
    Not,
    Operator,
    Pack,
    Part,
    ReadEnvironment,
    ReadLocal,
    Slice,
)
from qlq.contracts.program import Program
from qlq.contracts.values import Plain, StructType
from qlq.contracts.wasm_binary import Op, Value
from qlq.contracts.wasm_frame import Body
from qlq.contracts.wasm_writer import Place, Writer, type_of
from qlq.errors import InvariantBroken

_I32 = Value.I32

_ENVIRONMENT = {
    Environment.SENDER: wasm_memory.SENDER,
    Environment.VALUE: wasm_memory.VALUE,
    Environment.ASSET: wasm_memory.ASSET,
    Environment.HEIGHT: wasm_memory.HEIGHT,
    Environment.TIME: wasm_memory.TIME,
    Environment.CHAIN: wasm_memory.CHAIN,
    Environment.THIS: wasm_memory.THIS,
}
_CHECKED = {
    Operator.ADD: "add",
    Operator.SUBTRACT: "subtract",
    Operator.MULTIPLY: "multiply",
    Operator.DIVIDE: "divide",
    Operator.REMAINDER: "remainder",
    Operator.SHIFT_LEFT: "shift_left",
    Operator.SHIFT_RIGHT: "shift_right",
}
_BITWISE = {Operator.AND: Op.I64_AND, Operator.OR: Op.I64_OR, Operator.XOR: Op.I64_XOR}
_BITWISE_128 = {Operator.AND: "and128", Operator.OR: "or128", Operator.XOR: "xor128"}
_COMPARE_64 = {
    Comparison.EQUAL: Op.I64_EQ,
    Comparison.NOT_EQUAL: Op.I64_NE,
    Comparison.LESS: Op.I64_LT_U,
    Comparison.LESS_EQUAL: Op.I64_LE_U,
    Comparison.GREATER: Op.I64_GT_U,
    Comparison.GREATER_EQUAL: Op.I64_GE_U,
}
_COMPARE_32 = {
    Comparison.EQUAL: Op.I32_EQ,
    Comparison.NOT_EQUAL: Op.I32_NE,
    Comparison.LESS: Op.I32_LT_U,
    Comparison.LESS_EQUAL: Op.I32_LE_U,
    Comparison.GREATER: Op.I32_GT_U,
    Comparison.GREATER_EQUAL: Op.I32_GE_U,
}


class Expressions(Writer):
    """Writes all kinds of expressions."""

    def __init__(self, body: Body, program: Program, places: Mapping[int, Place]) -> None:
        """Write into this body."""
        super().__init__(body, program, places)
        self._writers: dict[type, Callable[[Any], None]] = {
            Literal: self._literal,
            ReadLocal: self._read_local,
            ReadEnvironment: self._read_environment,
            Load: self._load,
            Arithmetic: self._arithmetic,
            MulDiv: self._multiply_divide,
            Compare: self._compare,
            Not: self._not,
            Join: self._join,
            Choose: self._choose,
            Part: self._part,
            Make: self._make,
            Convert: partial(wasm_bytes.convert, self),
            Length: partial(wasm_bytes.length, self),
            ByteAt: partial(wasm_bytes.byte_at, self),
            Slice: partial(wasm_bytes.cut, self),
            Concatenate: partial(wasm_bytes.concatenate, self),
            Pack: partial(wasm_bytes.pack, self),
            CallFunction: partial(wasm_crossings.call_function, self),
            CallHost: partial(wasm_crossings.call_host, self),
            CallContract: partial(wasm_crossings.call_contract, self),
        }

    def push(self, expression: Expression) -> None:
        """Write what leaves the value, or the address of it, on the stack."""
        self._writers[type(expression)](expression)

    def _literal(self, literal: Literal) -> None:
        kind, value = literal.type, literal.value
        if kind is Plain.U64 and isinstance(value, int):
            self.code.i64(value)
        elif wasm_frame.is_scalar(kind) and isinstance(value, int):
            self.code.i32(value)
        else:
            self.code.i32(self.body.constants.place(encoding.encode(kind, value)))

    def _read_local(self, read: ReadLocal) -> None:
        place = self.places[read.local]
        if place.local is None:
            self.code.i32(place.address)
        else:
            self.code.get(place.local)

    def _read_environment(self, read: ReadEnvironment) -> None:
        self.code.i32(_ENVIRONMENT[read.item])
        self.body.load(read.type)

    def _load(self, load: Load) -> None:
        key, key_size = self.key(load.field, load.keys)
        to = self.temporary(load.type)
        self.words(key, key_size, to, values.size(load.type))
        self.body.call("get", load.line)
        self.code.i32(to)
        self.body.load(load.type)

    def _arithmetic(self, arithmetic: Arithmetic) -> None:
        operator = arithmetic.operator
        if arithmetic.type is Plain.U64:
            self.push(arithmetic.left)
            self.push(arithmetic.right)
            if operator in _BITWISE:
                self.code.op(_BITWISE[operator])
            else:
                self.body.call(_CHECKED[operator], arithmetic.line)
            return
        to = self.temporary(arithmetic.type)
        quotients = {Operator.DIVIDE: (to, None), Operator.REMAINDER: (None, to)}
        if operator in quotients:
            unused = self.temporary(arithmetic.type)
            self.words(*(unused if place is None else place for place in quotients[operator]))
        else:
            self.code.i32(to)
        self.push(arithmetic.left)
        self.push(arithmetic.right)
        if operator in _BITWISE_128:
            self.body.call(_BITWISE_128[operator])
        elif operator in quotients:
            self.body.call("divide128", arithmetic.line)
        else:
            self.body.call(f"{_CHECKED[operator]}128", arithmetic.line)
        self.code.i32(to)

    def _multiply_divide(self, expression: MulDiv) -> None:
        operands = (expression.left, expression.right, expression.divisor)
        if expression.type is Plain.U64:
            for operand in operands:
                self.push(operand)
            self.body.call("multiply_divide", expression.line)
            return
        to = self.temporary(expression.type)
        self.code.i32(to)
        for operand in operands:
            self.push(operand)
        self.body.call("multiply_divide128", expression.line)
        self.code.i32(to)

    def _compare(self, compare: Compare) -> None:
        kind, comparison = type_of(compare.left), compare.comparison
        self.push(compare.left)
        self.push(compare.right)
        if wasm_frame.is_scalar(kind):
            table = _COMPARE_64 if kind is Plain.U64 else _COMPARE_32
            self.code.op(table[comparison])
        elif comparison in (Comparison.EQUAL, Comparison.NOT_EQUAL):
            self.code.i32(values.size(kind))
            self.body.call("equal")
            if comparison is Comparison.NOT_EQUAL:
                self.code.op(Op.I32_EQZ)
        else:
            self._less_128(comparison)

    def _less_128(self, comparison: Comparison) -> None:
        """The other comparisons are `less` with operands exchanged, or not less."""
        if comparison in (Comparison.GREATER, Comparison.LESS_EQUAL):
            with self.body.spare(_I32) as left, self.body.spare(_I32) as right:
                self.code.set(right)
                self.code.set(left)
                self.code.get(right)
                self.code.get(left)
        self.body.call("less128")
        if comparison in (Comparison.LESS_EQUAL, Comparison.GREATER_EQUAL):
            self.code.op(Op.I32_EQZ)

    def _not(self, expression: Not) -> None:
        self.push(expression.operand)
        self.code.op(Op.I32_EQZ)

    def _join(self, join: Join) -> None:
        self.push(join.left)
        self.code.block(Op.IF, _I32)
        if join.junction is Junction.OR:
            self.code.i32(1)
            self.code.op(Op.ELSE)
        self.body.charge(join.units)
        self.push(join.right)
        if join.junction is Junction.AND:
            self.code.op(Op.ELSE)
            self.code.i32(0)
        self.code.op(Op.END)

    def _choose(self, choose: Choose) -> None:
        self.push(choose.condition)
        self.code.block(Op.IF, wasm_frame.value_of(choose.type))
        self.body.charge(choose.then_units)
        self.push(choose.then)
        self.code.op(Op.ELSE)
        self.body.charge(choose.otherwise_units)
        self.push(choose.otherwise)
        self.code.op(Op.END)

    def _part(self, part: Part) -> None:
        whole = type_of(part.whole)
        if not isinstance(whole, StructType):
            raise InvariantBroken(f"a part of {whole}")
        self.push(part.whole)
        self.body.load(part.type, wasm_frame.part_offset(whole, part.index))

    def _make(self, make: Make) -> None:
        address = place = self.temporary(make.type)
        for expression, (_, kind) in zip(make.parts, make.type.fields, strict=True):
            self.put(place, expression, kind)
            place += values.size(kind)
        self.code.i32(address)

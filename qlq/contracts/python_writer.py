"""A program as the text of Python functions that hold no name of the source.

Functions are f0, f1, ..., locals l0, l1, ..., types k0, k1, ...; everything else is an operation of
`python_operations`, a number or a literal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto

from qlq.contracts.expressions import (
    Arithmetic,
    ByteAt,
    CallContract,
    CallFunction,
    CallHost,
    Choose,
    Compare,
    Concatenate,
    Convert,
    Environment,
    Expression,
    HostOperation,
    Join,
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
from qlq.contracts.program import (
    Assert,
    Assign,
    Break,
    Charge,
    Continue,
    Emit,
    Evaluate,
    ForItems,
    ForRange,
    Function,
    If,
    Program,
    Return,
    Statement,
    Store,
    While,
)
from qlq.contracts.values import BytesType, EnumType, Plain, Type, size
from qlq.errors import InvariantBroken

_BOUNDED = {
    Operator.ADD: "add", Operator.MULTIPLY: "multiply", Operator.SHIFT_LEFT: "shift_left",
    Operator.SHIFT_RIGHT: "shift_right",
}  # fmt: skip
_UNBOUNDED = {
    Operator.SUBTRACT: "subtract", Operator.DIVIDE: "divide", Operator.REMAINDER: "remainder",
}  # fmt: skip
_ENVIRONMENT = {
    Environment.SENDER: "h.sender", Environment.VALUE: "h.value", Environment.ASSET: "h.asset",
    Environment.HEIGHT: "h.env.height", Environment.TIME: "h.env.time_s",
    Environment.CHAIN: "h.env.chain", Environment.THIS: "h.contract",
}  # fmt: skip
_HOST = {
    HostOperation.BALANCE: "balance", HostOperation.TRANSFER: "transfer",
    HostOperation.SHA256: "sha256", HostOperation.SHA3_256: "sha3_256",
    HostOperation.VERIFY_ED25519: "verify_ed25519", HostOperation.VERIFY_MLDSA65: "verify_mldsa65",
    HostOperation.BEACON_NEXT_ROUND: "beacon_next_round",
    HostOperation.BEACON_VALUE: "beacon_value", HostOperation.BEACON_UNIFORM: "beacon_uniform",
    HostOperation.BEACON_QUALITY: "beacon_quality",
}  # fmt: skip


class Tracing(Enum):
    """Whether the functions tell of each statement."""

    OFF = auto()
    ON = auto()


class Writer:
    """Writes one program."""

    def __init__(self, program: Program, tracing: Tracing) -> None:
        """Nothing is written yet."""
        self._program = program
        self._tracing = tracing
        self._lines: list[str] = []
        self._kinds: list[Type] = []
        self._loops = 0
        self._number = 0

    def text(self) -> str:
        """All functions, one after the other."""
        for number, function in enumerate(self._program.functions):
            self._function(number, function)
        return "\n".join(self._lines) + "\n"

    def kinds(self) -> dict[str, Type]:
        """The types that the text names."""
        return {f"k{number}": kind for number, kind in enumerate(self._kinds)}

    def _function(self, number: int, function: Function) -> None:
        self._number = number
        names = [f"l{local}" for local in range(len(function.locals))]
        self._lines.append(f"def f{number}({', '.join(['h', *names[: function.parameters]])}):")
        for name in names[function.parameters :]:
            self._lines.append(f" {name} = None")
        self._block(function.body, " ", names)

    def _block(self, body: Sequence[Statement], indent: str, names: Sequence[str]) -> None:
        for statement in body:
            if self._tracing is Tracing.ON and not isinstance(statement, Charge):
                place = f"{self._number}, {statement.line}"
                self._lines.append(f"{indent}trace(h, {place}{_listed(names)})")
            self._statement(statement, indent, names)
        if not body:
            self._lines.append(f"{indent}pass")

    def _statement(self, statement: Statement, indent: str, names: Sequence[str]) -> None:
        inner = indent + " "
        match statement:
            case If(condition, then, otherwise):
                self._lines.append(f"{indent}if {self._value(condition)}:")
                self._block(then, inner, names)
                if otherwise:
                    self._lines.append(f"{indent}else:")
                    self._block(otherwise, inner, names)
            case While(units, condition, body):
                test = f"pay(h, {units}) and {self._value(condition)}"
                self._lines.append(f"{indent}while {test}:")
                self._block(body, inner, names)
            case ForRange(local, start, stop, units, body):
                self._loops += 1
                now, end = f"r{self._loops}", f"s{self._loops}"
                self._lines += [
                    f"{indent}{now}, {end} = {self._value(start)}, {self._value(stop)}",
                    f"{indent}while pay(h, {units}) and {now} < {end}:",
                    f"{inner}l{local} = {now}",
                    f"{inner}{now} += 1",
                ]
                self._block(body, inner, names)
            case ForItems(field, keys, start, count, key_local, value_local, units, body):
                self._loops += 1
                now, page = f"r{self._loops}", f"s{self._loops}"
                place = f"{statement.line}, {field}, {count}{self._values([*keys, start])}"
                self._lines += [
                    f"{indent}{now}, {page} = 0, page(h, {place})",
                    f"{indent}while pay(h, {units}) and {now} < size({page}):",
                    f"{inner}l{key_local}, l{value_local} = {page}[{now}]",
                    f"{inner}{now} += 1",
                ]
                self._block(body, inner, names)
            case _:
                self._lines.append(indent + self._line(statement))

    def _line(self, statement: Statement) -> str:
        match statement:
            case Charge(units):
                return f"pay(h, {units})"
            case Assign(local, (), value):
                return f"l{local} = {self._value(value)}"
            case Assign(local, path, value):
                return f"l{local} = changed(l{local}, {path!r}, {self._value(value)})"
            case Store(field, value, keys, line):
                return f"store(h, {line}, {field}{self._values([value, *keys])})"
            case Emit(event, arguments, line):
                return f"emit(h, {line}, {event}{self._values(arguments)})"
            case Assert(condition, code, line):
                return f"{self._value(condition)} or stop({code}, {line})"
            case Return(None):
                return "return"
            case Return(value) if value is not None:
                return f"return {self._value(value)}"
            case Evaluate(call):
                return self._value(call)
            case Break():
                return "break"
            case Continue():
                return "continue"
        raise InvariantBroken(f"not a statement of one line: {statement}")

    def _values(self, values: Iterable[Expression]) -> str:
        return _listed([self._value(value) for value in values])

    def _value(self, expression: Expression) -> str:
        match expression:
            case Literal(_, value):
                return repr(value)
            case ReadLocal(_, local):
                return f"l{local}"
            case ReadEnvironment(_, item):
                return _ENVIRONMENT[item]
            case Load(_, field, keys, line):
                return f"load(h, {line}, {field}{self._values(keys)})"
            case Arithmetic():
                return self._arithmetic(expression)
            case MulDiv(kind, left, right, divisor, line):
                operands = ", ".join(map(self._value, (left, right, divisor)))
                return f"mul_div({operands}, {_bits(kind)}, {line})"
            case Compare(comparison, left, right):
                return f"({self._value(left)} {comparison.value} {self._value(right)})"
            case Not(operand):
                return f"(not {self._value(operand)})"
            case Join(junction, left, units, right):
                then = f"pay(h, {units}) and {self._value(right)}"
                return f"({self._value(left)} {junction.value} {then})"
            case Choose(_, condition, then_units, then, otherwise_units, otherwise):
                # `pay` is true: which value it is depends on the condition alone.
                test = f"pay(h, {then_units}) or not pay(h, {otherwise_units})"
                test = f"{self._value(condition)} and {test}"
                return f"({self._value(then)} if {test} else {self._value(otherwise)})"
            case Part(_, whole, index):
                return f"{self._value(whole)}[{index}]"
            case Make(_, parts):
                return f"({', '.join(map(self._value, parts))},)"
            case Convert():
                return self._conversion(expression)
            case Length(value):
                return f"size({self._value(value)})"
            case ByteAt(value, index, line):
                return f"byte({self._value(value)}, {self._value(index)}, {line})"
            case Slice(_, value, start, stop, line):
                operands = ", ".join(map(self._value, (value, start, stop)))
                return f"part({operands}, {line})"
            case Concatenate(_, left, right):
                return f"({self._value(left)} + {self._value(right)})"
            case Pack(_, parts):
                return f"pack({self._types(parts)}{self._values(parts)})"
            case CallFunction(_, function, arguments):
                return f"f{function}(h{self._values(arguments)})"
            case CallHost(_, operation, arguments, line):
                return f"ask({line}, h.{_HOST[operation]}{self._values(arguments)})"
            case CallContract():
                return self._foreign(expression)

    def _arithmetic(self, expression: Arithmetic) -> str:
        operator, line = expression.operator, expression.line
        left, right = self._value(expression.left), self._value(expression.right)
        if operator in _BOUNDED:
            return f"{_BOUNDED[operator]}({left}, {right}, {_bits(expression.type)}, {line})"
        if operator in _UNBOUNDED:
            return f"{_UNBOUNDED[operator]}({left}, {right}, {line})"
        return f"({left} {operator.value} {right})"

    def _conversion(self, expression: Convert) -> str:
        value, line = self._value(expression.value), expression.line
        match expression.value.type, expression.type:
            case Plain.U128, Plain.U64:
                return f"narrow({value}, {_bits(Plain.U64)}, {line})"
            case Plain.BOOL, Plain.U64 | Plain.U128:
                return f"number({value})"
            case Plain.U64, EnumType(_, members):
                return f"member({value}, {len(members)}, {line})"
            case BytesType(), BytesType(capacity):
                return f"fit({value}, {capacity}, {line})"
            case BytesType(), Plain():
                return f"exact({value}, {line})"
        return value

    def _foreign(self, call: CallContract) -> str:
        result = "None" if call.type is None else self._type(call.type)
        method = f"({call.method_id!r}, {self._types(call.arguments)}, {result})"
        place = f"{call.line}, {method}"
        return f"call(h, {place}{self._values([call.contract, *call.arguments])})"

    def _types(self, parts: Iterable[Expression]) -> str:
        return f"({''.join(self._type(part.type) + ',' for part in parts if part.type)})"

    def _type(self, kind: Type) -> str:
        if kind not in self._kinds:
            self._kinds.append(kind)
        return f"k{self._kinds.index(kind)}"


def _listed(names: Iterable[str]) -> str:
    return "".join(f", {name}" for name in names)


def _bits(kind: Type) -> int:
    return 8 * size(kind)

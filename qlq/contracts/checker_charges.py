"""Where gas is charged, and how much: by basic block, at its entry.

The cost of an expression is its own and that of its operands, except operands that may not be
evaluated: those have their own charge. What the host does is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable

from qlq.contracts import gas
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
    Expression,
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
    If,
    Return,
    Statement,
    Store,
    While,
)
from qlq.contracts.values import Plain, Type, words

_PRODUCTS = (Operator.MULTIPLY, Operator.DIVIDE, Operator.REMAINDER)


def cost(expression: Expression) -> int:
    """Units that are charged before the expression is evaluated."""
    match expression:
        case Literal() | ReadLocal() | ReadEnvironment():
            return gas.SIMPLE
        case Arithmetic(kind, operator, left, right):
            return _arithmetic(kind, operator) + cost(left) + cost(right)
        case Compare(_, left, right):
            wide = left.type is Plain.U128
            own = gas.SIMPLE_128 if wide else gas.SIMPLE + _words([left])
            return own + cost(left) + cost(right)
        case MulDiv(kind, left, right, divisor):
            own = gas.MUL_DIV_128 if kind is Plain.U128 else gas.MUL_DIV
            return own + _all((left, right, divisor))
        case Not(operand) | Length(operand) | Part(_, operand):
            return gas.SIMPLE + cost(operand)
        case Join(_, left):
            return gas.SIMPLE + cost(left)
        case Choose(kind, condition):
            return gas.SIMPLE + _copy(kind) + cost(condition)
        case Load(kind, _, keys):
            return gas.SIMPLE + _copy(kind) + _words(keys) + _all(keys)
        case Make(kind, parts) | Pack(kind, parts):
            return gas.SIMPLE + _copy(kind) + _all(parts)
        case Convert(kind, operand):
            return gas.SIMPLE + _copy(kind) + cost(operand)
        case ByteAt(operand, index):
            return gas.SIMPLE + cost(operand) + cost(index)
        case Slice(kind, operand, start, stop):
            return gas.SIMPLE + _copy(kind) + _all((operand, start, stop))
        case Concatenate(kind, left, right):
            return gas.SIMPLE + _copy(kind) + cost(left) + cost(right)
        case CallFunction(_, _, arguments):
            return gas.INTERNAL_CALL + _words(arguments) + _all(arguments)
        case CallHost(_, _, arguments):
            return gas.SIMPLE + _all(arguments)
        case CallContract(kind, contract, _, arguments):
            own = gas.SIMPLE + (_copy(kind) if kind else 0) + _words(arguments)
            return own + cost(contract) + _all(arguments)


def charged(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """The statements of a block, with a charge before each run that has no branch in it.

    A branch ends a run: its condition, bounds or start belong to the run before it.
    """
    block: list[Statement] = []
    run: list[Statement] = []
    units = 0
    for statement in statements:
        run.append(statement)
        units += _own(statement)
        if isinstance(statement, If | While | ForRange | ForItems):
            block += [Charge(units), *run] if units else run
            run, units = [], 0
    return (*block, *([Charge(units)] if units else []), *run)


def _own(statement: Statement) -> int:
    match statement:
        case Assign(_, _, value):
            return gas.SIMPLE + _words([value]) + cost(value)
        case Store(_, value, keys):
            return gas.SIMPLE + _words([value, *keys]) + cost(value) + _all(keys)
        case Emit(_, arguments):
            return gas.SIMPLE + _words(arguments) + _all(arguments)
        case If(condition) | Assert(condition):
            return gas.SIMPLE + cost(condition)
        case ForRange(_, start, stop):
            return gas.SIMPLE + cost(start) + cost(stop)
        case ForItems(_, keys, start):
            return gas.SIMPLE + _words([*keys, start]) + _all(keys) + cost(start)
        case Return(value):
            return gas.SIMPLE + (_words([value]) + cost(value) if value else 0)
        case Evaluate(call):
            return cost(call)
        case Break() | Continue():
            return gas.SIMPLE
        case While() | Charge():
            return 0


def turn(condition: Expression | None = None) -> int:
    """Units of a loop for each test whether there is another turn."""
    return gas.LOOP_TURN + (cost(condition) if condition else 0)


def page_turn(key: Type, value: Type) -> int:
    """Units of a loop over a page for each test; a turn copies a key and a value."""
    return gas.LOOP_TURN + _copy(key) + _copy(value)


def _arithmetic(kind: Type, operator: Operator) -> int:
    if kind is not Plain.U128:
        return gas.PRODUCT if operator in _PRODUCTS else gas.SIMPLE
    if operator is Operator.MULTIPLY:
        return gas.PRODUCT_128
    return gas.QUOTIENT_128 if operator in _PRODUCTS else gas.SIMPLE_128


def _copy(kind: Type) -> int:
    return gas.WORD * words(kind)


def _words(values: Iterable[Expression]) -> int:
    return sum(_copy(value.type) for value in values if value.type is not None)


def _all(values: Iterable[Expression]) -> int:
    return sum(map(cost, values))

"""Expressions: names resolved, types checked, in the order in which Python evaluates them."""

from __future__ import annotations

import ast

from qlq import contract
from qlq.contracts import checker_charges
from qlq.contracts.checker_names import BYTES_MAX
from qlq.contracts.checker_scope import Effect, Scope, mismatch
from qlq.contracts.encoding import describe
from qlq.contracts.expressions import (
    Arithmetic,
    ByteAt,
    Choose,
    Compare,
    Comparison,
    Concatenate,
    Convert,
    Environment,
    Expression,
    Join,
    Junction,
    Literal,
    Load,
    Not,
    Operator,
    Part,
    ReadEnvironment,
    Slice,
)
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type, size

_OPERATORS = {
    ast.Add: Operator.ADD, ast.Sub: Operator.SUBTRACT, ast.Mult: Operator.MULTIPLY,
    ast.FloorDiv: Operator.DIVIDE, ast.Mod: Operator.REMAINDER, ast.BitAnd: Operator.AND,
    ast.BitOr: Operator.OR, ast.BitXor: Operator.XOR, ast.LShift: Operator.SHIFT_LEFT,
    ast.RShift: Operator.SHIFT_RIGHT,
}  # fmt: skip
_COMPARISONS = {
    ast.Eq: Comparison.EQUAL, ast.NotEq: Comparison.NOT_EQUAL, ast.Lt: Comparison.LESS,
    ast.LtE: Comparison.LESS_EQUAL, ast.Gt: Comparison.GREATER,
    ast.GtE: Comparison.GREATER_EQUAL,
}  # fmt: skip
_ENVIRONMENT: dict[str, dict[str, tuple[Environment, Type, Effect | None]]] = {
    "msg": {
        "sender": (Environment.SENDER, Plain.ADDRESS, Effect.READS_SENDER),
        "value": (Environment.VALUE, Plain.U64, Effect.READS_VALUE),
        "asset": (Environment.ASSET, Plain.ASSET, Effect.READS_ASSET),
    },
    "block": {
        "height": (Environment.HEIGHT, Plain.U64, None),
        "time": (Environment.TIME, Plain.U64, None),
    },
}
_CONSTANTS = {
    "U64_MAX": Literal(Plain.U64, contract.U64_MAX),
    "U128_MAX": Literal(Plain.U128, contract.U128_MAX),
    "NATIVE": Literal(Plain.ASSET, bytes(size(Plain.ASSET))),
}
_NUMBERS = (Plain.U64, Plain.U128)


def typed(scope: Scope, node: ast.expr, kind: Type) -> Expression:
    """The value of an expression that must be of this type; shorter Bytes become longer ones."""
    return _fitted(scope, checked(scope, node, kind), kind, node)


def _fitted(scope: Scope, found: Expression, kind: Type, node: ast.expr) -> Expression:
    if found.type == kind:
        return found
    if (
        isinstance(kind, BytesType)
        and isinstance(found.type, BytesType)
        and found.type.capacity < kind.capacity
    ):
        if isinstance(found, Literal):
            return Literal(kind, found.value)
        return Convert(kind, found, node.lineno)
    raise mismatch(scope, found, kind, node)


def value(scope: Scope, node: ast.expr, expected: Type | None = None) -> tuple[Expression, Type]:
    """An expression and its type; what is expected says no more than what a literal is."""
    found = checked(scope, node, expected)
    if found.type is None:
        raise scope.error("the call returns nothing", "call it on a line of its own", node)
    return found, found.type


def checked(scope: Scope, node: ast.expr, expected: Type | None) -> Expression:
    """An expression, which may be a call that returns nothing."""
    match node:
        case ast.Constant():
            return _literal(scope, node, expected)
        case ast.Name():
            return _name(scope, node)
        case ast.Attribute():
            return _attribute(scope, node)
        case ast.Subscript():
            return _subscript(scope, node)
        case ast.BinOp():
            return _arithmetic(scope, node, expected)
        case ast.BoolOp():
            return _join(scope, node)
        case ast.UnaryOp():
            return Not(typed(scope, node.operand, Plain.BOOL))
        case ast.IfExp():
            return _choose(scope, node, expected)
        case ast.Compare():
            return _compare(scope, node)
        case ast.Call():
            return scope.call(scope, node, expected)
    raise scope.error("this is no value", "see docs/contracts-language.md for what is", node)


def is_literal(node: ast.expr) -> bool:
    """Whether an expression is made of whole numbers alone, which take their neighbour's type."""
    if isinstance(node, ast.BinOp):
        return is_literal(node.left) and is_literal(node.right)
    return isinstance(node, ast.Constant) and type(node.value) is int


def pair(
    scope: Scope, left: ast.expr, right: ast.expr, expected: Type | None
) -> tuple[Expression, Expression, Type]:
    """Two values of one type: literals take that of the other side, Bytes the larger capacity."""
    if is_literal(left) and not is_literal(right):
        second, kind = value(scope, right, expected)
        return typed(scope, left, kind), second, kind
    first, kind = value(scope, left, expected)
    second, other = value(scope, right, kind)
    if isinstance(kind, BytesType) and isinstance(other, BytesType):
        kind = max(kind, other, key=size)
    return _fitted(scope, first, kind, left), _fitted(scope, second, kind, right), kind


def _literal(scope: Scope, node: ast.Constant, expected: Type | None) -> Literal:
    match node.value:
        case bool(truth):
            return Literal(Plain.BOOL, truth)
        case int(number):
            kind = expected if expected in _NUMBERS else Plain.U64
            if number >> (8 * size(kind)):
                raise scope.error(f"{number} is no {describe(kind)}", "it is too large", node)
            return Literal(kind, number)
        case bytes(content):
            if len(content) > BYTES_MAX:
                raise scope.error("too many bytes", f"at most {BYTES_MAX}", node)
            if isinstance(expected, BytesType) and len(content) <= expected.capacity:
                return Literal(expected, content)
            return Literal(BytesType(max(1, len(content))), content)
        case str():
            raise scope.error("text is no value", 'write b"..." for bytes', node)
    raise scope.error(
        f"{node.value!r} is no value of the language", "zero values stand for nothing", node
    )


def _name(scope: Scope, node: ast.Name) -> Expression:
    name, names = node.id, scope.names
    if name in scope.numbers:
        return scope.read(name, node)
    if name in names.constants:
        return names.constants[name]
    names.needs(name, node)
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name == "this":
        return ReadEnvironment(Plain.ADDRESS, Environment.THIS)
    if name == "chain_id":
        return ReadEnvironment(Plain.BYTES32, Environment.CHAIN)
    if name in names.fields:
        raise scope.error(f"'{name}' is a field of the contract", f"write self.{name}", node)
    if name in names.imported or name in names.declared or name == "self":
        raise scope.error(f"'{name}' alone is no value", "use what it holds, or call it", node)
    raise names.unknown("variable", name, (*scope.numbers, *names.constants), node)


def _attribute(scope: Scope, node: ast.Attribute) -> Expression:
    names = scope.names
    match node.value:
        case ast.Name(id="self"):
            return _field(scope, node, ())
        case ast.Name(id="msg" | "block" as group) if group not in scope.numbers:
            names.needs(group, node)
            if node.attr not in _ENVIRONMENT[group]:
                raise names.unknown(f"part of {group}", node.attr, _ENVIRONMENT[group], node)
            item, of, effect = _ENVIRONMENT[group][node.attr]
            if effect:
                scope.note(effect, node)
            return ReadEnvironment(of, item)
        case ast.Name(id=name) if isinstance(kind := names.types.get(name), EnumType):
            if node.attr not in kind.members:
                raise names.unknown(f"member of {name}", node.attr, kind.members, node)
            return Literal(kind, kind.members.index(node.attr))
    whole, kind = value(scope, node.value)
    number = part_number(scope, kind, node)
    return Part(_parts(kind)[number][1], whole, number)


def part_number(scope: Scope, kind: Type, node: ast.Attribute) -> int:
    """Which field of a struct of this type an attribute names."""
    if not isinstance(kind, StructType):
        raise scope.error(
            f"{describe(kind)} has no parts", f"leave .{node.attr} out; only structs have", node
        )
    parts = [name for name, _ in kind.fields]
    if node.attr not in parts:
        raise scope.names.unknown(f"field of {kind.name}", node.attr, parts, node)
    return parts.index(node.attr)


def _parts(kind: Type) -> tuple[tuple[str, Type], ...]:
    return kind.fields if isinstance(kind, StructType) else ()


def _field(scope: Scope, node: ast.Attribute, keys: tuple[ast.expr, ...]) -> Load:
    number = field_number(scope, node)
    field = scope.names.fields[node.attr]
    return Load(field.value, number, map_keys(scope, node, keys), node.lineno)


def field_number(scope: Scope, node: ast.Attribute) -> int:
    """Which field of the state `self.name` is."""
    names = scope.names
    if node.attr in names.functions or node.attr in names.events:
        raise scope.error(f"'{node.attr}' is no field", f"call it: self.{node.attr}(...)", node)
    if node.attr not in names.fields:
        raise names.unknown("field of the contract", node.attr, names.fields, node)
    return list(names.fields).index(node.attr)


def map_keys(
    scope: Scope, node: ast.Attribute, keys: tuple[ast.expr, ...]
) -> tuple[Expression, ...]:
    """All keys of a field's entry."""
    kinds = scope.names.fields[node.attr].keys
    if len(keys) < len(kinds):
        raise scope.error(
            f"'{node.attr}' needs {len(kinds)} keys, not {len(keys)}",
            f"write self.{node.attr}" + "[...]" * len(kinds), node,
        )  # fmt: skip
    return tuple(typed(scope, key, kind) for key, kind in zip(keys, kinds, strict=True))


def map_entry(scope: Scope, node: ast.expr) -> tuple[ast.Attribute, tuple[ast.expr, ...]] | None:
    """The field and the keys of `self.name[key]...` with as many keys as are written; else None."""
    keys: list[ast.expr] = []
    while isinstance(node, ast.Subscript):
        keys.append(node.slice)
        node = node.value
    match node:
        case ast.Attribute(value=ast.Name(id="self")) if node.attr in scope.names.fields:
            return node, tuple(keys[::-1])
    return None


def _subscript(scope: Scope, node: ast.Subscript) -> Expression:
    entry = map_entry(scope, node)
    if entry is not None:
        field, keys = entry
        if len(keys) <= len(scope.names.fields[field.attr].keys):
            return _field(scope, field, keys)
    whole, kind = value(scope, node.value)
    if not isinstance(kind, BytesType):
        raise scope.error(f"{describe(kind)} has no elements", "only Map and Bytes have", node)
    match node.slice:
        case ast.Slice(lower, upper):
            if lower is None or upper is None:
                raise scope.error("a slice has both ends", "write value[0:len(value)]", node)
            start, stop = typed(scope, lower, Plain.U64), typed(scope, upper, Plain.U64)
            return Slice(kind, whole, start, stop, node.lineno)
    return ByteAt(whole, typed(scope, node.slice, Plain.U64), node.lineno)


def binary(
    scope: Scope, operator: ast.operator, left: Expression, right: Expression, node: ast.AST
) -> Expression:
    """An operation on two values that are checked and of one type, unless they are Bytes."""
    kind, line = left.type, getattr(node, "lineno", 0)
    if isinstance(operator, ast.Add) and isinstance(kind, BytesType):
        if not isinstance(right.type, BytesType):
            raise mismatch(scope, right, kind, node)
        together = BytesType(kind.capacity + right.type.capacity)
        if together.capacity > BYTES_MAX:
            raise scope.error(
                f"{together.capacity} bytes together", f"at most {BYTES_MAX}: slice first", node
            )
        return Concatenate(together, left, right)
    if kind not in _NUMBERS:
        sign = _OPERATORS[type(operator)].value
        raise scope.error(
            f"no '{sign}' of {describe(kind) if kind else 'nothing'}",
            "arithmetic is for u64 and u128, + for Bytes too", node,
        )  # fmt: skip
    return Arithmetic(kind, _OPERATORS[type(operator)], left, right, line)


def _arithmetic(scope: Scope, node: ast.BinOp, expected: Type | None) -> Expression:
    if isinstance(node.op, ast.Add) and not is_literal(node.left):
        # what is expected of the sum says nothing of the capacity of its first part
        left, kind = value(scope, node.left, expected if expected in _NUMBERS else None)
        if isinstance(kind, BytesType):
            return binary(scope, node.op, left, value(scope, node.right)[0], node)
        return binary(scope, node.op, left, typed(scope, node.right, kind), node)
    left, right, _ = pair(scope, node.left, node.right, expected)
    return binary(scope, node.op, left, right, node)


def _join(scope: Scope, node: ast.BoolOp) -> Expression:
    junction = Junction.AND if isinstance(node.op, ast.And) else Junction.OR
    joined = typed(scope, node.values[0], Plain.BOOL)
    for following in node.values[1:]:
        right = typed(scope, following, Plain.BOOL)
        joined = Join(junction, joined, checker_charges.cost(right), right)
    return joined


def _choose(scope: Scope, node: ast.IfExp, expected: Type | None) -> Choose:
    condition = typed(scope, node.test, Plain.BOOL)
    then, otherwise, kind = pair(scope, node.body, node.orelse, expected)
    units = checker_charges.cost(then), checker_charges.cost(otherwise)
    return Choose(kind, condition, units[0], then, units[1], otherwise)


def _compare(scope: Scope, node: ast.Compare) -> Compare:
    if len(node.ops) > 1:
        raise scope.error("comparisons are not chained", "write a < b and b < c", node)
    left, right, kind = pair(scope, node.left, node.comparators[0], None)
    comparison = _COMPARISONS[type(node.ops[0])]
    if isinstance(kind, StructType):
        raise scope.error("structs are not compared", "compare their fields", node)
    ordered = kind in _NUMBERS or isinstance(kind, EnumType)
    if not ordered and comparison not in (Comparison.EQUAL, Comparison.NOT_EQUAL):
        raise scope.error(f"{describe(kind)} has no order", "use == or !=", node)
    return Compare(comparison, left, right)

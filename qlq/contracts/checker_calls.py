"""Calls: conversions, structs, functions of the language, of this contract and of others."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

from qlq.contracts import checker_expressions as expressions
from qlq.contracts.checker_names import BYTES_MAX, QUALITY
from qlq.contracts.checker_scope import Effect, Scope
from qlq.contracts.encoding import describe
from qlq.contracts.expressions import (
    CallContract,
    CallFunction,
    CallHost,
    Convert,
    Expression,
    HostOperation,
    Length,
    Literal,
    Load,
    Make,
    MulDiv,
    Pack,
)
from qlq.contracts.program import FunctionKind, Named, method_id, signature_of
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type, size, zero

BEACON_DELAY_MIN = 2
_WIDE = (Plain.ADDRESS, Plain.BYTES32, Plain.ASSET)
_NUMBERS = (Plain.U64, Plain.U128)
_WIDE_BYTES = 32
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_Builtin = Callable[[Scope, ast.Call, Type | None], Expression]


def call(scope: Scope, node: ast.Call, expected: Type | None) -> Expression:
    """A call, of whatever kind."""
    match node.func:
        case ast.Name(id=name) if isinstance(kind := scope.names.types.get(name), StructType):
            return _struct(scope, node, kind)
        case ast.Name(id=name) if name in scope.names.types:
            return _conversion(scope, node, scope.names.types[name])
        case ast.Subscript(value=ast.Name(id="Bytes")):
            return _conversion(scope, node, scope.names.type_of(node.func))
        case ast.Name(id="bool"):
            raise scope.error("bool is no function here", "compare: value != 0", node)
        case ast.Name(id=name) if name in _BUILTINS:
            scope.names.needs(name, node.func)
            return _BUILTINS[name](scope, node, expected)
        case ast.Attribute(value=ast.Name(id="self")):
            return _internal(scope, node, node.func)
        case ast.Attribute(value=ast.Name(id="ledger" | "beacon" as group)):
            scope.names.needs(group, node.func)
            return _of_the_host(scope, node, f"{group}.{node.func.attr}")
        case ast.Attribute(value=ast.Call(func=ast.Name(id="at")) as contract):
            scope.names.needs("at", contract.func)
            return _foreign(scope, node, contract, node.func)
        case ast.Attribute(value=ast.Call(func=ast.Name(id=name))) if (
            name in scope.names.interfaces
        ):
            hint = f"write at({name}, address).{node.func.attr}(...)"
            raise scope.error(f"'{name}' is an interface", hint, node)
        case ast.Attribute(attr="items"):
            raise scope.error("a page is no value", "write for key, value in ...items()", node)
        case ast.Name(id=name):
            scope.names.needs(name, node.func)
            if name in scope.names.interfaces:
                hint = f"write at({name}, address).method(...)"
                raise scope.error(f"'{name}' is an interface", hint, node)
            if name in scope.names.functions:
                raise scope.error(f"'{name}' is a method", f"write self.{name}(...)", node)
            if name in _ELSEWHERE:
                raise scope.error(f"there is no '{name}' here", _ELSEWHERE[name], node)
            raise scope.names.unknown("function", name, (*_BUILTINS, *scope.names.types), node)
        case ast.Attribute(attr="get" | "keys" | "values" | "pop" | "append") as method:
            hint = "write self.map[key], which is zero where nothing was written; del self.map[key]"
            raise scope.error(f"there is no '{method.attr}' here", hint, node)
    raise scope.error("this cannot be called", "call self.method(...) or a function", node)


def arguments(
    scope: Scope, node: ast.Call, kinds: Sequence[Type | None], what: str
) -> tuple[Expression, ...]:
    """As many values as there are types, each of its type; None is Bytes of any capacity."""
    if node.keywords:
        raise scope.error(
            "arguments have no names here", "give them in order", node.keywords[0].value
        )
    if len(node.args) != len(kinds):
        listed = ", ".join(describe(kind) if kind else "Bytes" for kind in kinds) or "nothing"
        raise scope.error(
            f"{what} takes {len(kinds)} arguments, not {len(node.args)}", f"it takes {listed}", node
        )
    return tuple(
        expressions.typed(scope, argument, kind) if kind else _bytes(scope, argument)
        for argument, kind in zip(node.args, kinds, strict=True)
    )


def _bytes(scope: Scope, node: ast.expr) -> Expression:
    found, kind = expressions.value(scope, node)
    if not isinstance(kind, BytesType):
        raise scope.error(f"expected Bytes, got {describe(kind)}", "convert by Bytes[N]()", node)
    return found


def _struct(scope: Scope, node: ast.Call, kind: StructType) -> Make:
    """Parts by position, by name, or the first ones by position; always in the struct's order."""
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    names = [name for name, _ in kind.fields]
    named = [keyword.arg for keyword in node.keywords]
    if len(given) != len(names) or named != names[len(node.args) :]:
        raise scope.error(
            f"these are not the fields of {kind.name}",
            f"give all, in this order: {', '.join(names)}", node,
        )  # fmt: skip
    parts = zip(given, kind.fields, strict=True)
    return Make(kind, tuple(expressions.typed(scope, part, of) for part, (_, of) in parts))


def _conversion(scope: Scope, node: ast.Call, kind: Type) -> Expression:
    if node.keywords or len(node.args) > 1:
        raise scope.error(
            f"{describe(kind)}(...) takes one value", f"write {describe(kind)}(value)", node
        )
    if not node.args:
        if kind in _WIDE or isinstance(kind, BytesType):
            return Literal(kind, zero(kind))
        raise scope.error(f"{describe(kind)}() needs a value", "write the value", node)
    (argument,) = node.args
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        if kind not in _WIDE or not _HEX.fullmatch(argument.value):
            raise scope.error(
                f"this is no {describe(kind)}", "32-byte types are made of 64 hex digits", argument
            )
        return Literal(kind, bytes.fromhex(argument.value))
    found, of = expressions.value(scope, argument, kind)
    if of == kind:
        return found
    if not _is_convertible(of, kind):
        raise scope.error(
            f"{describe(of)} is not converted to {describe(kind)}",
            "see docs/contracts-language.md for what is", node,
        )  # fmt: skip
    return Convert(kind, found, node.lineno)


def _is_convertible(of: Type, to: Type) -> bool:
    if to in _NUMBERS:
        return of in _NUMBERS or of is Plain.BOOL or isinstance(of, EnumType)
    if to in _WIDE:
        return of in _WIDE or isinstance(of, BytesType)
    if isinstance(to, BytesType):
        return isinstance(of, BytesType) or (of in _WIDE and to.capacity >= _WIDE_BYTES)
    return isinstance(to, EnumType) and of is Plain.U64


def _length(scope: Scope, node: ast.Call, _: Type | None) -> Expression:
    (operand,) = _values(scope, node, "len", 1)
    if not isinstance(operand.type, BytesType):
        raise scope.error("only Bytes have a length", "maps do not know theirs: count", node)
    return Length(operand)


def _pack(scope: Scope, node: ast.Call, _: Type | None) -> Pack:
    parts = _values(scope, node, "pack", max(1, len(node.args)))
    total = sum(size(part.type) for part in parts if part.type is not None)
    if total > BYTES_MAX:
        raise scope.error(f"{total} bytes together", f"at most {BYTES_MAX}", node)
    return Pack(BytesType(total), parts)


def _hash(scope: Scope, node: ast.Call, operation: HostOperation) -> CallHost:
    (operand,) = _values(scope, node, operation.value, 1)
    if not isinstance(operand.type, BytesType):
        kind = operand.type
        if kind is None or size(kind) > BYTES_MAX:
            raise scope.error("the value is too large", f"at most {BYTES_MAX} bytes", node)
        operand = Pack(BytesType(size(kind)), (operand,))
    return CallHost(Plain.BYTES32, operation, (operand,), node.lineno)


def _sha256(scope: Scope, node: ast.Call, _: Type | None) -> CallHost:
    return _hash(scope, node, HostOperation.SHA256)


def _sha3_256(scope: Scope, node: ast.Call, _: Type | None) -> CallHost:
    return _hash(scope, node, HostOperation.SHA3_256)


def _verify_ed25519(scope: Scope, node: ast.Call, _: Type | None) -> CallHost:
    operands = arguments(scope, node, (Plain.BYTES32, None, None), "verify_ed25519")
    return CallHost(Plain.BOOL, HostOperation.VERIFY_ED25519, operands, node.lineno)


def _verify_mldsa65(scope: Scope, node: ast.Call, _: Type | None) -> CallHost:
    operands = arguments(scope, node, (None, None, None), "verify_mldsa65")
    return CallHost(Plain.BOOL, HostOperation.VERIFY_MLDSA65, operands, node.lineno)


def _mul_div(scope: Scope, node: ast.Call, expected: Type | None) -> MulDiv:
    if len(node.args) != 3 or node.keywords:  # noqa: PLR2004 - as its name says
        raise scope.error("mul_div takes 3 arguments", "write mul_div(a, b, divisor)", node)
    telling = [n for n, part in enumerate(node.args) if not expressions.is_literal(part)]
    first = telling[0] if telling else 0
    found, kind = expressions.value(scope, node.args[first], expected)
    if kind not in _NUMBERS:
        raise scope.error(f"no mul_div of {describe(kind)}", "it is for u64 and u128", node)
    left, right, divisor = (
        found if number == first else expressions.typed(scope, argument, kind)
        for number, argument in enumerate(node.args)
    )
    return MulDiv(kind, left, right, divisor, node.lineno)


def _values(scope: Scope, node: ast.Call, name: str, count: int) -> tuple[Expression, ...]:
    if len(node.args) != count or node.keywords:
        raise scope.error(
            f"{name} takes {count} argument{'s' * (count > 1)}", "give them in order", node
        )
    return tuple(expressions.value(scope, argument)[0] for argument in node.args)


_BUILTINS: dict[str, _Builtin] = {
    "len": _length,
    "pack": _pack,
    "sha256": _sha256,
    "sha3_256": _sha3_256,
    "verify_ed25519": _verify_ed25519,
    "verify_mldsa65": _verify_mldsa65,
    "mul_div": _mul_div,
}

_ELSEWHERE = {
    "int": "convert by u64(...) or u128(...)",
    "str": "there is no text: events carry values",
    "bytes": 'write b"...", pack(...) or Bytes[N](...)',
    "print": "emit an event; qlq contract replay shows every line with its values",
    "require": 'write assert condition, "why"',
    "revert": 'write assert False, "why"',
    "keccak256": "there are sha256 and sha3_256",
    **dict.fromkeys(("min", "max", "abs", "sum", "sorted", "pow"), "write if, or a loop"),
}
"""What Python or another contract language has, and what to write here."""

_HOST: dict[str, tuple[HostOperation, tuple[Type | None, ...], Type | None, Effect | None]] = {
    "ledger.balance": (
        HostOperation.BALANCE, (Plain.ADDRESS, Plain.ASSET), Plain.U64, None,
    ),
    "ledger.transfer": (
        HostOperation.TRANSFER, (Plain.ADDRESS, Plain.ASSET, Plain.U64), None, Effect.TRANSFERS,
    ),
    "beacon.next_round": (HostOperation.BEACON_NEXT_ROUND, (Plain.U64,), Plain.U64, None),
    "beacon.value": (
        HostOperation.BEACON_VALUE, (Plain.U64,), Plain.BYTES32, Effect.READS_BEACON,
    ),
    "beacon.uniform": (
        HostOperation.BEACON_UNIFORM, (Plain.U64, Plain.U64, None), Plain.U64,
        Effect.READS_BEACON,
    ),
    "beacon.quality": (
        HostOperation.BEACON_QUALITY, (Plain.U64,), QUALITY, Effect.READS_BEACON,
    ),
}  # fmt: skip


def _of_the_host(scope: Scope, node: ast.Call, name: str) -> CallHost:
    if name not in _HOST:
        raise scope.names.unknown("function", name, _HOST, node)
    operation, kinds, result, effect = _HOST[name]
    given = arguments(scope, node, kinds, name)
    if effect:
        scope.note(effect, node)
    if effect is Effect.READS_BEACON:
        _note_round(scope, given[0], node.args[0])
    if (
        operation is HostOperation.BEACON_NEXT_ROUND
        and isinstance(given[0], Literal)
        and given[0].value in range(BEACON_DELAY_MIN)
    ):
        raise scope.error(
            "the round could be known already", f"a delay of {BEACON_DELAY_MIN} or more", node
        )
    return CallHost(result, operation, given, node.lineno)


def _note_round(scope: Scope, number: Expression, node: ast.expr) -> None:
    """A round is read from the state as it stands there: it was named in an earlier block."""
    if not isinstance(number, Load):
        raise scope.error(
            "the round does not come from the state",
            "store beacon.next_round(...) in a u64 field, in an earlier block, and give that field",
            node,
        )
    scope.rounds.setdefault(number.field, node)


def _internal(scope: Scope, node: ast.Call, method: ast.Attribute) -> CallFunction:
    names = scope.names
    if method.attr in names.events:
        raise scope.error("an event is no value", "emit it on a line of its own", node)
    if method.attr not in names.functions:
        raise names.unknown("method", method.attr, (*names.functions, *names.events), node)
    header = names.functions[method.attr]
    if header.kind in (FunctionKind.INIT, FunctionKind.MIGRATE):
        raise scope.error(
            f"'{method.attr}' runs once, on its own", "move what is shared to a method", node
        )
    given = arguments(scope, node, _kinds(header.parameters), f"'{method.attr}'")
    scope.callees.setdefault(header.number, node)
    return CallFunction(header.result, header.number, given, node.lineno)


def _foreign(
    scope: Scope, node: ast.Call, contract: ast.Call, method: ast.Attribute
) -> CallContract:
    match contract.args:
        case [ast.Name(id=name), address] if name in scope.names.interfaces:
            pass
        case _:
            raise scope.error(
                "not a contract", "write at(Interface, address).method(...)", contract
            )
    if contract.keywords:
        raise scope.error("at takes two values", "write at(Interface, address)", contract)
    methods = scope.names.interfaces[name]
    if method.attr not in methods:
        raise scope.names.unknown(f"method of {name}", method.attr, methods, node)
    header = methods[method.attr]
    target = expressions.typed(scope, address, Plain.ADDRESS)
    given = arguments(scope, node, _kinds(header.parameters), f"'{method.attr}'")
    scope.note(Effect.CALLS, node)
    called = method_id(signature_of(header.name, header.parameters))
    return CallContract(header.result, target, called, given, node.lineno)


def _kinds(parameters: tuple[Named, ...]) -> tuple[Type, ...]:
    return tuple(parameter.type for parameter in parameters)

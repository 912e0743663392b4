"""From a source to a `program.Program`, or to the first error in it."""

from __future__ import annotations

import ast
from typing import Final

from qlq.contracts import (
    checker_calls,
    checker_effects,
    checker_expressions,
    checker_statements,
    language,
)
from qlq.contracts.checker_names import Header, Names
from qlq.contracts.checker_scope import Scope
from qlq.contracts.encoding import describe
from qlq.contracts.expressions import Arithmetic, Convert, Expression, Literal, Operator
from qlq.contracts.program import (
    Assertion,
    Event,
    Function,
    FunctionKind,
    Program,
    Statement,
    Upgrade,
)
from qlq.contracts.values import Plain, Value, size

EVENT_BYTES_MAX = 1024
DELAY_MAX = 1 << 32
"""Blocks between the announcement of new code and its start."""

_BASES: Final = ("Contract", "Struct", "Enum", "Interface")
_ONCE: Final = {"init": FunctionKind.INIT, "migrate": FunctionKind.MIGRATE}
_DECORATORS: Final = {"external": FunctionKind.EXTERNAL, "view": FunctionKind.VIEW}


_NOWHERE = ast.FunctionDef("", ast.arguments([], [], None, [], [], None, []), [], [])
_OUTSIDE = Header(0, "", FunctionKind.INTERNAL, (), None, _NOWHERE)
"""Stands for the function where there is none."""


def check(source: bytes, file: str = "contract.py") -> Program:
    """The program of a contract's source.

    Args:
        source: Printable ASCII, at most 32 KiB.
        file: Its name in messages.

    Raises:
        CompileError: Whatever is wrong with it, the first thing of it; nothing else.
    """
    read, tree = language.parse(source, file)
    names = Names(read)
    contract: ast.ClassDef | None = None
    for node in names.without_docstring(tree.body):
        match node:
            case ast.ImportFrom():
                names.imports(node)
            case ast.AnnAssign(target=ast.Name(id=name)):
                _constant(names, node, name)
            case ast.ClassDef():
                if _base(names, node) == "Contract":
                    if contract is not None:
                        raise names.error("a second contract", "one contract is in a file", node)
                    contract = node
            case _:
                raise names.error(
                    "this does not stand outside of classes",
                    "write imports, NAME: Type = value, and classes", node,
                )  # fmt: skip
    if contract is None:
        raise read.error(
            "there is no contract", hint="write class Name(Contract):", line=1, column=1
        )
    _members(names, contract)
    return _program(names, contract)


def _base(names: Names, node: ast.ClassDef) -> str:
    """Take the declaration of a class, but for the members of the contract."""
    match node.bases:
        case [ast.Name(id=base)] if base in _BASES:
            names.needs(base, node.bases[0])
        case _:
            hint = f"write class {node.name}(Contract), or {', '.join(_BASES[1:])}"
            raise names.error(
                f"the base of '{node.name}' is no base of a contract file", hint, node
            )
    if node.decorator_list and base != "Contract":
        raise names.error("decorators are for contracts", "remove it", node.decorator_list[0])
    names.declare(node.name, node)
    match base:
        case "Struct":
            names.struct(node)
        case "Enum":
            names.enum(node)
        case "Interface":
            names.interface(node)
    return base


def _constant(names: Names, node: ast.AnnAssign, name: str) -> None:
    kind = names.type_of(node.annotation)
    if node.value is None or not node.simple:
        raise names.error(f"'{name}' has no value", f"write {name}: Type = value", node)
    scope = Scope(names, _OUTSIDE, [], checker_calls.call)
    value = _known(names, checker_expressions.typed(scope, node.value, kind), node.value)
    names.declare(name, node)
    names.constants[name] = Literal(kind, value)


def _known(names: Names, expression: Expression, node: ast.expr) -> Value:
    """The value of an expression of numbers, or of one literal."""
    match expression:
        case Literal(_, value):
            return value
        case Convert(kind, operand) if kind in (Plain.U64, Plain.U128):
            found = _known(names, operand, node)
            if isinstance(found, int) and not found >> (8 * size(kind)):
                return found
        case Arithmetic(kind, operator, left, right):
            first, second = _known(names, left, node), _known(names, right, node)
            if isinstance(first, int) and isinstance(second, int):
                found = _computed(operator, first, second, 8 * size(kind))
                if 0 <= found < 1 << (8 * size(kind)):
                    return found
            raise names.error(f"this is no {describe(kind)}", "it is too large, or below 0", node)
    raise names.error(
        "a constant is known from the source alone", "write numbers, or one value", node
    )


def _computed(operator: Operator, left: int, right: int, bits: int) -> int:
    """The result, or a negative number where there is none."""
    match operator:
        case Operator.ADD:
            return left + right
        case Operator.SUBTRACT:
            return left - right
        case Operator.MULTIPLY:
            return left * right
        case Operator.DIVIDE:
            return left // right if right else -1
        case Operator.REMAINDER:
            return left % right if right else -1
        case Operator.AND:
            return left & right
        case Operator.OR:
            return left | right
        case Operator.XOR:
            return left ^ right
        case Operator.SHIFT_LEFT:
            return left << right if right < bits else -1
        case Operator.SHIFT_RIGHT:
            return left >> right if right < bits else -1


def _members(names: Names, contract: ast.ClassDef) -> None:
    """Take the declarations of fields, events and methods."""
    for node in names.without_docstring(contract.body):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=None, simple=1):
                names.state_field(node, name)
            case ast.AnnAssign():
                raise names.error(
                    "fields have no value here", "set it in init; until then it is zero", node
                )
            case ast.FunctionDef():
                _function(names, node)
            case _:
                raise names.error(
                    "this does not stand in a contract", "write fields, events and methods", node
                )


def _function(names: Names, node: ast.FunctionDef) -> None:
    names.member(node.name, node)
    decorators = [_decorator(names, decorator) for decorator in node.decorator_list]
    if len(decorators) > 1:
        raise names.error("two decorators", "a method has one at most", node.decorator_list[1])
    if decorators == ["event"]:
        names.events[node.name] = _event(names, node)
        return
    kind = _DECORATORS[decorators[0]] if decorators else FunctionKind.INTERNAL
    if decorators and node.name.startswith("_"):
        raise names.error(
            f"'{node.name}' is not the name of a method that anyone may call",
            "begin it with a letter: an underscore is for what a contract keeps to itself", node,
        )  # fmt: skip
    if node.name in _ONCE:
        if decorators or not (node.returns is None or _is_none(node.returns)):
            raise names.error(
                f"'{node.name}' is run by the ledger, once", "no decorator, no result", node
            )
        kind = _ONCE[node.name]
    names.functions[node.name] = names.header(node, len(names.functions), kind)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _decorator(names: Names, node: ast.expr) -> str:
    if isinstance(node, ast.Name) and node.id in (*_DECORATORS, "event"):
        names.needs(node.id, node)
        return node.id
    raise names.error("not a decorator of methods", "there are external, view and event", node)


def _event(names: Names, node: ast.FunctionDef) -> Event:
    names.stub(node)
    if node.returns is not None and not _is_none(node.returns):
        raise names.error("an event returns nothing", "write -> None", node.returns)
    given = node.args.args
    if given and given[0].arg == "self" and given[0].annotation is None:
        given = given[1:]
    parameters = names.parameters(given)
    total = sum(size(parameter.type) for parameter in parameters)
    names.bounded(total, EVENT_BYTES_MAX, "an event", node)
    return Event(node.name, parameters, node.lineno)


def _program(names: Names, contract: ast.ClassDef) -> Program:
    assertions: list[Assertion] = []
    scopes: list[Scope] = []
    bodies: list[tuple[Statement, ...]] = []
    for header in names.functions.values():
        scope = Scope(names, header, assertions, checker_calls.call)
        body, reached = checker_statements.block(scope, names.without_docstring(header.node.body))
        if reached and header.result is not None:
            raise names.error(
                f"'{header.name}' may end without a result",
                "write return on every path", header.node,
            )  # fmt: skip
        scopes.append(scope)
        bodies.append(body)
    effects = checker_effects.combined(names, scopes)
    checker_effects.check(names, scopes, effects)
    upgrade = _upgrade(names, contract)
    functions = tuple(
        Function(
            name=scope.header.name,
            kind=scope.header.kind,
            parameters=len(scope.header.parameters),
            locals=tuple(scope.locals),
            result=scope.header.result,
            takes_value=checker_effects.takes_value(scope, found),
            body=body,
            line=scope.header.node.lineno,
        )
        for scope, found, body in zip(scopes, effects, bodies, strict=True)
    )
    _check_ids(names, contract, functions)
    return Program(
        name=contract.name,
        fields=tuple(names.fields.values()),
        events=tuple(names.events.values()),
        functions=functions,
        assertions=tuple(assertions),
        upgrade=upgrade,
        rounds=checker_effects.rounds(scopes),
        remarks=tuple(checker_effects.remarks(scopes, effects)),
    )


def _check_ids(names: Names, contract: ast.ClassDef, functions: tuple[Function, ...]) -> None:
    """Refuse methods that calls cannot tell apart, and fields that share a place."""
    methods: dict[bytes, str] = {}
    for function in functions:
        if function.kind in (FunctionKind.EXTERNAL, FunctionKind.VIEW):
            other = methods.setdefault(function.method_id, function.name)
            if other != function.name:
                raise names.error(
                    f"'{function.name}' and '{other}' have one id", "rename one of them",
                    names.functions[function.name].node,
                )  # fmt: skip
    slots = [field.slot for field in names.fields.values()]
    if len({*slots}) < len(slots):
        raise names.error("two fields have one slot", "rename one", contract)


def _upgrade(names: Names, contract: ast.ClassDef) -> Upgrade | None:
    migrate = names.functions.get("migrate")
    if migrate is not None and migrate.parameters:
        raise names.error(
            "nobody gives arguments to 'migrate'",
            "leave them out: what it needs is in the state or in the code", migrate.node,
        )  # fmt: skip
    if not contract.decorator_list:
        if migrate is not None:
            raise names.error(
                "'migrate' is for contracts whose code can be replaced",
                "write @upgradable before the class", migrate.node,
            )  # fmt: skip
        return None
    match contract.decorator_list:
        case [
            ast.Call(
                func=ast.Name(id="upgradable"),
                args=[],
                keywords=[
                    ast.keyword(arg="admin", value=ast.Constant(value=str(admin))),
                    ast.keyword(arg="delay", value=delay),
                ],
            )
        ]:
            names.needs("upgradable", contract.decorator_list[0])
        case _:
            raise names.error(
                "not a decorator of contracts", 'write @upgradable(admin="field", delay=N)',
                contract.decorator_list[0],
            )  # fmt: skip
    field = names.fields.get(admin)
    if field is None or field.keys or field.value is not Plain.ADDRESS:
        raise names.error(
            f"'{admin}' is no field that holds an Address", f"declare {admin}: Address",
            contract.decorator_list[0],
        )  # fmt: skip
    match delay:
        case ast.Name(id=name) if name in names.constants:
            blocks = names.constants[name].value
        case ast.Constant(value=blocks):
            pass
        case _:
            blocks = 0
    if type(blocks) is not int or not 1 <= blocks <= DELAY_MAX:
        raise names.error(
            "the delay is no number of blocks", f"write a number from 1 to {DELAY_MAX}", delay
        )
    return Upgrade(list(names.fields).index(admin), blocks)

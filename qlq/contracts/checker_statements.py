"""Statements: assignments made explicit, nothing read without a value, no path without an end."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qlq.contracts import checker_calls, checker_charges, checker_expressions
from qlq.contracts.checker_expressions import typed, value
from qlq.contracts.checker_names import VALUE_BYTES_MAX
from qlq.contracts.checker_scope import Effect, FieldWrite, Scope, mismatch
from qlq.contracts.encoding import describe
from qlq.contracts.expressions import (
    CallContract,
    CallFunction,
    CallHost,
    Expression,
    HostOperation,
    Literal,
    Load,
    Part,
    ReadEnvironment,
    ReadLocal,
)
from qlq.contracts.program import (
    Assert,
    Assertion,
    Assign,
    Break,
    Continue,
    Emit,
    Evaluate,
    ForItems,
    ForRange,
    If,
    Remark,
    Return,
    Statement,
    Store,
    While,
)
from qlq.contracts.values import Plain, StructType, Type, size, zero

ASSERTION_CHARS_MAX = 256
PAGE_ENTRIES_MAX = 64


@dataclass(frozen=True, slots=True)
class _Place:
    """What is assigned to: a local, or a field of the state with its keys; or a part of it."""

    local: int | None
    field: int
    keys: tuple[ast.expr, ...]
    node: ast.Attribute | None
    whole: Type
    path: tuple[int, ...]
    type: Type


def block(scope: Scope, body: Iterable[ast.stmt]) -> tuple[tuple[Statement, ...], bool]:
    """Checked statements with their charges, and whether the end of the block can be reached."""
    found: list[Statement] = []
    reached = True
    for node in body:
        if not reached:
            raise scope.error("this is never reached", "remove it, or what ends before it", node)
        statements, reached = _statement(scope, node)
        found += statements
    return checker_charges.charged(found), reached


def _statement(scope: Scope, node: ast.stmt) -> tuple[list[Statement], bool]:
    match node:
        case ast.Pass():
            return [], True
        case ast.AnnAssign():
            return _declaration(scope, node), True
        case ast.Assign():
            return _assignment(scope, node), True
        case ast.AugAssign():
            return _augmented(scope, node), True
        case ast.Delete():
            return [_deletion(scope, target) for target in node.targets], True
        case ast.If():
            return _if(scope, node)
        case ast.While():
            return _while(scope, node)
        case ast.For():
            return _for(scope, node)
        case ast.Break() | ast.Continue():
            if not scope.loops:
                raise scope.error("there is no loop around this", "remove it", node)
            leave = Break if isinstance(node, ast.Break) else Continue
            return [leave(node.lineno)], False
        case ast.Assert():
            return _assertion(scope, node)
        case ast.Return():
            return [_return(scope, node)], False
        case ast.Expr():
            return [_call(scope, node)], True
    raise scope.error("this does not stand in a method", "declare it at the top of the file", node)


def _declaration(scope: Scope, node: ast.AnnAssign) -> list[Statement]:
    if not isinstance(node.target, ast.Name) or not node.simple:
        raise scope.error("only variables are declared here", "write name: Type = value", node)
    kind = scope.names.type_of(node.annotation)
    assigned = typed(scope, node.value, kind) if node.value else None
    number = scope.variable(node.target.id, kind, node.target)
    if assigned is None:
        return []
    scope.assigned.add(number)
    return [Assign(number, (), assigned, node.lineno)]


def _place(scope: Scope, target: ast.expr) -> _Place:
    """Resolve what is assigned to."""
    parts: list[ast.Attribute] = []
    node = target
    while isinstance(node, ast.Attribute) and not _is_self(node.value):
        parts.append(node)
        node = node.value
    local: int | None = None
    field = 0
    keys: tuple[ast.expr, ...] = ()
    of: ast.Attribute | None = None
    entry = checker_expressions.map_entry(scope, node)
    if isinstance(node, ast.Name):
        if node.id == "self" or node.id in scope.names.imported:
            raise scope.error("this is not assigned to", "assign to a field or a variable", target)
        if node.id not in scope.numbers:
            raise scope.error(
                f"'{node.id}' is not declared", f"write {node.id}: Type = value", node
            )
        local = scope.numbers[node.id]
        whole = scope.locals[local].type
        if parts:
            scope.read(node.id, node)
    elif entry is not None:
        of, keys = entry
        field = checker_expressions.field_number(scope, of)
        state = scope.names.fields[of.attr]
        whole = state.value
        if len(keys) > len(state.keys):
            raise scope.error("parts of Bytes are not assigned to", "assign the whole", target)
    elif isinstance(node, ast.Attribute):
        checker_expressions.field_number(scope, node)
        raise scope.error("this is not assigned to", "assign to a field or a variable", node)
    else:
        raise scope.error("this is not assigned to", "assign to a field or a variable", target)
    path, kind = [], whole
    for part in reversed(parts):
        number = checker_expressions.part_number(scope, kind, part)
        path.append(number)
        kind = kind.fields[number][1] if isinstance(kind, StructType) else kind
    return _Place(local, field, keys, of, whole, tuple(path), kind)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _assignment(scope: Scope, node: ast.Assign) -> list[Statement]:
    if len(node.targets) > 1:
        raise scope.error("one assignment at a time", "write one line for each", node)
    place = _place(scope, node.targets[0])
    assigned = typed(scope, node.value, place.type)
    if place.local is not None:
        scope.assigned.add(place.local)
        return [Assign(place.local, place.path, assigned, node.lineno)]
    _note_write(scope, place, assigned, node)
    if not place.path:
        return [Store(place.field, assigned, _keys(scope, place), node.lineno)]
    before: list[Statement] = []
    assigned = _held(scope, before, assigned, node.lineno)
    keys = tuple(_held(scope, before, key, node.lineno) for key in _keys(scope, place))
    return [*before, *_rewrite(scope, place, keys, lambda _whole: assigned, node.lineno)]


def _augmented(scope: Scope, node: ast.AugAssign) -> list[Statement]:
    place = _place(scope, node.target)
    if place.local is not None:
        name = scope.locals[place.local].name
        now: Expression = _part(scope.read(name, node.target), place.path)
        changed = _operation(scope, node, now, place.type)
        return [Assign(place.local, place.path, changed, node.lineno)]
    _note_write(scope, place, None, node)
    before: list[Statement] = []
    keys = tuple(_held(scope, before, key, node.lineno) for key in _keys(scope, place))
    if not place.path:
        changed = _operation(
            scope, node, Load(place.whole, place.field, keys, node.lineno), place.type
        )
        return [*before, Store(place.field, changed, keys, node.lineno)]
    for part in ast.walk(node.value):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
            raise scope.error(
                "a call here could change the struct that is being changed",
                "assign its result to a variable first", part,
            )  # fmt: skip
    return [
        *before,
        *_rewrite(
            scope, place, keys, lambda now: _operation(scope, node, now, place.type), node.lineno
        ),
    ]


def _operation(scope: Scope, node: ast.AugAssign, now: Expression, kind: Type) -> Expression:
    numeric = isinstance(kind, Plain)
    right = typed(scope, node.value, kind) if numeric else value(scope, node.value)[0]
    changed = checker_expressions.binary(scope, node.op, now, right, node)
    if changed.type != kind:
        raise mismatch(scope, changed, kind, node)
    return changed


def _rewrite(
    scope: Scope,
    place: _Place,
    keys: tuple[Expression, ...],
    change: Callable[[Expression], Expression],
    line: int,
) -> list[Statement]:
    """An entry of the state is read, a part of it changed, and it is written."""
    whole = scope.temporary(place.whole)
    now = ReadLocal(place.whole, whole)
    return [
        Assign(whole, (), Load(place.whole, place.field, keys, line), line),
        Assign(whole, place.path, change(_part(now, place.path)), line),
        Store(place.field, now, keys, line),
    ]


def _part(whole: Expression, path: tuple[int, ...]) -> Expression:
    for index in path:
        if isinstance(whole.type, StructType):
            whole = Part(whole.type.fields[index][1], whole, index)
    return whole


def _held(scope: Scope, before: list[Statement], found: Expression, line: int) -> Expression:
    """A value that can be used twice: from a temporary, unless nothing is computed."""
    if isinstance(found, Literal | ReadLocal | ReadEnvironment) or found.type is None:
        return found
    held = scope.temporary(found.type)
    before.append(Assign(held, (), found, line))
    return ReadLocal(found.type, held)


def _keys(scope: Scope, place: _Place) -> tuple[Expression, ...]:
    return checker_expressions.map_keys(scope, place.node, place.keys) if place.node else ()


def _note_write(scope: Scope, place: _Place, assigned: Expression | None, node: ast.stmt) -> None:
    scope.note(Effect.WRITES, node)
    if place.keys:
        scope.note(Effect.WRITES_ENTRIES, node)
    is_round = (
        isinstance(assigned, CallHost) and assigned.operation is HostOperation.BEACON_NEXT_ROUND
    ) or (isinstance(assigned, Literal) and assigned.value == 0)
    scope.writes.append(FieldWrite(place.field, is_round, node))


def _deletion(scope: Scope, target: ast.expr) -> Statement:
    place = _place(scope, target) if isinstance(target, ast.Subscript) else None
    if place is None or not place.keys:
        raise scope.error("only entries of maps are deleted", "assign the zero value", target)
    nothing = Literal(place.type, zero(place.type))
    scope.note(Effect.WRITES, target)
    scope.note(Effect.WRITES_ENTRIES, target)
    scope.writes.append(FieldWrite(place.field, is_round=True, node=target))
    return Store(place.field, nothing, _keys(scope, place), target.lineno)


def _if(scope: Scope, node: ast.If) -> tuple[list[Statement], bool]:
    condition = typed(scope, node.test, Plain.BOOL)
    before = set(scope.assigned)
    then, then_ends = block(scope, node.body)
    after_then = scope.assigned
    scope.assigned = before
    otherwise, otherwise_ends = block(scope, node.orelse)
    if then_ends and otherwise_ends:
        scope.assigned = after_then & scope.assigned
    elif then_ends:
        scope.assigned = after_then
    found: list[Statement] = [If(condition, then, otherwise, node.lineno)]
    return found, then_ends or otherwise_ends


def _while(scope: Scope, node: ast.While) -> tuple[list[Statement], bool]:
    condition = typed(scope, node.test, Plain.BOOL)
    body = _loop_body(scope, node.body)
    return [While(checker_charges.turn(condition), condition, body, node.lineno)], True


def _loop_body(scope: Scope, body: list[ast.stmt]) -> tuple[Statement, ...]:
    """What a loop assigns has no value after it, as it may not have run."""
    before = set(scope.assigned)
    scope.loops += 1
    found, _ = block(scope, body)
    scope.loops -= 1
    scope.assigned = before
    return found


def _for(scope: Scope, node: ast.For) -> tuple[list[Statement], bool]:
    match node.iter:
        case ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]):
            return _for_range(scope, node, bounds), True
        case ast.Call(func=ast.Attribute(attr="items", value=of), args=[start, count], keywords=[]):
            return _for_items(scope, node, of, start, count), True
    raise scope.error(
        "loops go over numbers or pages of maps",
        "write range(n), range(a, b) or self.map.items(start, n)", node.iter,
    )  # fmt: skip


def _for_range(scope: Scope, node: ast.For, bounds: list[ast.expr]) -> list[Statement]:
    if len(bounds) not in (1, 2):
        raise scope.error("range takes an end, or a start and an end", "count in steps of 1", node)
    limits = [typed(scope, bound, Plain.U64) for bound in bounds]
    start, stop = limits if len(limits) > 1 else (Literal(Plain.U64, 0), limits[0])
    outside = set(scope.assigned)
    local = _loop_variable(scope, node.target, Plain.U64)
    body = _loop_body(scope, node.body)
    scope.assigned = outside
    return [ForRange(local, start, stop, checker_charges.turn(), body, node.lineno)]


def _for_items(
    scope: Scope, node: ast.For, of: ast.expr, start: ast.expr, count: ast.expr
) -> list[Statement]:
    entry = checker_expressions.map_entry(scope, of)
    state = scope.names.fields[entry[0].attr] if entry else None
    if entry is None or state is None or len(entry[1]) != len(state.keys) - 1:
        raise scope.error(
            "pages are of maps, by their last key", "give all keys but the last before .items", of
        )
    match node.target:
        case ast.Tuple(elts=[key_name, value_name]):
            pass
        case _:
            raise scope.error("a page has keys and values", "write for key, value in", node.target)
    attribute, keys = entry
    given = [typed(scope, key, kind) for key, kind in zip(keys, state.keys[:-1], strict=True)]
    key, kind = state.keys[-1], state.value
    first = typed(scope, start, key)
    largest = min(PAGE_ENTRIES_MAX, VALUE_BYTES_MAX // (size(key) + size(kind)))
    entries = typed(scope, count, Plain.U64)
    if not isinstance(entries, Literal) or entries.value not in range(1, largest + 1):
        raise scope.error(
            "the size of a page is not fixed, or too large",
            f"write a number from 1 to {largest}, or the name of one", count,
        )  # fmt: skip
    outside = set(scope.assigned)
    locals_ = [
        _loop_variable(scope, name, of) for name, of in ((key_name, key), (value_name, kind))
    ]
    if locals_[0] == locals_[1]:
        raise scope.error("keys and values have one name", "choose two", node.target)
    body = _loop_body(scope, node.body)
    scope.assigned = outside
    return [
        ForItems(
            field=checker_expressions.field_number(scope, attribute),
            keys=tuple(given),
            start=first,
            count=int(entries.value) if isinstance(entries.value, int) else 0,
            key_local=locals_[0],
            value_local=locals_[1],
            units=checker_charges.page_turn(key, kind),
            body=body,
            line=node.lineno,
        )
    ]


def _loop_variable(scope: Scope, node: ast.expr, kind: Type) -> int:
    """The number of a loop's variable; loops one after the other may share it."""
    if not isinstance(node, ast.Name):
        raise scope.error("a loop needs a variable", "write for name in ...", node)
    number = scope.numbers.get(node.id)
    if number is None:
        number = scope.variable(node.id, kind, node)
    elif scope.locals[number].type != kind:
        raise scope.error(
            f"'{node.id}' is a {describe(scope.locals[number].type)}", "choose another name", node
        )
    scope.assigned.add(number)
    return number


def _assertion(scope: Scope, node: ast.Assert) -> tuple[list[Statement], bool]:
    condition = typed(scope, node.test, Plain.BOOL)
    match node.msg:
        case None:
            text = "assertion failed"
        case ast.Constant(value=str(text)) if len(text) <= ASSERTION_CHARS_MAX:
            pass
        case _:
            raise scope.error(
                "not the text of an assertion",
                f"write one string of at most {ASSERTION_CHARS_MAX} characters", node.msg,
            )  # fmt: skip
    code = len(scope.assertions)
    scope.assertions.append(Assertion(text, scope.header.name, node.lineno))
    holds = not (isinstance(condition, Literal) and not condition.value)
    return [Assert(condition, code, node.lineno)], holds


def _return(scope: Scope, node: ast.Return) -> Return:
    result = scope.header.result
    if node.value is None:
        if result is not None:
            raise scope.error(f"a {describe(result)} is returned", "write return value", node)
        return Return(None, node.lineno)
    if result is None:
        raise scope.error(
            f"'{scope.header.name}' returns nothing", "write its result's type after ->", node
        )
    return Return(typed(scope, node.value, result), node.lineno)


def _call(scope: Scope, node: ast.Expr) -> Statement:
    match node.value:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)) if (
            name in scope.names.events
        ):
            return _event(scope, node.value, name)
        case ast.Call():
            found = checker_expressions.checked(scope, node.value, None)
            if isinstance(found, CallFunction | CallContract) or (
                isinstance(found, CallHost) and found.type is None
            ):
                if isinstance(found, CallContract) and found.type is not None:
                    text = "what the other contract returns is dropped: assert or store it"
                    scope.remarks.append(Remark(node.lineno, node.col_offset + 1, text))
                return Evaluate(found, node.lineno)
    raise scope.error("this does nothing", "assign the value, or remove the line", node)


def _event(scope: Scope, node: ast.Call, name: str) -> Emit:
    event = scope.names.events[name]
    kinds = [parameter.type for parameter in event.parameters]
    given = checker_calls.arguments(scope, node, kinds, f"'{name}'")
    scope.note(Effect.EMITS, node)
    return Emit(list(scope.names.events).index(name), given, node.lineno)

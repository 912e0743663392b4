"""Rules about functions together: no recursion, views that change nothing, the beacon's rule.

What a function does includes what the functions that it calls do.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from qlq.contracts.checker_names import Names
from qlq.contracts.checker_scope import Effect, Scope
from qlq.contracts.program import FunctionKind, Remark

CALL_DEPTH_MAX = 32
"""Functions of one contract that wait for each other."""

_NOT_IN_VIEWS = (Effect.WRITES, Effect.EMITS, Effect.TRANSFERS, Effect.CALLS, Effect.READS_VALUE)
_CHANGES = (Effect.WRITES, Effect.TRANSFERS)

Effects = Mapping[Effect, str]
"""What a function does, and by which function it does so."""


def combined(names: Names, scopes: Sequence[Scope]) -> list[Effects]:
    """What each function does, with all that it calls.

    Raises:
        CompileError: Functions call each other in a circle, or too deeply.
    """
    effects: list[dict[Effect, str]] = [
        dict.fromkeys(scope.effects, scope.header.name) for scope in scopes
    ]
    callers: list[list[int]] = [[] for _ in scopes]
    waiting = [len(scope.callees) for scope in scopes]
    depths = [1] * len(scopes)
    for number, scope in enumerate(scopes):
        for callee in scope.callees:
            callers[callee].append(number)
    ready = [number for number, count in enumerate(waiting) if not count]
    for number in ready:
        for caller in callers[number]:
            for effect, name in effects[number].items():
                effects[caller].setdefault(effect, name)
            depths[caller] = max(depths[caller], depths[number] + 1)
            waiting[caller] -= 1
            if depths[caller] > CALL_DEPTH_MAX:
                raise names.error(
                    f"more than {CALL_DEPTH_MAX} methods wait for each other",
                    "join some of them", scopes[caller].header.node,
                )  # fmt: skip
            if not waiting[caller]:
                ready.append(caller)
    if len(ready) < len(scopes):
        raise names.error(
            "recursion is not allowed",
            "the calls must end somewhere so that stack use is bounded: write a loop",
            _recursive_call(scopes, waiting),
        )
    return [dict(found) for found in effects]


def _recursive_call(scopes: Sequence[Scope], waiting: Sequence[int]) -> ast.AST:
    """A call that is part of a circle: whoever waits calls somebody who waits."""
    number = next(number for number, count in enumerate(waiting) if count)
    seen: list[int] = []
    while number not in seen:
        seen.append(number)
        number = next(callee for callee in scopes[number].callees if waiting[callee])
    caller = scopes[seen[-1]]
    return caller.callees[number]


def check(names: Names, scopes: Sequence[Scope], effects: Sequence[Effects]) -> None:
    """Refuse functions that break a rule.

    Raises:
        CompileError: A view changes something; a value comes in an asset that nobody looks at; or
            the beacon is read where its result could be chosen.
    """
    for scope, found in zip(scopes, effects, strict=True):
        if scope.header.kind is FunctionKind.VIEW:
            for effect in _NOT_IN_VIEWS:
                if effect in found:
                    raise names.error(
                        f"the view '{scope.header.name}' {_says(scope, found, effect)}",
                        "make it @external", scope.header.node,
                    )  # fmt: skip
        if scope.header.kind is not FunctionKind.INTERNAL:
            _check_value(names, scope, found)
        _check_beacon(names, scope, found)
    _check_rounds(names, scopes)


def takes_value(scope: Scope, effects: Effects) -> bool:
    """Whether units may come with a call: it asks how many did."""
    entries = (FunctionKind.EXTERNAL, FunctionKind.INIT)
    return scope.header.kind in entries and Effect.READS_VALUE in effects


def remarks(scopes: Sequence[Scope], effects: Sequence[Effects]) -> list[Remark]:
    """What is allowed and probably not meant."""
    found = [remark for scope in scopes for remark in scope.remarks]
    for scope, does in zip(scopes, effects, strict=True):
        changes = any(effect in does for effect in _CHANGES)
        if (
            scope.header.kind is FunctionKind.EXTERNAL
            and changes
            and Effect.READS_SENDER not in does
        ):
            node = scope.header.node
            text = f"anyone may call '{scope.header.name}': it changes the state whoever calls"
            found.append(Remark(node.lineno, node.col_offset + 1, text))
    return sorted(found, key=lambda remark: (remark.line, remark.column))


def rounds(scopes: Sequence[Scope]) -> tuple[int, ...]:
    """Numbers of the fields that are read as rounds of the beacon, ascending."""
    return tuple(sorted({field for scope in scopes for field in scope.rounds}))


def _says(scope: Scope, effects: Effects, effect: Effect) -> str:
    by = effects[effect]
    return effect.value if by == scope.header.name else f"calls '{by}', which {effect.value}"


def _check_value(names: Names, scope: Scope, effects: Effects) -> None:
    if Effect.READS_VALUE in effects and Effect.READS_ASSET not in effects:
        raise names.error(
            f"'{scope.header.name}' {_says(scope, effects, Effect.READS_VALUE)}, never msg.asset",
            "anyone can define an asset: assert msg.asset == NATIVE, or the one that is meant",
            scope.header.node,
        )
    if Effect.READS_VALUE in effects and scope.header.kind is FunctionKind.MIGRATE:
        raise names.error("no value comes with 'migrate'", "leave it out", scope.header.node)


def _check_beacon(names: Names, scope: Scope, effects: Effects) -> None:
    """Inputs that are made in the transaction that reads the beacon could be chosen after it."""
    if Effect.READS_BEACON not in effects:
        return
    for effect in (Effect.READS_VALUE, Effect.WRITES_ENTRIES):
        if effect in effects:
            raise names.error(
                f"'{scope.header.name}' {_says(scope, effects, Effect.READS_BEACON)}, and "
                f"{_says(scope, effects, effect)}",
                "inputs come before the randomness: take them in another method; store what is "
                "drawn in a field that is no map",
                scope.header.node,
            )


def _check_rounds(names: Names, scopes: Sequence[Scope]) -> None:
    """A field that is read as a round holds rounds that were to come when it was set, or 0."""
    read = {field: node for scope in scopes for field, node in scope.rounds.items()}
    for scope in scopes:
        for write in scope.writes:
            if write.field in read and not write.is_round:
                field = list(names.fields)[write.field]
                raise names.error(
                    f"'{field}' is read as a round of the beacon, and may hold any number",
                    f"write self.{field} = beacon.next_round(...), or 0", write.node,
                )  # fmt: skip

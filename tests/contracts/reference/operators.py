"""Operators on values: docs/contracts-language.md, "Expressions"."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from reference import kinds
from reference.kinds import Kind
from reference.world import Failed

COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


def bounded(value: int, kind: Kind) -> int:
    if value < 0:
        raise Failed("UNDERFLOW")
    if value >= 2 ** (8 * kinds.width(kind)):
        raise Failed("OVERFLOW")
    return value


def operate(sign: ast.operator, kind: Kind, left: Any, right: Any) -> Any:
    """An operator on two values of one type, or a sum of Bytes."""
    if kinds.is_bytes(kind):
        return left + right
    if isinstance(sign, ast.Add):
        return bounded(left + right, kind)
    if isinstance(sign, ast.Sub):
        return bounded(left - right, kind)
    if isinstance(sign, ast.Mult):
        return bounded(left * right, kind)
    if isinstance(sign, ast.BitAnd):
        return left & right
    if isinstance(sign, ast.BitOr):
        return left | right
    if isinstance(sign, ast.BitXor):
        return left ^ right
    if isinstance(sign, ast.FloorDiv | ast.Mod):
        if right == 0:
            raise Failed("DIVISION_BY_ZERO")
        return left // right if isinstance(sign, ast.FloorDiv) else left % right
    if right >= 8 * kinds.width(kind):
        raise Failed("SHIFT")
    return bounded(left << right, kind) if isinstance(sign, ast.LShift) else left >> right


def _index(kind: Kind, name: str) -> int:
    return [one for one, _ in kind[2]].index(name)


def part(whole: Any, kind: Kind, names: list[str]) -> Any:
    for name in names:
        whole, kind = whole[_index(kind, name)], dict(kind[2])[name]
    return whole


def changed(whole: Any, kind: Kind, names: list[str], value: Any) -> Any:
    """The struct with another value in one place."""
    index = _index(kind, names[0])
    inner = whole[index]
    made = changed(inner, kind[2][index][1], names[1:], value) if names[1:] else value
    return [*whole[:index], made, *whole[index + 1 :]]

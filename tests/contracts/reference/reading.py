"""What a contract's file declares: docs/contracts-language.md, "The file", "Types", "Methods"."""

from __future__ import annotations

import ast
import hashlib
import operator
from dataclasses import dataclass, field
from typing import Any

from reference import kinds
from reference.kinds import Kind

_OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.BitXor: operator.xor, ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}  # fmt: skip


@dataclass
class Method:
    name: str
    role: str
    """external, view, internal, init, migrate."""
    parameters: list[tuple[str, Kind]]
    result: Kind | None
    body: list[ast.stmt]

    @property
    def id(self) -> bytes:
        text = ",".join(kinds.signature(kind) for _, kind in self.parameters)
        return hashlib.sha256(f"{self.name}({text})".encode()).digest()[:4]


@dataclass
class File:
    """A contract.

    Attributes:
        size: Bytes of the source.
        constants: Type and value by name.
        types: By name.
        interfaces: Methods by name, by name.
        fields: Types of keys and of the value, by name.
        events: Types of parameters, by name.
        methods: By name.
        asserts: Number of each `assert`, by its node.
        slots: What the keys of a field's entries begin with, by name.
        prices: Of statements that have run.
    """

    size: int
    constants: dict[str, tuple[Kind, Any]] = field(default_factory=dict)
    types: dict[str, Kind] = field(default_factory=dict)
    interfaces: dict[str, dict[str, Method]] = field(default_factory=dict)
    fields: dict[str, tuple[list[Kind], Kind]] = field(default_factory=dict)
    events: dict[str, list[Kind]] = field(default_factory=dict)
    methods: dict[str, Method] = field(default_factory=dict)
    asserts: dict[ast.AST, int] = field(default_factory=dict)
    slots: dict[str, bytes] = field(default_factory=dict)
    prices: dict[ast.AST, int] = field(default_factory=dict)

    def kind(self, node: ast.expr) -> Kind:
        """The type that an annotation names."""
        if isinstance(node, ast.Subscript):
            return kinds.bytes_of(self.number(node.slice))
        assert isinstance(node, ast.Name)
        return self.types[node.id]

    def number(self, node: ast.expr) -> int:
        if isinstance(node, ast.Name):
            return int(self.constants[node.id][1])
        assert isinstance(node, ast.Constant)
        return int(node.value)

    def takes_value(self, method: Method) -> bool:
        """Whether it, or what it calls, reads msg.value."""
        return method.role in ("external", "init") and self._reads_value(method)

    def _reads_value(self, method: Method) -> bool:
        for node in (one for statement in method.body for one in ast.walk(statement)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if (node.value.id, node.attr) == ("msg", "value"):
                    return True
                called = self.methods.get(node.attr) if node.value.id == "self" else None
                if called is not None and self._reads_value(called):
                    return True
        return False


def read(source: str) -> File:
    """The declarations of a valid contract."""
    file = File(len(source))
    plain = (*kinds.NUMBERS, kinds.BOOL, *kinds.WIDE)
    file.types = {kind[0]: kind for kind in plain} | {"Quality": kinds.QUALITY}
    file.constants = {
        "U64_MAX": (kinds.U64, 2**64 - 1),
        "U128_MAX": (kinds.U128, 2**128 - 1),
        "NATIVE": (kinds.ASSET, bytes(32)),
    }
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign):
            assert isinstance(node.target, ast.Name)
            assert node.value is not None
            kind = file.kind(node.annotation)
            file.constants[node.target.id] = (kind, _constant(file, node.value))
        elif isinstance(node, ast.ClassDef):
            assert isinstance(node.bases[0], ast.Name)
            _declare(file, node, node.bases[0].id)
    return file


def _declare(file: File, node: ast.ClassDef, base: str) -> None:
    body = [part for part in node.body if not _is_docstring(part)]
    if base == "Enum":
        names = [part.targets[0].id for part in body]  # type: ignore[attr-defined]
        file.types[node.name] = ("enum", node.name, tuple(names))
    elif base == "Struct":
        parts = tuple((part.target.id, file.kind(part.annotation)) for part in body)  # type: ignore[attr-defined]
        file.types[node.name] = ("struct", node.name, parts)
    elif base == "Interface":
        methods = [_method(file, part) for part in body if isinstance(part, ast.FunctionDef)]
        file.interfaces[node.name] = {method.name: method for method in methods}
    else:
        _members(file, body)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _members(file: File, body: list[ast.stmt]) -> None:
    for node in body:
        if isinstance(node, ast.AnnAssign):
            assert isinstance(node.target, ast.Name)
            keys, annotation = [], node.annotation
            while isinstance(annotation, ast.Subscript) and annotation.value.id == "Map":  # type: ignore[attr-defined]
                key, annotation = annotation.slice.elts  # type: ignore[attr-defined]
                keys.append(file.kind(key))
            name = node.target.id
            file.fields[name] = (keys, file.kind(annotation))
            file.slots[name] = hashlib.sha256(name.encode()).digest()[:8]
        else:
            assert isinstance(node, ast.FunctionDef)
            decorators = [one.id for one in node.decorator_list if isinstance(one, ast.Name)]
            if decorators == ["event"]:
                given = [one for one in node.args.args if one.annotation is not None]
                file.events[node.name] = [file.kind(one.annotation) for one in given]  # type: ignore[arg-type]
            else:
                method = _method(file, node)
                role = node.name if node.name in ("init", "migrate") else "internal"
                method.role = decorators[0] if decorators else role
                file.methods[node.name] = method
                for part in _in_order(node.body):
                    if isinstance(part, ast.Assert):
                        file.asserts[part] = len(file.asserts)


def _in_order(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements in the order of the source, whatever block they are in."""
    found = []
    for node in body:
        found.append(node)
        for block in ("body", "orelse"):
            found += _in_order(getattr(node, block, []))
    return found


def _method(file: File, node: ast.FunctionDef) -> Method:
    given = [(one.arg, one.annotation) for one in node.args.args[1:]]
    parameters = [(name, file.kind(kind)) for name, kind in given if kind is not None]
    nothing = node.returns is None or isinstance(node.returns, ast.Constant)
    result = None if nothing else file.kind(node.returns)  # type: ignore[arg-type]
    body = node.body[1:] if _is_docstring(node.body[0]) else node.body
    return Method(node.name, "external", parameters, result, body)


def _constant(file: File, node: ast.expr) -> Any:
    """A value that is known from the source."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return file.constants[node.id][1]
    if isinstance(node, ast.Attribute):
        return file.types[node.value.id][2].index(node.attr)  # type: ignore[attr-defined]
    if isinstance(node, ast.BinOp):
        left, right = _constant(file, node.left), _constant(file, node.right)
        return _OPERATORS[type(node.op)](left, right)
    assert isinstance(node, ast.Call)
    if not node.args:
        return zero_of(file, node.func)
    (argument,) = node.args
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return bytes.fromhex(argument.value)
    return _constant(file, argument)


def zero_of(file: File, node: ast.expr) -> Any:
    """`Address()`, `Bytes[4]()`."""
    return kinds.zero(file.kind(node))

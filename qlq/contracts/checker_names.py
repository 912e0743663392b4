"""What the names of a contract file mean: imports, constants, types, and the parts of the contract.

A name has one meaning in the file. What is outside of functions is read in the order of the
source, as Python would run it: a type stands before its uses.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from qlq import contract
from qlq.contracts.encoding import describe
from qlq.contracts.expressions import Literal
from qlq.contracts.language import Source
from qlq.contracts.program import Event, FunctionKind, Named, StateField
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type, size
from qlq.errors import CompileError

BYTES_MAX = 4096
"""Capacity of Bytes: ML-DSA-65 signatures have 3309 bytes."""
STRUCT_PARTS_MAX = 64
"""Values in a struct, those of its structs included."""
STRUCT_DEPTH_MAX = 8
ENUM_MEMBERS_MAX = 256
KEY_BYTES_MAX = 256
"""All keys of an entry together, encoded."""
VALUE_BYTES_MAX = 8192
"""One value, or all arguments of a method, encoded."""

QUALITY = EnumType("Quality", tuple(contract.Quality.__members__))
MODULE = "qlq.contract"
_AVAILABLE = tuple(contract.__all__)
_PLAIN = {kind.value: kind for kind in Plain if kind is not Plain.BOOL}


@dataclass(frozen=True, slots=True)
class Header:
    """A function as its callers see it."""

    number: int
    name: str
    kind: FunctionKind
    parameters: tuple[Named, ...]
    result: Type | None
    node: ast.FunctionDef


@dataclass(frozen=True, slots=True)
class Names:
    """Everything that is declared outside of functions."""

    source: Source
    imported: dict[str, ast.AST] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)
    constants: dict[str, Literal] = field(default_factory=dict)
    interfaces: dict[str, dict[str, Header]] = field(default_factory=dict)
    declared: dict[str, ast.AST] = field(default_factory=dict)
    fields: dict[str, StateField] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    functions: dict[str, Header] = field(default_factory=dict)

    def error(self, message: str, hint: str, node: ast.AST) -> CompileError:
        """What to raise, at the node."""
        return self.source.error_node(message, hint=hint, node=node)

    def declare(self, name: str, node: ast.AST) -> None:
        """The name gets its one meaning at the top of the file."""
        if name in self.declared or name in self.imported:
            raise self.error(
                f"'{name}' is declared twice", "a name has one meaning in the file", node
            )
        if name in _AVAILABLE or name in ("self", "range", "len", "bool", "int", "super"):
            raise self.error(f"'{name}' has a meaning already", "choose another name", node)
        self.declared[name] = node

    def needs(self, name: str, node: ast.AST) -> None:
        """Refuse a name of `qlq.contract` that the file does not import."""
        if name in _AVAILABLE and name not in self.imported:
            raise self.error(
                f"'{name}' is not imported", f"write from {MODULE} import {name}", node
            )

    def unknown(self, what: str, name: str, known: Iterable[str], node: ast.AST) -> CompileError:
        """What to raise: it tells which names there are."""
        names = list(known)
        near = difflib.get_close_matches(name, names, n=1)
        listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")  # noqa: PLR2004
        hint = f"did you mean {near[0]}?" if near else f"there is: {listed or 'none'}"
        return self.error(f"{what} '{name}' is not declared", hint, node)

    def type_of(self, node: ast.AST) -> Type:
        """The type that an annotation names."""
        match node:
            case ast.Name(id="bool"):
                return Plain.BOOL
            case ast.Name(id=name) if name in self.types:
                return self.types[name]
            case ast.Name(id="int"):
                raise self.error(
                    "int is not a type here", "integers have a width: u64 or u128", node
                )
            case ast.Subscript(value=ast.Name(id="Bytes"), slice=capacity):
                self.needs("Bytes", node)
                return BytesType(self._capacity(capacity))
            case ast.Name(id="Bytes"):
                raise self.error("Bytes needs a capacity", "write Bytes[64]", node)
            case ast.Name(id="Map") | ast.Subscript(value=ast.Name(id="Map")):
                raise self.error("a Map is no value", "maps are fields of the contract alone", node)
            case ast.Name(id=name):
                self.needs(name, node)
                raise self.unknown("type", name, ("bool", "Bytes", *self.types), node)
        raise self.error("not a type", "write a name, Bytes[N], or for a field Map[K, V]", node)

    def _capacity(self, node: ast.AST) -> int:
        match node:
            case ast.Constant(value=int(capacity)) if not isinstance(capacity, bool):
                pass
            case ast.Name(id=name) if name in self.constants:
                value = self.constants[name].value
                capacity = value if isinstance(value, int) else 0
            case _:
                capacity = 0
        if not 1 <= capacity <= BYTES_MAX:
            raise self.error(
                "not a capacity of Bytes", f"write a number from 1 to {BYTES_MAX}", node
            )
        return capacity

    def imports(self, node: ast.ImportFrom) -> None:
        """Take the names of one import statement."""
        if node.module != MODULE or node.level:
            raise self.error(
                f"cannot import from '{'.' * node.level}{node.module or ''}'",
                f"contracts may import only {MODULE}", node,
            )  # fmt: skip
        for alias in node.names:
            if alias.name not in _AVAILABLE:
                raise self.unknown(f"name of {MODULE}", alias.name, _AVAILABLE, alias)
            if alias.name in self.imported:
                raise self.error(f"'{alias.name}' is imported twice", "import it once", alias)
            self.imported[alias.name] = alias
            if alias.name in _PLAIN:
                self.types[alias.name] = _PLAIN[alias.name]
            if alias.name == "Quality":
                self.types["Quality"] = QUALITY

    def struct(self, node: ast.ClassDef) -> None:
        """Take the declaration of a struct."""
        parts: dict[str, Type] = {}
        for statement in self.without_docstring(node.body):
            match statement:
                case ast.AnnAssign(ast.Name(id=name), annotation, value=None, simple=1):
                    if name in parts:
                        raise self.error(f"'{name}' is declared twice", "choose another", statement)
                    parts[name] = self.type_of(annotation)
                case _:
                    raise self.error("not a field of a struct", "write name: Type", statement)
        kind = StructType(node.name, tuple(parts.items()))
        if not 1 <= leaves(kind) <= STRUCT_PARTS_MAX:
            raise self.error(
                f"the struct has {leaves(kind)} values, those of its structs included",
                f"1 to {STRUCT_PARTS_MAX} are allowed", node,
            )  # fmt: skip
        if depth(kind) > STRUCT_DEPTH_MAX:
            raise self.error(
                "the struct is nested too deep", f"at most {STRUCT_DEPTH_MAX} in each other", node
            )
        self.bounded(size(kind), VALUE_BYTES_MAX, "a value", node)
        self.types[node.name] = kind

    def enum(self, node: ast.ClassDef) -> None:
        """Take the declaration of an enum."""
        members: list[str] = []
        for statement in self.without_docstring(node.body):
            match statement:
                case ast.Assign([ast.Name(id=name)], ast.Constant(value=int(number))) if (
                    number == len(members) and not isinstance(number, bool)
                ):
                    if name in members:
                        raise self.error(f"'{name}' is declared twice", "choose another", statement)
                    members.append(name)
                case _:
                    raise self.error(
                        "not a member of an enum", f"write NAME = {len(members)}", statement
                    )
        if not 1 <= len(members) <= ENUM_MEMBERS_MAX:
            raise self.error(
                f"the enum has {len(members)} members", f"1 to {ENUM_MEMBERS_MAX} are allowed", node
            )
        self.types[node.name] = EnumType(node.name, tuple(members))

    def interface(self, node: ast.ClassDef) -> None:
        """Take the declaration of another contract's methods."""
        methods: dict[str, Header] = {}
        for statement in self.without_docstring(node.body):
            if not isinstance(statement, ast.FunctionDef) or statement.decorator_list:
                raise self.error(
                    "not a method of an interface", "write def name(self, ...) -> Type: ...",
                    statement,
                )  # fmt: skip
            if statement.name in methods:
                raise self.error(
                    f"'{statement.name}' is declared twice", "choose another", statement
                )
            self.stub(statement)
            methods[statement.name] = self.header(statement, len(methods), FunctionKind.EXTERNAL)
        if not methods:
            raise self.error("the interface has no methods", "declare those that are called", node)
        self.interfaces[node.name] = methods

    def state_field(self, node: ast.AnnAssign, name: str) -> None:
        """Take the declaration of a field of the contract."""
        keys: list[Type] = []
        annotation: ast.expr = node.annotation
        while isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
            if annotation.value.id != "Map":
                break
            self.needs("Map", annotation)
            match annotation.slice:
                case ast.Tuple(elts=[key, value]):
                    keys.append(self.type_of(key))
                    annotation = value
                case _:
                    raise self.error("a Map has a key and a value", "write Map[K, V]", annotation)
            if isinstance(keys[-1], StructType):
                raise self.error(
                    f"{describe(keys[-1])} is no key", "nest maps: Map[A, Map[B, V]]", annotation
                )
        self.bounded(sum(map(size, keys)), KEY_BYTES_MAX, "all keys of an entry", node)
        self.member(name, node)
        self.fields[name] = StateField(name, tuple(keys), self.type_of(annotation), node.lineno)

    def member(self, name: str, node: ast.AST) -> None:
        """Refuse a second member of the contract with this name."""
        if name in self.fields or name in self.events or name in self.functions:
            raise self.error(f"'{name}' is declared twice", "a name has one meaning", node)

    def header(self, node: ast.FunctionDef, number: int, kind: FunctionKind) -> Header:
        """A function's name, parameters and result."""
        arguments = node.args.args
        if not arguments or arguments[0].arg != "self" or arguments[0].annotation is not None:
            raise self.error(
                "the first parameter is not self", f"write def {node.name}(self)", node
            )
        returns = node.returns
        result = None if returns is None or is_none(returns) else self.type_of(returns)
        parameters = self.parameters(arguments[1:])
        if result is not None:
            self.bounded(size(result), VALUE_BYTES_MAX, "a result", node)
        return Header(number, node.name, kind, parameters, result, node)

    def parameters(self, arguments: list[ast.arg]) -> tuple[Named, ...]:
        """Names and types, all of them given and all different."""
        found: dict[str, Type] = {}
        for argument in arguments:
            if argument.annotation is None:
                raise self.error(
                    f"'{argument.arg}' has no type", f"write {argument.arg}: u64", argument
                )
            if argument.arg in found or argument.arg in self.declared or argument.arg == "self":
                raise self.error(
                    f"'{argument.arg}' is declared twice", "choose another name", argument
                )
            if argument.arg in _AVAILABLE:
                raise self.error(
                    f"'{argument.arg}' has a meaning already", "choose another name", argument
                )
            found[argument.arg] = self.type_of(argument.annotation)
            self.bounded(
                sum(map(size, found.values())), VALUE_BYTES_MAX, "all parameters", argument
            )
        return tuple(Named(name, kind) for name, kind in found.items())

    def bounded(self, found: int, largest: int, what: str, node: ast.AST) -> None:
        """Refuse what takes more bytes than are allowed."""
        if found > largest:
            raise self.error(f"{found} bytes for {what}", f"at most {largest} are allowed", node)

    def stub(self, node: ast.FunctionDef) -> None:
        """Refuse a body where there must be none."""
        match self.without_docstring(node.body):
            case [ast.Expr(ast.Constant(value=value))] if value is ...:
                return
        raise self.error(f"'{node.name}' has a body", "write ... for it", node)

    def without_docstring(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements after a docstring, which says nothing to the compiler."""
        match body:
            case [ast.Expr(ast.Constant(value=str())), *rest]:
                return rest
        return body


def is_none(node: ast.expr) -> bool:
    """Whether a result's annotation says that there is none."""
    return isinstance(node, ast.Constant) and node.value is None


def leaves(kind: Type) -> int:
    """Values that a value of this type consists of."""
    if isinstance(kind, StructType):
        return sum(leaves(part) for _, part in kind.fields)
    return 1


def depth(kind: Type) -> int:
    """Structs within each other, this one included; 0 for what is no struct."""
    if isinstance(kind, StructType):
        return 1 + max((depth(part) for _, part in kind.fields), default=0)
    return 0

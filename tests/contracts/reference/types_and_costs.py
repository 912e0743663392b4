"""Which type an expression has, and what it costs: docs/contracts-language.md, "Types", "Units".

An expression stands where a type is expected, or not. `Fit` is what becomes of it there: its type,
and whether shorter Bytes are converted to longer ones.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from reference import kinds
from reference.kinds import ADDRESS, ASSET, BOOL, BYTES32, NUMBERS, U64, U128, Kind, words
from reference.reading import File, Method

SIMPLE, PRODUCT, SIMPLE_128, PRODUCT_128, QUOTIENT_128 = 1, 2, 4, 16, 1_000
MUL_DIV, MUL_DIV_128, INTERNAL_CALL, LOOP_TURN = 250, 1_000, 10, 3
_PRODUCTS = (ast.Mult, ast.FloorDiv, ast.Mod)

HOST: dict[str, tuple[list[Kind | None], Kind | None]] = {
    "ledger.balance": ([ADDRESS, ASSET], U64),
    "ledger.transfer": ([ADDRESS, ASSET, U64], None),
    "beacon.next_round": ([U64], U64),
    "beacon.value": ([U64], BYTES32),
    "beacon.uniform": ([U64, U64, None], U64),
    "beacon.quality": ([U64], kinds.QUALITY),
    "verify_ed25519": ([BYTES32, None, None], BOOL),
    "verify_mldsa65": ([None, None, None], BOOL),
}
"""Types of arguments (None: Bytes of any capacity) and of the result."""
KNOWN: dict[str, Kind] = {
    "msg.sender": ADDRESS, "msg.value": U64, "msg.asset": ASSET, "block.height": U64,
    "block.time": U64, "this": ADDRESS, "chain_id": BYTES32,
}  # fmt: skip


def dotted(node: ast.expr) -> str:
    """`a`, or `a.b` of two names; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def is_digits(node: ast.expr) -> bool:
    """Whole numbers alone."""
    if isinstance(node, ast.BinOp):
        return is_digits(node.left) and is_digits(node.right)
    return isinstance(node, ast.Constant) and type(node.value) is int


@dataclass
class Fit:
    """An expression where a type is expected.

    Attributes:
        node: The expression.
        kind: Its own type there; None: it returns nothing.
        to: The type that is wanted.
        expected: What a literal in it may take for its type.
    """

    node: ast.expr
    kind: Kind | None
    to: Kind | None
    expected: Kind | None


class Typing:
    """Types and costs within one method."""

    def __init__(self, file: File, method: Method) -> None:
        self.file = file
        self.method = method
        self.variables: dict[str, Kind] = dict(method.parameters)

    # --- types

    def fit(self, node: ast.expr, to: Kind) -> Fit:
        return Fit(node, self.kind(node, to), to, to)

    def kind(self, node: ast.expr, expected: Kind | None = None) -> Kind | None:
        if isinstance(node, ast.Constant):
            return self._literal(node, expected)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._named(node)
        if isinstance(node, ast.Subscript):
            entry = self.entry(node)
            if entry is not None:
                return self.file.fields[entry[0]][1]
            return self.kind(node.value) if isinstance(node.slice, ast.Slice) else U64
        if isinstance(node, ast.BinOp):
            return self._sum(node, expected)
        if isinstance(node, ast.BoolOp | ast.UnaryOp | ast.Compare):
            return BOOL
        if isinstance(node, ast.IfExp):
            return self.pair(node.body, node.orelse, expected)[2]
        assert isinstance(node, ast.Call)
        return self._called(node, expected)

    def _literal(self, node: ast.Constant, expected: Kind | None) -> Kind:
        if isinstance(node.value, bool):
            return BOOL
        if isinstance(node.value, int):
            return expected if expected in NUMBERS and expected is not None else U64
        assert isinstance(node.value, bytes)
        if expected is not None and expected[0] == "Bytes" and len(node.value) <= expected[1]:
            return expected
        return kinds.bytes_of(max(1, len(node.value)))

    def _named(self, node: ast.Name | ast.Attribute) -> Kind:
        name = dotted(node)
        if name in self.variables:
            return self.variables[name]
        if name in self.file.constants:
            return self.file.constants[name][0]
        if name in KNOWN:
            return KNOWN[name]
        assert isinstance(node, ast.Attribute)
        if isinstance(node.value, ast.Name):
            if node.value.id == "self":
                return self.file.fields[node.attr][1]
            if node.value.id in self.file.types:
                return self.file.types[node.value.id]
        return dict(self.kind(node.value)[2])[node.attr]  # type: ignore[index]

    def entry(self, node: ast.expr) -> tuple[str, list[ast.expr]] | None:
        """Field and keys of `self.name[key]...`; None for anything else."""
        keys: list[ast.expr] = []
        while isinstance(node, ast.Subscript):
            keys.insert(0, node.slice)
            node = node.value
        name = dotted(node)
        if not name.startswith("self."):
            return None
        field = name.removeprefix("self.")
        if field not in self.file.fields or len(keys) != len(self.file.fields[field][0]):
            return None
        return field, keys

    def _sum(self, node: ast.BinOp, expected: Kind | None) -> Kind | None:
        left, right, kind = self.operands(node, expected)
        if kinds.is_bytes(kind):
            return kinds.bytes_of(left.to[1] + right.to[1])  # type: ignore[index]
        return kind

    def operands(self, node: ast.BinOp, expected: Kind | None) -> tuple[Fit, Fit, Kind | None]:
        """Both sides; for a sum of Bytes each with its own type."""
        if expected not in NUMBERS:
            expected = None
        left = self.kind(node.left, expected)
        if kinds.is_bytes(left):
            right = self.kind(node.right)
            first = Fit(node.left, left, left, expected)
            return first, Fit(node.right, right, right, None), left
        return self.pair(node.left, node.right, expected)

    def pair(
        self, left: ast.expr, right: ast.expr, expected: Kind | None
    ) -> tuple[Fit, Fit, Kind | None]:
        """Two values of one type: numbers of the source take that of the other side."""
        if is_digits(left) and not is_digits(right):
            kind = self.kind(right, expected)
            return Fit(left, kind, kind, kind), Fit(right, kind, kind, expected), kind
        kind = self.kind(left, expected)
        other = self.kind(right, kind)
        both = kind
        if kinds.is_bytes(kind) and kinds.is_bytes(other):
            both = max(kind, other, key=lambda one: one[1])  # type: ignore[index,arg-type,return-value]
        return Fit(left, kind, both, expected), Fit(right, other, both, kind), both

    def _called(self, node: ast.Call, expected: Kind | None) -> Kind | None:
        name = dotted(node.func)
        if isinstance(node.func, ast.Subscript) or name in self.file.types:
            return self.file.kind(node.func)
        if name in HOST:
            return HOST[name][1]
        if name in ("sha256", "sha3_256"):
            return BYTES32
        if name == "len":
            return U64
        if name == "pack":
            total = sum(kinds.width(self.kind(one)) for one in node.args)  # type: ignore[arg-type]
            return kinds.bytes_of(total)
        if name == "mul_div":
            return self.mul_div(node, expected)[0].to
        if name.startswith("self."):
            return self.file.methods[node.func.attr].result  # type: ignore[attr-defined]
        return self.foreign(node)[1].result

    def mul_div(self, node: ast.Call, expected: Kind | None) -> list[Fit]:
        telling = [one for one in node.args if not is_digits(one)] or node.args
        kind = self.kind(telling[0], expected)
        assert kind is not None
        return [Fit(one, kind, kind, expected if one is telling[0] else kind) for one in node.args]

    def foreign(self, node: ast.Call) -> tuple[ast.expr, Method]:
        """Address and method of a call of another contract."""
        assert isinstance(node.func, ast.Attribute)
        assert isinstance(node.func.value, ast.Call)
        name, address = node.func.value.args
        assert isinstance(name, ast.Name)
        return address, self.file.interfaces[name.id][node.func.attr]

    # --- arguments

    def arguments(self, node: ast.Call, expected: Kind | None = None) -> list[Fit]:
        """What is evaluated for a call, in order."""
        name = dotted(node.func)
        if isinstance(node.func, ast.Subscript) or name in self.file.types:
            kind = self.file.kind(node.func)
            if kind[0] == "struct":
                given = [*node.args, *(one.value for one in node.keywords)]
                return [self.fit(one, of) for one, (_, of) in zip(given, kind[2], strict=True)]
            return [
                Fit(one, self.kind(one, kind), None, kind) for one in node.args if not _is_text(one)
            ]
        if name in HOST:
            given = zip(node.args, HOST[name][0], strict=True)
            return [self.fit(one, of) if of else self._free(one) for one, of in given]
        if name == "mul_div":
            return self.mul_div(node, expected)
        if name.startswith("self."):
            member = name.removeprefix("self.")
            if member in self.file.events:
                wanted = self.file.events[member]
            else:
                wanted = [kind for _, kind in self.file.methods[member].parameters]
            return [self.fit(one, of) for one, of in zip(node.args, wanted, strict=True)]
        if name:
            return [self._free(one) for one in node.args]
        address, method = self.foreign(node)
        rest = zip(node.args, method.parameters, strict=True)
        return [self.fit(address, ADDRESS), *(self.fit(one, of) for one, (_, of) in rest)]

    def _free(self, node: ast.expr) -> Fit:
        kind = self.kind(node)
        return Fit(node, kind, kind, None)

    # --- costs

    def cost(self, fit: Fit) -> int:
        """Units of an expression where a type is expected, without what is charged apart."""
        units = self._cost(fit.node, fit.expected)
        shorter = kinds.is_bytes(fit.to) and fit.kind != fit.to
        if shorter and not self.is_known(fit.node):
            units += SIMPLE + words(fit.to)  # type: ignore[arg-type]
        return units

    def is_known(self, node: ast.expr) -> bool:
        """A literal or a constant: it has the capacity that is wanted."""
        is_empty = isinstance(node, ast.Call) and isinstance(node.func, ast.Subscript)
        return (
            isinstance(node, ast.Constant)
            or dotted(node) in self.file.constants
            or (is_empty and not node.args)  # type: ignore[union-attr]
        )

    def costs(self, fits: list[Fit]) -> int:
        return sum(self.cost(fit) for fit in fits)

    def copies(self, fits: list[Fit]) -> int:
        return sum(words(fit.to) for fit in fits if fit.to)

    def keys(self, field: str, nodes: list[ast.expr]) -> list[Fit]:
        given = zip(nodes, self.file.fields[field][0], strict=False)
        return [self.fit(node, kind) for node, kind in given]

    def _cost(self, node: ast.expr, expected: Kind | None) -> int:
        if isinstance(node, ast.Constant):
            return SIMPLE
        entry = self.entry(node)
        if entry is not None:
            keys = self.keys(*entry)
            kind = self.file.fields[entry[0]][1]
            return SIMPLE + words(kind) + self.copies(keys) + self.costs(keys)
        if isinstance(node, ast.Name | ast.Attribute):
            return SIMPLE if self._is_leaf(node) else SIMPLE + self._cost(node.value, None)  # type: ignore[union-attr]
        if isinstance(node, ast.Subscript):
            whole = self._cost(node.value, None)
            if not isinstance(node.slice, ast.Slice):
                return SIMPLE + whole + self._cost(node.slice, U64)
            ends = self._cost(node.slice.lower, U64) + self._cost(node.slice.upper, U64)  # type: ignore[arg-type]
            return SIMPLE + words(self.kind(node)) + whole + ends  # type: ignore[arg-type]
        if isinstance(node, ast.BinOp):
            left, right, kind = self.operands(node, expected)
            if kinds.is_bytes(kind):
                own = SIMPLE + words(self._sum(node, expected))  # type: ignore[arg-type]
            else:
                own = arithmetic(kind, node.op)
            return own + self.cost(left) + self.cost(right)
        if isinstance(node, ast.UnaryOp):
            return SIMPLE + self._cost(node.operand, BOOL)
        if isinstance(node, ast.BoolOp):
            return SIMPLE * (len(node.values) - 1) + self._cost(node.values[0], BOOL)
        if isinstance(node, ast.IfExp):
            kind = self.kind(node, expected)
            return SIMPLE + words(kind) + self._cost(node.test, BOOL)  # type: ignore[arg-type]
        if isinstance(node, ast.Compare):
            left, right, kind = self.pair(node.left, node.comparators[0], None)
            own = SIMPLE_128 if kind == U128 else SIMPLE + words(kind)  # type: ignore[arg-type]
            return own + self.cost(left) + self.cost(right)
        assert isinstance(node, ast.Call)
        return self._call_cost(node, expected)

    def _is_leaf(self, node: ast.expr) -> bool:
        name = dotted(node)
        if name in self.variables or name in self.file.constants or name in KNOWN:
            return True
        return isinstance(node, ast.Attribute) and dotted(node.value) in self.file.types

    def _call_cost(self, node: ast.Call, expected: Kind | None) -> int:
        name = dotted(node.func)
        fits = self.arguments(node, expected)
        own = self.costs(fits)
        kind = self.kind(node, expected)
        if isinstance(node.func, ast.Subscript) or name in self.file.types:
            if not fits:
                return SIMPLE
            same = kind is not None and kind[0] != "struct" and fits[0].kind == kind
            return own if same else own + SIMPLE + words(kind)  # type: ignore[arg-type]
        if name in ("sha256", "sha3_256"):
            (fit,) = fits
            if not kinds.is_bytes(fit.kind):
                own += SIMPLE + words(kinds.bytes_of(kinds.width(fit.kind)))  # type: ignore[arg-type]
            return own + SIMPLE
        if name == "pack":
            return own + SIMPLE + words(kind)  # type: ignore[arg-type]
        if name == "mul_div":
            return own + (MUL_DIV_128 if kind == U128 else MUL_DIV)
        if name == "len" or name in HOST:
            return own + SIMPLE
        if name.startswith("self."):
            return own + INTERNAL_CALL + self.copies(fits)
        return own + SIMPLE + (words(kind) if kind else 0) + self.copies(fits[1:])


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def arithmetic(kind: Kind | None, operator: ast.operator) -> int:
    if kind != U128:
        return PRODUCT if isinstance(operator, _PRODUCTS) else SIMPLE
    if isinstance(operator, ast.Mult):
        return PRODUCT_128
    return QUOTIENT_128 if isinstance(operator, _PRODUCTS) else SIMPLE_128

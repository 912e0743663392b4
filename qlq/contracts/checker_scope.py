"""What is known while one function is checked: its variables, and what it does to the world."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from qlq.contracts.checker_names import Header, Names
from qlq.contracts.encoding import describe
from qlq.contracts.expressions import Expression, Literal, ReadLocal
from qlq.contracts.program import Assertion, Named, Remark
from qlq.contracts.values import BytesType, Plain, Type
from qlq.errors import CompileError


class Effect(Enum):
    """What a function does, or what its result depends on; the value reads after "it"."""

    WRITES = "writes the state"
    WRITES_ENTRIES = "writes entries of a map"
    EMITS = "emits an event"
    TRANSFERS = "transfers units"
    CALLS = "calls another contract"
    READS_VALUE = "reads msg.value"
    READS_ASSET = "reads msg.asset"
    READS_SENDER = "reads msg.sender"
    READS_BEACON = "reads the beacon"


@dataclass(frozen=True, slots=True)
class FieldWrite:
    """A write of a field of the state, and whether what is written may be read as a round."""

    field: int
    is_round: bool
    node: ast.AST


CallChecker = Callable[["Scope", ast.Call, Type | None], Expression]


@dataclass(slots=True)
class Scope:
    """One function that is being checked.

    Attributes:
        names: Of the file.
        header: Of the function.
        assertions: Of the whole contract, in the order of the source.
        call: Checks calls, which have expressions in them and are expressions.
        locals: Parameters, variables and temporaries so far.
        numbers: Of parameters and variables, by name.
        assigned: Numbers of locals that have a value here on every path.
        loops: How many loops are around.
        effects: The first place of each.
        callees: Functions of the contract that are called, with the first place.
        writes: Of the state.
        rounds: Fields that are read as rounds of the beacon, with the first place.
        remarks: What is allowed and probably not meant.
    """

    names: Names
    header: Header
    assertions: list[Assertion]
    call: CallChecker
    locals: list[Named] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    assigned: set[int] = field(default_factory=set)
    loops: int = 0
    effects: dict[Effect, ast.AST] = field(default_factory=dict)
    callees: dict[int, ast.AST] = field(default_factory=dict)
    writes: list[FieldWrite] = field(default_factory=list)
    rounds: dict[int, ast.AST] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Parameters have a value from the start."""
        for parameter in self.header.parameters:
            self.assigned.add(self.variable(parameter.name, parameter.type, self.header.node))

    def error(self, message: str, hint: str, node: ast.AST) -> CompileError:
        """What to raise, at the node."""
        return self.names.error(message, hint, node)

    def variable(self, name: str, kind: Type, node: ast.AST) -> int:
        """The number of a new variable."""
        if name in self.numbers or name in self.names.declared:
            raise self.error(f"'{name}' is declared twice", "assign to it, or rename it", node)
        if name == "self" or name in self.names.imported or name in ("range", "len", "bool"):
            raise self.error(f"'{name}' has a meaning already", "choose another name", node)
        self.numbers[name] = len(self.locals)
        self.locals.append(Named(name, kind))
        return self.numbers[name]

    def temporary(self, kind: Type) -> int:
        """The number of a new variable that the source does not name."""
        self.locals.append(Named("", kind))
        return len(self.locals) - 1

    def read(self, name: str, node: ast.AST) -> ReadLocal:
        """A variable's value, which it must have on every path to here."""
        number = self.numbers[name]
        if number not in self.assigned:
            raise self.error(
                f"'{name}' may have no value here", "assign to it on every path before", node
            )
        return ReadLocal(self.locals[number].type, number)

    def note(self, effect: Effect, node: ast.AST) -> None:
        """The function does this."""
        self.effects.setdefault(effect, node)


def mismatch(scope: Scope, found: Expression, expected: Type, node: ast.AST) -> CompileError:
    """What to raise for a value of another type than is expected."""
    kind = found.type
    if kind is None:
        return scope.error("the call returns nothing", "call it on a line of its own", node)
    if {kind, expected} <= {Plain.U64, Plain.U128}:
        hint = f"integers have a width here: convert by {describe(expected)}(...)"
    elif isinstance(kind, BytesType) and isinstance(expected, BytesType):
        hint = f"if it is known to fit, convert by {describe(expected)}(...)"
    elif expected is Plain.BOOL:
        hint = "compare it: nothing but a bool is true or false"
    elif isinstance(found, Literal) and isinstance(kind, Plain):
        hint = f"a number or truth value is no {describe(expected)}"
    else:
        hint = "types are never converted on their own"
    return scope.error(f"expected {describe(expected)}, got {describe(kind)}", hint, node)

"""A contract after checking: typed, every name resolved, every order and every charge explicit.

Both back-ends execute a `Program` and decide nothing. How to read it:

- Operands are evaluated in the order of an expression's fields, then the operation is done. `Store`
  has its value before its keys, as Python evaluates `self.map[key] = value`.
- `Charge` takes its units, or ends the transaction out of gas. The same holds for the `units` of
  short circuits and choices, before the operand they stand with, and of loops, before each test,
  the last one included. Host operations charge on their own, before their work.
- Values are copied when they are assigned, passed, returned or put into another value: nothing has
  two names.
- What can fail has the `line` of the source. Reasons are in `outcome.Reason`; which expression
  fails with which is said at each class.
- Numbers index into the program's tuples, which are in the order of the source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from qlq.contracts.expressions import CallContract, CallFunction, CallHost, Expression
from qlq.contracts.values import Type, signature_text

SLOT_BYTES = 8
METHOD_ID_BYTES = 4


@dataclass(frozen=True, slots=True)
class Charge:
    """Pay for the statements up to the next branch, and for its condition."""

    units: int


@dataclass(frozen=True, slots=True)
class Assign:
    """A local gets a value; with a path, a part of the struct in it does.

    The path holds indices of fields, the outermost first.
    """

    local: int
    path: tuple[int, ...]
    value: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Store:
    """An entry of the storage gets a value. The value is evaluated first, then the keys."""

    field: int
    value: Expression
    keys: tuple[Expression, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Emit:
    """An event happens."""

    event: int
    arguments: tuple[Expression, ...]
    line: int


@dataclass(frozen=True, slots=True)
class If:
    """One of two blocks; each begins with its charge."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    line: int


@dataclass(frozen=True, slots=True)
class While:
    """Charge, test, block, and again."""

    units: int
    condition: Expression
    body: tuple[Statement, ...]
    line: int


@dataclass(frozen=True, slots=True)
class ForRange:
    """The local is start, start + 1, ... below stop (u64), which are evaluated once.

    A counter of its own counts: assignments to the local within the block change no turn.
    """

    local: int
    start: Expression
    stop: Expression
    units: int
    body: tuple[Statement, ...]
    line: int


@dataclass(frozen=True, slots=True)
class ForItems:
    """A page of a map: the first `count` entries whose last key is not below start.

    Ascending by the key's encoding, see `encoding.encode_key`. The keys before the last one and the
    start are evaluated once, the page is read once: writes within the block change no turn.
    """

    field: int
    keys: tuple[Expression, ...]
    start: Expression
    count: int
    key_local: int
    value_local: int
    units: int
    body: tuple[Statement, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Break:
    """Leave the innermost loop."""

    line: int


@dataclass(frozen=True, slots=True)
class Continue:
    """Go to the head of the innermost loop."""

    line: int


@dataclass(frozen=True, slots=True)
class Assert:
    """ASSERTION with the code, unless the condition holds."""

    condition: Expression
    code: int
    line: int


@dataclass(frozen=True, slots=True)
class Return:
    """Leave the function. A function without a result also ends with its last statement."""

    value: Expression | None
    line: int


@dataclass(frozen=True, slots=True)
class Evaluate:
    """A call for what it does; a result is dropped."""

    call: CallFunction | CallHost | CallContract
    line: int


Statement = (
    Charge | Assign | Store | Emit | If | While | ForRange | ForItems | Break | Continue
    | Assert | Return | Evaluate
)  # fmt: skip


class FunctionKind(Enum):
    """Who may call a function."""

    EXTERNAL = "external"
    VIEW = "view"
    """Anyone; it changes nothing."""
    INTERNAL = "internal"
    """The contract itself alone."""
    INIT = "init"
    """Runs once, when the contract is deployed."""
    MIGRATE = "migrate"
    """Runs once, when the code takes the place of an earlier one."""


@dataclass(frozen=True, slots=True)
class Named:
    """A parameter, a variable or an event's field; the name of a temporary is empty."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class StateField:
    """A field of the state: one entry, or with keys a map."""

    name: str
    keys: tuple[Type, ...]
    value: Type
    line: int

    @property
    def slot(self) -> bytes:
        """What the keys of its entries begin with, 8 bytes."""
        return hashlib.sha256(self.name.encode()).digest()[:SLOT_BYTES]


@dataclass(frozen=True, slots=True)
class Event:
    """What a contract tells the world outside."""

    name: str
    parameters: tuple[Named, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Assertion:
    """One `assert`; its number is the code of the failure."""

    text: str
    function: str
    line: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the contract.

    Attributes:
        name: As in the source.
        kind: Who may call it.
        parameters: How many of the locals, from the first on, are parameters.
        locals: Parameters, variables and temporaries.
        result: None: it returns nothing.
        takes_value: Whether units may be sent with a call of it.
        body: Ends with `Return` on every path if there is a result.
        line: Of its `def`.
    """

    name: str
    kind: FunctionKind
    parameters: int
    locals: tuple[Named, ...]
    result: Type | None
    takes_value: bool
    body: tuple[Statement, ...]
    line: int

    @property
    def signature(self) -> str:
        """Name and types of the parameters, from which the id of the method is made."""
        return signature_of(self.name, self.locals[: self.parameters])

    @property
    def method_id(self) -> bytes:
        """What the data of a call begin with, 4 bytes."""
        return method_id(self.signature)


def signature_of(name: str, parameters: Iterable[Named]) -> str:
    """A method's name and the types of its parameters."""
    return f"{name}({','.join(signature_text(parameter.type) for parameter in parameters)})"


def method_id(signature: str) -> bytes:
    """The first 4 bytes of the signature's SHA-256."""
    return hashlib.sha256(signature.encode()).digest()[:METHOD_ID_BYTES]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Who may replace the code, and how many blocks after the announcement."""

    admin: int
    """The number of a field of the state, an Address."""
    delay: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What is allowed and probably not meant."""

    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True)
class Program:
    """A checked contract; `rounds` are numbers of the fields that hold rounds of the beacon."""

    name: str
    fields: tuple[StateField, ...]
    events: tuple[Event, ...]
    functions: tuple[Function, ...]
    assertions: tuple[Assertion, ...]
    upgrade: Upgrade | None
    rounds: tuple[int, ...]
    remarks: tuple[Remark, ...]

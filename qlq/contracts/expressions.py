"""Expressions of a `program.Program`, which tells how to read them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from qlq.contracts.values import BytesType, Plain, StructType, Type, Value


class Operator(Enum):
    """Of two numbers of one type, u64 or u128. The value is the sign in sources."""

    ADD = "+"
    """OVERFLOW"""
    SUBTRACT = "-"
    """UNDERFLOW"""
    MULTIPLY = "*"
    """OVERFLOW"""
    DIVIDE = "//"
    """DIVISION_BY_ZERO"""
    REMAINDER = "%"
    """DIVISION_BY_ZERO"""
    AND = "&"
    OR = "|"
    XOR = "^"
    SHIFT_LEFT = "<<"
    """SHIFT for a count from the width of the type on; then OVERFLOW if a set bit would be lost."""
    SHIFT_RIGHT = ">>"
    """SHIFT for a count from the width of the type on."""


class Comparison(Enum):
    """Of two values of one type: all for u64, u128 and enums, the first two for the rest.

    Structs have none. Bytes are equal if their lengths and contents are.
    """

    EQUAL = "=="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="


class Environment(Enum):
    """What a call knows of itself."""

    SENDER = "msg.sender"
    VALUE = "msg.value"
    ASSET = "msg.asset"
    HEIGHT = "block.height"
    TIME = "block.time"
    CHAIN = "chain_id"
    THIS = "this"


class HostOperation(Enum):
    """What the host does, with the types of its operands; see `host.Host`."""

    BALANCE = "ledger.balance"
    """(Address, Asset) -> u64"""
    TRANSFER = "ledger.transfer"
    """(Address, Asset, u64) -> nothing"""
    SHA256 = "sha256"
    """(Bytes) -> Bytes32, of the content alone"""
    SHA3_256 = "sha3_256"
    """(Bytes) -> Bytes32, of the content alone"""
    VERIFY_ED25519 = "verify_ed25519"
    """(Bytes32 key, Bytes message, Bytes signature) -> bool; false for another length than 64"""
    VERIFY_MLDSA65 = "verify_mldsa65"
    """(Bytes key, Bytes message, Bytes signature) -> bool; false unless 1952 and 3309 bytes long"""
    BEACON_NEXT_ROUND = "beacon.next_round"
    """(u64 delay) -> u64"""
    BEACON_VALUE = "beacon.value"
    """(u64 round) -> Bytes32"""
    BEACON_UNIFORM = "beacon.uniform"
    """(u64 round, u64 below, Bytes tag) -> u64"""
    BEACON_QUALITY = "beacon.quality"
    """(u64 round) -> Quality"""


class Junction(Enum):
    """How two conditions are joined."""

    AND = "and"
    OR = "or"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is known."""

    type: Type
    value: Value


@dataclass(frozen=True, slots=True)
class ReadLocal:
    """A parameter, a variable or a temporary."""

    type: Type
    local: int


@dataclass(frozen=True, slots=True)
class ReadEnvironment:
    """What the call knows: Address, Asset, Bytes32 (chain_id) or u64."""

    type: Type
    item: Environment


@dataclass(frozen=True, slots=True)
class Load:
    """An entry of the storage: as many keys as the field has; zero where there is none."""

    type: Type
    field: int
    keys: tuple[Expression, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """See `Operator` for what fails."""

    type: Type
    operator: Operator
    left: Expression
    right: Expression
    line: int


@dataclass(frozen=True, slots=True)
class MulDiv:
    """left * right // divisor without a bound on the product; DIVISION_BY_ZERO, OVERFLOW."""

    type: Type
    left: Expression
    right: Expression
    divisor: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Compare:
    """A bool."""

    comparison: Comparison
    left: Expression
    right: Expression
    type: Type = Plain.BOOL


@dataclass(frozen=True, slots=True)
class Not:
    """A bool."""

    operand: Expression
    type: Type = Plain.BOOL


@dataclass(frozen=True, slots=True)
class Join:
    """A bool; the right side, and its charge, only where the left one leaves it open."""

    junction: Junction
    left: Expression
    units: int
    right: Expression
    type: Type = Plain.BOOL


@dataclass(frozen=True, slots=True)
class Choose:
    """`then if condition else otherwise`: the condition, then a charge and one of the two."""

    type: Type
    condition: Expression
    then_units: int
    then: Expression
    otherwise_units: int
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a struct."""

    type: Type
    whole: Expression
    index: int


@dataclass(frozen=True, slots=True)
class Make:
    """A struct of its parts."""

    type: StructType
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Convert:
    """The same value in another type; CONVERSION where the type does not have it.

    u64, u128, bool and enums to u64 or u128; u64 to an enum; 32-byte types into each other, or to
    Bytes of capacity 32 or more; Bytes to Bytes of another capacity (the length must fit), or to a
    32-byte type (the length must be 32).
    """

    type: Type
    value: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Length:
    """Of Bytes, a u64."""

    value: Expression
    type: Type = Plain.U64


@dataclass(frozen=True, slots=True)
class ByteAt:
    """One byte of Bytes as a u64; INDEX from the length on."""

    value: Expression
    index: Expression
    line: int
    type: Type = Plain.U64


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes of the same capacity, from start to before stop.

    INDEX unless start <= stop <= length.
    """

    type: BytesType
    value: Expression
    start: Expression
    stop: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Concatenate:
    """Bytes after Bytes; the capacity is the sum."""

    type: BytesType
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Pack:
    """The encodings of values side by side, as Bytes that are full."""

    type: BytesType
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class CallFunction:
    """A function of this contract; no type: it returns nothing."""

    type: Type | None
    function: int
    arguments: tuple[Expression, ...]
    line: int


@dataclass(frozen=True, slots=True)
class CallHost:
    """See `HostOperation`."""

    type: Type | None
    operation: HostOperation
    arguments: tuple[Expression, ...]
    line: int


@dataclass(frozen=True, slots=True)
class CallContract:
    """A method of another contract, with all gas that is left; its result must be of the type.

    RESULT_MISMATCH for other lengths or values that the type does not have.
    """

    type: Type | None
    contract: Expression
    method_id: bytes
    arguments: tuple[Expression, ...]
    line: int


Expression = (
    Literal | ReadLocal | ReadEnvironment | Load | Arithmetic | MulDiv | Compare | Not | Join
    | Choose | Part | Make | Convert | Length | ByteAt | Slice | Concatenate | Pack
    | CallFunction | CallHost | CallContract
)  # fmt: skip

"""Types of the contract language, and their values as bytes."""

from __future__ import annotations

from enum import Enum

import msgspec


class Plain(Enum):
    """A type without parameters; its value is its name in sources and signatures."""

    U64 = "u64"
    U128 = "u128"
    BOOL = "bool"
    ADDRESS = "Address"
    BYTES32 = "Bytes32"
    ASSET = "Asset"


class BytesType(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Up to `capacity` bytes, 1 to 4096; the length is part of the value."""

    capacity: int


class EnumType(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One of up to 256 members, the numbers from 0; the first is the zero value."""

    name: str
    members: tuple[str, ...]


class StructType(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Values side by side."""

    name: str
    fields: tuple[tuple[str, Type], ...]


Type = Plain | BytesType | EnumType | StructType

Value = int | bytes | tuple["Value", ...]
"""Numbers, bools and enums are int, 32-byte values and contents of Bytes bytes, structs tuples."""

_SIZES = {
    Plain.U64: 8, Plain.U128: 16, Plain.BOOL: 1,
    Plain.ADDRESS: 32, Plain.BYTES32: 32, Plain.ASSET: 32,
}  # fmt: skip
_LENGTH_BYTES = 2


def size(kind: Type) -> int:
    """Bytes of an encoded value of this type: always the same, see `abi`."""
    match kind:
        case Plain():
            return _SIZES[kind]
        case BytesType(capacity):
            return _LENGTH_BYTES + capacity
        case EnumType():
            return 1
        case StructType(_, fields):
            return sum(size(part) for _, part in fields)


def words(kind: Type) -> int:
    """Words of 8 bytes to copy for a value, beyond one number: 0 for u64, bool and enums."""
    if kind in (Plain.U64, Plain.BOOL) or isinstance(kind, EnumType):
        return 0
    return -(-size(kind) // 8)


def signature_text(kind: Type) -> str:
    """The type within a method's signature; names of structs and enums are not part of it."""
    match kind:
        case Plain():
            return kind.value
        case BytesType(capacity):
            return f"Bytes[{capacity}]"
        case EnumType():
            return "enum"
        case StructType(_, fields):
            return "(" + ",".join(signature_text(part) for _, part in fields) + ")"


def zero(kind: Type) -> Value:
    """The value of what was never written."""
    match kind:
        case Plain.U64 | Plain.U128 | EnumType():
            return 0
        case Plain.BOOL:
            return False
        case Plain():
            return bytes(32)
        case BytesType():
            return b""
        case StructType(_, fields):
            return tuple(zero(part) for _, part in fields)

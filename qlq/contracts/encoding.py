"""Values as bytes, of fixed width: for arguments, results, events, storage and keys.

Numbers are little-endian, 8 or 16 bytes; a bool is 0 or 1; an enum its number in one byte; 32-byte
values as they are; Bytes[N] a length of 2 bytes, the content, and zeros up to N; the fields of
a struct side by side. Each value has one encoding, and decoding takes no other.

Keys of maps differ in one thing: numbers are big-endian, so that pages ascend by number.
"""

from __future__ import annotations

from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type, Value, size

_LENGTH_BYTES = 2


class DecodingError(ValueError):
    """Bytes that are no encoded value of the type; the message says where."""


def encode(kind: Type, value: Value) -> bytes:
    """The encoding of a value.

    Raises:
        ValueError: The type does not have this value.
    """
    match kind:
        case Plain.U64 | Plain.U128 | Plain.BOOL | EnumType() if isinstance(value, int):
            return _checked(kind, value).to_bytes(size(kind), "little")
        case Plain.ADDRESS | Plain.BYTES32 | Plain.ASSET if isinstance(value, bytes):
            if len(value) == size(kind):
                return value
        case BytesType(capacity) if isinstance(value, bytes):
            if len(value) <= capacity:
                return len(value).to_bytes(_LENGTH_BYTES, "little") + value.ljust(capacity, b"\0")
        case StructType(_, fields) if isinstance(value, tuple) and len(value) == len(fields):
            parts = zip(fields, value, strict=True)
            return b"".join(encode(field, part) for (_, field), part in parts)
    raise ValueError(f"not a {describe(kind)}: {value!r}")


def encode_key(kind: Type, value: Value) -> bytes:
    """The encoding of a map's key: `encode`, but numbers are big-endian.

    Raises:
        ValueError: The type does not have this value.
    """
    encoded = encode(kind, value)
    return encoded[::-1] if kind in (Plain.U64, Plain.U128) else encoded


def decode(kind: Type, data: bytes) -> Value:
    """The value of an encoding.

    Raises:
        DecodingError: For bytes that `encode` does not give.
    """
    if len(data) != size(kind):
        raise DecodingError(f"{describe(kind)} takes {size(kind)} bytes, not {len(data)}")
    return _value(kind, data)


def decode_key(kind: Type, data: bytes) -> Value:
    """The value of a key's encoding.

    Raises:
        DecodingError: For bytes that `encode_key` does not give.
    """
    return decode(kind, data[::-1] if kind in (Plain.U64, Plain.U128) else data)


def describe(kind: Type) -> str:
    """The type as in sources."""
    match kind:
        case Plain():
            return kind.value
        case BytesType(capacity):
            return f"Bytes[{capacity}]"
        case EnumType(name) | StructType(name):
            return name


def _value(kind: Type, data: bytes) -> Value:
    match kind:
        case Plain.U64 | Plain.U128:
            return int.from_bytes(data, "little")
        case Plain.BOOL:
            if data[0] > 1:
                raise DecodingError(f"a bool is 0 or 1, not {data[0]}")
            return bool(data[0])
        case EnumType(name, members):
            if data[0] >= len(members):
                raise DecodingError(f"{name} has {len(members)} members, none is {data[0]}")
            return data[0]
        case BytesType(capacity):
            length = int.from_bytes(data[:_LENGTH_BYTES], "little")
            content = data[_LENGTH_BYTES : _LENGTH_BYTES + length]
            if length > capacity or any(data[_LENGTH_BYTES + length :]):
                raise DecodingError(f"Bytes[{capacity}] of length {length}, or not padded by zeros")
            return content
        case StructType(_, fields):
            parts, place = [], 0
            for _, field in fields:
                parts.append(_value(field, data[place : place + size(field)]))
                place += size(field)
            return tuple(parts)
        case _:
            return data


def _checked(kind: Type, value: int) -> int:
    match kind:
        case Plain.BOOL:
            count = 2
        case EnumType(_, members):
            count = len(members)
        case _:
            count = 1 << (8 * size(kind))
    if not 0 <= value < count:
        raise ValueError(f"not a {describe(kind)}: {value}")
    return int(value)

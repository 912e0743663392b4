"""Types as tuples, and values as bytes: docs/contracts-language.md, "Types" and "Encoding"."""

from __future__ import annotations

from typing import Any

U64, U128, BOOL = ("u64",), ("u128",), ("bool",)
ADDRESS, BYTES32, ASSET = ("Address",), ("Bytes32",), ("Asset",)
NUMBERS, WIDE = (U64, U128), (ADDRESS, BYTES32, ASSET)
QUALITY = ("enum", "Quality", ("NONE", "VENDOR", "DEVICE", "SELF_TESTED", "IMPORTED"))

Kind = tuple[Any, ...]


class Malformed(Exception):
    """Bytes that no value has."""


def bytes_of(capacity: int) -> Kind:
    return ("Bytes", capacity)


def is_bytes(kind: Kind | None) -> bool:
    return kind is not None and kind[0] == "Bytes"


def width(kind: Kind) -> int:
    """Encoded bytes."""
    plain = {"u64": 8, "u128": 16, "bool": 1, "enum": 1, "Address": 32, "Bytes32": 32, "Asset": 32}
    if kind[0] == "Bytes":
        return 2 + int(kind[1])
    if kind[0] == "struct":
        return sum(width(part) for _, part in kind[2])
    return plain[kind[0]]


def words(kind: Kind) -> int:
    """The w of the page's tables."""
    return 0 if kind in (U64, BOOL) or kind[0] == "enum" else (width(kind) + 7) // 8


def zero(kind: Kind) -> Any:
    if kind[0] in ("u64", "u128", "enum"):
        return 0
    if kind[0] == "bool":
        return False
    if kind[0] == "Bytes":
        return b""
    if kind[0] == "struct":
        return [zero(part) for _, part in kind[2]]
    return bytes(32)


def copy(value: Any) -> Any:
    """Structs are lists here, so that forgetting a copy shows."""
    return [copy(part) for part in value] if isinstance(value, list) else value


def pack(kind: Kind, value: Any) -> bytes:
    if kind[0] in ("u64", "u128"):
        return int(value).to_bytes(width(kind), "little")
    if kind[0] in ("bool", "enum"):
        return bytes([int(value)])
    if kind[0] == "Bytes":
        return len(value).to_bytes(2, "little") + value + bytes(kind[1] - len(value))
    if kind[0] == "struct":
        return b"".join(pack(part, one) for (_, part), one in zip(kind[2], value, strict=True))
    return bytes(value)


def pack_key(kind: Kind, value: Any) -> bytes:
    return pack(kind, value)[::-1] if kind in NUMBERS else pack(kind, value)


def unpack(kind: Kind, data: bytes) -> Any:
    if len(data) != width(kind):
        raise Malformed
    if kind[0] == "struct":
        parts = []
        for _, part in kind[2]:
            parts.append(unpack(part, data[: width(part)]))
            data = data[width(part) :]
        return parts
    if kind[0] in ("u64", "u128"):
        return int.from_bytes(data, "little")
    if kind[0] in ("bool", "enum"):
        if data[0] >= (2 if kind[0] == "bool" else len(kind[2])):
            raise Malformed
        return bool(data[0]) if kind[0] == "bool" else data[0]
    if kind[0] == "Bytes":
        length = data[0] + 256 * data[1]
        if length > kind[1] or data[2 + length :].strip(b"\0"):
            raise Malformed
        return data[2 : 2 + length]
    return data


def unpack_key(kind: Kind, data: bytes) -> Any:
    return unpack(kind, data[::-1] if kind in NUMBERS else data)


def signature(kind: Kind) -> str:
    """A type within a method's signature."""
    if kind[0] == "Bytes":
        return f"Bytes[{kind[1]}]"
    if kind[0] == "enum":
        return "enum"
    if kind[0] == "struct":
        return "(" + ",".join(signature(part) for _, part in kind[2]) + ")"
    return str(kind[0])

"""Values of contracts as people and programs give them, and as they are shown."""

from __future__ import annotations

import collections
import enum
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from qlq.contracts import encoding
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type, Value
from qlq.errors import ConfigError

_DECIMAL = re.compile(r"[0-9]{1,39}")
_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})*)")
ID_BYTES = 32
SHOWN_CHARS_MAX = 80


class Names(Protocol):
    """What texts in place of ids stand for."""

    def address(self, text: str) -> bytes:
        """The address that a text or a name stands for; raises ConfigError."""

    def asset(self, text: str) -> bytes:
        """The asset that a text or a symbol stands for; raises ConfigError."""

    def show_address(self, address: bytes) -> str:
        """An address for people."""

    def show_asset(self, asset: bytes) -> str:
        """An asset for people."""


def read(kind: Type, given: object, names: Names, *, place: str) -> Value:
    """The value that somebody means.

    Numbers are int or decimal text; 32-byte values and Bytes are bytes or hexadecimal digits;
    addresses and assets also texts and names, or anything with an `address`; an enum the name of
    a member or its number; a struct a mapping, or its parts in order.

    Args:
        kind: Type of the parameter.
        given: What was given.
        names: What texts stand for.
        place: Which parameter, for the message.

    Raises:
        ConfigError: It is no value of the type.
    """
    try:
        value = _value(kind, given, names, place)
        encoding.encode(kind, value)
    except ValueError as error:
        raise _wrong(kind, given, place) from error
    return value


def shown(kind: Type, value: Value, names: Names) -> Any:
    """A value for a document: numbers as decimal text, bytes as hexadecimal digits."""
    match kind:
        case Plain.U64 | Plain.U128:
            return str(value)
        case Plain.ADDRESS if isinstance(value, bytes):
            return names.show_address(value)
        case Plain.ASSET if isinstance(value, bytes):
            return names.show_asset(value)
        case EnumType(_, members) if isinstance(value, int):
            return members[value]
        case StructType(_, fields) if isinstance(value, tuple):
            pairs = zip(fields, value, strict=True)
            return {name: shown(part, inner, names) for (name, part), inner in pairs}
    return value.hex() if isinstance(value, bytes) else bool(value)


def native(kind: Type, value: Value) -> Any:
    """A value for Python code: enums as IntEnum, structs as named tuples, the rest as it is."""
    match kind:
        case Plain.BOOL:
            return bool(value)
        case EnumType() if isinstance(value, int):
            return _enum(kind)(value)
        case StructType(_, fields) if isinstance(value, tuple):
            pairs = zip(fields, value, strict=True)
            return _struct(kind)(*(native(part, inner) for (_, part), inner in pairs))
    return value


@cache
def _enum(kind: EnumType) -> Any:
    return enum.IntEnum(kind.name, {name: number for number, name in enumerate(kind.members)})


@cache
def _struct(kind: StructType) -> Any:
    return collections.namedtuple(kind.name, [name for name, _ in kind.fields])  # noqa: PYI024


def _value(kind: Type, given: object, names: Names, place: str) -> Value:
    match kind:
        case Plain.U64 | Plain.U128:
            return _number(kind, given, place)
        case Plain.BOOL if isinstance(given, bool):
            return given
        case Plain.ADDRESS | Plain.ASSET | Plain.BYTES32 | BytesType():
            return _bytes(kind, given, names, place)
        case EnumType(_, members):
            if isinstance(given, str) and given in members:
                return members.index(given)
            if isinstance(given, int) and not isinstance(given, bool):
                return int(given)
        case StructType():
            return _parts(kind, given, names, place)
    raise _wrong(kind, given, place)


def _number(kind: Type, given: object, place: str) -> int:
    if isinstance(given, str) and _DECIMAL.fullmatch(given):
        return int(given)
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    raise _wrong(kind, given, place)


def _bytes(kind: Type, given: object, names: Names, place: str) -> bytes:
    address = getattr(given, "address", None)
    if isinstance(address, bytes) and kind is Plain.ADDRESS:
        return address
    if isinstance(given, bytes):
        return given
    if isinstance(given, str):
        if found := _HEX.fullmatch(given):
            raw = bytes.fromhex(found[1])
            if kind not in (Plain.ADDRESS, Plain.ASSET) or len(raw) == ID_BYTES:
                return raw
        if kind is Plain.ADDRESS:
            return names.address(given)
        if kind is Plain.ASSET:
            return names.asset(given)
    raise _wrong(kind, given, place)


def _parts(kind: StructType, given: object, names: Names, place: str) -> Value:
    wanted = [name for name, _ in kind.fields]
    if isinstance(given, Mapping) and set(given) == set(wanted):
        given = [given[name] for name in wanted]
    if (
        not isinstance(given, Sequence)
        or isinstance(given, str | bytes)
        or len(given) != len(wanted)
    ):
        raise ConfigError(f"{place}: {kind.name} has the fields {', '.join(wanted)}, not {given!r}")
    pairs = zip(kind.fields, given, strict=True)
    return tuple(read(part, inner, names, place=f"{place}.{name}") for (name, part), inner in pairs)


_FORMS = {
    Plain.U64: "0 to 2^64 - 1",
    Plain.U128: "0 to 2^128 - 1",
    Plain.BOOL: "true or false",
    Plain.ADDRESS: "an address, a name, or 64 hexadecimal digits",
    Plain.ASSET: "a symbol, an asset's text, or 64 hexadecimal digits",
    Plain.BYTES32: "64 hexadecimal digits",
}


def _wrong(kind: Type, given: object, place: str) -> ConfigError:
    text = repr(given)
    text = text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}..."
    return ConfigError(f"{place}: {text} is no {encoding.describe(kind)}: {_form(kind)}")


def _form(kind: Type) -> str:
    """What a value of the type looks like."""
    match kind:
        case Plain():
            return _FORMS[kind]
        case BytesType(capacity):
            return f"hexadecimal digits of at most {capacity} bytes"
        case EnumType(_, members):
            return f"one of {', '.join(members)}"
        case StructType(_, fields):
            return f"the fields {', '.join(name for name, _ in fields)}"

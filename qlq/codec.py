"""One canonical byte form for whatever is hashed, signed or sent.

A version byte, then MessagePack of a `msgspec.Struct` with `array_like=True`. Bytes are
accepted only if encoding what they hold gives the same bytes again. Floats have no canonical
form here and are refused; integers fit 64 bits; text is in Unicode normal form C.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from qlq.errors import RemoteMisuse

VERSION = b"\x01"
T = TypeVar("T")
_PLAIN: set[type] = {bytes, int, bool, type(None)}
_TELLING: dict[type, tuple[str, ...]] = {}
"""Types whose values hold neither text nor floats; structs of such fields join them when met."""


def encode(value: Any) -> bytes:
    """Canonical bytes of a value.

    Raises:
        ValueError: For a float, an integer beyond 64 bits or text that is not in form C.
        TypeError: For a type that MessagePack does not have.
    """
    _check(value)
    try:
        return VERSION + msgspec.msgpack.encode(value)
    except OverflowError as error:
        raise ValueError(f"an integer beyond 64 bits: {error}") from error


def decode(data: bytes, kind: type[T] | Any) -> T:
    """The value in these bytes.

    Raises:
        RemoteMisuse: For another version, another type, or bytes that are not canonical.
    """
    if data[:1] != VERSION:
        raise RemoteMisuse(f"unknown format version {data[:1].hex() or 'none'}")
    try:
        value: T = msgspec.msgpack.decode(data[1:], type=kind)
        again = encode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError, UnicodeDecodeError) as error:
        raise RemoteMisuse(f"not a {getattr(kind, '__name__', 'message')}: {error}") from error
    if again != data:
        raise RemoteMisuse("the bytes are not canonical")
    return value


def _check(value: Any) -> None:
    """Refuse floats and text that is not in form C, at any depth."""
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is tuple or kind is list:
        parts: Iterable[Any] = value
    elif kind is str:
        if not (value.isascii() or unicodedata.is_normalized("NFC", value)):
            raise ValueError(f"text is not in Unicode normal form C: {value!r}")
        return
    elif (names := _TELLING.get(kind)) is not None:
        parts = [getattr(value, name) for name in names]
    else:
        parts = _parts(value)
    for part in parts:
        if type(part) not in _PLAIN:
            _check(part)


def _parts(value: Any) -> Iterable[Any]:
    """What a value consists of, as far as text and floats may be in it."""
    if isinstance(value, float):
        raise ValueError(f"a float has no canonical form: {value}")  # noqa: TRY004
    if isinstance(value, tuple | list):
        return value
    if isinstance(value, msgspec.Struct):
        names = _TELLING[type(value)] = _telling_fields(type(value))
        if not names:
            _PLAIN.add(type(value))
        return [getattr(value, name) for name in names]
    if isinstance(value, dict):
        return (*value, *value.values())
    if isinstance(value, int):
        return ()
    return (msgspec.to_builtins(value, builtin_types=(bytes,)),)


@cache
def _telling_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Fields of a struct that may hold text, a float, or something that holds them."""
    information = inspect.type_info(kind)
    if not isinstance(information, inspect.StructType):
        return kind.__struct_fields__
    return tuple(field.name for field in information.fields if not _is_harmless(field.type))


def _is_harmless(kind: inspect.Type) -> bool:
    """Whether no value of a type holds text or a float."""
    match kind:
        case inspect.BytesType() | inspect.IntType() | inspect.BoolType() | inspect.NoneType():
            return True
        case inspect.EnumType():
            return issubclass(kind.cls, int)
        case inspect.VarTupleType():
            return _is_harmless(kind.item_type)
        case inspect.UnionType():
            return all(_is_harmless(one) for one in kind.types)
        case inspect.StructType():
            return not _telling_fields(kind.cls)
        case _:
            return False

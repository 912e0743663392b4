"""One canonical byte form for whatever is hashed, signed or sent.

A version byte, then MessagePack of a `msgspec.Struct` with `array_like=True`. Bytes are
accepted only if encoding what they hold gives the same bytes again. Floats have no canonical
form here and are refused; integers fit 64 bits; text is in Unicode normal form C.
"""

from __future__ import annotations

import unicodedata
from typing import Any, TypeVar

import msgspec

from qlq.errors import RemoteMisuse

VERSION = b"\x01"
T = TypeVar("T")


def encode(value: Any) -> bytes:
    """Canonical bytes of a value.

    Raises:
        ValueError: For a float, an integer beyond 64 bits or text that is not in form C.
        TypeError: For a type that MessagePack does not have.
    """
    _check(msgspec.to_builtins(value, builtin_types=(bytes,)))
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
    if isinstance(value, float):
        raise ValueError(f"a float has no canonical form: {value}")  # noqa: TRY004
    if isinstance(value, str):
        if not unicodedata.is_normalized("NFC", value):
            raise ValueError(f"text is not in Unicode normal form C: {value!r}")
    elif isinstance(value, dict):
        for name, part in value.items():
            _check(name)
            _check(part)
    elif isinstance(value, list | tuple):
        for part in value:
            _check(part)

"""How the world outside speaks to a contract: its interface as JSON, and values of calls as bytes.

The data of a call are the id of the method, 4 bytes, and the encoded arguments side by side; see
`encoding` for the bytes of a value. In JSON, numbers are decimal strings, 32-byte values and the
content of Bytes hexadecimal digits, enums the names of members, structs objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qlq.contracts import encoding, values
from qlq.contracts.encoding import DecodingError, describe
from qlq.contracts.program import (
    METHOD_ID_BYTES,
    Event,
    Function,
    FunctionKind,
    Named,
    Program,
)
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type, Value

SCHEMA = "qlq.contract.abi/1"
_DIGITS = re.compile(r"[0-9]{1,39}")
"""As many as the largest u128 has."""


def document(program: Program) -> dict[str, Any]:
    """The interface of a contract, ready for JSON; the same for the same program."""
    return {
        "schema": SCHEMA,
        "name": program.name,
        "functions": [
            _function(function)
            for function in program.functions
            if function.kind is not FunctionKind.INTERNAL
        ],
        "events": [
            {"name": event.name, "inputs": _named(event.parameters), "line": event.line}
            for event in program.events
        ],
        "errors": [
            {"code": code, "text": error.text, "function": error.function, "line": error.line}
            for code, error in enumerate(program.assertions)
        ],
        "state": [
            {
                "name": field.name,
                "slot": field.slot.hex(),
                "keys": [type_document(kind) for kind in field.keys],
                "value": type_document(field.value),
                "line": field.line,
            }
            for field in program.fields
        ],
        "upgrade": None
        if program.upgrade is None
        else {
            "admin": program.fields[program.upgrade.admin].name,
            "delay": program.upgrade.delay,
        },
    }


def _function(function: Function) -> dict[str, Any]:
    once = function.kind in (FunctionKind.INIT, FunctionKind.MIGRATE)
    return {
        "name": function.name,
        "kind": function.kind.value,
        "signature": function.signature,
        "id": None if once else function.method_id.hex(),
        "inputs": _named(function.locals[: function.parameters]),
        "output": None if function.result is None else type_document(function.result),
        "takes_value": function.takes_value,
        "line": function.line,
    }


def _named(parameters: Iterable[Named]) -> list[dict[str, Any]]:
    return [{"name": each.name, "type": type_document(each.type)} for each in parameters]


def type_document(kind: Type) -> dict[str, Any]:
    """A type, ready for JSON."""
    document: dict[str, Any] = {"name": describe(kind), "bytes": values.size(kind)}
    match kind:
        case EnumType(_, members):
            document["members"] = list(members)
        case StructType(_, fields):
            document["fields"] = [
                {"name": name, "type": type_document(field)} for name, field in fields
            ]
    return document


def parameters(function: Function) -> tuple[Named, ...]:
    """The parameters of a function, in order."""
    return function.locals[: function.parameters]


def encode_arguments(function: Function, arguments: Sequence[Value]) -> bytes:
    """The data of a call: the id, unless the ledger calls the function on its own, and the values.

    Raises:
        ValueError: Another number of values, or a value that its type does not have.
    """
    expected = parameters(function)
    if len(arguments) != len(expected):
        raise ValueError(f"{function.signature} takes {len(expected)} values, not {len(arguments)}")
    encoded = [
        encoding.encode(parameter.type, value)
        for parameter, value in zip(expected, arguments, strict=True)
    ]
    return _id(function) + b"".join(encoded)


def decode_arguments(function: Function, data: bytes) -> tuple[Value, ...]:
    """The values in the data of a call.

    Raises:
        DecodingError: For data that `encode_arguments` does not give.
    """
    named = _id(function)
    if data[: len(named)] != named:
        raise DecodingError(f"the data are not for {function.signature}: {data[:8].hex()}")
    return _decode(parameters(function), data[len(named) :])


def decode_return(function: Function, data: bytes) -> Value | None:
    """The result of a call; None for a function without one.

    Raises:
        DecodingError: For bytes that are no such result.
    """
    if function.result is None:
        if data:
            raise DecodingError(f"{function.name} returns nothing, not {len(data)} bytes")
        return None
    return encoding.decode(function.result, data)


def decode_event(event: Event, data: bytes) -> dict[str, Value]:
    """The values of an event by their names.

    Raises:
        DecodingError: For bytes that are no such event.
    """
    found = _decode(event.parameters, data)
    return {each.name: value for each, value in zip(event.parameters, found, strict=True)}


def _id(function: Function) -> bytes:
    once = function.kind in (FunctionKind.INIT, FunctionKind.MIGRATE)
    return b"" if once else function.method_id[:METHOD_ID_BYTES]


def _decode(parameters: Sequence[Named], data: bytes) -> tuple[Value, ...]:
    total = sum(values.size(each.type) for each in parameters)
    if len(data) != total:
        raise DecodingError(f"{total} bytes of values, not {len(data)}")
    found, place = [], 0
    for each in parameters:
        end = place + values.size(each.type)
        found.append(encoding.decode(each.type, data[place:end]))
        place = end
    return tuple(found)


def to_json(kind: Type, value: Value) -> Any:
    """A value, ready for JSON."""
    match kind, value:
        case Plain.BOOL, int():
            return bool(value)
        case EnumType(_, members), int():
            return members[value]
        case Plain.U64 | Plain.U128, int():
            return str(value)
        case StructType(_, fields), tuple():
            parts = zip(fields, value, strict=True)
            return {name: to_json(field, part) for (name, field), part in parts}
        case _, bytes():
            return value.hex()
    raise ValueError(f"not a {describe(kind)}: {value!r}")


def from_json(kind: Type, given: object) -> Value:
    """The value that JSON says.

    Numbers may be JSON numbers too.

    Raises:
        ValueError: Anything that is no value of the type; the message says what is expected.
    """
    match kind, given:
        case Plain.BOOL, bool():
            return given
        case ((Plain.U64 | Plain.U128), int()) if not isinstance(given, bool):
            return _checked(kind, given)
        case ((Plain.U64 | Plain.U128), str()) if _DIGITS.fullmatch(given):
            return _checked(kind, int(given))
        case ((Plain.ADDRESS | Plain.BYTES32 | Plain.ASSET | BytesType()), str()):
            return _checked(kind, _bytes(kind, given))
        case EnumType(_, members), str() if given in members:
            return members.index(given)
        case StructType(_, fields), Mapping() if given.keys() == dict(fields).keys():
            return tuple(from_json(field, given[name]) for name, field in fields)
    raise ValueError(f"not a {describe(kind)}, which is {_expected(kind)}: {given!r}")


def _checked(kind: Type, value: Value) -> Value:
    encoding.encode(kind, value)
    return value


def _bytes(kind: Type, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ValueError(f"not a {describe(kind)}, which is {_expected(kind)}: {text!r}") from error


def _expected(kind: Type) -> str:
    match kind:
        case Plain.BOOL:
            return "true or false"
        case Plain.U64 | Plain.U128:
            return "a decimal string"
        case Plain():
            return "64 hexadecimal digits"
        case BytesType(capacity):
            return f"up to {2 * capacity} hexadecimal digits"
        case EnumType(_, members):
            return "one of " + ", ".join(members)
        case StructType(_, fields):
            return "an object with " + ", ".join(name for name, _ in fields)

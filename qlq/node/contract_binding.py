"""A typed Python client of a contract, written from its interface.

Two files: `NAME.py`, and `NAME.pyi` for editors and type-checkers, which has the signatures alone.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from qlq.config import Settings
from qlq.contracts import abi, compiler
from qlq.contracts.program import Event, Function, FunctionKind, Named, Program
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type
from qlq.errors import ConfigError
from qlq.node import chains, contract_desk, wallets
from qlq.node.contract_desk import Desk, Tell

_TYPES = {
    Plain.U64: "int", Plain.U128: "int", Plain.BOOL: "bool",
    Plain.ADDRESS: "str", Plain.ASSET: "str", Plain.BYTES32: "bytes",
}  # fmt: skip
_TAKEN = {"at", "events", "address", "last"}
"""Members of `Client` that a method of a contract would hide."""


class _Kind(Enum):
    """Which of the two files is written."""

    CODE = "code"
    STUB = "stub"


def bind(contract: str, output: Path, settings: Settings, tell: Tell) -> dict[str, Any]:
    """Write a client of a deployed contract or of a source; the document of `contract bind`.

    Args:
        contract: Address of a contract on this home's ledger, or a file.
        output: File of the client, ending in .py.
        settings: Of the home.
        tell: Is told in words what happens.

    Raises:
        ConfigError: Neither a contract nor a file, another ending, or a folder that cannot be
            written.
        CompileError: The source is not in the contract language.
    """
    if output.suffix != ".py" or not output.stem.isidentifier():
        raise ConfigError(f"{output} is no Python module: -o client.py")
    program = _program(contract, settings, tell)
    stub = output.with_suffix(".pyi")
    try:
        for path, text in zip((output, stub), texts(program), strict=True):
            path.write_bytes(text)
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror}") from error
    return {"name": program.name, "client": str(output), "stub": str(stub)}


def texts(program: Program) -> tuple[bytes, bytes]:
    """The client and its stub."""
    code, stub = ("\n".join(_lines(program, kind)) + "\n" for kind in _Kind)
    return code.encode(), stub.encode()


def _program(contract: str, settings: Settings, tell: Tell) -> Program:
    file = Path(contract)
    if file.is_file():
        return compiler.compile_source(contract_desk.read_source(file), file.name).program
    wallets.need_ledger(settings)
    with chains.opened(settings) as validator:
        desk = Desk(validator, settings, tell)
        try:
            place = desk.contract(contract)
        except ConfigError as error:
            raise ConfigError(f"{contract!r} is neither a file nor a contract: {error}") from error
        return desk.code(place).program


def _lines(program: Program, kind: _Kind) -> Iterator[str]:
    types = _named_types(program)
    yield from _head(program, types, kind)
    for one in types.values():
        yield from _type_lines(one)
    yield from ("", "")
    yield f"class {program.name}(Client):"
    if kind is _Kind.CODE:
        yield f'    """The contract {program.name} on the ledger of a home."""'
    methods = [one for one in program.functions if one.kind in _OPEN]
    for method in methods:
        yield from _method(method, kind)
    if not methods and kind is _Kind.STUB:
        yield "    ..."
    if kind is _Kind.CODE:
        for one in types.values():
            yield from _reader(one)
        for event in program.events:
            yield from _event_comment(event)


def _head(program: Program, types: dict[str, EnumType | StructType], kind: _Kind) -> Iterator[str]:
    """What stands before the classes."""
    yield f'"""A client of the contract {program.name}, written by `qlq contract bind`."""'
    yield from ("", "from __future__ import annotations")
    has_structs = any(isinstance(one, StructType) for one in types.values())
    if types:
        yield ""
    if has_structs:
        yield "from dataclasses import dataclass"
    if any(isinstance(one, EnumType) for one in types.values()):
        yield "from enum import IntEnum"
    if has_structs and kind is _Kind.CODE:
        yield "from typing import Any"
    yield from ("", "from qlq.node.contract_client import Client")


_OPEN = (FunctionKind.EXTERNAL, FunctionKind.VIEW)


def _named_types(program: Program) -> dict[str, EnumType | StructType]:
    """Structs and enums of methods, each after those that it is made of."""
    found: dict[str, EnumType | StructType] = {}
    for method in program.functions:
        if method.kind in _OPEN:
            for parameter in abi.parameters(method):
                _collect(parameter.type, found)
            if method.result is not None:
                _collect(method.result, found)
    return found


def _collect(kind: Type, found: dict[str, EnumType | StructType]) -> None:
    match kind:
        case StructType(name, fields):
            for _, part in fields:
                _collect(part, found)
            found.setdefault(name, kind)
        case EnumType(name):
            found.setdefault(name, kind)


def _type_lines(kind: EnumType | StructType) -> Iterator[str]:
    yield from ("", "")
    if isinstance(kind, EnumType):
        yield f"class {kind.name}(IntEnum):"
        yield from (f"    {name} = {number}" for number, name in enumerate(kind.members))
    else:
        yield "@dataclass(frozen=True, slots=True)"
        yield f"class {kind.name}:"
        yield from (f"    {_safe(name)}: {_annotation(part)}" for name, part in kind.fields)


def _method(method: Function, kind: _Kind) -> Iterator[str]:
    given = abi.parameters(method)
    parameters = "".join(f", {_safe(one.name)}: {_annotation(one.type)}" for one in given)
    options, passed = "", ""
    if method.kind is FunctionKind.EXTERNAL:
        options, passed = ", *, gas: int | None = None", ", gas=gas"
        if method.takes_value:
            options += ', value: str | None = None, asset: str = "QLQ"'
            passed += ", value=value, asset=asset"
    result = "None" if method.result is None else _annotation(method.result)
    head = f"    def {_method_name(method.name)}(self{parameters}{options}) -> {result}:"
    if kind is _Kind.STUB:
        yield f"{head} ..."
        return
    arguments = "".join(f", {_safe(one.name)}" for one in given)
    call = f'self._call("{method.name}"{arguments}{passed})'
    yield ""
    yield head
    yield f'        """{method.signature}"""'
    if method.result is None:
        yield f"        {call}"
    else:
        yield f"        return {_read(method.result, call)}"


def _reader(kind: EnumType | StructType) -> Iterator[str]:
    """A function that makes a struct of what a document holds."""
    if isinstance(kind, EnumType):
        return
    yield from ("", "")
    yield f"def _read_{kind.name}(told: dict[str, Any]) -> {kind.name}:"
    yield f"    return {kind.name}("
    for name, part in kind.fields:
        value = f'told["{name}"]'
        yield f"        {_read(part, value)},"
    yield "    )"


def _read(kind: Type, value: str) -> str:
    """An expression that makes a value of what a document holds."""
    match kind:
        case Plain.U64 | Plain.U128:
            return f"int({value})"
        case Plain.BOOL:
            return f"bool({value})"
        case Plain.ADDRESS | Plain.ASSET:
            return f"str({value})"
        case Plain.BYTES32 | BytesType():
            return f"bytes.fromhex({value})"
        case EnumType(name):
            return f"{name}[{value}]"
        case StructType(name):
            return f"_read_{name}({value})"


def _event_comment(event: Event) -> Iterator[str]:
    yield from ("", "")
    yield f"# event {event.name}: {', '.join(map(_named, event.parameters)) or 'no values'}"


def _named(one: Named) -> str:
    return f"{one.name} ({_annotation(one.type)})"


def _annotation(kind: Type) -> str:
    match kind:
        case Plain():
            return _TYPES[kind]
        case BytesType():
            return "bytes"
        case EnumType(name) | StructType(name):
            return name


def _safe(name: str) -> str:
    """A name that Python takes as a parameter."""
    return f"{name}_" if keyword.iskeyword(name) or name in ("gas", "value", "asset") else name


def _method_name(name: str) -> str:
    return f"{name}_" if name in _TAKEN else name

"""A compiled contract: what the chain agrees on, and what a call of it needs to know."""

from __future__ import annotations

import msgspec

from qlq.contracts import encoding, values
from qlq.contracts.outcome import Failure, Reason
from qlq.contracts.program import FunctionKind, Program, StateField, Upgrade
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type
from qlq.crypto import digest
from qlq.errors import LocalMisuse

COMPILER_VERSION = 1
"""Goes up with every change of what any source compiles to, or of what it costs."""


class Method(msgspec.Struct, frozen=True, array_like=True):
    """A function that can be called from outside.

    Attributes:
        function: Its number in the program.
        takes_value: Whether units may come with a call.
        arguments: Types of its parameters.
        size: Bytes of all encoded arguments together.
        all_bytes_fit: Whether any bytes of this size are arguments.
    """

    function: int
    takes_value: bool
    arguments: tuple[Type, ...]
    size: int
    all_bytes_fit: bool

    def check(self, arguments: bytes) -> None:
        """Return if these are encoded arguments; raises Failure with ARGUMENTS_INVALID."""
        if len(arguments) != self.size:
            raise Failure(
                Reason.ARGUMENTS_INVALID, f"{self.size} bytes of arguments, not {len(arguments)}"
            )
        if self.all_bytes_fit:
            return
        place = 0
        for number, kind in enumerate(self.arguments, start=1):
            size = values.size(kind)
            try:
                encoding.decode(kind, arguments[place : place + size])
            except encoding.DecodingError as error:
                raise Failure(Reason.ARGUMENTS_INVALID, f"argument {number}: {error}") from error
            place += size


class Code(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A contract as nodes run it; small beside its program, and kept.

    Attributes:
        name: Of its class.
        wasm: The module.
        code_hash: SHA-256 of the module.
        source_bytes: Size of the source.
        compiler_version: Which compiler made it.
        methods: By their ids, what accounts and contracts may call.
        init: What runs when it is deployed; None: nothing does.
        migrate: What runs when it takes the place of other code; None: nothing does.
        fields: What it stores.
        rounds: Numbers of the fields that hold rounds of the beacon.
        event_names: By the numbers of events.
        assertions: The texts of its assertions by their numbers.
        upgrade: Who may replace it; None: nobody.
    """

    name: str
    wasm: bytes
    code_hash: bytes
    source_bytes: int
    compiler_version: int
    methods: dict[bytes, Method]
    init: Method | None
    migrate: Method | None
    fields: tuple[StateField, ...]
    rounds: tuple[int, ...]
    event_names: tuple[str, ...]
    assertions: tuple[str, ...]
    upgrade: Upgrade | None


class Compiled(Code, frozen=True, kw_only=True):
    """A contract as the compiler makes it of its source.

    Attributes:
        program: Checked; both back-ends run it.
    """

    program: Program

    @property
    def code(self) -> Code:
        """The same without its program."""
        return Code(**{name: getattr(self, name) for name in Code.__struct_fields__})


def with_program(code: Code) -> Compiled:
    """The same, for whoever needs the program; raises LocalMisuse if it was left away."""
    if not isinstance(code, Compiled):
        raise LocalMisuse(f"the program of {code.name} was left away: compile its source")
    return code


def assemble(program: Program, wasm: bytes, *, source_bytes: int) -> Compiled:
    """Everything about a contract that is known once its code is there."""
    methods: dict[FunctionKind, dict[bytes, Method]] = {kind: {} for kind in FunctionKind}
    for number, function in enumerate(program.functions):
        types = tuple(local.type for local in function.locals[: function.parameters])
        methods[function.kind][function.method_id] = Method(
            function=number,
            takes_value=function.takes_value,
            arguments=types,
            size=sum(values.size(kind) for kind in types),
            all_bytes_fit=all(_all_bytes_fit(kind) for kind in types),
        )
    return Compiled(
        program=program,
        name=program.name,
        wasm=wasm,
        code_hash=digest.sha256(wasm),
        source_bytes=source_bytes,
        compiler_version=COMPILER_VERSION,
        methods={**methods[FunctionKind.EXTERNAL], **methods[FunctionKind.VIEW]},
        init=next(iter(methods[FunctionKind.INIT].values()), None),
        migrate=next(iter(methods[FunctionKind.MIGRATE].values()), None),
        fields=program.fields,
        rounds=program.rounds,
        event_names=tuple(event.name for event in program.events),
        assertions=tuple(assertion.text for assertion in program.assertions),
        upgrade=program.upgrade,
    )


def _all_bytes_fit(kind: Type) -> bool:
    match kind:
        case Plain.BOOL | EnumType() | BytesType():
            return False
        case StructType(_, fields):
            return all(_all_bytes_fit(part) for _, part in fields)
        case _:
            return True

"""What all writers of expressions use: values to addresses, keys of entries, temporaries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from qlq.contracts import values
from qlq.contracts.expressions import Expression
from qlq.contracts.program import SLOT_BYTES, Program
from qlq.contracts.values import Plain, Type
from qlq.contracts.wasm_binary import Op, Value
from qlq.contracts.wasm_frame import Body
from qlq.contracts.wasm_library import WIDE_BYTES
from qlq.errors import InvariantBroken

_I32 = Value.I32


@dataclass(frozen=True, slots=True)
class Place:
    """Where a local of the contract is: a WebAssembly local, or an address.

    Attributes:
        local: The WebAssembly local with the value or, for a parameter that is not in this
            function's frame, with its address; None: the value is at the address.
        address: In the function's frame.
    """

    local: int | None = None
    address: int = 0


class Writer(ABC):
    """Writes into the body of one function.

    Attributes:
        body: The function's.
        code: Its code.
        program: For fields and functions that expressions name.
        places: Of the function's locals.
    """

    def __init__(self, body: Body, program: Program, places: Mapping[int, Place]) -> None:
        """Write into this body."""
        self.body = body
        self.code = body.code
        self.program = program
        self.places = places

    @abstractmethod
    def push(self, expression: Expression) -> None:
        """Write what leaves the value, or the address of it, on the stack."""

    def put(self, address: int, expression: Expression, kind: Type) -> None:
        """Write what puts the encoded value to an address."""
        self.code.i32(address)
        self.push(expression)
        self.body.store(kind)

    def put_key(self, address: int, expression: Expression) -> None:
        """Write what puts the value to an address as a map's key: numbers are big-endian."""
        kind = type_of(expression)
        if kind is Plain.U64:
            self.code.i32(address)
            self.push(expression)
            self.body.call("swap")
            self.body.store(kind)
        elif kind is Plain.U128:
            with self.body.spare(_I32) as number:
                self.push(expression)
                self.code.set(number)
                self.swap_wide(address, number)
        else:
            self.put(address, expression, kind)

    def swap_wide(self, address: int, number: int) -> None:
        """Write what turns 16 bytes round, from the address in a local to another address."""
        for offset in (0, WIDE_BYTES):
            self.code.i32(address)
            self.code.get(number)
            self.code.access(Op.I64_LOAD, WIDE_BYTES - offset)
            self.body.call("swap")
            self.code.access(Op.I64_STORE, offset)

    def key(self, field: int, keys: tuple[Expression, ...]) -> tuple[int, int]:
        """Write what builds the key of an entry; its address and size.

        Fewer keys than the field has make the prefix of a page.
        """
        slot = self.program.fields[field].slot
        if not keys:
            return self.body.constants.place(slot), SLOT_BYTES
        types = self.program.fields[field].keys[: len(keys)]
        size = SLOT_BYTES + sum(values.size(kind) for kind in types)
        address = self.body.frame.temporary(size)
        self.code.i32(address)
        self.code.i64(int.from_bytes(slot, "little"))
        self.code.access(Op.I64_STORE, 0)
        place = address + SLOT_BYTES
        for expression, kind in zip(keys, types, strict=True):
            self.put_key(place, expression)
            place += values.size(kind)
        return address, size

    def temporary(self, kind: Type) -> int:
        """The address of room for a value, until the statement ends."""
        return self.body.frame.temporary(values.size(kind))

    def words(self, *numbers: int) -> None:
        """Push numbers of 32 bits."""
        for number in numbers:
            self.code.i32(number)


def type_of(expression: Expression) -> Type:
    """The type of an expression that has one."""
    if expression.type is None:
        raise InvariantBroken(f"a value of an expression without one: {expression}")
    return expression.type

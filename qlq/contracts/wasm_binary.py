"""WebAssembly modules as bytes: just what the compiler emits, and nothing of the rest.

A module has functions, one memory of one page, imported functions of type () -> (), exported
functions, and constant data. There are no tables, globals, floats, threads or growing memories.

Source: WebAssembly Core Specification 1.0 (W3C Recommendation, 2019), chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

PAGE_BYTES = 65536
MEMORY_EXPORT = "memory"

_MAGIC_AND_VERSION = b"\0asm\x01\0\0\0"
_FUNCTION_TYPE, _FUNCTION, _MEMORY = 0x60, 0, 2
_LIMITS_WITH_MAXIMUM = 1
_MORE, _LOW_BITS, _SIGN = 0x80, 0x7F, 0x40


class Value(IntEnum):
    """A type of values, clause 5.3.1."""

    I32 = 0x7F
    I64 = 0x7E


class Section(IntEnum):
    """The id of a section, clause 5.5.2; in a module they stand in this order."""

    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    MEMORY = 5
    EXPORT = 7
    CODE = 10
    DATA = 11


class Op(IntEnum):
    """An instruction without operands, or the first byte of one with operands; clause 5.4."""

    UNREACHABLE = 0x00
    BLOCK = 0x02
    LOOP = 0x03
    IF = 0x04
    ELSE = 0x05
    END = 0x0B
    BR = 0x0C
    BR_IF = 0x0D
    RETURN = 0x0F
    CALL = 0x10
    DROP = 0x1A
    LOCAL_GET = 0x20
    LOCAL_SET = 0x21
    LOCAL_TEE = 0x22
    I32_LOAD = 0x28
    I64_LOAD = 0x29
    I32_LOAD8_U = 0x2D
    I32_LOAD16_U = 0x2F
    I32_STORE = 0x36
    I64_STORE = 0x37
    I32_STORE8 = 0x3A
    I32_STORE16 = 0x3B
    I32_CONST = 0x41
    I64_CONST = 0x42
    I32_EQZ = 0x45
    I32_EQ = 0x46
    I32_NE = 0x47
    I32_LT_U = 0x49
    I32_GT_U = 0x4B
    I32_LE_U = 0x4D
    I32_GE_U = 0x4F
    I64_EQZ = 0x50
    I64_EQ = 0x51
    I64_NE = 0x52
    I64_LT_S = 0x53
    I64_LT_U = 0x54
    I64_GT_U = 0x56
    I64_LE_U = 0x58
    I64_GE_U = 0x5A
    I32_ADD = 0x6A
    I32_SUB = 0x6B
    I32_MUL = 0x6C
    I32_AND = 0x71
    I32_OR = 0x72
    I32_XOR = 0x73
    I64_CLZ = 0x79
    I64_ADD = 0x7C
    I64_SUB = 0x7D
    I64_MUL = 0x7E
    I64_DIV_U = 0x80
    I64_REM_U = 0x82
    I64_AND = 0x83
    I64_OR = 0x84
    I64_XOR = 0x85
    I64_SHL = 0x86
    I64_SHR_U = 0x88
    I32_WRAP_I64 = 0xA7
    I64_EXTEND_I32_U = 0xAD


_ALIGNMENT = {
    Op.I32_LOAD: 2,
    Op.I64_LOAD: 3,
    Op.I32_LOAD8_U: 0,
    Op.I32_LOAD16_U: 1,
    Op.I32_STORE: 2,
    Op.I64_STORE: 3,
    Op.I32_STORE8: 0,
    Op.I32_STORE16: 1,
}
_EMPTY_BLOCK = 0x40


def unsigned(value: int) -> bytes:
    """LEB128 of an integer that is not negative, in its shortest form. Source: clause 5.2.2."""
    if value < 0:
        raise ValueError(f"not an unsigned integer: {value}")
    encoded = bytearray()
    while value > _LOW_BITS:
        encoded.append(_MORE | value & _LOW_BITS)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def signed(value: int) -> bytes:
    """LEB128 of an integer of either sign, in its shortest form. Source: clause 5.2.2."""
    encoded = bytearray()
    while not -_SIGN <= value < _SIGN:
        encoded.append(_MORE | value & _LOW_BITS)
        value >>= 7
    encoded.append(value & _LOW_BITS)
    return bytes(encoded)


@dataclass(frozen=True, slots=True)
class Signature:
    """Parameters and results of a function; at most one result."""

    parameters: tuple[Value, ...] = ()
    results: tuple[Value, ...] = ()


class Code:
    """The body of one function while it is written; each method appends one instruction."""

    __slots__ = ("_local_values", "_parameter_count", "_written", "signature")

    def __init__(self, signature: Signature) -> None:
        """An empty body; its parameters are the first locals."""
        self.signature = signature
        self._parameter_count = len(signature.parameters)
        self._local_values: list[Value] = []
        self._written = bytearray()

    def local(self, value: Value) -> int:
        """The index of a new local."""
        self._local_values.append(value)
        return self._parameter_count + len(self._local_values) - 1

    def op(self, *ops: Op) -> None:
        """Instructions without operands."""
        self._written += bytes(ops)

    def i32(self, value: int) -> None:
        """A constant of 32 bits, given unsigned."""
        self._written += _constant(Op.I32_CONST, value, 32)

    def i64(self, value: int) -> None:
        """A constant of 64 bits, given unsigned."""
        self._written += _constant(Op.I64_CONST, value, 64)

    def get(self, local: int) -> None:
        """Push a local."""
        self._indexed(Op.LOCAL_GET, local)

    def set(self, local: int) -> None:
        """Pop into a local."""
        self._indexed(Op.LOCAL_SET, local)

    def tee(self, local: int) -> None:
        """Copy the top of the stack into a local."""
        self._indexed(Op.LOCAL_TEE, local)

    def call(self, function: int) -> None:
        """Call a function by its index; imports come first."""
        self._indexed(Op.CALL, function)

    def branch(self, depth: int) -> None:
        """Jump to the end of a block, or to the head of a loop; 0 is the innermost."""
        self._indexed(Op.BR, depth)

    def branch_if(self, depth: int) -> None:
        """Jump if the top of the stack is not zero."""
        self._indexed(Op.BR_IF, depth)

    def access(self, op: Op, offset: int) -> None:
        """Load or store at the address on the stack plus the offset."""
        self._written.append(op)
        self._written += unsigned(0 if offset % (1 << _ALIGNMENT[op]) else _ALIGNMENT[op])
        self._written += unsigned(offset)

    def block(self, op: Op, result: Value | None = None) -> None:
        """Open a block, a loop or an if; `Op.END` closes it."""
        self._written.append(op)
        self._written.append(_EMPTY_BLOCK if result is None else result)

    def _indexed(self, op: Op, index: int) -> None:
        self._written.append(op)
        self._written += unsigned(index)

    def to_bytes(self) -> bytes:
        """The entry of the code section: its size, runs of equal locals, instructions, end."""
        runs: list[tuple[int, Value]] = []
        for value in self._local_values:
            if runs and runs[-1][1] is value:
                runs[-1] = (runs[-1][0] + 1, value)
            else:
                runs.append((1, value))
        body = _vector([unsigned(count) + bytes([value]) for count, value in runs])
        body += bytes(self._written) + bytes([Op.END])
        return unsigned(len(body)) + body


@dataclass(frozen=True, slots=True)
class Module:
    """All parts of a module.

    Attributes:
        imports: Module and name of each imported function, of type () -> (); they have the
            first indices.
        functions: The functions, in the order of their indices.
        exports: Name and index of each exported function.
        data: Address and bytes of each stretch of constant memory.
    """

    imports: tuple[tuple[str, str], ...]
    functions: tuple[Code, ...]
    exports: tuple[tuple[str, int], ...]
    data: tuple[tuple[int, bytes], ...] = ()

    def to_bytes(self) -> bytes:
        """The module in the binary format."""
        types: dict[Signature, int] = {Signature(): 0}
        for code in self.functions:
            types.setdefault(code.signature, len(types))
        nothing = types[Signature()]
        imported = [
            _name(module) + _name(name) + bytes([_FUNCTION]) + unsigned(nothing)
            for module, name in self.imports
        ]
        exported = [_name(MEMORY_EXPORT) + bytes([_MEMORY]) + unsigned(0)]
        exported += [
            _name(name) + bytes([_FUNCTION]) + unsigned(index) for name, index in self.exports
        ]
        stretches = [
            unsigned(0)
            + bytes([Op.I32_CONST])
            + signed(address)
            + bytes([Op.END])
            + unsigned(len(content))
            + content
            for address, content in self.data
        ]
        page = [bytes([_LIMITS_WITH_MAXIMUM]) + unsigned(1) + unsigned(1)]
        return _MAGIC_AND_VERSION + b"".join(
            (
                _section(Section.TYPE, [_function_type(signature) for signature in types]),
                _section(Section.IMPORT, imported),
                _section(
                    Section.FUNCTION,
                    [unsigned(types[code.signature]) for code in self.functions],
                ),
                _section(Section.MEMORY, page),
                _section(Section.EXPORT, exported),
                _section(Section.CODE, [code.to_bytes() for code in self.functions]),
                _section(Section.DATA, stretches),
            )
        )


def _two_s_complement(value: int, bits: int) -> int:
    if not 0 <= value < 1 << bits:
        raise ValueError(f"not an unsigned integer of {bits} bits: {value}")
    return value - (1 << bits) if value >> (bits - 1) else value


@lru_cache(maxsize=4096)
def _constant(op: Op, value: int, bits: int) -> bytes:
    return bytes([op]) + signed(_two_s_complement(value, bits))


def _vector(items: list[bytes]) -> bytes:
    return unsigned(len(items)) + b"".join(items)


def _name(text: str) -> bytes:
    encoded = text.encode()
    return unsigned(len(encoded)) + encoded


def _function_type(signature: Signature) -> bytes:
    return (
        bytes([_FUNCTION_TYPE])
        + _vector([bytes([value]) for value in signature.parameters])
        + _vector([bytes([value]) for value in signature.results])
    )


def _section(section: Section, items: list[bytes]) -> bytes:
    """A section, or nothing where it would be empty."""
    if not items:
        return b""
    content = _vector(items)
    return bytes([section]) + unsigned(len(content)) + content

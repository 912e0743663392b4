"""What the Python back-end's functions call: checked arithmetic, storage, events, contracts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from qlq.contracts import encoding, values
from qlq.contracts.encoding import DecodingError
from qlq.contracts.host import Host
from qlq.contracts.outcome import Failure, Reason
from qlq.contracts.program import Program
from qlq.contracts.values import Type, Value

T = TypeVar("T")


class Tracer(Protocol):
    """Whoever wants to know what a contract does, statement by statement."""

    def __call__(
        self, contract: bytes, function: str, line: int, variables: Mapping[str, Value], gas: int
    ) -> None:
        """A statement begins.

        Args:
            contract: Whose it is.
            function: In which function.
            line: Of the source.
            variables: Those that have a value.
            gas: What is left; the statement's block is paid for already.
        """


Foreign = tuple[bytes, Sequence[Type], Type | None]
"""Another contract's method: its id, types of its parameters, and of its result."""


class Operations:
    """The operations for one program."""

    def __init__(self, program: Program, tracer: Tracer | None) -> None:
        """Look up fields and events in this program."""
        self._program = program
        self._tracer = tracer
        self._slots = [field.slot for field in program.fields]

    def names(self) -> dict[str, object]:
        """All operations by the names by which written functions call them."""
        plain = (
            pay, add, subtract, multiply, divide, remainder, shift_left, shift_right, mul_div,
            narrow, member, fit, exact, byte, part, changed, ask, stop,
        )  # fmt: skip
        bound = (self.load, self.store, self.emit, self.page, self.pack, self.call, self.trace)
        return {
            **{operation.__name__: operation for operation in (*plain, *bound)},
            "size": len, "number": int,
        }  # fmt: skip

    def _key(self, field: int, keys: tuple[Value, ...]) -> bytes:
        kinds = self._program.fields[field].keys
        parts = zip(kinds, keys, strict=False)
        return self._slots[field] + b"".join(encoding.encode_key(kind, key) for kind, key in parts)

    def load(self, host: Host, line: int, field: int, *keys: Value) -> Value:
        """An entry of the storage."""
        kind = self._program.fields[field].value
        stored = ask(line, host.get, self._key(field, keys), values.size(kind))
        return encoding.decode(kind, stored)

    def store(self, host: Host, line: int, field: int, value: Value, *keys: Value) -> None:
        """Write an entry of the storage."""
        kind = self._program.fields[field].value
        ask(line, host.put, self._key(field, keys), encoding.encode(kind, value))

    def page(
        self, host: Host, line: int, field: int, count: int, *keys: Value
    ) -> list[tuple[Value, Value]]:
        """The page that begins at the last key."""
        declared = self._program.fields[field]
        key, kind = declared.keys[-1], declared.value
        entry_bytes = values.size(key) + values.size(kind)
        prefix, start = self._key(field, keys[:-1]), self._key(field, keys)
        found = ask(line, host.page, prefix, start, count, entry_bytes)
        return [(encoding.decode_key(key, of), encoding.decode(kind, entry)) for of, entry in found]

    def emit(self, host: Host, line: int, event: int, *arguments: Value) -> None:
        """An event."""
        declared = self._program.events[event]
        kinds = [parameter.type for parameter in declared.parameters]
        ask(line, host.emit, declared.name, self.pack(kinds, *arguments))

    def pack(self, kinds: Sequence[Type], *parts: Value) -> bytes:
        """The encodings of values side by side."""
        return b"".join(
            encoding.encode(kind, part) for kind, part in zip(kinds, parts, strict=True)
        )

    def call(
        self, host: Host, line: int, method: Foreign, contract: bytes, *arguments: Value
    ) -> Value | None:
        """A method of another contract."""
        method_id, kinds, result = method
        found = ask(line, host.call, contract, method_id + self.pack(kinds, *arguments))
        size = 0 if result is None else values.size(result)
        if len(found) != size:
            raise Failure(
                Reason.RESULT_MISMATCH,
                f"the called contract returned {len(found)} bytes, not {size}", line=line,
            )  # fmt: skip
        if result is None:
            return None
        try:
            return encoding.decode(result, found)
        except DecodingError as error:
            raise Failure(Reason.RESULT_MISMATCH, str(error), line=line) from error

    def trace(self, host: Host, function: int, line: int, *variables: Value | None) -> None:
        """A statement begins; variables without a value are None."""
        if self._tracer is None:
            return
        declared = self._program.functions[function]
        named: Mapping[str, Value] = {
            local.name: value
            for local, value in zip(declared.locals, variables, strict=True)
            if local.name and value is not None
        }
        self._tracer(host.contract, declared.name, line, named, host.gas)


def pay(host: Host, units: int) -> bool:
    """Take gas; True, so that it can stand in conditions."""
    host.charge(units)
    return True


def ask(line: int, operation: Callable[..., T], *arguments: object) -> T:
    """What the host answers; its failures get the line where it was asked."""
    try:
        return operation(*arguments)
    except Failure as failure:
        if not failure.line and not failure.contract:
            failure.line = line
        raise


def stop(code: int, line: int) -> None:
    """An assertion does not hold."""
    raise Failure(Reason.ASSERTION, code=code, line=line)


def _bounded(value: int, bits: int, line: int, of: str) -> int:
    if value >> bits:
        raise Failure(Reason.OVERFLOW, f"{of} is over 2^{bits}-1", line=line)
    return value


def add(left: int, right: int, bits: int, line: int) -> int:
    """The sum."""
    return _bounded(left + right, bits, line, f"{left} + {right}")


def subtract(left: int, right: int, line: int) -> int:
    """The difference."""
    if right > left:
        raise Failure(Reason.UNDERFLOW, f"{left} - {right} is below 0", line=line)
    return left - right


def multiply(left: int, right: int, bits: int, line: int) -> int:
    """The product."""
    return _bounded(left * right, bits, line, f"{left} * {right}")


def divide(left: int, right: int, line: int) -> int:
    """The quotient, rounded down."""
    if not right:
        raise Failure(Reason.DIVISION_BY_ZERO, f"{left} // 0", line=line)
    return left // right


def remainder(left: int, right: int, line: int) -> int:
    """What division leaves."""
    if not right:
        raise Failure(Reason.DIVISION_BY_ZERO, f"{left} % 0", line=line)
    return left % right


def mul_div(left: int, right: int, divisor: int, bits: int, line: int) -> int:
    """The quotient of a product of any size."""
    return _bounded(
        divide(left * right, divisor, line), bits, line, f"{left} * {right} // {divisor}"
    )


def _check_shift(count: int, bits: int, line: int) -> None:
    if count >= bits:
        raise Failure(Reason.SHIFT, f"a shift by {count} of {bits} bits", line=line)


def shift_left(left: int, right: int, bits: int, line: int) -> int:
    """Times a power of two."""
    _check_shift(right, bits, line)
    return _bounded(left << right, bits, line, f"{left} << {right}")


def shift_right(left: int, right: int, bits: int, line: int) -> int:
    """By a power of two."""
    _check_shift(right, bits, line)
    return left >> right


def narrow(value: int, bits: int, line: int) -> int:
    """The same number in fewer bits."""
    if value >> bits:
        raise Failure(Reason.CONVERSION, f"{value} is over 2^{bits}-1", line=line)
    return value


def member(value: int, count: int, line: int) -> int:
    """The number of an enum's member."""
    if value >= count:
        raise Failure(Reason.CONVERSION, f"no member has the number {value}", line=line)
    return value


def fit(value: bytes, capacity: int, line: int) -> bytes:
    """The same bytes in less room."""
    if len(value) > capacity:
        raise Failure(Reason.CONVERSION, f"{len(value)} bytes, not {capacity}", line=line)
    return value


def exact(value: bytes, line: int) -> bytes:
    """Bytes as a 32-byte value."""
    size = 32
    if len(value) != size:
        raise Failure(Reason.CONVERSION, f"{len(value)} bytes, not {size}", line=line)
    return value


def byte(value: bytes, index: int, line: int) -> int:
    """One byte."""
    if index >= len(value):
        raise Failure(Reason.INDEX, f"byte {index} of {len(value)}", line=line)
    return value[index]


def part(value: bytes, start: int, stop: int, line: int) -> bytes:
    """A slice."""
    if not start <= stop <= len(value):
        raise Failure(Reason.INDEX, f"bytes {start} to {stop} of {len(value)}", line=line)
    return value[start:stop]


def changed(whole: tuple[Value, ...], path: tuple[int, ...], value: Value) -> Value:
    """A struct with another value in one place."""
    index, *rest = path
    inner = whole[index]
    if rest and isinstance(inner, tuple):
        value = changed(inner, tuple(rest), value)
    return (*whole[:index], value, *whole[index + 1 :])

"""Functions in WebAssembly, beside Python's integers and bytes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from qlq.contracts import wasm_memory, wasm_wide, wasm_words
from qlq.contracts.machine import IMPORT_MODULE, Ending, Instance, NativeCode
from qlq.contracts.outcome import Reason
from qlq.contracts.wasm_binary import Code, Module, Op, Signature
from qlq.contracts.wasm_library import HOST_CALLS, Library
from qlq.contracts.wasmtime_fast import FastMachine

A, B, C, TO, REST = 256, 304, 352, 400, 448
LINE = 77
EDGES = [
    0,
    1,
    2,
    3,
    31,
    63,
    64,
    65,
    127,
    128,
    2**31,
    2**32 - 1,
    2**32,
    2**63 - 1,
    2**63,
    2**64 - 2,
    2**64 - 1,
]
WIDE_EDGES = [*EDGES, 2**64, 2**64 + 1, 2**65 - 1, 2**96, 2**127 - 1, 2**127, 2**128 - 1]

Caller = Callable[[Code, Library], None]


def code_of(write: Caller) -> NativeCode:
    main = Code(Signature())
    functions = {**wasm_words.FUNCTIONS, **wasm_wide.FUNCTIONS}
    library = Library(functions, first=len(HOST_CALLS) + 1)
    write(main, library)
    module = Module(
        imports=tuple((IMPORT_MODULE, name) for name in HOST_CALLS),
        functions=(main, *library.codes),
        exports=(("run", len(HOST_CALLS)),),
    )
    machine = FastMachine({name: lambda: 0 for name in HOST_CALLS})
    return machine.compile(module.to_bytes())


def ran(instance: Instance, code: NativeCode) -> tuple[Instance, Reason | None]:
    """The instance to go on with, and why it failed."""
    if instance.run("run") is Ending.RETURNED:
        return instance, None
    _, _, line, _, _, reason, _ = wasm_memory.ENDING.unpack_from(instance.memory, 0)
    assert line == LINE
    return code.instantiate(), Reason(reason)


def put(instance: Instance, address: int, value: int, size: int) -> None:
    instance.memory[address : address + size] = value.to_bytes(size, "little")


def got(instance: Instance, address: int, size: int) -> int:
    return int.from_bytes(instance.memory[address : address + size], "little")


def on_words(name: str, count: int) -> Caller:
    """Load `count` words of 64 bits, call, store the result."""

    def write(code: Code, library: Library) -> None:
        code.i32(TO)
        for address in (A, B, C)[:count]:
            code.i32(0)
            code.access(Op.I64_LOAD, address)
        if name != "high":
            code.i32(LINE)
        code.call(library[name])
        code.access(Op.I64_STORE, 0)

    return write


def narrow(wanted: int) -> int | Reason:
    return wanted if wanted < 2**64 else Reason.OVERFLOW


def shifted(a: int, count: int, width: int) -> int | Reason:
    if count >= width:
        return Reason.SHIFT
    return a << count if a << count < 2**width else Reason.OVERFLOW


WORD_FUNCTIONS = {
    "add": (2, lambda a, b, _c: narrow(a + b)),
    "subtract": (2, lambda a, b, _c: a - b if a >= b else Reason.UNDERFLOW),
    "divide": (2, lambda a, b, _c: a // b if b else Reason.DIVISION_BY_ZERO),
    "remainder": (2, lambda a, b, _c: a % b if b else Reason.DIVISION_BY_ZERO),
    "shift_left": (2, lambda a, b, _c: shifted(a, b, 64)),
    "shift_right": (2, lambda a, b, _c: a >> b if b < 64 else Reason.SHIFT),
    "multiply": (2, lambda a, b, _c: narrow(a * b)),
    "high": (2, lambda a, b, _c: a * b >> 64),
    "multiply_divide": (
        3,
        lambda a, b, c: narrow(a * b // c) if c else Reason.DIVISION_BY_ZERO,
    ),
}


@pytest.mark.parametrize("name", WORD_FUNCTIONS)
def test_words_of_64_bits(name: str) -> None:
    count, wanted_of = WORD_FUNCTIONS[name]
    rng = random.Random(name)  # noqa: S311 - operands of a test
    code = code_of(on_words(name, count))
    instance = code.instantiate()
    cases = [(a, b, c) for a in EDGES for b in EDGES for c in (EDGES if count > 2 else [0])]
    cases += [tuple(rng.getrandbits(rng.randint(0, 64)) for _ in range(3)) for _ in range(2000)]
    for a, b, c in cases:
        for address, value in ((A, a), (B, b), (C, c)):
            put(instance, address, value, 8)
        instance, reason = ran(instance, code)
        wanted = wanted_of(a, b, c)
        if isinstance(wanted, Reason):
            assert reason is wanted, (a, b, c)
        else:
            assert reason is None, (a, b, c)
            assert got(instance, TO, 8) == wanted, (a, b, c)


def on_wide(name: str) -> Caller:
    """Call with addresses of the result and the operands."""

    def write(code: Code, library: Library) -> None:
        code.i32(TO)
        if name == "divide128":
            code.i32(REST)
        code.i32(A)
        code.i32(B)
        if name not in CANNOT_FAIL:
            code.i32(LINE)
        code.call(library[name])

    return write


def wide(wanted: int) -> int | Reason:
    return wanted if wanted < 2**128 else Reason.OVERFLOW


WIDE_FUNCTIONS = {
    "add128": lambda a, b: wide(a + b),
    "subtract128": lambda a, b: a - b if a >= b else Reason.UNDERFLOW,
    "multiply128": lambda a, b: wide(a * b),
    "divide128": lambda a, b: a // b if b else Reason.DIVISION_BY_ZERO,
    "and128": lambda a, b: a & b,
    "or128": lambda a, b: a | b,
    "xor128": lambda a, b: a ^ b,
    "shift_left128": lambda a, b: shifted(a, b, 128),
    "shift_right128": lambda a, b: a >> b if b < 128 else Reason.SHIFT,
}
CANNOT_FAIL = {"and128", "or128", "xor128"}


@pytest.mark.parametrize("name", WIDE_FUNCTIONS)
def test_numbers_of_128_bits(name: str) -> None:
    rng = random.Random(name)  # noqa: S311 - operands of a test
    code = code_of(on_wide(name))
    instance = code.instantiate()
    cases = [(a, b) for a in WIDE_EDGES for b in WIDE_EDGES]
    cases += [tuple(rng.getrandbits(rng.randint(0, 128)) for _ in range(2)) for _ in range(3000)]
    for a, b in cases:
        put(instance, A, a, 16)
        put(instance, B, b, 16)
        instance, reason = ran(instance, code)
        wanted = WIDE_FUNCTIONS[name](a, b)
        if isinstance(wanted, Reason):
            assert reason is wanted, (a, b)
            continue
        assert reason is None, (a, b)
        assert got(instance, TO, 16) == wanted, (a, b)
        if name == "divide128":
            assert got(instance, REST, 16) == a % b, (a, b)


@pytest.mark.parametrize("name", WIDE_FUNCTIONS)
def test_a_result_may_lie_over_its_operand(name: str) -> None:
    def write(code: Code, library: Library) -> None:
        code.i32(A)
        if name == "divide128":
            code.i32(B)
        code.i32(A)
        code.i32(B)
        if name not in CANNOT_FAIL:
            code.i32(LINE)
        code.call(library[name])

    instance = code_of(write).instantiate()
    put(instance, A, 2**100 + 17, 16)
    put(instance, B, 19, 16)
    assert instance.run("run") is Ending.RETURNED
    assert got(instance, A, 16) == WIDE_FUNCTIONS[name](2**100 + 17, 19)


def test_a_product_of_256_bits_and_its_quotient() -> None:
    def write(code: Code, library: Library) -> None:
        for address in (TO, A, B, C, LINE):
            code.i32(address)
        code.call(library["multiply_divide128"])

    rng = random.Random("256")  # noqa: S311 - operands of a test
    code = code_of(write)
    instance = code.instantiate()
    few = [0, 1, 3, 2**64 - 1, 2**64, 2**127, 2**128 - 1]
    cases = [(a, b, c) for a in few for b in few for c in few]
    cases += [tuple(rng.getrandbits(rng.randint(1, 128)) for _ in range(3)) for _ in range(3000)]
    for a, b, c in cases:
        for address, value in ((A, a), (B, b), (C, c)):
            put(instance, address, value, 16)
        instance, reason = ran(instance, code)
        wanted = wide(a * b // c) if c else Reason.DIVISION_BY_ZERO
        if isinstance(wanted, Reason):
            assert reason is wanted, (a, b, c)
        else:
            assert reason is None, (a, b, c)
            assert got(instance, TO, 16) == wanted, (a, b, c)


def test_swap_turns_the_bytes_round() -> None:
    def write(code: Code, library: Library) -> None:
        code.i32(TO)
        code.i32(0)
        code.access(Op.I64_LOAD, A)
        code.call(library["swap"])
        code.access(Op.I64_STORE, 0)

    instance = code_of(write).instantiate()
    instance.memory[A : A + 8] = bytes(range(8))
    assert instance.run("run") is Ending.RETURNED
    assert bytes(instance.memory[TO : TO + 8]) == bytes(range(7, -1, -1))


def test_less_of_128_bits() -> None:
    def write(code: Code, library: Library) -> None:
        code.i32(TO)
        code.i32(A)
        code.i32(B)
        code.call(library["less128"])
        code.access(Op.I32_STORE, 0)

    instance = code_of(write).instantiate()
    for a in WIDE_EDGES:
        for b in WIDE_EDGES:
            put(instance, A, a, 16)
            put(instance, B, b, 16)
            assert instance.run("run") is Ending.RETURNED
            assert got(instance, TO, 4) == (a < b), (a, b)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 31, 32, 33, 1026])
def test_bytes_are_copied_compared_and_cleared_to_the_byte(size: int) -> None:
    first, second, third = 10_000, 20_001, 30_002

    def write(code: Code, library: Library) -> None:
        for to, source in ((second, first), (third, first)):
            code.i32(to)
            code.i32(source)
            code.i32(size)
            code.call(library["copy"])
        code.i32(first)
        code.i32(size)
        code.call(library["clear"])

    instance = code_of(write).instantiate()
    content = random.Random(size).randbytes(size)  # noqa: S311 - bytes of a test
    for start in (first, second, third):
        instance.memory[start - 1 : start + size + 1] = b"\xee" * (size + 2)
    instance.memory[first : first + size] = content
    assert instance.run("run") is Ending.RETURNED
    for start, wanted in ((first, bytes(size)), (second, content), (third, content)):
        assert bytes(instance.memory[start - 1 : start + size + 1]) == b"\xee" + wanted + b"\xee"


@pytest.mark.parametrize("size", [0, 1, 8, 32, 67])
def test_equal_sees_every_byte(size: int) -> None:
    first, second = 10_000, 20_001

    def write(code: Code, library: Library) -> None:
        code.i32(TO)
        code.i32(first)
        code.i32(second)
        code.i32(size)
        code.call(library["equal"])
        code.access(Op.I32_STORE, 0)

    instance = code_of(write).instantiate()
    content = random.Random(size).randbytes(size)  # noqa: S311 - bytes of a test
    for place in [None, *range(size)]:
        instance.memory[first : first + size] = content
        instance.memory[second : second + size] = content
        instance.memory[second + size] = 1
        if place is not None:
            instance.memory[second + place] ^= 0x80
        assert instance.run("run") is Ending.RETURNED
        assert got(instance, TO, 4) == (place is None)


@pytest.mark.parametrize(("gas", "units"), [(0, 0), (5, 5), (2**63 - 1, 1), (0, 1), (4, 5)])
def test_gas_is_taken_or_there_is_too_little(gas: int, units: int) -> None:
    def write(code: Code, library: Library) -> None:
        code.i64(units)
        code.call(library["charge"])

    instance = code_of(write).instantiate()
    put(instance, wasm_memory.GAS, gas, 8)
    if units <= gas:
        assert instance.run("run") is Ending.RETURNED
        assert got(instance, wasm_memory.GAS, 8) == gas - units
    else:
        assert instance.run("run") is Ending.TRAPPED
        assert got(instance, wasm_memory.REASON, 4) == Reason.OUT_OF_GAS

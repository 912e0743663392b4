"""Modules as bytes, beside wasmtime's own assembler of the text format."""

from __future__ import annotations

import pytest
import wasmtime

from qlq.contracts import wasm_binary
from qlq.contracts.wasm_binary import Code, Module, Op, Signature, Value

# Source: DWARF Debugging Information Format 4, figures 22 and 23.
UNSIGNED = {2: "02", 127: "7f", 128: "8001", 129: "8101", 130: "8201", 12857: "b964"}
SIGNED = {2: "02", -2: "7e", 127: "ff00", -127: "817f", 128: "8001", -128: "807f", 129: "8101"}


@pytest.mark.parametrize(("value", "encoded"), UNSIGNED.items())
def test_unsigned_integers_are_those_of_the_standard(value: int, encoded: str) -> None:
    assert wasm_binary.unsigned(value).hex() == encoded


@pytest.mark.parametrize(("value", "encoded"), SIGNED.items())
def test_signed_integers_are_those_of_the_standard(value: int, encoded: str) -> None:
    assert wasm_binary.signed(value).hex() == encoded


def test_a_negative_number_is_no_unsigned_integer() -> None:
    with pytest.raises(ValueError, match="-1"):
        wasm_binary.unsigned(-1)


@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_a_constant_of_another_width_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=str(value)):
        Code(Signature()).i32(value)


def everything() -> Module:
    """A module with one of everything: all blocks, locals in runs, data, both constants."""
    first = Code(Signature((Value.I64, Value.I32), (Value.I64,)))
    words = [first.local(Value.I64) for _ in range(2)]
    flag = first.local(Value.I32)
    last = first.local(Value.I64)
    first.get(0)
    first.tee(words[0])
    first.op(Op.I64_EQZ)
    first.block(Op.IF, Value.I64)
    first.i64((1 << 64) - 1)
    first.op(Op.ELSE)
    first.i64(1 << 63)
    first.op(Op.END)
    first.set(last)
    first.block(Op.BLOCK)
    first.block(Op.LOOP)
    first.i32(0xFFFF_FFFF)
    first.set(flag)
    first.get(flag)
    first.branch_if(1)
    first.branch(0)
    first.op(Op.END, Op.END)
    first.get(last)
    second = Code(Signature())
    second.i32(0)
    second.i64(624485)
    second.access(Op.I64_STORE, 200)
    second.call(0)
    second.i64(1)
    second.i32(2)
    second.call(2)
    second.op(Op.DROP)
    return Module(
        imports=(("qlq", "get"), ("qlq", "put")),
        functions=(first, second, Code(Signature())),
        exports=(("run", 3), ("nothing", 4)),
        data=((64, b"constant"), (300, b"\x00\xff")),
    )


TEXT = r"""
(module
  (type (func)) (type (func (param i64 i32) (result i64)))
  (import "qlq" "get" (func (type 0)))
  (import "qlq" "put" (func (type 0)))
  (memory (export "memory") 1 1)
  (func (type 1) (local i64 i64 i32 i64)
    local.get 0 local.tee 2 i64.eqz
    if (result i64) i64.const -1 else i64.const 0x8000000000000000 end
    local.set 5
    block loop i32.const -1 local.set 4 local.get 4 br_if 1 br 0 end end
    local.get 5)
  (func (export "run") (type 0)
    i32.const 0 i64.const 624485 i64.store offset=200
    call 0
    i64.const 1 i32.const 2 call 2 drop)
  (func (export "nothing") (type 0))
  (data (i32.const 64) "constant") (data (i32.const 300) "\00\ff"))
"""


def test_a_module_is_what_wasmtime_s_assembler_makes_of_its_text() -> None:
    assert everything().to_bytes() == bytes(wasmtime.wat2wasm(TEXT))


NO_OPERANDS = {
    op
    for op in Op
    if op.name.partition("_")[0] in {"I32", "I64"}
    and not any(word in op.name for word in ("LOAD", "STORE", "CONST"))
}


@pytest.mark.parametrize("op", sorted(NO_OPERANDS), ids=lambda op: op.name)
def test_an_instruction_has_the_number_that_wasmtime_s_assembler_gives_it(op: Op) -> None:
    code = Code(Signature())
    code.op(op)
    kind, _, verb = op.name.lower().partition("_")
    name = f"{kind}.{verb}"
    made = Module(imports=(), functions=(code,), exports=()).to_bytes()
    text = f'(module (func {name}) (memory (export "memory") 1 1))'
    assert made == bytes(wasmtime.wat2wasm(text))


@pytest.mark.parametrize("op", [op for op in Op if "LOAD" in op.name or "STORE" in op.name])
@pytest.mark.parametrize("offset", [0, 1, 2, 8, 40000])
def test_a_load_or_store_carries_its_offset(op: Op, offset: int) -> None:
    code = Code(Signature())
    code.access(op, offset)
    kind, _, verb = op.name.lower().partition("_")
    width = {"load8_u": 1, "load16_u": 2, "store8": 1, "store16": 2}.get(
        verb, 4 if kind == "i32" else 8
    )
    align = 1 if offset % width else width
    made = Module(imports=(), functions=(code,), exports=()).to_bytes()
    text = f"{kind}.{verb} offset={offset} align={align}"
    assert made == bytes(
        wasmtime.wat2wasm(f'(module (func {text}) (memory (export "memory") 1 1))')
    )

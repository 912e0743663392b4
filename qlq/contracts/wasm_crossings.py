"""Calls as WebAssembly: of the contract's own functions, of the host, of other contracts."""

from __future__ import annotations

from contextlib import ExitStack

from qlq.contracts import values, wasm_frame
from qlq.contracts.expressions import CallContract, CallFunction, CallHost, HostOperation
from qlq.contracts.program import METHOD_ID_BYTES
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type
from qlq.contracts.wasm_binary import Op, Value
from qlq.contracts.wasm_bytes import push_content
from qlq.contracts.wasm_writer import Writer, type_of

_I32 = Value.I32
_HOST_CALLS = {
    HostOperation.BALANCE: "balance",
    HostOperation.TRANSFER: "transfer",
    HostOperation.SHA256: "sha256",
    HostOperation.SHA3_256: "sha3_256",
    HostOperation.VERIFY_ED25519: "verify_ed25519",
    HostOperation.VERIFY_MLDSA65: "verify_mldsa65",
    HostOperation.BEACON_NEXT_ROUND: "beacon_next_round",
    HostOperation.BEACON_VALUE: "beacon_value",
    HostOperation.BEACON_UNIFORM: "beacon_uniform",
    HostOperation.BEACON_QUALITY: "beacon_quality",
}
_BOOL_COUNT = 2


def call_function(writer: Writer, call: CallFunction) -> None:
    """Arguments as values or addresses; a result in memory is the caller's from then on."""
    for argument in call.arguments:
        writer.push(argument)
    if call.type is None or wasm_frame.is_scalar(call.type):
        writer.code.call(writer.body.first_function + call.function)
        return
    to = writer.temporary(call.type)
    with writer.body.spare(_I32) as result:
        writer.code.call(writer.body.first_function + call.function)
        writer.code.set(result)
        writer.code.i32(to)
        writer.code.get(result)
        writer.body.store(call.type)
    writer.code.i32(to)


def call_host(writer: Writer, call: CallHost) -> None:
    """Operands in their order; then to the border words first and wide words after them."""
    code = writer.code
    with ExitStack() as spares:
        kept: list[tuple[int, Type]] = []
        for argument in call.arguments:
            kind = type_of(argument)
            writer.push(argument)
            local = spares.enter_context(writer.body.spare(wasm_frame.value_of(kind)))
            code.set(local)
            kept.append((local, kind))
        for local, kind in kept:
            if isinstance(kind, BytesType):
                push_content(writer, local)
            elif kind is not Plain.U64:
                code.get(local)
        to = writer.temporary(Plain.BYTES32)
        if call.type is Plain.BYTES32:
            code.i32(to)
        for local, kind in kept:
            if kind is Plain.U64:
                code.get(local)
    writer.body.call(_HOST_CALLS[call.operation], call.line)
    if call.type is Plain.BYTES32:
        code.i32(to)
    elif call.type is not None and wasm_frame.value_of(call.type) is _I32:
        code.op(Op.I32_WRAP_I64)


def call_contract(writer: Writer, call: CallContract) -> None:
    """The method's id and the arguments side by side; the result is checked to be of its type."""
    code = writer.code
    types = [type_of(argument) for argument in call.arguments]
    size = METHOD_ID_BYTES + sum(values.size(kind) for kind in types)
    data = writer.body.frame.temporary(size)
    with writer.body.spare(_I32) as contract:
        writer.push(call.contract)
        code.set(contract)
        writer.words(data, int.from_bytes(call.method_id, "little"))
        code.access(Op.I32_STORE, 0)
        place = data + METHOD_ID_BYTES
        for argument, kind in zip(call.arguments, types, strict=True):
            writer.put(place, argument, kind)
            place += values.size(kind)
        code.get(contract)
    result_size = 0 if call.type is None else values.size(call.type)
    to = writer.body.frame.temporary(result_size)
    writer.words(data, size, to, result_size)
    writer.body.call("call", call.line)
    if call.type is not None:
        _check(writer, call.type, to, call.line)
        code.i32(to)
        writer.body.load(call.type)


def _check(writer: Writer, kind: Type, address: int, line: int) -> None:
    """What another contract gave is an encoded value of the type, as `encoding.decode` has it."""
    match kind:
        case Plain.BOOL:
            writer.words(address, _BOOL_COUNT)
            writer.body.call("check_below", line)
        case EnumType(_, members):
            writer.words(address, len(members))
            writer.body.call("check_below", line)
        case BytesType(capacity):
            writer.words(address, capacity)
            writer.body.call("check_bytes", line)
        case StructType(_, fields):
            for _, part in fields:
                _check(writer, part, address, line)
                address += values.size(part)

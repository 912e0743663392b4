"""Whatever is raised in a host call ends the guest at once and comes out where it was started."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from qlq.contracts import gas, wasm_memory, wasm_words
from qlq.contracts.host import Host, Transaction
from qlq.contracts.journal import Journal
from qlq.contracts.machine import IMPORT_MODULE, Ending, Instance, Machine
from qlq.contracts.outcome import Env, Failure, Reason
from qlq.contracts.wasm_binary import Code, Module, Op, Signature
from qlq.contracts.wasm_calls import Border
from qlq.contracts.wasm_library import HOST_CALLS, Library
from qlq.contracts.wasmtime_fast import FastMachine
from qlq.contracts.wasmtime_public import PublicMachine
from qlq.errors import InvariantBroken

CONTRACT = b"\x01" * 32
LINE = 12
TURNS_PLACE = 20_000


@pytest.fixture(params=[FastMachine, PublicMachine], ids=["fast", "public"])
def opener(request: pytest.FixtureRequest) -> Callable[..., Machine]:
    return request.param


def reader(code: Code, library: Library) -> None:
    """Read an entry for ever, and count."""
    code.block(Op.LOOP)
    for number in (20_100, 8, 20_200, 8, LINE):
        code.i32(number)
    code.call(library["get"])
    code.i32(0)
    code.i32(0)
    code.access(Op.I64_LOAD, TURNS_PLACE)
    code.i64(1)
    code.op(Op.I64_ADD)
    code.access(Op.I64_STORE, TURNS_PLACE)
    code.branch(0)
    code.op(Op.END)


def stopper(code: Code, _library: Library) -> None:
    code.op(Op.UNREACHABLE)


def instance_of(machine: Machine, write: Callable[[Code, Library], None]) -> Instance:
    main = Code(Signature())
    library = Library(wasm_words.FUNCTIONS, first=len(HOST_CALLS) + 1)
    write(main, library)
    module = Module(
        imports=tuple((IMPORT_MODULE, name) for name in HOST_CALLS),
        functions=(main, *library.codes),
        exports=((wasm_memory.EXPORT, len(HOST_CALLS)),),
    )
    return machine.compile(module.to_bytes()).instantiate()


def host_on(ledger, gas_limit: int) -> Host:
    transaction = Transaction(Env(bytes(32), 7, 1000), Journal(ledger), lambda _host, _data: b"")
    return Host(
        transaction,
        contract=CONTRACT,
        sender=bytes(32),
        gas_limit=gas_limit,
        asset=bytes(32),
        value=0,
    )


class Broken(Exception):
    """Something nobody thought of."""


def test_an_error_of_the_ledger_comes_out_and_the_guest_goes_no_step_further(
    ledger_class, opener
) -> None:
    ledger = ledger_class()
    asked = []

    def storage(_contract: bytes, key: bytes) -> bytes:
        asked.append(key)
        if len(asked) == 3:
            raise Broken
        return b"\x07" * 8

    ledger.storage = storage
    border = Border()
    instance = instance_of(opener(border.host_calls()), reader)
    with pytest.raises(Broken):
        border.run(instance, host_on(ledger, 10**6), 0, b"")
    assert int.from_bytes(instance.memory[TURNS_PLACE : TURNS_PLACE + 8], "little") == 2
    # and the next call knows nothing of it
    other = instance_of(opener(border.host_calls()), reader)
    with pytest.raises(Failure) as raised:
        border.run(other, host_on(ledger_class(), 10**4), 0, b"")
    assert raised.value.reason is Reason.OUT_OF_GAS


def test_a_host_call_that_does_nothing_at_all_stops_the_guest(opener) -> None:
    """As one does whose exception is lost: nobody has said that it is done."""
    instance = instance_of(opener({name: lambda: 0 for name in HOST_CALLS}), reader)
    assert instance.run(wasm_memory.EXPORT) is Ending.TRAPPED
    assert not any(instance.memory[TURNS_PLACE : TURNS_PLACE + 8])


def test_a_failure_of_the_host_has_the_line_and_the_contract(ledger_class, opener) -> None:
    border = Border()
    instance = instance_of(opener(border.host_calls()), reader)
    host = host_on(ledger_class(), 5 * (gas.STORAGE_READ + 8 * gas.STORAGE_READ_BYTE) + 7)
    with pytest.raises(Failure) as raised:
        border.run(instance, host, 0, b"")
    assert (raised.value.line, raised.value.contract) == (LINE, CONTRACT)
    assert host.gas == 0
    assert int.from_bytes(instance.memory[TURNS_PLACE : TURNS_PLACE + 8], "little") == 5


def test_a_stop_without_a_reason_is_our_bug(ledger_class, opener) -> None:
    border = Border()
    instance = instance_of(opener(border.host_calls()), stopper)
    with pytest.raises(InvariantBroken, match="without a reason"):
        border.run(instance, host_on(ledger_class(), 10), 0, b"")


def test_an_interrupt_is_never_lost(ledger_class) -> None:
    """Three hundred alarms at odd moments of a guest that would run for some 10^15 turns."""
    border = Border()
    machine = FastMachine(border.host_calls())

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(300):
            instance = instance_of(machine, reader)
            host = host_on(ledger_class(), 1 << 62)
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the alarm is part of it
                signal.setitimer(signal.ITIMER_REAL, 0.0003 + number * 0.0000031)
                border.run(instance, host, 0, b"")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

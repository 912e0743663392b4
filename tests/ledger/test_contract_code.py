"""Compiling is paid for before it is done, is bounded in each block, and no call does any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qlq import codec
from qlq.contracts import code_store, compiler, gas, upgrade
from qlq.contracts.code_store import CodeStore
from qlq.contracts.compiled import COMPILER_VERSION, Code, Compiled
from qlq.contracts.engine import Engine
from qlq.contracts.native_cache import NativeCache
from qlq.contracts.outcome import Reason
from qlq.contracts.wasm_runner import WasmRunner
from qlq.errors import InvalidTransaction, InvariantBroken
from qlq.faults import TransactionFault
from qlq.ledger import genesis, records, transition
from qlq.ledger.contract_calls import ContractCalls, split_code
from qlq.ledger.operations import AnnounceUpgrade, Call, Deploy, Upgrade
from qlq.ledger.records import ContractRecord

SOURCE = b"""from qlq.contract import Address, Contract, external, msg, u64, upgradable


@upgradable(admin="owner", delay=1)
class Counter(Contract):
    owner: Address
    count: u64

    def init(self) -> None:
        self.owner = msg.sender

    @external
    def add(self) -> u64:
        self.count += 1
        return self.count
"""
REFUSED = SOURCE.replace(b"self.count += 1", b"self.count += 1.5")
UNITS = gas.DEPLOY + len(SOURCE) * gas.DEPLOY_BYTE
ADD = compiler.compile_source(SOURCE).program.functions[1].method_id


class Counted:
    """The compiler, and how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, source: bytes) -> Compiled:
        self.times += 1
        return compiler.compile_source(source)


class Table:
    """A chain with fees whose compiler counts."""

    def __init__(self, world: Any, alice: Any, folder: NativeCache | None = None) -> None:
        self.alice, self.compile = alice, Counted()
        self.calls = ContractCalls(
            Engine(WasmRunner()), CodeStore(self.compile, folder), upgrade.check
        )
        self.chain = world.chain(genesis.FEES, rich=(alice,), contracts=self.calls)

    def send(self, *wanted: Any) -> Any:
        return self.chain.send(self.alice, *wanted)

    def deploy(self) -> bytes:
        receipt = self.send(deploy(SOURCE))
        assert receipt.reason is None
        result: bytes = receipt.result
        return result


def deploy(source: bytes, units: int = 8_000_000) -> Deploy:
    compiled = compiler.compile_source(source)
    return Deploy(source, COMPILER_VERSION, compiled.code_hash, b"", units)


@pytest.fixture
def table(world: Any, alice: Any) -> Table:
    return Table(world, alice)


@pytest.mark.parametrize("units", [1, UNITS - 1])
def test_what_the_gas_does_not_pay_for_is_not_compiled(table: Table, units: int) -> None:
    receipt = table.send(deploy(SOURCE, units))
    assert receipt.reason is TransactionFault.OUT_OF_GAS
    assert (receipt.gas, table.compile.times) == (units, 0)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Deploy(SOURCE, COMPILER_VERSION, bytes(32), b"", 8_000_000), "code-mismatch"),
        (Deploy(REFUSED, COMPILER_VERSION, bytes(32), b"", 8_000_000), "source-refused"),
    ],
)
def test_a_source_that_is_not_taken_is_paid_for_all_the_same(
    table: Table, wanted: Deploy, reason: str
) -> None:
    receipt = table.send(wanted)
    assert receipt.reason.word == reason
    assert receipt.gas == gas.DEPLOY + len(wanted.source) * gas.DEPLOY_BYTE
    assert receipt.fee > receipt.gas * genesis.FEES.gas_price // 1000
    assert table.compile.times == 1  # in the proposal; carrying the block out finds it
    table.send(wanted)
    assert table.compile.times == 1


def test_new_code_is_paid_for_before_it_is_compiled(table: Table) -> None:
    contract = table.deploy()
    other = SOURCE.replace(b"+= 1", b"+= 2")
    code_hash = compiler.compile_source(other).code_hash
    assert table.send(AnnounceUpgrade(contract, code_hash)).reason is None
    assert table.compile.times == 1
    poor = table.send(Upgrade(contract, other, COMPILER_VERSION, UNITS - 1))
    assert (poor.reason, poor.gas) == (TransactionFault.OUT_OF_GAS, UNITS - 1)
    wrong = table.send(Upgrade(contract, SOURCE, COMPILER_VERSION, 8_000_000))
    assert (wrong.reason, wrong.gas) == (TransactionFault.CODE_MISMATCH, UNITS)
    assert table.compile.times == 1
    done = table.send(Upgrade(contract, other, COMPILER_VERSION, 8_000_000))
    assert (done.reason, done.gas, table.compile.times) == (None, UNITS, 2)


def test_calls_compile_nothing_in_this_process_or_the_next(
    world: Any, alice: Any, tmp_path: Path
) -> None:
    def folder() -> NativeCache:
        return NativeCache(tmp_path, settings=code_store.SETTINGS)

    table = Table(world, alice, folder())
    contract = table.deploy()
    for count in range(1, 3):
        receipt = table.send(Call(contract, ADD, b"", 100_000))
        assert receipt.result == count.to_bytes(8, "little")
    assert table.compile.times == 1
    restarted = Counted()
    store = CodeStore(restarted, folder())
    code = store.code(SOURCE)
    assert type(code) is Code
    assert code == compiler.compile_source(SOURCE).code
    assert restarted.times == 0
    for file in tmp_path.glob("*"):
        file.write_bytes(file.read_bytes()[:-1])
    assert CodeStore(restarted, folder()).code(SOURCE) == code
    assert restarted.times == 1


def test_a_file_of_another_release_is_compiled_anew(tmp_path: Path) -> None:
    folder, counted = NativeCache(tmp_path, settings=code_store.SETTINGS), Counted()
    CodeStore(counted, folder).compiled(SOURCE)
    (file,) = tmp_path.glob("*")
    folder.put(code_store.key_of(SOURCE), b"\x93\x01\x02\x03")
    assert CodeStore(counted, folder).code(SOURCE).name == "Counter"
    assert counted.times == 2
    assert file.exists()


def test_code_in_memory_is_bounded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted()
    sources = [SOURCE + b"# %d\n" % number for number in range(20)]
    each = len(sources[-1]) + len(compiler.compile_source(SOURCE).wasm)
    monkeypatch.setattr(code_store, "CODES_BYTES_MAX", 12 * each)
    store = CodeStore(counted, None)
    for source in sources:
        store.compiled(source)
    for source in sources[-12:]:
        store.code(source)
    assert counted.times == len(sources)
    store.code(sources[0])
    assert counted.times == len(sources) + 1


def padded(number: int) -> bytes:
    """A source of 32 KiB, quickly compiled."""
    line = b"# %d " % number + b"x" * 74
    source = SOURCE + (line + b"\n") * 500
    return source[: (32 << 10) - 1] + b"\n"


def test_a_block_brings_so_many_bytes_of_sources_and_no_more(table: Table) -> None:
    chain, alice = table.chain, table.alice
    drafts = [
        chain.draft(alice, deploy(padded(number)), nonce=chain.nonce(alice) + number)
        for number in range(4)
    ]
    entries = [chain.signed(draft, alice).to_bytes() for draft in drafts]
    proposal = chain.propose(*entries)
    assert proposal.block.entries == tuple(entries[:3])
    ((_, error),) = proposal.refused
    assert error.reason is TransactionFault.BLOCK_FULL
    assert len(padded(0)) * 3 == gas.BLOCK_SOURCE_MAX


def test_a_transaction_that_fits_into_no_block_does_not_wait_for_one(table: Table) -> None:
    chain, alice = table.chain, table.alice
    wanted = [deploy(padded(number), 1) for number in range(4)]
    signed = chain.signed(chain.draft(alice, *wanted), alice)
    with pytest.raises(InvalidTransaction) as caught:
        transition.admit(chain.state, signed, height=chain.tip.height + 1, rules=chain.rules)
    assert caught.value.reason is TransactionFault.SOURCE_TOO_LONG


@pytest.mark.parametrize(
    "record",
    [
        ContractRecord(SOURCE, COMPILER_VERSION + 1, bytes(32), bytes(32)),
        ContractRecord(SOURCE, COMPILER_VERSION, bytes(32), bytes(32)),
    ],
)
def test_code_that_this_release_would_make_otherwise_is_not_run(
    table: Table, record: ContractRecord
) -> None:
    contract = table.deploy()
    table.chain.state._entries[records.contract_key(contract)] = codec.encode(record)
    with pytest.raises(InvariantBroken, match="use the release that its chain runs on"):
        table.send(Call(contract, ADD, b"", 100_000))


LOUD = b"""from qlq.contract import Contract, event, external, u64


class Loud(Contract):
    @event
    def Said(self, number: u64) -> None: ...

    @external
    def say(self) -> None:
        for number in range(40):
            self.Said(number)
"""


def test_a_transaction_has_so_many_events_over_all_its_calls(table: Table) -> None:
    contract = table.send(deploy(LOUD)).result
    (say,) = [f for f in compiler.compile_source(LOUD).program.functions if f.name == "say"]
    call = Call(contract, say.method_id, b"", 200_000)
    assert len(table.send(call).events) == 40
    receipt = table.send(call, call)
    assert (receipt.reason, receipt.operation) == (TransactionFault.REVERTED, 1)
    assert split_code(receipt.code) == (Reason.EVENTS_TOO_MANY, 0)
    assert receipt.events == ()

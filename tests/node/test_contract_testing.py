"""The plugin for authors of contracts, tried on a small contract and on tests of authors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from qlq.contract import Quality
from qlq.contracts.compiled import Compiled
from qlq.contracts.engine import Engine
from qlq.contracts.host import Host
from qlq.contracts.outcome import Call, Env, Outcome
from qlq.contracts.python import PythonRunner
from qlq.contracts.wasm_runner import WasmRunner
from qlq.errors import CallFailed, CompileError, ConfigError, ContractError, InvariantBroken
from qlq.node.trial_contract import PURSE, Chain, Contract

BANK = """\
from qlq.contract import (
    Address, Asset, Bytes, Contract, Enum, Map, Struct, U64_MAX, beacon, block, event, external,
    ledger, msg, u64, view,
)


class Mood(Enum):
    CALM = 0
    BUSY = 1


class Note(Struct):
    text: Bytes[8]
    mood: Mood
    height: u64


class Bank(Contract):
    owner: Address
    total: u64
    held: Map[Address, Map[Asset, u64]]
    notes: Map[u64, Note]
    round: u64

    @event
    def Put(self, account: Address, asset: Asset, amount: u64) -> None: ...

    def init(self, total: u64) -> None:
        assert total < 1000, "too much to begin with"
        self.owner = msg.sender
        self.total = total

    @external
    def put(self) -> u64:
        assert msg.value > 0, "nothing came"
        self.held[msg.sender][msg.asset] += msg.value
        self.total += msg.value
        self.Put(msg.sender, msg.asset, msg.value)
        return self.total

    @external
    def take(self, asset: Asset, amount: u64) -> None:
        self.held[msg.sender][asset] -= amount
        ledger.transfer(msg.sender, asset, amount)

    @external
    def write(self, number: u64, note: Note) -> Note:
        note.height = block.height
        self.notes[number] = note
        return note

    @external
    def spin(self) -> None:
        count: u64 = 0
        while count < U64_MAX:
            count += 1

    @external
    def name(self) -> u64:
        self.round = beacon.next_round(2)
        return self.round

    @view
    def drawn(self) -> u64:
        return beacon.uniform(self.round, 1000, b"test")

    @view
    def clock(self) -> u64:
        return block.time
"""


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    (tmp_path / "bank.py").write_text(BANK)
    engines = {"wasm": Engine(WasmRunner()), "python": Engine(PythonRunner())}
    return Chain(engines, tmp_path)


@pytest.fixture
def bank(chain: Chain) -> Contract:
    return chain.deploy("bank.py", 7, sender=chain.account("alice"))


def test_values_go_in_and_come_out_as_python_has_them(chain: Chain, bank: Contract) -> None:
    alice = chain.account("alice")
    note = bank.write(3, {"text": b"hello", "mood": "BUSY", "height": 0}, sender=alice)
    assert note == (b"hello", 1, chain.height)
    assert note.mood.name == "BUSY"
    assert bank.state("notes", 3) == note
    assert bank.state("notes", 4) == (b"", 0, 0)
    assert bank.state("owner") == alice.address
    again = bank.write(5, (b"", bank.state("notes", 3).mood, 9), sender=alice)
    assert again.mood.name == "BUSY"


def test_units_move_as_the_contract_says(chain: Chain, bank: Contract) -> None:
    alice = chain.account("alice")
    chain.give(alice, 50, "GOLD")
    assert bank.put(sender=alice, value=30, asset="GOLD") == 37
    assert (chain.balance(alice, "GOLD"), chain.balance(bank, "GOLD")) == (20, 30)
    assert bank.events("Put") == [
        {"account": alice.address, "asset": chain.asset("GOLD"), "amount": 30}
    ]
    bank.take("GOLD", 10, sender=alice)
    assert bank.state("held", alice, "GOLD") == 20
    assert bank.events("Put") == []
    assert chain.balance(alice) == PURSE


def test_a_failure_has_its_reason_and_its_line_and_changes_nothing(
    chain: Chain, bank: Contract
) -> None:
    alice = chain.account("alice")
    before = chain.snapshot()
    with pytest.raises(CallFailed) as caught:
        bank.take("GOLD", 1, sender=alice)
    assert (caught.value.status, caught.value.reason) == ("reverted", "underflow")
    assert BANK.split("\n")[caught.value.line - 1].strip().startswith("self.held[msg.sender]")
    assert "Bank, line" in str(caught.value)
    with pytest.raises(CallFailed) as caught:
        bank.put(sender=alice, value=1, asset="GOLD")
    assert (caught.value.status, caught.value.reason) == ("refused", "insufficient-balance")
    with pytest.raises(CallFailed) as caught:
        bank.spin(sender=alice, gas_limit=100_000)
    assert (caught.value.status, caught.value.reason) == ("out-of-gas", "out-of-gas")
    with pytest.raises(CallFailed, match="too much to begin with"):
        chain.deploy("bank.py", 1000, sender=alice)
    assert chain.ledger.world == before


def test_a_snapshot_brings_everything_back_as_often_as_wanted(chain: Chain, bank: Contract) -> None:
    alice = chain.account("alice")
    before = chain.snapshot()
    for _ in range(2):
        bank.put(sender=alice, value=5)
        chain.mine(9)
        chain.beacon.publish()
        assert chain.ledger.world != before
        chain.revert(before)
        assert chain.ledger.world == before
    assert chain.balance(alice) == PURSE


def test_height_and_time_are_the_test_s(chain: Chain, bank: Contract) -> None:
    now = bank.clock()
    assert chain.mine(3) == 4
    assert bank.clock() == now + 30
    chain.time(100)
    assert bank.clock() == now + 130 == chain.now
    assert chain.mine_to(10) == 10
    assert chain.mine_to(5) == 10
    for wrong in (lambda: chain.mine(0), lambda: chain.time(-1)):
        with pytest.raises(ConfigError):
            wrong()


def test_rounds_are_on_the_chain_when_the_test_says_so(chain: Chain, bank: Contract) -> None:
    alice = chain.account("alice")
    assert bank.name(sender=alice) == 2
    with pytest.raises(CallFailed, match="is to come"):
        bank.drawn()
    chain.beacon.publish_until(2, Quality.VENDOR)
    first = bank.drawn()
    chain.beacon.set(2, 12345, Quality.NONE)
    assert bank.drawn() != first
    assert chain.beacon.latest == 2
    for number, value in ((0, 1), (1, b"short")):
        with pytest.raises(ConfigError):
            chain.beacon.set(number, value)


def test_wrong_use_is_told(chain: Chain, bank: Contract) -> None:
    alice = chain.account("alice")
    with pytest.raises(AttributeError, match="no method 'pit'; there are put, take"):
        bank.pit(sender=alice)
    with pytest.raises(ConfigError, match="takes 2 arguments"):
        bank.take("GOLD", sender=alice)
    with pytest.raises(ConfigError, match="amount: -1 is no u64"):
        bank.take("GOLD", -1, sender=alice)
    with pytest.raises(ConfigError, match="amount: True is no u64"):
        bank.take("GOLD", True, sender=alice)  # noqa: FBT003
    with pytest.raises(ConfigError, match=r"note\.text: .* is no Bytes\[8\]"):
        bank.write(1, (b"123456789", "CALM", 0), sender=alice)
    with pytest.raises(ConfigError, match=r"note\.mood: 'ANGRY' is no Mood: one of CALM, BUSY"):
        bank.write(1, (b"", "ANGRY", 0), sender=alice)
    with pytest.raises(ConfigError, match="say who calls"):
        bank.put()
    with pytest.raises(ConfigError, match="no field 'nothing'"):
        bank.state("nothing")
    with pytest.raises(ConfigError, match="has 2 keys, not 1"):
        bank.state("held", alice)
    with pytest.raises(ConfigError, match="no account 'dora'"):
        bank.state("held", "dora", "GOLD")
    with pytest.raises(ConfigError, match="cannot read"):
        chain.deploy("absent.py", sender=alice)


def test_a_source_that_is_refused_is_told_with_its_place(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import os\n")
    with pytest.raises(CompileError, match=r"bad\.py:1:1"):
        chain.deploy("bad.py", sender=chain.account("alice"))


def test_an_upgrade_keeps_what_is_stored(chain: Chain, bank: Contract, tmp_path: Path) -> None:
    alice = chain.account("alice")
    bank.put(sender=alice, value=5)
    more = BANK.replace("    round: u64\n", "    round: u64\n    added: u64\n")
    (tmp_path / "more.py").write_text(more.replace("return self.total", "return 2 * self.total"))
    chain.upgrade(bank, "more.py", sender=alice)
    assert bank.state("total") == 12
    assert bank.state("added") == 0
    assert bank.put(sender=alice, value=1) == 26
    with pytest.raises(ContractError, match=r"'added' .u64. is removed"):
        chain.upgrade(bank, "bank.py", sender=alice)
    assert bank.put(sender=alice, value=1) == 28


class _Liar:
    """A back-end that does not find out what it should."""

    def __init__(self) -> None:
        self._honest = PythonRunner()

    def run(self, compiled: Compiled, function: int, host: Host, arguments: bytes) -> bytes:
        found = self._honest.run(compiled, function, host, arguments)
        return bytes(len(found)) if found else found


class _Spendthrift(Engine):
    """A back-end that asks for other gas."""

    def apply(self, ledger: object, env: Env, call: Call) -> Outcome:
        found = super().apply(ledger, env, call)  # type: ignore[arg-type]
        return replace(found, gas_used=found.gas_used + 1)


@pytest.mark.parametrize("other", [Engine(_Liar()), _Spendthrift(PythonRunner())])
def test_back_ends_that_disagree_end_the_test(tmp_path: Path, other: Engine) -> None:
    (tmp_path / "bank.py").write_text(BANK)
    chain = Chain({"wasm": Engine(WasmRunner()), "other": other}, tmp_path)
    bank = chain.deploy("bank.py", 7, sender=chain.account("alice"))
    with pytest.raises(InvariantBroken, match="wasm and other disagree"):
        bank.put(sender=chain.account("alice"), value=5)


AUTHORS_TESTS = """\
import pytest
from qlq.node.contract_testing import reverts


@pytest.fixture
def bank(chain, alice):
    return chain.deploy("bank.py", 0, sender=alice)


def test_right(bank, alice, bob, carol):
    with reverts("nothing came"):
        bank.put(sender=alice)
    with reverts("underflow"):
        bank.take("QLQ", 1, sender=bob)
    assert bank.put(sender=carol, value=3) == 3


def test_nothing_fails(bank, alice):
    with reverts("nothing came"):
        bank.put(sender=alice, value=1)


def test_fails_otherwise(bank, alice):
    with reverts("something else"):
        bank.put(sender=alice)


def test_mistake(bank, alice):
    with reverts():
        bank.put(1, 2, 3, sender=alice)
"""


def author(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An author's run of pytest."""
    (folder / "bank.py").write_text(BANK)
    (folder / "test_bank.py").write_text(AUTHORS_TESTS)
    plugin = ("-p", "qlq.node.contract_testing", "-p", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "/dev/null", *plugin, *arguments, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_author_s_tests_pass_and_fail_as_they_should(tmp_path: Path) -> None:
    done = author(tmp_path, "--gas-report")
    assert "1 passed" in done.stdout
    assert "3 failed" in done.stdout
    assert "nothing failed; expected 'nothing came'" in done.stdout
    assert "nothing came', not with 'something else'" in done.stdout
    assert "put() takes 0 arguments" in done.stdout
    rows = [line.split() for line in done.stdout.split("\n") if line.startswith("Bank.")]
    by_method = {row[0]: [int(number) for number in row[1:]] for row in rows}
    assert by_method["Bank.init"][0] == 4
    calls, least, mean, most = by_method["Bank.put"]
    assert calls == 4
    assert least < mean < most


@pytest.mark.long
def test_the_gas_report_counts_all_workers(tmp_path: Path) -> None:
    one, two = author(tmp_path, "--gas-report"), author(tmp_path, "--gas-report", "-n", "2")
    rows = [
        [line for line in done.stdout.split("\n") if line.startswith("Bank.")]
        for done in (one, two)
    ]
    assert rows[0] == rows[1] != []

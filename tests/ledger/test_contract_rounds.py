"""Rounds of the beacon on the ledger: nobody can know a round when it is named."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from qlq.contracts import compiler
from qlq.contracts.compiled import COMPILER_VERSION
from qlq.contracts.outcome import Reason
from qlq.faults import TransactionFault
from qlq.ledger import contract_calls, records
from qlq.ledger.operations import Call, Deploy, PublishPulse
from qlq.node.contract_engine import ContractEngine
from qlq.provenance import EntropyTier
from qlq.qrng import beacon
from qlq.qrng.beacon import LocalValue

SOURCE = b"""from qlq.contract import Contract, beacon, external, u64, view


class Guess(Contract):
    guess: u64
    decides: u64

    @external
    def commit(self, guess: u64) -> u64:
        self.guess = guess
        self.decides = beacon.next_round(2)
        return self.decides

    @external
    def draw(self) -> u64:
        return beacon.uniform(self.decides, 1000000, b"")
"""


class Table:
    """A chain with the contract and a beacon, whose pulses are made at given times."""

    def __init__(self, world: Any, alice: Any) -> None:
        self.alice, self.key = alice, world.person("beacon").key
        key = self.key.verifying_key
        self.chain = world.chain(beacon=key.to_bytes(), contracts=ContractEngine(None))
        self.chain.enrol(alice)
        self.compiled = compiler.compile_source(SOURCE)
        code_hash = self.compiled.code_hash
        deploy = Deploy(SOURCE, COMPILER_VERSION, code_hash, b"", 5_000_000)
        receipt = self.chain.send(alice, deploy)
        assert receipt.reason is None
        self.contract = receipt.result
        self._beacon, self._made = beacon.begin(key), 0

    @property
    def now_s(self) -> int:
        """When the last block was made, and a second."""
        return self.chain.tip.time_ms // 1000 + 1

    def pulse(self, time_s: int) -> PublishPulse:
        local = LocalValue(_local(self._made), EntropyTier(0), 0, False, "aer", b"")  # noqa: FBT003
        self._made += 1
        made = beacon.make(
            self._beacon, self.key,
            local=local, next_local=_local(self._made), time_s=time_s, period_s=0,
        )  # fmt: skip
        self._beacon = beacon.extend(self._beacon, made)
        return PublishPulse(made.to_bytes())

    def call(self, name: str, arguments: bytes = b"") -> Call:
        (function,) = [one for one in self.compiled.program.functions if one.name == name]
        return Call(self.contract, function.method_id, arguments, 1_000_000)

    def send(self, *wanted: Any) -> Any:
        return self.chain.send(self.alice, *wanted)

    def commit(self) -> Call:
        return self.call("commit", bytes(8))

    def count(self) -> int:
        return records.read_rounds(self.chain.state.get(records.ROUNDS)).count


def _local(index: int) -> bytes:
    return hashlib.sha512(b"local %d" % index).digest()


@pytest.fixture
def table(world: Any, alice: Any) -> Table:
    return Table(world, alice)


def not_reached(receipt: Any) -> bool:
    reason, _ = contract_calls.split_code(receipt.code)
    return receipt.reason is TransactionFault.REVERTED and reason == Reason.ROUND_NOT_REACHED


def test_a_round_is_seen_from_the_block_after_the_one_that_brings_it(table: Table) -> None:
    assert table.send(table.commit()).reason is None
    for _ in range(2):
        assert table.send(table.pulse(table.now_s)).reason is None
    assert table.count() == 2
    drawn = table.send(table.call("draw"))
    assert drawn.reason is None
    number = int.from_bytes(drawn.result, "little")
    stored = records.read(table.chain.state.get(records.round_key(2)) or b"", records.Round)
    digest = hashlib.sha256(stored.value + table.contract).digest()
    assert number == int.from_bytes(digest[:8], "little") % 1_000_000  # below the last multiple


def test_nobody_commits_publishes_and_draws_in_one_transaction(table: Table) -> None:
    known = [table.pulse(table.now_s), table.pulse(table.now_s + 1)]
    assert not_reached(table.send(table.commit(), *known, table.call("draw")))
    assert table.count() == 0  # a failed transaction changes nothing


def test_pulses_that_were_made_before_the_commitment_serve_it_not(table: Table) -> None:
    """A backlog that only its makers know: all of it is published after the commitment."""
    known = [table.pulse(table.now_s + second) for second in range(4)]
    for _ in range(4):
        table.chain.accept(table.chain.propose())
    committed = table.send(table.commit())
    assert int.from_bytes(committed.result, "little") == 2
    for pulse in known:
        assert table.send(pulse).reason is None
    assert table.count() == 1
    assert not_reached(table.send(table.call("draw")))
    assert table.send(table.pulse(table.now_s)).reason is None
    assert table.count() == 2
    assert table.send(table.call("draw")).reason is None


def test_one_block_brings_one_round(table: Table) -> None:
    """Also where the beacon's clock is ahead of the chain's."""
    later = table.now_s + 1000
    assert table.send(table.pulse(later), table.pulse(later + 1)).reason is None
    assert table.count() == 1
    assert table.send(table.pulse(later + 2)).reason is None
    assert table.count() == 2


def test_the_index_of_the_first_pulse_says_nothing_about_rounds(table: Table) -> None:
    table.pulse(1)
    table.pulse(2)
    assert table.send(table.pulse(3)).reason is None
    assert table.count() == 1
    assert int.from_bytes(table.send(table.commit()).result, "little") == 3

"""Blocks of the dearest work on the ledger's own state: they are carried out in time.

`tests/contracts/test_bombs.py` has calls that end without effect, on a plain dictionary.
"""

from __future__ import annotations

import time
from typing import Any

from qlq.contracts import compiler, gas
from qlq.contracts.compiled import COMPILER_VERSION
from qlq.faults import TransactionFault
from qlq.ledger import genesis
from qlq.ledger.operations import Call, Deploy
from qlq.node.contract_engine import ContractEngine

TIME_MAX_S = 3.0
"""A block takes a tenth of it on an idle core; what grows with the square takes many times more."""
SOURCE = b"""from qlq.contract import Contract, Map, external, u64


class Entries(Contract):
    numbers: Map[u64, u64]
    others: Map[u64, u64]

    @external
    def put(self, start: u64, count: u64) -> None:
        for i in range(count):
            self.numbers[start + i] = 1

    @external
    def drop(self, start: u64, count: u64) -> None:
        for i in range(count):
            del self.numbers[start + i]

    @external
    def look(self, _start: u64, count: u64) -> None:
        for i in range(count):
            for key, value in self.numbers.items(0, 1):
                pass

    @external
    def look_beside(self, _start: u64, count: u64) -> None:
        for i in range(count):
            for key, value in self.others.items(0, 1):
                pass
"""


def test_pages_of_a_state_that_the_block_has_changed_all_over(world: Any, alice: Any) -> None:
    chain = world.chain(genesis.FEES, rich=(alice,), native=10**15, contracts=ContractEngine(None))
    compiled = compiler.compile_source(SOURCE)
    deploy = Deploy(SOURCE, COMPILER_VERSION, compiled.code_hash, b"", 1_000_000)
    contract = chain.send(alice, deploy).result
    ids = {function.name: function.method_id for function in compiled.program.functions}

    def block(*calls: tuple[str, int, int]) -> tuple[float, set[Any]]:
        """CPU seconds of a block with these calls, and how they ended."""
        nonce, entries = chain.nonce(alice), []
        for place, (name, *numbers) in enumerate(calls):
            arguments = b"".join(number.to_bytes(8, "little") for number in numbers)
            call = Call(contract, ids[name], arguments, gas.TRANSACTION_MAX)
            draft = chain.draft(alice, call, nonce=nonce + place)
            entries.append(chain.signed(draft, alice).to_bytes())
        started = time.process_time()
        proposal = chain.propose(*entries)
        spent = time.process_time() - started
        receipts = proposal.outcome.receipts
        assert len(receipts) == len(calls)
        chain.accept(proposal)
        return spent, {receipt.reason for receipt in receipts}

    puts = [("put", place * 1200, 1200) for place in range(6)]
    spent, ends = block(*puts, *[("look_beside", 0, 1400)] * 4)
    assert ends == {None}
    assert spent <= TIME_MAX_S
    drops = [("drop", place * 2400, 2400) for place in range(3)]
    spent, ends = block(*drops, *[("look", 0, 1400)] * 6)
    assert ends == {None, TransactionFault.OUT_OF_GAS}  # what is passed over is paid for
    assert spent <= TIME_MAX_S

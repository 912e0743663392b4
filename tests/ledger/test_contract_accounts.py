"""A contract's account is there whether or not somebody has paid into it before."""

from __future__ import annotations

from typing import Any

from qlq.contracts import compiler
from qlq.contracts.compiled import COMPILER_VERSION
from qlq.ledger import contract_calls, genesis
from qlq.ledger.operations import NATIVE, Deploy, Leg, Transfer
from qlq.node.contract_engine import ContractEngine

SOURCE = b'''"""A counter."""

from qlq.contract import Contract, external, u64


class Counter(Contract):
    """Counts."""

    count: u64

    @external
    def add(self) -> None:
        """One more."""
        self.count += 1
'''


def test_what_was_paid_to_a_contract_before_it_was_there_is_not_lost(
    world: Any, alice: Any
) -> None:
    """Its address is known beforehand; a deploy that lost units would stop the chain."""
    chain = world.chain(genesis.FEES, rich=(alice,), contracts=ContractEngine(None))
    code_hash = compiler.compile_source(SOURCE).code_hash
    contract = contract_calls.address_of(alice.address, 1, 0, code_hash)
    paid = chain.send(alice, Transfer((Leg(alice.address, contract, NATIVE, 500),)))
    assert paid.reason is None
    deployed = chain.send(alice, Deploy(SOURCE, COMPILER_VERSION, code_hash, b"", 1_000_000))
    assert (deployed.reason, deployed.result) == (None, contract)
    assert chain.balance(contract) == 500

"""A validator that dies between any two effects goes on without losing or doubling a block."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from qlq.consensus import validators as validator_sets
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.phases import Record
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import LedgerDamaged
from qlq.ledger import execution, genesis, store_file, transaction, transition
from qlq.ledger.block import Block
from qlq.ledger.genesis import Genesis, Limits
from qlq.ledger.operations import Anchor
from qlq.ledger.sealing import Opener
from qlq.ledger.store import LedgerStore
from qlq.ledger.transaction import Draft, SignedTransaction
from qlq.ledger.transition import Outcome, Rules
from qlq.node import chains
from qlq.node.engines.solo import SoloEngine
from qlq.node.loop import Loop, Made

STORAGE = bytes(range(32))
KEY = SigningKey(Algorithm.ED25519, hashlib.sha256(b"key").digest())
OPENING = DecapsulationKey(hashlib.sha256(b"opening").digest())
OWN = validator_sets.validator(KEY.verifying_key, OPENING.encapsulation_key, weight=1)


class Died(BaseException):
    """The process is gone."""


@dataclass
class Fuse:
    """Lets so many steps pass, then the process dies."""

    left: int

    def burn(self) -> None:
        if self.left == 0:
            raise Died
        self.left -= 1


class FragileStore(LedgerStore):
    """Dies before or after one of its writes."""

    fuse: Fuse

    def save_records(self, height: int, records: Sequence[Record]) -> None:
        self.fuse.burn()
        super().save_records(height, records)
        self.fuse.burn()

    def append(self, block: Block, certificate: QuorumCertificate, outcome: Outcome) -> None:
        self.fuse.burn()
        super().append(block, certificate, outcome)
        self.fuse.burn()


class FragileEngine(SoloEngine):
    """The same for the log."""

    fuse: Fuse

    def append(self, entry: bytes, *, expected: int) -> bool:
        self.fuse.burn()
        found = super().append(entry, expected=expected)
        self.fuse.burn()
        return found


@dataclass
class Home:
    """A chain of one validator on a disk."""

    folder: Path
    genesis: Genesis

    def run(self, fuse: Fuse) -> Iterator[Loop]:
        """The validator, from its disk, until it dies or ends."""
        store = FragileStore(self.folder, STORAGE)
        engine = FragileEngine(self.folder)
        store.fuse = engine.fuse = fuse
        try:
            rules = Rules(self.genesis, self.genesis.chain, execution.NoContracts())
            state, tip = chains.load(store)
            yield Loop(
                store,
                engine,
                rules,
                state=state,
                tip=tip,
                key=KEY,
                opener=Opener(OWN.address, OPENING),
            )
        finally:
            store.close()
            engine.close()

    def block(self, loop: Loop, number: int) -> list[Made]:
        """Recover, then make a block that anchors a number."""
        loop.recover()
        rules = Rules(self.genesis, self.genesis.chain, execution.NoContracts())
        draft = Draft(
            chain=self.genesis.chain,
            sender=OWN.address,
            nonce=loop.tip.height,
            valid_until=loop.tip.height + 5,
            fee=0,
            salt=bytes(16),
            operations=(Anchor(1, hashlib.sha256(b"%d" % number).digest()),),
        )
        signed = SignedTransaction(draft, (transaction.sign(draft, OWN.address, KEY, shown=None),))
        time_ms = 1_700_000_000_001 + loop.tip.height
        proposal = transition.propose(
            loop.state, loop.tip, [signed.to_bytes()], time_ms=time_ms, rules=rules
        )
        assert not proposal.refused
        return loop.propose(proposal.block, proposal.outcome)

    def die(self, fuse: Fuse, number: int) -> None:
        """Make a block until the fuse burns down."""
        died = False
        try:
            for loop in self.run(fuse):
                self.block(loop, number)
        except Died:
            died = True
        assert died


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Genesis(
        name="test",
        time_ms=1_700_000_000_000,
        validators=validator_sets.of(OWN),
        administrators=(OWN.address,),
        policy=genesis.QUOTAS,
        limits=Limits(),
        beacon=b"",
        allocations=(),
    )
    state, _ = transition.begin(made)
    store_file.create(tmp_path, made, dict(state.items()), STORAGE)
    return Home(tmp_path, made)


STEPS = 8
"""Log, votes and block, each before and after; the last one is past the end of a whole block."""


def test_a_block_takes_so_many_steps(home: Home) -> None:
    fuse = Fuse(100)
    for loop in home.run(fuse):
        assert len(home.block(loop, 0)) == 1
    assert 100 - fuse.left == STEPS


@pytest.mark.parametrize("steps", range(STEPS))
def test_a_validator_that_dies_at_any_step_goes_on(home: Home, steps: int) -> None:
    acknowledged: list[bytes] = []
    for loop in home.run(Fuse(100)):
        (first,) = home.block(loop, 0)
        acknowledged.append(first.block.header.hash)
    home.die(Fuse(steps), 1)
    for loop in home.run(Fuse(100)):
        made = home.block(loop, 2)
        assert made[-1].block.header.height == loop.tip.height
        acknowledged.append(made[-1].block.header.hash)
    with LedgerStore(home.folder, STORAGE) as store:
        found = list(store.blocks())
        hashes = [one.block.header.hash for one in found]
        assert [one.block.header.height for one in found] == list(range(1, len(found) + 1))
        assert set(acknowledged) <= set(hashes)
        assert len(found) == (3 if steps >= 1 else 2)  # what the log has is not lost


@pytest.mark.parametrize("steps", range(STEPS))
def test_a_validator_that_dies_again_while_it_recovers_goes_on(home: Home, steps: int) -> None:
    home.die(Fuse(2), 1)
    home.die(Fuse(steps), 2)
    for loop in home.run(Fuse(100)):
        assert home.block(loop, 3)
        assert loop.tip.height >= 2


def test_a_state_that_is_not_the_last_blocks_is_found_on_opening(home: Home) -> None:
    for loop in home.run(Fuse(100)):
        home.block(loop, 0)
    with LedgerStore(home.folder, STORAGE) as store:
        store._db.execute("DELETE FROM state WHERE place = (SELECT min(place) FROM state)")
        with pytest.raises(LedgerDamaged, match="not the one after block 1"):
            chains.load(store)

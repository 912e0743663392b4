"""A small ledger on the disk, with something in each of its tables, and what made it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qlq.consensus import certificate as certificates
from qlq.consensus import validators as validator_sets
from qlq.consensus import votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.validators import Validator
from qlq.consensus.votes import Evidence, Round, Vote
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.ledger import (
    admission,
    execution,
    genesis,
    holdings,
    sealing,
    store_file,
    transaction,
    transition,
)
from qlq.ledger.block import Header
from qlq.ledger.genesis import Genesis, Limits
from qlq.ledger.operations import (
    Anchor,
    ChangeValidators,
    CommitData,
    DefineAsset,
    Issue,
    Operation,
)
from qlq.ledger.records import asset_id
from qlq.ledger.sealing import Opener
from qlq.ledger.store import LedgerStore
from qlq.ledger.transaction import Draft, SignedTransaction
from qlq.ledger.transition import Outcome
from qlq.node import audit, chains
from qlq.node.audit import Report

STORAGE = bytes(range(32))
START_MS = 1_900_000_000_000
DATA = b"what is kept outside"


def digest_of(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


@dataclass(frozen=True)
class Keys:
    """A validator's keys, quick ones unless asked for others."""

    name: str
    algorithm: Algorithm = Algorithm.ED25519

    @property
    def signing(self) -> SigningKey:
        return SigningKey(self.algorithm, digest_of(f"sign {self.name}"))

    @property
    def opening(self) -> DecapsulationKey:
        return DecapsulationKey(digest_of(f"open {self.name}"))

    @property
    def member(self) -> Validator:
        key = self.opening.encapsulation_key
        return validator_sets.validator(self.signing.verifying_key, key, weight=1)

    @property
    def opener(self) -> Opener:
        return Opener(self.member.address, self.opening)


@dataclass
class Workshop:
    """A ledger that is being made."""

    folder: Path
    voters: list[Keys]
    salt: int = 0
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.administrator = self.voters[0]
        own = self.administrator.member.address
        self.genesis = Genesis(
            name="test",
            time_ms=START_MS,
            validators=validator_sets.of(*(one.member for one in self.voters)),
            administrators=(own,),
            policy=genesis.QUOTAS,
            limits=Limits(),
            beacon=b"",
            allocations=(),
        )
        self.chain = self.genesis.chain
        self.state, self.tip = transition.begin(self.genesis)
        self.rules = chains.rules_of(self.genesis, admission.verify)
        store_file.create(self.folder, self.genesis, dict(self.state.items()), STORAGE)

    def open(self) -> LedgerStore:
        return LedgerStore(self.folder, STORAGE)

    def entry(self, *operations: Operation, others: Sequence[Keys] = ()) -> bytes:
        """A transaction of the administrator's, and of the others who sign it."""
        own = self.administrator.member.address
        account = holdings.find_account(self.state, own)
        assert account is not None
        self.salt += 1
        draft = Draft(
            chain=self.chain,
            sender=own,
            nonce=account.nonce,
            valid_until=self.tip.height + 50,
            fee=0,
            salt=self.salt.to_bytes(16, "big"),
            operations=operations,
        )
        ordered = sorted(others, key=lambda one: one.member.address)
        signed = tuple(
            transaction.sign(draft, one.member.address, one.signing, shown=None)
            for one in [self.administrator, *ordered]
        )
        return SignedTransaction(draft, signed).to_bytes()

    def block(self, store: LedgerStore, *entries: bytes) -> Outcome:
        """A final block with these."""
        time_ms = START_MS + 1000 * (self.tip.height + 1)
        made = transition.propose(self.state, self.tip, entries, time_ms=time_ms, rules=self.rules)
        assert not made.refused
        store.append(made.block, self.certify(made.block.header), made.outcome)
        self.state.accept(made.outcome.changes, made.outcome.tree)
        self.tip = self.tip.after(made.block.header)
        self.outcomes.append(made.outcome)
        return made.outcome

    def vote(self, of: Keys, block: bytes, *, height: int, stage: Round) -> votes.SignedVote:
        current = execution.read_validators(self.state).current
        said = Vote(
            chain=self.chain,
            height=height,
            epoch=0,
            round=stage,
            block=block,
            validators_hash=current.hash,
        )
        return votes.sign(said, of.signing, signer=of.member.address)

    def certify(self, header: Header) -> QuorumCertificate:
        current = execution.read_validators(self.state).current
        present = [one for one in self.voters if one.member.address in current]
        cast = [
            self.vote(one, header.hash, height=header.height, stage=Round.COMMIT)
            for one in present[: current.quorum]
        ]
        return certificates.make(cast, validators=current)

    def change_voters(self, store: LedgerStore, new: list[Keys]) -> None:
        """Two blocks, after which others vote."""
        wanted = validator_sets.of(*(one.member for one in new)).to_bytes()
        self.block(store, self.entry(ChangeValidators(wanted), others=self.voters[1:]))
        self.block(store)
        self.voters = new

    def anchor(self, name: str) -> bytes:
        return self.entry(Anchor(1, digest_of(name)))

    def fill(self, blocks: int) -> None:
        """Something in every table, and so many blocks at least."""
        with self.open() as store:
            outcome = self.block(store, self.entry(DefineAsset("GOLD", 2)))
            asset = asset_id(outcome.ids[0], 0)
            own = self.administrator.member.address
            self.block(store, self.entry(Issue(asset, own, 1_000_000)))
            commitment = sealing.commit(DATA, bytes(32))
            self.block(store, self.entry(CommitData(commitment, len(DATA))))
            store.put_data(commitment, bytes(32) + DATA)
            while self.tip.height < blocks:
                self.block(store, self.anchor(f"{self.tip.height}"))
            height = self.tip.height + 1
            one, other = (
                self.vote(self.voters[0], digest_of(name), height=height, stage=Round.PREPARE)
                for name in ("one", "other")
            )
            store.save_records(height, [one, Evidence(one, other)])

    def audit(self, folder: Path | None = None) -> Report:
        return audit.verify_full(folder or self.folder, STORAGE, chains.rules_of, threads=1)

    def public(self, folder: Path | None = None) -> Report:
        return audit.verify_public(folder or self.folder)

    def execute(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """What somebody does to the file with other tools."""
        db = sqlite3.connect(self.folder / store_file.FILE, isolation_level=None)
        try:
            return db.execute(query, values).fetchall()
        finally:
            db.close()


@pytest.fixture
def keys() -> Callable[..., Keys]:
    return Keys


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Five blocks by one validator."""
    made = Workshop(tmp_path / "ledger", [Keys("a")])
    made.fill(5)
    return made


@pytest.fixture
def changed_voters(tmp_path: Path) -> Workshop:
    """Seven blocks: four validators, then three of them and another two."""
    names = ["a", "b", "c", "d"]
    made = Workshop(tmp_path / "ledger", [Keys(name) for name in names])
    with made.open() as store:
        made.block(store, made.anchor("first"))
        made.change_voters(store, [Keys(name) for name in ["a", "b", "c", "e", "f"]])
        for index in range(4):
            made.block(store, made.anchor(f"{index}"))
    return made

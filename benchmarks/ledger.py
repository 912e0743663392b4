"""Speed of the ledger beside bare signature verification, and the marks of its issue.

python benchmarks/ledger.py [--json] [--small]
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import measuring

from qlq.config import Settings
from qlq.consensus import certificate as certificates
from qlq.consensus import validators as validator_sets
from qlq.consensus import votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.votes import Round, Vote
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.ledger import (
    address,
    execution,
    genesis,
    merkle,
    records,
    store_file,
    transaction,
    transition,
)
from qlq.ledger.block import Block
from qlq.ledger.genesis import Genesis, Limits
from qlq.ledger.operations import Anchor, DefineAsset, Enrol, Issue, Leg, Operation, Transfer
from qlq.ledger.store import LedgerStore
from qlq.ledger.transaction import Draft, SignedTransaction
from qlq.ledger.transition import Rules
from qlq.node import audit, chains, transacting
from qlq.node.transacting import Sender, Wish
from qlq.node.verification import Verifier, ahead
from qlq.node.writing import WriteBehind

TRANSACTIONS = 200
ACCOUNTS = 50
BLOCKS, SMALL_BLOCKS = 40, 4
LONG_CHAIN, SMALL_LONG_CHAIN = 10_000, 300
FINALITIES, SMALL_FINALITIES = 200, 10
STORAGE = bytes(range(32))
RESTART_MARK_S, FINALITY_MARK_MS = 2.0, 20.0


class Workshop:
    """A chain of one validator whose blocks are made here, and people who sign."""

    def __init__(self, algorithm: Algorithm) -> None:
        """Keys that the benchmark may know."""
        self.key = _key(b"validator", algorithm)
        opening = DecapsulationKey(_seed(b"opening"))
        own = validator_sets.validator(self.key.verifying_key, opening.encapsulation_key, weight=1)
        self.people = [_key(b"%d" % index, algorithm) for index in range(ACCOUNTS)]
        self.addresses = [address.of(person.verifying_key) for person in self.people]
        self.genesis = Genesis(
            name="benchmark",
            time_ms=1_700_000_000_000,
            validators=validator_sets.of(own),
            administrators=(own.address,),
            policy=genesis.QUOTAS,
            limits=Limits(),
            beacon=b"",
            allocations=(),
        )
        self.own, self.chain = own.address, self.genesis.chain
        self.nonces = [0] * ACCOUNTS
        self.state, self.tip = transition.begin(self.genesis)
        self.trusting = Rules(self.genesis, self.chain, execution.NoContracts(), lambda _: None)

    def draft(self, sender: bytes, nonce: int, *operations: Operation) -> Draft:
        """A draft of its own salt."""
        return Draft(
            chain=self.chain,
            sender=sender,
            nonce=nonce,
            valid_until=self.tip.height + 5_000,
            fee=0,
            salt=os.urandom(16),
            operations=operations,
        )

    def sign(self, person: int, *operations: Operation) -> bytes:
        """The next transaction of a person."""
        key, nonce = self.people[person], self.nonces[person]
        draft = self.draft(self.addresses[person], nonce, *operations)
        shown = key.verifying_key if nonce == 0 else None
        self.nonces[person] += 1
        own = transaction.sign(draft, draft.sender, key, shown=shown)
        return SignedTransaction(draft, (own,)).to_bytes()

    def enrolment(self) -> list[bytes]:
        """All people enrolled by the validator."""
        drafts = [
            self.draft(self.own, nonce, *(Enrol(one) for one in self.addresses[start : start + 10]))
            for nonce, start in enumerate(range(0, ACCOUNTS, 10))
        ]
        return [
            SignedTransaction(
                draft, (transaction.sign(draft, self.own, self.key, shown=None),)
            ).to_bytes()
            for draft in drafts
        ]

    def make(self, entries: list[bytes]) -> tuple[Block, QuorumCertificate, transition.Outcome]:
        """A final block on the tip; signatures are taken as they are."""
        proposal = transition.propose(
            self.state, self.tip, entries, time_ms=self.tip.time_ms + 1, rules=self.trusting
        )
        if proposal.refused or any(one.fault for one in proposal.outcome.receipts):
            raise SystemExit("a transaction of the benchmark is refused")
        header = proposal.block.header
        self.state.accept(proposal.outcome.changes, proposal.outcome.tree)
        self.tip = self.tip.after(header)
        return proposal.block, self.certify(proposal.block), proposal.outcome

    def certify(self, block: Block) -> QuorumCertificate:
        """The certificate of the one validator."""
        vote = Vote(
            chain=self.chain,
            height=block.header.height,
            epoch=0,
            round=Round.COMMIT,
            block=block.header.hash,
            validators_hash=self.genesis.validators.hash,
        )
        signed = votes.sign(vote, self.key, signer=self.own)
        return certificates.make([signed], validators=self.genesis.validators)

    def start(self) -> tuple[list[tuple[Block, QuorumCertificate, transition.Outcome]], bytes]:
        """Blocks that enrol everybody and give everybody some gold; the asset's id."""
        made = [self.make(self.enrolment())]
        made.append(self.make([self.sign(0, DefineAsset("GOLD", 2))]))
        asset = records.asset_id(made[-1][2].ids[0], 0)
        issues = [self.sign(0, Issue(asset, one, 10**9)) for one in self.addresses]
        made.append(self.make(issues))
        return made, asset

    def transfers(self, asset: bytes, count: int) -> list[bytes]:
        """Transfers from everybody to the next one."""
        return [
            self.sign(
                index % ACCOUNTS,
                Transfer(
                    (
                        Leg(
                            self.addresses[index % ACCOUNTS],
                            self.addresses[(index + 1) % ACCOUNTS],
                            asset,
                            1,
                        ),
                    )
                ),
            )
            for index in range(count)
        ]


def _seed(name: bytes) -> bytes:
    return hashlib.sha256(name).digest()


def _key(name: bytes, algorithm: Algorithm) -> SigningKey:
    return SigningKey(algorithm, _seed(name))


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Run on so many of this process's cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:count]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def bare_verify_rate(entries: list[bytes], keys: dict[bytes, bytes]) -> float:
    """Signatures verified one after the other, with nothing around them."""
    from qlq.crypto.signing import VerifyingKey

    work = []
    for entry in entries:
        signed = transaction.decode(entry)
        own = signed.authorisations[0]
        key = VerifyingKey.from_bytes(keys[own.signer])
        work.append((key, signed.draft.to_bytes(), own.signature))
    start = time.perf_counter()
    for key, message, signature in work:
        key.verify(message, signature, context=transaction.SIGNATURE_CONTEXT)
    return len(work) / (time.perf_counter() - start)


def replay(
    workshop: Workshop,
    made: list[tuple[Block, QuorumCertificate, transition.Outcome]],
    skip: int,
    threads: int,
) -> float:
    """Seconds for all blocks but the first ones: decode, verify, carry out, state tree, commit.

    The roots of transactions, receipts, state and log are computed and compared in each block.
    """
    with tempfile.TemporaryDirectory(prefix="qlq-benchmark-") as folder:
        state, tip = transition.begin(workshop.genesis)
        store_file.create(Path(folder), workshop.genesis, dict(state.items()), STORAGE)
        verifier = Verifier(threads)
        rules = Rules(workshop.genesis, workshop.chain, execution.NoContracts(), verifier.verify)
        by_height = {block.header.height: certificate for block, certificate, _ in made}
        started = 0.0
        with LedgerStore(Path(folder), STORAGE) as store, WriteBehind(store) as writer:
            for block in ahead((block for block, _, _ in made), state, verifier):
                if block.header.height == skip + 1:
                    started = time.perf_counter()
                outcome = transition.apply_block(state, tip, block, rules=rules)
                certificate = by_height[block.header.height]
                certificates.verify(
                    certificate, chain=workshop.chain, validators=workshop.genesis.validators
                )
                writer.append(block, certificate, outcome)
                state.accept(outcome.changes, outcome.tree)
                tip = tip.after(block.header)
            writer.settle()
            taken = time.perf_counter() - started  # all blocks are on the disk
        verifier.close()
    return taken


def audited(
    workshop: Workshop,
    made: list[tuple[Block, QuorumCertificate, transition.Outcome]],
    threads: int,
) -> float:
    """Seconds of a full audit of all blocks."""
    with tempfile.TemporaryDirectory(prefix="qlq-benchmark-") as name:
        folder = Path(name)
        state, _ = transition.begin(workshop.genesis)
        store_file.create(folder, workshop.genesis, dict(state.items()), STORAGE)
        with LedgerStore(folder, STORAGE) as store:
            for one in made:
                store.append(*one)
        start = time.perf_counter()
        report = audit.verify_full(folder, STORAGE, chains.rules_of, threads=threads)
        taken = time.perf_counter() - start
    if not report.is_valid:
        raise SystemExit("the audit finds damage")
    return taken


def measure_pipeline(blocks: int) -> list[dict[str, Any]]:
    """Blocks of 200 ML-DSA-65 transfers, on one core and on two, beside bare verification."""
    workshop = Workshop(Algorithm.ML_DSA_65)
    made, asset = workshop.start()
    skip = len(made)
    for _ in range(blocks):
        made.append(workshop.make(workshop.transfers(asset, TRANSACTIONS)))
    entries = [entry for block, _, _ in made[skip:] for entry in block.entries]
    keys = {
        one: person.verifying_key.to_bytes()
        for one, person in zip(workshop.addresses, workshop.people, strict=True)
    }
    with on_cores(1):
        bare = max(bare_verify_rate(entries, keys) for _ in range(2))
        one = len(entries) / min(replay(workshop, made, skip, 1) for _ in range(2))
        bare = max(bare, bare_verify_rate(entries, keys))
        full = sum(len(block.entries) for block, _, _ in made) / audited(workshop, made, 1)
    two = len(entries) / min(replay(workshop, made, skip, 2) for _ in range(2))
    return [
        measuring.measurement(
            "pipeline_one_core",
            one,
            "tx/s",
            reference="bare ML-DSA-65 verify",
            reference_value=bare,
        ),
        measuring.measurement(
            "full_verify", full, "tx/s", reference="bare verify", reference_value=bare
        ),
        measuring.measurement(
            "pipeline_two_cores", two, "tx/s", reference="pipeline_one_core", reference_value=one
        ),
    ]


def measure_long_chain(blocks: int) -> list[dict[str, Any]]:
    """Opening a chain of many blocks, and the longest proof of one of them."""
    workshop = Workshop(Algorithm.ED25519)
    with tempfile.TemporaryDirectory(prefix="qlq-benchmark-") as name:
        folder = Path(name)
        state, _ = transition.begin(workshop.genesis)
        store_file.create(folder, workshop.genesis, dict(state.items()), STORAGE)
        with LedgerStore(folder, STORAGE) as store:
            made, asset = workshop.start()
            for one in made:
                store.append(*one)
            for _ in range(blocks - len(made)):
                store.append(*workshop.make(workshop.transfers(asset, 1)))
        start = time.perf_counter()
        with LedgerStore(folder, STORAGE) as store:
            _, tip = chains.load(store)
            restart_s = time.perf_counter() - start
            leaves = [merkle.leaf_hash(one) for one in store.hashes()]
    longest = max(
        sum(map(len, merkle.inclusion_proof_of_hashes(leaves, index)))
        for index in (0, len(leaves) // 2, len(leaves) - 1)
    )
    bound = 32 * (tip.height - 1).bit_length() + 100
    return [
        measuring.measurement(
            f"restart_at_{blocks}_blocks",
            restart_s,
            "s",
            reference="mark",
            reference_value=RESTART_MARK_S,
        ),
        measuring.measurement(
            "inclusion_proof", longest, "bytes", reference="mark", reference_value=bound
        ),
    ]


def measure_finality(count: int) -> list[dict[str, Any]]:
    """From a sealed transaction to a final block on the disk, one at a time; the median."""
    with tempfile.TemporaryDirectory(prefix="qlq-benchmark-") as name:
        settings = Settings(
            home=Path(name) / "home",
            settings_folder=Path(name) / "settings",
            backend="aer",
            passphrase="benchmark",  # noqa: S106 - of a home that is gone after
            origins={},
        )
        beginning = chains.Beginning("benchmark", genesis.QUOTAS, Limits(), None, 0)
        chains.begin(beginning, settings)
        person = _key(b"person", Algorithm.ML_DSA_65)
        where = address.of(person.verifying_key)

        @contextmanager
        def unlock() -> Iterator[SigningKey]:
            yield person

        sender = Sender("person", where, unlock)
        with chains.opened(settings) as validator:
            transacting.enrol(validator, chains.open_keys(settings), where)
            times = []
            for _ in range(count):
                wish = Wish((Anchor(1, os.urandom(32)),), seal=transacting.SealPolicy.PQ)
                start = time.perf_counter()
                transacting.send(validator, sender, wish, settings, lambda _: None)
                times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    return [
        measuring.measurement(
            "finality_p50",
            times[len(times) // 2],
            "ms",
            reference="mark",
            reference_value=FINALITY_MARK_MS,
        ),
        measuring.measurement("finality_p99", times[len(times) * 99 // 100], "ms"),
    ]


def main() -> None:
    """Measure and print."""
    asked = measuring.options(__doc__, small="a quick run; figures mean less")
    small = asked.small
    figures = [
        *measure_pipeline(SMALL_BLOCKS if small else BLOCKS),
        *measure_long_chain(SMALL_LONG_CHAIN if small else LONG_CHAIN),
        *measure_finality(SMALL_FINALITIES if small else FINALITIES),
    ]
    measuring.show(figures, asked)


if __name__ == "__main__":
    main()

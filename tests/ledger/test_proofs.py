"""Proofs hold with the chain's id alone, and no bit of one can change."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec
import pytest

from qlq.consensus import certificate as certificates
from qlq.consensus import validators as validator_sets
from qlq.consensus import votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.votes import Round, Vote
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import InvalidProof
from qlq.faults import ProofFault as Fault
from qlq.ledger import checkpoint, execution, handover, merkle, proofs, records
from qlq.ledger.block import Header
from qlq.ledger.checkpoint import Checkpoint
from qlq.ledger.operations import Anchor, ChangeValidators
from qlq.ledger.proofs import (
    Grounds,
    Inclusion,
    LogProof,
    ReceiptProof,
    Reliance,
    StateProof,
    TransactionProof,
    Trusted,
)

ID = bytes(range(32))


class Witness:
    """Makes certificates, handovers and grounds for a chain, apart from the node's own code."""

    def __init__(self, chain: Any) -> None:
        self.chain = chain
        self.handovers: list[handover.Handover] = []
        self.certificates: list[QuorumCertificate] = []

    @property
    def headers(self) -> list[Header]:
        return [one.block.header for one in self.chain.proposals]

    def accept(self, proposal: Any) -> None:
        """A block of the chain, certified by those who vote on it."""
        chain, header = self.chain, proposal.block.header
        voters = execution.read_validators(chain.state).current
        said = Vote(
            chain=header.chain,
            height=header.height,
            epoch=0,
            round=Round.COMMIT,
            block=header.hash,
            validators_hash=voters.hash,
        )
        cast = [
            votes.sign(said, one.key, signer=one.address)
            for one in chain.nodes
            if one.address in voters
        ][: voters.quorum]
        made = certificates.make(cast, validators=voters)
        self.certificates.append(made)
        chain.accept(proposal)
        record = chain.state.get(records.VALIDATORS)
        if execution.read_validators(chain.state).current.hash != voters.hash:
            self.handovers.append(handover.make(header, made, chain.state.tree, record))

    def block(self, sender: Any, count: int = 1) -> None:
        """A block with so many transactions of one sender."""
        entries, nonce = [], self.chain.nonce(sender)
        for index in range(count):
            found = Anchor(1, hashlib.sha256(b"%d %d" % (self.chain.tip.height, index)).digest())
            draft = self.chain.draft(sender, found, nonce=nonce + index)
            entries.append(self.chain.signed(draft, sender).to_bytes())
        self.accept(self.chain.propose(*entries))

    def grounds(self, height: int, size: int | None = None) -> Grounds:
        hashes = [one.hash for one in self.headers][:size]
        root = merkle.root(hashes)
        made = Checkpoint(self.chain.rules.chain, len(hashes), root)
        siblings = merkle.inclusion_proof(hashes, height - 1)
        return Grounds(
            genesis=self.chain.rules.genesis.to_bytes(),
            handovers=tuple(one for one in self.handovers if one.header.height <= len(hashes)),
            header=self.headers[height - 1],
            certificate=self.certificates[height - 1],
            log=Inclusion(index=height - 1, size=len(hashes), hashes=b"".join(siblings)),
            checkpoint=checkpoint.sign(made, [self.chain.nodes[0].key]).to_text().encode(),
        )

    def transaction(self, height: int, index: int, size: int | None = None) -> TransactionProof:
        entries = self.chain.proposals[height - 1].block.entries
        siblings = merkle.inclusion_proof(entries, index)
        place = Inclusion(index=index, size=len(entries), hashes=b"".join(siblings))
        grounds = self.grounds(height, size)
        return TransactionProof(entry=entries[index], leaf=b"", place=place, grounds=grounds)

    def receipt(self, height: int, index: int) -> ReceiptProof:
        receipts = [one.to_bytes() for one in self.chain.proposals[height - 1].outcome.receipts]
        siblings = merkle.inclusion_proof(receipts, index)
        place = Inclusion(index=index, size=len(receipts), hashes=b"".join(siblings))
        return ReceiptProof(receipt=receipts[index], place=place, grounds=self.grounds(height))

    def log(self, old_size: int) -> LogProof:
        hashes = [one.hash for one in self.headers]
        return LogProof(
            old_size=old_size,
            old_root=merkle.root(hashes[:old_size]),
            hashes=b"".join(merkle.consistency_proof(hashes, old_size)),
            grounds=self.grounds(len(hashes)),
        )

    def state(self, key: bytes) -> StateProof:
        height = len(self.headers)
        path, value = self.chain.state.tree.prove(key), self.chain.state.get(key)
        return StateProof(key=key, value=value, path=path, grounds=self.grounds(height))


@pytest.fixture
def solo(world: Any) -> Witness:
    """A chain of one validator and three blocks."""
    made = Witness(world.chain())
    for _ in range(3):
        made.block(made.chain.administrator, 2)
    return made


@pytest.fixture
def four(world: Any) -> Witness:
    """Four validators, of whom three stay; two blocks before that and two after it."""
    chain = world.chain(nodes=4)
    made = Witness(chain)
    made.block(chain.administrator)
    made.block(chain.administrator)
    stay = validator_sets.of(*(one.member for one in chain.nodes[:3]))
    signers = [world.person(f"{index}") for index in range(3)]
    for signer, node in zip(signers, chain.nodes, strict=False):
        signer.key, signer.address = node.key, node.address
    draft = chain.draft(signers[0], ChangeValidators(stay.to_bytes()))
    made.accept(chain.propose(chain.signed(draft, *signers).to_bytes()))
    for _ in range(3):
        made.block(chain.administrator)
    assert len(made.handovers) == 1
    return made


def reason(proof: Any, trusted: Trusted = proofs.NOTHING, entry: bytes | None = None) -> Fault:
    with pytest.raises(InvalidProof) as caught:
        proofs.check(proof, trusted=trusted, entry=entry)
    return caught.value.reason


def all_kinds(witness: Witness) -> list[Any]:
    height = len(witness.headers)
    own = records.account_key(witness.chain.administrator.address)
    return [
        witness.transaction(2, 0),
        witness.receipt(height, 0),
        witness.state(own),
        witness.state(records.account_key(ID)),
        witness.log(2),
    ]


def test_what_a_proof_shows(solo: Witness) -> None:
    chain = solo.chain.rules.chain
    transaction, receipt, entry, nothing, log = all_kinds(solo)
    ids = [solo.chain.proposals[height].outcome.ids[0] for height in (1, 2)]
    trusted = Trusted(chain=chain)
    for proof, subject, height in (
        (transaction, ids[0], 2),
        (receipt, ids[1], 3),
        (entry, entry.key, 3),
        (nothing, nothing.key, 3),
        (log, merkle.root([one.hash for one in solo.headers[:2]]), 3),
    ):
        verdict = proofs.check(proofs.decode(proofs.to_bytes(proof)), trusted=trusted)
        assert (verdict.subject, verdict.header.height) == (subject, height)
        assert verdict.chain == chain
        assert verdict.reliance == (Reliance.CHAIN,)
        assert verdict.checkpoint.size == 3
        assert verdict.checkpoint_signers == 1
    assert nothing.value is None


def test_a_verdict_says_what_it_is_relative_to(solo: Witness) -> None:
    proof = solo.transaction(2, 1)
    genesis = solo.chain.rules.genesis
    own = checkpoint.decode(proof.grounds.checkpoint).checkpoint
    everything = Trusted(genesis.chain, genesis.validators.hash, own)
    assert proofs.check(proof).reliance == (Reliance.NOTHING,)
    assert proofs.check(proof, trusted=everything).reliance == (
        Reliance.CHAIN,
        Reliance.VALIDATORS,
        Reliance.CHECKPOINT,
    )
    assert reason(proof, Trusted(chain=ID)) is Fault.CHAIN
    assert reason(proof, Trusted(validators=ID)) is Fault.VALIDATORS
    earlier = Checkpoint(genesis.chain, 2, merkle.root([one.hash for one in solo.headers[:2]]))
    assert reason(proof, Trusted(checkpoint=earlier)) is Fault.CHECKPOINT
    proofs.check(solo.transaction(2, 1, size=2), trusted=Trusted(checkpoint=earlier))


def test_a_log_that_grew_is_held_against_the_checkpoint_that_was_kept(
    world: Any, solo: Witness
) -> None:
    hashes = [one.hash for one in solo.headers]
    chain = solo.chain.rules.chain
    for size in (1, 2, 3):
        kept = Checkpoint(chain, size, merkle.root(hashes[:size]))
        verdict = proofs.check(solo.log(size), trusted=Trusted(checkpoint=kept))
        assert verdict.reliance == (Reliance.CHECKPOINT,)
        assert verdict.checkpoint.size == 3
        other = Checkpoint(chain, size, ID)
        assert reason(solo.log(size), Trusted(checkpoint=other)) is Fault.CHECKPOINT
        lied = world.changed(solo.log(size), old_root=ID)
        assert reason(lied, Trusted(checkpoint=other)) is Fault.ROOT
    assert reason(world.changed(solo.log(2), old_size=0)) is Fault.RANGE
    assert reason(world.changed(solo.log(2), old_size=4)) is Fault.RANGE
    assert reason(world.changed(solo.log(2), old_root=b"")) is Fault.MALFORMED
    assert reason(world.changed(solo.log(2), grounds=solo.grounds(2))) is Fault.RANGE


def test_one_validator_alone_cannot_make_a_log_grow_to_another(world: Any, solo: Witness) -> None:
    """A checkpoint has one signature; what the certified header says of the log before counts."""
    hashes = [one.hash for one in solo.headers]
    forged = [hashes[0], ID, hashes[2]]
    made = Checkpoint(solo.chain.rules.chain, 3, merkle.root(forged))
    siblings = merkle.inclusion_proof(forged, 2)
    grounds = world.changed(
        solo.grounds(3),
        log=Inclusion(index=2, size=3, hashes=b"".join(siblings)),
        checkpoint=checkpoint.sign(made, [solo.chain.nodes[0].key]).to_text().encode(),
    )
    lie = LogProof(
        old_size=1,
        old_root=merkle.root(hashes[:1]),
        hashes=b"".join(merkle.consistency_proof(forged, 1)),
        grounds=grounds,
    )
    kept = Checkpoint(solo.chain.rules.chain, 1, merkle.root(hashes[:1]))
    assert reason(lie, Trusted(checkpoint=kept)) is Fault.ROOT


def test_the_log_before_the_last_entry() -> None:
    entries = [bytes([number]) for number in range(70)]
    for size in range(1, 71):
        siblings = merkle.inclusion_proof(entries[:size], size - 1)
        assert merkle.root_before_last(siblings) == merkle.root(entries[: size - 1])


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        (0, 1),
        (1, 11),
        (2, 11),
        (3, 11),
        (4, 11),
        *(pytest.param(kind, 1, marks=pytest.mark.long) for kind in (1, 2, 3, 4)),
    ],
)
def test_no_bit_of_a_proof_can_change(solo: Witness, kind: int, step: int) -> None:
    """Every bit of a transaction's proof, checked against nothing but what was asked for."""
    data = proofs.to_bytes(all_kinds(solo)[kind])
    about = proofs.check(proofs.decode(data)).subject
    for place in range(0, 8 * len(data), step):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(InvalidProof):
            proofs.check(proofs.decode(bytes(changed)), about=about)


def test_only_absence_holds_for_neighbours_and_says_for_which(solo: Witness) -> None:
    """Without knowing what was asked for, a changed bit of the key is a proof about another key."""
    for proof in all_kinds(solo):
        data = proofs.to_bytes(proof)
        for place in range(8 * 60):
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            try:
                verdict = proofs.check(proofs.decode(bytes(changed)))
            except InvalidProof:
                continue
            found = proofs.decode(bytes(changed))
            assert isinstance(found, StateProof)
            assert found.value is None
            assert verdict.subject == found.key != proof.key
            assert solo.chain.state.get(found.key) is None


def test_a_proof_of_a_post_quantum_chain_is_as_strict(world: Any) -> None:
    chain = world.chain()
    node = chain.nodes[0]
    key = SigningKey(Algorithm.ML_DSA_65, world.seed("pq"))
    member = validator_sets.validator(key.verifying_key, node.opening.encapsulation_key, weight=1)
    made = world.changed(
        chain.rules.genesis,
        validators=validator_sets.of(member),
        administrators=(member.address,),
    )
    node.key, node.member = key, member
    again = Witness(type(chain)(type(chain.rules)(made, made.chain, chain.rules.contracts), [node]))
    again.block(again.chain.administrator)
    data = proofs.to_bytes(again.transaction(1, 0))
    proofs.check(proofs.decode(data), trusted=Trusted(chain=made.chain))
    for place in range(0, 8 * len(data), 53):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(InvalidProof):
            proofs.check(proofs.decode(bytes(changed)))


def test_a_proof_that_discloses_nothing_takes_the_transaction_from_elsewhere(
    solo: Witness, world: Any
) -> None:
    proof = solo.transaction(2, 0)
    entry, leaf = proof.entry, merkle.leaf_hash(proof.entry)
    closed = world.changed(proof, entry=b"", leaf=leaf)
    assert entry[40:80] not in proofs.to_bytes(closed)
    assert proofs.check(closed).subject is None
    assert proofs.check(closed, entry=entry).subject == proofs.check(proof).subject
    other = solo.transaction(2, 1).entry
    assert reason(closed, entry=other) is Fault.ENTRY
    assert reason(proof, entry=other) is Fault.ENTRY
    assert reason(world.changed(proof, leaf=leaf)) is Fault.ENTRY
    assert reason(world.changed(proof, entry=b"")) is Fault.ENTRY
    assert reason(world.changed(closed, leaf=leaf[:31])) is Fault.MALFORMED


def test_a_node_of_the_tree_is_not_taken_for_a_leaf(solo: Witness, world: Any) -> None:
    """The root of a block of two, as the one leaf of a block of one."""
    proof = solo.transaction(2, 0)
    root = proof.grounds.header.tx_root
    place = Inclusion(index=0, size=1, hashes=b"")
    assert reason(world.changed(proof, entry=b"", leaf=root, place=place)) is Fault.RANGE


def test_parts_of_other_blocks_do_not_fit(solo: Witness, world: Any) -> None:
    two, three = solo.transaction(2, 0), solo.transaction(3, 0)
    changed = world.changed
    for part, why in (
        ({"header": three.grounds.header}, Fault.CERTIFICATE),
        ({"certificate": three.grounds.certificate}, Fault.CERTIFICATE),
        ({"log": three.grounds.log}, Fault.RANGE),
        ({"log": changed(two.grounds.log, size=4)}, Fault.RANGE),
        ({"checkpoint": solo.grounds(2, 2).checkpoint}, Fault.RANGE),
        ({"genesis": world.chain(nodes=2).rules.genesis.to_bytes()}, Fault.CHAIN),
        ({"genesis": b"\x01"}, Fault.MALFORMED),
    ):
        assert reason(changed(two, grounds=changed(two.grounds, **part))) is why, part
    assert reason(changed(two, entry=three.entry)) is Fault.ROOT
    assert reason(changed(two, place=changed(two.place, index=1))) is Fault.ROOT
    short = changed(two.place, hashes=two.place.hashes[:-1])
    assert reason(changed(two, place=short)) is Fault.MALFORMED


def test_a_prepare_certificate_makes_nothing_final(solo: Witness, world: Any) -> None:
    proof = solo.transaction(2, 0)
    header, node = proof.grounds.header, solo.chain.nodes[0]
    said = Vote(
        chain=header.chain,
        height=2,
        epoch=0,
        round=Round.PREPARE,
        block=header.hash,
        validators_hash=header.validators_hash,
    )
    made = certificates.make(
        [votes.sign(said, node.key, signer=node.address)],
        validators=solo.chain.rules.genesis.validators,
    )
    grounds = world.changed(proof.grounds, certificate=made)
    assert reason(world.changed(proof, grounds=grounds)) is Fault.CERTIFICATE


def test_presence_is_not_absence(solo: Witness) -> None:
    own = solo.state(records.account_key(solo.chain.administrator.address))
    nothing = solo.state(records.account_key(ID))
    assert reason(msgspec.structs.replace(own, value=None)) is Fault.KIND
    assert reason(msgspec.structs.replace(nothing, value=b"")) is Fault.KIND
    assert reason(msgspec.structs.replace(own, value=own.value + b"x")) is Fault.ROOT
    assert reason(msgspec.structs.replace(own, key=own.key + b"x")) is Fault.ROOT


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 6])
def test_validators_are_followed_from_the_genesis(four: Witness, height: int) -> None:
    """The handover is in block 4: blocks 1 to 4 are of four validators, 5 and 6 of three."""
    proof = four.transaction(height, 0)
    verdict = proofs.check(proof, trusted=Trusted(chain=four.chain.rules.chain))
    expected = 4 if verdict.header.height <= 4 else 3
    assert len(verdict.validators) == expected
    assert verdict.validators.hash == verdict.header.validators_hash


def test_handovers_cannot_be_left_out_doubled_or_swapped(four: Witness, world: Any) -> None:
    proof, changed = four.transaction(6, 0), world.changed
    (change,) = four.handovers
    foreign = changed(change, header=four.headers[2], certificate=four.certificates[2])
    for changes, why in (
        ((), Fault.VALIDATORS),
        ((change, change), Fault.RANGE),
        ((foreign,), Fault.ROOT),
        ((changed(change, record=change.record[:-1]),), Fault.ROOT),
        ((changed(change, certificate=four.certificates[4]),), Fault.CERTIFICATE),
    ):
        grounds = changed(proof.grounds, handovers=changes)
        assert reason(changed(proof, grounds=grounds)) is why
    early = changed(four.transaction(2, 0, size=3).grounds, handovers=(change,))
    assert reason(changed(four.transaction(2, 0), grounds=early)) is Fault.RANGE


def test_nobody_hands_over_to_himself(solo: Witness, world: Any) -> None:
    """It would be a second form of the same proof."""
    record = solo.chain.state.get(records.VALIDATORS)
    tree = solo.chain.state.tree
    idle = handover.make(solo.headers[2], solo.certificates[2], tree, record)
    proof = solo.transaction(3, 0)
    grounds = world.changed(proof.grounds, handovers=(idle,))
    assert reason(world.changed(proof, grounds=grounds)) is Fault.VALIDATORS


def test_a_checkpoint_by_somebody_else_is_refused(four: Witness, world: Any) -> None:
    proof = four.transaction(6, 0)
    found = checkpoint.decode(proof.grounds.checkpoint).checkpoint
    gone, stays = four.chain.nodes[3].key, four.chain.nodes[1].key
    for keys in ([gone], [stays, gone], [stays, stays]):
        text = checkpoint.sign(found, keys).to_text().encode()
        grounds = world.changed(proof.grounds, checkpoint=text)
        assert reason(world.changed(proof, grounds=grounds)) is Fault.SIGNATURE
    text = checkpoint.sign(found, [four.chain.nodes[0].key, stays]).to_text().encode()
    grounds = world.changed(proof.grounds, checkpoint=text)
    assert proofs.check(world.changed(proof, grounds=grounds)).checkpoint_signers == 2


@pytest.mark.parametrize("size", [1, 2, 3, 8, 1000, 100_000])
def test_an_inclusion_proof_is_short(size: int) -> None:
    leaves = [hashlib.sha256(b"%d" % index).digest() for index in range(size)]
    for index in {0, size // 3, size - 1}:
        made = proofs.inclusion(leaves, index)
        assert len(made.to_bytes()) <= 32 * math.ceil(math.log2(size)) + 100
        merkle.verify_inclusion_of_hash(
            leaves[index],
            index=made.index,
            size=made.size,
            proof=made.siblings,
            root_hash=merkle.root_of_hashes(leaves),
        )


def test_other_bytes_are_no_proof() -> None:
    for data in (b"", b"\x01", b"\x02\x94", bytes(proofs.PROOF_BYTES_MAX + 1)):
        with pytest.raises(InvalidProof) as caught:
            proofs.decode(data)
        assert caught.value.reason is Fault.MALFORMED

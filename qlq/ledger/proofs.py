"""Proofs that need no ledger: of a transaction, of a receipt, of what the state holds, of the log.

    transaction or receipt -> root in the header -> commit certificate -> validators -> genesis
    entry of the state     -> root in the header    (the same)
    header -> hash of the block -> root of the log -> checkpoint
    older checkpoint -> root of the log

Everything on the way is inside, so that the chain's id alone is enough to check a proof against.
Whoever trusts nothing yet learns that the proof fits itself, and relative to which chain.

What a proof of a transaction gives away: in the disclosed form the whole signed transaction, its
salt included. The other form holds only the hash of its leaf, which confirms no guess, since the
salt is unknown; whoever checks it needs the transaction from elsewhere. A receipt's proof gives
the receipt away, and a proof of the state the one entry, or that there is none.

A proof is checked as one value in canonical bytes, and every signature in it is verified: no bit
of it can change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

import msgspec

from qlq import codec
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.validators import Validators
from qlq.errors import ConfigError, InvalidProof, InvalidTransaction, RemoteMisuse
from qlq.faults import ProofFault
from qlq.ledger import checkpoint as checkpoints
from qlq.ledger import genesis as geneses
from qlq.ledger import handover as handovers
from qlq.ledger import merkle, state_tree, transaction
from qlq.ledger.block import Header
from qlq.ledger.checkpoint import Checkpoint
from qlq.ledger.handover import Handover
from qlq.ledger.receipt import Receipt

PROOF_BYTES_MAX = 1 << 24


class Inclusion(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """That a tree of RFC 9162 has an entry; at most 32 ceil(log2 size) + 25 bytes.

    Attributes:
        index: Of the entry, from 0.
        size: Entries of the tree.
        hashes: The siblings from the leaf to the root, 32 bytes each.
    """

    index: int
    size: int
    hashes: bytes

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)

    @property
    def siblings(self) -> tuple[bytes, ...]:
        """The siblings one by one."""
        return _split(self.hashes)


class Grounds(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Why a header is to be believed.

    Attributes:
        genesis: The chain's beginning in canonical bytes; its digest is the chain id.
        handovers: All changes of validators up to the log's size, ascending.
        header: Of the block that the proof is about.
        certificate: Its commit certificate.
        log: That the log has the block.
        checkpoint: The log's size and root, signed by one validator or more: a signed note.
    """

    genesis: bytes
    handovers: tuple[Handover, ...]
    header: Header
    certificate: QuorumCertificate
    log: Inclusion
    checkpoint: bytes


class TransactionProof(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=1):
    """A transaction is in a final block.

    Attributes:
        entry: The signed transaction; empty in the form that discloses nothing.
        leaf: Hash of its leaf in that form, else empty.
        place: In the block's tree.
        grounds: Of the block.
    """

    entry: bytes
    leaf: bytes
    place: Inclusion
    grounds: Grounds


class ReceiptProof(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=2):
    """A receipt is in a final block."""

    receipt: bytes
    place: Inclusion
    grounds: Grounds


class StateProof(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=3):
    """The state after a final block has this entry; or, with None for a value, has none.

    Attributes:
        key: State key, see `records`.
        value: What is there; None for nothing.
        path: Through the state tree.
        grounds: Of the block.
    """

    key: bytes
    value: bytes | None
    path: state_tree.Proof
    grounds: Grounds


class LogProof(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=4):
    """The log only grew since it had another size: no block of then was changed or left out.

    Attributes:
        old_size: Blocks of the log then, from 1.
        old_root: Its root then, 32 bytes.
        hashes: The consistency proof of RFC 9162, 32 bytes each.
        grounds: Of the last block of the log that grew.
    """

    old_size: int
    old_root: bytes
    hashes: bytes
    grounds: Grounds

    @property
    def siblings(self) -> tuple[bytes, ...]:
        """The hashes one by one."""
        return _split(self.hashes)


Proof: TypeAlias = TransactionProof | ReceiptProof | StateProof | LogProof


class Reliance(StrEnum):
    """What a proof was checked against; the value is the word that documents show."""

    NOTHING = "nothing"
    """It fits itself: it is as good as the genesis inside, which anybody can make."""
    CHAIN = "chain"
    VALIDATORS = "validators"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Trusted:
    """What the reader knows from elsewhere; each may be absent.

    Attributes:
        chain: Chain id, which is the digest of the genesis.
        validators: Digest of the set that votes on the block.
        checkpoint: Of this chain, at the size that the proof's log has; for a proof that the log
            only grew, at the size that it grew from.
    """

    chain: bytes | None = None
    validators: bytes | None = None
    checkpoint: Checkpoint | None = None


NOTHING = Trusted()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a proof that holds shows.

    Attributes:
        chain: Of which chain.
        header: Of which block.
        subject: Transaction id, state key, or root of the log then; None for a transaction that is
            not disclosed.
        reliance: What it was checked against.
        validators: The set that made the block final.
        checkpoint: What the block's log had come to.
        checkpoint_signers: How many validators signed that.
    """

    chain: bytes
    header: Header
    subject: bytes | None
    reliance: tuple[Reliance, ...]
    validators: Validators
    checkpoint: Checkpoint
    checkpoint_signers: int


def to_bytes(proof: Proof) -> bytes:
    """The canonical bytes."""
    return codec.encode(proof)


def decode(data: bytes) -> Proof:
    """The proof in these bytes, unchecked; raises InvalidProof (malformed) for anything else."""
    if len(data) > PROOF_BYTES_MAX:
        detail = f"{len(data)} bytes; a proof has at most {PROOF_BYTES_MAX}"
        raise InvalidProof(ProofFault.MALFORMED, detail)
    try:
        return codec.decode(data, Proof)
    except RemoteMisuse as error:
        raise InvalidProof(ProofFault.MALFORMED, str(error)) from error


def inclusion(leaf_hashes: list[bytes], index: int) -> Inclusion:
    """That a tree with these leaves has the one at the index; raises ValueError for no index."""
    siblings = merkle.inclusion_proof_of_hashes(leaf_hashes, index)
    return Inclusion(index=index, size=len(leaf_hashes), hashes=b"".join(siblings))


def check(
    proof: Proof,
    *,
    trusted: Trusted = NOTHING,
    about: bytes | None = None,
    entry: bytes | None = None,
) -> Verdict:
    """What a proof shows, if it holds.

    Args:
        proof: Of any kind.
        trusted: What the reader knows.
        about: Transaction id, state key or old root that the reader asked for; None takes whatever
            it is about. A proof that there is nothing under one key shows the same of its
            neighbours.
        entry: The signed transaction that a proof with a leaf alone is about; without it, such a
            proof shows that there is a leaf, not of what.

    Raises:
        InvalidProof: It does not hold, or not on these grounds.
    """
    verdict = _check_grounds(proof.grounds, trusted)
    _check_checkpoint(proof, verdict, trusted.checkpoint)
    subject = _check_subject(proof, entry)
    if about is not None and subject != about:
        shown = "something that it does not disclose" if subject is None else subject.hex()
        raise InvalidProof(ProofFault.ENTRY, f"it is about {shown}, not about {about.hex()}")
    return replace(verdict, subject=subject)


def _check_subject(proof: Proof, entry: bytes | None) -> bytes | None:
    """What the proof is about, if the header has it."""
    header = proof.grounds.header
    match proof:
        case TransactionProof():
            return _check_transaction(proof, entry)
        case ReceiptProof():
            _need_place(proof.place, header)
            leaf = merkle.leaf_hash(proof.receipt)
            _check_inclusion(leaf, proof.place, root=header.receipt_root)
            return _receipt(proof.receipt).transaction
        case StateProof():
            _check_state(proof)
            return proof.key
        case LogProof():
            return proof.old_root


def _check_checkpoint(proof: Proof, verdict: Verdict, trusted: Checkpoint | None) -> None:
    """Hold the checkpoint that the proof starts from against the one that is trusted."""
    shown = verdict.checkpoint
    if isinstance(proof, LogProof):
        try:
            shown = Checkpoint(verdict.chain, proof.old_size, proof.old_root)
        except ValueError as error:
            raise InvalidProof(ProofFault.MALFORMED, str(error)) from error
        if proof.old_size == 0:
            raise InvalidProof(ProofFault.RANGE, "every log begins with the empty one")
        checkpoints.check_consistency(shown, verdict.checkpoint, proof.siblings)
        if verdict.header.height != verdict.checkpoint.size:
            detail = f"block {verdict.header.height}, not the last one of the log"
            raise InvalidProof(ProofFault.RANGE, detail)
        if merkle.root_before_last(proof.grounds.log.siblings) != verdict.header.log_root:
            detail = "the last block was certified after other blocks than these"
            raise InvalidProof(ProofFault.ROOT, detail)
    if trusted is not None and trusted != shown:
        detail = f"{shown.text!r}, not {trusted.text!r}: a proof for what is trusted can be made"
        raise InvalidProof(ProofFault.CHECKPOINT, detail)


def _check_transaction(proof: TransactionProof, entry: bytes | None) -> bytes | None:
    """The transaction's id, None where it is not known which one it is."""
    header = proof.grounds.header
    _need_place(proof.place, header)
    if bool(proof.entry) == bool(proof.leaf):
        detail = "either the transaction or the hash of its leaf"
        raise InvalidProof(ProofFault.ENTRY, detail)
    leaf = proof.leaf or merkle.leaf_hash(proof.entry)
    _check_inclusion(leaf, proof.place, root=header.tx_root)
    known = proof.entry or entry
    if entry is not None and merkle.leaf_hash(entry) != leaf:
        raise InvalidProof(ProofFault.ENTRY, "the proof is about another transaction")
    if known is None:
        return None
    try:
        return transaction.decode(known).id
    except InvalidTransaction as error:
        raise InvalidProof(ProofFault.ENTRY, str(error)) from error


def _check_state(proof: StateProof) -> None:
    root = proof.grounds.header.state_root
    if proof.value is None:
        state_tree.verify_absence(proof.path, key=proof.key, root_hash=root)
    else:
        state_tree.verify_membership(proof.path, key=proof.key, value=proof.value, root_hash=root)


def _need_place(place: Inclusion, header: Header) -> None:
    """The size of a block's trees is in its header; a root does not fix it."""
    if place.size != header.transaction_count:
        detail = f"a tree of {place.size} entries; the block has {header.transaction_count}"
        raise InvalidProof(ProofFault.RANGE, detail)


def _split(hashes: bytes) -> tuple[bytes, ...]:
    """Hashes one by one; a last one that is too short is left as it is."""
    starts = range(0, len(hashes), merkle.HASH_BYTES)
    return tuple(hashes[start : start + merkle.HASH_BYTES] for start in starts)


def _check_inclusion(leaf: bytes, place: Inclusion, *, root: bytes) -> None:
    merkle.verify_inclusion_of_hash(
        leaf, index=place.index, size=place.size, proof=place.siblings, root_hash=root
    )


def _receipt(data: bytes) -> Receipt:
    try:
        return codec.decode(data, Receipt)
    except RemoteMisuse as error:
        raise InvalidProof(ProofFault.ENTRY, f"no receipt: {error}") from error


def _check_grounds(grounds: Grounds, trusted: Trusted) -> Verdict:
    """Genesis, then validators, then the certificate, then the log; about nothing yet."""
    try:
        genesis = geneses.decode(grounds.genesis)
    except ConfigError as error:
        raise InvalidProof(ProofFault.MALFORMED, str(error)) from error
    chain = genesis.chain
    if trusted.chain is not None and trusted.chain != chain:
        detail = f"of chain {chain.hex()}, not {trusted.chain.hex()}"
        raise InvalidProof(ProofFault.CHAIN, detail)
    header, changes = grounds.header, grounds.handovers
    if changes and changes[-1].header.height > grounds.log.size:
        raise InvalidProof(ProofFault.RANGE, "a handover that the log has not got yet")
    voters = handovers.voters(genesis.validators, changes, chain=chain, height=header.height)
    handovers.check_final(header, grounds.certificate, chain=chain, validators=voters)
    if trusted.validators is not None and trusted.validators != voters.hash:
        detail = f"set {voters.hash.hex()}, not {trusted.validators.hex()}"
        raise InvalidProof(ProofFault.VALIDATORS, detail)
    latest = handovers.voters(genesis.validators, changes, chain=chain, height=grounds.log.size + 1)
    found, signers = _check_log(grounds, chain, latest)
    return Verdict(
        chain=chain,
        header=header,
        subject=None,
        reliance=_reliance(trusted),
        validators=voters,
        checkpoint=found,
        checkpoint_signers=signers,
    )


def _check_log(grounds: Grounds, chain: bytes, validators: Validators) -> tuple[Checkpoint, int]:
    """The checkpoint whose log has the block, and how many of its validators signed it."""
    signed = checkpoints.decode(grounds.checkpoint)
    found = signed.checkpoint
    if found.chain != chain:
        raise InvalidProof(ProofFault.CHAIN, f"a checkpoint of {found.origin}")
    places = checkpoints.signers(signed, validators=validators)
    if len(places) != len(signed.signatures):
        detail = "a signature of somebody who is no validator, or one that is there twice"
        raise InvalidProof(ProofFault.SIGNATURE, detail)
    log, header = grounds.log, grounds.header
    if log.size != found.size or log.index != header.height - 1:
        detail = f"block {header.height} at {log.index} of {log.size}, a log of {found.size}"
        raise InvalidProof(ProofFault.RANGE, detail)
    _check_inclusion(merkle.leaf_hash(header.hash), log, root=found.root)
    return found, len(places)


def _reliance(trusted: Trusted) -> tuple[Reliance, ...]:
    known = (
        (Reliance.CHAIN, trusted.chain),
        (Reliance.VALIDATORS, trusted.validators),
        (Reliance.CHECKPOINT, trusted.checkpoint),
    )
    return tuple(word for word, value in known if value is not None) or (Reliance.NOTHING,)

"""Handovers: public proof that another set of validators votes from the next block on.

Which set votes is part of the state, and the state is not public. A handover shows this one entry
of it, in the block whose successor the new set votes on: the block's header, which the old set
has certified, holds the state root, and the root holds the entry. From the genesis and all
handovers, anybody knows each height's validators without a single transaction.

What it cannot show is that no later handover is kept back: whoever holds more than f keys of a
former set can go on from there. Readers who come late therefore need the chain id and a recent
checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from qlq import codec
from qlq.consensus import certificate as certificates
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.validators import Validators
from qlq.consensus.votes import Round
from qlq.errors import InvalidCertificate, InvalidProof, RemoteMisuse
from qlq.faults import ProofFault
from qlq.ledger import records, state_tree
from qlq.ledger.block import Header
from qlq.ledger.records import ValidatorRecord
from qlq.ledger.state_tree import Proof, Tree


class Handover(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A change of validators.

    Attributes:
        header: Of the last block that the old set voted on.
        certificate: The old set's.
        record: The entry of the state that names the new set, as the state holds it.
        proof: That the state after the block has it.
    """

    header: Header
    certificate: QuorumCertificate
    record: bytes
    proof: Proof

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)


def make(header: Header, certificate: QuorumCertificate, tree: Tree, record: bytes) -> Handover:
    """The handover in a block.

    Args:
        header: Of the block.
        certificate: Its commit certificate.
        tree: Of the state after it.
        record: The `ValidatorRecord` of that state.
    """
    proof = tree.prove(records.VALIDATORS)
    return Handover(header=header, certificate=certificate, record=record, proof=proof)


def decode(data: bytes) -> Handover:
    """The handover in these bytes; raises InvalidProof (malformed) for anything else."""
    try:
        return codec.decode(data, Handover)
    except RemoteMisuse as error:
        raise InvalidProof(ProofFault.MALFORMED, f"no handover: {error}") from error


def check_final(
    header: Header, certificate: QuorumCertificate, *, chain: bytes, validators: Validators
) -> None:
    """Return if a block of this chain is final by the votes of this set.

    Raises:
        InvalidProof: Another chain or set, another block's certificate, or too few votes.
    """
    if header.chain != chain:
        detail = f"block {header.height} is of chain {header.chain.hex()}"
        raise InvalidProof(ProofFault.CHAIN, detail)
    if header.validators_hash != validators.hash:
        detail = f"block {header.height} names set {header.validators_hash.hex()}"
        raise InvalidProof(ProofFault.VALIDATORS, detail)
    is_of_block = certificate.block == header.hash and certificate.height == header.height
    if not is_of_block or certificate.round is not Round.COMMIT:
        detail = f"of another block or round than block {header.height}'s commit"
        raise InvalidProof(ProofFault.CERTIFICATE, detail)
    try:
        certificates.verify(certificate, chain=chain, validators=validators)
    except InvalidCertificate as error:
        raise InvalidProof(ProofFault.CERTIFICATE, str(error)) from error


def follow(handover: Handover, *, chain: bytes, validators: Validators) -> Validators:
    """The set that votes on the block after a handover.

    Args:
        handover: Whose.
        chain: Chain id.
        validators: The set that voted until then.

    Raises:
        InvalidProof: It does not follow from this set.
    """
    check_final(handover.header, handover.certificate, chain=chain, validators=validators)
    state_tree.verify_membership(
        handover.proof,
        key=records.VALIDATORS,
        value=handover.record,
        root_hash=handover.header.state_root,
    )
    try:
        record: ValidatorRecord = codec.decode(handover.record, ValidatorRecord)
    except RemoteMisuse as error:
        raise InvalidProof(ProofFault.MALFORMED, f"no set of validators: {error}") from error
    if record.current.hash == validators.hash:
        detail = f"block {handover.header.height} hands over to nobody else"
        raise InvalidProof(ProofFault.VALIDATORS, detail)
    return record.current


def voters(
    first: Validators, handovers: Iterable[Handover], *, chain: bytes, height: int
) -> Validators:
    """The set that votes at a height.

    Args:
        first: The genesis's.
        handovers: All of the chain before that height, ascending; later ones are verified too.
        chain: Chain id.
        height: From 1.

    Raises:
        InvalidProof: A handover does not follow from the ones before, or comes twice.
    """
    current = wanted = first
    last = 0
    for handover in handovers:
        if handover.header.height <= last:
            detail = f"handovers at {last} and {handover.header.height}, not ascending"
            raise InvalidProof(ProofFault.RANGE, detail)
        last = handover.header.height
        current = follow(handover, chain=chain, validators=current)
        if last < height:
            wanted = current
    return wanted

"""Votes: what a validator signs about a block, and the proof that it signed what it must not.

A vote names its chain, height, epoch, round, block and set of validators, so that it counts in no
other place. In the first round, PREPARE, a validator says that it has executed the block and holds
it for the one of this height; in the second, COMMIT, that it has seen n - f such votes.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from qlq import codec
from qlq.consensus import checks
from qlq.consensus.validators import Validators
from qlq.crypto.signing import SigningKey
from qlq.errors import InvalidVote
from qlq.faults import VoteFault

SIGNATURE_CONTEXT = b"qlq/vote/1"
VOTE_BYTES_MAX = 1 << 13


class Round(IntEnum):
    """Which of the two rounds a vote belongs to."""

    PREPARE = 1
    COMMIT = 2


class Vote(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What is signed. Raises ValueError for a field outside its range; decoded, RemoteMisuse.

    Attributes:
        chain: Chain id, 32 bytes.
        height: Of the block, from 1.
        epoch: 0, and one or more higher after each recovery of this height.
        round: Which of the two.
        block: Hash of the block, 32 bytes.
        validators_hash: Of the set that votes at this height, 32 bytes.
    """

    chain: bytes
    height: int
    epoch: int
    round: Round
    block: bytes
    validators_hash: bytes

    def __post_init__(self) -> None:
        """Refuse what is no vote."""
        checks.check_digests(self.chain, self.block, self.validators_hash)
        checks.check_place(height=self.height, epoch=self.epoch)

    def to_bytes(self) -> bytes:
        """The canonical bytes: what is signed."""
        return codec.encode(self)


class SignedVote(msgspec.Struct, frozen=True, array_like=True):
    """A vote and whose it is.

    Attributes:
        vote: What it says.
        signer: Address of the validator.
        signature: The algorithm's byte first.
    """

    vote: Vote
    signer: bytes
    signature: bytes

    def __post_init__(self) -> None:
        """Refuse an address or a signature of an impossible length."""
        checks.check_signer(self.signer, self.signature)

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """Two votes of one validator in one round of one epoch for two blocks: proof that it lies."""

    first: SignedVote
    second: SignedVote

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)


def sign(vote: Vote, key: SigningKey, *, signer: bytes) -> SignedVote:
    """The vote, signed; to be made through `finality.step`, which casts none that excludes it.

    Args:
        vote: What it says.
        key: The validator's.
        signer: The validator's address; finding it again would take as long as signing.
    """
    return SignedVote(vote, signer, key.sign(vote.to_bytes(), context=SIGNATURE_CONTEXT))


def verify(signed: SignedVote, *, chain: bytes, validators: Validators) -> None:
    """Return if a validator of this set cast this vote on this chain.

    Raises:
        InvalidVote: Another chain or set, a stranger, or a signature that does not fit.
    """
    vote = signed.vote
    checks.check_origin(
        vote.chain, vote.validators_hash, signed.signer, chain=chain, validators=validators
    )
    checks.check_signature(
        vote.to_bytes(),
        signed.signature,
        validators.key(signed.signer),
        context=SIGNATURE_CONTEXT,
    )


def is_double(first: SignedVote, second: SignedVote) -> bool:
    """Whether an honest validator cannot have cast both: all alike, but for two blocks."""
    one, two = first.vote, second.vote
    is_same_place = (one.chain, one.height, one.epoch, one.round, one.validators_hash) == (
        two.chain,
        two.height,
        two.epoch,
        two.round,
        two.validators_hash,
    )
    return first.signer == second.signer and is_same_place and one.block != two.block


def verify_evidence(evidence: Evidence, *, chain: bytes, validators: Validators) -> None:
    """Return if the evidence convicts its signer.

    Raises:
        InvalidVote: One of the votes does not verify, or one validator may cast both.
    """
    if not is_double(evidence.first, evidence.second):
        raise InvalidVote(
            VoteFault.CONSISTENT, "not two blocks in one round of one epoch by one validator"
        )
    for signed in (evidence.first, evidence.second):
        verify(signed, chain=chain, validators=validators)


def decode(data: bytes) -> SignedVote:
    """The vote in these bytes; raises RemoteMisuse for anything else."""
    checks.check_size(data, VOTE_BYTES_MAX)
    return codec.decode(data, SignedVote)


def decode_evidence(data: bytes) -> Evidence:
    """The evidence in these bytes; raises RemoteMisuse for anything else."""
    checks.check_size(data, 2 * VOTE_BYTES_MAX)
    return codec.decode(data, Evidence)

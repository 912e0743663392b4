"""Epochs: how a height that came to a halt is voted on again, without a second final block.

    n - f validators state for epoch e what they have seen of the height, and from then on vote
    nothing in any epoch below e
    these statements open epoch e:  a commit certificate among them   the block is final already
                                    a lock among them                 only the block of the lock
                                                                      of the highest epoch
                                    neither                           any valid block

Why this forks nothing: behind a commit certificate of an epoch below e stand n - 2f or more honest
validators who were locked on its block before they could state anything. Any n - f statements
have one of them at least, so that its block is the one proposed again, or one that a later epoch
took over from it by the same rule.

Source: Castro and Liskov, Practical Byzantine Fault Tolerance (1999), section 4.4: a view change,
here begun by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from qlq import codec
from qlq.consensus import certificate as certificates
from qlq.consensus import checks
from qlq.consensus.certificate import CERTIFICATE_BYTES_MAX, QuorumCertificate
from qlq.consensus.validators import Validators
from qlq.consensus.votes import VOTE_BYTES_MAX, Round
from qlq.crypto.signing import SigningKey
from qlq.errors import InvalidCertificate, InvalidVote
from qlq.faults import CertificateFault, VoteFault

SIGNATURE_CONTEXT = b"qlq/statement/1"
STATEMENT_BYTES_MAX = 2 * CERTIFICATE_BYTES_MAX + VOTE_BYTES_MAX


class Statement(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a validator has seen of a height, and its promise to vote in no epoch below this one.

    Raises ValueError for a field outside its range; decoded, RemoteMisuse.

    Attributes:
        chain: Chain id, 32 bytes.
        height: That came to a halt.
        epoch: To be opened, from 1.
        validators_hash: Of the set that votes at this height.
        commit: The signer's commit certificate of this height, if it has one. Those of lower
            heights decide nothing here.
        lock: Its prepare certificate of the highest epoch at this height, if it has one.
    """

    chain: bytes
    height: int
    epoch: int
    validators_hash: bytes
    commit: QuorumCertificate | None
    lock: QuorumCertificate | None

    def __post_init__(self) -> None:
        """Refuse what is no statement."""
        checks.check_digests(self.chain, self.validators_hash)
        checks.check_place(height=self.height, epoch=self.epoch)
        if self.epoch == 0:
            raise ValueError("epoch 0 is open from the beginning; statements are for later ones")

    def to_bytes(self) -> bytes:
        """The canonical bytes: what is signed."""
        return codec.encode(self)


class SignedStatement(msgspec.Struct, frozen=True, array_like=True):
    """A statement and whose it is; the algorithm's byte is the first of the signature."""

    statement: Statement
    signer: bytes
    signature: bytes

    def __post_init__(self) -> None:
        """Refuse an address or a signature of an impossible length."""
        checks.check_signer(self.signer, self.signature)

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)


@dataclass(frozen=True, slots=True)
class AlreadyFinal:
    """There is nothing to vote on: somebody had the commit certificate."""

    certificate: QuorumCertificate


@dataclass(frozen=True, slots=True)
class ProposeAgain:
    """Only the block of this lock may be proposed and voted for."""

    lock: QuorumCertificate


@dataclass(frozen=True, slots=True)
class ProposeAny:
    """Nobody was locked, so that nothing can have become final: any valid block will do."""


Mandate = AlreadyFinal | ProposeAgain | ProposeAny


def sign(statement: Statement, key: SigningKey, *, signer: bytes) -> SignedStatement:
    """The statement, signed; to be made through `finality.step`, which keeps its promise.

    Args:
        statement: What it says.
        key: The validator's.
        signer: The validator's address.
    """
    signature = key.sign(statement.to_bytes(), context=SIGNATURE_CONTEXT)
    return SignedStatement(statement, signer, signature)


def verify(signed: SignedStatement, *, chain: bytes, validators: Validators) -> None:
    """Return if a validator of this set stated this on this chain, and its certificates verify.

    Raises:
        InvalidVote: Another chain or set, a stranger, or a signature that does not fit.
        InvalidCertificate: A certificate of another height, round or set, a lock that is not
            older than the epoch, or one that does not verify.
    """
    said = signed.statement
    checks.check_origin(
        said.chain, said.validators_hash, signed.signer, chain=chain, validators=validators
    )
    checks.check_signature(
        said.to_bytes(),
        signed.signature,
        validators.key(signed.signer),
        context=SIGNATURE_CONTEXT,
    )
    if said.commit is not None:
        _check_shown(said.commit, said, Round.COMMIT)
        certificates.verify(said.commit, chain=chain, validators=validators)
    if said.lock is not None:
        _check_shown(said.lock, said, Round.PREPARE)
        if not said.lock.epoch < said.epoch:
            detail = f"a lock of epoch {said.lock.epoch} in a statement for epoch {said.epoch}"
            raise _fault(CertificateFault.EPOCH, said.height, detail)
        certificates.verify(said.lock, chain=chain, validators=validators)


def _check_shown(shown: QuorumCertificate, said: Statement, wanted: Round) -> None:
    if shown.height != said.height:
        raise _fault(CertificateFault.HEIGHT, said.height, f"a certificate of {shown.height}")
    if shown.round is not wanted:
        raise _fault(CertificateFault.ROUND, said.height, f"{shown.round.name}, not {wanted.name}")


def open_epoch(
    statements: Sequence[SignedStatement], *, chain: bytes, validators: Validators
) -> Mandate:
    """What may be proposed in the epoch that these statements open.

    Two openings of one epoch may give two mandates; both are safe, since votes of the epoch
    itself exclude each other. So that votes do not split, all should be shown the same opening.

    Args:
        statements: n - f to n of them for one height and epoch, ascending by signer.
        chain: Chain id.
        validators: Those who vote at this height.

    Raises:
        InvalidVote: One of them is not of this chain, set, height or epoch, or not its signer's.
        InvalidCertificate: They are too few, out of order or one signer's twice; a certificate in
            them does not verify; or two of them exclude each other (`CONFLICT`: more than f
            validators lie, and no rule can go on from there).
    """
    if not statements:
        raise _fault(CertificateFault.QUORUM, 0, "no statement opens nothing")
    first = statements[0].statement
    names = [one.signer for one in statements]
    if sorted(set(names)) != names:
        detail = "statements go by ascending signer, each once"
        raise _fault(CertificateFault.ORDER, first.height, detail)
    if len(names) < validators.quorum:
        detail = f"{len(names)} statements; {validators.quorum} open an epoch"
        raise _fault(CertificateFault.QUORUM, first.height, detail)
    for one in statements:
        said = one.statement
        if (said.height, said.epoch) != (first.height, first.epoch):
            detail = (
                f"height {said.height}, epoch {said.epoch} beside {first.height}, {first.epoch}"
            )
            raise InvalidVote(VoteFault.HEIGHT, detail)
        verify(one, chain=chain, validators=validators)
    return _mandate([one.statement for one in statements])


def _mandate(said: Sequence[Statement]) -> Mandate:
    """A commit certificate is final; else the highest lock binds; else nothing does."""
    commits = [one.commit for one in said if one.commit is not None]
    if commits:
        return AlreadyFinal(_agreed(commits))
    locks = [one.lock for one in said if one.lock is not None]
    if not locks:
        return ProposeAny()
    highest = max(lock.epoch for lock in locks)
    return ProposeAgain(_agreed([lock for lock in locks if lock.epoch == highest]))


def _agreed(shown: Sequence[QuorumCertificate]) -> QuorumCertificate:
    """The first of certificates that must all be of one block."""
    first = shown[0]
    for other in shown:
        if other.block != first.block:
            detail = f"{first.block.hex()[:16]}… and {other.block.hex()[:16]}… exclude each other"
            raise _fault(CertificateFault.CONFLICT, first.height, detail)
    return first


def decode(data: bytes) -> SignedStatement:
    """The statement in these bytes; raises RemoteMisuse for anything else."""
    checks.check_size(data, STATEMENT_BYTES_MAX)
    return codec.decode(data, SignedStatement)


def _fault(reason: CertificateFault, height: int, detail: str) -> InvalidCertificate:
    return InvalidCertificate(reason, height=height, detail=detail)

"""Quorum certificates: n - f votes for one block in one round, in one value.

A commit certificate is what makes a block final. It is stored beside the block and hashed into
none: two certificates with other signers say the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from qlq import codec
from qlq.consensus import checks
from qlq.consensus.validators import VALIDATORS_MAX, Validators
from qlq.consensus.votes import SIGNATURE_CONTEXT, Round, SignedVote, Vote
from qlq.errors import BadSignature, InvalidCertificate
from qlq.faults import CertificateFault

CERTIFICATE_BYTES_MAX = 1 << 19
"""A hundred signatures of the longest kind, and what is around them."""


class QuorumCertificate(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Votes of a quorum. Raises ValueError for an impossible field; decoded, RemoteMisuse.

    Attributes:
        height: Of the block.
        epoch: In which the votes were cast.
        round: PREPARE: a validator may commit to the block; COMMIT: the block is final.
        block: Hash of the block.
        validators_hash: Of the set that voted.
        bitmap: Who signed: the validator of index i is bit i mod 8, the lowest first, of byte
            i // 8; as many bytes as the set needs, spare bits 0.
        signatures: Those of the votes, in the order of the validators.
    """

    height: int
    epoch: int
    round: Round
    block: bytes
    validators_hash: bytes
    bitmap: bytes
    signatures: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Refuse what is no certificate of any set."""
        checks.check_digests(self.block, self.validators_hash)
        checks.check_place(height=self.height, epoch=self.epoch)
        if not 1 <= len(self.bitmap) <= _bitmap_bytes(VALIDATORS_MAX):
            raise ValueError(f"a bitmap of {len(self.bitmap)} bytes")
        if len(self.signatures) > VALIDATORS_MAX:
            raise ValueError(f"{len(self.signatures)} signatures; {VALIDATORS_MAX} are possible")
        if any(len(one) > checks.SIGNATURE_BYTES_MAX for one in self.signatures):
            raise ValueError(f"a signature of more than {checks.SIGNATURE_BYTES_MAX} bytes")

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)

    def vote(self, chain: bytes) -> Vote:
        """What each of the signers signed, on this chain."""
        return Vote(
            chain=chain,
            height=self.height,
            epoch=self.epoch,
            round=self.round,
            block=self.block,
            validators_hash=self.validators_hash,
        )


def make(cast: Sequence[SignedVote], *, validators: Validators) -> QuorumCertificate:
    """The certificate of these votes, which have been verified.

    Raises:
        ValueError: They are fewer than n - f, say different things or name another set, or a
            signer is a stranger or there twice.
    """
    by_index = {validators.index(one.signer): one for one in cast if one.signer in validators}
    if len(by_index) != len(cast) or len(cast) < validators.quorum:
        raise ValueError(f"{len(by_index)} validators in {len(cast)} votes; {validators.quorum}")
    first = cast[0].vote
    if first.validators_hash != validators.hash or any(one.vote != first for one in cast):
        raise ValueError("the votes of a certificate say the same, and name the set that verifies")
    bits = sum(1 << index for index in by_index)
    return QuorumCertificate(
        height=first.height,
        epoch=first.epoch,
        round=first.round,
        block=first.block,
        validators_hash=first.validators_hash,
        bitmap=bits.to_bytes(_bitmap_bytes(len(validators)), "little"),
        signatures=tuple(by_index[index].signature for index in sorted(by_index)),
    )


def verify(certificate: QuorumCertificate, *, chain: bytes, validators: Validators) -> None:
    """Return if n - f or more validators of this set cast this vote on this chain.

    Which height, epoch, round and block it is about, the caller compares.

    Raises:
        InvalidCertificate: With its reason.
    """
    if certificate.validators_hash != validators.hash:
        detail = (
            f"{certificate.validators_hash.hex()[:16]}… voted, not {validators.hash.hex()[:16]}…"
        )
        raise _fault(CertificateFault.VALIDATORS, certificate, detail)
    places = signers(certificate, validators=validators)
    if len(places) != len(certificate.signatures):
        detail = f"{len(certificate.signatures)} signatures of {len(places)} validators"
        raise _fault(CertificateFault.COUNT, certificate, detail)
    if len(places) < validators.quorum:
        detail = f"{len(places)} of {len(validators)} signed; {validators.quorum} must"
        raise _fault(CertificateFault.QUORUM, certificate, detail)
    message = certificate.vote(chain).to_bytes()
    for place, signature in zip(places, certificate.signatures, strict=True):
        address = validators.members[place].address
        try:
            validators.key(address).verify(message, signature, context=SIGNATURE_CONTEXT)
        except BadSignature as error:
            detail = f"of {address.hex()[:16]}…: {error}"
            raise _fault(CertificateFault.SIGNATURE, certificate, detail) from error


def signers(certificate: QuorumCertificate, *, validators: Validators) -> tuple[int, ...]:
    """Places of those whom the bitmap names, ascending.

    Raises:
        InvalidCertificate: The bitmap is of another length, or names somebody who is not there.
    """
    bitmap = certificate.bitmap
    bits = int.from_bytes(bitmap, "little")
    if len(bitmap) != _bitmap_bytes(len(validators)) or bits >> len(validators):
        detail = f"{bitmap.hex()} for {len(validators)} validators"
        raise _fault(CertificateFault.BITMAP, certificate, detail)
    return tuple(place for place in range(len(validators)) if bits >> place & 1)


def decode(data: bytes) -> QuorumCertificate:
    """The certificate in these bytes; raises RemoteMisuse for anything else."""
    checks.check_size(data, CERTIFICATE_BYTES_MAX)
    return codec.decode(data, QuorumCertificate)


def _bitmap_bytes(count: int) -> int:
    return (count + 7) // 8


def _fault(
    reason: CertificateFault, certificate: QuorumCertificate, detail: str
) -> InvalidCertificate:
    return InvalidCertificate(reason, height=certificate.height, detail=detail)

"""What must hold of the fields of everything that validators sign."""

from __future__ import annotations

from qlq.consensus.validators import ADDRESS_BYTES, Validators
from qlq.crypto.signing import VerifyingKey
from qlq.errors import BadSignature, InvalidVote, RemoteMisuse
from qlq.faults import VoteFault

DIGEST_BYTES = 32
COUNT_MAX = (1 << 63) - 1
"""Heights and epochs fit a signed 64-bit integer."""
SIGNATURE_BYTES_MAX = 1 << 12
"""The longest are of the hybrid: 3374 bytes."""


def check_digests(*digests: bytes) -> None:
    """Return if each has 32 bytes; raises ValueError."""
    for one in digests:
        if len(one) != DIGEST_BYTES:
            raise ValueError(f"a digest of {len(one)} bytes; {DIGEST_BYTES} are needed")


def check_place(*, height: int, epoch: int) -> None:
    """Return if the height is one of 1 to 2^63 - 1, the epoch of 0 to that; raises ValueError."""
    if not 1 <= height <= COUNT_MAX:
        raise ValueError(f"height {height}; votes are about heights from 1 to 2^63 - 1")
    if not 0 <= epoch <= COUNT_MAX:
        raise ValueError(f"epoch {epoch}; epochs count from 0 to 2^63 - 1")


def check_signer(signer: bytes, signature: bytes) -> None:
    """Return if both have possible lengths; raises ValueError."""
    if len(signer) != ADDRESS_BYTES:
        raise ValueError(f"an address of {len(signer)} bytes; {ADDRESS_BYTES} are needed")
    if not 1 <= len(signature) <= SIGNATURE_BYTES_MAX:
        raise ValueError(f"a signature of {len(signature)} bytes; 1 to {SIGNATURE_BYTES_MAX} fit")


def check_size(data: bytes, size_max: int) -> None:
    """Return if so many bytes may be read; raises RemoteMisuse."""
    if len(data) > size_max:
        raise RemoteMisuse(f"{len(data)} bytes; {size_max} fit")


def check_origin(
    named_chain: bytes,
    named_hash: bytes,
    signer: bytes,
    *,
    chain: bytes,
    validators: Validators,
) -> None:
    """Return if what names this chain and set, by this signer, belongs here.

    Raises:
        InvalidVote: Another chain or set, or a stranger.
    """
    if named_chain != chain:
        detail = f"{named_chain.hex()[:16]}…; this is {chain.hex()[:16]}…"
        raise InvalidVote(VoteFault.CHAIN, detail)
    if named_hash != validators.hash:
        detail = f"{named_hash.hex()[:16]}…; here votes {validators.hash.hex()[:16]}…"
        raise InvalidVote(VoteFault.VALIDATORS, detail)
    if signer not in validators:
        raise InvalidVote(VoteFault.SIGNER, f"{signer.hex()[:16]}… does not vote here")


def check_signature(message: bytes, signature: bytes, key: VerifyingKey, *, context: bytes) -> None:
    """Return if a signature fits; raises InvalidVote."""
    try:
        key.verify(message, signature, context=context)
    except BadSignature as error:
        raise InvalidVote(VoteFault.SIGNATURE, str(error)) from error

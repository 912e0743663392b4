"""Where the blocks of a restored ledger begin: the block of the snapshot it was restored from."""

from __future__ import annotations

import msgspec

from qlq import codec
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.validators import Validators
from qlq.errors import InvalidProof, RemoteMisuse
from qlq.faults import ProofFault
from qlq.ledger import handover as handovers
from qlq.ledger import merkle
from qlq.ledger.block import Header
from qlq.ledger.merkle import HASH_BYTES, Frontier


class Base(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A final block whose body is not here, and what has to be known to go on from it.

    Attributes:
        header: Of the block.
        certificate: Its commit certificate.
        hashes: Of all blocks up to and including it, 32 bytes each: with them, proofs reach back
            before it.
    """

    header: Header
    certificate: QuorumCertificate
    hashes: bytes

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)

    @property
    def block_hashes(self) -> list[bytes]:
        """The hashes one by one, from block 1."""
        starts = range(0, len(self.hashes), HASH_BYTES)
        return [self.hashes[start : start + HASH_BYTES] for start in starts]

    @property
    def log(self) -> Frontier:
        """The log up to and including the block."""
        log = Frontier()
        for found in self.block_hashes:
            log = log.append(merkle.leaf_hash(found))
        return log


def decode(data: bytes) -> Base:
    """The base in these bytes; raises InvalidProof (malformed) for anything else."""
    try:
        base: Base = codec.decode(data, Base)
    except RemoteMisuse as error:
        raise InvalidProof(ProofFault.MALFORMED, f"no base: {error}") from error
    if len(base.hashes) != base.header.height * HASH_BYTES:
        detail = f"{len(base.hashes)} bytes of hashes up to block {base.header.height}"
        raise InvalidProof(ProofFault.LENGTH, detail)
    return base


def check(base: Base, *, chain: bytes, validators: Validators) -> None:
    """Return if the block is final, and the hashes are those of the blocks before it.

    Args:
        base: As `decode` returns it.
        chain: Chain id.
        validators: The set that votes at its height.

    Raises:
        InvalidProof: They are not.
    """
    header = base.header
    handovers.check_final(header, base.certificate, chain=chain, validators=validators)
    *before, last = base.block_hashes
    if last != header.hash:
        raise InvalidProof(ProofFault.ROOT, f"the last hash is not that of block {header.height}")
    if merkle.root(before) != header.log_root:
        detail = f"the hashes before block {header.height} are not those of its log"
        raise InvalidProof(ProofFault.ROOT, detail)

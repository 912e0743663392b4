"""Blocks: a header that names everything before and after it, and the transactions.

The hash of a block is that of its header; certificates are kept beside it, so that two of them
for one block do not make two chains.
"""

from __future__ import annotations

import msgspec

from qlq import codec
from qlq.consensus.proposer import ProposerMode
from qlq.crypto import digest
from qlq.errors import InvalidBlock, RemoteMisuse
from qlq.faults import BlockFault
from qlq.ledger import merkle
from qlq.ledger.receipt import Receipt

_HASH_NAME = b"qlq/block/1"
NO_BEACON = bytes(64)
"""Stands for the digest of a pulse where there is none; the round is 0 then."""
BLOCK_BYTES_MAX = 1 << 24


class Header(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What is hashed and voted on.

    Attributes:
        chain: Chain id.
        height: From 1.
        parent: Hash of the block before; the chain id for the first.
        time_ms: Milliseconds since 1970 (UTC), later than the parent's.
        proposer: Address of the validator whose turn it was.
        mode: How the turn was found.
        beacon_round: 1 + index of the latest pulse on the chain before this block; 0 without one.
        beacon_digest: SHA-512 digest of that pulse; zeros without one.
        transaction_count: Entries of the body.
        tx_root: RFC 9162 root over the entries.
        receipt_root: RFC 9162 root over the receipts.
        state_root: Root of the state after this block.
        log_root: RFC 9162 root over the hashes of all blocks before this one.
        validators_hash: Of the set that votes on this block.
        parameters_hash: Of the chain's rules.
    """

    chain: bytes
    height: int
    parent: bytes
    time_ms: int
    proposer: bytes
    mode: ProposerMode
    beacon_round: int
    beacon_digest: bytes
    transaction_count: int
    tx_root: bytes
    receipt_root: bytes
    state_root: bytes
    log_root: bytes
    validators_hash: bytes
    parameters_hash: bytes

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)

    @property
    def hash(self) -> bytes:
        """The block's hash, 32 bytes."""
        return digest.named(_HASH_NAME, self.to_bytes())


class Block(msgspec.Struct, frozen=True, array_like=True):
    """A header and its body.

    Attributes:
        header: What is hashed.
        entries: Signed transactions in their canonical bytes, in the order they are carried out.
    """

    header: Header
    entries: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)


def decode(data: bytes) -> Block:
    """The block in these bytes; raises InvalidBlock (malformed) for anything else."""
    if len(data) > BLOCK_BYTES_MAX:
        raise InvalidBlock(BlockFault.MALFORMED, height=0, detail=f"{len(data)} bytes")
    try:
        return codec.decode(data, Block)
    except RemoteMisuse as error:
        raise InvalidBlock(BlockFault.MALFORMED, height=0, detail=str(error)) from error


def tx_root(entries: tuple[bytes, ...]) -> bytes:
    """Root of the tree over a block's entries."""
    return merkle.root(list(entries))


def receipt_root(receipts: tuple[Receipt, ...]) -> bytes:
    """Root of the tree over a block's receipts."""
    return merkle.root([receipt.to_bytes() for receipt in receipts])

"""What came of a transaction in a block."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from qlq import codec
from qlq.faults import TransactionFault

NO_FAULT = 0
NO_WRITES = bytes(32)
EVENT_NAME_CHARACTERS_MAX = 64


class Status(IntEnum):
    """Whether a transaction had its effect."""

    DONE = 0
    FAILED = 1
    """It paid its fee and used its nonce, and changed nothing else."""


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Something that a transaction made happen.

    Attributes:
        emitter: Address of the contract, or of the sender.
        name: For example `transfer`, or the contract's own.
        data: Canonical bytes of the ledger's events; a contract's in its own encoding.
    """

    emitter: bytes
    name: str
    data: bytes


class Receipt(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The outcome, hashed into the block; words for people are no part of it.

    Attributes:
        transaction: Its id.
        status: Done or failed.
        fault: Number of a `TransactionFault`, 0 for none.
        operation: Index of the operation that failed; 0 where none did.
        code: A contract's own number of its failure, 0 without one.
        gas: Used by contracts.
        fee: Paid in all, gas included, in the smallest unit of the native asset.
        result: What a contract returned, encoded.
        events: In the order in which they happened; none where it failed.
        writes: Digest of all entries that it changed, see `transition`; zeros where it failed.
    """

    transaction: bytes
    status: Status
    fault: int
    operation: int
    code: int
    gas: int
    fee: int
    result: bytes
    events: tuple[Event, ...]
    writes: bytes

    def to_bytes(self) -> bytes:
        """The canonical bytes: the leaf of the receipt tree."""
        return codec.encode(self)

    @property
    def reason(self) -> TransactionFault | None:
        """Why it failed; None if it did not."""
        return TransactionFault(self.fault) if self.fault else None

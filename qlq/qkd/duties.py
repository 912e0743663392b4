"""What a party asks of its own side, and what it is told in return.

A party never touches a device, a disk or a clock. It names a duty; whoever runs the party does
it and answers with an event. Nothing here crosses the classical channel.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from qlq.errors import require
from qlq.qkd.messages import Message


class Party(StrEnum):
    """The two ends of a session."""

    ALICE = "alice"
    BOB = "bob"


_ENTRY = struct.Struct("<BQ")
_SENDERS = (Party.ALICE, Party.BOB)


@dataclass(frozen=True, slots=True, eq=False)
class UseLink:
    """Give these inputs to the quantum link; answer with `Measured`.

    Attributes:
        inputs: uint8 (pulses): index of the angles of each pulse in the party's own table.
    """

    inputs: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TakeTagKey:
    """Mark a one-time key of the pool as spent, durably, then answer with `TagKey`.

    Attributes:
        sender: Whose tags this part of the pool is for.
        offset_bits: Where the peer says it took the key; None for the next unspent one.
    """

    sender: Party
    offset_bits: int | None


@dataclass(frozen=True, slots=True, eq=False)
class KeepKey:
    """The session has ended well on this side; the key may be used.

    Attributes:
        bits: uint8 (secret_bits), 0 or 1.
    """

    bits: NDArray[np.uint8] = field(repr=False)


Duty = UseLink | TakeTagKey | KeepKey


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The link has given this party its outcomes; None for a party that only prepares."""

    bits: NDArray[np.uint8] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class TagKey:
    """A one-time key from the pool, already marked as spent."""

    offset_bits: int
    key: bytes = field(repr=False)


Event = Message | Measured | TagKey


@dataclass(frozen=True, slots=True)
class Transcript:
    """All messages of a session, in order, as both parties know them.

    Attributes:
        entries: Sender and canonical bytes of each message.
    """

    entries: tuple[tuple[Party, bytes], ...] = ()

    def add(self, sender: Party, data: bytes) -> Transcript:
        """The transcript with one more message."""
        return Transcript((*self.entries, (sender, data)))

    @property
    def length_bytes(self) -> int:
        """Bytes of all messages together."""
        return sum(len(data) for _, data in self.entries)

    def pack(self) -> bytes:
        """Sender, length and bytes of each message, in order."""
        parts = []
        for sender, data in self.entries:
            parts += [_ENTRY.pack(_SENDERS.index(sender), len(data)), data]
        return b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> Transcript:
        """The transcript that `pack` wrote; raises RemoteMisuse for anything else."""
        entries, at = [], 0
        while at < len(data):
            require(at + _ENTRY.size <= len(data), f"cut off at byte {at}")
            sender, length = _ENTRY.unpack_from(data, at)
            at += _ENTRY.size
            whole = sender < len(_SENDERS) and length <= len(data) - at
            require(whole, f"no message at byte {at}")
            entries.append((_SENDERS[sender], data[at : at + length]))
            at += length
        return cls(tuple(entries))

"""What the parties say to each other, and to nobody else.

Every message is a canonical byte string (`codec`), so that both parties hold the same
transcript. Bit arrays are packed big-endian within bytes, padded with zeros.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from qlq import codec
from qlq.errors import ProtocolAbort, require
from qlq.qkd.parameters import Parameters

MESSAGE_BYTES_MAX = 64 << 20
"""No message of a session within `parameters.PULSES_MAX` is larger."""


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages: an array that starts with the class name."""


class Commitment(_Message, frozen=True):
    """Alice proposes everything that is fixed before the first pulse."""

    parameters: Parameters


class Acceptance(_Message, frozen=True):
    """Bob agrees: the digest of the parameters that he, too, was started with."""

    parameters_digest: str


class Bases(_Message, frozen=True):
    """Bob's settings of all pulses, sent after he has measured the last one."""

    settings: bytes


class Selection(_Message, frozen=True):
    """Alice's settings, her choice of rounds, and her bits of the disclosed ones.

    `key_mask` and `rate_mask` run over the matched key rounds (symmetric: over all matched
    rounds), `test_mask` over the matched test rounds (symmetric: over all matched rounds).
    """

    settings: bytes
    key_mask: bytes
    rate_mask: bytes
    test_mask: bytes
    bits: bytes


class Disclosure(_Message, frozen=True):
    """Bob's bits of the disclosed rounds."""

    bits: bytes


class ReconciliationStart(_Message, frozen=True):
    """Alice's seed of the Cascade permutations."""

    seed: bytes


class ParityRequest(_Message, frozen=True):
    """Bob asks for parities of ranges and reveals his own of the same ranges.

    `passes` are little-endian uint16, `starts` and `stops` little-endian uint32.
    """

    passes: bytes
    starts: bytes
    stops: bytes
    parities: bytes


class ParityReply(_Message, frozen=True):
    """Alice's parities, in the order of the request."""

    parities: bytes


class ReconciliationDone(_Message, frozen=True):
    """Bob has no question left.

    `corrected_bits` reveals nothing new: each binary search ends at one position, in public.
    """

    corrected_bits: int


class Verification(_Message, frozen=True):
    """Alice's universal hash of her key and the seed that chose the hash function."""

    seed: bytes
    tag: bytes


class Verified(_Message, frozen=True):
    """Bob's key has the same hash."""


class Amplification(_Message, frozen=True):
    """Alice's seed of the Toeplitz matrix."""

    seed: bytes


class TranscriptTag(_Message, frozen=True):
    """A tag over all messages so far, under the one-time key at this offset of the pool."""

    offset_bits: int
    tag: bytes


ABORT_REASONS = frozenset(
    {ProtocolAbort.reason, *(kind.reason for kind in ProtocolAbort.__subclasses__())}
)


class Abort(_Message, frozen=True):
    """The sender has erased its key, for one of `ABORT_REASONS`.

    Nothing authenticates it: anyone on the line can end a session, and gains nothing by it.
    """

    reason: str


Message = (
    Commitment
    | Acceptance
    | Bases
    | Selection
    | Disclosure
    | ReconciliationStart
    | ParityRequest
    | ParityReply
    | ReconciliationDone
    | Verification
    | Verified
    | Amplification
    | TranscriptTag
    | Abort
)


def encode(message: Message) -> bytes:
    """Canonical bytes of a message."""
    return codec.encode(message)


def decode(data: bytes) -> Message:
    """The message in these bytes; raises RemoteMisuse for anything else."""
    require(len(data) <= MESSAGE_BYTES_MAX, f"message of {len(data)} bytes is too long")
    message: Message = codec.decode(data, Message)
    if isinstance(message, Abort):
        require(message.reason in ABORT_REASONS, "an abort for a reason that does not exist")
    return message


def pack(bits: NDArray[np.uint8]) -> bytes:
    """Bits (uint8, 0 or 1) as bytes."""
    return np.packbits(bits).tobytes()


def unpack(data: bytes, *, count: int) -> NDArray[np.uint8]:
    """`count` bits (uint8); raises RemoteMisuse for another length or non-zero padding."""
    require(len(data) == (count + 7) // 8, f"{len(data)} bytes do not hold {count} bits")
    every = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    require(not every[count:].any(), "padding bits are not zero")
    return every[:count]


def pack_settings(settings: NDArray[np.uint8], *, settings_count: int) -> bytes:
    """Settings as one packed plane of bits for each binary digit, lowest first."""
    planes = range(_plane_count(settings_count))
    return b"".join(pack(((settings >> plane) & 1).astype(np.uint8)) for plane in planes)


def unpack_settings(data: bytes, *, count: int, settings_count: int) -> NDArray[np.uint8]:
    """The settings (uint8) of `count` pulses; raises RemoteMisuse for another length or range."""
    planes, size = _plane_count(settings_count), (count + 7) // 8
    require(len(data) == planes * size, f"{len(data)} bytes do not hold {count} settings")
    settings = np.zeros(count, dtype=np.uint8)
    for plane in range(planes):
        settings |= unpack(data[plane * size : (plane + 1) * size], count=count) << plane
    require(bool((settings < settings_count).all()), "a setting that does not exist")
    return settings


def integers(data: bytes, *, dtype: str, count: int) -> NDArray[np.int64]:
    """`count` little-endian unsigned integers as int64; raises RemoteMisuse for another length."""
    require(
        len(data) == count * np.dtype(dtype).itemsize, f"{len(data)} bytes, not {count} {dtype}"
    )
    return np.frombuffer(data, dtype=dtype).astype(np.int64)


def _plane_count(settings_count: int) -> int:
    return (settings_count - 1).bit_length()

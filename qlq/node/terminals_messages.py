"""What the three processes say beside the protocol: to the link, and before and after a session.

Nothing here carries a message of the classical channel to the link, or one party's settings and
outcomes to the other. Bit arrays are packed as in `qkd.messages`.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from qlq import codec
from qlq.errors import RemoteMisuse, require
from qlq.provenance import Provenance
from qlq.qkd.duties import Party
from qlq.qkd.parameters import Parameters

FIRST_BYTES_MAX = 1 << 12
"""Largest frame before both ends know each other."""
LINK_BYTES_MAX = 8 << 20
"""Largest frame between a party and the link: two million inputs, and the jobs in words."""
JOBS_MAX = 64


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages: an array that starts with the class name."""


class Join(_Message, frozen=True):
    """A party takes its seat at the link."""

    party: Party


class Welcome(_Message, frozen=True):
    """The link's device, as anyone may know it; rates in parts per million, None if unknown."""

    backend: str
    device: str
    provider: str
    kind: str
    qber_bb84_ppm: int | None
    qber_e91_ppm: int | None


class Inputs(_Message, frozen=True):
    """A party's own inputs of all pulses."""

    parameters: Parameters
    inputs: bytes


class Outcomes(_Message, frozen=True):
    """A party's own outcomes, None where it prepared; and where they came from.

    `jobs` is JSON: the provenance of each job, in order. `order_seed` is the seed of the public
    shuffle of rows.
    """

    bits: bytes | None
    order_seed: int
    jobs: bytes


class Ended(_Message, frozen=True):
    """The session is over for this party; an empty reason is a good end."""

    reason: str


class Refused(_Message, frozen=True):
    """The sender goes no further, and why: the name of an error and its message."""

    error: str
    detail: str


class Greeting(_Message, frozen=True):
    """Who speaks, under which pairing, with which pool, and with which parameters."""

    party: Party
    pairing: str
    pool_digest: str
    parameters: Parameters


class Kept(_Message, frozen=True):
    """Bob has stored the key: Alice may store hers."""

    key_id: str


ToLink = Join | Inputs | Ended | Refused
FromLink = Welcome | Outcomes | Refused
Beside = Greeting | Kept | Refused
M = TypeVar("M")

CONTROL, PROTOCOL = b"\x00", b"\x01"
"""First byte of a frame between the parties: beside the protocol, or a message of it."""


def encode(message: ToLink | FromLink | Beside) -> bytes:
    """Canonical bytes of a message."""
    return codec.encode(message)


def decode_to_link(data: bytes) -> ToLink:
    """What a party said to the link; raises RemoteMisuse for anything else."""
    message: ToLink = codec.decode(data, ToLink)
    return message


def decode_from_link(data: bytes) -> FromLink:
    """What the link said; raises RemoteMisuse for anything else."""
    message: FromLink = codec.decode(data, FromLink)
    return message


def decode_beside(data: bytes) -> Beside:
    """What the other party said beside the protocol; raises RemoteMisuse for anything else."""
    message: Beside = codec.decode(data, Beside)
    return message


def expect(message: object, kind: type[M]) -> M:
    """The message, if it is of this kind; raises RemoteMisuse otherwise."""
    if not isinstance(message, kind):
        raise RemoteMisuse(f"{type(message).__name__} where {kind.__name__} was due")
    return message


def pack_jobs(provenances: tuple[Provenance, ...]) -> bytes:
    """The provenance of all jobs as JSON."""
    return msgspec.json.encode(provenances)


def unpack_jobs(data: bytes) -> tuple[Provenance, ...]:
    """The provenances in these bytes.

    Raises:
        RemoteMisuse: Anything else, or a claim above what the tier allows.
    """
    try:
        found = msgspec.json.decode(data, type=tuple[Provenance, ...])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RemoteMisuse(f"the link's jobs cannot be read: {error}") from error
    require(0 < len(found) <= JOBS_MAX, f"{len(found)} jobs of one session")
    return found

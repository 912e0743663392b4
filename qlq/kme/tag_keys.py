"""One-time keys for tags, as one party holds them for one peer: the port, and one in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from qlq.crypto import stream
from qlq.kme import marks
from qlq.kme.marks import Marks

BOOTSTRAP = "bootstrap"
"""Label of the first bits, which come from outside: the only ones that QKD did not make."""


class Sender(StrEnum):
    """Whose tags a sub-pool is for."""

    ALICE = "alice"
    BOB = "bob"


class TagKeys(Protocol):
    """One-time keys for tags, as one party holds them for one peer."""

    def take(self, sender: Sender) -> tuple[int, bytes]:
        """Spend the next key of a direction: its offset in bits and its 32 bytes.

        Raises:
            KeysExhausted: None is left.
        """

    def take_at(self, sender: Sender, offset_bits: int) -> bytes:
        """Spend the key at the offset the peer named, and all before it; its 32 bytes.

        Raises:
            RemoteMisuse: The offset is spent, is no key's, or skips too many.
            KeysExhausted: The pools differ, or none is left.
        """

    def top_up(self, sender: Sender, material: bytes, eps: float, source: str) -> None:
        """Add new key at the end of a direction.

        Args:
            sender: The direction; both parties must add the same bytes in the same order.
            material: Whole tag keys: a multiple of 32 bytes.
            eps: Epsilon of the key the bytes are from, that of earlier keys left out.
            source: Id of that key. It fills a direction once: a repetition is a ValueError.
        """

    def bootstrap(self, to_bob: bytes, to_alice: bytes) -> None:
        """Fill an empty pool with bits from outside: Alice's tags, then Bob's.

        Raises:
            ValueError: The pool has been filled before.
        """

    def available_bits(self, sender: Sender) -> int:
        """Bits left in a direction."""

    def bootstrap_bits_spent(self) -> int:
        """How many of the bits from outside are spent, both directions together."""

    @property
    def eps_accumulated(self) -> float:
        """Sum of the epsilons of all keys that filled the pool, each counted once."""


@dataclass(frozen=True, slots=True)
class TopUp:
    """What filled a direction once.

    Attributes:
        source: Id of the key it is from, or `bootstrap`.
        length_bits: How much it was.
        eps: Epsilon of that key, that of earlier keys left out.
    """

    source: str
    length_bits: int
    eps: float


def eps_of(top_ups: Iterable[TopUp]) -> float:
    """Sum of the epsilons by source, at most 1: a key that fills both directions counts once."""
    return min(1.0, math.fsum({top_up.source: top_up.eps for top_up in top_ups}.values()))


def is_from_outside(source: str) -> bool:
    """Whether a top-up came from outside, and not from a key of these parties."""
    return source == BOOTSTRAP or source.startswith(f"{BOOTSTRAP} ")


def bootstrap_spent(now: Marks, top_ups: Iterable[TopUp]) -> int:
    """Bits from outside that one direction has spent; `top_ups` in their order."""
    start, spent = 0, 0
    for top_up in top_ups:
        if is_from_outside(top_up.source):
            spent += min(max(now.spent_bits - start, 0), top_up.length_bits)
        start += top_up.length_bits
    return spent


def check_eps(eps: float) -> None:
    """Raise ValueError unless this is a probability."""
    if not 0.0 <= eps <= 1.0:
        raise ValueError(f"epsilon outside [0, 1]: {eps}")


class MemoryTagKeys:
    """`TagKeys` that end with the process, for reproducible sessions and tests."""

    def __init__(self) -> None:
        """An empty pool."""
        self._material = {sender: bytearray() for sender in Sender}
        self._marks = dict.fromkeys(Sender, Marks())
        self._top_ups: dict[Sender, tuple[TopUp, ...]] = dict.fromkeys(Sender, ())

    @classmethod
    def from_seed(cls, seed: bytes, *, tags: int) -> Self:
        """A pool with keys for so many tags a direction, the same for everyone with the seed.

        Args:
            seed: 32 bytes. Whoever knows them knows every key: no use outside a simulation.
            tags: Tags of each direction.

        Raises:
            ValueError: For a seed of another length, or no tags.
        """
        pool = cls()
        length = tags * marks.TAG_KEY_BITS // 8
        to_bob, to_alice = (
            stream.expand(seed, label=f"tag keys of {sender.value}", length=length)
            for sender in (Sender.ALICE, Sender.BOB)
        )
        pool.bootstrap(to_bob, to_alice)
        return pool

    def take(self, sender: Sender) -> tuple[int, bytes]:
        """See `TagKeys`."""
        offset, after = marks.take_next(self._marks[sender])
        return offset, self._spend(sender, offset, after)

    def take_at(self, sender: Sender, offset_bits: int) -> bytes:
        """See `TagKeys`."""
        return self._spend(sender, offset_bits, marks.take_at(self._marks[sender], offset_bits))

    def top_up(self, sender: Sender, material: bytes, eps: float, source: str) -> None:
        """See `TagKeys`."""
        check_eps(eps)
        if any(source == earlier.source for earlier in self._top_ups[sender]):
            raise ValueError(f"{source!r} has filled this direction of the pool before")
        self._marks[sender] = marks.extend(self._marks[sender], material)
        self._material[sender] += material
        self._top_ups[sender] += (TopUp(source, 8 * len(material), eps),)

    def bootstrap(self, to_bob: bytes, to_alice: bytes) -> None:
        """See `TagKeys`."""
        if any(now != Marks() for now in self._marks.values()):
            raise ValueError("the pool has been filled before")
        for material in (to_bob, to_alice):
            marks.extend(Marks(), material)
        self.top_up(Sender.ALICE, to_bob, 0.0, BOOTSTRAP)
        self.top_up(Sender.BOB, to_alice, 0.0, BOOTSTRAP)

    def available_bits(self, sender: Sender) -> int:
        """See `TagKeys`."""
        return self._marks[sender].available_bits

    def bootstrap_bits_spent(self) -> int:
        """See `TagKeys`."""
        return sum(bootstrap_spent(self._marks[each], self._top_ups[each]) for each in Sender)

    @property
    def eps_accumulated(self) -> float:
        """See `TagKeys`."""
        return eps_of(top_up for found in self._top_ups.values() for top_up in found)

    def _spend(self, sender: Sender, offset: int, after: Marks) -> bytes:
        """The key at an offset; it and all before it are overwritten, and the marks moved."""
        held, first, behind = self._material[sender], self._marks[sender], after.spent_bits // 8
        key = bytes(held[offset // 8 : behind])
        start = first.spent_bits // 8
        held[start:behind] = bytes(behind - start)
        self._marks[sender] = after
        return key

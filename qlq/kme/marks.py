"""Where one direction's authentication keys are spent: arithmetic without I/O.

A sub-pool is a line of bits that both parties hold. Keys of 256 bits are taken from the front;
what lies before `spent_bits` is gone for ever, what the peer jumps over is gone with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from qlq.crypto import mac
from qlq.errors import KeysExhausted, require

TAG_KEY_BITS = 8 * mac.KEY_BYTES
SKIP_TAGS_MAX = 64
"""Keys that one message may make us give up. The offset arrives before its tag is checked, so
that without this bound one forged message would spend the whole pool."""


@dataclass(frozen=True, slots=True)
class Marks:
    """A sub-pool's front and end, in bits from its first; multiples of 256."""

    spent_bits: int = 0
    end_bits: int = 0

    @property
    def available_bits(self) -> int:
        """Bits that are left."""
        return self.end_bits - self.spent_bits


def take_next(marks: Marks) -> tuple[int, Marks]:
    """The offset of the next key, and the marks after it; raises KeysExhausted."""
    if marks.available_bits < TAG_KEY_BITS:
        raise KeysExhausted(
            f"the authentication pool is empty ({marks.available_bits} bits left, a tag needs "
            f"{TAG_KEY_BITS}): fill it from a trusted exchange before the next session"
        )
    offset = marks.spent_bits
    return offset, Marks(offset + TAG_KEY_BITS, marks.end_bits)


def take_at(marks: Marks, offset_bits: int) -> Marks:
    """The marks after the key at an offset that the peer named, all before it given up.

    Raises:
        RemoteMisuse: The offset is spent, is no key's, or gives up more than 64 keys.
        KeysExhausted: The peer has a key there and we have none: the pools differ.
    """
    require(offset_bits % TAG_KEY_BITS == 0, f"no tag key starts at bit {offset_bits}")
    require(offset_bits >= marks.spent_bits, f"the tag key at bit {offset_bits} is spent")
    if offset_bits + TAG_KEY_BITS > marks.end_bits:
        raise KeysExhausted(
            f"the peer used a tag key at bit {offset_bits}, and this pool ends at bit "
            f"{marks.end_bits}: the pools differ; fill both anew from a trusted exchange"
        )
    skipped = (offset_bits - marks.spent_bits) // TAG_KEY_BITS
    require(skipped <= SKIP_TAGS_MAX, f"the peer would skip {skipped} tag keys")
    return Marks(offset_bits + TAG_KEY_BITS, marks.end_bits)


def extend(marks: Marks, material: bytes) -> Marks:
    """The marks with new key at the end; raises ValueError unless it is whole tag keys."""
    bits = 8 * len(material)
    if bits == 0 or bits % TAG_KEY_BITS:
        raise ValueError(f"a pool grows by whole tag keys of {TAG_KEY_BITS} bits, not {bits} bits")
    return Marks(marks.spent_bits, marks.end_bits + bits)

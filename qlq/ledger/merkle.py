"""The log tree: which entries a log has, in which order, and that it only ever grew.

The tree of RFC 9162 section 2.1, with SHA-256. `||` joins bytes:

    root of no entries      SHA-256 of nothing
    leaf                    SHA-256(0x00 || entry)
    node                    SHA-256(0x01 || left || right)
    root of n > 1 entries   node(root of the first k, root of the others), k the largest power
                            of two below n

The roots of a block's transactions and of its receipts are such roots, with their canonical bytes
as entries. The log of the chain has the 32-byte hashes of its blocks as entries.

A proof is a sequence of hashes, nothing else: how many there are, and on which side each of them
goes, follows from index and sizes alone, so that one statement has one proof. Sizes are part of a
statement and come from something trusted, such as a signed header: a root does not fix the size.

Functions take entries; those that end in `_of_hashes` take the hashes of leaves, for callers that
keep these.

Source:
    RFC 9162 sections 2.1.1, 2.1.3 and 2.1.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from qlq import codec
from qlq.errors import InvalidProof
from qlq.faults import ProofFault

HASH_BYTES = 32
SIZE_MAX = (1 << 63) - 1
"""The most entries that a proof may speak of; it has at most 64 hashes then."""
FRONTIER_BYTES_MAX = 2156
EMPTY_ROOT = sha256(b"").digest()
"""Root of a log without entries."""
_LEAF, _NODE = b"\x00", b"\x01"


class Frontier(msgspec.Struct, frozen=True, array_like=True):
    """A log without its entries: all that its root, and those of all later logs, depend on.

    Appending costs one hash on average; the root costs at most one for each bit of the size.

    Attributes:
        size: How many entries the log has, 0 to 2^63 - 1.
        nodes: Roots of the complete subtrees that the log falls into, the largest first: one for
            each bit of the size that is set.

    Source:
        The stack of RFC 9162 section 2.1.2.
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError unless there is one node for each bit that is set."""
        if not 0 <= self.size <= SIZE_MAX:
            raise ValueError(f"a log has 0 to 2^63 - 1 entries, not {self.size}")
        if len(self.nodes) != self.size.bit_count():
            raise ValueError(f"{len(self.nodes)} nodes do not make a log of {self.size} entries")
        _check_hashes(self.nodes)

    @property
    def root(self) -> bytes:
        """The log's root, 32 bytes."""
        if not self.nodes:
            return EMPTY_ROOT
        *larger, top = self.nodes
        for node in reversed(larger):
            top = _join(node, top)
        return top

    def append(self, leaf_hash: bytes) -> Frontier:
        """The log with one more entry.

        Args:
            leaf_hash: `merkle.leaf_hash` of the entry, 32 bytes.

        Raises:
            ValueError: For another length, or a log that is full.
        """
        _check_hashes((leaf_hash,))
        nodes, bits, node = list(self.nodes), self.size, leaf_hash
        while bits & 1:  # a subtree as large as this one stands before it
            node = _join(nodes.pop(), node)
            bits >>= 1
        return Frontier(self.size + 1, (*nodes, node))

    def to_bytes(self) -> bytes:
        """The canonical bytes, at most `FRONTIER_BYTES_MAX`."""
        return codec.encode(self)

    @staticmethod
    def from_bytes(data: bytes) -> Frontier:
        """The frontier in these bytes; raises RemoteMisuse for any that are none."""
        return codec.decode(data, Frontier)


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry's leaf, 32 bytes."""
    return sha256(_LEAF + entry).digest()


def root(entries: Sequence[bytes]) -> bytes:
    """The root over these entries, 32 bytes."""
    return _root([leaf_hash(entry) for entry in entries])


def root_of_hashes(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over the entries with these leaves; raises ValueError for one not of 32 bytes."""
    _check_hashes(leaf_hashes)
    return _root(leaf_hashes)


def inclusion_proof(entries: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """What shows that the entry at this index is one of the entries.

    Returns:
        At most ceil(log2(size)) hashes, from the leaf to the root.

    Raises:
        ValueError: There is no entry at this index.
    """
    return inclusion_proof_of_hashes([leaf_hash(entry) for entry in entries], index)


def inclusion_proof_of_hashes(leaf_hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """`inclusion_proof` of the entries with these leaves."""
    _check_hashes(leaf_hashes)
    if not 0 <= index < len(leaf_hashes):
        raise ValueError(f"no entry at index {index} among {len(leaf_hashes)}")
    ranges = _inclusion_ranges(index, len(leaf_hashes))
    return tuple(_root(leaf_hashes[start:end]) for start, end in ranges)


def verify_inclusion(
    entry: bytes, *, index: int, size: int, proof: Sequence[bytes], root_hash: bytes
) -> None:
    """Return if the log of this size and root has the entry at the index.

    Raises:
        InvalidProof: It cannot be seen from this proof.
    """
    verify_inclusion_of_hash(
        leaf_hash(entry), index=index, size=size, proof=proof, root_hash=root_hash
    )


def verify_inclusion_of_hash(
    leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root_hash: bytes
) -> None:
    """`verify_inclusion` of the entry with this leaf; whose leaf it is, the caller knows."""
    if not 0 <= index < size <= SIZE_MAX:
        raise InvalidProof(ProofFault.RANGE, f"index {index} in a log of {size} entries")
    ranges = _inclusion_ranges(index, size)
    _check_proof((leaf,), 1)
    _check_proof(proof, len(ranges))
    node = leaf
    for (start, _), sibling in zip(ranges, proof, strict=True):
        node = _join(sibling, node) if start < index else _join(node, sibling)
    _compare(node, root_hash)


def root_before_last(siblings: Sequence[bytes]) -> bytes:
    """The root of the log without its last entry, from the inclusion proof of that entry.

    All siblings of the last entry are to its left: together they are the log before it.

    Args:
        siblings: From the leaf up, as in an inclusion proof that holds.
    """
    if not siblings:
        return EMPTY_ROOT
    node, *rest = siblings
    for sibling in rest:
        node = _join(sibling, node)
    return node


def consistency_proof(entries: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """What shows that the log of the first `old_size` entries became that of all of them.

    Returns:
        At most ceil(log2(size)) + 1 hashes; none where the sizes are equal or the old one is 0.

    Raises:
        ValueError: For an old size that is negative or above the number of entries.
    """
    return consistency_proof_of_hashes([leaf_hash(entry) for entry in entries], old_size)


def consistency_proof_of_hashes(leaf_hashes: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """`consistency_proof` of the entries with these leaves."""
    _check_hashes(leaf_hashes)
    if not 0 <= old_size <= len(leaf_hashes):
        raise ValueError(f"no log of {old_size} entries within one of {len(leaf_hashes)}")
    if old_size == 0:
        return ()
    ranges = _consistency_ranges(old_size, len(leaf_hashes))
    return tuple(_root(leaf_hashes[start:end]) for start, end in ranges)


def verify_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return if the new log begins with all entries of the old one, in their order.

    Every log begins with the empty one: with an old size of 0 nothing is said about the new root.

    Raises:
        InvalidProof: It cannot be seen from this proof.
    """
    if not 0 <= old_size <= new_size <= SIZE_MAX:
        raise InvalidProof(ProofFault.RANGE, f"from {old_size} to {new_size} entries")
    if old_size == 0:
        _check_proof(proof, 0)
        _compare(EMPTY_ROOT, old_root)
        if new_size == 0:
            _compare(EMPTY_ROOT, new_root)
        return
    ranges = _consistency_ranges(old_size, new_size)
    _check_proof(proof, len(ranges))
    parts = list(zip(ranges, proof, strict=True))
    # A log of 2^k entries stands whole in every later one: its root is the first node, and the
    # proof does not repeat it.
    old = new = old_root if _is_power_of_two(old_size) or not parts else parts.pop(0)[1]
    for (start, _), sibling in parts:
        if start < old_size:
            old = _join(sibling, old)
            new = _join(sibling, new)
        else:
            new = _join(new, sibling)
    _compare(old, old_root)
    _compare(new, new_root)


def _join(left: bytes, right: bytes) -> bytes:
    """The hash of a node."""
    return sha256(_NODE + left + right).digest()


def _root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over these leaves, level by level.

    A node without a partner goes up unchanged: the subtrees of RFC 9162 come out, as all but the
    last of them are complete.
    """
    level = list(leaf_hashes)
    while len(level) > 1:
        alone = level[-1:] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(_NODE + left + right).digest() for left, right in pairs] + alone
    return level[0] if level else EMPTY_ROOT


def _middle(start: int, end: int) -> int:
    """Where the right subtree of these leaves begins; there are at least two."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def _inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Leaves under the siblings of a leaf's path, from the leaf to the root."""
    start, end = 0, size
    ranges = []
    while end - start > 1:
        middle = _middle(start, end)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _consistency_ranges(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """Leaves under the nodes of a consistency proof, in its order; the old size is above 0.

    The path goes down to the last complete subtree of the old log. It is the first of the ranges
    unless it is the whole old log, whose root the verifier has.
    """
    start, end = 0, new_size
    ranges = []
    while end != old_size:
        middle = _middle(start, end)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start > 0:
        ranges.append((start, end))
    return ranges[::-1]


def _is_power_of_two(size: int) -> bool:
    return size & (size - 1) == 0


def _check_hashes(hashes: Sequence[bytes]) -> None:
    """Raises ValueError for what our own caller should have hashed."""
    for part in hashes:
        if len(part) != HASH_BYTES:
            raise ValueError(f"a hash has {HASH_BYTES} bytes, not {len(part)}")


def _check_proof(proof: Sequence[bytes], count: int) -> None:
    """Raises InvalidProof unless there are so many hashes."""
    if len(proof) != count:
        detail = f"{len(proof)} hashes, where this place has {count}"
        raise InvalidProof(ProofFault.LENGTH, detail)
    if any(len(part) != HASH_BYTES for part in proof):
        raise InvalidProof(ProofFault.MALFORMED, f"a hash that has not {HASH_BYTES} bytes")


def _compare(found: bytes, wanted: bytes) -> None:
    """Raises InvalidProof unless the proof led to the root that it should lead to."""
    if found != wanted:
        raise InvalidProof(ProofFault.ROOT, f"leads to {found.hex()}, not to {wanted.hex()}")

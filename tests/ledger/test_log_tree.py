"""The log tree beside published roots and proofs, pymerkle, and RFC 9162 written down slowly."""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from functools import partial
from pathlib import Path

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.errors import InvalidProof, RemoteMisuse
from qlq.faults import ProofFault
from qlq.ledger import merkle
from qlq.ledger.merkle import Frontier

PUBLISHED = json.loads((Path(__file__).parent / "vectors" / "log_tree.json").read_text())
ENTRIES = [bytes.fromhex(entry) for entry in PUBLISHED["entries"]]
ROOTS = dict(enumerate(PUBLISHED["roots"]))
ENTRY_LISTS = st.lists(st.binary(max_size=40), min_size=1, max_size=70)
SIZES = [*range(1, 34), 63, 64, 65]


class Known(Enum):
    YES, NO = range(2)


def slow_root(entries: list[bytes]) -> bytes:
    """The definition, RFC 9162 section 2.1.1."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = split(len(entries))
    return hashlib.sha256(b"\x01" + slow_root(entries[:k]) + slow_root(entries[k:])).digest()


def slow_subproof(m: int, entries: list[bytes], known: Known) -> list[bytes]:
    """The definition, RFC 9162 section 2.1.4.1; the verifier knows the first old root."""
    if m == len(entries):
        return [] if known is Known.YES else [slow_root(entries)]
    k = split(len(entries))
    if m <= k:
        return [*slow_subproof(m, entries[:k], known), slow_root(entries[k:])]
    return [*slow_subproof(m - k, entries[k:], Known.NO), slow_root(entries[:k])]


def split(n: int) -> int:
    """The largest power of two below n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def numbers(size: int) -> list[bytes]:
    return [index.to_bytes(3, "big") for index in range(size)]


def peer(entries: list[bytes]) -> pymerkle.InmemoryTree:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in entries:
        tree.append_entry(entry)
    return tree


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize(("size", "root"), ROOTS.items())
def test_root_is_the_published_one(size: int, root: str) -> None:
    assert merkle.root(ENTRIES[:size]).hex() == root
    assert (
        merkle.root_of_hashes([merkle.leaf_hash(entry) for entry in ENTRIES[:size]]).hex() == root
    )


@pytest.mark.parametrize("size", range(9))
def test_the_frontier_is_the_published_one(size: int) -> None:
    frontier = Frontier()
    for entry in ENTRIES[:size]:
        frontier = frontier.append(merkle.leaf_hash(entry))
    assert [node.hex() for node in frontier.nodes] == PUBLISHED["frontiers"][size]
    assert frontier.root.hex() == ROOTS[size]


@pytest.mark.parametrize("vector", PUBLISHED["inclusion"])
def test_an_inclusion_proof_is_the_published_one(vector: dict) -> None:
    index, size = vector["index"], vector["size"]
    proof = [bytes.fromhex(part) for part in vector["proof"]]
    assert list(merkle.inclusion_proof(ENTRIES[:size], index)) == proof
    root = bytes.fromhex(ROOTS[size])
    merkle.verify_inclusion(ENTRIES[index], index=index, size=size, proof=proof, root_hash=root)


@pytest.mark.parametrize("vector", PUBLISHED["consistency"])
def test_a_consistency_proof_is_the_published_one(vector: dict) -> None:
    old, new = vector["old_size"], vector["new_size"]
    proof = [bytes.fromhex(part) for part in vector["proof"]]
    assert list(merkle.consistency_proof(ENTRIES[:new], old)) == proof
    roots = {"old_root": bytes.fromhex(ROOTS[old]), "new_root": bytes.fromhex(ROOTS[new])}
    merkle.verify_consistency(old_size=old, new_size=new, proof=proof, **roots)


@given(entries=st.lists(st.binary(max_size=40), max_size=70))
def test_roots_and_frontiers_follow_the_definition(entries: list[bytes]) -> None:
    frontier = Frontier()
    for entry in entries:
        frontier = frontier.append(merkle.leaf_hash(entry))
    assert merkle.root(entries) == frontier.root == slow_root(entries)
    assert frontier.size == len(entries)


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_proof_is_pymerkle_s(size: int) -> None:
    entries = numbers(size)
    tree, root = peer(entries), merkle.root(entries)
    assert tree.get_root() == root
    for index, entry in enumerate(entries):
        leaf, *path = tree.prove_inclusion(index + 1).path
        assert leaf == merkle.leaf_hash(entry)
        assert list(merkle.inclusion_proof(entries, index)) == path
        assert 32 * len(path) <= 32 * (size - 1).bit_length()
        merkle.verify_inclusion(entry, index=index, size=size, proof=path, root_hash=root)


@pytest.mark.parametrize("size", SIZES)
def test_every_consistency_proof_follows_the_definition(size: int) -> None:
    # pymerkle's own consistency proofs have another form than the RFC's; its roots are the same.
    entries = numbers(size)
    tree = peer(entries)
    for old in range(1, size + 1):
        proof = slow_subproof(old, entries, Known.YES)
        assert list(merkle.consistency_proof(entries, old)) == proof
        assert len(proof) <= (size - 1).bit_length() + 1
        merkle.verify_consistency(
            old_size=old,
            new_size=size,
            old_root=tree.get_root(old),
            new_root=tree.get_root(size),
            proof=proof,
        )


@given(entries=ENTRY_LISTS, data=st.data())
def test_a_proof_fits_its_entry_and_no_other(entries: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(entries) - 1), label="index")
    verify = partial(
        merkle.verify_inclusion,
        index=index,
        size=len(entries),
        proof=merkle.inclusion_proof(entries, index),
        root_hash=merkle.root(entries),
    )
    verify(entry=entries[index])
    with pytest.raises(InvalidProof) as refused:
        verify(entry=entries[index] + b"\x00")
    assert refused.value.reason is ProofFault.ROOT


@pytest.mark.parametrize("size", range(1, 10))
def test_an_inclusion_proof_with_any_bit_changed_is_refused(size: int) -> None:
    entries = numbers(size)
    root = merkle.root(entries)
    for index, entry in enumerate(entries):
        proof = merkle.inclusion_proof(entries, index)
        whole = b"".join((entry, root, *proof))
        for bit in range(8 * len(whole)):
            changed = flip(whole, bit)
            parts = [changed[start : start + 32] for start in range(3, len(changed), 32)]
            with pytest.raises(InvalidProof):
                merkle.verify_inclusion(
                    changed[:3], index=index, size=size, proof=parts[1:], root_hash=parts[0]
                )


@pytest.mark.parametrize("size", range(1, 34))
def test_a_proof_is_refused_at_every_other_index(size: int) -> None:
    entries = numbers(size)
    root = merkle.root(entries)
    for index, entry in enumerate(entries):
        proof = merkle.inclusion_proof(entries, index)
        for other in {*range(-1, size + 1)} - {index}:
            with pytest.raises(InvalidProof):
                merkle.verify_inclusion(entry, index=other, size=size, proof=proof, root_hash=root)


@pytest.mark.parametrize("size", range(2, 10))
def test_hashes_too_many_too_few_or_too_short_are_refused(size: int) -> None:
    entries = numbers(size)
    root = merkle.root(entries)
    for index, entry in enumerate(entries):
        proof = merkle.inclusion_proof(entries, index)
        verify = partial(merkle.verify_inclusion, entry, index=index, size=size, root_hash=root)
        for wrong in (proof[1:], proof[:-1], (*proof, root), (root, *proof), (*proof, b"")):
            with pytest.raises(InvalidProof, match="length: "):
                verify(proof=wrong)
        for wrong in ((proof[0][:-1], *proof[1:]), (*proof[:-1], proof[-1] + b"\x00")):
            with pytest.raises(InvalidProof, match="malformed: "):
                verify(proof=wrong)


def test_a_node_is_no_entry() -> None:
    left, right = merkle.root(ENTRIES[:2]), merkle.root(ENTRIES[2:4])
    assert merkle.root([left + right]) != merkle.root(ENTRIES[:4])
    with pytest.raises(InvalidProof):
        merkle.verify_inclusion(
            left + right, index=0, size=1, proof=(), root_hash=merkle.root(ENTRIES[:4])
        )


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 3), (3, 4), (3, 7), (4, 7), (6, 8), (7, 8)])
def test_a_consistency_proof_with_any_bit_changed_is_refused(old: int, new: int) -> None:
    entries = numbers(new)
    proof = merkle.consistency_proof(entries, old)
    whole = b"".join((merkle.root(entries[:old]), merkle.root(entries), *proof))
    for bit in range(8 * len(whole)):
        changed = flip(whole, bit)
        parts = [changed[start : start + 32] for start in range(0, len(changed), 32)]
        with pytest.raises(InvalidProof):
            merkle.verify_consistency(
                old_size=old, new_size=new, old_root=parts[0], new_root=parts[1], proof=parts[2:]
            )


@given(entries=ENTRY_LISTS, data=st.data())
def test_a_log_that_rewrote_an_entry_cannot_be_shown_to_have_grown(
    entries: list[bytes], data: st.DataObject
) -> None:
    old = data.draw(st.integers(1, len(entries)), label="old size")
    changed = data.draw(st.integers(0, old - 1), label="changed")
    forged = [*entries[:changed], entries[changed] + b"\x00", *entries[changed + 1 :]]
    verify = partial(
        merkle.verify_consistency,
        old_size=old,
        new_size=len(entries),
        old_root=merkle.root(entries[:old]),
    )
    proof = merkle.consistency_proof(entries, old)
    verify(new_root=merkle.root(entries), proof=proof)
    for attempt in (proof, merkle.consistency_proof(forged, old)):
        with pytest.raises(InvalidProof):
            verify(new_root=merkle.root(forged), proof=attempt)


@pytest.mark.parametrize(("old", "new"), [(1, 1), (2, 5), (6, 8), (4, 8)])
def test_a_consistency_proof_of_another_length_is_refused(old: int, new: int) -> None:
    entries = numbers(new)
    proof, root = merkle.consistency_proof(entries, old), merkle.root(entries)
    for wrong in {(*proof, root), (root, *proof), proof[:-1], proof[1:], ()} - {proof}:
        with pytest.raises(InvalidProof, match="length: "):
            merkle.verify_consistency(
                old_size=old,
                new_size=new,
                old_root=merkle.root(entries[:old]),
                new_root=root,
                proof=wrong,
            )


def test_every_log_begins_with_the_empty_one_and_none_ends_with_it() -> None:
    empty, root = merkle.root([]), merkle.root(ENTRIES)
    check = merkle.verify_consistency
    assert merkle.consistency_proof(ENTRIES, 0) == ()
    check(old_size=0, new_size=8, old_root=empty, new_root=root, proof=())
    check(old_size=0, new_size=0, old_root=empty, new_root=empty, proof=())
    with pytest.raises(InvalidProof, match="root: "):
        check(old_size=0, new_size=8, old_root=root, new_root=root, proof=())
    with pytest.raises(InvalidProof, match="root: "):
        check(old_size=0, new_size=0, old_root=empty, new_root=root, proof=())
    with pytest.raises(InvalidProof, match="length: "):
        check(old_size=0, new_size=8, old_root=empty, new_root=root, proof=(root,))
    with pytest.raises(InvalidProof, match="range: "):
        check(old_size=8, new_size=0, old_root=root, new_root=empty, proof=())


@pytest.mark.parametrize(
    ("index", "size"), [(0, 0), (1, 1), (-1, 1), (0, -1), (0, 1 << 63), (1 << 63, 1 << 64)]
)
def test_an_index_that_no_log_has_is_refused(index: int, size: int) -> None:
    with pytest.raises(InvalidProof) as refused:
        merkle.verify_inclusion(b"", index=index, size=size, proof=(), root_hash=bytes(32))
    assert refused.value.reason is ProofFault.RANGE


@pytest.mark.parametrize(("old", "new"), [(-1, 1), (2, 1), (1, 1 << 63), (1 << 63, 1 << 63)])
def test_sizes_that_no_logs_have_are_refused(old: int, new: int) -> None:
    with pytest.raises(InvalidProof) as refused:
        merkle.verify_consistency(
            old_size=old, new_size=new, old_root=bytes(32), new_root=bytes(32), proof=()
        )
    assert refused.value.reason is ProofFault.RANGE


def test_the_largest_log_s_proofs_have_63_hashes() -> None:
    with pytest.raises(InvalidProof, match="where this place has 63"):
        merkle.verify_inclusion(b"", index=0, size=merkle.SIZE_MAX, proof=(), root_hash=bytes(32))


def test_what_is_not_in_the_log_cannot_be_asked_for() -> None:
    for index in (-1, 8):
        with pytest.raises(ValueError, match="no entry at index"):
            merkle.inclusion_proof(ENTRIES, index)
    for old in (-1, 9):
        with pytest.raises(ValueError, match="no log of"):
            merkle.consistency_proof(ENTRIES, old)
    for leaves in ([b"entry"], [bytes(33)]):
        with pytest.raises(ValueError, match="a hash has 32 bytes"):
            merkle.root_of_hashes(leaves)
        for frontier in (Frontier(), Frontier().append(bytes(32))):
            with pytest.raises(ValueError, match="a hash has 32 bytes"):
                frontier.append(leaves[0])
        with pytest.raises(ValueError, match="a hash has 32 bytes"):
            Frontier(1, tuple(leaves))


@given(count=st.integers(0, 300))
def test_a_frontier_goes_on_from_its_bytes(count: int) -> None:
    frontier = Frontier()
    for entry in numbers(count):
        frontier = frontier.append(merkle.leaf_hash(entry))
    resumed = Frontier.from_bytes(frontier.to_bytes()).append(merkle.leaf_hash(b"next"))
    assert resumed.root == slow_root([*numbers(count), b"next"])


def test_a_full_log_s_frontier_is_as_long_as_it_gets() -> None:
    full = Frontier(merkle.SIZE_MAX, tuple(bytes([index]) * 32 for index in range(63)))
    assert len(full.to_bytes()) == merkle.FRONTIER_BYTES_MAX
    assert Frontier.from_bytes(full.to_bytes()) == full
    with pytest.raises(ValueError, match="2\\^63 - 1 entries"):
        full.append(bytes(32))


@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_frontier_or_refused(data: bytes) -> None:
    for candidate in (data, b"\x01\x92" + data):
        try:
            assert Frontier.from_bytes(candidate).to_bytes() == candidate
        except RemoteMisuse:
            continue


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 0), (2, 2), (3, 1), (-1, 0)])
def test_a_frontier_has_one_node_for_each_bit_of_its_size(size: int, count: int) -> None:
    with pytest.raises(ValueError, match="entries"):
        Frontier(size, (bytes(32),) * count)

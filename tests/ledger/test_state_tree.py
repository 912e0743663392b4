"""The state tree beside published roots and a definition that splits a map bit by bit."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qlq.errors import InvalidProof
from qlq.faults import ProofFault
from qlq.ledger import state_tree
from qlq.ledger.state_tree import EMPTY, Ending, Proof

PUBLISHED = json.loads((Path(__file__).parent / "vectors" / "state_tree.json").read_text())
ZEROS = bytes(32)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def slow_root(entries: Mapping[bytes, bytes], path: Callable[[bytes], bytes] = sha256) -> bytes:
    """The definition: no entry, one entry, or the two halves of the map by the next bit."""
    leaves = {}
    for key, value in entries.items():
        bits = "".join(f"{byte:08b}" for byte in path(key))
        leaves[bits] = sha256(b"\x00" + path(key) + sha256(value))
    return slow_node(leaves, 0)


def slow_node(leaves: dict[str, bytes], depth: int) -> bytes:
    if not leaves:
        return ZEROS
    if len(leaves) == 1:
        return next(iter(leaves.values()))
    left, right = (
        slow_node({bits: leaf for bits, leaf in leaves.items() if bits[depth] == side}, depth + 1)
        for side in "01"
    )
    return sha256(b"\x01" + left + right)


def close_keys(count: int) -> list[bytes]:
    """Pairs of keys whose paths part late, so that removals have something to collapse."""
    paths = sorted((sha256(str(number).encode()), str(number).encode()) for number in range(40_000))
    pairs = sorted(
        (int.from_bytes(low, "big") ^ int.from_bytes(high, "big"), left, right)
        for (low, left), (high, right) in pairwise(paths)
    )
    return [key for _, *pair in pairs[:count] for key in pair]


CLOSE = close_keys(12)
KEYS = st.sampled_from([*CLOSE, *(b"key %d" % number for number in range(24))])
VALUES = st.binary(max_size=8)
MAPS = st.dictionaries(KEYS, VALUES, max_size=40)
BATCHES = st.lists(st.dictionaries(KEYS, st.none() | VALUES, max_size=12), max_size=8)


def changed(entries: dict[bytes, bytes], batch: Mapping[bytes, bytes | None]) -> dict[bytes, bytes]:
    return {key: value for key, value in (entries | batch).items() if value is not None}


def numbered(count: int) -> dict[bytes, bytes]:
    return {b"key %d" % number: b"value %d" % number for number in range(count)}


def flip(data: bytes, bit: int) -> bytes:
    parts = bytearray(data)
    parts[bit // 8] ^= 1 << bit % 8
    return bytes(parts)


@pytest.mark.parametrize("vector", PUBLISHED, ids=lambda vector: vector["name"])
def test_root_is_the_published_one(vector: dict) -> None:
    at_once = one_by_one = EMPTY
    for step, first, last in vector["steps"]:
        value = b"DATA" if step == "update" else None
        keys = [number.to_bytes(4, "big") for number in range(first, last)]
        at_once = at_once.update(dict.fromkeys(keys, value))
        for key in keys:
            one_by_one = one_by_one.update({key: value})
    assert at_once.root.hex() == one_by_one.root.hex() == vector["root"]


def test_the_close_keys_are_close() -> None:
    shared = [
        256
        - (int.from_bytes(sha256(left), "big") ^ int.from_bytes(sha256(right), "big")).bit_length()
        for left, right in zip(CLOSE[::2], CLOSE[1::2], strict=True)
    ]
    assert min(shared) > 24


@given(batches=BATCHES)
def test_every_batch_gives_the_root_of_the_map_that_it_makes(
    batches: list[dict[bytes, bytes | None]],
) -> None:
    tree, entries = EMPTY, {}
    for batch in batches:
        tree, entries = tree.update(batch), changed(entries, batch)
        assert tree.root == slow_root(entries)
        assert tree.size == len(entries)


@given(entries=MAPS, detours=MAPS, order=st.randoms(use_true_random=False))
def test_the_root_depends_on_the_map_alone(
    entries: dict[bytes, bytes], detours: dict[bytes, bytes], order: random.Random
) -> None:
    items = list(entries.items())
    order.shuffle(items)
    tree = EMPTY.update(detours)
    for key, value in items:
        tree = tree.update({key: value})
    tree = tree.update({key: None for key in detours if key not in entries})
    assert tree.root == EMPTY.update(entries).root == EMPTY.update(dict(items)).root
    assert tree.update(dict.fromkeys(entries)).root == ZEROS
    assert tree.update(dict.fromkeys(entries)).size == 0


@given(entries=MAPS, batch=st.dictionaries(KEYS, st.none() | VALUES, max_size=12))
def test_a_tree_stays_what_it_was_when_another_comes_from_it(
    entries: dict[bytes, bytes], batch: dict[bytes, bytes | None]
) -> None:
    tree = EMPTY.update(entries)
    proofs = {key: tree.prove(key) for key in entries | batch}
    tree.update(batch)
    assert (tree.root, tree.size) == (slow_root(entries), len(entries))
    assert {key: tree.prove(key) for key in proofs} == proofs


def test_removing_what_is_not_there_changes_nothing() -> None:
    tree = EMPTY.update(numbered(20))
    same = tree.update({b"absent %d" % number: None for number in range(50)})
    assert (same.root, same.size) == (tree.root, 20)
    assert same._top is tree._top  # nothing was built anew
    assert EMPTY.update({b"absent": None}).root == ZEROS


def test_an_entry_with_an_empty_value_is_an_entry() -> None:
    tree = EMPTY.update({b"key": b""})
    assert tree.root == sha256(b"\x00" + sha256(b"key") + sha256(b""))
    assert tree.size == 1
    state_tree.verify_membership(tree.prove(b"key"), key=b"key", value=b"", root_hash=tree.root)


def test_a_tree_does_not_print_what_is_in_it() -> None:
    assert repr(EMPTY) == f"Tree(root={ZEROS!r}, size=0)"


@given(entries=MAPS, key=KEYS)
def test_a_key_is_shown_to_be_there_or_not_to_be_and_never_the_other(
    entries: dict[bytes, bytes], key: bytes
) -> None:
    tree = EMPTY.update(entries)
    proof = Proof.from_bytes(tree.prove(key).to_bytes())
    assert proof == tree.prove(key)
    absent = partial(state_tree.verify_absence, key=key, root_hash=tree.root)
    present = partial(state_tree.verify_membership, key=key, root_hash=tree.root)
    if key in entries:
        present(proof, value=entries[key])
        with pytest.raises(InvalidProof, match="root: "):
            present(proof, value=entries[key] + b"\x00")
        with pytest.raises(InvalidProof, match="kind: "):
            absent(proof)
    else:
        absent(proof)
        with pytest.raises(InvalidProof, match="kind: "):
            present(proof, value=b"")


@given(entries=MAPS, other=MAPS, key=KEYS)
def test_a_proof_holds_for_no_other_map_s_root(
    entries: dict[bytes, bytes], other: dict[bytes, bytes], key: bytes
) -> None:
    proof, root_hash = EMPTY.update(entries).prove(key), EMPTY.update(other).root
    assume(entries != other)
    with pytest.raises(InvalidProof, match="root: "):
        shows(proof.to_bytes(), key, entries, root_hash)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 12])
def test_a_proof_with_any_bit_changed_is_refused(count: int) -> None:
    entries = numbered(count) | dict.fromkeys(CLOSE[: count // 2], b"close")
    tree = EMPTY.update(entries)
    for key in [*list(entries)[-4:], b"absent 1", b"absent 2", CLOSE[6]]:
        data = tree.prove(key).to_bytes()
        for bit in range(8 * len(data)):
            with pytest.raises(InvalidProof):
                shows(flip(data, bit), key, entries, tree.root)
        for bit in range(256):
            with pytest.raises(InvalidProof):
                shows(data, key, entries, flip(tree.root, bit))
        shows(data, key, entries, tree.root)


def shows(data: bytes, key: bytes, entries: dict[bytes, bytes], root_hash: bytes) -> None:
    """Raises InvalidProof unless the bytes show one thing or the other about the key."""
    proof = Proof.from_bytes(data)
    if proof.ending is Ending.KEY:
        value = entries.get(key, b"")
        state_tree.verify_membership(proof, key=key, value=value, root_hash=root_hash)
    else:
        state_tree.verify_absence(proof, key=key, root_hash=root_hash)


def test_a_proof_for_one_key_says_nothing_of_another() -> None:
    entries = numbered(40)
    tree = EMPTY.update(entries)
    for key, value in entries.items():
        proof = tree.prove(key)
        for other in (*entries, b"absent"):
            if other != key:
                with pytest.raises(InvalidProof, match="root: "):
                    state_tree.verify_membership(proof, key=other, value=value, root_hash=tree.root)


def test_no_present_key_can_be_shown_to_be_absent() -> None:
    entries = numbered(40)
    tree = EMPTY.update(entries)
    for key in entries:
        for other, value in entries.items():
            proof = tree.prove(other)
            leaf = sha256(other) + sha256(value)
            as_other = msgspec.structs.replace(proof, ending=Ending.OTHER, other=leaf)
            as_empty = msgspec.structs.replace(proof, ending=Ending.EMPTY)
            with pytest.raises(InvalidProof) as refused:
                state_tree.verify_absence(as_other, key=key, root_hash=tree.root)
            own = ProofFault.KIND if other == key else ProofFault.OFF_PATH
            assert refused.value.reason is own
            with pytest.raises(InvalidProof, match="root: "):
                state_tree.verify_absence(as_empty, key=key, root_hash=tree.root)


def test_a_node_is_no_leaf_and_a_leaf_no_node() -> None:
    keys = sorted(numbered(24), key=sha256)
    left, right = (sha256(b"\x00" + sha256(key) + sha256(b"v")) for key in (keys[0], keys[-1]))
    tree = EMPTY.update({keys[0]: b"v", keys[-1]: b"v"})
    assert tree.root == sha256(b"\x01" + left + right)  # these two paths part at the first bit
    top = Proof(ending=Ending.OTHER, depth=0, present=b"", siblings=b"", other=left + right)
    with pytest.raises(InvalidProof, match="root: "):
        state_tree.verify_absence(top, key=b"absent", root_hash=tree.root)
    # A map whose only leaf is taken for a node with two children, one of them its own path.
    one = EMPTY.update({keys[0]: b"v"})
    below = Proof(ending=Ending.EMPTY, depth=1, present=b"\x80", siblings=sha256(b"v"))
    with pytest.raises(InvalidProof, match="root: "):
        state_tree.verify_absence(below, key=keys[0], root_hash=one.root)


PROOF = {"ending": Ending.EMPTY, "depth": 2, "present": b"\x80", "siblings": bytes([1]) * 32}
MALFORMED = {
    "a depth below 0": {"depth": -1},
    "a depth above 256": {"depth": 257, "present": b"\x80" + bytes(32)},
    "bits missing": {"depth": 9},
    "bits too many": {"present": b"\x80\x00"},
    "a bit beyond the depth": {"present": b"\x20"},
    "a sibling missing": {"present": b"\xc0"},
    "a sibling too many": {"siblings": bytes([1]) * 64},
    "part of a sibling": {"siblings": bytes([1]) * 31},
    "an empty place given as a sibling": {"siblings": ZEROS},
    "a leaf that nothing asks for": {"other": bytes(64)},
    "half a leaf": {"ending": Ending.OTHER, "other": bytes(63)},
    "no leaf": {"ending": Ending.OTHER},
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_proof_has_one_form(fields: dict) -> None:
    whole = Proof(**PROOF)
    with pytest.raises(ValueError, match=r"\d|empty place"):
        Proof(**PROOF | fields)
    parts = [*msgspec.structs.asdict(whole).values()]
    names = list(msgspec.structs.asdict(whole))
    for name, value in fields.items():
        parts[names.index(name)] = value
    with pytest.raises(InvalidProof) as refused:
        Proof.from_bytes(b"\x01" + msgspec.msgpack.encode(parts))
    assert refused.value.reason is ProofFault.MALFORMED


@given(data=st.binary(max_size=120))
def test_any_bytes_are_a_proof_or_refused(data: bytes) -> None:
    for candidate in (data, b"\x01\x95" + data):
        try:
            assert Proof.from_bytes(candidate).to_bytes() == candidate
        except InvalidProof:
            continue


def test_the_longest_proof_has_the_stated_length_and_no_more_is_read() -> None:
    longest = Proof(
        ending=Ending.OTHER,
        depth=256,
        present=b"\xff" * 32,
        siblings=b"\x01" * 8192,
        other=bytes(64),
    )
    assert len(longest.to_bytes()) == state_tree.PROOF_BYTES_MAX
    assert Proof.from_bytes(longest.to_bytes()) == longest
    with pytest.raises(InvalidProof, match="8302 bytes"):
        Proof.from_bytes(bytes(8302))


def test_proofs_of_a_large_map_are_short() -> None:
    count = 20_000
    tree = EMPTY.update(numbered(count))
    bytes_max = 32 * (math.log2(count) + 6) + 100
    endings = set()
    for number in range(0, 2 * count, 5):
        proof = tree.prove(b"key %d" % number)
        endings.add(proof.ending)
        assert len(proof.to_bytes()) <= bytes_max
    assert endings == set(Ending)


@pytest.fixture
def own_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of 32 bytes are their own paths: nobody finds keys whose SHA-256 part at the end."""

    class Itself:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def digest(self) -> bytes:
            return self.data

    def stand_in(data: bytes) -> Itself:
        return Itself(data) if len(data) == 32 else hashlib.sha256(data)

    monkeypatch.setattr(state_tree, "sha256", stand_in)


def path_with(*bits: int) -> bytes:
    return sum(1 << (255 - bit) for bit in {*bits}).to_bytes(32, "big")


@pytest.mark.usefixtures("own_paths")
def test_the_deepest_tree_is_a_tree_like_any_other() -> None:
    entries = {path_with(bit): b"v%d" % bit for bit in range(256)} | {path_with(): b"base"}
    tree = EMPTY.update(entries)
    assert tree.root == slow_root(entries, path=bytes)
    proof = Proof.from_bytes(tree.prove(path_with()).to_bytes())
    assert (proof.depth, len(proof.siblings)) == (256, 256 * 32)
    state_tree.verify_membership(proof, key=path_with(), value=b"base", root_hash=tree.root)
    last_two = {path_with(255): b"v255", path_with(): b"base"}
    tree = tree.update({key: None for key in entries if key not in last_two})
    assert tree.root == slow_root(last_two, path=bytes)
    proof = tree.prove(path_with(255))
    assert (proof.depth, proof.present) == (256, bytes(31) + b"\x01")
    state_tree.verify_membership(proof, key=path_with(255), value=b"v255", root_hash=tree.root)
    assert tree.update({path_with(255): None}).prove(path_with()).depth == 0


@pytest.mark.usefixtures("own_paths")
@pytest.mark.parametrize("seed", range(40))
def test_paths_that_part_anywhere_follow_the_definition(seed: int) -> None:
    sim_rng = random.Random(seed)  # noqa: S311 - which test is run, nothing secret
    places = (0, 1, 7, 8, 15, 16, 127, 248, 254, 255)
    pool = [path_with(*sim_rng.sample(places, sim_rng.randrange(4))) for _ in range(14)]
    tree, entries = EMPTY, {}
    for _ in range(12):
        keys = sim_rng.sample(pool, sim_rng.randrange(6))
        batch = {key: sim_rng.choice((None, b"a", b"b", b"")) for key in keys}
        tree, entries = tree.update(batch), changed(entries, batch)
        assert tree.root == slow_root(entries, path=bytes)
        assert tree.size == len(entries)
        for key in pool:
            shows(tree.prove(key).to_bytes(), key, entries, tree.root)
            assert (tree.prove(key).ending is Ending.KEY) == (key in entries)

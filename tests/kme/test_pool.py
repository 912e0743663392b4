"""One-time keys for tags: the same on both sides, spent once, also across a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.errors import KeysExhausted, KeyStoreDamaged, RemoteMisuse
from qlq.kme import marks
from qlq.kme.database import FILE
from qlq.kme.marks import Marks
from qlq.kme.pool import AuthenticationPool
from qlq.kme.tag_keys import MemoryTagKeys, Sender, TagKeys

MASTER = bytes(range(32))
TO_BOB = bytes(range(64))
TO_ALICE = bytes(range(100, 164))


@pytest.fixture(params=["disk", "memory"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TagKeys]:
    """A pool of each kind, without any key."""
    if request.param == "memory":
        yield MemoryTagKeys()
        return
    with AuthenticationPool(tmp_path, MASTER, peer="bob") as pool:
        yield pool


@pytest.fixture
def pool(empty: TagKeys) -> TagKeys:
    """A pool of each kind with two tag keys a direction."""
    empty.bootstrap(TO_BOB, TO_ALICE)
    return empty


def test_keys_come_from_the_front_and_directions_never_meet(pool: TagKeys) -> None:
    assert pool.take(Sender.ALICE) == (0, TO_BOB[:32])
    assert pool.take(Sender.BOB) == (0, TO_ALICE[:32])
    assert pool.take(Sender.ALICE) == (256, TO_BOB[32:])
    assert pool.available_bits(Sender.ALICE) == 0
    assert pool.available_bits(Sender.BOB) == 256


def test_an_empty_direction_is_refused(pool: TagKeys) -> None:
    pool.take(Sender.ALICE)
    pool.take(Sender.ALICE)
    with pytest.raises(KeysExhausted):
        pool.take(Sender.ALICE)
    assert pool.take(Sender.BOB)[0] == 0


def test_a_pool_that_was_never_filled_is_empty(empty: TagKeys) -> None:
    assert empty.available_bits(Sender.BOB) == 0
    with pytest.raises(KeysExhausted):
        empty.take(Sender.BOB)


def test_the_receiver_follows_the_offset_and_gives_up_what_is_skipped(pool: TagKeys) -> None:
    assert pool.take_at(Sender.BOB, 256) == TO_ALICE[32:]
    assert pool.available_bits(Sender.BOB) == 0
    with pytest.raises(RemoteMisuse, match="spent"):
        pool.take_at(Sender.BOB, 0)


def test_a_repeated_offset_is_refused(pool: TagKeys) -> None:
    pool.take_at(Sender.BOB, 0)
    with pytest.raises(RemoteMisuse, match="spent"):
        pool.take_at(Sender.BOB, 0)
    assert pool.take_at(Sender.BOB, 256) == TO_ALICE[32:]


@pytest.mark.parametrize("offset", [1, 255, 257, -1, -256])
def test_an_offset_where_no_key_starts_is_refused(pool: TagKeys, offset: int) -> None:
    with pytest.raises(RemoteMisuse):
        pool.take_at(Sender.BOB, offset)
    assert pool.available_bits(Sender.BOB) == 512


def test_an_offset_beyond_the_pool_says_that_the_pools_differ(pool: TagKeys) -> None:
    with pytest.raises(KeysExhausted, match="differ"):
        pool.take_at(Sender.BOB, 512)
    assert pool.available_bits(Sender.BOB) == 512


def test_one_message_cannot_spend_the_whole_pool(empty: TagKeys) -> None:
    empty.bootstrap(bytes(32), bytes(32 * 200))
    with pytest.raises(RemoteMisuse, match="skip"):
        empty.take_at(Sender.BOB, 65 * 256)
    empty.take_at(Sender.BOB, 64 * 256)
    assert empty.available_bits(Sender.BOB) == (200 - 65) * 256


def test_new_key_goes_behind_the_old(pool: TagKeys) -> None:
    pool.take(Sender.ALICE)
    pool.top_up(Sender.ALICE, b"\xee" * 32, 1e-9, "key-1")
    assert pool.available_bits(Sender.ALICE) == 512
    pool.take(Sender.ALICE)
    assert pool.take(Sender.ALICE) == (512, b"\xee" * 32)


def test_epsilons_add_up_and_a_key_counts_once(pool: TagKeys) -> None:
    assert pool.eps_accumulated == 0.0
    for sender in Sender:
        pool.top_up(sender, bytes(32), 1e-9, "key-1")
        pool.top_up(sender, bytes(32), 3e-9, "key-2")
    assert pool.eps_accumulated == pytest.approx(4e-9, rel=1e-12)


def test_a_key_fills_a_direction_once(pool: TagKeys) -> None:
    pool.top_up(Sender.ALICE, bytes(32), 1e-9, "key-1")
    with pytest.raises(ValueError, match="key-1"):
        pool.top_up(Sender.ALICE, bytes(32), 1e-9, "key-1")
    with pytest.raises(ValueError, match="filled before"):
        pool.bootstrap(bytes(32), bytes(32))
    assert pool.available_bits(Sender.ALICE) == 768


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_pool_grows_by_whole_tag_keys(pool: TagKeys, size: int) -> None:
    with pytest.raises(ValueError, match=str(8 * size)):
        pool.top_up(Sender.ALICE, bytes(size), 0.0, "key-1")


@pytest.mark.parametrize("eps", [-1e-9, 1.5, float("nan")])
def test_an_epsilon_is_a_probability(pool: TagKeys, eps: float) -> None:
    with pytest.raises(ValueError, match=str(eps)):
        pool.top_up(Sender.ALICE, bytes(32), eps, "key-1")


def test_a_bootstrap_that_does_not_fit_fills_nothing(empty: TagKeys) -> None:
    with pytest.raises(ValueError, match="8"):
        empty.bootstrap(bytes(32), b"x")
    assert empty.available_bits(Sender.ALICE) == 0


def test_bits_from_outside_are_counted_as_they_are_spent(pool: TagKeys) -> None:
    pool.top_up(Sender.ALICE, bytes(64), 1e-9, "key-1")
    assert pool.bootstrap_bits_spent() == 0
    pool.take(Sender.ALICE)
    pool.take_at(Sender.BOB, 256)
    assert pool.bootstrap_bits_spent() == 256 + 512
    pool.take(Sender.ALICE)
    pool.take(Sender.ALICE)
    assert pool.bootstrap_bits_spent() == 512 + 512


def test_two_parties_with_one_seed_hold_the_same_keys() -> None:
    alice, bob = (MemoryTagKeys.from_seed(bytes(32), tags=3) for _ in range(2))
    offset, key = alice.take(Sender.ALICE)
    assert bob.take_at(Sender.ALICE, offset) == key
    assert bob.take(Sender.BOB)[1] != key


def test_pools_with_two_peers_are_apart(tmp_path: Path) -> None:
    with (
        AuthenticationPool(tmp_path, MASTER, peer="bob") as one,
        AuthenticationPool(tmp_path, MASTER, peer="carol") as other,
    ):
        one.bootstrap(TO_BOB, TO_ALICE)
        assert other.available_bits(Sender.ALICE) == 0
        other.bootstrap(TO_ALICE, TO_BOB)
        one.take(Sender.ALICE)
        assert other.take(Sender.ALICE) == (0, TO_ALICE[:32])


def test_what_is_spent_stays_spent_and_leaves_the_disk(tmp_path: Path) -> None:
    with AuthenticationPool(tmp_path, MASTER, peer="bob") as pool:
        pool.bootstrap(TO_BOB, TO_ALICE)
        pool.take(Sender.ALICE)
    db = sqlite3.connect(tmp_path / FILE)
    left = db.execute("SELECT sender, offset_bits FROM tag_keys ORDER BY 1, 2").fetchall()
    db.close()
    assert left == [("alice", 256), ("bob", 0), ("bob", 256)]
    with AuthenticationPool(tmp_path, MASTER, peer="bob") as pool:
        assert pool.take(Sender.ALICE) == (256, TO_BOB[32:])
        with pytest.raises(RemoteMisuse):
            pool.take_at(Sender.ALICE, 0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE pools SET spent_bits = 0",
        "UPDATE pools SET end_bits = 256",
        "DELETE FROM pools",
        "DELETE FROM tag_keys",
        "UPDATE tag_keys SET sealed = zeroblob(61)",
        "UPDATE OR REPLACE tag_keys SET sender = 'alice'",
        "UPDATE tag_keys SET sealed = (SELECT sealed FROM tag_keys WHERE sender = 'bob')",
        "UPDATE top_ups SET eps = '0.5'",
        "UPDATE top_ups SET length_bits = 256",
        "DELETE FROM top_ups",
    ],
)
def test_whoever_edits_a_pool_is_found(tmp_path: Path, statement: str) -> None:
    with AuthenticationPool(tmp_path, MASTER, peer="bob") as pool:
        pool.bootstrap(TO_BOB, TO_ALICE)
        pool.take(Sender.BOB)
        pool.take(Sender.ALICE)
    db = sqlite3.connect(tmp_path / FILE)
    db.executescript(statement)
    db.close()
    with AuthenticationPool(tmp_path, MASTER, peer="bob") as pool, pytest.raises(KeyStoreDamaged):
        _use_all(pool)


def _use_all(pool: AuthenticationPool) -> None:
    """Everything that a session asks of a pool."""
    assert pool.eps_accumulated == 0.0
    pool.take(Sender.ALICE)
    pool.take(Sender.BOB)


_TAKING = """
import sys
from pathlib import Path
from qlq.kme.pool import AuthenticationPool
from qlq.kme.tag_keys import Sender
pool = AuthenticationPool(Path(sys.argv[1]), bytes(range(32)), peer="bob")
while True:
    print(pool.take(Sender.ALICE)[0], flush=True)
"""


@pytest.mark.parametrize("lines", [1, 7])
def test_a_key_that_was_handed_out_before_a_kill_is_never_handed_out_again(
    tmp_path: Path, lines: int
) -> None:
    with AuthenticationPool(tmp_path, MASTER, peer="bob") as pool:
        pool.bootstrap(bytes(32 * 5000), bytes(32))
    command = [sys.executable, "-c", _TAKING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        told = [int(running.stdout.readline()) for _ in range(lines)]
        os.kill(running.pid, signal.SIGKILL)
        told += [int(line) for line in running.stdout.read().splitlines()]
    with AuthenticationPool(tmp_path, MASTER, peer="bob") as pool:
        assert pool.take(Sender.ALICE)[0] > max(told)


def test_two_processes_never_take_the_same_key(tmp_path: Path) -> None:
    with AuthenticationPool(tmp_path, MASTER, peer="bob") as pool:
        pool.bootstrap(bytes(32 * 200), bytes(32))
    once = _TAKING.replace("while True:", "for _ in range(60):")
    command = [sys.executable, "-c", once, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [int(line) for each in running for line in each.communicate()[0].splitlines()]
    assert sorted(told) == [256 * index for index in range(120)]


@given(st.lists(st.one_of(st.none(), st.integers(-300, 9000)), max_size=30))
def test_marks_never_go_back_and_no_offset_is_taken_twice(wishes: list[int | None]) -> None:
    """Any mixture of own keys and offsets of the peer, legal or not."""
    now, taken = Marks(0, 256 * 30), set()
    for wish in wishes:
        try:
            offset, after = (
                marks.take_next(now) if wish is None else (wish, marks.take_at(now, wish))
            )
        except (KeysExhausted, RemoteMisuse):
            continue
        assert offset not in taken
        assert now.spent_bits < after.spent_bits <= after.end_bits == now.end_bits
        taken.add(offset)
        now = after

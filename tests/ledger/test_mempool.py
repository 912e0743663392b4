"""What waits is bounded, in order, and shared fairly; refusing is cheap."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest

from qlq import codec
from qlq.errors import InvalidTransaction
from qlq.faults import TransactionFault as Fault
from qlq.ledger import admission, genesis, holdings, mempool, records
from qlq.ledger.mempool import Mempool, Waiting
from qlq.ledger.operations import Anchor

ID = bytes(range(32))


@dataclass
class Room:
    """A mempool over a chain."""

    chain: Any
    pool: Mempool
    count: int = 0

    @property
    def height(self) -> int:
        return self.chain.tip.height + 1

    def waiting(self, sender: Any, nonce: int, **fields: Any) -> Waiting:
        self.count += 1
        usual: dict[str, Any] = {
            "id": hashlib.sha256(b"%d" % self.count).digest(),
            "sender": sender.address,
            "nonce": nonce,
            "fee": 1_000,
            "cost": 0,
            "valid_until": self.height + 50,
            "entry": bytes(1_000),
            "peer": "",
            "arrival": 0,
        }
        return Waiting(**(usual | fields))

    def add(self, sender: Any, nonce: int, **fields: Any) -> Waiting:
        made = self.waiting(sender, nonce, **fields)
        self.pool.add(self.chain.state, made, height=self.height)
        return made

    def refusal(self, sender: Any, nonce: int, **fields: Any) -> Fault:
        made = self.waiting(sender, nonce, **fields)
        with pytest.raises(InvalidTransaction) as caught:
            self.pool.add(self.chain.state, made, height=self.height)
        return caught.value.reason

    def order(self) -> list[bytes]:
        found = self.pool.candidates(self.chain.state, height=self.height)
        return [one.id for one in found]


@pytest.fixture
def room(fees: Any) -> Room:
    return Room(fees, Mempool(fees.rules.chain, fees.rules.genesis))


def test_nonces_of_an_account_go_in_order_and_wait_for_a_gap(room: Room, alice: Any) -> None:
    third, first = room.add(alice, 3), room.add(alice, 0)
    assert room.order() == [first.id]
    assert room.pool.next_nonce(alice.address, 0) == 1
    second, fourth = room.add(alice, 1), room.add(alice, 2)
    assert room.order() == [first.id, second.id, fourth.id, third.id]
    assert room.pool.next_nonce(alice.address, 0) == 4


def test_accounts_take_turns_and_higher_fees_go_first_among_them(
    room: Room, alice: Any, bob: Any
) -> None:
    many = [room.add(alice, nonce, fee=9_000) for nonce in range(3)]
    late = [room.add(bob, nonce, fee=1_000 + 9_000 * nonce) for nonce in range(2)]
    wanted = [many[0].id, late[0].id, late[1].id, many[1].id, many[2].id]
    assert room.order() == wanted


def test_another_in_its_place_offers_a_tenth_more(room: Room, alice: Any) -> None:
    first = room.add(alice, 0, fee=1_005)
    assert room.refusal(alice, 0, fee=1_105) is Fault.REPLACEMENT_FEE_TOO_LOW
    second = room.add(alice, 0, fee=1_106)  # 1,005 and 100.5, rounded up
    assert room.order() == [second.id]
    assert room.pool.find(first.id) is None
    assert len(room.pool) == 1
    assert room.pool.size_bytes == 1_000


def test_without_fees_there_is_still_no_free_replacement(quotas: Any, alice: Any) -> None:
    room = Room(quotas, Mempool(quotas.rules.chain, quotas.rules.genesis))
    room.add(alice, 0, fee=0)
    assert room.refusal(alice, 0, fee=0) is Fault.REPLACEMENT_FEE_TOO_LOW


def test_an_account_has_a_quota(world: Any, alice: Any, bob: Any) -> None:
    chain = world.chain(world.changed(genesis.FEES, pending_max=3), rich=(alice, bob))
    room = Room(chain, Mempool(chain.rules.chain, chain.rules.genesis))
    for nonce in range(3):
        room.add(alice, nonce)
    assert room.refusal(alice, 3) is Fault.QUOTA
    room.add(bob, 0)
    assert room.refusal(alice, 0, id=room.pool.find(room.order()[0]).id) is Fault.DUPLICATE  # type: ignore[union-attr]


def test_a_peer_fills_a_quarter_of_the_room_and_no_more(
    room: Room, alice: Any, bob: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mempool, "COUNT_MAX", 8)
    room.add(alice, 0, peer="flood")
    room.add(alice, 1, peer="flood")
    assert room.refusal(alice, 2, peer="flood") is Fault.PEER_QUOTA
    room.add(bob, 0, peer="quiet")
    room.add(alice, 2, peer="")


def test_a_full_room_keeps_who_offers_more(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mempool, "COUNT_MAX", 4)
    people = [world.person(f"p{index}") for index in range(6)]
    chain = world.chain(genesis.FEES, rich=tuple(people))
    room = Room(chain, Mempool(chain.rules.chain, chain.rules.genesis))
    low = [room.add(one, 0, fee=2_000 + index) for index, one in enumerate(people[:4])]
    assert room.refusal(people[4], 0, fee=2_000) is Fault.MEMPOOL_FULL
    high = room.add(people[4], 0, fee=5_000)
    assert room.pool.find(low[0].id) is None
    assert room.order()[0] == high.id
    assert len(room.pool) == 4


def test_nobody_leaves_a_full_room_for_one_that_does_not_fit_all_the_same(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mempool, "BYTES_MAX", 10_000)
    people = [world.person(f"p{index}") for index in range(11)]
    chain = world.chain(genesis.FEES, rich=tuple(people))
    room = Room(chain, Mempool(chain.rules.chain, chain.rules.genesis))
    kept = [
        room.add(one, 0, fee=1_500 if index < 4 else 5_000) for index, one in enumerate(people[:10])
    ]
    assert room.refusal(people[10], 0, fee=2_000, entry=bytes(4_001)) is Fault.MEMPOOL_FULL
    assert len(room.pool) == len(kept)
    assert room.pool.size_bytes == 10_000
    room.add(people[10], 0, fee=2_000, entry=bytes(4_000))
    assert [room.pool.find(one.id) is None for one in kept] == [True] * 4 + [False] * 6


def test_the_last_of_an_account_leave_one_after_the_other(
    room: Room, alice: Any, bob: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mempool, "BYTES_MAX", 4_000)
    waiting = [room.add(alice, nonce, fee=1_000 + nonce) for nonce in range(4)]
    room.add(bob, 0, fee=9_000, entry=bytes(2_500))
    assert [room.pool.find(one.id) is None for one in waiting] == [False, True, True, True]
    assert room.pool.size_bytes == 3_500


def test_a_replacement_makes_the_room_of_the_old_one_its_own(
    room: Room, alice: Any, bob: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mempool, "BYTES_MAX", 4_000)
    old, other = room.add(alice, 0), room.add(bob, 0, fee=9_000, entry=bytes(3_000))
    new = room.add(alice, 0, fee=2_000)
    assert room.pool.find(old.id) is None
    assert room.pool.find(new.id) is not None
    assert room.refusal(alice, 0, fee=8_000, entry=bytes(1_001)) is Fault.MEMPOOL_FULL
    assert room.pool.find(new.id) is not None
    assert room.pool.find(other.id) is not None
    assert room.pool.size_bytes == 4_000


def test_an_account_pays_for_all_that_waits_of_it_together(room: Room, alice: Any) -> None:
    account = holdings.find_account(room.chain.state, alice.address)
    assert account is not None
    half = account.native // 2
    room.add(alice, 0, cost=half)
    assert room.refusal(alice, 1, cost=account.native - half + 1) is Fault.FEE_UNAFFORDABLE
    assert room.refusal(alice, 0, fee=2_000, cost=account.native + 1) is Fault.FEE_UNAFFORDABLE
    room.add(alice, 1, cost=account.native - half)
    room.add(alice, 0, fee=2_000, cost=half)


def test_what_is_expired_leaves_a_full_room_first(
    room: Room, alice: Any, bob: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mempool, "COUNT_MAX", 4)
    old = room.add(alice, 0, fee=10**6, valid_until=room.height)
    for nonce in range(3):
        room.add(bob, nonce)
    for _ in range(2):
        room.chain.accept(room.chain.propose())
    room.add(bob, 3, valid_until=room.height + 9)
    assert room.pool.find(old.id) is None


def test_a_block_settles_what_it_decides_and_what_has_expired(
    room: Room, alice: Any, bob: Any
) -> None:
    chain = room.chain
    signed = chain.signed(chain.draft(alice, Anchor(1, ID)), alice)
    taken = room.add(alice, 0, id=signed.id, entry=signed.to_bytes())
    short = room.add(bob, 0, valid_until=room.height)
    stays = room.add(bob, 1)
    chain.put(signed)
    gone = room.pool.settle(chain.state, height=room.height)
    assert {one.id for one in gone} == {taken.id, short.id}
    assert room.pool.find(stays.id) is not None
    assert len(room.pool) == 1


class _Counting:
    """A view that counts what is read."""

    def __init__(self, below: Any) -> None:
        self.below, self.reads = below, 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return self.below.get(key)  # type: ignore[no-any-return]


def test_an_unknown_sender_costs_one_lookup_and_no_signature_check(
    room: Room, carol: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "verify", None)
    draft = room.chain.draft(carol, Anchor(1, ID))
    view = _Counting(room.chain.state)
    with pytest.raises(InvalidTransaction) as caught:
        room.pool.check_clear(view, draft, size=500, peer="p", height=room.height)
    assert caught.value.reason is Fault.UNKNOWN_SENDER
    assert view.reads == 1


@pytest.mark.parametrize(
    ("fields", "size", "reason"),
    [
        ({"chain": ID}, 500, Fault.CHAIN),
        ({"valid_until": 0}, 500, Fault.EXPIRED),
        ({"fee": 1}, 500, Fault.FEE_TOO_LOW),
        ({"nonce": 64}, 500, Fault.QUOTA),
        ({}, (1 << 20) + 1, Fault.SEAL_TOO_LARGE),
    ],
)
def test_what_an_envelope_shows_is_enough_to_refuse_it(
    room: Room, alice: Any, fields: dict[str, Any], size: int, reason: Fault
) -> None:
    draft = room.chain.draft(alice, Anchor(1, ID), **fields)
    with pytest.raises(InvalidTransaction) as caught:
        room.pool.check_clear(room.chain.state, draft, size=size, peer="p", height=room.height)
    assert caught.value.reason is reason


def waited(world: Any, flood: int) -> list[int]:
    """Blocks that each of an honest account's transactions waits, beside a flood in each height."""
    honest, flooder = world.person("honest"), world.person("flooder")
    chain = world.chain(
        world.changed(genesis.QUOTAS, pending_max=10_000),
        limits=genesis.Limits(transactions_max=20),
    )
    chain.enrol(honest, flooder)
    room = Room(chain, Mempool(chain.rules.chain, chain.rules.genesis))
    sent, nonces, born = {}, {honest.name: 0, flooder.name: 0}, {}
    delays = []
    for height in range(60):
        for person, count in ((flooder, flood), (honest, 5)):
            for _ in range(count):
                try:
                    made = room.add(
                        person, nonces[person.name], peer=person.name, valid_until=10_000, fee=0
                    )
                except InvalidTransaction:
                    continue
                nonces[person.name] += 1
                sent[made.id], born[made.id] = person, height
        for transaction in room.order()[:20]:
            room.pool.drop(transaction)
            if sent[transaction] is honest:
                delays.append(height - born[transaction])
            _use_nonce(chain, sent[transaction])
    return sorted(delays)


def _use_nonce(chain: Any, person: Any) -> None:
    """Nonces move on as in a block, without signatures, which are not the matter here."""
    account = holdings.find_account(chain.state, person.address)
    assert account is not None
    used = records.Account(account.nonce + 1, account.native, account.key, account.entries)
    changes: dict[bytes, bytes | None] = {records.account_key(person.address): codec.encode(used)}
    chain.state.accept(changes, chain.state.tree)


def test_a_flood_of_ten_times_the_load_does_not_delay_others(world: Any) -> None:
    """The 99th percentile of blocks waited, of 300, is at most twice that without the flood."""
    calm, flooded = waited(world, 5), waited(world, 200)
    assert len(flooded) >= 290
    p99 = [delays[len(delays) * 99 // 100] for delays in (calm, flooded)]
    assert p99[1] <= 2 * p99[0]

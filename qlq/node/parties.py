"""Alice's and Bob's belongings: their authentication pools and key stores."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from qlq.crypto.signing import SEED_BYTES, Algorithm, SigningKey
from qlq.disk.turn import Turn
from qlq.errors import InvariantBroken, KeyStoreDamaged
from qlq.keys import SecretKey
from qlq.kme import tag_keys
from qlq.kme.identity import Identities
from qlq.kme.pool import AuthenticationPool
from qlq.kme.store import KeyStore
from qlq.kme.tag_keys import MemoryTagKeys, Sender, TagKeys
from qlq.qkd.authentication import TAG_KEY_BITS
from qlq.qkd.duties import Party, TagKey, TakeTagKey

TAG_KEY_BYTES = TAG_KEY_BITS // 8
TURN_S = 120.0
"""How long a session waits for another one on the same home, which needs some seconds."""
RESERVE_TAGS = 8
"""Tag keys that each direction holds once the first keys allow it: an attacker who provokes
failures at the tags must do so eight times in a row before the pool is empty."""
RESERVE_SHARE_MAX = 4
"""No more than a quarter of a new key fills the reserve."""

_SENDER = {Party.ALICE: Sender.ALICE, Party.BOB: Sender.BOB}
_OTHER = {Party.ALICE: Party.BOB, Party.BOB: Party.ALICE}


@dataclass(frozen=True, slots=True)
class Pair:
    """The parties of a session in this process; each has its own pool and its own store.

    Both of them, or one whose peer is in another process.

    Attributes:
        pools: One-time tag keys by party; both hold the same bits.
        stores: Key stores by party; None where keys are not kept.
        identities: Signing keys by party; None where they are made for one exchange.
        turn: Held from the first tag key to the last write, so that two sessions on one home
            never mix what they take from the pools and add to them; None where none are kept.
    """

    pools: dict[Party, TagKeys]
    stores: dict[Party, KeyStore] | None
    identities: dict[Party, Identities] | None = None
    turn: Turn | None = None

    def introduced(self) -> dict[Party, SigningKey]:
        """Both parties' signing keys, each of which the other one knows.

        Both parties are in this process: that is the trusted exchange of their keys.

        Raises:
            KeyStoreError: A party knows the other one by another key.
            KeyStoreDamaged: A file was changed.
        """
        if self.identities is None:
            return {p: SigningKey(Algorithm.ML_DSA_65, os.urandom(SEED_BYTES)) for p in Party}
        keys = {party: held.own() for party, held in self.identities.items()}
        for party, held in self.identities.items():
            other = _OTHER[party]
            held.learn(other.value, keys[other].verifying_key)
        return keys

    def take_tag_key(self, party: Party, wanted: TakeTagKey) -> TagKey:
        """Spend a one-time key of a party's pool; durable before this returns, where it is kept."""
        pool, sender = self.pools[party], _SENDER[wanted.sender]
        if wanted.offset_bits is None:
            return TagKey(*pool.take(sender))
        return TagKey(wanted.offset_bits, pool.take_at(sender, wanted.offset_bits))

    def begin(self) -> None:
        """Take the turn, and see to it that both pools hold the same keys, and some.

        Before the first tag key; once more does no harm. `close` gives the turn back.

        Raises:
            KeyStoreError: Another session on this home does not end.
        """
        if self.turn is None or self.turn.is_held:
            return
        self.turn.take(timeout_s=TURN_S)
        for store in (self.stores or {}).values():
            store.list()  # finds changed rows before anything is added beside them
        align({p: held for p, held in self.pools.items() if isinstance(held, AuthenticationPool)})

    @property
    def eps_earlier(self) -> float:
        """Epsilon of the earlier keys that filled the pool."""
        return max(pool.eps_accumulated for pool in self.pools.values())

    @property
    def bootstrap_bits_spent(self) -> int:
        """Tag-key bits from outside that have been spent so far, the same in every pool."""
        return next(iter(self.pools.values())).bootstrap_bits_spent()

    def top_up_tags(self, secret_bits: int) -> int:
        """Tag keys of a new key that go to each direction: what is missing from the reserve.

        At least the one that the session spent, where the key is longer than that, or the next
        session could not start; beyond it at most a quarter of the key in all.
        """
        pool = next(iter(self.pools.values()))
        missing = max(
            RESERVE_TAGS - pool.available_bits(sender) // TAG_KEY_BITS for sender in Sender
        )
        room = secret_bits // RESERVE_SHARE_MAX // (2 * TAG_KEY_BITS)
        spent = 1 if secret_bits > 2 * TAG_KEY_BITS else 0
        return max(0, min(missing, max(room, spent)))

    def top_up(self, material: bytes, *, tags: int, eps: float, source: str) -> None:
        """Put the first bytes of a new key into both parties' pools, Alice's direction first."""
        half = tags * TAG_KEY_BYTES
        if len(material) != 2 * half:
            raise InvariantBroken(f"{len(material)} bytes for {tags} tag keys a direction")
        for pool in self.pools.values():
            if tags:
                pool.top_up(Sender.ALICE, material[:half], eps, source)
                pool.top_up(Sender.BOB, material[half:], eps, source)

    def keep(self, keys: dict[Party, SecretKey]) -> None:
        """Put each party's copy into its own store."""
        if self.stores is None:
            return
        now_s = int(time.time())
        for party, key in keys.items():
            self.stores[party].add(key, _OTHER[party].value, now_s)

    def close(self) -> None:
        """Give the files back."""
        for held in (*self.pools.values(), *(self.stores or {}).values()):
            if isinstance(held, AuthenticationPool | KeyStore):
                held.close()
        if self.turn is not None:
            self.turn.give_back()


def open_pair(home: Path, masters: dict[Party, bytes]) -> Pair:
    """Both parties' folders below `home/parties`, created on first use.

    The pools are filled when the first tag key is taken, see `align`.

    Raises:
        ConfigError: A folder cannot be used, or its master key is another one.
        KeyStoreDamaged: A file has been changed.
    """
    pools: dict[Party, TagKeys] = {}
    stores = {}
    for party in Party:
        folder = party_folder(home, party)
        pools[party] = AuthenticationPool(folder, masters[party], peer=_OTHER[party].value)
        stores[party] = KeyStore(folder, masters[party])
    identities = {party: Identities(party_folder(home, party), masters[party]) for party in Party}
    return Pair(pools, stores, identities, Turn(home / "parties"))


def align(pools: dict[Party, AuthenticationPool]) -> None:
    """Make the pools of both parties, in one process, hold the same keys and at least one.

    They are empty at first, and after sessions that died when their tags were spent. They differ
    where a process died between the two parties' writes. In these cases what is left is given
    up, and both go on with 512 bits of operating-system entropy, labelled as such: results say
    how many of them a session spent.

    Raises:
        KeyStoreDamaged: One party has nothing, and the other has had keys with it.
    """
    held = list(pools.values())
    is_equal = all(len({_current(pool, sender) for pool in held}) == 1 for sender in Sender)
    if is_equal and all(_tags_left(held, sender) for sender in Sender):
        return
    for party, pool in pools.items():
        other = _OTHER[party]
        if not any(pool.sources(sender) for sender in Sender) and _has_met(pools[other]):
            raise KeyStoreDamaged(
                f"the store of {party.value} is new, and {other.value} has had keys with it: "
                "restore a copy that you trust, or move both stores away"
            )
    start_bits = max(_end_bits(pool, sender) for pool in held for sender in Sender)
    to_bob, to_alice = os.urandom(TAG_KEY_BYTES), os.urandom(TAG_KEY_BYTES)
    for pool in held:
        pool.restart(to_bob, to_alice, start_bits=start_bits)


def _has_met(pool: AuthenticationPool) -> bool:
    """Whether a key of the two parties ever filled the pool."""
    filled = [top_up.source for sender in Sender for top_up in pool.sources(sender)]
    return any(not tag_keys.is_from_outside(source) for source in filled)


def _current(pool: AuthenticationPool, sender: Sender) -> tuple[tuple[int, str], ...]:
    """Start and source of what has filled a direction since it last began from outside."""
    start_bits = 0
    found: list[tuple[int, str]] = []
    for top_up in pool.sources(sender):
        if tag_keys.is_from_outside(top_up.source):
            found = []
        found.append((start_bits, top_up.source))
        start_bits += top_up.length_bits
    return tuple(found)


def _end_bits(pool: AuthenticationPool, sender: Sender) -> int:
    return sum(top_up.length_bits for top_up in pool.sources(sender))


def _tags_left(pools: list[AuthenticationPool], sender: Sender) -> int:
    """Tag keys of a direction that neither pool has spent."""
    spent_bits = max(pool.spent_bits(sender) for pool in pools)
    return (_end_bits(pools[0], sender) - spent_bits) // TAG_KEY_BITS


def party_folder(home: Path, party: Party) -> Path:
    """Where a party keeps its secrets."""
    return home / "parties" / party.value


def passing_pair(seed: bytes) -> Pair:
    """A pair that keeps nothing: its pools follow from 32 bytes and end with the process."""
    return Pair({party: MemoryTagKeys.from_seed(seed, tags=1) for party in Party}, None)

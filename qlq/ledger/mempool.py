"""Transactions that wait for a block: which ones may, in which order they go, which ones leave.

Two steps, the cheap one first:

    check_clear   what an envelope shows without being opened: one lookup of the sender, no
                  signature, no key used
    add           an opened transaction whose signatures have been verified

Accounts take turns, so that one which sends much delays itself and nobody else; among equal turns
a higher fee goes first, then who came first. A transaction waits until those of its account with
lower nonces are gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import Protocol

from qlq.errors import InvalidTransaction
from qlq.faults import TransactionFault
from qlq.ledger import admission
from qlq.ledger.genesis import Genesis
from qlq.ledger.records import Account
from qlq.ledger.state import View

COUNT_MAX = 10_000
BYTES_MAX = 64 * 1024 * 1024
PEER_SHARE = 4
"""One peer may fill a quarter of the room."""
REPLACEMENT_PERCENT = 10
"""Another transaction in a waiting one's place offers so much more fee, one unit at least."""


class Clear(Protocol):
    """What drafts and envelopes show without being opened."""

    @property
    def chain(self) -> bytes:
        """Chain id."""

    @property
    def sender(self) -> bytes:
        """Who pays."""

    @property
    def nonce(self) -> int:
        """Transactions of the sender before."""

    @property
    def valid_until(self) -> int:
        """Last height of a block that may hold it."""

    @property
    def fee(self) -> int:
        """Native units offered."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction that waits.

    Attributes:
        id: Its id.
        sender: Who pays.
        nonce: Its place among the sender's.
        fee: Native units offered.
        cost: The fee, and all the gas that it asks for, in native units.
        valid_until: Last height of a block that may hold it.
        entry: Its canonical bytes.
        peer: Who brought it.
        arrival: How many came before it.
    """

    id: bytes
    sender: bytes
    nonce: int
    fee: int
    cost: int
    valid_until: int
    entry: bytes
    peer: str
    arrival: int


class Mempool:
    """What waits, within bounds. No clock, no threads: whoever holds it calls one at a time."""

    def __init__(self, chain: bytes, rules: Genesis) -> None:
        """Empty, for a chain."""
        self._chain, self._rules = chain, rules
        self._accounts: dict[bytes, dict[int, Waiting]] = {}
        self._ids: dict[bytes, Waiting] = {}
        self._peers: dict[str, list[int]] = {}
        self._bytes = 0
        self._arrivals = 0

    def __len__(self) -> int:
        """How many transactions wait."""
        return len(self._ids)

    @property
    def size_bytes(self) -> int:
        """Bytes of all that wait."""
        return self._bytes

    def find(self, transaction: bytes) -> Waiting | None:
        """A waiting transaction; None if there is none with this id."""
        return self._ids.get(transaction)

    def next_nonce(self, account: bytes, confirmed: int) -> int:
        """The nonce after those of an account that wait without a gap, from the confirmed one."""
        waiting = self._accounts.get(account, {})
        nonce = confirmed
        while nonce in waiting:
            nonce += 1
        return nonce

    def check_clear(self, view: View, clear: Clear, *, size: int, peer: str, height: int) -> None:
        """Return if a transaction is worth opening and verifying.

        Args:
            view: The state after the last final block.
            clear: The envelope, or the draft.
            size: Bytes of what was received.
            peer: Who brought it; empty for this node itself.
            height: Of the next block.

        Raises:
            InvalidTransaction: It is not; what it cost is at most a lookup of the sender.
        """
        rules = self._rules
        limits = rules.limits
        admission.check_expiry(
            clear.chain, clear.valid_until, height=height, chain=self._chain, limits=limits
        )
        if size > limits.sealed_bytes_max:
            detail = f"{size} bytes; at most {limits.sealed_bytes_max}"
            raise InvalidTransaction(TransactionFault.SEAL_TOO_LARGE, detail)
        account = admission.find_sender(view, clear.sender)
        if clear.fee < rules.policy.fee_min:
            detail = f"{clear.fee} offered, {rules.policy.fee_min} is the least"
            raise InvalidTransaction(TransactionFault.FEE_TOO_LOW, detail)
        self._check_place(account, clear)
        self._check_peer(peer, size)

    def add(self, view: View, waiting: Waiting, *, height: int) -> None:
        """Let an opened and verified transaction wait.

        Args:
            view: The state after the last final block.
            waiting: Its `arrival` is given here.
            height: Of the next block.

        Raises:
            InvalidTransaction: It waits already, its account's or peer's quota is used up, the
                account cannot pay for it beside what waits, or the room is full of others that
                offer as much.
        """
        if waiting.id in self._ids:
            raise InvalidTransaction(TransactionFault.DUPLICATE, f"{waiting.id.hex()} waits")
        account = admission.find_sender(view, waiting.sender)
        self._check_place(account, waiting)
        self._check_peer(waiting.peer, len(waiting.entry))
        old = self._accounts.get(waiting.sender, {}).get(waiting.nonce)
        self._check_funds(account, waiting, old)
        self._make_room(waiting, old, height)
        self._arrivals += 1
        self._put_in(replace(waiting, arrival=self._arrivals))

    def candidates(self, view: View, *, height: int) -> Iterator[Waiting]:
        """What could go into a block, best first; later nonces of an account after earlier ones.

        Args:
            view: The state that the block would be carried out on.
            height: Of the block.
        """
        heap: list[tuple[int, int, int, Waiting]] = []
        for sender, by_nonce in self._accounts.items():
            first = by_nonce.get(_confirmed(view, sender))
            if first is not None:
                heap.append((0, -first.fee, first.arrival, first))
        heapify(heap)
        while heap:
            turn, _, _, best = heappop(heap)
            if best.valid_until < height:
                continue
            yield best
            following = self._accounts.get(best.sender, {}).get(best.nonce + 1)
            if following is not None:
                heappush(heap, (turn + 1, -following.fee, following.arrival, following))

    def drop(self, transaction: bytes) -> None:
        """Forget a transaction that was refused when its turn came."""
        waiting = self._ids.get(transaction)
        if waiting is not None:
            self._take_out(waiting)

    def settle(self, view: View, *, height: int) -> tuple[Waiting, ...]:
        """Forget what a new final block has decided or outlived, and say what it was.

        Args:
            view: The state after it.
            height: Of the block that comes next.
        """
        gone = [
            waiting
            for waiting in self._ids.values()
            if waiting.valid_until < height or waiting.nonce < _confirmed(view, waiting.sender)
        ]
        for waiting in gone:
            self._take_out(waiting)
        return tuple(gone)

    def _check_place(self, account: Account, clear: Clear | Waiting) -> None:
        """Return if the nonce has a place: new, within the quota, or worth a replacement."""
        if clear.nonce < account.nonce:
            admission.check_nonce(account, clear.nonce)
        pending_max = self._rules.policy.pending_max
        if clear.nonce >= account.nonce + pending_max:
            detail = f"nonce {clear.nonce}; {pending_max} of an account wait at most, the next one "
            detail += f"to be confirmed is {account.nonce}"
            raise InvalidTransaction(TransactionFault.QUOTA, detail)
        old = self._accounts.get(clear.sender, {}).get(clear.nonce)
        if old is not None:
            least = old.fee + max(1, -(-old.fee * REPLACEMENT_PERCENT // 100))
            if clear.fee < least:
                detail = f"one with nonce {clear.nonce} waits; in its place it takes a fee of "
                detail += f"{least}, not {clear.fee}"
                raise InvalidTransaction(TransactionFault.REPLACEMENT_FEE_TOO_LOW, detail)

    def _check_peer(self, peer: str, size: int) -> None:
        """Return if a peer has room left; this node itself has all of it."""
        count, used = self._peers.get(peer, (0, 0))
        if peer and (count >= COUNT_MAX // PEER_SHARE or used + size > BYTES_MAX // PEER_SHARE):
            detail = f"{count} transactions of {used} bytes of this peer wait"
            raise InvalidTransaction(TransactionFault.PEER_QUOTA, detail)

    def _check_funds(self, account: Account, wanted: Waiting, old: Waiting | None) -> None:
        """Return if the sender can pay for all that waits of it together."""
        waiting = self._accounts.get(wanted.sender, {}).values()
        cost = wanted.cost + sum(one.cost for one in waiting if one is not old)
        if cost > account.native:
            detail = f"with what waits of the sender it costs {cost}, and there are"
            detail += f" {account.native}: wait for a block"
            raise InvalidTransaction(TransactionFault.FEE_UNAFFORDABLE, detail)

    def _make_room(self, wanted: Waiting, old: Waiting | None, height: int) -> None:
        """Let the old one in its place leave, and the least worthy until it fits.

        Raises:
            InvalidTransaction: It would not fit in their place either; all of them stay.
        """
        leaving = [] if old is None else [old]
        over_count = len(self._ids) - len(leaving) + 1 - COUNT_MAX
        over_bytes = self._bytes - sum(len(one.entry) for one in leaving)
        over_bytes += len(wanted.entry) - BYTES_MAX
        worthless = self._least_worthy(wanted, height)
        while over_count > 0 or over_bytes > 0:
            worst = next(worthless, None)
            if worst is None:
                detail = f"{len(self._ids)} transactions of {self._bytes} bytes wait: offer more"
                raise InvalidTransaction(TransactionFault.MEMPOOL_FULL, detail)
            if worst is not old:
                leaving.append(worst)
                over_count, over_bytes = over_count - 1, over_bytes - len(worst.entry)
        for one in leaving:
            self._take_out(one)

    def _least_worthy(self, wanted: Waiting, height: int) -> Iterator[Waiting]:
        """Those that leave for the wanted one, in their order: expired, then the lowest fee.

        Always the last of an account, and only one that offers less, or of an account with more
        that wait. None of the same account, whose earlier ones the wanted one waits for.
        """
        own = len(self._accounts.get(wanted.sender, {}))
        left = {sender: sorted(nonces) for sender, nonces in self._accounts.items()}
        heap: list[tuple[bool, int, int, Waiting]] = []

        def consider(sender: bytes) -> None:
            if not left[sender]:
                return
            last = self._accounts[sender][left[sender][-1]]
            is_expired = last.valid_until < height
            is_less = last.fee < wanted.fee or len(left[sender]) > 1 + own
            if is_expired or (is_less and sender != wanted.sender):
                heappush(heap, (not is_expired, last.fee, -last.arrival, last))

        for sender in left:
            consider(sender)
        while heap:
            _, _, _, worst = heappop(heap)
            yield worst
            left[worst.sender].pop()
            consider(worst.sender)

    def _put_in(self, waiting: Waiting) -> None:
        self._ids[waiting.id] = waiting
        self._accounts.setdefault(waiting.sender, {})[waiting.nonce] = waiting
        used = self._peers.setdefault(waiting.peer, [0, 0])
        used[0] += 1
        used[1] += len(waiting.entry)
        self._bytes += len(waiting.entry)

    def _take_out(self, waiting: Waiting) -> None:
        del self._ids[waiting.id]
        by_nonce = self._accounts[waiting.sender]
        del by_nonce[waiting.nonce]
        if not by_nonce:
            del self._accounts[waiting.sender]
        used = self._peers[waiting.peer]
        used[0] -= 1
        used[1] -= len(waiting.entry)
        if not used[0]:
            del self._peers[waiting.peer]
        self._bytes -= len(waiting.entry)


def _confirmed(view: View, sender: bytes) -> int:
    """The account's nonce in this state."""
    return admission.find_sender(view, sender).nonce

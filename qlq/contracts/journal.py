"""What a transaction has done so far, over a ledger that it does not touch.

Entries, balances and events of all contracts on the call stack. A failed call anywhere in it fails
the whole transaction, so that nothing here is ever taken back: the journal is dropped.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import Protocol

from qlq.contracts.outcome import Emitted, Failure, Moved, Reason, Write

AMOUNT_MAX = (1 << 63) - 1
"""Of one account in one asset; the same as of the ledger."""


class Ledger(Protocol):
    """What a contract may ask of the ledger: the state before the transaction.

    Each answer is a function of the block's state and the arguments alone.
    """

    def storage(self, contract: bytes, key: bytes) -> bytes | None:
        """The value of a contract's entry; None if there is none."""

    def storage_page(
        self, contract: bytes, prefix: bytes, start: bytes, count: int
    ) -> Sequence[tuple[bytes, bytes | None]]:
        """The first `count` entries whose keys begin with the prefix and are not below `start`.

        Keys with their values, ascending by bytes; entries that this block has removed may be
        among them, with None, and count. Fewer only where there are no more.
        """

    def balance(self, address: bytes, asset: bytes) -> int:
        """What an account holds, 0 to 2^63 - 1; 0 for an account that there is not."""

    def beacon(self, round_number: int) -> tuple[bytes, int] | None:
        """Value (64 bytes) and quality of a round of the beacon; None if it is not on the chain."""

    def beacon_latest(self) -> int:
        """The latest round on the chain; 0 if there is none."""


class Journal:
    """Changes of one transaction."""

    __slots__ = ("_balances", "_entries", "_ordered", "events", "ledger", "moves")

    def __init__(self, ledger: Ledger) -> None:
        """Nothing has changed yet."""
        self.ledger = ledger
        self.events: list[Emitted] = []
        self.moves: list[Moved] = []
        self._entries: dict[bytes, dict[bytes, bytes | None]] = {}
        self._ordered: dict[bytes, list[bytes]] = {}
        self._balances: dict[tuple[bytes, bytes], int] = {}

    def entries(self, contract: bytes) -> dict[bytes, bytes | None]:
        """Entries that the contract has written; None for one that it has removed.

        To be read, and written by `write` alone.
        """
        written = self._entries.get(contract)
        if written is None:
            written = self._entries[contract] = {}
        return written

    def read(self, contract: bytes, key: bytes) -> bytes | None:
        """The entry as it is now."""
        written = self._entries.get(contract)
        if written is not None and key in written:
            return written[key]
        return self.ledger.storage(contract, key)

    def write(self, contract: bytes, key: bytes, value: bytes | None) -> None:
        """The entry has this value from now on; None removes it."""
        written = self.entries(contract)
        if self._ordered and key not in written and contract in self._ordered:
            insort(self._ordered[contract], key)
        written[key] = value

    def ascending(
        self, contract: bytes, prefix: bytes, start: bytes, batch: int
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """All entries from a key on that begin with the prefix, as they are now.

        An entry that this transaction has removed is among them with None, and so is one that
        the ledger says this block has removed: whoever reads on pays for going past it.

        Args:
            contract: Whose entries.
            prefix: What the keys begin with.
            start: The first key that counts.
            batch: How many entries to ask of the ledger at a time, from 1.
        """
        written = self.entries(contract)
        ordered = self._ordered.get(contract)
        if ordered is None:
            ordered = self._ordered[contract] = sorted(written)
        place = bisect_left(ordered, start)
        for key, value in self._stored(contract, prefix, start, batch):
            while place < len(ordered) and ordered[place] < key:
                yield ordered[place], written[ordered[place]]
                place += 1
            if place < len(ordered) and ordered[place] == key:
                place += 1
                yield key, written[key]
            else:
                yield key, value
        while place < len(ordered) and ordered[place].startswith(prefix):
            yield ordered[place], written[ordered[place]]
            place += 1

    def _stored(
        self, contract: bytes, prefix: bytes, start: bytes, batch: int
    ) -> Iterator[tuple[bytes, bytes | None]]:
        while True:
            page = self.ledger.storage_page(contract, prefix, start, batch)
            yield from page
            if len(page) < batch:
                return
            start = page[-1][0] + b"\0"

    def balance(self, address: bytes, asset: bytes) -> int:
        """What an account holds now."""
        known = self._balances.get((address, asset))
        return self.ledger.balance(address, asset) if known is None else known

    def move(self, source: bytes, target: bytes, asset: bytes, amount: int) -> None:
        """Units go from one account to another; nothing happens where they are the same.

        Raises:
            Failure: The source holds less, or the target would hold too much.
        """
        held = self.balance(source, asset)
        if held < amount:
            raise Failure(
                Reason.INSUFFICIENT_BALANCE, f"{source.hex()} holds {held} units, not {amount}"
            )
        if amount == 0 or source == target:
            return
        received = self.balance(target, asset) + amount
        if received > AMOUNT_MAX:
            raise Failure(
                Reason.BALANCE_OVERFLOW, f"{target.hex()} would hold {received} units, over 2^63-1"
            )
        self._balances[source, asset] = held - amount
        self._balances[target, asset] = received
        self.moves.append(Moved(source, target, asset, amount))

    def writes(self) -> tuple[Write, ...]:
        """All written entries, ascending by contract and key."""
        return tuple(
            Write(contract, key, written[key])
            for contract, written in sorted(self._entries.items(), key=lambda item: item[0])
            for key in sorted(written)
        )

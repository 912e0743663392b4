"""The state as a map from bytes to bytes, and changes to it that may still be given up."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import Protocol

from qlq.ledger import records
from qlq.ledger.state_tree import EMPTY, Tree

Changes = dict[bytes, bytes | None]
"""New values by state key; None removes the entry."""
Page = list[tuple[bytes, bytes | None]]


class View(Protocol):
    """Something that entries can be read from."""

    def get(self, key: bytes) -> bytes | None:
        """The entry's value; None if there is none."""

    def page(self, prefix: bytes, start: bytes, count: int) -> Page:
        """Up to so many entries of a contract's storage with this prefix, in ascending order.

        An entry that was removed above the last final block counts, with None for its value: so
        a page costs no more than its count, whatever was removed.

        Args:
            prefix: Begins with `records.STORAGE`.
            start: First key that may be returned.
            count: Most entries wanted.
        """


class State:
    """The entries after the last final block, and their tree."""

    def __init__(self, entries: Mapping[bytes, bytes]) -> None:
        """Take a copy of the entries."""
        self._entries = dict(entries)
        self._stored = sorted(key for key in entries if key[:1] == records.STORAGE)
        self.tree: Tree = EMPTY.update(self._entries)

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    def get(self, key: bytes) -> bytes | None:
        """The entry's value; None if there is none."""
        return self._entries.get(key)

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All entries, in ascending order of their keys."""
        return ((key, self._entries[key]) for key in sorted(self._entries))

    def page(self, prefix: bytes, start: bytes, count: int) -> Page:
        """See `View.page`."""
        found: Page = []
        index = bisect_left(self._stored, max(start, prefix))
        for key in self._stored[index : index + count]:
            if not key.startswith(prefix):
                break
            found.append((key, self._entries[key]))
        return found

    def accept(self, changes: Changes, tree: Tree) -> None:
        """Make a final block's changes part of the state; the tree is the one after them."""
        for key, value in changes.items():
            if key[:1] == records.STORAGE:
                self._index(key, value)
            if value is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = value
        self.tree = tree

    def _index(self, key: bytes, value: bytes | None) -> None:
        """Keep the sorted list of storage keys."""
        if value is not None and key not in self._entries:
            insort(self._stored, key)
        elif value is None and key in self._entries:
            del self._stored[bisect_left(self._stored, key)]


class Overlay:
    """Changes over a view that are kept apart until somebody takes them."""

    def __init__(self, below: View) -> None:
        """Nothing changed yet."""
        self._below = below
        self.changes: Changes = {}
        self._stored: list[bytes] | None = None
        """Changed storage keys, sorted; None as long as nobody has asked for a page."""

    def get(self, key: bytes) -> bytes | None:
        """The changed value, else the one below."""
        if key in self.changes:
            return self.changes[key]
        return self._below.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Make or replace an entry."""
        if self._stored is not None:
            self._index(key)
        self.changes[key] = value

    def remove(self, key: bytes) -> None:
        """Remove an entry; none is needed to be there."""
        if self._stored is not None:
            self._index(key)
        self.changes[key] = None

    def page(self, prefix: bytes, start: bytes, count: int) -> Page:
        """See `View.page`."""
        if self._stored is None:
            self._stored = sorted(key for key in self.changes if key[:1] == records.STORAGE)
        merged = dict(self._below.page(prefix, start, count))
        index = bisect_left(self._stored, max(start, prefix))
        for key in self._stored[index : index + count]:
            if not key.startswith(prefix):
                break
            merged[key] = self.changes[key]
        return sorted(merged.items())[:count]

    def is_new(self, key: bytes) -> bool:
        """Whether there is no such entry below."""
        return self._below.get(key) is None

    def absorb(self, changes: Changes) -> None:
        """Take changes of an overlay above this one."""
        if self._stored is not None:
            for key in changes:
                self._index(key)
        self.changes.update(changes)

    def _index(self, key: bytes) -> None:
        """Keep the sorted list of changed storage keys, before the change."""
        if self._stored is not None and key[:1] == records.STORAGE and key not in self.changes:
            insort(self._stored, key)

    def differences(self) -> Changes:
        """The changes that change something, in ascending order of their keys."""
        return {
            key: value
            for key, value in sorted(self.changes.items())
            if value != self._below.get(key)
        }

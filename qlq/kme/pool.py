"""The authentication pool: what two parties shared before, and renew from their own keys.

One sub-pool a direction, so that the two never take the same key. A key is spent on disk, and
deleted there, before it is handed out; aborts spend it too.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from qlq.kme import marks, store, tag_keys
from qlq.kme.database import SealedDatabase
from qlq.kme.marks import TAG_KEY_BITS, Marks
from qlq.kme.tag_keys import BOOTSTRAP, Sender, TopUp

_KEY_BYTES = TAG_KEY_BITS // 8


class AuthenticationPool:
    """`TagKeys` on disk, in the sealed database of one party; a context manager."""

    def __init__(self, folder: Path, master: bytes, *, peer: str) -> None:
        """Open the pool for one peer, or create it empty; see `SealedDatabase` for errors."""
        store.check_peer(peer)
        self._peer = peer
        self._sealed = SealedDatabase(folder, master)

    def __enter__(self) -> Self:
        """The pool itself."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self._sealed.close()

    def take(self, sender: Sender) -> tuple[int, bytes]:
        """See `TagKeys`; spent on disk before it returns."""
        with self._sealed.transaction() as db:
            now = self._marks(db, sender)
            offset, after = marks.take_next(now)
            key = self._spend(db, sender, offset, after)
        self._sealed.forget_deleted()
        return offset, key

    def take_at(self, sender: Sender, offset_bits: int) -> bytes:
        """See `TagKeys`; spent on disk before it returns."""
        with self._sealed.transaction() as db:
            after = marks.take_at(self._marks(db, sender), offset_bits)
            key = self._spend(db, sender, offset_bits, after)
        self._sealed.forget_deleted()
        return key

    def top_up(self, sender: Sender, material: bytes, eps: float, source: str) -> None:
        """See `TagKeys`; on disk when it returns."""
        tag_keys.check_eps(eps)
        with self._sealed.transaction() as db:
            self._append(db, sender, material, eps, source)

    def bootstrap(self, to_bob: bytes, to_alice: bytes) -> None:
        """See `TagKeys`; on disk when it returns."""
        with self._sealed.transaction() as db:
            for sender, material in ((Sender.ALICE, to_bob), (Sender.BOB, to_alice)):
                if self._marks(db, sender) != Marks():
                    raise ValueError(f"the pool with {self._peer!r} has been filled before")
                self._append(db, sender, material, 0.0, BOOTSTRAP)

    def restart(self, to_bob: bytes, to_alice: bytes, *, start_bits: int) -> None:
        """Give up all that is left, and go on with new bits from outside; on disk at once.

        For two parties whose pools differ, or are empty: both call it with the same arguments.

        Args:
            to_bob: Whole tag keys for what Alice sends.
            to_alice: The same for what Bob sends.
            start_bits: Where they start in both directions, at or after the end of each: no
                place of a pool is ever filled twice.
        """
        with self._sealed.transaction() as db:
            for sender, material in ((Sender.ALICE, to_bob), (Sender.BOB, to_alice)):
                end_bits = self._marks(db, sender).end_bits
                self._spend_all(db, sender, start_bits)
                if start_bits > end_bits:
                    gap = TopUp(f"gap at bit {end_bits}", start_bits - end_bits, 0.0)
                    self._note_top_up(db, sender, gap, start_bits=end_bits)
                self._append(db, sender, material, 0.0, f"{BOOTSTRAP} at bit {start_bits}")
        self._sealed.forget_deleted()

    def sources(self, sender: Sender) -> tuple[TopUp, ...]:
        """All that ever filled a direction, in order: equal on both sides, or the pools differ."""
        with self._sealed.transaction() as db:
            return self._top_ups(db, sender)

    def spent_bits(self, sender: Sender) -> int:
        """Bits of a direction that are spent or given up, from its first."""
        with self._sealed.transaction() as db:
            return self._marks(db, sender).spent_bits

    def available_bits(self, sender: Sender) -> int:
        """See `TagKeys`."""
        with self._sealed.transaction() as db:
            return self._marks(db, sender).available_bits

    def bootstrap_bits_spent(self) -> int:
        """See `TagKeys`."""
        with self._sealed.transaction() as db:
            return sum(
                tag_keys.bootstrap_spent(self._marks(db, sender), self._top_ups(db, sender))
                for sender in Sender
            )

    @property
    def eps_accumulated(self) -> float:
        """See `TagKeys`."""
        with self._sealed.transaction() as db:
            return tag_keys.eps_of(
                top_up for sender in Sender for top_up in self._top_ups(db, sender)
            )

    def _marks(self, db: sqlite3.Connection, sender: Sender) -> Marks:
        """A direction's marks, inside a transaction; none yet are two zeros."""
        row = db.execute(
            "SELECT spent_bits, end_bits, stamp FROM pools WHERE peer = ? AND sender = ?",
            (self._peer, sender.value),
        ).fetchone()
        if row is None:
            found = db.execute("SELECT count(*) FROM pools").fetchone()[0]
            if found != self._sealed.tally("pools"):
                raise self._sealed.damaged("the marks of an authentication pool are gone")
            return Marks()
        spent_bits, end_bits, stamp = row
        self._sealed.check_stamp(stamp, "pool", self._peer, sender.value, spent_bits, end_bits)
        return Marks(spent_bits, end_bits)

    def _write_marks(self, db: sqlite3.Connection, sender: Sender, after: Marks) -> None:
        place = (self._peer, sender.value)
        stamp = self._sealed.seal(b"", "pool", *place, after.spent_bits, after.end_bits)
        known = db.execute("SELECT 1 FROM pools WHERE peer = ? AND sender = ?", place).fetchone()
        db.execute(
            "REPLACE INTO pools VALUES (?, ?, ?, ?, ?)",
            (*place, after.spent_bits, after.end_bits, stamp),
        )
        if known is None:
            self._sealed.add_to_tally("pools")

    def _spend(self, db: sqlite3.Connection, sender: Sender, offset: int, after: Marks) -> bytes:
        """The key at an offset; it and all before it are deleted, and the marks moved."""
        place = (self._peer, sender.value)
        row = db.execute(
            "SELECT sealed FROM tag_keys WHERE peer = ? AND sender = ? AND offset_bits = ?",
            (*place, offset),
        ).fetchone()
        if row is None:
            raise self._sealed.damaged(f"the tag key at bit {offset} is gone")
        key = self._sealed.unseal(row[0], "tag-key", *place, offset)
        db.execute(
            "DELETE FROM tag_keys WHERE peer = ? AND sender = ? AND offset_bits < ?",
            (*place, after.spent_bits),
        )
        self._write_marks(db, sender, after)
        return key

    def _append(
        self, db: sqlite3.Connection, sender: Sender, material: bytes, eps: float, source: str
    ) -> None:
        place = (self._peer, sender.value)
        if any(source == earlier.source for earlier in self._top_ups(db, sender)):
            raise ValueError(f"{source!r} has filled this direction of the pool before")
        before = self._marks(db, sender)
        after = marks.extend(before, material)
        for index in range(len(material) // _KEY_BYTES):
            offset = before.end_bits + index * TAG_KEY_BITS
            key = material[index * _KEY_BYTES : (index + 1) * _KEY_BYTES]
            sealed = self._sealed.seal(key, "tag-key", *place, offset)
            db.execute("INSERT INTO tag_keys VALUES (?, ?, ?, ?)", (*place, offset, sealed))
        filled = TopUp(source, after.end_bits - before.end_bits, eps)
        self._note_top_up(db, sender, filled, start_bits=before.end_bits)
        self._write_marks(db, sender, after)

    def _note_top_up(
        self, db: sqlite3.Connection, sender: Sender, top_up: TopUp, *, start_bits: int
    ) -> None:
        place = (self._peer, sender.value, start_bits)
        noted = (*place, top_up.source, top_up.length_bits, repr(top_up.eps))
        stamp = self._sealed.seal(b"", "top-up", *noted)
        db.execute("INSERT INTO top_ups VALUES (?, ?, ?, ?, ?, ?, ?)", (*noted, stamp))

    def _spend_all(self, db: sqlite3.Connection, sender: Sender, end_bits: int) -> None:
        """Delete every key of a direction and move both marks to `end_bits`."""
        before = self._marks(db, sender)
        if end_bits < before.end_bits or end_bits % TAG_KEY_BITS:
            raise ValueError(f"a pool that ends at {before.end_bits} cannot go on at {end_bits}")
        place = (self._peer, sender.value)
        db.execute("DELETE FROM tag_keys WHERE peer = ? AND sender = ?", place)
        self._write_marks(db, sender, Marks(end_bits, end_bits))

    def _top_ups(self, db: sqlite3.Connection, sender: Sender) -> tuple[TopUp, ...]:
        """All that ever filled a direction; raises KeyStoreDamaged if one is missing."""
        place = (self._peer, sender.value)
        rows = db.execute(
            "SELECT start_bits, source, length_bits, eps, stamp FROM top_ups"
            " WHERE peer = ? AND sender = ? ORDER BY start_bits",
            place,
        ).fetchall()
        found, end_bits = [], 0
        for start_bits, source, length_bits, eps, stamp in rows:
            noted = (*place, start_bits, source, length_bits, eps)
            self._sealed.check_stamp(stamp, "top-up", *noted)
            if start_bits != end_bits:
                break
            end_bits += length_bits
            found.append(TopUp(source, length_bits, float(eps)))
        if len(found) != len(rows) or end_bits != self._marks(db, sender).end_bits:
            raise self._sealed.damaged("the top-ups of an authentication pool are not complete")
        return tuple(found)

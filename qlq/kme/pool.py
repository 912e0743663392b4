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
        length_bits = after.end_bits - before.end_bits
        stamp = self._sealed.seal(b"", "top-up", *place, source, length_bits, repr(eps))
        row = (*place, source, length_bits, repr(eps), stamp)
        db.execute("INSERT INTO top_ups VALUES (?, ?, ?, ?, ?, ?)", row)
        self._write_marks(db, sender, after)

    def _top_ups(self, db: sqlite3.Connection, sender: Sender) -> tuple[TopUp, ...]:
        """All that ever filled a direction; raises KeyStoreDamaged if one is missing."""
        place = (self._peer, sender.value)
        rows = db.execute(
            "SELECT source, length_bits, eps, stamp FROM top_ups WHERE peer = ? AND sender = ?",
            place,
        ).fetchall()
        for source, length_bits, eps, stamp in rows:
            self._sealed.check_stamp(stamp, "top-up", *place, source, length_bits, eps)
        if sum(row[1] for row in rows) != self._marks(db, sender).end_bits:
            raise self._sealed.damaged("the top-ups of an authentication pool are not complete")
        return tuple(TopUp(source, bits, float(eps)) for source, bits, eps, _ in rows)

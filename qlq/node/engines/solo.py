"""The embedded engine: a log of this machine's own, for a chain of one validator.

An entry is on disk before `append` returns, so that a block which the node has voted on is there
again after a crash. Once the block is final and in the ledger's own file, nobody needs its entry:
the file holds the entries of the last heights only.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qlq.errors import ConfigError, LedgerDamaged, LedgerError

FILE = "engine.sqlite"
KEPT_MAX = 16
"""Entries that stay: the file is short, and a restart needs the last one."""
_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS log (position INTEGER PRIMARY KEY, entry BLOB NOT NULL) STRICT"
)


class SoloEngine:
    """A log in one file; one process at a time."""

    validators_max = 1

    def __init__(self, folder: Path) -> None:
        """Open the log of a folder, or begin it.

        Raises:
            ConfigError: The folder cannot be used.
        """
        self._path = folder / FILE
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise ConfigError(f"cannot use {self._path}: {error.strerror}") from error
        with self._translated():
            self._db = sqlite3.connect(self._path, isolation_level=None)
            for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.execute(_SCHEMA)

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def head(self) -> int:
        """See `Engine.head`."""
        with self._translated():
            last = self._db.execute("SELECT max(position) FROM log").fetchone()[0]
        return 0 if last is None else int(last) + 1

    def append(self, entry: bytes, *, expected: int) -> bool:
        """See `Engine.append`."""
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                is_first = self.head() == expected
                if is_first:
                    self._db.execute("INSERT INTO log VALUES (?, ?)", (expected, entry))
                    oldest = expected - KEPT_MAX
                    self._db.execute("DELETE FROM log WHERE position <= ?", (oldest,))
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        return is_first

    def follow(self, start: int) -> Iterator[bytes]:
        """See `Engine.follow`; entries that are no longer kept are passed over."""
        query = "SELECT entry FROM log WHERE position >= ? ORDER BY position"
        with self._translated():
            rows = self._db.execute(query, (start,)).fetchall()
        return (row[0] for row in rows)

    def send(self, message: bytes) -> None:
        """There is nobody else."""

    def receive(self) -> list[bytes]:
        """Nobody sends anything."""
        return []

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _DAMAGE_CODES:
                raise LedgerDamaged(
                    f"{self._path}: {error}: move it away while no command runs, then qlq ledger "
                    "recover: final blocks are not in it"
                ) from error
            raise LedgerError(
                f"cannot use {self._path}: {error}: check its folder's permissions and free space"
            ) from error

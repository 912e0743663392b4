"""One party's secrets in one SQLite file: sealed rows, durable transactions.

Every secret is sealed with AES-256-GCM and bound to the row it belongs to; every other value
that matters is bound to a stamp, which is a seal without content. A changed byte is found when
the row is read. What is not found is an older copy of the file, or of rows that belong together,
put back in its place: keep such copies away from whoever could do that.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qlq import codec
from qlq.crypto import aead, digest, kdf
from qlq.errors import BadTag, ConfigError, KeyStoreDamaged, KeyStoreError

FILE = "keys.sqlite"
VERSION = 2
BUSY_TIMEOUT_S = 10.0
MASTER_BYTES = 32
TALLIED = ("keys", "pools")
"""Tables whose rows are never deleted, so that a missing one is found by counting."""

_SCHEMA = """
CREATE TABLE master (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE tally (name TEXT PRIMARY KEY, count INTEGER NOT NULL, stamp BLOB NOT NULL)
    STRICT, WITHOUT ROWID;
CREATE TABLE keys (key_id TEXT PRIMARY KEY, meta BLOB NOT NULL, state TEXT NOT NULL,
    sealed BLOB, stamp BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE pools (peer TEXT NOT NULL, sender TEXT NOT NULL, spent_bits INTEGER NOT NULL,
    end_bits INTEGER NOT NULL, stamp BLOB NOT NULL,
    PRIMARY KEY (peer, sender)) STRICT, WITHOUT ROWID;
CREATE TABLE tag_keys (peer TEXT NOT NULL, sender TEXT NOT NULL,
    offset_bits INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (peer, sender, offset_bits)) STRICT, WITHOUT ROWID;
CREATE TABLE top_ups (peer TEXT NOT NULL, sender TEXT NOT NULL, start_bits INTEGER NOT NULL,
    source TEXT NOT NULL, length_bits INTEGER NOT NULL, eps TEXT NOT NULL, stamp BLOB NOT NULL,
    PRIMARY KEY (peer, sender, start_bits)) STRICT, WITHOUT ROWID;
"""

_FOLDER_CODES = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
_BUSY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class SealedDatabase:
    """An open database of one party; a context manager. One thread, any number of processes."""

    def __init__(self, folder: Path, master: bytes) -> None:
        """Open the database of a folder, or create both.

        Args:
            folder: The party's folder; created with mode 0700. Its name is part of the seal.
            master: 32 secret bytes that seal everything in it.

        Raises:
            ValueError: For a master key of another length.
            ConfigError: The folder cannot be used, or the master key is another one.
            KeyStoreDamaged: The file has been changed.
            KeyStoreError: Another process holds the file.
        """
        if len(master) != MASTER_BYTES:
            raise ValueError(f"a master key has {MASTER_BYTES} bytes, not {len(master)}")
        self._path = folder / FILE
        # the folder is named after its party: rows of one party mean nothing in another's file
        owner = folder.absolute().name.encode()
        self._seal_key = kdf.hkdf(master, info=b"qlq key store 2 seal " + owner, length=32)
        check = kdf.hkdf(master, info=b"qlq key store 2 check", length=32)
        _create_private(self._path)
        with self._translated():
            self._db = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            with self._translated():
                for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                    self._db.execute(f"PRAGMA {pragma}")
            self._prepare(check)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        """The database itself."""
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
        """Give the file back; committed transactions are on disk already."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: what is written inside is on disk, synced, when the block ends."""
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def forget_deleted(self) -> None:
        """Overwrite what was deleted in the log as well, unless another process reads it."""
        with self._translated():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def seal(self, secret: bytes, *bound: int | str | bytes) -> bytes:
        """The secret sealed, bound to these values."""
        nonce = os.urandom(aead.NONCE_BYTES)
        return aead.seal(self._seal_key, secret, nonce=nonce, aad=codec.encode(bound))

    def unseal(self, sealed: object, *bound: object) -> bytes:
        """The secret that `seal` was given; raises KeyStoreDamaged for any other value."""
        if not isinstance(sealed, bytes):
            raise self.damaged(f"a row of {bound[0]!r} has no seal")
        try:
            return aead.unseal(self._seal_key, sealed, aad=codec.encode(bound))
        except (BadTag, ValueError, TypeError) as error:
            raise self.damaged(f"a row of {bound[0]!r} does not fit its seal") from error

    def check_stamp(self, stamp: object, *bound: object) -> None:
        """Return if the stamp, a seal of nothing, binds these values.

        Raises:
            KeyStoreDamaged: It does not.
        """
        if self.unseal(stamp, *bound) != b"":
            raise self.damaged(f"a row of {bound[0]!r} has the stamp of another")

    def add_to_tally(self, name: str) -> None:
        """Count one more row of a table, inside a transaction."""
        self._write_tally(name, self.tally(name) + 1)

    def tally(self, name: str) -> int:
        """How many rows were ever added to a table."""
        row = self._db.execute("SELECT count, stamp FROM tally WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise self.damaged(f"the tally of {name} is gone")
        count: int = row[0]
        self.check_stamp(row[1], "tally", name, count)
        return count

    def _write_tally(self, name: str, count: int) -> None:
        stamp = self.seal(b"", "tally", name, count)
        self._db.execute("REPLACE INTO tally VALUES (?, ?, ?)", (name, count, stamp))

    def damaged(self, what: str) -> KeyStoreDamaged:
        """The error that says so, and what to do."""
        return KeyStoreDamaged(
            f"{self._path}: {what}: the file has been changed; restore a copy that you trust, "
            "or move the file away and establish new keys"
        )

    def _prepare(self, check: bytes) -> None:
        """Make the tables of an empty file; compare version and master key of an old one."""
        with self.transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version == 0 and tables == 0:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                rows = [("check", check), ("digest", digest.sha256(check))]
                db.executemany("INSERT INTO master VALUES (?, ?)", rows)
                for table in TALLIED:
                    self._write_tally(table, 0)
                db.execute(f"PRAGMA user_version = {VERSION}")
                return
            if version != VERSION:
                raise KeyStoreDamaged(
                    f"{self._path} has version {version}, this QLQ knows {VERSION}: use the QLQ "
                    "that made it, restore a copy, or move it away and establish new keys"
                )
            found: dict[str, Any] = dict(db.execute("SELECT name, value FROM master"))
        known = found.get("check")
        if not isinstance(known, bytes) or digest.sha256(known) != found.get("digest"):
            raise self.damaged("the check of the master key does not fit its digest")
        if known != check:
            raise ConfigError(
                f"{self._path} is sealed with another master key: set QLQ_PASSPHRASE to the "
                "passphrase it was made with, unset it if it was made without one, or put "
                "master.key back"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what SQLite raises into our errors."""
        try:
            yield
        except sqlite3.Error as error:
            code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
            if code in _BUSY_CODES:
                raise KeyStoreError(
                    f"{self._path} is in use by another process: wait for it to end"
                ) from error
            if code in _FOLDER_CODES:
                raise ConfigError(
                    f"cannot use the key store {self._path}: {error}: check its folder's "
                    "permissions and free space"
                ) from error
            raise self.damaged(str(error)) from error
        except UnicodeDecodeError as error:
            raise self.damaged("text that is not UTF-8") from error


def _create_private(path: Path) -> None:
    """Make the folder (0700) and an empty file (0600) before SQLite opens it, if there is none.

    A file that is there is not opened: closing any descriptor of it would drop all locks that
    this process holds on it (POSIX), and with them those of another connection.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise ConfigError(
            f"cannot use the key store {path}: {error.strerror}: name a folder that you may "
            "write in with --home"
        ) from error

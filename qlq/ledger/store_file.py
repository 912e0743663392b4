"""The ledger's file as such: its tables, its seals, and how it begins."""

from __future__ import annotations

import hmac
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from qlq import codec
from qlq.crypto import aead, kdf
from qlq.errors import ConfigError
from qlq.ledger.base import Base
from qlq.ledger.genesis import Genesis
from qlq.ledger.handover import Handover

FILE = "ledger.sqlite"
VERSION = 1
WAL_BYTES_MAX = 32 * 1024 * 1024
PAGE_BYTES = 1 << 14
"""Larger than usual: a full block fills hundreds of pages, and costs half as much so."""
STORAGE_KEY_BYTES = 32
_KEY_LENGTH_BYTES = 2

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE blocks (height INTEGER PRIMARY KEY, hash BLOB NOT NULL, header BLOB NOT NULL,
    certificate BLOB NOT NULL, body BLOB NOT NULL, receipts BLOB NOT NULL) STRICT;
CREATE TABLE transactions (id BLOB PRIMARY KEY, height INTEGER NOT NULL,
    position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE state (place BLOB PRIMARY KEY, entry BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE records (number INTEGER PRIMARY KEY, height INTEGER NOT NULL, kind INTEGER NOT NULL,
    record BLOB NOT NULL, tag BLOB NOT NULL, UNIQUE (height, kind, record)) STRICT;
CREATE TABLE data (commitment BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE handovers (height INTEGER PRIMARY KEY, handover BLOB NOT NULL) STRICT;
CREATE TABLE base (height INTEGER PRIMARY KEY, base BLOB NOT NULL, state BLOB NOT NULL) STRICT;
"""


class StorageSeal:
    """Seals values of the file, each bound to its table and its place there.

    One storage key seals at most 2^32 values (NIST SP 800-38D, section 8.3, for random nonces),
    which is some ten million full blocks.
    """

    def __init__(self, storage_key: bytes) -> None:
        """Derive the keys; raises ValueError for a storage key of another length."""
        if len(storage_key) != STORAGE_KEY_BYTES:
            raise ValueError(f"a storage key has {STORAGE_KEY_BYTES} bytes, not {len(storage_key)}")
        self._seal_key = _derived(storage_key, b"seal")
        self._place_key = _derived(storage_key, b"place")
        self._tag_key = _derived(storage_key, b"tag")

    def place(self, key: bytes) -> bytes:
        """Where an entry of the state is kept: a keyed digest, which says nothing to others."""
        return hmac.digest(self._place_key, key, "sha256")

    def tag(self, row: tuple[int | bytes, ...]) -> bytes:
        """What a row that is not sealed carries, so that a changed one is found."""
        return hmac.digest(self._tag_key, codec.encode(row), "sha256")

    def seal(self, plain: bytes, what: str, where: int | bytes) -> bytes:
        """A value sealed for its place."""
        nonce = os.urandom(aead.NONCE_BYTES)
        return aead.seal(self._seal_key, plain, nonce=nonce, aad=_bound(what, where))

    def unseal(self, sealed: bytes, what: str, where: int | bytes) -> bytes:
        """The value that was sealed for this place; raises BadTag for any other bytes."""
        return aead.unseal(self._seal_key, sealed, aad=_bound(what, where))

    def seal_entry(self, key: bytes, value: bytes) -> tuple[bytes, bytes]:
        """An entry of the state as its row: place, and both sealed."""
        place = self.place(key)
        plain = len(key).to_bytes(_KEY_LENGTH_BYTES, "big") + key + value
        return place, self.seal(plain, "state", place)

    def unseal_entry(self, place: bytes, sealed: bytes) -> tuple[bytes, bytes]:
        """Key and value of a row; raises BadTag for any other row."""
        plain = self.unseal(sealed, "state", place)
        end = _KEY_LENGTH_BYTES + int.from_bytes(plain[:_KEY_LENGTH_BYTES], "big")
        return plain[_KEY_LENGTH_BYTES:end], plain[end:]


def create(
    folder: Path,
    genesis: Genesis,
    entries: Mapping[bytes, bytes],
    storage_key: bytes,
    *,
    base: Base | None = None,
    handovers: tuple[Handover, ...] = (),
) -> None:
    """Begin a ledger in a folder, whole or not at all.

    Args:
        folder: Made with mode 0700 if it is not there.
        genesis: Of the chain.
        entries: The state before the first block that the file will hold.
        storage_key: 32 secret bytes that seal what it will hold.
        base: The block before that one; None for a file that begins with the chain.
        handovers: Changes of validators up to the base, ascending.

    Raises:
        ConfigError: There is a ledger already, or the folder cannot be written.
    """
    path = folder / FILE
    if path.exists():
        raise ConfigError(f"there is a ledger in {folder} already: choose another home with --home")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = folder / f".{FILE}.{os.urandom(8).hex()}"
        draft.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise ConfigError(f"cannot use the folder {folder}: {error.strerror}") from error
    try:
        _fill(draft, genesis, entries, StorageSeal(storage_key))
        _add_base(draft, base, handovers, entries, StorageSeal(storage_key))
        draft.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"cannot write {path}: {error}") from error
    finally:
        for name in (draft.name, f"{draft.name}-wal", f"{draft.name}-shm"):
            (folder / name).unlink(missing_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(path: Path, genesis: Genesis, entries: Mapping[bytes, bytes], seals: StorageSeal) -> None:
    """Write a new file completely, and leave nothing of it in a log."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute(f"PRAGMA page_size={PAGE_BYTES}")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        meta = [("genesis", genesis.to_bytes()), ("check", seals.seal(b"", "check", genesis.chain))]
        db.executemany("INSERT INTO meta VALUES (?, ?)", meta)
        rows = (seals.seal_entry(key, value) for key, value in entries.items())
        db.executemany("INSERT INTO state VALUES (?, ?)", rows)
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    finally:
        db.close()


def _add_base(
    path: Path,
    base: Base | None,
    handovers: tuple[Handover, ...],
    entries: Mapping[bytes, bytes],
    seals: StorageSeal,
) -> None:
    """Write the base, and the state after it: later blocks are carried out again on that."""
    if base is None:
        return
    height = base.header.height
    state = codec.encode(tuple(sorted(entries.items())))
    changes = [(one.header.height, one.to_bytes()) for one in handovers]
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        sealed = seals.seal(state, "base", height)
        db.execute("INSERT INTO base VALUES (?, ?, ?)", (height, base.to_bytes(), sealed))
        db.executemany("INSERT INTO handovers VALUES (?, ?)", changes)
        db.execute("COMMIT")
    finally:
        db.close()


def configure(db: sqlite3.Connection) -> None:
    """Durable commits, a bounded log, and deleted bytes overwritten."""
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        f"journal_size_limit={WAL_BYTES_MAX}",
    ):
        db.execute(f"PRAGMA {pragma}")


def write_back(db: sqlite3.Connection) -> bool:
    """Write the log back into the file and empty it; False if somebody reads it all the time."""
    (is_held_up, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_held_up


def bound_log(db: sqlite3.Connection, path: Path) -> None:
    """Write the log back into the file once it is large; waits for nobody who reads."""
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or log.stat().st_size <= WAL_BYTES_MAX:
        return
    (patience_ms,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute("PRAGMA busy_timeout = 0")
    write_back(db)
    db.execute(f"PRAGMA busy_timeout = {patience_ms}")


def _derived(storage_key: bytes, purpose: bytes) -> bytes:
    return kdf.hkdf(storage_key, info=b"qlq ledger 1 " + purpose, length=aead.KEY_BYTES)


def _bound(what: str, where: int | bytes) -> bytes:
    """What a sealed value is bound to: its table and its place there."""
    place = where.to_bytes(8, "big") if isinstance(where, int) else where
    return b"qlq ledger 1 " + what.encode() + b"\x00" + place

"""The ledger's file: blocks, state, votes and what hangs on them; the room's only I/O.

One SQLite file, written by one process, a block in one synced transaction. What says something
about anybody is sealed with the node's storage key: bodies, receipts, entries of the state, and
data outside the chain. Headers and certificates are clear.

    blocks        height, hash, header, certificate; body and receipts sealed
    transactions  id -> height, position
    state         keyed digest of the key -> key and value, sealed
    records       votes, locks and statements of the node's own, on disk before they are sent, and
                  evidence against others
    data          what commitments of the chain commit to; can be purged
    handovers     changes of validators with their proofs, clear
    base          of a restored ledger: the block before the first one here, and the state after it
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qlq import codec
from qlq.consensus import certificate as certificates
from qlq.consensus import epochs, votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.epochs import SignedStatement
from qlq.consensus.phases import Record
from qlq.consensus.votes import Evidence, SignedVote
from qlq.errors import (
    BadTag,
    ConfigError,
    InvalidProof,
    LedgerDamaged,
    LedgerError,
    RemoteMisuse,
)
from qlq.ledger import base as bases
from qlq.ledger import genesis as geneses
from qlq.ledger import handover as handovers
from qlq.ledger import records as state_records
from qlq.ledger import store_file
from qlq.ledger.base import Base
from qlq.ledger.block import Block, Header
from qlq.ledger.genesis import Genesis
from qlq.ledger.handover import Handover
from qlq.ledger.receipt import Receipt
from qlq.ledger.records import ValidatorRecord
from qlq.ledger.state import Changes
from qlq.ledger.store_file import FILE, VERSION, StorageSeal
from qlq.ledger.transition import Outcome

BUSY_TIMEOUT_S = 10.0

_FOLDER_CODES = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
_BUSY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class RecordKind(IntEnum):
    """What a row of `records` is."""

    VOTE = 1
    CERTIFICATE = 2
    STATEMENT = 3
    EVIDENCE = 4


_READERS: dict[RecordKind, Callable[[bytes], Record]] = {
    RecordKind.VOTE: votes.decode,
    RecordKind.CERTIFICATE: certificates.decode,
    RecordKind.STATEMENT: epochs.decode,
    RecordKind.EVIDENCE: votes.decode_evidence,
}


def kind_of(record: Record) -> RecordKind:
    """What a record's row says that it is."""
    match record:
        case SignedVote():
            return RecordKind.VOTE
        case QuorumCertificate():
            return RecordKind.CERTIFICATE
        case SignedStatement():
            return RecordKind.STATEMENT
        case Evidence():
            return RecordKind.EVIDENCE


def read_record(kind: int, data: bytes) -> Record:
    """The record of a row; raises RemoteMisuse, or ValueError for an unknown kind."""
    return _READERS[RecordKind(kind)](data)


@dataclass(frozen=True, slots=True)
class Stored:
    """A final block with all that belongs to it."""

    block: Block
    certificate: QuorumCertificate
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transaction is: the height of its block, and its index there."""

    height: int
    index: int


def _handover(header: Header, certificate: QuorumCertificate, outcome: Outcome) -> Handover | None:
    """The change of validators in a block; None if the same set votes on."""
    record = outcome.changes.get(state_records.VALIDATORS)
    if record is None:
        return None
    found = state_records.read(record, ValidatorRecord)
    if found.current.hash == header.validators_hash:
        return None
    return handovers.make(header, certificate, outcome.tree, record)


class LedgerStore:
    """An open ledger file; a context manager. One thread at a time; one process that writes."""

    def __init__(self, folder: Path, storage_key: bytes) -> None:
        """Open the file of a folder.

        Args:
            folder: Where `store_file.create` made the file.
            storage_key: 32 secret bytes.

        Raises:
            ConfigError: There is no ledger, it cannot be used, or the key is another one.
            LedgerDamaged: The file has been changed.
            LedgerError: Another process holds the file.
        """
        self._path = folder / FILE
        self._seals = StorageSeal(storage_key)
        if not self._path.exists():
            raise ConfigError(f"no ledger in {folder}: qlq ledger init begins one")
        with self._translated():
            self._db = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        try:
            with self._translated():
                store_file.configure(self._db)
                self.genesis = self._prepared()
                self.base = self._read_base()
        except BaseException:
            self._db.close()
            raise
        self.chain = self.genesis.chain

    def __enter__(self) -> Self:
        """The store itself."""
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
        """Give the file back; final blocks are on disk already."""
        self._db.close()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def append(self, block: Block, certificate: QuorumCertificate, outcome: Outcome) -> None:
        """Keep a final block and what it did; on disk when this returns.

        Raises:
            ConfigError: No space, or the folder cannot be written; nothing has changed.
            LedgerError: Another process holds the file.
        """
        header = block.header
        height = header.height
        receipts = codec.encode(outcome.receipts)
        row = (
            *(height, header.hash, header.to_bytes(), certificate.to_bytes()),
            self._seals.seal(codec.encode(block.entries), "body", height),
            self._seals.seal(receipts, "receipts", height),
        )
        places = [(id_, height, index) for index, id_ in enumerate(outcome.ids)]
        change = _handover(header, certificate, outcome)
        with self._transaction() as db:
            db.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?)", row)
            db.executemany("INSERT INTO transactions VALUES (?, ?, ?)", places)
            self._write_state(outcome.changes)
            if change is not None:
                db.execute("INSERT INTO handovers VALUES (?, ?)", (height, change.to_bytes()))
            query = "DELETE FROM records WHERE height < ? AND kind != ?"
            db.execute(query, (height, RecordKind.EVIDENCE))
        with self._translated():
            store_file.bound_log(self._db, self._path)

    def save_records(self, height: int, records: Sequence[Record]) -> None:
        """Keep what the node is about to say of a height; on disk when this returns."""
        with self._transaction() as db:
            for record in records:
                (last,) = db.execute("SELECT coalesce(max(number), 0) FROM records").fetchone()
                row = (last + 1, height, int(kind_of(record)), record.to_bytes())
                query = "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?)"
                db.execute(query, (*row, self._seals.tag(row)))

    def forget_records(self, height: int) -> int:
        """Destroy what the node said of a height that has no final block; how many records.

        Only for a node that nobody has heard: whoever has could see it contradict itself.
        """
        query = "DELETE FROM records WHERE height = ? AND kind != ?"
        with self._transaction() as db:
            return db.execute(query, (height, RecordKind.EVIDENCE)).rowcount

    def put_data(self, commitment: bytes, data: bytes) -> None:
        """Keep data that a commitment of the chain commits to, sealed."""
        with self._transaction() as db:
            sealed = self._seals.seal(data, "data", commitment)
            db.execute("REPLACE INTO data VALUES (?, ?)", (commitment, sealed))

    def purge_data(self, commitment: bytes) -> bool:
        """Destroy data outside the chain; True if there were any. The commitment stays.

        Raises:
            LedgerError: They are gone but for the log, which somebody reads: purge once more.
        """
        with self._transaction() as db:
            query = "DELETE FROM data WHERE commitment = ?"
            count = db.execute(query, (commitment,)).rowcount
        with self._translated():
            is_gone = store_file.write_back(self._db)
        if not is_gone:
            raise LedgerError(
                f"{self._path} is being read by another process, and its log holds the data still: "
                "purge them again when it has ended"
            )
        return bool(count)

    def height(self) -> int:
        """Height of the last final block; 0 before the first."""
        row = self._one("SELECT max(height) FROM blocks")
        return max(int(row[0] or 0) if row else 0, self.base_height)

    @property
    def base_height(self) -> int:
        """Height of the block that a restored ledger begins after; 0 for any other."""
        return 0 if self.base is None else self.base.header.height

    def header(self, height: int) -> tuple[Header, QuorumCertificate]:
        """A final block's header and certificate, which need no storage key.

        Raises:
            ConfigError: There is no such block.
            LedgerDamaged: Its row has been changed.
        """
        if self.base is not None and height == self.base_height:
            return self.base.header, self.base.certificate
        row = self._one("SELECT hash, header, certificate FROM blocks WHERE height = ?", height)
        if row is None:
            first = self.base_height + 1
            raise ConfigError(f"no block {height} is here: blocks {first} to {self.height()} are")
        return self._header(height, *row)

    def block(self, height: int) -> Stored:
        """A final block; raises as `header` does, also for the block of the base."""
        header, certificate = self.header(height)
        row = self._one("SELECT body, receipts FROM blocks WHERE height = ?", height)
        if row is None and height == self.base_height:
            raise ConfigError(
                f"block {height} is the one of the snapshot that this ledger was restored from: "
                "its transactions are not here"
            )
        return self._stored(header, certificate, row or (None, None))

    def blocks(self, first: int = 1) -> Iterator[Stored]:
        """Final blocks in ascending order, from the first one here on.

        Raises:
            LedgerDamaged: At one that was changed.
        """
        for height in range(max(first, self.base_height + 1), self.height() + 1):
            yield self.block(height)

    def hashes(self) -> list[bytes]:
        """Hashes of all final blocks from the first on, as the file has them."""
        with self._translated():
            rows = self._db.execute("SELECT hash FROM blocks ORDER BY height").fetchall()
        earlier = [] if self.base is None else self.base.block_hashes
        return earlier + [row[0] for row in rows]

    def handovers(self) -> tuple[Handover, ...]:
        """Changes of validators, ascending; raises LedgerDamaged at one that was changed."""
        with self._translated():
            rows = self._db.execute("SELECT handover FROM handovers ORDER BY height").fetchall()
        try:
            return tuple(handovers.decode(row[0]) for row in rows)
        except InvalidProof as error:
            raise self._damaged(str(error)) from error

    def place(self, transaction: bytes) -> Place | None:
        """Where a transaction is; None if it is in no final block."""
        row = self._one("SELECT height, position FROM transactions WHERE id = ?", transaction)
        return None if row is None else Place(int(row[0]), int(row[1]))

    def places(self) -> dict[bytes, Place]:
        """Where all transactions are, as the file has it."""
        with self._translated():
            rows = self._db.execute("SELECT id, height, position FROM transactions").fetchall()
        return {row[0]: Place(row[1], row[2]) for row in rows}

    def entries(self) -> dict[bytes, bytes]:
        """All entries of the state; raises LedgerDamaged if one was changed.

        That none is missing is for the state root to say.
        """
        with self._translated():
            rows = self._db.execute("SELECT place, entry FROM state").fetchall()
        try:
            return dict(self._seals.unseal_entry(place, sealed) for place, sealed in rows)
        except BadTag as error:
            raise self._damaged("an entry of the state does not open") from error

    def records(self, height: int | None = None) -> list[tuple[int, Record]]:
        """What the node said of one height or of all that are kept, oldest first, with heights.

        Raises:
            LedgerDamaged: A record has been changed so that it cannot be read.
        """
        query = "SELECT number, height, kind, record, tag FROM records"
        where, values = ("", ()) if height is None else (" WHERE height = ?", (height,))
        with self._translated():
            rows = self._db.execute(f"{query}{where} ORDER BY number", values).fetchall()
        if any(self._seals.tag(row[:-1]) != row[-1] for row in rows):
            raise self._damaged("a vote is not the one that was written")
        try:
            return [(row[1], read_record(row[2], row[3])) for row in rows]
        except (RemoteMisuse, ValueError) as error:
            raise self._damaged(f"a vote cannot be read: {error}") from error

    def data(self, commitment: bytes) -> bytes | None:
        """Data outside the chain; None if they were purged, or never here."""
        row = self._one("SELECT sealed FROM data WHERE commitment = ?", commitment)
        return None if row is None else self._unseal(row[0], "data", commitment)

    def all_data(self) -> list[bytes]:
        """Commitments whose data are here."""
        with self._translated():
            rows = self._db.execute("SELECT commitment FROM data ORDER BY commitment").fetchall()
        return [row[0] for row in rows]

    def integrity(self) -> str:
        """What SQLite itself says of the file: "ok", or the first thing that is wrong."""
        with self._translated():
            return str(self._db.execute("PRAGMA integrity_check(1)").fetchone()[0])

    def _stored(
        self, header: Header, certificate: QuorumCertificate, row: tuple[object, ...]
    ) -> Stored:
        body = self._unseal(row[0], "body", header.height)
        receipts = self._unseal(row[1], "receipts", header.height)
        try:
            entries: tuple[bytes, ...] = codec.decode(body, tuple[bytes, ...])
            found: tuple[Receipt, ...] = codec.decode(receipts, tuple[Receipt, ...])
        except RemoteMisuse as error:
            raise self._damaged(f"block {header.height} cannot be read: {error}") from error
        return Stored(Block(header, entries), certificate, found)

    def _header(
        self, height: int, hash_: object, data: object, certificate: object
    ) -> tuple[Header, QuorumCertificate]:
        try:
            header: Header = codec.decode(data if isinstance(data, bytes) else b"", Header)
            found = certificates.decode(certificate if isinstance(certificate, bytes) else b"")
        except RemoteMisuse as error:
            raise self._damaged(f"block {height} cannot be read: {error}") from error
        if header.hash != hash_ or header.height != height:
            raise self._damaged(f"block {height} is not the one that was written")
        return header, found

    def _write_state(self, changes: Changes) -> None:
        gone = [(self._seals.place(key),) for key, value in changes.items() if value is None]
        kept = [
            self._seals.seal_entry(key, value)
            for key, value in changes.items()
            if value is not None
        ]
        self._db.executemany("DELETE FROM state WHERE place = ?", gone)
        self._db.executemany("REPLACE INTO state VALUES (?, ?)", kept)

    def _unseal(self, sealed: object, what: str, where: int | bytes) -> bytes:
        if not isinstance(sealed, bytes):
            raise self._damaged(f"{what} {where!r} is no sealed value")
        try:
            return self._seals.unseal(sealed, what, where)
        except BadTag as error:
            shown = where.hex() if isinstance(where, bytes) else where
            raise self._damaged(f"{what} {shown} does not open") from error

    def _one(self, query: str, *values: int | bytes) -> tuple[Any, ...] | None:
        with self._translated():
            row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
        return row

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
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

    def _prepared(self) -> Genesis:
        """Check version and storage key, and read the genesis."""
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise self._damaged(f"version {version}, this QLQ knows {VERSION}")
        found = dict(self._db.execute("SELECT name, value FROM meta"))
        try:
            genesis = geneses.decode(found.get("genesis", b""))
        except ConfigError as error:
            raise self._damaged(str(error)) from error
        check = found.get("check")
        if not isinstance(check, bytes):
            raise self._damaged("the check of the storage key is gone")
        try:
            self._seals.unseal(check, "check", genesis.chain)
        except BadTag as error:
            raise ConfigError(
                f"{self._path} is sealed with another key, or has been changed: set "
                "QLQ_PASSPHRASE to the passphrase it was made with, or put master.key back"
            ) from error
        return genesis

    def _read_base(self) -> Base | None:
        """The block before the first one here; None for a ledger that has all of them."""
        row = self._db.execute("SELECT height, base FROM base").fetchone()
        if row is None:
            return None
        try:
            found = bases.decode(row[1])
        except InvalidProof as error:
            raise self._damaged(str(error)) from error
        if found.header.height != row[0]:
            raise self._damaged(f"the base of block {row[0]} is of block {found.header.height}")
        return found

    def _damaged(self, what: str) -> LedgerDamaged:
        return LedgerDamaged(
            f"{self._path}: {what}: qlq ledger verify shows all damage, qlq ledger repair --from "
            "FILE takes what is sound from a snapshot or an export"
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what SQLite raises into our errors."""
        try:
            yield
        except sqlite3.Error as error:
            code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
            if code in _BUSY_CODES:
                raise LedgerError(
                    f"{self._path} is in use by another process: wait for it to end"
                ) from error
            if code in _FOLDER_CODES:
                raise ConfigError(
                    f"cannot use the ledger {self._path}: {error}: check its folder's "
                    "permissions and free space"
                ) from error
            raise self._damaged(str(error)) from error
        except UnicodeDecodeError as error:
            raise self._damaged("text that is not UTF-8") from error

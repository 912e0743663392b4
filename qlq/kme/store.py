"""A party's key store: keys at rest, sealed, each delivered once."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from qlq.crypto import digest
from qlq.errors import KeyNotFound, KeyStoreError
from qlq.keys import SecretKey, Worth
from qlq.kme import lifecycle
from qlq.kme.database import SealedDatabase
from qlq.kme.lifecycle import Event, State
from qlq.provenance import Provenance

PEER_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """What is known of a key besides its bytes and its state; fixed when it is added.

    Attributes:
        key_id: UUID text, the same on both sides.
        peer: Who has the other copy.
        length_bits: Number of valid bits.
        eps_sec: Secrecy epsilon of the session.
        eps_cor: Correctness epsilon of the session.
        eps_auth: Epsilon of the authentication tags, those of earlier keys included.
        worth: What the key may be used for.
        provenance: Origin of the raw bits.
        added_s: Unix time in seconds.
    """

    key_id: str
    peer: str
    length_bits: int
    eps_sec: float
    eps_cor: float
    eps_auth: float
    worth: Worth
    provenance: Provenance
    added_s: int


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as a list shows it: never its bytes."""

    description: KeyDescription
    state: State


@dataclass(frozen=True, slots=True)
class _Stored:
    """A row with what must not leave the store but through `deliver`."""

    row: KeyRow
    meta: bytes
    material: bytes = field(repr=False)


_SELECT = "SELECT key_id, meta, state, sealed, stamp FROM keys"


class KeyStore:
    """The keys of one party; a context manager."""

    def __init__(self, folder: Path, master: bytes) -> None:
        """Open the store of a party's folder, or create it; see `SealedDatabase` for errors."""
        self._sealed = SealedDatabase(folder, master)

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
        """Give the file back."""
        self._sealed.close()

    def add(self, key: SecretKey, peer: str, now_s: int) -> None:
        """Keep a key, READY; on disk when this returns.

        Args:
            key: A key of a session that was confirmed on this side.
            peer: Who has the other copy; 1 to 64 characters.
            now_s: Unix time in seconds.

        Raises:
            ValueError: For a reproducible key (no id, or a seeded backend), an id that is no
                UUID, or a peer outside its range.
            KeyStoreError: A key with this id is there already.
        """
        described = _describe(key, peer, now_s)
        meta = msgspec.json.encode(described, order="deterministic")
        key_id = described.key_id
        with self._sealed.transaction() as db:
            if db.execute("SELECT 1 FROM keys WHERE key_id = ?", (key_id,)).fetchone():
                raise KeyStoreError(f"key {key_id} is in the store already")
            sealed = self._sealed.seal(key.material, "key", meta)
            stamp = self._sealed.seal(b"", "state", digest.sha256(meta), State.READY.value)
            row = (key_id, meta, State.READY.value, sealed, stamp)
            db.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?)", row)
            self._sealed.add_to_tally("keys")

    def list(self) -> tuple[KeyRow, ...]:
        """All keys ever added, oldest first; raises KeyStoreDamaged if one row was changed."""
        with self._sealed.transaction() as db:
            rows = db.execute(f"{_SELECT} ORDER BY key_id").fetchall()
            self._check_count(db)
        found = [self._checked(row).row for row in rows]
        return tuple(sorted(found, key=lambda row: row.description.added_s))

    def find(self, key_id: str) -> KeyRow:
        """One key's row; raises KeyNotFound."""
        with self._sealed.transaction() as db:
            return self._read(db, key_id).row

    def reserve(self, key_id: str) -> None:
        """READY to RESERVED.

        Raises:
            KeyNotFound: No such key.
            KeyAlreadyDelivered: Its bytes are gone.
            LocalMisuse: It is reserved already.
        """
        with self._sealed.transaction() as db:
            self._move(db, self._read(db, key_id), Event.RESERVE)

    def deliver(self, key_id: str) -> bytes:
        """The bytes of a RESERVED key, once; `find` tells what they are worth.

        The key is DELIVERED on disk, and its bytes are deleted there, before this returns. If
        the process dies in between, the key is lost and never delivered twice.

        Raises:
            KeyNotFound: No such key.
            KeyAlreadyDelivered: Its bytes are gone.
            LocalMisuse: It is not reserved.
            KeyStoreDamaged: Its row was changed.
        """
        with self._sealed.transaction() as db:
            stored = self._read(db, key_id)
            self._move(db, stored, Event.DELIVER)
        self._sealed.forget_deleted()
        return stored.material

    @contextmanager
    def using(self, key_id: str) -> Iterator[bytes]:
        """The bytes of a READY key, DELIVERED if the block ends well, READY again if it raises.

        For whoever opens with a key what its peer sealed with the other copy: a forged message,
        which does not open, then uses up no key. Whoever seals takes `reserve` and `deliver`.

        Raises:
            KeyNotFound: No such key.
            KeyAlreadyDelivered: Its bytes are gone.
            LocalMisuse: It is reserved.
            KeyStoreDamaged: Its row was changed.
        """
        with self._sealed.transaction() as db:
            stored = self._read(db, key_id)
            self._move(db, stored, Event.RESERVE)
            self._move(db, self._read(db, key_id), Event.DELIVER)
            yield stored.material
        self._sealed.forget_deleted()

    def erase(self, key_id: str) -> None:
        """ERASED from any other state; the bytes, if still there, are deleted.

        Raises:
            KeyNotFound: No such key.
            LocalMisuse: It is erased already.
        """
        with self._sealed.transaction() as db:
            self._move(db, self._read(db, key_id), Event.ERASE)
        self._sealed.forget_deleted()

    def _read(self, db: sqlite3.Connection, key_id: str) -> _Stored:
        """A key as it stands, inside a transaction."""
        row = db.execute(f"{_SELECT} WHERE key_id = ?", (key_id,)).fetchone()
        if row is None:
            self._check_count(db)
            raise KeyNotFound(f"no key {key_id} in the store: see qlq keys list")
        return self._checked(row)

    def _move(self, db: sqlite3.Connection, stored: _Stored, event: Event) -> None:
        """Write the state after the event, without the bytes if that state has none."""
        state = lifecycle.step(stored.row.state, event)
        stamp = self._sealed.seal(b"", "state", digest.sha256(stored.meta), state.value)
        change = "UPDATE keys SET state = ?, stamp = ? WHERE key_id = ?"
        key_id = stored.row.description.key_id
        db.execute(change, (state.value, stamp, key_id))
        if not state.has_bytes:
            db.execute("UPDATE keys SET sealed = NULL WHERE key_id = ?", (key_id,))

    def _checked(self, row: tuple[object, ...]) -> _Stored:
        """What a row of the table says; raises KeyStoreDamaged unless it fits its seals."""
        key_id, meta, state_text, sealed, stamp = row
        if not (isinstance(meta, bytes) and isinstance(state_text, str)):
            raise self._sealed.damaged(f"key {key_id} cannot be read")
        self._sealed.check_stamp(stamp, "state", digest.sha256(meta), state_text)
        try:
            described = msgspec.json.decode(meta, type=KeyDescription)
            state = State(state_text)
        except (msgspec.MsgspecError, ValueError) as error:
            raise self._sealed.damaged(f"key {key_id} cannot be read") from error
        if described.key_id != key_id or state.has_bytes != (sealed is not None):
            raise self._sealed.damaged(f"key {key_id} is not the one that was added")
        material = self._sealed.unseal(sealed, "key", meta) if state.has_bytes else b""
        return _Stored(KeyRow(described, state), meta, material)

    def _check_count(self, db: sqlite3.Connection) -> None:
        """Return if as many keys are there as were added; raises KeyStoreDamaged."""
        found = db.execute("SELECT count(*) FROM keys").fetchone()[0]
        added = self._sealed.tally("keys")
        if found != added:
            raise self._sealed.damaged(f"{found} keys where {added} were added")


def _describe(key: SecretKey, peer: str, now_s: int) -> KeyDescription:
    """A key's description; raises ValueError for what cannot be kept."""
    if key.key_id is None or key.provenance.seed is not None:
        raise ValueError("a reproducible key is never stored: anyone can make it again")
    if str(uuid.UUID(key.key_id)) != key.key_id:
        raise ValueError(f"key id {key.key_id!r} is not a UUID in lower case with hyphens")
    check_peer(peer)
    return KeyDescription(
        key_id=key.key_id,
        peer=peer,
        length_bits=key.length_bits,
        eps_sec=key.eps_sec,
        eps_cor=key.eps_cor,
        eps_auth=key.eps_auth,
        worth=key.worth,
        provenance=key.provenance,
        added_s=now_s,
    )


def check_peer(peer: str) -> None:
    """Raise ValueError unless this can name a peer."""
    if not 0 < len(peer) <= PEER_CHARACTERS_MAX or not peer.isprintable():
        raise ValueError(f"a peer's name has 1 to {PEER_CHARACTERS_MAX} characters: {peer!r}")

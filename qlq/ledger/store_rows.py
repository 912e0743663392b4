"""A ledger's rows as its file has them, one by one, none of them believed.

For whoever looks for damage: a row that cannot be read is noted, and the next one is read. Nothing
is written, and no storage key is needed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qlq.errors import ConfigError
from qlq.ledger.store_file import FILE, VERSION

BUSY_TIMEOUT_S = 10.0
INTEGRITY_LINES_MAX = 100
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of the file that SQLite cannot read, with what it says."""

    table: str
    message: str


class LedgerRows:
    """A ledger's file, opened for reading at one moment; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Open the file of a folder.

        Raises:
            ConfigError: There is none.
        """
        path = folder / FILE
        if not path.exists():
            raise ConfigError(f"no ledger in {folder}: qlq ledger init begins one")
        self.unreadable: list[Unreadable] = []
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
        )
        self._db.text_factory = bytes  # changed text need not be UTF-8
        self._all("file", "BEGIN")

    def __enter__(self) -> Self:
        """The rows."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._db.close()

    def integrity(self) -> list[str]:
        """What SQLite finds wrong with the file's structure; nothing for a sound one."""
        found = self._all("file", f"PRAGMA integrity_check({INTEGRITY_LINES_MAX})")
        lines = [_text(row[0]) for row in found]
        return [line for line in lines if line != "ok"]

    def version(self) -> int | None:
        """Version of the file's format; None if it cannot be read."""
        found = self._all("file", "PRAGMA user_version")
        return int(found[0][0]) if found else None

    @property
    def known_version(self) -> int:
        """The version that this QLQ reads."""
        return VERSION

    def meta(self) -> dict[str, bytes]:
        """Values by name."""
        rows = self._all("meta", "SELECT name, value FROM meta")
        return {_text(row[0]): blob(row[1]) for row in rows}

    def heights(self) -> list[int]:
        """Heights of the rows of blocks, ascending."""
        return [row[0] for row in self._all("blocks", "SELECT height FROM blocks ORDER BY height")]

    def header(self, height: int) -> Row | None:
        """Hash, header and certificate in one row of blocks; None if it cannot be read."""
        query = "SELECT hash, header, certificate FROM blocks WHERE height = ?"
        rows = self._all("blocks", query, height)
        return rows[0] if rows else None

    def body(self, height: int) -> Row | None:
        """Sealed body and receipts in one row of blocks; None if it cannot be read."""
        rows = self._all("blocks", "SELECT body, receipts FROM blocks WHERE height = ?", height)
        return rows[0] if rows else None

    def transactions(self) -> list[Row]:
        """Id, height and position."""
        return self._all("transactions", "SELECT id, height, position FROM transactions")

    def state(self) -> Iterator[Row]:
        """Place and sealed entry."""
        yield from self._all("state", "SELECT place, entry FROM state")

    def records(self) -> list[Row]:
        """Number, height, kind, record and tag, oldest first."""
        query = "SELECT number, height, kind, record, tag FROM records ORDER BY number"
        return self._all("records", query)

    def data(self) -> Iterator[Row]:
        """Commitment and sealed data."""
        for (commitment,) in self._all("data", "SELECT commitment FROM data ORDER BY commitment"):
            query = "SELECT commitment, sealed FROM data WHERE commitment = ?"
            yield from self._all("data", query, commitment)

    def handovers(self) -> list[Row]:
        """Height and handover, ascending."""
        return self._all("handovers", "SELECT height, handover FROM handovers ORDER BY height")

    def base(self) -> list[Row]:
        """Height, base and sealed state: one row of a restored ledger, none of any other."""
        return self._all("base", "SELECT height, base, state FROM base")

    def _all(self, table: str, query: str, *values: int | bytes) -> list[Row]:
        """As many rows as can be read; the first that cannot is noted."""
        rows: list[Row] = []
        try:
            rows.extend(self._db.execute(query, values))
        except (sqlite3.Error, OverflowError) as error:
            note = Unreadable(table, str(error))
            if note not in self.unreadable:
                self.unreadable.append(note)
        return rows


def blob(value: object) -> bytes:
    """A value as bytes; no bytes for one of another type, which no sound row has."""
    return value if isinstance(value, bytes) else b""


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

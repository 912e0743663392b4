"""Audits of a ledger's file: what anybody can check, and everything.

    public   headers, certificates, log roots, rules, proposers' turns, changes of validators: no
             storage key is needed, and an export of headers is enough
    full     besides, every body and receipt opened, every block carried out again from the
             beginning with all signatures verified, and state, index, votes and data compared

Neither needs a quantum-distributed key. All damage is found, not the first alone; nothing is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from qlq import codec
from qlq.config import Settings
from qlq.errors import BadTag, ConfigError, RemoteMisuse
from qlq.ledger import genesis as geneses
from qlq.ledger.admission import Verify
from qlq.ledger.base import Base
from qlq.ledger.block import Header
from qlq.ledger.genesis import Genesis
from qlq.ledger.state import State
from qlq.ledger.store_file import StorageSeal
from qlq.ledger.store_rows import LedgerRows, blob
from qlq.ledger.transition import Rules, Tip
from qlq.node import audit_tables, chains
from qlq.node.audit_bodies import BodyAudit, Opened
from qlq.node.audit_headers import BASE, BLOCKS, HeaderAudit
from qlq.node.findings import Findings
from qlq.node.verification import Verifier, sharing

FILE, META = "file", "meta"
_META_NAMES = {"genesis", "check"}

RulesOf = Callable[[Genesis, Verify], Rules]
Entries = tuple[tuple[bytes, bytes], ...]


class Level(StrEnum):
    """How much is checked; the value is the word in documents."""

    PUBLIC = "public"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit came to.

    Attributes:
        level: How much was checked.
        chain: Chain id; None if the genesis cannot be read.
        base: Height that a restored ledger begins after; 0 for any other.
        height: Of the last block.
        blocks: That were carried out again; 0 in a public audit.
        transactions: In them.
        findings: What is not as it must be.
    """

    level: Level
    chain: bytes | None
    base: int
    height: int
    blocks: int
    transactions: int
    findings: Findings

    @property
    def is_valid(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_document(self) -> dict[str, Any]:
        """The report as documents show it."""
        return {
            "valid": self.is_valid,
            "level": self.level.value,
            "chain": None if self.chain is None else self.chain.hex(),
            "base": self.base,
            "height": self.height,
            "blocks": self.blocks,
            "transactions": self.transactions,
            "findings": [one.to_document() for one in self.findings.listed],
            "findings_left_off": self.findings.left_off,
        }


def verify_home(settings: Settings, level: Level) -> dict[str, Any]:
    """A home's ledger, audited, as a document.

    Raises:
        ConfigError: There is no ledger, or its keys cannot be used.
        KeyStoreDamaged: The signing key's file was changed.
    """
    where = chains.folder(settings)
    if not chains.exists(settings):
        raise ConfigError(f"no ledger in {where}: qlq ledger init begins one")
    if level is Level.PUBLIC:
        return verify_public(where).to_document()
    keys = chains.open_keys(settings)
    return verify_full(where, keys.storage, chains.rules_of).to_document()


def verify_public(folder: Path) -> Report:
    """Audit what needs no key; raises ConfigError if there is no ledger."""
    findings = Findings()
    with LedgerRows(folder) as rows:
        return _Audit(rows, findings).run(Level.PUBLIC)


def verify_full(
    folder: Path, storage_key: bytes, rules_of: RulesOf, *, threads: int | None = None
) -> Report:
    """Audit everything.

    Args:
        folder: Of the ledger.
        storage_key: What it is sealed with.
        rules_of: What carries its blocks out; see `chains.rules_of`.
        threads: That verify signatures; None takes one for each core.

    Raises:
        ConfigError: There is no ledger.
    """
    findings, verifier = Findings(), Verifier(threads, remembered_max=0)
    try:
        with LedgerRows(folder) as rows, sharing():
            audit = _Audit(rows, findings)
            audit.open_with(StorageSeal(storage_key), verifier, rules_of)
            return audit.run(Level.FULL)
    finally:
        verifier.close()


class _Audit:
    """One pass over a file."""

    def __init__(self, rows: LedgerRows, findings: Findings) -> None:
        self._rows, self._findings = rows, findings
        self._seals: StorageSeal | None = None
        self._headers: HeaderAudit | None = None
        self._bodies: BodyAudit | None = None
        self._base: Base | None = None
        self._genesis = self._read_genesis()
        if self._genesis is not None:
            self._headers = HeaderAudit(self._genesis, findings)

    def open_with(self, seals: StorageSeal, verifier: Verifier, rules_of: RulesOf) -> None:
        """Look inside, too."""
        self._seals = seals
        if self._genesis is not None:
            rules = rules_of(self._genesis, verifier.verify)
            self._bodies = BodyAudit(rules, seals, verifier, self._findings)

    def run(self, level: Level) -> Report:
        """Everything, in the order in which it depends on each other."""
        last: Header | None = None
        if self._headers is not None and self._genesis is not None:
            self._check_seal(self._genesis)
        if self._headers is not None and self._is_of_the_blocks(self._headers):
            self._headers.take_handovers([(row[0], blob(row[1])) for row in self._rows.handovers()])
            self._begin_at_base()
            last = self._check_blocks(self._headers)
            self._headers.finish()
            self._check_tables(self._headers, last)
        self._check_file()
        progress = None if self._headers is None else self._headers.progress
        return Report(
            level=level,
            chain=None if self._genesis is None else self._genesis.chain,
            base=0 if self._base is None else self._base.header.height,
            height=0 if progress is None else progress.height,
            blocks=0 if self._bodies is None else self._bodies.applied,
            transactions=0 if self._bodies is None else self._bodies.transactions,
            findings=self._findings,
        )

    def _read_genesis(self) -> Genesis | None:
        meta = self._rows.meta()
        for name in sorted(set(meta) ^ _META_NAMES):
            shown = "none" if name in _META_NAMES else "one that does not belong there"
            self._findings.add(META, None, name, "genesis and check", shown)
        try:
            return geneses.decode(meta.get("genesis", b""))
        except ConfigError as error:
            self._findings.add(META, None, "genesis", "the genesis of a chain", str(error))
            return None

    def _check_seal(self, genesis: Genesis) -> None:
        """Whether the storage key is this file's."""
        if self._seals is None:
            return
        try:
            self._seals.unseal(self._rows.meta().get("check", b""), "check", genesis.chain)
        except BadTag as error:
            expected = "sealed with this home's storage key for this chain"
            self._findings.add(META, None, "check", expected, str(error))

    def _is_of_the_blocks(self, headers: HeaderAudit) -> bool:
        """Whether the genesis is that of the blocks; under another one none can be judged."""
        heights = self._rows.heights()
        row = self._rows.header(heights[0]) if heights else None
        header = None if row is None else audit_tables.header_of(blob(row[0]), blob(row[1]))
        if header is None or header.chain == headers.progress.chain:
            return True
        expected = f"that of chain {header.chain.hex()}, which the blocks are of"
        self._findings.add(META, None, "genesis", expected, headers.progress.chain.hex())
        return False

    def _begin_at_base(self) -> None:
        """Begin behind the snapshot that the ledger was restored from, if it was."""
        rows = self._rows.base()
        if self._headers is None or not rows:
            return
        if len(rows) > 1:
            self._findings.add(BASE, None, "height", "one base", f"{len(rows)} rows")
        height, data, sealed = rows[0]
        self._base = self._headers.take_base(blob(data), height)
        if self._bodies is not None and self._seals is not None:
            self._bodies.start_at(None, self._tip())
            if self._base is not None:
                self._bodies.start_at(self._base_state(self._base, blob(sealed)), self._tip())

    def _tip(self) -> Tip:
        """The base as the next block has to know it; of no use without its state."""
        if self._base is None:
            return Tip(0, bytes(32), 0, audit_tables.NO_LOG)
        header = self._base.header
        return Tip(header.height, header.hash, header.time_ms, self._base.log)

    def _base_state(self, base: Base, sealed: bytes) -> State | None:
        height = base.header.height
        try:
            plain = self._seals.unseal(sealed, "base", height) if self._seals else b""
            pairs: Entries = codec.decode(plain, Entries)
        except (BadTag, RemoteMisuse) as error:
            self._findings.add(BASE, height, "state", "the sealed state", str(error))
            return None
        state = State(dict(pairs))
        if state.tree.root != base.header.state_root:
            expected, found = base.header.state_root.hex(), state.tree.root.hex()
            self._findings.add(BASE, height, "state", expected, found)
            return None
        return state

    def _check_blocks(self, headers: HeaderAudit) -> Header | None:
        """All blocks; the last one's header if it can be relied on."""
        slots = audit_tables.slots(self._rows, self._findings)
        waiting: tuple[int, int, Opened | None] | None = None
        last = headers.progress.header
        for height, row_height in slots:
            opened = self._open(height, row_height)
            if waiting is not None:
                last = self._check_block(headers, *waiting)
            waiting = (height, row_height, opened)
        return last if waiting is None else self._check_block(headers, *waiting)

    def _open(self, height: int, row_height: int) -> Opened | None:
        """Open a body, and begin with its signatures, before the block before it is carried out."""
        row = None if self._bodies is None else self._rows.body(row_height)
        if self._bodies is None or row is None:
            return None
        return self._bodies.open(height, body=blob(row[0]), receipts=blob(row[1]))

    def _check_block(
        self, headers: HeaderAudit, height: int, row_height: int, opened: Opened | None
    ) -> Header | None:
        self._check_gap(headers, height)
        row = self._rows.header(row_height)
        if row is None:
            self._findings.add(BLOCKS, height, "row", "a block", "a row that cannot be read")
            headers.skip_to(height + 1)
            self._stop([height])
            return None
        header = headers.check(
            height,
            found=blob(row[0]),
            header_bytes=blob(row[1]),
            certificate_bytes=blob(row[2]),
        )
        if opened is None:
            self._stop([height])
        elif self._bodies is not None:
            self._bodies.check(opened, header)
            audit_tables.check_voters(headers, self._bodies, self._findings)
        return header

    def _check_gap(self, headers: HeaderAudit, height: int) -> None:
        first = headers.progress.height + 1
        if height > first:
            missing = str(first) if height == first + 1 else f"{first} to {height - 1}"
            self._findings.add(BLOCKS, first, "row", f"blocks {missing}", "none")
            self._stop(range(first, height))

    def _stop(self, heights: Iterable[int]) -> None:
        """Blocks are lost: nothing after them can be carried out."""
        if self._bodies is not None:
            self._bodies.stop(heights)

    def _check_tables(self, headers: HeaderAudit, last: Header | None) -> None:
        audit_tables.check_records(self._rows, self._seals, headers, self._findings)
        if self._bodies is not None and self._seals is not None:
            audit_tables.check_index(self._rows, self._bodies, self._findings)
            audit_tables.check_state(self._rows, self._seals, self._bodies, last, self._findings)
            audit_tables.check_data(self._rows, self._seals, self._findings)

    def _check_file(self) -> None:
        """What SQLite says of the file, and the tables that could not be read to their end."""
        version = self._rows.version()
        if version != self._rows.known_version:
            expected = str(self._rows.known_version)
            self._findings.add(FILE, None, "version", expected, str(version))
        for line in self._rows.integrity():
            self._findings.add(FILE, None, "structure", "ok", line)
        for one in self._rows.unreadable:
            self._findings.add(one.table, None, "structure", "a table to its end", one.message)

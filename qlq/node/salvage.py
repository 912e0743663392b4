"""What can still be used of a damaged ledger, and of the copy that is to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qlq import codec
from qlq.consensus import certificate as certificates
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.phases import Record
from qlq.errors import BadTag, ConfigError, InvalidProof, LedgerDamaged, RemoteMisuse
from qlq.ledger import base as bases
from qlq.ledger import genesis as geneses
from qlq.ledger import handover as handovers
from qlq.ledger import store, transition
from qlq.ledger.base import Base
from qlq.ledger.block import Block, Header
from qlq.ledger.genesis import Genesis
from qlq.ledger.handover import Handover
from qlq.ledger.state import State
from qlq.ledger.store import Place
from qlq.ledger.store_file import FILE, StorageSeal
from qlq.ledger.store_rows import LedgerRows, blob
from qlq.ledger.transition import Tip
from qlq.node import audit, audit_tables, copies
from qlq.node.chains import NodeKeys
from qlq.node.copies import Export, Verified
from qlq.node.findings import Findings


@dataclass(frozen=True, slots=True)
class Start:
    """Where a new file may begin: with the chain, or behind a base."""

    state: State
    tip: Tip
    base: Base | None
    handovers: tuple[Handover, ...]


class Sound:
    """The parts of a file and of a source; what is called unchecked is for the caller to check."""

    def __init__(self, folder: Path, rows: LedgerRows, keys: NodeKeys, source: Path | None) -> None:
        """Look at the file of a folder.

        Args:
            folder: Of the ledger.
            rows: Its file.
            keys: Of the validator whose it is.
            source: A snapshot or an export; None for none.

        Raises:
            ConfigError: The source cannot be read, or is for another validator or chain.
            LedgerDamaged: The source does not hold, or the genesis is lost.
        """
        self._rows, self._seals = rows, StorageSeal(keys.storage)
        self._slots = dict(audit_tables.slots(rows, Findings()))
        named = self._named_chain(folder)
        taken = None if source is None else copies.open_copy(source, keys.opener, chain=named)
        self.genesis = self._read_genesis(folder, named, taken)
        self.chain = named
        self._snapshot = taken if isinstance(taken, Verified) else None
        exported = taken.blocks if isinstance(taken, Export) else ()
        self._exported = {one.block.header.height: one for one in exported}
        self._base = self._own_base()

    def _named_chain(self, folder: Path) -> bytes:
        """The chain that the file's blocks name, or its genesis where there is none."""
        for row_height in self._slots.values():
            row = self._rows.header(row_height)
            header = None if row is None else audit_tables.header_of(blob(row[0]), blob(row[1]))
            if header is not None:
                return header.chain
        with suppress(ConfigError):
            return geneses.decode(self._rows.meta().get("genesis", b"")).chain
        raise LedgerDamaged(
            f"{folder / FILE}: nothing says any more which chain it was: move it away, and begin "
            "with a snapshot: qlq ledger restore FILE"
        )

    def _read_genesis(self, folder: Path, named: bytes, taken: Verified | Export | None) -> Genesis:
        with suppress(ConfigError):
            own = geneses.decode(self._rows.meta().get("genesis", b""))
            if own.chain == named:
                return own
        if taken is None:
            raise LedgerDamaged(
                f"{folder / FILE}: the genesis is lost: qlq ledger repair --from FILE takes it "
                "from a snapshot or an export of this chain"
            )
        return taken.snapshot.genesis if isinstance(taken, Verified) else taken.genesis

    def starts(self) -> list[Start]:
        """Where a new file may begin, the lowest first: the more blocks it keeps, the better."""
        found = [] if self._base is None else [self._base]
        if not self._rows.base() or 1 in self._exported:
            found.append(_beginning(self.genesis))
        if self._snapshot is not None:
            kept = self._snapshot.snapshot
            state = self._snapshot.state
            found.append(Start(state, _tip_of(kept.base), kept.base, kept.handovers))
        return sorted(found, key=lambda one: one.tip.height)

    def _own_base(self) -> Start | None:
        """The base of a restored ledger, if it holds; None without one."""
        for height, data, sealed in self._rows.base():
            try:
                base = bases.decode(blob(data))
                changes = self._changes(base.header.height)
                voters = handovers.voters(
                    self.genesis.validators, changes, chain=self.chain, height=base.header.height
                )
                bases.check(base, chain=self.chain, validators=voters)
                plain = self._seals.unseal(blob(sealed), "base", base.header.height)
                pairs: audit.Entries = codec.decode(plain, audit.Entries)
            except (InvalidProof, BadTag, RemoteMisuse):
                continue
            state = State(dict(pairs))
            if height == base.header.height and state.tree.root == base.header.state_root:
                return Start(state, _tip_of(base), base, changes)
        return None

    def _changes(self, height: int) -> tuple[Handover, ...]:
        """The file's changes of validators up to a height; raises InvalidProof."""
        rows = [row for row in self._rows.handovers() if row[0] <= height]
        return tuple(handovers.decode(blob(row[1])) for row in rows)

    def is_from_source(self, start: Start) -> bool:
        """Whether a start is the source's, not the file's own."""
        return self._snapshot is not None and start.base is self._snapshot.snapshot.base

    @property
    def own_height(self) -> int:
        """Of the last block that the file has, sound or not."""
        base = 0 if self._base is None else self._base.tip.height
        return max(self._slots, default=base)

    def final_height(self, places: Mapping[bytes, Place]) -> int:
        """Of the last block that anything in the file says was final, though its row be gone.

        A block, its index and its change of validators are written at once, and this validator
        votes on the block after the last final one alone.

        Args:
            places: Of the transactions in all blocks that could be read: rows of the index that
                name another height for one of them are themselves damaged.
        """
        heights = [self.own_height]
        heights += [row[1] for row in self._rows.transactions() if blob(row[0]) not in places]
        heights += [height - 1 for height, _ in self.records()[0]]
        for _, data in self._rows.handovers():
            with suppress(InvalidProof):
                heights.append(handovers.decode(blob(data)).header.height)
        return max(height for height in heights if isinstance(height, int))

    def own(self, height: int) -> tuple[Block, QuorumCertificate | None] | None:
        """The file's block at a height, if header and body can be read; unchecked."""
        row_height = self._slots.get(height)
        if row_height is None:
            return None
        row, body = self._rows.header(row_height), self._rows.body(row_height)
        if row is None or body is None:
            return None
        try:
            header: Header = codec.decode(blob(row[1]), Header)
            plain = self._seals.unseal(blob(body[0]), "body", height)
            block = Block(header, codec.decode(plain, tuple[bytes, ...]))
        except (RemoteMisuse, BadTag):
            return None
        try:
            return block, certificates.decode(blob(row[2]))
        except RemoteMisuse:
            return block, None

    def exported(self, height: int) -> tuple[Block, QuorumCertificate] | None:
        """The source's block at a height; unchecked."""
        found = self._exported.get(height)
        return None if found is None else (found.block, found.certificate)

    def is_named(self, header: Header) -> bool:
        """Whether something else in the file says that this is the block of its height."""
        row = self._rows.header(self._slots[header.height])
        after = self._slots.get(header.height + 1)
        following = None if after is None else self._rows.header(after)
        if following is not None:
            child = audit_tables.header_of(blob(following[0]), blob(following[1]))
            if child is not None:
                return child.parent == header.hash
        return row is not None and blob(row[0]) == header.hash

    def records(self) -> tuple[list[tuple[int, Record]], int]:
        """Records as they were written, oldest first, and how many are not."""
        kept: list[tuple[int, Record]] = []
        lost = 0
        for number, height, kind, data, tag in self._rows.records():
            is_own = self._seals.tag((number, height, kind, blob(data))) == blob(tag)
            if is_own:
                kept.append((height, store.read_record(kind, blob(data))))
            lost += not is_own
        return kept, lost + any(one.table == "records" for one in self._rows.unreadable)

    def data(self) -> tuple[dict[bytes, bytes], list[bytes]]:
        """Data outside the chain by commitment, and the commitments of those that are lost."""
        kept: dict[bytes, bytes] = {}
        lost: list[bytes] = []
        for commitment, sealed in self._rows.data():
            try:
                plain = self._seals.unseal(blob(sealed), "data", blob(commitment))
                kept[blob(commitment)] = plain
            except BadTag:
                lost.append(blob(commitment))
        return kept, lost


def _beginning(genesis: Genesis) -> Start:
    state, tip = transition.begin(genesis)
    return Start(state, tip, None, ())


def _tip_of(base: Base) -> Tip:
    header = base.header
    return Tip(header.height, header.hash, header.time_ms, base.log)

"""The ledger's file: what is kept comes back, and what is changed, purged or in use is told."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qlq.consensus import certificate as certificates
from qlq.consensus import votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.votes import Round, Vote
from qlq.errors import ConfigError, LedgerDamaged, LedgerError
from qlq.ledger import sealing, store, store_file, transition
from qlq.ledger.block import Block, Header
from qlq.ledger.operations import Anchor, CommitData, DefineAsset
from qlq.ledger.store import LedgerStore, Place
from qlq.ledger.store_file import FILE, WAL_BYTES_MAX
from qlq.ledger.transition import Outcome

STORAGE = bytes(range(32))
SALT = bytes(range(50, 82))
DATA = b"kept outside the chain, " * 20
COMMITMENT = sealing.commit(DATA, SALT)
MEMO = b"a memo that nobody else reads"


@dataclass
class Kept:
    """A chain in memory, and the same on a disk."""

    folder: Path
    chain: Any

    def __post_init__(self) -> None:
        state, _ = transition.begin(self.chain.rules.genesis)
        store_file.create(self.folder, self.chain.rules.genesis, dict(state.items()), STORAGE)

    @property
    def file(self) -> Path:
        return self.folder / FILE

    @property
    def log(self) -> Path:
        return self.folder / f"{FILE}-wal"

    @property
    def bytes(self) -> bytes:
        """All that is on the disk."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.iterdir()))

    def open(self) -> LedgerStore:
        return LedgerStore(self.folder, STORAGE)

    def certificate(self, header: Header) -> QuorumCertificate:
        return certificates.make(
            [self.vote(header)], validators=self.chain.rules.genesis.validators
        )

    def vote(self, header: Header) -> votes.SignedVote:
        (node,) = self.chain.nodes
        vote = Vote(
            chain=header.chain,
            height=header.height,
            epoch=0,
            round=Round.COMMIT,
            block=header.hash,
            validators_hash=header.validators_hash,
        )
        return votes.sign(vote, node.key, signer=node.address)

    def put(self, sender: Any, *operations: Any) -> None:
        """A block, in memory and on the disk."""
        self.chain.send(sender, *operations, memo=MEMO)
        proposal = self.chain.proposals[-1]
        header = proposal.block.header
        with self.open() as opened:
            opened.append(proposal.block, self.certificate(header), proposal.outcome)

    def large(self, opened: LedgerStore, size: int) -> None:
        """A block of this many bytes; only the file looks at it."""
        proposal = self.chain.propose()
        header = proposal.block.header
        self.chain.accept(proposal)
        outcome = Outcome({}, proposal.outcome.tree, (), ())
        block = Block(header, (os.urandom(size),))
        opened.append(block, self.certificate(header), outcome)

    def execute(self, query: str, *values: Any) -> list[Any]:
        db = sqlite3.connect(self.file, isolation_level=None)
        try:
            return db.execute(query, values).fetchall()
        finally:
            db.close()


@pytest.fixture
def kept(tmp_path: Path, world: Any, alice: Any) -> Kept:
    """Three blocks of Alice's, a vote on the next one, and data outside the chain."""
    made = Kept(tmp_path / "ledger", world.chain())
    made.chain.enrol(alice)
    enrolled = made.chain.proposals[0]
    with made.open() as opened:
        header = enrolled.block.header
        opened.append(enrolled.block, made.certificate(header), enrolled.outcome)
    made.put(alice, DefineAsset("GOLD", 2), Anchor(1, bytes(32)))
    made.put(alice, CommitData(COMMITMENT, len(DATA)))
    with made.open() as opened:
        opened.put_data(COMMITMENT, SALT + DATA)
        following = made.chain.propose().block.header
        opened.save_records(following.height, [made.vote(following)])
    return made


def test_what_is_kept_comes_back(kept: Kept) -> None:
    made = kept.chain.proposals
    with kept.open() as opened:
        assert opened.genesis == kept.chain.rules.genesis
        assert opened.height() == len(made) == 3
        for one, wanted in zip(opened.blocks(), made, strict=True):
            assert (one.block, one.receipts) == (wanted.block, wanted.outcome.receipts)
            assert one.certificate == kept.certificate(wanted.block.header)
        assert opened.hashes() == [one.block.header.hash for one in made]
        assert opened.entries() == dict(kept.chain.state.items())
        places = {
            id_: Place(one.block.header.height, index)
            for one in made
            for index, id_ in enumerate(one.outcome.ids)
        }
        assert opened.places() == places
        assert opened.place(bytes(32)) is None
        ((height, record),) = opened.records()
        assert (height, record) == (4, kept.vote(kept.chain.propose().block.header))
        assert opened.data(COMMITMENT) == SALT + DATA
        assert opened.integrity() == "ok"
        with pytest.raises(ConfigError, match="no block 4"):
            opened.block(4)


def test_nothing_that_says_something_about_anybody_is_readable(kept: Kept, alice: Any) -> None:
    """Headers and certificates are; they name validators alone."""
    found = kept.bytes
    keys = [key for key, _ in kept.chain.state.items()]
    for secret in (
        MEMO,
        DATA[:24],
        SALT,
        alice.address,
        b"GOLD",
        *(key for key in keys if key[1:]),
    ):
        if kept.chain.nodes[0].address not in secret:
            assert secret not in found
    assert kept.chain.proposals[1].block.header.to_bytes() in found


READ = [
    *(("blocks", column) for column in ("height", "hash", "header", "body", "receipts")),
    *(("state", column) for column in ("place", "entry")),
    *(("records", column) for column in ("number", "height", "kind", "record", "tag")),
    *(("data", column) for column in ("commitment", "sealed")),
]
"""Columns whose change is found by whoever reads them; audits find that of the others."""


@pytest.mark.parametrize(("table", "column"), READ)
def test_a_flipped_bit_is_found_by_whoever_reads_it(kept: Kept, table: str, column: str) -> None:
    ((found,),) = kept.execute(f"SELECT {column} FROM {table} LIMIT 1")  # noqa: S608
    length = 8 * len(found) if isinstance(found, bytes) else 3
    for bit in sorted({*range(0, length, max(1, length // 16)), length - 1}):
        changed = flipped(found, bit)
        query = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"  # noqa: S608
        try:
            kept.execute(query, changed, found)
        except sqlite3.IntegrityError:  # another row has this height
            continue
        with pytest.raises((LedgerDamaged, ConfigError)), kept.open() as opened:
            read_all(opened)
        kept.execute(query, found, changed)
    with kept.open() as opened:
        read_all(opened)


def flipped(found: Any, bit: int) -> Any:
    if isinstance(found, int):
        return found ^ 1 << bit
    changed = bytearray(found)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def read_all(opened: LedgerStore) -> None:
    assert len(list(opened.blocks())) == 3
    opened.entries()
    opened.records()
    for commitment in opened.all_data():
        opened.data(commitment)


def test_purged_data_are_gone_from_file_and_log(kept: Kept) -> None:
    """Also those that fill many pages; the commitment stays on the chain."""
    large = os.urandom(300_000)
    other = bytes(range(32))
    with kept.open() as opened:
        opened.put_data(other, large)
        sealed = dict(kept.execute("SELECT commitment, sealed FROM data"))
        for commitment in (COMMITMENT, other):
            pieces = chunks(sealed[commitment])
            assert all(piece in kept.bytes for piece in pieces)
            assert opened.purge_data(commitment)
            assert opened.data(commitment) is None
            assert not any(piece in kept.bytes for piece in pieces)
            assert not opened.purge_data(commitment)
        assert opened.all_data() == []
        read_all(opened)
        assert b"D" + COMMITMENT in opened.entries()


def test_a_purge_that_a_reader_holds_up_is_told(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has read is in the log until it ends."""
    monkeypatch.setattr(store, "BUSY_TIMEOUT_S", 0.1)
    ((sealed,),) = kept.execute("SELECT sealed FROM data")
    reader = sqlite3.connect(kept.file, isolation_level=None)
    with kept.open() as opened:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM data").fetchone()
        with pytest.raises(LedgerError, match="purge them again"):
            opened.purge_data(COMMITMENT)
        reader.close()
        opened.purge_data(COMMITMENT)
        assert not any(piece in kept.bytes for piece in chunks(sealed))


def chunks(sealed: bytes) -> list[bytes]:
    """Parts of a value that lie within one page each, whatever the pages' borders are."""
    return [sealed[start : start + 16] for start in range(0, len(sealed) - 16, 5000)]


def test_the_log_stays_bounded(kept: Kept) -> None:
    """Somebody who reads holds it up, and holds up no block."""
    reader = sqlite3.connect(kept.file, isolation_level=None)
    size = 4 << 20
    with kept.open() as opened:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM blocks").fetchone()
        began = time.monotonic()
        for _ in range(1 + WAL_BYTES_MAX // size):
            kept.large(opened, size)
        assert kept.log.stat().st_size > WAL_BYTES_MAX
        assert time.monotonic() - began < store.BUSY_TIMEOUT_S
        reader.close()
        kept.large(opened, 10)
        assert kept.log.stat().st_size <= WAL_BYTES_MAX


HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it wanted to write can be written when the first one is done."""
    monkeypatch.setattr(store, "BUSY_TIMEOUT_S", 0.1)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(kept.file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with kept.open() as opened:
            with pytest.raises(LedgerError, match="in use by another process"):
                opened.put_data(bytes(32), b"")
            other.communicate()
            opened.put_data(bytes(32), b"")


def test_another_storage_key_is_told(kept: Kept) -> None:
    with pytest.raises(ConfigError, match="sealed with another key"):
        LedgerStore(kept.folder, bytes(32))
    with pytest.raises(ValueError, match="32 bytes"):
        LedgerStore(kept.folder, STORAGE + b"\0")


def test_a_file_of_another_version_is_told(kept: Kept) -> None:
    kept.execute(f"PRAGMA user_version = {store_file.VERSION + 1}")
    with pytest.raises(LedgerDamaged, match="version 2"):
        kept.open()


def test_a_ledger_is_not_begun_over_another_one(kept: Kept) -> None:
    before = kept.bytes
    with pytest.raises(ConfigError, match="already"):
        store_file.create(kept.folder, kept.chain.rules.genesis, {}, STORAGE)
    assert kept.bytes == before


class Broken(Mapping[bytes, bytes]):
    """Entries that end in an error, or in the end of the process."""

    def __init__(self, *, signal_number: int) -> None:
        self.signal_number = signal_number

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, key: bytes) -> bytes:
        return key * 100

    def __iter__(self) -> Iterator[bytes]:
        yield from (b"A%d" % number for number in range(999))
        if self.signal_number:
            os.kill(os.getpid(), self.signal_number)
        raise InterruptedError


@pytest.mark.parametrize("signal_number", [0, signal.SIGKILL])
def test_a_beginning_that_breaks_off_leaves_no_ledger(
    tmp_path: Path, world: Any, signal_number: int
) -> None:
    """And the next one succeeds."""
    folder, made = tmp_path / "ledger", world.chain()
    genesis, entries = made.rules.genesis, dict(made.state.items())
    if signal_number:
        child = os.fork()
        if child == 0:
            store_file.create(folder, genesis, Broken(signal_number=signal_number), STORAGE)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal_number
    else:
        with pytest.raises(ConfigError, match="cannot write"):
            store_file.create(folder, genesis, Broken(signal_number=0), STORAGE)
        assert list(folder.iterdir()) == []
    with pytest.raises(ConfigError, match="no ledger"):
        LedgerStore(folder, STORAGE)
    store_file.create(folder, genesis, entries, STORAGE)
    with LedgerStore(folder, STORAGE) as opened:
        assert opened.entries() == entries
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600

"""Repair of a damaged ledger: a new file from whatever is sound, put in place of the old one.

    blocks    those of the file that hold; in place of the others those of a snapshot or an export
    the rest  state, index, receipts and changes of validators follow from the blocks
    votes     and data outside the chain: those that are as they were written

The new file is made beside the old one and audited in full before it takes its place; the old one
is kept aside under another name. If it cannot be made whole, nothing changes.

A chain of one validator can have a certificate made again, since its one voter is here and votes
for the same block. Among others, votes that were lost may have been sent: until the chain is past
their height, this node might contradict itself, so that a repair without a later block is refused.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from qlq.config import Settings
from qlq.consensus import certificate as certificates
from qlq.consensus import votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.validators import Validators
from qlq.consensus.votes import Round, Vote
from qlq.disk.turn import Turn
from qlq.errors import ConfigError, InvalidBlock, InvalidProof, LedgerDamaged
from qlq.ledger import admission, execution, store_file, transition
from qlq.ledger import handover as handovers
from qlq.ledger.block import Block, Header
from qlq.ledger.genesis import Genesis
from qlq.ledger.state import State
from qlq.ledger.store import LedgerStore
from qlq.ledger.store_file import FILE
from qlq.ledger.store_rows import LedgerRows
from qlq.ledger.transition import Rules, Tip
from qlq.node import audit, chains
from qlq.node.audit import Report
from qlq.node.chains import NodeKeys
from qlq.node.salvage import Sound, Start
from qlq.node.verification import Verifier
from qlq.node.writing import WriteBehind

_Candidate: TypeAlias = tuple[Block, QuorumCertificate, list[int] | None]


@dataclass(slots=True)
class _Done:
    """What a repair did."""

    from_source: list[int] = field(default_factory=list)
    certified_again: list[int] = field(default_factory=list)
    records_lost: int = 0
    data_lost: list[bytes] = field(default_factory=list)


def repair(settings: Settings, source: Path | None = None) -> dict[str, Any]:
    """Make a home's ledger whole again.

    Args:
        settings: Of the home.
        source: A snapshot or an export to take what is damaged from; None takes nothing.

    Returns:
        Whether anything was damaged, what was done, and the name of the old file.

    Raises:
        ConfigError: There is no ledger, its keys cannot be used, or the source is for another
            validator, of another chain or cannot be read.
        LedgerDamaged: It cannot be made whole with this source; nothing has changed.
        KeyStoreError: Another process has the ledger.
    """
    where = chains.folder(settings)
    if not chains.exists(settings):
        raise ConfigError(f"no ledger in {where}: qlq ledger restore begins one with a snapshot")
    turn = Turn(where)
    turn.take(timeout_s=chains.TURN_S)
    try:
        return repair_folder(where, chains.open_keys(settings), source)
    finally:
        turn.give_back()


def repair_folder(folder: Path, keys: NodeKeys, source: Path | None) -> dict[str, Any]:
    """`repair` of the ledger in a folder that nobody else uses."""
    before = audit.verify_full(folder, keys.storage, chains.rules_of)
    done, aside, after = _Done(), None, before
    if not before.is_valid:
        draft = folder / f".repair.{os.urandom(8).hex()}"
        try:
            done = _rebuild(folder, draft, keys, source)
            after = audit.verify_full(draft, keys.storage, chains.rules_of)
            if not after.is_valid:
                raise LedgerDamaged(f"the new file would not be whole: {after.findings.listed[0]}")
            _settle(draft / FILE)
            aside = _swap(folder, draft)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return _document(before, after, done, aside)


def _document(before: Report, after: Report, done: _Done, aside: Path | None) -> dict[str, Any]:
    return {
        "damaged": not before.is_valid,
        "chain": None if after.chain is None else after.chain.hex(),
        "base": after.base,
        "height": after.height,
        "from_source": done.from_source,
        "certified_again": done.certified_again,
        "records_lost": done.records_lost,
        "data_lost": [one.hex() for one in done.data_lost],
        "kept_aside": None if aside is None else str(aside),
        "findings": [one.to_document() for one in before.findings.listed],
    }


def _rebuild(folder: Path, draft: Path, keys: NodeKeys, source: Path | None) -> _Done:
    """Make the new file from the lowest start that leads to the last block."""
    verifier = Verifier()
    try:
        with LedgerRows(folder) as rows:
            sound = Sound(folder, rows, keys, source)
            missing: list[int] = []
            for start in sound.starts():
                shutil.rmtree(draft, ignore_errors=True)
                _create(draft, sound.genesis, start, keys)
                work = _Rebuilding(draft, sound, keys, verifier)
                stopped = work.run(start)
                if stopped is None:
                    return work.done
                missing.append(stopped)
    finally:
        verifier.close()
    lost = f"block {max(missing)}" if missing else "the snapshot that it began with"
    raise LedgerDamaged(
        f"{folder / FILE}: {lost} was final, is damaged or missing, and no source has it: nothing "
        "was changed: qlq ledger repair --from FILE takes it from an export that holds it, or "
        "begins with a later snapshot"
    )


def _create(draft: Path, genesis: Genesis, start: Start, keys: NodeKeys) -> None:
    store_file.create(
        draft,
        genesis,
        dict(start.state.items()),
        keys.storage,
        base=start.base,
        handovers=start.handovers,
    )


class _Rebuilding:
    """One attempt, from one start."""

    def __init__(self, draft: Path, sound: Sound, keys: NodeKeys, verifier: Verifier) -> None:
        self.done = _Done()
        self._draft, self._sound, self._keys = draft, sound, keys
        self._verifier = verifier
        self._rules: Rules = chains.rules_of(sound.genesis, verifier.verify)

    def run(self, start: Start) -> int | None:
        """Carry out all blocks that hold; the height of the file's first lost one, if any."""
        state, tip = start.state, start.tip
        with LedgerStore(self._draft, self._keys.storage) as draft:
            if start.base is not None and self._sound.is_from_source(start):
                self.done.from_source.append(start.base.header.height)
            with WriteBehind(draft) as writer:
                while (following := self._add(writer, state, tip)) is not None:
                    tip = following
                writer.settle()
            if tip.height < self._sound.final_height(draft.places()):
                return tip.height + 1
            voters = execution.read_validators(state).current
            self._add_records(draft, voters, tip.height)
            kept, self.done.data_lost = self._sound.data()
            for commitment, plain in kept.items():
                draft.put_data(commitment, plain)
        return None

    def _add(self, writer: WriteBehind, state: State, tip: Tip) -> Tip | None:
        """Add the next block: the file's own, else the source's; None if neither holds."""
        height = tip.height + 1
        voters = execution.read_validators(state).current
        for block, certificate, done in self._candidates(height, voters):
            added = self._append(writer, state, tip, block, certificate)
            if added is not None:
                if done is not None:
                    done.append(height)
                return added
        return None

    def _candidates(self, height: int, voters: Validators) -> Iterator[_Candidate]:
        """Final blocks of a height, each with where it is noted if it is taken."""
        chain = self._sound.chain
        own = self._sound.own(height)
        if own is not None:
            block, certificate = own
            if certificate is not None and _is_final(block, certificate, chain, voters):
                yield block, certificate, None
            elif (again := self._certify_again(block.header, voters)) is not None:
                yield block, again, self.done.certified_again
        given = self._sound.exported(height)
        if given is not None and _is_final(*given, chain, voters):
            yield *given, self.done.from_source

    def _append(
        self,
        writer: WriteBehind,
        state: State,
        tip: Tip,
        block: Block,
        certificate: QuorumCertificate,
    ) -> Tip | None:
        self._verifier.finish(self._verifier.begin(admission.foresee(state, block.entries, {})))
        try:
            outcome = transition.apply_block(state, tip, block, rules=self._rules)
        except InvalidBlock:
            return None
        writer.append(block, certificate, outcome)
        state.accept(outcome.changes, outcome.tree)
        return tip.after(block.header)

    def _certify_again(self, header: Header, voters: Validators) -> QuorumCertificate | None:
        """This node's own certificate, where it alone votes, for a block that is named twice."""
        own = self._keys.address
        if len(voters) != 1 or own not in voters or not self._sound.is_named(header):
            return None
        said = Vote(
            chain=self._sound.chain,
            height=header.height,
            epoch=0,
            round=Round.COMMIT,
            block=header.hash,
            validators_hash=voters.hash,
        )
        return certificates.make(
            [votes.sign(said, self._keys.signing, signer=own)], validators=voters
        )

    def _add_records(self, draft: LedgerStore, voters: Validators, height: int) -> None:
        """Keep what this node said; among others, refuse where a vote that counts may be lost."""
        kept, lost = self._sound.records()
        if lost and len(voters) > 1 and height <= self._sound.own_height:
            raise LedgerDamaged(
                f"{lost} of this validator's votes are lost, and others may have them: nothing was "
                f"changed: qlq ledger repair --from FILE with an export that holds block "
                f"{height + 1}, once the other validators have made it"
            )
        self.done.records_lost = lost
        for of, record in kept:
            draft.save_records(of, [record])


def _is_final(
    block: Block, certificate: QuorumCertificate, chain: bytes, voters: Validators
) -> bool:
    try:
        handovers.check_final(block.header, certificate, chain=chain, validators=voters)
    except InvalidProof:
        return False
    return True


def _settle(path: Path) -> None:
    """Everything of a file that nobody has open in the file itself, nothing in its log; synced."""
    with closing(sqlite3.connect(path)) as db:
        is_busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if is_busy:
        raise ConfigError(f"{path} is in use by another process: end it, and repair again")
    _sync(path)


def _swap(folder: Path, draft: Path) -> Path:
    """Put the new file in place of the old one, which is kept aside; the old one's new name.

    Whenever the process ends, the ledger in the folder is the old one or the new one: the old
    one's log is written back into it first, so that it never lies beside another file.
    """
    path = folder / FILE
    number = 1
    while (aside := folder / f"{FILE}.damaged-{number}").exists():
        number += 1
    try:
        for suffix in ("-wal", ""):
            old = path.with_name(path.name + suffix)
            if old.exists():
                kept = aside.with_name(aside.name + suffix)
                shutil.copy2(old, kept)
                _sync(kept)
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        (draft / FILE).replace(path)
        _sync(folder)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror}") from error
    return aside


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

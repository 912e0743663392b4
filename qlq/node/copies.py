"""Copies of a ledger: snapshots to go on from, blocks to repair with, headers for anybody.

    snapshot   state, last header and certificate, hashes of all blocks, changes of validators:
               a parcel for the validators; what was before it is not inside
    export     some blocks with their certificates: a parcel for the validators
    headers    headers, certificates and changes of validators of all blocks: clear, for auditors

A parcel opens with a validator's own keys (`ledger/identity.sealed`, `ledger/node.sealed` and the
master key), and with nothing else; it needs no quantum-distributed key. Everything in a copy is
verified before anything of it is written.

A snapshot knows no votes: a validator that goes on from an old one may vote a second time on
heights that it has voted on. Among other validators, it waits until they are past the height of
its loss; a chain with no others goes on as a chain that never had the later blocks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from qlq import codec
from qlq.config import Settings
from qlq.consensus.certificate import QuorumCertificate
from qlq.disk import private_files
from qlq.disk.turn import Turn
from qlq.errors import ConfigError, InvalidProof, LedgerDamaged, RemoteMisuse
from qlq.ledger import base as bases
from qlq.ledger import execution, parcel, store_file
from qlq.ledger import genesis as geneses
from qlq.ledger import handover as handovers
from qlq.ledger.base import Base
from qlq.ledger.block import Block, Header
from qlq.ledger.genesis import Genesis
from qlq.ledger.handover import Handover
from qlq.ledger.parcel import CONTENT_KEY_BYTES, Content, Parcel
from qlq.ledger.sealing import Opener
from qlq.ledger.state import State
from qlq.ledger.store import LedgerStore
from qlq.node import chains
from qlq.node.audit import Level, Report
from qlq.node.audit_headers import HeaderAudit
from qlq.node.findings import Findings

COPY_BYTES_MAX = 1 << 30
"""A copy is sealed as one value, and opened in memory."""


class Snapshot(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a ledger goes on from.

    Attributes:
        genesis: Of the chain.
        base: The last block, and the hashes of all.
        handovers: Changes of validators up to it, ascending.
        entries: The state after it, in ascending order of the keys.
    """

    genesis: Genesis
    base: Base
    handovers: tuple[Handover, ...]
    entries: tuple[tuple[bytes, bytes], ...]


class FinalBlock(msgspec.Struct, frozen=True, array_like=True):
    """A block, and why it is final; receipts follow from carrying it out."""

    block: Block
    certificate: QuorumCertificate


class Export(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Blocks in ascending order without a gap."""

    genesis: Genesis
    blocks: tuple[FinalBlock, ...]


class CertifiedHeader(msgspec.Struct, frozen=True, array_like=True):
    """A header, and why its block is final."""

    header: Header
    certificate: QuorumCertificate


class HeaderExport(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a public audit needs.

    Attributes:
        genesis: Of the chain.
        base: Where the headers begin; None for the beginning of the chain.
        handovers: All changes of validators, ascending.
        headers: In ascending order without a gap.
    """

    genesis: Genesis
    base: Base | None
    handovers: tuple[Handover, ...]
    headers: tuple[CertifiedHeader, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """A snapshot that has been checked, with its state built."""

    snapshot: Snapshot
    state: State


def snapshot(settings: Settings, path: Path) -> dict[str, Any]:
    """Write a snapshot of a home's ledger as it is now.

    Raises:
        ConfigError: There is no ledger or no block, or the file is there or cannot be written.
        LedgerDamaged: The ledger was changed.
        LedgerError, KeyStoreError: Another process has it.
    """
    with chains.opened(settings) as validator:
        return write_snapshot(validator.store, validator.state, path)


def write_snapshot(store: LedgerStore, state: State, path: Path) -> dict[str, Any]:
    """`snapshot` of an open store with the state after its last block."""
    height = store.height()
    if height == 0:
        raise ConfigError("there is no block yet: a snapshot is of a final block")
    header, certificate = store.header(height)
    made = Snapshot(
        genesis=store.genesis,
        base=Base(header=header, certificate=certificate, hashes=b"".join(store.hashes())),
        handovers=store.handovers(),
        entries=tuple(state.items()),
    )
    size = _write(path, codec.encode(made), Content.SNAPSHOT, header, state)
    return {
        "path": str(path),
        "chain": store.chain.hex(),
        "height": height,
        "block": header.hash.hex(),
        "state_root": header.state_root.hex(),
        "entries": len(state),
        "bytes": size,
    }


def export(settings: Settings, path: Path, *, first: int, last: int) -> dict[str, Any]:
    """Write some blocks of a home's ledger.

    Args:
        settings: Of the home.
        path: Of the file, which is not there yet.
        first: Height of the first block.
        last: Height of the last one.

    Raises:
        ConfigError: There are no such blocks, the file is there or cannot be written, or would
            be too large.
        LedgerDamaged: The ledger was changed.
        LedgerError, KeyStoreError: Another process has it.
    """
    with chains.opened(settings) as validator:
        return write_export(validator.store, validator.state, path, first=first, last=last)


def write_export(
    store: LedgerStore, state: State, path: Path, *, first: int, last: int
) -> dict[str, Any]:
    """`export` of an open store."""
    lowest, highest = store.base_height + 1, store.height()
    if not lowest <= first <= last <= highest:
        raise ConfigError(
            f"blocks {first} to {last} are not here: blocks {lowest} to {highest} are"
        )
    blocks, size = [], 0
    for height in range(first, last + 1):
        found = store.block(height)
        size += sum(len(entry) for entry in found.block.entries)
        if size > COPY_BYTES_MAX:
            raise ConfigError(f"more than {COPY_BYTES_MAX} bytes: export up to block {height - 1}")
        blocks.append(FinalBlock(found.block, found.certificate))
    plain = codec.encode(Export(genesis=store.genesis, blocks=tuple(blocks)))
    written = _write(path, plain, Content.EXPORT, blocks[-1].block.header, state)
    return {
        "path": str(path),
        "chain": store.chain.hex(),
        "first": first,
        "last": last,
        "bytes": written,
    }


def export_headers(settings: Settings, path: Path) -> dict[str, Any]:
    """Write what a public audit needs, clear; raises as `export`."""
    with chains.opened(settings) as validator:
        return write_headers(validator.store, path)


def write_headers(store: LedgerStore, path: Path) -> dict[str, Any]:
    """`export_headers` of an open store."""
    heights = range(store.base_height + 1, store.height() + 1)
    made = HeaderExport(
        genesis=store.genesis,
        base=store.base,
        handovers=store.handovers(),
        headers=tuple(CertifiedHeader(*store.header(height)) for height in heights),
    )
    data = codec.encode(made)
    _put(path, data)
    return {
        "path": str(path),
        "chain": store.chain.hex(),
        "height": store.height(),
        "bytes": len(data),
    }


def verify_headers(path: Path, *, chain: bytes | None = None) -> Report:
    """Audit an export of headers; no ledger and no key is needed.

    Args:
        path: Of the file.
        chain: Id of the chain that is meant; without it, the audit is about whatever chain the
            file says.

    Raises:
        ConfigError: The file cannot be read, or is of another chain.
        LedgerDamaged: It is no export of headers.
    """
    data = _read(path)
    try:
        found: HeaderExport = codec.decode(data, HeaderExport)
        geneses.check(found.genesis)
    except (RemoteMisuse, ConfigError) as error:
        raise LedgerDamaged(f"{path} is no export of headers: {error}") from error
    own = found.genesis.chain
    _check_chain(path, own, chain)
    findings = Findings()
    headers = HeaderAudit(found.genesis, findings)
    headers.take_handovers([(one.header.height, one.to_bytes()) for one in found.handovers])
    if found.base is not None:
        headers.take_base(found.base.to_bytes(), found.base.header.height)
    for one in found.headers:
        headers.check(
            headers.progress.height + 1,
            found=one.header.hash,
            header_bytes=one.header.to_bytes(),
            certificate_bytes=one.certificate.to_bytes(),
        )
    headers.finish()
    return Report(
        level=Level.PUBLIC,
        chain=own,
        base=0 if found.base is None else found.base.header.height,
        height=headers.progress.height,
        blocks=0,
        transactions=0,
        findings=findings,
    )


def restore(settings: Settings, path: Path, *, chain: bytes | None = None) -> dict[str, Any]:
    """Begin a home's ledger with a snapshot, verified before anything is written.

    Args:
        settings: Of a home without a ledger, and with the keys of a validator of the chain.
        path: Of the snapshot.
        chain: Id of the chain that is meant, if it is known.

    Raises:
        ConfigError: There is a ledger, there are no keys, the file cannot be read, or is for
            another validator or of another chain.
        LedgerDamaged: The snapshot does not hold.
        KeyStoreError: Another process has the folder.
    """
    where = chains.folder(settings)
    if chains.exists(settings):
        raise ConfigError(f"there is a ledger in {where} already: a restored one begins in none")
    if not chains.has_keys(settings):
        raise ConfigError(
            f"no keys in {where}: put copies of a validator's identity.sealed and node.sealed "
            "there, and set QLQ_PASSPHRASE or put its master.key back"
        )
    turn = Turn(where)
    turn.take(timeout_s=chains.TURN_S)
    try:
        keys = chains.open_keys(settings)
        found = open_snapshot(path, keys.opener, chain=chain)
        return restore_into(where, found, keys.storage)
    finally:
        turn.give_back()


def restore_into(folder: Path, found: Verified, storage_key: bytes) -> dict[str, Any]:
    """Write a verified snapshot as the ledger of a folder that has none; raises ConfigError."""
    kept = found.snapshot
    store_file.create(
        folder,
        kept.genesis,
        dict(kept.entries),
        storage_key,
        base=kept.base,
        handovers=kept.handovers,
    )
    with LedgerStore(folder, storage_key) as store:
        state, tip = chains.load(store)
    return {
        "chain": kept.genesis.chain.hex(),
        "height": tip.height,
        "block": tip.hash.hex(),
        "state_root": state.tree.root.hex(),
        "log_root": tip.log.root.hex(),
        "entries": len(state),
    }


def open_snapshot(path: Path, opener: Opener, *, chain: bytes | None) -> Verified:
    """A snapshot, opened and verified; raises as `restore`."""
    found = open_copy(path, opener, chain=chain)
    if not isinstance(found, Verified):
        raise ConfigError(f"{path} is an export of blocks: a ledger begins with a snapshot")
    return found


def open_copy(path: Path, opener: Opener, *, chain: bytes | None) -> Verified | Export:
    """A snapshot, verified, or an export, whose blocks are for the caller to verify.

    Raises:
        ConfigError: It cannot be read, or is for another validator or of another chain.
        LedgerDamaged: It does not open, or does not hold.
    """
    packed = _parcel(path)
    _check_chain(path, packed.chain, chain)
    if all(copy.reader != opener.address for copy in packed.copies):
        raise ConfigError(f"{path} is not for validator {opener.address.hex()}")
    if packed.content is Content.BLOCK:
        raise ConfigError(f"{path} is a block on its way, neither a snapshot nor an export")
    try:
        plain = parcel.unpack(packed, opener, content=packed.content, chain=packed.chain)
        if packed.content is Content.EXPORT:
            return _checked_export(codec.decode(plain, Export), packed)
        return _checked_snapshot(codec.decode(plain, Snapshot), packed)
    except (RemoteMisuse, InvalidProof, ConfigError) as error:
        raise LedgerDamaged(f"{path} does not hold: {error}") from error


def _checked_snapshot(found: Snapshot, packed: Parcel) -> Verified:
    """Genesis, voters, certificate, log and state; raises InvalidProof, ConfigError."""
    geneses.check(found.genesis)
    header = found.base.header
    _check_clear(packed, found.genesis, header.height)
    base = bases.decode(found.base.to_bytes())
    voters = handovers.voters(
        found.genesis.validators, found.handovers, chain=packed.chain, height=header.height
    )
    if found.handovers and found.handovers[-1].header.height > header.height:
        raise ConfigError("a change of validators after its last block")
    bases.check(base, chain=packed.chain, validators=voters)
    entries = dict(found.entries)
    if tuple(sorted(entries.items())) != found.entries:
        raise ConfigError("its entries are not in ascending order, each once")
    state = State(entries)
    if state.tree.root != header.state_root:
        raise ConfigError(f"its state has root {state.tree.root.hex()}, its header another one")
    return Verified(found, state)


def _checked_export(found: Export, packed: Parcel) -> Export:
    geneses.check(found.genesis)
    heights = [one.block.header.height for one in found.blocks]
    if not heights or heights != list(range(heights[0], heights[0] + len(heights))):
        raise ConfigError("no blocks, or with a gap")
    _check_clear(packed, found.genesis, heights[-1])
    return found


def _check_clear(packed: Parcel, genesis: Genesis, height: int) -> None:
    """What a parcel says outside is what is inside."""
    if genesis.chain != packed.chain or height != packed.height:
        raise ConfigError("it is of another chain or height than it says outside")


def _check_chain(path: Path, found: bytes, wanted: bytes | None) -> None:
    if wanted is not None and found != wanted:
        raise ConfigError(f"{path} is of chain {found.hex()}, not {wanted.hex()}")


def _parcel(path: Path) -> Parcel:
    try:
        return parcel.decode(_read(path), bytes_max=COPY_BYTES_MAX)
    except RemoteMisuse as error:
        raise LedgerDamaged(f"{path} is neither a snapshot nor an export: {error}") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(COPY_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > COPY_BYTES_MAX:
        raise ConfigError(f"{path} is larger than {COPY_BYTES_MAX} bytes: no copy of a ledger is")
    return data


def _write(path: Path, plain: bytes, content: Content, header: Header, state: State) -> int:
    """Seal a copy for those who vote next, and write it."""
    packed = parcel.pack(
        plain,
        content=content,
        chain=header.chain,
        height=header.height,
        readers=execution.read_validators(state).current,
        content_key=os.urandom(CONTENT_KEY_BYTES),
    ).to_bytes()
    _put(path, packed)
    return len(packed)


def _put(path: Path, data: bytes) -> None:
    if len(data) > COPY_BYTES_MAX:
        raise ConfigError(f"{len(data)} bytes; a copy has at most {COPY_BYTES_MAX}")
    if path.exists():
        raise ConfigError(f"{path} is there already: choose another name, or move it away")
    private_files.replace(path, data)

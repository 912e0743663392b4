"""A ledger goes on from a snapshot with the same roots; nothing of a copy that does not hold is
written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from qlq import codec
from qlq.errors import ConfigError, LedgerDamaged
from qlq.ledger import parcel, store_file
from qlq.ledger.parcel import Content
from qlq.ledger.store import LedgerStore
from qlq.ledger.store_file import StorageSeal
from qlq.node import audit, chains, copies
from qlq.node.copies import Export, Snapshot

STORAGE = bytes(range(32))
OTHER_STORAGE = bytes(range(32, 64))


@pytest.fixture
def taken(workshop: Any, tmp_path: Path) -> Path:
    """A snapshot of five blocks."""
    path = tmp_path / "snapshot"
    with workshop.open() as store:
        copies.write_snapshot(store, workshop.state, path)
    return path


def opener(workshop: Any, index: int = 0) -> Any:
    return workshop.voters[index].opener


def restored(workshop: Any, path: Path, folder: Path) -> dict[str, Any]:
    found = copies.open_snapshot(path, opener(workshop), chain=workshop.chain)
    return copies.restore_into(folder, found, OTHER_STORAGE)


def test_a_restored_ledger_has_equal_roots_and_goes_on(
    workshop: Any, taken: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "restored"
    document = restored(workshop, taken, folder)
    assert document["state_root"] == workshop.state.tree.root.hex()
    assert document["log_root"] == workshop.tip.log.root.hex()
    assert (document["height"], document["block"]) == (5, workshop.tip.hash.hex())
    later = workshop.anchor("later")
    with workshop.open() as store:
        before = workshop.state, workshop.tip
        workshop.block(store, later)
        made = store.block(6)
    assert before[1].height == 5
    with LedgerStore(folder, OTHER_STORAGE) as store:
        assert (store.height(), store.base_height) == (5, 5)
        _, tip = chains.load(store)
        assert tip == before[1]
        store.append(made.block, made.certificate, workshop.outcomes[-1])
        state, tip = chains.load(store)
        assert state.tree.root == workshop.state.tree.root
        assert tip == workshop.tip
        assert store.hashes() == workshop.open().hashes()
        assert [one.block.header.height for one in store.blocks()] == [6]
        assert store.place(made.receipts[0].transaction) is not None
        with pytest.raises(ConfigError, match="blocks 6 to 6"):
            store.header(4)
        with pytest.raises(ConfigError, match="snapshot"):
            store.block(5)


def audited(folder: Path) -> tuple[Any, Any]:
    full = audit.verify_full(folder, OTHER_STORAGE, chains.rules_of, threads=1)
    return full, audit.verify_public(folder)


def extend(workshop: Any, folder: Path, count: int) -> None:
    with workshop.open() as store, LedgerStore(folder, OTHER_STORAGE) as copy:
        for index in range(count):
            outcome = workshop.block(store, workshop.anchor(f"more {index}"))
            found = store.block(workshop.tip.height)
            copy.append(found.block, found.certificate, outcome)


def test_a_restored_ledger_is_audited_from_its_base_on(
    workshop: Any, taken: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "restored"
    restored(workshop, taken, folder)
    extend(workshop, folder, 3)
    full, public = audited(folder)
    assert full.is_valid, full.to_document()
    assert public.is_valid
    assert (full.base, full.height, full.blocks) == (5, 8, 3)


@pytest.mark.parametrize("part", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("column", ["height", "base", "state"])
def test_one_flipped_bit_of_a_base_is_found(
    workshop: Any, taken: Path, tmp_path: Path, column: str, part: float
) -> None:
    folder = tmp_path / "restored"
    restored(workshop, taken, folder)
    extend(workshop, folder, 2)
    workshop.folder = folder
    ((value,),) = workshop.execute(f"SELECT {column} FROM base")  # noqa: S608
    if isinstance(value, int):
        changed: object = value ^ (1 << round(4 + part * 36))
    else:
        data = bytearray(value)
        place = min(round(part * 8 * len(data)), 8 * len(data) - 1)
        data[place // 8] ^= 1 << place % 8
        changed = bytes(data)
    workshop.execute(f"UPDATE base SET {column} = ?", changed)  # noqa: S608
    full, public = audited(folder)
    assert "base" in {one.where for one in full.findings.listed}
    assert public.is_valid == (column == "state")


def test_another_state_than_that_of_the_base_is_found_though_it_opens(
    workshop: Any, taken: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "restored"
    restored(workshop, taken, folder)
    entries = tuple(workshop.state.items())[1:]
    sealed = StorageSeal(OTHER_STORAGE).seal(codec.encode(entries), "base", 5)
    workshop.folder = folder
    workshop.execute("UPDATE base SET state = ?", sealed)
    full, _ = audited(folder)
    assert ("base", "state") in {(one.where, one.field) for one in full.findings.listed}


def test_a_chain_whose_validators_changed_is_restored_with_the_proof_of_it(
    changed_voters: Any, tmp_path: Path
) -> None:
    path, folder = tmp_path / "snapshot", tmp_path / "restored"
    with changed_voters.open() as store:
        copies.write_snapshot(store, changed_voters.state, path)
    for index in range(5):  # all who vote now
        found = copies.open_snapshot(path, opener(changed_voters, index), chain=None)
    copies.restore_into(folder, found, OTHER_STORAGE)
    extend(changed_voters, folder, 1)
    full, public = audited(folder)
    assert full.is_valid
    assert public.is_valid
    with pytest.raises(ConfigError, match="not for validator"):
        copies.open_snapshot(path, type(changed_voters.voters[0])("d").opener, chain=None)


def test_a_snapshot_of_the_very_block_that_hands_over(tmp_path: Path, workshop: Any) -> None:
    made = type(workshop)(tmp_path / "made", workshop.voters)
    other = type(workshop.voters[0])("z")
    path, folder = tmp_path / "snapshot", tmp_path / "restored"
    with made.open() as store:
        made.change_voters(store, [other])
        copies.write_snapshot(store, made.state, path)
    found = copies.open_snapshot(path, other.opener, chain=made.chain)
    copies.restore_into(folder, found, OTHER_STORAGE)
    with LedgerStore(folder, OTHER_STORAGE) as store:
        assert len(store.handovers()) == 1
    full, public = audited(folder)
    assert full.is_valid
    assert public.is_valid


def forged(workshop: Any, taken: Path, change: Any) -> Path:
    """The snapshot with something changed inside, sealed again as anybody can."""
    found = copies.open_snapshot(taken, opener(workshop), chain=None).snapshot
    made = change(found)
    packed = parcel.pack(
        codec.encode(made),
        content=Content.SNAPSHOT,
        chain=workshop.chain,
        height=made.base.header.height,
        readers=workshop.genesis.validators,
        content_key=bytes(32),
    )
    taken.write_bytes(packed.to_bytes())
    return taken


def other_entries(found: Snapshot) -> Snapshot:
    key, value = found.entries[3]
    entries = (*found.entries[:3], (key, value + b"x"), *found.entries[4:])
    return msgspec.structs.replace(found, entries=entries)


def other_header(found: Snapshot) -> Snapshot:
    header = msgspec.structs.replace(found.base.header, time_ms=found.base.header.time_ms + 1)
    hashes = found.base.hashes[:-32] + header.hash
    base = msgspec.structs.replace(found.base, header=header, hashes=hashes)
    return msgspec.structs.replace(found, base=base)


def other_hashes(found: Snapshot) -> Snapshot:
    base = msgspec.structs.replace(found.base, hashes=bytes(32) + found.base.hashes[32:])
    return msgspec.structs.replace(found, base=base)


def fewer_hashes(found: Snapshot) -> Snapshot:
    base = msgspec.structs.replace(found.base, hashes=found.base.hashes[32:])
    return msgspec.structs.replace(found, base=base)


def other_genesis(found: Snapshot) -> Snapshot:
    return msgspec.structs.replace(found, genesis=msgspec.structs.replace(found.genesis, name="x"))


def doubled_entries(found: Snapshot) -> Snapshot:
    return msgspec.structs.replace(found, entries=(found.entries[0], *found.entries))


@pytest.mark.parametrize(
    "change",
    [other_entries, other_header, other_hashes, fewer_hashes, other_genesis, doubled_entries],
)
def test_a_snapshot_that_does_not_hold_is_refused(workshop: Any, taken: Path, change: Any) -> None:
    with pytest.raises(LedgerDamaged, match="does not hold"):
        copies.open_snapshot(forged(workshop, taken, change), opener(workshop), chain=None)


def test_no_changed_bit_of_a_snapshot_opens(workshop: Any, taken: Path) -> None:
    data = taken.read_bytes()
    for place in range(0, 8 * len(data), 101):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        taken.write_bytes(changed)
        with pytest.raises((LedgerDamaged, ConfigError)):
            copies.open_snapshot(taken, opener(workshop), chain=None)


def test_a_copy_of_another_chain_is_not_taken_for_this_one(workshop: Any, taken: Path) -> None:
    with pytest.raises(ConfigError, match="of chain"):
        copies.open_snapshot(taken, opener(workshop), chain=bytes(32))


def test_a_copy_says_nothing_to_others_and_does_not_replace_a_file(
    workshop: Any, taken: Path
) -> None:
    data = taken.read_bytes()
    with workshop.open() as store:
        account = next(iter(workshop.state.items()))[0]
        assert account not in data
        with pytest.raises(ConfigError, match="there already"):
            copies.write_snapshot(store, workshop.state, taken)
    assert taken.read_bytes() == data
    assert taken.stat().st_mode & 0o077 == 0


def test_blocks_are_exported_with_their_certificates(workshop: Any, tmp_path: Path) -> None:
    path = tmp_path / "export"
    with workshop.open() as store:
        document = copies.write_export(store, workshop.state, path, first=2, last=4)
        wanted = [(store.block(height).block, store.header(height)[1]) for height in (2, 3, 4)]
        for first, last in ((0, 3), (3, 2), (4, 6)):
            with pytest.raises(ConfigError, match="blocks 1 to 5 are"):
                copies.write_export(store, workshop.state, tmp_path / "x", first=first, last=last)
    assert (document["first"], document["last"]) == (2, 4)
    found = copies.open_copy(path, opener(workshop), chain=workshop.chain)
    assert isinstance(found, Export)
    assert [(one.block, one.certificate) for one in found.blocks] == wanted
    with pytest.raises(ConfigError, match="begins with a snapshot"):
        copies.open_snapshot(path, opener(workshop), chain=None)


def test_headers_are_audited_without_any_ledger(changed_voters: Any, tmp_path: Path) -> None:
    path = tmp_path / "headers"
    with changed_voters.open() as store:
        copies.write_headers(store, path)
    report = copies.verify_headers(path, chain=changed_voters.chain)
    assert report.is_valid
    assert (report.height, report.level.value) == (7, "public")
    with pytest.raises(ConfigError, match="of chain"):
        copies.verify_headers(path, chain=bytes(32))
    found = codec.decode(path.read_bytes(), copies.HeaderExport)
    for index in range(len(found.headers)):
        one = found.headers[index]
        for field, value in (
            ("state_root", bytes(32)),
            ("log_root", bytes(32)),
            ("proposer", bytes(32)),
            ("time_ms", 1),
            ("parent", bytes(32)),
        ):
            header = msgspec.structs.replace(one.header, **{field: value})
            changed = list(found.headers)
            changed[index] = copies.CertifiedHeader(header, one.certificate)
            path.write_bytes(codec.encode(msgspec.structs.replace(found, headers=tuple(changed))))
            assert copies.verify_headers(path).findings.listed[0].height == index + 1
    path.write_bytes(codec.encode(msgspec.structs.replace(found, handovers=())))
    assert not copies.verify_headers(path).is_valid
    path.write_bytes(b"\x01nothing")
    with pytest.raises(LedgerDamaged):
        copies.verify_headers(path)


def test_headers_of_a_restored_ledger_begin_at_its_base(
    workshop: Any, taken: Path, tmp_path: Path
) -> None:
    folder, path = tmp_path / "restored", tmp_path / "headers"
    restored(workshop, taken, folder)
    extend(workshop, folder, 2)
    with LedgerStore(folder, OTHER_STORAGE) as store:
        copies.write_headers(store, path)
    report = copies.verify_headers(path)
    assert report.is_valid
    assert (report.base, report.height) == (5, 7)


def test_a_ledger_is_not_restored_over_another(workshop: Any, taken: Path) -> None:
    before = (workshop.folder / store_file.FILE).read_bytes()
    found = copies.open_snapshot(taken, opener(workshop), chain=None)
    with pytest.raises(ConfigError, match="already"):
        copies.restore_into(workshop.folder, found, STORAGE)
    assert (workshop.folder / store_file.FILE).read_bytes() == before

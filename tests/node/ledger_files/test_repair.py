"""A damaged ledger is made whole from what is sound, or stays as it is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qlq import codec
from qlq.consensus.votes import Round
from qlq.errors import ConfigError, LedgerDamaged
from qlq.ledger import parcel, store_file
from qlq.ledger.parcel import Content
from qlq.ledger.store import LedgerStore
from qlq.node import chains, copies, repairing
from qlq.node.chains import NodeKeys

STORAGE = bytes(range(32))


def keys(workshop: Any, index: int = 0) -> NodeKeys:
    own = workshop.voters[index]
    return NodeKeys(own.signing, own.opening, STORAGE)


def repair(workshop: Any, source: Path | None = None, index: int = 0) -> dict[str, Any]:
    return repairing.repair_folder(workshop.folder, keys(workshop, index), source)


def check_whole(workshop: Any) -> None:
    """Sound, at the same tip, and able to go on."""
    assert workshop.audit().is_valid
    with workshop.open() as store:
        state, tip = chains.load(store)
        assert tip == workshop.tip
        assert state.tree.root == workshop.state.tree.root
        workshop.block(store, workshop.anchor("after the repair"))
    assert workshop.audit().is_valid


@pytest.fixture
def export(workshop: Any, tmp_path: Path) -> Path:
    path = tmp_path / "export"
    with workshop.open() as store:
        copies.write_export(store, workshop.state, path, first=1, last=5)
    return path


@pytest.fixture
def snapshot(workshop: Any, tmp_path: Path) -> Path:
    path = tmp_path / "snapshot"
    with workshop.open() as store:
        copies.write_snapshot(store, workshop.state, path)
    return path


def test_a_sound_ledger_is_left_alone(workshop: Any) -> None:
    before = (workshop.folder / store_file.FILE).read_bytes()
    document = repair(workshop)
    assert document["damaged"] is False
    assert document["kept_aside"] is None
    assert (workshop.folder / store_file.FILE).read_bytes() == before
    assert not list(workshop.folder.glob("*damaged*"))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE state SET entry = zeroblob(80)",
        "DELETE FROM state",
        "UPDATE transactions SET height = height + 1",
        "DELETE FROM transactions",
        "UPDATE blocks SET receipts = zeroblob(80) WHERE height > 2",
        "UPDATE blocks SET hash = zeroblob(32) WHERE height = 3",
        "UPDATE blocks SET height = 999 WHERE height = 3",
        "UPDATE blocks SET certificate = zeroblob(80) WHERE height IN (2, 5)",
        "UPDATE meta SET value = zeroblob(80) WHERE name = 'check'",
        "INSERT INTO meta VALUES ('more', zeroblob(3))",
        "INSERT INTO handovers VALUES (3, zeroblob(80))",
    ],
)
def test_what_follows_from_sound_blocks_is_made_again_without_any_source(
    workshop: Any, damage: str
) -> None:
    workshop.execute(damage)
    document = repair(workshop)
    assert document["damaged"] is True
    assert (document["height"], document["base"]) == (5, 0)
    assert document["from_source"] == []
    expected = [2, 5] if "certificate" in damage else []
    assert document["certified_again"] == expected
    assert document["findings"]
    assert (document["records_lost"], document["data_lost"]) == (0, [])
    check_whole(workshop)


@pytest.mark.parametrize("witness", ["transactions", "records"])
def test_final_blocks_whose_rows_are_gone_are_not_cut_off(
    workshop: Any, export: Path, witness: str
) -> None:
    """Whatever names them is enough: another block in their place would contradict this node."""
    workshop.execute("DELETE FROM blocks WHERE height > 2")
    for table in {"transactions", "records"} - {witness}:
        workshop.execute(f"DELETE FROM {table}")  # noqa: S608 - of a list above
    with pytest.raises(LedgerDamaged, match="block 3 was final"):
        repair(workshop)
    document = repair(workshop, export)
    assert document["from_source"] == [3, 4, 5]


def test_a_change_of_validators_tells_that_its_block_was_final(changed_voters: Any) -> None:
    ((height,),) = changed_voters.execute("SELECT height FROM handovers")
    changed_voters.execute("DELETE FROM blocks WHERE height >= ?", height)
    changed_voters.execute("DELETE FROM transactions")
    with pytest.raises(LedgerDamaged, match=f"block {height} was final"):
        repair(changed_voters)


@pytest.mark.parametrize(
    ("damage", "height"),
    [
        ("UPDATE blocks SET body = zeroblob(80) WHERE height = 3", 3),
        ("UPDATE blocks SET header = zeroblob(80) WHERE height = 5", 5),
        ("DELETE FROM blocks WHERE height = 1", 1),
    ],
)
def test_a_lost_block_takes_a_source(workshop: Any, export: Path, damage: str, height: int) -> None:
    workshop.execute(damage)
    workshop.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = {one.name: one.read_bytes() for one in workshop.folder.iterdir() if one.is_file()}
    with pytest.raises(LedgerDamaged, match=f"block {height} was final, is damaged or missing"):
        repair(workshop)
    after = {one.name: one.read_bytes() for one in workshop.folder.iterdir() if one.is_file()}
    assert after[store_file.FILE] == before[store_file.FILE]
    assert not [name for name in after if "damaged" in name or "repair" in name]
    document = repair(workshop, export)
    assert document["from_source"] == [height]
    kept = Path(document["kept_aside"])
    assert kept.read_bytes() == before[store_file.FILE]
    check_whole(workshop)


def test_the_old_file_is_kept_with_what_was_in_its_log(workshop: Any, tmp_path: Path) -> None:
    """After a crash the last block is in the log only; it is part of what is kept aside."""
    crashed = tmp_path / "crashed"
    with workshop.open() as store:
        workshop.block(store, workshop.anchor("in the log"))
        workshop.execute("DELETE FROM transactions")
        shutil.copytree(workshop.folder, crashed)
    workshop.folder = crashed
    log = (crashed / f"{store_file.FILE}-wal").read_bytes()
    assert log
    aside = Path(repair(workshop)["kept_aside"])
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == log
    folder = tmp_path / "aside"
    folder.mkdir()
    for suffix in ("", "-wal"):
        kept = aside.with_name(aside.name + suffix)
        shutil.copy(kept, folder / f"{store_file.FILE}{suffix}")
    with LedgerStore(folder, STORAGE) as old:
        assert old.height() == 6
    check_whole(workshop)


def test_several_repairs_keep_several_old_files(workshop: Any) -> None:
    for number in (1, 2):
        workshop.execute("DELETE FROM transactions")
        document = repair(workshop)
        assert document["kept_aside"].endswith(f".damaged-{number}")


def test_a_genesis_is_taken_from_a_source_of_the_chain_of_the_blocks(
    workshop: Any, snapshot: Path
) -> None:
    workshop.execute("UPDATE meta SET value = zeroblob(80) WHERE name = 'genesis'")
    with pytest.raises(LedgerDamaged, match="genesis is lost"):
        repair(workshop)
    document = repair(workshop, snapshot)
    assert (document["height"], document["base"]) == (5, 0)
    check_whole(workshop)


def test_a_source_of_another_chain_or_validator_is_refused(workshop: Any, tmp_path: Path) -> None:
    other = type(workshop)(tmp_path / "other", [type(workshop.voters[0])("z")])
    other.fill(2)
    path = tmp_path / "foreign"
    with other.open() as store:
        copies.write_snapshot(store, other.state, path)
    workshop.execute("DELETE FROM state")
    with pytest.raises(ConfigError, match="of chain"):
        repair(workshop, path)


def test_a_snapshot_stands_for_lost_blocks_before_it(workshop: Any, snapshot: Path) -> None:
    with workshop.open() as store:
        workshop.block(store, workshop.anchor("sixth"))
    workshop.execute("UPDATE blocks SET body = zeroblob(80) WHERE height = 3")
    document = repair(workshop, snapshot)
    assert (document["base"], document["height"]) == (5, 6)
    assert document["from_source"] == [5]
    check_whole(workshop)


def test_blocks_are_not_given_up_for_a_snapshot_that_is_not_needed(
    workshop: Any, snapshot: Path
) -> None:
    workshop.execute("DELETE FROM state")
    assert repair(workshop, snapshot)["base"] == 0
    check_whole(workshop)


def test_a_snapshot_does_not_hide_that_a_later_block_is_lost(workshop: Any, snapshot: Path) -> None:
    with workshop.open() as store:
        workshop.block(store, workshop.anchor("sixth"))
    workshop.execute("UPDATE blocks SET body = zeroblob(80) WHERE height IN (3, 6)")
    with pytest.raises(LedgerDamaged, match="block 6"):
        repair(workshop, snapshot)


def test_a_restored_ledger_is_repaired_from_its_base(
    workshop: Any, snapshot: Path, tmp_path: Path
) -> None:
    workshop.folder = tmp_path / "restored"
    found = copies.open_snapshot(snapshot, workshop.voters[0].opener, chain=None)
    copies.restore_into(workshop.folder, found, STORAGE)
    with workshop.open() as store:
        workshop.block(store, workshop.anchor("sixth"))
    workshop.execute("DELETE FROM state")
    document = repair(workshop)
    assert (document["base"], document["height"]) == (5, 6)
    check_whole(workshop)
    workshop.execute("UPDATE base SET state = zeroblob(80)")
    with pytest.raises(LedgerDamaged, match="the snapshot that it began with"):
        repair(workshop)
    assert repair(workshop, snapshot)["from_source"] == [5]
    check_whole(workshop)


def test_lost_votes_and_data_are_named(workshop: Any) -> None:
    workshop.execute("UPDATE records SET kind = 4")
    workshop.execute("UPDATE data SET sealed = zeroblob(80)")
    ((commitment,),) = workshop.execute("SELECT commitment FROM data")
    document = repair(workshop)
    assert document["records_lost"] == 1
    assert document["data_lost"] == [commitment.hex()]
    check_whole(workshop)


def test_votes_and_data_that_are_sound_stay(workshop: Any) -> None:
    with workshop.open() as store:
        before = store.records(), [store.data(one) for one in store.all_data()]
    workshop.execute("DELETE FROM transactions")
    repair(workshop)
    with workshop.open() as store:
        assert (store.records(), [store.data(one) for one in store.all_data()]) == before
        assert len(before[0]) == 2
        assert before[1] == [bytes(32) + b"what is kept outside"]


def test_among_others_a_lost_vote_waits_for_a_later_block(
    changed_voters: Any, tmp_path: Path
) -> None:
    made, path = changed_voters, tmp_path / "export"
    with made.open() as store:
        vote = made.vote(made.voters[0], bytes(32), height=8, stage=Round.PREPARE)
        store.save_records(8, [vote])
    made.execute("UPDATE records SET height = 9")
    with pytest.raises(LedgerDamaged, match="holds block 8"):
        repair(made)
    others = type(made)(tmp_path / "others", [type(made.voters[0])(one) for one in "abcd"])
    others.folder, others.voters = tmp_path / "copy", made.voters
    shutil.copytree(made.folder, others.folder)
    others.execute("DELETE FROM records")
    others.state, others.tip, others.chain = made.state, made.tip, made.chain
    others.genesis, others.rules = made.genesis, made.rules
    with others.open() as store:
        others.block(store, others.anchor("by the others"))
        copies.write_export(store, others.state, path, first=8, last=8)
    document = repair(made, path)
    assert (document["height"], document["from_source"]) == (8, [8])
    assert document["records_lost"] == 1
    assert made.audit().is_valid


def test_among_others_no_certificate_is_made_again(changed_voters: Any, tmp_path: Path) -> None:
    path = tmp_path / "export"
    with changed_voters.open() as store:
        copies.write_export(store, changed_voters.state, path, first=3, last=5)
    changed_voters.execute("UPDATE blocks SET certificate = zeroblob(80) WHERE height = 4")
    with pytest.raises(LedgerDamaged, match="block 4"):
        repair(changed_voters)
    assert repair(changed_voters, path)["from_source"] == [4]
    assert changed_voters.audit().is_valid


def test_changes_of_validators_are_proved_again(changed_voters: Any) -> None:
    changed_voters.execute("DELETE FROM handovers")
    repair(changed_voters)
    assert changed_voters.public().is_valid


def test_a_forged_block_in_a_source_is_not_taken(workshop: Any, tmp_path: Path) -> None:
    """Sealed for this validator, as anybody can, but with a certificate that is none."""
    with workshop.open() as store:
        found = store.block(3)
    header = msgspec.structs.replace(found.block.header, time_ms=1)
    forged = copies.FinalBlock(
        msgspec.structs.replace(found.block, header=header), found.certificate
    )
    packed = parcel.pack(
        codec.encode(copies.Export(genesis=workshop.genesis, blocks=(forged,))),
        content=Content.EXPORT,
        chain=workshop.chain,
        height=3,
        readers=workshop.genesis.validators,
        content_key=bytes(32),
    )
    path = tmp_path / "forged"
    path.write_bytes(packed.to_bytes())
    workshop.execute("UPDATE blocks SET body = zeroblob(80) WHERE height = 3")
    with pytest.raises(LedgerDamaged, match="block 3"):
        repair(workshop, path)


@pytest.mark.parametrize("keep", [0, 5000])
def test_a_file_that_says_nothing_is_for_a_restore(workshop: Any, export: Path, keep: int) -> None:
    path = workshop.folder / store_file.FILE
    workshop.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(LedgerDamaged, match="restore"):
        repair(workshop, export)
    assert path.stat().st_size == keep


def test_no_certificate_is_made_again_for_a_block_that_the_next_one_does_not_name(
    workshop: Any, tmp_path: Path
) -> None:
    """Another block 4, sealed and carried out as it must be; block 5 stands on the one before."""
    other = type(workshop)(tmp_path / "other", workshop.voters)
    other.fill(3)
    with other.open() as store:
        other.block(store, other.anchor("something else"))
    query = "SELECT hash, header, body, receipts FROM blocks WHERE height = 4"
    (row,) = other.execute(query)
    assert row[0] != workshop.execute(query)[0][0]
    workshop.execute(
        "UPDATE blocks SET hash = ?, header = ?, body = ?, receipts = ?, certificate = zeroblob(9) "
        "WHERE height = 4",
        *row,
    )
    with pytest.raises(LedgerDamaged, match="block 4"):
        repair(workshop)


def test_a_repair_that_dies_before_the_last_step_leaves_the_old_file_whole(
    workshop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed = tmp_path / "crashed"
    with workshop.open() as store:
        workshop.block(store, workshop.anchor("in the log"))
        workshop.execute("DELETE FROM transactions")
        shutil.copytree(workshop.folder, crashed)
    workshop.folder = crashed
    replace = Path.replace

    def full_disk(self: Path, target: Path) -> Path:
        if target == crashed / store_file.FILE:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(ConfigError, match="No space left"):
        repair(workshop)
    monkeypatch.undo()
    with workshop.open() as store:
        assert store.height() == 6
        assert chains.load(store)[1] == workshop.tip
    repair(workshop)
    check_whole(workshop)

"""An audit finds every changed bit of a ledger's file, and nothing in a sound one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qlq.consensus import certificate as certificates
from qlq.consensus import votes
from qlq.consensus.proposer import ProposerMode
from qlq.consensus.votes import Round, Vote
from qlq.ledger import store_file
from qlq.ledger.transition import Tip
from qlq.node import audit, chains

COLUMNS = {
    "meta": ("name", "value"),
    "blocks": ("height", "hash", "header", "certificate", "body", "receipts"),
    "transactions": ("id", "height", "position"),
    "state": ("place", "entry"),
    "records": ("number", "height", "kind", "record", "tag"),
    "data": ("commitment", "sealed"),
    "handovers": ("height", "handover"),
    "base": ("height", "base", "state"),
}
CLEAR = {
    ("meta", "value"),
    ("blocks", "height"),
    ("blocks", "hash"),
    ("blocks", "header"),
    ("blocks", "certificate"),
    ("handovers", "height"),
    ("handovers", "handover"),
    ("base", "height"),
    ("base", "base"),
}
"""What a public audit has to find; the rest takes the storage key."""


def columns(skipped: set[str]) -> list[tuple[str, str]]:
    return [(t, c) for t, names in COLUMNS.items() if t not in skipped for c in names]


def flip(workshop: Any, table: str, column: str, *, part: float) -> None:
    """Flip one bit of a value in the middle row of a table, by SQL."""
    order = COLUMNS[table][0]
    rows = workshop.execute(f"SELECT {order}, {column} FROM {table} ORDER BY {order}")  # noqa: S608
    assert rows, f"nothing in {table}"
    where, value = rows[len(rows) // 2]
    changed: object
    if isinstance(value, int):
        changed = value ^ (1 << round(4 + part * 36))
    else:
        data = bytearray(value.encode() if isinstance(value, str) else value)
        place = min(round(part * 8 * len(data)), 8 * len(data) - 1)
        data[place // 8] ^= 1 << place % 8
        changed = bytes(data)
    text = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
    query = f"UPDATE {table} SET {column} = {text} WHERE {order} = ?"  # noqa: S608
    workshop.execute(query, changed, where)


def test_every_column_of_the_file_is_among_those_that_are_changed_here(workshop: Any) -> None:
    tables = workshop.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    found = {
        name: tuple(row[1] for row in workshop.execute(f"PRAGMA table_info({name})"))
        for (name,) in tables
    }
    assert found == COLUMNS


def test_a_sound_ledger_has_no_findings(workshop: Any) -> None:
    for report in (workshop.public(), workshop.audit()):
        assert report.is_valid, report.to_document()
        assert (report.height, report.base) == (5, 0)
    report = workshop.audit().to_document()
    assert (report["blocks"], report["transactions"], report["level"]) == (5, 5, "full")
    assert report["chain"] == workshop.chain.hex()


def test_an_empty_ledger_has_none_either(tmp_path: Path, workshop: Any) -> None:
    made = type(workshop)(tmp_path / "other", workshop.voters)
    assert made.audit().is_valid
    assert made.public().to_document()["height"] == 0


def test_validators_that_changed_are_followed_without_the_state(changed_voters: Any) -> None:
    assert changed_voters.public().is_valid
    assert changed_voters.audit().is_valid
    assert len(changed_voters.execute("SELECT height FROM handovers")) == 1
    changed_voters.execute("DELETE FROM handovers")
    assert {one.field for one in changed_voters.public().findings.listed} >= {"validators"}
    (only,) = changed_voters.audit().findings.listed
    assert (only.where, only.height) == ("handovers", 3)


@pytest.mark.parametrize("part", [0.0, 0.37, 1.0])
@pytest.mark.parametrize(("table", "column"), columns({"handovers", "base"}))
def test_one_flipped_bit_is_found(workshop: Any, table: str, column: str, part: float) -> None:
    flip(workshop, table, column, part=part)
    report = workshop.audit()
    assert table in {one.where for one in report.findings.listed}
    for one in report.findings.listed:
        assert one.expected != one.found
    if (table, column) in CLEAR and (table, column) != ("meta", "value"):
        assert not workshop.public().is_valid


@pytest.mark.parametrize("part", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("column", COLUMNS["handovers"])
def test_one_flipped_bit_of_a_handover_is_found(
    changed_voters: Any, column: str, part: float
) -> None:
    flip(changed_voters, "handovers", column, part=part)
    for report in (changed_voters.audit(), changed_voters.public()):
        assert "handovers" in {one.where for one in report.findings.listed}


@pytest.mark.parametrize(
    ("table", "column"),
    [("blocks", "header"), ("blocks", "certificate"), ("blocks", "hash"), ("blocks", "body")],
)
def test_one_changed_value_makes_one_finding(workshop: Any, table: str, column: str) -> None:
    """Whoever repairs wants to know what is damaged, not what follows from it."""
    flip(workshop, table, column, part=0.5)
    found = workshop.audit().findings.listed
    assert {(one.where, one.height) for one in found} == {("blocks", 3)}
    assert {one.field for one in found} == {column}


def test_all_damage_is_found_not_the_first_alone(workshop: Any) -> None:
    workshop.execute("UPDATE blocks SET body = zeroblob(200) WHERE height = 2")
    workshop.execute("UPDATE blocks SET receipts = zeroblob(200) WHERE height = 4")
    workshop.execute("UPDATE data SET sealed = zeroblob(200)")
    workshop.execute("DELETE FROM state WHERE place = (SELECT max(place) FROM state)")
    workshop.execute("UPDATE transactions SET position = 7 WHERE height = 5")
    found = {(one.where, one.height, one.field) for one in workshop.audit().findings.listed}
    assert {("blocks", 2, "body"), ("blocks", 4, "receipts"), ("state", 5, "root")} <= found
    assert {("data", None, "sealed")} <= found
    assert {one[0] for one in found} == {"blocks", "data", "state", "transactions"}


def test_a_missing_block_is_named_and_the_others_are_still_looked_at(workshop: Any) -> None:
    workshop.execute("DELETE FROM blocks WHERE height IN (2, 3)")
    workshop.execute("UPDATE blocks SET certificate = zeroblob(99) WHERE height = 5")
    found = workshop.audit().findings.listed
    assert [(one.height, one.field) for one in found] == [(2, "row"), (5, "certificate")]
    assert found[0].expected == "blocks 2 to 3"


def certified(workshop: Any, **fields: object) -> None:
    """The last block with other fields in its header, certified as those who lie would do it."""
    with workshop.open() as store:
        found = store.block(5)
    header = msgspec.structs.replace(found.block.header, **fields)
    workshop.tip = Tip(4, header.parent, 0, workshop.tip.log)
    certificate = workshop.certify(header)
    workshop.execute(
        "UPDATE blocks SET hash = ?, header = ?, certificate = ? WHERE height = 5",
        header.hash,
        header.to_bytes(),
        certificate.to_bytes(),
    )


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"chain": bytes(32)}, "chain"),
        ({"parent": bytes(32)}, "parent"),
        ({"time_ms": 1_900_000_000_000}, "time"),
        ({"proposer": bytes(32)}, "proposer"),
        ({"mode": ProposerMode.ELECTED}, "proposer"),
        ({"log_root": bytes(32)}, "log-root"),
        ({"validators_hash": bytes(32)}, "validators"),
        ({"parameters_hash": bytes(32)}, "parameters"),
        ({"beacon_digest": bytes([1] * 64)}, "beacon"),
    ],
)
def test_what_anybody_can_check_is_checked_though_all_signatures_fit(
    workshop: Any, fields: dict[str, object], fault: str
) -> None:
    certified(workshop, **fields)
    (only,) = workshop.public().findings.listed
    assert (only.where, only.height, only.field) == ("blocks", 5, fault)
    assert fault in {one.field for one in workshop.audit().findings.listed}


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"state_root": bytes(32)}, "state-root"),
        ({"receipt_root": bytes(32)}, "receipt-root"),
        ({"tx_root": bytes(32)}, "body"),
        ({"transaction_count": 2}, "body"),
        ({"beacon_round": 1}, "beacon"),
    ],
)
def test_a_block_that_does_not_follow_is_found_though_all_its_signatures_fit(
    workshop: Any, fields: dict[str, object], fault: str
) -> None:
    """That takes the bodies: nobody else can see it."""
    certified(workshop, **fields)
    assert workshop.public().is_valid
    assert fault in {one.field for one in workshop.audit().findings.listed}


def test_an_entry_that_is_put_back_to_an_earlier_value_is_found(workshop: Any) -> None:
    """Sealed values open at their own place, so that only the comparison can tell."""
    before = dict(workshop.execute("SELECT place, entry FROM state"))
    with workshop.open() as store:
        workshop.block(store, workshop.anchor("later"))
    after = dict(workshop.execute("SELECT place, entry FROM state"))
    place = next(one for one in sorted(before) if before[one] != after[one])
    workshop.execute("UPDATE state SET entry = ? WHERE place = ?", before[place], place)
    (only,) = workshop.audit().findings.listed
    assert (only.where, only.field, only.found) == ("state", place.hex(), "another one")


def test_a_file_whose_pages_are_damaged_is_read_as_far_as_it_can_be(workshop: Any) -> None:
    path = workshop.folder / store_file.FILE
    workshop.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    (root,) = workshop.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'state'")[0]
    start = (root - 1) * store_file.PAGE_BYTES
    data[start : start + 64] = bytes(64)
    path.write_bytes(data)
    report = workshop.audit()
    assert {one.where for one in report.findings.listed} >= {"file", "state"}
    assert report.blocks == 5


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_file_that_is_cut_off_is_reported_not_raised(workshop: Any, keep: int) -> None:
    path = workshop.folder / store_file.FILE
    workshop.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(path.read_bytes()[:keep])
    assert not workshop.audit().is_valid


def test_an_audit_changes_nothing(workshop: Any) -> None:
    path = workshop.folder / store_file.FILE
    workshop.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    workshop.audit()
    workshop.public()
    assert path.read_bytes() == before


def test_under_another_storage_key_nothing_opens_and_the_public_part_holds(
    workshop: Any, tmp_path: Path
) -> None:
    report = audit.verify_full(workshop.folder, bytes(32), chains.rules_of, threads=1)
    fields = {(one.where, one.field) for one in report.findings.listed}
    assert ("meta", "check") in fields
    shutil.copytree(workshop.folder, tmp_path / "copy")
    assert workshop.public(tmp_path / "copy").is_valid


def test_a_vote_that_does_not_verify_is_found_without_any_key(workshop: Any) -> None:
    ((data,),) = workshop.execute("SELECT record FROM records WHERE kind = 1")
    changed = data[:-1] + bytes([data[-1] ^ 1])
    workshop.execute("UPDATE records SET record = ? WHERE kind = 1", changed)
    (only,) = workshop.public().findings.listed
    assert (only.where, only.height) == ("records", 6)


def test_a_prepare_certificate_in_place_of_a_commit_is_found(workshop: Any) -> None:
    with workshop.open() as store:
        header, _ = store.header(5)
    cast = workshop.vote(workshop.voters[0], header.hash, height=5, stage=Round.PREPARE)
    made = certificates.make([cast], validators=workshop.genesis.validators)
    query = "UPDATE blocks SET certificate = ? WHERE height = 5"
    workshop.execute(query, made.to_bytes())
    (only,) = workshop.public().findings.listed
    assert (only.height, only.field, only.found) == (5, "certificate", "prepare at height 5")


def handover_of(workshop: Any, keys: Any, **fields: object) -> bytes:
    """The workshop's handover in a block that differs, certified by those who voted then."""
    with workshop.open() as store:
        (found,) = store.handovers()
    header = msgspec.structs.replace(found.header, **fields)
    said = Vote(
        chain=header.chain,
        height=header.height,
        epoch=0,
        round=Round.COMMIT,
        block=header.hash,
        validators_hash=header.validators_hash,
    )
    cast = [votes.sign(said, one.signing, signer=one.member.address) for one in map(keys, "abc")]
    made = certificates.make(cast, validators=workshop.genesis.validators)
    return msgspec.structs.replace(found, header=header, certificate=made).to_bytes()


def test_a_handover_in_another_block_than_the_one_here_is_found(
    changed_voters: Any, keys: Any
) -> None:
    other = handover_of(changed_voters, keys, time_ms=1_900_000_009_999)
    changed_voters.execute("UPDATE handovers SET handover = ?", other)
    found = changed_voters.public().findings.listed
    assert (found[0].where, found[0].height) == ("handovers", 3)


def test_a_handover_of_no_block_is_found(changed_voters: Any, keys: Any) -> None:
    later = handover_of(changed_voters, keys, height=40)
    changed_voters.execute("INSERT INTO handovers VALUES (40, ?)", later)
    (only,) = changed_voters.public().findings.listed
    assert (only.where, only.height, only.found) == ("handovers", 40, "40")

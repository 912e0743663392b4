"""What two parties share before their first session."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from qlq.errors import ConfigError, KeyStoreDamaged
from qlq.kme.tag_keys import Sender
from qlq.node import terminals_pairing
from qlq.node.terminals_pairing import Pairing
from qlq.qkd.duties import Party


def test_a_pairing_file_is_for_its_owner_alone_and_read_back_as_it_was(tmp_path: Path) -> None:
    made = Pairing.from_system()
    terminals_pairing.write(tmp_path / "p.json", made)
    assert stat.S_IMODE((tmp_path / "p.json").stat().st_mode) == 0o600
    assert terminals_pairing.read(tmp_path / "p.json") == made
    assert len(made.to_bob) == len(made.to_alice) == 8 * 32
    assert made.to_bob != made.to_alice
    assert made.to_bob.hex() not in repr(made)
    assert repr(made.to_bob) not in repr(made)


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        terminals_pairing.write(tmp_path / "p.json", Pairing.from_system())
    assert (tmp_path / "p.json").read_text() == "mine"


def test_a_pairing_that_others_may_read_is_refused(tmp_path: Path) -> None:
    terminals_pairing.write(tmp_path / "p.json", Pairing.from_system())
    (tmp_path / "p.json").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        terminals_pairing.read(tmp_path / "p.json")


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "qlq.pairing/2"},
        {"id": "00"},
        {"id": "not hexadecimal!"},
        {"id": None},
        {"to_bob": "00" * 255},
        {"to_alice": "zz" * 256},
        {"to_alice": 7},
    ],
)
def test_a_file_that_is_no_pairing_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    terminals_pairing.write(file, Pairing.from_system())
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ConfigError, match="no pairing file"):
        terminals_pairing.read(file)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"{" * 5000])
def test_bytes_that_are_no_pairing_are_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.touch(mode=0o600)
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="no pairing file"):
        terminals_pairing.read(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json"):
        terminals_pairing.read(tmp_path / "nowhere.json")


def tags(stage: Any, party: Party, pairing: Pairing | None) -> list[tuple[int, bytes]]:
    """The next tag key of each direction."""
    held = stage.belongings(party, pairing)
    try:
        return [held.pool.take(sender) for sender in Sender]
    finally:
        held.close()


def test_both_parties_take_the_same_keys_and_the_same_file_never_gives_one_twice(
    stage: Any,
) -> None:
    pairing = Pairing.from_system()
    first = [tags(stage, party, pairing) for party in Party]
    assert first[0] == first[1] == [(0, pairing.to_bob[:32]), (0, pairing.to_alice[:32])]
    second = tags(stage, Party.ALICE, pairing)
    assert second == [(256, pairing.to_bob[32:64]), (256, pairing.to_alice[32:64])]


def test_a_pairing_is_remembered_and_another_one_has_keys_of_its_own(stage: Any) -> None:
    old, new = Pairing.from_system(), Pairing.from_system()
    tags(stage, Party.ALICE, old)
    assert tags(stage, Party.ALICE, new)[0] == (0, new.to_bob[:32])
    assert tags(stage, Party.ALICE, None)[0] == (256, new.to_bob[32:64])
    assert tags(stage, Party.ALICE, old)[0] == (256, old.to_bob[32:64])


def test_a_party_without_a_pairing_is_told_how_to_get_one(stage: Any) -> None:
    with pytest.raises(ConfigError, match="qlq qkd pair"):
        stage.belongings(Party.BOB, None)


def test_pools_are_equal_exactly_if_their_digests_are(stage: Any) -> None:
    pairing = Pairing.from_system()
    held = [stage.belongings(party, pairing) for party in Party]
    try:
        assert held[0].pool_digest == held[1].pool_digest
        held[0].pool.top_up(Sender.ALICE, bytes(32), 0.0, "one more")
        assert held[0].pool_digest != held[1].pool_digest
    finally:
        for each in held:
            each.close()


def test_a_changed_store_is_found(stage: Any) -> None:
    tags(stage, Party.ALICE, Pairing.from_system())
    (file,) = stage.homes[Party.ALICE].rglob("keys.sqlite")
    data = file.read_bytes()
    file.write_bytes(data[:100] + bytes(len(data) - 100))
    with pytest.raises(KeyStoreDamaged):
        tags(stage, Party.ALICE, None)

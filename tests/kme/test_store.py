"""Keys at rest: sealed, delivered once, nothing lost by a kill, every change found."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from qlq.errors import (
    ConfigError,
    KeyAlreadyDelivered,
    KeyNotFound,
    KeyStoreDamaged,
    KeyStoreError,
    LocalMisuse,
)
from qlq.keys import SecretKey
from qlq.kme.database import FILE
from qlq.kme.lifecycle import State
from qlq.kme.store import KeyStore

MASTER = bytes(range(32))


def id_of(key: SecretKey) -> str:
    """The id of a key that has one."""
    assert key.key_id is not None
    return key.key_id


def filled(folder: Path, key: SecretKey) -> Path:
    """A closed store with one READY key; its database file."""
    with KeyStore(folder, MASTER) as store:
        store.add(key, "bob", 1_800_000_000)
    return folder / FILE


def test_a_key_comes_back_once(tmp_path: Path, key: SecretKey) -> None:
    filled(tmp_path, key)
    with KeyStore(tmp_path, MASTER) as store:
        store.reserve(id_of(key))
        assert store.deliver(id_of(key)) == key.material
        with pytest.raises(KeyAlreadyDelivered):
            store.deliver(id_of(key))
    with KeyStore(tmp_path, MASTER) as store, pytest.raises(KeyAlreadyDelivered):
        store.deliver(id_of(key))


def test_a_row_tells_what_the_key_is_worth_and_not_the_key(tmp_path: Path, key: SecretKey) -> None:
    filled(tmp_path, key)
    with KeyStore(tmp_path, MASTER) as store:
        (row,) = store.list()
        assert row == store.find(id_of(key))
    told = row.description
    assert (told.peer, told.length_bits, told.added_s) == ("bob", 256, 1_800_000_000)
    assert (told.eps_sec, told.eps_cor, told.eps_auth) == (1e-10, 1e-12, 3.5e-26)
    assert (told.worth, told.provenance, row.state) == (key.worth, key.provenance, State.READY)
    assert key.material.hex() not in repr(row)
    assert repr(key.material) not in repr(row)


def test_a_key_must_be_reserved_before_it_is_delivered(tmp_path: Path, key: SecretKey) -> None:
    filled(tmp_path, key)
    with KeyStore(tmp_path, MASTER) as store:
        with pytest.raises(LocalMisuse):
            store.deliver(id_of(key))
        store.reserve(id_of(key))
        with pytest.raises(LocalMisuse):
            store.reserve(id_of(key))
        assert store.find(id_of(key)).state is State.RESERVED


def test_an_erased_key_stays_in_the_list_and_is_gone(tmp_path: Path, key: SecretKey) -> None:
    filled(tmp_path, key)
    with KeyStore(tmp_path, MASTER) as store:
        store.erase(id_of(key))
        assert [row.state for row in store.list()] == [State.ERASED]
        with pytest.raises(KeyAlreadyDelivered):
            store.reserve(id_of(key))


def test_an_unknown_key_is_named(tmp_path: Path, key: SecretKey) -> None:
    filled(tmp_path, key)
    with KeyStore(tmp_path, MASTER) as store, pytest.raises(KeyNotFound, match="no-such-id"):
        store.reserve("no-such-id")


def test_an_id_is_never_used_twice(tmp_path: Path, key: SecretKey) -> None:
    filled(tmp_path, key)
    with KeyStore(tmp_path, MASTER) as store:
        store.erase(id_of(key))
        with pytest.raises(KeyStoreError, match=id_of(key)):
            store.add(key, "bob", 0)


def test_reproducible_keys_and_bad_names_are_not_kept(
    tmp_path: Path, key: SecretKey, reproducible_key: SecretKey
) -> None:
    with KeyStore(tmp_path, MASTER) as store:
        for wrong, peer in (
            (reproducible_key, "bob"),
            (replace(key, key_id=None), "bob"),
            (replace(key, key_id="7"), "bob"),
            (key, ""),
            (key, "b" * 65),
            (key, "bob\n"),
        ):
            with pytest.raises(ValueError, match=r"reproducible|UUID|peer"):
                store.add(wrong, peer, 0)
        assert store.list() == ()


def test_no_file_holds_the_key_in_the_clear(tmp_path: Path, key: SecretKey) -> None:
    with KeyStore(tmp_path, MASTER) as store:
        store.add(key, "bob", 0)
        for file in tmp_path.iterdir():
            assert key.material not in file.read_bytes()
            assert MASTER not in file.read_bytes()


def test_the_sealed_bytes_are_gone_after_delivery(tmp_path: Path, key: SecretKey) -> None:
    filled(tmp_path, key)
    with sqlite3.connect(tmp_path / FILE) as db:
        (sealed,) = db.execute("SELECT sealed FROM keys").fetchone()
    db.close()
    assert any(sealed in file.read_bytes() for file in tmp_path.iterdir())
    with KeyStore(tmp_path, MASTER) as store:
        store.reserve(id_of(key))
        store.deliver(id_of(key))
        assert not any(sealed in file.read_bytes() for file in tmp_path.iterdir())


def test_folder_and_files_are_for_the_owner_alone(tmp_path: Path, key: SecretKey) -> None:
    folder = tmp_path / "new" / "alice"
    with KeyStore(folder, MASTER) as store:
        store.add(key, "bob", 0)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for file in folder.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_every_changed_byte_is_found_or_changes_nothing(tmp_path: Path, key: SecretKey) -> None:
    """Each byte in use, inverted: the store says the same as before, or that it is damaged."""
    file = filled(tmp_path, key)
    with KeyStore(tmp_path, MASTER) as store:
        before = store.list()
    original = file.read_bytes()
    found = 0
    for at in [i for i, byte in enumerate(original) if byte]:
        changed = bytearray(original)
        changed[at] ^= 0xFF
        file.write_bytes(changed)
        for leftover in tmp_path.glob(f"{FILE}-*"):
            leftover.unlink()
        try:
            with KeyStore(tmp_path, MASTER) as store:
                assert store.list() == before, f"byte {at} changed what the store says"
                store.reserve(id_of(key))
                assert store.deliver(id_of(key)) == key.material, f"byte {at} changed the key"
        except (KeyStoreDamaged, ConfigError):
            found += 1
    assert found > 1000


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE keys SET state = 'ready'",
        "UPDATE keys SET key_id = 'a-0'",
        "UPDATE keys SET meta = CAST(replace(CAST(meta AS TEXT), ':1,', ':3,') AS BLOB)",
        "UPDATE keys SET meta = CAST(replace(CAST(meta AS TEXT), '256', '255') AS BLOB)",
        "UPDATE keys SET sealed = NULL",
        "DELETE FROM keys",
        "DELETE FROM keys; DELETE FROM tally",
        "DROP TABLE keys",
        "UPDATE tally SET count = 2",
        "PRAGMA user_version = 99",
        "UPDATE master SET value = zeroblob(32) WHERE name = 'check'",
    ],
)
def test_whoever_edits_the_database_is_found(
    tmp_path: Path, key: SecretKey, statement: str
) -> None:
    file = filled(tmp_path, key)
    with KeyStore(tmp_path, MASTER) as store:
        store.reserve(id_of(key))
    db = sqlite3.connect(file)
    db.executescript(statement)
    db.close()
    with pytest.raises(KeyStoreDamaged, match="restore"), KeyStore(tmp_path, MASTER) as store:
        store.list()


def test_a_delivered_key_cannot_be_made_ready_by_editing(tmp_path: Path, key: SecretKey) -> None:
    file = filled(tmp_path, key)
    db = sqlite3.connect(file)
    (sealed,) = db.execute("SELECT sealed FROM keys").fetchone()
    db.close()
    with KeyStore(tmp_path, MASTER) as store:
        store.reserve(id_of(key))
        store.deliver(id_of(key))
    db = sqlite3.connect(file)
    db.execute("UPDATE keys SET state = 'reserved', sealed = ?", (sealed,))
    db.commit()
    db.close()
    with KeyStore(tmp_path, MASTER) as store, pytest.raises(KeyStoreDamaged):
        store.deliver(id_of(key))


def test_keys_of_two_rows_cannot_be_swapped(tmp_path: Path, key: SecretKey) -> None:
    other = replace(key, key_id="00000000-0000-0000-0000-000000000008", material=bytes(32))
    with KeyStore(tmp_path, MASTER) as store:
        store.add(key, "bob", 1)
        store.add(other, "bob", 2)
    db = sqlite3.connect(tmp_path / FILE)
    (first, second) = [row[0] for row in db.execute("SELECT sealed FROM keys ORDER BY key_id")]
    db.execute("UPDATE keys SET sealed = ? WHERE key_id = ?", (second, key.key_id))
    db.execute("UPDATE keys SET sealed = ? WHERE key_id = ?", (first, other.key_id))
    db.commit()
    db.close()
    with KeyStore(tmp_path, MASTER) as store, pytest.raises(KeyStoreDamaged):
        store.list()


def test_another_master_key_is_the_operators_mistake(tmp_path: Path, key: SecretKey) -> None:
    filled(tmp_path, key)
    with pytest.raises(ConfigError, match="QLQ_PASSPHRASE"):
        KeyStore(tmp_path, bytes(32))


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database at all" * 200)
    with pytest.raises(KeyStoreDamaged, match=FILE):
        KeyStore(tmp_path, MASTER)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="file"):
        KeyStore(tmp_path / "file" / "alice", MASTER)


def test_two_openings_never_deliver_the_same_key(tmp_path: Path, key: SecretKey) -> None:
    filled(tmp_path, key)
    with KeyStore(tmp_path, MASTER) as first, KeyStore(tmp_path, MASTER) as second:
        first.reserve(id_of(key))
        assert second.deliver(id_of(key)) == key.material
        with pytest.raises(KeyAlreadyDelivered):
            first.deliver(id_of(key))


_DELIVERING = """
import sys
from pathlib import Path
from qlq.kme.store import KeyStore
store = KeyStore(Path(sys.argv[1]), bytes(range(32)))
for row in store.list():
    store.reserve(row.description.key_id)
    print("reserved", row.description.key_id, flush=True)
    store.deliver(row.description.key_id)
    print("delivered", row.description.key_id, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2, 5, 8])
def test_what_was_told_before_a_kill_stands_after_it(
    tmp_path: Path, key: SecretKey, lines: int
) -> None:
    """SIGKILL after so many lines: no told step is undone, nothing is damaged."""
    ids = [f"00000000-0000-0000-0000-{number:012d}" for number in range(40)]
    with KeyStore(tmp_path, MASTER) as store:
        for number, key_id in enumerate(ids):
            store.add(replace(key, key_id=key_id), "bob", number)
    command = [sys.executable, "-c", _DELIVERING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        told = [running.stdout.readline().split() for _ in range(lines)]
        os.kill(running.pid, signal.SIGKILL)
        told += [line.split() for line in running.stdout.read().splitlines()]
    least = {key_id: State(word) for word, key_id in told}
    order = [State.READY, State.RESERVED, State.DELIVERED]
    with KeyStore(tmp_path, MASTER) as store:
        rows = {row.description.key_id: row.state for row in store.list()}
        assert sorted(rows) == ids
        for key_id, state in least.items():
            assert order.index(rows[key_id]) >= order.index(state)
            if state is State.DELIVERED:
                with pytest.raises(KeyAlreadyDelivered):
                    store.deliver(key_id)


def test_rows_of_one_party_mean_nothing_in_the_file_of_another(
    tmp_path: Path, key: SecretKey
) -> None:
    with KeyStore(tmp_path / "alice", MASTER) as store:
        store.add(key, "bob", 0)
    (tmp_path / "bob").mkdir()
    for file in (tmp_path / "alice").iterdir():
        shutil.copy(file, tmp_path / "bob" / file.name)
    with pytest.raises(KeyStoreDamaged), KeyStore(tmp_path / "bob", MASTER) as store:
        store.list()

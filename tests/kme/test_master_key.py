"""Where the master key comes from, and what is refused."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from qlq.errors import ConfigError
from qlq.kme import master
from qlq.kme.store import KeyStore

WORDS, EMPTY = "open sesame", ""


def test_a_key_file_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    made = master.obtain(
        passphrase=None, data_folder=tmp_path / "data", settings_folder=tmp_path / "settings"
    )
    again = master.obtain(
        passphrase=None, data_folder=tmp_path / "data", settings_folder=tmp_path / "settings"
    )
    assert made == again
    assert len(made) == 32
    assert stat.S_IMODE((tmp_path / "settings" / "master.key").stat().st_mode) == 0o600
    assert list((tmp_path / "settings").iterdir()) == [tmp_path / "settings" / "master.key"]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    key_file = tmp_path / "settings" / "master.key"
    key_file.parent.mkdir()
    key_file.write_bytes(bytes(32))
    key_file.chmod(mode)
    with pytest.raises(ConfigError, match=f"{mode:04o}.*chmod 600"):
        master.obtain(
            passphrase=None, data_folder=tmp_path / "data", settings_folder=key_file.parent
        )


def test_a_key_file_inside_the_data_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="inside the data folder"):
        master.obtain(passphrase=None, data_folder=tmp_path, settings_folder=tmp_path / "settings")
    assert not (tmp_path / "settings").exists()


def test_a_link_into_the_data_folder_does_not_help(tmp_path: Path) -> None:
    (tmp_path / "data" / "hidden").mkdir(parents=True)
    (tmp_path / "settings").symlink_to(tmp_path / "data" / "hidden")
    with pytest.raises(ConfigError, match="inside the data folder"):
        master.obtain(
            passphrase=None,
            data_folder=tmp_path / "data",
            settings_folder=tmp_path / "settings",
        )


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_file_of_another_length_is_refused(tmp_path: Path, size: int) -> None:
    key_file = tmp_path / "settings" / "master.key"
    key_file.parent.mkdir()
    key_file.write_bytes(bytes(size))
    key_file.chmod(0o600)
    with pytest.raises(ConfigError, match=f"{size} bytes"):
        master.obtain(
            passphrase=None, data_folder=tmp_path / "data", settings_folder=key_file.parent
        )


def test_a_passphrase_gives_the_same_key_with_its_salt_only(tmp_path: Path) -> None:
    def derive(passphrase: str, folder: str) -> bytes:
        return master.obtain(
            passphrase=passphrase,
            data_folder=tmp_path / folder,
            settings_folder=tmp_path / "settings",
        )

    first = derive("open sesame", "one")
    assert derive("open sesame", "one") == first
    assert derive("open sesam", "one") != first
    assert derive("open sesame", "two") != first
    assert not (tmp_path / "settings").exists()


@pytest.mark.parametrize(
    "change", [{"salt": "00"}, {"salt": 5}, {"m": 8}, {"v": 2}, {"kdf": "scrypt"}]
)
def test_a_changed_salt_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    master.obtain(passphrase=WORDS, data_folder=tmp_path, settings_folder=tmp_path / "settings")
    salt_file = tmp_path / "master.salt"
    salt_file.write_text(json.dumps({**json.loads(salt_file.read_text()), **change}))
    with pytest.raises(ConfigError, match=r"master\.salt"):
        master.obtain(passphrase=WORDS, data_folder=tmp_path, settings_folder=tmp_path / "s")


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty"):
        master.obtain(passphrase=EMPTY, data_folder=tmp_path, settings_folder=tmp_path / "s")


def test_a_key_file_that_is_gone_is_not_replaced_beside_stores(tmp_path: Path) -> None:
    where = {"data_folder": tmp_path / "data", "settings_folder": tmp_path / "settings"}
    with KeyStore(tmp_path / "data" / "parties" / "bob", master.obtain(passphrase=None, **where)):
        pass
    (tmp_path / "settings" / "master.key").unlink()
    with pytest.raises(ConfigError, match=r"master\.key is missing.*put it back"):
        master.obtain(passphrase=None, **where)
    assert not (tmp_path / "settings" / "master.key").exists()

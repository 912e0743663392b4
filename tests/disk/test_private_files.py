"""What a private file held is overwritten where it lies, once the new content is there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from qlq.disk import private_files
from qlq.errors import ConfigError


def test_superseding_overwrites_the_old_bytes_where_they_lie(tmp_path: Path) -> None:
    path, old = tmp_path / "secret", tmp_path / "link-to-the-old"
    private_files.create_if_absent(path, b"first words")
    old.hardlink_to(path)
    private_files.supersede(path, b"second")
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert old.read_bytes() == bytes(11)
    assert {one.name for one in tmp_path.iterdir()} == {"secret", "link-to-the-old"}


def test_superseding_nothing_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "secret"
    private_files.supersede(path, b"words")
    assert path.read_bytes() == b"words"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_old_bytes_stay_where_the_new_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    private_files.create_if_absent(path, b"first words")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        private_files.supersede(path, b"second")
    assert path.read_bytes() == b"first words"


def test_destroying_overwrites_and_removes(tmp_path: Path) -> None:
    path, old = tmp_path / "secret", tmp_path / "link"
    private_files.create_if_absent(path, b"words")
    old.hardlink_to(path)
    private_files.destroy(path)
    assert not path.exists()
    assert old.read_bytes() == bytes(5)
    with pytest.raises(ConfigError, match="secret"):
        private_files.destroy(path)


def test_what_is_made_is_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    private_files.create(path, b"whole")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"whole", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_made_over_another_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"other")
    with pytest.raises(ConfigError, match="is there already"):
        private_files.create(path, b"whole")
    assert path.read_bytes() == b"other"
    with pytest.raises(ConfigError, match="cannot write"):
        private_files.create(tmp_path / "no" / "folder", b"whole")
    assert list(tmp_path.iterdir()) == [path]

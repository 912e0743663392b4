"""Whatever is changed in an archive is found, and named."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qlq.archive import verify
from qlq.errors import ArchiveInvalid, ConfigError

POSITIONS = 60
CUTS = 12
PUBLIC = ("session.json", "transcript.bin")
SECRET = tuple(f"secrets/{name}.bin" for name in ("alice_seed", "bob_seed", "bob_bits", "tag_keys"))
Forge = Callable[[Path, Callable[[dict[str, Any]], None]], None]


def test_a_fresh_archive_verifies_in_full(copy: Path) -> None:
    assert verify.check(copy) == verify.Verdict("full", ())


def test_without_its_secrets_it_verifies_at_the_public_level(copy: Path) -> None:
    for file in (copy / "secrets").iterdir():
        file.unlink()
    (copy / "secrets").rmdir()
    assert verify.check(copy) == verify.Verdict("public", ())


def test_the_files_are_the_listed_ones(copy: Path) -> None:
    names = {str(file.relative_to(copy)) for file in copy.rglob("*") if file.is_file()}
    assert names == {*PUBLIC, *SECRET}


@pytest.mark.parametrize("name", [*PUBLIC, *SECRET])
def test_one_flipped_bit_anywhere_is_found_in_its_file(copy: Path, name: str) -> None:
    file = copy / name
    whole = file.read_bytes()
    rng = random.Random(name)  # noqa: S311 - positions of a test
    inside = rng.sample(range(len(whole)), min(POSITIONS, len(whole)))
    for at in {0, len(whole) - 1, *inside}:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        file.write_bytes(damaged)
        findings = verify.check(copy).findings
        assert name in {finding.file for finding in findings}, f"byte {at}"
    file.write_bytes(whole)
    assert verify.check(copy).is_valid


@pytest.mark.parametrize("name", [*PUBLIC, *SECRET])
def test_a_file_cut_off_anywhere_is_found(copy: Path, name: str) -> None:
    file = copy / name
    whole = file.read_bytes()
    rng = random.Random(name)  # noqa: S311 - positions of a test
    for size in {0, 1, len(whole) - 1, *rng.sample(range(len(whole)), min(CUTS, len(whole)))}:
        file.write_bytes(whole[:size])
        findings = verify.check(copy).findings
        assert name in {finding.file for finding in findings}, f"{size} bytes"


@pytest.mark.parametrize("name", ["transcript.bin", *SECRET])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    findings = verify.check(copy).findings
    assert verify.Finding(name, "", "a file", "none") in findings


@pytest.mark.parametrize("name", ["note.txt", "secrets/more.bin", "deep/er/file", ".hidden"])
def test_an_extra_file_is_named(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(parents=True, exist_ok=True)
    (copy / name).write_bytes(b"")
    findings = verify.check(copy).findings
    assert findings == (verify.Finding(name, "", "no such file", "a file"),)


def test_a_dangling_link_is_an_extra_file(copy: Path) -> None:
    (copy / "link").symlink_to(copy / "nowhere")
    assert [finding.file for finding in verify.check(copy).findings] == ["link"]


def test_a_folder_without_a_session_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not an archive: it has no session\.json"):
        verify.check(tmp_path)
    with pytest.raises(ConfigError, match="is not an archive"):
        verify.check(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"schema": "qlq.qkd.archive/2"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema": "qlq.qkd.archive/1"}',
        b'{"schema": "qlq.qkd.archive/1", "files": {}}',
        b'{"schema": "qlq.qkd.archive/1", "files": []}',
        b'{"schema": "qlq.qkd.archive/1", "files": {"../x": "00", "/etc/passwd": "00"}}',
        b'{"schema": "qlq.qkd.archive/1", "x": NaN}',
    ],
)
def test_any_other_session_file_is_a_finding(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "session.json").write_bytes(content)
    assert not verify.check(tmp_path).is_valid


def test_require_valid_names_the_first_finding(copy: Path) -> None:
    verify.require_valid(copy)
    (copy / "transcript.bin").write_bytes(b"\x01")
    with pytest.raises(ArchiveInvalid, match=r"transcript\.bin sha256"):
        verify.require_valid(copy)

"""Native code on disk: used only if it is whole, ours alone, and for this code and machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from qlq.contracts.native_cache import NativeCache

CODE_HASH = bytes(range(32))
NATIVE = b"native code" * 100


@pytest.fixture
def cache(tmp_path: Path) -> NativeCache:
    return NativeCache(tmp_path / "native", settings=b"1")


def file_of(folder: Path) -> Path:
    (path,) = (folder / "native").iterdir()
    return path


def test_what_was_put_in_is_found(cache: NativeCache) -> None:
    assert cache.find(CODE_HASH) is None
    cache.put(CODE_HASH, NATIVE)
    assert cache.find(CODE_HASH) == NATIVE
    assert cache.find(bytes(32)) is None


def test_the_file_is_its_owner_s_alone(cache: NativeCache, tmp_path: Path) -> None:
    cache.put(CODE_HASH, NATIVE)
    assert file_of(tmp_path).stat().st_mode & 0o777 == 0o600
    file_of(tmp_path).chmod(0o644)
    assert cache.find(CODE_HASH) is None


@pytest.mark.parametrize("place", [0, 1, 32, 33, 64, 65, 200, -1])
def test_a_changed_byte_is_never_run(cache: NativeCache, tmp_path: Path, place: int) -> None:
    cache.put(CODE_HASH, NATIVE)
    path = file_of(tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert cache.find(CODE_HASH) is None
    cache.put(CODE_HASH, NATIVE)
    assert cache.find(CODE_HASH) == NATIVE


@pytest.mark.parametrize("length", [0, 1, 64, 65, 66, 1000])
def test_a_file_cut_short_is_never_run(cache: NativeCache, tmp_path: Path, length: int) -> None:
    cache.put(CODE_HASH, NATIVE)
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    assert cache.find(CODE_HASH) is None


def test_a_file_under_another_code_s_name_is_never_run(cache: NativeCache, tmp_path: Path) -> None:
    cache.put(CODE_HASH, NATIVE)
    first = file_of(tmp_path)
    content = first.read_bytes()
    first.unlink()
    cache.put(bytes(32), b"other")
    file_of(tmp_path).write_bytes(content)
    assert cache.find(bytes(32)) is None


def test_other_settings_have_other_files(cache: NativeCache, tmp_path: Path) -> None:
    cache.put(CODE_HASH, NATIVE)
    assert NativeCache(tmp_path / "native", settings=b"2").find(CODE_HASH) is None


def test_another_version_of_wasmtime_has_other_files(
    cache: NativeCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(CODE_HASH, NATIVE)
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "1.0")
    assert NativeCache(tmp_path / "native", settings=b"1").find(CODE_HASH) is None


def test_another_processor_has_other_files(
    cache: NativeCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(CODE_HASH, NATIVE)
    monkeypatch.setattr("platform.machine", lambda: "other")
    assert NativeCache(tmp_path / "native", settings=b"1").find(CODE_HASH) is None


def test_a_folder_that_cannot_be_made_costs_speed_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = NativeCache(tmp_path / "file" / "native", settings=b"1")
    cache.put(CODE_HASH, NATIVE)
    assert cache.find(CODE_HASH) is None

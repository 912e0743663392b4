"""What may be read by others, and what an archive must never hold or leave behind."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from qlq.archive import folder, session, verify
from qlq.backends import registry
from qlq.errors import ConfigError
from qlq.node import parties, sessions
from qlq.qkd import parameters
from qlq.qkd.parameters import Protocol, Wanted

WINDOW = 12
"""Bytes of a secret that must not be found anywhere: chance puts a given one into a
megabyte with probability 2^20 / 2^96, below 1e-22."""


def spellings(secret: bytes) -> list[bytes]:
    """A piece of a secret as it might be written."""
    piece = secret[:WINDOW]
    return [
        piece,
        piece.hex().encode(),
        piece.hex().upper().encode(),
        base64.b64encode(piece),
        base64.urlsafe_b64encode(piece),
    ]


@pytest.fixture
def secrets(finished, key_bytes: bytes) -> dict[str, bytes]:
    """Everything that only the two parties may know."""
    tag_keys = (finished.path / "secrets/tag_keys.bin").read_bytes()
    bob_bits = (finished.path / "secrets/bob_bits.bin").read_bytes()
    half = len(tag_keys) // 2
    assert finished.session.alice_key is not None
    return {
        "key": key_bytes,
        "middle of the key": key_bytes[len(key_bytes) // 2 :],
        "Alice's kept key": finished.session.alice_key.material,
        "Alice's seed": finished.seeds.alice,
        "Bob's seed": finished.seeds.bob,
        "tag key of Alice": tag_keys[8:half],
        "tag key of Bob": tag_keys[half + 8 :],
        "Bob's outcomes": bob_bits[8:],
    }


def test_secrets_are_readable_by_their_owner_alone(finished) -> None:
    for file in (finished.path / "secrets").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((finished.path / "secrets").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["session.json", "transcript.bin"])
def test_public_files_hold_no_secret(finished, secrets: dict[str, bytes], name: str) -> None:
    content = (finished.path / name).read_bytes()
    for what, secret in secrets.items():
        assert len(secret) >= WINDOW
        for spelling in spellings(secret):
            assert spelling not in content, f"{what} is in {name}"


def test_neither_what_is_printed_nor_the_document_holds_a_secret(
    finished, secrets: dict[str, bytes]
) -> None:
    shown = finished.spoken + json.dumps(finished.session.document) + repr(finished.session)
    for what, secret in secrets.items():
        for spelling in spellings(secret):
            assert spelling.decode("latin1") not in shown, what
        assert repr(secret[:WINDOW])[2:-1] not in shown, what


def test_repr_of_secrets_shows_nothing(finished, secrets: dict[str, bytes]) -> None:
    files = {file.name: file.read_bytes() for file in (finished.path / "secrets").iterdir()}
    shown = repr(session.Secrets.unpack(files, pulses=30_000)) + repr(finished.seeds)
    for secret in secrets.values():
        assert secret[:WINDOW].hex() not in shown
        assert repr(secret[:WINDOW])[2:-1] not in shown


def test_both_parties_hold_the_same_key(finished) -> None:
    alice, bob = finished.session.alice_key, finished.session.bob_key
    assert alice is not None
    assert bob is not None
    assert alice.material == bob.material
    assert alice.length_bits == bob.length_bits


def test_an_aborted_session_leaves_no_secrets_and_verifies(aborted) -> None:
    assert {file.name for file in aborted.path.iterdir()} == {"session.json", "transcript.bin"}
    assert verify.check(aborted.path) == verify.Verdict("public", ())
    assert aborted.session.alice_key is None
    assert aborted.session.bob_key is None
    assert aborted.session.document["aborted"]["reason"] == "qber"


def test_no_draft_remains_beside_a_finished_archive(finished) -> None:
    assert list(finished.path.parent.iterdir()) == [finished.path]


def start(path: Path) -> None:
    """Begin a session that would write this archive; fails if it reaches the first pulse."""

    def reached(text: str) -> None:
        pytest.fail(f"a session began: {text}")

    seeds = sessions.Seeds.from_number(1)
    backend = registry.open_backend("aer")
    try:
        sessions.run(
            parameters.commit(Wanted(protocol=Protocol.BB84, pulses=30_000, qber_max=0.02)),
            backend,
            parties.passing_pair(seeds.alice),
            seeds=seeds,
            archive=path,
            progress=reached,
        )
    finally:
        backend.close()


def test_a_folder_that_is_not_empty_is_refused_before_the_first_pulse(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("keep", encoding="ascii")
    with pytest.raises(ConfigError, match="full exists and is not an empty folder"):
        start(tmp_path / "full")
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["full"]


def test_a_path_that_is_a_file_is_refused_and_the_file_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep", encoding="ascii")
    with pytest.raises(ConfigError, match="file exists and is not an empty folder"):
        start(tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="ascii") == "keep"


def test_a_parent_that_is_a_file_is_refused_with_nothing_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep", encoding="ascii")
    with pytest.raises(
        ConfigError, match=r"cannot write in .*file: Not a directory: name a folder"
    ):
        start(tmp_path / "file" / "below" / "archive")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_takes_no_folder_is_found_before_the_first_pulse() -> None:
    """Its access rights do not say so."""
    with pytest.raises(ConfigError, match="cannot write in /proc"):
        folder.check_free(Path("/proc/archive"))


def test_what_a_dead_process_left_half_written_is_gone(tmp_path: Path) -> None:
    left = tmp_path / ".archive.part-4194305"  # beyond the largest process id of Linux
    (left / "secrets").mkdir(parents=True)
    (left / "secrets" / "seed.bin").write_bytes(b"secret")
    running = tmp_path / f".archive.part-{os.getppid()}"
    running.mkdir()
    folder.write(tmp_path / "archive", public={}, secret={}, manifest={})
    assert not left.exists()
    assert running.exists()


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    too_long = "n" * 300  # longer than any file system's names
    with pytest.raises(ConfigError, match="cannot write the archive"):
        folder.write(
            tmp_path / "archive",
            public={"first.bin": b"written", too_long: b"never"},
            secret={"secret.bin": b"never"},
            manifest={},
        )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    folder.write(tmp_path / "archive", public={"a": b"1"}, secret={}, manifest={"x": 1})
    assert sorted(file.name for file in (tmp_path / "archive").iterdir()) == ["a", "session.json"]

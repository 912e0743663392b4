"""A party's signing key and the keys it knows its peers by, at rest."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import ConfigError, KeyStoreDamaged, KeyStoreError
from qlq.kme.identity import IDENTITY_FILE, Identities

MASTER = b"m" * 32
PEER = SigningKey(Algorithm.ML_DSA_65, b"p" * 32).verifying_key
OTHER = SigningKey(Algorithm.ED25519, b"o" * 32).verifying_key


def test_a_party_s_key_is_made_once_and_stays_the_same(tmp_path: Path) -> None:
    first = Identities(tmp_path / "alice", MASTER).own()
    assert first.algorithm is Algorithm.ML_DSA_65
    assert Identities(tmp_path / "alice", MASTER).own() == first
    assert Identities(tmp_path / "bob", MASTER).own() != first


def test_nothing_is_written_before_it_is_asked_for(tmp_path: Path) -> None:
    assert Identities(tmp_path / "alice", MASTER).known("bob") is None
    assert list(tmp_path.iterdir()) == []


def test_the_seed_is_sealed_and_for_its_owner_alone(tmp_path: Path) -> None:
    key = Identities(tmp_path / "alice", MASTER).own()
    file = tmp_path / "alice" / IDENTITY_FILE
    assert key.seed not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_peer_is_known_by_the_key_it_was_learnt_with(tmp_path: Path) -> None:
    held = Identities(tmp_path, MASTER)
    held.learn("bob", PEER)
    held.learn("bob", PEER)
    assert Identities(tmp_path, MASTER).known("bob") == PEER
    with pytest.raises(KeyStoreError, match="'bob' is known by another key"):
        held.learn("bob", OTHER)
    assert held.known("bob") == PEER


def test_any_changed_byte_is_found(tmp_path: Path) -> None:
    held = Identities(tmp_path, MASTER)
    held.own()
    held.learn("bob", PEER)
    for file in tmp_path.iterdir():
        data = file.read_bytes()
        for at in {0, 1, len(data) // 2, len(data) - 1}:
            file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(KeyStoreDamaged, match=file.name):
                _ = held.own() if file.name == IDENTITY_FILE else held.known("bob")
        file.write_bytes(b"")
        with pytest.raises(KeyStoreDamaged):
            _ = held.own() if file.name == IDENTITY_FILE else held.known("bob")
        file.write_bytes(data)


def test_one_peer_s_file_is_not_another_s(tmp_path: Path) -> None:
    held = Identities(tmp_path, MASTER)
    held.learn("bob", PEER)
    (tmp_path / "peer-bob.sealed").rename(tmp_path / "peer-carol.sealed")
    with pytest.raises(KeyStoreDamaged):
        held.known("carol")


def test_another_master_key_opens_nothing(tmp_path: Path) -> None:
    Identities(tmp_path, MASTER).own()
    with pytest.raises(KeyStoreDamaged, match="another master key"):
        Identities(tmp_path, b"n" * 32).own()


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    held = Identities(tmp_path, MASTER)
    held.own()
    (tmp_path / IDENTITY_FILE).chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        held.own()


@pytest.mark.parametrize("name", ["", "../bob", "a/b", ".hidden", "x" * 65, "a\nb"])
def test_a_name_that_no_peer_has_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name"):
        Identities(tmp_path, MASTER).known(name)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    held = Identities(tmp_path, MASTER)
    assert repr(held.own().seed) not in repr(held) + repr(held.own())

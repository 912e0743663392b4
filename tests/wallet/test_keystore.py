"""The wallet's file: what it shows, what it hides, and what is found when it changes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qlq.cli import console
from qlq.crypto import kdf
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.disk import private_files
from qlq.errors import ConfigError, KeyStoreDamaged
from qlq.ledger import address
from qlq.wallet import keystore, wallet_file
from qlq.wallet.keystore import Account, Keystore, Unlocked

WORDS, OTHER = "open sesame", "open barley"
KEPT = json.loads((Path(__file__).parent / "vectors" / "wallet_v1.json").read_text())


def key(name: str, algorithm: Algorithm = Algorithm.ED25519) -> SigningKey:
    return SigningKey(algorithm, hashlib.sha256(name.encode()).digest())


def add(wallet: Unlocked, name: str, algorithm: Algorithm = Algorithm.ED25519) -> Account:
    made = key(name, algorithm)
    return wallet.add(name, made, address=address.of(made.verifying_key))


@pytest.fixture
def two(tmp_path: Path, quick: None) -> Path:  # noqa: ARG001 - quick is for what follows too
    """A folder with the accounts alice and bob; a rotation of bob's is under way."""
    wallet = Keystore(tmp_path).unlock(WORDS)
    add(wallet, "alice")
    add(wallet, "bob")
    wallet.begin_rotation("bob", key("bob again", Algorithm.ML_DSA_65))
    return tmp_path


def forge(path: Path, change: Callable[[list[Any]], object]) -> None:
    """Change a file's fields, with a digest that fits; anybody can who may write the file."""
    fields = msgspec.msgpack.decode(path.read_bytes()[1:-32])
    change(fields)
    body = b"\x01" + msgspec.msgpack.encode(fields)
    path.write_bytes(body + hashlib.sha256(b"\x0cqlq/wallet/1" + body).digest())


def test_another_program_reads_the_file_by_its_description(
    tmp_path: Path, read: Callable[[Path, str], Any]
) -> None:
    wallet = Keystore(tmp_path).unlock(WORDS)
    for algorithm in Algorithm:
        add(wallet, algorithm.name.lower(), algorithm)
    wallet.begin_rotation("ed25519", key("next", Algorithm.HYBRID))
    found = read(tmp_path / "wallet.qlq", WORDS)
    assert [row["name"] for row in found.rows] == ["ml_dsa_65", "ed25519", "hybrid"]
    for row, algorithm in zip(found.rows, Algorithm, strict=True):
        public = key(algorithm.name.lower(), algorithm).verifying_key
        assert row["seed"] == hashlib.sha256(algorithm.name.lower().encode()).digest()
        assert row["key"] == bytes([algorithm.value]) + public.data
        assert row["address"] == hashlib.sha256(b"\x0dqlq/address/1" + row["key"]).digest()
    assert found.rows[1]["next_seed"] == hashlib.sha256(b"next").digest()
    assert found.rows[1]["next_key"][0] == Algorithm.HYBRID.value


def test_a_file_of_version_1_is_read_for_ever(tmp_path: Path) -> None:
    private_files.create_if_absent(tmp_path / "wallet.qlq", bytes.fromhex(KEPT["file"]))
    found = Keystore(tmp_path)
    wallet = found.unlock(KEPT["passphrase"])
    for account, kept in zip(found.accounts, KEPT["accounts"], strict=True):
        assert account.name == kept["name"]
        assert account.address.hex() == kept["address"]
        assert account.algorithm.name == kept["algorithm"]
        assert wallet.key(account.name).seed.hex() == kept["seed"]
        assert wallet.key(account.name).verifying_key == account.key
        if kept["next_seed"] is None:
            assert account.next_key is None
        else:
            assert wallet.next_key(account.name).seed.hex() == kept["next_seed"]


def test_a_list_needs_no_passphrase_and_shows_no_secret(two: Path) -> None:
    found = Keystore(two)
    assert [account.name for account in found.accounts] == ["alice", "bob"]
    alice, bob = found.accounts
    assert alice == found.find("alice")
    assert alice.key == key("alice").verifying_key
    assert alice.next_key is None
    assert bob.next_key == key("bob again", Algorithm.ML_DSA_65).verifying_key
    data = found.path.read_bytes()
    for name in ("alice", "bob", "bob again"):
        assert key(name).seed not in data
    wallet = found.unlock(WORDS)
    shown = repr(wallet) + repr(found.accounts) + repr(wallet.key("alice")) + repr(wallet._key)
    for secret in (key("alice").seed, key("bob").seed, read_data_key(wallet)):
        assert repr(secret) not in shown
        assert secret.hex() not in shown


def read_data_key(wallet: Unlocked) -> bytes:
    return wallet._key.material


def test_nothing_is_written_before_there_is_an_account(tmp_path: Path, quick: None) -> None:  # noqa: ARG001
    found = Keystore(tmp_path / "wallet")
    assert found.accounts == ()
    found.unlock(WORDS)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_for_its_owner_alone(tmp_path: Path, quick: None) -> None:  # noqa: ARG001
    add(Keystore(tmp_path / "wallet").unlock(WORDS), "alice")
    path = tmp_path / "wallet" / "wallet.qlq"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        Keystore(path.parent)


def test_every_changed_missing_or_added_byte_is_found_without_a_passphrase(two: Path) -> None:
    path = two / "wallet.qlq"
    data = path.read_bytes()
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]
        for wrong in (changed, data[:place]):
            with pytest.raises(KeyStoreDamaged):
                wallet_file.parse(wrong)
    with pytest.raises(KeyStoreDamaged):
        wallet_file.parse(data + b"\x00")
    path.write_bytes(data[:-1])
    with pytest.raises(KeyStoreDamaged, match=r"wallet\.qlq is damaged.*restore") as caught:
        Keystore(two)
    assert console.exit_code(caught.value) == 7


def test_a_wrong_passphrase_is_no_damage(two: Path) -> None:
    with pytest.raises(ConfigError, match="does not open") as caught:
        Keystore(two).unlock(OTHER)
    assert console.exit_code(caught.value) == 2
    assert OTHER not in str(caught.value)


@pytest.mark.parametrize("passphrase", ["", "\udcff"])
def test_a_passphrase_that_is_none_is_refused(two: Path, passphrase: str) -> None:
    before = (two / "wallet.qlq").read_bytes()
    with pytest.raises(ConfigError, match="QLQ_PASSPHRASE"):
        Keystore(two).unlock(passphrase)
    with pytest.raises(ConfigError, match="QLQ_PASSPHRASE"):
        Keystore(two).unlock(WORDS).change_passphrase(passphrase)
    assert (two / "wallet.qlq").read_bytes() == before


# What somebody can do who may write the file and has no passphrase: fields are salt, wrapped,
# rows and stamp, those of a row name, address, key, sealed, next key, next sealed.
FORGERIES = {
    "another name": lambda fields: fields[2][0].__setitem__(0, "carol"),
    "another address": lambda fields: fields[2][0].__setitem__(1, bytes(32)),
    "another key": lambda fields: fields[2][0].__setitem__(2, b"\x02" + bytes(32)),
    "another seal": lambda fields: fields[2][0].__setitem__(3, fields[2][1][3]),
    "another next key": lambda fields: fields[2][0].__setitem__(4, b"\x02" + bytes(32)),
    "no rotation": lambda fields: fields[2][1].__setitem__(slice(4, 6), [b"", b""]),
    "an account less": lambda fields: fields[2].pop(),
    "another order": lambda fields: fields[2].reverse(),
    "an account more": lambda fields: fields[2].append(
        ["carol", bytes(32), b"\x02" + bytes(32), b"", b"", b""]
    ),
    "no stamp": lambda fields: fields.__setitem__(3, b""),
}


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_list_is_found_by_whoever_unlocks(
    two: Path, change: Callable[[list[Any]], object]
) -> None:
    forge(two / "wallet.qlq", change)
    found = Keystore(two)
    with pytest.raises(KeyStoreDamaged, match="list of accounts"):
        found.unlock(WORDS)


MALFORMED = {
    "a name that is none": lambda fields: fields[2][0].__setitem__(0, "\x1b[2J"),
    "a short address": lambda fields: fields[2][0].__setitem__(1, bytes(31)),
    "an unknown algorithm": lambda fields: fields[2][0].__setitem__(2, b"\x09" + bytes(32)),
    "a short next key": lambda fields: fields[2][0].__setitem__(4, b"\x02" + bytes(31)),
    "two of one name": lambda fields: fields[2][0].__setitem__(0, "bob"),
    "two of one address": lambda fields: fields[2][0].__setitem__(1, fields[2][1][1]),
    "two of one key": lambda fields: fields[2][0].__setitem__(2, fields[2][1][2]),
    "a short salt": lambda fields: fields.__setitem__(0, bytes(15)),
    "a field more": lambda fields: fields.append(b""),
    "text in place of bytes": lambda fields: fields.__setitem__(1, "wrapped"),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_a_list_that_no_wallet_has_is_not_even_shown(
    two: Path, change: Callable[[list[Any]], object]
) -> None:
    forge(two / "wallet.qlq", change)
    with pytest.raises(KeyStoreDamaged):
        Keystore(two)


def test_a_seal_belongs_to_one_account(two: Path) -> None:
    """Also for somebody who could make a stamp that fits."""
    data_key = read_data_key(Keystore(two).unlock(WORDS))

    def swap(fields: list[Any]) -> None:
        first, second = fields[2]
        first[3], second[3] = second[3], first[3]
        stamped = b"qlq wallet 1 stamp \x01" + msgspec.msgpack.encode(fields[:3])
        nonce = os.urandom(12)
        fields[3] = b"\x01" + nonce + AESGCM(data_key).encrypt(nonce, b"", b"\x01" + stamped)

    forge(two / "wallet.qlq", swap)
    wallet = Keystore(two).unlock(WORDS)
    for name in ("alice", "bob"):
        with pytest.raises(KeyStoreDamaged, match=f"seal of '{name}'"):
            wallet.key(name)
    assert wallet.next_key("bob") == key("bob again", Algorithm.ML_DSA_65)


def test_opening_costs_one_derivation(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, derive = [], kdf.argon2id

    def counted(passphrase: str, *, salt: bytes) -> bytes:
        calls.append(salt)
        return derive(passphrase, salt=salt)

    monkeypatch.setattr(kdf, "argon2id", counted)
    wallet = Keystore(two).unlock(WORDS)
    wallet.key("alice")
    wallet.next_key("bob")
    add(wallet, "carol")
    wallet.remove("carol")
    assert len(calls) == 1


def test_another_passphrase_comes_with_another_data_key(two: Path) -> None:
    """Whoever has an old copy and the old passphrase opens nothing that is written later."""
    path, old = two / "wallet.qlq", two / "copy"
    old.write_bytes(path.read_bytes())
    wallet = Keystore(two).unlock(WORDS)
    before = read_data_key(wallet)
    wallet.change_passphrase(OTHER)
    with pytest.raises(ConfigError, match="does not open"):
        Keystore(two).unlock(WORDS)
    again = Keystore(two).unlock(OTHER)
    assert again.key("alice") == key("alice")
    assert again.key("bob") == key("bob")
    assert again.next_key("bob") == key("bob again", Algorithm.ML_DSA_65)
    assert read_data_key(again) != before
    old_rows = msgspec.msgpack.decode(old.read_bytes()[1:-32])[2]
    new_rows = msgspec.msgpack.decode(path.read_bytes()[1:-32])[2]
    for old_row, new_row in zip(old_rows, new_rows, strict=True):
        assert old_row[:3] == new_row[:3]
        assert old_row[3] != new_row[3]


@pytest.mark.parametrize(
    "change",
    [
        lambda wallet: wallet.change_passphrase(OTHER),
        lambda wallet: wallet.remove("alice"),
        lambda wallet: wallet.finish_rotation("bob"),
    ],
    ids=["another passphrase", "an account less", "the old key of a rotation"],
)
def test_what_was_forgotten_is_overwritten_where_it_lay(
    two: Path, change: Callable[[Unlocked], object]
) -> None:
    path, old = two / "wallet.qlq", two / "the-old-bytes"
    old.hardlink_to(path)
    size = path.stat().st_size
    change(Keystore(two).unlock(WORDS))
    assert old.read_bytes() == bytes(size)
    assert Keystore(two).accounts


def test_a_change_that_cannot_be_written_is_none(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (two / "wallet.qlq").read_bytes()
    wallet = Keystore(two).unlock(WORDS)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
        for change in (lambda: wallet.change_passphrase(OTHER), lambda: wallet.remove("alice")):
            with pytest.raises(ConfigError, match="full"):
                change()
    assert (two / "wallet.qlq").read_bytes() == before
    assert wallet.key("alice") == key("alice")
    wallet.remove("alice")
    assert Keystore(two).unlock(WORDS).key("bob") == key("bob")


def test_whoever_reads_while_another_changes_sees_the_old_or_the_new(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is opened, superseded and overwritten, and only then read."""
    wallet, plain, turns = Keystore(two).unlock(WORDS), private_files.read, []

    def slow(path: Path, *, limit: int) -> bytes:
        if turns:
            return plain(path, limit=limit)
        turns.append(path)
        with path.open("rb") as file:
            wallet.remove("alice")
            return file.read(limit)

    monkeypatch.setattr(private_files, "read", slow)
    assert [account.name for account in Keystore(two).accounts] == ["bob"]
    assert turns


def test_no_account_is_ever_overwritten(two: Path) -> None:
    wallet = Keystore(two).unlock(WORDS)
    before = (two / "wallet.qlq").read_bytes()
    taken = {
        "its name": lambda: wallet.add("alice", key("x"), address=b"x" * 32),
        "its address": lambda: wallet.add("x", key("x"), address=wallet_address(two, "alice")),
        "its key": lambda: wallet.add("x", key("alice"), address=b"x" * 32),
        "its next key": lambda: wallet.add(
            "x", key("bob again", Algorithm.ML_DSA_65), address=b"x" * 32
        ),
        "its key for a rotation": lambda: wallet.begin_rotation("alice", key("bob")),
        "its own key for a rotation": lambda: wallet.begin_rotation("alice", key("alice")),
    }
    for attempt in taken.values():
        with pytest.raises(ConfigError, match="already"):
            attempt()
    with pytest.raises(ConfigError, match="under way"):
        wallet.begin_rotation("bob", key("x"))
    assert (two / "wallet.qlq").read_bytes() == before


def wallet_address(folder: Path, name: str) -> bytes:
    return Keystore(folder).find(name).address


def test_a_wallet_has_a_largest_size_and_it_fits_its_file(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = b"\x03" + bytes(1952 + 32)
    row = wallet_file.Row(
        name="n" * 32,
        address=bytes(32),
        key=longest,
        sealed=bytes(61),
        next_key=longest,
        next_sealed=bytes(61),
    )
    full = wallet_file.Content(
        salt=bytes(16), wrapped=bytes(61), rows=(row,) * keystore.ACCOUNTS_MAX, stamp=bytes(29)
    )
    assert len(wallet_file.compose(full)) < wallet_file.FILE_BYTES_MAX // 3
    monkeypatch.setattr(keystore, "ACCOUNTS_MAX", 3)
    wallet = Keystore(two).unlock(WORDS)
    add(wallet, "carol")
    with pytest.raises(ConfigError, match="3 accounts"):
        add(wallet, "dave")


def test_an_unknown_account_is_named_with_those_that_there_are(two: Path) -> None:
    with pytest.raises(ConfigError, match=r"no account 'carol'.*alice, bob"):
        Keystore(two).find("carol")
    wallet = Keystore(two).unlock(WORDS)
    for attempt in (wallet.key, wallet.next_key, wallet.remove, wallet.finish_rotation):
        with pytest.raises(ConfigError, match="no account 'carol'"):
            attempt("carol")
    for attempt in (wallet.next_key, wallet.finish_rotation):
        with pytest.raises(ConfigError, match="no rotation of 'alice'"):
            attempt("alice")

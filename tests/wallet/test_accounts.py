"""A home's accounts: made, backed up, restored, opened, given other keys, and forgotten."""

from __future__ import annotations

import gc
import json
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qlq.crypto import kdf
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.disk.turn import Turn
from qlq.errors import ConfigError, KeyStoreDamaged, KeyStoreError
from qlq.ledger import address
from qlq.wallet import accounts

PASS, OTHER = "open sesame", "open barley"
VECTOR = json.loads((Path(__file__).parent / "vectors" / "bip39.json").read_text())[-1]
WORDS, SEED = VECTOR["words"], bytes.fromhex(VECTOR["entropy"])
ED25519 = Algorithm.ED25519

pytestmark = pytest.mark.usefixtures("quick")


def restore(home: Path, name: str, words: str = WORDS, **more: Any) -> accounts.Account:
    arguments = {"passphrase": PASS, "known_as": None, **more}
    return accounts.restore(home, name, ED25519, words, **arguments)


def seeds_on_disk(home: Path) -> Any:
    return (home / "wallet" / "wallet.qlq").read_bytes()


@pytest.mark.parametrize("algorithm", Algorithm)
def test_an_account_comes_back_from_its_words_in_another_home(
    tmp_path: Path, algorithm: Algorithm
) -> None:
    made = accounts.create(tmp_path / "one", "alice", algorithm, PASS)
    words = accounts.backup(tmp_path / "one", "alice", PASS)
    assert len(words) == 24
    again = accounts.restore(
        tmp_path / "two", "anna", algorithm, " ".join(words), passphrase=OTHER, known_as=None
    )
    assert (again.address, again.key) == (made.address, made.key)
    assert made.address == address.of(made.key)
    with accounts.unlocked(tmp_path / "two", "anna", OTHER) as key:
        made.key.verify(b"message", key.sign(b"message", context=b"test"), context=b"test")


def test_the_words_are_the_seed_itself(home: Path) -> None:
    restore(home, "alice")
    with accounts.unlocked(home, "alice", PASS) as key:
        assert key == SigningKey(ED25519, SEED)
    assert accounts.backup(home, "alice", PASS) == tuple(WORDS.split())


def test_every_account_has_a_key_of_its_own(home: Path) -> None:
    made = [accounts.create(home, f"a{index}", ED25519, PASS) for index in range(5)]
    assert len({one.address for one in made}) == 5
    assert list(accounts.listed(home)) == made


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "7-of-9", "x" * 32])
def test_names_that_accounts_have(home: Path, name: str) -> None:
    accounts.create(home, name, ED25519, PASS)
    assert accounts.find(home, name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "-a", "_a", "a b", "a.b", "../a", "a\n", "ä", "x" * 33, "\N{FULLWIDTH DIGIT ONE}"],
)
def test_names_that_none_has(home: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is no name"):
        accounts.create(home, name, ED25519, PASS)
    with pytest.raises(ConfigError, match="is no name"):
        restore(home, name)
    assert not home.exists()


def test_no_name_and_no_key_is_overwritten(home: Path) -> None:
    restore(home, "alice")
    before = seeds_on_disk(home)
    with pytest.raises(ConfigError, match="already, named 'alice'"):
        accounts.create(home, "alice", ED25519, PASS)
    with pytest.raises(ConfigError, match="already, named 'alice'"):
        restore(home, "bob")
    with pytest.raises(ConfigError, match="already, named 'alice'"):
        restore(home, "bob", known_as=bytes(32))
    assert seeds_on_disk(home) == before


def test_wrong_words_make_nothing(home: Path) -> None:
    with pytest.raises(ConfigError, match="24 words, not 23"):
        restore(home, "alice", WORDS.rpartition(" ")[0])
    assert not home.exists()


def test_one_passphrase_for_all_accounts_of_a_home(home: Path) -> None:
    restore(home, "alice")
    before = seeds_on_disk(home)
    with pytest.raises(ConfigError, match="does not open"):
        accounts.create(home, "bob", ED25519, OTHER)
    for attempt in (accounts.backup, accounts.remove, accounts.finish_rotation):
        with pytest.raises(ConfigError, match="does not open"):
            attempt(home, "alice", OTHER)
    with pytest.raises(ConfigError, match="does not open"):
        accounts.change_passphrase(home, OTHER, PASS)
    assert seeds_on_disk(home) == before


def test_a_rotation_keeps_the_address_and_changes_the_words(
    home: Path, read: Callable[[Path, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the reader knows the costs of a real file
    made = restore(home, "alice")
    begun, new = accounts.begin_rotation(home, "alice", Algorithm.ML_DSA_65, PASS)
    assert (begun.key, begun.next_key) == (made.key, new.verifying_key)
    assert accounts.find(home, "alice") == begun
    with accounts.unlocked(home, "alice", PASS) as key:
        assert key == SigningKey(ED25519, SEED)
    ended = accounts.finish_rotation(home, "alice", PASS)
    assert (ended.address, ended.key, ended.next_key) == (made.address, new.verifying_key, None)
    words = accounts.backup(home, "alice", PASS)
    assert words != tuple(WORDS.split())
    (row,) = read(home / "wallet" / "wallet.qlq", PASS).rows
    assert (row["seed"], row["next_seed"], row["address"]) == (new.seed, None, made.address)
    again = accounts.restore(
        home.parent / "other",
        "alice",
        Algorithm.ML_DSA_65,
        " ".join(words),
        passphrase=PASS,
        known_as=made.address,
    )
    assert (again.address, again.key) == (made.address, new.verifying_key)


def test_a_rotation_that_has_begun_goes_on_with_its_key(home: Path) -> None:
    """The first attempt may be on the chain, whatever became of its command."""
    restore(home, "alice")
    first = accounts.begin_rotation(home, "alice", ED25519, PASS)
    assert accounts.begin_rotation(home, "alice", ED25519, PASS) == first
    with pytest.raises(ConfigError, match="to ed25519 is under way"):
        accounts.begin_rotation(home, "alice", Algorithm.HYBRID, PASS)
    accounts.finish_rotation(home, "alice", PASS)
    with pytest.raises(ConfigError, match="no rotation of 'alice'"):
        accounts.finish_rotation(home, "alice", PASS)
    assert accounts.begin_rotation(home, "alice", ED25519, PASS)[1] != first[1]


def test_a_removed_account_is_gone_and_the_others_are_not(home: Path) -> None:
    restore(home, "alice")
    bob = accounts.create(home, "bob", ED25519, PASS)
    assert accounts.remove(home, "alice", PASS).name == "alice"
    assert accounts.listed(home) == (bob,)
    with pytest.raises(ConfigError, match="no account 'alice'"):
        accounts.backup(home, "alice", PASS)
    restore(home, "alice")
    assert [one.name for one in accounts.listed(home)] == ["bob", "alice"]


def test_erasing_overwrites_everything_also_where_it_is_damaged(home: Path) -> None:
    restore(home, "alice")
    path, old = home / "wallet" / "wallet.qlq", home / "old"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(KeyStoreDamaged):
        accounts.listed(home)
    old.hardlink_to(path)
    size = path.stat().st_size
    accounts.erase(home)
    assert old.read_bytes() == bytes(size)
    assert accounts.listed(home) == ()
    restore(home, "alice", passphrase=OTHER)
    assert accounts.backup(home, "alice", OTHER) == tuple(WORDS.split())


def test_what_needs_an_account_makes_and_derives_nothing_without_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived: list[str] = []
    monkeypatch.setattr(kdf, "argon2id", lambda *_, **__: derived.append("") or bytes(32))
    for attempt in (
        lambda: accounts.find(home, "alice"),
        lambda: accounts.backup(home, "alice", PASS),
        lambda: accounts.remove(home, "alice", PASS),
        lambda: accounts.begin_rotation(home, "alice", ED25519, PASS),
        lambda: accounts.finish_rotation(home, "alice", PASS),
    ):
        with pytest.raises(ConfigError, match=r"no account 'alice'.*none yet"):
            attempt()
    for attempt in (
        lambda: accounts.change_passphrase(home, PASS, OTHER),
        lambda: accounts.erase(home),
    ):
        with pytest.raises(ConfigError, match="no wallet"):
            attempt()
    assert not home.exists()
    assert not derived


def test_no_key_stays_in_memory_after_its_block(home: Path) -> None:
    restore(home, "alice")
    accounts.begin_rotation(home, "alice", ED25519, PASS)
    with accounts.unlocked(home, "alice", PASS) as key:
        assert keys_in_memory() == [key]
    del key
    assert keys_in_memory() == []


def keys_in_memory() -> list[SigningKey]:
    gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, SigningKey) and one.seed == SEED]


def test_commands_at_one_time_lose_nothing(home: Path) -> None:
    failed: list[BaseException] = []

    def make(name: str) -> None:
        try:
            accounts.create(home, name, ED25519, PASS)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    names = [f"a{index}" for index in range(8)]
    threads = [threading.Thread(target=make, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(one.name for one in accounts.listed(home)) == names
    assert len({accounts.backup(home, name, PASS) for name in names}) == 8


def test_a_wallet_in_use_is_waited_for_and_then_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore(home, "alice")
    monkeypatch.setattr(accounts, "TURN_S", 0.1)
    turn = Turn(home / "wallet")
    turn.take(timeout_s=1)
    with pytest.raises(KeyStoreError, match=r"another process has held .*wallet"):
        accounts.create(home, "bob", ED25519, PASS)
    assert accounts.find(home, "alice").name == "alice"
    with accounts.unlocked(home, "alice", PASS) as key:
        assert key.seed == SEED
    turn.give_back()
    accounts.create(home, "bob", ED25519, PASS)


@dataclass
class Kept:
    """What the model remembers of an account."""

    address: bytes
    words: tuple[str, ...]
    next_seed: bytes | None = None


class Wallets(RuleBasedStateMachine):
    """Any order of commands leaves the accounts that a plain dictionary has."""

    names = st.sampled_from(["alice", "bob", "carol"])

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.home = Path(self.folder.name)
        self.model: dict[str, Kept] = {}
        self.passphrase = PASS
        self.is_there = False

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize(name=names)
    def first(self, name: str) -> None:
        self.create(name)

    @rule(name=names)
    def create(self, name: str) -> None:
        if name in self.model:
            with pytest.raises(ConfigError, match="already"):
                accounts.create(self.home, name, ED25519, self.passphrase)
            return
        made = accounts.create(self.home, name, ED25519, self.passphrase)
        words = accounts.backup(self.home, name, self.passphrase)
        self.model[name] = Kept(made.address, words)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove_and_restore(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        kept = self.model.pop(name)
        accounts.remove(self.home, name, self.passphrase)
        if data.draw(st.booleans()):
            restore(
                self.home,
                name,
                " ".join(kept.words),
                passphrase=self.passphrase,
                known_as=kept.address,
            )
            self.model[name] = Kept(kept.address, kept.words)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        kept = self.model[name := data.draw(st.sampled_from(sorted(self.model)))]
        _, new = accounts.begin_rotation(self.home, name, ED25519, self.passphrase)
        assert kept.next_seed in {None, new.seed}
        kept.next_seed = new.seed

    @precondition(lambda self: any(kept.next_seed for kept in self.model.values()))
    @rule()
    def finish(self) -> None:
        name, kept = next((name, kept) for name, kept in self.model.items() if kept.next_seed)
        accounts.finish_rotation(self.home, name, self.passphrase)
        words = accounts.backup(self.home, name, self.passphrase)
        self.model[name] = Kept(kept.address, words)
        with accounts.unlocked(self.home, name, self.passphrase) as key:
            assert key.seed == kept.next_seed

    @rule(passphrase=st.sampled_from([PASS, OTHER]))
    def change(self, passphrase: str) -> None:
        accounts.change_passphrase(self.home, self.passphrase, passphrase)
        self.passphrase = passphrase

    @invariant()
    def the_file_is_the_model(self) -> None:
        listed = {one.name: one for one in accounts.listed(self.home)}
        assert listed.keys() == self.model.keys()
        for name, kept in self.model.items():
            assert listed[name].address == kept.address
            assert (listed[name].next_key is None) == (kept.next_seed is None)
            assert accounts.backup(self.home, name, self.passphrase) == kept.words


def test_any_order_of_commands_keeps_what_a_dictionary_keeps() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Wallets, settings=settings(max_examples=15, stateful_step_count=15))

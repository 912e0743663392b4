"""`qlq wallet`: accounts, transfers, words, and what is refused before anything is used up."""

from __future__ import annotations

import io
import json
import os
import re
import select
import subprocess
import sys
import time
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from qlq.cli import purse, settings
from qlq.cli.console import Output
from qlq.cli.main import run
from qlq.crypto.signing import Algorithm
from qlq.errors import ConfigError
from qlq.kme.lifecycle import State
from qlq.ledger import address, operations, transaction
from qlq.ledger.transaction import Draft, SignedTransaction
from qlq.node import chains, transacting, wallets
from qlq.node.transacting import SealPolicy, Wish
from qlq.node.wallets import Purse
from qlq.wallet import accounts, phrase

READY = {State.READY}


def test_a_transfer_sealed_with_a_link_key_uses_up_that_key(story: Any) -> None:
    sent = story.said["send"]
    key_id = sent["sealed_with"]["key_id"]
    assert sent["sealed_with"] == {"kind": "qkd+pq", "key_id": key_id, "claim": "simulation"}
    assert story.key_states()[key_id].isdisjoint(READY)
    shown = {name: story.told("wallet.show", name) for name in ("alice", "bob")}
    assert shown["alice"]["balances"] == {"GOLD": "987.50"}
    assert shown["bob"]["balances"] == {"GOLD": "12.50"}
    assert (shown["alice"]["nonce"], shown["bob"]["nonce"]) == (3, 0)


def test_accounts_are_listed_and_receive_without_a_passphrase(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QLQ_PASSPHRASE")
    listed = story.told("wallet.list")["accounts"]
    expected = [story.said[name] for name in ("alice", "bob")]
    assert listed == [{k: v for k, v in one.items() if k != "schema"} for one in expected]
    assert story.told("wallet.receive", "bob")["address"] == story.said["bob"]["address"]
    assert story.qlq("wallet", "receive", "bob").out == story.said["bob"]["address"] + "\n"


REFUSED = [
    ("987.51", "bob", "GOLD", "insufficient-balance"),
    ("1", "qlq1msjp7", "GOLD", "'qlq1msjp7'"),
    ("1", "alice", "GOLD", "self-transfer"),
    ("1", "carol", "GOLD", "'carol'"),
    ("1", "bob", "SILVER", "'SILVER'"),
    ("1.005", "bob", "GOLD", "1.005"),
    ("-1", "bob", "GOLD", "'-1'"),
    ("0", "bob", "GOLD", "0"),
    ("92233720368547758.08", "bob", "GOLD", "92233720368547758.08"),
    ("1e3", "bob", "GOLD", "'1e3'"),
]


def test_what_cannot_be_sent_is_refused_with_its_value_and_uses_no_key(story: Any) -> None:
    key_id = story.share_a_key(8)
    for amount, to, asset, words in REFUSED:
        done = story.send(amount, to=to, asset=asset, seal="qkd")
        assert done.code == 2
        assert words in done.document("qlq.error")["error"]["message"]
    assert story.key_states()[key_id] == READY
    assert story.told("ledger.status")["height"] == 5


def test_a_refusal_names_amounts_as_people_write_them(story: Any) -> None:
    done = story.send("987.51")
    alice = story.said["alice"]["address"]
    assert f"{alice} has 987.50 GOLD, not 987.51 GOLD" in done.err


def test_an_unenrolled_address_is_refused_before_a_key_is_used_up(
    story: Any, tmp_path: Path
) -> None:
    key_id = story.share_a_key(8)
    stranger = accounts.create(tmp_path / "other", "eve", Algorithm.ED25519, "elsewhere")
    text = address.to_text(stranger.address)
    done = story.send("1", to=text, seal="qkd")
    assert (done.code, story.key_states()[key_id]) == (2, READY)
    assert f"{text} is not enrolled" in done.err
    story.told("ledger.enrol", text)
    assert story.send("1", to=text, seal="qkd").code == 0
    assert story.key_states()[key_id].isdisjoint(READY)


def test_a_wrong_passphrase_uses_no_key(story: Any) -> None:
    key_id = story.share_a_key(8)
    with pytest.raises(ConfigError, match="passphrase"):
        wallets.send(
            Purse("alice", lambda: "another one"),
            to="bob",
            asset="GOLD",
            amount="1",
            wish=Wish((), seal=SealPolicy.QKD),
            settings=settings.load(),
            tell=lambda _: None,
        )
    assert story.key_states()[key_id] == READY


def test_without_a_link_key_the_seal_decides(story: Any) -> None:
    done = story.send("1", seal="qkd")
    assert done.code == 5
    assert "qlq qkd run" in done.err
    assert story.told("ledger.status")["height"] == 5
    done = story.send("1", seal="auto")
    assert done.document("qlq.wallet.send")["sealed_with"]["kind"] == "pq"
    assert "ML-KEM-768 and X25519 alone" in done.err


def test_a_memo_beyond_its_bound_is_refused(story: Any) -> None:
    done = story.qlq(
        *("wallet", "send", "--from", "alice", "--to", "bob", "--asset", "GOLD"),
        *("--amount", "1", "--memo", "é" * 257),
    )
    assert done.code == 2
    assert "512 bytes, not 514" in done.err


@pytest.mark.usefixtures("story")
def test_a_transaction_without_effect_is_shown_and_ends_with_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another transaction may come first, between the look ahead and the block."""
    found, wanted = settings.load(), operations.Anchor(3, bytes(32))
    with chains.opened(found) as validator:
        keys = chains.open_keys(found)
        draft = Draft(
            chain=validator.rules.chain,
            sender=keys.address,
            nonce=2,  # enrolled alice and bob
            valid_until=100,
            fee=0,
            salt=bytes(16),
            operations=(wanted,),
        )
        signed = transaction.sign(draft, keys.address, keys.signing, shown=None)
        validator.submit(SignedTransaction(draft, (signed,)).to_bytes(), peer="")
        document = wallets.document(transacting.send_own(validator, keys, wanted))
    assert (document["status"], document["reason"]) == ("failed", "already-anchored")
    with pytest.raises(typer.Exit) as ended:
        purse.show_sent("qlq.test/1", document, output=Output.JSON)
    assert ended.value.exit_code == 2
    said = capsys.readouterr()
    assert '"reason": "already-anchored"' in said.out
    assert "has used its nonce" in said.err


def test_words_bring_an_account_back(story: Any, fresh_home: Any) -> None:
    shown = story.told("wallet.backup", "alice")
    text = story.qlq("wallet", "backup", "alice").out
    assert story.said["alice"]["address"] in text
    assert all(word in text for word in shown["words"])
    made = fresh_home(shown["words"], "alice-again")
    assert made["address"] == story.said["alice"]["address"]


def test_after_a_rotation_the_new_words_and_the_old_address_bring_it_back(
    story: Any, fresh_home: Any
) -> None:
    before = story.told("wallet.backup", "alice")["words"]
    rotated = story.told("wallet.rotate", "alice", "--algorithm", "ed25519")
    assert rotated["status"] == "done"
    after = story.told("wallet.backup", "alice")
    assert after["words"] != before
    assert after["address"] == story.said["alice"]["address"]
    assert story.send("1").code == 0  # with the new key
    made = fresh_home(
        after["words"], "alice", "--algorithm", "ed25519", "--address", after["address"]
    )
    assert made["address"] == after["address"]


def test_a_rotation_that_was_cut_off_is_finished_by_the_next_one(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def died(*_: Any) -> None:
        raise MemoryError("the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr(accounts, "finish_rotation", died)
        assert story.qlq("wallet", "rotate", "alice").code == 1
    height = story.told("ledger.status")["height"]
    assert story.told("wallet.rotate", "alice")["tx_id"] is None
    assert story.told("ledger.status")["height"] == height
    assert story.send("1").code == 0


def test_a_passphrase_that_seals_other_stores_does_not_change_alone(story: Any) -> None:
    before = (story.folder / "wallet" / "wallet.qlq").read_bytes()
    done = story.qlq("wallet", "passphrase")
    assert done.code == 2
    assert "new home" in done.err
    assert (story.folder / "wallet" / "wallet.qlq").read_bytes() == before
    assert story.send("1").code == 0


def test_a_passphrase_in_the_environment_is_not_changed_by_typing(
    fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.told("wallet.new", "alice")
    done = fresh.qlq("wallet", "passphrase")
    assert done.code == 2
    assert "unset it" in done.err
    monkeypatch.delenv("QLQ_PASSPHRASE")
    assert fresh.qlq("wallet", "passphrase").code == 2  # no terminal


@pytest.mark.long
def test_a_typed_passphrase_changes(fresh: Any) -> None:
    fresh.told("wallet.new", "alice")
    words = fresh.told("wallet.backup", "alice")["words"]
    old = os.environ["QLQ_PASSPHRASE"]
    environ = {name: value for name, value in os.environ.items() if name != "QLQ_PASSPHRASE"}
    said = typed(["wallet", "passphrase"], [old, "a new one", "a new one"], environ)
    assert "a new one" not in said
    accounts_words = accounts.backup(fresh.folder, "alice", "a new one")
    assert list(accounts_words) == words
    with pytest.raises(ConfigError, match="passphrase"):
        accounts.backup(fresh.folder, "alice", old)


def typed(arguments: list[str], answers: list[str], environ: dict[str, str]) -> str:
    """A command at a terminal, its questions answered; what the terminal showed."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", "from qlq.cli.main import main; main()", *arguments]
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    said, left, deadline = "", list(answers), time.monotonic() + 60
    while time.monotonic() < deadline:
        ready, _, _ = select.select([ours], [], [], 0.2)
        try:
            said += os.read(ours, 4096).decode() if ready else ""
        except OSError:  # the other end has closed
            break
        if left and said.count(": ") > len(answers) - len(left):
            os.write(ours, left.pop(0).encode() + b"\n")
    os.close(ours)
    assert running.wait(timeout=60) == 0, said
    return said


def test_an_account_is_forgotten_only_when_asked(story: Any) -> None:
    done = story.qlq("wallet", "remove", "bob")
    assert (done.code, len(story.told("wallet.list")["accounts"])) == (6, 2)
    assert story.told("wallet.remove", "bob", "--yes")["name"] == "bob"
    assert [one["name"] for one in story.told("wallet.list")["accounts"]] == ["alice"]
    assert story.qlq("wallet", "erase").code == 6
    story.told("wallet.erase", "--yes")
    assert story.told("wallet.list")["accounts"] == []
    done = story.qlq("wallet", "erase", "--yes")
    assert done.code == 2
    assert "no wallet" in done.err


@pytest.mark.parametrize("name", ["", "Alice", "a b", "x" * 65, "../x"])
def test_a_name_that_none_can_have_makes_no_wallet(fresh: Any, name: str) -> None:
    done = fresh.qlq("wallet", "new", name, "--json")
    assert done.code == 2
    assert repr(name) in done.err
    assert not (fresh.folder / "wallet").exists()


def test_words_that_are_no_phrase_are_refused_and_not_repeated(
    fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = " ".join((*phrase.words(bytes(32))[:-1], "zoo"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(words))
    done = fresh.qlq("wallet", "restore", "alice")
    assert done.code == 2
    assert "zoo" not in done.err
    assert not (fresh.folder / "wallet").exists()


def test_no_output_shows_a_secret(story: Any) -> None:
    for name in ("alice", "bob"):
        story.told("wallet.show", name)
    story.send("2000")
    story.told("ledger.tx", "last")
    said = "".join(story.outputs)
    words = story.told("wallet.backup", "alice")["words"]
    seed = phrase.seed(" ".join(words))
    for secret in (*story.secrets, " ".join(words), seed.hex(), repr(seed)[2:-1]):
        assert secret not in said
    # any two in a row: a single one may be a word that commands say, as "transfer" is
    assert not set(pairwise(words)) & set(pairwise(re.findall("[a-z]+", said)))


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Restores an account from words in a home of its own."""

    def restore(words: list[str], name: str, *options: str) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO(" ".join(words)))
        out = io.StringIO()
        with redirect_stdout(out):
            where = str(tmp_path / "another")
            assert run(["wallet", "restore", name, "--home", where, *options, "--json"]) == 0
        return json.loads(out.getvalue())

    return restore

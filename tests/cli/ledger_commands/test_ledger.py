"""`qlq ledger`: the chain, damage and the way back, what is on it beside assets."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from qlq.ledger.store import LedgerStore

WITHOUT_A_LEDGER = [
    *(("status",), ("tx", "last"), ("tx", "00" * 32), ("block", "1"), ("verify",)),
    *(("verify", "--public"), ("prove", "last"), ("prove", "00" * 32), ("checkpoint",)),
    *(("snapshot", "s"), ("export", "e"), ("export", "e", "--headers"), ("repair",), ("recover",)),
    *(("anchor", "file"), ("attach", "file"), ("fetch", "00" * 32, "-o", "f"), ("pulse",)),
    *(("purge", "00" * 32), ("enrol", "alice")),
    ("prove", "--account", "alice", "--asset", "QLQ"),
]


def test_no_command_begins_a_ledger_by_accident(fresh: Any) -> None:
    Path("file").write_bytes(b"a document")
    fresh.told("wallet.new", "alice")
    for arguments in WITHOUT_A_LEDGER:
        done = fresh.qlq("ledger", *arguments)
        assert done.code == 2, arguments
        assert "qlq ledger" in done.err, (arguments, done.err)
    assert sorted(one.name for one in fresh.folder.iterdir()) == ["wallet"]
    assert sorted(one.name for one in Path().iterdir()) == ["file", "home"]


def test_a_ledger_is_begun_once_with_its_rules(fresh: Any) -> None:
    done = fresh.qlq("ledger", "init", "--native", "-1")
    assert (done.code, "'-1'" in done.err) == (2, True)
    made = fresh.told("ledger.init", "--policy", "fees", "--native", "5", "--name", "ours")
    assert (made["policy"], made["name"], made["height"]) == ("fees", "ours", 0)
    assert fresh.told("ledger.status")["chain"] == made["chain"]
    done = fresh.qlq("ledger", "init")
    assert done.code == 2
    assert "already" in done.err
    for command in ("snapshot", "export"):  # there is no block yet
        assert fresh.qlq("ledger", command, "file").code == 2
    assert fresh.qlq("ledger", "prove", "last").code == 2
    assert fresh.told("ledger.verify")["valid"]


def test_a_transaction_and_its_block_tell_of_each_other(story: Any) -> None:
    sent = story.said["send"]
    shown = story.told("ledger.tx", "last")
    assert (shown["tx_id"], shown["height"]) == (sent["tx_id"], 5)
    assert shown["memo"] == "for the lens"
    (moved,) = shown["operations"]
    (leg,) = moved["legs"]
    assert leg == {
        "source": story.said["alice"]["address"],
        "target": story.said["bob"]["address"],
        "asset": story.said["define"]["asset_id"],
        "amount": 1250,
    }
    assert shown["seals"][0]["key_id"] == sent["sealed_with"]["key_id"]
    block = story.told("ledger.block", "5")
    assert [one["tx_id"] for one in block["transactions"]] == [sent["tx_id"]]
    assert block["hash"] == story.told("ledger.status")["block"]
    assert block["parent"] == story.told("ledger.block", "4")["hash"]


WRONG = [
    (("tx", "abc"), "'abc'"),
    (("tx", "0g" * 32), "'0g0g"),
    (("tx", "00" * 32), "00" * 32),
    (("block", "6"), "block 6"),
    (("block", "0"), "block 0"),
    (("prove",), "name a transaction"),
    (("prove", "last", "--account", "bob", "--asset", "GOLD"), "name a transaction"),
    (("prove", "--account", "bob"), "--asset"),
    (("prove", "last", "--receipt", "--leaf-only"), "--receipt"),
    (("prove", "--account", "bob", "--asset", "SILVER"), "'SILVER'"),
    (("export", "e", "--first", "4", "--last", "3"), "4 to 3"),
    (("export", "e", "--headers", "--last", "3"), "--headers"),
    (("verify", "--chain", "00" * 32), "--chain"),
    (("verify", "absent"), "absent"),
    (("restore", "absent"), "already"),
    (("anchor", "absent"), "absent"),
    (("anchor", "home"), "home"),
    (("anchor", "home/wallet/wallet.qlq", "--from", "carol"), "'carol'"),
    (("attach", "absent"), "absent"),
    (("fetch", "abc", "-o", "f"), "'abc'"),
    (("fetch", "00" * 32, "-o", "f"), "00" * 32),
    (("purge", "00" * 32), "00" * 32),
    (("pulse",), "qlq rng pulse"),
    (("enrol", "bob"), "already-enrolled"),
    (("enrol", "nobody"), "'nobody'"),
]


def test_wrong_input_is_named_and_leaves_nothing(story: Any) -> None:
    for arguments, words in WRONG:
        done = story.qlq("ledger", *arguments)
        assert (done.code, words in done.err) == (2, True), (arguments, done)
    assert story.told("ledger.repair")["damaged"] is False
    assert sorted(one.name for one in Path().iterdir()) == ["home"]
    assert story.told("ledger.status")["height"] == 5


def damage(home: Path, query: str) -> None:
    db = sqlite3.connect(home / "ledger" / "ledger.sqlite")
    with db:
        db.execute(query)
    db.close()


BODY = "UPDATE blocks SET body = zeroblob(length(body)) WHERE height = 3"
STATE = "DELETE FROM state WHERE place = (SELECT min(place) FROM state)"


def test_damage_is_listed_and_mended_from_an_export(story: Any) -> None:
    before = story.told("ledger.status")
    story.told("ledger.export", "blocks.qlq")
    damage(story.folder, BODY)
    done = story.qlq("ledger", "verify", "--json")
    assert done.code == 7
    found = done.document("qlq.ledger.verify")
    assert (found["valid"], found["findings"][0]["height"]) == (False, 3)
    done = story.qlq("ledger", "verify")
    assert (done.code, "block 3: body" in done.out) == (7, True)
    for arguments in (("block", "3"), ("tx", story.said["issue"]["tx_id"])):
        assert story.qlq("ledger", *arguments).code == 7
    done = story.qlq("ledger", "repair")
    assert done.code == 7
    assert "--from" in done.err
    repaired = story.told("ledger.repair", "--from", "blocks.qlq")
    assert (repaired["damaged"], repaired["from_source"]) == (True, [3])
    assert Path(repaired["kept_aside"]).exists()
    assert story.told("ledger.verify")["valid"]
    assert story.told("ledger.status") == before


def test_a_lost_entry_of_the_state_is_made_again_from_the_blocks(story: Any) -> None:
    before = story.told("ledger.status")
    damage(story.folder, STATE)
    done = story.qlq("ledger", "status")
    assert done.code == 7
    assert "qlq ledger repair" in done.err
    assert story.told("ledger.repair")["damaged"]
    assert story.told("ledger.status") == before


def test_a_snapshot_goes_on_where_the_ledger_was(
    story: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = story.told("ledger.status")
    story.told("ledger.snapshot", "copy.qlq")
    done = story.qlq("ledger", "snapshot", "copy.qlq")
    assert (done.code, "is there already" in done.err) == (2, True)
    other = tmp_path / "other"
    monkeypatch.setenv("QLQ_HOME", str(other))
    done = story.qlq("ledger", "restore", "copy.qlq")
    assert (done.code, "identity.sealed" in done.err) == (2, True)
    shutil.copytree(story.folder / "wallet", other / "wallet")
    (other / "ledger").mkdir(mode=0o700)
    shutil.copy2(story.folder / "master.salt", other)
    for name in ("identity.sealed", "node.sealed"):
        shutil.copy2(story.folder / "ledger" / name, other / "ledger")
    done = story.qlq("ledger", "restore", "copy.qlq", "--chain", "00" * 32)
    assert (done.code, (other / "ledger" / "ledger.sqlite").exists()) == (2, False)
    made = story.told("ledger.restore", "copy.qlq", "--chain", before["chain"])
    for name in ("chain", "height", "block", "state_root", "log_root"):
        assert made[name] == before[name]
    assert story.told("wallet.show", "bob")["balances"] == {"GOLD": "12.50"}
    assert story.send("1").code == 0
    assert story.told("ledger.verify")["base"] == 5


@pytest.mark.parametrize("name", ["node.sealed", "identity.sealed"])
def test_keys_of_the_node_that_are_lost_or_changed_are_told(story: Any, name: str) -> None:
    path = story.folder / "ledger" / name
    data = path.read_bytes()
    path.unlink()
    done = story.qlq("ledger", "status")
    assert (done.code, name in done.err, path.exists()) == (2, True, False)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    path.chmod(0o600)
    done = story.qlq("ledger", "status")
    assert (done.code, name in done.err) == (7, True)
    path.write_bytes(data)
    assert story.told("ledger.verify")["valid"]


def test_a_wrong_passphrase_is_no_damage(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QLQ_PASSPHRASE", "another one")
    for arguments in (("status",), ("verify",), ("repair",), ("recover",)):
        done = story.qlq("ledger", *arguments)
        assert (done.code, "QLQ_PASSPHRASE" in done.err) == (2, True)
        assert "another one" not in done.err


def test_a_changed_copy_is_refused(story: Any) -> None:
    story.told("ledger.export", "blocks.qlq")
    data = bytearray(Path("blocks.qlq").read_bytes())
    data[-1] ^= 1
    Path("blocks.qlq").write_bytes(data)
    damage(story.folder, BODY)
    assert story.qlq("ledger", "repair", "--from", "blocks.qlq").code == 7
    assert story.qlq("ledger", "verify").code == 7


def test_headers_are_verified_by_anybody(
    story: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.told("ledger.export", "headers.qlq", "--headers")
    monkeypatch.setenv("QLQ_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("QLQ_PASSPHRASE")
    chain = json.loads(story.qlq("ledger", "verify", "headers.qlq", "--json").out)["chain"]
    found = story.told("ledger.verify", "headers.qlq", "--chain", chain)
    assert (found["valid"], found["level"], found["height"]) == (True, "public", 5)
    assert story.qlq("ledger", "verify", "headers.qlq", "--chain", "00" * 32).code == 2
    data = Path("headers.qlq").read_bytes()
    Path("headers.qlq").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert story.qlq("ledger", "verify", "headers.qlq").code == 7
    Path("headers.qlq").write_bytes(b"no headers")
    assert story.qlq("ledger", "verify", "headers.qlq").code == 7
    assert not (tmp_path / "none").exists()


def test_digests_of_sessions_certificates_and_documents_are_told_apart(story: Any) -> None:
    files = {
        "qkd-session": (Path("session"), "session.json", b'{"schema": "qlq.qkd.archive/1"}'),
        "certificate": (Path("bundle"), "certificate.json", b'{"schema": "qlq.rng.certificate/1"}'),
        "document": (Path("paper.txt"), None, b"{ not JSON"),
    }
    for kind, (path, name, content) in files.items():
        if name is not None:
            path.mkdir()
        (path / name if name else path).write_bytes(content)
        made = story.told("ledger.anchor", path)
        assert (made["kind"], made["sealed_with"]) == (kind, None)
        assert made["digest"] == hashlib.sha256(content).hexdigest()
    done = story.qlq("ledger", "anchor", "paper.txt", "--from", "alice")
    assert (done.code, "already-anchored" in done.err) == (2, True)
    Path("paper.txt").write_bytes(b"another edition")
    made = story.told("ledger.anchor", "paper.txt", "--from", "alice")
    assert made["sealed_with"]["kind"] == "pq"
    (operation,) = story.told("ledger.tx", "last")["operations"]
    assert operation["digest"] == hashlib.sha256(b"another edition").hexdigest()


def test_data_outside_the_chain_come_back_until_they_are_purged(story: Any) -> None:
    secret = b"the offer is 1200, valid until May"
    Path("offer.txt").write_bytes(secret)
    made = story.told("ledger.attach", "offer.txt", "--from", "alice")
    assert made["size"] == len(secret)
    everything = b"".join(one.read_bytes() for one in story.folder.rglob("*") if one.is_file())
    assert secret not in everything
    # the commitment is salted: whoever guesses the data cannot confirm it
    assert made["commitment"] != hashlib.sha256(secret).hexdigest()
    fetched = story.told("ledger.fetch", made["commitment"], "-o", "back.txt")
    assert (Path("back.txt").read_bytes(), fetched["bytes"]) == (secret, len(secret))
    assert story.qlq("ledger", "fetch", made["commitment"], "-o", "back.txt").code == 2
    assert story.told("ledger.verify")["valid"]
    story.told("ledger.purge", made["commitment"])
    done = story.qlq("ledger", "fetch", made["commitment"], "-o", "again.txt")
    assert (done.code, "purged" in done.err) == (2, True)
    assert story.qlq("ledger", "purge", made["commitment"]).code == 2
    (operation,) = story.told("ledger.tx", "last")["operations"]
    assert operation["commitment"] == made["commitment"]
    assert story.told("ledger.verify")["valid"]


def test_what_cannot_be_committed_to_is_not_kept(story: Any) -> None:
    Path("offer.txt").write_bytes(b"an offer")
    assert story.qlq("ledger", "attach", "offer.txt", "--from", "carol").code == 2
    db = sqlite3.connect(story.folder / "ledger" / "ledger.sqlite")
    assert db.execute("SELECT count(*) FROM data").fetchone() == (0,)
    db.close()


def test_pulses_of_the_home_go_on_the_chain_once(story: Any) -> None:
    pulses = [story.told("rng.pulse", "--backend", "aer") for _ in range(2)]
    made = story.told("ledger.pulse")
    assert [one["value"] for one in made["published"]] == [one["value"] for one in pulses]
    assert [one["round"] for one in made["published"]] == [1, 2]
    assert story.told("ledger.pulse")["published"] == []
    assert story.told("ledger.status")["beacon_round"] == 2
    block = story.told("ledger.block", "7")
    assert (block["beacon_round"], block["beacon_digest"]) == (1, pulses[0]["digest"])
    file = Path(made["file"])
    file.write_bytes(file.read_bytes()[: -len(file.read_bytes()) // 2])
    done = story.qlq("ledger", "pulse")
    assert (done.code, "ends before" in done.err) == (7, True)


def test_a_lost_block_is_given_up_only_when_asked(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert story.told("ledger.recover") == {
        "schema": "qlq.ledger.recover/1",
        "height": 5,
        "taken_up": [],
        "dropped": None,
    }

    def append(*_: Any) -> None:
        raise MemoryError("the process is gone")

    Path("file").write_bytes(b"a document")
    with monkeypatch.context() as patch:
        patch.setattr(LedgerStore, "append", append)
        assert story.qlq("ledger", "anchor", "file").code == 1
    for path in (story.folder / "ledger").glob("engine.sqlite*"):
        path.unlink()
    done = story.qlq("ledger", "status")
    assert (done.code, "qlq ledger recover" in done.err) == (2, True)
    done = story.qlq("ledger", "recover")
    assert (done.code, "--drop-unfinished" in done.err) == (2, True)
    dropped = story.told("ledger.recover", "--drop-unfinished")
    assert (dropped["height"], dropped["dropped"]["height"]) == (5, 6)
    assert story.told("ledger.anchor", "file")["height"] == 6
    assert story.told("ledger.verify")["valid"]

"""`qlq ledger prove` and `check-proof`: the second needs no ledger, no key and no home."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest


def fold(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to. Source: RFC 9162, section 2.1.3.2."""
    fn, sn, root = index, size - 1, leaf
    for sibling in path:
        assert sn != 0
        if fn & 1 or fn == sn:
            root = hashlib.sha256(b"\x01" + sibling + root).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = hashlib.sha256(b"\x01" + root + sibling).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return root


def folded(leaf: bytes, inclusion: dict[str, Any]) -> bytes:
    path = [bytes.fromhex(one) for one in inclusion["proof"]]
    return fold(leaf, inclusion["index"], inclusion["size"], path)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """From here on there is no home and no passphrase."""

    def leave() -> Path:
        monkeypatch.setenv("QLQ_HOME", str(tmp_path / "none"))
        monkeypatch.delenv("QLQ_PASSPHRASE")
        return tmp_path / "none"

    return leave


def test_a_proof_holds_by_rfc_9162_alone(story: Any) -> None:
    made = story.told("ledger.prove", story.said["issue"]["tx_id"], "-o", "proof.json")
    assert json.loads(Path("proof.json").read_text()) == made
    assert made["tx_id"] == story.said["issue"]["tx_id"]
    leaf = hashlib.sha256(b"\x00" + bytes.fromhex(made["entry"])).digest()
    assert folded(leaf, made).hex() == made["root"]
    assert made["root"] == story.told("ledger.block", "3")["tx_root"]
    block = hashlib.sha256(b"\x00" + bytes.fromhex(made["block"]["hash"])).digest()
    origin, size, root = made["checkpoint"].split("\n")[:3]
    assert (origin, size) == (f"qlq.chain/{made['chain']}", "5")
    assert folded(block, made["log"]) == base64.b64decode(root)
    assert root == base64.b64encode(bytes.fromhex(story.told("ledger.status")["log_root"])).decode()


def test_a_proof_is_checked_without_any_home(story: Any, nowhere: Any) -> None:
    made = story.told("ledger.prove", "last", "-o", "proof.json")
    home = nowhere()
    found = story.told("ledger.check-proof", "proof.json")
    assert found["relative_to"] == ["nothing"]
    found = story.told("ledger.check-proof", "proof.json", "--chain", made["chain"])
    assert (found["subject"], found["height"]) == (story.said["send"]["tx_id"], 5)
    assert found["relative_to"] == ["chain"]
    asked = ("--tx", story.said["send"]["tx_id"])
    assert story.told("ledger.check-proof", "proof.json", *asked)["valid"]
    done = story.qlq("ledger", "check-proof", "proof.json", "--tx", story.said["issue"]["tx_id"])
    assert done.code == 7
    done = story.qlq("ledger", "check-proof", "proof.json", "--chain", "00" * 32, "--json")
    assert (done.code, done.document("qlq.ledger.check-proof")["reason"]) == (7, "chain")
    assert story.qlq("ledger", "check-proof", "proof.json", "--chain", "beef").code == 2
    assert story.qlq("ledger", "check-proof", "absent.json").code == 2
    assert not home.exists()


def test_a_changed_proof_is_refused(story: Any, nowhere: Any) -> None:
    made = story.told("ledger.prove", "last", "-o", "proof.json")
    nowhere()
    whole = Path("proof.json").read_text()
    data = bytearray(base64.b64decode(made["bytes"]))
    data[len(data) // 2] ^= 1
    changed = {
        "malformed": whole[:-5],
        "document": whole.replace('"height": 5', '"height": 6'),
        "any": json.dumps({**made, "bytes": base64.b64encode(data).decode()}),
        "list": "[]",
        "empty": "",
        "nested": "[" * 100_000,
    }
    for reason, text in changed.items():
        Path("changed.json").write_text(text)
        done = story.qlq("ledger", "check-proof", "changed.json", "--json")
        assert done.code == 7
        found = done.document("qlq.ledger.check-proof")
        assert found["valid"] is False
        assert found["reason"] == reason or reason not in {"malformed", "document"}
    done = story.qlq("ledger", "check-proof", "changed.json")
    assert (done.code, "not valid" in done.out) == (7, True)


def test_a_leaf_alone_discloses_nothing_and_is_checked_with_the_transaction(
    story: Any, nowhere: Any
) -> None:
    made = story.told("ledger.prove", "last", "--leaf-only", "-o", "leaf.json")
    whole = story.told("ledger.prove", "last", "-o", "whole.json")
    assert whole["entry"] not in Path("leaf.json").read_text()
    assert (made["tx_id"], made["leaf"]) == (None, whole["leaf"])
    story.told("ledger.tx", "last", "-o", "last.tx")
    assert Path("last.tx").read_bytes().hex() == whole["entry"]
    story.told("ledger.tx", story.said["issue"]["tx_id"], "-o", "other.tx")
    nowhere()
    assert story.told("ledger.check-proof", "leaf.json")["subject"] is None
    found = story.told("ledger.check-proof", "leaf.json", "--entry", "last.tx")
    assert found["subject"] == story.said["send"]["tx_id"]
    assert story.qlq("ledger", "check-proof", "leaf.json", "--entry", "other.tx").code == 7


def test_receipts_and_balances_are_proved_and_checked_against_a_kept_checkpoint(
    story: Any, nowhere: Any
) -> None:
    receipt = story.told("ledger.prove", "last", "--receipt", "-o", "receipt.json")
    held = story.told("ledger.prove", "--account", "bob", "--asset", "GOLD", "-o", "held.json")
    none = story.told("ledger.prove", "--account", "bob", "--asset", "QLQ", "-o", "none.json")
    assert receipt["tx_id"] == story.said["send"]["tx_id"]
    bob, gold = story.said["bob"]["address"], story.said["define"]["asset_id"]
    assert (held["account"], held["asset"], held["units"]) == (bob, gold, "1250")
    assert (none["account"], none["asset"], none["units"]) == (bob, "QLQ", "0")
    assert held["root"] == story.told("ledger.status")["state_root"]
    kept = story.told("ledger.checkpoint", "-o", "kept.note")
    assert Path("kept.note").read_text() == kept["note"]
    assert kept["size"] == 5
    assert len(kept["verifier_keys"]) == 1
    assert story.qlq("ledger", "checkpoint").out.startswith(f"qlq.chain/{kept['chain']}\n5\n")
    assert story.qlq("ledger", "checkpoint", "-o", "kept.note").code == 2
    story.send("1")
    story.told("ledger.checkpoint", "-o", "later.note")
    grown = story.told("ledger.prove", "--since", "kept.note", "-o", "grown.json")
    assert (grown["old_size"], grown["log"]["size"]) == (5, 6)
    again = ("--receipt", "--size", "5", "-o", "again.json")
    story.told("ledger.prove", story.said["send"]["tx_id"], *again)
    for wrong in (
        ("last", "--since", "kept.note"),
        ("--since", "held.json"),
        ("--since", "none"),
        ("--since", "kept.note", "--size", "5"),
        ("last", "--size", "9"),
    ):
        assert story.qlq("ledger", "prove", *wrong).code == 2, wrong
    nowhere()
    for name in ("receipt.json", "held.json", "none.json", "again.json", "grown.json"):
        found = story.told("ledger.check-proof", name, "--checkpoint", "kept.note")
        assert found["relative_to"] == ["checkpoint"]
        done = story.qlq("ledger", "check-proof", name, "--checkpoint", "later.note")
        assert (done.code, "checkpoint" in done.out) == (7, True)
    assert story.told("ledger.check-proof", "grown.json")["subject"] == kept["root"]
    asked = ("--account", bob, "--asset", gold)
    assert story.told("ledger.check-proof", "held.json", *asked)["units"] == "1250"
    asked = ("--account", story.said["alice"]["address"], "--asset", gold)
    assert story.qlq("ledger", "check-proof", "held.json", *asked).code == 7
    assert story.qlq("ledger", "check-proof", "held.json", "--account", bob).code == 2
    done = story.qlq("ledger", "check-proof", "held.json", "--checkpoint", "held.json")
    assert (done.code, "held.json" in done.err) == (2, True)


def test_a_proof_goes_over_no_other_file(story: Any) -> None:
    Path("proof.json").write_text("mine")
    done = story.qlq("ledger", "prove", "last", "-o", "proof.json")
    assert (done.code, "proof.json" in done.err) == (2, True)
    assert Path("proof.json").read_text() == "mine"
    assert sorted(one.name for one in Path().iterdir()) == ["home", "proof.json"]

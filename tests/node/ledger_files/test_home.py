"""A home's ledger needs no quantum-distributed key once its transactions are final."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qlq.config import Settings, load
from qlq.crypto.signing import Algorithm
from qlq.errors import ConfigError, InvalidProof
from qlq.faults import ProofFault
from qlq.kme import master
from qlq.kme.lifecycle import State
from qlq.kme.store import KeyStore
from qlq.ledger import checkpoint, genesis, merkle, records, store_file
from qlq.ledger.checkpoint import Checkpoint
from qlq.ledger.proofs import Trusted
from qlq.node import audit, chains, copies, orders, parties, proving, repairing, wallets
from qlq.node.audit import Level
from qlq.node.proving import Form
from qlq.node.transacting import SealPolicy, Wish
from qlq.node.wallets import Purse
from qlq.qkd.duties import Party
from qlq.wallet import accounts

PASSPHRASE = "a passphrase of a test"  # noqa: S105 - of nothing else
PULSES = 30_000


def quiet(_text: str) -> None:
    """Nobody listens."""


def settings_of(folder: Path) -> Settings:
    return load(
        flags={"home": str(folder / "home"), "backend": "aer"},
        environ={"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "settings")},
        profile=None,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home with two accounts, an asset, and a transfer sealed with a session's key."""
    folder = tmp_path_factory.mktemp("made")
    settings = settings_of(folder)
    wish = orders.Order(protocol="bb84", backend="aer", pulses=PULSES)
    assert orders.fulfil(wish, settings, quiet).document["secret_bits"] > 0
    beginning = chains.Beginning("test", genesis.QUOTAS, genesis.Limits(), None, 0)
    chains.begin(beginning, settings)
    for name in ("alice", "bob"):
        accounts.create(settings.home, name, Algorithm.ML_DSA_65, PASSPHRASE)
    alice = Purse("alice", lambda: PASSPHRASE)
    wallets.define(alice, "GOLD", decimals=2, cap=None, settings=settings, tell=quiet)
    wallets.issue(
        "GOLD",
        amount="1000",
        to="alice",
        passphrase=lambda: PASSPHRASE,
        settings=settings,
        tell=quiet,
    )
    sent = wallets.send(
        alice,
        to="bob",
        asset="GOLD",
        amount="12.50",
        wish=Wish((), b"for the lens", SealPolicy.QKD),
        settings=settings,
        tell=quiet,
    )
    return folder, sent


@pytest.fixture
def home(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> Settings:
    """A copy of that home for one test."""
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    return settings_of(tmp_path)


@pytest.fixture
def sent(made: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    return made[1]


def stores(settings: Settings) -> Iterator[KeyStore]:
    key = master.obtain(
        passphrase=settings.passphrase,
        data_folder=settings.home,
        settings_folder=settings.settings_folder,
    )
    for party in Party:
        with KeyStore(parties.party_folder(settings.home, party), key) as store:
            yield store


def test_with_every_link_key_erased_replay_restore_and_verify_succeed(
    home: Settings, sent: dict[str, Any], tmp_path: Path
) -> None:
    assert sent["sealed_with"]["kind"].startswith("qkd")
    for store in stores(home):
        for row in store.list():
            if row.state is not State.ERASED:
                store.erase(row.description.key_id)
        assert {row.state for row in store.list()} == {State.ERASED}
    for party in Party:
        shutil.rmtree(parties.party_folder(home.home, party))
    for level in Level:
        report = audit.verify_home(home, level)
        assert report["valid"], report
    assert report["blocks"] == report["height"]
    path = tmp_path / "snapshot"
    written = copies.snapshot(home, path)
    ledger = chains.folder(home) / store_file.FILE
    ledger.rename(tmp_path / "gone")
    again = copies.restore(home, path, chain=bytes.fromhex(written["chain"]))
    assert again["state_root"] == written["state_root"]
    assert again["block"] == written["block"]
    assert audit.verify_home(home, Level.FULL)["valid"]
    more = wallets.send(
        Purse("alice", lambda: PASSPHRASE),
        to="bob",
        asset="GOLD",
        amount="1",
        wish=Wish((), b"", SealPolicy.PQ),
        settings=home,
        tell=quiet,
    )
    assert more["height"] == written["height"] + 1
    assert audit.verify_home(home, Level.FULL)["valid"]


def test_a_transaction_is_proved_by_a_document_alone(home: Settings, sent: dict[str, Any]) -> None:
    made = proving.prove_transaction(home, bytes.fromhex(sent["tx_id"]), form=Form.DISCLOSED)
    document = json.loads(json.dumps(made))
    assert {"root", "size", "index", "proof", "bytes"} <= document.keys()
    assert document["tx_id"] == sent["tx_id"]
    merkle.verify_inclusion(
        bytes.fromhex(document["entry"]),
        index=document["index"],
        size=document["size"],
        proof=[bytes.fromhex(one) for one in document["proof"]],
        root_hash=bytes.fromhex(document["root"]),
    )
    shutil.rmtree(home.home)
    chain = bytes.fromhex(document["chain"])
    verdict = proving.check_document(document, trusted=Trusted(chain=chain))
    assert verdict["valid"]
    assert verdict["relative_to"] == ["chain"]
    assert (verdict["subject"], verdict["height"]) == (sent["tx_id"], sent["height"])
    assert proving.check_document(document)["relative_to"] == ["nothing"]


def test_a_document_that_shows_something_else_than_its_bytes_is_refused(
    home: Settings, sent: dict[str, Any]
) -> None:
    id_ = bytes.fromhex(sent["tx_id"])
    key = records.account_key(id_)
    for document in (
        proving.prove_transaction(home, id_, form=Form.DISCLOSED),
        proving.prove_receipt(home, id_),
        proving.prove_state(home, key),
    ):
        proving.check_document(document)
        for name, value in document.items():
            for other in (None, "other", True, 1.0, [], {}):
                if other == value and type(other) is type(value):
                    continue
                with pytest.raises(InvalidProof) as caught:
                    proving.check_document({**document, name: other})
                assert caught.value.reason in {ProofFault.DOCUMENT, ProofFault.MALFORMED}
    data = bytearray(base64.b64decode(document["bytes"]))
    data[-40] ^= 1
    with pytest.raises(InvalidProof):
        proving.check_document({**document, "bytes": base64.b64encode(data).decode()})


def test_a_leaf_discloses_nothing_and_is_checked_with_the_transaction(
    home: Settings, sent: dict[str, Any]
) -> None:
    id_ = bytes.fromhex(sent["tx_id"])
    whole = proving.prove_transaction(home, id_, form=Form.DISCLOSED)
    entry = bytes.fromhex(whole["entry"])
    leaf = proving.prove_transaction(home, id_, form=Form.LEAF)
    assert (leaf["discloses"], leaf["tx_id"], leaf["entry"]) == ("nothing", None, None)
    assert entry not in base64.b64decode(leaf["bytes"])
    assert proving.check_document(leaf)["subject"] is None
    assert proving.check_document(leaf, entry=entry)["subject"] == sent["tx_id"]
    with pytest.raises(InvalidProof):
        proving.check_document(leaf, about=id_)


def test_balances_are_proved_also_where_there_is_none(home: Settings, sent: dict[str, Any]) -> None:
    receiver = accounts.find(home.home, "bob").address
    with chains.opened(home) as validator:
        asset = next(key[1:] for key, _ in validator.state.items() if key[:1] == records.ASSET)
    held = proving.prove_balance(home, receiver, asset)
    nothing = proving.prove_balance(home, bytes(32), asset)
    assert (held["units"], nothing["units"], nothing["value"]) == ("1250", "0", None)
    for document in (held, nothing):
        about = bytes.fromhex(document["key"])
        assert proving.check_document(document, about=about)["height"] == sent["height"]


def test_checkpoints_grow_and_an_old_one_still_serves(home: Settings, sent: dict[str, Any]) -> None:
    tip = sent["height"]
    old, new = (
        checkpoint.decode(proving.make_checkpoint(home, size).encode()).checkpoint
        for size in (tip - 1, None)
    )
    assert (old.size, new.size) == (tip - 1, tip)
    grown = proving.prove_log(home, old)
    checkpoint.check_consistency(old, new, [bytes.fromhex(one) for one in grown["proof"]])
    verdict = proving.check_document(grown, trusted=Trusted(checkpoint=old))
    assert (verdict["subject"], verdict["size"]) == (old.root.hex(), tip)
    for stranger, words in (
        (Checkpoint(bytes(32), old.size, old.root), "a checkpoint of chain 0000"),
        (Checkpoint(old.chain, tip + 1, old.root), "a log of"),
        (Checkpoint(old.chain, 0, old.root), "a log of 0 blocks"),
        (Checkpoint(old.chain, old.size, new.root), "keep it as evidence"),
    ):
        with pytest.raises(ConfigError, match=words):
            proving.prove_log(home, stranger)
    id_ = bytes.fromhex(sent["tx_id"])
    document = proving.prove_receipt(home, id_)
    proving.check_document(document, trusted=Trusted(checkpoint=new))
    with pytest.raises(ConfigError, match="not in the log"):
        proving.prove_receipt(home, id_, size=tip - 1)
    for size in (0, tip + 1):
        with pytest.raises(ConfigError, match="no log of"):
            proving.make_checkpoint(home, size)
    with pytest.raises(ConfigError, match="no final block"):
        proving.prove_transaction(home, bytes(32), form=Form.LEAF)


def test_a_home_is_repaired_and_goes_on(
    home: Settings, sent: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "export"
    copies.export(home, path, first=1, last=sent["height"])
    db = sqlite3.connect(chains.folder(home) / store_file.FILE, isolation_level=None)
    db.execute("UPDATE blocks SET body = zeroblob(9) WHERE height = 2")
    db.execute("DELETE FROM state")
    db.close()
    assert not audit.verify_home(home, Level.FULL)["valid"]
    document = repairing.repair(home, path)
    assert document["from_source"] == [2]
    assert audit.verify_home(home, Level.FULL)["valid"]
    assert wallets.show("bob", home)["balances"]["GOLD"] == "12.50"


def test_what_is_missing_is_said(tmp_path: Path, home: Settings) -> None:
    empty = settings_of(tmp_path / "empty")
    for call in (
        lambda: audit.verify_home(empty, Level.FULL),
        lambda: repairing.repair(empty),
        lambda: copies.snapshot(empty, tmp_path / "x"),
    ):
        with pytest.raises(ConfigError, match="no ledger in"):
            call()
    path = tmp_path / "snapshot"
    copies.snapshot(home, path)
    with pytest.raises(ConfigError, match="no keys in"):
        copies.restore(empty, path)
    with pytest.raises(ConfigError, match="already"):
        copies.restore(home, path)
    assert not chains.folder(empty).exists()

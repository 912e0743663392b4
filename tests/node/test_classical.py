"""The last resort: keys without quantum, marked as such wherever they go."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from qlq.archive import folder, verify
from qlq.config import Settings, load
from qlq.errors import ConfigError, KeyStoreDamaged, KeyStoreError
from qlq.kme.lifecycle import State
from qlq.node import classical, holdings, orders, parties
from qlq.provenance import Attempt, Claim, Tier
from qlq.qkd.duties import Party

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "qlq.qkd.run.json"
TRIED = Attempt("ibm:fez", "BackendUnavailable", "no credentials")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(
        flags={"home": str(tmp_path / "home"), "backend": "aer"},
        environ={"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "settings")},
        profile=None,
    )


@pytest.fixture
def pair(settings: Settings) -> Iterator[parties.Pair]:
    opened = orders.open_stored_pair(settings)
    yield opened
    opened.close()


def test_both_parties_store_one_key_with_the_classical_claim(
    pair: parties.Pair, settings: Settings
) -> None:
    document = classical.exchange(pair).document
    assert pair.stores is not None
    delivered = set()
    for store in pair.stores.values():
        (row,) = store.list()
        assert row.state is State.READY
        assert row.description.key_id == document["key_id"]
        assert row.description.worth.claim is Claim.CLASSICAL
        assert row.description.provenance.tier is Tier.CLASSICAL
        assert row.description.length_bits == 256
        # Nothing is claimed against unlimited computers.
        assert row.description.eps_sec == 1.0
        store.reserve(document["key_id"])
        delivered.add(store.deliver(document["key_id"]))
    assert len(delivered) == 1
    assert len(delivered.pop()) == 32
    for party in Party:
        (line,) = holdings.describe_keys(settings, party.value)
        assert line["claim"] == "classical (computational)"


def test_the_document_is_a_session_s_with_no_quantum_in_it(pair: parties.Pair) -> None:
    document = classical.exchange(pair, attempts=(TRIED,)).document
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    assert document["provenance"]["tier"] == "classical"
    assert document["provenance"]["claim"] == document["worth"]["claim"]
    assert document["worth"]["claim"] == "classical (computational)"
    assert document["worth"]["secret_against"] == [
        "readers of the classical channel with bounded computers"
    ]
    assert document["provenance"]["attempts"] == [
        {"backend": "ibm:fez", "error": "BackendUnavailable", "detail": "no credentials"}
    ]
    assert (document["pulses"], document["sifted_bits"], document["qber"]) == (0, 0, None)
    assert (document["secret_bits"], document["net_bits"]) == (256, 256)
    assert document["aborted"] is None
    assert document["provenance"]["job_ids"] == []


def test_a_pair_that_keeps_nothing_gets_a_key_without_an_id(tmp_path: Path) -> None:
    session = classical.exchange(parties.passing_pair(bytes(32)))
    assert session.document["key_id"] is None
    assert session.alice_key is not None
    assert session.bob_key is not None
    assert session.alice_key.material == session.bob_key.material
    assert list(tmp_path.iterdir()) == []


def test_the_parties_keep_their_identities_from_one_exchange_to_the_next(
    pair: parties.Pair, tmp_path: Path
) -> None:
    identities = []
    for name in ("first", "second"):
        classical.exchange(pair, archive=tmp_path / name)
        manifest = json.loads((tmp_path / name / folder.MANIFEST).read_text())
        identities.append(manifest["identities"])
    assert identities[0] == identities[1]
    assert identities[0]["alice"] != identities[0]["bob"]


def test_a_party_whose_identity_was_exchanged_gets_no_key(
    pair: parties.Pair, settings: Settings
) -> None:
    classical.exchange(pair)
    file = parties.party_folder(settings.home, Party.BOB) / "identity.sealed"
    file.unlink()
    with pytest.raises(KeyStoreError, match="known by another key"):
        classical.exchange(pair)
    file.write_bytes(b"\x01" + bytes(80))
    file.chmod(0o600)
    with pytest.raises(KeyStoreDamaged):
        classical.exchange(pair)
    assert pair.stores is not None
    assert {len(store.list()) for store in pair.stores.values()} == {1}


def test_an_archive_verifies_in_full_and_in_public(pair: parties.Pair, tmp_path: Path) -> None:
    classical.exchange(pair, attempts=(TRIED,), archive=tmp_path / "kept")
    assert verify.check(tmp_path / "kept") == verify.Verdict("full", ())
    shutil.rmtree(tmp_path / "kept" / folder.SECRETS)
    assert verify.check(tmp_path / "kept") == verify.Verdict("public", ())


def resealed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A manifest that was changed by somebody who knows how to make its digest fit."""
    manifest = json.loads((path / folder.MANIFEST).read_text())
    change(manifest)
    document = folder.canonical_json(folder.sealed(manifest))
    (path / folder.MANIFEST).write_bytes(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["result"]["worth"].update(claim="two-node"),
        lambda m: m["result"]["provenance"].update(tier="qpu"),
        lambda m: m["result"].update(secret_bits=512),
        lambda m: m["result"].update(key_id="00000000-0000-5000-8000-000000000000"),
        lambda m: m["identities"].update(alice="00" * 32),
        lambda m: m["result"].update(protocol="bb84"),
        lambda m: m["result"].pop("provenance"),
        lambda m: m.pop("identities"),
        lambda m: m.update(kind="quantum"),
        lambda m: m.update(result=[]),
    ],
)
def test_a_manifest_that_says_more_than_the_messages_is_found(
    change: Callable[[dict[str, Any]], object], pair: parties.Pair, tmp_path: Path
) -> None:
    classical.exchange(pair, archive=tmp_path / "kept")
    resealed(tmp_path / "kept", change)
    assert not verify.check(tmp_path / "kept").is_valid


@pytest.mark.parametrize("file", [folder.TRANSCRIPT, "secrets/alice_seed.bin"])
def test_other_messages_or_another_seed_are_found_though_every_digest_fits(
    file: str, pair: parties.Pair, tmp_path: Path
) -> None:
    classical.exchange(pair, archive=tmp_path / "one")
    classical.exchange(pair, archive=tmp_path / "two")
    shutil.copy(tmp_path / "two" / file, tmp_path / "one" / file)
    other = json.loads((tmp_path / "two" / folder.MANIFEST).read_text())["files"][file]
    resealed(tmp_path / "one", lambda m: m["files"].update({file: other}))
    assert not verify.check(tmp_path / "one").is_valid


def test_a_folder_that_is_in_the_way_is_found_before_any_key(
    pair: parties.Pair, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError):
        classical.exchange(pair, archive=tmp_path / "full")
    assert pair.stores is not None
    assert {store.list() for store in pair.stores.values()} == {()}

"""What a session leaves in the parties' stores and pools, and what a seeded one does not."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qlq.archive import verify
from qlq.config import Settings, load
from qlq.errors import KeyAlreadyDelivered, KeyStoreDamaged, KeyStoreError, QLQError
from qlq.kme.lifecycle import State
from qlq.kme.store import KeyStore
from qlq.kme.tag_keys import Sender
from qlq.node import orders, parties
from qlq.node.sessions import Session
from qlq.qkd.duties import Party

PULSES = 30_000
TAG_BITS = 256
RESERVE = 8


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a home folder of their own."""
    return load(
        flags={"home": str(tmp_path / "home"), "backend": "aer"},
        environ={"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "settings")},
        profile=None,
    )


@pytest.fixture
def pair(settings: Settings) -> Iterator[parties.Pair]:
    """Both parties' belongings, opened after whatever the test did."""
    opened = orders.open_stored_pair(settings)
    yield opened
    opened.close()


def order(settings: Settings, **changes: object) -> Session:
    wish = {"protocol": "bb84", "backend": "aer", "pulses": PULSES, **changes}
    return orders.fulfil(orders.Order(**wish), settings, lambda _text: None)  # type: ignore[arg-type]


def stores(pair: parties.Pair) -> dict[Party, KeyStore]:
    assert pair.stores is not None
    return pair.stores


def test_both_parties_store_one_key_under_one_id_and_deliver_the_same_bytes_once(
    settings: Settings,
) -> None:
    document = order(settings).document
    pair = orders.open_stored_pair(settings)
    try:
        delivered = {}
        for party, store in stores(pair).items():
            (row,) = store.list()
            assert row.description.key_id == document["key_id"]
            assert row.state is State.READY
            reserved = document["authentication"]["key_bits_reserved"]
            assert row.description.length_bits == document["secret_bits"] - reserved
            store.reserve(document["key_id"])
            delivered[party] = store.deliver(document["key_id"])
            with pytest.raises(KeyAlreadyDelivered):
                store.deliver(document["key_id"])
        assert delivered[Party.ALICE] == delivered[Party.BOB]
        assert len(delivered[Party.ALICE]) == -(-row.description.length_bits // 8)
        assert len(set(delivered[Party.ALICE])) > 16  # not all zero
    finally:
        pair.close()


def test_the_first_session_spends_the_bootstrap_and_the_next_one_earlier_key(
    settings: Settings,
) -> None:
    first, second, third = (order(settings).document for _ in range(3))
    assert first["authentication"]["bootstrap_bits"] == 2 * TAG_BITS
    assert second["authentication"]["bootstrap_bits"] == 0
    assert first["finite_key"]["eps_earlier"] == 0
    assert second["finite_key"]["eps_earlier"] == first["finite_key"]["eps_total"]
    # union bound over three sessions of equal parameters: each one's failure counts once
    alone = first["finite_key"]["eps_total"]
    assert third["finite_key"]["eps_total"] == pytest.approx(3 * alone, rel=1e-3)
    assert first["key_id"] != second["key_id"]
    # Short keys: each session replaces what it spent, or there would be no next one.
    assert first["authentication"]["key_bits_reserved"] == 2 * TAG_BITS
    assert second["authentication"]["key_bits_reserved"] == 2 * TAG_BITS


@pytest.mark.parametrize(
    ("secret_bits", "tags"),
    [
        (0, 0),
        (512, 0),  # nothing would be left
        (513, 1),  # what the session spent
        (4095, 1),
        (4096, 2),  # a quarter of the key
        (16_383, 7),
        (16_384, 8),  # the whole reserve
        (10**6, 8),
    ],
)
def test_a_longer_key_fills_the_reserve_with_at_most_a_quarter(secret_bits: int, tags: int) -> None:
    pair = parties.passing_pair(bytes(32))
    for pool in pair.pools.values():
        for sender in Sender:
            pool.take(sender)
    assert pair.top_up_tags(secret_bits) == tags


def test_a_full_reserve_takes_nothing_of_a_key(settings: Settings) -> None:
    pair = orders.open_stored_pair(settings)
    try:
        material = bytes(2 * RESERVE * TAG_BITS // 8)
        pair.top_up(material, tags=RESERVE, eps=1e-10, source="test")
        assert pair.top_up_tags(10**6) == 0
    finally:
        pair.close()


def test_both_parties_pools_hold_the_same_keys_after_a_session(settings: Settings) -> None:
    order(settings)
    pair = orders.open_stored_pair(settings)
    try:
        assert {pool.available_bits(s) for pool in pair.pools.values() for s in Sender} == {
            TAG_BITS
        }
        alice, bob = ([pool.take(s) for s in Sender] for pool in pair.pools.values())
        assert alice == bob
        assert alice[0][1] != alice[1][1]
    finally:
        pair.close()


def test_an_abort_by_eve_stores_nothing(settings: Settings) -> None:
    document = order(settings, eve="intercept-resend:1").document
    assert document["aborted"]["reason"] == "qber"
    pair = orders.open_stored_pair(settings)
    try:
        assert [store.list() for store in stores(pair).values()] == [(), ()]
    finally:
        pair.close()


def test_a_new_pair_holds_one_bootstrap_tag_a_direction(pair: parties.Pair) -> None:
    pair.begin()
    held = {pool.available_bits(sender) for pool in pair.pools.values() for sender in Sender}
    assert held == {TAG_BITS}
    keys = [[pool.take(sender) for sender in Sender] for pool in pair.pools.values()]
    assert keys[0] == keys[1]  # both parties hold the same keys
    assert keys[0][0][1] != keys[0][1][1]  # and another one for each direction


def test_a_spent_bootstrap_is_renewed_at_new_places_and_says_so(settings: Settings) -> None:
    """As after a first session that died before it could store its key."""
    pair = orders.open_stored_pair(settings)
    pair.begin()
    spent = {pool.take(sender) for pool in pair.pools.values() for sender in Sender}
    pair.close()
    document = order(settings).document
    assert document["secret_bits"] > 0
    assert document["authentication"]["bootstrap_bits"] == 2 * TAG_BITS
    pair = orders.open_stored_pair(settings)
    pair.begin()
    left = {pool.take(sender) for pool in pair.pools.values() for sender in Sender}
    pair.close()
    assert not {offset for offset, _ in spent} & {offset for offset, _ in left}
    assert not {key for _, key in spent} & {key for _, key in left}


def test_pools_that_differ_go_on_with_new_bits(settings: Settings) -> None:
    """As after a process that died between the two parties' writes."""
    order(settings)
    pair = orders.open_stored_pair(settings)
    one_sided = pair.pools[Party.ALICE]
    one_sided.top_up(Sender.ALICE, bytes(range(32)), 1e-10, "only one side has this key")
    pair.close()
    document = order(settings).document
    assert document["secret_bits"] > 0
    assert document["authentication"]["bootstrap_bits"] == 2 * TAG_BITS
    again = order(settings).document  # and now they are equal
    assert again["secret_bits"] > 0
    assert again["authentication"]["bootstrap_bits"] == 0


def test_a_store_that_is_gone_is_not_replaced_quietly(settings: Settings) -> None:
    order(settings)
    for file in parties.party_folder(settings.home, Party.BOB).iterdir():
        file.unlink()
    with pytest.raises(KeyStoreDamaged, match="bob"):
        order(settings)


def test_a_session_waits_for_another_one_on_the_same_home(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parties, "TURN_S", 0.2)
    pair = orders.open_stored_pair(settings)
    pair.begin()
    with pytest.raises(KeyStoreError, match="another process has held"):
        order(settings)
    pair.close()
    assert order(settings).document["secret_bits"] > 0


def test_a_key_outlives_a_process_that_ends_at_once(settings: Settings) -> None:
    """Another process opens and closes the home meanwhile; nothing that was stored is lost."""
    order(settings)
    look = "import sys; from qlq.cli.main import run; sys.exit(run(sys.argv[1:]))"
    add = f"""
import os, subprocess, sys
from pathlib import Path
from qlq.config import load
from qlq.node import orders, parties
from qlq.qkd.duties import Party
from qlq.keys import SecretKey
settings = load(flags={{"home": sys.argv[1], "backend": None}}, environ=os.environ)
pair = orders.open_stored_pair(settings)
command = [sys.executable, "-c", {look!r}, "--home", sys.argv[1], "keys", "list", "--json"]
subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
held = pair.stores[Party.ALICE]
key_id = held.list()[0].description.key_id
held.reserve(key_id)
os._exit(0)
"""
    environ = {**os.environ, "XDG_CONFIG_HOME": str(settings.settings_folder.parent)}
    arguments = [sys.executable, "-c", add, str(settings.home)]
    subprocess.run(arguments, check=True, env=environ, timeout=60)
    pair = orders.open_stored_pair(settings)
    try:
        assert pair.stores is not None
        (row,) = pair.stores[Party.ALICE].list()
        assert row.state is State.RESERVED
    finally:
        pair.close()


def test_a_seeded_session_stores_nothing_and_makes_no_folder(
    settings: Settings, tmp_path: Path
) -> None:
    session = order(settings, seed=1)
    assert session.document["key_id"] is None
    assert session.document["secret_bits"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_demonstration_stores_nothing(settings: Settings, tmp_path: Path) -> None:
    wish = orders.Order(protocol="bb84", backend=settings.backend, pulses=PULSES)
    (session,) = orders.fulfil_passing([wish], lambda _text: None)
    assert session.document["secret_bits"] > 0
    assert session.document["key_id"] is None
    assert list(tmp_path.iterdir()) == []


def test_files_of_the_parties_are_for_their_owner_alone(settings: Settings) -> None:
    order(settings)
    files = [file for file in settings.home.rglob("*") if file.is_file()]
    assert files
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_no_byte_of_a_stored_key_is_in_clear_on_disk(settings: Settings) -> None:
    session = order(settings)
    assert session.alice_key is not None
    piece = session.alice_key.material[:12]  # by chance in a megabyte: below 1e-22
    for file in settings.home.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert piece not in content, file
            assert piece.hex().encode() not in content, file


def test_one_party_s_store_does_not_open_with_another_master_key(settings: Settings) -> None:
    order(settings)
    with pytest.raises(QLQError):
        KeyStore(parties.party_folder(settings.home, Party.BOB), os.urandom(32)).list()


def test_a_session_kept_in_the_stores_has_an_archive_that_verifies(
    settings: Settings, tmp_path: Path
) -> None:
    document = order(settings, archive=tmp_path / "kept").document
    assert document["archive"] == str(tmp_path / "kept")
    assert verify.check(tmp_path / "kept") == verify.Verdict("full", ())
    second = order(settings, archive=tmp_path / "again").document
    assert second["finite_key"]["eps_earlier"] > 0
    assert verify.check(tmp_path / "again").is_valid


def test_a_changed_store_stops_the_next_session(settings: Settings) -> None:
    order(settings)
    (file,) = parties.party_folder(settings.home, Party.ALICE).glob("*.sqlite*")
    data = file.read_bytes()
    file.write_bytes(data[:100] + bytes(len(data) - 100))
    with pytest.raises(KeyStoreDamaged):
        order(settings)

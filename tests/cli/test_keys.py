"""`qlq keys list`: what is stored, never the bytes."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from qlq.keys import SecretKey, Worth
from qlq.kme import master
from qlq.kme.store import KeyStore
from qlq.provenance import Claim, Kind, Provenance, Tier

MATERIAL = bytes(range(0x40, 0x60))
KEY_ID = str(uuid.UUID(int=7))

WORDS = "open sesame"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder where Alice holds one reserved key."""
    folder = tmp_path / "home"
    key = master.obtain(
        passphrase=None, data_folder=folder, settings_folder=tmp_path / "settings" / "qlq"
    )
    origin = Provenance(
        tier=Tier.SIMULATOR,
        claim=Claim.SIMULATION,
        backend="aer",
        provider="qiskit-aer",
        device="aer_simulator",
        kind=Kind.IDEAL,
        job_id="1",
        program_digest="00" * 32,
        sdk={},
    )
    worth = Worth(Claim.SIMULATION, ("nobody",), 32)
    with KeyStore(folder / "parties" / "alice", key) as store:
        store.add(
            SecretKey(MATERIAL, 256, KEY_ID, 1e-10, 1e-12, 1e-26, origin, worth),
            "bob",
            int(time.time()) - 7200,
        )
        store.reserve(KEY_ID)
    return folder


@pytest.mark.usefixtures("home")
def test_a_key_is_listed_without_its_bytes(qlq: Any, document: Any) -> None:
    done = qlq("keys", "list", "--json")
    assert done.returncode == 0
    (row,) = document(done.stdout, "qlq.keys.list")["keys"]
    assert 7200 <= row.pop("age_s") < 7300
    assert row == {
        "party": "alice",
        "key_id": KEY_ID,
        "peer": "bob",
        "bits": 256,
        "state": "reserved",
        "claim": "simulation",
        "entropy_cap_bits": 32,
    }
    for shown in (done, qlq("keys", "list"), qlq("-v", "keys", "list", "--party", "alice")):
        assert KEY_ID in shown.stdout
        assert MATERIAL.hex() not in shown.stdout + shown.stderr
        assert MATERIAL.decode() not in shown.stdout + shown.stderr


@pytest.mark.usefixtures("home")
def test_the_other_party_has_a_store_of_its_own(qlq: Any, document: Any) -> None:
    done = qlq("keys", "list", "--party", "bob", "--json")
    assert document(done.stdout, "qlq.keys.list")["keys"] == []


def test_looking_creates_nothing(qlq: Any, document: Any, tmp_path: Path) -> None:
    done = qlq("keys", "list", "--json")
    assert document(done.stdout, "qlq.keys.list")["keys"] == []
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "settings").exists()


def test_a_changed_store_exits_with_7(qlq: Any, document: Any, home: Path) -> None:
    file = home / "parties" / "alice" / "keys.sqlite"
    data = bytearray(file.read_bytes())
    data[data.index(KEY_ID.encode())] ^= 1
    file.write_bytes(data)
    done = qlq("keys", "list", "--json")
    assert done.returncode == 7
    assert document(done.stdout, "qlq.error")["error"]["kind"] == "KeyStoreDamaged"
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("home")
def test_another_passphrase_exits_with_2(qlq: Any, document: Any) -> None:
    done = qlq("keys", "list", "--json", QLQ_PASSPHRASE=WORDS)
    assert done.returncode == 2
    message = document(done.stdout, "qlq.error")["error"]["message"]
    assert "QLQ_PASSPHRASE" in message
    assert "sesame" not in done.stdout + done.stderr


@pytest.mark.usefixtures("home")
def test_a_key_file_that_others_may_read_exits_with_2(qlq: Any, tmp_path: Path) -> None:
    (tmp_path / "settings" / "qlq" / "master.key").chmod(0o644)
    done = qlq("keys", "list")
    assert done.returncode == 2
    assert "chmod 600" in done.stderr

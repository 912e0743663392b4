"""A home whose ledger has a story to tell, made by the commands that a reader would type."""

from __future__ import annotations

import io
import json
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from qlq.cli import console
from qlq.cli.main import run
from qlq.crypto import kdf
from qlq.keys import SecretKey, Worth
from qlq.kme import master
from qlq.kme.lifecycle import State
from qlq.kme.store import KeyStore
from qlq.provenance import Claim, Kind, Provenance, Tier

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
PASSPHRASE = "correct horse battery staple"  # noqa: S105 - of a home that tests make
MATERIAL = bytes(range(0x40, 0x60))


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def document(self, name: str) -> dict[str, Any]:
        """Its one document, held against the schema of this name."""
        found: dict[str, Any] = json.loads(self.out)
        schema = json.loads((SCHEMAS / f"{name}.json").read_text())
        validator = jsonschema.Draft202012Validator
        validator.check_schema(schema)
        validator(schema).validate(found)
        return found


@dataclass
class Home:
    """A home, the command line that works on it, and what its commands said."""

    folder: Path
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no command may show."""
        return PASSPHRASE, MATERIAL.hex(), MATERIAL.decode()

    def qlq(self, *arguments: str | Path) -> Done:
        """One command line, in this process."""
        out, err = io.StringIO(), io.StringIO()
        console.State.document_schema = None
        with redirect_stdout(out), redirect_stderr(err):
            code = run([str(one) for one in arguments])
        self.outputs += [out.getvalue(), err.getvalue()]
        return Done(code, out.getvalue(), err.getvalue())

    def told(self, name: str, *arguments: str | Path) -> dict[str, Any]:
        """The document of a command that ends well; its schema has the command's name."""
        done = self.qlq(*name.split("."), *arguments, "--json")
        assert done.code == 0, done.err
        return done.document(f"qlq.{name}")

    def send(self, amount: str, *, to: str = "bob", seal: str = "pq", asset: str = "GOLD") -> Done:
        """Alice's transfer."""
        return self.qlq(
            *("wallet", "send", "--from", "alice", "--to", to, "--asset", asset),
            *("--amount", amount, "--seal", seal, "--json"),
        )

    def share_a_key(self, number: int) -> str:
        """A key as a session on a simulator leaves it with both parties; its id."""
        key_id = str(uuid.UUID(int=number))
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
        for party, peer in (("alice", "bob"), ("bob", "alice")):
            with self._store(party) as store:
                made = SecretKey(MATERIAL, 256, key_id, 1e-10, 1e-12, 1e-26, origin, worth)
                store.add(made, peer, int(time.time()))
        return key_id

    def key_states(self) -> dict[str, set[State]]:
        """What became of each key on either side."""
        found: dict[str, set[State]] = {}
        for party in ("alice", "bob"):
            with self._store(party) as store:
                for row in store.list():
                    found.setdefault(row.description.key_id, set()).add(row.state)
        return found

    def _store(self, party: str) -> KeyStore:
        key = master.obtain(
            passphrase=PASSPHRASE,
            data_folder=self.folder,
            settings_folder=self.folder.parent / "settings" / "qlq",
        )
        return KeyStore(self.folder / "parties" / party, key)


def tell(home: Home) -> Home:
    """Two accounts, an asset, a transfer sealed with a link key: five blocks."""
    home.share_a_key(7)
    for name in ("alice", "bob"):
        home.said[name] = home.told("wallet.new", name)
    home.said["define"] = home.told("asset.define", "GOLD", "--owner", "alice", "--decimals", "2")
    home.said["issue"] = home.told("asset.issue", "GOLD", "1000", "--to", "alice")
    home.said["send"] = home.told(
        *("wallet.send", "--from", "alice", "--to", "bob", "--asset", "GOLD"),
        *("--amount", "12.50", "--memo", "for the lens", "--seal", "qkd"),
    )
    return home


@pytest.fixture(scope="package", autouse=True)
def quick_passphrases() -> Iterator[None]:
    """Argon2id runs once for each passphrase and salt: a command costs what else it does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kdf, "argon2id", cache(kdf.argon2id))
        yield


@pytest.fixture(scope="package")
def told_story(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The story's home, to be copied."""
    folder = tmp_path_factory.mktemp("story")
    with pytest.MonkeyPatch.context() as patch:
        _live_in(patch, folder)
        return tell(Home(folder / "home"))


@pytest.fixture
def story(told_story: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of the story's home, to do anything with."""
    shutil.copytree(told_story.folder, tmp_path / "home")
    _live_in(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path / "home", told_story.said, list(told_story.outputs))


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that is not there yet, and a passphrase for it."""
    _live_in(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path / "home")


def _live_in(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("QLQ_HOME", str(folder / "home"))
    patch.setenv("XDG_CONFIG_HOME", str(folder / "settings"))
    patch.setenv("QLQ_PASSPHRASE", PASSPHRASE)

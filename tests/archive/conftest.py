"""One finished and one aborted session, each archived once, and what they must never show."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlq.archive import folder
from qlq.backends import registry
from qlq.node import parties, sessions
from qlq.qkd import eve, parameters
from qlq.qkd.parameters import Protocol, Wanted

PULSES = 30_000
SEED = 20_250


@dataclass(frozen=True)
class Archived:
    """An archive as it was written, with the session it holds."""

    path: Path
    session: sessions.Session
    seeds: sessions.Seeds
    spoken: str

    def copy(self, to: Path) -> Path:
        """A copy that a test may damage."""
        return Path(shutil.copytree(self.path, to))


def conduct(path: Path, *, attack: str | None = None) -> Archived:
    """A seeded BB84 session on the ideal simulator, and all that was printed meanwhile."""
    committed = parameters.commit(Wanted(protocol=Protocol.BB84, pulses=PULSES, qber_max=0.02))
    seeds = sessions.Seeds.from_number(SEED)
    backend = registry.open_backend("aer")
    spoken = io.StringIO()
    try:
        with contextlib.redirect_stdout(spoken), contextlib.redirect_stderr(spoken):
            session = sessions.run(
                committed,
                backend,
                parties.passing_pair(seeds.alice),
                seeds=seeds,
                attack=None if attack is None else eve.parse(attack),
                attack_text=attack,
                archive=path,
                progress=print,
            )
    finally:
        backend.close()
    return Archived(path, session, seeds, spoken.getvalue())


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Archived:
    """A session that ended with a key."""
    return conduct(tmp_path_factory.mktemp("finished") / "archive")


@pytest.fixture(scope="session")
def aborted(tmp_path_factory: pytest.TempPathFactory) -> Archived:
    """A session that Eve ended."""
    return conduct(tmp_path_factory.mktemp("aborted") / "archive", attack="intercept-resend:1")


@pytest.fixture
def copy(finished: Archived, tmp_path: Path) -> Path:
    """A copy of the finished session's archive."""
    return finished.copy(tmp_path / "copy")


@pytest.fixture
def forge() -> Callable[[Path, Callable[[dict[str, Any]], None]], None]:
    """A function that changes `session.json` and makes its digest fit again."""

    def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
        file = path / "session.json"
        manifest = json.loads(file.read_bytes())
        edit(manifest)
        file.write_bytes(folder.canonical_json(folder.sealed(manifest)))

    return change


@pytest.fixture
def key_bytes(finished: Archived) -> bytes:
    """The whole key as Alice derived it, before the pool took its part."""
    bits = finished.session.ending.alice_key
    assert bits is not None
    return np.packbits(bits).tobytes()


@pytest.fixture
def aborted_copy(aborted: Archived, tmp_path: Path) -> Path:
    """A copy of the aborted session's archive."""
    return aborted.copy(tmp_path / "aborted")

"""What tests of paid jobs share: settings for the rented device, and retries without pauses."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from qlq.backends import driver
from qlq.config import Settings, load
from qlq.node.sessions import Seeds


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Retry at once, as often as in earnest."""
    monkeypatch.setattr(driver, "LOOK_PAUSE_S", 0.001)
    with stamina.set_testing(True, attempts=driver.ATTEMPTS_MAX):
        yield


@pytest.fixture(autouse=True)
def steady_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choices of sessions that are the same in every run: a few in thousands abort by chance."""
    numbers = itertools.count()

    def from_system() -> Seeds:
        made = Seeds.from_number(next(numbers))
        return dataclasses.replace(made, backend=None, is_reproducible=False)

    monkeypatch.setattr(Seeds, "from_system", from_system)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a home folder of their own, and the rented device."""
    return load(
        flags={"home": str(tmp_path / "home"), "backend": "rented"},
        environ={"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "settings")},
        profile=None,
    )

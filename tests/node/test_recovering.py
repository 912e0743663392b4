"""A crash between vote and block: what the log has is taken up, what it lost is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from qlq.config import Settings
from qlq.errors import BlockMissing, ConfigError, LedgerDamaged
from qlq.ledger import genesis
from qlq.ledger.operations import Anchor
from qlq.ledger.store import LedgerStore
from qlq.node import audit, chains, recovering, transacting
from qlq.node.audit import Level
from qlq.node.chains import Beginning
from qlq.node.engines import solo
from qlq.node.recovering import Unfinished


class Died(BaseException):
    """The process is gone."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process dies after both votes, before the block is in the ledger's file."""

    def append(*_: Any) -> None:
        raise Died

    with monkeypatch.context() as patch, suppress(Died):
        patch.setattr(LedgerStore, "append", append)
        yield


def anchor(settings: Settings, number: int) -> int:
    with chains.opened(settings) as validator:
        wanted = Anchor(3, number.to_bytes(32, "big"))
        return transacting.send_own(validator, chains.open_keys(settings), wanted).height


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with a chain of one block."""
    home, settings_folder = tmp_path / "home", tmp_path / "settings"
    made = Settings(home, settings_folder, "aer", None, MappingProxyType({}))
    chains.begin(Beginning("test", genesis.QUOTAS, genesis.Limits(), None, 0), made)
    anchor(made, 1)
    return made


def lose_the_log(settings: Settings) -> None:
    for path in chains.folder(settings).glob(f"{solo.FILE}*"):
        path.unlink()


def test_a_whole_ledger_has_nothing_to_recover(settings: Settings) -> None:
    found = recovering.recover(settings, unfinished=Unfinished.KEEP)
    assert found == {"height": 1, "taken_up": [], "dropped": None}


def test_a_block_that_the_log_holds_is_taken_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dying(monkeypatch):
        anchor(settings, 2)
    found = recovering.recover(settings, unfinished=Unfinished.DROP)
    assert found == {"height": 2, "taken_up": [2], "dropped": None}


def test_a_block_that_is_lost_is_named_and_given_up_only_when_asked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dying(monkeypatch):
        anchor(settings, 2)
    lose_the_log(settings)
    with pytest.raises(BlockMissing, match="qlq ledger recover"):
        anchor(settings, 3)
    with pytest.raises(BlockMissing, match="--drop-unfinished") as caught:
        recovering.recover(settings, unfinished=Unfinished.KEEP)
    assert caught.value.height == 2
    with pytest.raises(BlockMissing):  # asking has changed nothing
        anchor(settings, 3)

    found = recovering.recover(settings, unfinished=Unfinished.DROP)
    dropped = found.pop("dropped")
    assert found == {"height": 1, "taken_up": []}
    assert dropped == {"height": 2, "block": caught.value.block.hex(), "records": 3}
    assert anchor(settings, 3) == 2
    assert audit.verify_home(settings, Level.FULL)["valid"]


def test_a_damaged_log_is_told_from_one_that_cannot_be_used(settings: Settings) -> None:
    lose_the_log(settings)
    (chains.folder(settings) / solo.FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(LedgerDamaged, match="move it away"):
        anchor(settings, 2)


def test_a_home_without_a_ledger_has_nothing_to_recover(tmp_path: Path) -> None:
    empty = Settings(tmp_path / "none", tmp_path / "cfg", "aer", None, MappingProxyType({}))
    with pytest.raises(ConfigError, match="no ledger"):
        recovering.recover(empty, unfinished=Unfinished.KEEP)
    assert not (tmp_path / "none").exists()

"""`qlq asset`: a ledger begins with the first one; what is refused changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from qlq.config import Settings
from qlq.errors import ConfigError
from qlq.node import chains, wallets
from qlq.node.wallets import Purse


def test_the_first_asset_begins_the_ledger(story: Any) -> None:
    defined = story.said["define"]
    assert (defined["height"], defined["status"]) == (2, "done")  # after alice's enrolment
    assert any("began the ledger" in text for text in story.outputs)
    status = story.told("ledger.status")
    assert (status["height"], status["policy"]) == (5, "quota")


def test_supply_goes_up_and_down_within_its_cap(story: Any) -> None:
    story.told("asset.define", "CAPPED", "--owner", "bob", "--cap", "10")
    story.told("asset.issue", "CAPPED", "10", "--to", "bob")
    done = story.qlq("asset", "issue", "CAPPED", "1", "--to", "bob")
    assert (done.code, "supply-overflow" in done.err) == (2, True)
    story.told("asset.burn", "CAPPED", "4", "--from", "bob")
    assert story.told("wallet.show", "bob")["balances"]["CAPPED"] == "6"
    story.told("asset.issue", "CAPPED", "4", "--to", "bob")
    assert story.told("wallet.show", "bob")["balances"]["CAPPED"] == "10"


REFUSED = [
    (("define", "GOLD", "--owner", "bob"), "symbol-taken"),
    (("define", "QLQ", "--owner", "bob"), "symbol-taken"),
    (("define", "gold", "--owner", "bob"), "'gold'"),
    (("define", "THIRTEENCHARS", "--owner", "bob"), "'THIRTEENCHARS'"),
    (("define", "NEW", "--owner", "carol"), "'carol'"),
    (("define", "NEW", "--owner", "bob", "--decimals", "19"), "19 decimals"),
    (("define", "NEW", "--owner", "bob", "--decimals", "-1"), "-1 decimals"),
    (("define", "NEW", "--owner", "bob", "--cap", "many"), "'many'"),
    (("issue", "GOLD", "1.001", "--to", "bob"), "1.001"),
    (("issue", "SILVER", "1", "--to", "bob"), "'SILVER'"),
    (("burn", "GOLD", "12.51", "--from", "bob"), "insufficient-balance"),
    (("burn", "GOLD", "1", "--from", "carol"), "'carol'"),
]


def test_what_is_refused_says_why_and_makes_no_block(story: Any) -> None:
    for arguments, words in REFUSED:
        done = story.qlq("asset", *arguments, "--json")
        assert done.code == 2, arguments
        assert words in done.document("qlq.error")["error"]["message"]
    assert story.told("ledger.status")["height"] == 5


def test_only_the_issuers_home_issues(story: Any) -> None:
    story.told("wallet.remove", "alice", "--yes")
    done = story.qlq("asset", "issue", "GOLD", "1", "--to", "bob")
    assert done.code == 2
    assert story.said["alice"]["address"] in done.err


def test_no_ledger_is_begun_for_an_account_that_cannot_sign(fresh: Any) -> None:
    fresh.told("wallet.new", "alice")
    settings = Settings(fresh.folder, fresh.folder.parent / "settings" / "qlq", "aer", None, {})
    with pytest.raises(ConfigError, match="passphrase"):
        wallets.define(
            Purse("alice", lambda: "another one"),
            "GOLD",
            decimals=0,
            cap=None,
            settings=settings,
            tell=lambda _: None,
        )
    assert not chains.exists(settings)


@pytest.mark.parametrize(
    "arguments",
    [
        ("asset", "issue", "GOLD", "1", "--to", "alice"),
        ("asset", "burn", "GOLD", "1", "--from", "alice"),
        ("wallet", "send", "--from", "alice", "--to", "alice", "--asset", "GOLD", "--amount", "1"),
        ("wallet", "rotate", "alice"),
    ],
)
def test_nothing_else_begins_a_ledger(fresh: Any, arguments: tuple[str, ...]) -> None:
    fresh.told("wallet.new", "alice")
    done = fresh.qlq(*arguments)
    assert done.code == 2
    assert "qlq ledger init" in done.err
    assert sorted(one.name for one in fresh.folder.iterdir()) == ["wallet"]

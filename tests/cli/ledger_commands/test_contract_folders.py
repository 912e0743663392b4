"""Contracts before there is a ledger: looking, checking, testing a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qlq.contracts import compiler

TEMPLATES = Path(__file__).parents[3] / "qlq" / "contracts" / "templates"
NOBODY = "00" * 32

COUNTER = """\
from qlq.contract import Contract, external, u64


class Counter(Contract):
    total: u64

    @external
    def add(self, by: u64) -> None:
        self.total += by
"""


def test_a_home_without_a_ledger_gets_none_by_looking(fresh: Any, tmp_path: Path) -> None:
    for arguments in (
        ("call", NOBODY, "held"),
        ("events", NOBODY),
        ("replay", "last"),
        ("bind", NOBODY, "-o", str(tmp_path / "c.py")),
    ):
        done = fresh.qlq("contract", *arguments)
        assert done.code == 2, arguments
        assert "no ledger" in done.err
    assert not (fresh.folder / "ledger").exists()


def test_check_prints_the_compiler_s_words(fresh: Any, tmp_path: Path) -> None:
    good = fresh.told("contract.check", TEMPLATES / "lottery/contract.py")
    assert good["name"] == "Lottery"
    assert (
        good["code_hash"]
        == compiler.compile_source((TEMPLATES / "lottery/contract.py").read_bytes()).code_hash.hex()
    )
    assert any("anyone may call 'draw'" in remark["message"] for remark in good["remarks"])
    bad = tmp_path / "bad.py"
    bad.write_text(COUNTER.replace("self.total += by", "self.totl += by"))
    done = fresh.qlq("contract", "check", bad, "--json")
    assert done.code == 2
    (error,) = done.document("qlq.contract.check")["errors"]
    assert (error["line"], "did you mean total?" in error["text"]) == (9, True)
    shown = fresh.qlq("contract", "check", bad)
    assert shown.code == 2
    assert shown.out.strip() == error["text"]
    interface = fresh.told("contract.abi", TEMPLATES / "escrow/contract.py")
    assert [one["name"] for one in interface["functions"]] == ["open", "claim", "refund", "deal"]


def test_tests_of_a_folder_are_counted(fresh: Any, tmp_path: Path) -> None:
    fresh.told("contract.new", "escrow", "--template", "escrow")
    found = fresh.told("contract.test", tmp_path / "escrow")
    assert (found["failed"], found["errors"]) == (0, 0)
    assert found["passed"] > 5
    assert {row["method"] for row in found["gas"]} >= {"open", "claim", "refund"}
    assert fresh.qlq("contract", "new", "escrow").code == 2
    assert fresh.qlq("contract", "test", tmp_path / "absent").code == 2
    source = tmp_path / "escrow" / "contract.py"
    source.write_text(source.read_text().replace("block.height < deal.timeout", "True"))
    failed = fresh.qlq("contract", "test", tmp_path / "escrow", "--json")
    assert failed.code == 2
    assert failed.document("qlq.contract.test")["failed"] > 0

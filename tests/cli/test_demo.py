"""The whole story on this machine, as a document and as tables; nothing is kept."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from qlq.cli.main import run

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "qlq.demo.json"


def test_the_demo_tells_of_keys_randomness_a_ledger_and_a_contract_and_keeps_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["demo", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    jsonschema.validate(told, json.loads(SCHEMA.read_text(encoding="utf-8")))
    with_key, with_eve, entangled = told["sessions"]
    assert with_key["secret_bits"] > 0
    assert with_eve["aborted"]["reason"] == "qber"
    # 120,000 pairs with the noise of FakeFez's best pair: S within the reference's marks
    assert 2.70 < entangled["chsh"]["s"] < 2.84
    random = told["randomness"]
    assert (random["draw"]["tier"], random["draw"]["claim_bits"]) == ("T0", 0)
    assert random["certificate"]["claim_bits"] == 0
    assert random["certificate"]["valid"]
    assert random["beacon"]["valid"]
    assert random["beacon"]["pulses"] == 2
    ledger = told["ledger"]
    # the key of the first session, named on the chain, has sealed the transfer
    assert ledger["transfer"]["sealed_with"]["key_id"] == with_key["key_id"]
    assert ledger["transfer"]["sealed_with"]["claim"] == with_key["worth"]["claim"]
    assert ledger["balances"] == {"alice": {"GOLD": "987.50"}, "bob": {"GOLD": "12.50"}}
    # enrol alice, define, issue, enrol bob, send: the fifth of five blocks
    assert (ledger["proof"]["index"], ledger["proof"]["size"]) == (4, 5)
    assert ledger["proof"]["valid"]
    assert ledger["verification"] == {"height": 5, "valid": True}
    lottery = told["lottery"]
    # two pulses of one moment brought one round before it closed, so that the third decides
    assert (lottery["tickets"], lottery["round"], lottery["prize"]) == (2, 3, "1000")
    assert lottery["agrees"]
    held = {"alice": 982.5, "bob": 7.5}
    held[lottery["winner"]] += 10
    assert {name: float(one["GOLD"]) for name, one in lottery["balances"].items()} == held
    assert list(tmp_path.iterdir()) == []

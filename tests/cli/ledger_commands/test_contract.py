"""Contracts on the command line: from a folder to the ledger, and how that can fail."""

from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from qlq import config
from qlq.config import Settings
from qlq.contracts import compiler, gas
from qlq.contracts.compiled import COMPILER_VERSION
from qlq.errors import CallFailed
from qlq.ledger import operations
from qlq.ledger.operations import Operation
from qlq.node import certifying, chains, contract_names, transacting, wallets
from qlq.node.transacting import SealPolicy, Sent, Wish
from qlq.node.wallets import Purse
from qlq.provenance import EntropyTier
from qlq.qrng import beacon
from qlq.qrng.beacon import LocalValue

TEMPLATES = Path(__file__).parents[3] / "qlq" / "contracts" / "templates"
NOBODY = "00" * 32

VAULT = """\
from qlq.contract import Address, Asset, Contract, external, ledger, msg, u64, upgradable, view


@upgradable(admin="owner", delay=2)
class Vault(Contract):
    owner: Address
    total: u64

    def init(self, total: u64) -> None:
        self.owner = msg.sender
        self.total = total

    @external
    def put(self, asset: Asset) -> u64:
        assert msg.asset == asset, "another asset"
        self.total += msg.value
        return self.total

    @external
    def give(self, to: Address, asset: Asset, amount: u64) -> None:
        assert msg.sender == self.owner, "only the owner"
        ledger.transfer(to, asset, amount)

    @external
    def spin(self) -> None:
        while self.total < 1000000000:
            self.total += 1

    @view
    def held(self) -> u64:
        return self.total
"""


def loaded() -> Settings:
    """Settings as the commands see them."""
    return config.load(flags={}, environ=config.environment(), profile=None)


def deploy(story: Any, file: Path | str, arguments: list[object], sender: str = "alice") -> str:
    """The address of a new contract."""
    told = story.told(
        *("contract.deploy", file, "--from", sender, "--args", json.dumps(arguments)),
        *("--seal", "pq"),
    )
    assert told["status"] == "ok"
    address: str = told["address"]
    return address


def call(story: Any, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The document of a call that ends with this code."""
    done = story.qlq("contract", "call", *arguments, "--seal", "pq", "--json")
    assert done.code == code, done.err
    found: dict[str, Any] = done.document("qlq.contract.call")
    return found


def roots(story: Any) -> tuple[int, str]:
    """Height and state root."""
    status = story.told("ledger.status")
    return status["height"], status["state_root"]


@pytest.fixture
def vault(story: Any, tmp_path: Path) -> str:
    """A deployed vault of alice's."""
    (tmp_path / "vault.py").write_text(VAULT)
    return deploy(story, tmp_path / "vault.py", [7])


def publish_pulses(count: int) -> None:
    """The beacon's first pulses on the chain, signed by this home's key."""
    settings = loaded()
    key = certifying.open_signer(settings)
    locals_ = [hashlib.sha512(bytes([number])).digest() for number in range(count + 1)]
    chain = beacon.begin(key.verifying_key)
    with chains.opened(settings) as validator:
        for number in range(count):
            made = beacon.make(
                chain,
                key,
                local=LocalValue(locals_[number], EntropyTier(0), 0, False, "aer", b""),  # noqa: FBT003
                next_local=locals_[number + 1],
                time_s=1_900_000_000 + number,
                period_s=0,
            )
            chain = beacon.extend(chain, made)
            sent = transacting.publish_pulse(validator, chains.open_keys(settings), made.to_bytes())
            assert sent.receipt.reason is None


def send_raw(story: Any, *wanted: Operation) -> Sent:
    """Operations of alice's that no command would send."""
    settings = loaded()
    purse = Purse("alice", lambda: settings.passphrase or "")
    with chains.opened(settings) as validator:
        wish = Wish(wanted, seal=SealPolicy.PQ)
        return wallets.act(purse, wish, validator, settings, story.outputs.append)


def test_a_lottery_from_a_template_to_its_prize(story: Any) -> None:
    story.told("contract.new", "lottery", "--template", "lottery")
    height, _ = roots(story)
    lottery = deploy(story, "lottery/contract.py", ["GOLD", 500, height + 4, "NONE"])
    for player, ticket in (("alice", "0"), ("bob", "1")):
        told = call(story, lottery, "enter", "--from", player, "--value", "5.00", "--asset", "GOLD")
        assert told["return"] == ticket
        assert told["events"][0]["name"] == "Entered"
    assert call(story, lottery, "prize")["return"] == "1000"
    closed = call(story, lottery, "close", "--from", "bob")
    assert closed["events"][0]["values"] == {"tickets": "2", "deciding": "2"}
    early = call(story, lottery, "draw", "--from", "bob", code=2)
    assert early["failure"]["reason"] == "round-not-reached"
    publish_pulses(2)
    drawn = call(story, lottery, "draw", "--from", "bob")
    winner = drawn["events"][0]["values"]["winner"]
    name = next(one for one in ("alice", "bob") if story.said[one]["address"] == winner)
    before = float(story.told("wallet.show", name)["balances"]["GOLD"])
    call(story, lottery, "claim", "--from", name)
    assert float(story.told("wallet.show", name)["balances"]["GOLD"]) == before + 10
    events = story.told("contract.events", lottery)["events"]
    assert [one["name"] for one in events] == ["Entered", "Entered", "Closed", "Drawn", "Paid"]
    only = story.told("contract.events", lottery, "--name", "Drawn")["events"]
    assert only == [one for one in events if one["name"] == "Drawn"]
    replayed = story.told("contract.replay", drawn["tx_id"])
    assert replayed["agrees"]
    assert replayed["receipt_matches"]
    (replayed_call,) = replayed["calls"]
    assert (replayed_call["method"], replayed_call["status"]) == ("draw", "ok")
    assert replayed_call["gas_used"] == drawn["gas_used"]
    last = replayed_call["steps"][-1]
    assert "self.Drawn(ticket, self.winner)" in last["text"]
    assert last["values"] == {"ticket": drawn["events"][0]["values"]["ticket"]}
    assert story.told("ledger.verify")["valid"]


ARGUMENTS: dict[str, list[object]] = {
    "token/contract.py": [1000],
    "escrow/contract.py": [],
    "lottery/contract.py": ["GOLD", 5, 1000, "VENDOR"],
    "auction/contract.py": ["GOLD", 5, 1000],
    "auction/sealed.py": ["GOLD", 5, 1000, 2000],
    "multisig/contract.py": [],
    "qkd_sla/contract.py": [
        {
            "customer": "bob", "alice": "alice", "bob": "bob", "link": "ab" * 32,
            "asset": "GOLD", "price": "100", "penalty": 40, "bits_min": 1000,
            "qber_max_ppm": 50000, "start": 1000, "epochs": 3, "length": 10, "grace": 5,
            "window": 5, "arbiters_needed": 1,
        }
    ],
}  # fmt: skip


def test_every_template_runs_on_the_ledger(story: Any) -> None:
    assert {path.parent.name for path in TEMPLATES.glob("*/contract.py")} == {
        name.split("/")[0] for name in ARGUMENTS
    }
    first_calls = {
        "token/contract.py": ("mint", '["bob", 5]', None),
        "escrow/contract.py": ("open", f'["bob", "{"cd" * 32}", 500]', "1"),
        "lottery/contract.py": ("enter", "[]", "0.05"),
        "auction/contract.py": ("bid", "[]", "0.05"),
        "auction/sealed.py": ("commit", f'["{"cd" * 32}"]', "0.05"),
        "multisig/contract.py": ("receive", "[]", "1"),
        "qkd_sla/contract.py": ("name_arbiter", f'["{"ef" * 32}"]', None),
    }
    for name, arguments in ARGUMENTS.items():
        address = deploy(story, TEMPLATES / name, arguments)
        method, given, value = first_calls[name]
        paid = () if value is None else ("--value", value, "--asset", "GOLD")
        told = call(story, address, method, "--from", "alice", "--args", given, *paid)
        assert told["status"] == "ok", told
    assert story.told("ledger.verify")["valid"]


def test_a_call_that_would_fail_is_told_and_not_sent(story: Any, vault: str) -> None:
    before = roots(story)
    told = call(story, vault, "give", "--from", "bob", "--args", '["bob", "GOLD", 1]', code=2)
    assert (told["status"], told["tx_id"]) == ("reverted", None)
    why = told["failure"]
    assert (why["message"], why["contract"], why["function"]) == ("only the owner", "Vault", "give")
    assert why["text"] == 'assert msg.sender == self.owner, "only the owner"'
    assert VAULT.split("\n")[why["line"] - 1].strip() == why["text"]
    assert why["values"] == {
        "to": story.said["bob"]["address"], "asset": "GOLD", "amount": "1",
    }  # fmt: skip
    assert roots(story) == before


def test_with_its_gas_named_a_failing_call_is_on_the_chain_and_can_be_replayed(
    story: Any, vault: str
) -> None:
    arguments = ("give", "--from", "alice", "--args", '["bob", "GOLD", 1]', "--gas", "500000")
    told = call(story, vault, *arguments, code=2)
    assert told["status"] == "reverted"
    assert told["failure"]["reason"] == "insufficient-balance"
    shown = story.told("ledger.tx", told["tx_id"])
    assert (shown["status"], shown["reason"]) == ("failed", "reverted")
    assert shown["gas"] == told["gas_used"]
    replayed = story.told("contract.replay", "last")
    assert replayed["tx_id"] == told["tx_id"]
    assert replayed["agrees"]
    assert replayed["receipt_matches"]
    assert replayed["calls"][0]["failure"]["reason"] == "insufficient-balance"
    assert replayed["calls"][0]["steps"][-1]["line"] == told["failure"]["line"]
    spent = call(story, vault, "spin", "--from", "bob", "--gas", "300000", code=2)
    assert (spent["status"], spent["gas_used"]) == ("out-of-gas", 300_000)
    assert call(story, vault, "held")["return"] == "7"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hold", "--from", "alice"), "Vault has no method 'hold'; it has put(Asset)"),
        (("held", "--args", "[1]"), "held takes nothing"),
        (("put", "--from", "alice", "--args", "[]"), "put takes asset"),
        (("put", "--from", "alice", "--args", "{"), "--args is no JSON"),
        (("put", "--from", "alice", "--args", '["SILVER"]'), "no asset 'SILVER'"),
        (("put", "--from", "alice", "--args", "[7]"), "asset: 7 is no Asset"),
        (("put", "--args", '["GOLD"]'), "say who calls with --from NAME"),
        (("put", "GOLD", "7"), """--args '["GOLD", 7]'"""),
        (("put", '["GOLD", 7]'), """--args '["GOLD", 7]'"""),
        (("put", "--from", "carol", "--args", '["GOLD"]'), "carol"),
        (("put", "--from", "alice", "--args", '["GOLD"]', "--value", "x"), "'x' is no amount"),
        (
            ("give", "--from", "alice", "--args", '["bob", "GOLD", -1]'),
            "amount: -1 is no u64: 0 to 2^64 - 1",
        ),
        (
            ("give", "--from", "alice", "--args", '["bob", "GOLD", 18446744073709551616]'),
            "amount: 18446744073709551616 is no u64",
        ),
        (("give", "--from", "alice", "--args", '["bob", "GOLD", 1.5]'), "amount: 1.5 is no u64"),
        (("give", "--from", "alice", "--args", '["bo", "GOLD", 1]'), "'bo' is neither an address"),
    ],
)
def test_what_does_not_fit_the_contract_is_refused(
    story: Any, vault: str, arguments: tuple[str, ...], message: str
) -> None:
    before = roots(story)
    done = story.qlq("contract", "call", vault, *arguments, "--seal", "pq")
    assert done.code == 2
    assert message in done.err
    assert roots(story) == before


def test_what_cannot_run_is_refused_with_its_reason(story: Any, vault: str) -> None:
    before = roots(story)
    poor = call(
        story, vault, "put", "--from", "bob", "--args", '["GOLD"]',
        "--value", "900", "--asset", "GOLD", "--gas", "900000", code=2,
    )  # fmt: skip
    assert poor["failure"]["reason"] == "insufficient-balance"
    free = call(
        story, vault, "give", "--from", "alice", "--args", '["bob", "GOLD", 1]',
        "--value", "1", "--asset", "GOLD", code=2,
    )  # fmt: skip
    assert (free["status"], free["failure"]["reason"]) == ("refused", "value-not-taken")
    for wrong in (NOBODY, "qlqcontract1", story.said["bob"]["address"]):
        done = story.qlq("contract", "call", wrong, "held", "--json")
        assert done.code == 2, wrong
        assert "contract" in json.loads(done.out)["error"]["message"]
    assert roots(story) == before
    few = call(story, vault, "put", "--from", "bob", "--args", '["GOLD"]', "--gas", "9", code=2)
    assert (few["status"], few["gas_used"]) == ("out-of-gas", 9)
    most = story.qlq(
        "contract", "call", vault, "put", "--from", "bob", "--args", '["GOLD"]', "--gas", "10000001"
    )
    assert most.code == 2
    assert "at most 10000000" in most.err


def test_a_deploy_that_would_fail_leaves_nothing(story: Any, tmp_path: Path) -> None:
    before = roots(story)
    told = story.qlq(
        "contract", "deploy", TEMPLATES / "token/contract.py", "--from", "alice",
        "--args", "[0]", "--seal", "pq", "--json",
    )  # fmt: skip
    assert told.code == 2
    document = told.document("qlq.contract.deploy")
    assert document["failure"]["message"] == "a cap of 0 allows no units"
    assert document["failure"]["text"].startswith("assert cap > 0")
    bad = tmp_path / "bad.py"
    bad.write_text("class Bad(Contract):\n    pass\n")
    refused = story.qlq("contract", "deploy", bad, "--from", "alice")
    assert refused.code == 2
    assert "bad.py:1:" in refused.err
    assert "^" in refused.err
    assert story.qlq("contract", "deploy", tmp_path / "absent.py", "--from", "alice").code == 2
    assert roots(story) == before


def test_the_ledger_itself_refuses_code_of_another_hash(story: Any) -> None:
    source = VAULT.encode()
    compiled = compiler.compile_source(source)
    arguments = (7).to_bytes(8, "little")
    paid = gas.DEPLOY + len(source) * gas.DEPLOY_BYTE
    for code_hash, version, used in (
        (bytes(32), COMPILER_VERSION, paid),
        (compiled.code_hash, 99, 0),
    ):
        sent = send_raw(story, operations.Deploy(source, version, code_hash, arguments, 5_000_000))
        assert sent.receipt.reason is not None
        assert sent.receipt.reason.word == "code-mismatch"
        assert sent.receipt.gas == used
        assert not sent.receipt.events


def test_code_is_replaced_after_its_delay_and_keeps_what_is_stored(
    story: Any, vault: str, tmp_path: Path
) -> None:
    better = VAULT.replace("    total: u64\n", "    total: u64\n    extra: u64\n").replace(
        "return self.total\n", "return self.total + self.extra\n"
    )
    (tmp_path / "better.py").write_text(better)
    again = ("contract.upgrade", vault, tmp_path / "better.py", "--from", "alice", "--seal", "pq")
    announced = story.told(*again)
    assert announced["step"] == "announced"
    assert announced["ready_height"] == announced["height"] + 2
    soon = story.qlq(*again[0].split("."), *again[1:])
    assert soon.code == 2
    assert f"from height {announced['ready_height']} on" in soon.err
    story.send("1")
    assert story.told(*again)["step"] == "upgraded"
    assert call(story, vault, "held")["return"] == "7"
    other = story.qlq(
        "contract", "upgrade", vault, tmp_path / "better.py", "--from", "bob", "--seal", "pq"
    )
    assert other.code == 2
    assert "may replace the code" in other.err
    assert story.told("ledger.verify")["valid"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    total: u64\n", "    sum: u64\n", "'total' (u64) is removed"),
        ("total: u64\n\n", "total: u128\n\n", "'total' was u64 and is u128"),
    ],
)
def test_an_upgrade_that_would_lose_a_field_is_refused(
    story: Any, vault: str, tmp_path: Path, old: str, new: str, message: str
) -> None:
    worse = VAULT.replace(old, new)
    if "sum" in new:
        worse = worse.replace("self.total", "self.sum")
    else:
        worse = worse.replace("u64", "u128", 0).replace("total: u64", "total: u64", 0)
        worse = worse.replace("self.total = total", "self.total = u128(total)")
        worse = worse.replace("self.total += msg.value", "self.total += u128(msg.value)")
        worse = worse.replace("return self.total", "return u64(self.total)")
        worse = worse.replace("ledger, msg, u64,", "ledger, msg, u64, u128,")
    (tmp_path / "worse.py").write_text(worse)
    before = roots(story)
    done = story.qlq("contract", "upgrade", vault, tmp_path / "worse.py", "--from", "alice")
    assert done.code == 2
    assert message in done.err
    assert roots(story) == before
    place = contract_names.contract_of(vault)
    source = worse.encode()
    code_hash = compiler.compile_source(source).code_hash
    send_raw(story, operations.AnnounceUpgrade(place, code_hash))
    story.send("1")
    sent = send_raw(story, operations.Upgrade(place, source, COMPILER_VERSION, 5_000_000))
    assert sent.receipt.reason is not None
    assert sent.receipt.reason.word == "upgrade-refused"
    assert call(story, vault, "held")["return"] == "7"


def test_a_bound_client_speaks_with_the_contract(story: Any, tmp_path: Path) -> None:
    token = deploy(story, TEMPLATES / "token/contract.py", [1000])
    made = story.told("contract.bind", token, "-o", tmp_path / "made.py")
    assert Path(made["stub"]).read_text().count("...") >= 8
    client = runpy.run_path(made["client"])["Token"].at(token, sender="alice")
    client.mint("bob", 40)
    assert client.last.height == roots(story)[0]
    assert client.last.events[0]["values"]["amount"] == "40"
    assert client.balance_of("bob") == 40
    with pytest.raises(CallFailed, match="insufficient balance") as caught:
        client.transfer("bob", 1)
    assert (caught.value.contract, caught.value.status) == ("Token", "reverted")
    assert [one["name"] for one in client.events()] == ["Transfer"]
    escrow = deploy(story, TEMPLATES / "escrow/contract.py", [])
    story.told("contract.bind", TEMPLATES / "escrow/contract.py", "-o", tmp_path / "deals.py")
    names = runpy.run_path(str(tmp_path / "deals.py"))
    deals = names["Escrow"].at(escrow, sender="alice")
    number = deals.open("bob", bytes(32), 500, value="2.50", asset="GOLD")
    found = deals.deal(number)
    assert (found.state, found.amount, found.lock) == (names["State"].OPEN, 250, bytes(32))
    assert found.receiver == story.said["bob"]["address"]


def test_the_last_contract_is_the_one_that_was_deployed_last(
    story: Any, vault: str, tmp_path: Path
) -> None:
    token = deploy(story, TEMPLATES / "token/contract.py", [1000])
    assert call(story, "last", "total_supply")["contract"] == token
    (tmp_path / "loud.py").write_text(
        "from qlq.contract import Contract, event, external\n\n\nclass Loud(Contract):\n"
        "    @event\n    def deployed(self) -> None: ...\n\n"
        "    @external\n    def shout(self) -> None:\n        self.deployed()\n"
    )
    loud = deploy(story, tmp_path / "loud.py", [])
    call(story, loud, "shout", "--from", "bob")
    assert story.told("contract.events", "last")["contract"] == loud
    assert vault != loud


def test_what_is_no_contract_is_not_bound(story: Any, tmp_path: Path) -> None:
    file = TEMPLATES / "token/contract.py"
    for contract, output in ((file, "client.txt"), (file, "my-client.py"), ("nowhere", "c.py")):
        done = story.qlq("contract", "bind", contract, "-o", tmp_path / output)
        assert done.code == 2, done.err
    done = story.qlq("contract", "bind", file, "-o", tmp_path / "absent" / "deep" / "c.py")
    assert done.code == 2
    assert "cannot write" in done.err


def test_events_and_replays_of_what_is_not_there(story: Any, vault: str) -> None:
    assert story.told("contract.events", vault)["events"] == []
    done = story.qlq("contract", "events", vault, "--name", "Nothing")
    assert done.code == 2
    assert "no event 'Nothing'" in done.err
    assert story.qlq("contract", "events", NOBODY).code == 2
    story.send("1")
    plain = story.qlq("contract", "replay", "last")
    assert plain.code == 2
    assert "runs no contract" in plain.err
    assert story.qlq("contract", "replay", "ff" * 32).code == 2

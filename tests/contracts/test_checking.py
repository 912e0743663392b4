"""What the checker makes of a source: charges, orders, values that may come, remarks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from qlq import contract
from qlq.contracts import checker
from qlq.contracts.outcome import Env, Status
from qlq.contracts.program import (
    Assign,
    Charge,
    ForRange,
    Function,
    FunctionKind,
    If,
    Program,
    Store,
    While,
)
from qlq.contracts.python import PythonRunner

ROOT = Path(__file__).parents[2]
HEAD = f"from qlq.contract import {', '.join(contract.__all__)}\n"
CONTRACT = """class Point(Struct):
    x: u64
    y: u128
class Checked(Contract):
    total: u64
    wide: u128
    who: Address
    text: Bytes[20]
    round: u64
    sums: Map[u64, u64]
    owners: Map[Address, Map[u64, Address]]
    points: Map[u64, Point]
    @event
    def Seen(self, who: Address, amount: u64) -> None: ...
"""


def program(*lines: str, classes: str = "") -> Program:
    return checker.check((HEAD + classes + CONTRACT + "\n".join(lines) + "\n").encode())


def method(*lines: str, returns: str = "None") -> Function:
    head = f"    def f(self, a: u64, b: bool, c: Address, w: u128) -> {returns}:"
    return program(head, *(f"        {line}" for line in lines)).functions[0]


CHARGES = [
    # (statement, units): counted by hand from docs/contracts-language.md
    ("a = 1", 1 + 1),
    ("a = a + 1", 1 + 1 + 2),
    ("a = a * a // 3", 1 + 2 + 2 + 3),
    ("w = w + 1", 1 + 2 + 4 + 2),
    ("w = w * w", 1 + 2 + 16 + 2),
    ("w = w // w", 1 + 2 + 1000 + 2),
    ("c = msg.sender", 1 + 4 + 1),
    ("self.total = a", 1 + 1),
    ("self.total += a", 1 + 1 + 1 + 1),
    ("self.sums[a] = 1", 1 + 1 + 1),
    ("self.sums[a] += 1", 1 + 1 + (1 + 1) + 1 + 1),
    ("self.owners[c][a] = c", 1 + 4 + 4 + 1 + 1 + 1),
    ("self.Seen(c, a)", 1 + 4 + 2),
    ("ledger.transfer(c, NATIVE, a)", 1 + 3),
    ("b = sha256(a) == sha256(self.text)", 1 + 1 + 4 + (1 + 1 + 2 + 1) + (1 + 1 + 3)),
    ("a = mul_div(a, a, 7)", 1 + 250 + 3),
    ("assert a == 1", 1 + 1 + 2),
    ("a = u64(w)", 1 + 1 + 1),
    ("w = u128(a)", 1 + 2 + 1 + 2 + 1),
    ("a = len(self.text)", 1 + 1 + 1 + 3),
    ("pass", 0),
]


@pytest.mark.parametrize(("statement", "units"), CHARGES)
def test_a_block_is_paid_for_at_its_entry(statement: str, units: int) -> None:
    body = method(statement).body
    charges = [part.units for part in body if isinstance(part, Charge)]
    assert sum(charges) == units
    assert not body or isinstance(body[0], Charge)


def test_each_block_has_its_own_charge() -> None:
    body = method(
        "a = 1",
        "if b and a > 2:",
        "    a = 2",
        "else:",
        "    a = 3 + 4",
        "a = 4",
        "while a > 1:",
        "    a -= 1",
        "for i in range(a):",
        "    a += i",
        "    if b:",
        "        break",
    ).body
    assert [type(part) for part in body] == [
        Charge, Assign, If, Charge, Assign, While, Charge, ForRange,
    ]  # fmt: skip
    branch, loop, counted = body[2], body[5], body[7]
    assert isinstance(branch, If)
    assert isinstance(loop, While)
    assert isinstance(counted, ForRange)
    # a = 1; then the branch: 1, `and` 1, b 1. The right side, a > 2, is paid for on its own.
    assert body[0] == Charge((1 + 1) + 1 + 1 + 1)
    assert branch.condition.units == 3
    assert branch.then[0] == Charge(1 + 1)
    assert branch.otherwise[0] == Charge(1 + 1 + 2)
    assert body[3] == Charge(1 + 1)
    assert loop.units == 3 + 3
    assert body[6] == Charge(1 + 1 + 1)
    assert counted.units == 3
    assert [type(part) for part in counted.body] == [Charge, Assign, If]
    assert counted.body[0] == Charge((1 + 1 + 2) + 1 + 1)


def test_keys_that_are_computed_are_computed_once() -> None:
    plain = method("self.sums[a] += 1")
    computed = method("self.sums[a + 1] += 1")
    assert len(computed.locals) == len(plain.locals) + 1
    assert [type(part) for part in computed.body] == [Charge, Assign, Store]


def test_a_value_may_come_with_what_asks_for_it() -> None:
    found = program(
        "    @external",
        "    def give(self) -> None:",
        "        self._take()",
        "    @external",
        "    def ask(self) -> None:",
        "        assert msg.asset == NATIVE",
        "    def _take(self) -> None:",
        "        assert msg.asset == NATIVE",
        "        self.total += msg.value",
    ).functions
    assert [function.takes_value for function in found] == [True, False, False]


def test_remarks_tell_of_methods_that_let_anybody_change_something() -> None:
    found = program(
        "    @external",
        "    def open(self) -> None:",
        "        self._set()",
        "    @external",
        "    def guarded(self) -> None:",
        "        assert msg.sender == self.who",
        "        self._set()",
        "    @external",
        "    def harmless(self) -> u64:",
        "        return self.total",
        "    def _set(self) -> None:",
        "        self.total = 1",
    ).remarks
    (remark,) = found
    assert "anyone may call 'open'" in remark.message
    assert (HEAD + CONTRACT).count("\n") + 2 == remark.line


def test_what_another_contract_returns_and_nobody_reads_is_remarked() -> None:
    classes = "class Other(Interface):\n    def get(self) -> bool: ...\n"
    lines = ("    def f(self) -> None:", "        at(Other, self.who).get()")
    (remark,) = program(*lines, classes=classes).remarks
    assert "dropped" in remark.message


def test_kinds_and_parts_of_the_contract() -> None:
    found = program(
        "    def init(self) -> None:",
        "        pass",
        "    @view",
        "    def see(self) -> u64:",
        "        return 1",
    )
    assert [function.kind for function in found.functions] == [FunctionKind.INIT, FunctionKind.VIEW]
    assert [field.name for field in found.fields][:2] == ["total", "wide"]
    assert found.upgrade is None


@pytest.mark.parametrize(
    "lines",
    [
        ("d: u64", "if b:", "    d = 1", "else:", "    d = 2", "a = d"),
        ("d: u64", "if b:", "    d = 1", "else:", "    return", "a = d"),
        ("d: u64", "if b:", "    d = 1", "else:", '    assert False, "no"', "a = d"),
        ("for i in range(2):", "    a = i", "for i in range(3):", "    a = i"),
        ("i: u64 = 0", "for i in range(2):", "    pass", "a = i"),
        ("d: Point = Point(x=1, y=2)", "d.x = 3", "self.points[a] = d"),
        ("self.text = self.text[0:3]", 'self.text = b"a"', 'b = self.text == b""'),
        ("a = 1 + 2 * a", "w = 1 << 100", "w = U128_MAX - w", "b = 2 < w"),
        ("c = Address(Asset(sha256(c)))", "self.text = Bytes[20](Bytes[40](self.text))"),
        ("for k, v in self.owners[c].items(a, 8):", "    c = v", "    a = k"),
    ],
)
def test_what_is_right_is_accepted(lines: tuple[str, ...]) -> None:
    method(*lines)


def test_results_may_be_read_from_a_later_round_of_each_entry_of_a_map() -> None:
    checker.check(
        (
            HEAD + CONTRACT + "    rounds: Map[u64, u64]\n"
            "    @external\n    def close(self, a: u64) -> None:\n"
            "        self.rounds[a] = beacon.next_round(3)\n"
            "        del self.rounds[a + 1]\n"
            "    @external\n    def draw(self, a: u64) -> None:\n"
            '        self.total = beacon.uniform(self.rounds[a], 6, b"die")\n'
        ).encode()
    )


def test_every_name_that_a_contract_may_import_is_used_by_one_that_compiles() -> None:
    used = "".join(path.read_text() for path in (ROOT / "tests/contracts/sources").glob("*.py"))
    missing = [name for name in contract.__all__ if not re.search(rf"\b{name}\b", used)]
    assert missing in ([], ["U128_MAX"])


@pytest.mark.long
def test_type_checkers_accept_contracts(tmp_path: Path) -> None:
    files = [
        *sorted((ROOT / "tests/contracts/sources").glob("*.py")),
        *sorted((ROOT / "qlq/contracts/templates").glob("*/contract.py")),
    ]
    assert files
    for path in files:
        checker.check(path.read_bytes(), path.name)
        done = subprocess.run(
            [
                sys.executable, "-m", "mypy", "--strict", "--no-warn-return-any",
                "--config-file=", f"--cache-dir={tmp_path}", str(path),
            ],
            capture_output=True, text=True, check=False, cwd=tmp_path,
            env={"MYPYPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_each_statement_is_told_with_its_values_and_the_gas_that_is_left(worlds) -> None:
    told: list[tuple[str, int, dict, int]] = []

    def tracer(contract: bytes, function: str, line: int, variables: dict, gas: int) -> None:
        assert contract == b"\x11" * 32
        told.append((function, line, dict(variables), gas))

    plain = worlds[-1]
    traced = type(plain)(PythonRunner(tracer))
    outcomes = []
    for world in (plain, traced):
        world.deploy("token", b"\x11" * 32)
        world.env = Env(bytes(32), 1, 1)
        outcomes.append(world.call(b"\x11" * 32, "transfer", b"\xb0" * 32, 0))
    assert outcomes[0].status is Status.OK
    assert outcomes[0].gas_used == outcomes[1].gas_used
    text = (ROOT / "tests/contracts/sources/token.py").read_text().splitlines()
    assert [text[line - 1].strip().split("(")[0] for _, line, _, _ in told] == [
        "self._move", 'assert self.balances[source] >= amount, "insufficient balance"',
        "self.balances[source] -= amount", "self.balances[to] += amount", "self.Transfer",
        "return True",
    ]  # fmt: skip
    assert [function for function, *_ in told] == ["transfer", *["_move"] * 4, "transfer"]
    assert told[1][2] == {"source": b"\xa1" * 32, "to": b"\xb0" * 32, "amount": 0}
    gas = [left for *_, left in told]
    assert gas == sorted(gas, reverse=True)

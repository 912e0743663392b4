"""Hostile sources: each is refused, where it is wrong, in words that say so and what to write.

The corpus is in the text files beside: after `===` stand the words that the error must have, below
them the source, or the part of one that goes into the frame of its file.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qlq.contracts import checker
from qlq.errors import CompileError

HERE = Path(__file__).parent
HEAD = """from qlq.contract import (
    Address, Asset, Bytes, Bytes32, Contract, Enum, Interface, Map, NATIVE, Quality, Struct,
    U64_MAX, at, beacon, block, chain_id, event, external, ledger, msg, mul_div, pack, sha256,
    sha3_256, this, u64, u128, upgradable, verify_ed25519, verify_mldsa65, view,
)
class Phase(Enum):
    OPEN = 0
    CLOSED = 1
class Point(Struct):
    x: u64
    y: u128
class Other(Interface):
    def get(self, key: u64) -> u64: ...
    def put(self, key: u64, value: u64) -> None: ...
"""
STATE = """class Hostile(Contract):
    owner: Address
    total: u64
    wide: u128
    phase: Phase
    point: Point
    round: u64
    text: Bytes[40]
    sums: Map[u64, u64]
    points: Map[u64, Point]
    nested: Map[Address, Map[u64, u64]]
    rounds: Map[u64, u64]
    @event
    def Seen(self, who: Address, amount: u64) -> None: ...
    def _helper(self, a: u64) -> u64:
        return a
    def _nothing(self) -> None:
        pass
"""
METHOD = "    @external\n    def hostile(self, a: u64, b: bool, c: Address) -> None:\n"
FORM = re.compile(
    r"\Acontract\.py:(\d+):(\d+): [^\n]+ \([^\n]+\)(?:\n    ([ -~]+)\n    ( *)\^+)?\Z"
)


def framed(kind: str, body: str) -> str:
    match kind:
        case "methods":
            indented = "".join(f"        {line}\n" for line in body.split("\n"))
            return HEAD + STATE + METHOD + indented
        case "members":
            return HEAD + STATE + body + "\n"
        case "classes":
            return HEAD + body + "\n" + STATE
    return body + "\n"


def corpus() -> list[tuple[str, str, str]]:
    """The name, the source and the expected words of each."""
    found = []
    for path in sorted(HERE.glob("*.txt")):
        _, *cases = re.split(r"^=== ", path.read_text(), flags=re.MULTILINE)
        for number, case in enumerate(cases):
            words, _, body = case.partition("\n")
            name = f"{path.stem}-{number}"
            found.append((name, framed(path.stem, body.removesuffix("\n")), words))
    return found


CORPUS = corpus()


def test_there_are_more_than_two_hundred_sources() -> None:
    assert len({source for _, source, _ in CORPUS}) == len(CORPUS) > 200


def test_the_frames_themselves_are_accepted() -> None:
    """Else everything would be refused for another reason than its own."""
    checker.check(framed("methods", "self.total = a").encode())
    checker.check(framed("members", "").encode())
    checker.check(framed("classes", "").encode())


@pytest.mark.parametrize(
    ("source", "words"), [case[1:] for case in CORPUS], ids=[c[0] for c in CORPUS]
)
def test_it_is_refused_where_it_is_wrong(source: str, words: str) -> None:
    with pytest.raises(CompileError) as refused:
        checker.check(source.encode())
    error, text = refused.value, str(refused.value)
    assert words in error.message, text
    form = FORM.match(text)
    assert form, text
    line, column = int(form[1]), int(form[2])
    assert (line, column) == (error.line, error.column)
    assert f"({error.hint})" in text
    lines = source.split("\n")
    assert 1 <= line <= len(lines)
    if lines[line - 1].strip():
        assert form[3] == lines[line - 1][:160]
        assert len(form[4]) == column - 1

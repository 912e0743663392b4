"""The page of the language says what the code has: numbers, limits, reasons, names, hints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qlq import contract
from qlq.contracts import (
    checker,
    checker_effects,
    checker_names,
    checker_statements,
    compiler,
    encoding,
    gas,
    host,
    language,
    values,
)
from qlq.contracts.compiled import COMPILER_VERSION
from qlq.contracts.outcome import Reason
from qlq.contracts.values import BytesType, EnumType, Plain, StructType
from qlq.contracts.wasm_binary import PAGE_BYTES
from qlq.contracts.wasm_memory import SLOTS
from qlq.errors import CompileError

TEXT = (Path(__file__).parents[2] / "docs/contracts-language.md").read_text()
LIMITS = {
    "Bytes of the source": language.SOURCE_BYTES_MAX,
    "Brackets in each other": language.BRACKETS_MAX,
    "Levels of indentation": language.INDENTS_MAX,
    "Blocks in each other": language.BLOCKS_MAX,
    "Tokens of a statement's line": language.TOKENS_MAX,
    "Characters of a name, of a number": language.NAME_CHARS_MAX,
    "Depth of an expression": language.EXPRESSION_DEPTH_MAX,
    "Nodes of syntax in a method": language.FUNCTION_NODES_MAX,
    "Bytes of all keys of an entry": checker_names.KEY_BYTES_MAX,
    "Memory for variables": PAGE_BYTES - SLOTS,
    "Events of a transaction": host.EVENTS_MAX,
    "Gas of a transaction": gas.TRANSACTION_MAX,
    "Gas of a block": gas.BLOCK_MAX,
    "Bytes of all sources that a block brings": gas.BLOCK_SOURCE_MAX,
}
SENTENCES = (
    f"compiler version {COMPILER_VERSION}\n",
    f"N from 1 to {checker_names.BYTES_MAX}",
    f"1 to {checker_names.STRUCT_PARTS_MAX} values in all",
    f"nested to a depth of {checker_names.STRUCT_DEPTH_MAX}",
    f"1 to {checker_names.ENUM_MEMBERS_MAX} of them",
    f"text of at most {checker_statements.ASSERTION_CHARS_MAX} characters",
    f"from 1 to {checker_statements.PAGE_ENTRIES_MAX}, and n times the\n",
    f"bytes of key and value at most {checker_names.VALUE_BYTES_MAX}",
    f"at most {checker.EVENT_BYTES_MAX} encoded bytes",
    f"together have at most {checker_names.VALUE_BYTES_MAX} encoded bytes",
    f"at most {checker_effects.CALL_DEPTH_MAX} methods",
    f"At most {host.DEPTH_MAX} contracts wait",
    f"delay, {host.BEACON_DELAY_MIN} or more",
    f"the context is `{host.SIGNATURE_CONTEXT.decode()}`",
    "1 to 2^32",
)


def rows(pattern: str) -> list[tuple[str, str]]:
    found = re.findall(pattern, TEXT, re.MULTILINE)
    return [(one, two) for one, two in found]


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_prices() -> None:
    told = {name: number(units) for name, units in rows(r"^\| `([A-Z_0-9]+)` \| ([\d,]+) \|")}
    charged = {
        name: value
        for name, value in vars(gas).items()
        if name.isupper() and not name.endswith("_MAX")
    }
    assert told == charged


def test_limits() -> None:
    told = {
        name: number(limit) for name, limit in rows(r"^\| ([A-Z][^|]+) \| ([\d,]+)(?: bytes)? \|$")
    }
    for name, limit in LIMITS.items():
        (row,) = [key for key in told if key.startswith(name)]
        assert told.pop(row) == limit, name
    assert not told
    assert language.NAME_CHARS_MAX == language.NUMBER_CHARS_MAX
    assert checker.DELAY_MAX == 1 << 32


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_sentences_say(sentence: str) -> None:
    assert sentence in TEXT


def test_reasons() -> None:
    told = [(int(value), name) for value, name in rows(r"^\| (\d+) \| `([A-Z_]+)` \|")]
    assert told == [(reason.value, reason.name) for reason in Reason if reason]


def test_every_name_of_the_module_is_told() -> None:
    for name in contract.__all__:
        assert re.search(rf"(?<!\w){name}(?!\w)", TEXT), name


def test_widths() -> None:
    for name, kind in (
        ("`u64`", Plain.U64), ("`u128`", Plain.U128), ("`bool`", Plain.BOOL),
        ("`Address`, `Bytes32`, `Asset`", Plain.ASSET),
    ):  # fmt: skip
        (width,) = re.findall(rf"^\| {name} \|.*\| (\d+) \|$", TEXT, re.MULTILINE)
        assert int(width) == values.size(kind)
    assert values.size(BytesType(7)) == 2 + 7
    assert values.size(EnumType("E", ("A",))) == 1
    assert values.size(StructType("S", (("a", Plain.U64), ("b", Plain.BOOL)))) == 9
    assert encoding.encode(Plain.U64, 1) == encoding.encode_key(Plain.U64, 1)[::-1]


def test_the_example_compiles() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    program = compiler.compile_source(example.encode()).program
    assert [function.name for function in program.functions] == ["order", "total"]
    assert not program.remarks


REFUSED = {
    "try": "        try:\n            pass\n        except ValueError:\n            pass\n",
    "division": "        a = a / 2\n",
    "power": "        a = a ** 2\n",
    "inverse": "        a = ~a\n",
    "walrus": "        a = (b := 1)\n",
    "float": "        a = 1.5\n",
    "negative": "        a = -a\n",
    "list": "        b = [a]\n",
    "comprehension": "        b = [x for x in range(a)]\n",
    "is": "        assert a is a\n",
    "f-string": '        assert a > 1, f"{a}"\n',
    "text": '        a = "text"\n',
    "nested": "        def g(self) -> None:\n            pass\n",
    "keyword": "        a = mul_div(a, a, c=a)\n",
    "struct comparison": "        assert Pair(a, a) == Pair(a, a)\n",
    "chain": "        assert 1 < a < 3\n",
    "unreachable": "        return\n        a = 1\n",
    "unassigned": "        b: u64\n        a = b\n",
    "map as a value": "        a = self.entries\n",
    "capacity": "        b: Bytes[4097] = b''\n",
    "slice with one end": "        b: Bytes[4] = self.text[1:]\n",
    "a page of 65": "        for k, v in self.entries.items(0, 65):\n            pass\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_with_a_place_and_a_hint(name: str) -> None:
    source = (
        "from qlq.contract import Bytes, Contract, Map, Struct, external, mul_div, u64\n\n\n"
        "class Pair(Struct):\n    a: u64\n    b: u64\n\n\n"
        "class Trial(Contract):\n    entries: Map[u64, u64]\n    text: Bytes[4]\n\n"
        "    @external\n    def run(self, a: u64) -> None:\n"
    )
    compiler.compile_source(f"{source}        a = 1\n        self.entries[1] = a\n".encode())
    with pytest.raises(CompileError) as caught:
        compiler.compile_source((source + REFUSED[name]).encode())
    assert caught.value.line >= 15
    assert caught.value.hint

"""New code for a contract: what is stored keeps its place and its meaning."""

from __future__ import annotations

import pytest

from qlq.contracts import compiler, upgrade
from qlq.contracts.compiled import Compiled
from qlq.errors import ContractError

HEAD = """\
from qlq.contract import Address, Bytes, Contract, Enum, Map, Struct, external, u64, u128


class Kind(Enum):
    A = 0
    B = 1


class Item(Struct):
    kind: Kind
    size: u64


class Thing(Contract):
"""
FIELDS = {
    "owner": "Address",
    "total": "u64",
    "names": "Map[u64, Bytes[8]]",
    "items": "Map[Address, Map[u64, Item]]",
}


def thing(fields: dict[str, str], head: str = HEAD) -> Compiled:
    """A contract with these fields and nothing else."""
    lines = [f"    {name}: {kind}" for name, kind in fields.items()]
    return compiler.compile_source((head + "\n".join(lines) + "\n").encode())


def test_more_fields_in_another_order_are_an_upgrade() -> None:
    reordered = dict(reversed(FIELDS.items())) | {"added": "bool"}
    upgrade.check(thing(FIELDS), thing(reordered))


def test_members_at_the_end_of_an_enum_and_other_names_of_types_are_an_upgrade() -> None:
    more = HEAD.replace("    B = 1\n", "    B = 1\n    C = 2\n").replace("Kind", "Sort")
    upgrade.check(thing(FIELDS), thing(FIELDS, more))


@pytest.mark.parametrize("name", FIELDS)
def test_a_removed_field_is_named(name: str) -> None:
    kept = {field: kind for field, kind in FIELDS.items() if field != name}
    with pytest.raises(ContractError, match=f"'{name}' .* is removed"):
        upgrade.check(thing(FIELDS), thing(kept))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("owner", "u64"),
        ("total", "u128"),
        ("total", "Map[u64, u64]"),
        ("names", "Map[u64, Bytes[9]]"),
        ("names", "Map[u128, Bytes[8]]"),
        ("names", "Bytes[8]"),
        ("items", "Map[u64, Map[Address, Item]]"),
        ("items", "Map[Address, Map[u64, Kind]]"),
    ],
)
def test_a_retyped_field_is_named_with_both_types(name: str, kind: str) -> None:
    with pytest.raises(ContractError) as caught:
        upgrade.check(thing(FIELDS), thing(FIELDS | {name: kind}))
    assert f"'{name}' was " in str(caught.value)
    assert kind.partition("[")[0] in str(caught.value).partition(" and is ")[2]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    size: u64\n", "    size: u128\n"),
        ("    size: u64\n", "    length: u64\n"),
        ("    size: u64\n", "    size: u64\n    more: u64\n"),
        ("    kind: Kind\n    size: u64\n", "    size: u64\n    kind: Kind\n"),
        ("    A = 0\n    B = 1\n", "    B = 0\n    A = 1\n"),
        ("    A = 0\n    B = 1\n", "    A = 0\n"),
    ],
)
def test_a_changed_struct_or_enum_retypes_its_fields(old: str, new: str) -> None:
    with pytest.raises(ContractError, match="'items' was "):
        upgrade.check(thing(FIELDS), thing(FIELDS, HEAD.replace(old, new)))


def test_everything_that_is_lost_is_named_at_once() -> None:
    with pytest.raises(ContractError) as caught:
        upgrade.check(thing(FIELDS), thing({"total": "u128"}))
    for name in FIELDS:
        assert f"'{name}'" in str(caught.value)


ROUND = "from qlq.contract import Contract, beacon, external, u64\n\n\nclass Draw(Contract):\n"
NUMBER = "    decides: u64\n\n    @external\n    def set(self, number: u64) -> None:\n"
SETS = NUMBER + "        self.decides = number\n"
DRAWS = (
    NUMBER + "        self.decides = beacon.next_round(number)\n\n"
    "    @external\n    def draw(self) -> u64:\n"
    '        return beacon.uniform(self.decides, 6, b"")\n'
)


def draw(body: str) -> Compiled:
    """A contract with one field, which is a round or not."""
    return compiler.compile_source((ROUND + body).encode())


def test_a_field_in_which_any_number_may_stand_does_not_become_a_round() -> None:
    with pytest.raises(ContractError, match="'decides' was no round of the beacon"):
        upgrade.check(draw(SETS), draw(DRAWS))
    upgrade.check(draw(DRAWS), draw(DRAWS))
    upgrade.check(draw(DRAWS), draw(SETS))
    upgrade.check(draw("    other: u64\n"), draw("    other: u64\n" + DRAWS))

"""Expressions of random contracts, and the state and the types that they are about."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

HEAD = """\
from qlq.contract import NATIVE, U64_MAX, U128_MAX, Address, Asset, Bytes, Bytes32, Contract
from qlq.contract import Enum, Interface, Map, Quality, Struct, at, beacon, block, chain_id
from qlq.contract import event, external, ledger, msg, mul_div, pack, sha3_256, sha256, this
from qlq.contract import u64, u128, verify_ed25519, view

SEVEN: u64 = 3 + 4
BIG: u128 = 1 << 100
WORD: Bytes[5] = b"words"
MARK: Bytes32 = Bytes32("{mark}")


class Color(Enum):
    RED = 0
    GREEN = 1
    BLUE = 2


class Pair(Struct):
    few: u64
    many: u128
    color: Color


class Box(Struct):
    pair: Pair
    note: Bytes[9]
    flag: bool
    who: Address
"""
FIELDS = {
    "n": "u64", "w": "u128", "f": "bool", "c": "Color", "a": "Address", "b": "Bytes[20]",
    "h": "Bytes32", "p": "Pair", "x": "Box", "g": "Asset",
}  # fmt: skip
MAPS = {
    "m1": (("u64",), "u64"),
    "m2": (("Address", "u64"), "Pair"),
    "m3": (("Color",), "Bytes[9]"),
    "m4": (("u128",), "u128"),
    "m5": (("Bytes[9]", "bool"), "u64"),
}
PARTS = {
    "Pair": {"few": "u64", "many": "u128", "color": "Color"},
    "Box": {"pair": "Pair", "note": "Bytes[9]", "flag": "bool", "who": "Address"},
}
KINDS = ["u64", "u64", "u64", "u128", "bool", "Color", "Address", "Bytes[9]", "Bytes[20]", "Pair"]
RESULTS = [None, "u64", "u128", "bool", "Color", "Address", "Bytes[9]", "Bytes[20]", "Pair", "Box"]
NUMBERS = ["0", "1", "2", "3", "7", "63", "64", "255", "U64_MAX", "SEVEN", "1_000", "0x10"]
WIDE_NUMBERS = [*NUMBERS[:8], "BIG", "U128_MAX", "127", "128"]
DEPTH = 3


@dataclass
class Method:
    """A method's head, and what it may do."""

    name: str
    role: str
    parameters: list[tuple[str, str]]
    result: str | None
    pays: bool = False
    """Whether it takes units."""

    @property
    def changes(self) -> bool:
        return self.role in ("external", "dirty", "init")

    @property
    def head(self) -> str:
        given = "".join(f", {name}: {kind}" for name, kind in self.parameters)
        return f"def {self.name}(self{given}) -> {self.result}:"


@dataclass
class Scope:
    """What can be read where a statement stands."""

    method: Method
    variables: dict[str, str]
    callable: list[Method]
    loops: int = 0
    plain: bool = False
    """No call that could change anything, not even a pure one."""


@dataclass
class Expressions:
    """Writes expressions of a wanted type."""

    rng: random.Random
    methods: list[Method] = field(default_factory=list)
    foreign: list[Method] = field(default_factory=list)
    """As the interface shows them, which may lie about a result."""

    def value(self, kind: str, scope: Scope, depth: int) -> str:
        """An expression of this type, where it is expected."""
        rng = self.rng
        known = [name for name, of in scope.variables.items() if of == kind]
        if known and rng.random() < 0.35:
            return rng.choice(known)
        if depth > 0 and rng.random() < 0.3:
            return self._read(kind, scope)
        if depth > 0 and rng.random() < 0.1:
            test = self.value("bool", scope, depth - 1)
            then, other = self._sure(kind, scope, depth - 1), self._sure(kind, scope, depth - 1)
            return f"({then} if {test} else {other})"
        made = {
            "u64": self._u64, "u128": self._u128, "bool": self._bool, "Color": self._color,
            "Address": self._address, "Asset": self._asset, "Bytes32": self._bytes32,
            "Pair": self._pair, "Box": self._box,
        }  # fmt: skip
        if kind in made:
            return made[kind](scope, depth)
        return self._bytes(int(kind[6:-1]), scope, depth)

    def _sure(self, kind: str, scope: Scope, depth: int) -> str:
        """An expression that has this type wherever it stands."""
        if kind in ("u64", "u128"):
            return f"{kind}({self.value(kind, scope, depth)})"
        if kind.startswith("Bytes["):
            return f"{kind}({self.value(kind, scope, depth)})"
        return self.value(kind, scope, depth)

    def _read(self, kind: str, scope: Scope) -> str:
        """From the state, a part of a struct, or a method of the contract."""
        found = [f"self.{name}" for name, of in FIELDS.items() if of == kind]
        for name, (keys, of) in MAPS.items():
            if of == kind:
                found.append(f"self.{name}" + "".join(f"[{self._key(k, scope, 0)}]" for k in keys))
        for name, of in scope.variables.items():
            found += [f"{name}.{part}" for part, its in PARTS.get(of, {}).items() if its == kind]
        if not scope.plain:
            for method in scope.callable:
                if method.result == kind:
                    found.append(f"self.{method.name}({self._arguments(method, scope, 0)})")
            others = [one for one in self.foreign if one.result == kind]
            if others and scope.method.changes:
                found.append(self._foreign_call(self.rng.choice(others), scope, 0))
        if not found:
            return self.value(kind, scope, 0)
        return self.rng.choice(found)

    def _number(self, kind: str, scope: Scope, depth: int) -> str:
        left, right = self.value(kind, scope, depth - 1), self.value(kind, scope, depth - 1)
        if self.rng.random() < 0.1:
            third = self.value(kind, scope, depth - 1)
            return f"mul_div({kind}({left}), {right}, {third})"
        return f"({left} {self._sign()} {right})"

    def _u64(self, scope: Scope, depth: int) -> str:
        rng = self.rng
        leaves = [rng.choice(NUMBERS), rng.choice(NUMBERS), "block.height", "block.time"]
        if depth <= 0:
            return rng.choice(leaves)
        some = self._sure("Bytes[20]", scope, depth - 1)
        return rng.choice([
            *leaves, self._number("u64", scope, depth), self._number("u64", scope, depth),
            f"len({some})", f"{some}[{self.value('u64', scope, depth - 1)} % 4]",
            f"u64({self._sure('u128', scope, depth - 1)} % 1000)",
            f"u64({self._sure('bool', scope, depth - 1)})", f"u64({self._sure('Color', scope, 0)})",
            *([] if scope.plain else ["ledger.balance(this, NATIVE)"]),
            *(["msg.value"] if scope.method.pays else []),
        ])  # fmt: skip

    def _u128(self, scope: Scope, depth: int) -> str:
        rng = self.rng
        if depth <= 0:
            return rng.choice(WIDE_NUMBERS) if rng.random() < 0.5 else "u128(SEVEN)"
        return rng.choice([
            self._number("u128", scope, depth), self._number("u128", scope, depth),
            f"u128({self._sure('u64', scope, depth - 1)})", rng.choice(["BIG", "U128_MAX", "5"]),
        ])  # fmt: skip

    def _bool(self, scope: Scope, depth: int) -> str:
        rng = self.rng
        if depth <= 0:
            return rng.choice(["True", "False"])
        kind = rng.choice(["u64", "u128", "Color", "Address", "Bytes[20]", "bool", "Bytes32"])
        ordered = kind in ("u64", "u128", "Color")
        signs = ["==", "!=", "<", "<=", ">", ">="] if ordered else ["==", "!="]
        left, right = self._sure(kind, scope, depth - 1), self.value(kind, scope, depth - 1)
        if kind == "u128" or kind.startswith("Bytes["):
            right = self._sure(kind, scope, depth - 1)
        compared = f"({left} {rng.choice(signs)} {right})"
        first, second = self.value("bool", scope, depth - 1), self.value("bool", scope, depth - 1)
        joined = f"({first} {rng.choice(['and', 'or'])} {second})"
        return rng.choice([compared, compared, compared, joined, f"(not {first})"])

    def _color(self, scope: Scope, depth: int) -> str:
        rng = self.rng
        member = f"Color.{rng.choice(['RED', 'GREEN', 'BLUE'])}"
        if depth <= 0:
            return member
        return rng.choice([member, f"Color({self._sure('u64', scope, depth - 1)} % 4)"])

    def _address(self, scope: Scope, depth: int) -> str:
        rng = self.rng
        leaves = ["msg.sender", "this", "Address()", 'Address("' + "02" * 32 + '")']
        if depth <= 0:
            return rng.choice(leaves)
        return rng.choice([*leaves, f"Address({self._bytes32(scope, depth - 1)})"])

    def _asset(self, scope: Scope, depth: int) -> str:
        del scope, depth
        return self.rng.choice(["NATIVE", 'Asset("' + "09" * 32 + '")', "Asset()"])

    def _bytes32(self, scope: Scope, depth: int) -> str:
        rng = self.rng
        if depth <= 0:
            return rng.choice(["MARK", "chain_id", "Bytes32()"])
        kind = rng.choice(["u64", "u128", "Pair", "Bytes[20]", "Box", "Address"])
        hashed = f"{rng.choice(['sha256', 'sha3_256'])}({self._sure(kind, scope, depth - 1)})"
        return rng.choice(["MARK", hashed, f"Bytes32({self._address(scope, 0)})"])

    def _bytes(self, capacity: int, scope: Scope, depth: int) -> str:
        rng = self.rng
        texts = ['b""', 'b"q"', 'b"\\x00\\xff"', "WORD", 'b"ninebytes"', "Bytes[3]()"]
        if depth <= 0:
            return rng.choice(texts)
        half = capacity // 2
        parts = [f'Bytes[{half}](b"ab")', "WORD" if half >= 5 else 'b"x"', 'b"xyz"']
        number = self._sure("u64", scope, depth - 1)
        whole = self._sure(f"Bytes[{capacity}]", scope, depth - 1)
        joined = f"({rng.choice(parts)} + {rng.choice(parts)})"
        return rng.choice([
            rng.choice(texts), joined, f"pack({number})", f"{whole}[0:{number} % 3]",
            f"Bytes[{capacity}](Bytes[32](MARK)[1:{rng.randint(1, 12)}])",
        ])  # fmt: skip

    def _pair(self, scope: Scope, depth: int) -> str:
        given = [self.value(kind, scope, depth - 1) for kind in PARTS["Pair"].values()]
        if self.rng.random() < 0.5:
            return f"Pair({', '.join(given)})"
        return f"Pair({given[0]}, many={given[1]}, color={given[2]})"

    def _box(self, scope: Scope, depth: int) -> str:
        given = [self.value(kind, scope, depth - 1) for kind in PARTS["Box"].values()]
        return f"Box({', '.join(given)})"

    def _sign(self) -> str:
        return self.rng.choice(["+", "+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>"])

    def _key(self, kind: str, scope: Scope, depth: int = 1) -> str:
        """Few keys, so that entries are met again."""
        small = {"u64": ["0", "1", "2", "SEVEN"], "u128": ["0", "1", "BIG"], "bool": ["True"],
                 "Bytes[9]": ['b"k"', 'b""'], "Address": ["this", "msg.sender"]}  # fmt: skip
        if kind in small and self.rng.random() < 0.7:
            return self.rng.choice(small[kind])
        return self.value(kind, scope, depth)

    def _foreign_call(self, method: Method, scope: Scope, depth: int = 1) -> str:
        address = self.rng.choice(['Address("' + "02" * 32 + '")', "self.a", "this"])
        return f"at(Other, {address}).{method.name}({self._arguments(method, scope, depth)})"

    def _arguments(self, method: Method, scope: Scope, depth: int = 1) -> str:
        return ", ".join(self.value(kind, scope, depth) for _, kind in method.parameters)

"""Valid contracts at random: every construct of the language, values near the borders of types.

What a program does makes no sense; that it compiles is taken for granted by whoever uses it. The
same seed gives the same text.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from random_expressions import (
    DEPTH,
    FIELDS,
    HEAD,
    KINDS,
    MAPS,
    PARTS,
    RESULTS,
    Expressions,
    Method,
    Scope,
)


@dataclass
class Writer(Expressions):
    """Writes one program."""

    count: int = 0

    def program(self) -> str:
        rng = self.rng
        for number in range(rng.randint(1, 3)):
            self.methods.append(self._method(f"pure{number}", "pure"))
        for number in range(rng.randint(0, 2)):
            self.methods.append(self._method(f"dirty{number}", "dirty"))
        for number in range(rng.randint(2, 4)):
            self.methods.append(self._method(f"go{number}", "external"))
            self.methods[-1].pays = rng.random() < 0.4
        self.methods.append(self._method("look", "view"))
        if rng.random() < 0.5:
            given = [("k", "u64")]
            self.methods.append(Method("draw", "beacon", given, rng.choice([None, "u64"])))
        if rng.random() < 0.3:
            self.methods.append(Method("init", "init", [], None))
        top = self._top()
        bodies = [self._written(method, number) for number, method in enumerate(self.methods)]
        return "\n".join([top, *bodies])

    def _method(self, name: str, role: str) -> Method:
        given = [(f"q{n}", self.rng.choice(KINDS)) for n in range(self.rng.randint(0, 3))]
        return Method(name, role, given, self.rng.choice(RESULTS))

    def _top(self) -> str:
        rng = self.rng
        lines = [HEAD.format(mark=rng.randbytes(32).hex()), "", "class Other(Interface):"]
        for method in self.methods:
            if method.role in ("external", "view"):
                lies = rng.random() < 0.1
                result = rng.choice(RESULTS) if lies else method.result
                shown = Method(method.name, method.role, method.parameters, result)
                lines.append(f"    {shown.head} ...")
                self.foreign.append(shown)
        lines += ["", "", "class Trial(Contract):"]
        lines += [f"    {name}: {kind}" for name, kind in FIELDS.items()]
        for name, (keys, value) in MAPS.items():
            kind = value
            for key in reversed(keys):
                kind = f"Map[{key}, {kind}]"
            lines.append(f"    {name}: {kind}")
        lines += [
            "    r: u64",
            "",
            "    @event",
            "    def told(self, one: u64, two: Bytes[20]) -> None: ...",
        ]
        lines += ["", "    @event", "    def shown(self, pair: Pair, yes: bool) -> None: ...", ""]
        return "\n".join(lines)

    def _written(self, method: Method, number: int) -> str:
        roles = {"external": "    @external\n", "beacon": "    @external\n", "view": "    @view\n"}
        before = self.methods[:number]
        allowed = [m for m in before if m.role == "pure" or (m.role == "dirty" and method.changes)]
        scope = Scope(method, dict(method.parameters), allowed)
        body = self._block(scope, self.rng.randint(2, 6), "        ")
        if method.role == "beacon":
            body[:0] = self._drawing()
        if method.pays:
            body[:0] = ["        assert msg.asset == NATIVE or msg.value < 1000"]
        if method.result is not None:
            body.append(f"        return {self.value(method.result, scope, DEPTH)}")
        if not body:
            body = ["        pass"]
        return roles.get(method.role, "") + f"    {method.head}\n" + "\n".join(body) + "\n"

    def _drawing(self) -> list[str]:
        return [
            '        self.n = beacon.uniform(self.r, k, b"tag")',
            "        self.h = beacon.value(self.r)",
            "        assert beacon.quality(self.r) >= Quality.NONE",
        ][: self.rng.randint(1, 3)]

    def _block(self, scope: Scope, count: int, indent: str) -> list[str]:
        lines: list[str] = []
        inner = Scope(
            scope.method, scope.variables.copy(), scope.callable, scope.loops, scope.plain
        )
        for _ in range(count):
            made, ends = self._statement(inner, indent)
            lines += made
            if ends:
                return lines
        if indent == "        ":
            scope.variables.update(inner.variables)
        return lines or [f"{indent}pass"]

    def _statement(self, scope: Scope, indent: str) -> tuple[list[str], bool]:
        rng = self.rng
        shallow = len(indent) < 20
        choices: list[Callable[[Scope, str], list[str]]] = [self._declare, self._declare]
        if scope.variables:
            choices += [self._assign, self._assign, self._change]
        if scope.method.changes:
            choices += [self._store, self._store, self._store_part, self._store_change]
            choices += [self._emit, self._call_out, self._delete, self._transfer]
            choices.append(self._name_round)
        elif scope.method.role == "beacon":
            choices.append(self._store_field)
        if shallow:
            choices += [self._if, self._if, self._for, self._while, self._page]
        choices += [self._call, self._assert]
        if scope.loops and rng.random() < 0.1:
            return [f"{indent}{rng.choice(['break', 'continue'])}"], True
        return rng.choice(choices)(scope, indent), False

    def _fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def _declare(self, scope: Scope, indent: str) -> list[str]:
        kind = self.rng.choice([*KINDS, "Box", "Bytes32"])
        value = self.value(kind, scope, DEPTH)
        name = self._fresh()
        scope.variables[name] = kind
        return [f"{indent}{name}: {kind} = {value}"]

    def _target(self, scope: Scope) -> tuple[str, str]:
        name, kind = self.rng.choice([*scope.variables.items()])
        while kind in PARTS and self.rng.random() < 0.7:
            part, kind = self.rng.choice([*PARTS[kind].items()])
            name = f"{name}.{part}"
        return name, kind

    def _assign(self, scope: Scope, indent: str) -> list[str]:
        name, kind = self._target(scope)
        return [f"{indent}{name} = {self.value(kind, scope, DEPTH)}"]

    def _change(self, scope: Scope, indent: str) -> list[str]:
        name, kind = self._target(scope)
        if kind not in ("u64", "u128"):
            return [f"{indent}{name} = {self.value(kind, scope, DEPTH)}"]
        return [f"{indent}{name} {self._sign()}= {self.value(kind, scope, 2)}"]

    def _entry(self, scope: Scope) -> tuple[str, str]:
        name, (keys, value) = self.rng.choice([*MAPS.items()])
        return f"self.{name}" + "".join(f"[{self._key(key, scope)}]" for key in keys), value

    def _place(self, scope: Scope) -> tuple[str, str]:
        if self.rng.random() < 0.5:
            return self._entry(scope)
        name, kind = self.rng.choice([*FIELDS.items()])
        return f"self.{name}", kind

    def _store(self, scope: Scope, indent: str) -> list[str]:
        place, kind = self._place(scope)
        return [f"{indent}{place} = {self.value(kind, scope, DEPTH)}"]

    def _store_field(self, scope: Scope, indent: str) -> list[str]:
        name, kind = self.rng.choice([*FIELDS.items()])
        return [f"{indent}self.{name} = {self.value(kind, scope, DEPTH)}"]

    def _store_part(self, scope: Scope, indent: str) -> list[str]:
        place, kind = self.rng.choice(
            [("self.p", "Pair"), ("self.x", "Box"), self._pair_entry(scope)]
        )
        part, of = self.rng.choice([*PARTS[kind].items()])
        return [f"{indent}{place}.{part} = {self.value(of, scope, DEPTH)}"]

    def _pair_entry(self, scope: Scope) -> tuple[str, str]:
        keys = self._key("Address", scope), self._key("u64", scope)
        return f"self.m2[{keys[0]}][{keys[1]}]", "Pair"

    def _store_change(self, scope: Scope, indent: str) -> list[str]:
        places = [
            ("self.n", "u64"), ("self.w", "u128"), (f"self.m1[{self._key('u64', scope)}]", "u64"),
            (f"self.m4[{self._key('u128', scope)}]", "u128"),
        ]  # fmt: skip
        if self.rng.random() < 0.3:
            inner = Scope(scope.method, scope.variables, [], plain=True)
            place, _ = self.rng.choice([self._pair_entry(scope), ("self.p", "Pair")])
            return [f"{indent}{place}.few {self._sign()}= {self.value('u64', inner, 1)}"]
        place, kind = self.rng.choice(places)
        return [f"{indent}{place} {self._sign()}= {self.value(kind, scope, 2)}"]

    def _delete(self, scope: Scope, indent: str) -> list[str]:
        return [f"{indent}del {self._entry(scope)[0]}"]

    def _name_round(self, scope: Scope, indent: str) -> list[str]:
        del scope
        return [f"{indent}self.r = {self.rng.choice(['beacon.next_round(2)', '0'])}"]

    def _emit(self, scope: Scope, indent: str) -> list[str]:
        if self.rng.random() < 0.5:
            given = self.value("Pair", scope, 2), self.value("bool", scope, 2)
            return [f"{indent}self.shown({given[0]}, {given[1]})"]
        given = self.value("u64", scope, 2), self.value("Bytes[20]", scope, 2)
        return [f"{indent}self.told({given[0]}, {given[1]})"]

    def _transfer(self, scope: Scope, indent: str) -> list[str]:
        to, asset = self.value("Address", scope, 1), self.value("Asset", scope, 1)
        return [f"{indent}ledger.transfer({to}, {asset}, {self.value('u64', scope, 1)} % 50)"]

    def _call(self, scope: Scope, indent: str) -> list[str]:
        if not scope.callable:
            return self._assert(scope, indent)
        method = self.rng.choice(scope.callable)
        return [f"{indent}self.{method.name}({self._arguments(method, scope)})"]

    def _call_out(self, scope: Scope, indent: str) -> list[str]:
        return [f"{indent}{self._foreign_call(self.rng.choice(self.foreign), scope)}"]

    def _assert(self, scope: Scope, indent: str) -> list[str]:
        condition = f"{self.value('bool', scope, 2)} or {self.value('bool', scope, 2)}"
        return [
            f'{indent}assert {condition} or True or self.f, "text {self.rng.randrange(9)}"'
            if self.rng.random() < 0.7
            else f"{indent}assert {condition}"
        ]

    def _if(self, scope: Scope, indent: str) -> list[str]:
        rng = self.rng
        lines = [f"{indent}if {self.value('bool', scope, DEPTH)}:"]
        lines += self._block(scope, rng.randint(1, 3), f"{indent}    ")
        if rng.random() < 0.3:
            lines += [f"{indent}elif {self.value('bool', scope, 2)}:"]
            lines += self._block(scope, rng.randint(1, 2), f"{indent}    ")
        if rng.random() < 0.5:
            goes_on = Scope(scope.method, scope.variables, scope.callable)  # it ends no loop
            lines += [f"{indent}else:", *self._block(goes_on, 1, f"{indent}    ")]
        return lines

    def _looped(self, scope: Scope, indent: str, **variables: str) -> list[str]:
        inner = Scope(
            scope.method, {**scope.variables, **variables}, scope.callable, scope.loops + 1
        )
        return self._block(inner, self.rng.randint(1, 3), f"{indent}    ")

    def _for(self, scope: Scope, indent: str) -> list[str]:
        name = self._fresh()
        bound = f"{self.value('u64', scope, 1)} % 4"
        start = self.rng.choice(["", "1, ", f"{self.value('u64', scope, 1)} % 3, "])
        head = f"{indent}for {name} in range({start}{bound}):"
        return [head, *self._looped(scope, indent, **{name: "u64"})]

    def _while(self, scope: Scope, indent: str) -> list[str]:
        name = self._fresh()
        inner = dict(scope.variables)
        body = self._looped(Scope(scope.method, inner, scope.callable, scope.loops), indent)
        more = self.rng.choice(["", f" and {self.value('bool', scope, 1)}"])
        return [
            f"{indent}{name}: u64 = 0",
            f"{indent}while {name} < {self.rng.randint(1, 4)}{more}:",
            f"{indent}    {name} += 1",
            *body,
        ]

    def _page(self, scope: Scope, indent: str) -> list[str]:
        name, (keys, value) = self.rng.choice([*MAPS.items()])
        of, start = keys[-1], self._key(keys[-1], scope)
        before = "".join(f"[{self._key(key, scope)}]" for key in keys[:-1])
        key_name, value_name = self._fresh(), self._fresh()
        head = (
            f"{indent}for {key_name}, {value_name} in "
            f"self.{name}{before}.items({start}, {self.rng.randint(1, 5)}):"
        )
        seen = {
            "external": [f"{indent}    self.h = sha256(pack(self.h, {key_name}, {value_name}))"],
            "dirty": [f"{indent}    self.told(len(pack({value_name})), pack({key_name})[0:1])"],
        }.get(scope.method.role, [])
        if scope.method.role == "dirty" and of == "Address":
            seen = [f"{indent}    self.a = {key_name}"]
        return [head, *seen, *self._looped(scope, indent, **{key_name: of, value_name: value})]


def write(seed: int) -> str:
    """The program of a seed."""
    return Writer(random.Random(seed)).program()  # noqa: S311 - which programs a test tries

"""Calls of functions, conversions and methods: docs/contracts-language.md, "Expressions"."""

from __future__ import annotations

import ast
import hashlib
from typing import Any

from reference import kinds, world
from reference.kinds import Kind
from reference.operators import bounded
from reference.types_and_costs import Fit, dotted
from reference.world import Failed


class Calls:
    """Calls of everything that is called by name."""

    def __init__(self, walk: Any) -> None:
        self.walk, self.frame, self.done = walk, walk.frame, walk.done

    def call(self, node: ast.Call, expected: Kind | None) -> Any:
        typing, name = self.walk.typing, dotted(node.func)
        fits = typing.arguments(node, expected)
        given = [self.walk.see(fit) for fit in fits]
        if isinstance(node.func, ast.Subscript) or name in self.frame.file.types:
            return self._convert(node, self.frame.file.kind(node.func), fits, given)
        if name.startswith("self."):
            method = self.frame.file.methods[name.removeprefix("self.")]
            return type(self.walk)(self.frame, method, given).run()
        if not name:
            method = typing.foreign(node)[1]
            return self.frame.call(given[0], method, given[1:])
        if name in ("sha256", "sha3_256"):
            (fit,) = fits
            data = given[0] if kinds.is_bytes(fit.kind) else kinds.pack(fit.kind, given[0])  # type: ignore[arg-type]
            each = world.HASH_BYTE if name == "sha256" else world.SHA3_BYTE
            self.done.pay(world.HASH + each * len(data))
            return hashlib.new(name.replace("sha3_256", "sha3-256"), data).digest()
        if name == "len":
            return len(given[0])
        if name == "pack":
            parts = zip(fits, given, strict=True)
            return b"".join(kinds.pack(fit.kind, one) for fit, one in parts)  # type: ignore[arg-type]
        if name == "mul_div":
            left, right, divisor = given
            if divisor == 0:
                raise Failed("DIVISION_BY_ZERO")
            return bounded(left * right // divisor, fits[0].to)  # type: ignore[arg-type]
        return self._ask(name, given)

    def _ask(self, name: str, given: list[Any]) -> Any:
        done, contract = self.done, self.frame.contract
        if name == "ledger.balance":
            done.pay(world.BALANCE)
            return done.balance(*given)
        if name == "ledger.transfer":
            done.pay(world.TRANSFER)
            return done.move(contract, *given)
        if name.startswith("verify_"):
            price = world.ED25519 if name == "verify_ed25519" else world.MLDSA65
            done.pay(price + world.HASH_BYTE * len(given[1]))
            return world.has_signed(name, *given)
        tag = len(given[2]) if name == "beacon.uniform" else 0
        done.pay(world.BEACON + tag * world.HASH_BYTE)
        if name == "beacon.next_round":
            return done.next_round(given[0])
        if name == "beacon.value":
            return hashlib.sha256(done.pulse(given[0])[0] + contract).digest()
        if name == "beacon.quality":
            return done.pulse(given[0])[1]
        return done.uniform(given[0], given[1], contract, given[2])

    def _convert(self, node: ast.Call, kind: Kind, fits: list[Fit], given: list[Any]) -> Any:
        if kind[0] == "struct":
            return given
        if not node.args:
            return kinds.zero(kind)
        if not fits:
            return bytes.fromhex(node.args[0].value)  # type: ignore[attr-defined]
        (value,) = given
        if kind[0] in ("u64", "u128"):
            if value >= 2 ** (8 * kinds.width(kind)):
                raise Failed("CONVERSION")
            return int(value)
        if kind[0] == "enum":
            if value >= len(kind[2]):
                raise Failed("CONVERSION")
            return value
        if kind[0] == "Bytes":
            if len(value) > kind[1]:
                raise Failed("CONVERSION")
        elif len(value) != 32:
            raise Failed("CONVERSION")
        return value

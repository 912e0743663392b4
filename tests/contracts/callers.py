"""Random calls of contracts, made from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from qlq.contracts import encoding, gas
from qlq.contracts.outcome import Call
from qlq.contracts.program import Function, FunctionKind, Program
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type, Value

CONTRACTS = {
    "arithmetic": b"\x01" * 32,
    "data": b"\x02" * 32,
    "loops": b"\x03" * 32,
    "calls": b"\x04" * 32,
    "chain": b"\x05" * 32,
    "liar": b"\x06" * 32,
}
SECOND_CALLS = b"\x07" * 32
ADDRESSES = [*CONTRACTS.values(), SECOND_CALLS, b"\xa1" * 32, b"\xb0" * 32, bytes(32)]
GOLD = b"\x09" * 32
NUMBERS = [0, 1, 2, 3, 5, 7, 8, 40, 63, 64, 100, 2**32, 2**63, 2**64 - 2, 2**64 - 1]
TURNS_MAX = 60_000


@dataclass
class Callers:
    """Calls made from a seed; values of one type are often equal, or nearly."""

    rng: random.Random
    used: dict[Type, list[Value]] = field(default_factory=dict)
    plenty: int = TURNS_MAX
    """Gas of one call in three; as many have ten times that."""

    def value(self, kind: Type) -> Value:
        known = self.used.setdefault(kind, [])
        if known and self.rng.random() < 0.4:
            return self.rng.choice(known)
        made = self._made(kind)
        known[:] = [*known[-6:], made]
        return made

    def _made(self, kind: Type) -> Value:  # noqa: PLR0911 - one for each kind of type
        rng = self.rng
        match kind:
            case Plain.U64:
                return rng.choice([rng.choice(NUMBERS), rng.randrange(12), rng.getrandbits(64)])
            case Plain.U128:
                return rng.choice([rng.choice(NUMBERS), rng.getrandbits(128), 2**128 - 1, 2**64])
            case Plain.BOOL:
                return rng.randrange(2)
            case EnumType(_, members):
                return rng.randrange(len(members))
            case BytesType(capacity):
                length = rng.choice([0, 1, capacity, rng.randint(0, capacity), min(32, capacity)])
                return rng.randbytes(length)
            case StructType(_, fields):
                return tuple(self.value(part) for _, part in fields)
            case _:
                return rng.choice(ADDRESSES)

    def arguments(self, program: Program) -> bytes:
        """Of `init`, if there is one."""
        return b"".join(
            encoding.encode(local.type, self.value(local.type))
            for function in program.functions
            if function.kind is FunctionKind.INIT
            for local in function.locals[: function.parameters]
        )

    def call(self, functions: list[tuple[bytes, Function]]) -> Call:
        rng = self.rng
        contract, function = rng.choice(functions)
        arguments = b"".join(
            encoding.encode(local.type, self.value(local.type))
            for local in function.locals[: function.parameters]
        )
        if rng.random() < 0.02 and arguments:
            place = rng.randrange(len(arguments))
            arguments = arguments[:place] + rng.randbytes(1) + arguments[place + 1 :]
        pays = rng.random() < (0.7 if function.takes_value else 0.02)
        return Call(
            contract=contract,
            sender=rng.choice(ADDRESSES[-3:-1]),
            data=function.method_id + arguments,
            gas=rng.choice([self.plenty, 10 * self.plenty, gas.CALL + rng.randrange(30_000)]),
            asset=rng.choice([GOLD, bytes(32)]),
            value=rng.choice([1, 5, 1000]) if pays else 0,
        )

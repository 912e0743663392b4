"""What a contract asks the chain for, and what it costs: the second table of the page's numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from reference.reading import File

READ, READ_BYTE, WRITE, WRITE_BYTE, NEW = 1_600, 1, 2_500, 10, 5_000
PAGE, PAGE_ENTRY, EVENT, EVENT_BYTE = 5_000, 1_700, 1_300, 8
BALANCE, TRANSFER, CALL, CALL_BYTE = 1_600, 4_500, 20_000, 1
HASH, HASH_BYTE, SHA3_BYTE, ED25519, MLDSA65 = 1_800, 3, 4, 160_000, 290_000
BEACON, BEACON_DRAW, DEPLOY, DEPLOY_BYTE = 2_600, 1_400, 50_000, 200
CONTEXT = b"qlq/contract/1"
NATIVE = bytes(32)


class Failed(Exception):
    """A call fails: the reason's name on the page, and the number of an assert."""

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


@dataclass
class Chain:
    """The state between transactions; `with_effect` of one is the state after it."""

    chain: bytes
    height: int
    time: int
    entries: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    balances: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    pulses: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    files: dict[bytes, File] = field(default_factory=dict)


@dataclass
class Transaction:
    """What one transaction has done so far, on copies of everything."""

    chain: Chain
    gas: int
    entries: dict[tuple[bytes, bytes], bytes] = field(init=False)
    balances: dict[tuple[bytes, bytes], int] = field(init=False)
    written: dict[tuple[bytes, bytes], bytes | None] = field(default_factory=dict)
    events: list[tuple[bytes, str, bytes]] = field(default_factory=list)
    moves: list[tuple[bytes, bytes, bytes, int]] = field(default_factory=list)
    waiting: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.entries = dict(self.chain.entries)
        self.balances = dict(self.chain.balances)

    def pay(self, units: int) -> None:
        if units > self.gas:
            self.gas = 0
            raise Failed("OUT_OF_GAS")
        self.gas -= units

    def get(self, contract: bytes, key: bytes, width: int) -> bytes:
        self.pay(READ + READ_BYTE * width)
        return self.entries.get((contract, key), bytes(width))

    def put(self, contract: bytes, key: bytes, value: bytes) -> None:
        self.pay(WRITE + WRITE_BYTE * len(value))
        place = (contract, key)
        if not any(value):
            if self.entries.pop(place, None) is not None:
                self.written[place] = None
            return
        if place not in self.entries:
            self.pay(NEW)
        self.entries[place] = self.written[place] = value

    def page(
        self, contract: bytes, prefix: bytes, start: bytes, count: int, width: int
    ) -> list[tuple[bytes, bytes]]:
        """Every entry that there is, and every one that this transaction removed, one by one."""
        self.pay(PAGE + count * (PAGE_ENTRY + READ_BYTE * width))
        found: list[tuple[bytes, bytes]] = []
        for owner, key in sorted({*self.entries, *self.written}):
            if owner != contract or not key.startswith(prefix) or key < start:
                continue
            if len(found) == count:
                break
            if (owner, key) in self.entries:
                found.append((key.removeprefix(prefix), self.entries[owner, key]))
            else:
                self.pay(PAGE_ENTRY)
        return found

    def emit(self, contract: bytes, name: str, data: bytes) -> None:
        self.pay(EVENT + EVENT_BYTE * len(data))
        if len(self.events) == 64:
            raise Failed("EVENTS_TOO_MANY")
        self.events.append((contract, name, data))

    def balance(self, who: bytes, asset: bytes) -> int:
        return self.balances.get((who, asset), 0)

    def move(self, source: bytes, target: bytes, asset: bytes, amount: int) -> None:
        if self.balance(source, asset) < amount:
            raise Failed("INSUFFICIENT_BALANCE")
        if amount and source != target:
            if self.balance(target, asset) + amount >= 2**63:
                raise Failed("BALANCE_OVERFLOW")
            self.balances[source, asset] = self.balance(source, asset) - amount
            self.balances[target, asset] = self.balance(target, asset) + amount
            self.moves.append((source, target, asset, amount))

    def pulse(self, number: int) -> tuple[bytes, int]:
        if number not in self.chain.pulses:
            raise Failed("ROUND_NOT_REACHED")
        return self.chain.pulses[number]

    def next_round(self, delay: int) -> int:
        if delay < 2:
            raise Failed("ROUND_DELAY")
        number = max(self.chain.pulses, default=0) + delay
        if number >= 2**64:
            raise Failed("OVERFLOW")
        return number

    def uniform(self, number: int, below: int, contract: bytes, tag: bytes) -> int:
        if below == 0:
            raise Failed("RANGE_EMPTY")
        digest = hashlib.sha256(self.pulse(number)[0] + contract + tag).digest()
        while True:
            drawn = int.from_bytes(digest[:8], "little")
            if drawn < 2**64 - 2**64 % below:
                return drawn % below
            self.pay(BEACON_DRAW)
            digest = hashlib.sha256(digest).digest()


def has_signed(algorithm: str, key: bytes, message: bytes, signature: bytes) -> bool:
    """A signature made for contracts; docs/ledger-wire.md, "Keys and signatures", has its frame."""
    try:
        if algorithm == "verify_ed25519":
            framed = b"qlq Ed25519 1" + bytes([len(CONTEXT)]) + CONTEXT + message
            Ed25519PublicKey.from_public_bytes(key).verify(signature, framed)
        else:
            MLDSA65PublicKey.from_public_bytes(key).verify(signature, message, CONTEXT)
    except (InvalidSignature, ValueError):
        return False
    return True

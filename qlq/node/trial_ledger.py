"""A chain in memory for tests of contracts: accounts, blocks, a beacon, all under the test's hand.

Every deploy and call is carried out by each back-end on the same state; their outcomes must be
equal in everything but words. What a call did is applied once. There are no blocks of their own
for transactions: the height moves when the test says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from qlq.contract import Quality
from qlq.contracts.compiled import Compiled
from qlq.contracts.engine import CodeLedger, Engine
from qlq.contracts.outcome import NATIVE, Call, Env, Outcome, Status
from qlq.crypto import digest
from qlq.errors import ConfigError, InvariantBroken

START_HEIGHT = 1
START_TIME_S = 1_900_000_000
BLOCK_S = 10
"""Seconds from block to block."""
ROUND_BYTES = 64
_NAME = b"qlq/contract test/1"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who calls contracts."""

    name: str
    address: bytes

    def __repr__(self) -> str:
        """The name, as it reads in a failed test."""
        return self.name


@dataclass(slots=True)
class World:
    """Everything that a snapshot keeps."""

    height: int = START_HEIGHT
    time_s: int = START_TIME_S
    entries: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    balances: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    pulses: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    codes: dict[bytes, Compiled] = field(default_factory=dict)

    def storage(self, contract: bytes, key: bytes) -> bytes | None:
        """See `journal.Ledger`."""
        return self.entries.get((contract, key))

    def storage_page(
        self, contract: bytes, prefix: bytes, start: bytes, count: int
    ) -> list[tuple[bytes, bytes]]:
        """See `journal.Ledger`."""
        found = sorted(
            (key, value)
            for (owner, key), value in self.entries.items()
            if owner == contract and key.startswith(prefix) and key >= start
        )
        return found[:count]

    def balance(self, address: bytes, asset: bytes) -> int:
        """See `journal.Ledger`."""
        return self.balances.get((address, asset), 0)

    def beacon(self, round_number: int) -> tuple[bytes, int] | None:
        """See `journal.Ledger`."""
        return self.pulses.get(round_number)

    def beacon_latest(self) -> int:
        """See `journal.Ledger`."""
        return max(self.pulses, default=0)

    def code(self, contract: bytes) -> Compiled | None:
        """See `engine.CodeLedger`."""
        return self.codes.get(contract)

    def apply(self, outcome: Outcome) -> None:
        """Do what an outcome asks for."""
        for write in outcome.writes:
            if write.value is None:
                self.entries.pop((write.contract, write.key), None)
            else:
                self.entries[write.contract, write.key] = write.value
        for move in outcome.moves:
            for address, amount in ((move.source, -move.amount), (move.target, move.amount)):
                held = self.balance(address, move.asset)
                self.balances[address, move.asset] = held + amount

    def copy(self) -> World:
        """The same, to be changed apart from this; compiled contracts are shared."""
        return World(
            self.height,
            self.time_s,
            dict(self.entries),
            dict(self.balances),
            dict(self.pulses),
            dict(self.codes),
        )


@dataclass(frozen=True, slots=True)
class Used:
    """Gas of one call or deploy; the method of a deploy is `init`."""

    contract: str
    method: str
    gas: int


class TrialLedger:
    """The world, and the back-ends that carry out what is sent to it.

    Attributes:
        world: As it is now.
        used: Gas of everything that was sent, in order.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        """An empty world.

        Args:
            engines: Back-ends by name; the first one's outcomes are taken.
        """
        self._engines = dict(engines)
        self.world = World()
        self.used: list[Used] = []
        self._deployed = 0

    def env(self) -> Env:
        """The block that the next call is part of."""
        return Env(digest.named(_NAME, b"chain"), self.world.height, self.world.time_s)

    def deploy(
        self, compiled: Compiled, *, sender: bytes, arguments: bytes, gas_limit: int
    ) -> tuple[bytes, Outcome]:
        """A new contract's address, and what came of its `init`."""
        self._deployed += 1
        place = sender + self._deployed.to_bytes(8, "big") + compiled.code_hash
        contract = digest.named(_NAME, place)
        call = Call(contract=contract, sender=sender, data=arguments, gas=gas_limit)
        env = self.env()
        outcome = self._equal(
            {
                name: engine.deploy(self.world, env, call, compiled)
                for name, engine in self._engines.items()
            }
        )
        self.used.append(Used(compiled.program.name, "init", outcome.gas_used))
        if outcome.status is Status.OK:
            self.world.codes[contract] = compiled
            self.world.apply(outcome)
        return contract, outcome

    def call(self, call: Call, *, contract: str, method: str) -> Outcome:
        """What came of a call; done, unless it failed."""
        outcome = self.look(call)
        self.used.append(Used(contract, method, outcome.gas_used))
        if outcome.status is Status.OK:
            self.world.apply(outcome)
        return outcome

    def migrate(self, call: Call, compiled: Compiled) -> Outcome:
        """What came of new code for a contract."""
        env = self.env()
        outcome = self._equal(
            {
                name: engine.migrate(self.world, env, call, compiled)
                for name, engine in self._engines.items()
            }
        )
        self.used.append(Used(compiled.program.name, "migrate", outcome.gas_used))
        if outcome.status is Status.OK:
            self.world.codes[call.contract] = compiled
            self.world.apply(outcome)
        return outcome

    def look(self, call: Call) -> Outcome:
        """What would come of a call; nothing is done."""
        env, world = self.env(), self.world
        ledger: CodeLedger = world
        return self._equal(
            {name: engine.apply(ledger, env, call) for name, engine in self._engines.items()}
        )

    def _equal(self, outcomes: dict[str, Outcome]) -> Outcome:
        """The one outcome of all back-ends; messages are words and may differ."""
        (first, taken), *others = outcomes.items()
        for name, outcome in others:
            if replace(outcome, message="") != replace(taken, message=""):
                raise InvariantBroken(
                    f"the back-ends {first} and {name} disagree:{os.linesep}{taken}{os.linesep}"
                    f"{outcome}"
                )
        return taken


@dataclass(frozen=True, slots=True)
class BeaconControl:
    """The chain's beacon: rounds are on the chain when the test puts them there."""

    _ledger: TrialLedger

    @property
    def latest(self) -> int:
        """The latest round on the chain; 0 without one."""
        return self._ledger.world.beacon_latest()

    def set(self, round_number: int, value: bytes | int, quality: Quality = Quality.NONE) -> None:
        """Put a round on the chain, or change one.

        Args:
            round_number: From 1.
            value: 64 bytes, or a number below 2^512.
            quality: How far its randomness can be trusted.
        """
        if round_number < 1:
            raise ConfigError(f"rounds of the beacon begin with 1, not {round_number}")
        data = value if isinstance(value, bytes) else value.to_bytes(ROUND_BYTES, "big")
        if len(data) != ROUND_BYTES:
            raise ConfigError(f"a round's value has {ROUND_BYTES} bytes, not {len(data)}")
        self._ledger.world.pulses[round_number] = (data, int(quality))

    def publish(self, quality: Quality = Quality.NONE) -> int:
        """Put the next round on the chain, with the same value in every run; returns its number."""
        number = self.latest + 1
        self.set(number, hashlib.sha512(_NAME + number.to_bytes(8, "big")).digest(), quality)
        return number

    def publish_until(self, round_number: int, quality: Quality = Quality.NONE) -> None:
        """Put rounds on the chain up to this one."""
        while self.latest < round_number:
            self.publish(quality)


def address_of(name: str) -> bytes:
    """The address of a test's account, the same in every run."""
    return digest.named(_NAME, b"account " + name.encode())


def asset_of(symbol: str) -> bytes:
    """The id of a test's asset; QLQ is the native one."""
    return NATIVE if symbol == "QLQ" else digest.named(_NAME, b"asset " + symbol.encode())


def read_source(path: Path) -> bytes:
    """A contract's source; raises ConfigError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error

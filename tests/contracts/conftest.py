"""A ledger in dictionaries, and what tests of contracts share."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest


@dataclass
class DictLedger:
    """A ledger as slow and plain as it can be."""

    entries: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    balances: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    pulses: dict[int, tuple[bytes, int]] = field(default_factory=dict)

    def storage(self, contract: bytes, key: bytes) -> bytes | None:
        return self.entries.get((contract, key))

    def storage_page(
        self, contract: bytes, prefix: bytes, start: bytes, count: int
    ) -> list[tuple[bytes, bytes]]:
        found = sorted(
            (key, value)
            for (owner, key), value in self.entries.items()
            if owner == contract and key.startswith(prefix) and key >= start
        )
        return found[:count]

    def balance(self, address: bytes, asset: bytes) -> int:
        return self.balances.get((address, asset), 0)

    def beacon(self, round_number: int) -> tuple[bytes, int] | None:
        return self.pulses.get(round_number)

    def beacon_latest(self) -> int:
        return max(self.pulses, default=0)


@pytest.fixture
def ledger_class() -> type[DictLedger]:
    return DictLedger

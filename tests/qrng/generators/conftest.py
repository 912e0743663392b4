"""Sources of seeds that fail as they are told."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from qlq.errors import QLQError
from qlq.provenance import EntropyTier
from qlq.qrng.chain import Seed
from qlq.qrng.generators import Pool
from qlq.qrng.seed_record import SeedRecord

RECORD = SeedRecord((), "T2", "500.0", "384.0", 48, ("a test",))


@dataclass
class Spring:
    """Makes seeds number 1, 2, 3 ... and raises once it is killed."""

    tier: EntropyTier = EntropyTier.DEVICE_MODELLED
    credit: float = 384.0
    killed_by: QLQError | None = None
    made: int = 0
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))  # type: ignore[type-arg]

    def __call__(self) -> Seed:
        if self.killed_by is not None:
            raise self.killed_by
        self.made += 1
        material = next(self.numbers).to_bytes(48, "big")
        return Seed(material, self.credit, self.tier, ("a test",), RECORD, ())


def still(count: int) -> bytes:
    """An operating system that says the same again, so that outputs can be computed."""
    return b"s" * count


@pytest.fixture
def spring() -> Spring:
    return Spring()


@pytest.fixture
def pool(spring: Spring) -> Callable[..., Pool]:
    """Makes pools over the spring."""

    def make(**options: int) -> Pool:
        return Pool(spring, still, **options)

    return make


@pytest.fixture
def twin() -> Callable[..., Pool]:
    """Makes pools that give what the first pool of `pool` gives."""

    def make(**options: int) -> Pool:
        return Pool(Spring(), still, **options)

    return make

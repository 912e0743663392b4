"""`random.Random` on a pool: the standard library's distributions over quantum bytes."""

from __future__ import annotations

import random
from typing import Any, NoReturn, Self

from qlq.provenance import EntropyTier
from qlq.qrng.generators import Draw, Pool

_MANTISSA_BITS = 53


class PoolRandom(random.Random):
    """The standard library's generator, with every bit from a pool.

    It has no state of its own, so that it cannot be seeded, saved, copied or set back. Each
    method raises what the pool raises: EntropyRefused or BackendError.

    Args:
        pool: Where the bytes come from.
    """

    _pool: Pool
    _last: Draw | None

    def __new__(cls, pool: Pool) -> Self:  # noqa: ARG004 - the base would take it for a seed
        """The object before `__init__`."""
        return super().__new__(cls)

    def __init__(self, pool: Pool) -> None:
        """Keep the pool; the base's way of seeding is left out."""
        self._pool, self._last = pool, None
        self.gauss_next = None

    @property
    def last(self) -> Draw | None:
        """The last draw, for its tier, certificate and whether it was degraded; None before it."""
        return self._last

    @property
    def tier(self) -> EntropyTier | None:
        """What the claim of the last draw rests on; None before it."""
        return None if self._last is None else self._last.tier

    def _bytes(self, count: int) -> bytes:
        self._last = self._pool.draw(count)
        return self._last.bytes

    def random(self) -> float:
        """A multiple of 2^-53 in [0, 1), each equally likely."""
        return self.getrandbits(_MANTISSA_BITS) * 2.0**-_MANTISSA_BITS

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits; raises ValueError for a negative `k`."""
        if k < 0:
            raise ValueError(f"the number of bits must not be negative: {k}")
        size = -(-k // 8)
        return int.from_bytes(self._bytes(size)) >> (8 * size - k) if k else 0

    def randbytes(self, n: int) -> bytes:
        """`n` random bytes."""
        return self._bytes(n)

    def seed(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refuse: raises TypeError."""
        raise TypeError("a quantum generator cannot be seeded: its bits come from its pool")

    def getstate(self) -> NoReturn:
        """Refuse: raises TypeError."""
        raise TypeError("a quantum generator has no state that could be saved")

    def setstate(self, _state: Any) -> NoReturn:
        """Refuse: raises TypeError."""
        raise TypeError("a quantum generator has no state that could be set back")

    def __reduce__(self) -> NoReturn:
        """Refuse copies: raises TypeError."""
        raise TypeError("a quantum generator cannot be copied or pickled: make one from its pool")

"""Random bytes on request, from a pool that quantum seeds fill; dead sources raise.

A pool holds one generator of SP 800-90A. It is seeded when the first bytes are wanted and again
after `reseed_bytes`. What a draw is worth travels inside it. A source that fails makes every
draw raise: nothing is padded, repeated or replaced, unless a fallback was allowed beforehand, and
then each draw says `degraded`. Operating-system bytes enter each request, so that a forked
process goes its own way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from qlq.errors import BackendUnavailable, EntropyRefused
from qlq.provenance import EntropyTier, Provenance
from qlq.qrng import chain, drbg
from qlq.qrng.chain import Seed
from qlq.qrng.drbg import Mechanism
from qlq.qrng.seed_record import SeedRecord

RESEED_BYTES = 1 << 30
"""Bytes of one seed, where nothing else is asked for."""
DRAW_BYTES_MAX = 1 << 26
"""Largest draw at once; longer outputs are drawn in chunks."""
CHUNK_BYTES = drbg.REQUEST_BYTES_MAX

Seeds = Callable[[], Seed]
"""Measures, and returns a fresh seed; raises where the source gives none."""
SystemBytes = Callable[[int], bytes]
"""Fresh bytes of the operating system."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Random bytes and what they are worth. `repr` shows none of the bytes.

    Attributes:
        bytes: What was asked for, all of it.
        tier: What the claim rests on; T0 for the operating system's bytes.
        certificate_id: SHA-256 (hex) of the seed's record, the last one's where a draw outlasts
            a seed; None if there was no seed.
        degraded: Whether the operating system stood in for the source.
        claim_bits: Claimed min-entropy of these bytes. The claims of all draws from one seed
            together never exceed the seed's credit.
        reasons: Why the claim is what it is, in sentences.
        records: Of every seed that gave bytes, in order.
    """

    bytes: bytes = field(repr=False)
    tier: EntropyTier
    certificate_id: str | None
    degraded: bool
    claim_bits: float
    reasons: tuple[str, ...]
    records: tuple[SeedRecord, ...] = field(default=(), repr=False)


class Pool:
    """Bytes for any number of threads and adapters; strict unless made by `with_fallback`.

    Args:
        seeds: Makes seeds; called when the first bytes are wanted, and when a seed is used up.
        system: Operating-system bytes for nonces, and for the fallback.
        mechanism: Which generator.
        reseed_bytes: Bytes of one seed, at least 1.

    Raises:
        ValueError: `reseed_bytes` is below 1.
    """

    def __init__(
        self,
        seeds: Seeds,
        system: SystemBytes,
        *,
        mechanism: Mechanism = Mechanism.CTR_AES256,
        reseed_bytes: int = RESEED_BYTES,
    ) -> None:
        """Start without a seed."""
        if reseed_bytes < 1:
            raise ValueError(f"a seed serves at least 1 byte, not {reseed_bytes}")
        self._seeds, self._system = seeds, system
        self._mechanism, self._reseed_bytes = mechanism, reseed_bytes
        self._lock = threading.Lock()
        self._state: drbg.State | None = None
        self._seed: Seed | None = None
        self._left_bytes = 0
        self._credit_left = 0.0
        self._refused: EntropyRefused | None = None
        self._may_degrade = False
        self._degraded_because: str | None = None
        self._reseeds = 0

    @classmethod
    def with_fallback(
        cls,
        seeds: Seeds,
        system: SystemBytes,
        *,
        mechanism: Mechanism = Mechanism.CTR_AES256,
        reseed_bytes: int = RESEED_BYTES,
    ) -> Pool:
        """A pool that goes on with operating-system bytes once its source is unavailable.

        A source whose bits were refused never falls back: that is an answer, not an absence.
        """
        pool = cls(seeds, system, mechanism=mechanism, reseed_bytes=reseed_bytes)
        pool._may_degrade = True
        return pool

    @property
    def reseeds(self) -> int:
        """Seeds that were taken so far."""
        return self._reseeds

    @property
    def degraded_because(self) -> str | None:
        """Why the operating system stands in for the source; None while it does not."""
        return self._degraded_because

    @property
    def record(self) -> SeedRecord | None:
        """What the current seed was made from; None without one."""
        return None if self._seed is None else self._seed.record

    @property
    def provenance(self) -> tuple[Provenance, ...]:
        """Of each job behind the current seed; empty without one."""
        return () if self._seed is None else self._seed.provenance

    def draw(self, count: int) -> Draw:
        """`count` bytes, all from one seed unless they outlast it.

        Args:
            count: 0 to `DRAW_BYTES_MAX`.

        Raises:
            ValueError: `count` is outside its range.
            EntropyRefused: The source's bits were refused, now or earlier.
            BackendError: The source gave no bits; the next draw asks it again.
        """
        if not 0 <= count <= DRAW_BYTES_MAX:
            raise ValueError(f"a draw has 0 to {DRAW_BYTES_MAX} bytes, not {count}")
        with self._lock:
            parts: list[bytes] = []
            records: dict[SeedRecord, None] = {}
            missing, tier, claim_bits = count, None, 0.0
            while missing or not parts:
                self._prepare()
                if self._degraded_because is not None:
                    return self._system_draw(count)
                took = min(missing, CHUNK_BYTES, self._left_bytes)
                parts.append(self._generate(took))
                missing -= took
                claim_bits += self._take_credit(took)
                seed = self._current()
                records[seed.record] = None
                tier = seed.tier if tier is None else min(tier, seed.tier)
            worth = (tier or EntropyTier.NONE, claim_bits)
            return self._finished(b"".join(parts), *worth, tuple(records))

    def _finished(
        self, data: bytes, tier: EntropyTier, claim_bits: float, records: tuple[SeedRecord, ...]
    ) -> Draw:
        seed = self._current()
        claim_bits = 0.0 if tier is EntropyTier.NONE else claim_bits
        reasons = seed.reasons
        if tier is not EntropyTier.NONE and claim_bits < 8 * len(data):
            stretched = (
                f"{len(data)} bytes of {self._mechanism} stretch the seed: no attack on it is "
                "known, and as entropy they count no more than what the seed still had."
            )
            reasons = (*reasons, stretched)
        return Draw(
            bytes=data,
            tier=tier,
            certificate_id=seed.certificate_id,
            degraded=False,
            claim_bits=claim_bits,
            reasons=reasons,
            records=records,
        )

    def _system_draw(self, count: int) -> Draw:
        reason = (
            f"{EntropyTier.NONE.label}: bytes of the operating system, because "
            f"{self._degraded_because}; the fallback was allowed."
        )
        return Draw(
            bytes=self._system(count),
            tier=EntropyTier.NONE,
            certificate_id=None,
            degraded=True,
            claim_bits=0.0,
            reasons=(reason,),
        )

    def _prepare(self) -> None:
        """Have a seed that is not used up, or the reason why the system stands in."""
        if self._refused is not None:
            raise self._refused
        if self._left_bytes > 0 or self._degraded_because is not None:
            return
        try:
            self._take_seed(self._seeds())
        except EntropyRefused as error:
            self._refused = error
            self._state = None
            raise
        except BackendUnavailable as error:
            if not self._may_degrade:
                raise
            self._state = None
            self._degraded_because = str(error)

    def _take_seed(self, seed: Seed) -> None:
        """Seed the generator, or reseed it: what it held before stays inside."""
        if self._state is None:
            nonce = self._system(drbg.NONCE_BYTES_MIN)
            self._state = chain.instantiate(seed, self._mechanism, system_nonce=nonce)
        else:
            self._state = drbg.reseed(self._state, entropy_input=seed.material)
        self._seed = seed
        self._left_bytes, self._credit_left = self._reseed_bytes, seed.credited_bits
        self._reseeds += 1

    def _generate(self, count: int) -> bytes:
        if self._state is None:
            raise ValueError("the pool has no seed")
        own = self._system(drbg.NONCE_BYTES_MIN)
        data, self._state = drbg.generate(self._state, count, additional=own)
        self._left_bytes -= count
        return data

    def _take_credit(self, count: int) -> float:
        """What `count` bytes may claim of the seed's credit; it is gone then."""
        taken = min(8.0 * count, self._credit_left)
        self._credit_left -= taken
        return taken

    def _current(self) -> Seed:
        if self._seed is None:
            raise ValueError("the pool has no seed")
        return self._seed


def chunks(pool: Pool, count: int) -> Iterator[Draw]:
    """Draws of at most 64 KiB that have `count` bytes together.

    Each raises like `Pool.draw`; what came before a failure is whole, and nothing follows it.

    Raises:
        ValueError: `count` is negative.
    """
    if count < 0:
        raise ValueError(f"cannot draw {count} bytes")
    while count:
        took = min(count, CHUNK_BYTES)
        yield pool.draw(took)
        count -= took

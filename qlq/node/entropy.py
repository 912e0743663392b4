"""Random bytes from backends: raw bits are ordered, screened and claimed, and become seeds.

    agree to the cost -> submit -> shots -> screen -> assess -> claim -> seed -> pool

Operating-system bytes come from `os.urandom` here and nowhere else; they enter every seed without
credit.
"""

from __future__ import annotations

import dataclasses
import math
import os
import uuid
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from qlq.backends import chain as choices
from qlq.backends import patience
from qlq.backends.chain import Choice, Fallback
from qlq.backends.patience import Clock
from qlq.backends.port import FREE, Backend, DeviceInfo
from qlq.backends.registry import Classical
from qlq.errors import (
    BackendUnavailable,
    BudgetRefused,
    ConfigError,
    HealthTestFailed,
    InvariantBroken,
    JobPending,
    MinEntropyTooLow,
)
from qlq.keys import EntropyBlock
from qlq.node import consent, orders, passing_jobs, sessions
from qlq.node.consent import Consent
from qlq.provenance import Attempt, EntropyTier, Kind, Provenance, Tier
from qlq.qrng import chain, drbg, extraction, health, source, source_claims
from qlq.qrng.drbg import Mechanism
from qlq.qrng.extraction import CommittedSeed, SeedOrigin
from qlq.qrng.generators import RESEED_BYTES, Pool
from qlq.qrng.seed_record import SeedRecord
from qlq.qrng.source import NOTHING_SEEN, Batch
from qlq.qrng.source_claims import ASSESSED_SAMPLES_MIN, Assessment, RawClaim

WIDTH_MAX = 64
"""Qubits that are measured side by side on a device."""
SIMULATED_WIDTH_MAX = 8
"""The same for a simulator: noise makes wider programs slow."""
RAW_BITS_MAX = 1 << 26
"""Most raw bits of one batch."""
SEED_RAW_BITS = max(
    source.BATCH_BITS_MIN, math.ceil(chain.SEED_ENTROPY_BITS / source_claims.BUDGET_PER_BIT)
)
"""Raw bits of a seed where the assessment may be short."""

NOT_ALLOWED = "bytes of the operating system were not allowed to stand in"

Tell = Callable[[str], None]
Keep = Callable[[SeedRecord], None]
"""Is given the record of every seed, before anything comes from it."""


class Sampling(StrEnum):
    """How many raw bits of a device are measured for one seed."""

    FULL = "full"
    """As many as SP 800-90B asks for an assessment: a million."""
    SHORT = "short"
    """As many as the output needs; the claim says that its assessment is short."""


@dataclasses.dataclass(frozen=True, slots=True)
class EntropyOrder:
    """What random bytes are to come from.

    Attributes:
        backends: URIs in order of preference; `classical` may be the last.
        fallback: Whether the operating system may stand in for the backends.
        sampling: Raw bits of one seed.
        consent: What the operator allows to be spent, by all seeds together.
        deadline_s: Seconds until each seed must be there; None gives queues a day.
        reseed_bytes: Bytes of one seed.
        mechanism: Which generator.
        home: Home folder, whose records note jobs that cost something; None allows none of them.
    """

    backends: tuple[str, ...]
    fallback: Fallback = Fallback.FORBIDDEN
    sampling: Sampling = Sampling.FULL
    consent: Consent = orders.ASK_NOBODY
    deadline_s: float | None = None
    reseed_bytes: int = RESEED_BYTES
    mechanism: Mechanism = Mechanism.CTR_AES256
    home: Path | None = None


def check(order: EntropyOrder) -> tuple[Choice, ...]:
    """The quantum backends in order; refuses what needs none to be refused.

    `classical` after others may be named without being allowed: it matters once they all fail.

    Raises:
        ConfigError: Naming the value that cannot be used.
        BackendUnavailable: Only `classical` is named, and it is not allowed.
    """
    if order.deadline_s is not None and not 0 < order.deadline_s < math.inf:
        raise ConfigError(f"the deadline must be above 0 seconds: {order.deadline_s}")
    if order.reseed_bytes < 1:
        raise ConfigError(f"a seed serves at least 1 byte, not {order.reseed_bytes}")
    quantum = order.backends[:-1] if _names_classical(order) else order.backends
    if not quantum and order.fallback is Fallback.FORBIDDEN:
        raise BackendUnavailable(
            f"'classical' is no quantum backend, and {NOT_ALLOWED}: name a quantum backend, or add "
            "--allow-fallback"
        )
    return choices.parse(quantum, fallback=Fallback.ALLOWED) if quantum else ()


def _names_classical(order: EntropyOrder) -> bool:
    """Whether the last choice is the operating system."""
    return order.backends[-1:] == (Classical().uri,)


def forget(_record: SeedRecord) -> None:
    """Keep no record: for bytes whose certificate id nobody is given."""


class Source:
    """Batches, seeds and full-entropy bytes from the backends of one order.

    Args:
        order: Was checked.
        tell: Is told in words what happens.
        keep: Is given the records that certificate ids name.
    """

    def __init__(self, order: EntropyOrder, tell: Tell, keep: Keep = forget) -> None:
        """Check the order; nothing is opened."""
        self._order, self._tell, self._keep = order, tell, keep
        self._choices = check(order)
        self._seen = NOTHING_SEEN
        self._monitors: dict[tuple[str, int], health.Monitor] = {}
        self._spent = FREE
        self.attempts: tuple[Attempt, ...] = ()
        """The backends that were left at the last batch, and why; all of them if none gave it."""

    def batch(
        self,
        *,
        entropy_bits: float,
        seed_for_output_bits: int | None = None,
    ) -> tuple[Batch, CommittedSeed | None]:
        """A healthy batch of the first backend that can be used.

        Args:
            entropy_bits: Claim that the raw bits should reach on a device within the budget.
            seed_for_output_bits: Bits to be extracted; their seed is drawn and committed to
                before the shots are ordered, and is returned beside the batch.

        Raises:
            BackendError: No shots, see its kinds.
            BudgetRefused: The operator does not allow what it would cost; nothing was sent.
            HealthTestFailed: The batch was discarded.
            MinEntropyTooLow: It takes more raw bits than a batch may have.
        """
        if not self._choices:
            raise BackendUnavailable("no quantum backend was named")
        clock = Clock(self._order.deadline_s or sessions.TIMEOUT_S)

        def use(
            choice: Choice, attempts: tuple[Attempt, ...]
        ) -> tuple[Batch, CommittedSeed | None]:
            self.attempts = attempts
            self._tell(f"opening {choice.uri}")
            try:
                with choices.opened(choice.uri, clock=clock) as backend:
                    return self._measure(
                        backend, clock, entropy_bits, seed_for_output_bits, choice.uri
                    )
            except BackendUnavailable as error:
                self.attempts += (Attempt(choice.uri, type(error).__name__, str(error)),)
                raise

        try:
            batch, seed = choices.first(self._choices, use)
        except BackendUnavailable as error:
            if _names_classical(self._order) and self._order.fallback is Fallback.FORBIDDEN:
                error.add_note(f"'classical' was named, and {NOT_ALLOWED}: add --allow-fallback")
            raise
        except (JobPending, KeyboardInterrupt) as error:
            error.add_note("random bytes are measured anew the next time")
            raise
        self._check_health(batch)
        return batch, seed

    def _check_health(self, batch: Batch) -> None:
        """Refuse a batch that fails a health test; its source stays refused."""
        shots, columns = batch.matrix.shape
        source_name = (batch.provenance.backend, columns)
        cutoffs = health.bit_cutoffs(source_claims.BUDGET_PER_BIT)
        if source_name not in self._monitors:
            self._monitors[source_name] = health.Monitor(cutoffs, columns=columns)
        try:
            released = self._monitors[source_name].release(batch.matrix)
        except HealthTestFailed as error:
            if error.test == health.REPETITION:
                rate = health.alarm_rate(cutoffs, shots=shots, columns=columns)
                error.add_note(_about_alarm(rate, batch.provenance))
            raise
        if not released.size:
            raise InvariantBroken(f"{shots} shots are no start-up test")
        self._seen = source.screen(batch, seen=self._seen)

    def _measure(
        self,
        backend: Backend,
        clock: Clock,
        entropy_bits: float,
        seed_for_output_bits: int | None,
        uri: str,
    ) -> tuple[Batch, CommittedSeed | None]:
        """Order, pay and run one job."""
        info = orders.describe(backend, clock)
        width = self._width(backend, info)
        order = source.order_hadamard(
            raw_bits=max(self._raw_bits(info, entropy_bits), health.START_UP * width),
            width=width,
            shots_max=backend.limits.shots_max,
            tags=(f"qlq-rng-{uuid.uuid4()}",),
        )
        measured = order.plan.executions * order.plan.program.n_bits
        seed = None
        if seed_for_output_bits is not None:
            seed = commit_seed(raw_bits=measured, output_bits=seed_for_output_bits)
            order = dataclasses.replace(order, seed_commitment=seed.commitment)
        what = f"estimate of {backend.name}"
        cost = patience.ask(lambda: backend.estimate(order.plan), clock=clock, what=what)
        plan = order.plan
        if not consent.is_free(cost):
            if self._order.home is None:
                raise BudgetRefused(
                    f"{backend.name} costs something, and nothing here would note it: name a home"
                )
            whole = consent.add(self._spent, cost)
            self._order.consent.allow(whole, what=f"random bytes from {backend.name}")
            left_s = consent.seconds_left(self._order.consent.caps, cost, beside=self._spent)
            plan = dataclasses.replace(plan, qpu_s_max=left_s)
            self._spent = whole
        self._tell(f"measuring {measured} bits on {backend.name}")
        caps = self._order.consent.caps
        noted = passing_jobs.Order(self._order.home or Path(), uri, caps, self.attempts)
        shots = passing_jobs.run(
            backend, plan, cost=cost, clock=clock, tell=self._tell, order=noted
        )
        return source.collect(order, shots), seed

    def _raw_bits(self, info: DeviceInfo, entropy_bits: float) -> int:
        """How many raw bits to order for this much entropy."""
        needed = max(SEED_RAW_BITS, math.ceil(entropy_bits / source_claims.BUDGET_PER_BIT))
        if info.kind is Kind.QPU and self._order.sampling is Sampling.FULL:
            needed = max(needed, ASSESSED_SAMPLES_MIN)
        if needed > RAW_BITS_MAX:
            raise MinEntropyTooLow(
                f"{entropy_bits:g} bits of entropy take {needed} raw bits, a batch has at most "
                f"{RAW_BITS_MAX}: ask for fewer bytes"
            )
        return needed

    def _width(self, backend: Backend, info: DeviceInfo) -> int:
        most = WIDTH_MAX if info.kind is Kind.QPU else SIMULATED_WIDTH_MAX
        return max(1, min(most, backend.limits.qubits_max, info.qubits))

    def claim(self, batch: Batch) -> RawClaim:
        """What may be claimed of a batch: only bits of a device are assessed at all."""
        assessment = None
        if source.tier_of(batch.provenance) is not EntropyTier.NONE:
            self._tell(f"assessing {batch.stream.size} bits")
            assessment = assess(batch)
        return source_claims.of_shots(
            batch.provenance, raw_bits=batch.stream.size, assessment=assessment
        )

    def seed(self) -> chain.Seed:
        """A fresh seed; see `batch` for errors."""
        batch, _ = self.batch(entropy_bits=chain.SEED_ENTROPY_BITS)
        seed = chain.make_seed(
            (batch,), claim=self.claim(batch), system_bytes=os.urandom(chain.SYSTEM_BYTES)
        )
        self._keep(seed.record)
        return seed

    def full_entropy(self, count: int) -> tuple[EntropyBlock, SeedRecord]:
        """`count` bytes of full entropy, by extraction XORed with a generator.

        The generator is seeded by the operating system alone: it is the safety net, and nothing
        of it is credited.

        Args:
            count: 1 to 2^16.

        Returns:
            The bytes, and the record that their certificate id names.

        Raises:
            MinEntropyTooLow: The batch's claim does not allow so many bytes.
            BackendError, BudgetRefused, HealthTestFailed: As for `batch`.
        """
        eps_bits = -2.0 * math.log2(extraction.EPS_DEFAULT)
        batch, seed = self.batch(entropy_bits=8 * count + eps_bits, seed_for_output_bits=8 * count)
        claim = self.claim(batch)
        if seed is None:
            raise InvariantBroken("the batch was measured without a committed seed")
        try:
            extracted = extraction.extract(
                batch, seed=seed, min_entropy_bits=claim.min_entropy_bits, output_bits=8 * count
            )
        except MinEntropyTooLow as error:
            raise MinEntropyTooLow(f"{error} ({' '.join(claim.reasons)})") from error
        state = drbg.instantiate(Mechanism.CTR_AES256, entropy_input=os.urandom(drbg.SEED_BYTES))
        block, record, _ = chain.full_entropy(extracted, batch, state, claim=claim, count=count)
        self._keep(record)
        return block, record


def _about_alarm(rate: float, provenance: Provenance) -> str:
    """How much an alarm of the repetition count test says, and what to do about it."""
    often = f"fair bits fail this test in 1 of {round(1 / rate):,} batches of this size"
    if provenance.tier is Tier.SIMULATOR:
        return f"{often}, and {provenance.backend} is a simulator: run the command again"
    return f"{often}: a first alarm may be chance, a second one is none"


def assess(batch: Batch) -> Assessment:
    """Least SP 800-90B estimate of the serialised stream, for each bit."""
    from qlq.qrng.assessment import estimators

    found = estimators.estimate(batch.stream.copy(), alphabet=2)
    return Assessment(estimators.least(found, bits=1), batch.stream.size)


def commit_seed(*, raw_bits: int, output_bits: int) -> CommittedSeed:
    """An extractor's seed from the operating system, drawn before the raw bits exist."""
    wanted = extraction.toeplitz_seed_bits(raw_bits=raw_bits, output_bits=output_bits)
    return CommittedSeed(os.urandom(-(-wanted // 8)), SeedOrigin.OPERATING_SYSTEM)


def open_pool(order: EntropyOrder, tell: Tell, keep: Keep = forget) -> tuple[Pool, Source]:
    """A pool that this order's backends fill when bytes are wanted, and the source behind it.

    Args:
        order: Where bytes come from.
        tell: Is told in words what happens.
        keep: Is given the records that certificate ids name.

    Raises:
        ConfigError: A value of the order cannot be used.
        BackendUnavailable: Only `classical` is named, and it is not allowed.
    """
    origin = Source(order, tell, keep)
    make = Pool.with_fallback if order.fallback is Fallback.ALLOWED else Pool
    pool = make(origin.seed, os.urandom, mechanism=order.mechanism, reseed_bytes=order.reseed_bytes)
    return pool, origin


def describe(provenance: tuple[Provenance, ...]) -> list[dict[str, object]]:
    """Where the bits came from, as documents show it."""
    return [
        {
            "tier": origin.tier.value,
            "backend": origin.backend,
            "provider": origin.provider,
            "device": origin.device,
            "kind": origin.kind.value,
            "job_id": origin.job_id,
            "program_digest": origin.program_digest,
            "qubits": list(origin.qubits),
            "seed": origin.seed,
            "entropy_cap_bits": origin.entropy_cap_bits,
        }
        for origin in provenance
    ]

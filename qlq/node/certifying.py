"""Certified randomness from a backend: two jobs, a commitment between them, a signed bundle."""

from __future__ import annotations

import datetime as dt
import math
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlq.archive import bundle, document, folder, signed
from qlq.archive.bundle import Leg, Run
from qlq.backends import chain, patience
from qlq.backends.chain import Choice, Fallback
from qlq.backends.patience import Clock
from qlq.backends.port import FREE, Backend, Cost
from qlq.backends.registry import Classical
from qlq.circuit import Plan
from qlq.config import Settings
from qlq.crypto.signing import SigningKey
from qlq.disk import private_files
from qlq.errors import BackendUnavailable, ConfigError, JobFailed
from qlq.kme.identity import Identities
from qlq.node import consent, orders, passing_jobs, sessions
from qlq.node.consent import Consent
from qlq.provenance import Attempt
from qlq.qrng import (
    certificate,
    certificate_commitment,
    certificate_rounds,
    estimation_factors,
    source,
)
from qlq.qrng.certificate_commitment import Commitment
from qlq.qrng.certificate_rounds import Outcomes
from qlq.qrng.estimation_factors import EPSILON_LOG2_DEFAULT
from qlq.qrng.extraction import CommittedSeed, SeedOrigin
from qlq.qrng.source import NOTHING_SEEN, Batch, Order, Seen

CALIBRATION_SHARE = 5
"""One round in so many is spent on the calibration batch."""
SHOTS_MIN = CALIBRATION_SHARE * source.BATCH_BITS_MIN // 2
"""Fewer, and the calibration batch cannot be screened."""
SHOTS_MAX = certificate_rounds.ROUNDS_MAX
CALIBRATION_BLOCKS, DATA_BLOCKS = 1, 4

FOLDER = "rng"
FINGERPRINT_FILE = "signer.sha256"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CertifyOrder:
    """What `qlq rng certify` was asked for.

    Attributes:
        backends: URIs in order of preference.
        shots: Rounds of both batches together, 10,240 to 10^7.
        bundle: Folder to write.
        epsilon_log2: Base-2 logarithm of the certificate's and of the extractor's epsilon.
        consent: What the operator allows to be spent, by both jobs together.
        deadline_s: Seconds until the command must end; None gives queues a day.
    """

    backends: tuple[str, ...]
    shots: int
    bundle: Path
    epsilon_log2: int = EPSILON_LOG2_DEFAULT
    consent: Consent = orders.ASK_NOBODY
    deadline_s: float | None = None

    @property
    def calibration_rounds(self) -> int:
        """Rounds of the calibration batch."""
        return self.shots // CALIBRATION_SHARE

    @property
    def data_rounds(self) -> int:
        """Rounds of the data batch."""
        return self.shots - self.calibration_rounds


def check(order: CertifyOrder) -> tuple[Choice, ...]:
    """The backends in order; refuses what needs none to be refused.

    Raises:
        ConfigError: Naming the value that cannot be used.
    """
    if not SHOTS_MIN <= order.shots <= SHOTS_MAX:
        raise ConfigError(
            f"a certificate takes from {SHOTS_MIN} to {SHOTS_MAX} shots, not {order.shots}"
        )
    if not -256 <= order.epsilon_log2 <= -1:  # noqa: PLR2004 - SHA-256's strength
        raise ConfigError(f"log2 of epsilon must lie in [-256, -1]: {order.epsilon_log2}")
    if order.deadline_s is not None and not 0 < order.deadline_s < math.inf:
        raise ConfigError(f"the deadline must be above 0 seconds: {order.deadline_s}")
    if Classical().uri in order.backends:
        raise ConfigError(
            "a certificate is made from shots, 'classical' has none: name quantum backends only"
        )
    folder.check_free(order.bundle)
    return chain.parse(order.backends, fallback=Fallback.FORBIDDEN)


def certify(order: CertifyOrder, settings: Settings, tell: Tell) -> dict[str, Any]:
    """Run both batches, write the bundle, and return its signed certificate.

    Backends are tried in order; only one that cannot be used leads to the next, before a job
    that costs something was accepted. Paid jobs are on record; one that this command leaves
    behind is cancelled, see `passing_jobs`, and lost to the certificate.

    Raises:
        ConfigError: A value of the order cannot be used, or the bundle cannot be written.
        BudgetRefused: The operator does not allow what it would cost; nothing was sent.
        BackendError: No shots, see its kinds.
        HealthTestFailed: A batch was constant, periodic, replayed or biased; it was discarded.
    """
    every = check(order)
    clock = Clock(sessions.TIMEOUT_S if order.deadline_s is None else order.deadline_s)
    key = open_signer(settings)

    def use(choice: Choice, attempts: tuple[Attempt, ...]) -> dict[str, Any]:
        tell(f"opening {choice.uri}")
        with chain.opened(choice.uri, clock=clock) as backend:
            noted = passing_jobs.Order(settings.home, choice.uri, order.consent.caps, attempts)
            run = _Measuring(backend, order, clock, tell, noted).run()
        return bundle.write(order.bundle, run, key=key)

    return chain.first(every, use)


def plan(order: CertifyOrder) -> dict[str, Any]:
    """What the order would take on the first backend that can be used; submits nothing.

    Raises:
        ConfigError: A value of the order cannot be used.
        BackendUnavailable: No backend can be asked.
    """
    every = check(order)
    clock = Clock(sessions.TIMEOUT_S if order.deadline_s is None else order.deadline_s)

    def use(choice: Choice, _attempts: tuple[Attempt, ...]) -> dict[str, Any]:
        with chain.opened(choice.uri, clock=clock) as backend:
            both = _typical(order)
            cost = _cost(backend, both, clock)
        rounds = (order.calibration_rounds, order.data_rounds)
        shots = [one.plan.executions for one in both]
        return {
            "backend": choice.uri,
            "rounds": list(rounds),
            "rows": [len(one.plan.bindings) for one in both],
            "shots": shots,
            "surplus_shots": [more - count for more, count in zip(shots, rounds, strict=True)],
            "qpu_s": cost.qpu_s,
            "cost": consent.as_document(cost),
        }

    return chain.first(every, use)


def open_signer(settings: Settings) -> SigningKey:
    """This home's key for certificates and pulses; made at the first call, as its fingerprint is.

    Raises:
        ConfigError: The home folder cannot be used.
        KeyStoreDamaged: The key's file was changed, or sealed with another master key.
    """
    home = settings.home / FOLDER
    key = Identities(home, orders.obtain_master(settings)).own()
    fingerprint = signed.fingerprint(key.verifying_key)
    private_files.create_if_absent(home / FINGERPRINT_FILE, fingerprint.encode())
    return key


def own_fingerprint(settings: Settings) -> str | None:
    """Fingerprint of this home's key, needing no passphrase; None if it has signed nothing yet."""
    try:
        data = private_files.read(
            settings.home / FOLDER / FINGERPRINT_FILE, limit=signed.FINGERPRINT_CHARACTERS
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {FINGERPRINT_FILE}: {error.strerror}") from error
    return data.decode("ascii", "replace")


def _typical(order: CertifyOrder) -> tuple[Order, Order]:
    """Orders like the two that will be sent: rows and shots vary little with the settings."""
    return (
        _ordered(order.calibration_rounds, CALIBRATION_BLOCKS, ("qlq-estimate",))[1],
        _ordered(order.data_rounds, DATA_BLOCKS, ("qlq-estimate",))[1],
    )


def _ordered(
    count: int, blocks: int, tags: tuple[str, ...], seed: CommittedSeed | None = None
) -> tuple[bytes, Order]:
    """Fresh settings of the operating system, and the order that they make."""
    drawn = os.urandom(certificate_rounds.draw_bytes(count))
    arrangement = certificate_rounds.arrange(drawn, count=count, blocks=blocks)
    commitment = None if seed is None else seed.commitment
    return drawn, certificate_rounds.order(arrangement, tags=tags, seed_commitment=commitment)


def _cost(backend: Backend, every: tuple[Order, Order], clock: Clock) -> Cost:
    what = f"estimate of {backend.name}"
    first, second = (
        patience.ask(partial(backend.estimate, one.plan), clock=clock, what=what) for one in every
    )
    return consent.add(first, second)


class _Measuring:
    """Both batches of one certificate on one opened backend."""

    def __init__(
        self,
        backend: Backend,
        order: CertifyOrder,
        clock: Clock,
        tell: Tell,
        noted: passing_jobs.Order,
    ) -> None:
        self._backend, self._order, self._clock, self._tell = backend, order, clock, tell
        self._noted = noted
        self._cost = FREE

    def run(self) -> Run:
        """Calibrate, commit, measure."""
        order = self._order
        orders.describe(self._backend, self._clock)
        self._cost = _cost(self._backend, _typical(order), self._clock)
        order.consent.allow(self._cost, what=f"the certificate on {self._backend.name}")
        tags = (f"qlq-{uuid.uuid4()}",)
        drawn, first = _ordered(order.calibration_rounds, CALIBRATION_BLOCKS, tags)
        calibration, outcomes, seen = self._leg(
            drawn, first, order.calibration_rounds, CALIBRATION_BLOCKS, NOTHING_SEEN
        )
        self._tell(f"calibration: S = {outcomes.value.s:.3f} ± {outcomes.value.sigma:.3f}")
        commitment, seed = self._commit(drawn, calibration.batch, outcomes.counts)
        self._tell(f"committed to {commitment.digest.hex()[:16]}… before the data batch")
        drawn, second = _ordered(order.data_rounds, DATA_BLOCKS, (commitment.tag,), seed)
        try:
            data, outcomes, _ = self._leg(drawn, second, order.data_rounds, DATA_BLOCKS, seen)
        except BackendUnavailable as error:
            if consent.is_free(self._cost):
                raise
            job_id = calibration.batch.provenance.job_id
            raise JobFailed(
                f"calibration job {job_id} was run, and the data batch was not accepted: {error}; "
                "certify again when the device can be used",
                job_id=job_id,
                reason=str(error),
            ) from error
        self._tell(f"data: S = {outcomes.value.s:.3f} ± {outcomes.value.sigma:.3f}")
        told = tuple(document.attempt(one) for one in self._noted.attempts)
        return Run(commitment, seed, calibration, data, told, now())

    def _capped(self, plan: Plan) -> tuple[Plan, Cost]:
        """The plan of one batch with what the operator's caps leave for it, and what it costs."""
        if consent.is_free(self._cost):
            return plan, FREE
        cost = patience.ask(
            partial(self._backend.estimate, plan),
            clock=self._clock,
            what=f"estimate of {self._backend.name}",
        )
        other = consent.rest(self._cost, cost)
        left_s = consent.seconds_left(self._order.consent.caps, cost, beside=other)
        return replace(plan, qpu_s_max=left_s), cost

    def _leg(
        self, drawn: bytes, order: Order, rounds: int, blocks: int, seen: Seen
    ) -> tuple[Leg, Outcomes, Seen]:
        """A batch that was measured, screened and counted."""
        submitted = now()
        plan, cost = self._capped(order.plan)
        shots = passing_jobs.run(
            self._backend, plan, cost=cost, clock=self._clock, tell=self._tell, order=self._noted
        )
        batch = source.collect(order, shots)
        seen = source.screen(batch, seen=seen)
        certificate.check_health(batch)
        arrangement = certificate_rounds.arrange(drawn, count=rounds, blocks=blocks)
        outcomes = certificate_rounds.evaluate(arrangement, batch)
        return Leg(drawn, rounds, blocks, batch, submitted, now()), outcomes, seen

    def _commit(
        self, drawn: bytes, batch: Batch, counts: NDArray[np.int64]
    ) -> tuple[Commitment, CommittedSeed]:
        """Everything that the data must not decide, and the extractor's seed."""
        rounds, epsilon_log2 = self._order.data_rounds, self._order.epsilon_log2
        factors = estimation_factors.calibrate(counts, rounds=rounds, epsilon_log2=epsilon_log2)
        lengths = certificate_commitment.plan_output(
            factors,
            counts,
            rounds=rounds,
            epsilon_log2=epsilon_log2,
            extractor_epsilon_log2=epsilon_log2,
        )
        size = certificate_commitment.seed_bytes(
            rounds=rounds, blocks=DATA_BLOCKS, output_bits=lengths[1]
        )
        seed = CommittedSeed(os.urandom(size), SeedOrigin.OPERATING_SYSTEM)
        commitment = certificate_commitment.commit(
            factors,
            calibration=certificate_commitment.calibration_digest(drawn, batch),
            rounds=rounds,
            blocks=DATA_BLOCKS,
            epsilon_log2=epsilon_log2,
            extractor_epsilon_log2=epsilon_log2,
            lengths=lengths,
            seed=seed,
        )
        return commitment, seed


def now() -> str:
    """The time as documents have it: ISO 8601, UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")

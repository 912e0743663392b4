"""Certificates and pulses: certified bits beside the reference, speeds beside a bare signature.

python benchmarks/qrng_certificate.py [--json] [--small]
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import measuring
import numpy as np

from qlq.crypto.signing import Algorithm, SigningKey
from qlq.provenance import EntropyTier
from qlq.qrng import beacon, estimation_factors
from qlq.qrng.estimation_factors import BETAS, SHAPE, Factors

ROUNDS = 100_000
EPSILON_LOG2 = -64
REFERENCE_BITS = {2.1: 0, 2.3: 21_779, 2.5: 43_987, 2.7: 66_226, 2.78: 75_121}
"""Certified bits at these S. Source: prototype of the design, 80-vertex polytope, 25 betas."""

LOCAL_RUNS, LOCAL_RUNS_SMALL = 1000, 100
LOCAL_LIMIT = 0.999
PULSES, PULSES_SMALL = 200, 20
CONDITION_LIMIT = 1e-12


def counts_of(s: float) -> np.ndarray:
    """Counts of a run whose marginals are fair and whose S is exactly this."""
    share = 0.5 + s / 8.0
    cells = np.where(estimation_factors.won(), share / 2.0, (1.0 - share) / 2.0)
    return np.rint(cells * ROUNDS / 4.0).astype(np.int64)


def measure_bits() -> list[dict[str, Any]]:
    """Certified bits of 100,000 rounds at 2^-64, with the best of 25 powers."""
    lines = []
    for s, reference in REFERENCE_BITS.items():
        best = max(
            estimation_factors.optimise_won(0.5 + s / 8.0, beta=beta).bits(
                counts_of(s), epsilon_log2=EPSILON_LOG2
            )
            for beta in BETAS
        )
        lines.append(
            measuring.measurement(
                f"pef_bits_s{s}", best, "bits", reference="reference", reference_value=reference
            )
        )
    return lines


def measure_condition() -> dict[str, Any]:
    """How far above 1 the condition reaches on the worst of the 80 vertices, summed exactly."""
    worst = -math.inf
    for s in (2.05, 2.3, 2.5, 2.7, 2.82):
        for beta in BETAS:
            factors = estimation_factors.optimise_won(0.5 + s / 8.0, beta=beta)
            for point in estimation_factors.vertices():
                terms = 0.25 * factors.values * point ** (1.0 + beta)
                worst = max(worst, math.fsum(terms.reshape(-1).tolist()) - 1.0)
    peer = {"reference": "limit", "reference_value": CONDITION_LIMIT}
    return measuring.measurement("pef_condition_excess", worst, "", **peer)


def measure_local(runs: int) -> dict[str, Any]:
    """Share of runs of the best local devices that certify nothing."""
    rng = np.random.default_rng(11)
    won = estimation_factors.won()
    best = [p for p in estimation_factors.vertices()[:16] if (p * won).sum() == 3.0]  # noqa: PLR2004
    fixed: list[Factors] = [
        estimation_factors.optimise_won(0.5 + s / 8.0, beta=0.0137) for s in (2.2, 2.5, 2.8)
    ]
    nothing = 0
    for run in range(runs):
        cells = 0.25 * best[run % len(best)].reshape(-1)
        counts, batch = (
            rng.multinomial(count, cells).reshape(SHAPE).astype(np.int64)
            for count in (ROUNDS, ROUNDS // 4)
        )
        own = estimation_factors.calibrate(batch, rounds=ROUNDS, epsilon_log2=EPSILON_LOG2)
        nothing += all(f.bits(counts, epsilon_log2=EPSILON_LOG2) == 0.0 for f in (*fixed, own))
    peer = {"reference": "limit", "reference_value": LOCAL_LIMIT}
    return measuring.measurement(f"pef_local_runs_{runs}", nothing / runs, "", **peer)


def measure_pulses(count: int) -> list[dict[str, Any]]:
    """Making and verifying a pulse beside the bare ML-DSA-65 signature over the same bytes."""
    key = SigningKey(Algorithm.ML_DSA_65, bytes(range(32)))
    local = [hashlib.sha512(b"%d" % index).digest() for index in range(count + 1)]

    def make() -> list[beacon.Pulse]:
        chain, made = beacon.begin(key.verifying_key), []
        for index in range(count):
            value = beacon.LocalValue(
                local[index], EntropyTier.NONE, 0, degraded=False, origin="aer", certificate=b""
            )
            pulse = beacon.make(
                chain, key, local=value, next_local=local[index + 1], time_s=index, period_s=1
            )
            chain = beacon.extend(chain, pulse)
            made.append(pulse)
        return made

    pulses = make()
    message = bytes(800)  # about the length of a pulse's body
    signature = key.sign(message, context=b"bench")
    public = key.verifying_key
    bare = measuring.best_time_s(
        lambda: [public.verify(message, signature, context=b"bench") for _ in range(count)], 5
    )
    ours = measuring.best_time_s(lambda: beacon.verify(pulses, key=public), 5)
    whole = measuring.best_time_s(make, 1)
    peer = {"reference": "bare ML-DSA-65 verification", "reference_value": 1e3 * bare / count}
    return [
        measuring.measurement("pulse_verify", 1e3 * ours / count, "ms", **peer),
        measuring.measurement("pulse_make", 1e3 * whole / count, "ms"),
    ]


def measurements(*, local_runs: int, pulses: int) -> list[dict[str, Any]]:
    """Everything of this file."""
    return [
        *measure_bits(),
        measure_condition(),
        measure_local(local_runs),
        *measure_pulses(pulses),
    ]


def main() -> None:
    """Measure and print."""
    asked = measuring.options(__doc__, small="fewer runs")
    figures = measurements(
        local_runs=LOCAL_RUNS_SMALL if asked.small else LOCAL_RUNS,
        pulses=PULSES_SMALL if asked.small else PULSES,
    )
    measuring.show(figures, asked)


if __name__ == "__main__":
    main()

"""What may be claimed of raw bits: the tier caps, statistics lower, and the words say why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qlq.provenance import EntropyTier, Provenance, Tier, lowest
from qlq.qrng import source

BUDGET_PER_BIT = 0.8
"""Most that a raw bit of a device may count for. Good true-random bits are assessed at 0.83 by
SP 800-90B's estimators, and noisy superconducting qubits at 0.86."""

ASSESSED_SAMPLES_MIN = 1_000_000
"""Samples of a full assessment. Source: SP 800-90B clause 3.1.1."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What statistics say of raw bits.

    Attributes:
        per_bit: Least of the SP 800-90B estimates, in [0, 1].
        samples: Bits that were assessed.
    """

    per_bit: float
    samples: int

    def __post_init__(self) -> None:
        """Refuse an assessment outside its range, naming it."""
        if not 0.0 <= self.per_bit <= 1.0 or self.samples < 1:
            raise ValueError(f"not an assessment: {self.per_bit} bits of {self.samples} samples")


@dataclass(frozen=True, slots=True)
class RawClaim:
    """Claimed min-entropy of raw bits.

    Attributes:
        raw_bits: How many bits it is about.
        min_entropy_bits: Of all of them together, 0 to `raw_bits`; 0 in tier T0.
        tier: What it rests on.
        reasons: Why it is what it is, in sentences.
    """

    raw_bits: int
    min_entropy_bits: float
    tier: EntropyTier
    reasons: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a claim above the bits or the tier."""
        if not 0.0 <= self.min_entropy_bits <= self.raw_bits:
            raise ValueError(f"{self.raw_bits} bits cannot hold {self.min_entropy_bits}")
        if self.tier is EntropyTier.NONE and self.min_entropy_bits:
            raise ValueError(f"tier {self.tier.label} claims 0 bits, not {self.min_entropy_bits}")


def of_shots(
    provenance: Provenance, *, raw_bits: int, assessment: Assessment | None = None
) -> RawClaim:
    """The claim of Hadamard bits of one job.

    Args:
        provenance: Origin of the shots.
        raw_bits: How many, at least 0.
        assessment: Of the same bits; without one nothing is claimed.

    Returns:
        Tier T0 and 0 bits unless a QPU made the shots. Else the least of the assessment, the
        calibration's bound and `BUDGET_PER_BIT`, for each bit.
    """
    tier = source.tier_of(provenance)
    if tier is EntropyTier.NONE:
        return RawClaim(raw_bits, 0.0, tier, (_why_nothing(provenance),))
    bound = calibration_bound(provenance.calibration)
    if bound is None or assessment is None:
        lacking = "assessment of these bits" if bound is not None else "complete calibration"
        reason = f"{tier.label}: there is no {lacking}, so that nothing is claimed."
        return RawClaim(raw_bits, 0.0, tier, (reason,))
    per_bit = min(assessment.per_bit, bound, BUDGET_PER_BIT)
    bits = raw_bits * per_bit
    reasons = [
        (
            f"{tier.label}: {per_bit:.4f} bit for each raw bit, the least of SP 800-90B "
            f"({assessment.per_bit:.4f}), the calibration's bound ({bound:.4f}) and the budget "
            f"({BUDGET_PER_BIT})."
        ),
        "It rests on the vendor's calibration: no test of the bits shows where they came from.",
    ]
    if assessment.samples < ASSESSED_SAMPLES_MIN:
        reasons.append(
            f"The assessment is short: {assessment.samples} samples, where SP 800-90B asks for "
            f"{ASSESSED_SAMPLES_MIN}."
        )
    if provenance.entropy_cap_bits is not None and provenance.entropy_cap_bits < bits:
        bits = float(provenance.entropy_cap_bits)
        reasons.append(f"The source caps the entropy of the job at {bits:g} bits.")
    return RawClaim(raw_bits, bits, tier, tuple(reasons))


def attested(*, raw_bits: int, stated_bits: float, vendor: str) -> RawClaim:
    """The claim of bits that a vendor's service delivered: what the vendor states, tier T1.

    Raises:
        ValueError: More is stated than the bits can hold.
    """
    tier = EntropyTier.VENDOR_ATTESTED
    reason = f"{tier.label}: {vendor} states {stated_bits:g} bits; nothing of that was checked."
    return RawClaim(raw_bits, stated_bits, tier, (reason,))


def combine(claims: tuple[RawClaim, ...]) -> RawClaim:
    """The claim of independent raw bits put together: sums of bits, and the lowest tier.

    Only parts that are credited count for the tier; if the lowest of them is T0, all of it is
    worth nothing.

    Raises:
        ValueError: There is no claim.
    """
    tier = lowest(tuple(claim.tier for claim in claims))
    credited = 0.0 if tier is EntropyTier.NONE else sum(claim.min_entropy_bits for claim in claims)
    reasons = tuple(dict.fromkeys(reason for claim in claims for reason in claim.reasons))
    return RawClaim(sum(claim.raw_bits for claim in claims), credited, tier, reasons)


def calibration_bound(calibration: Mapping[str, Any]) -> float | None:
    """Least min-entropy of a Hadamard bit that a calibration allows, None if it cannot say.

    A shot departs from the model with probability of at most f, the readout error in the worse
    direction plus the error of one pulse. Whoever knows when it departs guesses right with
    probability (1 + f) / 2 at most, so that -log2((1 + f) / 2) bits are left. The worst qubit
    counts for all.

    Args:
        calibration: As in `Provenance.calibration`.
    """
    qubits = calibration.get("qubits")
    if not qubits:
        return None
    departures = [_departure(qubit) for qubit in qubits]
    known = [departure for departure in departures if departure is not None]
    if len(known) != len(departures):
        return None
    return 1.0 - math.log2(1.0 + max(known))


def _departure(qubit: Mapping[str, Any]) -> float | None:
    """The f of one qubit, in [0, 1]; None if a value is missing or no probability."""
    readouts = [qubit.get(n) for n in ("readout_error", "prob_1_given_0", "prob_0_given_1")]
    given = [value for value in readouts if value is not None]
    pulse = qubit.get("pulse_error")
    if not given or pulse is None:
        return None
    if not all(0.0 <= value <= 1.0 for value in (*given, pulse)):
        return None
    return float(min(1.0, max(given) + pulse))


def _why_nothing(provenance: Provenance) -> str:
    """Why a source of tier T0 has no claim."""
    label = EntropyTier.NONE.label
    if provenance.tier is Tier.SIMULATOR:
        cap = provenance.entropy_cap_bits
        seed = "from a seed" if cap is None else f"from a seed of at most {cap} bits"
        return (
            f"{label}: {provenance.backend} is a simulator that computes its shots {seed}; "
            "whoever knows the seed has every bit, however random they look."
        )
    return f"{label}: {provenance.device} is no quantum device, and nothing of it was measured."

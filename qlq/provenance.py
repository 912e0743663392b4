"""Where bits come from, and what may be claimed of them.

Every secret and every random value carries a `Provenance`. A claim can be lowered by combining
values, never raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any


class Tier(StrEnum):
    """What kind of machine made the bits."""

    QPU = "qpu"
    SIMULATOR = "simulator"
    CLASSICAL = "classical"


class Kind(StrEnum):
    """How a backend produces outcomes."""

    IDEAL = "ideal"
    NOISY = "noisy"
    QPU = "qpu"
    CLASSICAL = "classical"
    """No outcomes: the key was exchanged by classical means."""


class Claim(IntEnum):
    """What a key may be claimed to be; a higher one is stronger. `label` is the word shown."""

    CLASSICAL = 0
    SIMULATION = 1
    SAME_CHIP = 2
    TWO_NODE = 3

    @property
    def label(self) -> str:
        """The claim in the words that documents and tables use."""
        return _LABELS[self]


_LABELS = {
    Claim.CLASSICAL: "classical (computational)",
    Claim.SIMULATION: "simulation",
    Claim.SAME_CHIP: "same-chip demonstration",
    Claim.TWO_NODE: "two-node",
}


CLAIM_MAX = {
    Tier.QPU: Claim.TWO_NODE,
    Tier.SIMULATOR: Claim.SIMULATION,
    Tier.CLASSICAL: Claim.CLASSICAL,
}
"""The most that bits of each tier may claim. Adapters of rented chips claim less: one chip has no
two ends."""


class EntropyTier(IntEnum):
    """How far the entropy of random bits may be claimed; a higher one is stronger.

    The tier comes from where bits were made, never from how they look: statistics and Bell
    scores lower a claim, they do not raise a tier. `label` is the word shown.
    """

    NONE = 0
    """T0, a simulator or the operating system: the claim is 0, always."""
    VENDOR_ATTESTED = 1
    """T1: what a vendor states, labelled so."""
    DEVICE_MODELLED = 2
    """T2, a device's shots: the lower of an assessment and what its calibration allows."""
    SELF_TESTED = 3
    """T3: a Bell test on one device, under named assumptions."""
    IMPORTED = 4
    """T4: a pulse of a device-independent source, as attested by it."""

    @property
    def code(self) -> str:
        """The tier as documents name it, `T0` to `T4`."""
        return f"T{self.value}"

    @property
    def label(self) -> str:
        """The tier in words for people, for example `T0 none`."""
        return f"{self.code} {_TIER_WORDS[self]}"


_TIER_WORDS = {
    EntropyTier.NONE: "none",
    EntropyTier.VENDOR_ATTESTED: "vendor-attested",
    EntropyTier.DEVICE_MODELLED: "device-modelled",
    EntropyTier.SELF_TESTED: "self-tested",
    EntropyTier.IMPORTED: "device-independent",
}


def lowest(tiers: tuple[EntropyTier, ...]) -> EntropyTier:
    """The tier of a claim that rests on several values: the lowest of theirs."""
    if not tiers:
        raise ValueError("no tier to combine")
    return min(tiers)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A backend that was tried before the one that made the shots, and why it was left.

    Attributes:
        backend: URI of the backend, or `classical`.
        error: Class of the error, for example `BackendUnavailable`.
        detail: The error's message.
    """

    backend: str
    error: str
    detail: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Origin of the shots of one job.

    Attributes:
        tier: QPU, simulator or classical.
        claim: The most that may be claimed of anything made from these bits.
        backend: The URI the backend was opened with.
        provider: For example `qiskit-aer`, `cirq`, `amazon-braket`.
        device: Device or simulator name, for example `fake_fez`.
        kind: Ideal, noisy or QPU.
        job_id: The vendor's or the simulator's job id; `vendor_ids` takes it apart where it names
            several.
        program_digest: SHA-256 (hex) of the program that ran.
        sdk: Versions of the packages that made the shots.
        qubits: Physical qubits; empty where there are none.
        calibration: JSON-serialisable snapshot of the calibration of the used qubits.
        seed: Seed of the simulator if the caller gave one, else None.
        entropy_cap_bits: Upper limit of the entropy in all shots of the job together, for
            example 32 for a simulator that seeds itself with 32 bits; None if there is none.
    """

    tier: Tier
    claim: Claim
    backend: str
    provider: str
    device: str
    kind: Kind
    job_id: str
    program_digest: str
    sdk: Mapping[str, str]
    qubits: tuple[int, ...] = ()
    calibration: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    entropy_cap_bits: int | None = None

    def __post_init__(self) -> None:
        """Refuse a claim above what the tier allows: ValueError names both."""
        if self.claim > CLAIM_MAX[self.tier]:
            raise ValueError(f"bits of a {self.tier.value} cannot have claim {self.claim.label!r}")


def vendor_ids(job_id: str) -> list[str]:
    """The ids that a vendor knows: one, or those of tasks that share all before the last slash.

    Args:
        job_id: A job's id, `ID` or `HEAD/ID,ID...`.
    """
    head, slash, rest = job_id.rpartition("/")
    return [f"{head}{slash}{one}" for one in rest.split(",")]


def weakest(claims: tuple[Claim, ...]) -> Claim:
    """The claim of something made from several sources: that of the weakest."""
    if not claims:
        raise ValueError("no claim to combine")
    return min(claims)

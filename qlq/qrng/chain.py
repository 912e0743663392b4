"""From raw bits to seeds and to full-entropy bytes, in the structure of SP 800-90C.

    quantum raw bits --HMAC-SHA-512, 48 bytes--+
                                               +--HMAC-SHA-512, 48 bytes--> seed --> DRBG
    48 bytes of the operating system ----------+

Both inputs enter every seed and either of them would do; only the quantum part is credited. This
is structured after the standard and not validated: no cloud device has an entropy certificate.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

import numpy as np

from qlq.errors import MinEntropyTooLow
from qlq.keys import EntropyBlock
from qlq.numerics import bits as bitwise
from qlq.provenance import EntropyTier, Provenance
from qlq.qrng import drbg
from qlq.qrng.drbg import Mechanism
from qlq.qrng.extraction import Extraction
from qlq.qrng.seed_record import JobRecord, SeedRecord
from qlq.qrng.source import Batch
from qlq.qrng.source_claims import RawClaim

SYSTEM_BYTES = 48
SEED_BYTES = drbg.SEED_BYTES
SEED_BITS = 8 * SEED_BYTES
FULL_ENTROPY_MARGIN_BITS = 64
"""Entropy that a conditioner needs beyond its output. Source: SP 800-90C, h_in >= n + 64."""
SEED_ENTROPY_BITS = SEED_BITS + FULL_ENTROPY_MARGIN_BITS
"""448 assessed bits for a seed of 384."""

_CONDITION = b"qlq conditioning 1"
_COMBINE = b"qlq seed 1"


@dataclass(frozen=True, slots=True)
class Seed:
    """48 bytes for a generator, with their credit. `repr` shows none of the bytes.

    Attributes:
        material: 48 bytes.
        credited_bits: Min-entropy of the quantum part in the seed, 0 to 384.
        tier: What the credit rests on.
        reasons: Why it is what it is, in sentences.
        record: What it was made from.
        provenance: Of each job.
    """

    material: bytes = field(repr=False)
    credited_bits: float
    tier: EntropyTier
    reasons: tuple[str, ...]
    record: SeedRecord = field(repr=False)
    provenance: tuple[Provenance, ...] = field(repr=False)

    @property
    def certificate_id(self) -> str:
        """Of the record."""
        return self.record.certificate_id


def condition(raw: bytes) -> bytes:
    """48 bytes that depend on all raw bytes: HMAC-SHA-512 under a public key, truncated.

    Source: SP 800-90B clause 3.1.5.1.1, HMAC as a vetted conditioning component.
    """
    return hmac.digest(_CONDITION, raw, "sha512")[:SEED_BYTES]


def credit(claim: RawClaim) -> float:
    """Min-entropy of 48 conditioned bytes: full from 448 bits on, 64 bits below the input else."""
    if claim.tier is EntropyTier.NONE:
        return 0.0
    return min(float(SEED_BITS), max(0.0, claim.min_entropy_bits - FULL_ENTROPY_MARGIN_BITS))


def make_seed(batches: tuple[Batch, ...], *, claim: RawClaim, system_bytes: bytes) -> Seed:
    """The seed of these batches and of 48 bytes of the operating system.

    Args:
        batches: At least one, healthy; never used for another seed.
        claim: Of all their raw bits together.
        system_bytes: 48 fresh bytes; not credited.

    Raises:
        ValueError: There is no batch, the claim is about another number of bits, or the system
            gave another number of bytes.
    """
    raw_bits = sum(batch.stream.size for batch in batches)
    if not batches or claim.raw_bits != raw_bits:
        raise ValueError(f"the claim is about {claim.raw_bits} raw bits, there are {raw_bits}")
    if len(system_bytes) != SYSTEM_BYTES:
        raise ValueError(f"{SYSTEM_BYTES} bytes of the system are needed, not {len(system_bytes)}")
    framed = b"".join(batch.stream.size.to_bytes(8) + batch.packed for batch in batches)
    material = hmac.digest(_COMBINE, condition(framed) + system_bytes, "sha512")[:SEED_BYTES]
    credited = credit(claim)
    reasons = (*claim.reasons, _why_credit(claim, credited))
    record = SeedRecord(
        jobs=tuple(_job_record(batch) for batch in batches),
        tier=claim.tier.code,
        assessed_bits=repr(claim.min_entropy_bits),
        credited_bits=repr(credited),
        system_bytes=SYSTEM_BYTES,
        reasons=reasons,
    )
    origins = tuple(batch.provenance for batch in batches)
    return Seed(material, credited, claim.tier, reasons, record, origins)


def _why_credit(claim: RawClaim, credited: float) -> str:
    if credited >= SEED_BITS:
        return (
            f"The seed of {SEED_BITS} bits is fully credited: {claim.min_entropy_bits:g} bits went "
            f"in, {SEED_ENTROPY_BITS} are needed."
        )
    return (
        f"The seed of {SEED_BITS} bits is credited with {credited:g}: it takes "
        f"{SEED_ENTROPY_BITS} bits of claimed entropy, and {claim.min_entropy_bits:g} went in. "
        f"{SYSTEM_BYTES} bytes of the operating system entered beside them, without credit."
    )


def _job_record(batch: Batch) -> JobRecord:
    origin = batch.provenance
    return JobRecord(
        backend=origin.backend,
        device=origin.device,
        kind=origin.kind.value,
        job_id=origin.job_id,
        program_digest=origin.program_digest,
        batch_digest=batch.digest,
        raw_bits=batch.stream.size,
        simulator_seed=origin.seed,
    )


def instantiate(seed: Seed, mechanism: Mechanism, *, system_nonce: bytes) -> drbg.State:
    """A generator from a seed.

    Args:
        seed: Used for nothing else.
        mechanism: Which generator.
        system_nonce: 16 bytes that never come again; CTR_DRBG mixes them in as its
            personalization, HMAC_DRBG as its nonce.

    Raises:
        ValueError: The nonce has another length.
    """
    if len(system_nonce) != drbg.NONCE_BYTES_MIN:
        raise ValueError(f"a nonce has {drbg.NONCE_BYTES_MIN} bytes, not {len(system_nonce)}")
    if mechanism is Mechanism.CTR_AES256:
        return drbg.instantiate(
            mechanism, entropy_input=seed.material, personalization=system_nonce
        )
    return drbg.instantiate(mechanism, entropy_input=seed.material, nonce=system_nonce)


def full_entropy(
    extraction: Extraction, batch: Batch, state: drbg.State, *, claim: RawClaim, count: int
) -> tuple[EntropyBlock, SeedRecord, drbg.State]:
    """`count` bytes of full entropy: extracted bits, each byte XORed with the generator's.

    They are as good as the extracted bits, and never weaker than the generator should the claim
    be wrong.

    Args:
        extraction: At least 8 * `count` bits of this batch; never used for other bytes.
        batch: The batch that the bits were extracted from.
        state: A generator that was seeded apart from the batch.
        claim: Of the batch; the extraction was made from it.
        count: Bytes, 1 to 2^16.

    Returns:
        The bytes, the record that their certificate id names, and the generator afterwards.

    Raises:
        MinEntropyTooLow: The extraction has fewer bits: nothing is padded.
        ValueError: The extraction was made from another claim.

    Source:
        SP 800-90C, RBG3(XOR) construction.
    """
    if extraction.min_entropy_bits != claim.min_entropy_bits:
        raise ValueError(
            f"the bits were extracted from {extraction.min_entropy_bits} bits of entropy, the "
            f"claim is {claim.min_entropy_bits}"
        )
    if extraction.bits.size < 8 * count:
        raise MinEntropyTooLow(
            f"{count} bytes need {8 * count} extracted bits, there are {extraction.bits.size}: "
            "measure more shots, or ask for fewer bytes"
        )
    extracted = np.frombuffer(bitwise.pack(extraction.bits[: 8 * count]), dtype=np.uint8)
    mask, after = drbg.generate(state, count)
    mixed = (extracted ^ np.frombuffer(mask, dtype=np.uint8)).tobytes()
    reasons = (
        *claim.reasons,
        (
            f"Full entropy: {8 * count} bits extracted by a Toeplitz matrix at eps = "
            f"{extraction.eps:.3g}, seed from {extraction.seed_origin}, XORed with a generator."
        ),
    )
    record = SeedRecord(
        jobs=(_job_record(batch),),
        tier=claim.tier.code,
        assessed_bits=repr(claim.min_entropy_bits),
        credited_bits=repr(float(8 * count)),
        system_bytes=0,
        reasons=(*reasons, f"commitment to the extractor's seed: {extraction.seed_commitment}"),
    )
    origins = (batch.provenance,)
    block = EntropyBlock(
        mixed, float(8 * count), claim.tier, reasons, record.certificate_id, origins
    )
    return block, record, after

"""The certificate of a CHSH run: what its data show, what may be claimed, and under what.

    calibration batch -> factors, lengths, seed -> commitment -> data batch -> result -> signature

The order is what makes the bound hold: `Commitment` is fixed before the data batch is ordered,
and nothing in it depends on the data.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlq import codec
from qlq.crypto.signing import SigningKey, VerifyingKey
from qlq.numerics import chsh
from qlq.provenance import EntropyTier, Provenance
from qlq.qrng import (
    certificate_rounds,
    estimation_factors,
    extraction,
    health,
    source,
)
from qlq.qrng.certificate_commitment import DECIMALS, Commitment
from qlq.qrng.certificate_rounds import Outcomes
from qlq.qrng.extraction import CommittedSeed
from qlq.qrng.source import Batch

FORMAT = "qlq randomness certificate 1"
SIGNATURE_CONTEXT = b"qlq randomness certificate 1"

NO_SIGNALLING_P_MIN = 0.001
"""A smaller p-value lowers the tier: Bell bounds hold for no-signalling devices only. An honest
device is lowered with this probability."""

HEALTH_BITS = 0.5
"""Min-entropy of an outcome behind the health tests' cutoffs. No claim rests on it: it is low, so
that 10^7 rounds of fair outcomes are discarded with probability 1e-5, and a qubit that sticks for
41 shots is not missed."""

LEAF_BYTES = 64 * 1024
_LEAF, _NODE = b"\x00", b"\x01"

ASSUMPTIONS = (
    (
        "No-signalling: the two qubits do not tell each other their settings. They lie on one "
        "chip, so that this is an assumption, tested on the same data (p and the largest shift of "
        "a marginal are given), not enforced by distance: a self-test, never device-independent."
    ),
    (
        "Settings: drawn for each round from the client's operating system, uniform, and "
        "independent of the device and of whoever made it."
    ),
    (
        "Rows: rounds with equal settings were sent together, in rows shuffled within blocks of "
        "time. No shot's outcome depends on other shots' settings, but for the block it lies in."
    ),
    (
        "Side information about the outcomes is classical; quantum memories that stay entangled "
        "with the device are not covered."
    ),
    (
        "The factors, their power, the lengths and the extractor's seed were fixed after the "
        "calibration batch and before the data batch; the signer attests to that order."
    ),
    (
        "All rounds that were drawn are counted; nothing was selected or mitigated. Surplus "
        "shots were chosen by their place: they are not counted, and are extracted with the rest."
    ),
    (
        "The digests in this certificate hide what they are of from anybody with bounded computing "
        "power. The numbers of the data that it tells were deducted from the entropy."
    ),
    (
        "The outcomes are those of the named job. Whoever runs the device has seen them: the bits "
        "are fresh, and they are no secret from the provider."
    ),
)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A whole run.

    Attributes:
        commitment: Fixed before the data batch.
        calibration: Counts of the calibration batch, int64 of shape (2, 2, 2, 2).
        data: The data batch, ordered with the seed's commitment and the commitment's tag.
        outcomes: What it said.
        seed: The extractor's.
        provenances: Origin of the calibration and of the data.
    """

    commitment: Commitment
    calibration: NDArray[np.int64]
    data: Batch
    outcomes: Outcomes
    seed: CommittedSeed
    provenances: tuple[Provenance, Provenance]


@dataclass(frozen=True, slots=True)
class Standing:
    """What may be claimed of the output.

    Attributes:
        tier: Never above what the origin of the bits allows.
        claim_bits: Claimed min-entropy of the output, 0 or more.
        reasons: Why, in words.
    """

    tier: EntropyTier
    claim_bits: int
    reasons: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Its fields in a certificate, with the assumptions that they rest on."""
        return {
            "tier": self.tier.code,
            "tier_label": self.tier.label,
            "claim_bits": self.claim_bits,
            "claim_reasons": list(self.reasons),
            "assumptions": list(ASSUMPTIONS),
        }


def read_counts(commitment: Commitment, counts: NDArray[np.int64]) -> dict[str, Any]:
    """Every number that the counts and the commitment give: what anybody can recompute.

    Args:
        commitment: Its factors must hold.
        counts: int64 of shape (2, 2, 2, 2).

    Raises:
        RemoteMisuse: The committed factors do not hold.
        ValueError: The counts are of another shape.
    """
    factors = commitment.read_factors()
    found = certificate_rounds.value(counts)
    log2_sum = factors.log2_sum(counts)
    certified = math.floor(factors.bits(counts, epsilon_log2=commitment.epsilon_log2))
    eps_extractor = 2.0**commitment.extractor_epsilon_log2
    eps_certificate = 2.0**commitment.epsilon_log2
    return {
        "rounds": int(counts.sum()),
        "counts": counts.reshape(4, 4).tolist(),
        "s": _number(found.s),
        "sigma": _number(found.sigma),
        "exceeds_tsirelson": bool(chsh.exceeds_tsirelson(found)),
        "textbook": _textbook(found.s),
        "beta": factors.beta,
        "log2_sum": round(log2_sum, DECIMALS),
        "certified_bits": certified,
        "threshold_bits": commitment.threshold_bits,
        "threshold_reached": certified >= commitment.threshold_bits > 0,
        "disclosed_bits": commitment.disclosed_bits,
        "epsilon_certificate": eps_certificate,
        "epsilon_extractor": eps_extractor,
        "epsilon": extraction.total_eps(extractors=(eps_extractor,), certificate=eps_certificate),
    }


def check_health(batch: Batch) -> dict[str, Any]:
    """The health tests that each qubit's outcomes passed, in the order they were measured.

    The stream of both qubits together is not tested: entangled outcomes repeat each other.

    Raises:
        HealthTestFailed: A qubit stuck, or turned biased; the batch is to be discarded.
    """
    cutoffs = health.bit_cutoffs(HEALTH_BITS)
    columns = np.ascontiguousarray(batch.matrix.T)
    for column in columns:
        health.check(column, cutoffs)
    return {
        "min_entropy_per_bit": HEALTH_BITS,
        "repetition_cutoff": cutoffs.repetition,
        "proportion_cutoff": cutoffs.proportion,
        "window": cutoffs.window,
        "samples": int(columns.shape[1]),
        "qubits": int(columns.shape[0]),
    }


def read_calibration(counts: NDArray[np.int64]) -> dict[str, Any]:
    """What a certificate tells of the calibration batch."""
    return {
        "calibration_s": _number(certificate_rounds.value(counts).s),
        "calibration_rounds": int(counts.sum()),
    }


def _textbook(s: float) -> dict[str, float | None]:
    """Bits of an endless run of this S, for comparison; None where S is not a quantum value."""
    if not abs(s) <= chsh.TSIRELSON:
        return {"guessing_bits_per_round": None, "von_neumann_bits_per_round": None}
    return {
        "guessing_bits_per_round": round(estimation_factors.guessing_bound(s), DECIMALS),
        "von_neumann_bits_per_round": round(estimation_factors.von_neumann_bound(s), DECIMALS),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def conclude(evidence: Evidence) -> tuple[dict[str, Any], bytes]:
    """The result as a document, and the output bytes; empty if the data did not reach them.

    Raises:
        ValueError: The batch was ordered with another seed or commitment.
        RemoteMisuse: The committed factors do not hold.
        HealthTestFailed: A qubit stuck, or turned biased.
    """
    commitment = evidence.commitment
    if evidence.data.order.plan.tags[:1] != (commitment.tag,):
        raise ValueError(
            f"the data batch was ordered without the commitment's tag {commitment.tag}"
        )
    numbers = read_counts(commitment, evidence.outcomes.counts)
    output = b""
    if numbers["threshold_reached"] and commitment.output_bits:
        extracted = extraction.extract(
            evidence.data,
            seed=evidence.seed,
            min_entropy_bits=float(commitment.threshold_bits - commitment.disclosed_bits),
            output_bits=commitment.output_bits,
            eps=2.0**commitment.extractor_epsilon_log2,
        )
        output = np.packbits(extracted.bits).tobytes()
    standing = judge(evidence.provenances, evidence.outcomes, output_bits=8 * len(output))
    return {
        **numbers,
        **_signalling(evidence.outcomes.no_signalling),
        **read_calibration(evidence.calibration),
        "health": check_health(evidence.data),
        "shots_root": shots_root(evidence.data.packed).hex(),
        "extractor": _extractor(evidence, len(output)),
        "output": {"bytes": len(output), "sha256": hashlib.sha256(output).hexdigest()},
        **standing.document(),
        "inputs": "client",
        "drbg": None,
    }, output


def _signalling(found: chsh.NoSignalling | None) -> dict[str, float | None]:
    if found is None:
        return dict.fromkeys(
            ("no_signalling_p", "max_marginal_shift", "max_marginal_shift_sigma"), None
        )
    return {
        "no_signalling_p": found.p_value,
        "max_marginal_shift": round(found.max_marginal_shift, DECIMALS),
        "max_marginal_shift_sigma": round(found.sigma, DECIMALS),
    }


def _extractor(evidence: Evidence, output_bytes: int) -> dict[str, Any]:
    return {
        "family": "Toeplitz",
        "raw_bits": int(evidence.data.stream.size),
        "output_bits": 8 * output_bytes,
        "seed_origin": evidence.seed.origin.value,
        "seed_detail": evidence.seed.detail,
        "seed_commitment": evidence.seed.commitment,
    }


def judge(
    provenances: tuple[Provenance, ...],
    outcomes: Outcomes,
    *,
    output_bits: int,
) -> Standing:
    """The tier and the claim of an output.

    A Bell score raises nothing by itself: bits of a simulator claim 0 whatever S is. Those of a
    QPU are self-tested if no-signalling passes, S is a quantum value and the data reached what
    was committed to; otherwise they keep the tier of their device and claim nothing here.

    Args:
        provenances: Of all jobs.
        outcomes: Of the data batch.
        output_bits: Bits that were extracted; 0 if the data did not reach the threshold.
    """
    tier = min(source.tier_of(provenance) for provenance in provenances)
    if tier < EntropyTier.DEVICE_MODELLED:
        cap = provenances[-1].entropy_cap_bits
        limit = "" if cap is None else f", in all at most {cap} bits of entropy"
        return Standing(
            EntropyTier.NONE,
            0,
            (
                (
                    f"The bits were computed by {provenances[-1].device}, a simulator{limit}: the "
                    "claim is 0. The certified bits show what the same data of a device would give."
                ),
            ),
        )
    doubts = _doubts(outcomes, output_bits=output_bits)
    if doubts:
        return Standing(tier, 0, doubts)
    caps = [p.entropy_cap_bits for p in provenances if p.entropy_cap_bits is not None]
    return Standing(
        EntropyTier.SELF_TESTED,
        min([output_bits, *caps]),
        ("A Bell test of the same data, no-signalling passed, under the assumptions listed.",),
    )


def _doubts(outcomes: Outcomes, *, output_bits: int) -> tuple[str, ...]:
    """Why bits of a device are not self-tested; empty if they are."""
    doubts = []
    signalling = outcomes.no_signalling
    if signalling is None or not signalling.p_value >= NO_SIGNALLING_P_MIN:
        p = "not measurable" if signalling is None else f"{signalling.p_value:g}"
        doubts.append(
            f"The no-signalling test failed (p {p}, at least {NO_SIGNALLING_P_MIN:g} is needed): "
            "the Bell bound does not hold, and nothing is claimed."
        )
    if chsh.exceeds_tsirelson(outcomes.value):
        doubts.append("S is above 2 sqrt 2: mitigated, signalling or wrong data.")
    if not output_bits:
        doubts.append("The data did not reach the committed threshold: there is no output.")
    return tuple(doubts)


def shots_root(packed: bytes) -> bytes:
    """Merkle root of packed shots in leaves of 64 KiB, 32 bytes, so that a part can be shown.

    Source:
        RFC 9162 section 2.1.1, with SHA-256.
    """
    leaves = [packed[at : at + LEAF_BYTES] for at in range(0, len(packed), LEAF_BYTES)]
    return _root([hashlib.sha256(_LEAF + leaf).digest() for leaf in leaves])


def _root(digests: list[bytes]) -> bytes:
    if not digests:
        return hashlib.sha256().digest()
    if len(digests) == 1:
        return digests[0]
    split = 1 << (len(digests) - 1).bit_length() - 1
    return hashlib.sha256(_NODE + _root(digests[:split]) + _root(digests[split:])).digest()


def canonical(document: Mapping[str, Any]) -> bytes:
    """The byte form of a document that is hashed and signed.

    The canonical form of `codec` of the document with every part tagged: 1 and a list of name
    and value for a mapping, in the order of names; 2 and the parts for a list; 3 and the eight
    bytes of a float, big-endian. Other values stand for themselves.

    Raises:
        ValueError: For a float that is not finite, or an integer beyond 64 bits.
        TypeError: For a value that JSON does not have.
    """
    return codec.encode(_tagged(document))


def _tagged(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [1, [[name, _tagged(value[name])] for name in sorted(value)]]
    if isinstance(value, list | tuple):
        return [2, [_tagged(part) for part in value]]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a certificate holds finite numbers only, not {value}")
        return [3, struct.pack(">d", value)]
    return value


def certificate_id(document: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical bytes: the name that values of this run carry."""
    return hashlib.sha256(canonical(document)).hexdigest()


def sign(
    document: Mapping[str, Any], key: SigningKey, *, context: bytes = SIGNATURE_CONTEXT
) -> bytes:
    """The signature of a document, ML-DSA-65 for keys of this package."""
    return key.sign(canonical(document), context=context)


def check_signature(
    document: Mapping[str, Any],
    *,
    key: VerifyingKey,
    signature: bytes,
    context: bytes = SIGNATURE_CONTEXT,
) -> None:
    """Return if the signature is this key's of this document; raises BadSignature."""
    key.verify(canonical(document), signature, context=context)

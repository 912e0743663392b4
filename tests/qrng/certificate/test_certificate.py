"""What is fixed before the data stays fixed, and no score raises a claim above its origin."""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from qlq import circuit, codec
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import BadSignature, HealthTestFailed, MinEntropyTooLow, RemoteMisuse
from qlq.numerics import chsh
from qlq.provenance import Claim, EntropyTier, Kind, Provenance, Tier
from qlq.qrng import (
    certificate,
    certificate_commitment,
    certificate_rounds,
    estimation_factors,
    source,
)
from qlq.qrng.certificate import Evidence
from qlq.qrng.certificate_commitment import Commitment
from qlq.qrng.certificate_rounds import Outcomes
from qlq.qrng.extraction import CommittedSeed, SeedOrigin
from qlq.shots import Shots

ROUNDS, CALIBRATION = 20_000, 5_000
EPSILON_LOG2 = -64
VISIBILITY = 0.98

PROVENANCE = Provenance(
    tier=Tier.QPU,
    claim=Claim.SAME_CHIP,
    backend="table:q",
    provider="test",
    device="table",
    kind=Kind.QPU,
    job_id="1",
    program_digest=circuit.load("e91").digest,
    sdk={"table": "1"},
)
SIMULATED = replace(
    PROVENANCE, tier=Tier.SIMULATOR, claim=Claim.SIMULATION, kind=Kind.NOISY, entropy_cap_bits=32
)


def shots_of(plan: circuit.Plan, rng: np.random.Generator, provenance: Provenance) -> Shots:
    """Pairs of this visibility, by the Born rule for axes in one plane."""
    equal = 0.5 + 0.5 * VISIBILITY * np.cos(plan.bindings[:, 0] - plan.bindings[:, 1])
    alice = rng.integers(0, 2, (len(plan.bindings), plan.shots), dtype=np.uint8)
    differ = rng.random(alice.shape) >= equal[:, None]
    return Shots(np.stack([alice, alice ^ differ], axis=2).astype(np.uint8), provenance)


def run(provenance: Provenance = PROVENANCE, seed: int = 5) -> Evidence:
    """A whole run on a table of probabilities."""
    rng = np.random.default_rng(seed)
    drawn = rng.bytes(certificate_rounds.draw_bytes(CALIBRATION))
    arrangement = certificate_rounds.arrange(drawn, count=CALIBRATION, blocks=1)
    order = certificate_rounds.order(arrangement, tags=("c",))
    batch = source.collect(order, shots_of(order.plan, rng, provenance))
    counts = certificate_rounds.count(arrangement, batch)
    factors = estimation_factors.calibrate(counts, rounds=ROUNDS, epsilon_log2=EPSILON_LOG2)
    lengths = certificate_commitment.plan_output(
        factors, counts, rounds=ROUNDS, epsilon_log2=EPSILON_LOG2, extractor_epsilon_log2=-64
    )
    size = certificate_commitment.seed_bytes(rounds=ROUNDS, blocks=4, output_bits=lengths[1])
    toeplitz = CommittedSeed(rng.bytes(size), SeedOrigin.CLIENT)
    commitment = certificate_commitment.commit(
        factors,
        calibration=certificate_commitment.calibration_digest(drawn, batch),
        rounds=ROUNDS,
        blocks=4,
        epsilon_log2=EPSILON_LOG2,
        extractor_epsilon_log2=-64,
        lengths=lengths,
        seed=toeplitz,
    )
    data_drawn = rng.bytes(certificate_rounds.draw_bytes(ROUNDS))
    arranged = certificate_rounds.arrange(data_drawn, count=ROUNDS, blocks=4)
    order = certificate_rounds.order(
        arranged, tags=(commitment.tag,), seed_commitment=toeplitz.commitment
    )
    data = source.collect(order, shots_of(order.plan, rng, provenance))
    return Evidence(
        commitment, counts, data, certificate_rounds.evaluate(arranged, data), toeplitz,
        (provenance, provenance),
    )  # fmt: skip


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return run()


def test_a_device_that_passes_is_self_tested_and_claims_its_output(evidence: Evidence) -> None:
    result, output = certificate.conclude(evidence)
    assert result["s"] == pytest.approx(2 * math.sqrt(2) * VISIBILITY, abs=5 * result["sigma"])
    assert result["threshold_reached"]
    assert (result["tier"], result["claim_bits"]) == ("T3", 8 * len(output))
    assert len(output) > 300
    assert result["epsilon"] == 2 * 2.0**-64
    assert "device-independent" in result["assumptions"][0]


def test_numbers_are_those_of_the_formulas(evidence: Evidence) -> None:
    result, output = certificate.conclude(evidence)
    beta = float.fromhex(evidence.commitment.beta)
    values = [float.fromhex(text) for text in evidence.commitment.factors]
    counts = evidence.outcomes.counts.reshape(-1).tolist()
    log2_sum = sum(n * math.log2(f) for n, f in zip(counts, values, strict=True))
    assert result["log2_sum"] == pytest.approx(log2_sum, abs=1e-6)
    assert result["certified_bits"] == math.floor((log2_sum - 64) / beta)
    commitment = evidence.commitment
    assert commitment.disclosed_bits == 12 * 15 + 50 + 1  # 2^14 < 20,001 <= 2^15
    available = commitment.threshold_bits - commitment.disclosed_bits - 2 * 64
    assert 8 * len(output) == commitment.output_bits == available // 8 * 8


def test_the_output_is_the_product_of_seed_and_raw_shots(evidence: Evidence) -> None:
    """The first 64 output bits against the sum that defines them."""
    _, output = certificate.conclude(evidence)
    raw = evidence.data.shots.bits.reshape(-1).astype(np.int64)
    seed = np.unpackbits(np.frombuffer(evidence.seed.material, dtype=np.uint8)).astype(np.int64)
    found = np.unpackbits(np.frombuffer(output, dtype=np.uint8))[:64]
    for index, bit in enumerate(found):
        assert (seed[index : index + raw.size][::-1] @ raw) % 2 == bit


def test_a_simulator_claims_nothing_whatever_s_is() -> None:
    result, output = certificate.conclude(run(SIMULATED))
    assert result["s"] > 2.7
    assert result["certified_bits"] > 1000
    assert len(output) > 300
    assert (result["tier"], result["claim_bits"]) == ("T0", 0)
    assert "simulator" in result["claim_reasons"][0]
    assert "32 bits" in result["claim_reasons"][0]


def test_one_simulated_batch_is_enough_to_claim_nothing(evidence: Evidence) -> None:
    for pair in ((SIMULATED, PROVENANCE), (PROVENANCE, SIMULATED)):
        standing = certificate.judge(pair, evidence.outcomes, output_bits=800)
        assert (standing.tier, standing.claim_bits) == (EntropyTier.NONE, 0)


def signalling(p: float) -> chsh.NoSignalling:
    return chsh.NoSignalling(p, 0.01, 0.01)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"no_signalling": signalling(0.0009)}, "no-signalling"),
        ({"no_signalling": signalling(math.nan)}, "no-signalling"),
        ({"no_signalling": None}, "not measurable"),
        ({"value": chsh.ChshValue(2.9, 0.01)}, "2 sqrt 2"),
    ],
)
def test_a_doubt_lowers_the_tier_and_takes_the_claim(
    evidence: Evidence, changes: dict[str, Any], word: str
) -> None:
    outcomes = replace(evidence.outcomes, **changes)
    standing = certificate.judge((PROVENANCE, PROVENANCE), outcomes, output_bits=800)
    assert (standing.tier, standing.claim_bits) == (EntropyTier.DEVICE_MODELLED, 0)
    assert word in standing.reasons[0]


def test_no_output_claims_nothing(evidence: Evidence) -> None:
    standing = certificate.judge((PROVENANCE, PROVENANCE), evidence.outcomes, output_bits=0)
    assert (standing.tier, standing.claim_bits) == (EntropyTier.DEVICE_MODELLED, 0)
    assert "threshold" in standing.reasons[0]


def test_a_cap_of_the_source_bounds_the_claim(evidence: Evidence) -> None:
    capped = replace(PROVENANCE, entropy_cap_bits=100)
    standing = certificate.judge((PROVENANCE, capped), evidence.outcomes, output_bits=800)
    assert (standing.tier, standing.claim_bits) == (EntropyTier.SELF_TESTED, 100)


def test_data_below_the_threshold_give_no_output(evidence: Evidence) -> None:
    """The same pairs with 12 % of Bob's bits replaced by coins: S falls below what was promised."""
    rng = np.random.default_rng(9)
    bits = evidence.data.shots.bits.copy()
    noisy = rng.random(bits.shape[:2]) < 0.12
    bits[:, :, 1] = np.where(noisy, rng.integers(0, 2, noisy.shape), bits[:, :, 1])
    data = source.collect(evidence.data.order, Shots(bits, PROVENANCE))
    counts = evidence.outcomes.counts
    lost = np.rint(0.06 * counts).astype(np.int64)
    worse = counts - lost + lost[..., ::-1]
    outcomes = Outcomes(worse, certificate_rounds.value(worse), signalling(0.5))
    result, output = certificate.conclude(replace(evidence, data=data, outcomes=outcomes))
    assert not result["threshold_reached"]
    assert output == b""
    assert (result["tier"], result["claim_bits"]) == ("T2", 0)


def test_data_that_were_ordered_otherwise_are_refused(evidence: Evidence) -> None:
    plan = evidence.data.order.plan
    untagged = circuit.Plan(plan.program, plan.bindings, plan.shots, tags=("another",))
    order = replace(evidence.data.order, plan=untagged)
    with pytest.raises(ValueError, match="without the commitment's tag"):
        certificate.conclude(replace(evidence, data=source.collect(order, evidence.data.shots)))
    other = CommittedSeed(evidence.seed.material[::-1], SeedOrigin.CLIENT)
    with pytest.raises(ValueError, match="fixed before"):
        certificate.conclude(replace(evidence, seed=other))


def test_a_qubit_that_sticks_or_turns_biased_within_a_batch_is_found(evidence: Evidence) -> None:
    """41 equal outcomes in a row, and five ones in six: cutoffs of SP 800-90B 4.4 at 0.5 bits."""
    passed = certificate.conclude(evidence)[0]["health"]
    assert (passed["repetition_cutoff"], passed["proportion_cutoff"]) == (41, 793)
    shots = evidence.data.shots.bits
    stuck, biased = shots.copy(), shots.copy()
    stuck.reshape(-1, 2)[5000:5041, 1] = 1
    biased.reshape(-1, 2)[:, 0] = np.arange(biased.size // 2) % 6 > 0
    for bits, word in ((stuck, "repetition"), (biased, "proportion")):
        batch = source.collect(evidence.data.order, Shots(bits, PROVENANCE))
        with pytest.raises(HealthTestFailed, match=word):
            certificate.conclude(replace(evidence, data=batch))


def test_what_the_certificate_tells_is_not_extracted_again(evidence: Evidence) -> None:
    """One byte more than threshold, disclosed bits and extractor leave is refused."""
    greedy = msgspec.structs.replace(
        evidence.commitment, output_bits=evidence.commitment.output_bits + 8
    )
    plan = evidence.data.order.plan
    tagged = circuit.Plan(plan.program, plan.bindings, plan.shots, tags=(greedy.tag,))
    data = source.collect(replace(evidence.data.order, plan=tagged), evidence.data.shots)
    with pytest.raises(MinEntropyTooLow):
        certificate.conclude(replace(evidence, commitment=greedy, data=data))


def test_every_field_changes_the_commitment(evidence: Evidence) -> None:
    commitment = evidence.commitment
    changes: dict[str, Any] = {
        "rounds": 1, "blocks": 1, "calibration": bytes(32), "beta": "0x1p-3",
        "factors": ("0x1p-1",) * 16, "epsilon_log2": -1, "extractor_epsilon_log2": -1,
        "threshold_bits": 1, "disclosed_bits": 1, "output_bits": 8, "seed": "",
    }  # fmt: skip
    assert set(changes) == set(Commitment.__struct_fields__)
    digests = {
        msgspec.structs.replace(commitment, **{name: value}).digest
        for name, value in changes.items()
    }
    assert len(digests | {commitment.digest}) == len(changes) + 1
    assert commitment.tag == f"qlq-{commitment.digest.hex()[:32]}"


def test_factors_that_do_not_hold_are_refused_when_read(evidence: Evidence) -> None:
    good = evidence.commitment
    larger = tuple((float.fromhex(text) * 1.001).hex() for text in good.factors)
    short = good.factors[:15]
    other = (good.factors[0].upper(), *good.factors[1:])
    for factors in (larger, short, other, ("nonsense",) * 16):
        with pytest.raises(RemoteMisuse):
            msgspec.structs.replace(good, factors=factors).read_factors()
    assert good.read_factors().beta == float.fromhex(good.beta)


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = max(1 << power for power in range(20) if 1 << power < len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


@pytest.mark.parametrize("leaves", [0, 1, 2, 3, 4, 5, 7, 8, 9])
def test_the_root_of_shots_is_the_standard_tree(leaves: int) -> None:
    data = np.random.default_rng(leaves).bytes(max(0, 65_536 * leaves - 100 * (leaves > 0)))
    parts = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
    assert certificate.shots_root(data) == naive_root(parts)


def test_a_document_has_one_byte_form() -> None:
    document = {"b": [1, 2.5, None], "a": {"y": "text", "x": True}}
    again = {"a": {"x": True, "y": "text"}, "b": [1, 2.5, None]}
    tagged = [
        1,
        [
            ["a", [1, [["x", True], ["y", "text"]]]],
            ["b", [2, [1, [3, struct.pack(">d", 2.5)], None]]],
        ],
    ]
    assert certificate.canonical(document) == codec.encode(tagged)
    assert certificate.canonical(again) == certificate.canonical(document)
    name = hashlib.sha256(codec.encode(tagged)).hexdigest()
    assert certificate.certificate_id(document) == name


def test_documents_that_differ_have_different_bytes() -> None:
    every = [
        {}, {"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": True}, {"a": None}, {"a": [1]}, {"a": [[1]]},
        {"a": {}}, {"a": []}, {"a": {"b": 1}}, {"a": [["b", 1]]}, {"a": [1, [["b", 1]]]}, {"b": 1},
    ]  # fmt: skip
    forms = [certificate.canonical(document) for document in every]
    for (one, first), (other, second) in itertools.combinations(zip(every, forms, strict=True), 2):
        assert first != second, (one, other)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1 << 70, "e\u0301"])
def test_what_has_no_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"finite|64 bits|normal form"):
        certificate.canonical({"a": value})


def test_a_signature_is_of_one_key_and_one_document() -> None:
    key, other = (SigningKey(Algorithm.ML_DSA_65, bytes([n]) * 32) for n in (1, 2))
    signature = certificate.sign({"a": 1}, key)
    certificate.check_signature({"a": 1}, key=key.verifying_key, signature=signature)
    for document, who in (({"a": 2}, key), ({"a": 1}, other)):
        with pytest.raises(BadSignature):
            certificate.check_signature(document, key=who.verifying_key, signature=signature)

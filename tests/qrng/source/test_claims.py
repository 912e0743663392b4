"""What may be claimed: the tier caps, statistics lower, words say why."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.keys import EntropyBlock
from qlq.provenance import Claim, EntropyTier, Kind, Provenance, Tier, lowest
from qlq.qrng import source_claims
from qlq.qrng.source_claims import Assessment, RawClaim

GOOD = {"readout_error": 0.01, "prob_1_given_0": 0.0, "prob_0_given_1": 0.02, "pulse_error": 0.005}
DEVICE = Provenance(
    Tier.QPU,
    Claim.SAME_CHIP,
    "lab",
    "tests",
    "lab",
    Kind.QPU,
    "job",
    "digest",
    sdk={},
    calibration={"qubits": [GOOD]},
)
SIMULATOR = dataclasses.replace(
    DEVICE, tier=Tier.SIMULATOR, claim=Claim.SIMULATION, kind=Kind.NOISY, entropy_cap_bits=32
)
FULL = Assessment(0.86, 1_000_000)


def test_a_simulator_claims_nothing_however_well_it_scores() -> None:
    claim = source_claims.of_shots(SIMULATOR, raw_bits=1_000_000, assessment=Assessment(1.0, 10**6))
    assert (claim.tier, claim.min_entropy_bits) == (EntropyTier.NONE, 0.0)
    assert "seed of at most 32 bits" in claim.reasons[0]


def test_a_classical_source_claims_nothing() -> None:
    system = dataclasses.replace(
        DEVICE, tier=Tier.CLASSICAL, claim=Claim.CLASSICAL, kind=Kind.CLASSICAL
    )
    claim = source_claims.of_shots(system, raw_bits=100, assessment=FULL)
    assert (claim.tier, claim.min_entropy_bits) == (EntropyTier.NONE, 0.0)


@pytest.mark.parametrize(
    ("assessed", "readout", "expected"),
    [
        (0.86, 0.01, 0.8),  # the budget
        (0.7, 0.01, 0.7),  # the assessment
        (0.86, 0.40, 1.0 - math.log2(1.405)),  # the calibration: 0.40 + 0.005
        (0.0, 0.01, 0.0),
    ],
)
def test_the_least_of_budget_assessment_and_calibration_counts(
    assessed: float, readout: float, expected: float
) -> None:
    qubit = {**GOOD, "readout_error": readout}
    device = dataclasses.replace(DEVICE, calibration={"qubits": [GOOD, qubit]})
    claim = source_claims.of_shots(device, raw_bits=1000, assessment=Assessment(assessed, 10**6))
    assert claim.tier is EntropyTier.DEVICE_MODELLED
    # 0.01 is below the worse direction of readout, 0.02
    assert claim.min_entropy_bits == pytest.approx(1000 * expected)


@pytest.mark.parametrize(
    "calibration",
    [
        {},
        {"qubits": []},
        {"qubits": [{**GOOD, "pulse_error": None}]},
        {"qubits": [GOOD, {"pulse_error": 0.1}]},
        {"qubits": [{**GOOD, "readout_error": math.nan}]},
        {"qubits": [{**GOOD, "readout_error": 1.5}]},
    ],
)
def test_without_a_whole_calibration_nothing_is_claimed(calibration: dict[str, Any]) -> None:
    device = dataclasses.replace(DEVICE, calibration=calibration)
    claim = source_claims.of_shots(device, raw_bits=1000, assessment=FULL)
    assert claim.min_entropy_bits == 0.0
    assert "calibration" in claim.reasons[0]


def test_without_an_assessment_nothing_is_claimed() -> None:
    claim = source_claims.of_shots(DEVICE, raw_bits=1000)
    assert claim.min_entropy_bits == 0.0
    assert "assessment" in claim.reasons[0]


def test_a_short_assessment_is_marked() -> None:
    claim = source_claims.of_shots(DEVICE, raw_bits=1000, assessment=Assessment(0.8, 999_999))
    assert "999999 samples" in claim.reasons[-1]
    full = source_claims.of_shots(DEVICE, raw_bits=1000, assessment=FULL)
    assert not any("short" in reason for reason in full.reasons)


def test_a_cap_of_the_source_caps_the_claim() -> None:
    device = dataclasses.replace(DEVICE, entropy_cap_bits=32)
    claim = source_claims.of_shots(device, raw_bits=1000, assessment=FULL)
    assert claim.min_entropy_bits == 32.0


@given(p=st.floats(0.0, 1.0))
def test_the_calibration_s_bound_is_the_entropy_of_the_best_guess(p: float) -> None:
    qubit = {"readout_error": p, "pulse_error": 0.0}
    bound = source_claims.calibration_bound({"qubits": [qubit]})
    # right always where the shot departs, half the time where it does not
    assert bound == pytest.approx(-math.log2(p + (1 - p) / 2), abs=1e-12)


def test_the_worse_direction_of_readout_counts() -> None:
    qubit = {"readout_error": 0.02, "prob_1_given_0": 0.3, "prob_0_given_1": 0.01}
    bound = source_claims.calibration_bound({"qubits": [{**qubit, "pulse_error": 0.1}]})
    assert bound == pytest.approx(-math.log2(0.4 + 0.6 / 2))


def test_vendor_attested_bits_claim_what_is_stated_and_say_so() -> None:
    claim = source_claims.attested(raw_bits=100, stated_bits=90.0, vendor="a service")
    assert (claim.tier.code, claim.min_entropy_bits) == ("T1", 90.0)
    assert "nothing of that was checked" in claim.reasons[0]
    with pytest.raises(ValueError, match="101"):
        source_claims.attested(raw_bits=100, stated_bits=101.0, vendor="a service")


def test_together_the_lowest_tier_counts() -> None:
    device = RawClaim(1000, 800.0, EntropyTier.DEVICE_MODELLED, ("device",))
    service = RawClaim(100, 50.0, EntropyTier.VENDOR_ATTESTED, ("service",))
    nothing = RawClaim(100, 0.0, EntropyTier.NONE, ("simulator",))
    both = source_claims.combine((device, service))
    assert (both.raw_bits, both.min_entropy_bits, both.tier.code) == (1100, 850.0, "T1")
    assert source_claims.combine((device, nothing)).min_entropy_bits == 0.0
    assert lowest((EntropyTier.IMPORTED, EntropyTier.SELF_TESTED)) is EntropyTier.SELF_TESTED
    with pytest.raises(ValueError, match="no tier"):
        source_claims.combine(())


def test_no_value_can_hold_a_claim_above_its_tier_or_its_bits() -> None:
    with pytest.raises(ValueError, match="T0"):
        RawClaim(8, 1.0, EntropyTier.NONE, ())
    with pytest.raises(ValueError, match="cannot hold"):
        RawClaim(8, 8.5, EntropyTier.SELF_TESTED, ())
    with pytest.raises(ValueError, match="cannot hold"):
        RawClaim(8, math.nan, EntropyTier.SELF_TESTED, ())
    with pytest.raises(ValueError, match="T0"):
        EntropyBlock(b"x", 1.0, EntropyTier.NONE, ("why",), None, ())
    with pytest.raises(ValueError, match="1 bytes"):
        EntropyBlock(b"x", 9.0, EntropyTier.SELF_TESTED, ("why",), None, ())
    with pytest.raises(ValueError, match="reason"):
        EntropyBlock(b"x", 1.0, EntropyTier.SELF_TESTED, (), None, ())


def test_a_block_shows_none_of_its_bytes() -> None:
    block = EntropyBlock(b"secret!!", 1.0, EntropyTier.SELF_TESTED, ("why",), "id", ())
    assert "secret" not in repr(block)

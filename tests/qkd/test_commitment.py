"""What is fixed before the first pulse: never from data, never longer for a weaker promise."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlq.provenance import CLAIM_MAX, Claim, Kind, Provenance, Tier
from qlq.qkd import worth
from qlq.qkd.parameters import (
    PULSES_MAX,
    Parameters,
    Protocol,
    Reconciliation,
    Sampling,
    Wanted,
    commit,
    commitment_digest,
    leak_limit_bits,
    least_pulses,
    tag_length_bits,
)


def wanted(**values) -> Wanted:
    return Wanted(**{"protocol": Protocol.BB84, "pulses": 100_000, "qber_max": 0.02} | values)


KINDS = st.sampled_from(
    [
        {"protocol": Protocol.BB84},
        {"protocol": Protocol.BB84, "sampling": Sampling.SYMMETRIC},
        {"protocol": Protocol.E91},
        {"protocol": Protocol.BB84, "key_bias": 0.8},
    ]
)
PULSES = st.integers(1, PULSES_MAX)
RATES = st.floats(0.001, 0.49)
EPSILONS = st.floats(1e-20, 0.099)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(kind=KINDS, pulses=PULSES, rate=RATES, eps_sec=EPSILONS, eps_cor=EPSILONS)
def test_committed_numbers_fit_into_the_pulses(
    kind: dict, pulses: int, rate: float, eps_sec: float, eps_cor: float
) -> None:
    parameters = commit(
        Wanted(pulses=pulses, qber_max=rate, eps_sec=eps_sec, eps_cor=eps_cor, **kind)
    )
    p = parameters.key_bias / 65536
    assert parameters == commit(
        Wanted(pulses=pulses, qber_max=rate, eps_sec=eps_sec, eps_cor=eps_cor, **kind)
    )
    counts = (parameters.key_rounds, parameters.rate_rounds, parameters.test_rounds)
    assert all(count >= 0 for count in counts)
    if parameters.is_symmetric:
        assert sum(counts) <= pulses * (p * p + (1 - p) ** 2)
    else:
        assert parameters.key_rounds + parameters.rate_rounds <= pulses * p * p
        assert parameters.test_rounds <= pulses * (1 - p) ** 2
    assert parameters.secret_bits >= 0
    if parameters.secret_bits:
        # no key is longer than what is left after leakage and tag
        q = parameters.qber_max
        asymptotic = parameters.key_rounds * (1 + q * math.log2(q) + (1 - q) * math.log2(1 - q))
        left = asymptotic - parameters.leak_max_bits - parameters.tag_bits
        assert parameters.secret_bits < left
    assert 2.0**-parameters.tag_bits <= eps_cor < 2.0 ** -(parameters.tag_bits - 1)
    assert float(parameters.eps_sec) == eps_sec


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=KINDS,
    pulses=PULSES,
    rates=st.tuples(st.floats(0.001, 0.1), st.floats(0.001, 0.1)),
    eps_sec=st.tuples(EPSILONS, EPSILONS),
    eps_cor=st.tuples(EPSILONS, EPSILONS),
)
def test_a_stronger_promise_never_gives_a_longer_key(
    kind: dict, pulses: int, rates: tuple, eps_sec: tuple, eps_cor: tuple
) -> None:
    def length(rate: float, sec: float, cor: float) -> int:
        asked = Wanted(pulses=pulses, qber_max=rate, eps_sec=sec, eps_cor=cor, **kind)
        return commit(asked).secret_bits

    weak = length(min(rates), max(eps_sec), max(eps_cor))
    assert length(max(rates), max(eps_sec), max(eps_cor)) <= weak
    assert length(min(rates), min(eps_sec), max(eps_cor)) <= weak
    assert length(min(rates), max(eps_sec), min(eps_cor)) <= weak


def test_the_chosen_bias_gives_the_longest_key_of_all() -> None:
    for pulses in (20_000, 100_000, 1_000_000):
        best = commit(wanted(pulses=pulses)).secret_bits
        for bias in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98):
            assert commit(wanted(pulses=pulses, key_bias=bias)).secret_bits <= best


def test_e91_keeps_enough_rounds_for_a_bell_test() -> None:
    """300 rounds of each pair give sigma(S) = sqrt(4 (1 - 1/2) / 300) = 0.08."""
    for pulses in (20_000, 100_000, 1_000_000, 2_000_000):
        parameters = commit(wanted(protocol=Protocol.E91, pulses=pulses))
        p = parameters.key_bias / 65536
        assert pulses * (1 - p) ** 2 / 4 >= 300


@pytest.mark.parametrize(
    ("n", "q", "bits"),
    [
        # 2 (1.25 n h(q) + 256): h(0.11) = 0.499916, h(0.02) = 0.141441, h(0.5) = 1
        (10_000, 0.11, 2 * (1.25 * 4999.16 + 256)),
        (100_000, 0.02, 2 * (1.25 * 14144.05 + 256)),
        (1000, 0.5, 2 * (1.25 * 1000 + 256)),
    ],
)
def test_the_leak_limit_charges_both_directions(n: int, q: float, bits: float) -> None:
    assert leak_limit_bits(n, q) == pytest.approx(bits, abs=1.5)


@pytest.mark.parametrize(("eps", "bits"), [(0.5, 1), (0.4, 2), (2.0**-32, 32), (1e-12, 40)])
def test_the_tag_is_the_shortest_that_keeps_the_promise(eps: float, bits: int) -> None:
    assert tag_length_bits(eps) == bits


def test_the_least_number_of_pulses_gives_a_key_and_a_little_less_does_not() -> None:
    least = least_pulses(wanted(pulses=1))
    assert commit(wanted(pulses=least)).secret_bits > 0
    assert commit(wanted(pulses=int(least * 0.99))).secret_bits == 0
    assert least_pulses(wanted(pulses=1, qber_max=0.2)) is None


REFUSED = [
    ({"pulses": 0}, "pulses", "0"),
    ({"pulses": -1}, "pulses", "-1"),
    ({"pulses": PULSES_MAX + 1}, "pulses", str(PULSES_MAX + 1)),
    ({"blocks": 0}, "blocks", "0"),
    ({"blocks": 65}, "blocks", "65"),
    ({"qber_max": 0.0}, "QBER", "0.0"),
    ({"qber_max": 0.5}, "QBER", "0.5"),
    ({"qber_max": -0.01}, "QBER", "-0.01"),
    ({"qber_max": math.nan}, "QBER", "nan"),
    ({"eps_sec": 0.0}, "eps_sec", "0.0"),
    ({"pulses": 10.5}, "pulses", "10.5"),
    ({"pulses": True}, "pulses", "True"),
    ({"protocol": "bb84"}, "protocol", "bb84"),
    ({"sampling": "biased"}, "sampling", "biased"),
    ({"eps_sec": 1.0}, "eps_sec", "1.0"),
    ({"eps_sec": math.nan}, "eps_sec", "nan"),
    ({"eps_cor": 0.0}, "eps_cor", "0.0"),
    ({"eps_cor": math.inf}, "eps_cor", "inf"),
    ({"key_bias": 0.49}, "bias", "0.49"),
    ({"key_bias": 0.995}, "bias", "0.995"),
    ({"key_bias": math.nan}, "bias", "nan"),
    ({"protocol": Protocol.E91, "sampling": Sampling.SYMMETRIC}, "E91", "symmetric"),
    ({"sampling": Sampling.SYMMETRIC, "key_bias": 0.7}, "symmetric", "0.7"),
]


@pytest.mark.parametrize(("values", "name", "shown"), REFUSED)
def test_values_outside_their_range_are_refused_by_name(
    values: dict, name: str, shown: str
) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        wanted(**values)
    assert shown in str(caught.value)


@pytest.mark.parametrize("qber_max", [1e-9, 4e-7, 0.4999999])
def test_a_tolerance_finer_than_the_commitment_can_hold_is_refused(qber_max: float) -> None:
    """The commitment holds parts per million: nothing may become zero or one half."""
    with pytest.raises(ValueError, match="QBER") as caught:
        wanted(qber_max=qber_max)
    assert str(qber_max) in str(caught.value)


@pytest.mark.parametrize("qber_max", [1e-6, 0.499999])
def test_the_finest_tolerances_are_kept(qber_max: float) -> None:
    assert commit(wanted(qber_max=qber_max)).qber_max == qber_max


@pytest.mark.parametrize("protocol", list(Protocol))
def test_thresholds_are_the_intervals_of_the_settings(protocol: Protocol) -> None:
    parameters = commit(wanted(protocol=protocol, key_bias=0.8))
    assert parameters.key_bias == round(0.8 * 65536) == 52429
    assert parameters.alice_thresholds == (52429, 65536)
    # what is left, 13107 steps, is shared 1/2 : 1/4 : 1/4 among Bob's other settings
    expected = (52429, 65536) if protocol is Protocol.BB84 else (52429, 58982, 62258, 65536)
    assert parameters.bob_thresholds == expected


def test_the_digest_covers_every_field() -> None:
    parameters = commit(wanted())
    one = commitment_digest(parameters)
    assert one == hashlib.sha256(msgspec.msgpack.encode(parameters)).hexdigest()
    others = {
        "protocol": Protocol.E91,
        "sampling": Sampling.SYMMETRIC,
        "reconciliation": Reconciliation.BICONF,
        "eps_sec": "1e-9",
        "eps_cor": "1e-9",
    }
    for name in Parameters.__struct_fields__:
        value = others.get(name) or getattr(parameters, name) + 1
        changed = msgspec.structs.replace(parameters, **{name: value})
        assert commitment_digest(changed) != one


def made_by(claim: Claim, cap: int | None = None) -> Provenance:
    return Provenance(
        tier=next(
            tier for tier in (Tier.CLASSICAL, Tier.SIMULATOR, Tier.QPU) if claim <= CLAIM_MAX[tier]
        ),
        claim=claim,
        backend="x",
        provider="x",
        device="x",
        kind=Kind.IDEAL,
        job_id="1",
        program_digest="",
        sdk={},
        entropy_cap_bits=cap,
    )


def test_a_key_is_worth_what_its_weakest_job_is() -> None:
    bb84 = commit(wanted())
    e91 = commit(wanted(protocol=Protocol.E91))
    jobs = (made_by(Claim.TWO_NODE, 64), made_by(Claim.SIMULATION, 32))
    mixed = worth.value(e91, jobs, reproducible=False)
    assert mixed.claim is Claim.SIMULATION
    assert not mixed.protects_alone
    assert mixed.entropy_cap_bits == 96  # independent seeds of both jobs
    assert worth.value(bb84, jobs, reproducible=False).entropy_cap_bits == 256  # Alice's seed
    alone = worth.value(e91, (made_by(Claim.TWO_NODE),), reproducible=False)
    assert alone.protects_alone
    assert alone.entropy_cap_bits is None
    assert "never used without" in worth.sentence(mixed)
    assert "never used without" not in worth.sentence(alone)
    assert "at most 96 bits" in worth.sentence(mixed)
    with pytest.raises(ValueError, match="no claim"):
        worth.value(e91, (), reproducible=False)


@pytest.mark.parametrize("claim", list(Claim))
def test_a_key_from_a_typed_seed_is_secret_against_nobody(claim: Claim) -> None:
    value = worth.value(commit(wanted()), (made_by(claim),), reproducible=True)
    assert (value.secret_against, value.entropy_cap_bits) == ((), 0)
    assert "secret against nobody" in worth.sentence(value)
    other = worth.value(commit(wanted()), (made_by(claim),), reproducible=False)
    assert len(other.secret_against) == 1


def test_each_protocol_names_its_own_assumptions() -> None:
    of_bb84, of_e91 = (worth.assumptions(commit(wanted(protocol=p))) for p in Protocol)
    assert any("four BB84 states" in line for line in of_bb84)
    assert any("mutually unbiased" in line for line in of_e91)


@pytest.mark.parametrize(
    ("tier", "claim"), [(Tier.SIMULATOR, Claim.SAME_CHIP), (Tier.CLASSICAL, Claim.SIMULATION)]
)
def test_nothing_claims_more_than_its_tier_allows(tier: Tier, claim: Claim) -> None:
    with pytest.raises(ValueError, match=tier.value):
        replace(made_by(Claim.SIMULATION), tier=tier, claim=claim)

"""Whole sessions over an exact link: equal keys, known error rates, and what Eve does to them."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from qlq.errors import BellTestFailed, KeyTooShort, QBERTooHigh, TooFewRounds
from qlq.qkd import eve, record
from qlq.qkd.duties import Party
from qlq.qkd.parameters import (
    Parameters,
    Protocol,
    Reconciliation,
    Sampling,
    Wanted,
    commit,
)

PULSES = {Protocol.BB84: 60_000, Protocol.E91: 80_000}


def agreed(protocol: Protocol = Protocol.BB84, **wanted) -> Parameters:
    """Parameters that leave a key at a few errors in a hundred."""
    values = {"pulses": PULSES[protocol], "qber_max": 0.02} | wanted
    return commit(Wanted(protocol=protocol, **values))


def h(p: float) -> float:
    """Binary entropy in bits."""
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


@pytest.mark.parametrize("flip", [0.0, 0.006])
@pytest.mark.parametrize("reconciliation", list(Reconciliation))
@pytest.mark.parametrize(
    ("protocol", "sampling"),
    [
        (Protocol.BB84, Sampling.BIASED),
        (Protocol.BB84, Sampling.SYMMETRIC),
        (Protocol.E91, Sampling.BIASED),
    ],
)
def test_both_get_the_same_key_of_the_committed_length(
    lab, protocol: Protocol, sampling: Sampling, reconciliation: Reconciliation, flip: float
) -> None:
    parameters = agreed(protocol, sampling=sampling, reconciliation=reconciliation)
    assert parameters.secret_bits > 1000
    ending = lab.converse(parameters, seed=2, flip=flip)
    assert ending.abort is None
    assert ending.alice_key.size == parameters.secret_bits
    assert np.array_equal(ending.alice_key, ending.bob_key)
    assert set(np.unique(ending.alice_key)) == {0, 1}
    public = record.read(parameters, ending.transcript)
    assert public.tags == 2
    assert public.abort_reason is None
    # biconf and yanetal ask about random halves even without errors; nobody corrects anything
    assert (public.leakage.corrected_bits == 0) is (flip == 0.0)


@pytest.mark.parametrize("basis", ["key", "test"])
def test_the_symmetric_key_is_corrected_at_the_rate_of_both_bases(lab, basis: str) -> None:
    """Eve in one basis leaves errors in the rounds of the other; half of the key has them.

    Cascade's published efficiency at 1 % is 1.14; a rate from one basis alone costs 1.3.
    """
    parameters = agreed(sampling=Sampling.SYMMETRIC, qber_max=0.025, pulses=200_000)
    attack = eve.parse(f"intercept-resend:0.03@{basis}")
    ending = lab.converse(parameters, seed=5, attack=attack)
    assert ending.abort is None
    public = record.read(parameters, ending.transcript)
    assert public.leakage.efficiency(parameters.key_rounds) < 1.22


def test_two_sessions_have_unrelated_keys(lab) -> None:
    """Agreement of l fair coins: within 5 sigma of l/2; false alarm 6e-7."""
    parameters = agreed()
    one, two = (lab.converse(parameters, seed=seed).alice_key for seed in (1, 2))
    sigmas = (np.count_nonzero(one == two) - one.size / 2) / (math.sqrt(one.size) / 2)
    assert abs(sigmas) < 5.0


def test_the_secret_key_is_balanced(lab) -> None:
    """Ones among l fair coins: within 5 sigma of l/2; false alarm 6e-7."""
    key = lab.converse(agreed(), seed=3, flip=0.005).alice_key
    assert abs(int(key.sum()) - key.size / 2) < 5.0 * math.sqrt(key.size) / 2


@pytest.mark.parametrize("protocol", list(Protocol))
def test_an_ideal_link_has_no_error_at_all(lab, protocol: Protocol) -> None:
    parameters = agreed(protocol)
    found = record.read(parameters, lab.converse(parameters).transcript).estimate
    assert (found.key.errors, found.test.errors) == (0, 0)
    assert found.key.rounds == parameters.rate_rounds
    assert found.test.rounds == parameters.test_rounds


def test_ideal_pairs_reach_tsirelsons_bound(lab) -> None:
    """S = 2 sqrt 2 within 4 standard errors: false alarm 6e-5."""
    parameters = agreed(Protocol.E91, key_bias=0.5)
    found = record.read(parameters, lab.converse(parameters).transcript).estimate.chsh
    # each correlation is cos(pi/4) of about pulses/16 rounds; its variance is (1 - 1/2) / rounds
    sigma = math.sqrt(4 * 0.5 / (parameters.pulses / 16))
    assert found.sigma == pytest.approx(sigma, rel=0.1)
    assert abs(found.s - 2 * math.sqrt(2)) < 4 * found.sigma


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("sampling", list(Sampling))
def test_intercept_resend_in_random_bases_makes_a_quarter_of_errors(
    lab, fraction: float, sampling: Sampling
) -> None:
    """QBER p/4 in each basis within 5 sigma: false alarm 6e-7 for each of 16 figures."""
    parameters = agreed(pulses=40_000, qber_max=0.4, sampling=sampling)
    ending = lab.converse(parameters, attack=eve.parse(f"intercept-resend:{fraction}"))
    found = record.read(parameters, ending.transcript).estimate
    for sample in (found.key, found.test):
        expected = fraction / 4
        sigma = math.sqrt(expected * (1 - expected) / sample.rounds)
        assert abs(sample.rate - expected) <= 5 * sigma


@pytest.mark.parametrize("basis", ["random", "key", "test", "45deg"])
@pytest.mark.parametrize("protocol", list(Protocol))
def test_whoever_measures_every_signal_is_found(lab, protocol: Protocol, basis: str) -> None:
    """The error rate of one basis is at least 1/4 with 500 rounds or more, 2 % tolerated."""
    attack = eve.parse(f"intercept-resend:1@{basis}")
    ending = lab.converse(agreed(protocol), attack=attack)
    assert isinstance(ending.abort, QBERTooHigh)
    assert ending.alice_key is None
    assert ending.bob_key is None


@pytest.mark.parametrize("protocol", list(Protocol))
def test_an_eve_in_the_key_basis_shows_in_the_test_basis_only(lab, protocol: Protocol) -> None:
    """Test rate p/2 = 15 % within 5 sigma (6e-7); the key basis has no error."""
    parameters = agreed(protocol)
    ending = lab.converse(parameters, attack=eve.parse("intercept-resend:0.3@key"))
    found = record.read(parameters, ending.transcript).estimate
    assert found.key.errors == 0
    sigma = math.sqrt(0.15 * 0.85 / found.test.rounds)
    assert abs(found.test.rate - 0.15) < 5 * sigma
    assert isinstance(ending.abort, QBERTooHigh)
    assert ending.abort.basis == "test"


@pytest.mark.parametrize("fraction", [0.01, 0.03, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("degrees", [22.5, 45.0, 67.5, 80.0, 90.0, 135.0])
def test_an_eve_between_the_settings_never_knows_too_much(
    lab, degrees: float, fraction: float
) -> None:
    """No key, or one shorter than Csiszar and Koerner allow with what this Eve knows.

    Along an axis at an angle d from the key axis she guesses Alice's bit wrongly with
    probability sin^2(d/2), and makes fraction sin^2(d) / 2 of errors there.
    """
    parameters = agreed(Protocol.E91)
    attack = eve.parse(f"intercept-resend:{fraction}@{degrees}deg")
    ending = lab.converse(parameters, attack=attack, seed=5)
    away = math.radians(90.0 - degrees)
    wrong, errors = math.sin(away / 2) ** 2, fraction * math.sin(away) ** 2 / 2
    unknown = 1 - fraction + (fraction * h(wrong) if wrong else 0.0)
    left = parameters.key_rounds * (unknown - (h(errors) if errors else 0.0))
    if ending.abort is None:
        assert 0 < ending.alice_key.size < left
    else:
        assert isinstance(ending.abort, QBERTooHigh | BellTestFailed)
        assert ending.alice_key is None
        assert ending.bob_key is None
    if fraction >= 0.1:  # 5 % of errors or more in one basis, 2 % tolerated
        assert ending.abort is not None


def test_pairs_that_are_not_entangled_fail_the_bell_test(lab) -> None:
    """Product states cannot pass S = 2 (3 sigma asked: false alarm 1.3e-3 at S = 2)."""
    parameters = agreed(Protocol.E91, qber_max=0.3)
    ending = lab.converse(parameters, attack=eve.parse("intercept-resend:1@45deg"))
    assert isinstance(ending.abort, BellTestFailed)
    assert ending.abort.s < 2.0


def test_a_session_that_is_too_short_for_a_key_shows_its_rates_and_aborts(lab) -> None:
    parameters = agreed(pulses=6_000)
    assert parameters.secret_bits == 0
    ending = lab.converse(parameters)
    assert isinstance(ending.abort, KeyTooShort)
    assert ending.alice_key is None
    assert ending.bob_key is None
    public = record.read(parameters, ending.transcript)
    assert public.estimate.test.rate == 0.0
    assert public.leakage.leak_ec_bits == 0


def test_too_few_matched_rounds_abort_and_nothing_is_repeated(lab) -> None:
    """More key rounds are committed to than the settings can give (bias 0.5: a quarter)."""
    honest = agreed(key_bias=0.5)
    parameters = msgspec.structs.replace(honest, key_rounds=honest.pulses // 2)
    ending = lab.converse(parameters)
    assert isinstance(ending.abort, TooFewRounds)
    assert ending.alice_key is None
    assert ending.bob_key is None
    public = record.read(parameters, ending.transcript)
    assert (public.abort_reason, public.aborted_by) == ("too-few-rounds", Party.ALICE)
    assert public.estimate is None


def test_settings_follow_the_seed_and_the_transcript_too(lab) -> None:
    parameters = agreed(pulses=30_000)
    one, again, other = (lab.converse(parameters, seed=s).transcript for s in (1, 1, 2))
    assert one == again
    assert one.entries[2] != other.entries[2]

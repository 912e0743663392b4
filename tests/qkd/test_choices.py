"""Settings and bits of each party: the committed probabilities, and nothing in common."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from qlq.crypto import stream
from qlq.qkd import eve
from qlq.qkd.eve import EveBasis, InterceptResend
from qlq.qkd.parameters import Protocol, Wanted, commit
from qlq.qkd.settings import draw_bits, draw_seed_bits, draw_settings

COUNT = 400_000
ALARM = 1e-6
"""False alarm of each chi-square test here; the seeds are fixed."""


def seed(number: int) -> bytes:
    return bytes([number]) * 32


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("bias", [0.5, 0.7, 0.95, 0.99])
def test_settings_come_with_the_committed_probabilities(number: int, bias: float) -> None:
    """Bob of E91: key with the bias; of the rest one half test, a quarter each CHSH angle."""
    parameters = commit(Wanted(protocol=Protocol.E91, pulses=COUNT, qber_max=0.02, key_bias=bias))
    rest = 1 - bias
    for thresholds, shares in (
        (parameters.alice_thresholds, [bias, rest]),
        (parameters.bob_thresholds, [bias, rest / 2, rest / 4, rest / 4]),
    ):
        drawn = draw_settings(seed(number), thresholds=thresholds, count=COUNT)
        counts = np.bincount(drawn, minlength=len(shares))
        assert counts.size == len(shares)
        assert stats.chisquare(counts, np.array(shares) * COUNT).pvalue > ALARM


def test_each_setting_is_one_little_endian_number_of_its_stream() -> None:
    """The same interval by a loop over Python's integers."""
    thresholds = (40000, 52000, 60000, 65536)
    data = stream.expand(seed(4), label="settings", length=2 * 500)
    numbers = [int.from_bytes(data[at : at + 2], "little") for at in range(0, 1000, 2)]
    expected = [sum(number >= end for end in thresholds) for number in numbers]
    assert draw_settings(seed(4), thresholds=thresholds, count=500).tolist() == expected


def test_bits_are_even_and_independent_of_the_settings() -> None:
    bits = draw_bits(seed(1), count=COUNT)
    settings = draw_settings(seed(1), thresholds=(32768, 65536), count=COUNT)
    assert stats.chisquare(np.bincount(2 * settings + bits, minlength=4)).pvalue > ALARM
    pairs = 2 * bits[:-1:2] + bits[1::2]
    assert stats.chisquare(np.bincount(pairs, minlength=4)).pvalue > ALARM


def test_no_bit_of_a_party_is_used_twice() -> None:
    """A setting takes 16 random bits: none of them is among the prepared bits of that place."""
    settings = draw_settings(seed(1), thresholds=(32768, 65536), count=COUNT // 16)
    columns = draw_bits(seed(1), count=COUNT).reshape(-1, 16)
    for column in columns.T:
        assert stats.chisquare(np.bincount(2 * settings + column, minlength=4)).pvalue > ALARM


def test_two_seeds_have_nothing_in_common() -> None:
    thresholds = (32768, 65536)
    draws = [draw_settings(seed(n), thresholds=thresholds, count=COUNT) for n in (1, 2, 3)]
    draws += [draw_bits(seed(n), count=COUNT) for n in (1, 2, 3)]
    for one, other in itertools.combinations(draws, 2):
        assert stats.chisquare(np.bincount(2 * one + other, minlength=4)).pvalue > ALARM


def test_labels_of_one_seed_have_nothing_in_common() -> None:
    labels = ["verification", "amplification", "bits"]
    draws = [draw_seed_bits(seed(5), label=label, count=COUNT) for label in labels]
    for one, other in itertools.combinations(draws, 2):
        assert stats.chisquare(np.bincount(2 * one + other, minlength=4)).pvalue > ALARM


def test_the_same_seed_gives_the_same_choices_and_a_shorter_draw_is_a_beginning() -> None:
    for draw in (
        lambda count: draw_bits(seed(9), count=count),
        lambda count: draw_settings(seed(9), thresholds=(40000, 65536), count=count),
    ):
        assert np.array_equal(draw(1001), draw(1001))
        assert np.array_equal(draw(1001)[:77], draw(77))
        assert draw(0).size == 0
        assert draw(13).dtype == np.uint8


@pytest.mark.parametrize("thresholds", [(65535,), (40000, 30000, 65536), (30000, 65537)])
def test_thresholds_that_are_no_intervals_are_refused(thresholds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="thresholds"):
        draw_settings(seed(1), thresholds=thresholds, count=8)


def test_a_setting_without_an_interval_is_never_drawn() -> None:
    """Were one step of 65536 left to it, two million draws would miss it with e^-30."""
    for thresholds, never in (((0, 65536), 0), ((30000, 30000, 65536), 1), ((65536, 65536), 1)):
        drawn = draw_settings(seed(1), thresholds=thresholds, count=2_000_000)
        assert never not in np.unique(drawn)


@pytest.mark.parametrize(
    ("text", "attack"),
    [
        ("intercept-resend:0.25", InterceptResend(0.25)),
        ("intercept-resend:1@random", InterceptResend(1.0)),
        ("intercept-resend:0@key", InterceptResend(0.0, EveBasis.KEY)),
        ("intercept-resend:1e-3@test", InterceptResend(0.001, EveBasis.TEST)),
        ("intercept-resend:0.5@0.75", InterceptResend(0.5, EveBasis.ANGLE, 0.75)),
        ("intercept-resend:0.5@-1.5", InterceptResend(0.5, EveBasis.ANGLE, -1.5)),
        ("intercept-resend:0.5@180deg", InterceptResend(0.5, EveBasis.ANGLE, math.pi)),
    ],
)
def test_an_attack_is_read_as_written(text: str, attack: InterceptResend) -> None:
    assert eve.parse(text) == attack


@pytest.mark.parametrize(
    "text",
    [
        "",
        "intercept-resend",
        "intercept-resend:",
        "intercept-resend:x",
        "intercept-resend:1.01",
        "intercept-resend:-0.1",
        "intercept-resend:nan",
        "intercept-resend:inf",
        "intercept-resend:0.5@",
        "intercept-resend:0.5@z",
        "intercept-resend:0.5@nan",
        "intercept-resend:0.5@inf",
        "intercept-resend:0.5@deg",
        "intercept-resend:0.5@infdeg",
        "intercept-resend:0.5@key@key",
        "pns:0.5",
        "Intercept-Resend:0.5",
    ],
)
def test_an_attack_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"attack|Eve|angle"):
        eve.parse(text)


def test_an_angle_goes_with_its_basis_only() -> None:
    with pytest.raises(ValueError, match="angle"):
        InterceptResend(0.5, EveBasis.ANGLE)
    with pytest.raises(ValueError, match="angle"):
        InterceptResend(0.5, EveBasis.KEY, 0.1)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_eve_attacks_her_fraction_along_both_axes_alike(fraction: float) -> None:
    """Within 5 sigma (6e-7) for the fraction; chi-square at 1e-6 for the axes."""
    attacked, axis = InterceptResend(fraction).plan_attack(
        COUNT, axes=2, sim_rng=np.random.default_rng(3)
    )
    sigma = math.sqrt(fraction * (1 - fraction) / COUNT)
    assert abs(attacked.mean() - fraction) <= 5 * sigma
    counts = np.bincount(2 * axis + attacked, minlength=4).reshape(2, 2)
    for column in range(2):
        if counts[:, column].sum():
            assert stats.chisquare(counts[:, column]).pvalue > ALARM

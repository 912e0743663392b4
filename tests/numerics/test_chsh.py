"""CHSH values of known states, and the no-signalling test on honest and signalling data."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlq.numerics import chsh

SIGNS = np.array([[1, -1], [1, 1]])


def counts_of(correlations: np.ndarray, rounds: int) -> np.ndarray:
    """Counts with exactly these correlations and uniform marginals."""
    counts = np.zeros((2, 2, 2, 2), dtype=np.int64)
    for a, b in np.ndindex(2, 2):
        equal = round(rounds * (1 + correlations[a, b]) / 4)
        counts[a, b] = [[equal, rounds // 2 - equal], [rounds // 2 - equal, equal]]
    return counts


def bell_counts(rng: np.random.Generator, rounds: int, visibility: float) -> np.ndarray:
    """Phi+ of this visibility, measured after ry(-angle): E = V cos(a - b)."""
    counts = np.zeros((2, 2, 2, 2), dtype=np.int64)
    for a, alice in enumerate((0.0, math.pi / 2)):
        for b, bob in enumerate((math.pi / 4, 3 * math.pi / 4)):
            e = visibility * math.cos(alice - bob)
            p = np.array([1 + e, 1 - e, 1 - e, 1 + e]) / 4
            counts[a, b] = rng.multinomial(rounds, p).reshape(2, 2)
    return counts


@pytest.mark.parametrize(("correlation", "s"), [(1.0, 4.0), (0.5, 2.0), (0.0, 0.0), (-1.0, -4.0)])
def test_s_is_the_signed_sum_of_correlations(correlation: float, s: float) -> None:
    assert chsh.chsh_value(counts_of(SIGNS * correlation, 400)).s == pytest.approx(s, abs=1e-12)


def test_each_setting_pair_enters_with_its_sign() -> None:
    for a, b in np.ndindex(2, 2):
        correlations = np.zeros((2, 2))
        correlations[a, b] = 1.0
        assert chsh.chsh_value(counts_of(correlations, 400)).s == pytest.approx(SIGNS[a, b])


def test_sigma_is_the_spread_of_repeated_experiments() -> None:
    """400 runs: the sample deviation of S is within 15 % of sigma (4 standard errors)."""
    rng = np.random.default_rng(5)
    values = [chsh.chsh_value(bell_counts(rng, 1000, 0.9)) for _ in range(400)]
    s = np.array([value.s for value in values])
    assert np.mean(s) == pytest.approx(2 * math.sqrt(2) * 0.9, abs=4 * s.std() / 20)
    assert s.std() == pytest.approx(np.mean([value.sigma for value in values]), rel=0.15)


def test_sigma_is_the_closed_form() -> None:
    """E in four cells of N rounds: sigma = sqrt(4 (1 - E^2) / N)."""
    for correlation, sigma in ((0.0, math.sqrt(4 / 400)), (0.75, math.sqrt(1.75 / 400))):
        value = chsh.chsh_value(counts_of(SIGNS * correlation, 400))
        assert value.sigma == pytest.approx(sigma, rel=1e-12)


def test_an_empty_cell_passes_no_limit() -> None:
    counts = counts_of(SIGNS * 0.7, 400)
    counts[1, 0] = 0
    with np.errstate(all="raise"):
        value = chsh.chsh_value(counts)
    assert math.isnan(value.s)
    assert not value.s - 3 * value.sigma > 2
    assert not chsh.exceeds_tsirelson(value)


def test_only_a_value_beyond_statistics_is_flagged() -> None:
    assert chsh.exceeds_tsirelson(chsh.ChshValue(2.8284272 + 0.041, 0.01))
    assert not chsh.exceeds_tsirelson(chsh.ChshValue(2.8284272 + 0.039, 0.01))
    assert chsh.exceeds_tsirelson(chsh.chsh_value(counts_of(SIGNS * 0.75, 40_000)))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 2, 2, 2)),
        np.zeros((4, 4), dtype=np.int64),
        np.full((2, 2, 2, 2), -1, dtype=np.int64),
    ],
)
def test_what_is_not_counts_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="count"):
        chsh.chsh_value(wrong)


def rows_of(
    rng: np.random.Generator,
    *,
    repeats: int,
    shots: int,
    shift: float = 0.0,
    drift: float = 0.0,
) -> chsh.Marginals:
    """Eight setting pairs, repeated; Alice's marginal moves by `shift` with Bob's setting 3."""
    alice = np.tile(np.repeat([0, 1], 4), repeats).astype(np.int64)
    bob = np.tile([0, 1, 2, 3] * 2, repeats).astype(np.int64)
    size = np.full(alice.size, shots, dtype=np.int64)
    chance = np.clip(0.5 + shift * (bob == 3) + drift * rng.standard_normal(alice.size), 0, 1)
    return chsh.Marginals(
        alice_settings=alice,
        bob_settings=bob,
        shots=size,
        alice_ones=rng.binomial(size, chance).astype(np.int64),
        bob_ones=rng.binomial(size, 0.5).astype(np.int64),
    )


def p_values(runs: int, **kind: float) -> np.ndarray:
    rng = np.random.default_rng(8)
    return np.array(
        [
            chsh.no_signalling(
                rows_of(rng, repeats=4, shots=500, **kind), sim_rng=rng, permutations=99
            ).p_value
            for _ in range(runs)
        ]
    )


def test_p_is_uniform_without_signalling() -> None:
    """200 runs: P(p <= 0.1) = 0.1 +- 0.021, within 4 standard errors; the mean likewise."""
    p = p_values(200)
    assert abs(np.mean(p <= 0.1) - 0.1) < 0.085
    assert abs(p.mean() - 0.5) < 4 / math.sqrt(12 * 200)


def test_p_stays_valid_when_rows_scatter_more_than_shots_do() -> None:
    """Rows are the units: noise of 8 standard errors between rows is no signalling."""
    p = p_values(200, drift=0.18)
    assert np.mean(p <= 0.1) < 0.1 + 0.085


def test_signalling_is_found_and_its_size_told() -> None:
    rows = rows_of(np.random.default_rng(2), repeats=8, shots=2000, shift=0.08)
    found = chsh.no_signalling(rows, sim_rng=np.random.default_rng(3))
    assert found.p_value == 1 / (1 + chsh.PERMUTATIONS)  # nothing as large: never zero
    assert found.max_marginal_shift == pytest.approx(0.08, abs=5 * found.sigma)
    assert found.sigma == pytest.approx(math.sqrt(0.25 * 2 / 16_000), rel=0.05)


def test_the_same_generator_gives_the_same_p() -> None:
    rows = rows_of(np.random.default_rng(2), repeats=3, shots=100)
    first, second = (chsh.no_signalling(rows, sim_rng=np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_single_rows_cannot_tell() -> None:
    rows = rows_of(np.random.default_rng(2), repeats=1, shots=10_000, shift=0.2)
    found = chsh.no_signalling(rows, sim_rng=np.random.default_rng(3), permutations=50)
    assert found.p_value == 1.0
    assert found.max_marginal_shift > 0.15


def test_one_setting_of_the_other_party_is_refused() -> None:
    one = np.array([0, 0], dtype=np.int64)
    rows = chsh.Marginals(one, one, one + 5, one, one)
    with pytest.raises(ValueError, match="two settings"):
        chsh.no_signalling(rows, sim_rng=np.random.default_rng(1))


def test_impossible_marginals_are_refused() -> None:
    one = np.array([1], dtype=np.int64)
    with pytest.raises(ValueError, match="more ones"):
        chsh.Marginals(one, one, one, one + 1, one)
    with pytest.raises(ValueError, match="without shots"):
        chsh.Marginals(one, one, one - 1, one - 1, one - 1)
    with pytest.raises(ValueError, match="int64"):
        chsh.Marginals(one, one, one, one, np.array([1, 2], dtype=np.int64))


def test_drift_from_block_to_block_is_no_signalling_where_rows_stay_in_their_block() -> None:
    """Alice's marginal jumps between two blocks that have unequal shares of Bob's settings.

    False alarms below 0.05 are at most 5 %: 14 in 100 have probability 5e-4 or less.
    """
    alarms = {True: 0, False: 0}
    for seed in range(100):
        rng = np.random.default_rng(seed)
        block = np.repeat(np.arange(2, dtype=np.int64), 32)
        bob = np.where(rng.random(64) < np.where(block == 0, 0.75, 0.25), 0, 1).astype(np.int64)
        alice = np.tile([0, 1], 32).astype(np.int64)
        size = np.full(64, 400, dtype=np.int64)
        rows = chsh.Marginals(
            alice_settings=alice,
            bob_settings=bob,
            shots=size,
            alice_ones=rng.binomial(size, np.where(block == 0, 0.45, 0.55)).astype(np.int64),
            bob_ones=rng.binomial(size, 0.5).astype(np.int64),
        )
        for is_within in alarms:
            found = chsh.no_signalling(
                rows,
                sim_rng=np.random.default_rng(seed),
                permutations=199,
                block_of_row=block if is_within else None,
            )
            alarms[is_within] += found.p_value < 0.05
    assert alarms[True] < 14
    assert alarms[False] > 75

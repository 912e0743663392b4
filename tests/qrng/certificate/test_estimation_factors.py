"""Factors hold on every extreme behaviour, give published numbers, and none for local data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.qrng import estimation_factors
from qlq.qrng.estimation_factors import BETAS, SHAPE, Factors

ROUNDS = 100_000
EPSILON_LOG2 = -64

# ../shared/reference/qrng.md, sections 7.1 and 7.2
GUESSING = {
    2.0: 0.0, 2.1: 0.0385, 2.2: 0.0825, 2.3: 0.1336, 2.5: 0.2676, 2.6: 0.3614, 2.7: 0.4928,
    2.75: 0.5878, 2.8: 0.7370, 2 * math.sqrt(2): 1.0,
}  # fmt: skip
VON_NEUMANN = {
    2.0: 0.0, 2.1: 0.0753, 2.2: 0.1573, 2.3: 0.2471, 2.5: 0.4564, 2.6: 0.5816, 2.7: 0.7285,
    2.75: 0.8150, 2.8: 0.9185, 2 * math.sqrt(2): 1.0,
}  # fmt: skip
CERTIFIED = {2.1: 0, 2.3: 21_779, 2.5: 43_987, 2.7: 66_226, 2.78: 75_121}


def share_won(s: float) -> float:
    return 0.5 + s / 8


def isotropic(s: float) -> np.ndarray:
    """Behaviour of this S with fair marginals, by its definition."""
    behaviour = np.empty(SHAPE)
    for x, y, a, b in itertools.product((0, 1), repeat=4):
        wins = (a == b) == ((x, y) != (1, 1))
        behaviour[x, y, a, b] = (share_won(s) if wins else 1 - share_won(s)) / 2
    return behaviour


def counts_of(s: float, rounds: int = ROUNDS) -> np.ndarray:
    return np.rint(isotropic(s) * rounds / 4).astype(np.int64)


@pytest.mark.parametrize(("s", "bits"), GUESSING.items())
def test_the_guessing_bound_is_the_published_one(s: float, bits: float) -> None:
    assert estimation_factors.guessing_bound(s) == pytest.approx(bits, abs=6e-5)


@pytest.mark.parametrize(("s", "bits"), VON_NEUMANN.items())
def test_the_von_neumann_bound_is_the_published_one(s: float, bits: float) -> None:
    assert estimation_factors.von_neumann_bound(s) == pytest.approx(bits, abs=6e-5)


@pytest.mark.parametrize("s", [2.83, -3.0, math.nan, math.inf])
def test_no_quantum_value_has_no_bound(s: float) -> None:
    for bound in (estimation_factors.guessing_bound, estimation_factors.von_neumann_bound):
        with pytest.raises(ValueError, match="2 sqrt 2"):
            bound(s)


@pytest.mark.parametrize(("s", "bits"), CERTIFIED.items())
def test_the_reference_table_within_a_percent(s: float, bits: int) -> None:
    counts = counts_of(s)
    best = max(
        estimation_factors.optimise_won(share_won(s), beta=beta).bits(
            counts, epsilon_log2=EPSILON_LOG2
        )
        for beta in BETAS
    )
    assert best == pytest.approx(bits, rel=0.01, abs=0.5)


def test_an_endless_run_reaches_the_published_rate() -> None:
    """0.8997 (S - 2) / (2 sqrt 2 - 2) bits a round as beta goes to 0."""
    for s in (2.2, 2.5, 2.8):
        factors = estimation_factors.optimise_won(share_won(s), beta=1e-5)
        rate = factors.log2_sum(counts_of(s, 10**9)) / factors.beta / 10**9
        assert rate == pytest.approx(0.8997 * (s - 2) / (2 * math.sqrt(2) - 2), rel=1e-3)


def test_there_are_sixteen_local_points_and_sixty_four_mixtures_at_tsirelsons_bound() -> None:
    every = estimation_factors.vertices()
    assert every.shape == (80, *SHAPE)
    assert len({point.tobytes() for point in every}) == 80
    np.testing.assert_allclose(every.sum(axis=(3, 4)), 1.0, atol=1e-15)
    np.testing.assert_allclose(every[:, :, 0].sum(axis=3), every[:, :, 1].sum(axis=3), atol=1e-15)
    np.testing.assert_allclose(every[:, 0].sum(axis=2), every[:, 1].sum(axis=2), atol=1e-15)
    equal = every[..., 0, 0] + every[..., 1, 1]
    correlation = (2 * equal - 1).reshape(-1, 4)
    signs = [s for s in itertools.product((1, -1), repeat=4) if math.prod(s) == -1]
    largest = (correlation @ np.array(signs).T).max(axis=1)
    np.testing.assert_allclose(largest[:16], 2.0, atol=1e-12)
    np.testing.assert_allclose(largest[16:], 2 * math.sqrt(2), atol=1e-12)
    assert set(np.unique(every[:16])) == {0.0, 1.0}


def condition(factors: Factors, behaviour: np.ndarray) -> float:
    """The left side of the condition, term by term."""
    return math.fsum(
        0.25 * factors.values[cell] * float(behaviour[cell]) ** (1 + factors.beta)
        for cell in itertools.product((0, 1), repeat=4)
    )


@pytest.mark.parametrize("beta", [0.001, 0.0137, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("s", [2.01, 2.3, 2.78, 2.82])
def test_factors_hold_on_all_vertices(beta: float, s: float) -> None:
    for factors in (
        estimation_factors.optimise_won(share_won(s), beta=beta),
        estimation_factors.optimise(isotropic(s), beta=beta),
    ):
        sums = [condition(factors, point) for point in estimation_factors.vertices()]
        assert max(sums) <= 1 + 1e-12
        assert max(sums) > 1 - 1e-9  # nothing is given away


def quantum_behaviour(rng: np.random.Generator) -> np.ndarray:
    """Two random qubits measured along random axes, by the Born rule."""
    raw = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    state = raw @ raw.conj().T
    state /= np.trace(state).real
    paulis = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])

    def projectors() -> list[np.ndarray]:
        axis = rng.normal(size=3)
        observable = np.tensordot(axis / np.linalg.norm(axis), paulis, axes=1)
        return [(np.eye(2) + sign * observable) / 2 for sign in (1, -1)]

    alice, bob = [projectors(), projectors()], [projectors(), projectors()]
    return np.array(
        [
            [
                [[np.trace(state @ np.kron(p, q)).real for q in bob[y]] for p in alice[x]]
                for y in (0, 1)
            ]
            for x in (0, 1)
        ]
    )


def test_factors_hold_for_what_qubits_can_do() -> None:
    rng = np.random.default_rng(4)
    factors = estimation_factors.optimise_won(share_won(2.7), beta=0.0137)
    for _ in range(300):
        assert condition(factors, np.clip(quantum_behaviour(rng), 0, 1)) <= 1 + 1e-12


def test_factors_fail_for_what_only_signalling_can_do() -> None:
    box = np.where(isotropic(4.0) > 0.25, 0.5, 0.0)  # S = 4
    factors = estimation_factors.optimise_won(share_won(2.7), beta=0.0137)
    assert condition(factors, box) > 1


@pytest.mark.parametrize(
    ("beta", "values", "word"),
    [
        (0.01, np.full(SHAPE, 1.0 + 1e-9), "on a vertex"),
        (0.01, np.full(SHAPE, 0.0), "positive"),
        (0.01, np.full((4, 4), 0.5), "shape"),
        (0.01, np.full(SHAPE, np.nan), "positive"),
        (0.0, np.full(SHAPE, 0.5), "beta"),
        (1.5, np.full(SHAPE, 0.5), "beta"),
        (math.nan, np.full(SHAPE, 0.5), "beta"),
    ],
)
def test_what_does_not_hold_is_no_factor(beta: float, values: np.ndarray, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Factors(beta, values)


def test_cells_of_their_own_are_never_worse_than_won_and_lost() -> None:
    rng = np.random.default_rng(5)
    tilted = 0.97 * isotropic(2.75) + 0.03 * rng.dirichlet(np.ones(4), size=4).reshape(SHAPE)
    weight = 0.25 * tilted
    share = float(weight[estimation_factors.won()].sum())
    for beta in (0.005, 0.05):
        own = estimation_factors.optimise(tilted, beta=beta)
        pooled = estimation_factors.optimise_won(share, beta=beta)
        gain = (weight * np.log2(own.values)).sum() - (weight * np.log2(pooled.values)).sum()
        assert gain > 0


@given(shares=st.lists(st.floats(0, 1), min_size=16, max_size=16))
def test_mixtures_of_local_points_gain_nothing_on_average(shares: list[float]) -> None:
    """The mean of log2 F is at most 0 for local behaviours, by Jensen from the condition."""
    weights = np.array(shares) + 1e-9
    local = np.tensordot(weights / weights.sum(), estimation_factors.vertices()[:16], axes=1)
    factors = estimation_factors.optimise_won(share_won(2.6), beta=0.0137)
    assert (0.25 * local * np.log2(factors.values)).sum() <= 1e-12


def test_local_data_certify_nothing_in_999_of_1000_runs() -> None:
    """The best local points, with factors made for S = 2.2 to 2.8 and for the data themselves."""
    rng = np.random.default_rng(6)
    best = [
        point
        for point in estimation_factors.vertices()[:16]
        if (point * estimation_factors.won()).sum() == 3
    ]
    assert len(best) == 8
    fixed = [
        estimation_factors.optimise_won(share_won(s), beta=beta)
        for s in (2.2, 2.5, 2.8)
        for beta in (0.001, 0.0137, 0.1)
    ]
    certified = 0
    for run in range(1000):
        points = rng.multinomial(ROUNDS, np.ones(8) / 8) if run % 2 else [ROUNDS] + [0] * 7
        counts = sum(
            rng.multinomial(count, 0.25 * point.reshape(-1)).reshape(SHAPE)
            for count, point in zip(points, best, strict=True)
        ).astype(np.int64)
        batch = rng.multinomial(ROUNDS // 4, 0.25 * best[run % 8].reshape(-1)).reshape(SHAPE)
        own = estimation_factors.calibrate(
            batch.astype(np.int64), rounds=ROUNDS, epsilon_log2=EPSILON_LOG2
        )
        certified += any(
            factors.bits(counts, epsilon_log2=EPSILON_LOG2) > 0 for factors in (*fixed, own)
        )
    assert certified <= 1


def test_bits_are_what_the_formula_says() -> None:
    factors = Factors(0.5, np.full(SHAPE, 0.5))
    counts = np.full(SHAPE, 10, dtype=np.int64)
    assert factors.log2_sum(counts) == -160
    assert factors.bits(counts, epsilon_log2=-64) == 0.0  # (-160 - 64) / 0.5, never below 0
    good = estimation_factors.optimise_won(share_won(2.8), beta=0.02)
    exact = sum(
        25_000 * isotropic(2.8)[cell] * math.log2(good.values[cell]) for cell in np.ndindex(SHAPE)
    )
    assert good.bits(counts_of(2.8), epsilon_log2=-40) == pytest.approx(
        (exact - 40) / 0.02, rel=1e-3
    )


def test_the_calibration_chooses_a_power_near_the_best() -> None:
    counts = counts_of(2.7, 20_000)
    chosen = estimation_factors.calibrate(counts, rounds=ROUNDS, epsilon_log2=EPSILON_LOG2)
    assert chosen.beta == pytest.approx(0.0137, rel=0.01)
    assert chosen.bits(counts_of(2.7), epsilon_log2=EPSILON_LOG2) == pytest.approx(66_226, rel=0.01)


def test_what_is_promised_is_reached_as_often_as_three_standard_errors_say() -> None:
    """Shortfalls have probability 0.0013 a run: more than 3 in 200 have 2e-4."""
    rng = np.random.default_rng(7)
    behaviour = 0.25 * isotropic(2.7).reshape(-1)
    short = 0
    for _ in range(200):
        batch = rng.multinomial(10_000, behaviour).reshape(SHAPE).astype(np.int64)
        data = rng.multinomial(40_000, behaviour).reshape(SHAPE).astype(np.int64)
        factors = estimation_factors.calibrate(batch, rounds=40_000, epsilon_log2=EPSILON_LOG2)
        promised = estimation_factors.expected_bits(
            factors, batch, rounds=40_000, epsilon_log2=EPSILON_LOG2, sigmas=3.0
        )
        assert promised > 0
        short += factors.bits(data, epsilon_log2=EPSILON_LOG2) < promised
    assert short <= 3


def test_a_setting_pair_without_rounds_is_refused() -> None:
    counts = counts_of(2.7)
    counts[0, 1] = 0
    with pytest.raises(ValueError, match="no round"):
        estimation_factors.calibrate(counts, rounds=ROUNDS, epsilon_log2=EPSILON_LOG2)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(SHAPE), np.zeros((4, 4), dtype=np.int64), np.full(SHAPE, -1, dtype=np.int64)],
)
def test_what_is_not_counts_is_refused(wrong: np.ndarray) -> None:
    factors = Factors(0.5, np.full(SHAPE, 0.5))
    with pytest.raises(ValueError, match="count"):
        factors.log2_sum(wrong)
    with pytest.raises(ValueError, match="epsilon"):
        factors.bits(np.ones(SHAPE, dtype=np.int64), epsilon_log2=0)

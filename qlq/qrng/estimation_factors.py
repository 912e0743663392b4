"""Probability estimation factors: how many random bits a CHSH run has shown, at a stated epsilon.

A factor F(c, z) is fixed before the data. If

    sum over c, z of mu(z) F(c, z) sigma(c | z)^(1 + beta) <= 1

for every no-signalling behaviour sigma within Tsirelson's bounds, then the outcomes have
(sum of log2 F over all rounds + log2 epsilon) / beta bits of min-entropy given the settings,
against anybody who holds classical side information, but for a probability epsilon. Rounds need
not be alike or independent: each may depend on all that went before. The condition is convex in
sigma, so that it is enough to check the vertices of a polytope around the quantum set.

Arrays of behaviours, factors and counts have the axes Alice's setting, Bob's setting, Alice's
outcome, Bob's outcome. With S = E00 + E01 + E10 - E11 a round is won when the outcomes are equal,
for settings (1, 1) when they differ; S = 8 * (share of won rounds) - 4 for uniform settings.

Source: Zhang, Knill and Bierhorst, Phys. Rev. A 98, 040304(R) (2018); Knill, Zhang and Bierhorst,
Phys. Rev. Research 2, 033465 (2020); Zhang et al., Phys. Rev. Lett. 124, 010505 (2020).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from qlq.errors import InvariantBroken
from qlq.numerics.chsh import TSIRELSON
from qlq.numerics.entropy import binary_entropy

CLASSICAL_S = 2.0
SETTINGS_SHARE = 0.25
"""mu(z): the client draws each of the four setting pairs with the same probability."""

BETAS = tuple(float(beta) for beta in np.geomspace(0.001, 0.3, 25))
"""Powers that are tried: the best one falls with the number of rounds as 1 / sqrt(rounds)."""

EPSILON_LOG2_DEFAULT = -64

SHAPE = (2, 2, 2, 2)
_CELLS = 16
_BOX_WEIGHT = math.sqrt(2.0) - 1.0
_SAFETY = 1.0 + 64 * np.finfo(np.float64).eps
"""More than the rounding error of a sum of 16 products."""
_SAME_DECIMALS = 14
_LEAST_FACTOR = 1e-6
_STEPS_MAX = 500
_TOLERANCE = 1e-15


def guessing_bound(s: float) -> float:
    """Min-entropy of one outcome in a round of infinitely many, in [0, 1] bit.

    The textbook line for a CHSH value; it says nothing about a finite run.

    Args:
        s: CHSH value, at most 2 sqrt 2 (within 1e-9); 2 or less gives 0.

    Raises:
        ValueError: For a value beyond Tsirelson's bound, or not a number.

    Source:
        Pironio et al., Nature 464, 1021 (2010), eq. 2.
    """
    s = _checked(s)
    if s <= CLASSICAL_S:
        return 0.0
    return 1.0 - math.log2(1.0 + math.sqrt(max(0.0, 2.0 - s * s / 4.0)))


def von_neumann_bound(s: float) -> float:
    """Von Neumann entropy of Alice's outcome in a round of infinitely many, in [0, 1] bit.

    Args:
        s: As for `guessing_bound`.

    Raises:
        ValueError: For a value beyond Tsirelson's bound, or not a number.

    Source:
        Acin et al., Phys. Rev. Lett. 98, 230501 (2007), eq. 3, one-sided.
    """
    s = _checked(s)
    if s <= CLASSICAL_S:
        return 0.0
    return 1.0 - binary_entropy(min(1.0, 0.5 + 0.5 * math.sqrt(s * s / 4.0 - 1.0)))


def _checked(s: float) -> float:
    if not -TSIRELSON - 1e-9 <= s <= TSIRELSON + 1e-9:
        raise ValueError(f"a quantum CHSH value is within 2 sqrt 2 of 0: {s}")
    return min(s, TSIRELSON)


@lru_cache(maxsize=1)
def won() -> NDArray[np.bool_]:
    """Which cells are won rounds, bool of shape (2, 2, 2, 2), read-only."""
    cells = np.array(
        [(a == b) != ((x, y) == (1, 1)) for x, y, a, b in itertools.product((0, 1), repeat=4)]
    ).reshape(SHAPE)
    cells.setflags(write=False)
    return cells


@lru_cache(maxsize=1)
def vertices() -> NDArray[np.float64]:
    """The 80 extreme behaviours, float64 of shape (80, 2, 2, 2, 2), read-only.

    First the 16 deterministic local points, then for each of the 8 no-signalling boxes the 8
    mixtures of it (weight sqrt 2 - 1) with a local point that wins three of its four settings,
    whose CHSH value is 2 sqrt 2.
    """
    cells = list(itertools.product((0, 1), repeat=4))
    local = [
        np.array([float(a == answers[x] and b == answers[2 + y]) for x, y, a, b in cells])
        for answers in itertools.product((0, 1), repeat=4)
    ]
    found = list(local)
    for alpha, beta, gamma in itertools.product((0, 1), repeat=3):
        box = np.array(
            [
                0.5 * float((a ^ b) == ((x & y) ^ (alpha & x) ^ (beta & y) ^ gamma))
                for x, y, a, b in cells
            ]
        )
        found += [
            _BOX_WEIGHT * box + (1.0 - _BOX_WEIGHT) * point
            for point in local
            if 2.0 * float(box @ point) == 3.0  # noqa: PLR2004 - settings won; all terms are halves
        ]
    every = np.array(found).reshape(-1, *SHAPE)
    every.setflags(write=False)
    return every


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """Estimation factors that hold; made by `optimise` and `optimise_won`, or read back.

    Attributes:
        beta: The power, in (0, 1].
        values: F(c, z), float64 of shape (2, 2, 2, 2), above 0; copied and read-only.

    Raises:
        ValueError: The condition fails on a vertex, or a value is outside its range.
    """

    beta: float
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the condition on all 80 vertices; nothing above 1 passes."""
        values = np.array(self.values, dtype=np.float64)
        if not 0.0 < self.beta <= 1.0:
            raise ValueError(f"beta outside (0, 1]: {self.beta}")
        if values.shape != SHAPE or not np.isfinite(values).all() or values.min() <= 0.0:
            raise ValueError(f"factors must be positive, of shape {SHAPE}: {values}")
        worst = largest_sum(values, beta=self.beta)
        if not worst <= 1.0:
            raise ValueError(f"the factors reach {worst!r} on a vertex; at most 1 is allowed")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def bits(self, counts: NDArray[np.int64], *, epsilon_log2: int) -> float:
        """Certified min-entropy of the outcomes of these rounds, in bits, 0 or more.

        Args:
            counts: int64 of shape (2, 2, 2, 2), not negative: rounds in each cell.
            epsilon_log2: Base-2 logarithm of the error probability, below 0.
        """
        if not epsilon_log2 < 0:
            raise ValueError(f"log2 of epsilon must be below 0: {epsilon_log2}")
        return max(0.0, (self.log2_sum(counts) + epsilon_log2) / self.beta)

    def log2_sum(self, counts: NDArray[np.int64]) -> float:
        """Sum of log2 F over these rounds; may be negative."""
        _check_counts(counts)
        cells = zip(counts.reshape(-1).tolist(), self.values.reshape(-1).tolist(), strict=True)
        return math.fsum(count * math.log2(value) for count, value in cells)


def largest_sum(values: NDArray[np.float64], *, beta: float) -> float:
    """Left side of the condition on the worst of the 80 vertices."""
    return float((_conditions(beta) @ values.reshape(-1)).max())


@lru_cache(maxsize=64)
def _conditions(beta: float) -> NDArray[np.float64]:
    """mu(z) sigma(c | z)^(1 + beta): a row for each vertex, a column for each cell."""
    return SETTINGS_SHARE * vertices().reshape(-1, _CELLS) ** (1.0 + beta)


def _scaled(values: NDArray[np.float64], beta: float) -> Factors:
    """Factors as large as the worst vertex allows, less the rounding error of checking it."""
    return Factors(beta, values / (largest_sum(values, beta=beta) * _SAFETY))


def optimise_won(share_won: float, *, beta: float) -> Factors:
    """The best factors that tell won from lost rounds and nothing else.

    Args:
        share_won: Share of rounds expected to be won, in (0, 1).
        beta: The power, in (0, 1].
    """
    if not 0.0 < share_won < 1.0:
        raise ValueError(f"share of won rounds outside (0, 1): {share_won}")

    rows = _won_conditions(beta)
    odds = share_won / (1.0 - share_won)
    # log of the largest row minus share_won * log ratio has its minimum where one row has its
    # own, or where two rows cross
    ratios = [odds * lost / gained for gained, lost in rows]
    ratios += [
        (lost - other_lost) / (other_gained - gained)
        for (gained, lost), (other_gained, other_lost) in itertools.combinations(rows, 2)
        if gained != other_gained
    ]

    def worst(ratio: float) -> float:
        largest = max(gained * ratio + lost for gained, lost in rows)
        return math.log(largest) - share_won * math.log(ratio)

    best = min((ratio for ratio in ratios if ratio > 0.0), key=worst)
    return _scaled(np.where(won(), best, 1.0), beta)


@lru_cache(maxsize=64)
def _won_conditions(beta: float) -> tuple[tuple[float, float], ...]:
    """The conditions with one factor for won cells and one for lost ones; equal ones once."""
    rows = _conditions(beta).reshape(-1, *SHAPE)
    gained = np.where(won(), rows, 0.0).sum(axis=(1, 2, 3, 4))
    lost = np.where(won(), 0.0, rows).sum(axis=(1, 2, 3, 4))
    pairs = np.unique(np.round(np.column_stack([gained, lost]), _SAME_DECIMALS), axis=0)
    return tuple((float(first), float(second)) for first, second in pairs)


def optimise(behaviour: NDArray[np.float64], *, beta: float) -> Factors:
    """The best factors for a behaviour, each cell with its own.

    Args:
        behaviour: Expected probabilities c given z, float64 of shape (2, 2, 2, 2), above 0,
            summing to 1 for each setting pair.
        beta: The power, in (0, 1].

    Raises:
        ValueError: For another shape, or a probability that is not above 0.
        InvariantBroken: The method does not converge.

    Source:
        Kraft, DFVLR-FB 88-28 (1988): SLSQP, as in scipy. A poor optimum costs bits, never
        soundness: `Factors` checks the condition.
    """
    if behaviour.shape != SHAPE or not behaviour.min() > 0.0:
        raise ValueError(f"a behaviour has shape {SHAPE} and no zero: {behaviour}")
    weight = SETTINGS_SHARE * behaviour.reshape(-1)
    rows = _conditions(beta)
    found = optimize.minimize(
        lambda values: -float(weight @ np.log(values)),
        np.full(_CELLS, 1.0 / float(rows.sum(axis=1).max())),
        jac=lambda values: -weight / values,
        bounds=[(_LEAST_FACTOR, None)] * _CELLS,
        constraints={
            "type": "ineq",
            "fun": lambda values: 1.0 - rows @ values,
            "jac": lambda _values: -rows,
        },
        method="SLSQP",
        options={"maxiter": _STEPS_MAX, "ftol": _TOLERANCE},
    )
    if not found.success:
        raise InvariantBroken(f"no factors for beta {beta}: {found.message}")
    return _scaled(found.x.reshape(SHAPE), beta)


def calibrate(counts: NDArray[np.int64], *, rounds: int, epsilon_log2: int) -> Factors:
    """The factors that promise most bits for a run like a calibration batch.

    Factors tell won from lost rounds only: what a batch of some thousand rounds shows beyond
    that is mostly its own noise, which the data will not repeat.

    Args:
        counts: Cells of the calibration batch, int64 of shape (2, 2, 2, 2).
        rounds: Rounds of the run to come, at least 1.
        epsilon_log2: Base-2 logarithm of the error probability, below 0.
    """
    share = won_share(counts)
    every = (optimise_won(share, beta=beta) for beta in BETAS)
    return max(
        every,
        key=lambda factors: (rounds * _mean_log2(factors, share) + epsilon_log2) / factors.beta,
    )


def expected_bits(
    factors: Factors, counts: NDArray[np.int64], *, rounds: int, epsilon_log2: int, sigmas: float
) -> float:
    """Bits that a run like this calibration batch reaches but for bad luck, 0 or more.

    Args:
        factors: Of won and lost rounds.
        counts: Cells of the calibration batch.
        rounds: Rounds of the run to come.
        epsilon_log2: Base-2 logarithm of the error probability.
        sigmas: Standard errors, those of the batch and of the run together, that are held back.
    """
    share = won_share(counts)
    gain = math.log2(float(factors.values.max())) - math.log2(float(factors.values.min()))
    variance = share * (1.0 - share) * (rounds + rounds**2 / int(counts.sum()))
    sure = rounds * _mean_log2(factors, share) - sigmas * gain * math.sqrt(variance)
    return max(0.0, (sure + epsilon_log2) / factors.beta)


def won_share(counts: NDArray[np.int64]) -> float:
    """Share of won rounds with each setting pair weighted alike, within (0, 1).

    One round more of either kind keeps a perfect batch from promising a certain win.

    Raises:
        ValueError: A setting pair has no round.
    """
    _check_counts(counts)
    rounds = counts.sum(axis=(2, 3))
    if not rounds.all():
        raise ValueError(f"a setting pair has no round: {rounds.tolist()}; send more shots")
    wins = np.where(won(), counts, 0).sum(axis=(2, 3))
    return float(((wins + 1.0) / (rounds + 2.0)).mean())


def _mean_log2(factors: Factors, share: float) -> float:
    gained = math.log2(float(factors.values[won()][0]))
    lost = math.log2(float(factors.values[~won()][0]))
    return share * gained + (1.0 - share) * lost


def _check_counts(counts: NDArray[np.int64]) -> None:
    if counts.dtype != np.int64 or counts.shape != SHAPE:
        raise ValueError(f"counts must be int64 of {SHAPE}, not {counts.dtype} {counts.shape}")
    if counts.min() < 0:
        raise ValueError(f"negative count: {counts.min()}")

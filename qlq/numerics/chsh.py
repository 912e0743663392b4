"""CHSH value, its standard error, and a test of no-signalling, from raw counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TSIRELSON = 2.0 * math.sqrt(2.0)
"""Largest CHSH value of quantum mechanics. Source: Cirelson, Lett. Math. Phys. 4, 93 (1980)."""

TSIRELSON_SIGMAS = 4.0
"""S beyond Tsirelson's bound by so many standard errors is no statistics (3e-5, one-sided)."""

PERMUTATIONS = 999
"""Relabellings of the randomisation test; the least p-value is 1 / (1 + this)."""

_SIGNS = np.array([[1.0, -1.0], [1.0, 1.0]])


@dataclass(frozen=True, slots=True)
class ChshValue:
    """CHSH value of raw counts; NaN where a setting pair has no round, so that limits fail.

    Attributes:
        s: E(0, pi/4) - E(0, 3pi/4) + E(pi/2, pi/4) + E(pi/2, 3pi/4), in [-4, 4].
        sigma: Standard error of s.
    """

    s: float
    sigma: float


def exceeds_tsirelson(value: ChshValue) -> bool:
    """Whether S is above 2 sqrt 2 by more than four standard errors.

    Such a value means signalling, mitigated or wrong data; it is flagged, never clipped.
    """
    return value.s - TSIRELSON > TSIRELSON_SIGMAS * value.sigma


def chsh_value(counts: NDArray[np.int64]) -> ChshValue:
    """S and its standard error by error propagation, sqrt(sum of (1 - E^2) / N).

    Args:
        counts: int64 of shape (2, 2, 2, 2), not negative: Alice's setting (0, pi/2), Bob's
            setting (pi/4, 3pi/4), Alice's outcome, Bob's outcome.

    Raises:
        ValueError: For another type or shape, or a negative count.

    Source:
        Clauser, Horne, Shimony and Holt, Phys. Rev. Lett. 23, 880 (1969), with the settings of
        E91 after ry(-angle).
    """
    if counts.dtype != np.int64 or counts.shape != (2, 2, 2, 2):
        raise ValueError(f"counts must be int64 of (2, 2, 2, 2), not {counts.dtype} {counts.shape}")
    if counts.min() < 0:
        raise ValueError(f"negative count: {counts.min()}")
    rounds = counts.sum(axis=(2, 3)).astype(np.float64)
    if not rounds.all():
        return ChshValue(math.nan, math.nan)
    equal = counts[:, :, 0, 0] + counts[:, :, 1, 1]
    correlation = 2.0 * equal / rounds - 1.0
    variance = (1.0 - correlation**2) / rounds
    return ChshValue(float((_SIGNS * correlation).sum()), math.sqrt(float(variance.sum())))


@dataclass(frozen=True, slots=True, eq=False)
class Marginals:
    """Ones of each party in each row of a job; a row has one pair of settings.

    Attributes:
        alice_settings: int64 of shape (rows,), not negative.
        bob_settings: int64 of shape (rows,), not negative.
        shots: int64 of shape (rows,), at least 1.
        alice_ones: int64 of shape (rows,), 0 to shots.
        bob_ones: int64 of shape (rows,), 0 to shots.
    """

    alice_settings: NDArray[np.int64]
    bob_settings: NDArray[np.int64]
    shots: NDArray[np.int64]
    alice_ones: NDArray[np.int64]
    bob_ones: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse unequal shapes and impossible counts, and make the arrays read-only."""
        columns = {
            name: getattr(self, name)
            for name in ("alice_settings", "bob_settings", "shots", "alice_ones", "bob_ones")
        }
        for name, column in columns.items():
            if column.dtype != np.int64 or column.shape != (self.shots.size,):
                raise ValueError(f"{name} must be int64 of ({self.shots.size},)")
            if column.size and column.min() < 0:
                raise ValueError(f"{name} has a negative value: {column.min()}")
            column.setflags(write=False)
        if self.shots.size and self.shots.min() < 1:
            raise ValueError("a row without shots")
        if (self.alice_ones > self.shots).any() or (self.bob_ones > self.shots).any():
            raise ValueError("more ones than shots in a row")


@dataclass(frozen=True, slots=True)
class NoSignalling:
    """How far a party's marginals depend on the other party's setting.

    Attributes:
        p_value: Share of relabellings with at least the observed standardised shift, in (0, 1].
            Rows that follow each other are not exchangeable on a drifting device: a small p
            then means drift or signalling, not signalling alone.
        max_marginal_shift: Largest difference of a party's probability of 1 between two of
            the other party's settings, in [0, 1].
        sigma: Standard error of that difference.
    """

    p_value: float
    max_marginal_shift: float
    sigma: float


def no_signalling(
    rows: Marginals,
    *,
    sim_rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
    block_of_row: NDArray[np.int64] | None = None,
) -> NoSignalling:
    """Randomisation test of no-signalling, with rows as units.

    For each setting of one party the rows' settings of the other party are permuted; the
    statistic is the largest standardised difference of marginals, over both parties, all own
    settings and all pairs of the other's settings, so that no correction for several settings
    is needed. With a single row for each setting pair no relabelling differs and p is 1: split
    the shots into rows that alternate in time.

    Args:
        rows: Counts by row.
        sim_rng: Chooses the relabellings; the same generator gives the same p.
        permutations: Number of relabellings, at least 1.
        block_of_row: int64 of shape (rows,): rows are exchanged within equal values only, so
            that drift from one stretch of time to the next makes no small p. None exchanges
            all rows.

    Raises:
        ValueError: If no own setting was combined with two settings of the other party, or the
            blocks do not fit the rows.

    Source:
        Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9, 39 (2010): p = (b + 1) / (m + 1).
    """
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1: {permutations}")
    if block_of_row is not None and block_of_row.shape != rows.shots.shape:
        raise ValueError(f"blocks of {block_of_row.shape} for {rows.shots.size} rows")
    groups = _groups(rows, block_of_row)
    if not groups:
        raise ValueError("no setting was combined with two settings of the other party")
    observed = [_largest_shift(group, group.labels[None, :]) for group in groups]
    statistic = max(float(z[0]) for z, _, _ in observed)
    relabelled = np.zeros(permutations)
    for group in groups:
        labels = _relabelled(group, permutations, sim_rng)
        np.maximum(relabelled, _largest_shift(group, labels)[0], out=relabelled)
    as_large = int(np.count_nonzero(relabelled >= statistic * (1.0 - 1e-12)))
    shift, sigma = max((float(d[0]), float(e[0])) for _, d, e in observed)
    return NoSignalling((as_large + 1) / (permutations + 1), shift, sigma)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Rows of one party's fixed setting; labels are the other party's settings from 0."""

    labels: NDArray[np.int64]
    shots: NDArray[np.int64]
    ones: NDArray[np.int64]
    blocks: NDArray[np.int64] | None


def _relabelled(
    group: _Group, permutations: int, sim_rng: np.random.Generator
) -> NDArray[np.int64]:
    """Labels exchanged at random, within blocks if there are any: int64 (permutations, rows)."""
    if group.blocks is None:
        return sim_rng.permuted(np.tile(group.labels, (permutations, 1)), axis=1)
    places = np.argsort(group.blocks, kind="stable")
    keys = sim_rng.random((permutations, places.size)) + group.blocks.astype(np.float64)
    labels = np.empty((permutations, places.size), dtype=np.int64)
    labels[:, places] = group.labels[np.argsort(keys, axis=1)]
    return labels


def _groups(rows: Marginals, block_of_row: NDArray[np.int64] | None) -> list[_Group]:
    parties = (
        (rows.alice_settings, rows.bob_settings, rows.alice_ones),
        (rows.bob_settings, rows.alice_settings, rows.bob_ones),
    )
    groups = []
    for own, other, ones in parties:
        for setting in np.unique(own):
            mask = own == setting
            labels = np.unique(other[mask], return_inverse=True)[1].astype(np.int64)
            if labels.max() > 0:
                blocks = None if block_of_row is None else block_of_row[mask]
                groups.append(_Group(labels, rows.shots[mask], ones[mask], blocks))
    return groups


def _largest_shift(
    group: _Group, labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Largest standardised shift, largest shift and its standard error, for each relabelling.

    Args:
        group: Counts of the rows.
        labels: int64 of shape (relabellings, rows).
    """
    count = int(group.labels.max()) + 1
    columns = np.column_stack([group.shots, group.ones]).astype(np.float64)
    sums = np.stack([(labels == label).astype(np.float64) @ columns for label in range(count)], 1)
    shots, share = sums[:, :, 0], sums[:, :, 1] / sums[:, :, 0]
    pooled = group.ones.sum() / group.shots.sum()
    first, second = np.triu_indices(count, k=1)
    shift = np.abs(share[:, first] - share[:, second])
    weight = 1.0 / shots[:, first] + 1.0 / shots[:, second]
    sigma = np.sqrt(pooled * (1.0 - pooled) * weight)
    standardised = np.divide(shift, sigma, out=np.zeros_like(shift), where=sigma > 0.0)
    widest = shift.argmax(axis=1)[:, None]
    return (
        standardised.max(axis=1),
        np.take_along_axis(shift, widest, axis=1)[:, 0],
        np.take_along_axis(sigma, widest, axis=1)[:, 0],
    )

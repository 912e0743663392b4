"""The IID track: statistics by hand and by slow oracles, and the verdict."""

from __future__ import annotations

import bz2
import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.errors import TooFewSamples
from qlq.qrng.assessment import chi_square, iid, permutation, samples
from qlq.qrng.assessment.permutation_statistics import Statistic
from qlq.qrng.assessment.report import Length


def read(values: Sequence[int]) -> samples.Samples:
    return samples.read(np.array(values, dtype=np.uint8))


def runs(signs: Sequence[bool]) -> list[int]:
    return [len(list(group)) for _, group in itertools.groupby(signs)]


def collisions(values: Sequence[int]) -> list[int]:
    found, seen = [], list[int]()
    for value in values:
        if value in seen:
            found.append(len(seen) + 1)
            seen = []
        else:
            seen.append(value)
    return found


def oracle(raw: list[int]) -> dict[str, float]:
    """The statistics of clause 5.1, word by word and slowly, with re-mapped symbols."""
    distinct = sorted(set(raw))
    values = [distinct.index(value) for value in raw]
    is_binary = len(distinct) == 2
    mean = sum(raw) / len(raw)
    middle = 0.5 if is_binary else sorted(values)[len(values) // 2]
    if not is_binary and len(values) % 2 == 0:
        middle = sum(sorted(values)[len(values) // 2 - 1 :][:2]) / 2
    padded = values + [0] * (-len(values) % 8)
    blocks = [padded[i : i + 8] for i in range(0, len(padded), 8)]
    counts = [sum(block) for block in blocks] if is_binary else values
    numbers = [int("".join(map(str, b)), 2) for b in blocks] if is_binary else values
    factors = counts if is_binary else raw
    rises = [after >= before for before, after in itertools.pairwise(counts)]
    above = [value >= middle for value in values]
    times = collisions(numbers)
    partial = itertools.accumulate(raw)
    found: dict[str, float] = {
        "excursion": max(abs(total - (i + 1) * mean) for i, total in enumerate(partial)),
        "directional_runs": len(runs(rises)),
        "longest_directional_run": max(runs(rises)),
        "increases_decreases": max(sum(rises), len(rises) - sum(rises)),
        "median_runs": len(runs(above)),
        "longest_median_run": max(runs(above)),
        "average_collision": sum(times) / len(times) if times else math.nan,
        "longest_collision": max(times, default=0),
        "compression": len(bz2.compress(" ".join(map(str, raw)).encode(), 5)),
    }
    for lag in (1, 2, 8, 16, 32):
        pairs = list(zip(counts, counts[lag:], strict=False))
        found[f"periodicity_{lag}"] = sum(a == b for a, b in pairs)
        products = zip(factors, factors[lag:], strict=False)
        found[f"covariance_{lag}"] = sum(a * b for a, b in products)
    return found


@given(
    st.one_of(
        st.lists(st.sampled_from([0, 1]), min_size=24, max_size=400),
        st.lists(st.sampled_from([3, 200]), min_size=24, max_size=400),
        st.lists(st.sampled_from([0, 5, 9, 10, 11, 100, 255]), min_size=24, max_size=100),
        st.lists(st.integers(0, 255), min_size=24, max_size=100),
    ).filter(lambda values: len(set(values)) > 1)
)
def test_the_statistics_are_those_of_the_standard(values: list[int]) -> None:
    found = permutation.initial(read(values))
    expected = oracle(values)
    assert {one.value: value for one, value in found.items()} == pytest.approx(
        expected, rel=1e-12, nan_ok=True
    )


EXAMPLES = [  # by hand, after the examples of clause 5.1
    ([2, 15, 4, 10, 9], Statistic.EXCURSION, 6),
    ([2, 2, 2, 5, 7, 7, 9, 3, 1, 4, 4], Statistic.DIRECTIONAL_RUNS, 3),
    ([2, 2, 2, 5, 7, 7, 9, 3, 1, 4, 4], Statistic.LONGEST_DIRECTIONAL_RUN, 6),
    ([2, 2, 2, 5, 7, 7, 9, 3, 1, 4, 4], Statistic.INCREASES_DECREASES, 8),
    ([5, 15, 12, 1, 13, 9, 4], Statistic.MEDIAN_RUNS, 5),
    ([5, 15, 12, 1, 13, 9, 4], Statistic.LONGEST_MEDIAN_RUN, 2),
    ([2, 1, 1, 2, 0, 1, 0, 1, 1, 2], Statistic.AVERAGE_COLLISION, 3),
    ([2, 1, 1, 2, 0, 1, 0, 1, 1, 2], Statistic.LONGEST_COLLISION, 4),
    ([2, 1, 2, 1, 0, 1, 0, 1, 1, 2], Statistic.PERIODICITY_2, 5),
    ([5, 2, 6, 10, 12, 3, 1], Statistic.COVARIANCE_2, 164),
]


@pytest.mark.parametrize(("values", "statistic", "expected"), EXAMPLES)
def test_worked_examples(values: list[int], statistic: Statistic, expected: float) -> None:
    assert permutation.initial(read(values))[statistic] == pytest.approx(expected)


def sound(count: int, *, symbols: int, seed: int) -> samples.Samples:
    rng = np.random.default_rng(seed)
    return samples.read(rng.integers(0, symbols, count, dtype=np.uint8))


@pytest.mark.parametrize("symbols", [2, 4, 16])
def test_independent_samples_pass_and_claim_the_most_common_value(symbols: int) -> None:
    """Sound data fail in about 3 % of seeds: 19 statistics at 12 in 10,000, three tests at 1."""
    data = sound(5_000, symbols=symbols, seed=12)
    found = iid.assess(data, seed=7, length=Length.SHORT)
    assert found.has_passed
    assert found.is_short
    share = max(Counter(data.raw.tolist()).values()) / data.count
    bound = share + 2.5758293035489008 * math.sqrt(share * (1 - share) / (data.count - 1))
    assert found.h_original == pytest.approx(-math.log2(bound))
    assert found.assessed is not None
    assert found.assessed <= math.log2(symbols)
    assert (found.h_bitstring is None) == (symbols == 2)


def test_sorted_data_fail_and_get_no_min_entropy() -> None:
    data = samples.read(np.sort(sound(20_000, symbols=4, seed=1).raw))
    found = iid.assess(data, seed=7, length=Length.SHORT)
    assert not found.independence.has_passed
    assert not found.has_passed
    assert (found.assessed, found.h_original, found.h_bitstring) == (None, None, None)
    assert found.permutations is None  # the verdict is known without them


def test_an_alternation_that_chi_square_cannot_see_fails_the_shuffles() -> None:
    """Each third symbol repeats the one before the last: neighbours are independent."""
    raw = sound(6_000, symbols=4, seed=2).raw.copy()
    raw[2::3] = raw[0:-2:3][: raw[2::3].size]
    found = permutation.run(samples.read(raw), seed=1, permutations=200)
    assert not found.has_passed
    assert Statistic.PERIODICITY_2 in found.failed
    assert found.shuffles == 200


def test_a_repeated_batch_fails_the_longest_repeat() -> None:
    data = sound(10_000, symbols=2, seed=3).raw
    repeated = samples.read(np.concatenate([data, data[1000:1500]]))
    found = iid.assess(repeated, seed=1, length=Length.SHORT)
    assert 500 <= found.longest_repeat.length < 520
    assert found.longest_repeat.p_value < 1e-100
    assert found.independence.has_passed
    assert found.goodness_of_fit.has_passed
    assert found.permutations is None  # the repeat alone decides
    assert not found.has_passed
    assert found.assessed is None


def test_shuffles_stop_as_soon_as_every_statistic_has_passed() -> None:
    data = sound(2_000, symbols=4, seed=9)
    found = permutation.run(data, seed=1)
    assert found.has_passed
    assert found.shuffles < 10_000
    assert all(rank.is_typical for rank in found.ranks.values())
    assert permutation.run(data, seed=1) == found


@pytest.mark.parametrize(
    ("ranks", "is_typical"), [((5, 0, 99), False), ((5, 1, 99), True), ((99, 3, 2), False)]
)
def test_ties_count_on_both_sides(ranks: tuple[int, int, int], is_typical: bool) -> None:
    above, equal, below = ranks
    assert permutation.Rank(1.0, above, equal, below).is_typical == is_typical


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="seed outside"):
        permutation.run(sound(1_000, symbols=2, seed=1), seed=seed)


def test_too_few_shuffles_are_refused() -> None:
    with pytest.raises(ValueError, match="10 permutations"):
        permutation.run(sound(1_000, symbols=2, seed=1), seed=1, permutations=10)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(TooFewSamples, match="1000000"):
        iid.assess(sound(5_000, symbols=2, seed=1), seed=1)


def test_chi_square_independence_of_bits_by_hand() -> None:
    """1,000 times 01: tuples of 8 bits are expected 250/256 times, of 5 bits 400/32 = 12.5."""
    found = chi_square.independence(read([0, 1] * 1000))
    # 2,000 / 6 = 333 tuples of 6 bits: 333/64 = 5.2 each; all are 010101.
    assert found.degrees == 62
    expected = 333 / 64
    assert found.statistic == pytest.approx((333 - expected) ** 2 / expected + 63 * expected)
    assert found.p_value == 0.0


def test_chi_square_independence_of_symbols_by_hand() -> None:
    """300 pairs, 0 1 and 1 2 and 2 0 in turn: nine cells expect 100/3 each, three hold 100."""
    found = chi_square.independence(read([0, 1, 1, 2, 2, 0] * 100))
    cell = 100 / 3
    assert found.statistic == pytest.approx(3 * (100 - cell) ** 2 / cell + 6 * cell)
    assert found.degrees == 9 - 3


def test_chi_square_fit_by_hand() -> None:
    """Ten parts of 100; the first holds ones only, the others zeros only: 10 and 90 expected."""
    found = chi_square.goodness_of_fit(read([1] * 100 + [0] * 900))
    first, other = 90**2 / 90 + 90**2 / 10, 10**2 / 90 + 10**2 / 10
    assert found.statistic == pytest.approx(first + 9 * other)
    assert found.degrees == 9


def test_rare_symbols_share_a_bin() -> None:
    """In parts of 30 the two rare symbols are expected 2 and 3 times: one bin of 5, one of 25."""
    part = [0] * 25 + [1] * 2 + [2] * 3
    found = chi_square.goodness_of_fit(read(part * 10))
    assert (found.statistic, found.degrees) == (pytest.approx(0.0, abs=1e-12), 9)


def test_the_p_value_is_the_upper_tail() -> None:
    """With two degrees of freedom the tail is exp(-x/2)."""
    assert chi_square.ChiSquare(5.0, 2).p_value == pytest.approx(math.exp(-2.5))
    assert chi_square.ChiSquare(0.0, 0).has_passed

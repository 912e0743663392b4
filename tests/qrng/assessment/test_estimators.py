"""Estimators against slow oracles, and data that are easy to get wrong."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.errors import MinEntropyTooLow, TooFewSamples
from qlq.qrng.assessment import (
    bit_contexts,
    bounds,
    counting,
    estimators,
    repeats,
    report,
    samples,
    symbol_contexts,
    windows,
)
from qlq.qrng.assessment.estimators import Estimator
from qlq.qrng.assessment.report import Length

Z = 2.5758293035489008


def array(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.uint8)


def mapped(values: list[int]) -> samples.Samples:
    return samples.read(array(values))


def scored(values: list[int], guesses: list[int | None]) -> tuple[int, int]:
    """Correct guesses and their longest run."""
    correct, run, longest = 0, 0, 0
    for value, guess in zip(values, guesses, strict=True):
        run = run + 1 if guess == value else 0
        correct += guess == value
        longest = max(longest, run)
    return correct, longest


def follow(counts: Counter[int]) -> int:
    """The symbol seen most often, of equal ones the larger. Source: clauses 6.3.9, 6.3.10."""
    return max(counts, key=lambda symbol: (counts[symbol], symbol))


def markov_oracle(values: list[int]) -> tuple[int, int]:
    """Clause 6.3.9, its steps in their order."""
    data = bytes(values)
    models: list[dict[bytes, Counter[int]]] = [{} for _ in range(16)]
    entries, scores, winner = [0] * 16, [0] * 16, 0
    guesses: list[int | None] = []
    for i in range(2, len(data)):
        for d in range(1, min(16, i - 1) + 1):
            context, follower = data[i - d - 1 : i - 1], data[i - 1]
            if models[d - 1].get(context, {}).get(follower):
                models[d - 1][context][follower] += 1
            elif entries[d - 1] < 100_000:
                models[d - 1].setdefault(context, Counter())[follower] = 1
                entries[d - 1] += 1
        made: list[int | None] = [None] * 16
        for d in range(1, min(16, i) + 1):
            seen = models[d - 1].get(data[i - d : i])
            if seen is None:
                break  # nor was a longer one
            made[d - 1] = follow(seen)
        guesses.append(made[winner])
        for d, guess in enumerate(made):
            if guess == data[i]:
                scores[d] += 1
                if scores[d] >= scores[winner]:
                    winner = d
    return scored(values[2:], guesses)


def dictionary_oracle(values: list[int]) -> tuple[int, int]:
    """Clause 6.3.10, its steps in their order."""
    entries: dict[tuple[int, ...], Counter[int]] = {}
    guesses: list[int | None] = []
    for i in range(17, len(values)):
        for j in range(16, 0, -1):
            context = tuple(values[i - j - 1 : i - 1])
            if context in entries or len(entries) < 65_536:
                entries.setdefault(context, Counter())[values[i - 1]] += 1
        most, guess = 0, None
        for j in range(16, 0, -1):
            seen = entries.get(tuple(values[i - j : i]))
            if seen and seen[follow(seen)] > most:
                guess = follow(seen)
                most = seen[guess]
        guesses.append(guess)
    return scored(values[17:], guesses)


STRINGS = st.one_of(
    st.lists(st.integers(0, 1), min_size=20, max_size=150),
    st.lists(st.integers(0, 3), min_size=20, max_size=150),
    st.lists(st.integers(0, 255), min_size=20, max_size=80),
)


@given(STRINGS)
def test_contexts_predict_what_the_standard_says(values: list[int]) -> None:
    data = mapped(values)
    known = data.symbols.tolist()
    expected = markov_oracle(known), dictionary_oracle(known)
    found = symbol_contexts.markov_models(data.symbols), symbol_contexts.dictionary(data.symbols)
    assert found == expected
    if data.alphabet <= 2:
        bits = bit_contexts.markov_models(data.symbols), bit_contexts.dictionary(data.symbols)
        assert bits == expected


def test_bits_and_symbols_agree_where_tables_are_full() -> None:
    """400,000 fair bits fill both dictionaries; the two programs share nothing."""
    bits = np.random.default_rng(3).integers(0, 2, 400_000, dtype=np.uint8)
    assert bit_contexts.markov_models(bits) == symbol_contexts.markov_models(bits)
    assert bit_contexts.dictionary(bits) == symbol_contexts.dictionary(bits)


def test_a_full_model_learns_nothing_new() -> None:
    """Replayed contexts whose followers changed: with room they would be learned, and guessed."""
    rng = np.random.default_rng(4)
    first = rng.integers(0, 256, 100_100, dtype=np.uint8)
    changed = first[:1500].copy()
    changed[::4] += 1
    values = np.concatenate([first, changed, changed, changed])
    assert symbol_contexts.markov_models(values) == markov_oracle(values.tolist())


def lag_oracle(values: list[int]) -> tuple[int, int]:
    scores, winner = [0] * 128, 0
    guesses: list[int | None] = []
    for i in range(1, len(values)):
        made = [values[i - d] if d <= i else None for d in range(1, 129)]
        guesses.append(made[winner])
        for d, guess in enumerate(made):
            if guess == values[i]:
                scores[d] += 1
                if scores[d] >= scores[winner]:
                    winner = d
    return scored(values[1:], guesses)


@given(st.one_of(STRINGS, st.lists(st.integers(0, 1), min_size=200, max_size=400)))
def test_lags_predict_what_the_standard_says(values: list[int]) -> None:
    assert windows._lagged(array(values)) == lag_oracle(values)


def windows_oracle(values: list[int]) -> tuple[int, int]:
    scores, winner = [0] * 4, 0
    guesses: list[int | None] = []
    for i in range(63, len(values)):
        made: list[int | None] = []
        for size in (63, 255, 1023, 4095):
            if i < size:
                made.append(None)
                continue
            window = values[i - size : i]
            counts = Counter(window)
            most = max(counts.values())
            made.append(next(v for v in reversed(window) if counts[v] == most))
        guesses.append(made[winner])
        for j, guess in enumerate(made):
            if guess is not None and guess == values[i]:
                scores[j] += 1
                if scores[j] >= scores[winner]:
                    winner = j
    return scored(values[63:], guesses)


@pytest.mark.parametrize("alphabet", [2, 3, 40])
def test_windows_predict_what_the_standard_says(alphabet: int) -> None:
    values = np.random.default_rng(alphabet).integers(0, alphabet, 4400, dtype=np.uint8)
    found = windows._most_common_in_windows(values, alphabet)
    assert found == windows_oracle(values.tolist())


def repeats_oracle(values: list[int]) -> tuple[float | None, float | None]:
    """Clauses 6.3.5 and 6.3.6 by counting every tuple of every length."""
    n = len(values)
    by_length = []
    for length in range(1, n):
        counts = Counter(tuple(values[i : i + length]) for i in range(n - length + 1))
        if max(counts.values()) < 2:
            break
        by_length.append(counts)
    often = [c for c in by_length if max(c.values()) >= 35]
    rare = by_length[len(often) :]

    def claim(p: float) -> float:
        return -math.log2(min(1.0, p + Z * math.sqrt(p * (1 - p) / (n - 1))))

    tuples = [(max(c.values()) / (n - t + 1)) ** (1 / t) for t, c in enumerate(often, 1)]
    substrings = [
        (sum(math.comb(k, 2) for k in c.values()) / math.comb(n - w + 1, 2)) ** (1 / w)
        for w, c in enumerate(rare, len(often) + 1)
    ]
    return claim(max(tuples)) if tuples else None, claim(max(substrings)) if substrings else None


@given(
    st.one_of(
        st.lists(st.integers(0, 1), min_size=10, max_size=300),
        st.lists(st.integers(0, 5), min_size=10, max_size=300),
        st.lists(st.sampled_from([[0, 1, 1], [2]]), min_size=20, max_size=60).map(
            lambda parts: [value for part in parts for value in part]
        ),
    )
)
def test_tuples_and_repeats_are_those_of_the_standard(values: list[int]) -> None:
    expected = repeats_oracle(values)
    found = repeats.tuple_and_longest_repeat(array(values))
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_replayed_batch_is_seen_and_takes_no_longer() -> None:
    """Every repeat of the half is one too, at each of 300,000 lengths: none is walked alone."""
    half = np.random.default_rng(1).integers(0, 2, 300_000, dtype=np.uint8)
    twice = np.concatenate([half, half])
    assert repeats.longest(twice) == 300_000
    _, by_repeat = repeats.tuple_and_longest_repeat(twice)
    assert by_repeat is not None
    assert by_repeat < 1e-3


@pytest.mark.parametrize(
    ("p", "run", "count"),
    [(0.5, 20, 1_000_000), (0.004, 3, 1_000_000), (0.9, 200, 10_000), (0.999999, 3, 9_999_999)],
)
def test_the_chance_of_no_run_keeps_its_digits(p: float, run: int, count: int) -> None:
    """Step 5 of clause 6.3.7 with 60 digits."""
    with mpmath.workdps(60):
        exact_p = mpmath.mpf(p)
        q, x = 1 - exact_p, mpmath.mpf(1)
        for _ in range(2000):
            x = 1 + q * exact_p**run * x ** (run + 1)
        chance = (1 - exact_p * x) / ((run + 1 - run * x) * q) / x ** (count + 1)
        expected = float(mpmath.log(chance))
    found = bounds.log_probability_of_no_run(p, run=run, count=count)
    assert found == pytest.approx(expected, rel=1e-9)


def test_periodic_data_are_worth_nothing() -> None:
    data = samples.read(np.resize(array([0, 1, 1, 0, 1, 0, 0, 1, 1, 1]), 20_000))
    found = report.assess(data, length=Length.SHORT)
    for predictor in (Estimator.LAG, Estimator.MULTI_MMC):
        assert found.original[predictor] == pytest.approx(0.0, abs=2e-3)
    assert found.original[Estimator.MOST_COMMON_VALUE] == pytest.approx(-math.log2(0.6), abs=0.03)
    assert found.assessed == 0.0


def test_a_known_source_is_assessed_below_its_truth_and_not_far_below() -> None:
    """A bit of probability 0.75 holds 0.415 bits; the bound fails in at most 1 % of cases."""
    biased = (np.random.default_rng(8).random(100_000) < 0.75).astype(np.uint8)
    found = report.assess(samples.read(biased), length=Length.SHORT)
    assert all(value is not None for value in found.original.values())
    assert 0.2 < found.assessed <= -math.log2(0.75)


@pytest.mark.parametrize("low", [0, 7])
def test_symbols_that_do_not_occur_make_no_difference(low: int) -> None:
    values = np.random.default_rng(5).integers(0, 5, 5000, dtype=np.uint8)
    plain = report.assess(samples.read(values), length=Length.SHORT)
    spread = report.assess(samples.read(values * 50 + low), length=Length.SHORT)
    assert spread.original == plain.original
    assert (plain.bits, spread.bits) == (3, 8)


def test_a_width_above_what_occurs_counts_its_constant_bits() -> None:
    values = np.random.default_rng(5).integers(0, 16, 5000, dtype=np.uint8)
    found = report.assess(samples.read(values, bits=8), length=Length.SHORT)
    assert found.bits == 8
    assert found.h_bitstring is not None
    assert found.assessed <= 4.0


def test_two_symbols_are_one_bit_string_whatever_their_names() -> None:
    bits = np.random.default_rng(6).integers(0, 2, 5000, dtype=np.uint8)
    found = report.assess(samples.read(bits * 200 + 3), length=Length.SHORT)
    expected = report.assess(samples.read(bits), length=Length.SHORT)
    assert found.original == expected.original
    assert (found.bitstring, found.h_bitstring) == ({}, None)
    assert Estimator.COLLISION in found.original


@pytest.mark.parametrize(("count", "length"), [(999_999, Length.STANDARD), (999, Length.SHORT)])
def test_too_few_samples_are_refused(count: int, length: Length) -> None:
    data = samples.read(np.random.default_rng(1).integers(0, 2, count, dtype=np.uint8))
    with pytest.raises(TooFewSamples, match=f"{count} samples are fewer than the"):
        report.assess(data, length=length)


def test_constant_data_are_refused() -> None:
    with pytest.raises(MinEntropyTooLow, match="all 5000 samples are 9"):
        report.assess(samples.read(np.full(5000, 9, dtype=np.uint8)), length=Length.SHORT)


@pytest.mark.parametrize(
    ("raw", "bits", "words"),
    [
        (np.zeros(0, dtype=np.uint8), None, "empty"),
        (array([4]), 2, "symbol 4 needs 3 bits, not 2"),
        (array([0]), 0, "outside 1 to 8: 0"),
        (array([0]), 9, "outside 1 to 8: 9"),
        (np.zeros(4, dtype=np.int64), None, "uint8"),
        (np.zeros((2, 2), dtype=np.uint8), None, "uint8"),
    ],
)
def test_what_is_no_samples_is_refused(raw: np.ndarray, bits: int | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        samples.read(raw, bits=bits)


@pytest.mark.parametrize("alphabet", [1, 257])
def test_an_alphabet_that_no_byte_has_is_refused(alphabet: int) -> None:
    with pytest.raises(ValueError, match="alphabet outside"):
        estimators.estimate(np.zeros(2000, dtype=np.uint8), alphabet=alphabet)


@given(st.lists(st.integers(0, 1), min_size=7, max_size=200))
def test_collision_and_markov_follow_the_standard(values: list[int]) -> None:
    times, i = [], 0
    while i < len(values) - 1:
        step = 2 if values[i] == values[i + 1] else 3
        if i + step > len(values):
            break
        times.append(step)
        i += step
    mean = float(np.mean(times))
    low = mean - Z * float(np.std(times, ddof=1)) / math.sqrt(len(times))
    inside = 1.25 - 0.5 * max(2.0, low)
    expected = -math.log2(0.5 + math.sqrt(inside)) if inside > 0 else 1.0
    assert counting.collision(array(values)) == pytest.approx(expected, abs=1e-7)
    assert counting.markov(array(values)) == pytest.approx(chain(values), abs=1e-9)


def chain(values: list[int]) -> float:
    """The likeliest of six strings of 128 bits, multiplied out. Source: clause 6.3.3, step 3."""
    n = len(values)
    start = [values.count(0) / n, values.count(1) / n]
    step = [[0.0, 0.0], [0.0, 0.0]]
    for a in (0, 1):
        followers = [values[i + 1] for i in range(n - 1) if values[i] == a]
        for b in (0, 1):
            step[a][b] = followers.count(b) / len(followers) if followers else 0.0
    strings = ([0] * 128, [0, 1] * 64, [0] + [1] * 127, [1] + [0] * 127, [1, 0] * 64, [1] * 128)
    chances = [
        start[string[0]] * math.prod(step[a][b] for a, b in itertools.pairwise(string))
        for string in strings
    ]
    return min(1.0, -math.log2(max(chances)) / 128) if max(chances) > 0 else 1.0

"""Each formula beside a slow one that shares nothing with it but the standard's text."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from qlq.qrng.randomness_tests import (
    frequency,
    linear_complexity,
    matrix_rank,
    patterns,
    random_walk,
    spectrum,
    templates,
    universal,
)

Bits = NDArray[np.uint8]


def random_bits(count: int, seed: int) -> Bits:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 2, count, dtype=np.uint8)


def text_of(bits: Bits) -> str:
    return "".join(map(str, bits.tolist()))


@pytest.mark.parametrize("count", [100, 1000, 1001])
def test_peaks_are_those_of_a_plain_transform(count: int) -> None:
    bits = random_bits(count, 1)
    signs = 2.0 * bits - 1
    angles = 2 * np.pi * np.outer(np.arange(count // 2), np.arange(count)) / count
    peaks = np.hypot(np.cos(angles) @ signs, np.sin(angles) @ signs)
    below = int((peaks < math.sqrt(count * math.log(20))).sum())
    deviation = (below - 0.95 * count / 2) / math.sqrt(count * 0.95 * 0.05 / 4)
    assert spectrum.spectral(bits) == pytest.approx(2 * norm.sf(abs(deviation)), rel=1e-9)


@given(count=st.integers(1, 400), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_longest_runs_are_those_of_the_text(count: int, seed: int) -> None:
    bits = random_bits(128 * 3 + count, seed)
    text = text_of(bits)
    blocks = [text[start : start + 8] for start in range(0, len(text) - 7, 8)]
    longest = [max(map(len, block.split("0"))) for block in blocks]
    observed = Counter(min(max(run, 1), 4) for run in longest)
    expected = dict(zip((1, 2, 3, 4), (55 / 256, 94 / 256, 59 / 256, 48 / 256), strict=True))
    statistic = sum(
        (observed[run] - len(blocks) * p) ** 2 / (len(blocks) * p) for run, p in expected.items()
    )
    assert frequency.longest_run(bits) == pytest.approx(chi2.sf(statistic, 3), rel=1e-9)


@pytest.mark.parametrize(
    ("block_bits", "tolerance"),
    # the last rule's printed classes are off by up to 0.0016, and all published values use them
    [(8, 1e-12), (128, 1e-8), (10_000, 1.7e-3)],
)
def test_classes_of_the_longest_run_are_those_of_a_chain(block_bits: int, tolerance: float) -> None:
    ((_, _, shortest, printed),) = [
        rule for rule in frequency.LONGEST_RUN_RULES if rule[1] == block_bits
    ]
    at_most = [
        probability_of_no_longer_run(shortest + index, block_bits)
        for index in range(len(printed) - 1)
    ]
    exact = np.diff([0.0, *at_most, 1.0])
    assert np.abs(exact - printed).max() < tolerance


def probability_of_no_longer_run(longest: int, block_bits: int) -> float:
    """A chain over the length of the run at the end."""
    state = np.zeros(longest + 1)
    state[0] = 1.0
    for _ in range(block_bits):
        state = np.concatenate(([state.sum() / 2], state[:-1] / 2))
    return float(state.sum())


def test_rank_probabilities_are_the_counts_of_all_small_matrices() -> None:
    for side in (1, 2, 3):
        ranks = Counter(
            rank_of([list(cells[row * side : (row + 1) * side]) for row in range(side)])
            for cells in itertools.product((0, 1), repeat=side * side)
        )
        for rank in range(side + 1):
            wanted = ranks[rank] / 2 ** (side * side)
            assert matrix_rank.rank_probability(rank, side=side) == pytest.approx(wanted, rel=1e-12)


def rank_of(rows: list[list[int]]) -> int:
    """By elimination, column by column."""
    rows, rank = [row[:] for row in rows], 0
    for column in range(len(rows[0])):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for i in range(len(rows)):
            if i != rank and rows[i][column]:
                rows[i] = [a ^ b for a, b in zip(rows[i], rows[rank], strict=True)]
        rank += 1
    return rank


def test_ranks_are_those_of_plain_elimination() -> None:
    matrices = random_bits(20 * 1024, 2).reshape(20, 32, 32)
    matrices[3, 7] = matrices[3, 9]
    matrices[4, 5:] = 0
    matrices[5] = 0
    words = np.packbits(matrices.reshape(-1)).view(">u4").astype(np.uint32)
    wanted = [rank_of(matrix.tolist()) for matrix in matrices]
    assert matrix_rank.ranks_of(words).tolist() == wanted
    assert wanted[5] == 0


def test_148_words_of_nine_bits_cannot_overlap_themselves() -> None:
    # 2, 4, 6, 12, 20, 40, 74, 148, 284: SP 800-22 rev. 1a, 2.7.2
    counts = [len(templates.aperiodic_templates(size)) for size in range(2, 11)]
    assert counts == [2, 4, 6, 12, 20, 40, 74, 148, 284]


@given(seed=st.integers(0, 1000), size=st.integers(2, 6), blocks=st.integers(1, 9))
@settings(max_examples=25)
def test_templates_are_counted_as_a_jumping_window_counts_them(
    seed: int, size: int, blocks: int
) -> None:
    bits = random_bits(501, seed)
    length = 501 // blocks
    words = templates.aperiodic_templates(size)
    mean = (length - size + 1) / 2**size
    variance = length * (1 / 2**size - (2 * size - 1) / 4**size)
    found = templates.non_overlapping(bits, templates=words, blocks=blocks)
    for word in words:
        counts = [
            text_of(bits[index * length : (index + 1) * length]).count(word)
            for index in range(blocks)
        ]
        statistic = sum((count - mean) ** 2 / variance for count in counts)
        assert found[word] == pytest.approx(chi2.sf(statistic, blocks), rel=1e-9)


def test_exact_classes_of_the_overlapping_template_are_those_of_a_chain() -> None:
    """A chain over the run of ones at the end and the occurrences so far."""
    state = np.zeros((10, 6))  # run 0 to 9, occurrences 0 to 5
    state[0, 0] = 1.0
    for _ in range(1032):
        after = np.zeros_like(state)
        after[0] = state.sum(axis=0) / 2
        after[1:9] = state[:8] / 2
        hit = (state[8] + state[9]) / 2
        after[9] = np.concatenate(([0.0], hit[:4], [hit[4] + hit[5]]))
        state = after
    assert state.sum(axis=0) == pytest.approx(templates.EXACT_PROBABILITIES, abs=1e-6)


def test_overlapping_words_are_counted_in_the_text() -> None:
    bits = (random_bits(1032 * 12 + 5, 3) | random_bits(1032 * 12 + 5, 4)).astype(np.uint8)
    observed = np.zeros(6)
    for block in range(12):
        text = text_of(bits[block * 1032 : (block + 1) * 1032])
        hits = sum(text.startswith("1" * 9, place) for place in range(len(text)))
        observed[min(hits, 5)] += 1
    expected = 12 * np.array(templates.EXACT_PROBABILITIES)
    statistic = float(((observed - expected) ** 2 / expected).sum())
    assert templates.overlapping_exact_pi(bits) == pytest.approx(chi2.sf(statistic, 5), rel=1e-9)


@pytest.mark.parametrize("word_bits", sorted(universal.MOMENTS))
def test_moments_of_maurer_s_statistic_are_those_of_its_series(word_bits: int) -> None:
    """The distance to the last occurrence is geometric. Source: Maurer (1992), for K large."""
    p = 2.0**-word_bits
    i = np.arange(1, math.ceil(45 / p))
    weights = p * np.exp((i - 1) * np.log1p(-p))
    mean = float((weights * np.log2(i)).sum())
    variance = float((weights * np.log2(i) ** 2).sum()) - mean**2
    assert universal.MOMENTS[word_bits] == pytest.approx((mean, variance), abs=1e-3)
    assert universal.MOMENTS[word_bits][0] == pytest.approx(mean, abs=6e-6)


@given(seed=st.integers(0, 1000), word_bits=st.integers(3, 7), count=st.integers(60, 300))
@settings(max_examples=25)
def test_words_are_counted_around_the_end(seed: int, word_bits: int, count: int) -> None:
    bits = random_bits(count, seed)
    n, m = count, word_bits
    psi = [psi_squared(bits, size) for size in (m, m - 1, m - 2)]
    first, second = psi[0] - psi[1], psi[0] - 2 * psi[1] + psi[2]
    assert patterns.serial(bits, word_bits=m) == pytest.approx(
        (chi2.sf(first, 2 ** (m - 1)), chi2.sf(second, 2 ** (m - 2))), rel=1e-6, abs=1e-12
    )
    phi = [
        sum(c / n * math.log(c / n) for c in circular(bits, size).values()) for size in (m, m + 1)
    ]
    statistic = 2 * n * (math.log(2) - (phi[0] - phi[1]))
    assert patterns.approximate_entropy(bits, word_bits=m) == pytest.approx(
        chi2.sf(statistic, 2**m), rel=1e-6, abs=1e-12
    )


def circular(bits: Bits, size: int) -> Counter[str]:
    text = text_of(bits)
    return Counter((text + text)[place : place + size] for place in range(len(text)))


def psi_squared(bits: Bits, size: int) -> float:
    squares = sum(count**2 for count in circular(bits, size).values())
    return 2**size / bits.size * squares - bits.size


@given(seed=st.integers(0, 1000), block_bits=st.integers(1, 200))
@settings(max_examples=40)
def test_registers_are_as_long_as_plain_berlekamp_and_massey_finds_them(
    seed: int, block_bits: int
) -> None:
    bits = random_bits(3 * block_bits, seed)
    if seed % 3 == 0:
        bits = np.tile(bits[:7], 3 * block_bits)[: 3 * block_bits]  # registers of 7 at most
    wanted = [
        register_length(bits[index * block_bits : (index + 1) * block_bits].tolist())
        for index in range(3)
    ]
    assert linear_complexity.complexities(bits, block_bits=block_bits).tolist() == wanted


def register_length(s: list[int]) -> int:
    """Massey's algorithm on lists."""
    c, b, length, last = [1], [1], 0, -1
    for n in range(len(s)):
        d = sum(c[i] & s[n - i] for i in range(min(length, len(c) - 1) + 1)) % 2
        if not d:
            continue
        shifted = [0] * (n - last) + b
        size = max(len(c), len(shifted))
        total = [
            (c[i] if i < len(c) else 0) ^ (shifted[i] if i < len(shifted) else 0)
            for i in range(size)
        ]
        if 2 * length <= n:
            length, b, last = n + 1 - length, c, n
        c = total
    return length


def test_registers_of_all_short_blocks_are_the_shortest() -> None:
    """Every register of every length is tried."""
    for block in itertools.product((0, 1), repeat=8):
        shortest = next(
            length
            for length in range(9)
            if any(
                all(
                    block[n] == sum(t & block[n - 1 - i] for i, t in enumerate(taps)) % 2
                    for n in range(length, 8)
                )
                for taps in itertools.product((0, 1), repeat=length)
            )
        )
        got = linear_complexity.complexities(np.array(block, dtype=np.uint8), block_bits=8)
        assert got.tolist() == [shortest], block


@pytest.mark.parametrize("m", [500, 501])
def test_exact_classes_of_linear_complexity_are_the_counts_of_sequences(m: int) -> None:
    """Of 2^m sequences 2^min(2m - 2L, 2L - 1) have complexity L > 0. Source: Gustavson (1976)."""
    sign = -1 if m % 2 else 1
    mean = m / 2 + (9 - sign) / 36
    classes = np.zeros(7)
    for length in range(1, m + 1):
        t = sign * (length - mean) + 2 / 9
        index = sum(t > edge for edge in (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5))
        classes[index] += 2.0 ** (min(2 * m - 2 * length, 2 * length - 1) - m)
    assert classes == pytest.approx(linear_complexity.EXACT_PROBABILITIES, abs=1e-12)


@given(seed=st.integers(0, 1000), count=st.integers(1, 600))
@settings(max_examples=40)
def test_cycles_and_visits_are_those_of_a_walk_on_paper(seed: int, count: int) -> None:
    bits = random_bits(count, seed)
    walk = list(itertools.accumulate(2 * int(bit) - 1 for bit in bits))
    cycles: list[list[int]] = [[]]
    for place in walk:
        cycles[-1].append(place)
        if place == 0:
            cycles.append([])
    cycles = [cycle for cycle in cycles if cycle]
    found = random_walk.excursions(bits)
    assert found.cycles == len(cycles)
    assert found.visits.tolist() == [walk.count(state) for state in (*range(-9, 0), *range(1, 10))]
    for state, row in zip((-4, -3, -2, -1, 1, 2, 3, 4), found.cycles_by_visits, strict=True):
        tally = Counter(min(cycle.count(state), 5) for cycle in cycles)
        assert row.tolist() == [tally[visits] for visits in range(6)]


@pytest.mark.parametrize(
    ("state", "printed"),
    [
        (1, (0.5000, 0.2500, 0.1250, 0.0625, 0.0312, 0.0312)),
        (2, (0.7500, 0.0625, 0.0469, 0.0352, 0.0264, 0.0791)),
        (3, (0.8333, 0.0278, 0.0231, 0.0193, 0.0161, 0.0804)),
        (4, (0.8750, 0.0156, 0.0137, 0.0120, 0.0105, 0.0733)),
    ],
)
def test_probabilities_of_visits_are_the_printed_ones(
    state: int, printed: tuple[float, ...]
) -> None:
    for signed in (state, -state):  # 3.14
        assert random_walk.visit_probabilities(signed) == pytest.approx(printed, abs=6e-5)


def test_reach_of_a_walk_is_that_of_a_chain() -> None:
    """The chain of 2,000 steps; the standard's formula is its limit and errs by some 1/sqrt(n)."""
    n = 2_000
    for reach in (20, 40, 60, 90, 130):
        inside = np.zeros(2 * reach + 1)  # -reach to reach, absorbed at both ends
        inside[reach] = 1.0
        for _ in range(n):
            moved = np.zeros_like(inside)
            moved[1:-1] = (inside[:-2] + inside[2:]) / 2
            inside = moved
            inside[[0, -1]] = 0.0
        bits = straight(n, reach)
        forward, backward = random_walk.cumulative_sums(bits)
        assert forward == pytest.approx(1 - inside.sum(), abs=0.03)
        assert backward == pytest.approx(forward, abs=0.06)


def straight(n: int, reach: int) -> Bits:
    """Up to `reach` in one go, and then down and up by one."""
    tail = np.tile(np.array([0, 1], dtype=np.uint8), n)[: n - reach]
    return np.concatenate((np.ones(reach, dtype=np.uint8), tail))

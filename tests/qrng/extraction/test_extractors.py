"""Extractors against plain matrix products, their lengths, and the order of seed and raw bits."""

from __future__ import annotations

import hashlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.errors import InvariantBroken, MinEntropyTooLow
from qlq.numerics import toeplitz
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.qrng import extraction, source
from qlq.qrng.extraction import Bound, CommittedSeed, SeedOrigin
from qlq.qrng.source import Batch
from qlq.shots import Shots


def naive(raw: np.ndarray, seed: np.ndarray, m: int) -> np.ndarray:
    """The product over GF(2), entry by entry."""
    n = raw.size
    matrix = np.array([[seed[i - j + n - 1] for j in range(n)] for i in range(m)], dtype=int)
    return (matrix @ raw.astype(int)) % 2


def naive_modified(raw: np.ndarray, seed: np.ndarray, m: int) -> np.ndarray:
    """[I | T] times the raw bits over GF(2)."""
    rest = raw[m:].size
    matrix = np.zeros((m, raw.size), dtype=int)
    matrix[:, :m] = np.eye(m, dtype=int)
    matrix[:, m:] = [[seed[i - j + rest - 1] for j in range(rest)] for i in range(m)]
    return (matrix @ raw.astype(int)) % 2


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    n = draw(st.integers(1, 64), label="n")
    m = draw(st.integers(1, n), label="m")
    rng = np.random.default_rng(draw(st.integers(0, 2**32), label="bits"))
    return rng.integers(0, 2, n, np.uint8), rng.integers(0, 2, n + m - 1, np.uint8), m


@given(problem=problems())
def test_toeplitz_is_the_matrix_product(problem: tuple[np.ndarray, np.ndarray, int]) -> None:
    raw, seed, m = problem
    assert np.array_equal(
        extraction.toeplitz_extract(raw, seed=seed, output_bits=m), naive(raw, seed, m)
    )


@given(problem=problems(), rows=st.integers(1, 9), columns=st.integers(1, 9))
def test_blocks_give_the_same_bits(
    problem: tuple[np.ndarray, np.ndarray, int], rows: int, columns: int
) -> None:
    raw, seed, m = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "ROWS_MAX", rows)
        patch.setattr(extraction, "COLUMNS_MAX", columns)
        patch.setattr(toeplitz, "DIRECT_WORDS_MAX", 0)  # the transform, not the short way
        blocked = extraction.toeplitz_extract(raw, seed=seed, output_bits=m)
    assert np.array_equal(blocked, naive(raw, seed, m))


@given(problem=problems())
def test_modified_toeplitz_is_the_matrix_product(
    problem: tuple[np.ndarray, np.ndarray, int],
) -> None:
    raw, seed, m = problem
    if m < raw.size:
        got = extraction.modified_toeplitz_extract(raw, seed=seed[: raw.size - 1], output_bits=m)
        assert np.array_equal(got, naive_modified(raw, seed, m))


def test_long_outputs_agree_with_blocks_of_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    raw, seed = (rng.integers(0, 2, size, dtype=np.uint8) for size in (50_000, 74_999))
    whole = extraction.toeplitz_extract(raw, seed=seed, output_bits=25_000)
    monkeypatch.setattr(extraction, "ROWS_MAX", 7_001)
    monkeypatch.setattr(extraction, "COLUMNS_MAX", 9_999)
    assert np.array_equal(whole, extraction.toeplitz_extract(raw, seed=seed, output_bits=25_000))


def test_lost_exactness_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toeplitz, "ROUNDING_ERROR_MAX", 1e-15)
    rng = np.random.default_rng(2)
    raw, seed = (rng.integers(0, 2, size, dtype=np.uint8) for size in (20_000, 29_999))
    with pytest.raises(InvariantBroken, match="whole number"):
        extraction.toeplitz_extract(raw, seed=seed, output_bits=10_000)


def distance_from_uniform(raws: list[np.ndarray], n: int, m: int, *, modified: bool) -> float:
    """Exact statistical distance of (seed, output) from uniform, for a flat source."""
    seed_bits = n - 1 if modified else n + m - 1
    total = 0.0
    for seed in itertools.product((0, 1), repeat=seed_bits):
        s = np.array(seed, dtype=np.uint8)
        counts = dict.fromkeys(itertools.product((0, 1), repeat=m), 0)
        for raw in raws:
            out = (
                extraction.modified_toeplitz_extract(raw, seed=s, output_bits=m)
                if modified
                else extraction.toeplitz_extract(raw, seed=s, output_bits=m)
            )
            counts[tuple(out.tolist())] += 1
        total += sum(abs(c / len(raws) - 2.0**-m) for c in counts.values()) / 2
    return total / 2**seed_bits


@pytest.mark.parametrize("modified", [False, True])
@pytest.mark.parametrize(("n", "k", "m"), [(5, 4, 1), (5, 4, 2), (5, 3, 1)])
def test_the_lemma_s_error_is_kept_by_every_bit_of_enumeration(
    n: int, k: int, m: int, *, modified: bool
) -> None:
    """All seeds, one flat source of 2^k values: the distance is at most 1/2 * 2^(-(k - m)/2)."""
    every = [np.array(bits, dtype=np.uint8) for bits in itertools.product((0, 1), repeat=n)]
    order = np.random.default_rng(3).permutation(len(every))
    raws = [every[index] for index in order[: 2**k]]
    assert distance_from_uniform(raws, n, m, modified=modified) <= 0.5 * 2 ** (-(k - m) / 2)


@pytest.mark.parametrize(
    ("k", "eps", "bound", "m"),
    [
        (1000.0, 2.0**-64, Bound.CONSERVATIVE, 872),
        (1000.0, 2.0**-64, Bound.LEFTOVER_HASH, 874),
        (1000.0, 2.0**-128, Bound.CONSERVATIVE, 744),
        (1000.9, 2.0**-64, Bound.CONSERVATIVE, 872),
        (128.0, 2.0**-64, Bound.CONSERVATIVE, 0),
        (0.0, 2.0**-64, Bound.LEFTOVER_HASH, 0),
    ],
)
def test_lengths_follow_the_leftover_hash_lemma(k: float, eps: float, bound: Bound, m: int) -> None:
    assert extraction.output_length_bits(min_entropy_bits=k, eps=eps, bound=bound) == m


@pytest.mark.parametrize(
    ("k", "eps"), [(-1.0, 0.1), (math.nan, 0.1), (math.inf, 0.1), (9.0, 0.0), (9.0, 1.0)]
)
def test_lengths_of_impossible_values_are_refused(k: float, eps: float) -> None:
    with pytest.raises(ValueError, match="must"):
        extraction.output_length_bits(min_entropy_bits=k, eps=eps)


def test_errors_add_up() -> None:
    total = extraction.total_eps(
        extractors=(0.01, 0.02), smoothing=0.1, certificate=0.2, seed_per_bit=0.001, output_bits=50
    )
    assert total == pytest.approx(0.38)
    assert extraction.total_eps(extractors=(0.7, 0.7)) == 1.0
    for bad in ((), (-0.1,), (math.nan,)):
        with pytest.raises(ValueError, match="errors"):
            extraction.total_eps(extractors=bad)


def test_von_neumann_takes_the_first_bit_of_unequal_pairs() -> None:
    raw = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1], dtype=np.uint8)
    assert extraction.von_neumann_extract(raw).tolist() == [0, 1, 0]
    assert extraction.von_neumann_extract(raw[:1]).size == 0


def test_von_neumann_removes_bias() -> None:
    raw = (np.random.default_rng(4).random(400_000) < 0.8).astype(np.uint8)
    out = extraction.von_neumann_extract(raw)
    assert out.size == pytest.approx(200_000 * 2 * 0.8 * 0.2, rel=0.02)
    assert out.mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(out.size))


@pytest.mark.parametrize(
    ("raw", "seed", "m"),
    [
        (np.zeros(4, np.uint8), np.zeros(5, np.uint8), 0),
        (np.zeros(4, np.uint8), np.zeros(8, np.uint8), 5),
        (np.zeros(4, np.uint8), np.zeros(4, np.uint8), 2),
        (np.zeros(4, np.int64), np.zeros(5, np.uint8), 2),
        (np.full(4, 2, np.uint8), np.zeros(5, np.uint8), 2),
        (np.zeros(4, np.uint8), np.full(5, 2, np.uint8), 2),
    ],
)
def test_other_types_values_and_lengths_are_refused(
    raw: np.ndarray, seed: np.ndarray, m: int
) -> None:
    with pytest.raises(ValueError, match=r"cannot|needed|must"):
        extraction.toeplitz_extract(raw, seed=seed, output_bits=m)
    with pytest.raises(ValueError, match=r"cannot|needed|must"):
        extraction.modified_toeplitz_extract(raw, seed=seed, output_bits=m)


def batch_with(commitment: str | None) -> Batch:
    order = source.order_hadamard(raw_bits=4096, width=4, seed_commitment=commitment)
    bits = np.random.default_rng(5).integers(0, 2, (1, 1024, 4), dtype=np.uint8)
    origin = Provenance(
        Tier.QPU,
        Claim.SAME_CHIP,
        "lab",
        "tests",
        "lab",
        Kind.QPU,
        "job",
        order.plan.program.digest,
        sdk={},
    )
    return source.collect(order, Shots(bits, origin))


SEED = CommittedSeed(np.random.default_rng(6).bytes(1000), SeedOrigin.BEACON, "pulse 7")


def test_a_commitment_covers_origin_detail_and_every_bit() -> None:
    text = b"qlq extractor seed 1\nbeacon\npulse 7\n" + SEED.material
    assert SEED.commitment == hashlib.sha256(text).hexdigest()
    assert repr(SEED.material) not in repr(SEED)


def test_extraction_takes_only_the_seed_that_the_batch_was_ordered_with() -> None:
    other = CommittedSeed(SEED.material, SeedOrigin.CLIENT, "pulse 7")
    for commitment in (None, other.commitment):
        with pytest.raises(ValueError, match="before the raw bits existed"):
            extraction.extract(batch_with(commitment), seed=SEED, min_entropy_bits=3000.0)


def test_extraction_gives_all_that_the_lemma_allows_and_records_what_it_took() -> None:
    batch = batch_with(SEED.commitment)
    done = extraction.extract(batch, seed=SEED, min_entropy_bits=400.5)
    assert done.bits.size == 272
    bits = np.unpackbits(np.frombuffer(SEED.material, dtype=np.uint8))[: 4096 + 272 - 1]
    assert np.array_equal(done.bits, naive(batch.stream, bits, 272))
    assert (done.raw_bits, done.seed_origin) == (4096, SeedOrigin.BEACON)
    assert done.seed_commitment == SEED.commitment
    with pytest.raises(ValueError, match="read-only"):
        done.bits[0] = 1


@pytest.mark.parametrize(("k", "wanted"), [(400.5, 273), (128.0, None), (0.0, 8), (400.5, 0)])
def test_more_than_the_entropy_allows_is_refused_and_never_padded(
    k: float, wanted: int | None
) -> None:
    batch = batch_with(SEED.commitment)
    with pytest.raises(MinEntropyTooLow, match="allow"):
        extraction.extract(batch, seed=SEED, min_entropy_bits=k, output_bits=wanted)


def test_a_seed_that_is_too_short_is_refused() -> None:
    short = CommittedSeed(SEED.material[:520], SeedOrigin.CLIENT)
    batch = batch_with(short.commitment)
    with pytest.raises(ValueError, match="4160 bits"):
        extraction.extract(batch, seed=short, min_entropy_bits=400.5)

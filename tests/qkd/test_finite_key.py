"""Finite-key lengths against the authors' figures, forty-digit arithmetic and wrong twins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.qkd import finite_key


@dataclass(frozen=True, slots=True)
class Published:
    """A line of the authors' program for figure 7 of Tomamichel and Leverrier (2017)."""

    d: float
    m: int
    k: int
    length: int
    v: float
    t: int
    r: int
    eps_pe: float
    eps_pa: float
    total: float
    longest: int


FIGURE_7 = (
    Published(
        d=0.010,
        m=36123,
        k=5911,
        length=15323,
        v=0.06943318811415392,
        t=41,
        r=2686,
        eps_pe=8.952646661403955e-11,
        eps_pa=7.80641876237642e-12,
        total=9.778763272730244e-11,
        longest=15332,
    ),
    Published(
        d=0.050,
        m=128989,
        k=20941,
        length=27878,
        v=0.03685663259331777,
        t=42,
        r=34040,
        eps_pe=8.97494085947675e-11,
        eps_pa=8.747457991811788e-12,
        total=9.872424026202253e-11,
        longest=27898,
    ),
)


@pytest.mark.parametrize("line", FIGURE_7)
def test_epsilons_are_the_published_ones(line: Published) -> None:
    estimation = finite_key.eps_pe(m=line.m, k=line.k, slack=line.v)
    amplification = finite_key.eps_pa(
        n=line.m - line.k,
        q_tol=line.d,
        slack=line.v,
        leak_bits=line.r,
        tag_bits=line.t,
        length_bits=line.length,
    )
    assert estimation == pytest.approx(line.eps_pe, rel=1e-12)
    assert amplification == pytest.approx(line.eps_pa, rel=1e-12)
    assert estimation + amplification + 2.0**-line.t == pytest.approx(line.total, rel=1e-12)


@pytest.mark.parametrize("line", FIGURE_7)
def test_the_longest_key_within_a_total_of_1e_10(line: Published) -> None:
    arguments = {"m": line.m, "k": line.k, "q_tol": line.d}
    public = {"leak_bits": line.r, "tag_bits": line.t}
    budget = 1e-10 - 2.0**-line.t
    length = finite_key.secret_length_bits_symmetric(**arguments, **public, eps_sec=budget)
    assert length == line.longest
    least, slack = finite_key.eps_sec_symmetric(**arguments, **public, length_bits=length)
    more, _ = finite_key.eps_sec_symmetric(**arguments, **public, length_bits=length + 1)
    assert least <= budget < more
    assert slack == pytest.approx({0.01: 0.069309, 0.05: 0.036785}[line.d], abs=1e-6)


def precise_h(x: mpmath.mpf) -> mpmath.mpf:
    if x >= mpmath.mpf("0.5"):
        return mpmath.mpf(1)
    return -x * mpmath.log(x, 2) - (1 - x) * mpmath.log(1 - x, 2)


def precise_symmetric(m: int, k: int, d: float, public: int, eps: float) -> mpmath.mpf:
    """The longest key by a fine grid over the share of eps_pe, in forty digits."""
    n, budget = m - k, mpmath.mpf(eps)
    best = -mpmath.inf
    for step in range(1, 400):
        share = 1 - mpmath.mpf(10) ** (-mpmath.mpf(step) / 80)
        pe = share * budget
        v = mpmath.sqrt(mpmath.mpf(m * (k + 1)) / (n * mpmath.mpf(k) ** 2) * mpmath.log(2 / pe))
        if d + v < mpmath.mpf("0.5"):
            h = precise_h(mpmath.mpf(d) + v)
            best = max(best, n * (1 - h) - public - 2 * mpmath.log(1 / (2 * (budget - pe)), 2))
    return best


@pytest.mark.parametrize(
    ("m", "k", "d", "eps"),
    [(20_000, 4_000, 0.0, 1e-9), (10**6, 60_000, 0.03, 1e-12), (5_000, 1_500, 0.02, 1e-6)],
)
def test_symmetric_lengths_agree_with_forty_digits(m: int, k: int, d: float, eps: float) -> None:
    """The grid misses the optimum by less than a tenth of a bit, always from below."""
    with mpmath.workdps(40):
        grid = float(precise_symmetric(m, k, d, 540, eps))
    length = finite_key.symmetric_length_unclipped(
        m=m, k=k, q_tol=d, leak_bits=500, tag_bits=40, eps_sec=eps
    )
    assert grid - 1e-6 <= length <= grid + 0.1


def precise_biased(n: int, k: int, d: float, leak: int, t: int, eps: float) -> float:
    """The 2012 length in forty digits, written from the paper."""
    with mpmath.workdps(40):
        e = mpmath.mpf(eps)
        mu = mpmath.sqrt(mpmath.mpf(n + k) / (n * k) * mpmath.mpf(k + 1) / k * mpmath.log(4 / e))
        h = precise_h(mpmath.mpf(d) + mu)
        return float(n * (1 - h) - leak - mpmath.log(2 / (e**2 * mpmath.mpf(2) ** -t), 2))


BIASED_CASES = (
    (100_000, 10_000, 0.02, 15_000, 40, 1e-10),
    (8_000, 3_000, 0.0, 100, 34, 1e-9),
    (1_000_000, 50_000, 0.05, 300_000, 50, 1e-14),
)


def biased(n: int, k: int, d: float, leak: int, t: int, eps: float) -> float:
    return finite_key.biased_length_unclipped(
        n=n, k=k, q_tol=d, leak_bits=leak, tag_bits=t, eps_sec=eps
    )


@pytest.mark.parametrize("case", BIASED_CASES)
def test_biased_lengths_agree_with_forty_digits(case: tuple) -> None:
    assert biased(*case) == pytest.approx(precise_biased(*case), rel=1e-11)


def wrong_twins(n: int, k: int, d: float, leak: int, t: int, eps: float) -> dict[str, float]:
    """Known ways to get the 2012 length wrong."""
    mu = math.sqrt((n + k) / (n * k) * (k + 1) / k * math.log(4 / eps))

    def h(x: float) -> float:
        return -x * math.log2(x) - (1 - x) * math.log2(1 - x)

    def length(entropy: float, cost: float) -> float:
        return n * (1 - entropy) - cost

    privacy = math.log2(2 / eps**2)
    return {
        "half the entropy": length(h(d + mu) / 2, leak + t + privacy),
        "natural logarithm in h": length(h(d + mu) * math.log(2), leak + t + privacy),
        "natural logarithm of eps": length(h(d + mu), leak + t + math.log(2 / eps**2)),
        "no deviation": length(h(d or 1e-300), leak + t + privacy),
        "no epsilon": length(h(d + mu), leak + t),
        "leak twice": length(h(d + mu), 2 * leak + t + privacy),
        "leak forgotten": length(h(d + mu), t + privacy),
        "tag forgotten": length(h(d + mu), leak + privacy),
        "eps not squared": length(h(d + mu), leak + t + math.log2(2 / eps)),
        "binary logarithm in mu": length(h(d + mu / math.sqrt(math.log(2))), leak + t + privacy),
        "logarithm outside the root": length(
            h(min(0.5, d + mu * math.sqrt(math.log(4 / eps)))), leak + t + privacy
        ),
        "errors added back": length(h(d + mu), leak + t + privacy - n * d),
    }


@pytest.mark.parametrize("case", BIASED_CASES)
def test_wrong_twins_of_the_formula_would_be_seen(case: tuple) -> None:
    """Our value differs from each mistake by far more than from the right one."""
    for name, wrong in wrong_twins(*case).items():
        if name == "errors added back" and case[2] == 0.0:
            continue
        assert abs(biased(*case) - wrong) > 1.0, name


ROUNDS = st.integers(1, 10**7)
RATES = st.floats(0.0, 0.2)
EPSILONS = st.floats(1e-30, 0.5)


@given(ROUNDS, ROUNDS, RATES, st.integers(0, 10**6), st.integers(1, 128), EPSILONS)
def test_keys_never_exceed_what_is_left_after_the_public_bits(
    n: int, k: int, q_tol: float, leak: int, tag: int, eps: float
) -> None:
    public = {"q_tol": q_tol, "leak_bits": leak, "tag_bits": tag, "eps_sec": eps}
    most = max(0, n - leak - tag)
    assert 0 <= finite_key.secret_length_bits_biased(n=n, k=k, **public) <= most
    assert 0 <= finite_key.secret_length_bits_symmetric(m=n + k, k=k, **public) <= most


@given(ROUNDS, ROUNDS, RATES, st.integers(0, 10**6), EPSILONS, st.floats(1.01, 3.0))
def test_a_harder_demand_never_lengthens_a_key(
    n: int, k: int, q_tol: float, leak: int, eps: float, factor: float
) -> None:
    base = {"q_tol": q_tol, "leak_bits": leak, "tag_bits": 40, "eps_sec": eps}
    harder = (
        base | {"eps_sec": eps / factor},
        base | {"q_tol": min(0.49, q_tol * factor + 1e-4)},
        base | {"leak_bits": leak + 1},
        base | {"tag_bits": 41},
    )
    for changed in harder:
        assert finite_key.biased_length_unclipped(
            n=n, k=k, **changed
        ) <= finite_key.biased_length_unclipped(n=n, k=k, **base)
        assert (
            finite_key.symmetric_length_unclipped(m=n + k, k=k, **changed)
            <= finite_key.symmetric_length_unclipped(m=n + k, k=k, **base) + 1e-6
        )


@given(ROUNDS, ROUNDS, RATES, EPSILONS)
def test_more_rounds_at_equal_rates_never_shorten_a_key(
    n: int, k: int, q_tol: float, eps: float
) -> None:
    rest = {"q_tol": q_tol, "leak_bits": 0, "tag_bits": 40, "eps_sec": eps}
    few = finite_key.secret_length_bits_biased(n=n, k=k, **rest)
    assert finite_key.secret_length_bits_biased(n=2 * n, k=2 * k, **rest) >= few
    few = finite_key.secret_length_bits_symmetric(m=n + k, k=k, **rest)
    assert finite_key.secret_length_bits_symmetric(m=2 * n + 2 * k, k=2 * k, **rest) >= few


def test_the_rate_approaches_shor_preskill() -> None:
    """1 - h(Q) - f h(Q) with a leak of n h(Q), at 10^13 rounds."""
    n, q_tol = 10**13, 0.05
    h = -q_tol * math.log2(q_tol) - (1 - q_tol) * math.log2(1 - q_tol)
    rest = {"q_tol": q_tol, "leak_bits": round(n * h), "tag_bits": 64, "eps_sec": 1e-10}
    assert finite_key.secret_length_bits_biased(n=n, k=n, **rest) / n == pytest.approx(
        1 - 2 * h, abs=2e-5
    )
    assert finite_key.secret_length_bits_symmetric(m=2 * n, k=n, **rest) / n == pytest.approx(
        1 - 2 * h, abs=2e-5
    )


def test_an_optimiser_sees_a_slope_where_no_key_is() -> None:
    lengths = [
        finite_key.symmetric_length_unclipped(
            m=1000, k=k, q_tol=0.1, leak_bits=0, tag_bits=40, eps_sec=1e-10
        )
        for k in (20, 40, 60, 80)
    ]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) == len(lengths)
    assert lengths[-1] < 0


@pytest.mark.parametrize(
    "change",
    [
        {"n": 0},
        {"k": 0},
        {"q_tol": 0.5},
        {"q_tol": -0.01},
        {"q_tol": math.nan},
        {"leak_bits": -1},
        {"tag_bits": 0},
        {"eps_sec": 0.0},
        {"eps_sec": 1.0},
    ],
)
def test_inputs_outside_their_ranges_are_refused(change: dict[str, float]) -> None:
    good = {"n": 1000, "k": 100, "q_tol": 0.02, "leak_bits": 5, "tag_bits": 40, "eps_sec": 1e-9}
    wrong = good | change
    with pytest.raises(ValueError, match=r"rounds|rate|leak|eps_sec"):
        finite_key.secret_length_bits_biased(**wrong)
    n = wrong.pop("n")
    with pytest.raises(ValueError, match=r"rounds|rate|leak|eps_sec"):
        finite_key.secret_length_bits_symmetric(m=n + wrong["k"], **wrong)

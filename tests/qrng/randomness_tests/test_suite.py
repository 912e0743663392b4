"""What the suite refuses, what it hears, and how often it cries wolf."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy.stats import binom

from qlq.errors import TooFewSamples
from qlq.qrng.randomness_tests import examination, suite, verdict
from qlq.qrng.randomness_tests.outcome import Outcome, PValue, RandomnessTest

Bits = NDArray[np.uint8]

LEAST = {  # the "Input Size Recommendation" of each test in SP 800-22 rev. 1a, section 2
    "frequency": 100,
    "runs": 100,
    "longest_run": 128,
    "rank": 38 * 32 * 32,
    "dft": 1000,
    "overlapping": 10**6,
    "universal": 387_840,
    "linear_complexity": 10**6,
    "cumulative_sums": 100,
    "random_excursions": 10**6,
    "random_excursions_variant": 10**6,
    # m = 16 < floor(log2 n) - 2, m = 10 < floor(log2 n) - 5
    "serial": 2**19,
    "approximate_entropy": 2**16,
}


def random_bits(count: int, seed: int) -> Bits:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 2, count, dtype=np.uint8)


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_a_test_is_refused_below_its_least_length_and_run_at_it(name: str, least: int) -> None:
    test = RandomnessTest(name)
    bits = random_bits(least, 5)
    refused = suite.run_one(test, bits[:-1])
    assert refused.p_values == ()
    assert f"needs {least} bits" in refused.refusal
    assert f"there are {least - 1}" in refused.refusal
    found = suite.run_one(test, bits)
    assert found.was_run or "returns to zero" in found.refusal


def test_a_short_sequence_is_judged_by_the_tests_that_it_is_long_enough_for() -> None:
    outcomes = suite.run(random_bits(20_000, 1))
    assert [outcome.test for outcome in outcomes] == list(RandomnessTest)
    ran = {outcome.test.value for outcome in outcomes if outcome.was_run}
    assert ran == {"frequency", "block_frequency", "runs", "longest_run", "dft", "cumulative_sums"}
    assert all(outcome.refusal for outcome in outcomes if not outcome.was_run)


@pytest.mark.parametrize("count", [0, 1, 99])
def test_fewer_than_a_hundred_bits_say_nothing(count: int) -> None:
    with pytest.raises(TooFewSamples, match=f"{count} bits are too few.*at least 100"):
        suite.run(random_bits(count, 1))


def test_what_is_no_sequence_of_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or 1, not 2"):
        suite.run(np.full(200, 2, dtype=np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        suite.run(np.zeros(200, dtype=np.int64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="several sequences"):
        suite.run(np.zeros(suite.BITS_MAX + 1, dtype=np.uint8))


def test_too_few_returns_to_zero_are_no_failure() -> None:
    bits = np.tile(np.array([1, 1, 0], dtype=np.uint8), 400_000)
    outcome = suite.run_one(RandomnessTest.RANDOM_EXCURSIONS, bits)
    assert outcome.p_values == ()
    assert "needs 500 returns to zero, the walk has 1" in outcome.refusal


@given(arrays.arrays(np.uint8, st.integers(100, 3000), elements=st.integers(0, 1)))
@settings(max_examples=60)
def test_any_bits_give_p_values_or_reasons(bits: Bits) -> None:
    outcomes = suite.run(bits)
    assert len(outcomes) == 15
    found = verdict.judge(outcomes)
    assert 0 < len(found.adjusted) <= 15


def cycled(*pattern: int) -> Callable[[int], Bits]:
    return lambda count: np.resize(np.array(pattern, dtype=np.uint8), count)


def biased(share: float) -> Callable[[int], Bits]:
    return lambda count: (np.random.Generator(np.random.PCG64(7)).random(count) < share).astype(
        np.uint8
    )


def sticky(count: int) -> Bits:
    """Each bit repeats the one before with probability 0.51."""
    changes = np.random.Generator(np.random.PCG64(8)).random(count) > 0.51
    return (np.cumsum(changes) % 2).astype(np.uint8)


def replayed(count: int) -> Bits:
    """A good batch of 20,000 bits, again and again."""
    return np.resize(random_bits(20_000, 9), count)


def register(count: int) -> Bits:
    """x^31 + x^3 + 1: good for all but the linear complexity."""
    state = random_bits(31, 10).tolist()
    for place in range(31, count):
        state.append(state[place - 31] ^ state[place - 28])
    return np.array(state, dtype=np.uint8)


def low_bits(count: int) -> Bits:
    """The lowest byte of a linear congruential generator modulo 2^32."""
    state, data = 1, bytearray()
    for _ in range(count // 8):
        state = (1103515245 * state + 12345) % 2**32
        data.append(state & 255)
    return np.unpackbits(np.frombuffer(bytes(data), dtype=np.uint8))


@pytest.mark.parametrize(
    ("source", "count", "alarm"),
    [
        (cycled(0), 1_000, "frequency"),
        (cycled(1), 1_000, "cumulative_sums"),
        (cycled(0, 1), 1_000, "runs"),
        (cycled(0, 0, 1, 1), 1_000, "dft"),
        (cycled(1, 1, 1, 1, 0, 0, 0, 0), 1_000, "longest_run"),
        (biased(0.505), 1_000_000, "frequency"),
        (sticky, 1_000_000, "runs"),
        (replayed, 1_000_000, "dft"),
        (replayed, 1_000_000, "serial"),
        (register, 1_000_000, "linear_complexity"),
        (register, 1_000_000, "rank"),
        (low_bits, 1_000_000, "dft"),
    ],
)
def test_a_broken_source_raises_the_alarm_that_is_meant_for_it(
    source: Callable[[int], Bits], count: int, alarm: str
) -> None:
    found = verdict.judge(suite.run(source(count)))
    assert alarm in {test.value for test in found.alarms}


def test_at_most_one_perfect_stream_in_a_hundred_raises_an_alarm() -> None:
    """1,000 streams of 65,536 bits from PCG64 with the seeds 0 to 999; eight tests are run on each.

    At the stated rate of 1 % a count above 19 has probability 0.3 %. The seeds are fixed, so
    that this either always passes or never.
    """
    streams = (random_bits(65_536, seed) for seed in range(1_000))
    alarms = sum(bool(verdict.judge(suite.run(stream)).alarms) for stream in streams)
    assert binom.sf(19, 1_000, 0.01) < 0.004
    assert alarms <= 19
    # and the rule is not merely deaf: a quarter of the rate would be below 3 with 54 %
    assert alarms >= 3


def outcome(test: RandomnessTest, *values: float) -> Outcome:
    return Outcome(test, tuple(PValue(str(index), value) for index, value in enumerate(values)))


def test_p_values_are_adjusted_as_holm_adjusts_them() -> None:
    # Holm's procedure on 0.01, 0.04, 0.03, 0.005: p.adjust of R gives 0.03 0.06 0.06 0.02
    tests = list(RandomnessTest)[:4]
    outcomes = [
        outcome(test, value) for test, value in zip(tests, (0.01, 0.04, 0.03, 0.005), strict=True)
    ]
    found = verdict.judge(outcomes, family_wise_rate=0.05)
    assert dict(found.adjusted) == pytest.approx(
        dict(zip(tests, (0.03, 0.06, 0.06, 0.02), strict=True))
    )
    assert found.alarms == (tests[3], tests[0])


def test_a_test_with_many_p_values_pays_for_each() -> None:
    few = outcome(RandomnessTest.FREQUENCY, 0.004)
    many = outcome(RandomnessTest.NON_OVERLAPPING, *([0.004] + [0.9] * 147))
    assert many.combined == pytest.approx(148 * 0.004)
    assert verdict.judge([few, many]).alarms == (RandomnessTest.FREQUENCY,)


def test_refused_tests_take_no_part_in_the_verdict() -> None:
    refused = Outcome(RandomnessTest.SERIAL, (), "too short")
    found = verdict.judge([outcome(RandomnessTest.RUNS, 0.009), refused])
    assert found.alarms == (RandomnessTest.RUNS,)  # once, not twice 0.009
    with pytest.raises(ValueError, match="no test was run"):
        verdict.judge([refused])


def test_a_verdict_needs_a_rate_and_each_test_once() -> None:
    one = outcome(RandomnessTest.RUNS, 0.5)
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="rate"):
            verdict.judge([one], family_wise_rate=rate)
    with pytest.raises(ValueError, match="twice"):
        verdict.judge([one, one])


def test_an_outcome_says_one_thing() -> None:
    with pytest.raises(ValueError, match="either p-values or a refusal"):
        Outcome(RandomnessTest.RUNS, ())
    with pytest.raises(ValueError, match="either p-values or a refusal"):
        Outcome(RandomnessTest.RUNS, (PValue("", 0.5),), "too short")
    with pytest.raises(ValueError, match="outside"):
        PValue("", float("nan"))
    with pytest.raises(ValueError, match="was not run: too short"):
        _ = Outcome(RandomnessTest.RUNS, (), "too short").combined


def test_the_document_says_that_this_is_no_evidence_of_entropy() -> None:
    found = examination.document(examination.examine(random_bits(5_000, 3)))
    assert "not evidence of entropy" in found["disclaimer"]
    assert found["rule"] == "Bonferroni within a test, Holm across the tests"
    assert found["family_wise_rate"] == 0.01
    assert (found["bits"], found["sequences"], found["bits_left_out"]) == (5_000, 1, 0)
    assert [line["test"] for line in found["tests"]] == [test.value for test in RandomnessTest]
    for line in found["tests"]:
        assert (line["refusal"] is None) == bool(line["p_values"])
        assert (line["adjusted_p_value"] is None) == (line["p_values"] == [])
    assert json.loads(json.dumps(found)) == found

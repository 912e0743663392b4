"""Many sequences of one source, judged together. Source: SP 800-22 rev. 1a, 4.2."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

from qlq.errors import TooFewSamples
from qlq.qrng.randomness_tests import examination, sequences, verdict
from qlq.qrng.randomness_tests.outcome import Outcome, PValue, RandomnessTest

Bits = NDArray[np.uint8]


def random_bits(count: int, seed: int) -> Bits:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 2, count, dtype=np.uint8)


def suites_of(*values: float) -> list[tuple[Outcome, ...]]:
    """One test with one p-value in each sequence."""
    return [(Outcome(RandomnessTest.RUNS, (PValue("", value),)),) for value in values]


def test_the_share_of_the_standard_s_example_is_conspicuous() -> None:
    # 4.2.1: m = 1000, alpha = 0.01, confidence interval 0.99 +- 0.0094392, 996 pass
    low, high = sequences.passing_range(1_000)
    assert (low, high) == pytest.approx((980.5607, 999.4393), abs=1e-3)
    assert low <= 996 <= high


def test_too_few_and_too_many_passing_sequences_are_conspicuous() -> None:
    good = list((np.arange(1_000) + 0.5) / 1_000)  # ten are below 0.01
    (line,) = sequences.second_level(suites_of(*good))
    assert (line.sequences, line.passed) == (1_000, 990)
    assert not line.is_conspicuous
    (line,) = sequences.second_level(suites_of(*([0.001] * 20 + good[20:])))
    assert line.passed == 980
    assert line.is_conspicuous
    (line,) = sequences.second_level(suites_of(*([0.02] * 10 + good[10:])))
    assert line.passed == 1_000
    assert line.is_conspicuous


def test_uniformity_is_pearson_s_test_of_ten_classes() -> None:
    values = np.random.Generator(np.random.PCG64(3)).random(200) ** 1.2
    counts = [((values >= low / 10) & (values < (low + 1) / 10)).sum() for low in range(10)]
    assert sequences.uniformity(list(values)) == pytest.approx(chisquare(counts).pvalue, rel=1e-9)


def test_p_values_of_one_belong_to_the_last_class() -> None:
    values = [*np.repeat(np.arange(10) / 10 + 0.05, 6)]
    values[-6:] = [1.0] * 6
    assert sequences.uniformity(values) == pytest.approx(1.0)


def test_uniformity_needs_55_p_values() -> None:
    with pytest.raises(ValueError, match="54 p-values"):
        sequences.uniformity([0.5] * 54)
    with pytest.raises(ValueError, match="outside"):
        sequences.uniformity([0.5] * 54 + [1.5])
    (line,) = sequences.second_level(suites_of(*([0.5] * 54)))
    assert line.uniformity is None
    assert not line.is_conspicuous
    (line,) = sequences.second_level(suites_of(*([0.5] * 55)))
    assert line.uniformity is not None
    assert line.uniformity < 1e-4
    assert line.is_conspicuous


def test_a_range_needs_sequences_and_a_significance() -> None:
    for count, significance in ((0, 0.01), (10, 0.0), (10, 1.0)):
        with pytest.raises(ValueError, match="no range"):
            sequences.passing_range(count, significance=significance)


def test_bits_are_split_in_order_and_the_rest_is_left_out() -> None:
    bits = random_bits(1_050, 1)
    parts = sequences.split(bits, sequence_bits=100)
    assert len(parts) == 10
    assert np.array_equal(np.concatenate(parts), bits[:1_000])


@pytest.mark.parametrize(("count", "length"), [(99, 100), (100, 0), (100, -5), (1_101, 1)])
def test_no_whole_sequence_and_too_many_are_refused(count: int, length: int) -> None:
    with pytest.raises(ValueError, match="choose a length"):
        sequences.split(random_bits(count, 1), sequence_bits=length)


def test_one_alarm_in_one_sequence_pays_for_all_sequences() -> None:
    pooled = sequences.pool(suites_of(*([0.5] * 99), 1e-3))
    assert verdict.judge(pooled).alarms == ()  # 1e-3 among 100 is nothing
    pooled = sequences.pool(suites_of(*([0.5] * 99), 1e-5))
    assert verdict.judge(pooled).alarms == (RandomnessTest.RUNS,)
    assert pooled[0].least.label.startswith("99:")


def test_sequences_that_refuse_a_test_do_not_count_for_it() -> None:
    refused = (Outcome(RandomnessTest.RUNS, (), "too few returns to zero"),)
    mixed = [*suites_of(0.5), refused]
    assert [line.sequences for line in sequences.second_level(mixed)] == [1]
    assert len(sequences.pool(mixed)[0].p_values) == 1
    assert sequences.pool([refused])[0].refusal == "too few returns to zero"


def test_suites_that_do_not_fit_are_refused() -> None:
    other = (Outcome(RandomnessTest.SERIAL, (PValue("", 0.5),)),)
    with pytest.raises(ValueError, match="not of the same tests"):
        sequences.pool([*suites_of(0.5), other])
    with pytest.raises(ValueError, match="no sequence"):
        sequences.pool([])


def test_a_good_source_in_many_sequences_is_quiet() -> None:
    found = examination.examine_sequences(random_bits(60 * 1_000 + 7, 4), sequence_bits=1_000)
    assert found.verdict.alarms == ()
    document = examination.document(found)
    assert (document["sequences"], document["bits_left_out"]) == (60, 7)
    assert all(line["uniformity"] is not None for line in document["second_level"])
    assert all(len(line["p_values"]) in (0, 60) for line in document["tests"])
    assert json.loads(json.dumps(document)) == document


def test_one_dead_sequence_among_good_ones_is_heard() -> None:
    bits = random_bits(60 * 1_000, 4)
    bits[31_000:32_000] = 1
    found = examination.examine_sequences(bits, sequence_bits=1_000)
    assert RandomnessTest.FREQUENCY in found.verdict.alarms


def test_a_slight_bias_of_all_sequences_shows_in_their_uniformity() -> None:
    bits = (np.random.Generator(np.random.PCG64(5)).random(200 * 1_000) < 0.52).astype(np.uint8)
    found = examination.examine_sequences(bits, sequence_bits=1_000)
    lines = {line.test: line for line in found.second_level}
    assert lines[RandomnessTest.FREQUENCY].is_conspicuous


def test_long_data_are_split_into_sequences_of_a_megabit() -> None:
    found = examination.examine(random_bits(10_000_001, 6))
    assert (len(found.suites), found.sequence_bits) == (10, 1_000_000)
    assert found.verdict.alarms == ()
    assert {len(line.label) > 0 for line in found.second_level} == {True, False}
    assert len(found.second_level) == 188


def test_sequences_too_short_for_any_test_are_refused() -> None:
    with pytest.raises(TooFewSamples):
        examination.examine_sequences(random_bits(500, 1), sequence_bits=50)

"""Everything that SP 800-22 has to say of some bits, as one sequence or as many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlq.qrng.randomness_tests import sequences, suite, verdict
from qlq.qrng.randomness_tests.outcome import Outcome, PValue
from qlq.qrng.randomness_tests.sequences import SecondLevel
from qlq.qrng.randomness_tests.verdict import Verdict

SEQUENCE_BITS = 1_000_000
"""Length at which all fifteen tests can be run, and NIST's own for many sequences."""


@dataclass(frozen=True, slots=True)
class Examination:
    """The tests of all sequences and the one verdict.

    Attributes:
        bits: Bits given.
        sequence_bits: Length of each sequence.
        suites: The outcomes of each sequence.
        verdict: Alarms, counted over all tests of all sequences.
        second_level: Share passed and uniformity of each statistic; empty for one sequence.
    """

    bits: int
    sequence_bits: int
    suites: tuple[tuple[Outcome, ...], ...]
    verdict: Verdict
    second_level: tuple[SecondLevel, ...]


def examine(bits: NDArray[np.uint8]) -> Examination:
    """The bits as one sequence, or from 10,000,001 bits on as sequences of 1,000,000.

    Args:
        bits: uint8 of shape (n,), values 0 and 1, n from 100 to about 10^9.

    Raises:
        TooFewSamples: Below 100 bits.
        ValueError: For another type, shape or value, or more than 1,100 sequences.
    """
    if bits.size > suite.BITS_MAX:
        return examine_sequences(bits, sequence_bits=SEQUENCE_BITS)
    outcomes = suite.run(bits)
    return Examination(bits.size, bits.size, (outcomes,), verdict.judge(outcomes), ())


def examine_sequences(bits: NDArray[np.uint8], *, sequence_bits: int) -> Examination:
    """The bits as sequences of this length; what remains at the end is left out.

    Args:
        bits: uint8 of shape (n,), values 0 and 1.
        sequence_bits: 100 to 10,000,000, such that there are 1 to 1,100 sequences.

    Raises:
        TooFewSamples: For sequences below 100 bits.
        ValueError: For another type, shape, value or length.
    """
    parts = sequences.split(bits, sequence_bits=sequence_bits)
    suites = tuple(suite.run(part) for part in parts)
    return Examination(
        bits=bits.size,
        sequence_bits=sequence_bits,
        suites=suites,
        verdict=verdict.judge(sequences.pool(suites)),
        second_level=sequences.second_level(suites) if len(suites) > 1 else (),
    )


def document(found: Examination) -> dict[str, Any]:
    """Everything found, as plain values for a JSON document.

    Returns:
        `bits, sequence_bits, sequences, bits_left_out, tests[{test, p_values[{sequence, label,
        p_value}], adjusted_p_value, alarm, refusal}], second_level[{test, label, sequences,
        passed, passed_min, passed_max, uniformity, conspicuous}], alarms, family_wise_rate,
        rule, disclaimer`. Of many sequences `p_values` has the least one of each. A test with an
        `adjusted_p_value` was run in one sequence at least; `refusal` is null if it was run in all.
    """
    count = len(found.suites)
    adjusted = dict(found.verdict.adjusted)
    columns = zip(*found.suites, strict=True)
    return {
        "bits": found.bits,
        "sequence_bits": found.sequence_bits,
        "sequences": count,
        "bits_left_out": found.bits - count * found.sequence_bits,
        "tests": [
            {
                "test": column[0].test.value,
                "p_values": _p_values(column),
                "adjusted_p_value": adjusted.get(column[0].test),
                "alarm": column[0].test in found.verdict.alarms,
                "refusal": next((one.refusal for one in column if one.refusal), None),
            }
            for column in columns
        ],
        "second_level": [_second_level(line) for line in found.second_level],
        "alarms": [test.value for test in found.verdict.alarms],
        "family_wise_rate": found.verdict.family_wise_rate,
        "rule": verdict.RULE,
        "disclaimer": verdict.DISCLAIMER,
    }


def _p_values(column: Sequence[Outcome]) -> list[dict[str, Any]]:
    """All p-values of one sequence, the least one of each of many."""
    if len(column) == 1:
        return [_p_value(0, p_value) for p_value in column[0].p_values]
    return [_p_value(index, one.least) for index, one in enumerate(column) if one.was_run]


def _p_value(sequence: int, p_value: PValue) -> dict[str, Any]:
    return {"sequence": sequence, "label": p_value.label, "p_value": p_value.value}


def _second_level(line: SecondLevel) -> dict[str, Any]:
    return {
        "test": line.test.value,
        "label": line.label,
        "sequences": line.sequences,
        "passed": line.passed,
        "passed_min": line.passed_min,
        "passed_max": line.passed_max,
        "uniformity": line.uniformity,
        "conspicuous": line.is_conspicuous,
    }

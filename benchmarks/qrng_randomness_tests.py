"""Seconds of each test of SP 800-22 on a megabit, beside NIST's C code where it is installed.

`sp80022suite` wraps NIST's reference implementation. It is no dependency: without it the
reference of each line is null, and a reason says how to get it. Both are given the same bits, and
the p-values are compared before anything is measured.

    python benchmarks/qrng_randomness_tests.py [--json] [--small]
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import measuring
import numpy as np

from qlq.qrng.randomness_tests import suite
from qlq.qrng.randomness_tests.outcome import RandomnessTest

BITS, SMALL_BITS = 1_000_000, 100_000
LIMIT_S = 5.0
PEER_PACKAGE = "sp80022suite"
PEER_FUNCTIONS: dict[RandomnessTest, tuple[str, tuple[int, ...]]] = {
    RandomnessTest.FREQUENCY: ("frequency", ()),
    RandomnessTest.BLOCK_FREQUENCY: ("block_frequency", (suite.BLOCK_FREQUENCY_BITS,)),
    RandomnessTest.RUNS: ("runs", ()),
    RandomnessTest.LONGEST_RUN: ("longest_run_of_ones", ()),
    RandomnessTest.MATRIX_RANK: ("rank", ()),
    RandomnessTest.SPECTRAL: ("discrete_fourier_transform", ()),
    RandomnessTest.OVERLAPPING: ("overlapping_template_matchings", (9,)),
    RandomnessTest.UNIVERSAL: ("universal", ()),
    RandomnessTest.LINEAR_COMPLEXITY: ("linear_complexity", (suite.COMPLEXITY_BLOCK_BITS,)),
    RandomnessTest.SERIAL: ("serial", (suite.SERIAL_BITS,)),
    RandomnessTest.APPROXIMATE_ENTROPY: ("approximate_entropy", (suite.ENTROPY_BITS,)),
    RandomnessTest.CUMULATIVE_SUMS: ("cumulative_sums", ()),
    RandomnessTest.RANDOM_EXCURSIONS: ("random_excursions", ()),
    RandomnessTest.RANDOM_EXCURSIONS_VARIANT: ("random_excursions_variant", ()),
}
"""The peer's functions and parameters; its non-overlapping test needs files that it lacks."""


def peer_of(test: RandomnessTest, bits: np.ndarray) -> dict[str, Any]:
    """The C code's time on these bits, or the reason why it was not measured.

    Raises:
        RuntimeError: If its p-value is none of ours: then nothing is worth comparing.
    """
    if importlib.util.find_spec(PEER_PACKAGE) is None:
        return {"reason": f"the peer is not installed: pip install {PEER_PACKAGE}"}
    if test not in PEER_FUNCTIONS:
        return {"reason": "the peer lacks the files of templates that it needs"}
    import sp80022suite

    name, parameters = PEER_FUNCTIONS[test]
    function, data = getattr(sp80022suite, name), bits.tobytes()
    theirs = function(*parameters, data)
    ours = [p_value.value for p_value in suite.run_one(test, bits).p_values]
    if not np.isclose(ours, theirs, rtol=0, atol=1e-6).any():
        raise RuntimeError(f"{test}: {theirs} of the peer is none of {ours}")
    seconds = measuring.best_time_s(lambda: function(*parameters, data), 3)
    return {"reference": f"NIST's C code in {PEER_PACKAGE}", "reference_value": seconds}


def measure(bits: np.ndarray) -> list[dict[str, Any]]:
    """Each test that these bits are long enough for, and all of them together."""
    lines = []
    for test in RandomnessTest:
        found = suite.run_one(test, bits)
        if not found.was_run:
            sys.stderr.write(f"{test} is left out: {found.refusal}\n")
            continue
        seconds = measuring.best_time_s(lambda test=test: suite.run_one(test, bits), 5)
        lines.append(
            measuring.measurement(
                f"sp800_22_{test}_{bits.size}", seconds, "s", **peer_of(test, bits)
            )
        )
    limit: dict[str, Any] = {}
    if bits.size == BITS:
        limit = {"reference": "limit of 5 s for 15 tests", "reference_value": LIMIT_S}
    whole = measuring.best_time_s(lambda: suite.run(bits), 3)
    return [*lines, measuring.measurement(f"sp800_22_all_{bits.size}", whole, "s", **limit)]


def main() -> None:
    """Measure and print."""
    asked = measuring.options(__doc__, small="a tenth of the bits")
    # with the seed 1 the walk of a megabit has more than 500 returns to zero
    bits = SMALL_BITS if asked.small else BITS
    sequence = np.random.Generator(np.random.PCG64(1)).integers(0, 2, bits, dtype=np.uint8)
    measuring.show(measure(sequence), asked)


if __name__ == "__main__":
    main()

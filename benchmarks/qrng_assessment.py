"""CPU time of the SP 800-90B assessment and health tests, beside the limits set for them.

A megabit of bits and a megabyte of 8-bit symbols, all ten estimators each; the symbols are
assessed as a bit string of 8 megabits as well, as the standard wants it. Where NIST's sample
files lie in `../shared/vectors`, the largest difference from NIST's values is measured too.

    python benchmarks/qrng_assessment.py [--json] [--small]
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import measuring
import numpy as np

from qlq.qrng import health
from qlq.qrng.assessment import iid, report, samples

SAMPLES, SMALL_SAMPLES = 1_000_000, 100_000
LIMITS_CPU_S = {1: 1.0, 8: 10.0}
"""Limit by width of a symbol in bits, for a million samples."""
VECTORS = Path(__file__).resolve().parents[2] / "shared" / "vectors" / "sp800_90b"
DIFFERENCE_MAX = 1e-9
HEALTH_MIN_MBIT_S = 50.0
COLUMNS = 8


def least_cpu_s(found: samples.Samples, *, length: report.Length, repeats: int) -> float:
    """Least CPU time of several assessments, all threads of the process together."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        report.assess(found, length=length)
        times.append(time.process_time() - start)
    return min(times)


def limited(name: str, value: float, unit: str, limit: float | None = None) -> dict[str, Any]:
    """A figure beside its limit, where it has one."""
    words = None if limit is None else "limit"
    return measuring.measurement(name, value, unit, reference=words, reference_value=limit)


def measure(*, bits: int, count: int) -> dict[str, Any]:
    """One width of symbols, uniformly random: nothing lets an estimator stop early."""
    raw = np.random.Generator(np.random.PCG64(bits)).integers(0, 2**bits, count, dtype=np.uint8)
    found = samples.read(raw, bits=bits)
    length = report.Length.STANDARD if count >= SAMPLES else report.Length.SHORT
    seconds = least_cpu_s(found, length=length, repeats=3 if bits == 1 else 2)
    limit = LIMITS_CPU_S[bits] if count == SAMPLES else None
    return limited(f"sp800_90b_{bits}bit_{count}", seconds, "s of CPU", limit)


def measure_iid(count: int) -> dict[str, Any]:
    """The IID track to its verdict; how many shuffles it takes depends on data and seed."""
    raw = np.random.Generator(np.random.PCG64(1)).integers(0, 2, count, dtype=np.uint8)
    start = time.process_time()
    iid.assess(samples.read(raw), seed=2, length=report.Length.SHORT)
    return limited(f"sp800_90b_iid_1bit_{count}", time.process_time() - start, "s of CPU")


def measure_health(shots: int) -> dict[str, Any]:
    """Both tests on each of eight qubits and on the serialised stream."""
    rng = np.random.Generator(np.random.PCG64(1))
    batch = rng.integers(0, 2, (shots, COLUMNS), dtype=np.uint8)
    monitor = health.Monitor(health.bit_cutoffs(0.8), columns=COLUMNS)
    times = []
    for _ in range(3):
        start = time.process_time()
        monitor.release(batch)
        times.append(time.process_time() - start)
    return limited("health_tests", batch.size / min(times) / 1e6, "Mbit/s", HEALTH_MIN_MBIT_S)


def measure_differences() -> list[dict[str, Any]]:
    """The largest difference from NIST's values over NIST's files; nothing without them."""
    differences = []
    for path in sorted(VECTORS.glob("*.res")):
        raw = np.fromfile(path.with_suffix(".bin"), dtype=np.uint8)
        found = report.assess(samples.read(raw), length=report.Length.SHORT)
        # Both list the estimators in the order of the standard.
        for view, estimates in (("Literal", found.original), ("Bitstring", found.bitstring)):
            theirs = re.findall(rf"{view} .* min entropy = (\S+)", path.read_text())
            ours = [value for value in estimates.values() if value is not None]
            differences += [abs(a - float(b)) for a, b in zip(ours, theirs, strict=True)]
        assessed = float(path.read_text().rsplit("min entropy:", 1)[1])
        differences.append(abs(found.assessed - assessed))
    if not differences:
        return []
    name = f"sp800_90b_difference_of_{len(differences)}_values"
    return [limited(name, max(differences), "bits", DIFFERENCE_MAX)]


def main() -> None:
    """Measure and print."""
    asked = measuring.options(__doc__, small="a tenth of the samples")
    count = SMALL_SAMPLES if asked.small else SAMPLES
    figures = [
        *[measure(bits=bits, count=count) for bits in LIMITS_CPU_S],
        measure_iid(count),
        measure_health(count),
        *measure_differences(),
    ]
    measuring.show(figures, asked)


if __name__ == "__main__":
    main()

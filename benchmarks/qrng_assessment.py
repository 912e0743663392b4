"""CPU time of the SP 800-90B assessment, beside the limits that were set for it.

A megabit of bits and a megabyte of 8-bit symbols, all ten estimators each; the symbols are
assessed as a bit string of 8 megabits as well, as the standard wants it.

    python benchmarks/qrng_assessment.py [--json] [--small]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from typing import Any

import numpy as np

from qlq.qrng.assessment import report, samples

SAMPLES, SMALL_SAMPLES = 1_000_000, 100_000
LIMITS_CPU_S = {1: 1.0, 8: 10.0}
"""Limit by width of a symbol in bits, for a million samples."""


def least_cpu_s(found: samples.Samples, *, length: report.Length, repeats: int) -> float:
    """Least CPU time of several assessments, all threads of the process together."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        report.assess(found, length=length)
        times.append(time.process_time() - start)
    return min(times)


def measure(*, bits: int, count: int) -> dict[str, Any]:
    """One width of symbols, uniformly random: nothing lets an estimator stop early."""
    raw = np.random.Generator(np.random.PCG64(bits)).integers(0, 2**bits, count, dtype=np.uint8)
    found = samples.read(raw, bits=bits)
    length = report.Length.STANDARD if count >= SAMPLES else report.Length.SHORT
    seconds = least_cpu_s(found, length=length, repeats=3 if bits == 1 else 2)
    limit = LIMITS_CPU_S[bits] if count == SAMPLES else None
    return {
        "name": f"sp800_90b_{bits}bit_{count}",
        "value": seconds,
        "unit": "s of CPU",
        "reference": None if limit is None else "limit",
        "reference_value": limit,
        "ratio": None if limit is None else seconds / limit,
    }


def document(count: int = SAMPLES) -> dict[str, Any]:
    """Everything measured, in the form that all benchmarks share."""
    return {
        "schema": "qlq.benchmark/1",
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
        },
        "measurements": [measure(bits=bits, count=count) for bits in LIMITS_CPU_S],
    }


def main() -> None:
    """Print the figures as a table, or as one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--small", action="store_true", help="a tenth of the samples")
    asked = parser.parse_args()
    found = document(SMALL_SAMPLES if asked.small else SAMPLES)
    if asked.json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    for line in found["measurements"]:
        ratio = "" if line["ratio"] is None else f"{line['ratio']:8.3f} x {line['reference']}"
        print(f"{line['name']:32} {line['value']:9.3f} {line['unit']:9}{ratio}")


if __name__ == "__main__":
    main()

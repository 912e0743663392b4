"""What all benchmarks share: the least time of several calls, a figure, and how figures are shown.

No benchmark itself: the scripts beside it import it, as Python finds it in their own folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

SCHEMA = "qlq.benchmark/1"


def best_time_s(function: Callable[[], object], repeats: int) -> float:
    """Least wall time of several calls: what the machine can do when left alone."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def measurement(
    name: str,
    value: float,
    unit: str,
    *,
    reference: str | None = None,
    reference_value: float | None = None,
    ratio: float | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """One figure of the document.

    Args:
        name: Of the figure.
        value: In `unit`.
        unit: As people write it.
        reference: The peer or limit; None where there is none.
        reference_value: The same figure of the reference.
        ratio: Where it is not `value / reference_value`, such as a median of ratios.
        reason: Why there is no reference, where one was looked for.
    """
    if ratio is None and reference_value:
        ratio = value / reference_value
    found = {
        "name": name,
        "value": value,
        "unit": unit,
        "reference": reference,
        "reference_value": reference_value,
        "ratio": ratio,
    }
    return found if reason is None else {**found, "reason": reason}


def options(description: str, *, small: str | None) -> argparse.Namespace:
    """What the command line asks for: `json`, and `small` where the script has a small size.

    Args:
        description: The script's docstring.
        small: What a small size is, for the help; None where there is none.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    if small is not None:
        parser.add_argument("--small", action="store_true", help=small)
    return parser.parse_args()


def show(figures: list[dict[str, Any]], asked: argparse.Namespace) -> None:
    """Print the figures as one JSON document with the machine, or as a table."""
    if asked.json:
        machine = {
            "system": platform.system(),
            "architecture": platform.machine(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
        }
        document = {"schema": SCHEMA, "machine": machine, "measurements": figures}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    for one in figures:
        ratio = "" if one["ratio"] is None else f"{one['ratio']:10.4g} of {one['reference']}"
        print(f"{one['name']:44} {one['value']:12.5g} {one['unit']:10}{ratio}")
        if "reason" in one:
            print(f"{'':45}{one['reason']}")

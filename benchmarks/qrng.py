"""Speed and exactness of the randomness, each number beside its peer or limit.

Runs the scripts of its parts one after the other, each in a process of its own, and puts their
measurements into one document: chain (extraction, generators, adapters), assessment (SP 800-90B and
health tests), randomness tests (SP 800-22), certificate (estimation factors, pulses).

    python benchmarks/qrng.py [--json] [--small]
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import measuring

PARTS = ("qrng_chain", "qrng_assessment", "qrng_randomness_tests", "qrng_certificate")


def measured(part: str, *flags: str) -> dict[str, Any]:
    """The document of one part."""
    script = str(Path(__file__).with_name(f"{part}.py"))
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, script, "--json", *flags], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure all parts and print them."""
    asked = measuring.options(__doc__, small="small sizes, for a test of the script")
    flags = ["--small"] if asked.small else []
    measuring.show(
        [figure for part in PARTS for figure in measured(part, *flags)["measurements"]], asked
    )


if __name__ == "__main__":
    main()

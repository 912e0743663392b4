"""Speed and exactness of the randomness, each number beside its peer or limit.

Runs the scripts of its parts one after the other, each in a process of its own, and puts their
measurements into one document: chain (extraction, generators, adapters), assessment (SP 800-90B and
health tests), randomness tests (SP 800-22), certificate (estimation factors, pulses).

    python benchmarks/qrng.py [--json] [--small]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--small", action="store_true", help="small sizes, for a test of the script"
    )
    options = parser.parse_args()
    documents = [measured(part, *(["--small"] if options.small else [])) for part in PARTS]
    lines = [line for document in documents for line in document["measurements"]]
    if options.json:
        json.dump({**documents[0], "measurements": lines}, sys.stdout, indent=2)
        print()
        return
    for line in lines:
        ratio = "" if line["ratio"] is None else f"{line['ratio']:10.3g} of {line['reference']}"
        print(f"{line['name']:44} {line['value']:12.4g} {line['unit']:8}{ratio}")


if __name__ == "__main__":
    main()

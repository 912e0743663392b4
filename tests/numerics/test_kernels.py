"""Compiled kernels where no cache can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
from qlq_kernel_probe import twice
print(twice(21))
"""

PROBE = """
from qlq.numerics.kernels import kernel

@kernel("int64(int64)")
def twice(value):
    return 2 * value
"""


def run_probe(folder: Path) -> str:
    """Run the probe with every cache folder below a file, where none can be made."""
    blocked = folder / "blocked"
    blocked.write_text("")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA")}
    environment |= {
        "PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parents[2]}",
        "HOME": str(blocked / "home"),
        "XDG_CACHE_HOME": str(blocked / "cache"),
        "LOCALAPPDATA": str(blocked / "local"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def test_a_kernel_runs_where_no_cache_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").write_text("a file, so that no folder can be made here")
    (tmp_path / "qlq_kernel_probe.py").write_text(PROBE)
    assert run_probe(tmp_path) == "42"


def test_a_kernel_is_cached_beside_its_source(tmp_path: Path) -> None:
    (tmp_path / "qlq_kernel_probe.py").write_text(PROBE)
    assert run_probe(tmp_path) == "42"
    assert list(tmp_path.glob("__pycache__/*.nbi"))

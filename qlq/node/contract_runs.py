"""The tests of a contract's folder, run by pytest with the plugin for contracts."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qlq.errors import ConfigError

PLUGIN = "qlq.node.contract_testing"
_NO_TESTS = 5
"""pytest's exit code where it finds none."""


def run(folder: Path, *more: str, words_to: int | None) -> dict[str, Any]:
    """Run the tests of a folder in a process of their own; the document of `contract test`.

    Args:
        folder: With files `test_*.py`.
        more: Further arguments of pytest.
        words_to: File descriptor that gets what pytest prints; None leaves it on stdout.

    Raises:
        ConfigError: No such folder, no tests in it, or there is no pytest, or it could not run.
    """
    if find_spec("pytest") is None:
        raise ConfigError("tests of contracts need pytest: pip install pytest")
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}: qlq contract new NAME begins one")
    with tempfile.TemporaryDirectory(prefix="qlq-contract-test-") as place:
        report = Path(place) / "report.json"
        loaded = ("-p", PLUGIN, "--import-mode=importlib", f"--contract-report={report}")
        command = [sys.executable, "-m", "pytest", *loaded, *more, str(folder)]
        code = subprocess.run(command, check=False, stdout=words_to).returncode  # noqa: S603
        if code == _NO_TESTS:
            raise ConfigError(f"no tests in {folder}: a file test_*.py holds functions test_*")
        if not report.exists():
            raise ConfigError(f"pytest could not run the tests of {folder}: see what it says above")
        return {"folder": str(folder), **json.loads(report.read_text())}

"""The tests of a contract's folder, run by pytest with the plugin for contracts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlq.errors import ConfigError

if TYPE_CHECKING:
    import pytest

PLUGIN = "qlq.node.contract_testing"
_NO_TESTS = 5
"""pytest's exit code where it finds none."""
_USAGE = (3, 4)
"""pytest's exit codes for its own failures and for arguments that it does not take."""


class _Counter:
    """Counts tests by how they ended; a plugin of pytest."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "skipped": 0, "errors": 0}
        self.gas: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what was called, and what could not be prepared."""
        if report.when == "call" or report.skipped:
            self.counts[report.outcome] += 1
        elif report.failed:
            self.counts["errors"] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count files that could not be read."""
        self.counts["errors"] += report.failed

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep the gas report's rows."""
        from qlq.node import contract_testing

        self.gas = contract_testing.gas_of(session.config)


def run(folder: Path, *more: str) -> dict[str, Any]:
    """Run the tests of a folder; the document of `contract test`.

    Args:
        folder: With files `test_*.py`.
        more: Further arguments of pytest.

    Raises:
        ConfigError: No such folder, no tests in it, or there is no pytest.
    """
    try:
        import pytest
    except ImportError as error:
        raise ConfigError("tests of contracts need pytest: pip install pytest") from error
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}: qlq contract new NAME begins one")
    counter = _Counter()
    arguments = ["-p", PLUGIN, "--import-mode=importlib", *more, str(folder)]
    code = int(pytest.main(arguments, plugins=[counter]))
    if code == _NO_TESTS:
        raise ConfigError(f"no tests in {folder}: a file test_*.py holds functions test_*")
    if code in _USAGE:
        raise ConfigError(f"pytest could not run the tests of {folder}: see what it says above")
    return {"folder": str(folder), **counter.counts, "gas": counter.gas}

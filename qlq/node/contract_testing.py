"""The pytest plugin for authors of contracts: a chain in memory, accounts, `reverts`.

    qlq contract test                          loads it
    pytest -p qlq.node.contract_testing        the same, from pytest itself

Every deploy and call of a test is carried out by the WebAssembly and by the CPython back-end, and
their outcomes must be equal. `--gas-report` tells what methods have used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qlq.contracts.engine import Engine
from qlq.contracts.python import PythonRunner
from qlq.contracts.wasm_runner import WasmRunner
from qlq.errors import CallFailed
from qlq.node.trial_contract import Chain, Contract
from qlq.node.trial_ledger import Account, Used

__all__ = ["Account", "Chain", "Contract", "reverts"]

_OUTPUT = "qlq_gas"
_USED = pytest.StashKey[list[Used]]()
_COUNTS = pytest.StashKey[dict[str, int]]()


@contextmanager
def reverts(text: str = "") -> Iterator[None]:
    """A block in which a call must fail.

    Args:
        text: Part of the message, or the reason's word, for example `overflow`, `out-of-gas`,
            `insufficient-balance`; empty takes any.
    """
    __tracebackhide__ = True
    try:
        yield
    except CallFailed as error:
        if text not in error.message and text != error.reason:
            pytest.fail(f"it failed with {str(error)!r}, not with {text!r}")
    else:
        pytest.fail(f"nothing failed; expected {text!r}")


@pytest.fixture(scope="session")
def _engines() -> dict[str, Engine]:
    """The back-ends of a whole run, which keep compiled code."""
    return {"wasm": Engine(WasmRunner()), "python": Engine(PythonRunner())}


@pytest.fixture
def chain(request: pytest.FixtureRequest, _engines: dict[str, Engine]) -> Iterator[Chain]:
    """An empty chain for this test; names of contract files are looked up beside the test."""
    made = Chain(_engines, Path(request.path).parent)
    yield made
    request.config.stash[_USED].extend(made.ledger.used)


@pytest.fixture
def alice(chain: Chain) -> Account:
    """Somebody."""
    return chain.account("alice")


@pytest.fixture
def bob(chain: Chain) -> Account:
    """Somebody else."""
    return chain.account("bob")


@pytest.fixture
def carol(chain: Chain) -> Account:
    """A third person."""
    return chain.account("carol")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the reports."""
    group = parser.getgroup("qlq contracts")
    group.addoption("--gas-report", action="store_true", help="Gas of each method, least to most.")
    group.addoption("--contract-report", metavar="FILE", help="Counts and gas as JSON.")


def pytest_configure(config: pytest.Config) -> None:
    """Begin counting."""
    config.stash[_USED] = []
    config.stash[_COUNTS] = {"passed": 0, "failed": 0, "skipped": 0, "errors": 0}
    config.pluginmanager.register(_Counter(config.stash[_COUNTS]))


class _Counter:
    """Counts tests by how they ended."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what was called, and what could not be prepared or cleaned up."""
        if report.when == "call" or report.skipped:
            self._counts[report.outcome] += 1
        elif report.failed:
            self._counts["errors"] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count files that could not be read."""
        self._counts["errors"] += report.failed


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report; in a worker of pytest-xdist, hand over what was counted."""
    used = session.config.stash[_USED]
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_OUTPUT] = [(one.contract, one.method, one.gas) for one in used]
    elif (file := session.config.getoption("contract_report")) is not None:
        counts = session.config.stash[_COUNTS]
        Path(file).write_text(json.dumps({"gas": _gas(used), **counts}))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker of pytest-xdist has counted."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[_USED].extend(Used(*one) for one in output.get(_OUTPUT, ()))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the gas report, if it is wanted."""
    if not config.getoption("gas_report"):
        return
    terminalreporter.section("gas")
    for line in _report(config.stash[_USED]):
        terminalreporter.write_line(line)


def _report(used: list[Used]) -> list[str]:
    """One line for each method, after a heading."""
    heading = f"{'method':40} {'calls':>6} {'least':>10} {'mean':>10} {'most':>10}"
    return [heading] + [
        f"{row['contract'] + '.' + row['method']:40} {row['calls']:6} {row['least']:10} "
        f"{row['mean']:10} {row['most']:10}"
        for row in _gas(used)
    ]


def _gas(used: list[Used]) -> list[dict[str, Any]]:
    """Gas of each method."""
    by_method: dict[tuple[str, str], list[int]] = {}
    for one in used:
        by_method.setdefault((one.contract, one.method), []).append(one.gas)
    return [
        {
            "contract": contract,
            "method": method,
            "calls": len(units),
            "least": min(units),
            "mean": sum(units) // len(units),
            "most": max(units),
        }
        for (contract, method), units in sorted(by_method.items())
    ]

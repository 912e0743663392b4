"""What all tests share."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every machine: a default run that passed once passes again.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # started in the background of a script: commands under test would not hear Ctrl-C either
    signal.signal(signal.SIGINT, signal.default_int_handler)

VECTORS = Path(__file__).resolve().parents[2] / "shared" / "vectors"

Report = pytest.TestReport | pytest.CollectReport


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Report, Report]:
    """Under QLQ_STRICT_SKIPS=1 a skipped test fails, unless it may be skipped."""
    report = yield
    return strict(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Report, Report]:
    """Under QLQ_STRICT_SKIPS=1 a file skipped as a whole fails, unless it may be skipped."""
    report = yield
    return strict(report)


def strict(report: Report) -> Report:
    """The report, failed if it is of a skip that hides something.

    Tests of real devices may be skipped, and tests that need `../shared/vectors` where that
    folder is not.
    """
    if not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    is_live = report.nodeid.startswith("tests/live/")
    lacks_vectors = "shared/vectors" in reason and not VECTORS.is_dir()
    if os.environ.get("QLQ_STRICT_SKIPS") == "1" and not is_live and not lacks_vectors:
        report.outcome = "failed"
        report.longrepr = f"skipped although QLQ_STRICT_SKIPS=1: {reason}"
    return report


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the operator's own folders."""
    monkeypatch.setenv("QLQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    for name in ("QLQ_PASSPHRASE", "QLQ_BACKEND", "QLQ_PROFILE"):
        monkeypatch.delenv(name, raising=False)


DEVICES = Path(__file__).parent / "devices"


@dataclass(frozen=True)
class Vendor:
    """The far side of the rented device."""

    folder: Path

    def script(self, **words: list[str]) -> None:
        """What happens to the nth request of each kind from now on."""
        (self.folder / "script.json").write_text(json.dumps(words))
        (self.folder / "calls.log").unlink(missing_ok=True)

    def calls(self, kind: str) -> int:
        """Requests of a kind since the last script."""
        log = self.folder / "calls.log"
        return log.read_text().split("\n").count(kind) if log.exists() else 0

    def jobs(self) -> list[dict]:  # type: ignore[type-arg]
        """Accepted jobs, oldest first."""
        return [json.loads(path.read_text()) for path in sorted((self.folder / "jobs").iterdir())]

    def paid(self) -> list[str]:
        """Ids of accepted jobs that nobody cancelled."""
        return [job["id"] for job in self.jobs() if not job["cancelled"]]


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """A vendor without jobs; `rented` opens its device, here and in processes of ours."""
    folder = tmp_path / "vendor"
    (folder / "jobs").mkdir(parents=True)
    point = tmp_path / "points" / "rented-0.dist-info"
    point.mkdir(parents=True)
    (point / "METADATA").write_text("Metadata-Version: 2.1\nName: rented\nVersion: 0\n")
    (point / "entry_points.txt").write_text("[qlq.backends]\nrented = rented:scheme\n")
    for path in (DEVICES, point.parent):
        monkeypatch.syspath_prepend(str(path))
    earlier = os.environ.get("PYTHONPATH")
    paths = [str(DEVICES), str(point.parent), *([earlier] if earlier else [])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("RENTED_FOLDER", str(folder))
    return Vendor(folder)


@dataclass(frozen=True)
class Lab:
    """The far side of a quantum device that fails as a script says; see `devices/lab.py`."""

    folder: Path

    def script(self, *words: str) -> None:
        """What happens to the nth submit from now on; the last word is repeated."""
        (self.folder / "script.json").write_text(json.dumps(words))
        (self.folder / "submits.log").unlink(missing_ok=True)

    def cancelled(self) -> list[str]:
        """Ids of the jobs that were cancelled, in order."""
        log = self.folder / "cancels.log"
        return log.read_text().split() if log.exists() else []

    def submits(self) -> int:
        """Submits since the last script."""
        log = self.folder / "submits.log"
        return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A quantum device without jobs; `lab` opens it, here and in processes of ours."""
    folder = tmp_path / "lab"
    point = tmp_path / "lab-points" / "lab-0.dist-info"
    for place in (folder, point):
        place.mkdir(parents=True)
    (point / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 0\n")
    (point / "entry_points.txt").write_text("[qlq.backends]\nlab = lab:scheme\n")
    for path in (DEVICES, point.parent):
        monkeypatch.syspath_prepend(str(path))
    earlier = os.environ.get("PYTHONPATH")
    paths = [str(DEVICES), str(point.parent), *([earlier] if earlier else [])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("LAB_FOLDER", str(folder))
    return Lab(folder)

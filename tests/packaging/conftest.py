"""The wheel, and an installation of it in which nothing can be written."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]


def uv() -> str:
    """The uv that runs these tests (`uv run` names itself in UV), or the one on the path."""
    found = os.environ.get("UV") or shutil.which("uv")
    if not found:
        pytest.fail("the tests of the packaging need uv: pip install uv")
    return found


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as `uv build` makes it, from a copy: nothing appears in the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    for name in ("qlq", "circuits"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [uv(), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A virtual environment that holds QLQ from the wheel and borrows all its dependencies.

    Its folders are read-only, and each `__pycache__` of QLQ is a file, since modes do not stop
    the superuser.
    """
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install = [uv(), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True, timeout=240)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    package = site / "qlq"
    for source in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (source / "__pycache__").write_text("")
    for path in [package, *package.rglob("*")]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    return folder


@pytest.fixture
def run(installation: Path, tmp_path: Path) -> Run:
    """Run a program of the installation, in an empty folder and with no place to write to."""
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    kept = {"PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT"}
    environ = {name: value for name, value in os.environ.items() if name in kept}
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        environ[name] = str(blocked / name.lower())

    def run_it(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(installation / "bin" / program), *arguments]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run_it


@pytest.fixture(scope="session")
def this_python() -> str:
    """The interpreter of the editable installation that runs the tests."""
    return sys.executable

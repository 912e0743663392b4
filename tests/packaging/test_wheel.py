"""The wheel holds what a session needs, and runs where nothing can be written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CIRCUITS = {"bb84.qasm", "e91.qasm", "bell.qasm", "qrng.qasm"}
RUN = "import sys; from qlq.cli.main import run; sys.exit(run(sys.argv[1:]))"


def build_command(to: Path) -> list[str]:
    if shutil.which("uv"):
        return ["uv", "build", "--wheel", "--out-dir", str(to), str(to / "source")]
    return [*(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(to)), str(to / "source")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy so that nothing appears in the checkout."""
    to = tmp_path_factory.mktemp("wheel")
    for folder in ("qlq", "circuits"):
        shutil.copytree(
            ROOT / folder, to / "source" / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, to / "source" / file)
    built = subprocess.run(
        build_command(to), capture_output=True, text=True, timeout=300, check=False
    )
    assert built.returncode == 0, built.stderr
    (found,) = to.glob("qlq-*.whl")
    return found


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, where no folder takes a compiled file.

    Modes do not stop root; a regular file in the place of each `__pycache__` does.
    """
    to = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(to)
    for folder in [path for path in (to / "qlq").rglob("*") if path.is_dir()] + [to / "qlq"]:
        (folder / "__pycache__").write_bytes(b"")
        folder.chmod(0o555)
    return to


@pytest.fixture
def bare(unpacked: Path, tmp_path: Path) -> dict[str, str]:
    """An environment in which the package is the wheel's and no folder of a user is writable."""
    (tmp_path / "file").write_bytes(b"")
    nowhere = str(tmp_path / "file" / "below")
    kept = {"PATH": os.environ["PATH"]}
    unusable = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "QLQ_HOME")
    return kept | dict.fromkeys(unusable, nowhere) | {"PYTHONPATH": str(unpacked)}


def python(
    code: str, *arguments: str, environ: dict[str, str], cwd: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_wheel_holds_the_circuits_the_types_marker_and_nothing_of_the_checkout(
    wheel: Path,
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for name in CIRCUITS:
            assert archive.read(f"qlq/circuits/{name}") == (ROOT / "circuits" / name).read_bytes()
    assert "qlq/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"qlq", "qlq-0.1.0.dist-info"}
    tails = {Path(name).suffix for name in names if name.startswith("qlq/")}
    assert tails == {".py", ".qasm", ".typed"}


def test_the_wheel_has_every_module_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "qlq").rglob("*.py")}
    assert modules <= names


def test_the_wheel_names_its_command_and_its_backends(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("entry_points.txt")]
        text = archive.read(name).decode()
    assert "qlq = qlq.cli.main:main" in text
    for scheme in ("aer", "cirq", "braket"):
        assert re.search(rf"^{scheme} = qlq\.backends\.{scheme}:scheme$", text, re.MULTILINE)


def test_the_package_under_test_is_the_wheel_s(
    bare: dict[str, str], unpacked: Path, tmp_path: Path
) -> None:
    ended = python("import qlq.circuit as c; print(c.__file__)", environ=bare, cwd=tmp_path)
    assert ended.stdout.strip() == str(unpacked / "qlq" / "circuit.py"), ended.stderr


def test_a_session_runs_from_a_wheel_where_nothing_can_be_written(
    bare: dict[str, str], unpacked: Path, tmp_path: Path
) -> None:
    before = sorted(unpacked.rglob("*"))
    seeded = ("qkd", "run", "--backend", "aer", "--pulses", "20000", "--seed", "1", "--json")
    ended = python(RUN, *seeded, environ=bare, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["secret_bits"] > 0
    assert "Traceback" not in ended.stderr
    assert sorted(unpacked.rglob("*")) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]

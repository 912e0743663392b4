"""What is in the wheel, and that it works where nothing can be written."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]

WHEEL_BYTES_MAX = 2 << 20
CIRCUITS = ("bb84", "bell", "e91", "qrng")
DIGESTS = f"from qlq import circuit; print([circuit.load(n).digest for n in {CIRCUITS}])"


def test_the_wheel_holds_the_package_and_its_circuits_and_nothing_else(
    wheel: Path, root: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    package = {path.relative_to(root).as_posix() for path in (root / "qlq").rglob("*.py")}
    circuits = {f"qlq/circuits/{path.name}": path for path in (root / "circuits").glob("*.qasm")}
    own = {name for name in inside if not name.startswith("qlq-")}
    assert own == package | set(circuits) | {"qlq/py.typed"}
    assert {Path(name).stem for name in circuits} >= set(CIRCUITS)
    for name, path in circuits.items():
        assert inside[name] == path.read_bytes()
    assert wheel.stat().st_size <= WHEEL_BYTES_MAX


def test_the_package_runs_from_the_wheel_and_not_from_the_checkout(
    run: Run, installation: Path
) -> None:
    done = run("python", "-c", "import qlq; print(qlq.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(installation)


def test_the_version_is_the_project_s(run: Run) -> None:
    done = run("qlq", "--version")
    assert (done.returncode, done.stdout) == (0, f"qlq {metadata.version('qlq')}\n")


def test_circuits_are_the_same_from_a_wheel_and_from_the_checkout(
    run: Run, this_python: str
) -> None:
    done = run("python", "-c", DIGESTS)
    here = subprocess.run(
        [this_python, "-c", DIGESTS], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == here.stdout


def test_entry_points_of_the_backends_come_with_the_wheel(run: Run) -> None:
    done = run("qlq", "backend", "list", "--json")
    assert done.returncode == 0, done.stderr
    schemes = {row["uri"].partition(":")[0] for row in json.loads(done.stdout)["backends"]}
    assert schemes >= {"aer", "cirq", "braket"}


def test_a_seeded_session_runs_with_nothing_writable(run: Run, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = run(
        "qlq", "qkd", "run", "--backend", "aer", "--pulses", "20000", "--seed", "1", "--json"
    )  # fmt: skip
    assert done.returncode in {0, 3}, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "qlq.qkd.run/1"
    assert document["qber"] == 0.0
    assert document["key_id"] is None
    assert document["provenance"]["reproducible"] is True
    assert sorted(tmp_path.rglob("*")) == before


def test_a_session_that_must_keep_its_key_says_where_it_cannot_write(run: Run) -> None:
    done = run("qlq", "qkd", "run", "--backend", "aer", "--pulses", "20000", "--json")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "blocked" in done.stderr

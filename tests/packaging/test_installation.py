"""An installed wheel works where nothing can be written: its programs, as a user types them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]

CIRCUITS = ("bb84", "bell", "e91", "qrng")
DIGESTS = f"from qlq import circuit; print([circuit.load(n).digest for n in {CIRCUITS}])"
SESSION = ("qkd", "run", "--backend", "aer", "--pulses", "30000", "--json")
WHEEL_BYTES_MAX = 2 << 20


def test_the_wheel_is_small_and_carries_its_licence(wheel: Path, installation: Path) -> None:
    assert wheel.stat().st_size <= WHEEL_BYTES_MAX
    (licence,) = installation.glob("lib/python*/site-packages/qlq-*.dist-info/licenses/LICENSE")
    assert "Apache License" in licence.read_text()


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
    command = [this_python, "-c", DIGESTS]
    here = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == here.stdout


def test_the_backends_are_found_by_the_entry_points_of_the_wheel(run: Run) -> None:
    done = run("qlq", "backend", "list", "--json")
    assert done.returncode == 0, done.stderr
    schemes = {row["uri"].partition(":")[0] for row in json.loads(done.stdout)["backends"]}
    assert schemes >= {"aer", "cirq", "braket"}


def test_a_seeded_session_needs_no_place_to_write_to(run: Run, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = run("qlq", *SESSION, "--seed", "1")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["qber"] == 0.0
    assert document["secret_bits"] > 0
    assert document["key_id"] is None
    assert sorted(tmp_path.rglob("*")) == before


def test_a_session_that_must_keep_its_key_names_the_folder_it_cannot_write(run: Run) -> None:
    done = run("qlq", *SESSION)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "blocked" in done.stderr

"""Output that cannot be written, and command lines that typer itself refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-c", "from qlq.cli.main import main; main()"]


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run `qlq ...` in a shell, which can close and redirect its streams."""
    line = f'"{sys.executable}" -c "from qlq.cli.main import main; main()" {command}'
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("command", ["backend list", "backend list --json", "config show"])
def test_a_closed_stdout_is_no_error(command: str) -> None:
    done = shell(f"{command} >&-")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_closed_stderr_leaves_the_document_as_it_is() -> None:
    done = shell("backend list --json 2>&-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["schema"] == "qlq.backend.list/1"


@pytest.mark.parametrize("command", ["backend list", "backend list --json"])
def test_a_full_stdout_is_said_in_one_line(command: str) -> None:
    done = shell(f"{command} >/dev/full")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["qkd", "run", "--pulses", "abc"], ["--pulses", "'abc'"]),
        (["qkd", "run", "--pulses=1e5"], ["--pulses", "'1e5'"]),
        (["qkd", "run", "--seed", "x", "--json"], ["--seed", "'x'"]),
        (["qkd", "run", "--eps-sec", "small"], ["--eps-sec", "'small'"]),
        (["qkd", "run", "--pulsed", "1"], ["--pulsed", "--pulses"]),
        (["--home", "", "keys", "list"], ["--home", "empty"]),
    ],
)
def test_a_value_that_cannot_be_used_is_named_in_one_line(
    arguments: list[str], words: list[str]
) -> None:
    done = subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words)


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep", encoding="ascii")
    home = str(tmp_path / "file")
    arguments = [*PROGRAM, "--home", home, "keys", "list"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert home in done.stderr

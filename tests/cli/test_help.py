"""The command line starts fast, loads nothing heavy, and refuses in one manner."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest

HEAVY = ("numpy", "scipy", "numba", "qiskit", "qiskit_aer", "cirq", "braket", "sqlite3")
LOADED = """
import sys
sys.argv = ["qlq", *{arguments!r}]
from qlq.cli.main import main
try:
    main()
except SystemExit:
    pass
print("LOADED", sorted(set({names!r}) & set(sys.modules)), file=sys.stderr)
"""


def loaded(arguments: list[str], names: tuple[str, ...]) -> str:
    """What a command line has imported when it ends."""
    code = LOADED.format(arguments=arguments, names=names)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stderr.rpartition("LOADED ")[2].strip()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["qkd", "--help"], ["qkd", "run", "--help"], ["config", "show"]]
)
def test_nothing_heavy_is_imported_before_it_is_needed(arguments: list[str]) -> None:
    assert loaded(arguments, HEAVY) == "[]"


def test_the_version_answers_before_typer_is_imported() -> None:
    assert loaded(["--version"], ("typer", "rich", *HEAVY)) == "[]"


def test_the_version_is_the_installed_one(qlq: Any) -> None:
    for arguments in (["--version"], ["--quiet", "--version"]):
        done = qlq(*arguments)
        assert (done.returncode, done.stdout) == (0, f"qlq {version('qlq')}\n")


def test_help_names_every_command(qlq: Any) -> None:
    done = qlq("--help")
    assert done.returncode == 0
    for command in ("qkd", "backend", "keys", "config", "doctor", "demo"):
        assert command in done.stdout


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (["nosuch"], "qlq.error/1"),
        (["keys", "list", "--party", "carol"], "qlq.keys.list/1"),
        (["config", "show", "--colour"], "qlq.config.show/1"),
        (["backend", "show"], "qlq.backend.show/1"),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_prints_its_document(
    qlq: Any, document: Any, arguments: list[str], schema: str
) -> None:
    done = qlq(*arguments, "--json")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    found = document(done.stdout, "qlq.error")
    assert (found["schema"], found["error"]["kind"]) == (schema, "UsageError")
    without = qlq(*arguments)
    assert (without.returncode, without.stdout) == (2, "")


def test_output_that_is_no_terminal_has_no_escape_codes(qlq: Any) -> None:
    assert "\x1b" not in qlq("config", "show").stdout
    assert "\x1b" not in qlq("--help").stdout


@pytest.mark.parametrize("arguments", [["--help"], ["config", "show", "--json"]])
def test_a_reader_that_goes_away_is_no_error(arguments: list[str]) -> None:
    command = [sys.executable, "-c", "from qlq.cli.main import main; main()", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    assert running.stderr.read() == b""
    running.stderr.close()
    assert running.wait(timeout=60) == 0

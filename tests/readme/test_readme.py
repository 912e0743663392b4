"""Every command of the README and of tutorials works as printed, in its order, in one folder.

A command that must not end with 0 says so in a comment: `# exits 3`. The two commands that set
everything up are run by `.ci/run`, which also runs these tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
TUTORIALS = ("contracts.md", "ledger.md")
SET_UP = ("pip install uv && uv run qlq demo", "uv run pytest")
SHELLS = {"bash", "console"}
SHOWN_ONLY = {"text"}

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
ONE_SHELL = re.compile(r"&$|^export ", re.MULTILINE)
"""What a block's later lines need from its earlier ones: jobs in the background, variables."""
EXIT = re.compile(r"\s+# exits (\d+)$")


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a block and the exit code it must have."""

    text: str
    exit_code: int


def commands(text: str) -> list[Command]:
    """All commands of the text's shell blocks; a line that ends in a backslash goes on.

    A block that exports something, or runs it in the background, is one command, for one shell.
    """
    found = []
    for block in FENCE.finditer(text):
        if block["language"] not in SHELLS:
            continue
        if ONE_SHELL.search(block["body"]):
            found.append(Command(block["body"], 0))
            continue
        for line in block["body"].replace("\\\n", " ").splitlines():
            stripped = line.strip().removeprefix("$ ")
            if stripped and not stripped.startswith("#"):
                code = EXIT.search(stripped)
                found.append(Command(EXIT.sub("", stripped), int(code[1]) if code else 0))
    return found


COMMANDS = commands(README)


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home of its own, and `uv run` in the environment that runs the tests."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        pytest.fail("the README's commands need uv: pip install uv")
    home = tmp_path_factory.mktemp("home")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("QLQ_", "XDG_", "PYTEST_"))
    }
    kept.pop("VIRTUAL_ENV", None)
    return kept | {
        "HOME": str(home),
        "QLQ_HOME": str(home / "qlq"),
        "PATH": f"{Path(uv).parent}{os.pathsep}{kept['PATH']}",
        "UV_PROJECT_ENVIRONMENT": sys.prefix,
        "UV_NO_SYNC": "1",
        "UV_OFFLINE": "1",
    }


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a reader has after cloning, as far as the commands need it."""
    folder = tmp_path_factory.mktemp("clone") / "qlq"
    folder.mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("qlq", "circuits", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


@pytest.mark.long
def test_the_commands_of_the_readme_do_what_it_says(
    checkout: Path, environ: dict[str, str]
) -> None:
    run_all([one for one in COMMANDS if one.text not in SET_UP], checkout, environ)


@pytest.mark.long
@pytest.mark.parametrize("page", TUTORIALS)
def test_the_commands_of_a_tutorial_do_what_it_says(
    page: str, checkout: Path, environ: dict[str, str]
) -> None:
    """In a checkout where the README's commands may have been run already: homes differ."""
    wanted = commands((ROOT / "docs" / page).read_text())
    assert wanted
    run_all(wanted, checkout, environ)


def test_no_two_pages_use_one_home() -> None:
    pages = [README, *((ROOT / "docs" / page).read_text() for page in TUTORIALS)]
    homes = [home for page in pages for home in re.findall(r"QLQ_HOME=(\S+)", page)]
    assert len({*homes}) == len(homes) >= 4


def run_all(wanted: list[Command], folder: Path, environ: dict[str, str]) -> None:
    """Run commands in a folder, each to the exit code that it must have."""
    for command in wanted:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command.text],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        said = f"{command.text}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == command.exit_code, said
        assert "Traceback" not in done.stderr, said


def test_the_readme_begins_with_the_two_commands_and_the_pipeline_runs_them() -> None:
    assert tuple(command.text for command in COMMANDS[:2]) == SET_UP
    pipeline = (ROOT / ".ci" / "run").read_text()
    for command in SET_UP:
        assert f'as_printed "{command}"' in pipeline


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    languages = {block["language"] for block in FENCE.finditer(README)}
    assert languages <= SHELLS | SHOWN_ONLY
    assert README.count("```") == 2 * len(FENCE.findall(README))


def test_every_file_that_the_readme_names_is_there() -> None:
    named = re.findall(r"`((?:docs|examples|circuits|benchmarks|tests|qlq)/[\w./-]*)`", README)
    linked = re.findall(r"\]\(([^):#]+)\)", README)
    assert named
    assert not [name for name in [*named, *linked] if not (ROOT / name).exists()]


def test_blocks_are_read_as_a_person_reads_them() -> None:
    text = "```bash\none \\\n  two # exits 3\n\n# a remark\n```\n```text\nthree\n```\n"
    text += "```console\n$ four\n```\n```bash\nfive &\nsix\n```\n"
    text += "```bash\nexport SEVEN=7\neight\n```\n"
    assert commands(text) == [
        Command("one    two", 3),
        Command("four", 0),
        Command("five &\nsix\n", 0),
        Command("export SEVEN=7\neight\n", 0),
    ]

"""Every command block of the README works as printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
# These two set the machine up and run this test itself; continuous integration runs them.
SET_UP = ("pip install uv && uv run qlq demo", "uv run pytest")
SLOWEST_S = 120


def blocks() -> list[list[str]]:
    """The lines of each block of shell commands, without those two that set up."""
    found = re.findall(r"^```bash\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    lines = [block.strip().splitlines() for block in found]
    return [block for block in lines if block != [SET_UP[0]] and block != [SET_UP[1]]]


def test_the_first_two_blocks_are_the_two_commands() -> None:
    found = re.findall(r"^```bash\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert tuple(block.strip() for block in found[:2]) == SET_UP


def test_there_are_blocks_to_run() -> None:
    assert blocks()
    assert any("# exits" in line for block in blocks() for line in block)


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block[0][:60])
def test_a_block_runs_as_printed(block: list[str], tmp_path: Path) -> None:
    environ = dict(os.environ)
    # `uv run` puts the environment's programs first in the path, and so does this.
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]])
    for line in block:
        command, _, comment = line.partition("#")
        expected = re.fullmatch(r" exits (\d+)", comment)
        ended = subprocess.run(
            shlex.split(command.replace("uv run ", "")),
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=SLOWEST_S,
            check=False,
        )
        assert ended.returncode == int(expected[1] if expected else 0), ended.stderr
        assert ended.stdout
        assert "Traceback" not in ended.stderr

"""What the tests of the house look at."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {"__pycache__", "dist", "build"}


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def modules() -> dict[Path, ast.Module]:
    """Every Python file of the package, read; keys are relative to the checkout."""
    found = sorted((ROOT / "qlq").rglob("*.py"))
    return {path.relative_to(ROOT): ast.parse(path.read_bytes(), str(path)) for path in found}


@pytest.fixture(scope="session")
def project_files() -> list[Path]:
    """Every file of the project: what git tracks or would, or, without git, all that is ours."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
        names = [name for name in os.fsdecode(listed).split("\0") if name]
        return sorted(path for name in names if (path := ROOT / name).is_file())
    return sorted(path for path in ROOT.rglob("*") if path.is_file() and _is_ours(path))


def _is_ours(path: Path) -> bool:
    """Whether no tool wrote the file: git ignores what tools write."""
    parts = path.relative_to(ROOT).parts
    hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
    return not hidden and not NOT_OURS & set(parts) and path.name != "uv.lock"

"""Running the command line as a shell does, and checking its documents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"

Run = Callable[..., subprocess.CompletedProcess[str]]
Check = Callable[[str, str], dict[str, Any]]


@pytest.fixture
def qlq() -> Run:
    """Run `qlq` with these arguments in a process of its own."""

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from qlq.cli.main import main; main()", *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **environ},
        )

    return run


@pytest.fixture
def document() -> Check:
    """The one JSON document of an output, checked against the named schema."""

    def check(output: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(output)
        schema = json.loads((SCHEMAS / f"{name}.json").read_text())
        validator = jsonschema.Draft202012Validator
        validator.check_schema(schema)
        validator(schema).validate(found)
        return found

    return check

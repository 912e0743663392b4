"""The same source gives the same code, to the byte, on every Python and in every process.

vectors/code_hashes.json holds the hashes of compiler version 1. They change together with
`compiled.COMPILER_VERSION` alone: chains name them, and every node compiles for itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import qlq
from qlq.contracts import compiled, compiler

HERE = Path(__file__).parent
TEMPLATES = Path(qlq.__file__).parent / "contracts" / "templates"
VECTORS = json.loads((HERE / "vectors" / "code_hashes.json").read_text())
PROGRAM = """
import sys
from pathlib import Path
from qlq.contracts import compiler
for path in sys.argv[1:]:
    print(compiler.compile_source(Path(path).read_bytes()).code_hash.hex())
"""


SOURCES = {path.stem: path for path in sorted((HERE / "sources").glob("*.py"))}


def test_the_vectors_are_of_this_compiler() -> None:
    assert VECTORS["compiler_version"] == compiled.COMPILER_VERSION
    assert set(VECTORS["code_hashes"]) == set(SOURCES)


@pytest.mark.parametrize("name", sorted(VECTORS["code_hashes"]))
def test_a_source_has_the_code_of_the_vector(name: str) -> None:
    found = compiler.compile_source(SOURCES[name].read_bytes())
    assert found.code_hash.hex() == VECTORS["code_hashes"][name]
    assert found.code_hash == hashlib.sha256(found.wasm).digest()


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_the_seed_of_the_process_s_hashes_changes_nothing(seed: str) -> None:
    paths = [*SOURCES.values(), *sorted(TEMPLATES.glob("*/contract.py"))]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, paths)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
        text=True,
    )
    here = [compiler.compile_source(path.read_bytes()).code_hash.hex() for path in paths]
    assert done.stdout.split() == here

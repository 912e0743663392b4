"""What the wheel holds: every module, the circuits, the marker of types, and nothing else."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CIRCUITS = {"bb84.qasm", "e91.qasm", "bell.qasm", "qrng.qasm"}


@pytest.fixture
def contents(wheel: Path) -> dict[str, bytes]:
    """The files of the wheel by their names."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_every_circuit_as_it_is_in_the_checkout(contents: dict[str, bytes]) -> None:
    shipped = {name: contents[f"qlq/circuits/{name}"] for name in CIRCUITS}
    assert shipped == {name: (ROOT / "circuits" / name).read_bytes() for name in CIRCUITS}


def test_the_wheel_holds_every_module_as_it_is_in_the_checkout(contents: dict[str, bytes]) -> None:
    for path in (ROOT / "qlq").rglob("*.py"):
        assert contents[str(path.relative_to(ROOT))] == path.read_bytes()


def test_the_wheel_holds_nothing_that_a_tool_or_a_test_wrote(contents: dict[str, bytes]) -> None:
    assert "qlq/py.typed" in contents
    assert {re.sub(r"-.*", "", name.split("/")[0]) for name in contents} == {"qlq"}
    inside = {Path(name).suffix for name in contents if name.startswith("qlq/")}
    templates = {name for name in contents if name.startswith("qlq/contracts/templates/")}
    assert inside == {".py", ".qasm", ".typed", ".md"}
    assert {name for name in contents if name.endswith(".md")} <= templates


def test_the_wheel_names_its_command_and_its_backends(contents: dict[str, bytes]) -> None:
    (name,) = [name for name in contents if name.endswith("entry_points.txt")]
    text = contents[name].decode()
    assert "qlq = qlq.cli.main:main" in text
    for scheme in ("aer", "cirq", "braket"):
        assert re.search(rf"^{scheme} = qlq\.backends\.{scheme}:scheme$", text, re.MULTILINE)

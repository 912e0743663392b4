"""The pins exist twice, for two tools, and say the same; what a user notices is written down."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, object]:
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def pins(root: Path) -> list[str]:
    return (root / "constraints.txt").read_text().splitlines()


def test_the_two_lists_of_pins_are_the_same_line_for_line(project: dict, pins: list[str]) -> None:
    assert project["tool"]["uv"]["constraint-dependencies"] == pins


def test_every_pin_is_one_exact_version(pins: list[str]) -> None:
    assert pins
    for line in pins:
        (version,) = Requirement(line).specifier
        assert version.operator == "==", line
        assert "*" not in version.version, line


def test_everything_the_project_names_is_pinned(project: dict, pins: list[str]) -> None:
    named = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        named += extra
    names = {normal(Requirement(text).name) for text in named} - {"qlq"}
    assert names <= {normal(Requirement(line).name) for line in pins}


def test_what_runs_here_is_what_is_pinned(pins: list[str]) -> None:
    """A test run with other versions than the pinned ones proves nothing about the pins."""
    wanted = [Requirement(line) for line in pins]
    here = {r.name: r.specifier for r in wanted if r.marker is None or r.marker.evaluate()}
    others = {
        name: metadata.version(name)
        for name, specifier in here.items()
        if is_installed(name) and metadata.version(name) not in specifier
    }
    assert not others


def is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_changelog_tells_of_the_version_or_of_what_is_to_come(
    project: dict, root: Path
) -> None:
    text = (root / "CHANGELOG.md").read_text()
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    titles = [section.splitlines()[0] for section in sections]
    assert titles[0] in {"Unreleased", project["project"]["version"]}
    assert re.search(r"^- \S", sections[0], flags=re.MULTILINE)


def test_decisions_are_numbered_without_a_gap_and_titled(root: Path) -> None:
    files = sorted((root / "docs" / "decisions").glob("*.md"))
    assert files
    for number, path in enumerate(files, start=1):
        assert path.name.startswith(f"{number:04d}-")
        assert path.read_text().startswith(f"# {number}. "), path.name


def test_generated_files_stay_out_of_the_repository(root: Path) -> None:
    ignored = (root / ".gitignore").read_text().splitlines()
    assert {"uv.lock", ".venv/"} <= set(ignored)

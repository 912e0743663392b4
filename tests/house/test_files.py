"""Every file has a room, a name that says something, and a size one can read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

NAMELESS = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc", "types"}
FILE_LINES_MAX = 499
FUNCTION_LINES_MAX = 60

# Written in pieces, so that this file does not find itself.
PACKAGE_HOSTS = ("pypi" + ".org", "python" + "hosted", "anaconda" + ".org", "artifact" + "ory")
HOST_OF_AN_INDEX = re.compile("|".join(map(re.escape, PACKAGE_HOSTS)), re.IGNORECASE)
# "/home/u" is nobody's.
PLACES = ('home/(?!u[/"])', "Users/", "ro" + "ot/", "wo" + "rk/", "mnt/", "workspace/")
MACHINE_PATH = re.compile(r"(?<![\w.~>}-])/(?:" + "|".join(PLACES) + r")[\w.-]")


def test_no_file_is_nameless(project_files: list[Path], root: Path) -> None:
    names = [path.relative_to(root) for path in project_files if path.suffix == ".py"]
    assert not [name for name in names if NAMELESS & {part.lower() for part in stems(name)}]


def stems(name: Path) -> set[str]:
    return {*name.parts[:-1], name.stem}


def test_files_can_be_read_in_one_sitting(project_files: list[Path], root: Path) -> None:
    lengths = {
        str(path.relative_to(root)): len(path.read_text().splitlines())
        for path in project_files
        if path.suffix == ".py"
    }
    assert not {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX}


def test_functions_fit_on_a_screen(project_files: list[Path], root: Path) -> None:
    long = []
    for path in project_files:
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1  # type: ignore[operator]
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{path.relative_to(root)}:{node.name} has {lines} lines")
    assert not long


def test_a_package_s_init_holds_its_docstring_and_nothing_else(
    modules: dict[Path, ast.Module],
) -> None:
    inits = {path: tree.body for path, tree in modules.items() if path.name == "__init__.py"}
    assert inits
    for path, body in inits.items():
        assert len(body) == 1, path
        assert isinstance(body[0], ast.Expr), path
        assert isinstance(body[0].value, ast.Constant), path
        assert isinstance(body[0].value.value, str), path


def test_every_folder_of_the_package_is_a_package(modules: dict[Path, ast.Module]) -> None:
    folders = {path.parent for path in modules}
    assert not [folder for folder in folders if folder / "__init__.py" not in modules]


def test_nothing_names_a_package_index_or_a_place_on_a_machine(
    project_files: list[Path], root: Path
) -> None:
    found = []
    for path in project_files:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if HOST_OF_AN_INDEX.search(line) or MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(root)}:{number}: {line.strip()[:100]}")
    assert not found

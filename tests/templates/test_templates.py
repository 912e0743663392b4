"""Each template as a developer gets it: begun, checked, tested, and held by its tests."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qlq.contracts import compiler
from qlq.errors import CompileError, ConfigError
from qlq.node import contract_folders
from qlq.node.contract_folders import Template

ROOT = Path(__file__).parents[2]
LOADED = ("-p", "qlq.node.contract_testing", "--import-mode=importlib", "-c", "/dev/null")
SOURCES = ROOT / "qlq" / "contracts" / "templates"


def contracts() -> list[Path]:
    """Every contract of every template."""
    found = sorted(SOURCES.glob("*/*.py"))
    return [path for path in found if not path.name.startswith(("test_", "__"))]


def run_pytest(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """pytest in a process of its own, without this project's settings."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All templates, each in a folder of its name."""
    parent = tmp_path_factory.mktemp("templates")
    for template in Template:
        contract_folders.begin(template.value, template, parent)
    return parent


def test_the_tests_of_all_templates_pass_on_both_back_ends(begun: Path) -> None:
    done = run_pytest(*LOADED, "--rootdir", begun, "--gas-report", begun)
    assert done.returncode == 0, done.stdout
    for method in (
        "Token.transfer",
        "Escrow.claim",
        "Lottery.draw",
        "Auction.bid",
        "SealedAuction.reveal",
        "Multisig.approve",
        "ServiceLevel.settle",
    ):
        assert method in done.stdout


def test_pytest_alone_runs_a_new_folder(begun: Path) -> None:
    done = run_pytest("--rootdir", begun / "escrow", begun / "escrow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


@pytest.mark.parametrize("template", Template)
def test_a_new_folder_is_complete(begun: Path, template: Template) -> None:
    there = {path.name for path in (begun / template.value).iterdir()}
    wanted = {"contract.py", "test_contract.py", "README.md", "pytest.ini", "client.py"}
    assert wanted | {"client.pyi"} <= there
    assert "__init__.py" not in there


def test_every_template_has_its_folder_and_every_folder_its_template() -> None:
    folders = {path.name for path in SOURCES.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == {template.value.replace("-", "_") for template in Template}


@pytest.mark.long
def test_type_checkers_accept_templates_tests_and_clients(begun: Path) -> None:
    for folder in sorted(begun.iterdir()):
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", *sorted(folder.glob("*.py"))],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stdout


def test_nothing_is_written_over(begun: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is there already"):
        contract_folders.begin("token", Template.TOKEN, begun)
    for name in ("", "../up", "a/b", ".hidden", "-rf"):
        with pytest.raises(ConfigError, match="no name of a folder"):
            contract_folders.begin(name, Template.TOKEN, tmp_path)
    with pytest.raises(ConfigError, match="cannot write"):
        contract_folders.begin("token", Template.TOKEN, tmp_path / "absent")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", contracts(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_refusal_is_named_in_a_test(path: Path) -> None:
    tests = "".join(one.read_text() for one in sorted(path.parent.glob("test_*.py")))
    strings = {
        node.value
        for node in ast.walk(ast.parse(tests))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    program = compiler.compile_source(path.read_bytes()).program
    texts = {assertion.text for assertion in program.assertions}
    untested = {text for text in texts if not any(len(s) > 5 and s in text for s in strings)}
    assert not untested


def test_the_contract_of_the_tutorial_passes_its_test(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "contracts.md").read_text()
    contract, test, *_ = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "contract.py").write_text(contract)
    (tmp_path / "test_contract.py").write_text(test)
    done = run_pytest(*LOADED, "--rootdir", tmp_path, tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    misspelt = contract.replace("msg.sender] < self.limit", "msg.sendr] < self.limit")
    with pytest.raises(CompileError) as caught:
        compiler.compile_source(misspelt.encode(), "counter.py")
    shown = str(caught.value).replace("\n", "").replace(" ", "")
    assert shown in page.replace("\n", "").replace(" ", "")


def refusals() -> list[tuple[Path, int]]:
    """The first line of every assert of every template."""
    return [
        (path, node.lineno)
        for path in contracts()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("path", "line"), refusals(), ids=lambda part: str(getattr(part, "parent", part))[-16:]
)
def test_without_a_refusal_a_test_fails(path: Path, line: int, tmp_path: Path) -> None:
    """Each `assert` is taken out by itself: the compiler or a test of the template must see it."""
    for file in path.parent.glob("*.py"):
        if file.name != "__init__.py":
            shutil.copy(file, tmp_path)
    (tmp_path / path.name).write_text(without(path.read_text(), line))
    done = run_pytest("-x", *LOADED, "--rootdir", tmp_path, tmp_path)
    assert done.returncode == 1, done.stdout


def without(source: str, line: int) -> str:
    """A source whose assert at this line does nothing."""
    lines = source.split("\n")
    node = next(
        one
        for one in ast.walk(ast.parse(source))
        if isinstance(one, ast.Assert) and one.lineno == line
    )
    end = node.end_lineno or line
    lines[line - 1 : end] = [" " * node.col_offset + "pass"] + [""] * (end - line)
    return "\n".join(lines)

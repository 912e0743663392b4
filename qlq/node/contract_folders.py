"""A contract before it is on a ledger: begun from a template, checked, its interface written."""

from __future__ import annotations

import re
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from qlq.contracts import abi, compiler
from qlq.errors import CompileError, ConfigError
from qlq.node import contract_binding, contract_desk

TEMPLATES = "contracts/templates"
CONTRACT_FILE = "contract.py"
PYTEST_FILE = "pytest.ini"
PYTEST_TEXT = """\
# `pytest` alone runs the tests as `qlq contract test` does
[pytest]
addopts = -p qlq.node.contract_testing --import-mode=importlib
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LEFT_OUT = ("__init__.py", "__pycache__")


class Template(StrEnum):
    """What a contract can begin as."""

    TOKEN = "token"  # noqa: S105 - no secret
    ESCROW = "escrow"
    LOTTERY = "lottery"
    AUCTION = "auction"
    MULTISIG = "multisig"
    QKD_SLA = "qkd-sla"


def begin(name: str, template: Template, parent: Path) -> dict[str, Any]:
    """A new folder: contract, tests, client, description; the document of `contract new`.

    Args:
        name: Of the folder: letters, digits, dots, dashes.
        template: Where it begins.
        parent: Where the folder goes.

    Raises:
        ConfigError: No such name, there is something already, or it cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name of a folder: letters, digits, dots, dashes and underscores"
        )
    folder = parent / name
    if folder.exists():
        raise ConfigError(f"{folder} is there already: choose another name")
    source = files("qlq").joinpath(*TEMPLATES.split("/"), template.value.replace("-", "_"))
    texts = {one.name: one.read_bytes() for one in source.iterdir() if _is_copied(one)}
    texts[PYTEST_FILE] = PYTEST_TEXT.encode()
    texts |= _clients(texts)
    try:
        folder.mkdir()
        for file, text in sorted(texts.items()):
            (folder / file).write_bytes(text)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror}") from error
    return {"folder": str(folder), "template": template.value, "files": sorted(texts)}


def check(file: Path) -> dict[str, Any]:
    """Whether a source is a contract, and remarks on it; the document of `contract check`.

    Raises:
        ConfigError: The file cannot be read.
    """
    source = contract_desk.read_source(file)
    found: dict[str, Any] = {
        "file": str(file),
        "valid": True,
        "name": None,
        "code_hash": None,
        "compiler": None,
        "source_bytes": len(source),
        "wasm_bytes": None,
        "errors": [],
        "remarks": [],
    }
    try:
        compiled = compiler.compile_source(source, str(file))
    except CompileError as error:
        fault = {
            "line": error.line,
            "column": error.column,
            "message": error.message,
            "hint": error.hint,
            "text": str(error),
        }
        return {**found, "valid": False, "errors": [fault]}
    return {
        **found,
        "name": compiled.program.name,
        "code_hash": compiled.code_hash.hex(),
        "compiler": compiled.compiler_version,
        "wasm_bytes": len(compiled.wasm),
        "remarks": [
            {"line": one.line, "column": one.column, "message": one.message}
            for one in compiled.program.remarks
        ],
    }


def interface(file: Path) -> dict[str, Any]:
    """The interface of a contract's source as JSON; raises ConfigError and CompileError."""
    source = contract_desk.read_source(file)
    return abi.document(compiler.compile_source(source, str(file)).program)


def _clients(texts: dict[str, bytes]) -> dict[str, bytes]:
    """A typed client and its stub for each contract among the files."""
    found: dict[str, bytes] = {}
    for file, text in sorted(texts.items()):
        if file.endswith(".py") and not file.startswith("test_"):
            program = compiler.compile_source(text, file).program
            stem = "client" if file == CONTRACT_FILE else f"client_{file.removesuffix('.py')}"
            code, stub = contract_binding.texts(program)
            found |= {f"{stem}.py": code, f"{stem}.pyi": stub}
    return found


def _is_copied(one: Traversable) -> bool:
    return one.is_file() and one.name not in _LEFT_OUT

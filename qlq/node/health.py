"""What this machine offers QLQ: packages, folders, a port."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import time
from pathlib import Path
from typing import Any

from qlq.config import Settings

REQUIRED = (
    *("cryptography", "msgspec", "numba", "numpy", "qiskit", "qiskit-aer"),
    *("qiskit-ibm-runtime", "qiskit-qasm3-import", "rich", "scipy", "stamina", "typer"),
)
EXTRAS = {"braket": ("amazon-braket-sdk",), "cirq": ("cirq-core", "ply"), "plot": ("matplotlib",)}
CLOCK_EARLIEST_S = 1_700_000_000
"""A clock before November 2023 is wrong: this package is younger."""


def examine(settings: Settings) -> list[dict[str, Any]]:
    """One line for each check: name, value, ok, advice. Nothing is written or sent."""
    lines = [_line("python", platform.python_version()), _line("qlq", _version("qlq"))]
    lines += [_required(package) for package in REQUIRED]
    lines += [_extra(name, packages) for name, packages in EXTRAS.items()]
    lines += [
        _folder("home", settings.home),
        _folder("settings", settings.settings_folder),
        _line("passphrase", "not set" if settings.passphrase is None else "set"),
        _credentials(),
        _clock(),
        _port(),
    ]
    return lines


def _line(name: str, value: str | None, *, advice: str = "") -> dict[str, Any]:
    return {"name": name, "value": value or "missing", "ok": value is not None, "advice": advice}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _required(package: str) -> dict[str, Any]:
    found = _version(package)
    return _line(package, found, advice="" if found else f"pip install {package}")


def _extra(name: str, packages: tuple[str, ...]) -> dict[str, Any]:
    """An extra may be missing: that is no fault, but the way to get it is shown."""
    missing = [package for package in packages if _version(package) is None]
    if missing:
        value = f"not installed ({', '.join(missing)})"
        return _line(f"extra {name}", value, advice=f"pip install 'qlq[{name}]'")
    return _line(f"extra {name}", ", ".join(f"{p} {_version(p)}" for p in packages))


def _folder(name: str, folder: Path) -> dict[str, Any]:
    nearest = folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return _line(f"folder {name}", str(folder))
    line = _line(f"folder {name}", None, advice="name a folder that you may write in: --home DIR")
    return {**line, "value": f"{folder} cannot be written"}


def _credentials() -> dict[str, Any]:
    """Whether a vendor's own credentials file is there; its content is not read."""
    files = {"ibm": ".qiskit/qiskit-ibm.json", "aws": ".aws/credentials"}
    found = [name for name, file in files.items() if (Path.home() / file).is_file()]
    return _line("vendor credentials", ", ".join(found) or "none")


def _clock() -> dict[str, Any]:
    now_s = int(time.time())
    if now_s >= CLOCK_EARLIEST_S:
        return _line("clock", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s)))
    return _line("clock", None, advice="set the clock of this machine")


def _port() -> dict[str, Any]:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return _line("loopback port", str(server.getsockname()[1]))
    except OSError as error:
        return _line("loopback port", None, advice=f"cannot listen on loopback: {error.strerror}")

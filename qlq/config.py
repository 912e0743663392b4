"""Settings and where each came from: flag, environment, profile, file, default, in this order.

The only module that reads the environment. The file is `qlq.toml` in the settings folder
(`$XDG_CONFIG_HOME/qlq`), with the same keys at its top level and, per profile, below
`[profile.NAME]`. Secrets are never read from it.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from os import environ as _environ
from pathlib import Path
from types import MappingProxyType

from qlq.errors import ConfigError

FILE = "qlq.toml"
FILE_BYTES_MAX = 1 << 20


class Origin(StrEnum):
    """Where a value came from."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    PROFILE = "profile"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the commands need to know.

    Attributes:
        home: Folder of keys and jobs; `--home`, `QLQ_HOME`.
        settings_folder: Folder of `qlq.toml` and the master key.
        backend: URI of the backend that is used without `--backend`; `QLQ_BACKEND`.
        passphrase: Seals the key stores; `QLQ_PASSPHRASE` only. None: a key file does.
        origins: Where each value came from, by name.
    """

    home: Path
    settings_folder: Path
    backend: str
    passphrase: str | None
    origins: Mapping[str, Origin]

    @property
    def file(self) -> Path:
        """Where `qlq.toml` is looked for."""
        return self.settings_folder / FILE

    def __repr__(self) -> str:
        """Without the passphrase."""
        return f"Settings(home={self.home!s}, backend={self.backend!r})"


_FILE_KEYS = ("home", "backend")
_FOLDER = "qlq"


def environment() -> Mapping[str, str]:
    """The process environment, read-only."""
    return MappingProxyType(_environ)


def load(
    *,
    flags: Mapping[str, str | None],
    environ: Mapping[str, str],
    profile: str | None = None,
) -> Settings:
    """All settings.

    Args:
        flags: Values of `--home` and `--backend`, None where not given.
        environ: The process environment.
        profile: Name of a profile in the file; None takes `QLQ_PROFILE`, then none.

    Raises:
        ConfigError: The file cannot be read, has an unknown key, or lacks the profile.
    """
    if empty := [name for name, value in flags.items() if value == ""]:
        raise ConfigError(f"--{empty[0]} is empty: give it a value, or leave it out")
    user = Path(environ.get("HOME") or "/")
    settings_folder = Path(environ.get("XDG_CONFIG_HOME") or user / ".config") / _FOLDER
    from_file, from_profile = _read(
        settings_folder / FILE, profile=profile or environ.get("QLQ_PROFILE")
    )
    defaults = {
        "home": str(Path(environ.get("XDG_DATA_HOME") or user / ".local" / "share") / _FOLDER),
        "backend": "aer",
    }
    values, origins = {}, {}
    for name in _FILE_KEYS:
        layers = (
            (Origin.FLAG, flags.get(name)),
            (Origin.ENVIRONMENT, environ.get(f"QLQ_{name.upper()}") or None),
            (Origin.PROFILE, from_profile.get(name)),
            (Origin.FILE, from_file.get(name)),
            (Origin.DEFAULT, defaults[name]),
        )
        origins[name], values[name] = next((o, v) for o, v in layers if v is not None)
    passphrase = environ.get("QLQ_PASSPHRASE")
    origins["passphrase"] = Origin.DEFAULT if passphrase is None else Origin.ENVIRONMENT
    return Settings(
        home=Path(str(values["home"])).expanduser(),
        settings_folder=settings_folder,
        backend=str(values["backend"]),
        passphrase=passphrase,
        origins=origins,
    )


def _read(path: Path, *, profile: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """The top level and one profile of the file; both empty where there is no file."""
    document: dict[str, object] = {}
    try:
        if path.exists():
            with path.open("rb") as file:
                document = tomllib.loads(file.read(FILE_BYTES_MAX).decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot use {path}: {error}") from error
    profiles = document.pop("profile", {})
    top = _checked(document, path)
    if not isinstance(profiles, dict) or not all(isinstance(p, dict) for p in profiles.values()):
        raise ConfigError(f"'profile' in {path} must be tables: write [profile.NAME]")
    checked = {name: _checked(table, path) for name, table in profiles.items()}
    if profile is None:
        return top, {}
    if profile not in checked:
        raise ConfigError(f"no profile {profile!r} in {path}; {_hint(profile, sorted(checked))}")
    return top, checked[profile]


def _checked(table: Mapping[str, object], path: Path) -> dict[str, str]:
    for name, value in table.items():
        if name == "passphrase":
            raise ConfigError(f"{path} holds a passphrase: remove it, and set QLQ_PASSPHRASE")
        if name not in _FILE_KEYS:
            raise ConfigError(f"unknown setting {name!r} in {path}; {_hint(name, _FILE_KEYS)}")
        if not isinstance(value, str):
            raise ConfigError(f"setting {name!r} in {path} must be text, not {value!r}")
    return {name: str(value) for name, value in table.items()}


def _hint(name: str, known: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(known) or 'none'}"

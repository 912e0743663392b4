"""What the check of an archive finds: files that changed, fields that do not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlq.archive import folder
from qlq.crypto import digest
from qlq.errors import ConfigError

FILE_BYTES_MAX = 256 << 20
ABSENT = "no such field"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `field` is empty where a whole file is meant; secrets are never shown."""

    file: str
    field: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a check.

    Attributes:
        level: `full` with secrets, `public` without, `record` where there are none.
        findings: All differences; an archive without any is valid.
    """

    level: str
    findings: tuple[Finding, ...]

    @property
    def is_valid(self) -> bool:
        """Whether nothing differs."""
        return not self.findings


def read(file: Path, *, limit: int) -> bytes:
    """The bytes of a file; raises ConfigError if it cannot be read or is larger."""
    try:
        with file.open("rb") as handle:
            data = handle.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    if len(data) > limit:
        raise ConfigError(f"{file} is larger than {limit} bytes: not an archive of QLQ")
    return data


def read_files(
    path: Path, manifest: Mapping[str, Any], *, manifest_name: str
) -> tuple[dict[str, bytes], list[Finding]]:
    """Every file that the manifest names, and what is wrong with them; `secrets/` may be absent.

    Args:
        path: The archive.
        manifest: Its field `files` has the SHA-256 (hex) of each file.
        manifest_name: The manifest's own file.

    Raises:
        ConfigError: A file cannot be read.
    """
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        return {}, [Finding(manifest_name, "files", "digests by file name", "none")]
    contents: dict[str, bytes] = {}
    findings = []
    with_secrets = (path / folder.SECRETS).exists()
    for name, expected in sorted(listed.items()):
        if name.startswith(f"{folder.SECRETS}/") and not with_secrets:
            continue
        if not _is_plain(name) or not (path / name).is_file():
            findings.append(Finding(name, "", "a file", "none"))
            continue
        contents[name] = read(path / name, limit=FILE_BYTES_MAX)
        found = digest.sha256(contents[name]).hex()
        if found != expected:
            findings.append(Finding(name, "sha256", str(expected), found))
    present = {str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir()}
    extra = sorted(present - set(listed) - {manifest_name})
    findings += [Finding(name, "", "no such file", "a file") for name in extra]
    return contents, findings


def _is_plain(name: str) -> bool:
    """Whether a name stays inside the archive."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def compare(name: str, expected: object, found: object, *, file: str) -> list[Finding]:
    """Differences of two JSON values, each with the path of its field.

    Args:
        name: Path of the values themselves.
        expected: What was recomputed.
        found: What the archive says.
        file: The file that says it.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            finding
            for key in sorted(expected.keys() | found.keys())
            for finding in compare(
                f"{name}.{key}", expected.get(key, ABSENT), found.get(key, ABSENT), file=file
            )
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            finding
            for index, (first, second) in enumerate(zip(expected, found, strict=True))
            for finding in compare(f"{name}[{index}]", first, second, file=file)
        ]
    if expected == found and type(expected) is type(found):
        return []
    return [Finding(file, name, json.dumps(expected), json.dumps(found))]

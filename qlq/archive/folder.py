"""A session as a folder of files, written whole or not at all.

    session.json      everything public: parameters, result, backend, digests of all files
    transcript.bin    all messages of the parties, in order
    secrets/          seeds, raw bits and one-time tag keys, mode 0600; absent after an abort

Delete `secrets/` before giving an archive away: what remains still verifies at the public level.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qlq.crypto import digest
from qlq.errors import ArchiveInvalid, ConfigError, RemoteMisuse
from qlq.qkd.duties import Transcript

SCHEMA = "qlq.qkd.archive/1"
MANIFEST = "session.json"
TRANSCRIPT = "transcript.bin"
SECRETS = "secrets"
TRANSCRIPT_VERSION = b"\x01"


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """The one byte form of a document: sorted keys, two spaces, ASCII, a final newline."""
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with `digest`: SHA-256 of its canonical bytes without that field."""
    bare = {name: value for name, value in document.items() if name != "digest"}
    return {**bare, "digest": digest.sha256(canonical_json(bare)).hex()}


def pack_transcript(transcript: Transcript) -> bytes:
    """A version byte, then sender, length and bytes of each message."""
    return TRANSCRIPT_VERSION + transcript.pack()


def unpack_transcript(data: bytes) -> Transcript:
    """The transcript in these bytes; raises ArchiveInvalid for anything else."""
    if data[:1] != TRANSCRIPT_VERSION:
        raise ArchiveInvalid(f"{TRANSCRIPT}: unknown version {data[:1].hex() or 'none'}")
    try:
        return Transcript.unpack(data[1:])
    except RemoteMisuse as error:
        raise ArchiveInvalid(f"{TRANSCRIPT}: {error}") from error


def check_free(folder: Path) -> None:
    """Raise ConfigError unless an archive can be written at this path."""
    if not folder.name:
        raise ConfigError(f"{str(folder)!r} is no name for a new folder: name one")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not an empty folder: name another one")
    parent = folder.absolute().parent
    while not parent.exists():
        parent = parent.parent
    probe = parent / f".{folder.name}.probe-{os.getpid()}"
    try:  # what the access rights say is not the whole truth: read-only mounts, /proc
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise ConfigError(
            f"cannot write in {parent}: {error.strerror}: name a folder that you may write in"
        ) from error


def write(
    folder: Path,
    *,
    public: Mapping[str, bytes],
    secret: Mapping[str, bytes],
    manifest: Mapping[str, Any],
) -> None:
    """Write an archive; the folder appears complete or not at all.

    Args:
        folder: Where the archive goes; it must not exist, or be empty.
        public: Contents by file name.
        secret: Contents by file name below `secrets/`.
        manifest: `session.json` without `files` and `digest`, which are added here.

    Raises:
        ConfigError: The folder cannot be written.
    """
    contents = dict(public) | {f"{SECRETS}/{name}": data for name, data in secret.items()}
    files = {name: digest.sha256(data).hex() for name, data in contents.items()}
    document = canonical_json(sealed({**manifest, "schema": SCHEMA, "files": files}))
    publish(folder, {**contents, MANIFEST: document})


def publish(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a new folder, durably; it appears complete or not at all.

    Args:
        folder: Where the files go; it must not exist, or be empty.
        contents: By file name; those below `secrets/` get mode 0600.

    Raises:
        ConfigError: The folder cannot be written.
    """
    check_free(folder)
    draft = _draft(folder)
    try:
        draft.mkdir(parents=True)
        for name, data in contents.items():
            mode = 0o600 if name.startswith(f"{SECRETS}/") else 0o644
            _write_file(draft / name, data, mode=mode)
        for inside in {(draft / name).parent for name in contents} | {draft}:
            sync_folder(inside)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
        sync_folder(folder.absolute().parent)
    except OSError as error:
        raise ConfigError(f"cannot write the archive {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _draft(folder: Path) -> Path:
    """Where an archive is written before it gets its name; one that a dead process left is gone.

    A draft holds secrets, so that none may stay behind.
    """
    folder = folder.absolute()
    prefix = f".{folder.name}.part-"
    for left in folder.parent.glob(f"{prefix}*") if folder.name else ():
        if not _is_running(left.name.removeprefix(prefix)):
            shutil.rmtree(left, ignore_errors=True)
    return folder.with_name(f"{prefix}{os.getpid()}")


def _is_running(pid: str) -> bool:
    """Whether there may be a process with this id."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_file(path: Path, data: bytes, *, mode: int) -> None:
    """Create the file with its final mode before the first byte is in it, and sync it."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

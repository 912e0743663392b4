"""Files for their owner alone: made whole with mode 0600, and read only if they still are."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from qlq.errors import ConfigError


def create_if_absent(path: Path, content: bytes) -> None:
    """Make the file, synced and readable by the owner alone, unless there is one.

    It appears with all of its content or not at all; its folder is made with mode 0700.

    Raises:
        ConfigError: The folder cannot be written.
    """
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path, content)
    except OSError as error:
        raise ConfigError(
            f"cannot create {path}: {error.strerror}: check the permissions of its folder"
        ) from error


def _create(path: Path, content: bytes) -> None:
    """Put a complete file at the path, unless another process was faster."""
    draft = _draft(path, content)
    try:
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    _sync(path.parent)


def create(path: Path, content: bytes) -> None:
    """Make a file that is not there yet, synced and readable by the owner alone; all at once.

    Raises:
        ConfigError: There is one already, or the folder cannot be written.
    """
    try:
        draft = _draft(path, content)
        try:
            path.hardlink_to(draft)  # unlike a rename, never over another file
        finally:
            draft.unlink()
        _sync(path.parent)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} is there already: choose another name, or move it away"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}: check the permissions of its folder"
        ) from error


def replace(path: Path, content: bytes) -> None:
    """Give the file this content, synced and readable by the owner alone; all at once.

    Raises:
        ConfigError: The folder cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = _draft(path, content)
        draft.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}: check the permissions of its folder"
        ) from error


def supersede(path: Path, content: bytes) -> None:
    """As `replace`, and what the file held before is overwritten where it lies.

    Best effort: flash, copying file systems and snapshots may keep it elsewhere, and a crash
    between the two leaves it. A hard link to the old file shows zeros afterwards.

    Raises:
        ConfigError: The folder cannot be written, or the old content not be overwritten.
    """
    try:
        with path.open("r+b") as old:
            replace(path, content)
            _overwrite(old)
    except FileNotFoundError:
        replace(path, content)
    except OSError as error:
        raise ConfigError(f"cannot overwrite what {path} held: {error.strerror}") from error


def destroy(path: Path) -> None:
    """Overwrite a file where it lies, synced, then remove it; best effort as in `supersede`.

    Raises:
        ConfigError: There is none, or it cannot be overwritten.
    """
    try:
        with path.open("r+b") as file:
            _overwrite(file)
        path.unlink()
        _sync(path.parent)
    except OSError as error:
        raise ConfigError(f"cannot destroy {path}: {error.strerror}") from error


def _overwrite(file: BinaryIO) -> None:
    """Zeros in place of an open file's content, synced."""
    file.write(bytes(os.fstat(file.fileno()).st_size))
    file.flush()
    os.fsync(file.fileno())


def _draft(path: Path, content: bytes) -> Path:
    """A complete file beside the path, synced, with mode 0600."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync(parent: Path) -> None:
    folder = os.open(parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path, *, limit: int) -> bytes:
    """The first `limit` bytes of a regular file of ours that nobody else may read or write.

    Raises:
        ConfigError: It is of another kind or owner, or others may use it.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{path} is not a regular file")
        if found.st_uid != os.geteuid():
            raise ConfigError(f"{path} belongs to another user: make it yours with chown")
        if stat.S_IMODE(found.st_mode) & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise ConfigError(f"{path} has mode {mode:04o}, others may use it: chmod 600 {path}")
        return file.read(limit)

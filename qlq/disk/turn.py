"""One process at a time: a lock on a folder, given back when the process ends in any way."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from qlq.errors import ConfigError, KeyStoreError

FILE = "turn.lock"
_PAUSE_S = 0.05


class Turn:
    """An exclusive lock on a folder; not held until `take`.

    The operating system drops it with the process, so that nothing is left to clean up.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is created yet."""
        self._path = folder / FILE
        self._file: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object has the lock."""
        return self._file is not None

    def take(self, *, timeout_s: float) -> None:
        """Wait for the lock; taking it twice does no harm.

        Raises:
            KeyStoreError: Another process kept it for so long.
            ConfigError: The folder cannot be used.
        """
        if self._file is not None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot use {self._path}: {error.strerror}") from error
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if time.monotonic() < end_s:
                    time.sleep(_PAUSE_S)
                    continue
                os.close(file)
                raise KeyStoreError(
                    f"another process has held {self._path} for {timeout_s:.0f} s: wait for it, "
                    "or end it"
                ) from error
            self._file = file
            return

    def give_back(self) -> None:
        """Let others have it; without it, nothing happens."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

"""Native code on disk, so that a known contract starts without compiling.

One private file for each code, runtime version and processor:

    version (1 byte) | SHA-256 of what follows (32) | key (32) | what the machine serialized

The bytes are run as they are. So they never come from a peer: only files that belong to us and
that nobody else may read or write are used, only with their own hash and key; anything else is
compiled anew and written over.
"""

from __future__ import annotations

import importlib.metadata
import platform
from contextlib import suppress
from pathlib import Path

from qlq.crypto import digest
from qlq.disk import private_files
from qlq.errors import ConfigError

VERSION = b"\x01"
FILE_BYTES_MAX = 1 << 26
_KEY_NAME = b"qlq/native code/1"
_HASH_BYTES = 32
_HEADER_BYTES = len(VERSION) + 2 * _HASH_BYTES
_PROCESSOR_FEATURES = Path("/proc/cpuinfo")


class NativeCache:
    """A folder of native code."""

    def __init__(self, folder: Path, *, settings: bytes) -> None:
        """Use the folder; it is made when something is put in.

        Args:
            folder: For this cache alone.
            settings: What the machine's native code depends on besides version and processor.
        """
        self._folder = folder
        version = importlib.metadata.version("wasmtime").encode()
        self._place = b"\0".join((version, platform.machine().encode(), _processor(), settings))

    def find(self, code_hash: bytes) -> bytes | None:
        """What `put` stored for this code, version and processor; None if it cannot be used.

        Args:
            code_hash: SHA-256 of the WebAssembly.
        """
        key = self._key(code_hash)
        try:
            found = private_files.read(self._path(key), limit=FILE_BYTES_MAX + 1)
        except (ConfigError, OSError):
            return None
        body = found[len(VERSION) + _HASH_BYTES :]
        header = VERSION + digest.sha256(body) + key
        if len(found) > FILE_BYTES_MAX or found[:_HEADER_BYTES] != header:
            return None
        return found[_HEADER_BYTES:]

    def put(self, code_hash: bytes, serialized: bytes) -> None:
        """Store native code; a folder that cannot be written costs speed and nothing else."""
        if _HEADER_BYTES + len(serialized) > FILE_BYTES_MAX:
            return
        key = self._key(code_hash)
        body = key + serialized
        with suppress(ConfigError):
            private_files.replace(self._path(key), VERSION + digest.sha256(body) + body)

    def _key(self, code_hash: bytes) -> bytes:
        return digest.named(_KEY_NAME, code_hash + self._place)

    def _path(self, key: bytes) -> Path:
        return self._folder / f"{key.hex()}.native"


def _processor() -> bytes:
    """What tells this processor's features from another's: folders may lie on a shared disk."""
    try:
        lines = _PROCESSOR_FEATURES.read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    named = [line for line in lines if line.startswith((b"flags", b"Features", b"model name"))]
    return digest.sha256(b"\n".join(dict.fromkeys(named)))

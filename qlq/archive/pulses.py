"""An append-only file of beacon pulses: everything that anybody needs to verify the chain.

    QLQPULSE, version 1 (one byte)
    length of the public key (4 bytes, big-endian), the key with its algorithm's byte
    for each pulse: length (4 bytes), check of the length (4 bytes), canonical bytes

A pulse counts as written once it is on the disk. A crash may leave the beginning of one more at
the end, a torn tail: it is told apart from damage by the check of the length, and the next append
replaces it.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from qlq.archive import folder
from qlq.crypto.signing import VerifyingKey
from qlq.errors import ArchiveInvalid, ConfigError, InvariantBroken, RemoteMisuse
from qlq.qrng.beacon import Pulse

MAGIC = b"QLQPULSE\x01"
FILE_BYTES_MAX = 1 << 30
_LENGTH = struct.Struct(">I")
_CHECK_BYTES = 4
_PREFIX_BYTES = _LENGTH.size + _CHECK_BYTES
_KEY_BYTES_MAX = 4096
_CHECK_NAME = b"qlq pulse length 1"


@dataclass(frozen=True, slots=True)
class PulseFile:
    """What a file holds; nothing of it is verified yet.

    Attributes:
        key: The public key that the file names.
        records: Bytes of each pulse, in the order of the file.
        sound_bytes: Length of the file without its torn tail.
        torn_bytes: Bytes of a pulse that was not written to its end; 0 as a rule.
    """

    key: VerifyingKey
    records: tuple[bytes, ...]
    sound_bytes: int
    torn_bytes: int


def read(path: Path) -> PulseFile:
    """The key and the pulses of a file.

    Raises:
        ConfigError: The file cannot be read, or is none of pulses.
        ArchiveInvalid: The key or a length in it is changed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
    if data[: len(MAGIC)] != MAGIC:
        raise ConfigError(f"{path} is no file of pulses, or of another version of it")
    key, place = _read_key(path, data)
    records: list[bytes] = []
    while place < len(data):
        end = _end_of_record(path, data, place)
        if end is None:
            break
        records.append(data[place + _PREFIX_BYTES : end])
        place = end
    return PulseFile(key, tuple(records), place, len(data) - place)


def _read_key(path: Path, data: bytes) -> tuple[VerifyingKey, int]:
    """The key, and where the first record begins."""
    start = len(MAGIC) + _LENGTH.size
    if len(data) < start:
        raise ArchiveInvalid(f"{path}: cut off within its first {start} bytes")
    (size,) = _LENGTH.unpack(data[len(MAGIC) : start])
    if size > _KEY_BYTES_MAX or len(data) < start + size:
        raise ArchiveInvalid(f"{path}: the public key is cut off or its length is changed: {size}")
    try:
        return VerifyingKey.from_bytes(data[start : start + size]), start + size
    except RemoteMisuse as error:
        raise ArchiveInvalid(f"{path}: the public key is changed: {error}") from error


def _end_of_record(path: Path, data: bytes, place: int) -> int | None:
    """Where the record ends that begins here; None for a torn tail."""
    prefix = data[place : place + _PREFIX_BYTES]
    if len(prefix) < _PREFIX_BYTES:
        return None
    (size,) = _LENGTH.unpack(prefix[: _LENGTH.size])
    if prefix != _prefix(size):
        raise ArchiveInvalid(f"{path}: the length at byte {place} is changed")
    end = place + _PREFIX_BYTES + size
    return end if end <= len(data) else None


def _prefix(size: int) -> bytes:
    length = _LENGTH.pack(size)
    return length + hashlib.sha256(_CHECK_NAME + length).digest()[:_CHECK_BYTES]


def create(path: Path, key: VerifyingKey) -> None:
    """Make a file without pulses; it appears with its key or not at all.

    Raises:
        ConfigError: There is one already, or it cannot be written.
    """
    raw = key.to_bytes()
    draft = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(MAGIC + _LENGTH.pack(len(raw)) + raw)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)  # unlike a rename, never over another file
        finally:
            draft.unlink()
        folder.sync_folder(path.parent)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists: name another file") from error
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def append(path: Path, pulse: Pulse, *, after: PulseFile) -> None:
    """Write one more pulse, durably; a torn tail goes.

    Args:
        path: A file that no other process writes to.
        pulse: Follows the last one, which the caller has checked.
        after: What the file holds now.

    Raises:
        ConfigError: It cannot be written.
        InvariantBroken: The file has grown or shrunk since it was read.
    """
    data = pulse.to_bytes()
    try:
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size != after.sound_bytes + after.torn_bytes:
                raise InvariantBroken(f"{path} has {size} bytes and was read with another length")
            file.truncate(after.sound_bytes)
            file.seek(after.sound_bytes)
            file.write(_prefix(len(data)) + data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error

"""The master key that seals a party's secrets: from a passphrase, or from a file of its own."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from qlq.crypto import kdf
from qlq.disk import private_files
from qlq.errors import ConfigError
from qlq.kme.database import FILE as STORE_FILE
from qlq.kme.database import MASTER_BYTES

KEY_FILE = "master.key"
SALT_FILE = "master.salt"
_SALT_FIELDS = {
    "v": 1,
    "kdf": "argon2id",
    "m": kdf.ARGON2_MEMORY_KIB,
    "t": kdf.ARGON2_PASSES,
    "p": kdf.ARGON2_LANES,
}


def obtain(*, passphrase: str | None, data_folder: Path, settings_folder: Path) -> bytes:
    """The 32 bytes that seal everything in the data folder; made at the first call.

    With a passphrase they are derived from it and a salt in the data folder. Without one they
    are in `master.key` of the settings folder: a copy of the data alone opens nothing.

    Raises:
        ConfigError: A file cannot be read or written, others may read the key file, or it would
            be inside the data folder.
    """
    if passphrase is not None:
        return _from_passphrase(passphrase, data_folder / SALT_FILE)
    path = settings_folder / KEY_FILE
    if path.resolve().is_relative_to(data_folder.resolve()):
        raise ConfigError(
            f"the master key {path} would be inside the data folder {data_folder}, and whoever "
            "copies the data would have it: set QLQ_PASSPHRASE, or XDG_CONFIG_HOME to another "
            "folder"
        )
    if not path.exists() and any(data_folder.rglob(STORE_FILE)):
        raise ConfigError(
            f"the master key {path} is missing, and stores below {data_folder} may be sealed with "
            "it: put it back, set QLQ_PASSPHRASE if they were made with one, or move them away"
        )
    return _from_file(path)


def _from_passphrase(passphrase: str, salt_path: Path) -> bytes:
    if not passphrase:
        raise ConfigError("QLQ_PASSPHRASE is empty: set it to the passphrase, or unset it")
    fresh = {**_SALT_FIELDS, "salt": secrets.token_hex(kdf.SALT_BYTES)}
    private_files.create_if_absent(salt_path, json.dumps(fresh).encode() + b"\n")
    try:
        found = json.loads(salt_path.read_bytes())
        salt = bytes.fromhex(found.pop("salt"))
    except OSError as error:
        raise ConfigError(f"cannot read {salt_path}: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{salt_path} is not a salt file: restore it from a copy") from error
    if found != _SALT_FIELDS or len(salt) != kdf.SALT_BYTES:
        raise ConfigError(f"{salt_path} has other parameters than this version knows")
    return kdf.argon2id(passphrase, salt=salt)


def _from_file(path: Path) -> bytes:
    private_files.create_if_absent(path, secrets.token_bytes(MASTER_BYTES))
    try:
        key = private_files.read(path, limit=MASTER_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(key) != MASTER_BYTES:
        raise ConfigError(
            f"{path} has {len(key)} bytes, a master key has {MASTER_BYTES}: put the right one back"
        )
    return key

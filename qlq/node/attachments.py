"""Data that stay outside the chain: a salted commitment on it, the data sealed beside it.

The salt lies with the data and goes with them: what is left on the chain then confirms no guess.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qlq.config import Settings
from qlq.disk import private_files
from qlq.errors import ConfigError, LedgerDamaged
from qlq.ledger import sealing
from qlq.ledger.operations import COMMITTED_BYTES_MAX, CommitData
from qlq.ledger.sealing import SALT_BYTES
from qlq.node import chains, identifiers, wallets
from qlq.node.wallets import Purse

Tell = Callable[[str], None]


def attach(path: Path, purse: Purse | None, settings: Settings, tell: Tell) -> dict[str, Any]:
    """Commit to a file's bytes on the chain and keep them sealed; the document of `ledger attach`.

    Args:
        path: The file, up to `COMMITTED_BYTES_MAX` bytes.
        purse: Whose transaction it is; None for the node's own.
        settings: Of the home.
        tell: Is told in words what happens.

    Raises:
        ConfigError: It cannot be read or is too large; or as `wallets.record`.
        InvalidTransaction: As `wallets.record`; nothing is kept then.
    """
    wallets.need_ledger(settings)
    data, salt = _read(path), os.urandom(SALT_BYTES)
    commitment = sealing.commit(data, salt)
    with chains.opened(settings) as validator:  # the data first: no commitment without them
        validator.store.put_data(commitment, salt + data)
    sent: dict[str, Any] | None = None
    try:
        sent = wallets.record(purse, CommitData(commitment, len(data)), settings, tell)
    finally:
        if sent is None:
            with chains.opened(settings) as validator:
                validator.store.purge_data(commitment)
    return {"commitment": commitment.hex(), "size": len(data), **sent}


def fetch(commitment: str, path: Path, settings: Settings) -> dict[str, Any]:
    """Write data outside the chain to a new file; the document of `ledger fetch`.

    Raises:
        ConfigError: No commitment, no such data here, or a file that is there or cannot be
            written.
        LedgerDamaged: The data are not those that were committed to.
    """
    wanted = identifiers.parse(commitment, "a commitment")
    wallets.need_ledger(settings)
    with chains.opened(settings) as validator:
        kept = validator.store.data(wanted)
    if kept is None:
        raise _absent(commitment)
    salt, data = kept[:SALT_BYTES], kept[SALT_BYTES:]
    if len(salt) != SALT_BYTES or sealing.commit(data, salt) != wanted:
        raise LedgerDamaged(f"the data of commitment {commitment} are not those committed to")
    private_files.create(path, data)
    return {"commitment": commitment, "path": str(path), "bytes": len(data)}


def purge(commitment: str, settings: Settings) -> dict[str, Any]:
    """Destroy data outside the chain; the document of `ledger purge`. The commitment stays.

    Raises:
        ConfigError: No commitment, or no such data here.
    """
    wanted = identifiers.parse(commitment, "a commitment")
    wallets.need_ledger(settings)
    with chains.opened(settings) as validator:
        if not validator.store.purge_data(wanted):
            raise _absent(commitment)
    return {"commitment": commitment, "purged": True}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(COMMITTED_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > COMMITTED_BYTES_MAX:
        raise ConfigError(f"{path} is larger than {COMMITTED_BYTES_MAX} bytes: anchor its digest")
    return data


def _absent(commitment: str) -> ConfigError:
    return ConfigError(
        f"no data of commitment {commitment} are here: they were purged, or attached elsewhere"
    )

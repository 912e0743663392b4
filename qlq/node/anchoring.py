"""Which digest of a file or an archive goes on the chain, and as what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qlq.archive import bundle, folder
from qlq.config import Settings
from qlq.errors import ConfigError
from qlq.ledger.operations import Anchor, AnchorKind
from qlq.node import wallets
from qlq.node.wallets import Purse

PEEK_BYTES_MAX = 1 << 24
"""No session or certificate is larger."""

Tell = Callable[[str], None]
_SCHEMAS = {
    folder.SCHEMA: AnchorKind.QKD_SESSION,
    bundle.KIND.schema: AnchorKind.CERTIFICATE,
}


def anchor(path: Path, purse: Purse | None, settings: Settings, tell: Tell) -> dict[str, Any]:
    """Put a digest on the chain; the document of `ledger anchor`.

    The chain shows that these bytes existed at a height, and nothing about what they say: whether
    an archive verifies is for its own check.

    Args:
        path: A file, or the folder of a QKD session or of a randomness certificate.
        purse: Whose transaction it is; None for the node's own.
        settings: Of the home.
        tell: Is told in words what happens.

    Raises:
        ConfigError: It cannot be read, or is a folder of another kind; or as `wallets.record`.
        InvalidTransaction: The digest is on the chain already; or as `wallets.record`.
    """
    file = _named(path)
    kind, found = _digest(file)
    sent = wallets.record(purse, Anchor(kind, found), settings, tell)
    word = kind.name.lower().replace("_", "-")
    return {"file": str(file), "kind": word, "digest": found.hex(), **sent}


def _named(path: Path) -> Path:
    """The file that stands for a path: of an archive, the one that names all others' digests."""
    if not path.is_dir():
        return path
    for name in (folder.MANIFEST, bundle.CERTIFICATE):
        if (path / name).is_file():
            return path / name
    raise ConfigError(
        f"{path} is a folder with neither {folder.MANIFEST} nor {bundle.CERTIFICATE}: name a file, "
        "or the archive of a session or a certificate"
    )


def _digest(file: Path) -> tuple[AnchorKind, bytes]:
    """What a file is, and its SHA-256."""
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").digest()
            opened.seek(0)
            head = opened.read(PEEK_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    return _kind(head), found


def _kind(data: bytes) -> AnchorKind:
    """What bytes are; whatever does not say what it is is a document."""
    if len(data) > PEEK_BYTES_MAX or data[:1] != b"{":
        return AnchorKind.DOCUMENT
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return AnchorKind.DOCUMENT
    return _SCHEMAS.get(str(found.get("schema")), AnchorKind.DOCUMENT)

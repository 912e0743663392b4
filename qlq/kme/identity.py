"""A party's signing key and the keys of its peers, sealed in the party's folder.

    identity.sealed        the algorithm's byte and the seed of its own key
    peer-NAME.sealed       the key that NAME is known by, fixed when it was first learnt

Both are sealed under the party's master key and bound to what they are, so that a changed,
exchanged or renamed file is found when it is read.
"""

from __future__ import annotations

import os
from pathlib import Path

from qlq.crypto import aead, kdf, signing
from qlq.crypto.signing import Algorithm, SigningKey, VerifyingKey
from qlq.disk import private_files
from qlq.errors import BadTag, ConfigError, KeyStoreDamaged, KeyStoreError, RemoteMisuse
from qlq.kme import store

IDENTITY_FILE = "identity.sealed"
FILE_BYTES_MAX = 1 << 16


class Identities:
    """One party's own key and the keys of its peers."""

    def __init__(self, folder: Path, master: bytes) -> None:
        """Nothing is read or written before it is asked for.

        Args:
            folder: The party's folder.
            master: 32 secret bytes that seal everything in it.
        """
        self._folder = folder
        self._seal_key = kdf.hkdf(master, info=b"qlq identity 1 seal", length=aead.KEY_BYTES)

    def __repr__(self) -> str:
        """The folder alone."""
        return f"Identities({str(self._folder)!r})"

    def own(self) -> SigningKey:
        """The party's own key, ML-DSA-65; made from operating-system entropy at the first call.

        Raises:
            ConfigError: The folder cannot be used.
            KeyStoreDamaged: The file was changed, or sealed with another master key.
        """
        path = self._folder / IDENTITY_FILE
        if not path.exists():
            fresh = bytes([Algorithm.ML_DSA_65.value]) + os.urandom(signing.SEED_BYTES)
            private_files.create_if_absent(path, self._sealed(fresh, b"identity"))
        content = self._unsealed(path, b"identity")
        try:
            return SigningKey(Algorithm(content[0]), content[1:])
        except (ValueError, IndexError) as error:
            raise _damaged(path) from error

    def known(self, peer: str) -> VerifyingKey | None:
        """The key that a peer is known by; None if it never was.

        Raises:
            ValueError: For a name that no peer has.
            ConfigError: The file cannot be read.
            KeyStoreDamaged: It was changed, or sealed with another master key.
        """
        path = self._peer_path(peer)
        if not path.exists():
            return None
        content = self._unsealed(path, b"peer " + peer.encode())
        try:
            return VerifyingKey.from_bytes(content)
        except RemoteMisuse as error:
            raise _damaged(path) from error

    def learn(self, peer: str, key: VerifyingKey) -> None:
        """Know a peer by this key from now on; the caller has it from a trusted exchange.

        Raises:
            ValueError: For a name that no peer has.
            KeyStoreError: The peer is known by another key.
            ConfigError: The folder cannot be used.
        """
        path = self._peer_path(peer)
        sealed = self._sealed(key.to_bytes(), b"peer " + peer.encode())
        private_files.create_if_absent(path, sealed)
        if self.known(peer) != key:
            raise KeyStoreError(
                f"{peer!r} is known by another key than the one it shows now: if it has a new "
                f"identity on purpose, remove {path}"
            )

    def _peer_path(self, peer: str) -> Path:
        store.check_peer(peer)
        if "/" in peer or peer.startswith("."):
            raise ValueError(f"a peer's name is no path: {peer!r}")
        return self._folder / f"peer-{peer}.sealed"

    def _sealed(self, content: bytes, what: bytes) -> bytes:
        return aead.seal(self._seal_key, content, nonce=os.urandom(aead.NONCE_BYTES), aad=what)

    def _unsealed(self, path: Path, what: bytes) -> bytes:
        try:
            sealed = private_files.read(path, limit=FILE_BYTES_MAX)
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        try:
            return aead.unseal(self._seal_key, sealed, aad=what)
        except BadTag as error:
            raise _damaged(path) from error


def _damaged(path: Path) -> KeyStoreDamaged:
    return KeyStoreDamaged(
        f"{path} has been changed, or was sealed with another master key: restore a copy that "
        "you trust, or move it away and introduce the parties anew"
    )

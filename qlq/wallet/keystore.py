"""The wallet's file: several accounts, their keys sealed under a passphrase.

    version byte, then canonical bytes of
        salt        for Argon2id over the passphrase, which gives the wrapping key
        wrapped     a random data key, sealed under the wrapping key
        accounts    name, address, algorithm, key in the clear; the seed sealed under the data key

Addresses can be listed without the passphrase. Everything in the clear about an account is bound to
its seal. Changing the passphrase wraps the data key anew; destroying what wraps it erases all
seeds, whatever copies of the rest there are.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from qlq import codec
from qlq.crypto import aead, kdf
from qlq.crypto.signing import Algorithm, SigningKey, VerifyingKey
from qlq.disk import private_files
from qlq.errors import BadTag, ConfigError, KeyStoreDamaged, RemoteMisuse

FILE = "wallet.qlq"
FILE_BYTES_MAX = 1 << 24
ACCOUNTS_MAX = 1000
_WRAP_NAME = b"qlq wallet 1 data key"
_SEED_NAME = b"qlq wallet 1 seed "


class Account(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """An account as the file has it. `repr` shows no seed: it is sealed.

    Attributes:
        name: For people.
        address: 32 bytes; of its first key.
        key: Its present public key, the algorithm's byte first.
        sealed: The seed of the present key.
        next_key: The key that a rotation under way brings; empty without one.
        next_sealed: Its seed.
    """

    name: str
    address: bytes
    key: bytes
    sealed: bytes
    next_key: bytes = b""
    next_sealed: bytes = b""

    @property
    def algorithm(self) -> Algorithm:
        """What the present key signs with."""
        return VerifyingKey.from_bytes(self.key).algorithm


class _Content(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The whole file."""

    salt: bytes
    wrapped: bytes
    accounts: tuple[Account, ...]


class Keystore:
    """An open file; nothing of it is in memory in the clear until `unlock`."""

    def __init__(self, folder: Path) -> None:
        """Read the file of a folder, if there is one.

        Raises:
            ConfigError: It cannot be read, or others may read it.
            KeyStoreDamaged: It is no wallet, or was cut off.
        """
        self._path = folder / FILE
        self._content: _Content | None = None
        if self._path.exists():
            self._content = self._read()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def accounts(self) -> tuple[Account, ...]:
        """All accounts, in the order in which they were made."""
        return () if self._content is None else self._content.accounts

    def find(self, name: str) -> Account:
        """An account by its name; raises ConfigError naming those that there are."""
        for account in self.accounts:
            if account.name == name:
                return account
        known = ", ".join(account.name for account in self.accounts) or "none yet"
        raise ConfigError(f"no account {name!r} in {self._path}; there are: {known}")

    def unlock(self, passphrase: str) -> Unlocked:
        """The file with its data key; made with this passphrase if there is none yet.

        One derivation by Argon2id, some tenths of a second.

        Raises:
            ConfigError: Another passphrase.
        """
        if not passphrase:
            raise ConfigError("the passphrase is empty: set QLQ_PASSPHRASE, or type one")
        if self._content is None:
            return Unlocked(self, os.urandom(aead.KEY_BYTES), passphrase)
        wrapping = kdf.argon2id(passphrase, salt=self._content.salt)
        try:
            data_key = aead.unseal(wrapping, self._content.wrapped, aad=_WRAP_NAME)
        except BadTag as error:
            raise ConfigError(
                f"the passphrase does not open {self._path}, or the file was changed: try another "
                "one, or restore a copy"
            ) from error
        return Unlocked(self, data_key, passphrase)

    def write(self, accounts: tuple[Account, ...], data_key: bytes, passphrase: str) -> None:
        """Replace the file, all at once.

        The data key is wrapped anew only where it or the passphrase is new.

        Raises:
            ConfigError: The folder cannot be written; the file is as it was.
        """
        salt, wrapped = self._wrap(data_key, passphrase)
        self._content = _Content(salt=salt, wrapped=wrapped, accounts=accounts)
        private_files.replace(self._path, codec.encode(self._content))

    def rewrap(self, data_key: bytes, passphrase: str) -> None:
        """Give the file another passphrase; the old one opens this file no more."""
        accounts, self._content = self.accounts, None
        self.write(accounts, data_key, passphrase)

    def _wrap(self, data_key: bytes, passphrase: str) -> tuple[bytes, bytes]:
        if self._content is not None:
            return self._content.salt, self._content.wrapped
        salt = os.urandom(kdf.SALT_BYTES)
        wrapping = kdf.argon2id(passphrase, salt=salt)
        nonce = os.urandom(aead.NONCE_BYTES)
        return salt, aead.seal(wrapping, data_key, nonce=nonce, aad=_WRAP_NAME)

    def _read(self) -> _Content:
        try:
            data = private_files.read(self._path, limit=FILE_BYTES_MAX)
            content: _Content = codec.decode(data, _Content)
            for account in content.accounts:
                VerifyingKey.from_bytes(account.key)
        except OSError as error:
            raise ConfigError(f"cannot read {self._path}: {error.strerror}") from error
        except RemoteMisuse as error:
            raise KeyStoreDamaged(
                f"{self._path} has been changed: restore a copy, or make the accounts again from "
                "their words (qlq wallet restore)"
            ) from error
        if len(content.salt) != kdf.SALT_BYTES:
            raise KeyStoreDamaged(f"{self._path} has a salt of {len(content.salt)} bytes")
        return content


class Unlocked:
    """A wallet whose data key is in memory; drop it soon. `repr` shows nothing.

    Python does not overwrite what it frees: that keys are in memory no longer than this object is
    best effort.
    """

    def __init__(self, keystore: Keystore, data_key: bytes, passphrase: str) -> None:
        """Hold a file and its data key."""
        self._keystore, self._data_key, self._passphrase = keystore, data_key, passphrase

    def __repr__(self) -> str:
        """The file alone."""
        return f"Unlocked({str(self._keystore.path)!r})"

    def key(self, account: Account) -> SigningKey:
        """An account's present signing key; raises KeyStoreDamaged if its row was changed."""
        return self._opened(account, account.key, account.sealed)

    def next_key(self, account: Account) -> SigningKey:
        """The key that a rotation under way brings; raises ConfigError if there is none."""
        if not account.next_key:
            raise ConfigError(f"no rotation of {account.name!r} is under way")
        return self._opened(account, account.next_key, account.next_sealed)

    def add(self, name: str, key: SigningKey, *, address: bytes) -> Account:
        """A new account, on disk when this returns.

        Raises:
            ConfigError: The name or the address is taken, or there are too many.
        """
        for account in self._keystore.accounts:
            if name == account.name or address == account.address:
                raise ConfigError(f"{self._keystore.path} has the account {account.name!r} already")
        if len(self._keystore.accounts) >= ACCOUNTS_MAX:
            raise ConfigError(f"a wallet has at most {ACCOUNTS_MAX} accounts")
        public = key.verifying_key.to_bytes()
        sealed = self._sealed(name, address, public, key.seed)
        made = Account(name=name, address=address, key=public, sealed=sealed)
        self._write((*self._keystore.accounts, made))
        return made

    def begin_rotation(self, account: Account, key: SigningKey) -> Account:
        """Keep another key beside the present one, until the chain says that it holds."""
        public = key.verifying_key.to_bytes()
        sealed = self._sealed(account.name, account.address, public, key.seed)
        return self._replace(msgspec.structs.replace(account, next_key=public, next_sealed=sealed))

    def finish_rotation(self, account: Account) -> Account:
        """Forget the old key: the chain has the new one."""
        self.next_key(account)
        return self._replace(
            msgspec.structs.replace(
                account,
                key=account.next_key,
                sealed=account.next_sealed,
                next_key=b"",
                next_sealed=b"",
            )
        )

    def change_passphrase(self, passphrase: str) -> None:
        """Wrap the data key under another passphrase; raises ConfigError for an empty one."""
        if not passphrase:
            raise ConfigError("the new passphrase is empty")
        self._keystore.rewrap(self._data_key, passphrase)
        self._passphrase = passphrase

    def _replace(self, changed: Account) -> Account:
        accounts = self._keystore.accounts
        self._write(tuple(changed if a.name == changed.name else a for a in accounts))
        return changed

    def _write(self, accounts: tuple[Account, ...]) -> None:
        self._keystore.write(accounts, self._data_key, self._passphrase)

    def _sealed(self, name: str, address: bytes, key: bytes, seed: bytes) -> bytes:
        nonce = os.urandom(aead.NONCE_BYTES)
        return aead.seal(self._data_key, seed, nonce=nonce, aad=_bound(name, address, key))

    def _opened(self, account: Account, key: bytes, sealed: bytes) -> SigningKey:
        bound = _bound(account.name, account.address, key)
        try:
            seed = aead.unseal(self._data_key, sealed, aad=bound)
            found = SigningKey(VerifyingKey.from_bytes(key).algorithm, seed)
        except (BadTag, RemoteMisuse, ValueError) as error:
            raise KeyStoreDamaged(
                f"account {account.name!r} in {self._keystore.path} has been changed: restore a "
                "copy, or make it again from its words (qlq wallet restore)"
            ) from error
        return found


def _bound(name: str, address: bytes, key: bytes) -> bytes:
    return _SEED_NAME + codec.encode((name, address, key))

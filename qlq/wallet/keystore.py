"""The wallet: several accounts in one file, their keys sealed under a passphrase.

Names, addresses and public keys are listed without the passphrase: they are then what the file
says. Whoever can write the file can change that list; the next `unlock` finds it.

A passphrase opens a random data key, and that opens the seeds. Another passphrase comes with
another data key, so that an old copy of the file with its old passphrase opens nothing that was
written later. Without what wraps the data key the rest of the file is noise, hence erasure
destroys that: the old bytes are overwritten where they lie, which flash and copying file systems
may do elsewhere. Copies made before are beyond any of this.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from qlq import codec
from qlq.crypto import aead, kdf
from qlq.crypto.signing import Algorithm, SigningKey, VerifyingKey
from qlq.disk import private_files
from qlq.errors import BadTag, ConfigError, KeyStoreDamaged
from qlq.wallet import wallet_file
from qlq.wallet.wallet_file import ACCOUNTS_MAX, FILE_BYTES_MAX, Content, Row

FILE = "wallet.qlq"
_WRAP_NAME = b"qlq wallet 1 data key"
_SEED_NAME = b"qlq wallet 1 seed "
_STAMP_NAME = b"qlq wallet 1 stamp "


@dataclass(frozen=True, slots=True)
class Account:
    """An account as a list shows it.

    Attributes:
        name: For people.
        address: 32 bytes; of its first key.
        key: Its present public key.
        next_key: The public key that a rotation under way brings; None without one.
    """

    name: str
    address: bytes
    key: VerifyingKey
    next_key: VerifyingKey | None

    @property
    def algorithm(self) -> Algorithm:
        """What the present key signs with."""
        return self.key.algorithm


@dataclass(frozen=True, slots=True)
class _DataKey:
    """What seals the seeds of one file, and how it is wrapped there."""

    material: bytes = field(repr=False)
    salt: bytes
    wrapped: bytes


class Keystore:
    """A wallet's file as it was when this was made; no secret is in memory before `unlock`."""

    def __init__(self, folder: Path) -> None:
        """Read the file of a folder, if there is one.

        Raises:
            ConfigError: It cannot be read, or others may use it.
            KeyStoreDamaged: Its bytes are not those that were written.
        """
        self._path = folder / FILE
        self._content = self._read() if self._path.exists() else None

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def accounts(self) -> tuple[Account, ...]:
        """All accounts, in the order in which they were made."""
        return () if self._content is None else tuple(map(_shown, self._content.rows))

    def find(self, name: str) -> Account:
        """An account by its name; raises ConfigError naming those that there are."""
        for account in self.accounts:
            if account.name == name:
                return account
        known = ", ".join(account.name for account in self.accounts) or "none yet"
        raise ConfigError(f"no account {name!r} in {self._path}; there are: {known}")

    def unlock(self, passphrase: str) -> Unlocked:
        """The wallet with its data key; a new one where there is no file.

        One derivation by Argon2id, some tenths of a second and 64 MiB, however many accounts.

        Raises:
            ConfigError: Another passphrase, or one that is none.
            KeyStoreDamaged: The passphrase is right, and what is in the clear has been changed.
        """
        _check_passphrase(passphrase)
        if self._content is None:
            return Unlocked(self._path, (), _fresh_key(passphrase))
        key = self._opened_key(self._content, passphrase)
        try:
            aead.unseal(key.material, self._content.stamp, aad=_stamped(self._content))
        except BadTag as error:
            raise _damaged(self._path, "its list of accounts has been changed") from error
        return Unlocked(self._path, self._content.rows, key)

    def _opened_key(self, content: Content, passphrase: str) -> _DataKey:
        wrapping = kdf.argon2id(passphrase, salt=content.salt)
        try:
            material = aead.unseal(wrapping, content.wrapped, aad=_WRAP_NAME)
        except BadTag as error:
            raise ConfigError(f"the passphrase does not open {self._path}: try another") from error
        return _DataKey(material, content.salt, content.wrapped)

    def _read(self) -> Content:
        """The file's content, of a second attempt if the first fails.

        A change puts another file in its place and overwrites the old one, maybe while it is
        being read; that a moment later the same is damaged shows that it was not so.
        """
        try:
            return self._attempt()
        except KeyStoreDamaged:
            return self._attempt()

    def _attempt(self) -> Content:
        try:
            return wallet_file.parse(private_files.read(self._path, limit=FILE_BYTES_MAX))
        except OSError as error:
            raise ConfigError(f"cannot read {self._path}: {error.strerror}") from error
        except KeyStoreDamaged as error:
            raise _damaged(self._path, str(error)) from error


class Unlocked:
    """A wallet whose data key is in memory; drop it soon. `repr` shows nothing.

    Every change is on disk when its method returns; the caller has the folder's turn from before
    the file was read until then. Python does not overwrite what it frees: that keys are in memory
    no longer than this object is best effort.
    """

    def __init__(self, path: Path, rows: tuple[Row, ...], key: _DataKey) -> None:
        """Hold what `Keystore.unlock` opened."""
        self._path, self._rows, self._key = path, rows, key

    def __repr__(self) -> str:
        """The file alone."""
        return f"Unlocked({str(self._path)!r})"

    def key(self, name: str) -> SigningKey:
        """An account's present signing key.

        Raises:
            ConfigError: No such account.
            KeyStoreDamaged: Its seal has been changed.
        """
        row = self._row(name)
        return self._opened(row, row.key, row.sealed)

    def next_key(self, name: str) -> SigningKey:
        """The key that a rotation under way brings.

        Raises:
            ConfigError: No such account, or no rotation of it.
            KeyStoreDamaged: Its seal has been changed.
        """
        row = self._row(name)
        if not row.next_key:
            raise ConfigError(f"no rotation of {name!r} is under way: qlq wallet rotate begins one")
        return self._opened(row, row.next_key, row.next_sealed)

    def add(self, name: str, key: SigningKey, *, address: bytes) -> Account:
        """A new account.

        Raises:
            ConfigError: The name, the key or the address is taken, or there are too many.
        """
        public = key.verifying_key.to_bytes()
        for row in self._rows:
            if name == row.name or address == row.address or public in {row.key, row.next_key}:
                raise ConfigError(f"{self._path} has this account already, named {row.name!r}")
        if len(self._rows) >= ACCOUNTS_MAX:
            raise ConfigError(f"{self._path} has {ACCOUNTS_MAX} accounts, and holds no more")
        sealed = _sealed(self._key.material, _bound(name, address, public), key.seed)
        made = Row(name=name, address=address, key=public, sealed=sealed)
        self._write((*self._rows, made), self._key)
        return _shown(made)

    def remove(self, name: str) -> Account:
        """Forget an account and its keys; raises ConfigError if there is none."""
        gone = self._row(name)
        self._write(tuple(row for row in self._rows if row is not gone), self._key)
        return _shown(gone)

    def begin_rotation(self, name: str, key: SigningKey) -> Account:
        """Keep another key beside the present one, until the chain says that it holds.

        Raises:
            ConfigError: No such account, a rotation of it is under way, or another account has
                the key.
        """
        row, public = self._row(name), key.verifying_key.to_bytes()
        if row.next_key:
            raise ConfigError(f"a rotation of {name!r} is under way: finish it first")
        if any(public in {one.key, one.next_key} for one in self._rows):
            raise ConfigError(f"{self._path} has this key already: make another")
        sealed = _sealed(self._key.material, _bound(name, row.address, public), key.seed)
        return self._replace(row, msgspec.structs.replace(row, next_key=public, next_sealed=sealed))

    def finish_rotation(self, name: str) -> Account:
        """Forget the old key: the chain has the new one.

        Raises:
            ConfigError: No such account, or no rotation of it.
            KeyStoreDamaged: The seal of the new key has been changed.
        """
        self.next_key(name)
        row = self._row(name)
        changed = Row(name=name, address=row.address, key=row.next_key, sealed=row.next_sealed)
        return self._replace(row, changed)

    def change_passphrase(self, passphrase: str) -> None:
        """Seal everything anew, under a data key that another passphrase opens.

        Raises:
            ConfigError: A passphrase that is none.
            KeyStoreDamaged: A seal has been changed.
        """
        _check_passphrase(passphrase)
        fresh = _fresh_key(passphrase)
        rows = tuple(self._resealed(row, fresh.material) for row in self._rows)
        self._write(rows, fresh)

    def _resealed(self, row: Row, material: bytes) -> Row:
        def again(key: bytes, sealed: bytes) -> bytes:
            bound = _bound(row.name, row.address, key)
            return _sealed(material, bound, self._opened(row, key, sealed).seed) if key else b""

        return msgspec.structs.replace(
            row,
            sealed=again(row.key, row.sealed),
            next_sealed=again(row.next_key, row.next_sealed),
        )

    def _row(self, name: str) -> Row:
        for row in self._rows:
            if row.name == name:
                return row
        raise ConfigError(f"no account {name!r} in {self._path}")

    def _replace(self, old: Row, new: Row) -> Account:
        self._write(tuple(new if row is old else row for row in self._rows), self._key)
        return _shown(new)

    def _write(self, rows: tuple[Row, ...], key: _DataKey) -> None:
        """Replace the file, all at once; raises ConfigError, and then it is as it was."""
        content = Content(salt=key.salt, wrapped=key.wrapped, rows=rows)
        stamp = _sealed(key.material, _stamped(content), b"")
        content = msgspec.structs.replace(content, stamp=stamp)
        private_files.supersede(self._path, wallet_file.compose(content))
        self._rows, self._key = rows, key

    def _opened(self, row: Row, key: bytes, sealed: bytes) -> SigningKey:
        try:
            seed = aead.unseal(self._key.material, sealed, aad=_bound(row.name, row.address, key))
        except BadTag as error:
            raise _damaged(self._path, f"the seal of {row.name!r} has been changed") from error
        return SigningKey(VerifyingKey.from_bytes(key).algorithm, seed)


def _fresh_key(passphrase: str) -> _DataKey:
    """A data key from operating-system entropy, wrapped under a passphrase."""
    salt, material = os.urandom(kdf.SALT_BYTES), os.urandom(aead.KEY_BYTES)
    wrapping = kdf.argon2id(passphrase, salt=salt)
    return _DataKey(material, salt, _sealed(wrapping, _WRAP_NAME, material))


def _sealed(key: bytes, bound: bytes, plaintext: bytes) -> bytes:
    return aead.seal(key, plaintext, nonce=os.urandom(aead.NONCE_BYTES), aad=bound)


def _bound(name: str, address: bytes, key: bytes) -> bytes:
    """What a seed is sealed together with; the key's first byte is its algorithm."""
    return _SEED_NAME + codec.encode((name, address, key))


def _stamped(content: Content) -> bytes:
    return _STAMP_NAME + content.stamped


def _shown(row: Row) -> Account:
    following = VerifyingKey.from_bytes(row.next_key) if row.next_key else None
    return Account(row.name, row.address, VerifyingKey.from_bytes(row.key), following)


def _check_passphrase(passphrase: str) -> None:
    """Refuse what Argon2id has no bytes for."""
    if not passphrase:
        raise ConfigError("the passphrase is empty: set QLQ_PASSPHRASE, or type one")
    try:
        passphrase.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("the passphrase is not UTF-8: set QLQ_PASSPHRASE to another") from error


def _damaged(path: Path, what: str) -> KeyStoreDamaged:
    return KeyStoreDamaged(
        f"{path} is damaged, {what}: restore a copy, or move it away and make the accounts again "
        "from their words (qlq wallet restore)"
    )

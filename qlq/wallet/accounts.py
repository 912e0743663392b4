"""Making, restoring and opening a home's accounts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qlq.crypto.signing import SEED_BYTES, Algorithm, SigningKey, VerifyingKey
from qlq.disk.turn import Turn
from qlq.errors import ConfigError
from qlq.ledger import address
from qlq.wallet import phrase
from qlq.wallet.keystore import Account, Keystore

FOLDER = "wallet"
TURN_S = 30.0
NAME_CHARACTERS_MAX = 32
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def folder(home: Path) -> Path:
    """Where a home's wallet is."""
    return home / FOLDER


def listed(home: Path) -> tuple[Account, ...]:
    """A home's accounts; needs no passphrase."""
    return Keystore(folder(home)).accounts


def find(home: Path, name: str) -> Account:
    """An account by its name; raises ConfigError naming those that there are."""
    return Keystore(folder(home)).find(name)


def create(home: Path, name: str, algorithm: Algorithm, passphrase: str) -> Account:
    """A new account with a key from operating-system entropy.

    Raises:
        ConfigError: A name that none can have or that is taken, another passphrase than the
            wallet's, or a folder that cannot be written.
    """
    return _add(home, name, SigningKey(algorithm, os.urandom(SEED_BYTES)), passphrase)


def restore(
    home: Path,
    name: str,
    algorithm: Algorithm,
    words: str,
    *,
    passphrase: str,
    known_as: bytes | None,
) -> Account:
    """An account again, from the words of its present key.

    Args:
        home: The home folder.
        name: For people.
        algorithm: Of the key.
        words: Of the key.
        passphrase: The wallet's.
        known_as: The account's address where its key was rotated; None takes that of the key.

    Raises:
        ConfigError: As `create`, or words that are no phrase.
    """
    key = SigningKey(algorithm, phrase.seed(words))
    return _add(home, name, key, passphrase, known_as=known_as)


def backup(home: Path, name: str, passphrase: str) -> tuple[str, ...]:
    """The 24 words of an account's present key; raises ConfigError for another passphrase."""
    keystore = Keystore(folder(home))
    account = keystore.find(name)
    return phrase.words(keystore.unlock(passphrase).key(account).seed)


@contextmanager
def unlocked(home: Path, name: str, passphrase: str) -> Iterator[SigningKey]:
    """An account's present signing key, for as long as the block lasts.

    Raises:
        ConfigError: No such account, or another passphrase.
        KeyStoreDamaged: Its row was changed.
    """
    keystore = Keystore(folder(home))
    account = keystore.find(name)
    key = keystore.unlock(passphrase).key(account)
    yield key


def begin_rotation(
    home: Path, name: str, algorithm: Algorithm, passphrase: str
) -> tuple[Account, SigningKey]:
    """A new key for an account, kept beside the present one; the same one if it has begun before.

    Raises:
        ConfigError: No such account, or another passphrase.
    """
    with _turn(home):
        keystore = Keystore(folder(home))
        account, opened = keystore.find(name), keystore.unlock(passphrase)
        if account.next_key:
            return account, opened.next_key(account)
        fresh = SigningKey(algorithm, os.urandom(SEED_BYTES))
        return opened.begin_rotation(account, fresh), fresh


def finish_rotation(home: Path, name: str, passphrase: str) -> Account:
    """Use the new key from now on; raises ConfigError if none is there."""
    with _turn(home):
        keystore = Keystore(folder(home))
        return keystore.unlock(passphrase).finish_rotation(keystore.find(name))


def change_passphrase(home: Path, old: str, new: str) -> None:
    """Another passphrase for a home's wallet; raises ConfigError for a wrong or an empty one."""
    with _turn(home):
        keystore = Keystore(folder(home))
        if not keystore.accounts:
            raise ConfigError(f"no wallet in {folder(home)}: qlq wallet new makes one")
        keystore.unlock(old).change_passphrase(new)


def key_of(account: Account) -> VerifyingKey:
    """An account's present public key."""
    return VerifyingKey.from_bytes(account.key)


def _add(
    home: Path, name: str, key: SigningKey, passphrase: str, known_as: bytes | None = None
) -> Account:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name: 1 to {NAME_CHARACTERS_MAX} of a-z, 0-9, - and _, the first a "
            "letter or a digit"
        )
    with _turn(home):
        opened = Keystore(folder(home)).unlock(passphrase)
        return opened.add(name, key, address=known_as or address.of(key.verifying_key))


@contextmanager
def _turn(home: Path) -> Iterator[None]:
    """One command at a time changes a wallet."""
    turn = Turn(folder(home))
    turn.take(timeout_s=TURN_S)
    try:
        yield
    finally:
        turn.give_back()

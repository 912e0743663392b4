"""Making, restoring, opening and forgetting a home's accounts.

One process at a time changes a wallet; whoever only reads waits for nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qlq.crypto.signing import SEED_BYTES, Algorithm, SigningKey
from qlq.disk import private_files
from qlq.disk.turn import Turn
from qlq.errors import ConfigError
from qlq.ledger import address
from qlq.wallet import phrase
from qlq.wallet.keystore import FILE, Account, Keystore, Unlocked
from qlq.wallet.wallet_file import NAME, NAME_CHARACTERS_MAX

FOLDER = "wallet"
TURN_S = 30.0
"""Longest wait for another command on the same wallet."""


def folder(home: Path) -> Path:
    """Where a home's wallet is."""
    return home / FOLDER


def listed(home: Path) -> tuple[Account, ...]:
    """A home's accounts, oldest first; needs no passphrase.

    Raises:
        ConfigError: The file cannot be read, or others may use it.
        KeyStoreDamaged: Its bytes are not those that were written.
    """
    return Keystore(folder(home)).accounts


def find(home: Path, name: str) -> Account:
    """An account by its name; raises ConfigError naming those that there are, else as `listed`."""
    return Keystore(folder(home)).find(name)


def create(home: Path, name: str, algorithm: Algorithm, passphrase: str) -> Account:
    """A new account with a key from operating-system entropy; the first one makes the wallet.

    Raises:
        ConfigError: A name that none can have or that is taken, another passphrase than the
            wallet's, or a folder that cannot be written.
        KeyStoreDamaged: The file's bytes are not those that were written.
        KeyStoreError: Another process keeps the wallet for too long.
    """
    _check_name(name)
    key = SigningKey(algorithm, os.urandom(SEED_BYTES))
    with _unlocked(home, passphrase) as wallet:
        return wallet.add(name, key, address=address.of(key.verifying_key))


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
        name: For people; need not be the one it had.
        algorithm: Of the key, which its words do not tell.
        words: Of the key, 24.
        passphrase: The wallet's.
        known_as: The account's address where its key was rotated; None takes that of the key.

    Raises:
        ConfigError: Words that are no phrase, or as `create`.
        KeyStoreDamaged, KeyStoreError: As `create`.
    """
    _check_name(name)
    key = SigningKey(algorithm, phrase.seed(words))
    account = address.of(key.verifying_key) if known_as is None else known_as
    with _unlocked(home, passphrase) as wallet:
        return wallet.add(name, key, address=account)


def backup(home: Path, name: str, passphrase: str) -> tuple[str, ...]:
    """The 24 words of an account's present key.

    While a rotation is under way they are those of the old one.

    Raises:
        ConfigError: No such account, or another passphrase.
        KeyStoreDamaged: The file's bytes are not those that were written.
    """
    with unlocked(home, name, passphrase) as key:
        return phrase.words(key.seed)


def remove(home: Path, name: str, passphrase: str) -> Account:
    """Forget an account: without its words, its key is gone for good.

    Raises:
        ConfigError: No such account, or another passphrase.
        KeyStoreDamaged, KeyStoreError: As `create`.
    """
    with _changing(home, name, passphrase) as wallet:
        return wallet.remove(name)


def erase(home: Path) -> None:
    """Forget all accounts of a home; needs no passphrase, and works on a damaged file too.

    Raises:
        ConfigError: There is no wallet, or it cannot be overwritten.
        KeyStoreError: Another process keeps the wallet for too long.
    """
    _need_wallet(home)
    with _turn(home):
        private_files.destroy(folder(home) / FILE)


@contextmanager
def unlocked(home: Path, name: str, passphrase: str) -> Iterator[SigningKey]:
    """An account's present signing key, for as long as the block lasts; best effort after it.

    Raises:
        ConfigError: No such account, or another passphrase.
        KeyStoreDamaged: The file's bytes are not those that were written.
    """
    keystore = Keystore(folder(home))
    keystore.find(name)
    yield keystore.unlock(passphrase).key(name)


def begin_rotation(
    home: Path, name: str, algorithm: Algorithm, passphrase: str
) -> tuple[Account, SigningKey]:
    """A new key for an account, kept beside the present one; the same one if it has begun before.

    The first one may be on the chain already, whatever became of the command that began.

    Raises:
        ConfigError: No such account, another passphrase, or a rotation to another algorithm is
            under way.
        KeyStoreDamaged, KeyStoreError: As `create`.
    """
    with _changing(home, name, passphrase) as wallet:
        account = find(home, name)
        if account.next_key is None:
            fresh = SigningKey(algorithm, os.urandom(SEED_BYTES))
            return wallet.begin_rotation(name, fresh), fresh
        if account.next_key.algorithm is not algorithm:
            raise ConfigError(
                f"a rotation of {name!r} to {account.next_key.algorithm.word} is under way: finish "
                "it first, with that algorithm"
            )
        return account, wallet.next_key(name)


def finish_rotation(home: Path, name: str, passphrase: str) -> Account:
    """Use the new key from now on and forget the old one: the chain has the new one.

    Raises:
        ConfigError: No such account, another passphrase, or no rotation is under way.
        KeyStoreDamaged, KeyStoreError: As `create`.
    """
    with _changing(home, name, passphrase) as wallet:
        return wallet.finish_rotation(name)


def change_passphrase(home: Path, old: str, new: str) -> None:
    """Another passphrase for a home's wallet, and with it another key that seals everything.

    Raises:
        ConfigError: There is no wallet, the old one does not open it, or the new one is empty.
        KeyStoreDamaged, KeyStoreError: As `create`.
    """
    _need_wallet(home)
    with _unlocked(home, old) as wallet:
        wallet.change_passphrase(new)


@contextmanager
def _changing(home: Path, name: str, passphrase: str) -> Iterator[Unlocked]:
    """The wallet, to change an account that it has; nothing is made or waited for without it."""
    find(home, name)
    with _unlocked(home, passphrase) as wallet:
        yield wallet


@contextmanager
def _unlocked(home: Path, passphrase: str) -> Iterator[Unlocked]:
    """The wallet as it is at this process's turn, which lasts as long as the block."""
    with _turn(home):
        yield Keystore(folder(home)).unlock(passphrase)


@contextmanager
def _turn(home: Path) -> Iterator[None]:
    turn = Turn(folder(home))
    turn.take(timeout_s=TURN_S)
    try:
        yield
    finally:
        turn.give_back()


def _need_wallet(home: Path) -> None:
    if not (folder(home) / FILE).exists():
        raise ConfigError(f"no wallet in {folder(home)}: qlq wallet new makes one")


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name: 1 to {NAME_CHARACTERS_MAX} of a-z, 0-9, - and _, the first a "
            "letter or a digit"
        )

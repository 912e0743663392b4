"""A home's ledger: how it begins, and how it is opened.

    ledger/ledger.sqlite   blocks, state, votes: see `ledger.store`
    ledger/engine.sqlite   the embedded engine's log
    ledger/identity.sealed the validator's signing key
    ledger/node.sealed     the key that envelopes and parcels are opened with, and the storage key

Destroying `node.sealed` erases everything that the ledger has at rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from qlq import codec
from qlq.config import Settings
from qlq.consensus import validators as validator_sets
from qlq.crypto import aead, kdf
from qlq.crypto.kem import SEED_BYTES, DecapsulationKey
from qlq.crypto.signing import SigningKey, VerifyingKey
from qlq.disk import private_files
from qlq.disk.turn import Turn
from qlq.errors import (
    BadTag,
    ConfigError,
    KeyStoreDamaged,
    LedgerDamaged,
    QLQError,
    RemoteMisuse,
)
from qlq.kme import master
from qlq.kme.identity import IDENTITY_FILE, Identities
from qlq.ledger import genesis, merkle, store_file, transition
from qlq.ledger.admission import Verify
from qlq.ledger.genesis import Genesis, Limits, Policy
from qlq.ledger.merkle import Frontier
from qlq.ledger.sealing import Opener
from qlq.ledger.state import State
from qlq.ledger.store import LedgerStore
from qlq.ledger.store_file import STORAGE_KEY_BYTES
from qlq.ledger.transition import Rules, Tip
from qlq.node import contract_engine
from qlq.node.contract_engine import ContractEngine
from qlq.node.engines.solo import SoloEngine
from qlq.node.link_keys import LinkKeys
from qlq.node.loop import Loop
from qlq.node.validator import Validator
from qlq.node.verification import Verifier

FOLDER = "ledger"
KEYS_FILE = "node.sealed"
KEYS_BYTES_MAX = 4096
TURN_S = 60.0
"""Longest wait for another command on the same ledger."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """What `node.sealed` seals."""

    opening_seed: bytes
    storage: bytes


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """A node's own keys. `repr` shows none of them.

    Attributes:
        signing: Signs votes, and the node's own transactions.
        opening: Opens envelopes and parcels.
        storage: Seals what rests on the disk.
    """

    signing: SigningKey = field(repr=False)
    opening: DecapsulationKey = field(repr=False)
    storage: bytes = field(repr=False)

    @property
    def address(self) -> bytes:
        """The validator's address."""
        return validator_sets.address_of(self.signing.verifying_key)

    @property
    def opener(self) -> Opener:
        """What opens envelopes and parcels."""
        return Opener(self.address, self.opening)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What an operator decides about a new chain.

    Attributes:
        name: For people.
        policy: Quotas or fees.
        limits: Bounds of blocks.
        beacon: Key of the beacon whose pulses the chain takes; None for a chain without.
        native: Native units that the validator's account has at the beginning.
    """

    name: str
    policy: Policy
    limits: Limits
    beacon: VerifyingKey | None
    native: int


def folder(settings: Settings) -> Path:
    """Where a home's ledger is."""
    return settings.home / FOLDER


def exists(settings: Settings) -> bool:
    """Whether a home has a ledger."""
    return (folder(settings) / store_file.FILE).exists()


def need_none(settings: Settings) -> None:
    """Return if a home has no ledger yet; raises ConfigError."""
    if exists(settings):
        raise ConfigError(
            f"there is a ledger in {folder(settings)} already: choose another home with --home"
        )


def has_keys(settings: Settings) -> bool:
    """Whether a home has a validator's own keys."""
    where = folder(settings)
    return (where / IDENTITY_FILE).exists() and (where / KEYS_FILE).exists()


def begin(beginning: Beginning, settings: Settings) -> Genesis:
    """Begin a chain with this node as its one validator and administrator.

    Raises:
        ConfigError: There is a ledger already, the folder cannot be written, or the genesis does
            not hold.
    """
    need_none(settings)
    keys = open_keys(settings)
    own = validator_sets.validator(
        keys.signing.verifying_key, keys.opening.encapsulation_key, weight=1
    )
    allocations = ((genesis.Allocation(own.address, beginning.native),)) if beginning.native else ()
    made = Genesis(
        name=beginning.name,
        time_ms=time.time_ns() // 1_000_000,
        validators=validator_sets.of(own),
        administrators=(own.address,),
        policy=beginning.policy,
        limits=beginning.limits,
        beacon=b"" if beginning.beacon is None else beginning.beacon.to_bytes(),
        allocations=allocations,
    )
    genesis.check(made)
    state, _ = transition.begin(made)
    store_file.create(folder(settings), made, dict(state.items()), keys.storage)
    return made


def open_keys(settings: Settings) -> NodeKeys:
    """The node's keys, made from operating-system entropy at the first call.

    Raises:
        ConfigError: A file cannot be used, the master key is another one, or a file is missing of
            a home that has a ledger.
        KeyStoreDamaged: A file was changed.
    """
    where = folder(settings)
    if exists(settings) and not has_keys(settings):
        raise ConfigError(
            f"{IDENTITY_FILE} or {KEYS_FILE} is missing in {where}, and the ledger there opens "
            "with nothing else: put a copy back"
        )
    sealing_key = master.obtain(
        passphrase=settings.passphrase,
        data_folder=settings.home,
        settings_folder=settings.settings_folder,
    )
    identities = Identities(where, sealing_key)
    try:
        kept = _open_kept(where / KEYS_FILE, sealing_key)  # first: it tells a wrong passphrase
    except BadTag as error:
        raise _not_opened(where, identities) from error
    signing = identities.own()
    return NodeKeys(signing, DecapsulationKey(kept.opening_seed), kept.storage)


def _open_kept(path: Path, sealing_key: bytes) -> _Kept:
    key = kdf.hkdf(sealing_key, info=b"qlq node keys 1 seal", length=aead.KEY_BYTES)
    if not path.exists():
        fresh = codec.encode(_Kept(os.urandom(SEED_BYTES), os.urandom(STORAGE_KEY_BYTES)))
        nonce = os.urandom(aead.NONCE_BYTES)
        private_files.create_if_absent(path, aead.seal(key, fresh, nonce=nonce, aad=b"node keys"))
    try:
        sealed = private_files.read(path, limit=KEYS_BYTES_MAX)
        return codec.decode(aead.unseal(key, sealed, aad=b"node keys"), _Kept)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except RemoteMisuse as error:
        raise KeyStoreDamaged(f"{path} holds no keys: {error}: put a copy back") from error


def _not_opened(where: Path, identities: Identities) -> QLQError:
    """Why `node.sealed` does not open: if the file beside it does, then not for its passphrase."""
    path = where / KEYS_FILE
    if (where / IDENTITY_FILE).exists():
        with suppress(KeyStoreDamaged):
            identities.own()
            return KeyStoreDamaged(f"{path} has been changed: put a copy back")
    return ConfigError(
        f"{path} was changed, or sealed with another master key: set QLQ_PASSPHRASE to the "
        "passphrase it was made with, or restore a copy"
    )


@contextmanager
def opened(settings: Settings) -> Iterator[Validator]:
    """The home's validator at its tip, for one command; one process at a time.

    Raises:
        ConfigError: There is no ledger, or it cannot be used.
        LedgerDamaged: It was changed.
        LedgerError, KeyStoreError: Another process has it.
    """
    where = folder(settings)
    if not exists(settings):
        raise ConfigError(f"no ledger in {where}: qlq ledger init begins one")
    turn = Turn(where)
    turn.take(timeout_s=TURN_S)
    try:
        keys = open_keys(settings)
        verifier = Verifier()
        engine = SoloEngine(where)
        try:
            with LedgerStore(where, keys.storage) as store:
                yield _assembled(store, engine, verifier, keys, LinkKeys(settings))
        finally:
            engine.close()
            verifier.close()
    finally:
        turn.give_back()


def _assembled(
    store: LedgerStore,
    engine: SoloEngine,
    verifier: Verifier,
    keys: NodeKeys,
    links: LinkKeys,
) -> Validator:
    """A validator at the tip of its store, with what a crash left of the next block taken up."""
    cache = store.path.parent / contract_engine.CACHE_FOLDER
    rules = rules_of(store.genesis, verifier.verify, cache=cache)
    state, tip = load(store)
    loop = Loop(store, engine, rules, state=state, tip=tip, key=keys.signing, opener=keys.opener)
    loop.recover()
    return Validator(
        loop=loop,
        store=store,
        rules=rules,
        opener=keys.opener,
        verifier=verifier,
        link_keys=links,
    )


def rules_of(genesis: Genesis, verify: Verify, *, cache: Path | None = None) -> Rules:
    """What a chain's blocks are carried out by on this node, now and in every audit.

    Args:
        genesis: Of the chain.
        verify: Verifies signatures.
        cache: Folder of contracts' native code; None compiles anew.
    """
    return Rules(genesis, genesis.chain, ContractEngine(cache), verify)


def load(store: LedgerStore) -> tuple[State, Tip]:
    """State and tip of a store, from its file; the state must have the last block's root.

    Raises:
        LedgerDamaged: It has not.
    """
    state = State(store.entries())
    height = store.height()
    if height == 0:
        begun, tip = transition.begin(store.genesis)
        wanted = begun.tree.root
    else:
        header, _ = store.header(height)
        log = Frontier()
        for found in store.hashes():
            log = log.append(merkle.leaf_hash(found))
        tip = Tip(height, header.hash, header.time_ms, log)
        wanted = header.state_root
    if state.tree.root != wanted:
        raise LedgerDamaged(
            f"{store.path}: the state is not the one after block {height}: qlq ledger repair"
        )
    return state, tip

"""Quantum-distributed keys that seal transactions: a wallet's copies and the validator's.

In a home, wallets hold Alice's copies of the keys that sessions made, the validator holds Bob's. A
key seals one transaction: the wallet's copy is used up before it seals, the validator's when an
envelope has opened with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from qlq.config import Settings
from qlq.errors import KeyNotFound
from qlq.kme import master
from qlq.kme.database import FILE as KEYS_FILE
from qlq.kme.lifecycle import State
from qlq.kme.store import KeyStore
from qlq.ledger.sealing import LINK_KEY_BITS_MIN, LinkKey
from qlq.node.parties import party_folder
from qlq.qkd.duties import Party

SENDER, VALIDATOR = Party.ALICE, Party.BOB


class LinkKeys:
    """The link keys of one home; nothing is opened before it is asked for."""

    def __init__(self, settings: Settings) -> None:
        """Name the home."""
        self._settings = settings

    def take(self) -> LinkKey | None:
        """The wallets' oldest key that the validator has too, used up here; None without one.

        Raises:
            KeyStoreError: A store is in use by another process.
            KeyStoreDamaged: A store was changed.
        """
        if not self._has_store(SENDER) or not self._has_store(VALIDATOR):
            return None
        with self._store(VALIDATOR) as other:
            ready = {row.description.key_id for row in other.list() if row.state is State.READY}
        with self._store(SENDER) as store:
            for row in store.list():
                found = row.description
                fits = found.length_bits >= LINK_KEY_BITS_MIN and found.peer == VALIDATOR.value
                if fits and row.state is State.READY and found.key_id in ready:
                    store.reserve(found.key_id)
                    material = store.deliver(found.key_id)
                    key_id = uuid.UUID(found.key_id).bytes
                    return LinkKey(key_id, found.worth.claim, material)
        return None

    @contextmanager
    def using(self, key_id: bytes) -> Iterator[LinkKey]:
        """The validator's copy of a key, used up if the block ends well.

        Raises:
            KeyStoreError: There is no such key, it is too short to seal, or its bytes are gone.
            LocalMisuse: Something else has reserved it.
        """
        name = str(uuid.UUID(bytes=key_id))
        if not self._has_store(VALIDATOR):
            raise KeyNotFound(f"no key {name}: this validator shares no keys with anybody")
        with self._store(VALIDATOR) as store:
            found = store.find(name).description
            if found.length_bits < LINK_KEY_BITS_MIN:
                detail = f"key {name} has {found.length_bits} bits, a seal takes"
                raise KeyNotFound(f"{detail} {LINK_KEY_BITS_MIN} or more: it stays as it was")
            with store.using(name) as material:
                yield LinkKey(key_id, found.worth.claim, material)

    def _has_store(self, party: Party) -> bool:
        return (party_folder(self._settings.home, party) / KEYS_FILE).exists()

    def _store(self, party: Party) -> KeyStore:
        key = master.obtain(
            passphrase=self._settings.passphrase,
            data_folder=self._settings.home,
            settings_folder=self._settings.settings_folder,
        )
        return KeyStore(party_folder(self._settings.home, party), key)

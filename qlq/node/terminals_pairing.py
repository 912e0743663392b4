"""What two parties must share before their first session, and how they come to it.

A pairing file holds an id and 4096 secret bits of operating-system entropy: eight one-time tag
keys for each direction. One party's operator makes it, carries it to the other one by a way that
nobody else can read, and both name it once; then both copies are to be deleted. Later sessions
renew the pool from their own keys.

Every pairing has a pool of its own in a party's store, filled once: the same file never fills a
pool twice. Should the two pools ever differ, a new pairing is the way out.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from qlq import codec
from qlq.crypto import digest
from qlq.disk import private_files
from qlq.disk.turn import Turn
from qlq.errors import ConfigError, KeysExhausted
from qlq.kme.pool import AuthenticationPool
from qlq.kme.store import KeyStore
from qlq.kme.tag_keys import Sender
from qlq.node.parties import TAG_KEY_BYTES, Pair, party_folder
from qlq.qkd.authentication import TAG_KEY_BITS
from qlq.qkd.duties import Party

SCHEMA = "qlq.pairing/1"
TAGS = 8
"""Tag keys of each direction in a pairing: as many sessions may die at their tags."""
ID_BYTES = 8
FILE_BYTES_MAX = 1 << 14
CURRENT_FILE = "pairing.id"
TURN_S = 2.0
"""How long a party waits for an earlier session of its own to let go of the folder."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """The content of a pairing file. `repr` shows the id alone.

    Attributes:
        pairing_id: 16 hexadecimal digits; not secret.
        to_bob: 256 secret bytes for the tags of what Alice sends.
        to_alice: The same for what Bob sends.
    """

    pairing_id: str
    to_bob: bytes = field(repr=False)
    to_alice: bytes = field(repr=False)

    @classmethod
    def from_system(cls) -> Pairing:
        """A new one, from operating-system entropy."""
        first, second = (os.urandom(TAGS * TAG_KEY_BYTES) for _ in range(2))
        return cls(secrets.token_hex(ID_BYTES), first, second)


@dataclass(frozen=True, slots=True)
class Belongings:
    """One party's store, and its pool for one pairing; both open.

    Attributes:
        party: Whose they are.
        pairing_id: Which pairing the pool belongs to.
        pair: The party alone; its peer is in another process.
        pool: The pool.
        turn: Held until `close`: one session of a party at a time.
    """

    party: Party
    pairing_id: str
    pair: Pair
    pool: AuthenticationPool
    turn: Turn

    @property
    def pool_digest(self) -> str:
        """SHA-256 (hex) of all that ever filled the pool: equal on both sides, or they differ."""
        filled = [
            [sender.value, source.source, source.length_bits]
            for sender in Sender
            for source in self.pool.sources(sender)
        ]
        return digest.sha256(codec.encode(filled)).hex()

    def require_tags(self) -> None:
        """Return if a session can be authenticated; raises KeysExhausted."""
        if any(self.pool.available_bits(sender) < TAG_KEY_BITS for sender in Sender):
            raise KeysExhausted(
                "the authentication pool of this pairing is empty: make a new pairing with "
                "qlq qkd pair FILE and name it on both sides"
            )

    def close(self) -> None:
        """Give the files back."""
        self.pair.close()
        self.turn.give_back()


def write(path: Path, pairing: Pairing) -> None:
    """Make a pairing file that its owner alone may read.

    Raises:
        ConfigError: There is such a file already, or it cannot be written.
    """
    if path.exists():
        raise ConfigError(f"{path} exists: a pairing is made once; name another file")
    content = {
        "schema": SCHEMA,
        "id": pairing.pairing_id,
        "to_bob": pairing.to_bob.hex(),
        "to_alice": pairing.to_alice.hex(),
    }
    private_files.create_if_absent(path, json.dumps(content).encode() + b"\n")


def read(path: Path) -> Pairing:
    """The pairing in a file.

    Raises:
        ConfigError: It cannot be read, is no pairing, or others may read it.
    """
    try:
        content = private_files.read(path, limit=FILE_BYTES_MAX)
    except OSError as error:
        raise ConfigError(f"cannot read the pairing {path}: {error.strerror}") from error
    try:
        return _parse(content)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path} is no pairing file: make one with qlq qkd pair FILE") from error


def _parse(content: bytes) -> Pairing:
    """The pairing in these bytes; raises ValueError, LookupError or TypeError for others."""
    found = json.loads(content)
    first, second = bytes.fromhex(found["to_bob"]), bytes.fromhex(found["to_alice"])
    sizes = (len(bytes.fromhex(found["id"])), len(first), len(second))
    if found["schema"] != SCHEMA or sizes != (ID_BYTES, *[TAGS * TAG_KEY_BYTES] * 2):
        raise ValueError("another schema or another size")
    return Pairing(found["id"], first, second)


def open_belongings(
    home: Path, party: Party, *, master: bytes, pairing: Pairing | None
) -> Belongings:
    """A party's store and the pool of its pairing, filled from a pairing that is new.

    Args:
        home: The party's own home folder.
        party: Whose.
        master: 32 secret bytes that seal everything in it.
        pairing: The pairing to use from now on; None takes the last one.

    Raises:
        ConfigError: No pairing is known, or the folder cannot be used.
        KeyStoreError: Another session of this party is running.
        KeyStoreDamaged: A file was changed.
    """
    folder = party_folder(home, party)
    turn = Turn(folder)
    turn.take(timeout_s=TURN_S)
    try:
        pairing_id = _current(folder) if pairing is None else pairing.pairing_id
        other = Party.BOB if party is Party.ALICE else Party.ALICE
        pool = AuthenticationPool(folder, master, peer=f"{other.value} {pairing_id}")
        pair = Pair({party: pool}, {party: KeyStore(folder, master)})
        if pairing is not None:
            if not any(pool.sources(sender) for sender in Sender):
                pool.bootstrap(pairing.to_bob, pairing.to_alice)
            _make_current(folder, pairing.pairing_id)
    except BaseException:
        turn.give_back()
        raise
    return Belongings(party, pairing_id, pair, pool, turn)


def _current(folder: Path) -> str:
    with suppress(OSError):
        found = private_files.read(folder / CURRENT_FILE, limit=4 * ID_BYTES)
        if len(found) == 2 * ID_BYTES and found.isalnum():
            return found.decode("ascii")
    raise ConfigError(
        "no pairing yet: make one with qlq qkd pair FILE, carry it to the other party, and name it "
        "on both sides with --pairing FILE"
    )


def _make_current(folder: Path, pairing_id: str) -> None:
    """Use this pairing from now on."""
    path = folder / CURRENT_FILE
    draft = path.with_name(f".{CURRENT_FILE}.{secrets.token_hex(4)}")
    private_files.create_if_absent(draft, pairing_id.encode())
    try:
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error

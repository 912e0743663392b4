"""The last resort for keys: both parties without a quantum device, in this process.

No backend, no shots. What is made here is marked `classical (computational)` wherever it is
shown, and it never comes after a protocol abort: an abort is an answer, not a failure.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qlq.archive import classical as archive_classical
from qlq.archive import folder
from qlq.errors import InvariantBroken
from qlq.keys import SecretKey
from qlq.node.parties import Pair
from qlq.node.sessions import Session
from qlq.provenance import Attempt, Provenance
from qlq.qkd import classical, record
from qlq.qkd.classical import Person
from qlq.qkd.conversation import Ending
from qlq.qkd.duties import Party

EPS = 1.0
"""The exchange has no information-theoretic bound: against unlimited computers nothing is
claimed, which is the epsilon 1."""

Progress = Callable[[str], None]


def exchange(
    pair: Pair,
    *,
    attempts: tuple[Attempt, ...] = (),
    archive: Path | None = None,
    progress: Progress | None = None,
) -> Session:
    """Exchange a key of 256 bits and put it into both parties' stores.

    Args:
        pair: Both parties; their signing keys are made and introduced at first use. Without
            stores nothing is kept and the key has no id.
        attempts: The backends that were tried before, for the provenance.
        archive: Folder to write, None for no archive.
        progress: Is told in words what happens.

    Raises:
        ConfigError: The archive or a party's folder cannot be written.
        KeyStoreError: A party knows the other one by another signing key.
        KeyStoreDamaged: A party's file was changed.
    """
    started = time.perf_counter()
    if archive is not None:
        folder.check_free(archive)
    if progress is not None:
        progress("no quantum backend: key exchange by X25519 and ML-KEM-768")
    people = _people(pair)
    ending = converse(people[Party.ALICE], people[Party.BOB])
    origin = archive_classical.provenance(archive_classical.versions())
    key_id = None if pair.stores is None else record.key_id(ending.transcript)
    result = archive_classical.build(origin, attempts=attempts, key_id=key_id)
    if archive is not None:
        archive_classical.write(
            archive,
            result=result,
            transcript=ending.transcript,
            alice_seed=people[Party.ALICE].seed,
        )
    keys = _secret_keys(ending, origin, key_id)
    pair.keep(keys)
    wall_s = time.perf_counter() - started
    timing = {"wall_s": wall_s, "backend_s": 0.0, "post_processing_s": wall_s}
    where = None if archive is None else str(archive)
    return Session(
        document={**result, "archive": where, "timing": timing},
        alice_key=keys[Party.ALICE],
        bob_key=keys[Party.BOB],
        ending=ending,
    )


def _people(pair: Pair) -> dict[Party, Person]:
    """Both parties with their signing keys, each knowing the other one's."""
    keys = pair.introduced()
    other = {Party.ALICE: Party.BOB, Party.BOB: Party.ALICE}
    return {
        party: Person(
            party=party,
            own=keys[party],
            peer=keys[other[party]].verifying_key,
            seed=os.urandom(classical.SEED_BYTES),
        )
        for party in Party
    }


def _secret_keys(ending: Ending, origin: Provenance, key_id: str | None) -> dict[Party, SecretKey]:
    """Each party's copy, with what it is worth."""
    held = {Party.ALICE: ending.alice_key, Party.BOB: ending.bob_key}
    return {
        party: SecretKey(
            material=np.packbits(bits).tobytes(),
            length_bits=bits.size,
            key_id=key_id,
            eps_sec=EPS,
            eps_cor=EPS,
            eps_auth=EPS,
            provenance=origin,
            worth=classical.WORTH,
        )
        for party, bits in held.items()
        if bits is not None
    }


def converse(alice: Person, bob: Person) -> Ending:
    """Both parties' exchange, through serialised messages only.

    Raises:
        AuthenticationFailed: A party does not know the other one by the key that it shows.
    """
    phases: dict[Party, classical.Phase] = {}
    wire: deque[tuple[Party, bytes]] = deque()
    for person in (bob, alice):
        phases[person.party], said = classical.start(person)
        wire.extend((person.party, classical.encode(message)) for message in said)
    while wire:
        sender, data = wire.popleft()
        receiver = Party.BOB if sender is Party.ALICE else Party.ALICE
        phases[receiver], said = classical.step(phases[receiver], classical.decode(data))
        wire.extend((receiver, classical.encode(message)) for message in said)
    keys = {party: classical.confirmed_key(phase) for party, phase in phases.items()}
    transcripts = [phase.transcript for phase in phases.values()]
    if transcripts[0] != transcripts[1]:
        raise InvariantBroken("two confirmed parties heard different messages")
    bits = {p: np.unpackbits(np.frombuffer(key, dtype=np.uint8)) for p, key in keys.items()}
    return Ending(transcripts[0], bits[Party.ALICE], bits[Party.BOB], None)

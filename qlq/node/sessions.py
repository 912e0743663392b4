"""One QKD session with both parties in this process, from a backend's shots to stored keys.

The order is: commit, transmit, post-process, confirm, archive, store. What decides anything
lives in `qkd`; this module fetches, hands over and puts away.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qlq.archive import document, folder, session
from qlq.backends import driver
from qlq.backends.port import Backend, DeviceInfo
from qlq.circuit import Plan
from qlq.crypto import digest, stream
from qlq.errors import InvariantBroken
from qlq.keys import SecretKey
from qlq.node.parties import Pair
from qlq.provenance import Attempt
from qlq.qkd import bb84, e91, link, record, worth
from qlq.qkd.authentication import TAG_KEY_BITS
from qlq.qkd.conversation import (
    Ending,
    LinkOutcomes,
    LinkUse,
    TagKeyWish,
    converse,
)
from qlq.qkd.duties import Party, TagKey
from qlq.qkd.eve import InterceptResend
from qlq.qkd.parameters import Parameters, Protocol
from qlq.qkd.settings import SEED_BYTES
from qlq.shots import Shots

TIMEOUT_S = 24 * 3600.0
"""A queue of a rented device may take a day; local simulators never come near."""

QBER_MAX_FLOOR = 0.015
QBER_MAX_CEILING = 0.045
"""Range of the tolerance that is chosen without `--qber-max`. Below 1.5 % the finite sample
decides; above 4.5 % Cascade with both directions charged leaves next to nothing."""

Progress = Callable[[str], None]
RunPlan = Callable[[Plan], Shots]
Sending = Generator[Plan, Shots, link.Delivery]
"""Turns a plan into shots, on the session's backend alone."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """Where every choice of a session comes from.

    Attributes:
        alice: 32 secret bytes.
        bob: 32 secret bytes, independent of Alice's.
        simulation: Seed of Eve's choices.
        order: Seed of the public shuffle of rows.
        backend: Seed of the simulator, None to let it seed itself.
        is_reproducible: Whether all of them follow from a number that somebody typed.
    """

    alice: bytes = field(repr=False)
    bob: bytes = field(repr=False)
    simulation: int
    order: int
    backend: int | None
    is_reproducible: bool

    @classmethod
    def from_system(cls) -> Seeds:
        """Fresh operating-system entropy for each of them."""
        return cls(
            alice=os.urandom(SEED_BYTES),
            bob=os.urandom(SEED_BYTES),
            simulation=int.from_bytes(os.urandom(8)),
            order=int.from_bytes(os.urandom(4)),
            backend=None,
            is_reproducible=False,
        )

    @classmethod
    def from_number(cls, number: int) -> Seeds:
        """All from one number, for tests and demonstrations; such keys are never stored."""
        root = digest.sha256(f"qlq session {number}".encode())
        parts = [stream.expand(root, label=name, length=32) for name in ("alice", "bob", "rest")]
        return cls(
            alice=parts[0],
            bob=parts[1],
            simulation=int.from_bytes(parts[2][:8]),
            order=int.from_bytes(parts[2][8:12]),
            backend=int.from_bytes(parts[2][12:15]),
            is_reproducible=True,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """A finished session.

    Attributes:
        document: The `qlq.qkd.run/1` document.
        alice_key: What Alice may use; None after an abort.
        bob_key: What Bob may use.
        abort: The reason without a key, None after a good end.
    """

    document: dict[str, Any]
    alice_key: SecretKey | None = field(repr=False)
    bob_key: SecretKey | None = field(repr=False)
    ending: Ending = field(repr=False)


@dataclass(slots=True)
class _Run:
    """What a session gathers while it runs."""

    shots: list[Shots] = field(default_factory=list)
    outcomes: LinkOutcomes | None = None
    tag_keys: dict[Party, TagKey] = field(default_factory=dict)
    bootstrap_bits: int = 0
    backend_s: float = 0.0
    started_s: float = field(default_factory=time.perf_counter)

    def timing(self) -> dict[str, float]:
        """Seconds since the start, and how they were shared."""
        wall_s = time.perf_counter() - self.started_s
        return {
            "wall_s": wall_s,
            "backend_s": self.backend_s,
            "post_processing_s": wall_s - self.backend_s,
        }


def default_qber_max(info: DeviceInfo, protocol: Protocol) -> float:
    """The tolerance for this device, from its calibration: half as much again and 0.5 %."""
    predicted = info.predicted_qber_bb84 if protocol is Protocol.BB84 else info.predicted_qber_e91
    wanted = 1.5 * (predicted or 0.0) + 0.005
    return round(min(QBER_MAX_CEILING, max(QBER_MAX_FLOOR, wanted)), 4)


def run(
    parameters: Parameters,
    backend: Backend,
    pair: Pair,
    *,
    seeds: Seeds,
    attack: InterceptResend | None = None,
    attack_text: str | None = None,
    archive: Path | None = None,
    progress: Progress | None = None,
    attempts: tuple[Attempt, ...] = (),
    run_plan: RunPlan | None = None,
    before_keeping: Callable[[str], None] | None = None,
) -> Session:
    """Run a session to its end; a protocol abort is a result, not an exception.

    Args:
        parameters: What both parties commit to.
        backend: Makes the shots.
        pair: Both parties' key stores and authentication pools.
        seeds: Where every choice comes from.
        attack: Eve in the link, None for an empty one.
        attack_text: The attack as the operator wrote it.
        archive: Folder to write, None for no archive.
        progress: Is told in words what happens.
        attempts: The backends that were tried before this one.
        run_plan: Runs one plan on the backend; None runs it at once and keeps no record of it.
        before_keeping: Is told the key's id before it is in any store.

    Raises:
        BackendError: No shots; nothing was stored.
        ConfigError: The archive cannot be written; found out before the first pulse.
        KeysExhausted: The authentication pool is empty.
    """
    if archive is not None:
        folder.check_free(archive)
    tell = progress or (lambda _text: None)
    gathered = _Run()
    ending = _conduct(
        parameters,
        backend,
        pair,
        seeds=seeds,
        attack=attack,
        gathered=gathered,
        tell=tell,
        run_plan=run_plan or partial(driver.run, backend, timeout_s=TIMEOUT_S),
    )
    tell("writing the result")
    return _finish(
        parameters,
        pair,
        seeds=seeds,
        gathered=gathered,
        ending=ending,
        attack_text=attack_text,
        archive=archive,
        attempts=attempts,
        before_keeping=before_keeping or (lambda _key_id: None),
    )


def _conduct(
    parameters: Parameters,
    backend: Backend,
    pair: Pair,
    *,
    seeds: Seeds,
    attack: InterceptResend | None,
    gathered: _Run,
    tell: Progress,
    run_plan: RunPlan,
) -> Ending:
    """Answer every wish of the conversation until it ends."""
    talk = converse(parameters, alice_seed=seeds.alice, bob_seed=seeds.bob)
    try:
        wish = next(talk)
        while True:
            if isinstance(wish, LinkUse):
                tell(f"{parameters.pulses} pulses on {backend.name}")
                jobs = sending(parameters, wish, seeds=seeds, attack=attack)
                delivery = _run_jobs(jobs, run_plan, seeds=seeds, gathered=gathered)
                gathered.outcomes = LinkOutcomes(delivery.alice_bits, delivery.bob_bits)
                tell("post-processing")
                wish = talk.send(gathered.outcomes)
            elif isinstance(wish, TagKeyWish):
                pair.begin()
                before = pair.bootstrap_bits_spent
                taken = pair.take_tag_key(wish.party, wish.wanted)
                gathered.bootstrap_bits += pair.bootstrap_bits_spent - before
                gathered.tag_keys[wish.wanted.sender] = taken
                wish = talk.send(taken)
    except StopIteration as stop:
        ending: Ending = stop.value
        return ending


def sending(
    parameters: Parameters,
    wish: LinkUse,
    *,
    seeds: Seeds,
    attack: InterceptResend | None,
) -> Sending:
    """The link at work: it yields plans, and takes their shots."""
    which = bb84 if parameters.protocol is Protocol.BB84 else e91
    blocks = min(parameters.blocks, parameters.pulses)
    order_rng = np.random.default_rng(seeds.order)
    if attack is None:
        return link.transmit(
            which.arrangement(),
            wish.alice_inputs,
            wish.bob_inputs,
            blocks=blocks,
            order_rng=order_rng,
        )
    return link.transmit_with_eve(
        which.arrangement(),
        wish.alice_inputs,
        wish.bob_inputs,
        blocks=blocks,
        order_rng=order_rng,
        attack=attack,
        sim_rng=np.random.default_rng(seeds.simulation),
    )


def carry(sending: Sending, run_plan: RunPlan) -> link.Delivery:
    """What the link delivers when each plan that it yields is run."""
    try:
        plan = next(sending)
        while True:
            plan = sending.send(run_plan(plan))
    except StopIteration as stop:
        delivery: link.Delivery = stop.value
        return delivery


def _run_jobs(
    sending: Sending, run_plan: RunPlan, *, seeds: Seeds, gathered: _Run
) -> link.Delivery:
    """Run each plan that the link yields; qubits chosen for the first serve all."""
    started = time.perf_counter()

    def run(plan: Plan) -> Shots:
        seed = None if seeds.backend is None else seeds.backend + len(gathered.shots)
        shots = run_plan(Plan(plan.program, plan.bindings, plan.shots, seed=seed))
        gathered.shots.append(shots)
        return shots

    delivery = carry(sending, run)
    gathered.backend_s += time.perf_counter() - started
    return delivery


def _finish(
    parameters: Parameters,
    pair: Pair,
    *,
    seeds: Seeds,
    gathered: _Run,
    ending: Ending,
    attack_text: str | None,
    archive: Path | None,
    attempts: tuple[Attempt, ...],
    before_keeping: Callable[[str], None],
) -> Session:
    """Build the document, write the archive, then store the keys."""
    found = record.read(parameters, ending.transcript)
    eps_earlier = pair.eps_earlier
    tags = 0 if ending.abort else pair.top_up_tags(parameters.secret_bits)
    outcome = document.Outcome(
        provenances=tuple(shots.provenance for shots in gathered.shots),
        order_seed=seeds.order,
        eps_earlier=eps_earlier,
        bootstrap_bits=gathered.bootstrap_bits,
        reserved_bits=2 * tags * TAG_KEY_BITS,
        key_id=None if ending.abort or not pair.stores else key_id(ending),
        reproducible=seeds.is_reproducible,
        abort=None if ending.abort is None else document.abort(ending.abort),
        eve=attack_text,
        attempts=[document.attempt(attempt) for attempt in attempts],
    )
    result = document.build(parameters, found, outcome)
    if archive is not None:
        session.write(
            archive,
            parameters=parameters,
            result=result,
            outcome=outcome,
            transcript=ending.transcript,
            found=found,
            secrets=None if ending.abort else _secrets(seeds, gathered),
        )
    keys = {}
    if ending.abort is None:
        if outcome.key_id is not None:
            before_keeping(outcome.key_id)
        keys = _put_away(parameters, pair, ending, outcome, result, tags=tags)
    return Session(
        document={
            **result,
            "archive": None if archive is None else str(archive),
            "timing": gathered.timing(),
        },
        alice_key=keys.get(Party.ALICE),
        bob_key=keys.get(Party.BOB),
        ending=ending,
    )


def key_id(ending: Ending) -> str:
    """The id that both parties give the key: a UUID made from their common transcript."""
    return record.key_id(ending.transcript)


def _put_away(
    parameters: Parameters,
    pair: Pair,
    ending: Ending,
    outcome: document.Outcome,
    result: dict[str, Any],
    *,
    tags: int,
) -> dict[Party, SecretKey]:
    """Fill the pools from the front of the new key and store the rest, for each party."""
    front = 2 * tags * TAG_KEY_BITS
    kept = {Party.ALICE: ending.alice_key, Party.BOB: ending.bob_key}
    if any(bits is None for bits in kept.values()):
        raise InvariantBroken("a good end without both keys")
    eps = result["finite_key"]
    source = outcome.key_id or "reproducible"
    keys = {
        party: SecretKey(
            material=np.packbits(bits[front:]).tobytes(),
            length_bits=bits.size - front,
            key_id=outcome.key_id,
            eps_sec=eps["eps_sec"],
            eps_cor=eps["eps_cor"],
            eps_auth=eps["eps_auth"] + eps["eps_earlier"],
            provenance=outcome.provenances[0],
            worth=worth.value(parameters, outcome.provenances, reproducible=outcome.reproducible),
        )
        for party, bits in kept.items()
        if bits is not None
    }
    if pair.stores is not None and ending.alice_key is not None:
        material = np.packbits(ending.alice_key[:front]).tobytes()
        pair.keep(keys)
        # the pool adds up the earlier keys itself, so each key brings its own share only
        own = eps["eps_sec"] + eps["eps_cor"] + eps["eps_auth"]
        pair.top_up(material, tags=tags, eps=own, source=source)
    return keys


def _secrets(seeds: Seeds, gathered: _Run) -> session.Secrets:
    """What an archive needs to run both parties again."""
    if gathered.outcomes is None:
        raise InvariantBroken("a good end without outcomes")
    return session.Secrets(
        alice_seed=seeds.alice,
        bob_seed=seeds.bob,
        alice_bits=gathered.outcomes.alice_bits,
        bob_bits=gathered.outcomes.bob_bits,
        tag_keys=gathered.tag_keys,
    )

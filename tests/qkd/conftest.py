"""A link that obeys the Born rule exactly, and two parties with an attacker on their wire."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from qlq.circuit import Plan
from qlq.errors import PeerError, ProtocolAbort
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.qkd import alice, bb84, bob, e91, link, messages
from qlq.qkd.conversation import Ending, LinkOutcomes, LinkUse, converse
from qlq.qkd.duties import KeepKey, Measured, Party, TagKey, TakeTagKey, UseLink
from qlq.qkd.eve import InterceptResend
from qlq.qkd.parameters import Parameters, Protocol
from qlq.shots import Shots

PROVENANCE = Provenance(
    tier=Tier.SIMULATOR,
    claim=Claim.SIMULATION,
    backend="born",
    provider="numpy",
    device="born",
    kind=Kind.IDEAL,
    job_id="1",
    program_digest="",
    sdk={},
)
Tamper = Callable[[int, Party, bytes], list[bytes]]
"""Number of the message, who sent it, its bytes -> what arrives instead."""


def tag_key(sender: Party, offset_bits: int) -> bytes:
    """A stand-in for the pool: one key for each direction and offset."""
    return hashlib.sha256(f"{sender} {offset_bits}".encode()).digest()


@dataclass
class Pair:
    """Alice, Bob and the wire between them; whoever raises is dead, as its node would have it."""

    phases: dict
    tamper: Tamper
    keys: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)
    sent: list = field(default_factory=list)
    heard: dict = field(default_factory=lambda: {party: [] for party in Party})
    duties: deque = field(default_factory=deque)
    wire: deque = field(default_factory=deque)
    inputs: dict = field(default_factory=dict)

    def post(self, sender: Party, said: list) -> None:
        """Put messages on the wire; the attacker decides what arrives."""
        for message in said:
            data = messages.encode(message)
            self.sent.append((sender, data))
            receiver = Party.BOB if sender is Party.ALICE else Party.ALICE
            arriving = self.tamper(len(self.sent) - 1, sender, data)
            self.wire.extend((receiver, one) for one in arriving)

    def tell(self, party: Party, event: object) -> None:
        """One step of one party."""
        if party in self.errors:
            return
        try:
            event = messages.decode(event) if isinstance(event, bytes) else event
            self.heard[party].append(event)
            step = alice.step if party is Party.ALICE else bob.step
            self.phases[party], said, duties = step(self.phases[party], event)
        except (ProtocolAbort, PeerError) as error:
            self.errors[party] = error
            if isinstance(error, ProtocolAbort):
                self.post(party, [messages.Abort(error.reason)])
            return
        self.duties.extend((party, duty) for duty in duties)
        self.post(party, said)

    def do(self, party: Party, duty: object) -> None:
        """One duty of one party; the link waits for both."""
        match duty:
            case KeepKey(bits):
                self.keys[party] = bits
            case TakeTagKey(sender, offset):
                self.tell(party, TagKey(offset or 0, tag_key(sender, offset or 0)))
            case UseLink(chosen):
                self.inputs[party] = chosen


class Lab:
    """Sessions over an exact link; nothing of the code under test is replaced."""

    provenance = PROVENANCE

    @staticmethod
    def seed(number: int, who: str) -> bytes:
        return hashlib.sha256(f"{number} {who}".encode()).digest()

    @staticmethod
    def shots(plan: Plan, rng: np.random.Generator, flip: float = 0.0) -> Shots:
        """Born rule by hand; `flip` is the probability that Bob's outcome turns over."""
        size = (len(plan.bindings), plan.shots)
        turned = rng.random(size) < flip
        if plan.program.name == "bb84":
            value, prepared, measured = plan.bindings.T
            is_other = rng.random(size) < (np.sin((prepared - measured) / 2) ** 2)[:, None]
            bits = ((value > 1)[:, None] ^ is_other ^ turned)[:, :, None]
        else:
            first, second = plan.bindings.T
            own = rng.random(size) < 0.5
            is_other = rng.random(size) < (np.sin((first - second) / 2) ** 2)[:, None]
            bits = np.stack([own, own ^ is_other ^ turned], axis=-1)
        return Shots(bits.astype(np.uint8), PROVENANCE)

    def outcomes(
        self,
        parameters: Parameters,
        use: LinkUse,
        *,
        seed: int,
        flip: float = 0.0,
        attack: InterceptResend | None = None,
    ) -> link.Delivery:
        rng = np.random.default_rng(seed)
        protocol = bb84 if parameters.protocol is Protocol.BB84 else e91
        common = {"blocks": parameters.blocks, "order_rng": np.random.default_rng(seed + 1)}
        inputs = (protocol.arrangement(), use.alice_inputs, use.bob_inputs)
        jobs = (
            link.transmit(*inputs, **common)
            if attack is None
            else link.transmit_with_eve(*inputs, **common, attack=attack, sim_rng=rng)
        )
        try:
            plan = next(jobs)
            while True:
                plan = jobs.send(self.shots(plan, rng, flip))
        except StopIteration as stop:
            return stop.value

    def converse(self, parameters: Parameters, *, seed: int = 1, **link_settings) -> Ending:
        """A whole session through `conversation.converse`."""
        talk = converse(
            parameters, alice_seed=self.seed(seed, "alice"), bob_seed=self.seed(seed, "bob")
        )
        try:
            wish = next(talk)
            while True:
                if isinstance(wish, LinkUse):
                    got = self.outcomes(parameters, wish, seed=seed, **link_settings)
                    wish = talk.send(LinkOutcomes(got.alice_bits, got.bob_bits))
                else:
                    offset = wish.wanted.offset_bits or 0
                    wish = talk.send(TagKey(offset, tag_key(wish.wanted.sender, offset)))
        except StopIteration as stop:
            return stop.value

    def talk(
        self,
        parameters: Parameters,
        *,
        seed: int = 1,
        tamper: Tamper | None = None,
        flip: float = 0.0,
    ) -> Pair:
        """A whole session by a driver of our own, with the wire in an attacker's hands."""
        pair = Pair({}, tamper or (lambda _number, _sender, data: [data]))
        pair.phases[Party.BOB] = bob.start(parameters, seed=self.seed(seed, "bob"))[0]
        phase, said, _ = alice.start(parameters, seed=self.seed(seed, "alice"))
        pair.phases[Party.ALICE] = phase
        pair.post(Party.ALICE, said)
        while pair.wire or pair.duties:
            if pair.wire:
                pair.tell(*pair.wire.popleft())
                continue
            pair.do(*pair.duties.popleft())
            if len(pair.inputs) == len(Party):
                use = LinkUse(pair.inputs[Party.ALICE], pair.inputs[Party.BOB])
                got = self.outcomes(parameters, use, seed=seed, flip=flip)
                pair.inputs = {}
                pair.tell(Party.ALICE, Measured(got.alice_bits))
                pair.tell(Party.BOB, Measured(got.bob_bits))
        return pair


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()

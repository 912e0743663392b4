"""Seeded runs of one height: liars, a lying engine, lost and repeated messages, crashes, recovery.

Everything of a run follows from its seed: `run(seed, ...)` replays it. The validators are those of
`qlq.consensus` as they are and sign with Ed25519, the fastest of the algorithms; a signature that
one of them has verified is not computed again for the others. What the liars can do is everything
that their keys allow: they hear all, vote for every block in every epoch, put certificates
together, keep them for later and show them to whom they like, and state whatever they want.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from qlq.consensus import certificate as certificates
from qlq.consensus import epochs, finality, validators, votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.epochs import SignedStatement, Statement
from qlq.consensus.phases import (
    Candidate,
    CertificateHeard,
    Decided,
    EpochOpened,
    Event,
    Final,
    LeaveAsked,
    Message,
    Open,
    Persist,
    Phase,
    Record,
    Seat,
    Send,
    VoteHeard,
)
from qlq.consensus.validators import Validators
from qlq.consensus.votes import Round, SignedVote, Vote
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey, VerifyingKey
from qlq.errors import InvalidCertificate, InvalidVote, LocalMisuse

CHAIN = b"\xcc" * 32
HEIGHT = 7
FORKS = tuple(bytes([letter]) * 32 for letter in b"ABC")
DROPPED, REPEATED, CRASHED = 0.1, 0.1, 0.03
SPLITS = (0.1, 0.5, 0.8, 0.95)
"""So often, by run, a lying engine loses what speaks against the fork that it shows."""
LYING_EPOCHS_MAX = 4


def committee(count: int) -> tuple[Validators, list[SigningKey]]:
    """So many validators, and their keys in the order of their addresses."""
    sealing = DecapsulationKey(bytes(32)).encapsulation_key
    keys = [SigningKey(Algorithm.ED25519, bytes([index]) * 32) for index in range(count)]
    keys.sort(key=lambda key: validators.address_of(key.verifying_key))
    made = [validators.validator(key.verifying_key, sealing, weight=1) for key in keys]
    found = validators.of(*made)
    vars(found)["_keys"] = tuple(
        Remembering(key.verifying_key.algorithm, key.verifying_key.data) for key in keys
    )
    return found, keys


class Remembering(VerifyingKey):
    """A key that verifies each signature once: in a run, six validators verify the same ones."""

    verified: ClassVar[set[tuple[bytes, bytes, bytes, bytes]]] = set()

    def verify(self, message: bytes, signature: bytes, *, context: bytes) -> None:
        asked = (self.data, message, signature, context)
        if asked not in self.verified:
            super().verify(message, signature, context=context)
            self.verified.add(asked)


COMMITTEES = {count: committee(count) for count in (1, 4, 7)}


@dataclass
class Node:
    """An honest validator: a phase that a crash loses, and a disk that keeps its records.

    `forgets`: its disk keeps nothing either, which is what the rules forbid.
    """

    seat: Seat
    world: World
    forgets: bool
    disk: list[Record] = field(default_factory=list)
    phase: Phase | None = None

    def start(self) -> None:
        records = [] if self.forgets else self.disk
        self.phase, effects = finality.resume(self.seat, records)
        self.carry_out(effects)

    def handle(self, event: Event) -> None:
        """One step; a crash may come between any two of its effects, or after the last."""
        if self.phase is None:
            return
        try:
            after, effects = finality.step(self.phase, event)
        except (InvalidVote, InvalidCertificate, LocalMisuse) as error:
            self.world.refused[type(error).__name__] += 1
            return
        rng = self.world.rng
        if self.world.engine_lies and rng.random() < CRASHED:
            self.carry_out(effects[: rng.randint(0, len(effects))])
            self.phase = None
            self.world.crashes += 1
        else:
            self.phase = after
            self.carry_out(effects)

    def carry_out(self, effects: list) -> None:
        for effect in effects:
            match effect:
                case Persist(record):
                    self.disk.append(record)
                case Send(message):
                    self.world.broadcast(message)
                case Final(certificate):
                    self.disk.append(certificate)
                    self.world.finals.append(certificate)
                    self.world.broadcast(certificate)


class World:
    """The validators, what is under way between them, and who lies."""

    def __init__(self, seed: int, *, count: int, liars: int, forgetful: int = 0) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - a simulation is replayed from its seed
        self.validators, keys = COMMITTEES[count]
        shuffled = self.rng.sample(keys, count)
        self.liars = shuffled[:liars]
        self.nodes = [
            Node(Seat(CHAIN, HEIGHT, self.validators, key), self, index < forgetful)
            for index, key in enumerate(shuffled[liars:])
        ]
        self.epoch = 0
        self.engine_lies = self.rng.random() < 0.8
        self.split = self.rng.choice(SPLITS)
        self.shown = {id(node): self.rng.choice(FORKS) for node in self.nodes}
        self.mail: list[tuple[Node, Event]] = []
        self.heard: dict[Vote, dict[bytes, SignedVote]] = defaultdict(dict)
        self.statements: dict[int, dict[bytes, SignedStatement]] = defaultdict(dict)
        self.forged: dict[tuple[bytes, Vote], SignedVote] = {}
        self.finals: list[QuorumCertificate] = []
        self.refused: Counter[str] = Counter()
        self.crashes = self.recoveries = 0
        for node in self.nodes:
            node.start()

    def broadcast(self, message: Message) -> None:
        """An honest validator's words, for everybody; the liars hear them at once."""
        match message:
            case SignedVote(vote, signer):
                self.heard[vote][signer] = message
                self.post(VoteHeard(message))
            case SignedStatement(statement, signer):
                self.statements[statement.epoch][signer] = message
            case QuorumCertificate():
                self.post(CertificateHeard(message))

    def post(self, event: Event, to: list[Node] | None = None) -> None:
        self.mail += [(node, event) for node in (self.nodes if to is None else to)]

    def some(self) -> list[Node]:
        return self.rng.sample(self.nodes, self.rng.randint(1, len(self.nodes)))

    def deliver(self) -> None:
        """Any of the messages under way, not the oldest: lost, now, or now and once more."""
        if not self.mail:
            return
        index = self.rng.randrange(len(self.mail))
        (node, event), lies = self.mail[index], self.engine_lies
        if not (lies and self.rng.random() < REPEATED):
            self.mail[index] = self.mail[-1]
            self.mail.pop()
        if lies and self.rng.random() < (self.split if self.is_news(node, event) else DROPPED):
            return
        node.handle(event)

    def is_news(self, node: Node, event: Event) -> bool:
        """Whether it tells of another fork than the one that the engine shows to this node."""
        match event:
            case VoteHeard(signed):
                return signed.vote.block != self.shown[id(node)]
            case CertificateHeard(certificate):
                return certificate.block != self.shown[id(node)]
            case _:
                return False

    def offer(self, node: Node) -> None:
        """A candidate as the engine shows it: its first one, or, if it lies, this node's own."""
        block = self.shown[id(node)] if self.engine_lies else FORKS[0]
        bound = node.phase.bound if isinstance(node.phase, Open) else None
        if bound and not (self.engine_lies and self.rng.random() < 0.5):
            block = bound
        node.handle(Candidate(block))

    # What liars do.

    def lie(self) -> None:
        vote = self.any_vote()
        cast = {one.signer: one for one in (self.forge(key, vote) for key in self.liars)}
        if self.rng.random() < 0.5:
            for signed in cast.values():
                self.post(VoteHeard(signed), self.some())
        elif certificate := self.certify(vote, cast):
            self.post(CertificateHeard(certificate), self.some())

    def spring(self) -> None:
        """Show, after the others have stated what they saw, a lock that was kept from them."""
        votes_cast = [one for one in self.heard if one.round is Round.PREPARE]
        for _ in range(2 if votes_cast else 0):
            vote = self.rng.choice(votes_cast)
            lies = {one.signer: one for one in (self.forge(key, vote) for key in self.liars)}
            if certificate := self.certify(vote, lies):
                for node in self.some():
                    node.handle(CertificateHeard(certificate))

    def any_vote(self) -> Vote:
        """One that an honest validator has cast, or one of the liars' own."""
        if self.heard and self.rng.random() < 0.8:
            return self.rng.choice(list(self.heard))
        return Vote(
            chain=CHAIN,
            height=HEIGHT,
            epoch=self.rng.randint(0, self.epoch + 1),
            round=self.rng.choice(list(Round)),
            block=self.rng.choice(FORKS),
            validators_hash=self.validators.hash,
        )

    def forge(self, key: SigningKey, vote: Vote) -> SignedVote:
        made = self.forged.get((key.seed, vote))
        if made is None:
            signer = validators.address_of(key.verifying_key)
            made = self.forged[key.seed, vote] = votes.sign(vote, key, signer=signer)
        return made

    def certify(self, vote: Vote, lies: dict[bytes, SignedVote]) -> QuorumCertificate | None:
        """What honest votes and lies together certify, if they are enough."""
        cast = list({**self.heard.get(vote, {}), **lies}.values())
        if len(cast) < self.validators.quorum:
            return None
        return certificates.make(cast, validators=self.validators)

    def state_lies(self, epoch: int) -> None:
        """A statement of each liar: that it is not locked, or some lock that it can show."""
        for key in self.liars:
            vote = self.any_vote()
            lies = {one.signer: one for one in (self.forge(other, vote) for other in self.liars)}
            is_lock = vote.round is Round.PREPARE and vote.epoch < epoch
            lock = self.certify(vote, lies) if is_lock and self.rng.random() < 0.5 else None
            said = Statement(
                chain=CHAIN,
                height=HEIGHT,
                epoch=epoch,
                validators_hash=self.validators.hash,
                commit=None,
                lock=lock,
            )
            signer = validators.address_of(key.verifying_key)
            signed = epochs.sign(said, key, signer=signer)
            self.statements[epoch][signed.signer] = signed

    # The course of a run.

    def muddle(self) -> None:
        """A while in which anything may happen, in any order; liars may keep still."""
        patience = self.rng.choice((0.82, 0.95, 1.0))
        for node in self.nodes:
            self.shown[id(node)] = self.rng.choice(FORKS)
        for _ in range(len(self.validators) * self.rng.randint(2, 14)):
            chance = self.rng.random()
            node = self.rng.choice(self.nodes)
            if node.phase is None and self.rng.random() < 0.3:
                self.shown[id(node)] = self.rng.choice(FORKS)
                node.start()
            elif chance > patience:
                self.lie()
            elif chance < 0.22:
                self.offer(node)
            else:
                self.deliver()

    def calm(self) -> None:
        """The engine is honest: all are up, see one candidate, and hear everything."""
        for node in self.nodes:
            if node.phase is None:
                node.start()
            self.offer(node)
        for _ in self.liars:
            self.lie()
        while self.mail:
            self.deliver()

    def recover(self) -> None:
        """The operators open a later epoch; the liars choose which statements are its proof."""
        self.recoveries += 1
        self.epoch += self.rng.randint(1, 2)
        for node in self.nodes:
            if self.engine_lies and self.rng.random() < 0.1:
                continue
            node.handle(LeaveAsked(self.epoch))
        self.state_lies(self.epoch)
        if self.engine_lies:
            self.spring()
        groups = [[node] for node in self.nodes] if self.engine_lies else [self.nodes]
        for group in groups:
            if opening := self.opening():
                self.post(EpochOpened(opening), group)
        while self.mail and not self.engine_lies:
            self.deliver()

    def opening(self) -> tuple[SignedStatement, ...]:
        """Any n - f or more of the statements, or just those that hide the latest locks."""
        stated = list(self.statements[self.epoch].values())
        quorum = self.validators.quorum
        if len(stated) < quorum:
            return ()
        self.rng.shuffle(stated)
        size = self.rng.randint(quorum, len(stated))
        if self.rng.random() < 0.5:
            size = quorum
            stated.sort(key=lambda one: one.statement.lock.epoch if one.statement.lock else -1)
        return tuple(sorted(stated[:size], key=lambda one: one.signer))

    def is_over(self) -> bool:
        return all(isinstance(node.phase, Decided) for node in self.nodes)

    def certifiable(self) -> dict[tuple[Round, int], set[bytes]]:
        """Blocks of which certificates exist, or could be made of what was said.

        By round and epoch for prepare certificates; commit certificates all under epoch 0.
        """
        found: dict[tuple[Round, int], set[bytes]] = defaultdict(set)
        found[Round.COMMIT, 0] = {certificate.block for certificate in self.finals}
        for vote, cast in self.heard.items():
            if len(cast) + len(self.liars) >= self.validators.quorum:
                epoch = vote.epoch if vote.round is Round.PREPARE else 0
                found[vote.round, epoch].add(vote.block)
        return found

    def conflicts(self) -> list[tuple[Round, int]]:
        """Where two certificates exclude each other."""
        return [place for place, blocks in self.certifiable().items() if len(blocks) > 1]


def run(seed: int, *, count: int, liars: int, forgetful: int = 0) -> World:
    """One run from its seed: up to four lying epochs, then an honest engine and a recovery."""
    Remembering.verified.clear()
    world = World(seed, count=count, liars=liars, forgetful=forgetful)
    if world.engine_lies:
        world.muddle()
        for _ in range(world.rng.randint(0, LYING_EPOCHS_MAX - 1)):
            world.recover()
            world.muddle()
        world.engine_lies = False
    world.calm()
    if not world.is_over():
        world.recover()
        world.calm()
    return world


def summary(world: World) -> tuple:
    """What two runs of one seed must have in common."""
    return (
        world.recoveries,
        world.crashes,
        dict(world.refused),
        [certificate.to_bytes() for certificate in world.finals],
        [[record.to_bytes() for record in node.disk] for node in world.nodes],
    )


def run_all(seeds: range, *, count: int, liars: int) -> None:
    """Many runs with as many liars as may be: no two final blocks, and something happens."""
    final = recovered = crashed = 0
    for seed in seeds:
        world = run(seed, count=count, liars=liars)
        replay = f"replay with run({seed}, count={count}, liars={liars})"
        assert not world.conflicts(), replay
        final += world.is_over()
        recovered += world.recoveries > 0
        crashed += world.crashes > 0
    assert final >= 0.8 * len(seeds)
    assert recovered >= 0.2 * len(seeds)
    assert crashed >= 0.2 * len(seeds)


@pytest.mark.parametrize(("count", "liars", "runs"), [(4, 1, 1200), (7, 2, 400)])
def test_no_height_gets_two_blocks(count: int, liars: int, runs: int) -> None:
    run_all(range(runs), count=count, liars=liars)


@pytest.mark.long
@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize(("count", "liars", "runs"), [(4, 1, 4000), (7, 2, 2000)])
def test_no_height_gets_two_blocks_in_many_more_runs(
    count: int, liars: int, runs: int, part: int
) -> None:
    first = 1_000_000 + part * runs
    run_all(range(first, first + runs), count=count, liars=liars)


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_replays_its_run(seed: int) -> None:
    assert summary(run(seed, count=4, liars=1)) == summary(run(seed, count=4, liars=1))


def test_honest_validators_under_an_honest_engine_need_no_recovery() -> None:
    worlds = [run(seed, count=4, liars=0) for seed in range(100)]
    easy = [world for world in worlds if not world.crashes and not world.recoveries]
    assert easy
    for world in worlds:
        assert world.is_over()
        assert not world.refused


def test_a_validator_alone_decides_whatever_happens_to_it() -> None:
    worlds = [run(seed, count=1, liars=0) for seed in range(200)]
    assert any(world.crashes for world in worlds)
    for seed, world in enumerate(worlds):
        assert world.is_over(), f"replay with run({seed}, count=1, liars=0)"
        assert not world.conflicts(), f"replay with run({seed}, count=1, liars=0)"


# What follows must fail, or the tests above show nothing.


def test_one_liar_too_many_makes_two_final_blocks() -> None:
    places = [place for seed in range(300) for place in run(seed, count=4, liars=2).conflicts()]
    assert sum(stage is Round.COMMIT for stage, _ in places) >= 10


def test_a_disk_that_forgets_makes_certificates_that_exclude_each_other() -> None:
    found = [run(seed, count=4, liars=1, forgetful=2).conflicts() for seed in range(300)]
    assert sum(bool(places) for places in found) >= 3

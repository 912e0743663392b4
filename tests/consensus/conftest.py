"""A set of validators whose keys the tests hold, and what they sign."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest

from qlq.consensus import certificate as certificates
from qlq.consensus import epochs, validators, votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.epochs import SignedStatement, Statement
from qlq.consensus.phases import Seat
from qlq.consensus.validators import Validators
from qlq.consensus.votes import Round, SignedVote, Vote
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey

CHAIN = b"\xcc" * 32
A, B = b"\xaa" * 32, b"\xbb" * 32


@dataclass(frozen=True)
class Assembly:
    """Validators and their keys, in the order of their addresses; of one chain and height."""

    validators: Validators
    keys: tuple[SigningKey, ...]
    chain: bytes = CHAIN
    height: int = 7

    def at(self, **changes: object) -> Assembly:
        """The same ones elsewhere."""
        return replace(self, **changes)

    def seat(self, index: int = 0) -> Seat:
        return Seat(self.chain, self.height, self.validators, self.keys[index])

    def address(self, index: int) -> bytes:
        return self.validators.members[index].address

    def vote(self, block: bytes = A, stage: Round = Round.PREPARE, epoch: int = 0) -> Vote:
        return Vote(
            chain=self.chain,
            height=self.height,
            epoch=epoch,
            round=stage,
            block=block,
            validators_hash=self.validators.hash,
        )

    def cast(
        self, index: int, block: bytes = A, stage: Round = Round.PREPARE, epoch: int = 0
    ) -> SignedVote:
        vote = self.vote(block, stage, epoch)
        return votes.sign(vote, self.keys[index], signer=self.address(index))

    def certificate(
        self,
        block: bytes = A,
        stage: Round = Round.PREPARE,
        epoch: int = 0,
        by: Iterable[int] = (0, 1, 2),
    ) -> QuorumCertificate:
        cast = [self.cast(index, block, stage, epoch) for index in by]
        return certificates.make(cast, validators=self.validators)

    def state(
        self,
        index: int,
        epoch: int = 1,
        lock: QuorumCertificate | None = None,
        commit: QuorumCertificate | None = None,
    ) -> SignedStatement:
        said = Statement(
            chain=self.chain,
            height=self.height,
            epoch=epoch,
            validators_hash=self.validators.hash,
            commit=commit,
            lock=lock,
        )
        return epochs.sign(said, self.keys[index], signer=self.address(index))


def assemble(count: int, algorithm: Algorithm = Algorithm.ED25519) -> Assembly:
    """So many validators; the same ones every time."""
    keys = [SigningKey(algorithm, bytes([7, index]) + bytes(30)) for index in range(count)]
    sealing = DecapsulationKey(bytes(32)).encapsulation_key
    members = {
        key: validators.validator(key.verifying_key, sealing, weight=index + 1)
        for index, key in enumerate(keys)
    }
    keys.sort(key=lambda key: members[key].address)
    return Assembly(validators.of(*members.values()), tuple(keys))


@pytest.fixture(scope="session")
def four() -> Assembly:
    """n = 4, f = 1."""
    return assemble(4)


@pytest.fixture(scope="session")
def assembled():
    """A way to have any number of them."""
    return assemble

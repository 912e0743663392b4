"""What has been heard of a height: one vote of each validator in each round, and proofs of lies.

Only the vote of the highest epoch is kept, because an honest validator never goes back to a lower
one. So a tally never holds more than two votes and one piece of evidence for each validator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from qlq.consensus import votes
from qlq.consensus.votes import Evidence, Round, SignedVote, Vote


class Standing(Enum):
    """What a vote is to those that were heard before."""

    NEW = auto()
    KNOWN = auto()
    """The signer said so already."""
    SUPERSEDED = auto()
    """The signer has voted in a later epoch since."""
    DOUBLE = auto()
    """The signer has voted for another block in this round and epoch."""
    CONVICTED = auto()
    """As `DOUBLE`, of somebody against whom there is evidence already."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Verified votes of one height by signer and round, and evidence in the order of its finding.

    Of two votes that exclude each other the first stays and counts.
    """

    votes: Mapping[tuple[bytes, Round], SignedVote] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()


def standing(tally: Tally, signed: SignedVote) -> Standing:
    """How a vote stands to what has been heard; its signature is not looked at."""
    before = tally.votes.get((signed.signer, signed.vote.round))
    if before is None or before.vote.epoch < signed.vote.epoch:
        return Standing.NEW
    if before.vote.epoch > signed.vote.epoch:
        return Standing.SUPERSEDED
    if not votes.is_double(before, signed):
        return Standing.KNOWN
    convicted = {one.first.signer for one in tally.evidence}
    return Standing.CONVICTED if signed.signer in convicted else Standing.DOUBLE


def keep(tally: Tally, signed: SignedVote) -> Tally:
    """The tally with a new vote in place of the signer's last one of this round."""
    return replace(tally, votes={**tally.votes, (signed.signer, signed.vote.round): signed})


def convict(tally: Tally, signed: SignedVote) -> tuple[Tally, Evidence]:
    """The tally with evidence made of the signer's kept vote and this one, and the evidence."""
    evidence = Evidence(tally.votes[signed.signer, signed.vote.round], signed)
    return replace(tally, evidence=(*tally.evidence, evidence)), evidence


def cast_for(tally: Tally, vote: Vote) -> list[SignedVote]:
    """Kept votes that say exactly this."""
    return [signed for signed in tally.votes.values() if signed.vote == vote]


def epoch_of(tally: Tally, signer: bytes, stage: Round) -> int:
    """The latest epoch in which somebody has voted in a round; -1 if in none."""
    signed = tally.votes.get((signer, stage))
    return -1 if signed is None else signed.vote.epoch

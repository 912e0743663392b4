"""Where a validator stands at one height, what may happen to it, and what it does then."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from qlq.consensus import checks
from qlq.consensus import validators as validator_sets
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.epochs import SignedStatement
from qlq.consensus.tally import Tally
from qlq.consensus.validators import Validators
from qlq.consensus.votes import Evidence, SignedVote
from qlq.crypto.signing import SigningKey


@dataclass(frozen=True, slots=True)
class Seat:
    """A validator at one height of one chain; raises ValueError for a key that does not vote.

    Attributes:
        chain: Chain id, 32 bytes.
        height: Voted on here, from 1.
        validators: Those who vote at this height.
        key: The validator's own.
        address: Its address.
    """

    chain: bytes
    height: int
    validators: Validators
    key: SigningKey
    address: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Find the address; refuse a stranger's key."""
        checks.check_digests(self.chain)
        checks.check_place(height=self.height, epoch=0)
        address = validator_sets.address_of(self.key.verifying_key)
        if address not in self.validators:
            raise ValueError(f"{address.hex()[:16]}… does not vote at height {self.height}")
        object.__setattr__(self, "address", address)


@dataclass(frozen=True, slots=True)
class Candidate:
    """The block of this hash extends the tip, was executed by the caller and found valid."""

    block: bytes


@dataclass(frozen=True, slots=True)
class VoteHeard:
    """A vote came in."""

    signed: SignedVote


@dataclass(frozen=True, slots=True)
class CertificateHeard:
    """A certificate came in."""

    certificate: QuorumCertificate


@dataclass(frozen=True, slots=True)
class LeaveAsked:
    """The operator recovers the height: state what was seen, for this epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class EpochOpened:
    """Statements of n - f or more came in, see `epochs.open_epoch`."""

    statements: tuple[SignedStatement, ...]


Event = Candidate | VoteHeard | CertificateHeard | LeaveAsked | EpochOpened


class Reason(StrEnum):
    """Why an event had no effect."""

    KNOWN = "known"
    """It says nothing new."""
    SUPERSEDED = "superseded"
    """Its signer has voted in a later epoch."""
    CONVICTED = "convicted"
    """One more contradiction of somebody against whom there is evidence."""
    VOTED = "voted"
    """This validator has cast its vote in this epoch."""
    BOUND = "bound"
    """In this epoch only the block of the highest lock may be proposed."""
    LEFT = "left"
    """Between two epochs nothing is voted on."""
    PAST = "past"
    """The epoch is behind this validator."""
    FINAL = "final"
    """The height has its block."""


@dataclass(frozen=True, slots=True)
class Persist:
    """To be on disk before what follows; `resume` wants all records of a height back."""

    record: Record


@dataclass(frozen=True, slots=True)
class Send:
    """To all validators; it may be sent again at any time."""

    message: Message


@dataclass(frozen=True, slots=True)
class Final:
    """The block of this commit certificate is final; to be stored beside it."""

    certificate: QuorumCertificate


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two valid certificates exclude each other: more than f validators lie. The operator's."""

    first: QuorumCertificate
    second: QuorumCertificate


@dataclass(frozen=True, slots=True)
class KeyUsedElsewhere:
    """A vote of this validator's key that its records do not have.

    They were lost or are an old copy, or somebody else has the key. The vote is kept as its own.
    """

    signed: SignedVote


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event changed nothing."""

    reason: Reason


Record = SignedVote | QuorumCertificate | SignedStatement | Evidence
Message = SignedVote | QuorumCertificate | SignedStatement
Effect = Persist | Send | Final | Conflict | KeyUsedElsewhere | Ignored


@dataclass(frozen=True, slots=True)
class Voting:
    """What all phases before the decision have.

    Attributes:
        seat: Who votes here.
        tally: What was heard; the validator's own votes are in it.
        epoch: The lowest one that it may still vote in.
        lock: The prepare certificate of the highest epoch that it has seen.
    """

    seat: Seat
    tally: Tally
    epoch: int
    lock: QuorumCertificate | None


@dataclass(frozen=True, slots=True)
class Open(Voting):
    """No vote of this validator's yet in this epoch; `bound`: the only block it may prepare."""

    bound: bytes | None


@dataclass(frozen=True, slots=True)
class Prepared(Voting):
    """It has cast its prepare vote of this epoch."""


@dataclass(frozen=True, slots=True)
class Committed(Voting):
    """It has cast its commit vote of this epoch, or holds to one that its key has cast."""


@dataclass(frozen=True, slots=True)
class Left(Voting):
    """It has stated what it saw, for this epoch, and waits for the opening."""

    statement: SignedStatement


@dataclass(frozen=True, slots=True)
class Decided:
    """The height has its block."""

    seat: Seat
    tally: Tally
    certificate: QuorumCertificate


Phase = Open | Prepared | Committed | Left | Decided
Undecided = Open | Prepared | Committed | Left
Step = tuple[Phase, list[Effect]]

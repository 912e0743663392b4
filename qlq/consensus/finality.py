"""One height's votes as a state machine: `step(phase, event) -> (phase, effects)`.

    Open --Candidate--> Prepared --n-f prepare votes--> Committed --n-f commit votes--> Decided
    Open, Prepared, Committed --LeaveAsked--> Left --EpochOpened--> Open, in a later epoch
    any but Decided --a prepare certificate of this epoch or a later one--> Committed
    any but Decided --a commit certificate of any epoch--> Decided
    any but Decided --EpochOpened of a later epoch--> Open

Votes and certificates are heard in every phase; those heard early or late change the phase only as
above. What stays without effect is answered by `Ignored` and its reason, what does not verify by
InvalidVote or InvalidCertificate, with the phase unchanged.

What holds, with at most f liars among n validators and whatever the network does:

- In an epoch, a validator casts one prepare vote at most, and one commit vote at most, for a block
  with a prepare certificate of that epoch: its lock.
- It votes in no epoch below the last one that it voted in, or stated something for.
- Effects are carried out in their order. A vote, lock or statement is on disk (`Persist`) before it
  is sent (`Send`); one sync may serve several, if it comes before the first `Send`. After a crash
  `resume` goes on from what is on disk, and contradicts none of it.
- So no two blocks of one height get commit certificates: they would take n - 2f > f honest
  validators that vote twice in an epoch, or an epoch opened against the lock of the one before
  (see `epochs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qlq.consensus import certificate as certificates
from qlq.consensus import checks, epochs, votes
from qlq.consensus import tally as tallies
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.epochs import AlreadyFinal, ProposeAgain, SignedStatement, Statement
from qlq.consensus.phases import (
    Candidate,
    CertificateHeard,
    Committed,
    Conflict,
    Decided,
    Effect,
    EpochOpened,
    Event,
    Final,
    Ignored,
    KeyUsedElsewhere,
    LeaveAsked,
    Left,
    Message,
    Open,
    Persist,
    Phase,
    Prepared,
    Reason,
    Record,
    Seat,
    Send,
    Undecided,
    VoteHeard,
)
from qlq.consensus.tally import Standing, Tally
from qlq.consensus.votes import Evidence, Round, SignedVote, Vote
from qlq.errors import InvalidCertificate, InvalidVote, LocalMisuse
from qlq.faults import CertificateFault, VoteFault

Step = tuple[Phase, list[Effect]]


def begin(seat: Seat) -> Open:
    """The phase in which a height begins: epoch 0, any block, nothing heard."""
    return Open(seat, Tally(), 0, None, None)


def step(phase: Phase, event: Event) -> Step:
    """The next phase, and the effects to carry out in their order.

    Raises:
        InvalidVote: A vote or statement does not verify, or is of another height; the phase stays.
        InvalidCertificate: A certificate or an opening does not verify; the phase stays.
        LocalMisuse: The operator asks for an epoch that is not a later one, or to state something
            for a key that has committed without a lock in these records.
        ValueError: A candidate's hash is not of 32 bytes, or an epoch is outside 1 to 2^63 - 1.
    """
    if isinstance(phase, Decided):
        return _after_decision(phase, event)
    match event:
        case VoteHeard(signed):
            return _hear(phase, signed)
        case CertificateHeard(certificate):
            return _hear_certificate(phase, certificate)
        case Candidate(block):
            return _prepare(phase, block)
        case LeaveAsked(epoch):
            return _leave(phase, epoch)
        case EpochOpened(statements):
            return _open(phase, statements)


def _after_decision(phase: Decided, event: Event) -> Step:
    """Nothing changes any more, except that lies are still noted."""
    match event:
        case VoteHeard(signed):
            return _hear(phase, signed)
        case CertificateHeard(certificate):
            return _hear_after_decision(phase, certificate)
        case LeaveAsked(epoch):
            # No promise to keep on disk: who has the certificate votes no more.
            return phase, [Send(_state(phase.seat, epoch, commit=phase.certificate, lock=None))]
        case Candidate() | EpochOpened():
            return phase, [Ignored(Reason.FINAL)]


def said(phase: Phase) -> list[Message]:
    """What this validator last said: to be sent again to whoever may have missed it."""
    if isinstance(phase, Decided):
        return [phase.certificate]
    own = [phase.tally.votes.get((phase.seat.address, stage)) for stage in Round]
    cast: list[Message] = [one for one in own if one and one.vote.epoch == phase.epoch]
    return [*cast, phase.statement] if isinstance(phase, Left) else cast


def resume(seat: Seat, records: Sequence[Record]) -> Step:
    """The phase after a restart, from everything that was persisted, and what to do first.

    What was voted or stated last is sent again. A lock whose vote did not get to the disk is voted
    for now.

    Args:
        seat: As before the restart.
        records: Of this height, those of `Persist` and, if it was stored, that of `Final`; in any
            order.

    Raises:
        ValueError: A record of another height, or another validator's vote or statement.
    """
    phase = begin(seat)
    lock: QuorumCertificate | None = None
    statement: SignedStatement | None = None
    final: QuorumCertificate | None = None
    tally = phase.tally
    for record in records:
        _check_record(seat, record)
        match record:
            case SignedVote():
                if tallies.standing(tally, record) is Standing.NEW:
                    tally = tallies.keep(tally, record)
            case Evidence():
                tally = replace(tally, evidence=(*tally.evidence, record))
            case SignedStatement():
                statement = max(statement or record, record, key=lambda one: one.statement.epoch)
            case QuorumCertificate(round=Round.COMMIT):
                final = record
            case QuorumCertificate():
                lock = max(lock or record, record, key=lambda one: one.epoch)
    if final is not None:
        return Decided(seat, tally, final), []
    resumed = _resumed(replace(phase, tally=tally, lock=lock), statement)
    again: list[Effect] = [Send(message) for message in said(resumed)]
    after: Phase = resumed
    if lock is not None and not isinstance(resumed, Committed) and lock.epoch == resumed.epoch:
        after, effects = _commit(resumed, lock)
        again.extend(effects)
    return _recount(after, again)


def _recount(phase: Phase, again: list[Effect]) -> Step:
    """Count this validator's own votes once more: where it is alone, they are a quorum."""
    for stage in Round:
        own = phase.tally.votes.get((phase.seat.address, stage))
        if own is not None:
            phase, effects = _count(phase, own.vote)
            again = [*again, *effects]
    return phase, again


def _resumed(phase: Open, statement: SignedStatement | None) -> Undecided:
    """The phase of the highest epoch that the records name."""
    seat, tally, lock = phase.seat, phase.tally, phase.lock
    prepared, committed = _own_epochs(phase)
    left = -1 if statement is None else statement.statement.epoch
    locked = -1 if lock is None else lock.epoch
    epoch = max(0, prepared, committed, left, locked)
    if committed == epoch:
        return Committed(seat, tally, epoch, lock)
    if prepared == epoch:
        return Prepared(seat, tally, epoch, lock)
    if statement is not None and left == epoch:
        return Left(seat, tally, epoch, lock, statement)
    return replace(phase, epoch=epoch)


def _check_record(seat: Seat, record: Record) -> None:
    height, owner = seat.height, seat.address
    match record:
        case SignedVote():
            height, owner = record.vote.height, record.signer
        case SignedStatement():
            height, owner = record.statement.height, record.signer
        case QuorumCertificate():
            height = record.height
        case Evidence():
            height = record.first.vote.height
    if (height, owner) != (seat.height, seat.address):
        raise ValueError(
            f"a record of height {height} by {owner.hex()[:16]}… among those of height "
            f"{seat.height} by {seat.address.hex()[:16]}…"
        )


def _hear_certificate(phase: Undecided, certificate: QuorumCertificate) -> Step:
    """A certificate: refused, without effect, or learned from.

    What says nothing new is answered before signatures are verified: it must not cost anything.
    """
    _check_height(phase.seat, certificate)
    if phase.lock is not None and certificate.round is Round.PREPARE:
        if certificate.epoch < phase.lock.epoch:
            return phase, [Ignored(Reason.PAST)]
        if (certificate.epoch, certificate.block) == (phase.lock.epoch, phase.lock.block):
            return phase, [Ignored(Reason.KNOWN)]
    certificates.verify(certificate, chain=phase.seat.chain, validators=phase.seat.validators)
    return _learn(phase, certificate)


def _hear_after_decision(phase: Decided, certificate: QuorumCertificate) -> Step:
    """A certificate that cannot change anything, but may show that too many lie."""
    _check_height(phase.seat, certificate)
    if certificate.block == phase.certificate.block:
        return phase, [Ignored(Reason.KNOWN)]
    certificates.verify(certificate, chain=phase.seat.chain, validators=phase.seat.validators)
    return phase, [_compare(phase.certificate, certificate)]


def _check_height(seat: Seat, certificate: QuorumCertificate) -> None:
    if certificate.height != seat.height:
        raise InvalidCertificate(
            CertificateFault.HEIGHT, height=certificate.height, detail=f"this is {seat.height}"
        )


def _hear(phase: Phase, signed: SignedVote) -> Step:
    """A vote: refused, without effect, evidence, or kept and counted."""
    seat, vote = phase.seat, signed.vote
    if vote.height != seat.height:
        raise InvalidVote(VoteFault.HEIGHT, f"{vote.height}; this is {seat.height}")
    checks.check_origin(
        vote.chain,
        vote.validators_hash,
        signed.signer,
        chain=seat.chain,
        validators=seat.validators,
    )
    found = tallies.standing(phase.tally, signed)
    if found in _WITHOUT_EFFECT:
        return phase, [Ignored(_WITHOUT_EFFECT[found])]
    votes.verify(signed, chain=seat.chain, validators=seat.validators)
    alarm: list[Effect] = [KeyUsedElsewhere(signed)] if signed.signer == seat.address else []
    if found is Standing.DOUBLE:
        tally, evidence = tallies.convict(phase.tally, signed)
        return replace(phase, tally=tally), [Persist(evidence), *alarm]
    record: list[Effect] = [Persist(signed)] if alarm else []
    after, effects = _count(replace(phase, tally=tallies.keep(phase.tally, signed)), vote)
    return after, [*record, *alarm, *effects]


_WITHOUT_EFFECT = {
    Standing.KNOWN: Reason.KNOWN,
    Standing.SUPERSEDED: Reason.SUPERSEDED,
    Standing.CONVICTED: Reason.CONVICTED,
}


def _count(phase: Phase, vote: Vote) -> Step:
    """What follows from one more vote like this: a certificate, if they are n - f now."""
    if isinstance(phase, Decided):
        return phase, []
    cast = tallies.cast_for(phase.tally, vote)
    is_locked = phase.lock is not None and phase.lock.vote(vote.chain) == vote
    if is_locked or len(cast) < phase.seat.validators.quorum:
        return phase, []
    return _learn(phase, certificates.make(cast, validators=phase.seat.validators))


def _learn(phase: Undecided, certificate: QuorumCertificate) -> Step:
    """What follows from a certificate, which always wins over what was seen before."""
    if certificate.round is Round.COMMIT:
        return Decided(phase.seat, phase.tally, certificate), [Final(certificate)]
    if phase.lock is not None and phase.lock.epoch >= certificate.epoch:
        return phase, [_compare(phase.lock, certificate)]
    if certificate.epoch < phase.epoch:
        return replace(phase, lock=certificate), [Persist(certificate)]
    after, effects = _commit(replace(phase, lock=certificate), certificate)
    return after, [Persist(certificate), *effects]


def _compare(known: QuorumCertificate, other: QuorumCertificate) -> Effect:
    """What another certificate says that changes nothing: a conflict, if both cannot be.

    Of two blocks there cannot be two commit certificates, two prepare certificates of one epoch,
    or a commit certificate and a prepare certificate of its epoch or a later one. One of the same
    block gets here only if it is of a lower epoch.
    """
    if other.round is Round.PREPARE and other.epoch < known.epoch:
        return Ignored(Reason.PAST)
    return Conflict(known, other)


def _commit(phase: Undecided, lock: QuorumCertificate) -> Step:
    """Vote to commit to the block of the lock, in its epoch, unless this key has done so."""
    seat = phase.seat
    committed = Committed(seat, phase.tally, lock.epoch, lock)
    prepared_in, committed_in = _own_epochs(phase)
    if committed_in >= lock.epoch or prepared_in > lock.epoch:
        return committed, []
    return _cast(committed, Round.COMMIT, lock.block)


def _prepare(phase: Undecided, block: bytes) -> Step:
    """Vote for a candidate, if it is the first in this epoch and the epoch allows it."""
    if not isinstance(phase, Open):
        return phase, [Ignored(Reason.LEFT if isinstance(phase, Left) else Reason.VOTED)]
    if phase.bound is not None and block != phase.bound:
        return phase, [Ignored(Reason.BOUND)]
    if max(_own_epochs(phase)) >= phase.epoch:
        return phase, [Ignored(Reason.VOTED)]
    return _cast(Prepared(phase.seat, phase.tally, phase.epoch, phase.lock), Round.PREPARE, block)


def _own_epochs(phase: Undecided) -> tuple[int, int]:
    """The latest epochs in which this validator's key has prepared and committed; -1 for none."""
    address = phase.seat.address
    prepared = tallies.epoch_of(phase.tally, address, Round.PREPARE)
    return prepared, tallies.epoch_of(phase.tally, address, Round.COMMIT)


def _cast(phase: Prepared | Committed, stage: Round, block: bytes) -> Step:
    """Sign a vote, keep it, say it, and count it with the others."""
    seat = phase.seat
    vote = Vote(
        chain=seat.chain,
        height=seat.height,
        epoch=phase.epoch,
        round=stage,
        block=block,
        validators_hash=seat.validators.hash,
    )
    signed = votes.sign(vote, seat.key, signer=seat.address)
    kept = replace(phase, tally=tallies.keep(phase.tally, signed))
    after, effects = _count(kept, vote)
    return after, [Persist(signed), Send(signed), *effects]


def _leave(phase: Undecided, epoch: int) -> Step:
    """State for a later epoch what was seen; from now on nothing is voted on below it."""
    if isinstance(phase, Left) and epoch == phase.epoch:
        return phase, [Send(phase.statement)]
    seat, lock = phase.seat, phase.lock
    if epoch <= phase.epoch:
        raise LocalMisuse(
            f"height {seat.height} is in epoch {phase.epoch} already, not below {epoch}: "
            f"recover into epoch {phase.epoch + 1} or a later one"
        )
    _, committed = _own_epochs(phase)
    if committed > (-1 if lock is None else lock.epoch):
        raise LocalMisuse(
            f"this key has committed in epoch {committed} of height {seat.height}, and its lock "
            "is not among the records: restore them, or let the others recover without it"
        )
    signed = _state(seat, epoch, commit=None, lock=lock)
    left = Left(seat, phase.tally, epoch, lock, signed)
    return left, [Persist(signed), Send(signed)]


def _state(
    seat: Seat, epoch: int, *, commit: QuorumCertificate | None, lock: QuorumCertificate | None
) -> SignedStatement:
    statement = Statement(
        chain=seat.chain,
        height=seat.height,
        epoch=epoch,
        validators_hash=seat.validators.hash,
        commit=commit,
        lock=lock,
    )
    return epochs.sign(statement, seat.key, signer=seat.address)


def _open(phase: Undecided, statements: tuple[SignedStatement, ...]) -> Step:
    """Go to the epoch that these statements open, bound to what they show."""
    seat = phase.seat
    if statements:
        said_first = statements[0].statement
        if said_first.height != seat.height:
            raise InvalidVote(VoteFault.HEIGHT, f"{said_first.height}; this is {seat.height}")
        is_awaited = isinstance(phase, Left) and said_first.epoch == phase.epoch
        if said_first.epoch <= phase.epoch and not is_awaited:
            return phase, [Ignored(Reason.PAST)]
    mandate = epochs.open_epoch(statements, chain=seat.chain, validators=seat.validators)
    epoch = statements[0].statement.epoch
    if isinstance(mandate, AlreadyFinal):
        return _learn(phase, mandate.certificate)
    bound = mandate.lock.block if isinstance(mandate, ProposeAgain) else None
    return Open(seat, phase.tally, epoch, phase.lock, bound), []

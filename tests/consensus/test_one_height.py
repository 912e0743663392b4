"""Every pair (phase, event), the order of effects, and what is counted, refused or told."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from qlq.consensus import finality
from qlq.consensus.phases import (
    Candidate,
    CertificateHeard,
    Conflict,
    Decided,
    Effect,
    EpochOpened,
    Event,
    Final,
    Ignored,
    LeaveAsked,
    Persist,
    Phase,
    Reason,
    Seat,
    Send,
    VoteHeard,
)
from qlq.consensus.votes import Evidence, Round, SignedVote
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import InvalidCertificate, InvalidVote, LocalMisuse
from qlq.faults import CertificateFault, VoteFault

A, B = b"\xaa" * 32, b"\xbb" * 32
PREPARE, COMMIT = Round.PREPARE, Round.COMMIT


def follow(phase: Phase, *events: Event) -> tuple[Phase, list[Effect]]:
    """The phase after these events, and the effects of all of them."""
    effects: list[Effect] = []
    for event in events:
        phase, more = finality.step(phase, event)
        effects += more
    return phase, effects


def opening(four, epoch: int, block: bytes | None = None) -> EpochOpened:
    lock = None if block is None else four.certificate(block, epoch=epoch - 1)
    return EpochOpened(tuple(four.state(i, epoch, lock if i == 1 else None) for i in range(3)))


def events_of(four) -> dict[str, Event]:
    """One of each kind, as others send it in epochs 0 and 1."""
    return {
        "candidate": Candidate(A),
        "prepare vote": VoteHeard(four.cast(1, A)),
        "commit vote": VoteHeard(four.cast(1, A, COMMIT)),
        "prepare certificate": CertificateHeard(four.certificate(A)),
        "commit certificate": CertificateHeard(four.certificate(A, COMMIT)),
        "leave for 1": LeaveAsked(1),
        "opening of 1": opening(four, 1),
    }


# Validator 0 on its way, always in epoch 0 but for those between and in epoch 1.
WAYS: dict[str, Callable] = {
    "Open": lambda _: [],
    "Prepared": lambda _: [Candidate(A)],
    "Committed": lambda four: [Candidate(A), CertificateHeard(four.certificate(A))],
    "Left": lambda _: [LeaveAsked(1)],
    "Open in 1": lambda four: [opening(four, 1)],
    "Bound in 1": lambda four: [opening(four, 1, B)],
    "Decided": lambda four: [CertificateHeard(four.certificate(A, COMMIT))],
}
# Phase, event -> next phase and effects, from the diagram and the rules at the head of finality.py.
TABLE = {
    "Open": {
        "candidate": ("Prepared", ["Persist", "Send"]),
        "prepare vote": ("Open", []),
        "commit vote": ("Open", []),
        "prepare certificate": ("Committed", ["Persist", "Persist", "Send"]),
        "commit certificate": ("Decided", ["Final"]),
        "leave for 1": ("Left", ["Persist", "Send"]),
        "opening of 1": ("Open", []),
    },
    "Prepared": {
        "candidate": ("Prepared", [Reason.VOTED]),
        "prepare vote": ("Prepared", []),
        "commit vote": ("Prepared", []),
        "prepare certificate": ("Committed", ["Persist", "Persist", "Send"]),
        "commit certificate": ("Decided", ["Final"]),
        "leave for 1": ("Left", ["Persist", "Send"]),
        "opening of 1": ("Open", []),
    },
    "Committed": {
        "candidate": ("Committed", [Reason.VOTED]),
        "prepare vote": ("Committed", []),
        "commit vote": ("Committed", []),
        "prepare certificate": ("Committed", [Reason.KNOWN]),
        "commit certificate": ("Decided", ["Final"]),
        "leave for 1": ("Left", ["Persist", "Send"]),
        "opening of 1": ("Open", []),
    },
    "Left": {
        "candidate": ("Left", [Reason.LEFT]),
        "prepare vote": ("Left", []),
        "commit vote": ("Left", []),
        "prepare certificate": ("Left", ["Persist"]),
        "commit certificate": ("Decided", ["Final"]),
        "leave for 1": ("Left", ["Send"]),
        "opening of 1": ("Open", []),
    },
    "Open in 1": {
        "candidate": ("Prepared", ["Persist", "Send"]),
        "prepare vote": ("Open", []),
        "commit vote": ("Open", []),
        "prepare certificate": ("Open", ["Persist"]),
        "commit certificate": ("Decided", ["Final"]),
        "leave for 1": LocalMisuse,
        "opening of 1": ("Open", [Reason.PAST]),
    },
    "Bound in 1": {
        "candidate": ("Open", [Reason.BOUND]),
        "prepare vote": ("Open", []),
        "commit vote": ("Open", []),
        "prepare certificate": ("Open", ["Persist"]),
        "commit certificate": ("Decided", ["Final"]),
        "leave for 1": LocalMisuse,
        "opening of 1": ("Open", [Reason.PAST]),
    },
    "Decided": {
        "candidate": ("Decided", [Reason.FINAL]),
        "prepare vote": ("Decided", []),
        "commit vote": ("Decided", []),
        "prepare certificate": ("Decided", [Reason.KNOWN]),
        "commit certificate": ("Decided", [Reason.KNOWN]),
        "leave for 1": ("Decided", ["Send"]),
        "opening of 1": ("Decided", [Reason.FINAL]),
    },
}
PAIRS = [(way, event) for way in TABLE for event in TABLE[way]]


def named(effects: list[Effect]) -> list[str | Reason]:
    return [one.reason if isinstance(one, Ignored) else type(one).__name__ for one in effects]


def test_the_table_has_every_pair(four) -> None:
    assert {name for name, _ in PAIRS} == set(WAYS)
    assert all(set(row) == set(events_of(four)) for row in TABLE.values())
    kinds = {type(event) for event in events_of(four).values()}
    assert kinds == set(Event.__args__)
    phases = {type(follow(finality.begin(four.seat()), *way(four))[0]) for way in WAYS.values()}
    assert phases == set(Phase.__args__)


@pytest.mark.parametrize(("way", "event"), PAIRS)
def test_every_pair_of_phase_and_event(four, way: str, event: str) -> None:
    before, _ = follow(finality.begin(four.seat()), *WAYS[way](four))
    expected = TABLE[way][event]
    if expected is LocalMisuse:
        with pytest.raises(LocalMisuse, match="epoch 2"):
            finality.step(before, events_of(four)[event])
        return
    after, effects = finality.step(before, events_of(four)[event])
    assert (type(after).__name__, named(effects)) == expected


def refuse(four, event: Event) -> VoteFault | CertificateFault:
    """The one reason for which every phase refuses an event."""
    reasons = set()
    for way in WAYS.values():
        phase, _ = follow(finality.begin(four.seat()), *way(four))
        with pytest.raises((InvalidVote, InvalidCertificate)) as caught:
            finality.step(phase, event)
        reasons.add(caught.value.reason)
    (reason,) = reasons
    return reason


def test_votes_and_certificates_from_elsewhere_are_refused_in_every_phase(four, assembled) -> None:
    elsewhere, later = four.at(chain=bytes(32)), four.at(height=8)
    five = assembled(5)
    assert refuse(four, VoteHeard(elsewhere.cast(1))) is VoteFault.CHAIN
    assert refuse(four, VoteHeard(later.cast(1))) is VoteFault.HEIGHT
    assert refuse(four, VoteHeard(five.cast(1))) is VoteFault.VALIDATORS
    stranger = next(i for i in range(5) if five.address(i) not in four.validators)
    foreign = five.at(validators=five.validators).cast(stranger)
    own_set = type(foreign)(four.vote(), foreign.signer, foreign.signature)
    assert refuse(four, VoteHeard(own_set)) is VoteFault.SIGNER
    forged = type(foreign)(four.vote(epoch=1), four.address(1), four.cast(1).signature)
    assert refuse(four, VoteHeard(forged)) is VoteFault.SIGNATURE
    certificate = later.certificate(A, COMMIT)
    assert refuse(four, CertificateHeard(certificate)) is CertificateFault.HEIGHT
    certificate = elsewhere.certificate(B, COMMIT, epoch=2)
    assert refuse(four, CertificateHeard(certificate)) is CertificateFault.SIGNATURE


def test_openings_that_do_not_verify_open_nothing(four) -> None:
    phase = finality.begin(four.seat())
    for statements, reason in (
        ((), CertificateFault.QUORUM),
        ((four.state(0), four.state(1)), CertificateFault.QUORUM),
        (tuple(four.at(height=8).state(i) for i in range(3)), VoteFault.HEIGHT),
    ):
        with pytest.raises((InvalidVote, InvalidCertificate)) as caught:
            finality.step(phase, EpochOpened(statements))
        assert caught.value.reason is reason


def test_four_validators_agree_in_two_rounds(four) -> None:
    phase, effects = follow(finality.begin(four.seat(0)), Candidate(A))
    assert effects == [Persist(four.cast(0)), Send(four.cast(0))]
    phase, effects = follow(phase, VoteHeard(four.cast(1)))
    assert effects == []
    phase, effects = follow(phase, VoteHeard(four.cast(3)))
    lock, own = four.certificate(by=(0, 1, 3)), four.cast(0, A, COMMIT)
    assert effects == [Persist(lock), Persist(own), Send(own)]
    phase, effects = follow(phase, VoteHeard(four.cast(2)), VoteHeard(four.cast(2, A, COMMIT)))
    assert effects == []
    phase, effects = follow(phase, VoteHeard(four.cast(1, A, COMMIT)))
    final = four.certificate(A, COMMIT, by=(0, 1, 2))
    assert effects == [Final(final)]
    assert isinstance(phase, Decided)
    assert phase.certificate == final


@pytest.mark.parametrize("algorithm", Algorithm)
def test_one_validator_alone_makes_a_certificate_of_one(assembled, algorithm: Algorithm) -> None:
    one = assembled(1, algorithm)
    phase, effects = follow(finality.begin(one.seat()), Candidate(A))
    assert isinstance(phase, Decided)
    assert named(effects) == ["Persist", "Send", "Persist", "Persist", "Send", "Final"]
    records = [effect.record for effect in effects if isinstance(effect, Persist)]
    said = [effect.message for effect in effects if isinstance(effect, Send)]
    assert said == [records[0], records[2]]
    assert [record.round for record in (records[0].vote, records[1], records[2].vote)] == [
        PREPARE,
        PREPARE,
        COMMIT,
    ]


def test_a_commit_vote_needs_a_prepare_certificate(four) -> None:
    """Commit votes of two others and a candidate do not make this validator commit."""
    phase, effects = follow(
        finality.begin(four.seat(0)),
        Candidate(A),
        VoteHeard(four.cast(1, A, COMMIT)),
        VoteHeard(four.cast(2, A, COMMIT)),
        VoteHeard(four.cast(1, A)),
    )
    assert named(effects) == ["Persist", "Send"]
    assert phase.lock is None


def test_votes_for_another_block_do_not_count_together(four) -> None:
    phase, effects = follow(
        finality.begin(four.seat(0)),
        Candidate(A),
        VoteHeard(four.cast(1, B)),
        VoteHeard(four.cast(2, A)),
        VoteHeard(four.cast(3, A, epoch=1)),
    )
    assert named(effects) == ["Persist", "Send"]
    assert phase.lock is None


def test_a_vote_counts_once_however_often_it_comes(four) -> None:
    phase, _ = follow(finality.begin(four.seat(0)), Candidate(A), VoteHeard(four.cast(1)))
    for _ in range(3):
        phase, effects = follow(phase, VoteHeard(four.cast(1)))
        assert effects == [Ignored(Reason.KNOWN)]
    assert phase.lock is None


def test_two_votes_of_one_validator_are_evidence_and_count_once(four) -> None:
    phase, _ = follow(finality.begin(four.seat(0)), Candidate(A), VoteHeard(four.cast(1, B)))
    phase, effects = follow(phase, VoteHeard(four.cast(1, A)))
    evidence = Evidence(four.cast(1, B), four.cast(1, A))
    assert effects == [Persist(evidence)]
    assert phase.tally.evidence == (evidence,)
    phase, effects = follow(phase, VoteHeard(four.cast(1, b"\xcc" * 32)))
    assert effects == [Ignored(Reason.CONVICTED)]
    phase, effects = follow(phase, VoteHeard(four.cast(2, A)))
    assert effects == []
    phase, effects = follow(phase, VoteHeard(four.cast(3, A)))
    assert named(effects) == ["Persist", "Persist", "Send"]


def test_lies_are_noted_after_the_decision_too(four) -> None:
    decided, _ = follow(
        finality.begin(four.seat(0)),
        CertificateHeard(four.certificate(A, COMMIT)),
        VoteHeard(four.cast(1, A)),
    )
    after, effects = follow(decided, VoteHeard(four.cast(1, B)))
    assert effects == [Persist(Evidence(four.cast(1, A), four.cast(1, B)))]
    assert isinstance(after, Decided)


def test_a_forged_second_vote_convicts_nobody(four) -> None:
    phase, _ = follow(finality.begin(four.seat(0)), VoteHeard(four.cast(1, B)))
    good = four.cast(1, A)
    forged = type(good)(good.vote, good.signer, four.cast(2, A).signature)
    with pytest.raises(InvalidVote):
        finality.step(phase, VoteHeard(forged))


def test_of_a_voter_the_latest_epoch_is_kept(four) -> None:
    phase, effects = follow(
        finality.begin(four.seat(0)), VoteHeard(four.cast(1, B, epoch=3)), VoteHeard(four.cast(1))
    )
    assert effects == [Ignored(Reason.SUPERSEDED)]
    assert len(phase.tally.votes) == 1


def test_certificates_that_exclude_each_other_are_told(four) -> None:
    """More than f of them lie; nothing can be saved, but nobody may overlook it."""
    first, second = four.certificate(A), four.certificate(B, by=(1, 2, 3))
    _, effects = follow(
        finality.begin(four.seat()), CertificateHeard(first), CertificateHeard(second)
    )
    assert effects[-1] == Conflict(first, second)
    final = four.certificate(A, COMMIT, epoch=1)
    decided, _ = follow(finality.begin(four.seat()), CertificateHeard(final))
    for other in (
        four.certificate(B, COMMIT, epoch=0),
        four.certificate(B, COMMIT, epoch=5),
        four.certificate(B, epoch=1),
        four.certificate(B, epoch=2),
    ):
        assert follow(decided, CertificateHeard(other))[1] == [Conflict(final, other)]
    harmless = four.certificate(B, epoch=0)
    assert follow(decided, CertificateHeard(harmless))[1] == [Ignored(Reason.PAST)]


def test_what_says_nothing_new_costs_no_signature_check(four) -> None:
    """Signatures that do not fit are not even looked at, so that repeating them costs nothing."""
    lock, final = four.certificate(A, epoch=1), four.certificate(A, COMMIT)
    locked, _ = follow(finality.begin(four.seat(0)), CertificateHeard(lock))
    decided, _ = follow(locked, CertificateHeard(final))
    for phase, known, reason in (
        (locked, lock, Reason.KNOWN),
        (locked, four.certificate(B, epoch=0), Reason.PAST),
        (decided, final, Reason.KNOWN),
        (decided, lock, Reason.KNOWN),
    ):
        broken = msgspec.structs.replace(known, signatures=(b"s",) * 3)
        assert follow(phase, CertificateHeard(broken))[1] == [Ignored(reason)]
    kept, _ = follow(locked, VoteHeard(four.cast(1, A)))
    repeated = SignedVote(four.vote(A), four.address(1), b"s")
    assert follow(kept, VoteHeard(repeated))[1] == [Ignored(Reason.KNOWN)]


def test_a_prepare_certificate_wins_over_the_own_prepare_vote(four) -> None:
    phase, _ = follow(finality.begin(four.seat(0)), Candidate(B))
    phase, effects = follow(phase, CertificateHeard(four.certificate(A, by=(1, 2, 3))))
    own = four.cast(0, A, COMMIT)
    assert effects[1:] == [Persist(own), Send(own)]


def test_a_certificate_of_a_later_epoch_takes_along(four) -> None:
    phase, _ = follow(finality.begin(four.seat(0)), Candidate(B))
    phase, effects = follow(phase, CertificateHeard(four.certificate(A, epoch=2, by=(1, 2, 3))))
    own = four.cast(0, A, COMMIT, epoch=2)
    assert effects[1:] == [Persist(own), Send(own)]
    assert phase.epoch == 2
    assert follow(phase, opening(four, 2))[1] == [Ignored(Reason.PAST)]


def test_after_a_statement_nothing_is_voted_on_below_it(four) -> None:
    lock = four.certificate(A, by=(1, 2, 3))
    for way in ("Open", "Prepared"):
        left, _ = follow(finality.begin(four.seat(0)), *WAYS[way](four), LeaveAsked(2))
        for event in (Candidate(A), CertificateHeard(lock), *map(VoteHeard, votes_of_three(four))):
            _, effects = finality.step(left, event)
            assert not any(isinstance(effect, Send) for effect in effects)


def votes_of_three(four) -> list:
    return [four.cast(index, A, stage) for stage in Round for index in (1, 2, 3)]


def test_a_statement_shows_the_highest_lock(four) -> None:
    old, new = four.certificate(A), four.certificate(A, epoch=3)
    _, effects = follow(
        finality.begin(four.seat(0)),
        CertificateHeard(old),
        CertificateHeard(new),
        CertificateHeard(old),
        LeaveAsked(4),
    )
    assert effects[-3:] == [
        Ignored(Reason.PAST),
        Persist(four.state(0, 4, new)),
        Send(four.state(0, 4, new)),
    ]


def test_who_has_the_commit_certificate_states_it_and_that_ends_the_height(four) -> None:
    final = four.certificate(A, COMMIT)
    decided, _ = follow(finality.begin(four.seat(0)), CertificateHeard(final))
    _, (sent,) = follow(decided, LeaveAsked(1))
    assert sent == Send(four.state(0, 1, commit=final))
    late, _ = follow(finality.begin(four.seat(1)), LeaveAsked(1))
    late, effects = follow(late, EpochOpened((sent.message, four.state(1), four.state(2))))
    assert effects == [Final(final)]


def test_in_a_bound_epoch_only_the_block_of_the_lock_is_voted_for(four) -> None:
    bound, _ = follow(finality.begin(four.seat(0)), Candidate(A), opening(four, 1, B))
    assert follow(bound, Candidate(A))[1] == [Ignored(Reason.BOUND)]
    _, effects = follow(bound, Candidate(B))
    own = four.cast(0, B, epoch=1)
    assert effects == [Persist(own), Send(own)]


@pytest.mark.parametrize("epoch", [0, -1])
def test_recovery_goes_forward_only(four, epoch: int) -> None:
    with pytest.raises(LocalMisuse, match="epoch 1"):
        finality.step(finality.begin(four.seat()), LeaveAsked(epoch))


def test_a_stranger_has_no_seat(four) -> None:
    stranger = SigningKey(Algorithm.ED25519, bytes(32))
    with pytest.raises(ValueError, match="does not vote at height 7"):
        Seat(four.chain, 7, four.validators, stranger)
    with pytest.raises(ValueError, match="height 0"):
        Seat(four.chain, 0, four.validators, four.keys[0])
    with pytest.raises(ValueError, match="digest"):
        Seat(b"", 7, four.validators, four.keys[0])


def test_a_seat_shows_no_key(four) -> None:
    assert four.keys[0].seed.hex() not in repr(four.seat())
    assert repr(four.keys[0].seed) not in repr(finality.begin(four.seat()))

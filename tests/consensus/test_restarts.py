"""What a validator goes on from after a restart, and what it does when records are missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qlq.consensus import finality
from qlq.consensus.epochs import SignedStatement
from qlq.consensus.phases import (
    Candidate,
    CertificateHeard,
    Effect,
    EpochOpened,
    Event,
    Final,
    Ignored,
    KeyUsedElsewhere,
    LeaveAsked,
    Open,
    Persist,
    Phase,
    Reason,
    Send,
    VoteHeard,
)
from qlq.consensus.votes import Evidence, Round
from qlq.errors import LocalMisuse

A, B = b"\xaa" * 32, b"\xbb" * 32
COMMIT = Round.COMMIT


def follow(phase: Phase, *events: Event) -> tuple[Phase, list[Effect]]:
    """The phase after these events, and the effects of all of them."""
    effects: list[Effect] = []
    for event in events:
        phase, more = finality.step(phase, event)
        effects += more
    return phase, effects


def kinds(effects: list[Effect]) -> list[str]:
    return [type(one).__name__ for one in effects]


def opening(four, epoch: int) -> EpochOpened:
    return EpochOpened(tuple(four.state(index, epoch) for index in range(3)))


# Validator 0 on its way, and the phase in which a restart finds it.
WAYS: dict[str, tuple[str, Callable]] = {
    "open": ("Open", lambda _: []),
    "prepared": ("Prepared", lambda _: [Candidate(A)]),
    "committed": (
        "Committed",
        lambda four: [Candidate(A), CertificateHeard(four.certificate(A))],
    ),
    "left": ("Left", lambda _: [LeaveAsked(1)]),
    "prepared in 1": ("Prepared", lambda four: [opening(four, 1), Candidate(A)]),
    # It has said nothing in epoch 1, so that nothing holds it there.
    "open in 1": ("Open", lambda four: [opening(four, 1)]),
    "decided": ("Decided", lambda four: [CertificateHeard(four.certificate(A, COMMIT))]),
}


def records_of(effects: list[Effect]) -> list:
    kept = [effect.record for effect in effects if isinstance(effect, Persist)]
    return kept + [effect.certificate for effect in effects if isinstance(effect, Final)]


@pytest.mark.parametrize("way", WAYS)
def test_a_restart_goes_on_where_the_records_end(four, way: str) -> None:
    before, effects = follow(finality.begin(four.seat(0)), *WAYS[way][1](four))
    after, again = finality.resume(four.seat(0), records_of(effects)[::-1])
    assert type(after).__name__ == WAYS[way][0]
    said = [] if way == "decided" else finality.said(after)
    assert again == [Send(message) for message in said]
    if way not in {"open in 1", "decided"}:
        assert finality.said(after) == finality.said(before)
        assert (after.epoch, after.lock) == (before.epoch, before.lock)


def test_who_has_decided_says_so_to_whoever_asks(four) -> None:
    final = four.certificate(A, COMMIT)
    decided, _ = finality.resume(four.seat(0), [final])
    assert finality.said(decided) == [final]


@pytest.mark.parametrize("done", range(7))
def test_a_validator_alone_goes_on_after_any_effect(assembled, done: int) -> None:
    """Nobody else's message comes to help: what is on disk must be enough."""
    one = assembled(1)
    _, effects = follow(finality.begin(one.seat()), Candidate(A))
    assert len(effects) == 6
    records = records_of(effects[:done])
    after, more = finality.resume(one.seat(), records)
    if not records:
        after, more = follow(after, Candidate(B))
    assert after.certificate.block == (A if records else B)
    again, nothing = finality.resume(one.seat(), [*records, *records_of(more)])
    assert (again.certificate, nothing) == (after.certificate, [])


def test_a_validator_alone_that_has_stated_something_still_decides(assembled) -> None:
    one = assembled(1)
    lock, own = one.certificate(A, by=(0,)), one.cast(0, A, COMMIT)
    after, effects = finality.resume(one.seat(), [one.cast(0, A), lock, own, one.state(0, 1, lock)])
    assert after.certificate.block == A
    assert kinds(effects) == ["Send", "Final"]


def test_after_a_restart_no_vote_is_cast_that_excludes_an_earlier_one(four) -> None:
    _, effects = follow(finality.begin(four.seat(0)), Candidate(A))
    restarted, _ = finality.resume(four.seat(0), records_of(effects))
    assert follow(restarted, Candidate(B))[1] == [Ignored(Reason.VOTED)]
    _, effects = follow(finality.begin(four.seat(0)), Candidate(A), LeaveAsked(1))
    restarted, _ = finality.resume(four.seat(0), records_of(effects))
    _, effects = follow(restarted, CertificateHeard(four.certificate(A, by=(1, 2, 3))))
    assert kinds(effects) == ["Persist"]


def test_a_lock_whose_vote_was_lost_is_voted_for_after_the_restart(four) -> None:
    lock, own = four.certificate(A), four.cast(0, A, COMMIT)
    after, effects = finality.resume(four.seat(0), [four.cast(0), lock])
    assert type(after).__name__ == "Committed"
    assert effects == [Send(four.cast(0)), Persist(own), Send(own)]
    _, effects = finality.resume(four.seat(0), [lock])
    assert effects == [Persist(own), Send(own)]


def test_a_lock_older_than_the_statement_is_not_voted_for_after_the_restart(four) -> None:
    lock, stated = four.certificate(A), four.state(0, 1)
    after, effects = finality.resume(four.seat(0), [stated, lock])
    assert type(after).__name__ == "Left"
    assert effects == [Send(stated)]
    assert after.lock == lock


def test_the_votes_of_the_latest_epoch_are_sent_again(four) -> None:
    lock, newer = four.certificate(A), four.cast(0, A, epoch=2)
    records = [four.cast(0), lock, four.cast(0, A, COMMIT), four.state(0, 2, lock), newer]
    after, effects = finality.resume(four.seat(0), records)
    assert type(after).__name__ == "Prepared"
    assert effects == [Send(newer)]
    assert (after.epoch, after.lock) == (2, lock)


def test_evidence_survives_a_restart(four) -> None:
    evidence = Evidence(four.cast(1, A), four.cast(1, B))
    after, _ = finality.resume(four.seat(0), [evidence])
    assert after.tally.evidence == (evidence,)


def test_records_of_others_or_of_another_height_are_refused(four) -> None:
    later = four.at(height=8)
    evidence = Evidence(later.cast(1, A), later.cast(1, B))
    for record in (
        four.cast(1),
        four.state(1),
        later.cast(0),
        later.state(0),
        later.certificate(A),
        evidence,
    ):
        with pytest.raises(ValueError, match="among those of height 7"):
            finality.resume(four.seat(0), [record])


# A store that was lost, or a key that is used twice.


def test_a_vote_of_the_own_key_that_is_not_on_record_is_told_and_held_to(four) -> None:
    heard = four.cast(0, B)
    phase, effects = follow(finality.begin(four.seat(0)), VoteHeard(heard))
    assert effects == [Persist(heard), KeyUsedElsewhere(heard)]
    assert isinstance(phase, Open)
    assert follow(phase, Candidate(A))[1] == [Ignored(Reason.VOTED)]
    later = four.cast(0, B, COMMIT, epoch=3)
    phase, _ = follow(phase, VoteHeard(later), opening(four, 2))
    assert follow(phase, Candidate(A))[1] == [Ignored(Reason.VOTED)]
    _, effects = follow(phase, CertificateHeard(four.certificate(A, epoch=2, by=(1, 2, 3))))
    assert kinds(effects) == ["Persist"]


def test_a_commit_vote_of_the_own_key_is_held_to_against_a_lock_of_another_block(four) -> None:
    heard = four.cast(0, B, COMMIT)
    phase, _ = follow(finality.begin(four.seat(0)), VoteHeard(heard))
    after, effects = follow(phase, CertificateHeard(four.certificate(A, by=(1, 2, 3))))
    assert kinds(effects) == ["Persist"]
    assert type(after).__name__ == "Committed"
    restarted, _ = finality.resume(four.seat(0), [heard])
    assert type(restarted).__name__ == "Committed"
    assert follow(restarted, Candidate(A))[1] == [Ignored(Reason.VOTED)]


def test_an_own_key_that_contradicts_itself_is_told_with_the_evidence(four) -> None:
    phase, _ = follow(finality.begin(four.seat(0)), Candidate(A))
    heard = four.cast(0, B)
    _, effects = follow(phase, VoteHeard(heard))
    assert effects == [Persist(Evidence(four.cast(0, A), heard)), KeyUsedElsewhere(heard)]


def test_who_has_committed_without_a_lock_on_record_states_nothing(four) -> None:
    """It would say that it knows of no lock, which may fork the chain."""
    phase, _ = follow(finality.begin(four.seat(0)), VoteHeard(four.cast(0, A, COMMIT)))
    with pytest.raises(LocalMisuse, match="restore"):
        finality.step(phase, LeaveAsked(1))
    phase, _ = follow(phase, CertificateHeard(four.certificate(A)))
    left, effects = follow(phase, LeaveAsked(1))
    assert isinstance(effects[-1].message, SignedStatement)
    assert left.statement.statement.lock == four.certificate(A)

"""An epoch opens with n - f statements, and with what they oblige everybody to."""

from __future__ import annotations

from itertools import combinations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq import codec
from qlq.consensus import epochs
from qlq.consensus.epochs import (
    AlreadyFinal,
    ProposeAgain,
    ProposeAny,
    SignedStatement,
    Statement,
)
from qlq.consensus.votes import Round
from qlq.crypto.signing import Algorithm
from qlq.errors import InvalidCertificate, InvalidVote, RemoteMisuse
from qlq.faults import CertificateFault, VoteFault

A, B = b"\xaa" * 32, b"\xbb" * 32


def opened(four, *statements: SignedStatement):
    return epochs.open_epoch(statements, chain=four.chain, validators=four.validators)


def fault(four, *statements: SignedStatement) -> CertificateFault:
    with pytest.raises(InvalidCertificate) as caught:
        opened(four, *statements)
    return caught.value.reason


def vote_fault(four, *statements: SignedStatement) -> VoteFault:
    with pytest.raises(InvalidVote) as caught:
        opened(four, *statements)
    return caught.value.reason


def test_without_a_lock_any_block_may_be_proposed(four) -> None:
    assert opened(four, four.state(0), four.state(1), four.state(3)) == ProposeAny()
    assert opened(four, *map(four.state, range(4))) == ProposeAny()


def test_one_lock_among_the_statements_binds_everybody(four) -> None:
    lock = four.certificate(A)
    for place in range(3):
        said = [four.state(index, lock=lock if index == place else None) for index in range(3)]
        assert opened(four, *said) == ProposeAgain(lock)


def test_the_lock_of_the_highest_epoch_binds(four) -> None:
    old, new = four.certificate(A, epoch=1), four.certificate(B, epoch=4)
    for locks in ((old, new, None), (new, old, old), (old, None, new)):
        said = [four.state(index, epoch=5, lock=lock) for index, lock in enumerate(locks)]
        assert opened(four, *said) == ProposeAgain(new)


def test_a_commit_certificate_leaves_nothing_to_vote_on(four) -> None:
    lock, commit = four.certificate(B, epoch=2), four.certificate(A, Round.COMMIT)
    said = [four.state(0, 3, lock), four.state(1, 3, None, commit), four.state(2, 3)]
    assert opened(four, *said) == AlreadyFinal(commit)


def test_whoever_was_locked_by_a_final_block_is_in_every_opening(four) -> None:
    """The halt of one-round voting: A is certified, its voters are not all there, one of them lies.

    A, B and the liar C committed to block A. Of four statements any three open the epoch, with
    the liar's among them or not, and all of them oblige to A.
    """
    lock = four.certificate(A, by=(0, 1, 2))
    said = [four.state(0, lock=lock), four.state(1, lock=lock), four.state(2), four.state(3)]
    for statements in combinations(said, 3):
        assert opened(four, *statements) == ProposeAgain(lock)


def test_too_few_statements_open_nothing(four) -> None:
    assert fault(four, four.state(0), four.state(1)) is CertificateFault.QUORUM
    assert fault(four) is CertificateFault.QUORUM


def test_statements_are_in_order_and_of_different_validators(four) -> None:
    one, two, three = (four.state(index) for index in range(3))
    assert fault(four, one, three, two) is CertificateFault.ORDER
    assert fault(four, one, one, two) is CertificateFault.ORDER


def test_statements_are_of_one_epoch_and_height(four) -> None:
    good = [four.state(0), four.state(1)]
    assert vote_fault(four, *good, four.state(2, epoch=2)) is VoteFault.HEIGHT
    assert vote_fault(four, *good, four.at(height=8).state(2)) is VoteFault.HEIGHT


def test_statements_from_elsewhere_are_refused_with_their_reason(four, assembled) -> None:
    good = [four.state(0), four.state(1)]
    assert vote_fault(four, *good, four.at(chain=bytes(32)).state(2)) is VoteFault.CHAIN
    said = msgspec.structs.replace(
        four.state(2).statement, validators_hash=assembled(5).validators.hash
    )
    other = epochs.sign(said, four.keys[2], signer=four.address(2))
    assert vote_fault(four, *good, other) is VoteFault.VALIDATORS
    stranger = SignedStatement(four.state(2).statement, b"\xff" * 32, b"s")
    assert vote_fault(four, *good, stranger) is VoteFault.SIGNER
    forged = SignedStatement(four.state(2).statement, four.address(2), four.state(3).signature)
    assert vote_fault(four, *good, forged) is VoteFault.SIGNATURE
    relabelled = SignedStatement(
        four.state(2, lock=four.certificate(A)).statement,
        four.address(2),
        four.state(2).signature,
    )
    assert vote_fault(four, *good, relabelled) is VoteFault.SIGNATURE


def test_a_vote_s_signature_is_none_of_a_statement(four) -> None:
    said = four.state(2).statement
    signature = four.keys[2].sign(said.to_bytes(), context=b"qlq/vote/1")
    wrong = SignedStatement(said, four.address(2), signature)
    assert vote_fault(four, four.state(0), four.state(1), wrong) is VoteFault.SIGNATURE


def test_what_a_statement_shows_must_verify_and_belong_there(four) -> None:
    lock, commit = four.certificate(A), four.certificate(A, Round.COMMIT)
    thin = msgspec.structs.replace(lock, bitmap=b"\x03", signatures=lock.signatures[:2])
    elsewhere = four.at(height=8)
    for reason, wrong in {
        CertificateFault.ROUND: [four.state(2, lock=commit), four.state(2, commit=lock)],
        CertificateFault.EPOCH: [
            four.state(2, epoch=1, lock=four.certificate(A, epoch=1)),
            four.state(2, epoch=1, lock=four.certificate(A, epoch=2)),
        ],
        CertificateFault.QUORUM: [four.state(2, lock=thin)],
        CertificateFault.HEIGHT: [
            four.state(2, lock=elsewhere.certificate(A)),
            four.state(2, commit=elsewhere.certificate(A, Round.COMMIT)),
        ],
        CertificateFault.SIGNATURE: [
            four.state(2, lock=four.at(chain=bytes(32)).certificate(A)),
            four.state(2, commit=four.at(chain=bytes(32)).certificate(A, Round.COMMIT)),
        ],
    }.items():
        for one in wrong:
            assert fault(four, four.state(0), four.state(1), one) is reason


def test_two_locks_of_one_epoch_stop_everything(four) -> None:
    first, second = four.certificate(A), four.certificate(B, by=(1, 2, 3))
    said = [four.state(0, lock=first), four.state(1, lock=second), four.state(2)]
    assert fault(four, *said) is CertificateFault.CONFLICT
    finals = [four.certificate(block, Round.COMMIT) for block in (A, B)]
    said = [four.state(0, commit=finals[0]), four.state(1, commit=finals[1]), four.state(2)]
    assert fault(four, *said) is CertificateFault.CONFLICT


@pytest.mark.parametrize("epoch", [0, -1, 1 << 63])
def test_statements_are_for_epochs_from_1(four, epoch: int) -> None:
    raw = msgspec.structs.asdict(four.state(0).statement) | {"epoch": epoch}
    with pytest.raises(ValueError, match="epoch"):
        Statement(**raw)
    with pytest.raises(RemoteMisuse):
        epochs.decode(codec.encode([list(raw.values()), four.address(0), b"s"]))


def test_a_statement_comes_back_from_its_bytes(four) -> None:
    said = four.state(0, 2, four.certificate(A, epoch=1), four.certificate(A, Round.COMMIT))
    assert epochs.decode(said.to_bytes()) == said
    bare = four.state(0)
    assert epochs.decode(bare.to_bytes()) == bare
    digest = b"\xc4\x20"
    expected = b"\x96" + digest + four.chain + b"\x07\x01" + digest + four.validators.hash
    assert bare.statement.to_bytes() == b"\x01" + expected + b"\xc0\xc0"  # nil, nil


@given(data=st.data())
def test_changed_bits_are_refused_by_decoding_or_by_verifying(four, data: st.DataObject) -> None:
    good = four.state(0, lock=four.certificate(A)).to_bytes()
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    changed = bytearray(good)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((RemoteMisuse, InvalidVote, InvalidCertificate)):
        epochs.verify(epochs.decode(bytes(changed)), chain=four.chain, validators=four.validators)


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_statement_or_refused(data: bytes) -> None:
    with pytest.raises(RemoteMisuse):
        epochs.decode(b"\x01" + data)


def test_two_certificates_of_a_hundred_of_the_longest_signatures_fit(assembled) -> None:
    hundred = assembled(100)
    longest = (bytes(1 + Algorithm.HYBRID.signature_bytes),) * 100
    lock = hundred.certificate(by=range(100))
    commit = hundred.certificate(stage=Round.COMMIT, by=range(100))
    shown = [msgspec.structs.replace(one, signatures=longest) for one in (lock, commit)]
    said = hundred.state(0, 1, *shown)
    assert epochs.decode(said.to_bytes()) == said


def test_a_statement_of_too_many_bytes_is_not_even_read() -> None:
    with pytest.raises(RemoteMisuse, match="fit"):
        epochs.decode(bytes(epochs.STATEMENT_BYTES_MAX + 1))

"""A vote counts on its chain, at its height, in its set; two that exclude each other convict."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq import codec
from qlq.consensus import votes
from qlq.consensus.votes import Evidence, Round, SignedVote, Vote
from qlq.crypto.signing import Algorithm
from qlq.errors import InvalidVote, RemoteMisuse
from qlq.faults import VoteFault

A, B = b"\xaa" * 32, b"\xbb" * 32


def test_a_vote_has_the_bytes_of_the_messagepack_specification(four) -> None:
    """A version byte, fixarray 6, bin8 32 three times, and positive fixints (MessagePack, 2013)."""
    vote = four.vote(A, Round.COMMIT, epoch=3)
    digest = b"\xc4\x20"
    body = digest + four.chain + b"\x07\x03\x02" + digest + A + digest + four.validators.hash
    assert vote.to_bytes() == b"\x01\x96" + body
    cast = four.cast(1, A, Round.COMMIT, epoch=3)
    signer, signature = digest + four.address(1), b"\xc4\x41" + cast.signature
    assert cast.to_bytes() == b"\x01\x93\x96" + body + signer + signature


def test_the_signature_is_of_these_bytes_in_the_context_of_votes(four) -> None:
    cast = four.cast(0)
    key = four.keys[0].verifying_key
    key.verify(cast.vote.to_bytes(), cast.signature, context=b"qlq/vote/1")


@pytest.mark.parametrize("algorithm", Algorithm)
def test_votes_of_every_algorithm_verify_and_come_back(assembled, algorithm: Algorithm) -> None:
    one = assembled(1, algorithm)
    cast = one.cast(0)
    votes.verify(cast, chain=one.chain, validators=one.validators)
    assert votes.decode(cast.to_bytes()) == cast


def refusal(four, cast: SignedVote) -> VoteFault:
    with pytest.raises(InvalidVote) as caught:
        votes.verify(cast, chain=four.chain, validators=four.validators)
    return caught.value.reason


def test_votes_from_elsewhere_are_refused_with_their_reason(four, assembled) -> None:
    votes.verify(four.cast(0), chain=four.chain, validators=four.validators)
    assert refusal(four, four.at(chain=bytes(32)).cast(0)) is VoteFault.CHAIN
    five = assembled(5)
    assert refusal(four, five.cast(0)) is VoteFault.VALIDATORS
    stranger = next(key for key in five.keys if key not in four.keys)
    place = five.keys.index(stranger)
    cast = votes.sign(four.vote(), stranger, signer=five.address(place))
    assert refusal(four, cast) is VoteFault.SIGNER


# Each changes one thing that the signature covers, or lays a signature to another's charge.
CHANGES = {
    "height": lambda four, cast: SignedVote(four.at(height=8).vote(), cast.signer, cast.signature),
    "epoch": lambda four, cast: SignedVote(four.vote(epoch=1), cast.signer, cast.signature),
    "round": lambda four, cast: SignedVote(four.vote(A, Round.COMMIT), cast.signer, cast.signature),
    "block": lambda four, cast: SignedVote(four.vote(B), cast.signer, cast.signature),
    "signer": lambda four, cast: SignedVote(cast.vote, four.address(1), cast.signature),
    "algorithm": lambda _, cast: SignedVote(cast.vote, cast.signer, b"\x01" + cast.signature[1:]),
    "length": lambda _, cast: SignedVote(cast.vote, cast.signer, cast.signature[:-1]),
    "context": lambda four, cast: SignedVote(
        cast.vote, cast.signer, four.keys[0].sign(cast.vote.to_bytes(), context=b"qlq/tx/1")
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_signature_says_nothing_about_anything_else(four, change) -> None:
    assert refusal(four, change(four, four.cast(0))) is VoteFault.SIGNATURE


OUTSIDE = {
    "height 0": {"height": 0},
    "height 2^63": {"height": 1 << 63},
    "epoch -1": {"epoch": -1},
    "epoch 2^63": {"epoch": 1 << 63},
    "short chain id": {"chain": bytes(31)},
    "short block hash": {"block": bytes(31)},
    "no set": {"validators_hash": b""},
}


@pytest.mark.parametrize("change", OUTSIDE.values(), ids=OUTSIDE)
def test_fields_outside_their_range_are_refused_here_and_from_others(four, change: dict) -> None:
    good = four.cast(0)
    fields = msgspec.structs.asdict(good.vote) | change
    with pytest.raises(ValueError, match=r"height|epoch|digest"):
        Vote(**fields)
    with pytest.raises(RemoteMisuse):
        votes.decode(codec.encode([list(fields.values()), good.signer, good.signature]))


@pytest.mark.parametrize(("height", "epoch"), [(1, 0), ((1 << 63) - 1, (1 << 63) - 1)])
def test_the_ends_of_the_ranges_belong_to_them(four, height: int, epoch: int) -> None:
    cast = four.at(height=height).cast(0, epoch=epoch)
    assert votes.decode(cast.to_bytes()) == cast
    for length in (1, 4096):
        longest = SignedVote(cast.vote, cast.signer, bytes(length))
        assert votes.decode(longest.to_bytes()) == longest


@pytest.mark.parametrize("stage", [0, 3])
def test_there_are_two_rounds(four, stage: int) -> None:
    good = four.cast(0)
    fields = msgspec.structs.asdict(good.vote) | {"round": stage}
    with pytest.raises(RemoteMisuse):
        votes.decode(codec.encode([list(fields.values()), good.signer, good.signature]))


@pytest.mark.parametrize(("signer", "signature"), [(bytes(31), b"s"), (A, b""), (A, bytes(4097))])
def test_impossible_signers_and_signatures_are_refused(four, signer, signature) -> None:
    with pytest.raises(ValueError, match=r"address|signature"):
        SignedVote(four.vote(), signer, signature)
    fields = list(msgspec.structs.astuple(four.vote()))
    with pytest.raises(RemoteMisuse):
        votes.decode(codec.encode([fields, signer, signature]))


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_vote_or_refused(data: bytes) -> None:
    for decode in (votes.decode, votes.decode_evidence):
        with pytest.raises(RemoteMisuse):
            decode(b"\x01" + data)


@given(data=st.data())
def test_a_changed_bit_is_refused_by_decoding_or_by_verifying(four, data: st.DataObject) -> None:
    good = four.cast(0).to_bytes()
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    changed = bytearray(good)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((RemoteMisuse, InvalidVote)):
        votes.verify(votes.decode(bytes(changed)), chain=four.chain, validators=four.validators)


def test_votes_of_too_many_bytes_are_not_even_read() -> None:
    with pytest.raises(RemoteMisuse, match="fit"):
        votes.decode(bytes(votes.VOTE_BYTES_MAX + 1))
    with pytest.raises(RemoteMisuse, match="fit"):
        votes.decode_evidence(bytes(2 * votes.VOTE_BYTES_MAX + 1))


def test_two_blocks_in_one_round_of_one_epoch_convict(four) -> None:
    evidence = Evidence(four.cast(2, A), four.cast(2, B))
    votes.verify_evidence(evidence, chain=four.chain, validators=four.validators)
    assert votes.decode_evidence(evidence.to_bytes()) == evidence


def test_what_an_honest_validator_may_sign_convicts_nobody(four) -> None:
    first = four.cast(2, A)
    for other in (
        first,
        four.cast(1, B),
        four.cast(2, B, Round.COMMIT),
        four.cast(2, B, epoch=1),
        four.at(height=8).cast(2, B),
        four.at(chain=bytes(32)).cast(2, B),
    ):
        with pytest.raises(InvalidVote) as caught:
            votes.verify_evidence(
                Evidence(first, other), chain=four.chain, validators=four.validators
            )
        assert caught.value.reason is VoteFault.CONSISTENT


@pytest.mark.parametrize("place", [0, 1])
def test_a_forged_vote_convicts_nobody(four, place: int) -> None:
    pair = [four.cast(2, A), four.cast(2, B)]
    pair[place] = SignedVote(pair[place].vote, pair[place].signer, pair[1 - place].signature)
    with pytest.raises(InvalidVote) as caught:
        votes.verify_evidence(Evidence(*pair), chain=four.chain, validators=four.validators)
    assert caught.value.reason is VoteFault.SIGNATURE


def test_the_numbers_of_rounds_stay_what_they_are() -> None:
    assert {stage.name: stage.value for stage in Round} == {"PREPARE": 1, "COMMIT": 2}

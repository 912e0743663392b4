"""Which sets may vote, how many of them decide, and what they are called."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq import codec
from qlq.consensus import validators
from qlq.consensus.validators import Validator, Validators
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import RemoteMisuse

KEY = SigningKey(Algorithm.ED25519, bytes(32)).verifying_key
SEALING = DecapsulationKey(bytes(32)).encapsulation_key
GOOD = validators.validator(KEY, SEALING, weight=1)


# n >= 3f + 1 (Bracha and Toueg 1985): the largest f, and what is left without it.
@pytest.mark.parametrize(
    ("count", "fault_bound", "quorum"),
    [(1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 1, 3), (5, 1, 4), (6, 1, 5), (7, 2, 5), (10, 3, 7)],
)
def test_how_many_may_lie_and_how_many_decide(
    assembled, count: int, fault_bound: int, quorum: int
) -> None:
    found = assembled(count).validators
    assert (found.fault_bound, found.quorum) == (fault_bound, quorum)


def test_two_quorums_of_every_size_have_an_honest_validator_in_common(assembled) -> None:
    hundred = assembled(100).validators.members
    for count in range(1, 101):
        found = Validators(hundred[:count])
        assert 2 * found.quorum - count > found.fault_bound


def test_an_address_and_the_name_of_a_set_are_hashes_of_their_bytes(four) -> None:
    key = four.keys[0].verifying_key.to_bytes()
    name = b"qlq/address/1"
    address = hashlib.sha256(bytes([len(name)]) + name + key).digest()
    assert four.validators.members[0].address == address
    name = b"qlq/validators/1"
    data = b"\x01" + msgspec.msgpack.encode([list(map(fields, four.validators.members))])
    assert four.validators.to_bytes() == data
    assert four.validators.hash == hashlib.sha256(bytes([len(name)]) + name + data).digest()


def fields(member: Validator) -> list[bytes | int]:
    return [member.address, member.key, member.encapsulation_key, member.weight]


def test_a_set_comes_back_from_its_bytes(four) -> None:
    assert validators.decode(four.validators.to_bytes()) == four.validators


def test_a_validator_is_found_by_its_address_and_nobody_else_is(four) -> None:
    for index, member in enumerate(four.validators.members):
        assert member.address in four.validators
        assert four.validators.index(member.address) == index
        assert four.validators.key(member.address).to_bytes() == member.key
    assert bytes(32) not in four.validators
    with pytest.raises(KeyError):
        four.validators.index(bytes(32))
    with pytest.raises(KeyError):
        four.validators.key(bytes(32))


BROKEN = {
    "another's address": (bytes(32), GOOD.key, GOOD.encapsulation_key, 1),
    "no key": (GOOD.address, GOOD.key[:-1], GOOD.encapsulation_key, 1),
    "unknown algorithm": (GOOD.address, b"\x63" + GOOD.key[1:], GOOD.encapsulation_key, 1),
    "nothing to seal with": (GOOD.address, GOOD.key, b"", 1),
    "weight 0": (GOOD.address, GOOD.key, GOOD.encapsulation_key, 0),
    "weight 1001": (GOOD.address, GOOD.key, GOOD.encapsulation_key, 1001),
}


@pytest.mark.parametrize("parts", BROKEN.values(), ids=BROKEN)
def test_what_is_no_validator_is_refused_here_and_from_others(parts: tuple) -> None:
    with pytest.raises(ValueError, match=r"validator|address|weight"):
        Validator(*parts)
    with pytest.raises(RemoteMisuse):
        validators.decode(codec.encode([[list(parts)]]))


def test_a_set_is_in_order_and_names_each_once(four) -> None:
    members = four.validators.members
    for wrong in (members[::-1], (*members, members[-1]), ()):
        with pytest.raises(ValueError, match="validators"):
            Validators(wrong)
        with pytest.raises(RemoteMisuse):
            validators.decode(codec.encode([list(map(fields, wrong))]))
    assert validators.of(*members[::-1]) == four.validators
    with pytest.raises(ValueError, match="each once"):
        validators.of(*members, members[0])


def test_at_most_a_hundred_vote(assembled) -> None:
    assert len(assembled(100).validators) == 100
    with pytest.raises(ValueError, match="101 validators"):
        assembled(101)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_set_or_refused(data: bytes) -> None:
    with pytest.raises(RemoteMisuse):
        validators.decode(b"\x01" + data)


@given(data=st.data())
def test_changed_bytes_are_another_set_or_refused(four, data: st.DataObject) -> None:
    good = four.validators.to_bytes()
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    changed = bytearray(good)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        found = validators.decode(bytes(changed))
    except RemoteMisuse:
        return
    assert found.to_bytes() == changed
    assert found.hash != four.validators.hash


def test_a_set_of_too_many_bytes_is_not_even_read() -> None:
    with pytest.raises(RemoteMisuse, match="fit"):
        validators.decode(bytes(validators.SET_BYTES_MAX + 1))

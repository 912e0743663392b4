"""One value, one byte string; anything else is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq import codec
from qlq.errors import RemoteMisuse


class Vote(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A small message."""

    height: int
    voter: str
    digest: bytes


VOTE = Vote(300, "bob", b"\x00\xff")


def test_bytes_are_those_of_the_messagepack_specification() -> None:
    """A version byte, then fixarray 3, uint16 300, fixstr 3, bin8 2 (MessagePack spec, 2013)."""
    assert codec.encode(VOTE).hex() == "01" + "93" + "cd012c" + "a3626f62" + "c40200ff"


def test_a_value_comes_back() -> None:
    assert codec.decode(codec.encode(VOTE), Vote) == VOTE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02" + codec.encode(VOTE)[1:],
        codec.encode(VOTE)[:-1],
        codec.encode(VOTE) + b"\x00",
        bytes.fromhex("0193" + "ce0000012c" + "a3626f62" + "c40200ff"),  # 300 in four bytes
        bytes.fromhex("0193" + "cd012c" + "d903626f62" + "c40200ff"),  # str8 for three bytes
        bytes.fromhex("0193" + "cd012c" + "a3626f62" + "c5000200ff"),  # bin16 for two bytes
        bytes.fromhex("01dc0003" + "cd012c" + "a3626f62" + "c40200ff"),  # array16 for three
        bytes.fromhex("0194" + "cd012c" + "a3626f62" + "c40200ff" + "00"),  # a fourth field
        bytes.fromhex("0193" + "cb4072c00000000000" + "a3626f62" + "c40200ff"),  # 300.0
        bytes.fromhex("0193" + "cd012c" + "a3ff6f62" + "c40200ff"),  # not UTF-8
        bytes.fromhex("0193" + "cd012c" + "a365cc81" + "c40200ff"),  # e and a combining accent
        b"\x01" + b"\x91" * 100_000,  # nested beyond any stack
    ],
)
def test_bytes_that_are_not_the_canonical_ones_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteMisuse):
        codec.decode(data, Vote)


@pytest.mark.parametrize("value", [0.0, [1, [2.5]], {"rate": 0.1}, (float("nan"),)])
def test_floats_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="float"):
        codec.encode(value)


@pytest.mark.parametrize("value", [1 << 64, -(1 << 63) - 1])
def test_integers_beyond_64_bits_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        codec.encode(value)


def test_text_outside_normal_form_c_is_refused() -> None:
    with pytest.raises(ValueError, match="normal form"):
        codec.encode({"name": "e\N{COMBINING ACUTE ACCENT}"})


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_refusal(data: bytes) -> None:
    try:
        value: Vote = codec.decode(b"\x01" + data, Vote)
    except RemoteMisuse:
        return
    assert codec.encode(value) == b"\x01" + data


@given(
    st.integers(-(2**63), 2**64 - 1),
    st.text(max_size=20),
    st.binary(max_size=40),
)
def test_all_that_can_be_written_can_be_read(height: int, voter: str, digest: bytes) -> None:
    vote = Vote(height, voter, digest)
    try:
        data = codec.encode(vote)
    except ValueError:
        return
    assert codec.decode(data, Vote) == vote

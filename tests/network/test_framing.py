"""A stream of frames in any pieces, and everything that is no frame."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.errors import RemoteMisuse
from qlq.network import framing
from qlq.network.framing import Receiver


def all_of(receiver: Receiver) -> list[bytes]:
    found = []
    while (payload := receiver.next()) is not None:
        found.append(payload)
    return found


def test_a_frame_is_a_version_a_length_and_the_payload() -> None:
    assert framing.encode(b"key").hex() == "01" + "00000003" + "6b6579"


@given(
    payloads=st.lists(st.binary(max_size=40), max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=8),
)
def test_payloads_arrive_whole_in_whatever_pieces(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(framing.encode(payload) for payload in payloads)
    edges = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
    receiver, found = Receiver(), []
    for start, stop in itertools.pairwise(edges):
        receiver.feed(stream[start:stop])
        found += all_of(receiver)
    assert found == payloads
    receiver.finish()


@given(data=st.binary(max_size=80))
def test_any_bytes_are_frames_or_refused(data: bytes) -> None:
    receiver = Receiver(limit_bytes=32)
    receiver.feed(data)
    try:
        found = all_of(receiver)
    except RemoteMisuse:
        return
    again = b"".join(struct.pack(">BI", 1, len(payload)) + payload for payload in found)
    assert data.startswith(again)
    assert all(len(payload) <= 32 for payload in found)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused_at_its_first_byte(version: int) -> None:
    receiver = Receiver()
    receiver.feed(bytes([version]))
    with pytest.raises(RemoteMisuse, match=str(version)):
        receiver.next()


def test_a_frame_above_the_limit_is_refused_before_its_payload() -> None:
    receiver = Receiver(limit_bytes=16)
    receiver.feed(framing.encode(bytes(16)))
    assert receiver.next() == bytes(16)
    receiver.feed(struct.pack(">BI", 1, 17))
    with pytest.raises(RemoteMisuse, match="17"):
        receiver.next()


def test_a_limit_may_be_raised_when_the_other_end_is_known() -> None:
    receiver = Receiver(limit_bytes=16)
    receiver.limit(17)
    receiver.feed(framing.encode(bytes(17)))
    assert receiver.next() == bytes(17)


@pytest.mark.parametrize("cut", [1, 4, 5, 7])
def test_a_stream_that_ends_within_a_frame_is_refused(cut: int) -> None:
    receiver = Receiver()
    receiver.feed(framing.encode(b"key")[:cut])
    assert receiver.next() is None
    with pytest.raises(RemoteMisuse, match=str(cut)):
        receiver.finish()


@pytest.mark.parametrize("limit", [0, -1, (64 << 20) + 1])
def test_a_limit_outside_its_range_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match=str(limit)):
        Receiver(limit_bytes=limit)


def test_a_payload_that_no_frame_carries_is_refused() -> None:
    with pytest.raises(ValueError, match=str((64 << 20) + 1)):
        framing.encode(bytes((64 << 20) + 1))

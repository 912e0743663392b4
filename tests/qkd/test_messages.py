"""Any bytes are a message or RemoteMisuse; bits and settings have one packed form."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qlq.errors import RemoteMisuse
from qlq.qkd import messages
from qlq.qkd.duties import Party
from qlq.qkd.messages import Abort, Acceptance, ParityReply, TranscriptTag
from qlq.qkd.parameters import Protocol, Wanted, commit

NAMES = [kind.__name__ for kind in messages.Message.__args__]
PARAMETERS = commit(Wanted(protocol=Protocol.BB84, pulses=20_000, qber_max=0.02))
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
)
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ATOMS, inner, max_size=3)
)


def examples() -> list[messages.Message]:
    """One message of each kind."""
    values = {bytes: b"\x05\x00", str: "qber", int: 3, type(PARAMETERS): PARAMETERS}
    return [
        kind(*(values[field.type] for field in msgspec.structs.fields(kind)))
        for kind in messages.Message.__args__
    ]


def is_read_or_refused(data: bytes) -> None:
    """What is read is a message with one byte form only."""
    try:
        message = messages.decode(data)
    except RemoteMisuse:
        return
    assert type(message).__name__ in NAMES
    assert messages.encode(message) == data


@settings(max_examples=400, derandomize=True, deadline=None)
@given(data=st.binary(max_size=80))
@example(data=b"")
@example(data=b"\x01")
@example(data=b"\x01\x91\xa8Verified\x00")
@example(data=b"\x02\x91\xa8Verified")
@example(data=b"\x01" + b"\x91" * 5000)
@example(data=b"\x01\xdd\xff\xff\xff\xff")
@example(data=b"\x01\xc6\xff\xff\xff\xff")
def test_any_bytes_are_a_message_or_misuse(data: bytes) -> None:
    is_read_or_refused(data)
    is_read_or_refused(b"\x01" + data)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(name=st.sampled_from([*NAMES, "Message", ""]), fields=st.lists(VALUES, max_size=6))
def test_any_fields_are_a_message_or_misuse(name: str, fields: list) -> None:
    is_read_or_refused(b"\x01" + msgspec.msgpack.encode([name, *fields]))


@settings(max_examples=400, derandomize=True, deadline=None)
@given(kind=st.sampled_from(examples()), data=st.data())
def test_a_changed_message_is_a_message_or_misuse(kind: messages.Message, data) -> None:
    good = bytearray(messages.encode(kind))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    is_read_or_refused(bytes(good))


@pytest.mark.parametrize("message", examples(), ids=NAMES)
def test_each_message_survives_the_wire(message: messages.Message) -> None:
    data = messages.encode(message)
    assert messages.decode(data) == message
    assert data[:1] == b"\x01"
    assert msgspec.msgpack.decode(data[1:])[0] == type(message).__name__
    for cut in range(len(data)):
        with pytest.raises(RemoteMisuse):
            messages.decode(data[:cut])
    with pytest.raises(RemoteMisuse):
        messages.decode(data + b"\x00")


def test_no_field_may_be_added_or_left_out() -> None:
    for message in examples():
        name, *fields = msgspec.msgpack.decode(messages.encode(message)[1:])
        for wrong in ([*fields, 0], fields[:-1]) if fields else ([0],):
            with pytest.raises(RemoteMisuse):
                messages.decode(b"\x01" + msgspec.msgpack.encode([name, *wrong]))


def test_a_message_beyond_64_mebibytes_is_not_even_read() -> None:
    with pytest.raises(RemoteMisuse, match="67108865 bytes is too long"):
        messages.decode(bytes((64 << 20) + 1))


@given(bits=st.lists(st.integers(0, 1), max_size=40))
def test_bits_are_packed_with_the_first_one_highest(bits: list[int]) -> None:
    """Written with Python's integers: big-endian, zeros at the end."""
    size = (len(bits) + 7) // 8
    text = "".join(map(str, bits)).ljust(8 * size, "0")
    expected = int(text or "0", 2).to_bytes(size, "big")
    packed = messages.pack(np.array(bits, dtype=np.uint8))
    assert packed == expected
    assert messages.unpack(packed, count=len(bits)).tolist() == bits


@given(data=st.binary(max_size=6), count=st.integers(0, 60))
def test_unpacked_bits_fit_or_are_refused(data: bytes, count: int) -> None:
    text = "".join(f"{byte:08b}" for byte in data)
    fits = len(data) == (count + 7) // 8 and "1" not in text[count:]
    if fits:
        assert messages.unpack(data, count=count).tolist() == [int(c) for c in text[:count]]
    else:
        with pytest.raises(RemoteMisuse):
            messages.unpack(data, count=count)


@given(kinds=st.integers(2, 5), data=st.data())
def test_settings_survive_the_wire_and_no_other_ones_are_made(kinds: int, data) -> None:
    drawn = data.draw(st.lists(st.integers(0, kinds - 1), min_size=1, max_size=30))
    packed = messages.pack_settings(np.array(drawn, dtype=np.uint8), settings_count=kinds)
    planes = {2: 1, 3: 2, 4: 2, 5: 3}[kinds]
    assert len(packed) == planes * ((len(drawn) + 7) // 8)
    read = messages.unpack_settings(packed, count=len(drawn), settings_count=kinds)
    assert read.tolist() == drawn


def test_a_setting_that_does_not_exist_is_refused() -> None:
    """Number 3 of three settings; both planes have the bit."""
    with pytest.raises(RemoteMisuse, match="does not exist"):
        messages.unpack_settings(b"\x80\x80", count=1, settings_count=3)
    assert messages.unpack_settings(b"\x00\x80", count=1, settings_count=3).tolist() == [2]


@pytest.mark.parametrize(("dtype", "width"), [("<u2", 2), ("<u4", 4)])
def test_integers_are_little_endian_and_unsigned(dtype: str, width: int) -> None:
    values = [0, 1, 258, 2 ** (8 * width) - 1]
    data = b"".join(value.to_bytes(width, "little") for value in values)
    assert messages.integers(data, dtype=dtype, count=4).tolist() == values
    for count in (3, 5):
        with pytest.raises(RemoteMisuse):
            messages.integers(data, dtype=dtype, count=count)
    with pytest.raises(RemoteMisuse):
        messages.integers(data[:-1], dtype=dtype, count=4)


def test_a_transcript_keeps_order_sender_and_bytes(lab) -> None:
    """And each byte string in it is the one form of its message."""
    ending = lab.converse(PARAMETERS)
    assert ending.transcript.length_bytes == sum(len(d) for _, d in ending.transcript.entries)
    for sender, data in ending.transcript.entries:
        assert sender in Party
        is_read_or_refused(data)
        messages.decode(data)


@pytest.mark.parametrize(
    "message", [TranscriptTag(offset_bits=2**64, tag=b""), Abort(reason="e\u0301")]
)
def test_what_has_no_canonical_form_is_never_sent(message: messages.Message) -> None:
    with pytest.raises(ValueError, match=r"64 bits|normal form"):
        messages.encode(message)


def test_text_has_one_form_on_the_wire() -> None:
    composed = msgspec.msgpack.encode(["Acceptance", "\u00e9"])
    assert messages.decode(b"\x01" + composed) == Acceptance("\u00e9")
    with pytest.raises(RemoteMisuse):
        messages.decode(b"\x01" + msgspec.msgpack.encode(["Acceptance", "e\u0301"]))
    with pytest.raises(RemoteMisuse, match="reason"):  # it would end up on a terminal
        messages.decode(b"\x01" + msgspec.msgpack.encode(["Abort", "\u001b[2J"]))
    with pytest.raises(RemoteMisuse):  # a longer form of the same array
        messages.decode(b"\x01" + b"\xdc\x00\x02" + composed[1:])
    assert messages.decode(messages.encode(ParityReply(b""))) == ParityReply(b"")

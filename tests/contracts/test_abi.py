"""The interface of a contract, and values of calls as bytes and as JSON."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.contracts import abi, checker, encoding, values
from qlq.contracts.encoding import DecodingError
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type

SOURCE = b"""from qlq.contract import (
    Address, Bytes, Contract, Enum, Map, Struct, event, external, u64, u128,
)
class Phase(Enum):
    OPEN = 0
    CLOSED = 1
class Bid(Struct):
    bidder: Address
    amount: u128
    phase: Phase
class Market(Contract):
    best: Bid
    sums: Map[Address, Map[u64, bool]]
    @event
    def Sold(self, bid: Bid, note: Bytes[3]) -> None: ...
    def init(self, limit: u64) -> None:
        assert limit > 0, "no limit"
    @external
    def bid(self, bid: Bid, note: Bytes[3], flag: bool) -> Bid:
        assert flag
        return bid
    def _inside(self) -> None:
        pass
"""
PROGRAM = checker.check(SOURCE)
FUNCTIONS = {function.name: function for function in PROGRAM.functions}
PHASE = EnumType("Phase", ("OPEN", "CLOSED"))
BID = StructType("Bid", (("bidder", Plain.ADDRESS), ("amount", Plain.U128), ("phase", PHASE)))
WHO = bytes(range(32))


def test_the_document_says_all_that_a_caller_needs() -> None:
    document = json.loads(json.dumps(abi.document(PROGRAM)))
    init, bid = document["functions"]
    assert (init["name"], init["id"], init["kind"]) == ("init", None, "init")
    assert bid["signature"] == "bid((Address,u128,enum),Bytes[3],bool)"
    assert bid["id"] == hashlib.sha256(bid["signature"].encode()).hexdigest()[:8]
    assert bid["takes_value"] is False
    assert bid["output"]["bytes"] == 32 + 16 + 1
    assert [field["name"] for field in bid["output"]["fields"]] == ["bidder", "amount", "phase"]
    assert bid["output"]["fields"][2]["type"]["members"] == ["OPEN", "CLOSED"]
    best, sums = document["state"]
    assert best["slot"] == hashlib.sha256(b"best").hexdigest()[:16]
    assert [kind["name"] for kind in sums["keys"]] == ["Address", "u64"]
    assert document["errors"] == [
        {"code": 0, "text": "no limit", "function": "init", "line": 17},
        {"code": 1, "text": "assertion failed", "function": "bid", "line": 20},
    ]
    assert document["events"][0]["inputs"][1] == {
        "name": "note", "type": {"name": "Bytes[3]", "bytes": 5},
    }  # fmt: skip


def test_data_of_a_call_are_the_id_and_fixed_width_little_endian_values() -> None:
    bid = FUNCTIONS["bid"]
    data = abi.encode_arguments(bid, [(WHO, 2**70 + 5, 1), b"ab", True])
    packed = struct.pack("<32sQQBH3sB", WHO, 5, 64, 1, 2, b"ab", 1)
    assert data == bid.method_id + packed
    assert abi.decode_arguments(bid, data) == ((WHO, 2**70 + 5, 1), b"ab", True)
    assert abi.encode_arguments(FUNCTIONS["init"], [7]) == struct.pack("<Q", 7)
    assert abi.decode_return(bid, packed[:49]) == (WHO, 2**70 + 5, 1)
    sold = abi.decode_event(PROGRAM.events[0], packed[:-1])
    assert sold == {"bid": (WHO, 2**70 + 5, 1), "note": b"ab"}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Plain.BOOL, b"\x02"), (PHASE, b"\x02"), (BytesType(3), b"\x04\x00abc"),
        (BytesType(3), b"\x01\x00ab\x00"), (BytesType(3), b"\x00\x00\x00\x00\x01"),
        (Plain.U64, bytes(7)), (Plain.U64, bytes(9)), (Plain.ADDRESS, bytes(31)),
        (BID, bytes(48) + b"\x02"), (BytesType(3), b"\x00\x01abc"),
    ],
)  # fmt: skip
def test_what_no_value_is_encoded_as_is_refused(kind: Type, data: bytes) -> None:
    with pytest.raises(DecodingError):
        encoding.decode(kind, data)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Plain.U64, 2**64), (Plain.U64, -1), (Plain.U128, 2**128), (PHASE, 2), (Plain.BOOL, 2),
        (Plain.ADDRESS, bytes(31)), (BytesType(3), b"abcd"), (BID, (WHO, 1)), (Plain.U64, b"1"),
    ],
)  # fmt: skip
def test_what_a_type_does_not_have_is_not_encoded(kind: Type, value: Any) -> None:
    with pytest.raises(ValueError, match="not a"):
        encoding.encode(kind, value)


def kinds() -> st.SearchStrategy[Type]:
    plain = st.sampled_from([*Plain, PHASE]) | st.integers(1, 40).map(BytesType)
    names = st.integers(1, 4).map(lambda count: [f"f{number}" for number in range(count)])
    return st.recursive(
        plain,
        lambda inner: names.flatmap(
            lambda named: st.tuples(*(inner for _ in named)).map(
                lambda parts: StructType("S", tuple(zip(named, parts, strict=True)))
            )
        ),
        max_leaves=6,
    )


def values_of(kind: Type) -> st.SearchStrategy[Any]:
    match kind:
        case Plain.U64 | Plain.U128:
            return st.integers(0, 2 ** (8 * values.size(kind)) - 1)
        case Plain.BOOL:
            return st.booleans()
        case EnumType(_, members):
            return st.integers(0, len(members) - 1)
        case BytesType(capacity):
            return st.binary(max_size=capacity)
        case StructType(_, fields):
            return st.tuples(*(values_of(part) for _, part in fields))
    return st.binary(min_size=32, max_size=32)


@given(kind=kinds(), data=st.data())
def test_every_value_comes_back_from_bytes_and_from_json(kind: Type, data: st.DataObject) -> None:
    value = data.draw(values_of(kind))
    encoded = encoding.encode(kind, value)
    assert len(encoded) == values.size(kind)
    assert encoding.decode(kind, encoded) == value
    assert encoding.decode_key(kind, encoding.encode_key(kind, value)) == value
    assert abi.from_json(kind, json.loads(json.dumps(abi.to_json(kind, value)))) == value
    assert (encoded == bytes(len(encoded))) == (value == values.zero(kind))


@given(kind=kinds(), data=st.binary(max_size=60))
def test_any_bytes_are_a_value_s_encoding_or_refused(kind: Type, data: bytes) -> None:
    try:
        value = encoding.decode(kind, data)
    except DecodingError:
        return
    assert encoding.encode(kind, value) == data


@given(numbers=st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=20))
def test_keys_ascend_as_their_numbers_do(numbers: list[int]) -> None:
    by_key = sorted(numbers, key=lambda number: encoding.encode_key(Plain.U64, number))
    assert by_key == sorted(numbers)


@pytest.mark.parametrize(
    ("kind", "given_"),
    [
        (Plain.U64, "-1"), (Plain.U64, "1.0"), (Plain.U64, 1.0), (Plain.U64, True),
        (Plain.U64, "0x10"), (Plain.U64, "9" * 5000), (Plain.U64, "٣"), (Plain.U64, 2**64),
        (Plain.U64, None), (Plain.BOOL, 1), (Plain.BOOL, "true"), (PHASE, "GONE"), (PHASE, 1),
        (Plain.ADDRESS, "00"), (Plain.ADDRESS, "zz" * 32), (BytesType(1), "0011"),
        (BID, {"bidder": "00" * 32, "amount": "1"}), (BID, [1, 2, 3]),
        (BID, {"bidder": "00" * 32, "amount": "1", "phase": "OPEN", "more": 1}),
    ],
)  # fmt: skip
def test_json_that_is_no_value_is_refused_with_what_is_expected(kind: Type, given_: Any) -> None:
    with pytest.raises(ValueError, match="not a"):
        abi.from_json(kind, given_)


def test_calls_with_other_values_or_for_other_methods_are_refused() -> None:
    bid = FUNCTIONS["bid"]
    with pytest.raises(ValueError, match="takes 3 values, not 1"):
        abi.encode_arguments(bid, [1])
    data = abi.encode_arguments(bid, [(WHO, 1, 0), b"", False])
    for wrong in (data[:-1], data + b"\0", b"\0" * len(data), b""):
        with pytest.raises(DecodingError):
            abi.decode_arguments(bid, wrong)
    with pytest.raises(DecodingError, match="returns nothing"):
        abi.decode_return(FUNCTIONS["init"], b"\0")
    assert abi.decode_return(FUNCTIONS["init"], b"") is None

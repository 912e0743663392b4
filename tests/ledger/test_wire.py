"""Any bytes are read as what they are or refused by one error; a value has one form."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlq.consensus import certificate, votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.votes import SignedVote
from qlq.errors import ConfigError, InvalidBlock, InvalidTransaction, RemoteMisuse
from qlq.faults import TransactionFault
from qlq.ledger import (
    block,
    genesis,
    parcel,
    sealing,
    transaction,
)
from qlq.ledger.block import Block
from qlq.ledger.genesis import Genesis
from qlq.ledger.parcel import Parcel
from qlq.ledger.sealing import SealedTransaction
from qlq.ledger.transaction import SealKind, SealRecord, SignedTransaction
from qlq.provenance import Claim

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "vectors/wire_v1.json").read_text())
BYTES_MAX = 1 << 20

DECODERS: dict[str, tuple[Callable[[bytes], Any], type[Exception], type]] = {
    "transactions": (transaction.decode, InvalidTransaction, SignedTransaction),
    "sealed": (
        lambda data: sealing.decode(data, bytes_max=BYTES_MAX),
        InvalidTransaction,
        SealedTransaction,
    ),
    "block": (block.decode, InvalidBlock, Block),
    "parcel": (lambda data: parcel.decode(data, bytes_max=BYTES_MAX), RemoteMisuse, Parcel),
    "genesis": (genesis.decode, ConfigError, Genesis),
    "vote": (votes.decode, RemoteMisuse, SignedVote),
    "certificate": (certificate.decode, RemoteMisuse, QuorumCertificate),
}
"""What reads each type, and the one error that it raises."""


def items(name: str) -> list[dict[str, Any]]:
    """The vectors of one type."""
    found = GOLDEN[name]
    return found if isinstance(found, list) else [found]


def value(item: dict[str, Any]) -> Any:
    """The vector's value as plain lists; bytes are written 0x…"""

    def plain(one: Any) -> Any:
        if isinstance(one, list):
            return [plain(part) for part in one]
        is_bytes = isinstance(one, str) and one.startswith("0x")
        return bytes.fromhex(one[2:]) if is_bytes else one

    return plain(item["value"])


def data(name: str, index: int = 0) -> bytes:
    return bytes.fromhex(items(name)[index]["bytes"])


# -- an encoder of our own, from the MessagePack specification --------------------------------

SIZES = ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8))


def integer(number: int, *, wider: int = 0) -> bytes:
    """An integer from 0 on, in the shortest form or a wider one."""
    forms = [bytes([number])] if number < 0x80 else []
    forms += [
        bytes([code]) + number.to_bytes(size, "big")
        for code, size in SIZES
        if number < 1 << 8 * size
    ]
    return forms[min(wider, len(forms) - 1)]


def sized(
    length: int, *, short: tuple[int, int], codes: Sequence[tuple[int, int]], wider: int
) -> bytes:
    """A length, within the first byte where it is below the limit, or in some bytes after it."""
    first, limit = short
    forms = [bytes([first | length])] if length < limit else []
    forms += [
        bytes([code]) + length.to_bytes(size, "big")
        for code, size in codes
        if length < 1 << 8 * size
    ]
    return forms[min(wider, len(forms) - 1)]


def packed(one: Any, *, wide: Callable[[Any], int] = lambda _: 0) -> bytes:
    """MessagePack of a value; `wide` says how much longer than needed each part is written."""
    extra = wide(one)
    if isinstance(one, int):
        return integer(one, wider=extra)
    if isinstance(one, bytes):
        codes = ((0xC4, 1), (0xC5, 2), (0xC6, 4))
        return sized(len(one), short=(0, 0), codes=codes, wider=extra) + one
    if isinstance(one, str):
        raw = one.encode()
        codes = ((0xD9, 1), (0xDA, 2), (0xDB, 4))
        return sized(len(raw), short=(0xA0, 32), codes=codes, wider=extra) + raw
    parts = b"".join(packed(part, wide=wide) for part in one)
    return sized(len(one), short=(0x90, 16), codes=((0xDC, 2), (0xDD, 4)), wider=extra) + parts


def parts(one: Any) -> list[Any]:
    """A value and everything in it."""
    return [one, *(part for below in one for part in parts(below))] if type(one) is list else [one]


# -- bytes of any kind ------------------------------------------------------------------------


def is_read_or_refused(name: str, found: bytes) -> None:
    """A value with these very bytes, or the one error."""
    decode, error, kind = DECODERS[name]
    try:
        read = decode(found)
    except error:
        return
    assert isinstance(read, kind)
    assert read.to_bytes() == found


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=8),
    lambda below: st.lists(below, max_size=8) | st.dictionaries(st.text(max_size=4), below),
    max_leaves=20,
)


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=50)
@given(found=st.binary(max_size=200) | VALUES.map(lambda one: b"\1" + msgspec.msgpack.encode(one)))
def test_any_bytes_are_read_or_refused(name: str, found: bytes) -> None:
    is_read_or_refused(name, found)
    is_read_or_refused(name, b"\1" + found)


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=50)
@given(data=st.data())
def test_changed_bytes_are_read_or_refused(name: str, data: st.DataObject) -> None:
    """Parts of a sound value replaced by parts of others, cut or exchanged."""
    found = bytearray(bytes.fromhex(data.draw(st.sampled_from(items(name)))["bytes"]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(found)))
        end = start + data.draw(st.integers(0, 8))
        found[start:end] = data.draw(st.binary(max_size=8))
    is_read_or_refused(name, bytes(found))


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa0", b"\xdd\xff\xff\xff\xff"])
def test_deep_and_endless_nesting_is_refused(name: str, opening: bytes) -> None:
    decode, error, _ = DECODERS[name]
    with pytest.raises(error):
        decode(b"\1" + opening * 100_000)


@pytest.mark.parametrize("name", DECODERS)
def test_every_flipped_bit_is_read_as_itself_or_refused(name: str) -> None:
    for item in items(name):
        kept = bytes.fromhex(item["bytes"])
        for bit in range(8 * min(len(kept), 600)):
            changed = bytearray(kept)
            changed[bit // 8] ^= 1 << bit % 8
            is_read_or_refused(name, bytes(changed))


# -- other bytes of the same value ------------------------------------------------------------


def _wide(part: Any, extra: int, one: Any) -> int:
    return extra if one is part else 0


def other_forms(item: dict[str, Any]) -> list[bytes]:
    """Every part written longer than needed, one at a time."""
    whole = value(item)
    found = [
        b"\1" + packed(whole, wide=partial(_wide, part, extra))
        for part in parts(whole)
        for extra in (1, 2, 3, 4)
    ]
    kept = bytes.fromhex(item["bytes"])
    return [one for one in dict.fromkeys(found) if one != kept]


@pytest.mark.parametrize("name", DECODERS)
def test_a_value_has_one_form(name: str) -> None:
    """Longer forms hold the same value, as a lax reader sees, and are refused."""
    decode, error, kind = DECODERS[name]
    forms = other_forms(items(name)[0])
    assert len(forms) > 20
    for form in forms:
        assert msgspec.msgpack.decode(form[1:], type=kind).to_bytes() == data(name)
        with pytest.raises(error):
            decode(form)


@pytest.mark.parametrize("name", DECODERS)
def test_fields_are_neither_left_out_nor_added(name: str) -> None:
    """Also those with a default, and those that a lax reader passes over."""
    decode, error, kind = DECODERS[name]
    kept, fields = data(name), value(items(name)[0])
    longer = b"\1" + packed([*fields, 0])
    assert msgspec.msgpack.decode(longer[1:], type=kind).to_bytes() == kept
    shorter = b"\1" + packed(fields[:-1])
    for found in (longer, shorter, kept + b"\0", kept[:-1], kept[1:], b"", b"\1"):
        with pytest.raises(error):
            decode(found)
    for version in (0, 2, 0x81, 255):
        with pytest.raises(error):
            decode(bytes([version]) + kept[1:])


def test_a_draft_without_its_last_fields_is_refused() -> None:
    """Memo and seals have defaults, so that a lax reader fills them in."""
    draft, authorisations = value(items("transactions")[1])
    assert draft[-2:] == [b"", []]
    for fields in (draft[:-1], draft[:-2]):
        form = b"\1" + packed([fields, authorisations])
        read = msgspec.msgpack.decode(form[1:], type=SignedTransaction)
        assert read.to_bytes() == data("transactions", 1)
        with pytest.raises(InvalidTransaction):
            transaction.decode(form)


def test_an_unknown_operation_is_refused() -> None:
    draft, authorisations = value(items("transactions")[0])
    for tag in (0, 18, 255, 1 << 40):
        fields = [*draft[:6], [[tag, *draft[6][0][1:]]], *draft[7:]]
        with pytest.raises(InvalidTransaction):
            transaction.decode(b"\1" + packed([fields, authorisations]))


def test_a_seal_claims_what_there_is_to_claim() -> None:
    """Nothing without a link key, and nothing that has no name."""
    key_id = bytes(16)
    for claim in Claim:
        transaction.check_seals((SealRecord(bytes(32), SealKind.QKD_AND_PQ, key_id, claim),))
    for record in (
        SealRecord(bytes(32), SealKind.PQ, b"", 1),
        SealRecord(bytes(32), SealKind.QKD_AND_PQ, key_id, 4),
        SealRecord(bytes(32), SealKind.QKD, key_id, 1 << 62),
    ):
        with pytest.raises(InvalidTransaction) as caught:
            transaction.check_seals((record,))
        assert caught.value.reason is TransactionFault.MALFORMED

"""What goes over the wire keeps its bytes, and bytes of no other form are taken for it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from qlq import codec
from qlq.consensus import certificate, votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.proposer import ProposerMode
from qlq.consensus.votes import Round, SignedVote
from qlq.crypto.signing import Algorithm
from qlq.errors import ConfigError, InvalidBlock, InvalidTransaction, RemoteMisuse
from qlq.faults import TransactionFault
from qlq.ledger import (
    block,
    execution,
    genesis,
    operations,
    parcel,
    records,
    sealing,
    transaction,
    transition,
)
from qlq.ledger.block import Block, Header
from qlq.ledger.genesis import Genesis, PolicyKind
from qlq.ledger.operations import AnchorKind, Operation
from qlq.ledger.parcel import Content, Parcel
from qlq.ledger.receipt import Receipt, Status
from qlq.ledger.sealing import LinkKey, Opener, SealedTransaction
from qlq.ledger.state import State
from qlq.ledger.transaction import SealKind, SealRecord, SignedTransaction
from qlq.ledger.transition import Rules
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

OTHERS: dict[str, Any] = {"operations": Operation, "receipts": Receipt, "header": Header}
KINDS = {name: kind for name, (_, _, kind) in DECODERS.items()} | OTHERS


def items(name: str) -> list[dict[str, Any]]:
    """The vectors of one type."""
    found = GOLDEN[name]
    if name == "operations":
        return list(found.values())
    return found if isinstance(found, list) else [found]


def all_items() -> list[tuple[str, dict[str, Any]]]:
    return [(name, item) for name in KINDS for item in items(name)]


def value(item: dict[str, Any]) -> Any:
    """The vector's value as plain lists; bytes are written 0x…"""

    def plain(one: Any) -> Any:
        if isinstance(one, list):
            return [plain(part) for part in one]
        is_bytes = isinstance(one, str) and one.startswith("0x")
        return bytes.fromhex(one[2:]) if is_bytes else one

    return plain(item["value"])


def plain(found: Any) -> Any:
    """A struct as `value` shows it."""
    if isinstance(found, tuple | list):
        return [plain(one) for one in found]
    is_struct = isinstance(found, msgspec.Struct)
    return plain(msgspec.to_builtins(found, builtin_types=(bytes,))) if is_struct else found


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


def named(name: bytes, content: bytes) -> bytes:
    return hashlib.sha256(bytes([len(name)]) + name + content).digest()


def log_root(entries: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, as it is written there."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    cut = 1 << (len(entries) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + log_root(entries[:cut]) + log_root(entries[cut:])).digest()


def map_root(entries: list[tuple[bytes, bytes]], bit: int = 0) -> bytes:
    """The compact sparse tree over hashed keys and hashed values."""
    if len(entries) < 2:
        return hashlib.sha256(b"\0" + b"".join(entries[0])).digest() if entries else bytes(32)
    sides: tuple[list[tuple[bytes, bytes]], ...] = ([], [])
    for entry in entries:
        sides[entry[0][bit // 8] >> 7 - bit % 8 & 1].append(entry)
    left, right = (map_root(side, bit + 1) for side in sides)
    return hashlib.sha256(b"\1" + left + right).digest()


def state_root(name: str) -> bytes:
    pairs = [(bytes.fromhex(key), bytes.fromhex(found)) for key, found in GOLDEN[name]["entries"]]
    hashed = [tuple(hashlib.sha256(part).digest() for part in pair) for pair in pairs]
    return map_root(hashed)  # type: ignore[arg-type]


# -- the golden vectors -----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "item"), all_items())
def test_the_bytes_are_the_kept_ones(name: str, item: dict[str, Any]) -> None:
    """Version byte 1 and MessagePack of the fields in order, by an encoder of our own."""
    kept = bytes.fromhex(item["bytes"])
    assert kept == b"\1" + packed(value(item))
    found = codec.decode(kept, KINDS[name])
    assert plain(found) == value(item)
    assert codec.encode(found) == kept
    if name in DECODERS:
        assert DECODERS[name][0](kept) == found


def test_each_operation_has_a_vector() -> None:
    tags = {value(item)[0] for item in items("operations")}
    assert tags == {kind.__struct_config__.tag for kind in get_args(Operation)}
    assert tags == set(range(1, 18))
    for item in items("operations"):
        operations.check(codec.decode(bytes.fromhex(item["bytes"]), Operation))


def test_numbers_are_the_kept_ones() -> None:
    kinds = (SealKind, Claim, AnchorKind, Status, PolicyKind, ProposerMode, Round, Content)
    found = {kind.__name__: {one.name: int(one) for one in kind} for kind in kinds}
    found["Algorithm"] = {one.name: one.value for one in Algorithm}
    found["TransactionFault"] = {one.word: int(one) for one in TransactionFault}
    assert found == GOLDEN["numbers"]


def test_digests_are_those_of_their_names() -> None:
    """By hashlib, over the kept bytes."""
    made, header, ids = GOLDEN["genesis"], items("header")[0], GOLDEN["ids"]
    fields, head = value(made), value(header)
    rules = b"\1" + packed([fields[4], fields[5], fields[6]])
    assert named(b"qlq/chain/1", data("genesis")).hex() == made["chain"] == head[0].hex()
    assert named(b"qlq/parameters/1", rules) == head[14] == bytes.fromhex(made["parameters_hash"])
    voters = b"\1" + packed(fields[2])
    assert named(b"qlq/validators/1", voters) == head[13] == bytes.fromhex(made["validators_hash"])
    assert named(b"qlq/block/1", data("header")).hex() == header["hash"]
    drafts = [b"\1" + packed(value(item)[0]) for item in items("transactions")]
    tx_ids = [named(b"qlq/tx-id/1", draft) for draft in drafts]
    assert [id_.hex() for id_ in tx_ids] == [item["id"] for item in items("transactions")]
    assert named(b"qlq/asset/1", tx_ids[0] + b"\0\0").hex() == ids["asset"]
    assert named(b"qlq/escrow/1", tx_ids[1] + b"\0\0").hex() == ids["escrow"]
    assert named(b"qlq/deposits/1", b"").hex() == ids["deposits"] == records.DEPOSITS.hex()
    key = value(items("transactions")[0])[1][0][1]
    assert named(b"qlq/address/1", key).hex() == ids["alice"]
    salt = hashlib.sha256(b"salt").digest()
    assert named(b"qlq/commitment/1", salt + b"data").hex() == ids["commitment"]
    assert sealing.commit(b"data", salt).hex() == ids["commitment"]
    assert named(b"qlq/sealed-tx/1", data("sealed")).hex() == GOLDEN["sealed"]["digest"]


def test_roots_are_those_of_their_trees() -> None:
    head = value(items("header")[0])
    entries = [bytes.fromhex(item["bytes"]) for item in items("transactions")]
    assert value(GOLDEN["block"]) == [head, entries]
    assert head[8] == len(entries)
    assert head[9] == log_root(entries)
    assert head[10] == log_root([bytes.fromhex(item["bytes"]) for item in items("receipts")])
    assert head[11] == state_root("state_after") == bytes.fromhex(GOLDEN["state_after"]["root"])
    assert head[12] == log_root([])
    assert state_root("state").hex() == GOLDEN["state"]["root"]


def test_signatures_are_made_in_their_contexts() -> None:
    """Ed25519 by `cryptography`, over the documented framing."""

    def verify(key: bytes, signature: bytes, context: bytes, message: bytes) -> None:
        assert key[0] == signature[0] == Algorithm.ED25519.value
        framed = b"qlq Ed25519 1" + bytes([len(context)]) + context + message
        Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[1:], framed)

    draft, ((_, key, signature),) = value(items("transactions")[0])
    verify(key, signature, b"qlq/tx/1", b"\1" + packed(draft))
    ((_, voter, _, _),) = value(GOLDEN["genesis"])[2][0]
    vote, _, signature = value(GOLDEN["vote"])
    verify(voter, signature, b"qlq/vote/1", b"\1" + packed(vote))
    assert value(GOLDEN["certificate"])[-1] == [signature]
    _, new, proof = value(GOLDEN["operations"]["rotate"])
    chain, account = bytes.fromhex(GOLDEN["genesis"]["chain"]), GOLDEN["ids"]["alice"]
    verify(new, proof, b"qlq/rotation/1", chain + bytes.fromhex(account))


def test_what_is_signed_now_is_signed_as_then(world: Any) -> None:
    """Ed25519 signs one message in one way."""
    made, alice, node = genesis.decode(data("genesis")), world.person("alice"), world.node("0")
    assert made.to_bytes() == world.chain(genesis.FEES, rich=(alice,)).rules.genesis.to_bytes()
    first = transaction.decode(data("transactions"))
    shown = alice.key.verifying_key
    again = transaction.sign(first.draft, alice.address, alice.key, shown=shown)
    assert SignedTransaction(first.draft, (again,)) == first
    rotation = transaction.rotation(alice.address, world.person("new").key, chain=made.chain)
    assert codec.encode(rotation).hex() == GOLDEN["operations"]["rotate"]["bytes"]
    vote = votes.decode(data("vote"))
    cast = votes.sign(vote.vote, node.key, signer=node.address)
    assert cast == vote
    assert certificate.make([cast], validators=made.validators).to_bytes() == data("certificate")


def test_the_kept_block_still_does_what_it_did() -> None:
    """The state before and after it entry by entry, its receipts, and its certificate."""
    made = genesis.decode(data("genesis"))
    rules = Rules(made, made.chain, execution.NoContracts())
    state, tip = transition.begin(made)
    found = block.decode(data("block"))
    certificate.verify(
        certificate.decode(data("certificate")), chain=made.chain, validators=made.validators
    )
    assert shown(state) == GOLDEN["state"]["entries"]
    outcome = transition.apply_block(state, tip, found, rules=rules)
    receipts = [receipt.to_bytes().hex() for receipt in outcome.receipts]
    assert receipts == [item["bytes"] for item in items("receipts")]
    assert [receipt.status for receipt in outcome.receipts] == [0, 0, 1]
    state.accept(outcome.changes, outcome.tree)
    assert shown(state) == GOLDEN["state_after"]["entries"]


def shown(state: State) -> list[list[str]]:
    return [[key.hex(), found.hex()] for key, found in state.items()]


def test_the_writes_of_a_receipt_are_those_of_its_transaction() -> None:
    """Fee and nonce are none of them: what the operations and the deposit changed, by key."""
    first = value(items("receipts")[0])
    ids, after = GOLDEN["ids"], dict(GOLDEN["state_after"]["entries"])
    symbol, asset = b"YGOLD", b"S" + bytes.fromhex(ids["asset"])
    anchor = b"N" + hashlib.sha256(b"one").digest()
    changes = {key: bytes.fromhex(after[key.hex()]) for key in (symbol, asset, anchor)}
    alice, deposits = bytes.fromhex(ids["alice"]), bytes.fromhex(ids["deposits"])
    key = value(items("transactions")[0])[1][0][1]
    native, held = 10**12, 3 * genesis.FEES.deposit
    left = native - genesis.FEES.fee_min - held
    changes[b"A" + alice] = b"\1" + packed([1, left, key, 3])
    changes[b"A" + deposits] = b"\1" + packed([0, held, b"", 0])
    written = b"\1" + packed([list(pair) for pair in sorted(changes.items())])
    assert named(b"qlq/writes/1", written) == first[-1]
    assert value(items("receipts")[2])[-1] == bytes(32)


# -- what is sealed ---------------------------------------------------------------------------


def expand(secret: bytes, info: bytes) -> bytes:
    """32 bytes by HKDF-SHA256 without salt, RFC 5869."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\1", "sha256")


def opened(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    """AES-256-GCM: version byte 1, nonce, ciphertext and tag; the version is bound, too."""
    assert sealed[:1] == b"\1"
    assert sealed[1:13] == bytes(12)
    return AESGCM(key).decrypt(sealed[1:13], sealed[13:], b"\1" + bound)


def link(index: int) -> bytes:
    return hashlib.sha256(b"link %d" % index).digest() + b"more"


def test_the_kept_envelope_opens_as_documented(world: Any) -> None:
    """Each kind of seal, by `hmac`, AES-GCM and the reader's key alone."""
    fields = value(GOLDEN["sealed"])
    *clear, wraps, ciphertext = fields
    outside = b"qlq/sealed-tx/1\1" + packed(clear)
    content = hashlib.sha256(b"content").digest()
    inside = bytes.fromhex(GOLDEN["sealed"]["inside"])
    assert opened(content, ciphertext, outside) == inside
    nodes = sorted((world.node(f"{index}") for index in range(3)), key=lambda one: one.address)
    kinds = [SealKind.QKD, SealKind.QKD_AND_PQ, SealKind.PQ]
    for index, (record, (encapsulated, wrapped)) in enumerate(zip(clear[5], wraps, strict=True)):
        assert record[:2] == [nodes[index].address, kinds[index]]
        digest = hashlib.sha256(outside).digest()
        info = b"qlq/seal-wrap/1\1" + packed([record, digest])
        if kinds[index] is SealKind.PQ:
            assert nodes[index].opening.unseal(wrapped, info=info) == content
            continue
        double = kinds[index] is SealKind.QKD_AND_PQ
        secret = nodes[index].opening.decapsulate(encapsulated) if double else b""
        lengths = [len(one).to_bytes(4, "big") for one in (link(index), secret)]
        key = expand(lengths[0] + link(index) + lengths[1] + secret, info)
        assert opened(key, wrapped, info) == content


def test_the_kept_envelope_still_opens(world: Any) -> None:
    sealed = sealing.decode(data("sealed"), bytes_max=BYTES_MAX)
    nodes = sorted((world.node(f"{index}") for index in range(3)), key=lambda one: one.address)
    claims = (Claim.TWO_NODE, Claim.SIMULATION)
    links = {bytes([at]) * 16: LinkKey(bytes([at]) * 16, claims[at], link(at)) for at in (0, 1)}
    for one in nodes:
        found = sealing.unseal(sealed, Opener(one.address, one.opening), links.__getitem__)
        assert found.to_bytes().hex() == GOLDEN["sealed"]["inside"]


def test_the_kept_parcel_opens_as_documented(world: Any) -> None:
    content, chain, height, ((reader, wrapped),), ciphertext = value(GOLDEN["parcel"])
    clear = hashlib.sha256(b"\1" + packed([content, chain, height])).digest()
    node = world.node("0")
    assert reader == node.address
    key = node.opening.unseal(wrapped, info=b"qlq/parcel/1" + clear)
    assert opened(key, ciphertext, b"qlq/parcel/1" + clear) == b"a block"
    found = parcel.decode(data("parcel"), bytes_max=BYTES_MAX)
    opener = Opener(node.address, node.opening)
    assert parcel.unpack(found, opener, content=Content.BLOCK, chain=chain) == b"a block"


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

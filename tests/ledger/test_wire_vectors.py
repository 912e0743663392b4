"""What goes over the wire is what went over it when the vectors were made."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qlq import codec
from qlq.consensus import certificate, votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.proposer import ProposerMode
from qlq.consensus.votes import Round, SignedVote
from qlq.crypto.signing import Algorithm
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
from qlq.ledger.transaction import SealKind, SignedTransaction
from qlq.ledger.transition import Rules
from qlq.provenance import Claim

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "vectors/wire_v1.json").read_text())
BYTES_MAX = 1 << 20
KINDS: dict[str, Any] = {
    "operations": Operation,
    "transactions": SignedTransaction,
    "receipts": Receipt,
    "header": Header,
    "block": Block,
    "genesis": Genesis,
    "sealed": SealedTransaction,
    "parcel": Parcel,
    "vote": SignedVote,
    "certificate": QuorumCertificate,
}


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


def packed(one: Any) -> bytes:
    """MessagePack of what the wire holds, from the specification."""
    if isinstance(one, int):
        if one < 0x80:
            return bytes([one])
        for code, size in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
            if one < 1 << 8 * size:
                return bytes([code]) + one.to_bytes(size, "big")
    if isinstance(one, bytes):
        size = 1 if len(one) < 1 << 8 else 2
        return bytes([0xC3 + size]) + len(one).to_bytes(size, "big") + one
    if isinstance(one, str):
        assert len(one.encode()) < 32
        return bytes([0xA0 | len(one.encode())]) + one.encode()
    assert len(one) < 16
    return bytes([0x90 | len(one)]) + b"".join(packed(part) for part in one)


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

"""Checkpoints are signed notes that others' readers take in, and parsing them is strict."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import example, given
from hypothesis import strategies as st

from qlq.consensus import validators as validator_sets
from qlq.crypto import note_signatures
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import BadSignature, InvalidProof
from qlq.faults import ProofFault
from qlq.ledger import checkpoint, merkle, note
from qlq.ledger.checkpoint import Checkpoint

# golang.org/x/mod/sumdb/note, the example of its documentation.
GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# C2SP signed-note, the note of its first page.
SPEC_NOTE = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
CHAIN = bytes(range(32))
HASHES = [hashlib.sha256(bytes([index])).digest() for index in range(9)]


def key(name: str, algorithm: Algorithm = Algorithm.ED25519) -> SigningKey:
    return SigningKey(algorithm, hashlib.sha256(name.encode()).digest())


def member(name: str, algorithm: Algorithm = Algorithm.ED25519) -> validator_sets.Validator:
    opening = DecapsulationKey(hashlib.sha256(b"open" + name.encode()).digest())
    verifying = key(name, algorithm).verifying_key
    return validator_sets.validator(verifying, opening.encapsulation_key, weight=1)


def at(size: int) -> Checkpoint:
    return Checkpoint(CHAIN, size, merkle.root(HASHES[:size]))


def test_a_note_of_go_is_read_verified_and_made_again() -> None:
    found = note.decode(GO_NOTE.encode())
    assert found.to_text() == GO_NOTE
    seed = base64.b64decode(GO_SIGNER.split("+", 4)[4])[1:]
    signing = SigningKey(Algorithm.ED25519, seed)
    assert note.verifier_key("PeterNeumann", signing.verifying_key) == GO_VERIFIER
    (one,) = found.signatures
    assert one.key_id.hex() == "c74f20a3"
    note_signatures.verify(signing.verifying_key, found.text.encode(), one.signature)
    assert note_signatures.sign(signing, found.text.encode()) == one.signature


def test_a_text_may_have_empty_lines_of_its_own() -> None:
    found = note.decode(SPEC_NOTE.encode())
    assert found.text.endswith("sole:\n\ned è subito sera.\n")
    assert found.signatures[0].name == "quasimodo.example/salvatore"
    assert found.to_text() == SPEC_NOTE


@pytest.mark.parametrize(
    "changed",
    [
        GO_NOTE.replace("— P", "- P"),
        GO_NOTE.replace("— P", "—  P"),
        GO_NOTE.replace("PeterNeumann", "Peter+Neumann"),
        GO_NOTE.replace("PeterNeumann", "Peter\N{EM SPACE}Neumann"),
        GO_NOTE.replace("nAM=\n", "nAM=\n\n"),
        GO_NOTE.replace("nAM=\n", "nAM=\r\n"),
        GO_NOTE.replace("nAM=\n", "nAM="),
        GO_NOTE.replace("nAM=\n", "nAM\n"),
        GO_NOTE.replace("nAM=\n", "nAN=\n"),  # spare bits that are not zero
        GO_NOTE.replace("x08go/ZJ", "x08go_ZJ"),
        GO_NOTE.replace("problem is.", "problem\x00is."),
        GO_NOTE.replace("\n\n", "\n"),
        "— a x08go/ZJ\n",
        "\n\n— a x08go/ZJ\n",
        "text\n\n— a x08goQ=\n",
        "text\n\n— a x08g\n",
        "text\n\n— a \n",
        "text\n\n" + 101 * "— a x08go/ZJ\n",
        "",
    ],
)
def test_what_is_nearly_a_note_is_none(changed: str) -> None:
    with pytest.raises(InvalidProof) as caught:
        note.decode(changed.encode())
    assert caught.value.reason is ProofFault.MALFORMED


def test_notes_are_utf_8_and_bounded() -> None:
    for data in (b"\xff\n\n" + b"\xe2\x80\x94 a x08go/ZJ\n", bytes(note.NOTE_BYTES_MAX + 1)):
        with pytest.raises(InvalidProof):
            note.decode(data)


@given(
    st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "ignore"))
)
@example(GO_NOTE.encode())
def test_any_bytes_are_a_note_written_the_same_way_or_refused(data: bytes) -> None:
    try:
        found = note.decode(data)
    except InvalidProof:
        return
    assert found.to_text().encode() == data


def test_a_checkpoint_reads_as_the_specification_says() -> None:
    """Written here by hand: origin, size, root; the Ed25519 signature is of type 0x01."""
    origin = "qlq.chain/" + CHAIN.hex()
    root = base64.b64encode(merkle.root(HASHES[:7])).decode()
    text = f"{origin}\n7\n{root}\n"
    signing = key("a")
    public = signing.verifying_key.data
    key_id = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
    written = checkpoint.sign(at(7), [signing]).to_text()
    head, _, line = written.partition("\n\n")
    assert head + "\n" == text
    dash, name, encoded = line.rstrip("\n").split(" ")
    assert (dash, name) == ("—", origin)
    data = base64.b64decode(encoded)
    assert data[:4] == key_id
    Ed25519PublicKey.from_public_bytes(public).verify(data[4:], text.encode())


@pytest.mark.parametrize(
    ("algorithm", "word"),
    [(Algorithm.ML_DSA_65, b"qlq/ml-dsa-65/1"), (Algorithm.HYBRID, b"qlq/ml-dsa-65+ed25519/1")],
)
def test_other_algorithms_are_type_0xff_with_a_name(algorithm: Algorithm, word: bytes) -> None:
    signing = key("a", algorithm)
    name = at(3).origin
    data = b"\xff" + word + signing.verifying_key.data
    key_id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    (one,) = checkpoint.sign(at(3), [signing]).signatures
    assert one.key_id == key_id
    assert len(one.signature) == algorithm.signature_bytes
    expected = f"{name}+{key_id.hex()}+{base64.b64encode(data).decode()}"
    assert note.verifier_key(name, signing.verifying_key) == expected
    note_signatures.verify(signing.verifying_key, at(3).text.encode(), one.signature)
    with pytest.raises(BadSignature):
        note_signatures.verify(signing.verifying_key, at(4).text.encode(), one.signature)


def test_a_signature_of_another_use_is_none_of_a_note_and_the_other_way_round() -> None:
    for algorithm in Algorithm:
        signing = key("a", algorithm)
        text = at(3).text.encode()
        used = signing.sign(text, context=b"qlq/vote/1")
        with pytest.raises(BadSignature):
            note_signatures.verify(signing.verifying_key, text, used[1:])
        framed = b"qlq Ed25519 1\x0aqlq/vote/1 text"
        with pytest.raises(ValueError, match="does not begin"):
            note_signatures.sign(signing, framed)


def test_round_trip_of_many_signatures() -> None:
    keys = [key("a"), key("b", Algorithm.ML_DSA_65), key("c", Algorithm.HYBRID)]
    signed = checkpoint.sign(at(9), keys)
    again = checkpoint.decode(signed.to_text().encode())
    assert again == signed
    voters = validator_sets.of(
        member("a"), member("b", Algorithm.ML_DSA_65), member("c", Algorithm.HYBRID)
    )
    assert checkpoint.signers(again, validators=voters) == (0, 1, 2)
    assert len(checkpoint.verifier_keys(CHAIN, voters)) == 3


def test_signatures_of_strangers_are_passed_over_and_wrong_ones_are_not() -> None:
    voters = validator_sets.of(member("a"), member("b"))
    place = voters.index(member("a").address)
    with_stranger = checkpoint.sign(at(5), [key("a"), key("stranger")])
    assert checkpoint.signers(with_stranger, validators=voters) == (place,)
    with pytest.raises(InvalidProof) as caught:
        checkpoint.signers(checkpoint.sign(at(5), [key("stranger")]), validators=voters)
    assert caught.value.reason is ProofFault.SIGNATURE
    moved = checkpoint.SignedCheckpoint(at(6), checkpoint.sign(at(5), [key("a")]).signatures)
    with pytest.raises(InvalidProof) as caught:
        checkpoint.signers(moved, validators=voters)
    assert caught.value.reason is ProofFault.SIGNATURE


def test_signatures_of_one_checkpoint_are_gathered() -> None:
    one, other = checkpoint.sign(at(5), [key("a")]), checkpoint.sign(at(5), [key("b")])
    joined = checkpoint.join(one, checkpoint.join(other, one))
    voters = validator_sets.of(member("a"), member("b"))
    assert checkpoint.signers(joined, validators=voters) == (0, 1)
    assert len(joined.signatures) == 2
    with pytest.raises(InvalidProof) as caught:
        checkpoint.join(one, checkpoint.sign(at(6), [key("b")]))
    assert caught.value.reason is ProofFault.CHECKPOINT


ROOT = base64.b64encode(HASHES[0]).decode()
ORIGIN = "qlq.chain/" + CHAIN.hex()


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n07\n{ROOT}\n",
        f"{ORIGIN}\n+7\n{ROOT}\n",
        f"{ORIGIN}\n٧\n{ROOT}\n",
        f"{ORIGIN}\n-1\n{ROOT}\n",
        f"{ORIGIN}\n9223372036854775808\n{ROOT}\n",
        f"{ORIGIN}\n7\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n7\n{ROOT[:-2]}B=\n",
        f"{ORIGIN}\n7\n{ROOT}\nan extension\n",
        f"{ORIGIN.upper()}\n7\n{ROOT}\n",
        f"qlq.chain/{CHAIN.hex()[2:]}\n7\n{ROOT}\n",
        f"example.com/log\n7\n{ROOT}\n",
        f"{ORIGIN}\n7\n",
    ],
)
def test_a_note_that_is_no_checkpoint_of_a_chain(text: str) -> None:
    written = f"{text}\n— {ORIGIN} x08go/ZJkuBS\n"
    with pytest.raises(InvalidProof) as caught:
        checkpoint.decode(written.encode())
    assert caught.value.reason is ProofFault.MALFORMED


def test_no_changed_bit_of_a_checkpoint_passes() -> None:
    data = checkpoint.sign(at(7), [key("a")]).to_text().encode()
    voters = validator_sets.of(member("a"))
    assert checkpoint.signers(checkpoint.decode(data), validators=voters) == (0,)
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(InvalidProof):
            checkpoint.signers(checkpoint.decode(bytes(changed)), validators=voters)


@pytest.mark.parametrize(("old", "new"), [(1, 9), (4, 9), (5, 9), (9, 9), (0, 3)])
def test_consistent_checkpoints(old: int, new: int) -> None:
    proof = merkle.consistency_proof(HASHES[:new], old)
    checkpoint.check_consistency(at(old), at(new), proof)


def test_checkpoints_that_contradict_each_other_or_are_of_two_chains() -> None:
    proof = merkle.consistency_proof(HASHES, 5)
    other = Checkpoint(CHAIN, 5, merkle.root([*HASHES[:4], HASHES[8]]))
    with pytest.raises(InvalidProof) as caught:
        checkpoint.check_consistency(other, at(9), proof)
    assert caught.value.reason is ProofFault.ROOT
    foreign = Checkpoint(bytes(32), 5, merkle.root(HASHES[:5]))
    with pytest.raises(InvalidProof) as caught:
        checkpoint.check_consistency(foreign, at(9), proof)
    assert caught.value.reason is ProofFault.CHAIN


@pytest.mark.parametrize(
    "fields",
    [
        {"size": -1},
        {"size": 1 << 63},
        {"root": bytes(31)},
        {"chain": bytes(33)},
    ],
)
def test_a_checkpoint_has_ranges(fields: dict[str, Any]) -> None:
    usual = {"chain": CHAIN, "size": 1, "root": bytes(32)}
    with pytest.raises(ValueError, match=r"bytes|blocks"):
        Checkpoint(**(usual | fields))

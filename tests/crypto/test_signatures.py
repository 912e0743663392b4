"""What a signature says, and everything it does not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from hypothesis import given
from hypothesis import strategies as st

from qlq.crypto import signing
from qlq.crypto.signing import Algorithm, SigningKey, VerifyingKey
from qlq.errors import BadSignature, RemoteMisuse

VECTORS = json.loads((Path(__file__).parent / "vectors" / "ml_dsa_65.json").read_text())
ALL = pytest.mark.parametrize("algorithm", Algorithm)
MESSAGE, CONTEXT = b"a message", b"a use"


def key(algorithm: Algorithm, number: int = 1) -> SigningKey:
    return SigningKey(algorithm, bytes([number]) * 32)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("vector", VECTORS)
def test_ml_dsa_65_verifies_the_published_signatures(vector: dict[str, str]) -> None:
    raw = {name: bytes.fromhex(value) for name, value in vector.items()}
    public = SigningKey(Algorithm.ML_DSA_65, raw["seed"]).verifying_key
    assert public.data.hex() == vector["public_key"]
    public.verify(raw["message"], b"\x01" + raw["signature"], context=raw["context"])
    with pytest.raises(BadSignature):
        public.verify(raw["message"], b"\x01" + raw["signature"], context=raw["context"] + b"x")
    with pytest.raises(BadSignature):
        public.verify(raw["message"] + b"x", b"\x01" + raw["signature"], context=raw["context"])


def test_ed25519_has_the_keys_of_rfc_8032_and_signs_the_documented_bytes() -> None:
    # RFC 8032 section 7.1, test 2.
    seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
    public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    private = SigningKey(Algorithm.ED25519, bytes.fromhex(seed))
    assert private.verifying_key.data.hex() == public
    signature = private.sign(b"r", context=b"abc")
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(
        signature[1:], b"qlq Ed25519 1\x03abcr"
    )


@ALL
def test_a_signature_verifies_and_has_its_algorithm_s_byte_and_length(
    algorithm: Algorithm,
) -> None:
    private = key(algorithm)
    signature = private.sign(MESSAGE, context=CONTEXT)
    assert signature[0] == private.verifying_key.to_bytes()[0] == algorithm.value
    lengths = {  # FIPS 204 table 2; RFC 8032 section 5.1
        Algorithm.ML_DSA_65: (1952, 3309),
        Algorithm.ED25519: (32, 64),
        Algorithm.HYBRID: (1984, 3373),
    }
    assert (len(private.verifying_key.data), len(signature) - 1) == lengths[algorithm]
    again = VerifyingKey.from_bytes(private.verifying_key.to_bytes())
    again.verify(MESSAGE, signature, context=CONTEXT)


@ALL
def test_a_signature_fits_no_other_message_context_key_or_bytes(algorithm: Algorithm) -> None:
    private = key(algorithm)
    public, signature = private.verifying_key, private.sign(MESSAGE, context=CONTEXT)
    refused = {
        "message": (public, MESSAGE + b"\x00", signature, CONTEXT),
        "context": (public, MESSAGE, signature, b"another use"),
        # The border between context and message cannot be moved.
        "border": (public, CONTEXT[-1:] + MESSAGE, signature, CONTEXT[:-1]),
        "key": (key(algorithm, 2).verifying_key, MESSAGE, signature, CONTEXT),
        "cut": (public, MESSAGE, signature[:-1], CONTEXT),
        "longer": (public, MESSAGE, signature + b"\x00", CONTEXT),
        "empty": (public, MESSAGE, b"", CONTEXT),
    }
    for verifier, message, signed, context in refused.values():
        with pytest.raises(BadSignature):
            verifier.verify(message, signed, context=context)


@ALL
@given(data=st.data())
def test_a_signature_with_one_bit_turned_is_none(algorithm: Algorithm, data: st.DataObject) -> None:
    private = key(algorithm)
    signature = private.sign(MESSAGE, context=CONTEXT)
    bit = data.draw(st.integers(0, 8 * len(signature) - 1))
    with pytest.raises(BadSignature):
        private.verifying_key.verify(MESSAGE, flipped(signature, bit), context=CONTEXT)


def test_a_hybrid_signature_needs_both_halves() -> None:
    good, other = (key(Algorithm.HYBRID, n) for n in (1, 2))
    signature, foreign = (k.sign(MESSAGE, context=CONTEXT)[1:] for k in (good, other))
    for mixed in (signature[:3309] + foreign[3309:], foreign[:3309] + signature[3309:]):
        with pytest.raises(BadSignature):
            good.verifying_key.verify(MESSAGE, b"\x03" + mixed, context=CONTEXT)


def test_half_of_a_hybrid_signature_is_no_signature_of_its_own_algorithm() -> None:
    hybrid = key(Algorithm.HYBRID)
    public, signature = hybrid.verifying_key.data, hybrid.sign(MESSAGE, context=CONTEXT)[1:]
    halves = {
        Algorithm.ML_DSA_65: (public[:1952], signature[:3309]),
        Algorithm.ED25519: (public[1952:], signature[3309:]),
    }
    for algorithm, (half, signed) in halves.items():
        alone = VerifyingKey(algorithm, half)
        with pytest.raises(BadSignature):
            alone.verify(MESSAGE, bytes([algorithm.value]) + signed, context=CONTEXT)
    # What each half did sign, from the module's own description.
    framed = signing.HYBRID_PREFIX + bytes([len(CONTEXT)]) + CONTEXT + MESSAGE
    MLDSA65PublicKey.from_public_bytes(public[:1952]).verify(
        signature[:3309], framed, signing.HYBRID_PREFIX
    )
    Ed25519PublicKey.from_public_bytes(public[1952:]).verify(signature[3309:], framed)


def test_one_seed_gives_other_keys_to_another_algorithm_s_half() -> None:
    both = key(Algorithm.HYBRID).verifying_key.data
    assert both[:1952] != key(Algorithm.ML_DSA_65).verifying_key.data
    assert both[1952:] != key(Algorithm.ED25519).verifying_key.data


@ALL
def test_a_signature_under_another_algorithm_s_byte_is_refused(algorithm: Algorithm) -> None:
    private = key(algorithm)
    signature = private.sign(MESSAGE, context=CONTEXT)
    for byte in range(6):
        if byte != algorithm.value:
            with pytest.raises(BadSignature):
                private.verifying_key.verify(
                    MESSAGE, bytes([byte]) + signature[1:], context=CONTEXT
                )


@ALL
@pytest.mark.parametrize("length", [0, 256])
def test_every_use_has_a_context(algorithm: Algorithm, length: int) -> None:
    with pytest.raises(ValueError, match=str(length)):
        key(algorithm).sign(MESSAGE, context=bytes(length))
    with pytest.raises(ValueError, match=str(length)):
        key(algorithm).verifying_key.verify(MESSAGE, b"", context=bytes(length))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=str(length)):
        SigningKey(Algorithm.ML_DSA_65, bytes(length))


@given(data=st.binary(max_size=40) | st.binary(min_size=1953, max_size=1953))
def test_any_bytes_are_a_key_or_refused(data: bytes) -> None:
    try:
        found = VerifyingKey.from_bytes(data)
    except RemoteMisuse:
        return
    assert found.to_bytes() == data


def test_no_secret_is_shown() -> None:
    private = key(Algorithm.HYBRID)
    assert private.seed.hex() not in repr(private)
    assert repr(private.seed) not in repr(private)

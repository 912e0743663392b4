"""A secret for the owner of a key, beside two published constructions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from qlq.crypto import kem
from qlq.crypto.kem import DecapsulationKey, EncapsulationKey
from qlq.errors import BadTag, RemoteMisuse

VECTORS = json.loads(
    (Path(__file__).parent / "vectors" / "hpke_pq_mlkem768_x25519.json").read_text()
)
LOW_ORDER = bytes(32)
INFO = b"a use"


def owner(number: int = 1) -> DecapsulationKey:
    return DecapsulationKey(bytes([number]) * 32)


@pytest.mark.parametrize("vector", VECTORS)
def test_a_published_ciphertext_gives_the_published_secret(vector: dict[str, str]) -> None:
    key = DecapsulationKey(bytes.fromhex(vector["skRm"]))
    assert key.encapsulation_key.data.hex() == vector["pkRm"]
    assert key.decapsulate(bytes.fromhex(vector["enc"])).hex() == vector["shared_secret"]


def test_a_seed_gives_the_key_of_the_x_wing_draft() -> None:
    # draft-connolly-cfrg-xwing-kem-08 appendix C, first vector: both ends of the public key.
    seed = "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26"
    public = DecapsulationKey(bytes.fromhex(seed)).encapsulation_key.data.hex()
    assert public.startswith("e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5")
    assert public.endswith("ba32d9abac8cd049040ef6534")


def test_the_owner_finds_the_secret_and_nobody_else() -> None:
    made = owner().encapsulation_key.encapsulate()
    assert owner().decapsulate(made.ciphertext) == made.secret
    assert owner(2).decapsulate(made.ciphertext) != made.secret
    assert (len(made.ciphertext), len(made.secret)) == (1120, 32)


def test_two_encapsulations_have_nothing_in_common() -> None:
    first, second = (owner().encapsulation_key.encapsulate() for _ in range(2))
    assert first.secret != second.secret
    assert first.ciphertext != second.ciphertext


@given(bit=st.integers(0, 8 * 1120 - 1))
def test_a_changed_ciphertext_gives_another_secret(bit: int) -> None:
    made = owner().encapsulation_key.encapsulate()
    changed = bytearray(made.ciphertext)
    changed[bit // 8] ^= 1 << bit % 8
    assert owner().decapsulate(bytes(changed)) != made.secret


def test_what_we_seal_opens_in_hpke_and_what_hpke_seals_opens_here() -> None:
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    public = owner().encapsulation_key
    theirs = hpke.MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public.data[:1184]),
        X25519PublicKey.from_public_bytes(public.data[1184:]),
    )
    assert owner().unseal(suite.encrypt(b"hidden", theirs, INFO), info=INFO) == b"hidden"
    sealed = public.seal(b"hidden", info=INFO)
    assert owner().unseal(sealed, info=INFO) == b"hidden"
    assert len(sealed) == len(b"hidden") + kem.SEALED_OVERHEAD_BYTES == 6 + 1136


def test_sealed_bytes_open_for_nobody_and_nothing_else() -> None:
    sealed = owner().encapsulation_key.seal(b"hidden", info=INFO)
    with pytest.raises(BadTag):
        owner(2).unseal(sealed, info=INFO)
    with pytest.raises(BadTag):
        owner().unseal(sealed, info=b"another use")
    for changed in (sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), b"", bytes(1136)):
        with pytest.raises(BadTag):
            owner().unseal(changed, info=INFO)


def test_points_of_low_order_are_refused() -> None:
    made = owner().encapsulation_key.encapsulate()
    with pytest.raises(RemoteMisuse):
        owner().decapsulate(made.ciphertext[:-32] + LOW_ORDER)
    weak = EncapsulationKey(owner().encapsulation_key.data[:-32] + LOW_ORDER)
    with pytest.raises(RemoteMisuse):
        weak.encapsulate()


def test_a_key_with_coefficients_out_of_range_is_refused() -> None:
    broken = EncapsulationKey(b"\xff" * 1184 + owner().encapsulation_key.data[1184:])
    with pytest.raises(RemoteMisuse):
        broken.encapsulate()
    with pytest.raises(RemoteMisuse):
        broken.seal(b"hidden", info=INFO)


@given(data=st.binary(max_size=40) | st.binary(min_size=1217, max_size=1217))
def test_any_bytes_are_a_key_or_refused(data: bytes) -> None:
    try:
        found = EncapsulationKey.from_bytes(data)
    except RemoteMisuse:
        return
    assert found.to_bytes() == data


@pytest.mark.parametrize("length", [0, 1119, 1121])
def test_a_ciphertext_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(RemoteMisuse, match=str(length)):
        owner().decapsulate(bytes(length))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=str(length)):
        DecapsulationKey(bytes(length))


def test_no_secret_is_shown() -> None:
    made = owner().encapsulation_key.encapsulate()
    assert repr(owner().seed) not in repr(owner())
    assert repr(made.secret) not in repr(made)

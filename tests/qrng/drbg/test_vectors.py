"""Both generators against the published vectors, and reseeding against a slow second one."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from qlq.qrng import drbg
from qlq.qrng.drbg import Mechanism, State

VECTORS = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "drbg"
FILES = {
    Mechanism.CTR_AES256: "ctr_drbg_aes256_no_df_no_reseed.json",
    Mechanism.HMAC_SHA256: "hmac_drbg_sha256_no_reseed.json",
}


class SlowCtr:
    """CTR_DRBG without derivation function, line by line from SP 800-90A 10.2.1, block by block."""

    def __init__(self, entropy: bytes, personalization: bytes) -> None:
        self.key, self.v = bytes(32), 0
        self.update(self.mix(entropy, personalization))

    @staticmethod
    def mix(one: bytes, other: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(one, other + bytes(48 - len(other)), strict=True))

    def block(self) -> bytes:
        self.v = (self.v + 1) & ((1 << 128) - 1)
        encryptor = Cipher(algorithms.AES256(self.key), modes.ECB()).encryptor()  # noqa: S305
        return encryptor.update(self.v.to_bytes(16, "big"))

    def update(self, provided: bytes) -> None:
        temp = self.mix(self.block() + self.block() + self.block(), provided)
        self.key, self.v = temp[:32], int.from_bytes(temp[32:], "big")

    def reseed(self, entropy: bytes, additional: bytes) -> None:
        self.update(self.mix(entropy, additional))

    def generate(self, count: int, additional: bytes) -> bytes:
        if additional:
            additional = additional + bytes(48 - len(additional))
            self.update(additional)
        out = b""
        while len(out) < count:
            out += self.block()
        self.update(additional or bytes(48))
        return out[:count]


class SlowHmac:
    """HMAC_DRBG with SHA-256, line by line from SP 800-90A 10.1.2."""

    def __init__(self, entropy: bytes, nonce: bytes, personalization: bytes) -> None:
        self.key, self.v = b"\x00" * 32, b"\x01" * 32
        self.update(entropy + nonce + personalization)

    def mac(self, data: bytes) -> bytes:
        return hmac.new(self.key, data, hashlib.sha256).digest()

    def update(self, provided: bytes) -> None:
        self.key = self.mac(self.v + b"\x00" + provided)
        self.v = self.mac(self.v)
        if provided:
            self.key = self.mac(self.v + b"\x01" + provided)
            self.v = self.mac(self.v)

    def reseed(self, entropy: bytes, additional: bytes) -> None:
        self.update(entropy + additional)

    def generate(self, count: int, additional: bytes) -> bytes:
        if additional:
            self.update(additional)
        out = b""
        while len(out) < count:
            self.v = self.mac(self.v)
            out += self.v
        self.update(additional)
        return out[:count]


@pytest.mark.skipif(not VECTORS.is_dir(), reason="needs ../shared/vectors/drbg")
@pytest.mark.parametrize("mechanism", Mechanism)
def test_every_published_vector_is_met(mechanism: Mechanism) -> None:
    document = json.loads((VECTORS / FILES[mechanism]).read_text())
    count = document["returned_bits"] // 8
    met = 0
    for case in document["cases"]:
        field = {name: bytes.fromhex(text) for name, text in case.items()}
        state = drbg.instantiate(
            mechanism,
            entropy_input=field["entropy_input"],
            nonce=field.get("nonce", b""),
            personalization=field.get("personalization", b""),
        )
        _, state = drbg.generate(state, count, additional=field.get("additional_1", b""))
        output, _ = drbg.generate(state, count, additional=field.get("additional_2", b""))
        assert output == field["output"]
        met += 1
    assert met == 240


def both(mechanism: Mechanism, entropy: bytes, personal: bytes) -> tuple[State, SlowCtr | SlowHmac]:
    nonce = b"" if mechanism is Mechanism.CTR_AES256 else b"n" * 16
    state = drbg.instantiate(
        mechanism, entropy_input=entropy, nonce=nonce, personalization=personal
    )
    if mechanism is Mechanism.CTR_AES256:
        return state, SlowCtr(entropy, personal)
    return state, SlowHmac(entropy, nonce, personal)


SEED = st.binary(min_size=48, max_size=48)
INPUT = st.one_of(st.just(b""), st.binary(max_size=48))


@given(
    mechanism=st.sampled_from(Mechanism),
    first=SEED,
    personal=INPUT,
    calls=st.lists(st.tuples(st.sampled_from("grp"), SEED, INPUT, st.integers(0, 100)), max_size=6),
)
def test_any_run_of_requests_reseeds_and_resistant_requests_is_that_of_a_second_implementation(
    mechanism: Mechanism, first: bytes, personal: bytes, calls: list[tuple[str, bytes, bytes, int]]
) -> None:
    state, slow = both(mechanism, first, personal)
    for kind, seed, additional, count in calls:
        if kind == "r":
            state = drbg.reseed(state, entropy_input=seed, additional=additional)
            slow.reseed(seed, additional)
        elif kind == "g":
            output, state = drbg.generate(state, count, additional=additional)
            assert output == slow.generate(count, additional)
        else:  # SP 800-90A 9.3.1: reseed with the additional input, then none of it again
            output, state = drbg.generate_resistant(
                state, count, entropy_input=seed, additional=additional
            )
            slow.reseed(seed, additional)
            assert output == slow.generate(count, b"")


def test_the_counter_of_128_bits_wraps_around() -> None:
    state = State(Mechanism.CTR_AES256, b"k" * 32, b"\xff" * 16, 1, 8)
    slow = SlowCtr(bytes(48), b"")
    slow.key, slow.v = b"k" * 32, (1 << 128) - 1
    assert drbg.generate(state, 100)[0] == slow.generate(100, b"")


@pytest.mark.parametrize("mechanism", Mechanism)
def test_a_seed_serves_its_requests_and_no_more(mechanism: Mechanism) -> None:
    nonce = b"" if mechanism is Mechanism.CTR_AES256 else b"n" * 16
    state = drbg.instantiate(mechanism, entropy_input=b"e" * 48, nonce=nonce, reseed_interval=2)
    for _ in range(2):
        _, state = drbg.generate(state, 8)
    with pytest.raises(drbg.ReseedRequired, match="2 requests"):
        drbg.generate(state, 8)
    _, resistant = drbg.generate_resistant(state, 8, entropy_input=b"f" * 48)
    assert resistant.requests == 2
    _, state = drbg.generate(drbg.reseed(state, entropy_input=b"f" * 48), 8)
    assert state.requests == 2


@pytest.mark.parametrize("count", [-1, 65537])
@pytest.mark.parametrize("mechanism", Mechanism)
def test_a_request_outside_the_standard_s_limit_is_refused(
    mechanism: Mechanism, count: int
) -> None:
    state, _ = both(mechanism, b"e" * 48, b"")
    with pytest.raises(ValueError, match=str(count)):
        drbg.generate(state, count)
    assert len(drbg.generate(state, 65536)[0]) == 65536


@pytest.mark.parametrize(
    "inputs",
    [
        {"entropy_input": b"e" * 47},
        {"entropy_input": b"e" * 49},
        {"entropy_input": b"e" * 48, "nonce": b"n"},
        {"entropy_input": b"e" * 48, "personalization": b"p" * 49},
        {"entropy_input": b"e" * 48, "reseed_interval": 0},
        {"entropy_input": b"e" * 48, "reseed_interval": (1 << 48) + 1},
    ],
)
def test_ctr_drbg_refuses_inputs_of_a_wrong_length(inputs: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="not"):
        drbg.instantiate(Mechanism.CTR_AES256, **inputs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "inputs",
    [
        {"entropy_input": b"e" * 31, "nonce": b"n" * 16},
        {"entropy_input": b"e" * 32, "nonce": b"n" * 15},
        {"entropy_input": b"e" * 32},
    ],
)
def test_hmac_drbg_refuses_too_little_entropy_or_nonce(inputs: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="at least"):
        drbg.instantiate(Mechanism.HMAC_SHA256, **inputs)  # type: ignore[arg-type]


def test_additional_input_longer_than_a_seed_is_refused_by_ctr_drbg() -> None:
    state, _ = both(Mechanism.CTR_AES256, b"e" * 48, b"")
    with pytest.raises(ValueError, match="49"):
        drbg.generate(state, 8, additional=b"a" * 49)
    with pytest.raises(ValueError, match="49"):
        drbg.reseed(state, entropy_input=b"e" * 48, additional=b"a" * 49)


def test_no_key_is_shown() -> None:
    state, _ = both(Mechanism.CTR_AES256, b"e" * 48, b"")
    assert state.key.hex() not in repr(state)
    assert repr(state.key) not in repr(state)
    assert repr(state.v) not in repr(state)

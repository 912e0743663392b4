"""Seeds: both inputs enter, only the quantum part is credited; full-entropy bytes."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
import numpy as np
import pytest

from qlq.errors import MinEntropyTooLow
from qlq.provenance import Claim, EntropyTier, Kind, Provenance, Tier
from qlq.qrng import chain, drbg, extraction, source
from qlq.qrng.drbg import Mechanism
from qlq.qrng.extraction import CommittedSeed, SeedOrigin
from qlq.qrng.source import Batch
from qlq.qrng.source_claims import RawClaim
from qlq.shots import Shots

SYSTEM = bytes(range(48))
EXTRACTOR_SEED = CommittedSeed(np.random.default_rng(1).bytes(1000), SeedOrigin.OPERATING_SYSTEM)


def batch(seed: int = 2) -> Batch:
    order = source.order_hadamard(raw_bits=4096, width=4, seed_commitment=EXTRACTOR_SEED.commitment)
    bits = np.random.default_rng(seed).integers(0, 2, (1, 1024, 4), dtype=np.uint8)
    origin = Provenance(
        Tier.QPU,
        Claim.SAME_CHIP,
        "lab:one",
        "tests",
        "lab",
        Kind.QPU,
        "job-7",
        order.plan.program.digest,
        sdk={},
        seed=None,
    )
    return source.collect(order, Shots(bits, origin))


def claim(bits: float, tier: EntropyTier = EntropyTier.DEVICE_MODELLED, count: int = 1) -> RawClaim:
    return RawClaim(4096 * count, bits, tier, ("because",))


def test_a_seed_is_the_hmac_of_conditioned_and_system_bytes() -> None:
    one, two = batch(2), batch(3)
    seed = chain.make_seed((one, two), claim=claim(900.0, count=2), system_bytes=SYSTEM)
    length = (4096).to_bytes(8, "big")
    framed = b"".join(length + np.packbits(b.shots.bits).tobytes() for b in (one, two))
    conditioned = hmac.new(b"qlq conditioning 1", framed, hashlib.sha512).digest()[:48]
    both = hmac.new(b"qlq seed 1", conditioned + SYSTEM, hashlib.sha512).digest()[:48]
    assert seed.material == both


def test_each_input_alone_changes_the_seed() -> None:
    made = {
        chain.make_seed((batch(raw),), claim=claim(448.0), system_bytes=system).material
        for raw in (2, 3)
        for system in (SYSTEM, bytes(48))
    }
    assert len(made) == 4


@pytest.mark.parametrize(
    ("assessed", "tier", "credited"),
    [
        (448.0, EntropyTier.DEVICE_MODELLED, 384.0),
        (4096.0, EntropyTier.DEVICE_MODELLED, 384.0),
        (447.0, EntropyTier.DEVICE_MODELLED, 383.0),
        (64.0, EntropyTier.DEVICE_MODELLED, 0.0),
        (0.0, EntropyTier.DEVICE_MODELLED, 0.0),
        (448.0, EntropyTier.SELF_TESTED, 384.0),
        (0.0, EntropyTier.NONE, 0.0),
    ],
)
def test_only_448_assessed_bits_make_a_full_seed(
    assessed: float, tier: EntropyTier, credited: float
) -> None:
    seed = chain.make_seed((batch(),), claim=claim(assessed, tier), system_bytes=SYSTEM)
    assert seed.credited_bits == credited
    assert seed.tier is tier
    told = "fully credited" if credited == 384.0 else "without credit"
    assert told in seed.reasons[-1]


def test_the_certificate_id_is_the_digest_of_what_went_in() -> None:
    one = batch()
    seed = chain.make_seed((one,), claim=claim(500.0), system_bytes=SYSTEM)
    job = ["lab:one", "lab", "qpu", "job-7"]
    job += [one.order.plan.program.digest, one.digest, 4096, None]
    record = [[job], "T2", "500.0", "384.0", 48, ["because", seed.reasons[-1]]]
    packed = b"\x01" + msgspec.msgpack.encode(record)
    assert seed.certificate_id == hashlib.sha256(packed).hexdigest()


def test_a_seed_shows_none_of_its_bytes() -> None:
    seed = chain.make_seed((batch(),), claim=claim(500.0), system_bytes=SYSTEM)
    assert repr(seed.material) not in repr(seed)


def test_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="47"):
        chain.make_seed((batch(),), claim=claim(500.0), system_bytes=bytes(47))
    with pytest.raises(ValueError, match="8192"):
        chain.make_seed((batch(),), claim=claim(500.0, count=2), system_bytes=SYSTEM)
    with pytest.raises(ValueError, match="there are 0"):
        chain.make_seed((), claim=claim(500.0), system_bytes=SYSTEM)


@pytest.mark.parametrize("mechanism", Mechanism)
def test_a_nonce_tells_generators_of_one_seed_apart(mechanism: Mechanism) -> None:
    seed = chain.make_seed((batch(),), claim=claim(500.0), system_bytes=SYSTEM)
    first, second = (
        drbg.generate(chain.instantiate(seed, mechanism, system_nonce=bytes([n] * 16)), 32)[0]
        for n in (1, 2)
    )
    assert first != second
    with pytest.raises(ValueError, match="15"):
        chain.instantiate(seed, mechanism, system_nonce=bytes(15))


def test_full_entropy_bytes_are_extracted_bits_xor_generator() -> None:
    state = drbg.instantiate(Mechanism.CTR_AES256, entropy_input=SYSTEM)
    extracted = extraction.extract(batch(), seed=EXTRACTOR_SEED, min_entropy_bits=400.0)
    block, record, after = chain.full_entropy(
        extracted, batch(), state, claim=claim(400.0), count=32
    )
    mask, expected = drbg.generate(state, 32)
    data = np.packbits(extracted.bits[:256]).tobytes()
    assert block.material == bytes(a ^ b for a, b in zip(data, mask, strict=True))
    assert after == expected
    assert (block.min_entropy_bits, block.tier) == (256.0, EntropyTier.DEVICE_MODELLED)
    assert "eps = 5.42e-20" in block.reasons[-1]
    assert block.certificate_id == record.certificate_id
    assert record.credited_bits == "256.0"


def test_full_entropy_is_never_padded() -> None:
    state = drbg.instantiate(Mechanism.CTR_AES256, entropy_input=SYSTEM)
    extracted = extraction.extract(batch(), seed=EXTRACTOR_SEED, min_entropy_bits=400.0)
    with pytest.raises(MinEntropyTooLow, match="272"):
        chain.full_entropy(extracted, batch(), state, claim=claim(400.0), count=35)
    with pytest.raises(ValueError, match=r"401\.0"):
        chain.full_entropy(extracted, batch(), state, claim=claim(401.0), count=32)

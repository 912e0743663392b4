"""A certificate stands for n - f validators of one set, each named once, and for nothing else."""

from __future__ import annotations

from itertools import combinations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq import codec
from qlq.consensus import certificate as certificates
from qlq.consensus import validators
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.votes import Round
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import InvalidCertificate, RemoteMisuse
from qlq.faults import CertificateFault

A, B = b"\xaa" * 32, b"\xbb" * 32


def verify(assembly, certificate: QuorumCertificate) -> None:
    certificates.verify(certificate, chain=assembly.chain, validators=assembly.validators)


def refusal(assembly, certificate: QuorumCertificate) -> CertificateFault:
    with pytest.raises(InvalidCertificate) as caught:
        verify(assembly, certificate)
    assert caught.value.height == certificate.height
    return caught.value.reason


def changed(certificate: QuorumCertificate, **fields: object) -> QuorumCertificate:
    return msgspec.structs.replace(certificate, **fields)


# Bit i mod 8, the lowest first, of byte i // 8.
@pytest.mark.parametrize(
    ("count", "by", "bitmap"),
    [
        (1, (0,), "01"),
        (4, (0, 1, 2), "07"),
        (4, (1, 2, 3), "0e"),
        (4, (0, 1, 2, 3), "0f"),
        (7, (0, 2, 3, 5, 6), "6d"),
        (8, (0, 1, 2, 3, 4, 7), "9f"),
        (9, (0, 1, 2, 3, 4, 5, 8), "3f01"),
        (10, (0, 1, 4, 6, 7, 8, 9), "d303"),
    ],
)
def test_the_bitmap_names_each_signer_in_the_order_of_addresses(
    assembled, count: int, by: tuple[int, ...], bitmap: str
) -> None:
    assembly = assembled(count)
    found = assembly.certificate(A, Round.COMMIT, 2, by[::-1])
    assert found.bitmap.hex() == bitmap
    assert found.signatures == tuple(
        assembly.cast(index, A, Round.COMMIT, 2).signature for index in by
    )
    verify(assembly, found)
    assert certificates.signers(found, validators=assembly.validators) == by


def test_every_quorum_certifies_and_nothing_smaller_does(assembled) -> None:
    seven = assembled(7)
    for by in combinations(range(7), 5):
        verify(seven, seven.certificate(by=by))
    for by in combinations(range(7), 4):
        with pytest.raises(ValueError, match="5"):
            seven.certificate(by=by)


def test_a_hundred_validators_certify(assembled) -> None:
    hundred = assembled(100)
    found = hundred.certificate(by=range(67))
    assert len(found.bitmap) == 13
    verify(hundred, found)
    assert certificates.decode(found.to_bytes()) == found


def test_a_set_of_all_algorithms_certifies_together(four) -> None:
    keys = [SigningKey(algorithm, bytes([9]) * 32) for algorithm in Algorithm]
    sealing = DecapsulationKey(bytes(32)).encapsulation_key
    found = validators.of(
        *(validators.validator(key.verifying_key, sealing, weight=1) for key in keys)
    )
    keys.sort(key=lambda key: found.index(validators.address_of(key.verifying_key)))
    mixed = four.at(validators=found, keys=tuple(keys))
    certificate = mixed.certificate()
    verify(mixed, certificate)
    assert certificates.decode(certificate.to_bytes()) == certificate


def test_a_certificate_has_the_bytes_of_the_messagepack_specification(assembled) -> None:
    """A version byte, fixarray 7, fixints, bin8, and a fixarray of signatures."""
    one = assembled(1)
    found = one.certificate(A, Round.COMMIT, 3, by=(0,))
    digest = b"\xc4\x20"
    expected = b"\x01\x97\x07\x03\x02" + digest + A + digest + one.validators.hash
    expected += b"\xc4\x01\x01" + b"\x91\xc4\x41" + one.cast(0, A, Round.COMMIT, 3).signature
    assert found.to_bytes() == expected


def test_certificates_from_elsewhere_are_refused(four, assembled) -> None:
    good = four.certificate()
    assert refusal(four.at(chain=bytes(32)), good) is CertificateFault.SIGNATURE
    assert refusal(assembled(5), good) is CertificateFault.VALIDATORS


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"height": 8}, CertificateFault.SIGNATURE),
        ({"epoch": 1}, CertificateFault.SIGNATURE),
        ({"round": Round.COMMIT}, CertificateFault.SIGNATURE),
        ({"block": B}, CertificateFault.SIGNATURE),
        ({"validators_hash": B}, CertificateFault.VALIDATORS),
        ({"bitmap": b"\x0b"}, CertificateFault.SIGNATURE),
        ({"bitmap": b"\x0f"}, CertificateFault.COUNT),
        ({"bitmap": b"\x03"}, CertificateFault.COUNT),
        ({"bitmap": b"\x17"}, CertificateFault.BITMAP),
        ({"bitmap": b"\x07\x00"}, CertificateFault.BITMAP),
    ],
)
def test_each_change_has_its_reason(four, fields: dict, reason: CertificateFault) -> None:
    verify(four, four.certificate())
    assert refusal(four, changed(four.certificate(), **fields)) is reason


def test_signatures_in_another_order_twice_or_missing_are_refused(four) -> None:
    good = four.certificate()
    first, second, third = good.signatures
    for signatures in ((second, first, third), (first, first, third)):
        assert refusal(four, changed(good, signatures=signatures)) is CertificateFault.SIGNATURE
    fewer = changed(good, bitmap=b"\x03", signatures=(first, second))
    assert refusal(four, fewer) is CertificateFault.QUORUM
    none = changed(good, bitmap=b"\x00", signatures=())
    assert refusal(four, none) is CertificateFault.QUORUM
    more = changed(good, signatures=(first, second, third, third))
    assert refusal(four, more) is CertificateFault.COUNT


def test_votes_that_say_different_things_make_no_certificate(four) -> None:
    for odd in (
        four.cast(2, B),
        four.cast(2, A, Round.COMMIT),
        four.cast(2, A, epoch=1),
        four.at(height=8).cast(2),
        four.at(chain=bytes(32)).cast(2),
        four.cast(1),
    ):
        with pytest.raises(ValueError, match=r"validators|certificate"):
            certificates.make([four.cast(0), four.cast(1), odd], validators=four.validators)


def test_strangers_and_other_sets_make_no_certificate(four, assembled) -> None:
    five = assembled(5)
    cast = [five.cast(index) for index in range(4)]
    with pytest.raises(ValueError, match="set"):
        certificates.make(
            [one for one in cast if one.signer in four.validators][:3], validators=four.validators
        )
    stranger = next(i for i in range(5) if five.address(i) not in four.validators)
    with pytest.raises(ValueError, match="validators"):
        certificates.make(
            [four.cast(0), four.cast(1), five.cast(stranger)], validators=four.validators
        )


def test_every_single_changed_bit_is_refused(four) -> None:
    good = four.certificate().to_bytes()
    for bit in range(8 * len(good)):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises((RemoteMisuse, InvalidCertificate)):
            verify(four, certificates.decode(bytes(data)))


@pytest.mark.parametrize(
    "fields",
    [
        {"height": 0},
        {"epoch": -1},
        {"block": bytes(31)},
        {"validators_hash": bytes(33)},
        {"bitmap": b""},
        {"bitmap": bytes(14)},
        {"signatures": (b"s",) * 101},
        {"signatures": (bytes(4097),)},
    ],
)
def test_fields_outside_their_range_are_refused_here_and_from_others(four, fields: dict) -> None:
    good = four.certificate()
    with pytest.raises(ValueError, match=r"height|epoch|digest|bitmap|signature"):
        changed(good, **fields)
    raw = msgspec.structs.asdict(good) | fields
    with pytest.raises(RemoteMisuse):
        certificates.decode(codec.encode(list(raw.values())))


@given(data=st.binary(max_size=400))
def test_any_bytes_are_a_certificate_or_refused(data: bytes) -> None:
    with pytest.raises(RemoteMisuse):
        certificates.decode(b"\x01" + data)


def test_a_certificate_of_too_many_bytes_is_not_even_read() -> None:
    with pytest.raises(RemoteMisuse, match="fit"):
        certificates.decode(bytes(certificates.CERTIFICATE_BYTES_MAX + 1))


def test_a_hundred_signatures_of_the_longest_kind_fit(assembled) -> None:
    longest = 1 + Algorithm.HYBRID.signature_bytes
    good = assembled(100).certificate(by=range(100))
    full = changed(good, signatures=(bytes(longest),) * 100)
    assert certificates.decode(full.to_bytes()) == full

"""The doors open onto the algorithms that the standards describe."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from qlq.crypto import aead, digest, kdf, mac, stream
from qlq.errors import BadTag


def test_poly1305_of_rfc_8439_section_2_5_2() -> None:
    key = bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
    expected = bytes.fromhex("a8061dc1305136c6c22b8baf0c0127a9")
    message = b"Cryptographic Forum Research Group"
    assert mac.tag(key, message) == expected
    mac.verify(key, message, expected)


@pytest.mark.parametrize(  # RFC 8439 appendix A.3, vectors 1, 7, 8, 9 and 10
    ("key", "message", "expected"),
    [
        ("00" * 32, "00" * 64, "00" * 16),
        ("02" + "00" * 31, "ff" * 16, "03" + "00" * 15),
        ("02" + "00" * 15 + "ff" * 16, "02" + "00" * 15, "03" + "00" * 15),
        ("01" + "00" * 31, "ff" * 16 + "f0" + "ff" * 15 + "11" + "00" * 15, "05" + "00" * 15),
        ("01" + "00" * 31, "ff" * 16 + "fb" + "fe" * 15 + "01" * 16, "00" * 16),
    ],
)
def test_poly1305_at_the_edges_of_its_arithmetic(key: str, message: str, expected: str) -> None:
    assert mac.tag(bytes.fromhex(key), bytes.fromhex(message)).hex() == expected


def test_a_tag_fits_no_other_message_key_or_tag() -> None:
    key, message = bytes(range(32)), b"transcript"
    good = mac.tag(key, message)
    for other in (
        (key, message + b"\x00", good),
        (bytes(32), message, good),
        (key, message, good[:-1] + bytes([good[-1] ^ 1])),
        (key, message, good[:-1]),
        (key, message, b""),
    ):
        with pytest.raises(BadTag):
            mac.verify(*other)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_one_time_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=str(length)):
        mac.tag(bytes(length), b"")
    with pytest.raises(ValueError, match=str(length)):
        mac.verify(bytes(length), b"", bytes(16))


def test_hkdf_of_rfc_5869_appendix_a_1() -> None:
    okm = kdf.hkdf(
        b"\x0b" * 22,
        salt=bytes(range(13)),
        info=bytes(range(0xF0, 0xFA)),
        length=42,
    )
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_hkdf_of_rfc_5869_appendix_a_3_without_salt_and_info() -> None:
    assert kdf.hkdf(b"\x0b" * 22, info=b"", length=42).hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )


@pytest.mark.parametrize(("size", "length"), [(15, 32), (32, 0), (32, 8161)])
def test_hkdf_refuses_short_secrets_and_impossible_lengths(size: int, length: int) -> None:
    with pytest.raises(ValueError, match=f"{size}|{length}"):
        kdf.hkdf(bytes(size), info=b"", length=length)


def test_argon2id_with_the_parameters_of_the_second_recommended_option() -> None:
    """Expected: the authors' C code through argon2-cffi-bindings 26.2, version 0x13."""
    made = kdf.argon2id("correct horse battery staple", salt=b"0123456789abcdef")
    assert made.hex() == "efb51f9a76584f6dd6a4f7942a1a2f6ae5a6e4ec5142ff674dfd5d27eb45e446"
    assert made != kdf.argon2id("correct horse battery stapl", salt=b"0123456789abcdef")
    assert made != kdf.argon2id("correct horse battery staple", salt=b"0123456789abcdeg")


def test_argon2id_refuses_an_empty_passphrase_and_another_salt() -> None:
    with pytest.raises(ValueError, match="empty"):
        kdf.argon2id("", salt=bytes(16))
    with pytest.raises(ValueError, match="8"):
        kdf.argon2id("x", salt=bytes(8))


def test_sha256_of_fips_180_4() -> None:
    assert digest.sha256(b"abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def _rfc_5869(seed: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 for one block, written out with the standard library."""
    extracted = hmac.new(bytes(32), seed, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def _quarter(x: list[int], a: int, b: int, c: int, d: int) -> None:
    for first, second, third, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        x[first] = (x[first] + x[second]) & 0xFFFFFFFF
        mixed = x[third] ^ x[first]
        x[third] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF


def _chacha20_block(key: bytes, counter: int) -> bytes:
    """RFC 8439 section 2.3, with a zero nonce, one quarter round at a time."""
    words = [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)]
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *words, counter, 0, 0, 0]
    x = list(start)
    for _ in range(10):
        for column in range(4):
            _quarter(x, column, 4 + column, 8 + column, 12 + column)
        for i in range(4):
            _quarter(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return b"".join(
        ((a + b) & 0xFFFFFFFF).to_bytes(4, "little") for a, b in zip(x, start, strict=True)
    )


def test_a_stream_is_chacha20_under_hkdf() -> None:
    """Three blocks against the algorithms written out from their RFCs."""
    seed = bytes(range(32))
    key = _rfc_5869(seed, b"qlq stream 1 bases")
    expected = b"".join(_chacha20_block(key, counter) for counter in range(3))
    assert stream.expand(seed, label="bases", length=192) == expected


def test_a_longer_stream_starts_with_the_shorter_one() -> None:
    seed = bytes(32)
    assert stream.expand(seed, label="x", length=1000)[:77] == stream.expand(
        seed, label="x", length=77
    )
    assert stream.expand(seed, label="x", length=0) == b""


@pytest.mark.parametrize(("size", "length"), [(31, 1), (33, 1), (32, -1), (32, (1 << 37) + 1)])
def test_a_stream_refuses_another_seed_and_impossible_lengths(size: int, length: int) -> None:
    with pytest.raises(ValueError, match=f"{size}|{length}"):
        stream.expand(bytes(size), label="x", length=length)


NONCE = bytes(range(12))


def test_aes_256_gcm_without_our_version_byte_is_that_of_the_gcm_specification() -> None:
    """McGrew and Viega (2005), test case 13: zero key and nonce, nothing sealed or bound.

    Our associated data starts with the version byte, so that the tag differs from the published
    one; the key stream, test case 14, does not depend on it.
    """
    sealed = aead.seal(bytes(32), bytes(16), nonce=bytes(12), aad=b"")
    assert sealed[13:29].hex() == "cea7403d4d606b6e074ec5d3baf39d18"


def test_what_is_sealed_opens_with_its_key_and_data_only() -> None:
    key = bytes(range(32))
    sealed = aead.seal(key, b"secret", nonce=NONCE, aad=b"row 7")
    assert len(sealed) == len(b"secret") + aead.OVERHEAD_BYTES
    assert aead.unseal(key, sealed, aad=b"row 7") == b"secret"
    with pytest.raises(BadTag):
        aead.unseal(key, sealed, aad=b"row 8")
    with pytest.raises(BadTag):
        aead.unseal(bytes(32), sealed, aad=b"row 7")


def test_every_changed_bit_of_what_is_sealed_is_found() -> None:
    key = bytes(range(32))
    sealed = aead.seal(key, b"secret", nonce=NONCE, aad=b"")
    for at in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(BadTag):
            aead.unseal(key, bytes(changed), aad=b"")


def test_every_cut_of_what_is_sealed_is_found() -> None:
    key = bytes(32)
    sealed = aead.seal(key, b"secret", nonce=NONCE, aad=b"")
    for length in range(len(sealed)):
        with pytest.raises(BadTag):
            aead.unseal(key, sealed[:length], aad=b"")


def test_keys_and_nonces_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="16"):
        aead.seal(bytes(16), b"", nonce=NONCE, aad=b"")
    with pytest.raises(ValueError, match="8"):
        aead.seal(bytes(32), b"", nonce=bytes(8), aad=b"")
    with pytest.raises(ValueError, match="16"):
        aead.unseal(bytes(16), bytes(40), aad=b"")

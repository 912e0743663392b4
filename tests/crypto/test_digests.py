"""Digests beside a published one, and apart from each other by name."""

from __future__ import annotations

import hashlib

import pytest

from qlq.crypto import digest


def test_sha256_is_the_published_one() -> None:
    # FIPS 180-2 appendix B.1
    assert digest.sha256(b"abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_named_digest_is_that_of_the_name_s_length_the_name_and_the_data() -> None:
    expected = hashlib.sha256(b"\x0bqlq/block/1" + b"header").digest()
    assert digest.named(b"qlq/block/1", b"header") == expected


def test_moving_bytes_from_the_name_to_the_data_gives_another_digest() -> None:
    assert digest.named(b"qlq/a", b"b") != digest.named(b"qlq/ab", b"")


@pytest.mark.parametrize("length", [0, 256])
def test_a_name_has_1_to_255_bytes(length: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 255 bytes, not {length}"):
        digest.named(b"n" * length, b"")
    assert len(digest.named(b"n" * 255, b"")) == 32

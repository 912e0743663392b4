"""The tag covers who said what, in which order, and how long it was."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from qlq.errors import AuthenticationFailed
from qlq.qkd import authentication
from qlq.qkd.duties import Party, Transcript

KEY = bytes(range(32))
P = 2**130 - 5
CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF


def poly1305(key: bytes, message: bytes) -> bytes:
    """RFC 8439 section 2.5 written out with Python's integers."""
    r = int.from_bytes(key[:16], "little") & CLAMP
    s = int.from_bytes(key[16:], "little")
    total = 0
    for at in range(0, len(message), 16):
        block = int.from_bytes(message[at : at + 16] + b"\x01", "little")
        total = (total + block) * r % P
    return ((total + s) % 2**128).to_bytes(16, "little")


def said(*entries: tuple[Party, bytes]) -> Transcript:
    """A transcript of these messages."""
    return Transcript(entries)


def test_the_tag_is_poly1305_of_the_frames_and_their_length() -> None:
    transcript = said((Party.ALICE, b"commit"), (Party.BOB, b""), (Party.BOB, b"\xff" * 300))
    frames = b"".join(
        bytes([who]) + len(data).to_bytes(8, "little") + data
        for who, data in ((0, b"commit"), (1, b""), (1, b"\xff" * 300))
    )
    message = frames + len(frames).to_bytes(8, "little")
    assert authentication.tag(transcript, key=KEY) == poly1305(KEY, message)
    authentication.verify(transcript, key=KEY, tag=poly1305(KEY, message))


DIFFERENT = {
    "as said": said((Party.ALICE, b"ab"), (Party.BOB, b"c")),
    "another sender": said((Party.BOB, b"ab"), (Party.BOB, b"c")),
    "another order": said((Party.BOB, b"c"), (Party.ALICE, b"ab")),
    "another cut": said((Party.ALICE, b"a"), (Party.BOB, b"bc")),
    "joined": said((Party.ALICE, b"abc")),
    "shorter": said((Party.ALICE, b"ab")),
    "longer": said((Party.ALICE, b"ab"), (Party.BOB, b"c"), (Party.BOB, b"")),
    "padded": said((Party.ALICE, b"ab"), (Party.BOB, b"c\x00")),
    "empty": said(),
}


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(DIFFERENT, 2)))
def test_a_tag_fits_no_other_transcript(one: str, other: str) -> None:
    tag = authentication.tag(DIFFERENT[one], key=KEY)
    with pytest.raises(AuthenticationFailed):
        authentication.verify(DIFFERENT[other], key=KEY, tag=tag)


def test_a_tag_fits_no_other_key() -> None:
    tag = authentication.tag(DIFFERENT["as said"], key=KEY)
    with pytest.raises(AuthenticationFailed, match="pools differ"):
        authentication.verify(DIFFERENT["as said"], key=bytes(32), tag=tag)


def test_every_changed_bit_of_a_tag_is_found() -> None:
    tag = int.from_bytes(authentication.tag(DIFFERENT["as said"], key=KEY), "big")
    for bit in range(128):
        changed = (tag ^ 1 << bit).to_bytes(16, "big")
        with pytest.raises(AuthenticationFailed):
            authentication.verify(DIFFERENT["as said"], key=KEY, tag=changed)


@pytest.mark.parametrize(
    ("length", "exponent"), [(10**3, -97), (10**6, -87), (10**9, -77), (2 << 20, -86)]
)
def test_epsilon_has_the_size_that_the_reference_table_gives(length: int, exponent: int) -> None:
    """1 kB 2^-97, 1 MB 2^-87, 1 GB 2^-77, 2 MiB 2^-86: rounded exponents."""
    assert 2.0 ** (exponent - 0.5) < authentication.eps_auth(length) < 2.0 ** (exponent + 0.5)


@pytest.mark.parametrize("length", [1, 16, 17, 4096, 4097, 1 << 20])
def test_epsilon_covers_the_frames_that_the_tag_covers(length: int) -> None:
    """Bernstein (2005), theorem 3.3, for the message that is really tagged, never less."""
    transcript = said((Party.ALICE, bytes(length)))
    tagged = len(authentication.framed(transcript))
    least = Fraction(8 * -(-tagged // 16), 2**106)
    assert Fraction(authentication.eps_auth(tagged)) == least

"""Authentication of the transcript: one tag a direction, with one-time keys from the pool.

The tag covers every message so far, sender and length included, and the length of the whole.
Poly1305 is almost-delta-universal, so that a one-time key gives a bound that holds against any
computer (Wegman and Carter, J. Comput. Syst. Sci. 22, 265 (1981)).
"""

from __future__ import annotations

import math
import struct

from qlq.crypto import mac
from qlq.errors import AuthenticationFailed, BadTag
from qlq.qkd.duties import Transcript

TAG_KEY_BITS = 8 * mac.KEY_BYTES


def framed(transcript: Transcript) -> bytes:
    """Sender, length and bytes of each message, then the length of all that."""
    body = transcript.pack()
    return body + struct.pack("<Q", len(body))


def tag(transcript: Transcript, *, key: bytes) -> bytes:
    """The tag (16 bytes) of everything said so far, under a one-time key of 32 bytes."""
    return mac.tag(key, framed(transcript))


def verify(transcript: Transcript, *, key: bytes, tag: bytes) -> None:
    """Return if the peer's tag fits what we said and heard; raises AuthenticationFailed."""
    try:
        mac.verify(key, framed(transcript), tag)
    except BadTag as error:
        raise AuthenticationFailed(
            "the peer's tag does not fit the transcript: somebody changed a message, "
            "or the two authentication pools differ"
        ) from error


def eps_auth(transcript_bytes: int) -> float:
    """Probability that a forged transcript of at most this length gets the tag of another.

    Source: Bernstein, "The Poly1305-AES message-authentication code" (2005), theorem 3.3:
    8 ceil(L/16) / 2^106 for messages of at most L bytes.
    """
    return 8.0 * math.ceil(transcript_bytes / 16) / 2.0**106

"""Frames on a byte stream: a version byte, four bytes of length, the payload. No I/O here.

    01 | length, big-endian | payload

The length is checked before a byte of the payload is kept, so that nobody can make us hold more
than the limit. Whatever cannot be a frame ends the stream: there is no way to find the next one.
"""

from __future__ import annotations

import struct

from qlq.errors import require

VERSION = 1
_HEADER = struct.Struct(">BI")
HEADER_BYTES = _HEADER.size
FRAME_BYTES_MAX = 64 << 20
"""Largest payload of any frame: a message of a session with the most pulses fits."""


def encode(payload: bytes) -> bytes:
    """One frame; raises ValueError for a payload of more than 64 MiB."""
    if len(payload) > FRAME_BYTES_MAX:
        raise ValueError(f"a frame carries at most {FRAME_BYTES_MAX} bytes, not {len(payload)}")
    return _HEADER.pack(VERSION, len(payload)) + payload


class Receiver:
    """Turns pieces of a stream into payloads; holds at most one frame and one piece."""

    def __init__(self, *, limit_bytes: int = FRAME_BYTES_MAX) -> None:
        """Accept payloads of up to `limit_bytes`, 1 to 64 MiB."""
        self._buffer = bytearray()
        self.limit(limit_bytes)

    def limit(self, limit_bytes: int) -> None:
        """Accept payloads of up to so many bytes from the next frame on."""
        if not 1 <= limit_bytes <= FRAME_BYTES_MAX:
            raise ValueError(f"a limit is from 1 to {FRAME_BYTES_MAX} bytes, not {limit_bytes}")
        self._limit_bytes = limit_bytes

    def feed(self, data: bytes) -> None:
        """Add the next piece of the stream."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next complete payload; None if more of the stream is needed.

        Raises:
            RemoteMisuse: Another version, or a length above the limit.
        """
        if not self._buffer:
            return None
        require(self._buffer[0] == VERSION, f"a frame of unknown version {self._buffer[0]}")
        if len(self._buffer) < HEADER_BYTES:
            return None
        _, length = _HEADER.unpack_from(self._buffer)
        require(
            length <= self._limit_bytes,
            f"a frame of {length} bytes where {self._limit_bytes} are the most",
        )
        end = HEADER_BYTES + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[HEADER_BYTES:end])
        del self._buffer[:end]
        return payload

    def finish(self) -> None:
        """Return if the stream may end here; raises RemoteMisuse within a frame."""
        require(not self._buffer, f"the stream ends {len(self._buffer)} bytes into a frame")

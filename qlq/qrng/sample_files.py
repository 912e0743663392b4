"""Files of samples: what a byte of them holds, and what to do where it holds something else."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from qlq.errors import ConfigError
from qlq.qrng.assessment import samples
from qlq.qrng.assessment.samples import BITS_MAX, Samples

BYTES_MAX = 1 << 27
"""Largest file that is read."""
ASSESSED_BITS_MAX = 1 << 27
"""Longest bit string that is assessed: it takes some 30 bytes of memory for each bit."""
_DIGITS = frozenset(b"01")
_SPACE = frozenset(b" \t\r\n")


class Form(StrEnum):
    """What a byte of a file holds."""

    SYMBOLS = "symbols"
    """One symbol in the lowest bits, as NIST's SP 800-90B tool reads it."""
    PACKED = "packed"
    """Eight bits, the first one in the highest place, as `qlq rng get --format raw` writes it."""
    TEXT = "text"
    """The digit 0 or 1; blanks and line ends are skipped."""


def read_samples(data: bytes, *, form: Form, bits: int | None) -> Samples:
    """Samples for an assessment.

    Args:
        data: The file.
        form: What a byte holds; anything but symbols gives bits.
        bits: Width of a symbol, 1 to 8. None takes the narrowest that fits.

    Raises:
        ConfigError: The file is empty, too large, or does not have this form and width.
    """
    if form is not Form.SYMBOLS and bits not in (None, 1):
        raise ConfigError(f"{form.value} data are bits: leave --bits {bits} out, or give 1")
    symbols = _bytes(data) if form is Form.SYMBOLS else read_bits(data, form=form)
    try:
        found = samples.read(symbols, bits=bits if form is Form.SYMBOLS else 1)
    except ValueError as error:
        raise ConfigError(f"{error}; {_way_out(data)}") from error
    if found.count * found.bits > ASSESSED_BITS_MAX:
        raise ConfigError(
            f"{found.count} samples of {found.bits} bits are more than the {ASSESSED_BITS_MAX} "
            "bits that fit in memory: give a part"
        )
    return found


def read_bits(data: bytes, *, form: Form) -> NDArray[np.uint8]:
    """uint8 (bits,) of 0 and 1.

    Raises:
        ConfigError: The file is empty, too large, or holds something else; the message names
            what it seems to hold.
    """
    raw = _bytes(data)
    if form is Form.TEXT:
        raw = raw[~np.isin(raw, list(_SPACE))]
        if raw.size == 0 or not _only(raw, _DIGITS):
            raise ConfigError(f"the file is not of the digits 0 and 1 alone; {_way_out(data)}")
        return raw - np.uint8(ord("0"))
    if form is Form.SYMBOLS:
        if not _only(raw, frozenset((0, 1))):
            raise ConfigError(f"symbol {int(raw.max())} is no bit; {_way_out(data)}")
        return raw
    if _only(raw, frozenset((0, 1))):
        raise ConfigError(f"each byte is 0 or 1, which is not packed; {_way_out(data)}")
    if _only(raw, _DIGITS | _SPACE):
        raise ConfigError(f"the file is text, which is not packed; {_way_out(data)}")
    return np.unpackbits(raw)


def _bytes(data: bytes) -> NDArray[np.uint8]:
    if not data:
        raise ConfigError("the file is empty: there is nothing to look at")
    if len(data) > BYTES_MAX:
        raise ConfigError(
            f"{len(data)} bytes are more than the {BYTES_MAX} that fit in memory: give a part"
        )
    return np.frombuffer(data, dtype=np.uint8)


def _only(raw: NDArray[np.uint8], allowed: frozenset[int]) -> bool:
    return not np.delete(np.bincount(raw, minlength=256), list(allowed)).any()


def _way_out(data: bytes) -> str:
    """Which form and width these bytes seem to have, as options."""
    raw = np.frombuffer(data, dtype=np.uint8)
    if _only(raw, frozenset((0, 1))):
        return "it looks like one bit a byte: --form symbols"
    if _only(raw, _DIGITS | _SPACE):
        return "it looks like text: --form text"
    width = int(raw.max()).bit_length()
    if width < BITS_MAX:
        return f"it looks like symbols of {width} bits, one a byte: --form symbols --bits {width}"
    return "it looks like packed bits: --form packed, or --bits 8 for bytes as symbols"

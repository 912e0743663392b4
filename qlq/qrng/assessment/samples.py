"""Samples of a noise source as the standard wants them: symbols, their width, their bit string."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BITS_MAX = 8
SAMPLES_MIN = 1_000_000
"""Consecutive samples that an assessment needs. Source: SP 800-90B, clause 3.1.1."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Consecutive outputs of one noise source.

    Attributes:
        raw: uint8 (samples,), the outputs as they were given; read-only.
        symbols: uint8 (samples,), the same, re-mapped to 0 ... k-1 in the order of their values
            where values are missing; read-only.
        bits: Width of a symbol, 1 to 8.
        alphabet: Number k of different symbols that occur, at least 1.
    """

    raw: NDArray[np.uint8]
    symbols: NDArray[np.uint8]
    bits: int
    alphabet: int

    @property
    def count(self) -> int:
        """Number of samples."""
        return int(self.raw.size)

    @property
    def is_binary(self) -> bool:
        """Whether two symbols occur, so that the estimators for bit strings apply."""
        return self.alphabet == 2  # noqa: PLR2004 - two is what binary means

    def bit_string(self) -> NDArray[np.uint8]:
        """uint8 (samples * bits,): the symbols before re-mapping, most significant bit first."""
        places = np.arange(self.bits - 1, -1, -1, dtype=np.uint8)
        bits = (self.raw[:, np.newaxis] >> places) & np.uint8(1)
        return bits.astype(np.uint8, copy=False).reshape(-1)


def read(raw: NDArray[np.uint8], *, bits: int | None = None) -> Samples:
    """Samples from one symbol a byte, as NIST's own tool reads a file.

    Args:
        raw: uint8 (samples,), at least one; copied.
        bits: Width of a symbol, 1 to 8. None takes the narrowest width that holds the largest one.

    Raises:
        ValueError: There is no sample, the array is not of bytes, or a symbol needs more bits.

    Source:
        SP 800-90B, clause 6.4 (mapping down), and the file format of NIST's ea_non_iid.
    """
    if raw.dtype != np.uint8 or raw.ndim != 1:
        raise ValueError(f"samples must be uint8 (samples,), not {raw.dtype} {raw.shape}")
    if raw.size == 0:
        raise ValueError("there is no sample: the data are empty")
    if bits is not None and not 1 <= bits <= BITS_MAX:
        raise ValueError(f"bits per symbol outside 1 to {BITS_MAX}: {bits}")
    largest = int(raw.max())
    width = max(1, largest.bit_length()) if bits is None else bits
    if largest >> width:
        raise ValueError(
            f"symbol {largest} needs {largest.bit_length()} bits, not {width}: samples are one "
            "symbol a byte"
        )
    seen = np.bincount(raw, minlength=256) > 0
    alphabet = int(seen.sum())
    kept = raw.copy()
    symbols = kept
    if alphabet <= largest:
        ranks = (np.cumsum(seen) - 1).astype(np.uint8)
        symbols = ranks[kept]
    kept.flags.writeable = False
    symbols.flags.writeable = False
    return Samples(raw=kept, symbols=symbols, bits=width, alphabet=alphabet)

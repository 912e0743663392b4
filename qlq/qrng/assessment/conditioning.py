"""Entropy after a conditioning component (clause 3.1.5), computed in logarithms."""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np

BITS_MAX = 1 << 32
UNVETTED_SHARE = 0.999
"""Full entropy is never credited to an unvetted function. Source: SP 800-90B, 3.1.5.2."""


class Vetted(StrEnum):
    """Functions that need no test of their output. Source: SP 800-90B, clause 3.1.5.1.1."""

    HMAC = "HMAC"
    CMAC = "CMAC"
    CBC_MAC = "CBC-MAC"
    HASH = "hash function"
    HASH_DF = "Hash_df"
    BLOCK_CIPHER_DF = "Block_Cipher_df"


def output_entropy(*, n_in: int, n_out: int, narrowest: int, h_in: float) -> float:
    """Min-entropy of the output of a vetted function, in bits.

    Args:
        n_in: Bits of input, 1 to 2^32.
        n_out: Bits of output, at least 1.
        narrowest: Bits of the narrowest internal state, at least 1; `n_out` for a hash function
            whose output is cut no further.
        h_in: Min-entropy of the input in bits, above 0, at most `n_in`.

    Returns:
        At most `n_out` and `h_in`; rounded to the nearest double, so that full entropy less
        2^-64 appears as full entropy.

    Raises:
        ValueError: A number is out of range.

    Source:
        SP 800-90B, clause 3.1.5.1.2.
    """
    _check(n_in=n_in, n_out=n_out, narrowest=narrowest, h_in=h_in)
    n = min(n_out, narrowest)
    log2_e = math.log2(math.e)
    # The likeliest input has 2^-h_in; p_low is what each of the others has.
    log2_low = log2_e * (_log_rest(h_in) - _log_rest(n_in)) - n_in
    share = n_in - n + log2_low
    spread = (1.0 + math.log2(n * math.log(2.0)) + n_in - n) / 2.0 + log2_low
    psi = np.logaddexp2(share, -h_in)
    omega = np.logaddexp2(share, spread)
    entropy = -min(0.0, max(float(psi), float(omega)))
    return min(entropy, float(n_out), h_in)


def unvetted_entropy(
    *, n_in: int, n_out: int, narrowest: int, h_in: float, h_assessed: float
) -> float:
    """Min-entropy of the output of any other function, in bits: never quite full.

    Args:
        n_in: Bits of input, 1 to 2^32.
        n_out: Bits of output, at least 1.
        narrowest: Bits of the narrowest internal state, at least 1.
        h_in: Min-entropy of the input in bits, above 0, at most `n_in`.
        h_assessed: Min-entropy per bit that an assessment of its output found, in [0, 1].

    Raises:
        ValueError: A number is out of range.

    Source:
        SP 800-90B, clause 3.1.5.2.
    """
    if not 0.0 <= h_assessed <= 1.0:
        raise ValueError(f"min-entropy per bit outside [0, 1]: {h_assessed}")
    entropy = output_entropy(n_in=n_in, n_out=n_out, narrowest=narrowest, h_in=h_in)
    return min(entropy, UNVETTED_SHARE * n_out, h_assessed * n_out)


def _log_rest(bits: float) -> float:
    """Natural logarithm of 1 - 2^-bits."""
    return math.log(-math.expm1(-bits * math.log(2.0)))


def _check(*, n_in: int, n_out: int, narrowest: int, h_in: float) -> None:
    for name, bits in (("input", n_in), ("output", n_out), ("narrowest state", narrowest)):
        if not 1 <= bits <= BITS_MAX:
            raise ValueError(f"bits of {name} outside 1 to {BITS_MAX}: {bits}")
    if not (math.isfinite(h_in) and 0.0 < h_in <= n_in):
        raise ValueError(f"min-entropy of the input outside (0, {n_in}] bits: {h_in}")

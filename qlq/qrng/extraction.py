"""Extractors: nearly uniform bits from raw bits whose min-entropy is known.

A seeded extractor is strong: its seed may be public and used again, but it must be independent of
the source and fixed before the raw bits exist. `CommittedSeed` is that promise as a type: a batch
carries the commitment of the seed it was ordered with, and `extract` takes no other seed.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from qlq.errors import MinEntropyTooLow
from qlq.numerics import bits as bitwise
from qlq.numerics import toeplitz
from qlq.qrng.source import Batch

EPS_DEFAULT = 2.0**-64
EPS_STRICT = 2.0**-128

COLUMNS_MAX = 1 << 22
ROWS_MAX = 1 << 23
"""Largest part of the matrix that one transform covers: 12.6 million places, about 0.5 GB."""


class SeedOrigin(StrEnum):
    """Where an extractor's seed comes from; recorded beside every output."""

    OPERATING_SYSTEM = "operating-system"
    BEACON = "beacon"
    """A pulse that was published after the circuit was committed to, before the raw bits."""
    CLIENT = "client"
    """Given by the caller, who answers for its independence."""


@dataclass(frozen=True, slots=True)
class CommittedSeed:
    """A seed that exists before the raw bits do.

    Attributes:
        material: Packed bits, first bit highest.
        origin: Where it comes from.
        detail: Which pulse, which file; empty if there is nothing to add.
    """

    material: bytes = field(repr=False)
    origin: SeedOrigin
    detail: str = ""

    @property
    def commitment(self) -> str:
        """SHA-256 (hex) of origin, detail and material: what an order carries."""
        head = f"qlq extractor seed 1\n{self.origin}\n{self.detail}\n".encode()
        return hashlib.sha256(head + self.material).hexdigest()

    def bits(self, count: int) -> NDArray[np.uint8]:
        """The first `count` bits; raises ValueError if the seed has fewer."""
        if count > 8 * len(self.material):
            raise ValueError(f"the seed has {8 * len(self.material)} bits, {count} are needed")
        taken = np.frombuffer(self.material, dtype=np.uint8, count=-(-count // 8))
        return np.unpackbits(taken)[:count]


class Bound(StrEnum):
    """Which form of the leftover hash lemma gives the length."""

    CONSERVATIVE = "conservative"
    """m = floor(k - 2 log2(1/eps))."""
    LEFTOVER_HASH = "leftover-hash"
    """m = floor(k + 2 - 2 log2(1/eps)), from eps <= 1/2 * 2^(-(k - m) / 2)."""


def output_length_bits(
    *, min_entropy_bits: float, eps: float = EPS_DEFAULT, bound: Bound = Bound.CONSERVATIVE
) -> int:
    """Bits that may be extracted, 0 if there are none.

    Args:
        min_entropy_bits: k, of all raw bits together, not negative.
        eps: Distance from uniform, in (0, 1).
        bound: Which form of the lemma.

    Raises:
        ValueError: A value is outside its range.

    Source:
        Impagliazzo, Levin and Luby (1989), leftover hash lemma; Tomamichel, Schaffner, Smith and
        Renner (2011) for quantum side information.
    """
    if not 0.0 <= min_entropy_bits < math.inf:
        raise ValueError(f"min-entropy must be 0 or more bits, not {min_entropy_bits}")
    if not 0.0 < eps < 1.0:
        raise ValueError(f"eps must lie in (0, 1), not {eps}")
    slack = 2.0 if bound is Bound.LEFTOVER_HASH else 0.0
    return max(0, math.floor(min_entropy_bits + slack - 2.0 * math.log2(1.0 / eps)))


def total_eps(
    *,
    extractors: tuple[float, ...],
    smoothing: float = 0.0,
    certificate: float = 0.0,
    seed_per_bit: float = 0.0,
    output_bits: int = 0,
) -> float:
    """The composable error of an output, the sum of all parts.

    Args:
        extractors: Error of each extraction, at least one.
        smoothing: Of the smooth min-entropy.
        certificate: Probability that the certificate claims too much.
        seed_per_bit: Distance of the seed from uniform, for each output bit.
        output_bits: m.

    Raises:
        ValueError: A part is negative or not a number, or there is no extraction.
    """
    parts = (*extractors, smoothing, certificate, output_bits * seed_per_bit)
    if not extractors or not all(part >= 0.0 for part in parts):
        raise ValueError(f"errors must be 0 or more, with at least one extraction: {parts}")
    return min(1.0, sum(parts))


def toeplitz_seed_bits(*, raw_bits: int, output_bits: int) -> int:
    """Seed bits of `toeplitz_extract`: n + m - 1."""
    return raw_bits + output_bits - 1


def toeplitz_extract(
    raw: NDArray[np.uint8], *, seed: NDArray[np.uint8], output_bits: int
) -> NDArray[np.uint8]:
    """The raw bits times the Toeplitz matrix of the seed over GF(2), in bounded memory.

    Args:
        raw: uint8 of shape (n,), values 0 and 1.
        seed: uint8 of shape (n + output_bits - 1,), values 0 and 1, uniform and independent.
        output_bits: m, from 1 to n.

    Returns:
        uint8 of shape (output_bits,): `out[i] = xor over j of seed[i - j + n - 1] & raw[j]`.

    Raises:
        ValueError: For another type, shape or length.
        InvariantBroken: A transform lost exactness.

    Source:
        Krawczyk, CRYPTO '94. Blocks of columns are summed modulo two, blocks of rows stand beside
        each other; each block is a Toeplitz matrix of its own.
    """
    bitwise.require_bits(raw, "raw bits")
    bitwise.require_bits(seed, "seed")
    if not 1 <= output_bits <= raw.size:
        raise ValueError(f"cannot extract {output_bits} bits from {raw.size}")
    wanted = toeplitz_seed_bits(raw_bits=raw.size, output_bits=output_bits)
    if seed.size != wanted:
        raise ValueError(f"a seed of {wanted} bits is needed, not {seed.size}")
    out = np.zeros(output_bits, dtype=np.uint8)
    for top in range(0, output_bits, ROWS_MAX):
        bottom = min(top + ROWS_MAX, output_bits)
        for left in range(0, raw.size, COLUMNS_MAX):
            right = min(left + COLUMNS_MAX, raw.size)
            part = seed[raw.size - right + top : raw.size - left + bottom - 1]
            out[top:bottom] ^= toeplitz.hash_bits(
                np.ascontiguousarray(raw[left:right]),
                seed=np.ascontiguousarray(part),
                output_bits=bottom - top,
            )
    return out


def modified_toeplitz_extract(
    raw: NDArray[np.uint8], *, seed: NDArray[np.uint8], output_bits: int
) -> NDArray[np.uint8]:
    """The raw bits times [I | T]: the first m bits, plus the rest times a Toeplitz matrix.

    Needs m fewer seed bits than `toeplitz_extract`, for the same error.

    Args:
        raw: uint8 of shape (n,), values 0 and 1.
        seed: uint8 of shape (n - 1,), values 0 and 1, uniform and independent.
        output_bits: m, from 1 to n - 1.

    Raises:
        ValueError: For another type, shape or length.

    Source:
        Hayashi and Tsurumaru (2016), section on the modified Toeplitz matrix.
    """
    bitwise.require_bits(raw, "raw bits")
    bitwise.require_bits(seed, "seed")
    if not 1 <= output_bits < raw.size:
        raise ValueError(f"cannot extract {output_bits} bits from {raw.size}")
    if seed.size != raw.size - 1:
        raise ValueError(f"a seed of {raw.size - 1} bits is needed, not {seed.size}")
    rest = raw[output_bits:]
    if output_bits <= rest.size:
        return raw[:output_bits] ^ toeplitz_extract(rest, seed=seed, output_bits=output_bits)
    hashed = toeplitz.hash_bits(np.ascontiguousarray(rest), seed=seed, output_bits=output_bits)
    return raw[:output_bits] ^ hashed


def von_neumann_extract(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The first bit of each unequal pair: exactly uniform if raw bits are independent and alike.

    A seed is not needed, and nothing is promised for bits with memory or drift: no claim rests
    on it.

    Args:
        raw: uint8 of one axis, values 0 and 1; a last unpaired bit is dropped.

    Source:
        von Neumann (1951), "Various techniques used in connection with random digits".
    """
    bitwise.require_bits(raw, "raw bits")
    pairs = raw[: raw.size - raw.size % 2].reshape(-1, 2)
    kept: NDArray[np.uint8] = pairs[pairs[:, 0] != pairs[:, 1], 0]
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class Extraction:
    """Extracted bits, and everything needed to extract them again.

    Attributes:
        bits: uint8 of shape (m,), values 0 and 1, read-only; not in `repr`.
        raw_bits: n.
        min_entropy_bits: k that the length was taken from.
        eps: Distance from uniform, given k.
        bound: Which form of the lemma gave the length limit.
        seed_origin: Where the seed came from.
        seed_commitment: What the batch had been ordered with.
    """

    bits: NDArray[np.uint8] = field(repr=False)
    raw_bits: int
    min_entropy_bits: float
    eps: float
    bound: Bound
    seed_origin: SeedOrigin
    seed_commitment: str

    def __post_init__(self) -> None:
        """Make the bits read-only."""
        self.bits.setflags(write=False)


def extract(
    batch: Batch,
    *,
    seed: CommittedSeed,
    min_entropy_bits: float,
    output_bits: int | None = None,
    eps: float = EPS_DEFAULT,
    bound: Bound = Bound.CONSERVATIVE,
) -> Extraction:
    """Nearly uniform bits of a batch, by a Toeplitz matrix.

    Args:
        batch: Ordered with the seed's commitment.
        seed: At least n + m - 1 bits.
        min_entropy_bits: Claimed for the whole batch, see `qlq.qrng.source_claims`.
        output_bits: m; None takes all that the lemma allows.
        eps: Distance from uniform, in (0, 1).
        bound: Which form of the lemma.

    Raises:
        ValueError: The batch was ordered with another seed or none, or a value is outside its
            range.
        MinEntropyTooLow: More bits are wanted than the claim allows, or it allows none.
    """
    if batch.order.seed_commitment != seed.commitment:
        raise ValueError(
            "the seed was not fixed before the raw bits existed: order the batch with its "
            f"commitment {seed.commitment}, not {batch.order.seed_commitment}"
        )
    allowed = output_length_bits(min_entropy_bits=min_entropy_bits, eps=eps, bound=bound)
    wanted = allowed if output_bits is None else output_bits
    if not 1 <= wanted <= allowed:
        raise MinEntropyTooLow(
            f"{wanted} bits cannot be extracted from {min_entropy_bits:g} bits of claimed entropy: "
            f"at eps = {eps:.3g} they allow {allowed}; measure more shots, or ask for less"
        )
    raw = batch.stream
    count = toeplitz_seed_bits(raw_bits=raw.size, output_bits=wanted)
    extracted = toeplitz_extract(raw, seed=seed.bits(count), output_bits=wanted)
    return Extraction(
        bits=extracted,
        raw_bits=raw.size,
        min_entropy_bits=min_entropy_bits,
        eps=eps,
        bound=bound,
        seed_origin=seed.origin,
        seed_commitment=seed.commitment,
    )

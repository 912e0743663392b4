"""Batches of raw random bits: the circuits, the shots as they came, and the tier of their entropy.

A batch is ordered before it is measured: the `Order` names the circuit and, where the bits will
be extracted with a seed, the commitment to that seed. Only an order and its shots make a `Batch`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from qlq import circuit
from qlq.circuit import Plan, Program
from qlq.errors import HealthTestFailed
from qlq.numerics import bits as bitwise
from qlq.provenance import EntropyTier, Provenance, Tier
from qlq.shots import Shots

ANCHOR_STEP = 1024
"""Raw bits are remembered by the first `ANCHOR_BITS` of each stretch of this length."""
ANCHOR_BITS = 128
"""At 0.8 bits of min-entropy a bit, one of 2^20 remembered anchors turns up at one of 2^20 places
of an honest batch with probability below 2^-62."""
ANCHORS_MAX = 1 << 20
"""Remembered anchors, 2^30 raw bits; the oldest are forgotten first."""

PERIOD_AGREEMENT = 0.75
"""A stream that agrees with itself, moved by a lag, in more places than this is periodic. Bits
with P(1) = 0.6 agree in 0.52 of their places, and over `PERIOD_PLACES_MIN` places independent
fair bits reach 0.75 at one lag with probability below 1e-27 (Hoeffding)."""
PERIOD_PLACES_MIN = 512
PERIOD_BITS_MIN = 4096
PERIOD_BITS_MAX = 1 << 20
"""Longest stretch that is searched for a period at once: 40 MB of transforms."""

BATCH_BITS_MIN = PERIOD_BITS_MIN
"""Fewer raw bits cannot be screened."""


class Circuit(StrEnum):
    """What a source measures."""

    HADAMARD = "hadamard"
    """Qubits in equal superpositions, one bit each."""
    BELL = "bell"
    """A Bell pair measured where it was made; its two bits agree."""
    CHSH = "chsh"
    """Bell pairs measured in the four pairs of CHSH settings."""


CHSH_ANGLES = (
    np.array([0.0, np.pi / 2]),
    np.array([np.pi / 4, -np.pi / 4]),
)
"""Alice's and Bob's measurement angle for settings 0 and 1, in radians: the pair state has
E(a, b) = cos(a - b), so that S = E00 + E01 + E10 - E11 = 2 sqrt 2.
Source: Clauser, Horne, Shimony and Holt (1969)."""


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What is to be measured, fixed before it is.

    Attributes:
        circuit: What the source measures.
        plan: The job.
        seed_commitment: SHA-256 (hex) of the extractor's seed, None if no seeded extractor will
            see the bits.
    """

    circuit: Circuit
    plan: Plan
    seed_commitment: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Raw outcomes of one order, as they came; made by `collect`.

    Attributes:
        order: What was ordered, the commitment to the seed included.
        shots: uint8 of shape (rows, shots, bits), read-only.
        digest: SHA-256 (hex) of the shape and of all bits in order.
    """

    order: Order
    shots: Shots
    digest: str

    @property
    def provenance(self) -> Provenance:
        """Origin of the shots."""
        return self.shots.provenance

    @property
    def matrix(self) -> NDArray[np.uint8]:
        """The raw bits by qubit: uint8 of shape (rows * shots, bits), read-only."""
        matrix = self.shots.bits.reshape(-1, self.shots.bits.shape[2])
        matrix.setflags(write=False)
        return matrix

    @property
    def stream(self) -> NDArray[np.uint8]:
        """The serialised stream: shot after shot, bit c[0] first; one axis, read-only."""
        stream = self.shots.bits.reshape(-1)
        stream.setflags(write=False)
        return stream

    @property
    def packed(self) -> bytes:
        """The stream in bytes, first bit highest, the last byte padded with zeros."""
        return np.packbits(self.stream).tobytes()


def hadamard_program(width: int) -> Program:
    """Side by side `width` qubits in equal superpositions, qubit k measured to c[k].

    Raises:
        ValueError: `width` is below 1.
        CircuitRejected: `width` is above what a program may have.
    """
    return circuit.tile(circuit.load("qrng"), lanes=width)


def order_hadamard(
    *,
    raw_bits: int,
    width: int,
    shots_max: int | None = None,
    tags: tuple[str, ...] = (),
    seed_commitment: str | None = None,
) -> Order:
    """An order of at least `raw_bits` bits, `width` of them in each shot.

    Args:
        raw_bits: At least `BATCH_BITS_MIN`.
        width: Qubits, at least 1.
        shots_max: Most shots of a row; more are spread over equal rows. None for no limit.
        tags: Words to find the job by.
        seed_commitment: As in `Order`.

    Raises:
        ValueError: `raw_bits` is below `BATCH_BITS_MIN`, or `width` or `shots_max` below 1.
        CircuitRejected: `width` is above what a program may have.
    """
    if raw_bits < BATCH_BITS_MIN:
        raise ValueError(f"a batch has at least {BATCH_BITS_MIN} raw bits, not {raw_bits}")
    program = hadamard_program(width)
    shots = -(-raw_bits // width)
    if shots_max is not None and shots_max < 1:
        raise ValueError(f"a row has at least 1 shot, not {shots_max}")
    rows = 1 if shots_max is None else -(-shots // shots_max)
    plan = Plan(program, np.zeros((rows, 0)), -(-shots // rows), tags=tags)
    return Order(Circuit.HADAMARD, plan, seed_commitment)


def order_bell(*, pairs: int, tags: tuple[str, ...] = ()) -> Order:
    """An order of Bell pairs, both halves measured where they were made.

    Raises:
        ValueError: `pairs` is below 1.
    """
    return Order(Circuit.BELL, Plan(circuit.load("bell"), np.zeros((1, 0)), pairs, tags=tags))


def order_chsh(
    *,
    settings: NDArray[np.uint8],
    shots_per_row: int,
    tags: tuple[str, ...] = (),
    seed_commitment: str | None = None,
) -> Order:
    """An order of CHSH rounds, one row of the job for each pair of settings.

    Args:
        settings: uint8 of shape (rows, 2), values 0 and 1: Alice's and Bob's setting of each
            row, in the order of the job.
        shots_per_row: Rounds of each row.
        tags: Words to find the job by.
        seed_commitment: As in `Order`.

    Raises:
        ValueError: For another type, shape or value.
    """
    if settings.dtype != np.uint8 or settings.ndim != 2 or settings.shape[1] != 2:  # noqa: PLR2004
        raise ValueError(f"settings must be uint8 (rows, 2), not {settings.dtype} {settings.shape}")
    if settings.size and settings.max() > 1:
        raise ValueError(f"settings must be 0 or 1, not {settings.max()}")
    alice, bob = (CHSH_ANGLES[party][settings[:, party]] for party in (0, 1))
    program = circuit.load("e91")
    plan = Plan(program, np.column_stack([alice, bob]), shots_per_row, tags=tags)
    return Order(Circuit.CHSH, plan, seed_commitment)


def collect(order: Order, shots: Shots) -> Batch:
    """The batch of an order that was measured.

    Raises:
        ValueError: The shots are of another program, or too many or too few.
    """
    plan = order.plan
    expected = (len(plan.bindings), plan.shots, plan.program.n_bits)
    if shots.bits.shape != expected:
        raise ValueError(f"the order gives shots of shape {expected}, not {shots.bits.shape}")
    if shots.provenance.program_digest != plan.program.digest:
        raise ValueError(
            f"the shots are of program {shots.provenance.program_digest}, "
            f"not of {plan.program.digest}"
        )
    content = hashlib.sha256(f"{shots.bits.shape}\n".encode())
    content.update(np.packbits(shots.bits.reshape(-1)).tobytes())
    return Batch(order, shots, content.hexdigest())


def tier_of(provenance: Provenance) -> EntropyTier:
    """The highest tier that bits of this origin may have.

    Shots of a QPU are device-modelled; no simulator and no classical source has any claim.
    Higher tiers need a Bell test or another's attestation, which no job carries by itself.
    """
    if provenance.tier is Tier.QPU:
        return EntropyTier.DEVICE_MODELLED
    return EntropyTier.NONE


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What came before, to catch a source that says the same again.

    Attributes:
        anchors: uint64 of shape (count, 2), read-only: 128 bits of each stretch of 1024, in the
            order in which they came.
        batches: Digests of whole batches.
    """

    anchors: NDArray[np.uint64]
    batches: frozenset[str]

    def __post_init__(self) -> None:
        """Make the anchors read-only."""
        self.anchors.setflags(write=False)


NOTHING_SEEN = Seen(np.empty((0, 2), dtype=np.uint64), frozenset())


def screen(batch: Batch, *, seen: Seen) -> Seen:
    """What has been seen after this batch; refuses one that is constant, periodic or replayed.

    The health tests of SP 800-90B do not see these: a period longer than their windows, bits
    that came in an earlier batch, wherever they come again.

    Raises:
        HealthTestFailed: Naming the test, its count and its limit. The batch is to be discarded.
        ValueError: The batch has fewer than `BATCH_BITS_MIN` bits.
    """
    stream = batch.stream
    if stream.size < BATCH_BITS_MIN:
        raise ValueError(f"a batch has at least {BATCH_BITS_MIN} raw bits, not {stream.size}")
    _refuse_constant(batch.matrix)
    if batch.digest in seen.batches:
        raise HealthTestFailed(test="replayed batch", qubit=None, count=1, cutoff=1)
    _refuse_period(stream)
    own = _anchors(stream)
    repeated = _count_anchored(stream, seen.anchors) + _count_anchored(stream, own) - len(own)
    if repeated:
        raise HealthTestFailed(test="repeated bits", qubit=None, count=repeated, cutoff=1)
    anchors = np.concatenate([seen.anchors, own])[-ANCHORS_MAX:]
    return Seen(anchors, seen.batches | {batch.digest})


def _anchors(stream: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first 128 bits of each stretch of 1024, uint64 of shape (count, 2)."""
    starts = np.arange(0, stream.size - ANCHOR_BITS + 1, ANCHOR_STEP)
    bits = stream[starts[:, np.newaxis] + np.arange(ANCHOR_BITS)]
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)


def _count_anchored(stream: NDArray[np.uint8], anchors: NDArray[np.uint64]) -> int:
    """At how many places of the stream, aligned or not, one of the anchors begins."""
    if not len(anchors):
        return 0
    known = {(int(first), int(second)) for first, second in anchors}
    found = 0
    for start in range(0, stream.size - ANCHOR_BITS + 1, PERIOD_BITS_MAX):
        windows = _windows(stream[start : start + PERIOD_BITS_MAX + ANCHOR_BITS - 1])
        firsts = windows[: windows.size - ANCHOR_BITS // 2]
        places = np.flatnonzero(np.isin(firsts, anchors[:, 0]))
        pairs = zip(windows[places], windows[places + ANCHOR_BITS // 2], strict=True)
        found += sum((int(first), int(second)) in known for first, second in pairs)
    return found


def _windows(stream: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The 64 bits that begin at each place, the first one highest."""
    windows = stream.astype(np.uint64)
    for width in (1, 2, 4, 8, 16, 32):
        windows = (windows[:-width] << np.uint64(width)) | windows[width:]
    return windows


def _refuse_constant(matrix: NDArray[np.uint8]) -> None:
    """Refuse a qubit that gives the same bit in every shot."""
    shots = matrix.shape[0]
    ones = matrix.sum(axis=0, dtype=np.int64)
    stuck = np.flatnonzero((ones == 0) | (ones == shots))
    if stuck.size:
        raise HealthTestFailed(test="constant bit", qubit=int(stuck[0]), count=shots, cutoff=shots)


def _refuse_period(stream: NDArray[np.uint8]) -> None:
    """Refuse a stretch that agrees with itself at some lag."""
    for start in range(0, stream.size, PERIOD_BITS_MAX):
        stretch = stream[start : start + PERIOD_BITS_MAX]
        if stretch.size < PERIOD_BITS_MIN:
            stretch = stream[-PERIOD_BITS_MIN:]
        lag, agreements = most_alike(stretch)
        cutoff = round(PERIOD_AGREEMENT * (stretch.size - lag))
        if agreements > cutoff:
            raise HealthTestFailed(
                test=f"period of {lag} bits", qubit=None, count=agreements, cutoff=cutoff
            )


def most_alike(
    stream: NDArray[np.uint8], *, places_min: int = PERIOD_PLACES_MIN
) -> tuple[int, int]:
    """The lag at which a stream is most like itself.

    Args:
        stream: uint8 of one axis, values 0 and 1, more than `places_min` of them.
        places_min: Fewest places that are compared, at least 1: lags go from 1 to size - this.

    Returns:
        The lag, and in how many of the `size - lag` places bit i equals bit i + lag.

    Raises:
        ValueError: For another type or shape, or too few bits.
    """
    bitwise.require_bits(stream)
    size = stream.size
    if not 1 <= places_min < size:
        raise ValueError(f"{size} bits have no lag that leaves {places_min} places")
    signs = 1.0 - 2.0 * stream.astype(np.float64)
    spectrum = fft.rfft(signs, fft.next_fast_len(2 * size, real=True))
    correlation = fft.irfft(spectrum * spectrum.conj(), fft.next_fast_len(2 * size, real=True))
    lags = np.arange(1, size - places_min + 1)
    agreements = np.rint((size - lags + correlation[lags]) / 2).astype(np.int64)
    best = int(np.argmax(agreements / (size - lags)))
    return int(lags[best]), int(agreements[best])

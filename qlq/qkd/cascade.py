"""Information reconciliation by Cascade, one frame for the whole key, without I/O.

    Corrector (Bob)                     Responder (Alice)
    next_request() -> Request      ->   answer(request) -> parities
    absorb(parities)               <-
    ... until next_request() is None, then `corrected`

One request carries all questions that are open at that time, with Bob's own parities of the
same ranges. Both parties' parities are public and both are charged: Bob's requests depend on
where the errors are. Source: Tupkary and Luetkenhaus, arXiv 2307.00576.

Errors are never introduced: a bit changes only where Alice's parity of that bit is known.
So each bit changes at most once, no range is asked for twice, and every run ends.

The public seed orders the bits of each pass anew; it should be drawn after the keys are fixed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from qlq.errors import LocalMisuse, RemoteMisuse, require
from qlq.numerics import parity_trees, shuffles
from qlq.numerics.bits import require_bits
from qlq.numerics.entropy import binary_entropy

BITS_MIN, BITS_MAX = 64, 2_000_000
"""Length of a key that is reconciled at once."""

QBER_MIN = 1e-3
"""Estimates below this, zero included, take its block sizes: an estimate of zero says little,
and blocks of 730 bits cost a quarter of a per cent of the key."""

PASSES_MAX = 64
"""Bound on passes: the published rules need 16 at most, a wrong estimate a few more."""

ROUNDS_MAX = 20_000
"""Bound on requests of a run; 40 to 150 are usual."""

PARITIES_PER_BIT_MAX = 4
"""Bound on the parities of a run, per bit of the key; a key is lost when one is revealed."""

LATE_BLOCK_BITS_MAX = 5_000
"""Half a frame of 10^4 bits, for which the rules with half-frame blocks were published. Longer
keys keep this size, so that their searches run side by side instead of one after the other."""

_LATE_SLOTS = 2
"""Passes beyond the rule that are kept at the same time; older ones are dropped."""


class Variant(StrEnum):
    """Block rule.

    Source: Brassard and Salvail, EUROCRYPT '93 (original); Sugimoto and Yamazaki, IEICE Trans.
    E83-A, 1987 (2000) (BICONF); Yan et al., 2008 (yanetal); figures as in cascade-cpp.
    """

    ORIGINAL = "original"
    BICONF = "biconf"
    YANETAL = "yanetal"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Block sizes of the passes.

    Attributes:
        sizes: Bits in a block, for each pass of the rule.
        late_size: Bits in a block of the passes that follow.
        clean_passes: The run ends after this many passes in a row that found no error, but not
            before the rule's last pass.
    """

    sizes: tuple[int, ...]
    late_size: int
    clean_passes: int

    def size(self, number: int) -> int:
        """Block size of pass `number`, from 0."""
        return self.sizes[number] if number < len(self.sizes) else self.late_size


def block_sizes(variant: Variant, *, qber: float, bits: int) -> Schedule:
    """The passes for a key of this length and an estimated error rate.

    Original: ceil(.73/Q), doubling, 4 passes. BICONF: ceil(.92/Q), 3 times that, then random
    halves until 10 in a row are free of errors. Yanetal: ceil(.80/Q), 5 times that, then
    halves, 10 passes. No block is longer than half the key, halves no longer than
    `LATE_BLOCK_BITS_MAX`. A rule whose last pass still found errors gets further passes of
    halves until one finds none.

    Args:
        variant: Block rule.
        qber: Estimated error rate in [0, 0.5); values below `QBER_MIN` count as that.
        bits: Length of the key, `BITS_MIN` to `BITS_MAX`.

    Raises:
        ValueError: Outside these ranges.
    """
    if not 0.0 <= qber < 0.5:  # noqa: PLR2004 - one half is no correlation at all
        raise ValueError(f"QBER outside [0, 0.5): {qber}")
    if not BITS_MIN <= bits <= BITS_MAX:
        raise ValueError(f"{bits} bits: Cascade takes {BITS_MIN} to {BITS_MAX}")
    rate, half = max(qber, QBER_MIN), (bits + 1) // 2
    late = min(half, LATE_BLOCK_BITS_MAX)
    match variant:
        case Variant.ORIGINAL:
            first = math.ceil(0.73 / rate)
            sizes, clean = [first, 2 * first, 4 * first, 8 * first], 1
        case Variant.BICONF:
            first = math.ceil(0.92 / rate)
            sizes, clean = [first, 3 * first], 10
        case _:
            first = math.ceil(0.80 / rate)
            sizes, clean = [first, 5 * first, *[late] * 8], 1
    return Schedule(tuple(min(size, half) for size in sizes), late, clean)


def efficiency(*, parities: int, bits: int, qber: float) -> float:
    """Return f = Alice's parities / (n h(Q)); infinite for an error rate of 0 or 1.

    Bob's parities are not counted, as in published tables; the charge against the key counts
    them. 1 is the Shannon limit.
    """
    entropy = bits * binary_entropy(qber)
    return parities / entropy if entropy else math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Questions of one round: ranges [start, stop) in the order of their passes.

    Attributes:
        passes: uint16 (questions,), number of the pass, from 0.
        starts: uint32 (questions,).
        stops: uint32 (questions,), above starts, at most n.
        parities: uint8 (questions,), Bob's parities of the ranges at this time, 0 or 1.
    """

    passes: NDArray[np.uint16]
    starts: NDArray[np.uint32]
    stops: NDArray[np.uint32]
    parities: NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Make the arrays read-only; their contents are judged by the responder."""
        for array in (self.passes, self.starts, self.stops, self.parities):
            array.setflags(write=False)


class Responder:
    """Alice: answers with parities of her key and keeps count of them.

    Attributes:
        answered_bits: Parities that she has revealed.
        received_bits: Parities that Bob has revealed.
    """

    def __init__(
        self, bits: NDArray[np.uint8], *, seed: bytes, variant: Variant, qber: float
    ) -> None:
        """Start with Alice's key.

        Args:
            bits: uint8 of shape (n,), values 0 and 1, n from `BITS_MIN` to `BITS_MAX`.
            seed: 8 public bytes, the same as Bob's.
            variant: Block rule, the same as Bob's.
            qber: Estimated error rate in [0, 0.5), the same as Bob's.

        Raises:
            ValueError: For a key, seed or rate outside its range.
        """
        require_bits(bits, "key")
        block_sizes(variant, qber=qber, bits=bits.size)
        self._bits = bits
        self._seed = np.uint64(_seed_number(seed))
        self._prefixes = np.empty((PASSES_MAX, bits.size + 1), dtype=np.uint8)
        self._passes = 0
        self._room = PARITIES_PER_BIT_MAX * bits.size
        self.answered_bits = 0
        self.received_bits = 0

    def answer(self, request: Request) -> NDArray[np.uint8]:
        """Parities of the ranges, uint8 of shape (questions,).

        Passes are opened in order, one with each request at most.

        Raises:
            RemoteMisuse: For arrays of another type or length, no question, a pass not yet due,
                a range outside the key, a parity above 1, or too many parities in all.
        """
        count = request.passes.size
        for array, dtype in (
            (request.passes, np.uint16),
            (request.starts, np.uint32),
            (request.stops, np.uint32),
            (request.parities, np.uint8),
        ):
            require(array.dtype == dtype and array.shape == (count,), f"expected {count} {dtype}")
        require(count > 0, "a request without a question")
        require(self.answered_bits + count <= self._room, "more parities than the key has bits")
        require(bool((request.starts < request.stops).all()), "an empty range")
        require(int(request.stops.max()) <= self._bits.size, "a range beyond the key")
        require(int(request.parities.max()) <= 1, "a parity that is neither 0 nor 1")
        last = int(request.passes.max())
        require(last <= self._passes and last < PASSES_MAX, f"pass {last} is not due")
        if last == self._passes:
            self._open_pass(last)
        self.answered_bits += count
        self.received_bits += count
        rows = request.passes.astype(np.int64) * self._prefixes.shape[1]
        table = self._prefixes.reshape(-1)
        answers: NDArray[np.uint8] = table[rows + request.stops] ^ table[rows + request.starts]
        return answers

    @property
    def leak_ec_bits(self) -> int:
        """Parities of both parties on the wire."""
        return self.answered_bits + self.received_bits

    def _open_pass(self, number: int) -> None:
        """Write the parity of the first i bits of the pass to place i of its row."""
        prefix = self._prefixes[number]
        prefix[0] = 0
        prefix[1:] = self._bits
        shuffles.shuffle_for_pass(prefix[1:], seed=self._seed, number=number)
        np.bitwise_xor.accumulate(prefix, out=prefix)
        self._passes += 1


class Corrector:
    """Bob: finds his errors by asking for parities.

    Attributes:
        asked_bits: Parities that he has asked for, and revealed of his own.
        received_bits: Parities that Alice has revealed.
        requests: Requests sent so far.
    """

    def __init__(
        self, bits: NDArray[np.uint8], *, seed: bytes, variant: Variant, qber: float
    ) -> None:
        """Start with Bob's key; the arguments are those of `Responder`."""
        require_bits(bits, "key")
        self._schedule = block_sizes(variant, qber=qber, bits=bits.size)
        sizes = self._schedule.sizes + (self._schedule.late_size,) * _LATE_SLOTS
        self._forest = parity_trees.plant(bits, sizes)
        self._seed = np.uint64(_seed_number(seed))
        self._pass_of_slot = np.zeros(len(sizes), dtype=np.uint16)
        self._passes = 0
        self._flips_before_pass = 0
        self._clean = 0
        self._opening_slot: int | None = None
        self._own: NDArray[np.uint8] | None = None
        self.asked_bits = 0
        self.received_bits = 0
        self.requests = 0

    @property
    def corrected(self) -> NDArray[np.uint8]:
        """Bob's key with the corrections so far, uint8 of shape (n,), a copy."""
        return self._forest.bits.copy()

    @property
    def corrections(self) -> int:
        """Bits corrected so far."""
        return int(self._forest.counters[parity_trees.FLIPS])

    @property
    def leak_ec_bits(self) -> int:
        """Parities of both parties on the wire."""
        return self.asked_bits + self.received_bits

    def next_request(self) -> Request | None:
        """The open questions, or None when the run has ended.

        The keys may still differ after the end: verification decides.

        Raises:
            LocalMisuse: While an answer is due.
            RemoteMisuse: If the answers so far contradict each other.
        """
        if self._own is not None:
            raise LocalMisuse("the last request has not been answered")
        questions = parity_trees.settle(self._forest)
        if questions == parity_trees.CONTRADICTION:
            raise RemoteMisuse("parities contradict each other")
        if questions == 0:
            if self._is_finished():
                return None
            questions = self._open_pass()
        room = PARITIES_PER_BIT_MAX * self._forest.bits.size - self.asked_bits
        if questions > room or self.requests == ROUNDS_MAX:
            return None
        return self._request(questions)

    def absorb(self, parities: NDArray[np.uint8]) -> None:
        """Take Alice's answer to the last request.

        Args:
            parities: uint8 of shape (questions,), in the order of the request.

        Raises:
            LocalMisuse: If no answer is due.
            RemoteMisuse: For another type, length or value.
        """
        own = self._own
        if own is None:
            raise LocalMisuse("no request is open")
        require(
            parities.dtype == np.uint8 and parities.shape == own.shape,
            f"{own.size} parities are due, not {parities.shape} of {parities.dtype}",
        )
        require(int(parities.max()) <= 1, "a parity that is neither 0 nor 1")
        self.received_bits += parities.size
        parity_trees.absorb(self._forest, own.size, own, np.ascontiguousarray(parities))
        if self._opening_slot is not None and self._passes > 1:
            parity_trees.infer_last_block(self._forest, self._opening_slot)
        self._opening_slot = None
        self._own = None

    def _is_finished(self) -> bool:
        """Whether the rule's passes are over and the last ones found nothing."""
        if self._passes:
            found = self.corrections - self._flips_before_pass
            self._clean = 0 if found else self._clean + 1
        enough = self._passes >= len(self._schedule.sizes)
        return self._passes >= PASSES_MAX or (enough and self._clean >= self._schedule.clean_passes)

    def _open_pass(self) -> int:
        """Start the next pass; the number of its questions."""
        number, rule = self._passes, len(self._schedule.sizes)
        slot = number if number < rule else rule + (number - rule) % _LATE_SLOTS
        self._passes += 1
        self._flips_before_pass = self.corrections
        self._pass_of_slot[slot] = number
        self._opening_slot = slot
        shuffles.order_of_pass(self._forest.order[slot], seed=self._seed, number=number)
        return int(parity_trees.open_pass(self._forest, slot, number))

    def _request(self, questions: int) -> Request:
        own = np.empty(questions, dtype=np.uint8)
        parity_trees.own_parities(self._forest, questions, own)
        asked = self._forest.asked[:, :questions]
        self._own = own
        self.asked_bits += questions
        self.requests += 1
        return Request(
            passes=self._pass_of_slot[asked[parity_trees.SLOT]],
            starts=asked[parity_trees.START].astype(np.uint32),
            stops=asked[parity_trees.SPLIT].astype(np.uint32),
            parities=own.copy(),
        )


def _seed_number(seed: bytes) -> int:
    if len(seed) != shuffles.SEED_BYTES:
        raise ValueError(f"a seed of {shuffles.SEED_BYTES} bytes is needed, not {len(seed)}")
    return int.from_bytes(seed, "big")

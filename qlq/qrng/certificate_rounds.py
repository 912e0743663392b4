"""The rounds of a CHSH run: settings that the client draws, the job they become, what it gave.

Each round's settings are drawn on their own, uniformly, from bytes of the client. Rounds with
equal settings run together as rows of a job (`numerics.rounds`), rows are shuffled within blocks
of time, and the outcomes are dealt back to the rounds in the order in which they were drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlq.numerics import bits as bitwise
from qlq.numerics import chsh, rounds
from qlq.numerics.rounds import Grouping
from qlq.qrng import source
from qlq.qrng.source import Batch, Order

ORDER_SEED_BYTES = 32
ROUNDS_MIN = 100
ROUNDS_MAX = 10_000_000
BLOCKS_MAX = 64
_PAIRS = 4


def draw_bytes(count: int) -> int:
    """Random bytes that `arrange` takes for this many rounds: the order's seed, two bits a round.

    Raises:
        ValueError: The count is outside [100, 10^7].
    """
    if not ROUNDS_MIN <= count <= ROUNDS_MAX:
        raise ValueError(f"a run has from {ROUNDS_MIN} to {ROUNDS_MAX} rounds, not {count}")
    return ORDER_SEED_BYTES + -(-2 * count // 8)


@dataclass(frozen=True, slots=True, eq=False)
class Arrangement:
    """Drawn rounds and their places in a job; made by `arrange`.

    Attributes:
        settings: uint8 of shape (rounds, 2), values 0 and 1, read-only: Alice's, Bob's.
        grouping: The rows of the job and each round's place.
        block_of_row: int64 of shape (rows,): which stretch of time a row lies in.
        order_seed: Seed of the shuffles that decide nothing secret.
    """

    settings: NDArray[np.uint8]
    grouping: Grouping
    block_of_row: NDArray[np.int64]
    order_seed: int


def arrange(drawn: bytes, *, count: int, blocks: int) -> Arrangement:
    """The rounds that these bytes draw.

    Args:
        drawn: `draw_bytes(count)` uniformly random bytes, used for nothing else.
        count: Rounds.
        blocks: Stretches of time, 1 to 64; rows are shuffled within each.

    Raises:
        ValueError: For another number of bytes, or a value outside its range.
    """
    if len(drawn) != draw_bytes(count):
        raise ValueError(f"{count} rounds are drawn from {draw_bytes(count)} bytes: {len(drawn)}")
    if not 1 <= blocks <= BLOCKS_MAX:
        raise ValueError(f"a run has from 1 to {BLOCKS_MAX} blocks, not {blocks}")
    order_seed = int.from_bytes(drawn[:ORDER_SEED_BYTES], "big")
    settings = bitwise.unpack(_without_padding(drawn[ORDER_SEED_BYTES:], count), count=2 * count)
    settings = settings.reshape(count, 2)
    settings.setflags(write=False)
    grouping = rounds.group(
        np.ascontiguousarray(settings[:, 0]),
        np.ascontiguousarray(settings[:, 1]),
        blocks=blocks,
        order_rng=np.random.default_rng(order_seed),
    )
    block_of_row = np.zeros(len(grouping.row_inputs), dtype=np.int64)
    block_of_row[grouping.row_of_pulse] = rounds.block_of_pulse(count, blocks=blocks)
    return Arrangement(settings, grouping, block_of_row, order_seed)


def _without_padding(packed: bytes, count: int) -> bytes:
    """The bytes with the bits after the last round set to zero."""
    unused = 8 * len(packed) - 2 * count
    return packed[:-1] + bytes([packed[-1] >> unused << unused])


def order(
    arrangement: Arrangement, *, tags: tuple[str, ...], seed_commitment: str | None = None
) -> Order:
    """The order of the job that gives an outcome to every round."""
    return source.order_chsh(
        settings=arrangement.grouping.row_inputs.astype(np.uint8),
        shots_per_row=arrangement.grouping.shots,
        tags=tags,
        seed_commitment=seed_commitment,
    )


def raw_bits_max(*, count: int, blocks: int) -> int:
    """Most raw bits that the job of so many rounds may give, surplus shots included."""
    shots = -(-count // rounds.ROWS_TARGET)
    return 2 * (count + _PAIRS * blocks * shots)


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What a batch says of its rounds.

    Attributes:
        counts: int64 of shape (2, 2, 2, 2): Alice's setting, Bob's setting, Alice's outcome,
            Bob's outcome; read-only. Surplus shots are not in it.
        value: S = E00 + E01 + E10 - E11 and its standard error.
        no_signalling: The test of the same rounds, rows exchanged within blocks; None where no
            setting was combined with two settings of the other party.
    """

    counts: NDArray[np.int64]
    value: chsh.ChshValue
    no_signalling: chsh.NoSignalling | None


def evaluate(arrangement: Arrangement, batch: Batch) -> Outcomes:
    """Counts, CHSH value and no-signalling test of the rounds of a batch.

    Raises:
        ValueError: The batch is not one of this arrangement's job.
    """
    dealt = _dealt(arrangement, batch)
    counts = _counted(arrangement, dealt)
    return Outcomes(counts, value(counts), _no_signalling(arrangement, dealt))


def count(arrangement: Arrangement, batch: Batch) -> NDArray[np.int64]:
    """The counts of `evaluate` alone, read-only; raises ValueError as it does."""
    return _counted(arrangement, _dealt(arrangement, batch))


def _dealt(arrangement: Arrangement, batch: Batch) -> NDArray[np.int64]:
    """Both outcomes of each round, int64 of shape (rounds, 2)."""
    shape = (len(arrangement.grouping.row_inputs), arrangement.grouping.shots, 2)
    if batch.shots.bits.shape != shape:
        raise ValueError(f"the rounds lie in shots of shape {shape}, not {batch.shots.bits.shape}")
    return batch.shots.bits.reshape(-1, 2)[arrangement.grouping.cell].astype(np.int64)


def _counted(arrangement: Arrangement, dealt: NDArray[np.int64]) -> NDArray[np.int64]:
    label = arrangement.settings.astype(np.int64) @ [8, 4] + dealt @ [2, 1]
    counts = np.bincount(label, minlength=16).astype(np.int64).reshape(2, 2, 2, 2)
    counts.setflags(write=False)
    return counts


def value(counts: NDArray[np.int64]) -> chsh.ChshValue:
    """S = E00 + E01 + E10 - E11; `chsh_value` has its minus sign at Alice's other setting."""
    return chsh.chsh_value(counts[::-1])


def _no_signalling(arrangement: Arrangement, dealt: NDArray[np.int64]) -> chsh.NoSignalling | None:
    row, inputs = arrangement.grouping.row_of_pulse, arrangement.grouping.row_inputs
    shots = np.bincount(row, minlength=len(inputs)).astype(np.int64)
    ones = [
        np.bincount(row, weights=dealt[:, party], minlength=len(inputs)).astype(np.int64)
        for party in (0, 1)
    ]
    marginals = chsh.Marginals(
        alice_settings=np.ascontiguousarray(inputs[:, 0]),
        bob_settings=np.ascontiguousarray(inputs[:, 1]),
        shots=shots,
        alice_ones=ones[0],
        bob_ones=ones[1],
    )
    try:
        return chsh.no_signalling(
            marginals,
            sim_rng=np.random.default_rng(arrangement.order_seed),
            block_of_row=arrangement.block_of_row,
        )
    except ValueError:
        return None

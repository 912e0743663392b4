"""Settings are the drawn bits, each round gets an outcome of its own settings, counts are exact."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlq import circuit
from qlq.numerics import chsh
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.qrng import certificate_rounds, source
from qlq.qrng.certificate_rounds import Arrangement
from qlq.qrng.source import Batch
from qlq.shots import Shots

BLOCKS = 4


def drawn(count: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).bytes(certificate_rounds.draw_bytes(count))


def measured(arrangement: Arrangement, bits: np.ndarray) -> Batch:
    provenance = Provenance(
        tier=Tier.SIMULATOR, claim=Claim.SIMULATION, backend="table", provider="test",
        device="table", kind=Kind.IDEAL, job_id="1", program_digest=circuit.load("e91").digest,
        sdk={},
    )  # fmt: skip
    order = certificate_rounds.order(arrangement, tags=("t",))
    return source.collect(order, Shots(bits.astype(np.uint8), provenance))


def random_bits(arrangement: Arrangement, seed: int = 2) -> np.ndarray:
    shape = (len(arrangement.grouping.row_inputs), arrangement.grouping.shots, 2)
    return np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8)


def test_settings_are_the_drawn_bits_in_order() -> None:
    data = bytes(range(32)) + bytes([0b00011011]) * 25
    arrangement = certificate_rounds.arrange(data, count=100, blocks=1)
    expected = [(0, 0), (0, 1), (1, 0), (1, 1)] * 25
    assert [tuple(pair) for pair in arrangement.settings.tolist()] == expected
    assert arrangement.order_seed == int.from_bytes(bytes(range(32)), "big")


def test_bits_after_the_last_round_are_not_used() -> None:
    data = drawn(101)
    other = data[:-1] + bytes([data[-1] ^ 0b00111111])
    first, second = (
        certificate_rounds.arrange(each, count=101, blocks=1) for each in (data, other)
    )
    np.testing.assert_array_equal(first.settings, second.settings)


@settings(max_examples=20)
@given(count=st.integers(100, 5000), blocks=st.integers(1, 8), seed=st.integers(0, 99))
def test_every_round_has_a_place_of_its_own_settings(count: int, blocks: int, seed: int) -> None:
    arrangement = certificate_rounds.arrange(drawn(count, seed), count=count, blocks=blocks)
    grouping = arrangement.grouping
    assert len(set(grouping.cell.tolist())) == count
    np.testing.assert_array_equal(grouping.row_inputs[grouping.row_of_pulse], arrangement.settings)
    block = np.arange(count) * blocks // count
    np.testing.assert_array_equal(arrangement.block_of_row[grouping.row_of_pulse], block)
    assert (np.diff(arrangement.block_of_row) >= 0).all()
    raw = 2 * len(grouping.row_inputs) * grouping.shots
    assert raw <= certificate_rounds.raw_bits_max(count=count, blocks=blocks)


def test_the_job_measures_along_the_axes_of_its_settings() -> None:
    arrangement = certificate_rounds.arrange(drawn(500), count=500, blocks=2)
    plan = certificate_rounds.order(arrangement, tags=("t",), seed_commitment="ab").plan
    angles = ({0: 0.0, 1: math.pi / 2}, {0: math.pi / 4, 1: -math.pi / 4})
    for row, (a, b) in zip(plan.bindings, arrangement.grouping.row_inputs.tolist(), strict=True):
        assert tuple(row) == (angles[0][a], angles[1][b])


def test_counts_and_s_are_those_of_a_loop() -> None:
    arrangement = certificate_rounds.arrange(drawn(3000), count=3000, blocks=BLOCKS)
    bits = random_bits(arrangement)
    found = certificate_rounds.evaluate(arrangement, measured(arrangement, bits))
    counts = np.zeros((2, 2, 2, 2), dtype=int)
    for index in range(3000):
        row, shot = divmod(int(arrangement.grouping.cell[index]), arrangement.grouping.shots)
        counts[(*arrangement.settings[index], *bits[row, shot])] += 1
    np.testing.assert_array_equal(found.counts, counts)
    e = {
        (x, y): sum(
            (1 if a == b else -1) * counts[x, y, a, b]
            for a, b in itertools.product((0, 1), repeat=2)
        )
        / counts[x, y].sum()
        for x, y in itertools.product((0, 1), repeat=2)
    }
    assert found.value.s == pytest.approx(e[0, 0] + e[0, 1] + e[1, 0] - e[1, 1], abs=1e-12)
    variance = sum((1 - e[z] ** 2) / counts[z].sum() for z in e)
    assert found.value.sigma == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_a_box_that_always_wins_has_s_four() -> None:
    arrangement = certificate_rounds.arrange(drawn(2000), count=2000, blocks=1)
    bits = random_bits(arrangement)
    inputs = arrangement.grouping.row_inputs
    bits[:, :, 1] = bits[:, :, 0] ^ (inputs[:, 0] & inputs[:, 1])[:, None]
    found = certificate_rounds.evaluate(arrangement, measured(arrangement, bits))
    assert found.value.s == 4.0


def test_signalling_is_seen_and_drift_from_block_to_block_is_not() -> None:
    arrangement = certificate_rounds.arrange(drawn(40_000), count=40_000, blocks=BLOCKS)
    rng = np.random.default_rng(3)
    inputs, shots = arrangement.grouping.row_inputs, arrangement.grouping.shots

    def p_value(chance: np.ndarray) -> float:
        bits = (
            rng.random((len(inputs), shots, 2)) < np.stack([chance, chance * 0 + 0.5], 1)[:, None]
        )
        found = certificate_rounds.evaluate(arrangement, measured(arrangement, bits))
        assert found.no_signalling is not None
        return found.no_signalling.p_value

    assert p_value(0.5 + 0.1 * inputs[:, 1]) == 0.001
    assert p_value(0.3 + 0.1 * arrangement.block_of_row) > 0.01


def test_rows_are_exchanged_within_their_block_of_time() -> None:
    """The test's p is the one of `numerics.chsh` with blocks, on drift that makes another one."""
    arrangement = certificate_rounds.arrange(drawn(40_000, seed=4), count=40_000, blocks=BLOCKS)
    inputs, grouping = arrangement.grouping.row_inputs, arrangement.grouping
    chance = np.repeat((0.2 + 0.2 * arrangement.block_of_row)[:, None, None], grouping.shots, 1)
    bits = np.random.default_rng(5).random((len(inputs), grouping.shots, 2)) < chance
    batch = measured(arrangement, bits)
    found = certificate_rounds.evaluate(arrangement, batch).no_signalling
    assert found is not None
    dealt = bits.reshape(-1, 2)[grouping.cell]
    row = grouping.row_of_pulse
    columns = [np.bincount(row, dealt[:, party]).astype(np.int64) for party in (0, 1)]
    rows = chsh.Marginals(
        np.ascontiguousarray(inputs[:, 0]), np.ascontiguousarray(inputs[:, 1]),
        np.bincount(row), *columns,
    )  # fmt: skip
    within, over_all = (
        chsh.no_signalling(
            rows, sim_rng=np.random.default_rng(arrangement.order_seed), block_of_row=blocks
        ).p_value
        for blocks in (arrangement.block_of_row, None)
    )
    assert found.p_value == within != over_all


def test_a_batch_of_other_rounds_is_refused() -> None:
    one = certificate_rounds.arrange(drawn(1000), count=1000, blocks=1)
    other = certificate_rounds.arrange(drawn(3000), count=3000, blocks=1)
    with pytest.raises(ValueError, match="shape"):
        certificate_rounds.evaluate(one, measured(other, random_bits(other)))


@pytest.mark.parametrize("count", [0, 99, 10_000_001])
def test_too_few_or_too_many_rounds_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=str(count)):
        certificate_rounds.draw_bytes(count)


def test_another_number_of_bytes_or_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="57 bytes"):
        certificate_rounds.arrange(bytes(58), count=100, blocks=1)
    for blocks in (0, 65):
        with pytest.raises(ValueError, match=f"not {blocks}"):
            certificate_rounds.arrange(bytes(57), count=100, blocks=blocks)

"""Orders and batches: what is measured, in which order its bits come, and which are refused."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from qlq.backends import driver, registry
from qlq.errors import HealthTestFailed
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.qrng import source
from qlq.qrng.source import NOTHING_SEEN, Batch
from qlq.shots import Shots


def provenance(digest: str) -> Provenance:
    return Provenance(
        Tier.QPU, Claim.SAME_CHIP, "lab", "tests", "lab", Kind.QPU, "job", digest, sdk={}
    )


def batch_of(bits: np.ndarray) -> Batch:
    """A batch with these bits, of shape (shots, width)."""
    order = source.order_hadamard(raw_bits=bits.size, width=bits.shape[1])
    origin = provenance(order.plan.program.digest)
    return source.collect(order, Shots(bits[np.newaxis].astype(np.uint8), origin))


def fair(seed: int, *, shots: int = 2048, width: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (shots, width), dtype=np.uint8)


def measured(order: source.Order, uri: str = "aer") -> Batch:
    backend = registry.open_backend(uri)
    try:
        return source.collect(order, driver.run(backend, order.plan, timeout_s=60.0))
    finally:
        backend.close()


def test_the_stream_is_shot_after_shot_with_the_first_bit_first() -> None:
    bits = np.zeros((1, 2048, 2), dtype=np.uint8)
    bits[0, 0], bits[0, 1] = [1, 0], [1, 1]
    order = source.order_hadamard(raw_bits=4096, width=2)
    batch = source.collect(order, Shots(bits, provenance(order.plan.program.digest)))
    assert batch.stream[:4].tolist() == [1, 0, 1, 1]
    assert batch.packed[0] == 0b10110000
    assert batch.matrix.shape == (2048, 2)


def test_raw_bits_cannot_be_changed() -> None:
    batch = batch_of(fair(1))
    for view in (batch.matrix, batch.stream, batch.shots.bits):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1


def test_the_digest_covers_shape_and_bits() -> None:
    bits = fair(2)
    expected = hashlib.sha256(b"(1, 2048, 4)\n" + np.packbits(bits).tobytes()).hexdigest()
    assert batch_of(bits).digest == expected
    assert batch_of(bits.reshape(4096, 2)).digest != expected


def test_many_shots_are_spread_over_rows() -> None:
    order = source.order_hadamard(raw_bits=10_000, width=1, shots_max=3_000)
    assert len(order.plan.bindings) == 4
    assert order.plan.executions >= 10_000
    assert order.plan.shots <= 3_000


@pytest.mark.parametrize(
    "wish", [{"raw_bits": 4095, "width": 1}, {"raw_bits": 8192, "width": 1, "shots_max": 0}]
)
def test_an_order_that_cannot_be_screened_or_placed_is_refused(wish: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not"):
        source.order_hadamard(**wish)


def test_shots_of_another_program_or_size_make_no_batch() -> None:
    order = source.order_hadamard(raw_bits=8192, width=4)
    with pytest.raises(ValueError, match="program"):
        source.collect(order, Shots(fair(3)[np.newaxis], provenance("another")))
    fitting = provenance(order.plan.program.digest)
    with pytest.raises(ValueError, match="shape"):
        source.collect(order, Shots(fair(3, shots=2047)[np.newaxis], fitting))


def test_hadamard_bits_are_even_and_independent_of_each_other() -> None:
    batch = measured(source.order_hadamard(raw_bits=80_000, width=8))
    # five standard errors of a mean and of a correlation: false alarms below 6e-7 a value
    assert np.abs(batch.matrix.mean(axis=0) - 0.5).max() < 5 * 0.5 / math.sqrt(10_000)
    correlations = np.corrcoef(batch.matrix.T) - np.eye(8)
    assert np.abs(correlations).max() < 5 / math.sqrt(10_000)


def test_the_bits_of_a_bell_pair_agree() -> None:
    batch = measured(source.order_bell(pairs=2_000))
    assert np.array_equal(batch.matrix[:, 0], batch.matrix[:, 1])
    assert 0.4 < batch.matrix.mean() < 0.6


def test_chsh_rows_reach_tsirelson_s_bound_on_an_ideal_device() -> None:
    settings = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.uint8)
    batch = measured(source.order_chsh(settings=settings, shots_per_row=20_000))
    outcomes = 1.0 - 2.0 * batch.shots.bits.astype(float)
    e = (outcomes[:, :, 0] * outcomes[:, :, 1]).mean(axis=1)
    s = e[0] + e[1] + e[2] - e[3]
    assert s == pytest.approx(2 * math.sqrt(2), abs=5 * math.sqrt(4 * 0.5 / 20_000))


@pytest.mark.parametrize(
    "settings",
    [
        np.zeros((2, 3), dtype=np.uint8),
        np.zeros((2, 2), dtype=np.int64),
        np.full((1, 2), 2, dtype=np.uint8),
    ],
)
def test_settings_that_are_none_are_refused(settings: np.ndarray) -> None:
    with pytest.raises(ValueError, match="settings"):
        source.order_chsh(settings=settings, shots_per_row=1)


def test_sound_batches_pass_and_are_remembered() -> None:
    seen = NOTHING_SEEN
    for seed in range(40):
        seen = source.screen(batch_of(fair(seed)), seen=seen)
    assert len(seen.batches) == 40
    assert seen.anchors.shape == (40 * 8, 2)


def test_a_batch_that_is_biased_but_lively_is_no_matter_of_the_screen() -> None:
    bits = (np.random.default_rng(5).random((2048, 4)) < 0.6).astype(np.uint8)
    source.screen(batch_of(bits), seen=NOTHING_SEEN)


def refusal(bits: np.ndarray, seen: source.Seen = NOTHING_SEEN) -> HealthTestFailed:
    with pytest.raises(HealthTestFailed) as caught:
        source.screen(batch_of(bits), seen=seen)
    return caught.value


def test_a_replayed_batch_is_caught() -> None:
    seen = source.screen(batch_of(fair(6)), seen=NOTHING_SEEN)
    assert refusal(fair(6), seen).test == "replayed batch"


@pytest.mark.parametrize("shift", [0, 4, 100])
def test_bits_of_an_earlier_batch_are_caught_wherever_they_come_again(shift: int) -> None:
    seen = source.screen(batch_of(fair(7)), seen=NOTHING_SEEN)
    bits = fair(8).reshape(-1)
    bits[3_000 + shift : 4_200 + shift] = fair(7).reshape(-1)[1_000:2_200]
    assert refusal(bits.reshape(-1, 4), seen).test == "repeated bits"


def test_bits_that_come_twice_in_one_batch_are_caught() -> None:
    bits = fair(9).reshape(-1)
    bits[5_001:6_201] = bits[1_000:2_200]
    assert refusal(bits.reshape(-1, 4)).test == "repeated bits"


def test_a_source_that_goes_round_is_caught_at_the_next_batch() -> None:
    once = np.random.default_rng(13).integers(0, 2, 9_001, dtype=np.uint8)
    tape = np.resize(once, 16_384).reshape(2, -1, 4)
    seen = source.screen(batch_of(tape[0]), seen=NOTHING_SEEN)
    assert refusal(tape[1], seen).test == "repeated bits"


def test_the_oldest_bits_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "ANCHORS_MAX", 8)
    seen = source.screen(batch_of(fair(14)), seen=NOTHING_SEEN)
    seen = source.screen(batch_of(fair(15)), seen=seen)
    assert len(seen.anchors) == 8
    mixed = np.vstack([fair(14)[:1024], fair(16)[:1024]])
    seen = source.screen(batch_of(mixed), seen=seen)
    mixed = np.vstack([fair(17)[:1024], fair(16)[:1024]])
    assert refusal(mixed, seen).test == "repeated bits"


def test_a_constant_qubit_is_caught_and_named() -> None:
    bits = fair(10)
    bits[:, 2] = 1
    found = refusal(bits)
    assert (found.test, found.qubit) == ("constant bit", 2)


@pytest.mark.parametrize("period", [1_001, 3_000, 4_096, 7_500])
def test_a_period_is_caught_whatever_its_length(period: int) -> None:
    once = np.random.default_rng(11).integers(0, 2, period, dtype=np.uint8)
    found = refusal(np.resize(once, (2048, 4)))
    assert found.test == f"period of {period} bits"


def test_a_period_with_errors_is_caught() -> None:
    rng = np.random.default_rng(12)
    bits = np.resize(rng.integers(0, 2, 3_000, dtype=np.uint8), 8192)
    bits ^= (rng.random(8192) < 0.05).astype(np.uint8)
    found = refusal(bits.reshape(2048, 4)).test  # a multiple of a period is one too
    assert found in {"period of 3000 bits", "period of 6000 bits"}


@given(
    stream=npst.arrays(np.uint8, st.integers(4, 60), elements=st.integers(0, 1)),
    places_min=st.integers(1, 3),
)
def test_the_most_alike_lag_is_that_of_counting(stream: np.ndarray, places_min: int) -> None:
    size = stream.size
    counts = {
        lag: sum(int(stream[i] == stream[i + lag]) for i in range(size - lag))
        for lag in range(1, size - places_min + 1)
    }
    lag, agreements = source.most_alike(stream, places_min=places_min)
    assert agreements == counts[lag]
    best = max(count / (size - lag) for lag, count in counts.items())
    assert agreements / (size - lag) == best


def test_too_few_bits_have_no_lag() -> None:
    with pytest.raises(ValueError, match="512 places"):
        source.most_alike(np.zeros(512, dtype=np.uint8))

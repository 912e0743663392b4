"""Every pulse gets an outcome that was measured with its own settings, in the order of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlq.circuit import Plan
from qlq.errors import InvariantBroken
from qlq.numerics import rounds
from qlq.qkd import bb84, e91, eve, link, no_signalling, sifting
from qlq.qkd.estimation import Disclosed
from qlq.qkd.parameters import Protocol, Wanted, commit
from qlq.qkd.sifting import Role
from qlq.shots import Shots

SHUFFLE = 9


def grouped(a: np.ndarray, b: np.ndarray, blocks: int = 1, seed: int = SHUFFLE) -> rounds.Grouping:
    return rounds.group(a, b, blocks=blocks, order_rng=np.random.default_rng(seed))


def drawn(rng: np.random.Generator, count: int, kinds: int, bias: float) -> np.ndarray:
    """Index 0 with probability `bias`, the others evenly."""
    rest = rng.integers(1, kinds, count) if kinds > 1 else np.zeros(count, dtype=np.int64)
    return np.where(rng.random(count) < bias, 0, rest).astype(np.uint8)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 3000),
    blocks=st.integers(1, 8),
    kinds=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    bias=st.floats(0.0, 1.0),
)
def test_each_pulse_has_a_cell_of_its_own_in_a_row_of_its_settings(
    seed: int, count: int, blocks: int, kinds: tuple[int, int], bias: float
) -> None:
    rng = np.random.default_rng(seed)
    a, b = drawn(rng, count, kinds[0], bias), drawn(rng, count, kinds[1], bias)
    grouping = grouped(a, b, blocks=blocks)
    row = grouping.row_of_pulse
    assert np.unique(grouping.cell).size == count
    assert grouping.cell.min() >= 0
    assert grouping.cell.max() < len(grouping.row_inputs) * grouping.shots
    assert np.array_equal(grouping.row_inputs[row, 0], a)
    assert np.array_equal(grouping.row_inputs[row, 1], b)
    assert np.unique(row).size == len(grouping.row_inputs)  # no row is measured for nothing
    part = np.arange(count) * blocks // count
    for index in np.unique(row):
        inside = np.flatnonzero(row == index)
        assert np.unique(part[inside]).size == 1
        # the k-th pulse of a row takes its k-th shot
        assert np.array_equal(grouping.cell[inside] % grouping.shots, np.arange(inside.size))
    # blocks come one after the other
    assert np.all(np.diff([part[row == index][0] for index in range(row.max() + 1)]) >= 0)


@pytest.mark.parametrize("blocks", [1, 4])
@pytest.mark.parametrize("protocol", list(Protocol))
def test_less_than_15_percent_of_the_shots_are_surplus(protocol: Protocol, blocks: int) -> None:
    for pulses in (100_000, 333_333, 1_000_000):
        parameters = commit(Wanted(protocol=protocol, pulses=pulses, qber_max=0.02))
        rng = np.random.default_rng(pulses)
        p = parameters.key_bias / 65536
        a = drawn(rng, pulses, 2, p)
        if protocol is Protocol.BB84:
            a = (2 * a + rng.integers(0, 2, pulses)).astype(np.uint8)
        b = drawn(rng, pulses, 2 if protocol is Protocol.BB84 else 4, p)
        grouping = grouped(a, b, blocks=blocks)
        assert len(grouping.row_inputs) * grouping.shots < 1.15 * pulses


def test_rows_of_a_block_are_shuffled_by_the_given_seed_alone() -> None:
    rng = np.random.default_rng(1)
    a, b = drawn(rng, 20_000, 2, 0.5), drawn(rng, 20_000, 2, 0.5)
    one, again, other = (grouped(a, b, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.cell, again.cell)
    assert not np.array_equal(one.cell, other.cell)
    ordered = one.row_inputs[:, 0] * 2 + one.row_inputs[:, 1]
    assert np.any(np.diff(ordered) < 0)
    assert sorted(map(tuple, one.row_inputs)) == sorted(map(tuple, other.row_inputs))


def test_each_party_gets_its_own_bit_of_its_own_shot() -> None:
    """Each cell holds a number that tells its place; two bits carry its two lowest digits."""
    rng = np.random.default_rng(2)
    a, b = drawn(rng, 5_000, 2, 0.7), drawn(rng, 5_000, 4, 0.7)
    grouping = grouped(a, b, blocks=4)
    places = rng.integers(0, 4, (len(grouping.row_inputs), grouping.shots))
    bits = np.stack([places & 1, places >> 1], axis=-1).astype(np.uint8)
    shots = Shots(bits, None)
    flat = places.reshape(-1)
    for bit in (0, 1):
        dealt = link.deal(grouping, shots, bit=bit)
        assert dealt.dtype == np.uint8
        assert dealt.tolist() == [(int(flat[cell]) >> bit) & 1 for cell in grouping.cell]


def test_shots_of_another_shape_are_a_bug_of_ours() -> None:
    a = np.zeros(100, dtype=np.uint8)
    grouping = grouped(a, a)
    rows, per_row = len(grouping.row_inputs), grouping.shots
    for shape in ((rows + 1, per_row, 1), (rows, per_row + 1, 1)):
        with pytest.raises(InvariantBroken):
            link.deal(grouping, Shots(np.zeros(shape, dtype=np.uint8), None), bit=0)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (3, 4), (4, 0)])
def test_inputs_of_different_or_no_length_are_refused(a: int, b: int) -> None:
    with pytest.raises(ValueError, match=f"{a} settings of Alice and {b} of Bob"):
        grouped(np.zeros(a, dtype=np.uint8), np.zeros(b, dtype=np.uint8))


def jobs_of(transmission, lab) -> tuple[list[Plan], link.Delivery]:
    plans = []
    rng = np.random.default_rng(4)
    try:
        plans.append(next(transmission))
        while True:
            plans.append(transmission.send(lab.shots(plans[-1], rng)))
    except StopIteration as stop:
        return plans, stop.value


def test_the_angles_of_bb84_are_those_of_bennett_and_brassard(lab) -> None:
    """Key basis Z, test basis X; equal bases give Bob her bit, unequal ones a fair coin."""
    rng = np.random.default_rng(3)
    settings_a, bits, b = (rng.integers(0, 2, 4_000).astype(np.uint8) for _ in range(3))
    inputs = bb84.alice_inputs(settings_a, bits)
    order = np.random.default_rng(1)
    plans, got = jobs_of(
        link.transmit(bb84.arrangement(), inputs, b, blocks=2, order_rng=order), lab
    )
    assert len(plans) == 1
    assert got.alice_bits is None
    same = settings_a == b
    assert np.array_equal(got.bob_bits[same], bits[same])
    # unequal bases: agreement of about 2000 fair coins within 5 sigma (6e-7)
    agree = np.count_nonzero(got.bob_bits[~same] == bits[~same])
    assert abs(agree - (~same).sum() / 2) < 5 * np.sqrt((~same).sum()) / 2


@pytest.mark.parametrize("basis", ["key", "test", "random", "1.1"])
@pytest.mark.parametrize("protocol", [bb84, e91])
def test_eve_touches_the_attacked_pulses_only_and_resends_what_she_saw(
    lab, protocol, basis: str
) -> None:
    attack = eve.parse(f"intercept-resend:0.25@{basis}")
    rng = np.random.default_rng(6)
    kinds = 4 if protocol is bb84 else 2
    a = rng.integers(0, kinds, 20_000).astype(np.uint8)
    b = rng.integers(0, 2 if protocol is bb84 else 4, 20_000).astype(np.uint8)
    common = {"blocks": 2, "order_rng": np.random.default_rng(1)}
    plans, got = jobs_of(
        link.transmit_with_eve(
            protocol.arrangement(), a, b, **common, attack=attack, sim_rng=np.random.default_rng(7)
        ),
        lab,
    )
    assert len(plans) == 2
    assert plans[1].program.name == "bb84"
    # the second job: a quarter of the pulses within 5 sigma (6e-7), at most 15 % + 256 rows more
    resent = plans[1].shots * len(plans[1].bindings)
    assert resent > 5_000 - 5 * np.sqrt(20_000 * 0.25 * 0.75)
    axes = {round(float(angle), 9) for angle in plans[1].bindings[:, 1]}
    key, test = (0.0, np.pi / 2) if protocol is bb84 else (np.pi / 2, 0.0)
    assert (
        axes
        == {
            "key": {round(key, 9)},
            "test": {round(test, 9)},
            "random": {round(key, 9), round(test, 9)},
            "1.1": {1.1},
        }[basis]
    )
    assert got.bob_bits.size == b.size
    if protocol is bb84 and basis in ("key", "1.1"):
        # an Eve at an angle d from the basis makes sin^2(d) / 2 of errors: 5 sigma (6e-7)
        wrong = got.bob_bits != (a & 1)
        away = 0.0 if basis == "key" else 1.1
        for setting, errors in ((0, np.sin(away) ** 2 / 8), (1, np.cos(away) ** 2 / 8)):
            same = wrong[(a >> 1 == setting) & (b == setting)]
            assert abs(same.mean() - errors) <= 5 * np.sqrt(errors * (1 - errors) / same.size)
    assert (got.alice_bits is None) is (protocol is bb84)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    protocol=st.sampled_from([bb84, e91]),
    count=st.integers(1, 4000),
    blocks=st.integers(1, 8),
    fraction=st.sampled_from(["0.01", "0.5", "0.999", "1"]),
    basis=st.sampled_from(["key", "random", "45deg"]),
)
def test_eve_s_second_job_is_never_more_than_what_was_planned_for_it(
    seed: int, protocol, count: int, blocks: int, fraction: str, basis: str
) -> None:
    """Outcomes of any kind: fair coins here; what Eve sees decides how her pulses are grouped."""
    rng = np.random.default_rng(seed)
    arrangement = protocol.arrangement()
    attack = eve.parse(f"intercept-resend:{fraction}@{basis}")
    blocks = min(blocks, count)
    largest = link.largest_second_plan(arrangement, attack, pulses=count, blocks=blocks)
    sending = link.transmit_with_eve(
        arrangement,
        drawn(rng, count, len(arrangement.alice_angles), 0.4),
        drawn(rng, count, len(arrangement.bob_angles), 0.4),
        blocks=blocks,
        order_rng=rng,
        attack=attack,
        sim_rng=rng,
    )
    first = next(sending)
    shape = (len(first.bindings), first.shots, first.program.n_bits)
    try:
        second = sending.send(Shots(rng.integers(0, 2, shape, dtype=np.uint8), None))
    except StopIteration:
        return  # she met no pulse
    assert largest.program == second.program
    assert second.shots <= largest.shots
    assert len(second.bindings) <= len(largest.bindings)


def test_an_eve_who_attacks_nothing_is_planned_no_second_job() -> None:
    attack = eve.parse("intercept-resend:0")
    assert link.largest_second_plan(bb84.arrangement(), attack, pulses=9, blocks=1) is None


@pytest.mark.parametrize("fraction", ["0", "0.0"])
def test_an_eve_who_attacks_nothing_needs_no_second_job(lab, fraction: str) -> None:
    a = np.zeros(500, dtype=np.uint8)
    common = {"blocks": 1, "order_rng": np.random.default_rng(1)}
    plans, got = jobs_of(
        link.transmit_with_eve(
            bb84.arrangement(),
            a,
            a,
            **common,
            attack=eve.parse(f"intercept-resend:{fraction}"),
            sim_rng=np.random.default_rng(1),
        ),
        lab,
    )
    assert len(plans) == 1
    assert not got.bob_bits.any()


def disclosed_with(signal: float) -> tuple[Disclosed, object]:
    """E91 data in which Alice's outcome leans with probability `signal` on Bob's setting."""
    parameters = commit(
        Wanted(protocol=Protocol.E91, pulses=60_000, qber_max=0.02, key_bias=0.5, blocks=2)
    )
    rng = np.random.default_rng(12)
    a = rng.choice(2, parameters.pulses).astype(np.uint8)
    b = rng.choice(4, parameters.pulses, p=[0.5, 0.25, 0.125, 0.125]).astype(np.uint8)
    matched = sifting.match(parameters, a, b)
    masks = sifting.select(parameters, matched, seed=bytes(32))
    roles = sifting.assign(parameters, a, b, masks)
    shown = sifting.is_disclosed(roles)
    ones = rng.random(parameters.pulses) < np.where(b == 0, 0.5 + signal, 0.5 - signal)
    bits = ones.astype(np.uint8)[shown]
    return Disclosed(a, b, roles, bits, rng.integers(0, 2, bits.size).astype(np.uint8)), parameters


def test_outcomes_that_follow_the_other_partys_setting_are_seen() -> None:
    """A shift of 20 % in ten thousands of rounds; without one p > 1e-3 (false alarm 1e-3)."""
    disclosed, parameters = disclosed_with(0.0)
    assert set(np.unique(disclosed.roles)) == {int(r) for r in Role}
    honest = no_signalling.marginal_test(parameters, disclosed, order_seed=1)
    assert honest.p_value > 1e-3
    assert honest.max_marginal_shift < 0.1
    disclosed, parameters = disclosed_with(0.1)
    signalled = no_signalling.marginal_test(parameters, disclosed, order_seed=1)
    assert signalled.p_value <= 1e-3  # the least that 999 relabellings can give
    assert signalled.max_marginal_shift == pytest.approx(0.2, abs=0.05)


def test_too_few_rounds_give_no_no_signalling_figure() -> None:
    parameters = commit(Wanted(protocol=Protocol.E91, pulses=3, qber_max=0.02))
    a = np.zeros(3, dtype=np.uint8)
    none = np.zeros(0, dtype=np.uint8)
    disclosed = Disclosed(a, a, np.ones(3, dtype=np.uint8), none, none)
    assert no_signalling.marginal_test(parameters, disclosed, order_seed=1) is None

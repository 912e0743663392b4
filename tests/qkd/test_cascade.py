"""Cascade: corrects, counts, stays within published efficiency, and trusts nobody."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlq.errors import LocalMisuse, PeerError, RemoteMisuse
from qlq.qkd import cascade
from qlq.qkd.cascade import Corrector, Request, Responder, Variant

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Run:
    """Both ends of a finished run and what went over the wire."""

    alice: np.ndarray
    responder: Responder
    corrector: Corrector
    transcript: list[tuple[Request, np.ndarray]]

    @property
    def wrong_bits(self) -> int:
        return int(np.count_nonzero(self.corrector.corrected != self.alice))


def noisy_pair(bits: int, errors: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    alice = rng.integers(0, 2, bits, dtype=np.uint8)
    bob = alice.copy()
    bob[rng.choice(bits, errors, replace=False)] ^= 1
    return alice, bob


def reconcile(
    alice: np.ndarray,
    bob: np.ndarray,
    *,
    variant: Variant,
    qber: float,
    seed: bytes = b"\x05" * 8,
) -> Run:
    responder = Responder(alice, seed=seed, variant=variant, qber=qber)
    corrector = Corrector(bob, seed=seed, variant=variant, qber=qber)
    transcript = []
    while (request := corrector.next_request()) is not None:
        answer = responder.answer(request)
        corrector.absorb(answer)
        transcript.append((request, answer))
    return Run(alice, responder, corrector, transcript)


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize("qber", [0.005, 0.02, 0.05, 0.11])
def test_keys_are_equal_afterwards(variant: Variant, qber: float) -> None:
    """Ten frames of 5000 bits; a frame fails with probability of about 1e-3 or less."""
    rng = np.random.default_rng(17)
    for _ in range(10):
        alice, bob = noisy_pair(5000, round(5000 * qber), rng)
        run = reconcile(alice, bob, variant=variant, qber=qber, seed=rng.bytes(8))
        assert run.wrong_bits == 0
        assert run.corrector.corrections == round(5000 * qber)


PUBLISHED = (  # cascade-cpp: f and requests, n = 10^4, exactly round(nQ) errors, 10^4 frames
    (Variant.ORIGINAL, 0.01, 1.143, 45),
    (Variant.ORIGINAL, 0.05, 1.185, 40),
    (Variant.BICONF, 0.01, 1.101, 98),
    (Variant.BICONF, 0.05, 1.093, 114),
    (Variant.YANETAL, 0.01, 1.095, 105),
    (Variant.YANETAL, 0.05, 1.077, 121),
)


@pytest.mark.parametrize(("variant", "qber", "published_f", "published_requests"), PUBLISHED)
def test_efficiency_and_requests_are_at_most_the_published_ones(
    variant: Variant, qber: float, published_f: float, published_requests: int
) -> None:
    """Means of 40 frames; their standard error is below 0.005. Below Shannon would be a bug."""
    rng, bits, frames = np.random.default_rng(3), 10_000, 40
    f, requests = [], []
    for _ in range(frames):
        alice, bob = noisy_pair(bits, round(bits * qber), rng)
        run = reconcile(alice, bob, variant=variant, qber=qber, seed=rng.bytes(8))
        f.append(cascade.efficiency(parities=run.responder.answered_bits, bits=bits, qber=qber))
        requests.append(len(run.transcript))
    assert 1.03 < np.mean(f) <= published_f * 1.005
    assert np.mean(requests) <= published_requests * 1.1


@pytest.mark.parametrize("variant", Variant)
def test_the_leak_is_what_the_transcript_holds(variant: Variant) -> None:
    alice, bob = noisy_pair(3000, 120, np.random.default_rng(1))
    run = reconcile(alice, bob, variant=variant, qber=0.04)
    from_bob = sum(request.parities.size for request, _ in run.transcript)
    from_alice = sum(answer.size for _, answer in run.transcript)
    assert run.responder.answered_bits == run.corrector.received_bits == from_alice
    assert run.responder.received_bits == run.corrector.asked_bits == from_bob
    assert run.responder.leak_ec_bits == run.corrector.leak_ec_bits == from_alice + from_bob
    assert run.corrector.requests == len(run.transcript)


def mix(value: int) -> int:
    """SplitMix64 in Python integers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def order_of_pass(seed: bytes, number: int, size: int) -> list[int]:
    """The order of a pass, written anew: identity, then Fisher-Yates."""
    positions = list(range(size))
    if number == 0:
        return positions
    state = mix((int.from_bytes(seed, "big") + GAMMA * (number + 1)) & MASK)
    for index in range(size - 1, 0, -1):
        state = (state + GAMMA) & MASK
        other = ((mix(state) >> 32) * (index + 1)) >> 32
        positions[index], positions[other] = positions[other], positions[index]
    return positions


def asked_sets(run: Run, seed: bytes) -> list[tuple[list[int], int, int]]:
    """Every question as (positions, Alice's parity, Bob's parity), in order."""
    orders: dict[int, list[int]] = {}
    sets = []
    for request, answer in run.transcript:
        for number, start, stop, mine, hers in zip(
            request.passes, request.starts, request.stops, request.parities, answer, strict=True
        ):
            order = orders.setdefault(int(number), order_of_pass(seed, int(number), run.alice.size))
            sets.append((order[start:stop], int(hers), int(mine)))
    return sets


def rank(forms: list[int]) -> int:
    """Rank over GF(2) of linear forms, each an integer with one bit a position."""
    pivots: dict[int, int] = {}
    for form in forms:
        rest = form
        while rest and (top := rest.bit_length()) in pivots:
            rest ^= pivots[top]
        if rest:
            pivots[rest.bit_length()] = rest
    return len(pivots)


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize(("bits", "errors"), [(200, 5), (1000, 40), (1000, 100)])
def test_hardly_a_parity_follows_from_those_before(
    variant: Variant, bits: int, errors: int
) -> None:
    """Parities paid for against the rank of what they reveal: at most 1 % is paid in vain.

    Inside a pass and through the total parity and known bits nothing is asked that follows;
    what remains are coincidences between passes.
    """
    seed = b"\x01\x02\x03\x04\x05\x06\x07\x08"
    alice, bob = noisy_pair(bits, errors, np.random.default_rng(errors))
    run = reconcile(alice, bob, variant=variant, qber=errors / bits, seed=seed)
    forms = [sum(1 << p for p in positions) for positions, _, _ in asked_sets(run, seed)]
    assert len(forms) == run.responder.answered_bits
    assert len(forms) - rank(forms) <= 0.01 * len(forms)


@pytest.mark.parametrize("variant", Variant)
def test_parities_are_those_of_the_named_ranges(variant: Variant) -> None:
    """Alice's of her key; Bob's of a string between his first and his last one."""
    seed = b"seedseed"
    alice, bob = noisy_pair(600, 30, np.random.default_rng(4))
    run = reconcile(alice, bob, variant=variant, qber=0.05, seed=seed)
    final = run.corrector.corrected
    for index, (positions, hers, mine) in enumerate(asked_sets(run, seed)):
        assert hers == alice[positions].sum() % 2
        if index < run.transcript[0][0].passes.size:
            assert mine == bob[positions].sum() % 2
        changed = int((bob[positions] != final[positions]).sum())
        if changed == 0:
            assert mine == bob[positions].sum() % 2


def test_no_range_is_asked_for_twice() -> None:
    alice, bob = noisy_pair(4000, 300, np.random.default_rng(9))
    for variant in Variant:
        run = reconcile(alice, bob, variant=variant, qber=0.07)
        ranges = [
            key
            for request, _ in run.transcript
            for key in zip(request.passes, request.starts, request.stops, strict=True)
        ]
        assert len(ranges) == len(set(ranges))


def test_published_block_rules() -> None:
    """Block sizes worked out by hand from the table of rules."""
    original = cascade.block_sizes(Variant.ORIGINAL, qber=0.05, bits=10_000)
    assert original.sizes == (15, 30, 60, 120)
    assert cascade.block_sizes(Variant.ORIGINAL, qber=0.01, bits=10_000).sizes == (
        73,
        146,
        292,
        584,
    )
    biconf = cascade.block_sizes(Variant.BICONF, qber=0.01, bits=10_000)
    assert (biconf.sizes, biconf.late_size, biconf.clean_passes) == ((92, 276), 5000, 10)
    yanetal = cascade.block_sizes(Variant.YANETAL, qber=0.05, bits=9_999)
    assert yanetal.sizes == (16, 80, *[5000] * 8)
    assert cascade.block_sizes(Variant.YANETAL, qber=0.1, bits=101).sizes == (8, 40, *[51] * 8)


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize("bits", [64, 65, 127, 128, 1000, 20_000])
def test_an_estimate_of_zero_is_taken(variant: Variant, bits: int) -> None:
    """Without errors the cost is small; a few errors are still found."""
    alice, bob = noisy_pair(bits, 0, np.random.default_rng(2))
    run = reconcile(alice, bob, variant=variant, qber=0.0)
    assert run.wrong_bits == 0
    assert run.responder.answered_bits <= 20 + bits * 0.003
    bob[bits // 3] ^= 1
    assert reconcile(alice, bob, variant=variant, qber=0.0).wrong_bits == 0


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize(("qber", "estimate"), [(0.05, 0.01), (0.03, 0.0), (0.01, 0.08)])
def test_a_wrong_estimate_costs_bits_and_not_the_key(
    variant: Variant, qber: float, estimate: float
) -> None:
    alice, bob = noisy_pair(10_000, round(10_000 * qber), np.random.default_rng(6))
    run = reconcile(alice, bob, variant=variant, qber=estimate)
    assert run.wrong_bits == 0


def test_bursts_are_corrected() -> None:
    alice, bob = noisy_pair(20_000, 0, np.random.default_rng(6))
    bob[5000:5400] ^= 1
    for variant in Variant:
        assert reconcile(alice, bob, variant=variant, qber=0.02).wrong_bits == 0


def test_a_long_key_is_one_frame() -> None:
    alice, bob = noisy_pair(300_000, 9000, np.random.default_rng(6))
    for variant in Variant:
        run = reconcile(alice, bob, variant=variant, qber=0.03)
        assert run.wrong_bits == 0
        assert len(run.transcript) < 250
        assert (
            1.0
            < cascade.efficiency(parities=run.responder.answered_bits, bits=300_000, qber=0.03)
            < 1.18
        )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(64, 400),
    st.sampled_from(Variant),
    st.floats(0.0, 0.49),
    st.floats(0.0, 0.5),
    st.integers(0, 2**32),
)
def test_every_run_ends_and_only_corrects(
    bits: int, variant: Variant, estimate: float, error_rate: float, number: int
) -> None:
    """Whatever the errors: the run ends, and each changed bit is a corrected error."""
    rng = np.random.default_rng(number)
    alice = rng.integers(0, 2, bits, dtype=np.uint8)
    bob = alice ^ (rng.random(bits) < error_rate).astype(np.uint8)
    run = reconcile(alice, bob, variant=variant, qber=estimate, seed=rng.bytes(8))
    changed = run.corrector.corrected != bob
    assert np.array_equal(run.corrector.corrected[changed], alice[changed])
    assert run.corrector.corrections == changed.sum()
    assert run.responder.answered_bits <= cascade.PARITIES_PER_BIT_MAX * bits


@settings(max_examples=40, deadline=None)
@given(st.integers(64, 300), st.sampled_from(Variant), st.integers(0, 2**32))
def test_a_lying_responder_cannot_keep_the_corrector_busy(
    bits: int, variant: Variant, number: int
) -> None:
    rng = np.random.default_rng(number)
    corrector = Corrector(
        rng.integers(0, 2, bits, dtype=np.uint8), seed=rng.bytes(8), variant=variant, qber=0.05
    )
    try:
        while (request := corrector.next_request()) is not None:
            corrector.absorb(rng.integers(0, 2, request.passes.size, dtype=np.uint8))
    except RemoteMisuse:
        return
    assert corrector.asked_bits <= cascade.PARITIES_PER_BIT_MAX * bits


def opening(corrector: Corrector) -> Request:
    request = corrector.next_request()
    assert request is not None
    return request


def pair() -> tuple[Responder, Corrector]:
    alice, bob = noisy_pair(256, 12, np.random.default_rng(1))
    rest = {"seed": bytes(8), "variant": Variant.ORIGINAL, "qber": 0.05}
    return Responder(alice, **rest), Corrector(bob, **rest)


def array(dtype: str, *values: int) -> np.ndarray:
    return np.array(values, dtype=dtype)


GOOD = Request(array("u2", 0, 0), array("u4", 0, 9), array("u4", 9, 256), array("u1", 0, 1))


@pytest.mark.parametrize(
    "change",
    [
        {"passes": array("u2", 1, 0)},
        {"passes": array("u2", 0, 65535)},
        {"passes": array("i8", 0, 0)},
        {"passes": array("u2", 0)},
        {"passes": array("u2")},
        {"passes": np.zeros((2, 1), dtype="u2")},
        {"starts": array("u4", 0, 256)},
        {"starts": array("u4", 9, 9)},
        {"starts": array("i4", -1, 9)},
        {"starts": array("u4", 0, 9, 10)},
        {"stops": array("u4", 9, 257)},
        {"stops": array("u4", 9, 2**32 - 1)},
        {"stops": array("u4", 0, 256)},
        {"stops": array("f8", 9, 256)},
        {"parities": array("u1", 0, 2)},
        {"parities": array("u1", 0)},
        {"parities": np.zeros(2, dtype=np.bool_)},
    ],
)
def test_a_malformed_request_is_refused_and_costs_nothing(
    change: dict[str, np.ndarray],
) -> None:
    responder, _ = pair()
    if change.get("passes", GOOD.passes).tolist() == [1, 0]:
        responder.answer(opening(pair()[1]))  # pass 1 is due now, pass 2 is not
        change = {"passes": array("u2", 2, 0)}
    before = responder.answered_bits
    with pytest.raises(RemoteMisuse):
        responder.answer(replace(GOOD, **change))
    assert responder.answered_bits == before
    assert responder.answer(GOOD).size == 2


def test_an_empty_request_is_refused() -> None:
    empty = Request(array("u2"), array("u4"), array("u4"), array("u1"))
    with pytest.raises(RemoteMisuse, match="without a question"):
        pair()[0].answer(empty)


def test_the_key_is_not_given_away_range_by_range() -> None:
    responder, _ = pair()
    starts = np.arange(256, dtype=np.uint32)
    every = Request(np.zeros(256, dtype="u2"), starts, starts + 1, np.zeros(256, dtype="u1"))
    for _ in range(cascade.PARITIES_PER_BIT_MAX):
        responder.answer(every)
    with pytest.raises(RemoteMisuse, match="more parities"):
        responder.answer(every)


@pytest.mark.parametrize(
    "answer",
    [
        lambda count: np.zeros(count + 1, dtype=np.uint8),
        lambda count: np.zeros(count - 1, dtype=np.uint8),
        lambda count: np.zeros(count, dtype=np.int64),
        lambda count: np.full(count, 2, dtype=np.uint8),
        lambda count: np.zeros((count, 1), dtype=np.uint8),
    ],
)
def test_a_malformed_answer_is_refused(answer: Callable[[int], np.ndarray]) -> None:
    responder, corrector = pair()
    request = opening(corrector)
    with pytest.raises(RemoteMisuse):
        corrector.absorb(answer(request.passes.size))
    corrector.absorb(responder.answer(request))
    assert corrector.next_request() is not None


def test_turns_are_kept() -> None:
    responder, corrector = pair()
    with pytest.raises(LocalMisuse):
        corrector.absorb(np.zeros(1, dtype=np.uint8))
    request = opening(corrector)
    with pytest.raises(PeerError):
        corrector.next_request()
    corrector.absorb(responder.answer(request))
    with pytest.raises(LocalMisuse):
        corrector.absorb(responder.answer(request))


def test_inputs_stay_as_they_were() -> None:
    alice, bob = noisy_pair(512, 20, np.random.default_rng(1))
    alice.setflags(write=False)
    bob.setflags(write=False)
    before = bob.copy()
    run = reconcile(alice, bob, variant=Variant.YANETAL, qber=0.04)
    run.corrector.corrected[:] = 0
    assert run.wrong_bits == 0
    assert np.array_equal(bob, before)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": bytes(7)},
        {"qber": 0.5},
        {"qber": -0.1},
        {"qber": math.nan},
        {"bits": np.zeros(63, dtype=np.uint8)},
        {"bits": np.full(64, 2, dtype=np.uint8)},
        {"bits": np.zeros(64, dtype=np.int64)},
    ],
)
def test_wrong_arguments_are_refused(change: dict[str, object]) -> None:
    good = {
        "bits": np.zeros(64, dtype=np.uint8),
        "seed": bytes(8),
        "variant": Variant.BICONF,
        "qber": 0.05,
    }
    for party in (Responder, Corrector):
        arguments = good | change
        with pytest.raises(ValueError, match=r"seed|QBER|bits|key"):
            party(arguments.pop("bits"), **arguments)


def test_efficiency_counts_one_direction_against_the_shannon_limit() -> None:
    assert cascade.efficiency(parities=500, bits=1000, qber=0.11002786443835955) == pytest.approx(
        1.0
    )
    assert cascade.efficiency(parities=5, bits=1000, qber=0.0) == math.inf

"""Turns follow the weights exactly, and are spread as evenly as they can be."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlq.consensus import proposer, validators
from qlq.consensus.proposer import ProposerMode
from qlq.consensus.validators import Validators
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey

SEALING = DecapsulationKey(bytes(32)).encapsulation_key
KEYS = sorted(
    (SigningKey(Algorithm.ED25519, bytes([index]) * 32).verifying_key for index in range(100)),
    key=validators.address_of,
)


def weighted(*weights: int) -> Validators:
    """Validators with these weights, in the order of their addresses."""
    return validators.of(
        *(
            validators.validator(key, SEALING, weight=weight)
            for key, weight in zip(KEYS, weights, strict=False)
        )
    )


def turns(members: Validators, heights: range) -> list[int]:
    """Places of the proposers of these heights."""
    found = [proposer.proposer(members, height) for height in heights]
    assert {mode for _, mode in found} <= {ProposerMode.FALLBACK_RR}
    return [members.index(member.address) for member, _ in found]


def seats(weights: tuple[int, ...], count: int) -> list[int]:
    """Sainte-Laguë's method seat by seat: the next one goes to the highest w / (2s + 1)."""
    given_out = [0] * len(weights)
    order = []
    for _ in range(count):
        quotients = [Fraction(w, 2 * s + 1) for w, s in zip(weights, given_out, strict=True)]
        winner = quotients.index(max(quotients))
        given_out[winner] += 1
        order.append(winner)
    return order


def test_seven_seats_go_as_in_the_textbook_example() -> None:
    """530, 240 and 230 votes for seven seats give 3, 2 and 2 by Sainte-Laguë's method."""
    assert Counter(turns(weighted(530, 240, 230), range(7))) == {0: 3, 1: 2, 2: 2}


def test_equal_weights_go_round() -> None:
    assert turns(weighted(5, 5, 5), range(9)) == [0, 1, 2] * 3


def test_one_validator_has_every_turn() -> None:
    assert turns(weighted(1000), range(5)) == [0] * 5


@settings(max_examples=60)
@given(weights=st.lists(st.integers(1, 40), min_size=1, max_size=9).map(tuple))
def test_turns_are_those_of_the_method_seat_by_seat(weights: tuple[int, ...]) -> None:
    total = sum(weights)
    assert turns(weighted(*weights), range(total)) == seats(weights, total)


@pytest.mark.parametrize(
    "weights", [(1000, 999, 998), (998, 999, 1000), (997, 998), (1000, 1, 1, 1), (997, 991, 983, 2)]
)
def test_large_weights_are_exact_too(weights: tuple[int, ...]) -> None:
    heights = range(sum(weights))
    assert Counter(turns(weighted(*weights), heights)) == dict(enumerate(weights))
    assert turns(weighted(*weights), range(300)) == seats(weights, 300)


@settings(max_examples=40)
@given(
    weights=st.lists(st.integers(1, 30), min_size=2, max_size=6).map(tuple),
    start=st.integers(0, 10**12),
)
def test_any_window_is_exact_and_nobody_waits_longer_than_the_others_need(
    weights: tuple[int, ...], start: int
) -> None:
    """Between two turns of one validator every other has w / own of its own, rounded up or down."""
    total = sum(weights)
    found = turns(weighted(*weights), range(start, start + 2 * total))
    assert Counter(found[:total]) == dict(enumerate(weights))
    for place, own in enumerate(weights):
        mine = [turn for turn, whose in enumerate(found) if whose == place]
        others = [w for index, w in enumerate(weights) if index != place]
        for before, after in pairwise(mine):
            assert 1 + sum(w // own for w in others) <= after - before
            assert after - before <= 1 + sum(-(-w // own) for w in others)


def test_a_hundred_validators_of_the_largest_weights_take_their_turns() -> None:
    weights = tuple(1000 - index for index in range(100))
    assert turns(weighted(*weights), range(200)) == seats(weights, 200)


def test_a_height_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        proposer.proposer(weighted(1), -1)


def test_the_numbers_in_headers_stay_what_they_are() -> None:
    assert {mode.name: mode.value for mode in ProposerMode} == {"FALLBACK_RR": 1, "ELECTED": 2}

"""Which round serves which purpose.

The numbers of key, test and rate rounds are fixed beforehand; surplus rounds are dropped at
random, a shortfall aborts. Nothing is repeated until a quota is full: iterative sifting is
insecure (Pfister, Coles, Wehner, Luetkenhaus, arXiv 1506.07502).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from qlq.crypto import stream
from qlq.errors import TooFewRounds, require
from qlq.numerics import bits
from qlq.qkd.parameters import Parameters, Protocol
from qlq.qkd.settings import Setting

RANKING_KEY_BYTES = 8


class Role(IntEnum):
    """Purpose of a round. From RATE on, both outcomes are disclosed."""

    DROPPED = 0
    KEY = 1
    RATE = 2
    TEST = 3
    CHSH = 4
    MISMATCHED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Alice's choice of rounds, each a bool array over the matched rounds it chooses from.

    Attributes:
        key: Over the matched key rounds (symmetric: all matched rounds).
        rate: Over the same rounds.
        test: Over the matched test rounds (symmetric: all matched rounds).
    """

    key: NDArray[np.bool_]
    rate: NDArray[np.bool_]
    test: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Positions (int64, ascending) of the rounds in which both parties chose alike."""

    key: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Rounds that are in one of the two; in the symmetric variant both are the same."""
        return self.key.size if self.key is self.test else self.key.size + self.test.size


def match(parameters: Parameters, alice: NDArray[np.uint8], bob: NDArray[np.uint8]) -> Matched:
    """Rounds with equal settings; in the symmetric variant both kinds are all of them."""
    if parameters.is_symmetric:
        both = np.flatnonzero(alice == bob)
        return Matched(key=both, test=both)
    return Matched(
        key=np.flatnonzero((alice == Setting.KEY) & (bob == Setting.KEY)),
        test=np.flatnonzero((alice == Setting.TEST) & (bob == Setting.TEST)),
    )


def select(parameters: Parameters, matched: Matched, *, seed: bytes) -> Masks:
    """Alice's random choice of rounds; raises TooFewRounds when sifting fell short.

    Args:
        parameters: The committed numbers.
        matched: Rounds with equal settings.
        seed: Alice's 32 secret bytes; the choice is made after Bob's reception and unknown to
            anyone before.
    """
    if parameters.is_symmetric:
        wanted = parameters.key_rounds + parameters.test_rounds
        _require_enough("matched", matched.key.size, wanted)
        kept = _choose(wanted, out_of=matched.key.size, seed=seed, label="kept")
        test = _choose_within(kept, parameters.test_rounds, seed=seed, label="test")
        return Masks(key=kept & ~test, rate=np.zeros_like(kept), test=test)
    wanted = parameters.key_rounds + parameters.rate_rounds
    _require_enough("matched key", matched.key.size, wanted)
    _require_enough("matched test", matched.test.size, parameters.test_rounds)
    kept = _choose(wanted, out_of=matched.key.size, seed=seed, label="kept")
    rate = _choose_within(kept, parameters.rate_rounds, seed=seed, label="rate")
    test = _choose(parameters.test_rounds, out_of=matched.test.size, seed=seed, label="test")
    return Masks(key=kept & ~rate, rate=rate, test=test)


def _require_enough(what: str, found: int, wanted: int) -> None:
    if found < wanted or wanted < 1:
        raise TooFewRounds(f"{found} {what} rounds, {max(wanted, 1)} committed: send more pulses")


def _choose(count: int, *, out_of: int, seed: bytes, label: str) -> NDArray[np.bool_]:
    keys = stream.expand(seed, label=f"choice {label}", length=RANKING_KEY_BYTES * out_of)
    return bits.choose(count, out_of=out_of, keys=keys)


def _choose_within(
    mask: NDArray[np.bool_], count: int, *, seed: bytes, label: str
) -> NDArray[np.bool_]:
    inside = np.flatnonzero(mask)
    chosen = np.zeros_like(mask)
    chosen[inside[_choose(count, out_of=inside.size, seed=seed, label=label)]] = True
    return chosen


def assign(
    parameters: Parameters, alice: NDArray[np.uint8], bob: NDArray[np.uint8], masks: Masks
) -> NDArray[np.uint8]:
    """The `Role` of every round (uint8); raises RemoteMisuse for masks that break the commitment.

    Both parties call this with the same inputs, so that they cannot disagree.
    """
    matched = match(parameters, alice, bob)
    require(masks.key.size == matched.key.size == masks.rate.size, "key masks of another length")
    require(masks.test.size == matched.test.size, "a test mask of another length")
    require(int(masks.key.sum()) == parameters.key_rounds, "another number of key rounds")
    require(int(masks.rate.sum()) == parameters.rate_rounds, "another number of rate rounds")
    require(int(masks.test.sum()) == parameters.test_rounds, "another number of test rounds")
    require(not (masks.key & masks.rate).any(), "a key round is disclosed")
    if parameters.is_symmetric:
        require(not (masks.key & masks.test).any(), "a key round is disclosed")
    roles = np.zeros(alice.size, dtype=np.uint8)
    if parameters.protocol is Protocol.E91:
        roles[alice != bob] = Role.MISMATCHED
        roles[bob >= Setting.CHSH_LOW] = Role.CHSH
    roles[matched.key[masks.key]] = Role.KEY
    roles[matched.key[masks.rate]] = Role.RATE
    roles[matched.test[masks.test]] = Role.TEST
    return roles


def is_disclosed(roles: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Rounds whose outcomes both parties announce."""
    return roles >= Role.RATE

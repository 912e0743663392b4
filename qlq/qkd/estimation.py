"""Parameter estimation: error rates of both bases, the CHSH value, and what they decide."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlq.errors import BellTestFailed, QBERTooHigh
from qlq.numerics import chsh, rounds
from qlq.qkd.parameters import Parameters, Protocol
from qlq.qkd.settings import Setting
from qlq.qkd.sifting import Role, is_disclosed

CHSH_SIGMAS = 3.0
"""S must exceed the classical bound 2 by this many standard errors."""


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """Errors in a disclosed sample of one basis."""

    errors: int
    rounds: int

    @property
    def rate(self) -> float:
        """Errors by rounds; NaN for an empty sample, which every limit refuses."""
        return self.errors / self.rounds if self.rounds else math.nan


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the disclosed rounds say.

    Attributes:
        key: Errors in the key basis (the rate sample; symmetric: key-basis test rounds).
        test: Errors in the test basis.
        chsh: S and its standard error; None for BB84.
    """

    key: ErrorCount
    test: ErrorCount
    chsh: chsh.ChshValue | None

    @property
    def sample(self) -> ErrorCount:
        """Both bases together."""
        return ErrorCount(self.key.errors + self.test.errors, self.key.rounds + self.test.rounds)


def reconciliation_qber(parameters: Parameters, found: Estimate) -> float:
    """The error rate to expect in the key, which chooses Cascade's blocks.

    The symmetric key has rounds of both bases, the biased one of the key basis alone.
    """
    return found.sample.rate if parameters.is_symmetric else found.key.rate


@dataclass(frozen=True, slots=True, eq=False)
class Disclosed:
    """The public part of all rounds, as both parties know it after the disclosure.

    Attributes:
        alice: uint8 (pulses), Alice's settings.
        bob: uint8 (pulses), Bob's settings.
        roles: uint8 (pulses), `sifting.Role`.
        alice_bits: uint8, Alice's outcomes of the disclosed rounds, in order.
        bob_bits: uint8, Bob's outcomes of the same rounds.
    """

    alice: NDArray[np.uint8]
    bob: NDArray[np.uint8]
    roles: NDArray[np.uint8]
    alice_bits: NDArray[np.uint8]
    bob_bits: NDArray[np.uint8]


def estimate(parameters: Parameters, disclosed: Disclosed) -> Estimate:
    """Error rates and CHSH value of the whole session."""
    return _estimate(parameters, disclosed, np.ones(disclosed.alice_bits.size, dtype=np.bool_))


def estimate_by_block(parameters: Parameters, disclosed: Disclosed) -> list[Estimate]:
    """The same for each block of the session, in order of time: drift shows here."""
    block = rounds.block_of_pulse(parameters.pulses, blocks=parameters.blocks)
    of_disclosed = block[is_disclosed(disclosed.roles)]
    return [
        _estimate(parameters, disclosed, of_disclosed == index)
        for index in range(parameters.blocks)
    ]


def _estimate(parameters: Parameters, disclosed: Disclosed, within: NDArray[np.bool_]) -> Estimate:
    shown = is_disclosed(disclosed.roles)
    roles, alice = disclosed.roles[shown], disclosed.alice[shown]
    wrong = disclosed.alice_bits != disclosed.bob_bits
    sampled = within & ((roles == Role.RATE) | (roles == Role.TEST))
    in_key_basis = sampled & (alice == Setting.KEY)
    in_test_basis = sampled & (alice == Setting.TEST)
    value = None
    if parameters.protocol is Protocol.E91:
        value = chsh.chsh_value(chsh_counts(disclosed, within))
    return Estimate(
        key=ErrorCount(int(wrong[in_key_basis].sum()), int(in_key_basis.sum())),
        test=ErrorCount(int(wrong[in_test_basis].sum()), int(in_test_basis.sum())),
        chsh=value,
    )


def chsh_counts(disclosed: Disclosed, within: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Outcomes of the four CHSH pairs, int64 (2, 2, 2, 2).

    Axes: Alice at 0 or pi/2, Bob at pi/4 or 3 pi/4, Alice's bit, Bob's bit.
    """
    shown = is_disclosed(disclosed.roles)
    used = within & (disclosed.roles[shown] == Role.CHSH)
    alice_axis = (disclosed.alice[shown][used] == Setting.KEY).astype(np.int64)
    bob_axis = (disclosed.bob[shown][used] == Setting.CHSH_HIGH).astype(np.int64)
    label = 8 * alice_axis + 4 * bob_axis
    label += 2 * disclosed.alice_bits[used].astype(np.int64) + disclosed.bob_bits[used]
    return np.bincount(label, minlength=16).reshape(2, 2, 2, 2)


def judge(parameters: Parameters, found: Estimate) -> None:
    """Raise QBERTooHigh or BellTestFailed unless the session may go on.

    Both bases are judged: the test basis bounds what Eve knows, and an error in the key basis
    alone is as much a sign of her. An empty sample is a NaN and does not pass.
    """
    for basis, count in (("test", found.test), ("key", found.key)):
        if not count.rate <= parameters.qber_max:
            raise QBERTooHigh(basis=basis, qber=count.rate, qber_max=parameters.qber_max)
    if parameters.is_symmetric and not found.sample.rate <= parameters.qber_max:
        raise QBERTooHigh(basis="pooled", qber=found.sample.rate, qber_max=parameters.qber_max)
    if found.chsh is not None and not found.chsh.s - CHSH_SIGMAS * found.chsh.sigma > 2.0:  # noqa: PLR2004
        raise BellTestFailed(s=found.chsh.s, sigma=found.chsh.sigma)

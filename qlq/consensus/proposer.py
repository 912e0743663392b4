"""Whose turn it is to propose a block.

While no election decides, validators take turns by their weights: in any W heights one after the
other, where W is the sum of all weights, each has exactly as many turns as its weight, spread as
evenly as they can be.

A validator of weight w has its turns at the points (2k + 1) / 2w of the unit interval, for k from
0 to w - 1; height h has the point of rank h mod W among those of all validators, equal points in
the order of addresses. That is the sequence in which Sainte-Laguë's method gives out seats.
"""

from __future__ import annotations

from enum import IntEnum

from qlq.consensus.validators import WEIGHT_MAX, Validator, Validators

_GRID = 2 * WEIGHT_MAX * WEIGHT_MAX
"""Two points that differ do so by 1 / (2 v w) or more, so that between two lines of this grid all
points are one."""


class ProposerMode(IntEnum):
    """How a block's proposer was found; the number is in its header."""

    FALLBACK_RR = 1
    """In turn, by weight."""
    ELECTED = 2
    """By a beacon pulse."""


def proposer(validators: Validators, height: int) -> tuple[Validator, ProposerMode]:
    """The validator whose turn it is at this height, and how it was found.

    Takes about 21 passes over the set, whatever the weights.

    Args:
        validators: Those who vote at this height.
        height: From 0.

    Raises:
        ValueError: For a negative height.

    Source:
        Sainte-Laguë (1910); Balinski and Young, Fair Representation (1982), Webster's method.
    """
    if height < 0:
        raise ValueError(f"height {height} is below 0")
    rank = height % validators.weight
    low, high = 0, _GRID
    while high - low > 1:
        middle = (low + high) // 2
        if _count_until(validators, middle) > rank:
            high = middle
        else:
            low = middle
    left = rank - _count_until(validators, low)
    here = [member for member in validators.members if _turns(member, high) > _turns(member, low)]
    return here[left], ProposerMode.FALLBACK_RR


def _count_until(validators: Validators, line: int) -> int:
    """Turns of all validators at or before this line of the grid."""
    return sum(_turns(member, line) for member in validators.members)


def _turns(member: Validator, line: int) -> int:
    """Turns of one validator until then: the k of which (2k + 1) / 2w <= line / _GRID."""
    return (2 * member.weight * line + _GRID) // (2 * _GRID)

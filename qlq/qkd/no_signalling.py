"""Whether a party's outcomes depend on the other party's setting: E91's check of its own data."""

from __future__ import annotations

import numpy as np

from qlq.numerics import chsh, rounds
from qlq.qkd.estimation import Disclosed
from qlq.qkd.parameters import Parameters
from qlq.qkd.sifting import is_disclosed


def marginal_test(
    parameters: Parameters, disclosed: Disclosed, *, order_seed: int
) -> chsh.NoSignalling | None:
    """p-value and largest marginal shift over all disclosed rounds; None if too few.

    The units are the rows of the job: one setting pair each, shuffled within the blocks of the
    session. Slow drift therefore does not line up with settings; drift within a block still
    makes a small p, which is then no sign of signalling.

    Args:
        parameters: What was committed to.
        disclosed: The public rounds.
        order_seed: Seed of the shuffle of rows, as the session recorded it.
    """
    rows = rounds.group(
        disclosed.alice,
        disclosed.bob,
        blocks=min(parameters.blocks, parameters.pulses),
        order_rng=np.random.default_rng(order_seed),
    )
    row = rows.row_of_pulse[is_disclosed(disclosed.roles)]
    count = len(rows.row_inputs)
    shots = np.bincount(row, minlength=count)
    used = shots > 0
    marginals = chsh.Marginals(
        alice_settings=rows.row_inputs[used, 0],
        bob_settings=rows.row_inputs[used, 1],
        shots=shots[used],
        alice_ones=np.bincount(row, disclosed.alice_bits, count)[used].astype(np.int64),
        bob_ones=np.bincount(row, disclosed.bob_bits, count)[used].astype(np.int64),
    )
    try:
        return chsh.no_signalling(marginals, sim_rng=np.random.default_rng(order_seed))
    except ValueError:
        return None

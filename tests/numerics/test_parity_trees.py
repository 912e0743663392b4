"""Compiled kernels do not check indices; run by the interpreter, numpy does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys

import numba
import numpy as np

from qlq.errors import RemoteMisuse
from qlq.qkd.cascade import Corrector, Responder, Variant

assert numba.config.DISABLE_JIT
for number in map(int, sys.argv[1:]):
    rng = np.random.default_rng(number)
    bits, variant = int(rng.integers(64, 120)), list(Variant)[number % 3]
    estimate, rate = float(rng.uniform(0, 0.49)), float(rng.uniform(0, 0.5))
    alice = rng.integers(0, 2, bits, dtype=np.uint8)
    bob = alice ^ (rng.random(bits) < rate).astype(np.uint8)
    rest = {"seed": rng.bytes(8), "variant": variant, "qber": estimate}
    honest, lying = Responder(alice, **rest), number % 7 == 0
    corrector = Corrector(bob, **rest)
    try:
        while (request := corrector.next_request()) is not None:
            answer = honest.answer(request)
            corrector.absorb(rng.integers(0, 2, answer.size, dtype=np.uint8) if lying else answer)
    except RemoteMisuse:
        assert lying
    assert corrector.corrections <= bits
"""

CROWDED = (
    406,
    658,
    1030,
    1156,
    1162,
    1213,
    1300,
    1312,
    1570,
    1717,
    1771,
    2170,
    2212,
    2242,
    2365,
    2386,
    2611,
)
"""Short keys with many errors, in which blocks enter the queue more often than there are blocks."""


@pytest.mark.parametrize("numbers", [CROWDED, tuple(range(120))], ids=["crowded", "any"])
def test_no_index_leaves_its_array(numbers: tuple[int, ...]) -> None:
    environ = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    arguments = [sys.executable, "-W", "ignore", "-c", SCRIPT, *map(str, numbers)]
    done = subprocess.run(
        arguments, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr

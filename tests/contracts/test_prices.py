"""Gas follows time: no kind of work is much cheaper than another for what it takes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from qlq.contracts import gas

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MARK = 3
MARGIN = 2
"""Other work on the machine; the mark itself is measured by the benchmark."""


@pytest.fixture
def prices(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("contracts_gas", BENCHMARKS / "contracts_gas.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("measuring", None)


@pytest.mark.long
def test_the_dearest_work_takes_at_most_three_times_the_time_of_the_cheapest(prices) -> None:
    costs = prices.unit_costs(prices.SMALL_BUDGET)
    assert set(prices.ROOM) < set(costs)
    best = min(cost for name, cost in costs.items() if name not in prices.ROOM)
    worst = max(costs, key=costs.__getitem__)
    assert costs[worst] <= MARK * MARGIN * best, (worst, costs)
    assert costs[worst] * gas.BLOCK_MAX / 1e9 <= 1

"""What a session would take and give, before it is submitted; a pilot measures the QBER first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from qlq.backends import chain, patience
from qlq.backends.patience import Clock
from qlq.backends.port import Backend, Cost, DeviceInfo, ReportsDepth
from qlq.backends.registry import Classical
from qlq.circuit import Plan
from qlq.config import Settings
from qlq.errors import BackendError, BackendUnavailable
from qlq.node import consent, jobs_running, orders, pilots
from qlq.node.jobs import Purpose
from qlq.node.jobs_running import Draft, PaidRun
from qlq.node.orders import Order
from qlq.node.pilots import Pilot
from qlq.numerics import rounds
from qlq.provenance import Attempt
from qlq.qkd import bb84, e91, link, parameters
from qlq.qkd.parameters import SESSION_TAG_BITS, Parameters, Protocol, Wanted
from qlq.qkd.settings import SEED_BYTES, draw_bits, draw_settings

SUCCESS_TRIALS = 4000
"""Simulated samples behind `success_probability`: a standard error below 0.8 %."""
COMMAND_S = 600.0
"""Time for a question to a vendor where no deadline is given."""


def typical_plan(committed: Parameters) -> Plan:
    """A job as this session would submit it: rows and shots vary little with the settings."""
    count = committed.pulses
    which = bb84 if committed.protocol is Protocol.BB84 else e91
    a = draw_settings(bytes(SEED_BYTES), thresholds=committed.alice_thresholds, count=count)
    b = draw_settings(b"b" * SEED_BYTES, thresholds=committed.bob_thresholds, count=count)
    if committed.protocol is Protocol.BB84:
        a = bb84.alice_inputs(a, draw_bits(bytes(SEED_BYTES), count=count))
    grouping = rounds.group(
        a, b, blocks=min(committed.blocks, count), order_rng=np.random.default_rng(0)
    )
    return link.plan_job(which.arrangement(), grouping)


def describe(uri: str, *, deadline_s: float) -> DeviceInfo:
    """The device that a URI names, whether or not it can be used now.

    Raises:
        ConfigError: The URI names no backend.
        BackendUnavailable: It did not answer in time.
    """
    clock = Clock(deadline_s)
    with chain.opened(uri, clock=clock) as backend:
        return patience.ask(backend.describe, clock=clock, what=f"calibration of {uri}")


def estimate(order: Order) -> dict[str, Any]:
    """What the ordered session would take and give on the first backend that can be used.

    Nothing is submitted. `classical` is left out: it takes nothing that is to be planned.

    Raises:
        ConfigError: A value of the order cannot be used.
        BackendUnavailable: No backend can be asked.
    """
    return _first(order, lambda backend, uri, clock: _estimate(order, backend, uri, clock, None))


def estimate_with_pilot(
    order: Order, settings: Settings, *, shots: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """As `estimate`, from the error rates that a small job of this many shots shows.

    The pilot is paid for, asks for consent, and is kept on record like a session.

    Args:
        order: The session that is planned.
        settings: Home folder of the record.
        shots: From 8 to 100,000.
        tell: Is told in words what happens.

    Raises:
        ConfigError: A value cannot be used.
        BudgetRefused: The operator does not allow what the pilot would cost; nothing was sent.
        JobPending: The pilot was accepted and goes on with `qlq job resume`.
        BackendError: No shots, or nothing to plan with after a pilot that was paid for.
    """
    pilots.check_shots(shots)

    def with_pilot(backend: Backend, uri: str, clock: Clock) -> dict[str, Any]:
        pilot = _fly(order, settings, backend, uri, shots=shots, clock=clock, tell=tell)
        if pilot.record_id is None:
            return _estimate(order, backend, uri, clock, pilot)
        way = f"the pilot's figures: qlq job resume {pilot.record_id}"
        try:
            return _estimate(order, backend, uri, clock, pilot)
        except BackendUnavailable as error:  # another backend would take another pilot
            raise BackendError(f"{error}; {way}") from error
        except BaseException as error:
            error.add_note(way)
            raise

    return _first(order, with_pilot)


def _first(order: Order, use: Callable[[Backend, str, Clock], dict[str, Any]]) -> dict[str, Any]:
    clock = Clock(COMMAND_S if order.deadline_s is None else order.deadline_s)
    quantum = [choice for choice in orders.check(order) if not isinstance(choice, Classical)]

    def on_choice(choice: chain.Choice, _attempts: tuple[Attempt, ...]) -> dict[str, Any]:
        with chain.opened(choice.uri, clock=clock) as backend:
            return use(backend, choice.uri, clock)

    return chain.first(quantum, on_choice)


def _fly(
    order: Order,
    settings: Settings,
    backend: Backend,
    uri: str,
    *,
    shots: int,
    clock: Clock,
    tell: Callable[[str], None],
) -> Pilot:
    """Agree to the pilot and run it; one that costs something is on record before it is sent."""
    committed = parameters.commit(orders.wanted(order, orders.describe(backend, clock)))
    draft = Draft(
        home=settings.home,
        uri=uri,
        parameters=committed,
        consent=order.consent,
        purpose=Purpose.PILOT,
        pilot_shots=shots,
    )
    tell(f"pilot of {shots} shots on {backend.name}")
    paid = PaidRun(backend, clock=clock, tell=tell, draft=draft)
    return pilots.conduct(paid, committed.protocol, shots=shots)


def _cost(backend: Backend, plan: Plan, clock: Clock) -> Cost:
    what = f"estimate of {backend.name}"
    return patience.ask(lambda: backend.estimate(plan), clock=clock, what=what)


def _estimate(
    order: Order, backend: Backend, uri: str, clock: Clock, pilot: Pilot | None
) -> dict[str, Any]:
    info = _measured(orders.describe(backend, clock), pilot)
    wish = orders.wanted(order, info)
    committed = parameters.commit(wish)
    plan = typical_plan(committed)
    cost = jobs_running.whole_cost(
        _cost(backend, plan, clock),
        committed,
        eve_text=order.eve,
        ask=lambda second: _cost(backend, second, clock),
    )
    is_bb84 = wish.protocol is Protocol.BB84
    predicted = info.predicted_qber_bb84 if is_bb84 else info.predicted_qber_e91
    chance = _success_probability(committed, predicted)
    return {
        "backend": uri,
        "protocol": wish.protocol.value,
        "pulses": wish.pulses,
        "qubits": list(info.qubits_bb84 if is_bb84 else info.qubits_e91),
        "rows": len(plan.bindings),
        "shots": plan.executions,
        "depth": _depth(backend, plan, clock),
        "qpu_s": cost.qpu_s,
        "cost": consent.as_document(cost),
        "predicted_qber": predicted,
        "qber_source": "calibration" if pilot is None else "pilot",
        "pilot": None if pilot is None else pilot.as_document(),
        "qber_max": wish.qber_max,
        "min_pulses_for_key": _least_pulses(wish, predicted),
        "secret_bits": committed.secret_bits,
        "expected_secret_bits": round(committed.secret_bits * (chance or 0.0)),
        "success_probability": chance,
        "cost_per_net_bit": _per_net_bit(cost, committed, chance),
    }


def _least_pulses(wish: Wanted, predicted: float | None) -> int | None:
    """Fewest pulses that can give a key; None if none can, or if the device will not hold still.

    Where the prediction is above the tolerance the session aborts, whatever its length.
    """
    if predicted is not None and predicted > wish.qber_max:
        return None
    return parameters.least_pulses(wish)


def _depth(backend: Backend, plan: Plan, clock: Clock) -> int | None:
    """Depth after compilation, None where the backend cannot say."""
    if not isinstance(backend, ReportsDepth):
        return None
    what = f"compilation for {backend.name}"
    return patience.ask(lambda: backend.depth(plan), clock=clock, what=what)


def _measured(info: DeviceInfo, pilot: Pilot | None) -> DeviceInfo:
    """The device with the pilot's upper bound in place of what its calibration predicts."""
    if pilot is None:
        return info
    return dataclasses.replace(
        info, predicted_qber_bb84=pilot.qber_upper, predicted_qber_e91=pilot.qber_upper
    )


def _per_net_bit(cost: Cost, committed: Parameters, chance: float | None) -> str | None:
    """Money for each bit that is left after the session's tags, in the mean; None without any."""
    net = max(0, committed.secret_bits - SESSION_TAG_BITS) * (chance or 0.0)
    if cost.amount is None or net == 0:
        return None
    return f"{cost.amount / Decimal(net):.6f}"


def _success_probability(committed: Parameters, predicted: float | None) -> float | None:
    """Chance that both samples stay within the tolerance, if the prediction holds."""
    if predicted is None or not committed.secret_bits:
        return None if predicted is None else 0.0
    rng = np.random.default_rng(0)
    test = rng.binomial(committed.test_rounds, predicted, SUCCESS_TRIALS)
    rate = rng.binomial(max(1, committed.rate_rounds), predicted, SUCCESS_TRIALS)
    fits = test <= committed.qber_max * committed.test_rounds
    fits &= rate <= committed.qber_max * max(1, committed.rate_rounds)
    return float(fits.mean())

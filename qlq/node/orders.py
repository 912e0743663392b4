"""An operator's order, from texts to a finished session or an estimate."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from qlq.backends import registry
from qlq.backends.port import Backend, DeviceInfo
from qlq.circuit import Plan
from qlq.config import Settings
from qlq.errors import ConfigError
from qlq.kme import master
from qlq.node import parties, sessions
from qlq.provenance import Kind
from qlq.qkd import bb84, e91, eve, link, parameters
from qlq.qkd.duties import Party
from qlq.qkd.parameters import Parameters, Protocol, Reconciliation, Sampling, Wanted
from qlq.qkd.settings import SEED_BYTES, draw_bits, draw_settings

E = TypeVar("E", bound=StrEnum)
SUCCESS_TRIALS = 4000
"""Simulated samples behind `success_probability`: a standard error below 0.8 %."""


@dataclass(frozen=True, slots=True)
class Order:
    """What `qlq qkd run` was asked for.

    Attributes:
        protocol: `bb84` or `e91`.
        backend: URI.
        pulses: Signals or pairs.
        sampling: Biased or symmetric.
        basis_bias: Probability of the key setting; None takes the best.
        qber_max: Tolerance; None takes one from the device's calibration.
        reconciliation: A value of `Reconciliation`, or `cascade` for the original rule.
        eve: Attack as text; None for none.
        seed: Number that everything follows from; None for fresh entropy.
        eps_sec: Secrecy epsilon.
        eps_cor: Correctness epsilon.
        archive: Folder to write; None for none.
    """

    protocol: str
    backend: str
    pulses: int
    sampling: Sampling = Sampling.BIASED
    basis_bias: float | None = None
    qber_max: float | None = None
    reconciliation: str = "cascade"
    eve: str | None = None
    seed: int | None = None
    eps_sec: float = 1e-10
    eps_cor: float = 1e-12
    archive: Path | None = None


def _choice(kind: type[E], text: str, *, what: str) -> E:
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(kind)
        raise ValueError(f"unknown {what} {text!r}; known: {known}") from None


def wanted(order: Order, info: DeviceInfo) -> Wanted:
    """The order's wish in types; raises ValueError naming a value that cannot be used."""
    protocol = _choice(Protocol, order.protocol, what="protocol")
    text = order.reconciliation
    method = _choice(
        Reconciliation,
        Reconciliation.ORIGINAL.value if text == "cascade" else text,
        what="reconciliation",
    )
    tolerance = order.qber_max
    if tolerance is None:
        tolerance = sessions.default_qber_max(info, protocol)
    return Wanted(
        protocol=protocol,
        pulses=order.pulses,
        qber_max=tolerance,
        sampling=order.sampling,
        reconciliation=method,
        key_bias=order.basis_bias,
        eps_sec=order.eps_sec,
        eps_cor=order.eps_cor,
    )


def check(order: Order) -> None:
    """Refuse what needs no backend to be refused, before an SDK is imported.

    Raises:
        ConfigError: Naming the value that cannot be used.
    """
    try:
        wanted(order, DeviceInfo("", "", kind=Kind.IDEAL, qubits=0))
        if order.eve is not None:
            eve.parse(order.eve)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if order.seed is not None and order.seed < 0:
        raise ConfigError(f"the seed must not be negative: {order.seed}")


def fulfil(order: Order, settings: Settings, tell: Callable[[str], None]) -> sessions.Session:
    """Run the ordered session; keys go to the parties' stores below the home folder.

    A seeded session keeps nothing. See `sessions.run` for errors.
    """
    check(order)
    tell(f"opening {order.backend}")
    backend = registry.open_backend(order.backend)
    try:
        seeds = sessions.Seeds.from_system()
        if order.seed is not None:
            seeds = sessions.Seeds.from_number(order.seed)
            pair = parties.passing_pair(seeds.alice)
        else:
            pair = open_stored_pair(settings)
        try:
            return sessions.run(
                parameters.commit(wanted(order, backend.describe())),
                backend,
                pair,
                seeds=seeds,
                attack=None if order.eve is None else eve.parse(order.eve),
                attack_text=order.eve,
                archive=order.archive,
                progress=tell,
            )
        finally:
            pair.close()
    finally:
        backend.close()


def open_stored_pair(settings: Settings) -> parties.Pair:
    """Both parties' stores below the home folder; raises ConfigError with the way out."""
    key = master.obtain(
        passphrase=settings.passphrase,
        data_folder=settings.home,
        settings_folder=settings.settings_folder,
    )
    return parties.open_pair(settings.home, dict.fromkeys(Party, key))


def typical_plan(committed: Parameters) -> Plan:
    """A job as this session would submit it: rows and shots vary little with the settings."""
    count = committed.pulses
    which = bb84 if committed.protocol is Protocol.BB84 else e91
    a = draw_settings(bytes(SEED_BYTES), thresholds=committed.alice_thresholds, count=count)
    b = draw_settings(b"b" * SEED_BYTES, thresholds=committed.bob_thresholds, count=count)
    if committed.protocol is Protocol.BB84:
        a = bb84.alice_inputs(a, draw_bits(bytes(SEED_BYTES), count=count))
    grouping = link.group(
        a, b, blocks=min(committed.blocks, count), order_rng=np.random.default_rng(0)
    )
    return link.plan_job(which.arrangement(), grouping)


def estimate(order: Order) -> dict[str, Any]:
    """What a session would take and give, without submitting anything."""
    check(order)
    backend = registry.open_backend(order.backend)
    try:
        return _estimate(order, backend)
    finally:
        backend.close()


def _estimate(order: Order, backend: Backend) -> dict[str, Any]:
    info = backend.describe()
    wish = wanted(order, info)
    committed = parameters.commit(wish)
    plan = typical_plan(committed)
    cost = backend.estimate(plan)
    is_bb84 = wish.protocol is Protocol.BB84
    predicted = info.predicted_qber_bb84 if is_bb84 else info.predicted_qber_e91
    return {
        "backend": order.backend,
        "protocol": wish.protocol.value,
        "pulses": wish.pulses,
        "qubits": list(info.qubits_bb84 if is_bb84 else info.qubits_e91),
        "rows": len(plan.bindings),
        "shots": plan.executions,
        "qpu_s": cost.qpu_s,
        "cost": {
            "amount": None if cost.amount is None else str(cost.amount),
            "currency": cost.currency,
            "source": cost.source,
            "date": cost.date,
        },
        "predicted_qber": predicted,
        "qber_max": wish.qber_max,
        "min_pulses_for_key": parameters.least_pulses(wish),
        "expected_secret_bits": committed.secret_bits,
        "success_probability": _success_probability(committed, predicted),
    }


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


def fulfil_passing(orders: list[Order], tell: Callable[[str], None]) -> list[sessions.Session]:
    """Run sessions one after the other on one opened backend, and keep nothing of them.

    All orders name the same backend. Each pair of parties starts with 512 bits of
    operating-system entropy for its tags.
    """
    backend = registry.open_backend(orders[0].backend)
    try:
        return [_passing(order, backend, tell) for order in orders]
    finally:
        backend.close()


def _passing(order: Order, backend: Backend, tell: Callable[[str], None]) -> sessions.Session:
    seeds = sessions.Seeds.from_system()
    return sessions.run(
        parameters.commit(wanted(order, backend.describe())),
        backend,
        parties.passing_pair(os.urandom(SEED_BYTES)),
        seeds=seeds,
        attack=None if order.eve is None else eve.parse(order.eve),
        attack_text=order.eve,
        progress=tell,
    )

"""An operator's order, from texts to a finished session or an estimate."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

from qlq.backends import chain, patience
from qlq.backends.chain import Fallback
from qlq.backends.patience import Clock
from qlq.backends.port import Backend, DeviceInfo
from qlq.backends.registry import Classical
from qlq.config import Settings
from qlq.errors import BackendUnavailable, ConfigError
from qlq.kme import master
from qlq.node import classical, jobs_running, parties, sessions
from qlq.node.consent import Consent
from qlq.node.jobs_running import Draft, PaidRun, Secrets
from qlq.provenance import Attempt, Kind
from qlq.qkd import eve, parameters
from qlq.qkd.duties import Party
from qlq.qkd.parameters import Protocol, Reconciliation, Sampling, Wanted
from qlq.qkd.settings import SEED_BYTES

E = TypeVar("E", bound=StrEnum)

ASK_NOBODY = Consent()
"""Neither a cap nor anybody to ask: only what is free."""


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
        then: URIs that are tried in order when the first backend cannot be used; `classical`
            may be the last.
        fallback: Whether `classical` may be named.
        consent: What the operator allows to be spent.
        deadline_s: Seconds until the command must end, above 0; None gives queues a day.
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
    then: tuple[str, ...] = ()
    fallback: Fallback = Fallback.ALLOWED
    consent: Consent = ASK_NOBODY
    deadline_s: float | None = None


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


def check(order: Order) -> tuple[chain.Choice, ...]:
    """The backends in order; refuses what needs none to be refused, before an SDK is imported.

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
    if order.deadline_s is not None and not 0 < order.deadline_s < math.inf:
        raise ConfigError(f"the deadline must be above 0 seconds: {order.deadline_s}")
    choices = chain.parse((order.backend, *order.then), fallback=order.fallback)
    if isinstance(choices[-1], Classical) and (order.seed is not None or order.eve is not None):
        raise ConfigError(
            "--seed and --eve need a quantum link: leave --backend classical out, or them"
        )
    return choices


def fulfil(order: Order, settings: Settings, tell: Callable[[str], None]) -> sessions.Session:
    """Run the ordered session; keys go to the parties' stores below the home folder.

    Backends are tried in order; only one that cannot be used leads to the next, before it has
    accepted a job. What costs something is agreed to first and kept on record, see `jobs`. A
    seeded session keeps nothing.

    Raises:
        ConfigError: A value of the order cannot be used.
        BudgetRefused: The operator does not allow what it would cost; nothing was sent.
        BackendUnavailable: No backend can be used; each one's reason is in the message.
        JobPending: A job was accepted and the session goes on with `qlq job resume`.
        BackendError: No shots, see its kinds.
        KeysExhausted: The authentication pool is empty.
    """
    choices = check(order)
    clock = Clock(sessions.TIMEOUT_S if order.deadline_s is None else order.deadline_s)

    def use(choice: chain.Choice, attempts: tuple[Attempt, ...]) -> sessions.Session:
        if isinstance(choice, Classical):
            return _classical(order, settings, attempts, tell)
        tell(f"opening {choice.uri}")
        with chain.opened(choice.uri, clock=clock) as backend:
            return _quantum(
                order, settings, backend, uri=choice.uri, attempts=attempts, clock=clock, tell=tell
            )

    return chain.first(choices, use)


def _classical(
    order: Order,
    settings: Settings,
    attempts: tuple[Attempt, ...],
    tell: Callable[[str], None],
) -> sessions.Session:
    pair = open_stored_pair(settings)
    try:
        return classical.exchange(pair, attempts=attempts, archive=order.archive, progress=tell)
    finally:
        pair.close()


def _quantum(
    order: Order,
    settings: Settings,
    backend: Backend,
    *,
    uri: str,
    attempts: tuple[Attempt, ...],
    clock: Clock,
    tell: Callable[[str], None],
) -> sessions.Session:
    committed = parameters.commit(wanted(order, describe(backend, clock)))
    seeds = sessions.Seeds.from_system()
    if order.seed is not None:
        seeds = sessions.Seeds.from_number(order.seed)
        pair = parties.passing_pair(seeds.alice)
    else:
        pair = open_stored_pair(settings)
    draft = Draft(
        home=settings.home,
        uri=uri,
        parameters=committed,
        consent=order.consent,
        secrets=Secrets(seeds, partial(obtain_master, settings)),
        eve=order.eve,
        archive=order.archive,
        attempts=attempts,
    )
    try:
        return jobs_running.conduct(
            PaidRun(backend, clock=clock, tell=tell, draft=draft),
            committed,
            backend,
            pair,
            seeds=seeds,
            eve_text=order.eve,
            archive=order.archive,
            attempts=attempts,
            tell=tell,
        )
    finally:
        pair.close()


def describe(backend: Backend, clock: Clock) -> DeviceInfo:
    """The device; raises BackendUnavailable if it cannot be used now."""
    info = patience.ask(backend.describe, clock=clock, what=f"calibration of {backend.name}")
    if not info.available:
        raise BackendUnavailable(f"{backend.name} cannot be used now: {info.reason}")
    return info


def obtain_master(settings: Settings) -> bytes:
    """The key that seals everything below the home folder; raises ConfigError."""
    return master.obtain(
        passphrase=settings.passphrase,
        data_folder=settings.home,
        settings_folder=settings.settings_folder,
    )


def open_stored_pair(settings: Settings) -> parties.Pair:
    """Both parties' stores below the home folder; raises ConfigError with the way out."""
    return parties.open_pair(settings.home, dict.fromkeys(Party, obtain_master(settings)))


def fulfil_passing(orders: list[Order], tell: Callable[[str], None]) -> list[sessions.Session]:
    """Run sessions one after the other on one opened backend, and keep nothing of them.

    All orders name the same backend. Each pair of parties starts with 512 bits of
    operating-system entropy for its tags.

    Raises:
        BudgetRefused: The backend costs something.
    """
    clock = Clock(sessions.TIMEOUT_S)
    with chain.opened(orders[0].backend, clock=clock) as backend:
        return [_passing(order, backend, clock, tell) for order in orders]


def _passing(
    order: Order, backend: Backend, clock: Clock, tell: Callable[[str], None]
) -> sessions.Session:
    return jobs_running.conduct(
        PaidRun(backend, clock=clock, tell=tell),
        parameters.commit(wanted(order, describe(backend, clock))),
        backend,
        parties.passing_pair(os.urandom(SEED_BYTES)),
        seeds=sessions.Seeds.from_system(),
        eve_text=order.eve,
        archive=None,
        attempts=(),
        tell=tell,
    )

"""Pilots: a small job whose right outcomes are known measures a device before a session does.

A pilot that costs something is a job on record, as a session's jobs are: `jobs_running.PaidRun`
agrees, records, submits and comes back to it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np

from qlq.backends.port import FREE, Cost, DeviceInfo
from qlq.circuit import Plan
from qlq.errors import ConfigError, JobPending
from qlq.node import consent, jobs, sessions
from qlq.node.jobs import Record, State
from qlq.node.jobs_running import PaidRun
from qlq.numerics import intervals
from qlq.provenance import Kind
from qlq.qkd import bb84, e91
from qlq.qkd.parameters import Protocol
from qlq.shots import Shots

SCHEMA = "qlq.pilot/1"
SHOTS_MIN, SHOTS_MAX = 8, 100_000
CONFIDENCE = 0.95
"""Two-sided, for each basis: the true rate lies above the upper end with probability 2.5 %."""


@dataclass(frozen=True, slots=True)
class Pilot:
    """What a small job has shown.

    Attributes:
        shots: All of them, half in each basis.
        errors: Wrong outcomes in the key basis and in the test basis.
        qber_upper: Upper end of the worse basis's Clopper-Pearson interval.
        cost: What it has cost; the estimate where the vendor has not said.
        record_id: Id of its record; None if it was free.
    """

    shots: int
    errors: tuple[int, int]
    qber_upper: float
    cost: Cost
    record_id: str | None

    @property
    def qber(self) -> float:
        """Error rate of both bases together."""
        return sum(self.errors) / self.shots

    def as_document(self) -> dict[str, Any]:
        """The `pilot` field of documents."""
        return {
            "shots": self.shots,
            "errors_key": self.errors[0],
            "errors_test": self.errors[1],
            "qber": self.qber,
            "qber_upper": self.qber_upper,
            "confidence": CONFIDENCE,
            "cost": consent.as_document(self.cost),
        }


def check_shots(shots: int) -> None:
    """Raise ConfigError for a number of shots that is of no use."""
    if not SHOTS_MIN <= shots <= SHOTS_MAX:
        raise ConfigError(f"a pilot has from {SHOTS_MIN} to {SHOTS_MAX} shots, not {shots}")


def plan_pilot(protocol: Protocol, *, shots: int) -> tuple[Plan, tuple[int, ...]]:
    """A job whose right outcomes are known, and for each row which basis it tests.

    The same arguments give the same plan, so that a later process can tell which one was paid for.

    Args:
        protocol: BB84: both bits in both bases. E91: both parties in the key setting, and in the
            test setting.
        shots: At least this many in all, in equal rows.

    Returns:
        The plan, and 0 (key basis) or 1 (test basis) for each row.
    """
    which = bb84 if protocol is Protocol.BB84 else e91
    arrangement = which.arrangement()
    if protocol is Protocol.BB84:
        settings = np.array([0, 0, 1, 1])
        alice = bb84.alice_inputs(settings.astype(np.uint8), np.array([0, 1, 0, 1], dtype=np.uint8))
    else:
        settings = alice = np.array([0, 1])
    plan = Plan(
        arrangement.program,
        np.hstack([arrangement.alice_angles[alice], arrangement.bob_angles[settings]]),
        -(-shots // settings.size),
    )
    return plan, tuple(int(setting) for setting in settings)


def conduct(paid: PaidRun, protocol: Protocol, *, shots: int) -> Pilot:
    """Run a pilot, or come back to one, and count its errors; see `PaidRun` for errors."""
    try:
        plan, bases = plan_pilot(protocol, shots=shots)
        errors = count_errors(protocol, paid(plan), bases)
        pilot = _measured(plan, bases, errors, None if paid.job is None else paid.job.record)
        if paid.job is not None:
            paid.job.end(State.DONE, result=_result(pilot, paid.job.record))
    except JobPending:
        raise  # its message has the way out
    except BaseException as error:
        paid.add_way_out(error)
        raise
    finally:
        paid.close()
    return pilot


def count_errors(protocol: Protocol, shots: Shots, bases: tuple[int, ...]) -> tuple[int, int]:
    """Wrong outcomes of a pilot in the key basis and in the test basis.

    BB84: Bob's bit is not the one that was sent. E91: both parties' bits differ, where the pairs
    of this package agree in equal settings.
    """
    if protocol is Protocol.BB84:
        sent = np.array([0, 1, 0, 1], dtype=np.uint8)[:, np.newaxis]
        wrong = shots.bits[:, :, 0] != sent
    else:
        arrangement = e91.arrangement()
        wrong = (
            shots.bits[:, :, arrangement.alice_bit or 0] != shots.bits[:, :, arrangement.bob_bit]
        )
    by_row = wrong.sum(axis=1)
    return (
        int(sum(by_row[row] for row, basis in enumerate(bases) if basis == 0)),
        int(sum(by_row[row] for row, basis in enumerate(bases) if basis == 1)),
    )


def advice(record: Record) -> str:
    """How the figures of a finished pilot are used, in words."""
    if record.result is None:
        return ""
    upper, protocol = record.result["qber_upper"], record.of_session.protocol
    info = DeviceInfo("", "", Kind.NOISY, 0, predicted_qber_bb84=upper, predicted_qber_e91=upper)
    tolerance = sessions.default_qber_max(info, protocol)
    if not upper <= tolerance:
        return (
            f"a QBER of up to {upper:.2%} is above the {tolerance:.2%} that can be tolerated: "
            "choose other qubits or another device"
        )
    flags = f"--protocol {protocol.value} --qber-max {tolerance:g}"
    return (
        "to use these figures, plan with a tolerance above them: "
        f"qlq backend estimate {shlex.quote(record.uri)} {flags}; then give qlq qkd run the same "
        "--qber-max"
    )


def _measured(
    plan: Plan, bases: tuple[int, ...], errors: tuple[int, int], record: Record | None
) -> Pilot:
    trials = [bases.count(basis) * plan.shots for basis in (0, 1)]
    upper = max(
        intervals.clopper_pearson(errors=wrong, trials=count, confidence=CONFIDENCE)[1]
        for wrong, count in zip(errors, trials, strict=True)
    )
    if record is None:
        return Pilot(plan.executions, errors, upper, FREE, None)
    (cost,), _ = jobs.total(record)
    return Pilot(plan.executions, errors, upper, cost, record.id)


def _result(pilot: Pilot, record: Record) -> dict[str, Any]:
    protocol = record.of_session.protocol.value
    head = {"schema": SCHEMA, "backend": record.backend, "protocol": protocol}
    return {**head, **pilot.as_document()}

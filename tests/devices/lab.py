"""A quantum device for tests of randomness: a small implementation of the port, marked as a QPU.

The folder (LAB_FOLDER) stands for the vendor's servers: `script.json` is a list of words, one for
each submit of all processes together, the last one repeated; `submits.log` has a line for each,
`cancels.log` the id of every job that was cancelled.

Words: `ok` (fair bits), `unavailable`, `failed` (the job ends without shots), `pending` (it never
ends), `stuck` (qubit 1 gives zeros), `biased` (P(1) = 0.75), `periodic` (3,000 bits over and
over), `replay` (the bits of every other `replay`), `uncalibrated` (fair bits, no calibration).

`lab:paid` costs a cent a shot, `lab:down` never opens, `lab:simulated` says that it is a
simulator, `lab:narrow` has one qubit and rows of at most 3,000 shots.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qlq.backends.port import (
    FREE,
    Address,
    Backend,
    Cost,
    DeviceInfo,
    Handle,
    Limits,
    Listing,
    Scheme,
    Status,
)
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, JobFailed
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.shots import Shots

QUBIT = {
    "readout_error": 0.02,
    "prob_1_given_0": 0.01,
    "prob_0_given_1": 0.03,
    "pulse_error": 0.001,
}


class Lab:
    """The port, on a folder."""

    def __init__(self, uri: str, kind: str) -> None:
        self.name, self._kind = uri, kind
        narrow = kind == "narrow"
        self._qubits = 1 if narrow else 4
        shots_max = 3_000 if narrow else 1 << 22
        self.limits = Limits(shots_max, 1 << 40, 1 << 20, self._qubits, 0.02)
        self._folder = Path(os.environ["LAB_FOLDER"])
        self._words: dict[str, str] = {}

    def describe(self) -> DeviceInfo:
        return DeviceInfo("lab", "tests", self._is, self._qubits)

    @property
    def _is(self) -> Kind:
        return Kind.NOISY if self._kind == "simulated" else Kind.QPU

    def estimate(self, plan: Plan) -> Cost:
        if self._kind != "paid":
            return FREE
        return Cost(plan.executions / 4000, plan.executions * Decimal("0.01"), "USD", "test", None)

    def submit(self, plan: Plan) -> Handle:
        log, script = self._folder / "submits.log", self._folder / "script.json"
        count = len(log.read_text().splitlines()) if log.exists() else 0
        words = json.loads(script.read_text()) if script.exists() else ["ok"]
        word = words[min(count, len(words) - 1)]
        with log.open("a") as file:
            file.write(word + "\n")
        if word == "unavailable":
            raise BackendUnavailable("the lab is closed")
        # the same bits in every run: one full batch of fair bits in 34 raises an alarm
        job_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"job {count} of the lab"))
        self._words[job_id] = word
        return Handle(self.name, job_id, plan.digest)

    def status(self, handle: Handle) -> Status:
        words = {"pending": Status.RUNNING, "cancelled": Status.CANCELLED}
        return words.get(self._words[handle.job_id], Status.DONE)

    def fetch(self, handle: Handle, plan: Plan) -> Shots:
        word = self._words[handle.job_id]
        if word == "failed":
            raise JobFailed("a laser is off", job_id=handle.job_id, reason="a laser is off")
        shape = (len(plan.bindings), plan.shots, plan.program.n_bits)
        calibration = {} if word == "uncalibrated" else {"qubits": [QUBIT] * shape[2]}
        is_qpu = self._is is Kind.QPU
        origin = Provenance(
            Tier.QPU if is_qpu else Tier.SIMULATOR,
            Claim.SAME_CHIP if is_qpu else Claim.SIMULATION,
            backend=self.name,
            provider="tests",
            device="lab",
            kind=self._is,
            job_id=handle.job_id,
            program_digest=plan.program.digest,
            sdk={},
            qubits=tuple(range(shape[2])),
            calibration=calibration,
        )
        return Shots(outcomes(word, shape, handle.job_id), origin)

    def cancel(self, handle: Handle) -> None:
        self._words[handle.job_id] = "cancelled"
        with (self._folder / "cancels.log").open("a") as file:
            file.write(handle.job_id + "\n")

    def find(self, tag: str) -> list[Handle]:  # noqa: ARG002 - the port's
        return []

    def spent(self, handle: Handle) -> Cost:  # noqa: ARG002 - the port's
        return FREE

    def close(self) -> None:
        self._words.clear()


def outcomes(word: str, shape: tuple[int, int, int], job_id: str) -> NDArray[np.uint8]:
    """Bits of a job, as its word says."""
    rng = np.random.default_rng(7 if word == "replay" else uuid.UUID(job_id).int)
    if word == "periodic":
        return np.resize(rng.integers(0, 2, 3_000, dtype=np.uint8), shape)
    bits = (rng.random(shape) < (0.75 if word == "biased" else 0.5)).astype(np.uint8)
    if word == "stuck":
        bits[:, :, 1] = 0
    return bits


def open_backend(address: Address) -> Backend:
    if address.rest == "down":
        raise BackendUnavailable("the lab has moved")
    return Lab(address.uri, address.rest)


def listing() -> Sequence[Listing]:
    return []


scheme = Scheme(open=open_backend, listing=listing, extra="")

"""A rented device for tests: a small implementation of the port, with its jobs in a folder.

The folder (RENTED_FOLDER) stands for the vendor's servers, so that several processes share it:

    calls.log     one line for each request that arrived: `submit`, `status`, ...
    jobs/*.json   accepted jobs, in the order of their acceptance
    script.json   {"submit": ["drop-after", ...], ...}: what happens to the nth request of a kind

Words of a script: `ok`, `transient` (a 5xx or 429: nothing happened), `drop-before` and
`drop-after` (the answer is lost, the job was not or was accepted), `unavailable` (withdrawn
credentials), `silent` (no answer for a minute, nothing happens), `late` (accepted, answered a
minute later), `reject`, `dear` (a price or an invoice a thousand times higher), and for `status`
the words of `Status`. What the script leaves open is `ok`; a list that ends with `...` repeats the
word before it.

Shots follow the closed forms of BB84's and E91's circuits, with an error rate of its own, from a
generator that is seeded with the job's id: whoever fetches a job gets the same bits. `rented:qpu`
says that it is a QPU, `rented:stuck` gives zeros only.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np

from qlq.backends.port import (
    Address,
    AmbiguousSubmit,
    Backend,
    Cost,
    DeviceInfo,
    Handle,
    Limits,
    Listing,
    Scheme,
    Status,
    TransientError,
)
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected, JobFailed
from qlq.faults import JobFault
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.shots import Shots

SILENCE_S = 60.0
PRICE = Decimal("0.00001")
"""Money for one shot."""
SECRET = "token-0123456789abcdef"  # noqa: S105 - what must never be shown


class Rented:
    """The port, on a folder."""

    def __init__(self, uri: str, *, price: Decimal | None, qber: float, rest: str) -> None:
        self.name, self._rest = uri, rest
        self.limits = Limits(1 << 20, 1 << 40, 1 << 20, 5, 0.05)
        self._price, self._qber = price, qber
        self._folder = Path(os.environ["RENTED_FOLDER"])
        (self._folder / "jobs").mkdir(parents=True, exist_ok=True)
        self._token = SECRET

    def describe(self) -> DeviceInfo:
        self._arrive("describe")
        return DeviceInfo(
            "rented",
            "tests",
            Kind.NOISY,
            5,
            predicted_qber_bb84=self._qber,
            predicted_qber_e91=self._qber,
        )

    def estimate(self, plan: Plan) -> Cost:
        dearer = 1000 if self._arrive("estimate") == "dear" else 1
        amount = None if self._price is None else self._price * plan.executions * dearer
        return Cost(plan.executions / 4000, amount, "USD", "price list of a test", "2026-01-01")

    def submit(self, plan: Plan) -> Handle:
        word = self._arrive("submit")
        if word == "reject":
            raise CircuitRejected("too many rows")
        if word == "drop-before":
            raise AmbiguousSubmit("connection reset")
        handle = self._accept(plan)
        if word == "drop-after":
            raise AmbiguousSubmit("connection reset")
        if word == "late":
            time.sleep(SILENCE_S)
        return handle

    def _accept(self, plan: Plan) -> Handle:
        job_id = str(uuid.uuid4())
        job = {"id": job_id, "tags": list(plan.tags), "digest": plan.digest, "cancelled": False}
        count = len(list((self._folder / "jobs").iterdir()))
        self._write(self._folder / "jobs" / f"{count:03d}.json", job)
        return Handle(self.name, job_id, plan.digest)

    def _write(self, path: Path, job: dict) -> None:  # type: ignore[type-arg]
        """Whole or not at all: other processes read it meanwhile."""
        draft = self._folder / f"draft-{uuid.uuid4()}"
        draft.write_text(json.dumps(job))
        draft.replace(path)

    def status(self, handle: Handle) -> Status:
        word = self._arrive("status")
        job = self._job(handle)
        if job["cancelled"]:
            return Status.CANCELLED
        return Status.DONE if word == "ok" else Status(word)

    def fetch(self, handle: Handle, plan: Plan) -> Shots:
        if self._arrive("fetch") == "failed":
            raise JobFailed("qubits lost", job_id=handle.job_id, reason="qubits lost")
        number = [job["id"] for _, job in self._jobs()].index(self._job(handle)["id"])
        # The same plan has the same outcomes in every run of a test, but not twice in one run.
        rng = np.random.default_rng([number, *plan.digest.encode()])
        *state, alice, bob = plan.bindings.T
        # BB84: Bloch vector (0, 0, 1) turned by a bit about X, then by alice - bob about Y.
        # E91: Bob's outcome differs from Alice's fair one with the same law.
        turned = np.cos(state[0]) if state else 1.0
        p_one = (1.0 - turned * np.cos(alice - bob)) / 2.0
        bits = rng.random((len(p_one), plan.shots, 1)) < p_one[:, np.newaxis, np.newaxis]
        bits ^= rng.random(bits.shape) < self._qber
        if not state:
            fair = rng.random(bits.shape) < 0.5
            bits = np.concatenate([fair, fair ^ bits], axis=2)
        if self._rest == "stuck":
            bits &= False
        is_qpu = self._rest == "qpu"
        origin = Provenance(
            Tier.QPU if is_qpu else Tier.SIMULATOR,
            Claim.SAME_CHIP if is_qpu else Claim.SIMULATION,
            backend=self.name,
            provider="tests",
            device="rented",
            kind=Kind.QPU if is_qpu else Kind.NOISY,
            job_id=handle.job_id,
            program_digest=plan.program.digest,
            sdk={},
        )
        return Shots(bits.astype(np.uint8), origin)

    def cancel(self, handle: Handle) -> None:
        self._arrive("cancel")
        path, job = next(pair for pair in self._jobs() if pair[1]["id"] == handle.job_id)
        self._write(path, {**job, "cancelled": True})

    def find(self, tag: str) -> list[Handle]:
        self._arrive("find")
        jobs = [job for _, job in self._jobs() if tag in job["tags"]]
        return [Handle(self.name, job["id"], job["digest"]) for job in reversed(jobs)]

    def spent(self, handle: Handle) -> Cost:
        dearer = 1000 if self._arrive("spent") == "dear" else 1
        self._job(handle)
        amount = Decimal("0.25") * dearer
        return Cost(1.5 * dearer, amount, "USD", "invoice of a test", "2026-01-02")

    def close(self) -> None:
        """Nothing to give back."""

    def _jobs(self) -> list[tuple[Path, dict]]:  # type: ignore[type-arg]
        paths = sorted((self._folder / "jobs").iterdir())
        return [(path, json.loads(path.read_text())) for path in paths]

    def _job(self, handle: Handle) -> dict:  # type: ignore[type-arg]
        for _, job in self._jobs():
            if job["id"] == handle.job_id:
                return job
        raise _unknown(handle.job_id)

    def _arrive(self, kind: str) -> str:
        """Write the request down; its word, or what the word makes of it."""
        with (self._folder / "calls.log").open("a") as log:
            log.write(f"{kind}\n")
        count = (self._folder / "calls.log").read_text().split("\n").count(kind)
        word = _word(self._folder, kind, count)
        match word:
            case "transient":
                raise TransientError("503 Service Unavailable")
            case "unavailable":
                raise BackendUnavailable("the credentials were withdrawn")
            case "unknown":  # as an account that is not the job's would hear
                raise _unknown("")
            case "silent":
                time.sleep(SILENCE_S)
        return word


def _word(folder: Path, kind: str, count: int) -> str:
    path = folder / "script.json"
    words = json.loads(path.read_text()).get(kind, []) if path.exists() else []
    if words and words[-1] == "..." and count >= len(words) - 1:
        return str(words[-2])
    return str(words[count - 1]) if count <= len(words) else "ok"


def _unknown(job_id: str) -> JobFailed:
    fault = JobFault.UNKNOWN
    return JobFailed("unknown job", job_id=job_id, reason=fault.value, fault=fault)


def _open(address: Address) -> Backend:
    if address.rest == "closed":
        raise BackendUnavailable(f"{address.uri} is offline until Monday")
    price = None if address.rest == "unpriced" else PRICE
    return Rented(
        address.uri,
        price=price,
        qber=float(address.options.get("qber", "0.001")),
        rest=address.rest,
    )


def _none() -> Sequence[Listing]:
    return ()


scheme = Scheme(open=_open, listing=_none, extra="")

"""Quantum tasks of the Braket emulator: one worker, one task after the other, all in memory.

CREATED -> QUEUED -> RUNNING -> COMPLETED | FAILED | CANCELLED

A client token names one task for ever: a create that comes again with the same token is answered
with the task that the first one made.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from qlq.backends.emulator import braket_execution
from qlq.backends.emulator.braket_execution import Refused, Work
from qlq.backends.emulator.faults import Action, Fault

TASKS_MAX = 10_000
ACCOUNT = "000000000000"
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
_RESULTS = "results.json"


@dataclass(slots=True, eq=False)
class Task:
    """One task; everything that changes is changed under the store's lock.

    Attributes:
        arn: As the client sees it.
        work: What it runs.
        shots: In all.
        bucket: Where its result goes.
        directory: The folder of its result in the bucket.
        tags: As submitted.
        associations: Reservations, as submitted.
        parameters: JSON of the device's parameters, as submitted.
        fault: What the fault script wants for it.
        status: Braket's word.
        reason: Why it failed.
        created: ISO time.
        ended: ISO time, empty before.
    """

    arn: str
    work: Work
    shots: int
    bucket: str
    directory: str
    tags: Mapping[str, str]
    associations: list[Any]
    parameters: str
    fault: Fault | None
    status: str = "CREATED"
    reason: str = ""
    created: str = ""
    ended: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def summary(self) -> dict[str, Any]:
        """One line of a search."""
        ended = {"endedAt": self.ended} if self.ended else {}
        return {
            "quantumTaskArn": self.arn,
            "status": self.status,
            "deviceArn": self.work.device.arn,
            "shots": self.shots,
            "outputS3Bucket": self.bucket,
            "outputS3Directory": self.directory,
            "createdAt": self.created,
            "tags": dict(self.tags),
            **ended,
        }

    def document(self, *, position: int) -> dict[str, Any]:
        """The answer of `GetQuantumTask`; `position` is its place in the queue, 0 outside."""
        work = self.work
        action: dict[str, Any] = {"actionType": "braket.ir.openqasm.program"}
        if work.is_set:
            action = {
                "actionType": "braket.ir.openqasm.program_set",
                "programCount": len(getattr(work.action, "programs", ())),
                "executableCount": len(work.programs),
            }
        done = {"numSuccessfulShots": self.shots} if self.status == "COMPLETED" else {}
        return {
            **self.summary(),
            **done,
            **({"failureReason": self.reason} if self.reason else {}),
            "deviceParameters": self.parameters,
            "associations": self.associations,
            "actionMetadata": action,
            "queueInfo": {
                "queue": "QUANTUM_TASKS_QUEUE",
                "position": str(position) if position else "None",
                "queuePriority": "Normal",
            },
        }


class Store:
    """All tasks and results of one emulator.

    Args:
        queue_s: Seconds that every task waits before it runs.
    """

    def __init__(self, *, queue_s: float) -> None:
        """Start empty; the worker starts with the first task and ends when there is none left."""
        self._queue_s = queue_s
        self._tasks: dict[str, Task] = {}
        self._tokens: dict[str, tuple[str, str]] = {}
        self._objects: dict[tuple[str, str], bytes] = {}
        self._waiting: deque[Task] = deque()
        self._works = False
        self._lock = threading.RLock()

    def create(
        self, work: Work, request: Mapping[str, Any], *, region: str, fault: Fault | None
    ) -> str:
        """The ARN of the task that a create asks for, new or known by its token.

        Raises:
            Refused: The token was used with another task, or there are too many tasks.
        """
        content = {key: request[key] for key in sorted(request) if key != "clientToken"}
        content_digest = hashlib.sha256(repr(content).encode()).hexdigest()
        token = str(request["clientToken"])
        with self._lock:
            if token in self._tokens:
                arn, before = self._tokens[token]
                if before != content_digest:
                    raise Refused("the client token was used with other parameters")
                return arn
            if len(self._tasks) >= TASKS_MAX:
                raise Refused(f"the emulator keeps at most {TASKS_MAX} tasks")
            task = _task(work, request, region=region, fault=fault)
            self._tokens[token] = (task.arn, content_digest)
            if fault is None or fault.do is not Action.LOSE_JOB:
                self._tasks[task.arn] = task
                self._queue(task)
        return task.arn

    def task(self, arn: str) -> Task | None:
        """The task, None if it is not known."""
        with self._lock:
            return self._tasks.get(arn)

    def tasks(self) -> list[Task]:
        """All tasks, newest first."""
        with self._lock:
            return list(reversed(self._tasks.values()))

    def position(self, task: Task) -> int:
        """Place of a task in the queue, from 1; 0 if it waits no more."""
        with self._lock:
            return self._waiting.index(task) + 1 if task in self._waiting else 0

    def waiting(self, device_arn: str) -> int:
        """How many tasks wait for a device."""
        with self._lock:
            return sum(task.work.device.arn == device_arn for task in self._waiting)

    def cancel(self, task: Task) -> bool:
        """End a task; False if it has ended already."""
        with self._lock:
            if task.status in FINAL:
                return False
            task.cancelled.set()
            self._end(task, "CANCELLED")
            return True

    def result(self, bucket: str, key: str) -> bytes | None:
        """An object of a bucket, None if it does not exist."""
        with self._lock:
            return self._objects.get((bucket, key))

    def _queue(self, task: Task) -> None:
        """Put a task behind the others; call with the lock held."""
        task.status = "QUEUED"
        self._waiting.append(task)
        if not self._works:
            self._works = True
            threading.Thread(target=self._work, name="braket-emulator", daemon=True).start()

    def _work(self) -> None:
        """Run what waits, until nothing does."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._works = False
                    return
                task = self._waiting[0]
            if self._queue_s:
                task.cancelled.wait(self._queue_s)
            with self._lock:
                self._waiting.popleft()
                if task.status in FINAL:
                    continue
                task.status = "RUNNING"
            self._run(task)

    def _run(self, task: Task) -> None:
        """Run one task to its end, or to the end that the fault script wants."""
        try:
            result = braket_execution.run(task.work, task_arn=task.arn)
        except Refused as error:
            self._fail(task, str(error), partial=None)
            return
        fate = None if task.fault is None else task.fault.do
        if fate is Action.CANCEL_JOB:
            with self._lock:
                self._end(task, "CANCELLED")
        elif fate is Action.FAIL_JOB and task.fault is not None:
            # a program set that fails leaves what it has made so far
            self._fail(task, task.fault.reason, partial=result if task.work.is_set else None)
        else:
            with self._lock:
                if task.status not in FINAL:
                    self._objects[task.bucket, f"{task.directory}/{_RESULTS}"] = result
                    self._end(task, "COMPLETED")

    def _fail(self, task: Task, reason: str, *, partial: bytes | None) -> None:
        with self._lock:
            if task.status not in FINAL:
                task.reason = reason
                if partial is not None:
                    self._objects[task.bucket, f"{task.directory}/{_RESULTS}"] = partial
                self._end(task, "FAILED")

    @staticmethod
    def _end(task: Task, status: str) -> None:
        """Give a task its last status; call with the lock held."""
        task.status = status
        task.ended = now()


def now() -> str:
    """The time as the service writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _task(work: Work, request: Mapping[str, Any], *, region: str, fault: Fault | None) -> Task:
    task_id = str(uuid.uuid4())
    return Task(
        arn=f"arn:aws:braket:{region}:{ACCOUNT}:quantum-task/{task_id}",
        work=work,
        shots=int(request["shots"]),
        bucket=str(request["outputS3Bucket"]),
        directory=f"{request['outputS3KeyPrefix']}/{task_id}",
        tags=dict(request.get("tags") or {}),
        associations=list(request.get("associations") or []),
        parameters=str(request.get("deviceParameters") or "{}"),
        fault=fault,
        created=now(),
    )

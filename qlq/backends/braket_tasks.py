"""The quantum tasks of one job of ours: how they are made, found again, and read.

    job id = arn:aws:braket:REGION:ACCOUNT:quantum-task/TASK[,TASK...]

Every task carries the plan's tags, the plan's digest and its own place in the job, so that another
process finds it; its client token is made from them (`braket_session`), so that a create that comes
twice makes one task.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qlq.backends import answers, braket_errors, braket_layout, braket_session, dialects, patience
from qlq.backends.braket_layout import Part, Ranges
from qlq.backends.braket_session import PLAN_TAG, QUBITS_TAG, RANGES_TAG, TASK_TAG, Account
from qlq.backends.port import Doing, Status, TransientError
from qlq.circuit import Plan, Program, statements
from qlq.errors import BackendError, JobFailed

if TYPE_CHECKING:
    from braket.aws import AwsQuantumTask

DOCUMENTS_MAX = 4096
"""Documents of ended tasks that are kept; the oldest go first."""

_JOB_ID = re.compile(
    r"(arn:aws:braket:[a-z0-9-]+:\d{12}:quantum-task/)([0-9a-f-]{36}(?:,[0-9a-f-]{36})*)"
)
_CANCELLING = "CANCELLING"
_STATUS = {
    "CREATED": Status.QUEUED,
    "QUEUED": Status.QUEUED,
    "RUNNING": Status.RUNNING,
    _CANCELLING: Status.RUNNING,
    "COMPLETED": Status.DONE,
    "FAILED": Status.FAILED,
    "CANCELLED": Status.CANCELLED,
}


class Tasks:
    """The tasks of one device through one account.

    Args:
        account: The account that reaches the device.
        name: URI of the backend, for messages.
    """

    def __init__(self, account: Account, *, name: str) -> None:
        """Know no task yet."""
        self._account, self._name = account, name
        self._arn = str(account.device.arn)
        self._ended: dict[str, Mapping[str, Any]] = {}

    def create(
        self,
        plan: Plan,
        part: Part,
        *,
        qubits: tuple[int, ...],
        tags: dict[str, str],
        destination: tuple[str | None, str],
        reservation: str | None,
    ) -> str:
        """The ARN of a new task, or of the one that the same create has made before.

        Args:
            plan: What it runs.
            part: Which rows of it, with how many shots.
            qubits: Physical qubits; empty where the device chooses.
            tags: All tags of the task.
            destination: Bucket (None for the client's default) and folder of the result.
            reservation: ARN of a reservation, None for the public queue.
        """
        more: dict[str, Any] = {}
        if qubits and not part.is_set:  # the client drops the flag for OpenQASM text
            more["device_parameters"] = _unwired(self._arn, len(qubits))
        with braket_errors.translated(f"bucket for {self._name}", doing=Doing.READ):
            bucket = destination[0] or self._account.session.default_bucket()
        specification = _specification(plan, part, qubits)
        what, doing = f"submit to {self._name}", Doing.SUBMIT
        with answers.decoded(what, doing=doing), braket_errors.translated(what, doing=doing):
            task = self._account.device.run(
                specification,
                s3_destination_folder=(bucket, destination[1]),
                shots=part.executions,
                disable_qubit_rewiring=bool(qubits),
                reservation_arn=reservation,
                tags=tags,
                **more,
            )
        return str(task.id)

    def documents(self, job_id: str) -> list[Mapping[str, Any]]:
        """The service's documents of a job's tasks; those that have ended are asked for once.

        Raises:
            JobFailed: The id is none, or the service does not know a task on this device.
        """
        if not _JOB_ID.fullmatch(job_id):
            raise braket_errors.unknown_job(f"job {job_id}", job_id)
        return [self._document(job_id, arn) for arn in arns_of(job_id)]

    def result(self, job_id: str, arn: str) -> Any:
        """The client's result of a task that is COMPLETED; fetches, and does not wait."""

        def read() -> Any:
            with self._asking(job_id):
                return self._task(arn).result()

        return patience.insist(read)

    def cancel(self, arn: str) -> bool:
        """End one task; False, and it stays as it is, if it has ended already."""
        from botocore.exceptions import ClientError

        def end() -> bool:
            with braket_errors.translated(f"cancel of {arn}", doing=Doing.READ):
                try:
                    self._task(arn).cancel()
                except ClientError as error:
                    if error.response["Error"]["Code"] != "ConflictException":
                        raise
                    return False
            return True

        return patience.insist(end)

    def end(self, task: Mapping[str, Any]) -> Status:
        """Cancel a task unless it has ended; CANCELLED, or how it had ended before."""
        arn = str(task["quantumTaskArn"])
        state = state_of(task)
        if state.is_final:
            return state
        if str(task["status"]) == _CANCELLING or self.cancel(arn):
            return Status.CANCELLED
        state = state_of(self._document(arn, arn))  # it ended, or is being cancelled, meanwhile
        return state if state.is_final else Status.CANCELLED

    def give_up(self, arns: Sequence[str]) -> list[str]:
        """Cancel tasks of a job that is lost anyway; those that could not be cancelled."""
        left = []
        for arn in arns:
            try:
                self.cancel(arn)
            except (BackendError, TransientError):
                left.append(arn)
        return left

    def _document(self, job_id: str, arn: str) -> Mapping[str, Any]:
        kept = self._ended.get(arn)
        if kept is not None:
            return kept

        def read() -> dict[str, Any]:
            with self._asking(job_id):
                answer: dict[str, Any] = self._task(arn).metadata()
            return answer

        document = patience.insist(read)
        if document["deviceArn"] != self._arn:
            raise braket_errors.unknown_job(f"job {job_id}", job_id)
        if state_of(document).is_final:
            self._ended[arn] = document
            for oldest in list(self._ended)[:-DOCUMENTS_MAX]:
                self._ended.pop(oldest, None)
        return document

    def _task(self, arn: str) -> AwsQuantumTask:
        from braket.aws import AwsQuantumTask

        return AwsQuantumTask(arn, aws_session=self._account.session, quiet=True)

    @contextmanager
    def _asking(self, job_id: str) -> Iterator[None]:
        """Translates errors of the client's calls about one job; our own code stays outside."""
        what, doing = f"job {job_id} of {self._name}", Doing.READ
        with (
            answers.decoded(what, doing=doing),
            braket_errors.translated(what, doing=doing, job_id=job_id),
        ):
            yield


def job_id_of(arns: Sequence[str]) -> str:
    """The id of the job that these tasks are, in their order."""
    head = arns[0].rpartition("/")[0] + "/"
    return head + ",".join(arn.removeprefix(head) for arn in arns)


def arns_of(job: str) -> list[str]:
    """The tasks of a job, in their order."""
    match = _JOB_ID.fullmatch(job)
    return [match[1] + task for task in match[2].split(",")] if match else []


def state_of(document: Mapping[str, Any]) -> Status:
    """Where a task stands; a word that is not known yet counts as running."""
    return _STATUS.get(str(document["status"]), Status.RUNNING)


def tags_for(
    plan: Plan,
    job_tags: tuple[str, ...],
    *,
    place: str,
    qubits: tuple[int, ...],
    ranges: Ranges,
) -> dict[str, str]:
    """All tags of one task: the plan's own, its digest, its place in the job, qubits, ranges."""
    ours = {PLAN_TAG: plan.digest, TASK_TAG: place, RANGES_TAG: ranges.to_text()}
    if qubits:
        ours[QUBITS_TAG] = ".".join(map(str, qubits))
    return braket_session.tags_of(job_tags, ours)


def digest_of(document: Mapping[str, Any]) -> str:
    """Digest of the plan that a task runs; empty for one that is not ours."""
    return str((document.get("tags") or {}).get(PLAN_TAG, ""))


def qubits_of(document: Mapping[str, Any]) -> tuple[int, ...]:
    """The physical qubits of a task; empty where the device chose them."""
    words = str((document.get("tags") or {}).get(QUBITS_TAG, "")).split(".")
    return tuple(map(int, words)) if all(word.isdecimal() for word in words) else ()


def parts_of(document: Mapping[str, Any], plan: Plan, *, device: str) -> tuple[Part, ...]:
    """How the job of this task was cut, by the ranges that the device had then.

    Raises:
        ValueError: The task does not say.
    """
    ranges = Ranges.from_text(str((document.get("tags") or {}).get(RANGES_TAG, "")))
    return braket_layout.split(plan.bindings, shots=plan.shots, ranges=ranges, device=device)


def places_of(documents: Sequence[Mapping[str, Any]], digest: str) -> dict[str, str]:
    """ARN by place of the tasks that run a plan; of several at one place the first one."""
    places: dict[str, str] = {}
    for document in documents:
        place = str((document.get("tags") or {}).get(TASK_TAG, ""))
        if place and digest_of(document) == digest:
            places.setdefault(place, str(document["quantumTaskArn"]))
    return places


def is_whole(places: Mapping[str, str]) -> bool:
    """Whether these places are all of a job."""
    counts = {place.partition("/")[2] for place in places}
    return counts == {str(len(places))}


def in_order(places: Mapping[str, str]) -> list[str]:
    """The ARNs of a whole job in the order of their places."""
    return [places[f"{index + 1}/{len(places)}"] for index in range(len(places))]


def bits_of(
    result: Any, plan: Plan, part: Part, *, qubits: tuple[int, ...], job: str
) -> NDArray[np.uint8]:
    """The bits of one task.

    Args:
        result: The client's result of a program or a program set.
        plan: What ran.
        part: Which rows of it.
        qubits: Physical qubits, empty where the device chose them.
        job: The job's id, for messages.

    Returns:
        uint8 (rows of the part, shots, bits), column k is `c[k]`.

    Raises:
        JobFailed: The result is partial, of another shape or order, or its bits were made up from
            probabilities by the client.
    """
    if result is None:
        raise _refused(job, "is complete and has no result")
    if not part.is_set:
        _require_measured(result.measurements_copied_from_device, job)
        bits = _ordered(result, plan.program, part.executions, qubits=qubits, job=job)
        return bits.reshape(len(part.rows), part.shots, plan.program.n_bits)
    circuits = [one for program in result.entries for one in program.entries]
    if len(circuits) != len(part.rows):
        raise _refused(job, f"came with {len(circuits)} circuits, not {len(part.rows)}")
    rows = []
    for row, one in zip(part.rows, circuits, strict=True):
        _require_measured(getattr(one, "measurements_from_device", None), job)
        if not _fits(one.inputs, plan, row):
            raise _refused(job, f"came with other parameters than those of row {row}")
        rows.append(_ordered(one, plan.program, part.shots, qubits=qubits, job=job))
    return np.stack(rows)


def _require_measured(said: object, job: str) -> None:
    """Refuse bits that the client made up, and a circuit of a program set that has failed."""
    if said is not True:
        raise _refused(job, "came with bits made up from probabilities, or with none")


def _fits(inputs: Mapping[str, float] | None, plan: Plan, row: int) -> bool:
    """Whether a circuit of a program set ran with the parameters of a row."""
    found = [(inputs or {}).get(name, np.nan) for name in plan.program.params]
    return bool(np.allclose(found, plan.bindings[row], rtol=0.0, atol=1e-9))


def _ordered(
    one: Any, program: Program, shots: int, *, qubits: tuple[int, ...], job: str
) -> NDArray[np.uint8]:
    """The bits of one circuit; columns are put in order by the qubit that each names."""
    bits = np.asarray(one.measurements)
    if bits.shape != (shots, program.n_bits) or not np.isin(bits, (0, 1)).all():
        raise _refused(job, f"came with bits of shape {bits.shape}, not {(shots, program.n_bits)}")
    places = qubits or tuple(range(program.n_qubits))
    measured = {s.bit: places[s.qubits[0]] for s in statements(program) if s.bit is not None}
    expected = [measured[bit] for bit in range(program.n_bits)]
    named = [int(qubit) for qubit in one.measured_qubits]
    if sorted(named) != sorted(expected):
        raise _refused(job, f"measured qubits {named}, not {expected}")
    if len(set(expected)) == len(expected):
        bits = bits[:, [named.index(qubit) for qubit in expected]]
    return np.ascontiguousarray(bits, dtype=np.uint8)


def _refused(job: str, what: str) -> JobFailed:
    return JobFailed(f"job {job} {what}: do not use it", job_id=job, reason=what)


def _specification(plan: Plan, part: Part, qubits: tuple[int, ...]) -> Any:
    """One program, or a program set of the same program with each row's parameters."""
    from braket.ir.openqasm import Program as BraketProgram
    from braket.program_sets import ProgramSet

    program = plan.program
    source = dialects.for_braket_on(program, qubits) if qubits else dialects.for_braket(program)
    columns = {
        name: [float(plan.bindings[row, column]) for row in part.rows]
        for column, name in enumerate(program.params)
    }
    if not part.is_set:
        inputs = {name: values[0] for name, values in columns.items()}
        return BraketProgram(source=source, inputs=inputs)
    if columns:
        programs = [BraketProgram(source=source, inputs=columns)]
    else:
        programs = [BraketProgram(source=source)] * len(part.rows)
    return ProgramSet(programs, shots_per_executable=part.shots)


def _unwired(arn: str, n_qubits: int) -> Any:
    """Device parameters that forbid another choice of qubits."""
    from braket.device_schema import GateModelParameters
    from braket.device_schema.ionq import IonqDeviceParameters
    from braket.device_schema.iqm import IqmDeviceParameters
    from braket.device_schema.rigetti import RigettiDeviceParameters
    from braket.device_schema.simulators import GateModelSimulatorDeviceParameters

    kinds = {
        "ionq": IonqDeviceParameters,
        "iqm": IqmDeviceParameters,
        "rigetti": RigettiDeviceParameters,
    }
    kind = next(
        (kinds[word] for word in kinds if f"/{word}/" in arn), GateModelSimulatorDeviceParameters
    )
    common = GateModelParameters(qubitCount=n_qubits, disableQubitRewiring=True)
    return kind(paradigmParameters=common)

"""Amazon Braket's devices: `braket:<arn>`, through the SDK's AwsDevice.

A plan is one program set where the device takes those, so that the task's fee is paid once, and a
batch of tasks otherwise. A batch is one job of ours: its id names all of its tasks, the failure of
one fails the job and cancels the others.

Qubits are chosen by the calibration of the day where the device publishes one, and named in
the program, without rewiring.

Options of the URI: `qubits=4,9`, `bucket=NAME`, `prefix=FOLDER`, `reservation=ARN`. Credentials
stay with the client. Nothing here waits for a job; callers run every method under
`watchdog.within`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from typing import Any

from qlq.backends import (
    braket_calibration,
    braket_errors,
    braket_layout,
    braket_session,
    braket_tasks,
    dialects,
    noise,
    patience,
    prices,
    registry,
)
from qlq.backends.braket_layout import TASKS_MAX, Part
from qlq.backends.braket_session import Account
from qlq.backends.port import (
    Address,
    AmbiguousSubmit,
    Cost,
    DeviceInfo,
    Handle,
    Limits,
    Status,
    TransientError,
)
from qlq.circuit import Plan
from qlq.errors import BackendUnavailable, CircuitRejected, ConfigError, JobFailed, QLQError
from qlq.faults import JobFault
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.shots import Shots

PREFIX = "qlq"
"""Folder of the results in the bucket, where the URI names none."""

FOREIGN_SEED_BITS = 32
"""Entropy granted to shots of a simulator: its seed is not known, so the smallest usual one."""

PROVIDER = "amazon-braket"
ROWS_MAX = 10_000
"""Rows of one job; what they become is bounded by the number of tasks."""
_POLL_S = 5.0
_ARN = re.compile(r"arn:aws:braket:[a-z0-9-]*::device/(qpu|quantum-simulator)/[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the options of a URI ask for.

    Attributes:
        qubits: Physical qubits for every plan; None for the best ones of each.
        bucket: Where results go; None for the client's default.
        prefix: Folder of the results in the bucket.
        reservation: ARN of a reservation; None for the public queue.
    """

    qubits: tuple[int, ...] | None = None
    bucket: str | None = None
    prefix: str = PREFIX
    reservation: str | None = None

    def uri(self, arn: str) -> str:
        """The canonical URI of a device with these options."""
        asked = {
            "qubits": None if self.qubits is None else ",".join(map(str, self.qubits)),
            "bucket": self.bucket,
            "prefix": None if self.prefix == PREFIX else self.prefix,
            "reservation": self.reservation,
        }
        parts = "&".join(f"{key}={value}" for key, value in asked.items() if value is not None)
        return f"braket:{arn}" + (f"?{parts}" if parts else "")


class BraketBackend:
    """One device of one account; opened through the registry.

    Args:
        account: The account that reaches the device.
        choices: Options of the URI.

    Raises:
        BackendUnavailable: The device's capabilities cannot be used.
        ConfigError: A chosen qubit is faulty, not on the chip, or cannot be chosen there.
    """

    def __init__(self, account: Account, choices: Choices) -> None:
        """Read the capabilities; nothing is submitted."""
        self._account, self._choices = account, choices
        self._arn = str(account.device.arn)
        self._device_name = str(account.device.name)
        self._name = choices.uri(self._arn)
        self._can = braket_calibration.read(account.document, device=self._device_name)
        self._check_qubits(choices.qubits or ())
        ranges = self._can.ranges
        each = ranges.shots_max * ranges.executables_max
        total = min(each, ranges.total_max) if ranges.takes_sets else ranges.shots_max
        self._limits = Limits(
            shots_max=TASKS_MAX * total,
            executions_max=TASKS_MAX * total,
            rows_max=ROWS_MAX,
            qubits_max=self._usable,
            poll_interval_s=_POLL_S,
        )
        self._tasks = braket_tasks.Tasks(account, name=self._name)

    @property
    def name(self) -> str:
        """The URI in canonical form."""
        return self._name

    @property
    def limits(self) -> Limits:
        """What one job may ask for."""
        return self._limits

    def describe(self) -> DeviceInfo:
        """The device, its calibration, its queue, the qubits it would choose, spending limits."""
        device = self._account.device
        normal = braket_session.refreshed(device, self._arn)
        limit = braket_session.spending_limit(self._account.session, self._arn)
        reasons = [] if device.status == "ONLINE" else [f"the device is {device.status.lower()}"]
        is_spent = limit is not None and limit.left <= 0
        return replace(
            self._described(),
            kind=self._kind,
            available=not reasons and not is_spent,
            reason="; ".join([*reasons, *([str(limit)] if limit is not None else [])]),
            queue=_queue_depth(normal),
        )

    def estimate(self, plan: Plan) -> Cost:
        """Fees and shots of the plan by the price list; amount None without a price.

        Braket asks for shots, not for time, so the seconds are 0; its simulators ask for time that
        nobody knows before. A spending limit that the service keeps is named in the source.
        """
        parts, _ = self._checked(plan)
        cost = self._cost(tasks=len(parts), shots=sum(part.executions for part in parts))
        limit = braket_session.spending_limit(self._account.session, self._arn)
        return cost if limit is None else replace(cost, source=f"{cost.source}; {limit}")

    def submit(self, plan: Plan) -> Handle:
        """Start the plan's tasks.

        Raises:
            CircuitRejected: The plan is beyond the device, has a seed, or does not fit.
            BackendUnavailable: The account may not, or the predicted error rate allows no key.
            TransientError: Try again: tasks that exist already are not made twice.
            AmbiguousSubmit: A task may exist; look for its tag first.
        """
        parts, qubits = self._checked(plan)
        braket_calibration.require_low_qber(self._can, plan.program, qubits)
        self._require_allowance(plan, parts)
        tags = plan.tags or (str(uuid.uuid4()),)
        places: dict[str, str] = {}
        if plan.tags and len(parts) > 1:  # an earlier submit may have been interrupted half way
            made = braket_session.tasks_with(self._account.session, self._arn, tags[0])
            places = braket_tasks.places_of(made, plan.digest)
            qubits = next((braket_tasks.qubits_of(one) for one in made), qubits)
        arns: list[str] = []
        try:
            for index, part in enumerate(parts):
                place = f"{index + 1}/{len(parts)}"
                create = partial(self._create, plan, part, tags, place=place, qubits=qubits)
                if earlier := places.get(place):
                    arns.append(earlier)
                else:  # the first one is the driver's to repeat, by its clock
                    arns.append(patience.insist(create) if arns else create())
        except (BackendUnavailable, CircuitRejected, TransientError) as error:
            self._break_off(plan, error, {*arns, *places.values()})
            raise
        return Handle(self._name, braket_tasks.job_id_of(arns), plan.digest)

    def status(self, handle: Handle) -> Status:
        """Where the job stands; the failure of one task cancels the others."""
        states = [braket_tasks.state_of(one) for one in self._documents(handle)]
        for final in (Status.FAILED, Status.CANCELLED):
            if final in states:
                if not all(state.is_final for state in states):
                    self._tasks.give_up(braket_tasks.arns_of(handle.job_id))
                return final
        if all(state is Status.DONE for state in states):
            return Status.DONE
        return Status.QUEUED if set(states) == {Status.QUEUED} else Status.RUNNING

    def fetch(self, handle: Handle, plan: Plan) -> Shots:
        """The shots of a job that is DONE; raises JobFailed in every other case.

        Partial results of a failed program set are left where they are.
        """
        if plan.digest != handle.plan_digest:
            raise ValueError(f"plan {plan.digest} is not the one of job {handle.job_id}")
        documents = self._documents(handle)
        ran = {braket_tasks.digest_of(one) or plan.digest for one in documents}
        if ran != {plan.digest}:
            raise ValueError(f"job {handle.job_id} ran plan {', '.join(ran)}, not {plan.digest}")
        if any(braket_tasks.state_of(one) is not Status.DONE for one in documents):
            raise self._without_shots(handle, documents)
        parts = self._parts_of(handle, plan, documents)
        bits = []
        for document, part in zip(documents, parts, strict=True):
            result = self._tasks.result(handle.job_id, str(document["quantumTaskArn"]))
            places = braket_tasks.qubits_of(document)
            bits.append(braket_tasks.bits_of(result, plan, part, qubits=places, job=handle.job_id))
        rows = plan.bindings.shape[0]
        joined = braket_layout.join(parts, bits, rows=rows, shots=plan.shots)
        qubits = braket_tasks.qubits_of(documents[0])
        return Shots(joined, self._provenance(handle, plan, qubits))

    def cancel(self, handle: Handle) -> None:
        """End the job; tasks that have ended already stay as they are."""
        self._documents(handle)
        for arn in braket_tasks.arns_of(handle.job_id):
            self._tasks.cancel(arn)

    def find(self, tag: str) -> list[Handle]:
        """Jobs of this device whose plan carried the tag, newest first.

        A job of several tasks counts only when all of them exist: submitting it again makes those
        that are missing.
        """
        tasks = braket_session.tasks_with(self._account.session, self._arn, tag)
        digests = dict.fromkeys(braket_tasks.digest_of(task) for task in reversed(tasks))
        jobs = [(digest, braket_tasks.places_of(tasks, digest)) for digest in digests if digest]
        return [
            Handle(self._name, braket_tasks.job_id_of(braket_tasks.in_order(places)), digest)
            for digest, places in jobs
            if braket_tasks.is_whole(places)
        ]

    def cancel_tagged(self, tag: str) -> Mapping[str, Status]:
        """End every task whose plan carried the tag, of a job that is not whole as well."""
        tasks = braket_session.tasks_with(self._account.session, self._arn, tag)
        return {str(task["quantumTaskArn"]): self._tasks.end(task) for task in tasks}

    def spent(self, handle: Handle) -> Cost:
        """What the tasks that have run cost by the price list; the bill alone is binding.

        A task that failed or was cancelled counts with the shots that the service reports as made,
        and is free without any.
        """
        shots = [
            int(one["shots"])
            if braket_tasks.state_of(one) is Status.DONE
            else int(one.get("numSuccessfulShots") or 0)
            for one in self._documents(handle)
        ]
        return self._cost(tasks=sum(count > 0 for count in shots), shots=sum(shots))

    def close(self) -> None:
        """Close the connections; jobs go on."""
        self._account.close()

    @property
    def _is_qpu(self) -> bool:
        """Whether shots come from hardware: Amazon's own endpoints, and a device of that type."""
        return self._account.is_vendors and str(self._account.device.type.value) == "QPU"

    @property
    def _kind(self) -> Kind:
        if self._is_qpu:
            return Kind.QPU
        return Kind.IDEAL if self._can.calibration is None else Kind.NOISY

    @property
    def _usable(self) -> int:
        calibration = self._can.calibration
        return self._can.size if calibration is None else len(calibration.qubits)

    def _described(self) -> DeviceInfo:
        """What the capabilities say, without asking anyone."""
        if self._can.calibration is None:
            return DeviceInfo(self._device_name, PROVIDER, self._kind, self._can.size)
        qubits = self._choices.qubits
        info = noise.device_info(self._can.calibration, qubits, provider=PROVIDER)
        if self._can.has_choice or qubits is not None:
            return info
        return replace(info, qubits_bb84=(), qubits_e91=())

    def _check_qubits(self, qubits: Sequence[int]) -> None:
        """Refuse qubits of the URI that cannot be chosen."""
        if not qubits:
            return
        calibration = self._can.calibration
        if calibration is None or not self._can.takes_places:
            raise ConfigError(f"{self._device_name} chooses its qubits itself: leave ?qubits= out")
        for qubit in qubits:
            calibration.check_qubit(qubit)

    def _parts(self, plan: Plan) -> tuple[Part, ...]:
        return braket_layout.split(
            plan.bindings, shots=plan.shots, ranges=self._can.ranges, device=self._device_name
        )

    def _checked(self, plan: Plan) -> tuple[tuple[Part, ...], tuple[int, ...]]:
        """Tasks and physical qubits of a plan that the device can run; no qubits: its choice."""
        if plan.seed is not None:
            raise CircuitRejected(f"{self._name} takes no seed: leave it out")
        if plan.program.n_qubits > self._usable:
            raise CircuitRejected(
                f"{self._device_name} has {self._usable} usable qubits, "
                f"{plan.program.name} needs {plan.program.n_qubits}"
            )
        used = dialects.braket_operations(plan.program)
        if self._can.operations and (unknown := sorted(used - self._can.operations)):
            raise CircuitRejected(
                f"{self._device_name} has no operation {unknown[0]!r}, which {plan.program.name} "
                "uses: take another device"
            )
        return self._parts(plan), self._qubits(plan)

    def _qubits(self, plan: Plan) -> tuple[int, ...]:
        """The physical qubits of a plan; empty where the device chooses."""
        calibration, asked = self._can.calibration, plan.qubits or self._choices.qubits
        if asked is not None and (calibration is None or not self._can.takes_places):
            raise CircuitRejected(f"{self._device_name} chooses its qubits itself")
        if calibration is None or not self._can.takes_places:
            return ()
        if asked is None and not self._can.has_choice:
            return ()
        return noise.qubits_of(calibration, plan, self._choices.qubits)

    def _require_allowance(self, plan: Plan, parts: Sequence[Part]) -> None:
        """Refuse what the account's own spending limit does not cover, before anything is sent."""
        limit = braket_session.spending_limit(self._account.session, self._arn)
        cost = self._cost(tasks=len(parts), shots=sum(part.executions for part in parts))
        if limit is not None and cost.amount is not None and cost.amount > limit.left:
            raise BackendUnavailable(
                f"{plan.program.name} on {self._device_name} would cost {cost.amount} USD; "
                f"{limit}: raise the limit or ask for fewer pulses"
            )

    def _create(
        self,
        plan: Plan,
        part: Part,
        job_tags: tuple[str, ...],
        *,
        place: str,
        qubits: tuple[int, ...],
    ) -> str:
        """The ARN of one task of the plan's job."""
        return self._tasks.create(
            plan,
            part,
            qubits=qubits,
            tags=braket_tasks.tags_for(
                plan, job_tags, place=place, qubits=qubits, ranges=self._can.ranges
            ),
            destination=(self._choices.bucket, self._choices.prefix),
            reservation=self._choices.reservation,
        )

    def _break_off(self, plan: Plan, error: QLQError, made: Collection[str]) -> None:
        """Leave a submit that broke off when these tasks existed; return if nobody needs to know.

        Tasks that nobody comes back to must not be paid; with a tag the next try takes them.

        Raises:
            AmbiguousSubmit: Some exist, and stay.
        """
        if isinstance(error, TransientError) and plan.tags:
            if made and not isinstance(error, AmbiguousSubmit):
                raise AmbiguousSubmit(f"{error}; {len(made)} tasks of the job exist") from error
            return
        if left := self._tasks.give_up(sorted(made)):
            names = ", ".join(left)
            raise AmbiguousSubmit(f"{error}; these tasks are not cancelled: {names}") from error

    def _documents(self, handle: Handle) -> list[Mapping[str, Any]]:
        """The service's documents of a job's tasks; raises JobFailed for an unknown job."""
        if handle.backend != self._name:
            raise braket_errors.unknown_job(f"job {handle.job_id}", handle.job_id)
        return self._tasks.documents(handle.job_id)

    def _parts_of(
        self, handle: Handle, plan: Plan, documents: Sequence[Mapping[str, Any]]
    ) -> tuple[Part, ...]:
        """Which rows each task of a job ran; raises JobFailed if they are not the plan's."""
        try:
            parts = braket_tasks.parts_of(documents[0], plan, device=self._device_name)
        except (ValueError, CircuitRejected) as error:
            raise self._not_the_plan(handle, str(error)) from error
        found = [int(one["shots"]) for one in documents]
        if found != [part.executions for part in parts]:
            raise self._not_the_plan(handle, f"its tasks have {found} shots")
        return parts

    def _not_the_plan(self, handle: Handle, reason: str) -> JobFailed:
        return JobFailed(
            f"job {handle.job_id} of {self._name} is not the whole plan: {reason}",
            job_id=handle.job_id,
            reason=reason,
        )

    def _cost(self, *, tasks: int, shots: int) -> Cost:
        price = prices.braket_qpu_price(self._arn)
        if price is not None:
            amount = price.amount(tasks=tasks, shots=shots)
            return Cost(0.0, amount, price.currency, price.source, price.date)
        if tasks == 0:
            return Cost(0.0, Decimal(0), prices.CURRENCY, "nothing has run", None)
        by_time = prices.braket_simulator_price(self._arn)
        source = "no price is known" if by_time is None else f"{by_time.source}, by the minute"
        date = None if by_time is None else by_time.date
        return Cost(0.0, None, prices.CURRENCY, source, date)

    def _without_shots(self, handle: Handle, tasks: Sequence[Mapping[str, Any]]) -> JobFailed:
        """Why a job has no shots: what the service says of the first task that went wrong."""
        ended = {Status.FAILED, Status.CANCELLED}
        wrong = [task for task in tasks if braket_tasks.state_of(task) in ended]
        document = (wrong or list(tasks))[0]
        said = document.get("failureReason") or str(document["status"]).lower()
        reason = braket_errors.SECRECY.said(said)
        is_cancelled = braket_tasks.state_of(document) is Status.CANCELLED
        return JobFailed(
            f"job {handle.job_id} of {self._name} has no shots: {reason}",
            job_id=handle.job_id,
            reason=reason,
            fault=JobFault.CANCELLED if is_cancelled else JobFault.FAILED,
        )

    def _provenance(self, handle: Handle, plan: Plan, qubits: tuple[int, ...]) -> Provenance:
        calibration = self._can.calibration
        usable = tuple(q for q in qubits if calibration is not None and q in calibration.qubits)
        return Provenance(
            tier=Tier.QPU if self._is_qpu else Tier.SIMULATOR,
            claim=Claim.SAME_CHIP if self._is_qpu else Claim.SIMULATION,
            backend=self._name,
            provider=PROVIDER,
            device=self._device_name,
            kind=self._kind,
            job_id=handle.job_id,
            program_digest=plan.program.digest,
            sdk={package: version(package) for package in ("amazon-braket-sdk", "boto3")},
            qubits=qubits,
            calibration={} if calibration is None else noise.snapshot(calibration, usable),
            entropy_cap_bits=None if self._is_qpu else FOREIGN_SEED_BITS,
        )


def open_device(address: Address) -> BraketBackend:
    """The backend of `braket:<arn>`, with the options of its URI.

    Raises:
        ConfigError: The ARN, an option or a qubit cannot be used.
        BackendUnavailable: The device cannot be used by this account.
    """
    registry.check_options(address, known=("qubits", "bucket", "prefix", "reservation"))
    if not _ARN.fullmatch(address.rest):
        raise ConfigError(
            f"{address.rest!r} of {address.uri!r} is not the ARN of a device, which reads like "
            "arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
        )
    choices = Choices(
        qubits=registry.qubits_option(address),
        bucket=address.options.get("bucket"),
        prefix=address.options.get("prefix", PREFIX),
        reservation=address.options.get("reservation"),
    )
    return BraketBackend(braket_session.open_account(address.rest), choices)


def _queue_depth(words: list[str]) -> int | None:
    """Tasks that wait, from words such as `12` or `>4000`; None without any."""
    digits = "".join(filter(str.isdecimal, words[0])) if words else ""
    return int(digits) if digits else None

"""Amazon Braket and its bucket as the SDK sees them: devices, quantum tasks, results.

The unmodified `AwsDevice` and `AwsQuantumTask` work against it when the variables of `environment`
are set: they read devices, submit programs and program sets, poll, fetch, search, cancel and resume
from another process. Tasks live in the memory of the server.

Source: the service model of Braket in botocore 1.44, and the requests that amazon-braket-sdk 1.127
makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from qlq.backends.emulator import braket_execution
from qlq.backends.emulator.braket_devices import Device, devices
from qlq.backends.emulator.braket_execution import Refused
from qlq.backends.emulator.braket_tasks import ACCOUNT, Store, Task
from qlq.backends.emulator.faults import Fault
from qlq.backends.emulator.server import Emulator, Request, Response, json

BUCKET = "amazon-braket-emulator"
REGION = "us-east-1"
"""Where simulators are looked for; a device has its own region."""

PAGE_MAX = 100
_CODES = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    409: "ConflictException",
    410: "DeviceRetiredException",
    424: "DeviceOfflineException",
    429: "ThrottlingException",
}
_API = ("/device", "/quantum-task", "/spending-limit", "/tags/")
_SCOPE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/ ,]+/\d{8}/([a-z0-9-]+)/[a-z0-9]+/aws4_request"
)

_OPERATORS: Mapping[str, Callable[[str, list[str]], bool]] = {
    "EQUAL": lambda value, wanted: value in wanted,
    "LT": lambda value, wanted: value < wanted[0],
    "LTE": lambda value, wanted: value <= wanted[0],
    "GT": lambda value, wanted: value > wanted[0],
    "GTE": lambda value, wanted: value >= wanted[0],
    "BETWEEN": lambda value, wanted: wanted[0] <= value <= wanted[1],
    "CONTAINS": lambda value, wanted: wanted[0] in value,
}
"""Operators of the searches' filters; times in ISO form sort as text."""

_Handler = Callable[[Request, str], Response]


@dataclass(frozen=True, slots=True)
class SpendingLimit:
    """A limit on what a device may cost, kept by the service.

    Attributes:
        device_arn: The device.
        limit: Dollars in the period.
        spent: Dollars so far.
        queued: Dollars of tasks that wait.
    """

    device_arn: str
    limit: Decimal
    spent: Decimal = Decimal(0)
    queued: Decimal = Decimal(0)


class BraketEmulator(Emulator):
    """Answers for one account in all regions.

    Args:
        queue_s: Seconds that every task waits before it runs.
        limits: Spending limits of the account.
        statuses: Devices by ARN that are not ONLINE, with what they are.
    """

    def __init__(
        self,
        *,
        queue_s: float = 0.0,
        limits: tuple[SpendingLimit, ...] = (),
        statuses: Mapping[str, str] | None = None,
    ) -> None:
        """Start without tasks."""
        self._devices = devices()
        self._store = Store(queue_s=queue_s)
        self._limits = limits
        self._statuses = dict(statuses or {})
        self._routes: tuple[tuple[str, _Handler], ...] = (
            (r"GET /device/(.+)", self._device),
            (r"POST /devices()", self._search_devices),
            (r"POST /quantum-task()", self._create),
            (r"GET /quantum-task/(.+)", self._task),
            (r"PUT /quantum-task/(.+)/cancel", self._cancel),
            (r"POST /quantum-tasks()", self._search_tasks),
            (r"POST /spending-limits()", self._search_limits),
            (r"GET /tags/(.+)", self._tags),
            (r"GET /(.+)", self._object),
        )

    @property
    def tasks(self) -> list[Task]:
        """All tasks, newest first: each of them would be paid for on the real service."""
        return self._store.tasks()

    def environment(self, url: str) -> dict[str, str]:
        """Variables with which `AwsDevice(arn)` needs no other argument."""
        return {
            "BRAKET_ENDPOINT": url,
            "AWS_ENDPOINT_URL_S3": url,
            "AMZN_BRAKET_OUT_S3_BUCKET": BUCKET,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIAEMULATOREMULATOR",
            "AWS_SECRET_ACCESS_KEY": "emulator",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def refusal(self, fault: Fault) -> Response:
        """The error in Braket's form, or in the bucket's where the fault is on an object."""
        code = _CODES.get(fault.status, "InternalServiceException")
        code = fault.code if isinstance(fault.code, str) else code
        if fault.on.partition(" ")[2].startswith(_API):
            return _error(fault.status, code, fault.message)
        return _object_error(fault.status, code, fault.message)

    def answer(self, request: Request) -> Response:
        """The response of the endpoint that the path names."""
        if _region(request) is None:
            return _error(403, "MissingAuthenticationTokenException", "the request is not signed")
        line = f"{request.method} {request.path}"
        for pattern, handler in self._routes:
            if match := re.fullmatch(pattern, line):
                return handler(request, match[1])
        return _error(404, "UnknownOperationException", f"no operation at {line}")

    def _device(self, request: Request, arn: str) -> Response:
        device = self._reachable(request, arn)
        if device is None:
            return _error(404, _CODES[404], f"device {arn} is not in this region")
        queued = str(self._store.waiting(arn))
        queue = [
            {"queue": "QUANTUM_TASKS_QUEUE", "queueSize": queued, "queuePriority": "Normal"},
            {"queue": "QUANTUM_TASKS_QUEUE", "queueSize": "0", "queuePriority": "Priority"},
            {"queue": "JOBS_QUEUE", "queueSize": "0"},
        ]
        capabilities = msgspec.json.encode(device.capabilities).decode()
        return json(
            {
                **self._device_summary(device),
                "deviceCapabilities": capabilities,
                "deviceQueueInfo": queue,
            }
        )

    def _device_summary(self, device: Device) -> dict[str, str]:
        return {
            "deviceArn": device.arn,
            "deviceName": device.name,
            "providerName": device.provider,
            "deviceType": device.device_type.value,
            "deviceStatus": self._statuses.get(device.arn, "ONLINE"),
        }

    def _search_devices(self, request: Request, _: str) -> Response:
        region = _region(request)
        rows = [
            self._device_summary(device)
            for device in self._devices.values()
            if device.region in {"", region}
        ]
        return _page(request, rows, name="devices")

    def _create(self, request: Request, _: str) -> Response:
        body = _body(request)
        needed = {"clientToken", "deviceArn", "shots", "outputS3Bucket", "outputS3KeyPrefix"}
        if missing := sorted((needed | {"action"}) - body.keys()):
            return _error(400, _CODES[400], f"{missing[0]} is missing")
        device = self._reachable(request, str(body["deviceArn"]))
        if device is None:
            return _error(404, _CODES[404], f"device {body['deviceArn']} is not in this region")
        match self._statuses.get(device.arn):
            case "OFFLINE":
                return _error(424, _CODES[424], f"{device.name} is offline")
            case "RETIRED":
                return _error(410, _CODES[410], f"{device.name} is retired")
        try:
            work = braket_execution.read(device, str(body["action"]), shots=int(body["shots"]))
            region = _region(request) or REGION
            arn = self._store.create(work, body, region=region, fault=request.fault)
        except Refused as error:
            return _error(400, _CODES[400], str(error))
        return json({"quantumTaskArn": arn}, status=201)

    def _task(self, request: Request, arn: str) -> Response:
        task = self._known(request, arn)
        if task is None:
            return _error(404, _CODES[404], f"quantum task {arn} does not exist")
        return json(task.document(position=self._store.position(task)))

    def _cancel(self, request: Request, arn: str) -> Response:
        task = self._known(request, arn)
        if task is None:
            return _error(404, _CODES[404], f"quantum task {arn} does not exist")
        if not self._store.cancel(task):
            return _error(409, _CODES[409], f"quantum task {arn} has ended: {task.status}")
        return json({"quantumTaskArn": arn, "cancellationStatus": "CANCELLING"})

    def _search_tasks(self, request: Request, _: str) -> Response:
        region = _region(request)
        rows = [
            task.summary() for task in self._store.tasks() if f":{region}:{ACCOUNT}:" in task.arn
        ]
        return _page(request, rows, name="quantumTasks")

    def _search_limits(self, request: Request, _: str) -> Response:
        period = {"startAt": "2026-01-01T00:00:00Z", "endAt": "2099-01-01T00:00:00Z"}
        stamp = "2026-11-01T00:00:00Z"
        rows = [
            {
                "spendingLimitArn": f"arn:aws:braket:{REGION}:{ACCOUNT}:spending-limit/{index}",
                "deviceArn": limit.device_arn,
                "timePeriod": period,
                "spendingLimit": str(limit.limit),
                "queuedSpend": str(limit.queued),
                "totalSpend": str(limit.spent),
                "createdAt": stamp,
                "updatedAt": stamp,
            }
            for index, limit in enumerate(self._limits)
        ]
        return _page(request, rows, name="spendingLimits")

    def _tags(self, request: Request, arn: str) -> Response:
        task = self._known(request, arn)
        if task is None:
            return _error(404, _CODES[404], f"{arn} does not exist")
        return json({"tags": dict(task.tags)})

    def _object(self, _: Request, path: str) -> Response:
        bucket, _slash, key = path.partition("/")
        content = self._store.result(bucket, key)
        if content is None:
            return _object_error(404, "NoSuchKey", "The object does not exist")
        return Response(200, content, {"Content-Type": "application/json"})

    def _reachable(self, request: Request, arn: str) -> Device | None:
        """The device, if the request was signed for its region."""
        device = self._devices.get(arn)
        if device is None or device.region not in {"", _region(request)}:
            return None
        return device

    def _known(self, request: Request, arn: str) -> Task | None:
        """The task, if the request was signed for its region."""
        return self._store.task(arn) if f":{_region(request)}:" in arn else None


def _region(request: Request) -> str | None:
    """The region that a request was signed for, None without a signature."""
    match = _SCOPE.match(request.headers.get("authorization", ""))
    return match[1] if match else None


def _body(request: Request) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(request.body or b"{}")
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _page(request: Request, rows: list[dict[str, Any]], *, name: str) -> Response:
    """One page of the rows that pass the request's filters."""
    body = _body(request)
    filters = body.get("filters") or []
    try:
        kept = [row for row in rows if all(_passes(row, one) for one in filters)]
    except KeyError as error:
        return _error(400, _CODES[400], f"no filter {error}")
    start = int(body.get("nextToken") or 0)
    size = min(int(body.get("maxResults") or PAGE_MAX), PAGE_MAX)
    more = {"nextToken": str(start + size)} if len(kept) > start + size else {}
    return json({name: kept[start : start + size], **more})


def _passes(row: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Whether a row passes one filter of a search; raises KeyError for an unknown filter."""
    wanted = [str(item) for item in one["values"]]
    return _OPERATORS[one.get("operator", "EQUAL")](str(row[one["name"]]), wanted)


def _error(status: int, code: str, message: str) -> Response:
    """An error in the form of Braket's API."""
    body = msgspec.json.encode({"message": message})
    return Response(status, body, {"Content-Type": "application/json", "x-amzn-ErrorType": code})


def _object_error(status: int, code: str, message: str) -> Response:
    """An error in the form of the bucket's API."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    )
    return Response(status, body.encode(), {"Content-Type": "application/xml"})

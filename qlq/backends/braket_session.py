"""A Braket device as one account reaches it: the client's session, and the service's own limits.

The client finds credentials, region and endpoints by itself, in its environment or its files; none
of them is kept here. A device is asked in its own region. Calls end: the client gives up on an
answer after a minute, and sends nothing twice by itself.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from qlq.backends import answers, braket_errors, patience
from qlq.backends.port import Doing
from qlq.errors import BackendUnavailable

if TYPE_CHECKING:
    from braket.aws import AwsDevice, AwsSession

CONNECT_S = 10
READ_S = 60
TRIES = 1
"""Tries of a call within the client. With more, only the last answer to a submit would be seen, and
a refused second try would hide that the first one may have made a task. What may be repeated is
repeated by `patience`."""

DEFAULT_REGION = "us-east-1"
"""For simulators, which have no region of their own, where the account names none."""

JOB_TAG = "qlq"
PLAN_TAG = "qlq-plan"
TASK_TAG = "qlq-task"
QUBITS_TAG = "qlq-qubits"
RANGES_TAG = "qlq-ranges"
"""Tags of our tasks: the plan's own, its digest, `place/of` in the job, the physical qubits, and
the device's ranges at the time, which decide how the plan was cut."""

SEARCH_PAGES_MAX = 100
_PAGE = 100
_VENDOR_API = re.compile(r"https://braket(-fips)?\.[a-z0-9-]+\.(amazonaws\.com|api\.aws)")
_VENDOR_BUCKET = re.compile(r"https://s3[a-z0-9.-]*\.amazonaws\.com")
_NOT_FOUND = "' not found"
"""In what the client makes of ResourceNotFoundException: `'arn' not found`."""


@dataclass(frozen=True, slots=True)
class SpendingLimit:
    """A limit that the account has set on a device, kept by the service.

    Attributes:
        limit: Dollars in its period.
        spent: Dollars so far.
        queued: Dollars of tasks that wait.
    """

    limit: Decimal
    spent: Decimal
    queued: Decimal

    @property
    def left(self) -> Decimal:
        """Dollars that may still be spent."""
        return self.limit - self.spent - self.queued

    def __str__(self) -> str:
        """For people."""
        return (
            f"spending limit {self.limit} USD: {self.spent} spent, {self.queued} queued, "
            f"{self.left} left"
        )


@dataclass(frozen=True, slots=True)
class Account:
    """One device through one account.

    Attributes:
        session: The client's session in the device's region.
        device: The client's object of the device.
        is_vendors: Whether both the service and the bucket are Amazon's own endpoints.
        document: The device's capabilities, as the service sent them.
    """

    session: AwsSession = field(repr=False)
    device: AwsDevice
    is_vendors: bool
    document: Mapping[str, Any] = field(repr=False)

    def close(self) -> None:
        """Close the client's connections; it opens new ones when it is used again."""
        self.session.braket_client.close()
        self.session.s3_client.close()


def open_account(arn: str) -> Account:
    """The device with this ARN; credentials come from wherever the client finds them.

    Raises:
        BackendUnavailable: No usable credentials, no access, or no such device.
        TransientError: The service cannot be reached now.
    """
    from braket.aws import AwsDevice, AwsSession

    what = f"device {arn}"
    with answers.decoded(what, doing=Doing.OPEN), braket_errors.translated(what, doing=Doing.OPEN):
        boto_session, config = _boto_session(arn.split(":")[3])
        _require_credentials(boto_session)
        session = AwsSession(boto_session=boto_session, config=config)
        events = session.braket_client.meta.events
        events.register("provide-client-params.braket.CreateQuantumTask", _named)
        events.register("after-call.braket", _require_whole)
        bucket_url = str(session.s3_client.meta.endpoint_url)
        _hide(boto_session)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # capabilities of an unknown schema
                device = AwsDevice(arn, aws_session=session)
        except ValueError as error:
            if _NOT_FOUND not in str(error):
                raise
            raise BackendUnavailable(
                f"device {arn} does not exist, or not for this account: check the ARN"
            ) from error
        except UserWarning as error:
            raise BackendUnavailable(
                f"device {arn} describes itself in a way that this version of "
                "amazon-braket-schemas does not know: update it"
            ) from error
    is_vendors = are_vendors(api=str(session.braket_client.meta.endpoint_url), bucket=bucket_url)
    return Account(session, device, is_vendors, _document(device))


def are_vendors(*, api: str, bucket: str) -> bool:
    """Whether both URLs are Amazon's own, so that what comes from there may be hardware."""
    return bool(_VENDOR_API.fullmatch(api) and _VENDOR_BUCKET.fullmatch(bucket))


def refreshed(device: AwsDevice, arn: str) -> list[str]:
    """Fetch what the device says of itself now; the depths of its normal queue."""
    with _reading(f"device {arn}"):
        device.refresh_metadata()
        depths = device.queue_depth().quantum_tasks.items()
        return [depth for queue, depth in depths if queue.value == "Normal"]


def spending_limit(session: AwsSession, arn: str) -> SpendingLimit | None:
    """The tightest limit that the account has set on a device; None if there is none.

    Clients and services that know no limits have none, and an account that may not see its limits
    is refused by the service itself when they are used up.
    """
    search = getattr(session.braket_client, "search_spending_limits", None)
    if search is None:
        return None
    filters = [{"name": "deviceArn", "operator": "EQUAL", "values": [arn]}]
    try:
        with _reading(f"spending limits of {arn}"):
            answer = search(filters=filters)
    except BackendUnavailable:  # an account need not be allowed to see them
        return None
    try:
        limits = [
            SpendingLimit(
                limit=Decimal(one["spendingLimit"]),
                spent=Decimal(one["totalSpend"]),
                queued=Decimal(one["queuedSpend"]),
            )
            for one in answer.get("spendingLimits", [])
            if one["deviceArn"] == arn
        ]
    except (InvalidOperation, KeyError) as error:
        raise BackendUnavailable(f"the spending limits of {arn} cannot be read") from error
    return min(limits, key=lambda limit: limit.left, default=None)


def tasks_with(session: AwsSession, arn: str, tag: str) -> list[dict[str, Any]]:
    """Summaries of a device's tasks that carry a tag of a plan, oldest first.

    The service's search knows no filter for tags, so all tasks of the device are looked through,
    at most 10,000.
    """
    found: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    filters = [{"name": "deviceArn", "operator": "EQUAL", "values": [arn]}]

    def page() -> dict[str, Any]:
        with _reading(f"tasks of {arn}"):
            answer: dict[str, Any] = session.braket_client.search_quantum_tasks(
                filters=filters, maxResults=_PAGE, **more
            )
        return answer

    for _ in range(SEARCH_PAGES_MAX):
        answer = patience.insist(page)
        found += [task for task in answer["quantumTasks"] if tag in _plan_tags(task)]
        if "nextToken" not in answer:
            break
        more = {"nextToken": answer["nextToken"]}
    return sorted(found, key=lambda task: str(task["createdAt"]))


def tags_of(plan_tags: tuple[str, ...], more: Mapping[str, str]) -> dict[str, str]:
    """The tags of a task: the plan's, each under a name of its own, and ours."""
    own = {f"{JOB_TAG}-{i}" if i else JOB_TAG: tag for i, tag in enumerate(plan_tags)}
    return {**own, **more}


def _plan_tags(task: Mapping[str, Any]) -> list[str]:
    ours = {PLAN_TAG, TASK_TAG, QUBITS_TAG, RANGES_TAG}
    tags = (task.get("tags") or {}).items()
    return [value for name, value in tags if name.startswith(JOB_TAG) and name not in ours]


def _named(params: dict[str, Any], **_: object) -> dict[str, Any]:
    """A create with a client token that names the task: the same one whenever it is sent again.

    Source: the client makes up a random token only where there is none.
    """
    tags = params.get("tags") or {}
    if JOB_TAG not in tags:
        return params
    words = [params["deviceArn"], *(f"{name}={tags[name]}" for name in sorted(tags))]
    token = hashlib.sha256("\n".join(words).encode()).hexdigest()
    return {**params, "clientToken": token}


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Translates errors of the client's calls that read."""
    doing = Doing.READ
    with answers.decoded(what, doing=doing), braket_errors.translated(what, doing=doing):
        yield


def _require_whole(*, parsed: Mapping[str, Any], model: Any, **more: Any) -> None:
    """Refuse an answer without what the service model promises: the client takes any for one.

    Raises:
        TransientError: A member is missing.
        AmbiguousSubmit: It is missing in the answer to a create.
    """
    is_error = more["http_response"].status_code >= HTTPStatus.MULTIPLE_CHOICES
    if is_error or model.output_shape is None:
        return
    missing = sorted(set(model.output_shape.required_members) - parsed.keys())
    if missing:
        doing = Doing.SUBMIT if model.name == "CreateQuantumTask" else Doing.READ
        raise answers.unreadable(model.name, f"without {missing[0]}", doing=doing)


def _boto_session(region: str) -> tuple[Any, Any]:
    """The client's session in a region, with deadlines and no retries for all of its clients."""
    import boto3
    import botocore.session
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )
    core = botocore.session.get_session()
    core.set_default_client_config(config)
    region = region or core.get_config_variable("region") or DEFAULT_REGION
    return boto3.Session(botocore_session=core, region_name=region), config


def _require_credentials(boto_session: Any) -> None:
    from botocore.exceptions import NoCredentialsError

    if boto_session.get_credentials() is None:
        raise NoCredentialsError


def _hide(boto_session: Any) -> None:
    """Keep the credentials out of messages and logs; none is kept anywhere else."""
    frozen = boto_session.get_credentials().get_frozen_credentials()
    braket_errors.SECRECY.keep((frozen.access_key, frozen.secret_key, frozen.token))


def _document(device: AwsDevice) -> Mapping[str, Any]:
    """The device's capabilities as plain values."""
    document: dict[str, Any] = json.loads(device.properties.json())
    return document

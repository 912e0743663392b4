"""What Amazon's client raises, in our words, without credentials.

    throttling, no connection                    TransientError
    5xx, lost connection, cut answer             TransientError; AmbiguousSubmit after a submit
    credentials, access, quota, device           BackendUnavailable
    ValidationException on submit                CircuitRejected
    ResourceNotFoundException of a task          JobFailed

A lost submit is ambiguous although sending it again is safe, since it bears the same client token:
only a look tells whether another backend may be tried. A submit that was throttled or reached
nobody made no task.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qlq.backends.port import AmbiguousSubmit, Doing, TransientError
from qlq.backends.secrecy import Secrecy
from qlq.errors import BackendUnavailable, CircuitRejected, JobFailed, QLQError
from qlq.faults import JobFault

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

SECRECY = Secrecy(
    patterns=(
        re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,124}\b"),
        re.compile(r"(?i:(?<=x-amz-security-token: )|(?<=x-amz-security-token:))[^\s'\",}]+"),
        re.compile(r"(?i:(?<=x-amz-security-token': b')|(?<=x-amz-security-token': '))[^']+"),
        re.compile(r"(?<=://)[^\s/@]+@"),
    ),
    loggers=("botocore", "boto3", "braket", "s3transfer", "urllib3"),
)
"""Hides access keys, session tokens and passwords in URLs."""

_THROTTLED = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "SlowDown", "RequestTimeout"}
)
_INVALID = frozenset({"ValidationException", "InvalidParameterValue"})
_WAYS_OUT = {
    "AccessDeniedException": "the account may not do this, check its policies",
    "AccessDenied": "the account may not read the results, check the bucket's policies",
    "ServiceQuotaExceededException": "a quota of the account is used up, wait or ask for more",
    "DeviceOfflineException": "the device is offline, take another one or wait",
    "DeviceRetiredException": "the device is retired, take another one",
    "ResourceNotFoundException": "it does not exist there, check the ARN",
    "NoSuchKey": "the result is not there, or not any more: look into the bucket",
    "NoSuchBucket": "the bucket does not exist, name one with ?bucket=",
}
_BAD_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_SERVER_ERROR = 500


@contextmanager
def translated(what: str, *, doing: Doing, job_id: str = "") -> Iterator[None]:
    """Run a block of calls of Amazon's client; its errors leave as ours, chained to the original.

    Args:
        what: What was asked and of whom, for messages.
        doing: What an error means.
        job_id: The job that was asked about, empty if none was.

    Raises:
        TransientError, AmbiguousSubmit, BackendUnavailable, CircuitRejected, JobFailed: See the
            module.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _of_answer(error, what, doing, job_id) from error
    except BotoCoreError as error:
        raise _of_client(error, what, doing) from error


def unknown_job(what: str, job_id: str) -> JobFailed:
    """The error for a job that the service does not know."""
    return JobFailed(
        f"{what} is not known to the service: check the account, the region and the id",
        job_id=job_id,
        reason=JobFault.UNKNOWN.value,
        fault=JobFault.UNKNOWN,
    )


def _of_answer(error: ClientError, what: str, doing: Doing, job_id: str) -> QLQError:
    """The error of ours for an answer that is an error."""
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    text = f"{what}: {code}: {SECRECY.said(error.response.get('Error', {}).get('Message', ''))}"
    if code in _THROTTLED:
        return TransientError(text)
    if status >= _SERVER_ERROR:  # after a submit, the task may exist all the same
        return AmbiguousSubmit(text) if doing is Doing.SUBMIT else TransientError(text)
    if doing is Doing.SUBMIT and code in _INVALID:
        return CircuitRejected(text)
    if job_id and code == "ResourceNotFoundException":
        return unknown_job(what, job_id)
    if code in _BAD_CREDENTIALS:
        return BackendUnavailable(f"{text} (renew the AWS credentials, as with aws configure)")
    return BackendUnavailable(f"{text} ({_WAYS_OUT.get(code, 'take another backend')})")


def _of_client(error: Exception, what: str, doing: Doing) -> QLQError:
    """The error of ours where there was no answer."""
    from botocore import exceptions

    text = f"{what}: {SECRECY.said(str(error))}"
    if isinstance(error, exceptions.ParamValidationError):
        return CircuitRejected(text) if doing is Doing.SUBMIT else BackendUnavailable(text)
    lost = exceptions.HTTPClientError | exceptions.IncompleteReadError | exceptions.SSLError
    if isinstance(error, lost):  # TLS may break before the request is sent, and after it
        return AmbiguousSubmit(text) if doing is Doing.SUBMIT else TransientError(text)
    if isinstance(error, exceptions.ConnectionError):  # not reached: nothing was asked
        return TransientError(text)
    return BackendUnavailable(
        f"{text} (no usable AWS settings: set credentials and region, for example with "
        "aws configure, or AWS_PROFILE)"
    )

"""What IBM's client raises, in our words, without credentials.

    429, 5xx, lost connection   TransientError; AmbiguousSubmit if a job may have come of it
    401, 403, account, device   BackendUnavailable
    400, 422 on submit          CircuitRejected
    404 of a job, said by IBM   JobFailed

The client wraps most errors of a submit in one class without a status; the status is then found in
the chain of errors that led to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from qlq.backends.port import AmbiguousSubmit, Doing, TransientError
from qlq.backends.secrecy import Secrecy
from qlq.errors import BackendUnavailable, CircuitRejected, JobFailed, QLQError
from qlq.faults import JobFault

SECRECY = Secrecy(
    patterns=(
        re.compile(r"crn(?::|%3A)[^\s'\"<>,)]+", re.IGNORECASE),
        re.compile(r"(?<=://)[^\s/@]+@"),
        re.compile(r"(?i:(?<=bearer )|(?<=apikey )|(?<=apikey=))[^\s'\"&,]+"),
        re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"),
    ),
    loggers=("qiskit_ibm_runtime", "ibm-cloud-sdk-core", "urllib3", "requests"),
)
"""Hides API keys, access tokens, resource names and passwords in URLs."""

_CHAIN_MAX = 16
_STATUS = re.compile(r"\b([45]\d\d) (?:Client|Server) Error")
_SAID = re.compile(r'"message":\s*"([^"]+)"')
_TRY_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_WRONG = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_SAID_BY_IBM = re.compile(r'"code":\s*"?\d+|Error code: \d+')
"""What IBM's own errors hold, and a page of something between does not."""


@contextmanager
def translated(what: str, *, doing: Doing, job_id: str = "") -> Iterator[None]:
    """Run a block of calls of IBM's client; its errors leave as ours, chained to the original.

    Args:
        what: What was asked and of whom, for messages.
        doing: What an error means.
        job_id: The job whose own document was asked for, empty if something else was.

    Raises:
        TransientError, AmbiguousSubmit, BackendUnavailable, CircuitRejected, JobFailed: See the
            module.
    """
    from ibm_cloud_sdk_core import ApiException
    from qiskit.exceptions import QiskitError
    from requests import RequestException

    try:
        yield
    except (QiskitError, RequestException, ApiException) as error:
        ours = _ours(error, what, doing, job_id)
        _scrub(error)
        raise ours from error


def _ours(error: Exception, what: str, doing: Doing, job_id: str) -> QLQError:
    """The error of ours that says what an error of the client means."""
    from qiskit.providers import JobError

    text, status = _text(error), _status(error)
    if job_id and status == HTTPStatus.NOT_FOUND and _is_said_by_ibm(error):
        return unknown_job(what, job_id)
    if isinstance(error, JobError):
        return JobFailed(f"{what}: {text}", job_id=job_id, reason=text)
    if refusal := _refusal(error, status):
        return BackendUnavailable(f"{what}: {refusal}: {text}")
    if status is not None:
        return _of_status(status, f"{what}: {text}", doing)
    return _of_class(error, f"{what}: {text}", doing)


def _is_said_by_ibm(error: Exception) -> bool:
    """Whether an answer has IBM's form: its 404 means a job, a proxy's means nothing."""
    return any(_SAID_BY_IBM.search(str(one)) for one in _chain(error))


def _refusal(error: Exception, status: int | None) -> str:
    """Why the account cannot be used for this; empty if it can."""
    from qiskit.providers.exceptions import QiskitBackendNotFoundError
    from qiskit_ibm_runtime.exceptions import IBMAccountError, IBMNotAuthorizedError

    if isinstance(error, IBMNotAuthorizedError) or status in _REFUSED:
        return f"refused by IBM ({status or 401}), check token, instance and plan"
    if isinstance(error, IBMAccountError) and _has_no_answer(error):
        return "no answer from IBM's service, check the network and the endpoint"
    if isinstance(error, IBMAccountError):
        return (
            "no usable IBM Quantum account, set QISKIT_IBM_TOKEN and QISKIT_IBM_INSTANCE or save "
            "one with QiskitRuntimeService.save_account"
        )
    if isinstance(error, QiskitBackendNotFoundError):
        return "no such device for this account"
    return ""


def _has_no_answer(error: BaseException | None) -> bool:
    """Whether a lost connection is behind an error, which the client may call a bad account."""
    from requests import ConnectionError as LostConnection
    from requests import Timeout

    while error is not None:
        if isinstance(error, LostConnection | Timeout):
            return True
        error = error.__cause__ or error.__context__
    return False


def _of_status(status: int, message: str, doing: Doing) -> QLQError:
    """What an HTTP status means where it is neither a refusal nor an absent job."""
    if status in _TRY_AGAIN:
        return TransientError(message)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return AmbiguousSubmit(message) if doing is Doing.SUBMIT else TransientError(message)
    if status in _WRONG and doing is Doing.SUBMIT:
        return CircuitRejected(message)
    return BackendUnavailable(message)


def _of_class(error: Exception, message: str, doing: Doing) -> QLQError:
    """What an error without a status means: the network, or the client's own refusal."""
    from qiskit_ibm_runtime.api.exceptions import ApiError
    from qiskit_ibm_runtime.exceptions import IBMApiError, IBMRuntimeError
    from requests import RequestException

    if isinstance(error, ApiError | IBMApiError | IBMRuntimeError | RequestException):
        return AmbiguousSubmit(message) if doing is Doing.SUBMIT else TransientError(message)
    if doing is Doing.SUBMIT:
        return CircuitRejected(message)
    return BackendUnavailable(message)


def unknown_job(what: str, job_id: str) -> JobFailed:
    """The error of a job that the service does not know."""
    return JobFailed(
        f"{what}: the service knows no job {job_id} of this account and device; look at the "
        "vendor's list of jobs, or run the plan again",
        job_id=job_id,
        reason=JobFault.UNKNOWN.value,
        fault=JobFault.UNKNOWN,
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it, up to one of ours, which belongs to an earlier call."""
    found: BaseException | None = error
    for _ in range(_CHAIN_MAX):
        if found is None or isinstance(found, QLQError):
            return
        yield found
        found = found.__cause__ or found.__context__


def _scrub(error: BaseException) -> None:
    """Take credentials out of what a traceback shows of the client's errors."""
    for one in _chain(error):
        one.args = tuple(
            SECRECY.hidden(part) if isinstance(part, str) else part for part in one.args
        )
        message = getattr(one, "message", None)
        if isinstance(message, str) and message != SECRECY.hidden(message):
            one.message = SECRECY.hidden(message)  # type: ignore[attr-defined]


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error, None if there was no answer."""
    for one in _chain(error):
        for holder in (one, getattr(one, "response", None)):
            status = getattr(holder, "status_code", None)
            if isinstance(status, int) and status > 0:
                return status
    match = _STATUS.search(str(error))
    return int(match[1]) if match else None


def _text(error: Exception) -> str:
    """What IBM says, else the client's message, on one line, shortened, without credentials."""
    text = " ".join(str(error).split()).replace("\\'", "'").strip(" '\"\\")
    said = _SAID.search(text)
    return SECRECY.said(said[1] if said else text)

"""The IBM Quantum Platform as its client sees it: identity, catalogue, devices, jobs, sessions.

The unmodified `QiskitRuntimeService` works against it when the variables of `environment` are set:
it lists devices, submits, polls, fetches, cancels, finds by tag, resumes from another process and
asks for usage. Jobs live in the memory of the server.

Source: the requests that qiskit-ibm-runtime 0.51 makes, and the schemas of ibm-quantum-schemas.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
import uuid
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from qlq.backends.emulator import ibm_execution
from qlq.backends.emulator.faults import Fault
from qlq.backends.emulator.ibm_devices import devices
from qlq.backends.emulator.ibm_jobs import FINAL, Job, Store
from qlq.backends.emulator.server import Emulator, Request, Response, json

BASE = "/experimental"
"""Path of the service; the client leaves a URL with this word as it is."""

TOKEN_S = 3600
PAGE_MAX = 200
INSTANCE_NAME = "emulator"
_TAGS_MAX = 16
_TAG_CHARACTERS_MAX = 128


class Pricing(StrEnum):
    """Plan of the emulated account; the value is what the client calls it."""

    OPEN = "open"
    PAY_AS_YOU_GO = "pay-as-you-go"


_DISPLAY = {Pricing.OPEN: ("Open", "free"), Pricing.PAY_AS_YOU_GO: ("Pay-As-You-Go", "paid")}

_NAME = r"([A-Za-z0-9_.-]{1,64})"

_Parts = tuple[str, ...]
"""The groups of a route's pattern, an empty text for one that did not take part."""

_Handler = Callable[[Request, _Parts], Response]


class IBMEmulator(Emulator):
    """Answers for one account with one instance.

    Args:
        pricing: Plan of the account.
        allowance_s: Seconds of QPU time that the account has; None for no limit.
        token: API key that is taken; any is, if None.
    """

    def __init__(
        self,
        *,
        pricing: Pricing = Pricing.OPEN,
        allowance_s: float | None = None,
        token: str | None = None,
    ) -> None:
        """Start without jobs; the simulator is imported here."""
        ibm_execution.prepare()
        self._pricing = pricing
        self._allowance_s = allowance_s
        self._token = token
        self._secret = secrets.token_bytes(32)
        self._store = Store()
        account, instance = uuid.uuid4().hex, str(uuid.uuid4())
        self._crn = f"crn:v1:bluemix:public:quantum-computing:us-east:a/{account}:{instance}::"
        self._routes: tuple[tuple[str, _Handler], ...] = (
            ("POST /identity/token", self._identity),
            ("POST /v3/resources/search", self._search),
            (f"GET /api/v1/{_NAME}", self._catalogue),
            (f"GET {BASE}/backends", self._backends),
            (f"GET {BASE}/backends/{_NAME}/(configuration|properties|status)", self._backend),
            (f"GET {BASE}/instances/usage", self._usage),
            (f"POST {BASE}/jobs", self._submit),
            (f"GET {BASE}/jobs", self._jobs),
            (f"(?:GET|POST|DELETE) {BASE}/jobs/{_NAME}(/[a-z]+)?", self._job),
            (f"POST {BASE}/sessions", self._open_session),
            (f"(?:GET|PATCH|DELETE) {BASE}/sessions/{_NAME}(?:/close)?", self._session),
        )

    def environment(self, url: str) -> dict[str, str]:
        """Variables with which `QiskitRuntimeService()` needs no arguments."""
        return {
            "QISKIT_IBM_CHANNEL": "ibm_quantum_platform",
            "QISKIT_IBM_TOKEN": self._token or "emulator",
            "QISKIT_IBM_INSTANCE": self._crn,
            "QISKIT_IBM_URL": f"{url}{BASE}",
            "IAM_URL": url,
            "GLOBAL_SEARCH_URL": url,
            "GLOBAL_CATALOG_URL": f"{url}/api/v1",
        }

    def refusal(self, fault: Fault) -> Response:
        """IBM's form of an error."""
        code = fault.code if isinstance(fault.code, int) else fault.status
        return _error(fault.status, fault.message, code=code)

    def answer(self, request: Request) -> Response:
        """The response of the endpoint that the path names."""
        line = f"{request.method} {request.path}"
        for pattern, handler in self._routes:
            match = re.fullmatch(pattern, line)
            if match is None:
                continue
            if request.path.startswith(BASE) and not self._is_known(request):
                return _error(401, "the access token is not valid", code=1200)
            try:
                return handler(request, match.groups(default=""))
            except msgspec.DecodeError as error:
                return _error(400, f"the body is not JSON: {error}", code=1201)
            except _NoSuchThing as error:
                return _error(404, str(error), code=error.code)
            except ibm_execution.Refused as error:
                return _error(400, str(error), code=error.code)
        return _error(404, f"nothing at {line}", code=1202)

    def _is_known(self, request: Request) -> bool:
        """Whether the request carries a token of ours and names our instance."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        head, _, signature = token.rpartition(".")
        return (
            kind == "Bearer"
            and hmac.compare_digest(signature, self._sign(head))
            and request.headers.get("service-crn") == self._crn
        )

    def _sign(self, head: str) -> str:
        """Third part of a JSON web token (RFC 7515, HS256)."""
        return _url64(hmac.digest(self._secret, head.encode(), hashlib.sha256))

    def _identity(self, request: Request, _parts: _Parts) -> Response:
        given = re.search(rb"apikey=([^&]*)", request.body)
        if self._token is not None and (given is None or given[1].decode() != self._token):
            document = {"errorCode": "BXNIM0415E", "errorMessage": "API key could not be found"}
            return json(document, status=400)
        now_s = int(time.time())
        claims = {"iss": "emulator", "iat": now_s, "exp": now_s + TOKEN_S}
        parts = ({"alg": "HS256", "typ": "JWT"}, claims)
        head = ".".join(_url64(msgspec.json.encode(part)) for part in parts)
        return json(
            {
                "access_token": f"{head}.{self._sign(head)}",
                "refresh_token": "not_supported",
                "token_type": "Bearer",
                "expires_in": TOKEN_S,
                "expiration": now_s + TOKEN_S,
            }
        )

    def _search(self, _request: Request, _parts: _Parts) -> Response:
        instance = {
            "crn": self._crn,
            "name": INSTANCE_NAME,
            "service_plan_unique_id": f"plan-{self._pricing.value}",
            "tags": [],
            "doc": {"extensions": {"allocations": True}},
        }
        return json({"items": [instance], "limit": 100})

    def _catalogue(self, _request: Request, parts: _Parts) -> Response:
        name, kind = _DISPLAY[self._pricing]
        return json(
            {
                "id": parts[0],
                "name": parts[0],
                "overview_ui": {"en": {"display_name": name}},
                "metadata": {"pricing": {"type": kind}},
            }
        )

    def _backends(self, _request: Request, _parts: _Parts) -> Response:
        return json(
            {
                "devices": [
                    {
                        "name": device.name,
                        "status": {"name": "online", "reason": "available"},
                        "qubits": device.calibration.size,
                        "queue_length": self._store.waiting(device),
                    }
                    for device in devices().values()
                ]
            }
        )

    def _backend(self, _request: Request, parts: _Parts) -> Response:
        name, what = parts
        device = devices().get(name)
        if device is None:
            raise _NoSuchThing(f"no backend {name}", code=1204)
        if what == "configuration":
            return json(device.conf)
        if what == "properties":
            return json(device.props)
        return json(
            {
                "state": True,
                "status": "active",
                "message": "available",
                "length_queue": self._store.waiting(device),
                "backend_version": device.conf["backend_version"],
            }
        )

    def _usage(self, _request: Request, _parts: _Parts) -> Response:
        consumed_s, allowance_s = self._store.consumed_s(), self._allowance_s
        document: dict[str, Any] = {
            "instance_id": self._crn,
            "plan_id": f"plan-{self._pricing.value}",
            "usage_consumed_seconds": consumed_s,
            "usage_limit_reached": self._is_spent(),
        }
        if allowance_s is not None:
            document["usage_allocation_seconds"] = allowance_s
            document["usage_limit_seconds"] = allowance_s
            document["usage_remaining_seconds"] = max(0.0, allowance_s - consumed_s)
        return json(document)

    def _is_spent(self) -> bool:
        return self._allowance_s is not None and self._store.consumed_s() >= self._allowance_s

    def _submit(self, request: Request, _parts: _Parts) -> Response:
        asked = msgspec.json.decode(request.body)
        if not isinstance(asked, dict) or asked.get("program_id") != "executor":
            raise _NoSuchThing("only the program 'executor' is emulated", code=1206)
        device = devices().get(str(asked.get("backend")))
        if device is None:
            raise _NoSuchThing(f"no backend {asked.get('backend')}", code=1204)
        if self._is_spent():
            return _error(403, "the instance has met its usage limit", code=1228)
        session_id = asked.get("session_id")
        if session_id and not (self._store.session(session_id) or {}).get("accepting_jobs"):
            return _error(409, f"session {session_id} takes no more jobs", code=1218)
        job = self._store.submit(
            device,
            ibm_execution.read(asked.get("params")),
            tags=_tags(asked.get("tags")),
            session_id=session_id,
            qpu_s_max=asked.get("cost"),
            fault=request.fault,
        )
        return json({"id": job.job_id, "backend": device.name})

    def _jobs(self, request: Request, _parts: _Parts) -> Response:
        query = request.query
        found = self._store.select(lambda job: _fits(job, query.get))
        if query.get("sort") == "ASC":
            found.reverse()
        limit = min(PAGE_MAX, _count(query.get("limit"), PAGE_MAX))
        offset = _count(query.get("offset"), 0)
        page = [job.document() for job in found[offset : offset + limit]]
        return json({"jobs": page, "count": len(found), "limit": limit, "offset": offset})

    def _job(self, request: Request, parts: _Parts) -> Response:
        job_id, what = parts
        job = self._store.get(job_id)
        if job is None:
            raise _NoSuchThing(f"no job {job_id}", code=1291)
        if request.method == "GET":
            return _reading(job, what)
        if (request.method, what) == ("DELETE", ""):
            self._store.delete(job_id)
            return Response(204)
        if (request.method, what) != ("POST", "/cancel"):
            raise _NoSuchThing(f"nothing at {request.method} {what} of a job", code=1202)
        if self._store.cancel(job):
            return Response(204)
        return _error(409, f"job {job_id} has ended: {job.status}", code=1296)

    def _open_session(self, request: Request, _parts: _Parts) -> Response:
        asked = msgspec.json.decode(request.body)
        if not isinstance(asked, dict) or str(asked.get("backend")) not in devices():
            return _error(400, "a session needs a backend", code=1204)
        return json(self._store.open_session(asked))

    def _session(self, request: Request, parts: _Parts) -> Response:
        (session_id,) = parts
        session = self._store.session(session_id)
        if session is None:
            raise _NoSuchThing(f"no session {session_id}", code=1290)
        if request.method == "GET":
            return json(session)
        self._store.close_session(session_id)
        return Response(204)


class _NoSuchThing(Exception):
    """What a path or a body names does not exist; becomes a 404 with IBM's code."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


def _reading(job: Job, what: str) -> Response:
    """The document of a job that a path ends with."""
    match what:
        case "":
            return json(job.document())
        case "/metrics":
            return json(job.metrics())
        case "/results":
            return Response(200, job.results.encode(), {"Content-Type": "application/json"})
        case "/logs":
            return Response(200, b"", {"Content-Type": "text/plain"})
        case _:
            raise _NoSuchThing(f"nothing at {what} of a job", code=1202)


def _tags(asked: object) -> tuple[str, ...]:
    """A submit's tags; raises Refused if there are too many or one is too long."""
    tags = tuple(map(str, asked)) if isinstance(asked, list) else ()
    if len(tags) > _TAGS_MAX or any(len(tag) > _TAG_CHARACTERS_MAX for tag in tags):
        raise ibm_execution.Refused(
            f"at most {_TAGS_MAX} tags of {_TAG_CHARACTERS_MAX} characters", code=1207
        )
    return tags


def _fits(job: Job, asked: Callable[[str], str | None]) -> bool:
    """Whether a job fits the filters of a query."""
    tag, backend, pending = asked("tags"), asked("backend"), asked("pending")
    session_id = asked("session_id")
    return (
        (tag is None or tag in job.tags)
        and (backend is None or backend == job.device.name)
        and (pending is None or (pending == "true") == (job.status not in FINAL))
        and (session_id is None or session_id == job.session_id)
    )


def _count(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdecimal() else default


def _error(status: int, message: str, *, code: int) -> Response:
    """IBM's form of an error."""
    one = {"code": code, "message": message, "solution": "", "more_info": ""}
    return json({"errors": [one], "trace": uuid.uuid4().hex, "status_code": status}, status=status)


def _url64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

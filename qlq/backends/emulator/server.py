"""The HTTP side of an emulator: a loopback server, its faults, and a record of every request.

An emulator subclasses `Emulator` and answers `Request`s with `Response`s. The server runs a fault
script over each of them first. It listens on 127.0.0.1 only.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from qlq.backends.emulator.faults import Action, Fault, FaultScript
from qlq.errors import ConfigError

HOST = "127.0.0.1"
BODY_BYTES_MAX = 64 << 20
LOG_LINES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        method: GET, POST, PUT, PATCH or DELETE.
        path: Without the query, percent-decoded.
        query: First value of each parameter of the query.
        headers: By lower-case name.
        body: At most 64 MiB.
        fault: A job's fault that the script asks for, to be carried out by the emulator.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent back; `json` makes the usual one."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json(document: object, *, status: int = 200) -> Response:
    """A response with a JSON document."""
    return Response(status, msgspec.json.encode(document), {"Content-Type": "application/json"})


class Emulator(ABC):
    """What one vendor's servers answer. Methods are called from several threads."""

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """The response to a request without a fault of its own."""

    @abstractmethod
    def refusal(self, fault: Fault) -> Response:
        """A fault's answer in the vendor's form, with its status and code."""

    @abstractmethod
    def environment(self, url: str) -> dict[str, str]:
        """Environment variables that lead the vendor's client to this server at `url`."""


class Server:
    """An emulator that listens on loopback from construction to `close`.

    Args:
        emulator: Answers.
        faults: What goes wrong.
        port: TCP port, 0 for a free one.

    Raises:
        ConfigError: The port cannot be used.
    """

    def __init__(
        self, emulator: Emulator, *, faults: FaultScript | None = None, port: int = 0
    ) -> None:
        """Bind and start to serve in a thread."""
        self.emulator = emulator
        self.requests: list[str] = []
        """`METHOD /path` of each request, in order; the newest 10,000."""
        self._faults = faults or FaultScript()
        try:
            self._http = _Loopback((HOST, port), _handler(self))
        except (OSError, OverflowError) as error:
            raise ConfigError(f"cannot listen on {HOST}:{port}: {error}") from error
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{HOST}:{self._http.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead the vendor's client here."""
        return self.emulator.environment(self.url)

    def count(self, line: str) -> int:
        """How many requests `METHOD /path` have come."""
        return self.requests.count(line)

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        self._thread.join()

    def close(self) -> None:
        """Stop listening; connections that are open end with their requests."""
        self._http.shutdown()
        self._http.server_close()

    def handle(self, request: Request) -> Response | None:
        """The response to a request, its fault carried out; None to close the connection."""
        self.requests.append(f"{request.method} {request.path}")
        del self.requests[:-LOG_LINES_MAX]
        fault = self._faults.next_for(request.method, request.path)
        match None if fault is None else fault.do:
            case Action.ANSWER if fault is not None:
                refusal = self.emulator.refusal(fault)
                if fault.retry_after_s is None:
                    return refusal
                headers = {**refusal.headers, "Retry-After": f"{fault.retry_after_s:g}"}
                return Response(refusal.status, refusal.body, headers)
            case Action.DROP_BEFORE:
                return None
            case Action.DROP_AFTER:
                self.emulator.answer(request)
                return None
            case Action.STALL if fault is not None:
                time.sleep(fault.seconds)
                return self.emulator.answer(request)
            case _:
                return self.emulator.answer(_with_fault(request, fault))


def _with_fault(request: Request, fault: Fault | None) -> Request:
    if fault is None:
        return request
    return Request(
        request.method, request.path, request.query, request.headers, request.body, fault
    )


class _Loopback(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False  # a stalled request must not keep `close` waiting


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    """The handler class of one server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # headers and body leave together: apart, Nagle's algorithm waits 40 ms for each answer
        wbufsize = -1
        timeout = 60.0

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Nothing: headers and paths may hold credentials."""

        def _serve(self) -> None:
            body = self._body()
            if body is None:
                return
            parts = urlsplit(self.path)
            request = Request(
                method=self.command,
                path=unquote(parts.path),
                query={name: values[0] for name, values in parse_qs(parts.query).items()},
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
            )
            response = server.handle(request)
            if response is None:
                self.close_connection = True
                return
            self._send(response)

        def _body(self) -> bytes | None:
            """The request's body; None, after a refusal, if its length cannot be used."""
            text = self.headers.get("Content-Length", "0")
            if not text.isdecimal() or int(text) > BODY_BYTES_MAX:
                self.close_connection = True
                self._send(Response(413))
                return None
            return self.rfile.read(int(text))

        def _send(self, response: Response) -> None:
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base's names

    return Handler

"""Random bytes over HTTP on loopback: `GET /v1/bytes?count=32`.

Each answer is a JSON document with the bytes and what they are worth. A source that gives no
bytes is answered with 503, never with other bytes. Only this machine is served, and only under
the names of this machine, so that no web page can read the answers through a browser.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from qlq.errors import ConfigError, QLQError
from qlq.qrng.generators import Draw, Pool

HOST = "127.0.0.1"
PATH = "/v1/bytes"
SCHEMA = "qlq.rng.bytes/1"
COUNT_DEFAULT = 32
COUNT_MAX = 1 << 16
"""Most bytes of one answer."""
CONNECTIONS_MAX = 32
"""Connections at a time; further ones are closed."""
IDLE_S = 10.0
"""Longest wait for the next bytes of a request."""
_COUNT_DIGITS_MAX = 6
_NAMES = frozenset({"127.0.0.1", "localhost"})

Tell = Callable[[str], None]


class Server:
    """Serves a pool from construction to `close`.

    Args:
        pool: Where the bytes come from.
        port: TCP port, 0 for a free one.
        tell: Is told of degraded answers and of failures.

    Raises:
        ConfigError: The port cannot be used.
    """

    def __init__(self, pool: Pool, *, port: int = 0, tell: Tell) -> None:
        """Bind, and serve in a thread."""
        try:
            self._http = _Loopback((HOST, port), _handler(pool, tell))
        except (OSError, OverflowError) as error:
            raise ConfigError(f"cannot listen on {HOST}:{port}: {error}") from error
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where bytes are served."""
        return f"http://{HOST}:{self._http.server_address[1]}{PATH}"

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        self._thread.join()

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()


class _Loopback(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the connection in a thread if one is free; close it otherwise."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that went away is no matter of ours."""


def count_of(query: str) -> int:
    """How many bytes a query asks for; raises ValueError naming what cannot be used."""
    values = parse_qs(query, keep_blank_values=True, max_num_fields=8)
    if unknown := set(values) - {"count"}:
        raise ValueError(f"unknown parameter {min(unknown)!r}; known: count")
    texts = values.get("count", [str(COUNT_DEFAULT)])
    text = texts[0]
    is_number = text.isascii() and text.isdecimal() and len(text) <= _COUNT_DIGITS_MAX
    if len(texts) != 1 or not is_number or not 1 <= int(text) <= COUNT_MAX:
        raise ValueError(f"count must be one integer from 1 to {COUNT_MAX}, not {texts!r}")
    return int(text)


def document(draw: Draw) -> dict[str, Any]:
    """An answer: the bytes and what they are worth."""
    return {
        "schema": SCHEMA,
        "bytes_hex": draw.bytes.hex(),
        "tier": draw.tier.code,
        "tier_label": draw.tier.label,
        "claim_bits": draw.claim_bits,
        "claim_reasons": list(draw.reasons),
        "certificate_id": draw.certificate_id,
        "degraded": draw.degraded,
    }


def answer(pool: Pool, target: str, *, host: str, tell: Tell) -> tuple[int, dict[str, Any]]:
    """Status and document for a GET of `target` under the name `host`.

    Only 200 has bytes. 503 says that the source gave none.
    """
    parts = urlsplit(target)
    if (host.rpartition(":")[0] or host) not in _NAMES:
        return 403, _error(f"only {HOST} and localhost are served")
    if parts.path != PATH:
        return 404, _error(f"nothing here: GET {PATH}?count=N")
    try:
        count = count_of(parts.query)
    except ValueError as error:
        return 400, _error(str(error))
    try:
        draw = pool.draw(count)
    except QLQError as error:
        tell(f"no bytes: {error}")
        return 503, _error(str(error), kind=type(error).__name__)
    if draw.degraded:
        tell(f"warning: degraded: {draw.reasons[0]}")
    return 200, document(draw)


def _error(message: str, *, kind: str = "BadRequest") -> dict[str, Any]:
    return {"schema": SCHEMA, "error": {"kind": kind, "message": message}}


def _handler(pool: Pool, tell: Tell) -> type[BaseHTTPRequestHandler]:
    """The handler class of one pool."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = default_request_version = "HTTP/1.1"
        wbufsize = -1
        timeout = IDLE_S

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Nothing: requests of this machine need no log."""

        def do_GET(self) -> None:
            host = self.headers.get("Host", "")
            status, content = answer(pool, self.path, host=host, tell=tell)
            self._reply(status, content)

        def send_error(
            self,
            code: int,
            message: str | None = None,
            explain: str | None = None,  # noqa: ARG002 - the base's
        ) -> None:
            """What the base refuses, such as another method or a line too long, in our form."""
            self._reply(code, _error(message or HTTPStatus(code).phrase))

        def _reply(self, status: int, content: dict[str, Any]) -> None:
            self.close_connection |= status != HTTPStatus.OK
            body = json.dumps(content).encode()
            self.send_response_only(status)
            self.send_header("Date", self.date_time_string())
            self.send_header("Content-Type", "application/json")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler

"""`random.Random` and the loopback endpoint on a pool."""

from __future__ import annotations

import copy
import http.client
import json
import os
import pickle
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from scipy import stats

from qlq.errors import BackendUnavailable, ConfigError
from qlq.qrng import generators_http
from qlq.qrng.generators import Pool
from qlq.qrng.generators_random import PoolRandom

GONE = BackendUnavailable("the lab is closed")
Make = Callable[..., Pool]


def test_bits_bytes_and_floats_are_the_pool_s(pool: Make, twin: Make) -> None:
    data, rng = twin(), PoolRandom(pool())
    assert rng.randbytes(5) == data.draw(5).bytes
    assert rng.getrandbits(13) == int.from_bytes(data.draw(2).bytes, "big") >> 3
    assert rng.random() == (int.from_bytes(data.draw(7).bytes, "big") >> 3) / 2**53
    assert rng.getrandbits(0) == 0
    assert rng.last is not None
    with pytest.raises(ValueError, match="-1"):
        rng.getrandbits(-1)


def test_distributions_are_those_of_the_standard_library(pool: Make) -> None:
    rng = PoolRandom(pool())
    counts = [0] * 7
    for _ in range(7_000):
        counts[rng.randrange(7)] += 1
    assert stats.chisquare(counts).pvalue > 1e-4
    assert stats.kstest([rng.gauss() for _ in range(2_000)], "norm").pvalue > 1e-4
    assert sorted(rng.sample(range(50), 50)) == list(range(50))
    deck = list(range(20))
    rng.shuffle(deck)
    assert sorted(deck) == list(range(20))


@pytest.mark.parametrize(
    "attempt",
    [
        lambda rng: rng.seed(1),
        lambda rng: rng.seed(),
        lambda rng: rng.getstate(),
        lambda rng: rng.setstate((3, (), None)),
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
    ],
)
def test_it_can_be_neither_seeded_nor_saved_nor_copied(
    pool: Make, attempt: Callable[[random.Random], Any]
) -> None:
    with pytest.raises(TypeError, match="quantum generator"):
        attempt(PoolRandom(pool()))


@pytest.mark.parametrize(
    "attempt",
    [
        lambda rng: rng.random(),
        lambda rng: rng.randbytes(4),
        lambda rng: rng.randrange(10),
        lambda rng: rng.gauss(),
        lambda rng: rng.choice("abc"),
        lambda rng: rng.shuffle([1, 2, 3]),
        lambda rng: rng.uniform(0, 1),
    ],
)
def test_a_dead_source_raises_in_every_method(
    pool: Make, spring: Any, attempt: Callable[[random.Random], Any]
) -> None:
    rng = PoolRandom(pool())
    assert rng.tier is None
    spring.killed_by = GONE
    with pytest.raises(BackendUnavailable):
        attempt(rng)


@pytest.fixture
def endpoint(pool: Make) -> Iterator[tuple[generators_http.Server, list[str]]]:
    told: list[str] = []
    server = generators_http.Server(pool(reseed_bytes=1000), tell=told.append)
    yield server, told
    server.close()


def ask(
    server: generators_http.Server, target: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, Any]]:
    address = server.url.removeprefix("http://").partition("/")[0]
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request(method, target, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, json.loads(body) if body.startswith(b"{") else {}


def test_the_endpoint_gives_bytes_and_their_worth(
    endpoint: tuple[generators_http.Server, list[str]], twin: Make
) -> None:
    server, _ = endpoint
    assert server.url.startswith("http://127.0.0.1:")
    status, found = ask(server, "/v1/bytes?count=16")
    assert status == 200
    assert found["bytes_hex"] == twin(reseed_bytes=1000).draw(16).bytes.hex()
    assert (found["tier"], found["claim_bits"], found["degraded"]) == ("T2", 128.0, False)
    assert found["certificate_id"]
    assert len(ask(server, "/v1/bytes")[1]["bytes_hex"]) == 64


def test_a_dead_source_is_503_without_bytes(
    endpoint: tuple[generators_http.Server, list[str]], spring: Any
) -> None:
    server, told = endpoint
    ask(server, "/v1/bytes?count=1000")
    spring.killed_by = GONE
    status, found = ask(server, "/v1/bytes")
    assert status == 503
    assert "bytes_hex" not in found
    assert found["error"] == {"kind": "BackendUnavailable", "message": "the lab is closed"}
    assert told == ["no bytes: the lab is closed"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/bytes?count=0", 400),
        ("/v1/bytes?count=-1", 400),
        ("/v1/bytes?count=65537", 400),
        ("/v1/bytes?count=1e3", 400),
        ("/v1/bytes?count=%D9%A3", 400),
        ("/v1/bytes?count=", 400),
        ("/v1/bytes?count=99999999999999999999", 400),
        ("/v1/bytes?count=1&count=2", 400),
        ("/v1/bytes?bytes=4", 400),
        ("/v1/bytes?" + "&".join(["a=1"] * 20), 400),
        ("/", 404),
        ("/v1/bytes/more", 404),
    ],
)
def test_other_requests_are_refused(
    endpoint: tuple[generators_http.Server, list[str]], target: str, status: int, spring: Any
) -> None:
    found, document = ask(endpoint[0], target)
    assert found == status
    assert "error" in document
    assert spring.made == 0


def test_only_get_and_only_the_names_of_this_machine_are_served(
    endpoint: tuple[generators_http.Server, list[str]],
) -> None:
    server, _ = endpoint
    assert ask(server, "/v1/bytes", Host="localhost:80")[0] == 200
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        assert ask(server, "/v1/bytes", Host=host)[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"])
def test_another_method_is_refused_in_the_same_form(
    endpoint: tuple[generators_http.Server, list[str]], method: str, spring: Any
) -> None:
    status, found = ask(endpoint[0], "/v1/bytes", method=method)
    assert status == 501
    if method != "HEAD":  # which has no body
        assert method in found["error"]["message"]
    assert spring.made == 0


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /v1/bytes?count=8 HTTP/1.1", 200),
        (b"POST /v1/bytes HTTP/1.1", 501),
        (b"GET /v1/bytes HTTP/9.9", 505),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1", 414),
        (b"nonsense", 400),
    ],
)
def test_every_answer_is_a_document_and_names_no_software(
    endpoint: tuple[generators_http.Server, list[str]], request_line: bytes, status: int
) -> None:
    address = endpoint[0].url.removeprefix("http://").partition("/")[0]
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        raw = b""
        with suppress(ConnectionResetError):  # what was not read of a long line
            while part := connection.recv(1 << 16):
                raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\nserver:" not in head.lower()
    assert b"python" not in raw.lower()
    found = json.loads(body)
    assert found["schema"] == "qlq.rng.bytes/1"
    assert ("error" in found) == (status != 200)


def test_requests_at_the_same_time_get_different_bytes(
    endpoint: tuple[generators_http.Server, list[str]],
) -> None:
    found: list[str] = []

    def work() -> None:
        found.extend(ask(endpoint[0], "/v1/bytes")[1]["bytes_hex"] for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 40


def test_a_port_in_use_is_said(endpoint: tuple[generators_http.Server, list[str]]) -> None:
    port = int(endpoint[0].url.removesuffix("/v1/bytes").rpartition(":")[2])
    with pytest.raises(ConfigError, match=str(port)):
        generators_http.Server(Pool(lambda: None, os.urandom), port=port, tell=print)  # type: ignore[arg-type, return-value]


def test_a_degraded_answer_is_told(spring: Any) -> None:
    spring.killed_by = GONE
    told: list[str] = []
    pool = Pool.with_fallback(spring, os.urandom)
    status, found = generators_http.answer(
        pool, "/v1/bytes?count=4", host="localhost", tell=told.append
    )
    assert (status, found["degraded"], found["tier"]) == (200, True, "T0")
    assert told[0].startswith("warning: degraded")

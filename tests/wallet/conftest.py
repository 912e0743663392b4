"""A wallet in a home of its own, and a reader of its file that shares nothing with ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from qlq.crypto import kdf


@dataclass(frozen=True)
class Read:
    """What the independent reader found."""

    data_key: bytes
    rows: list[dict[str, Any]]


Reader = Callable[[Path, str], Read]


@pytest.fixture
def read() -> Reader:
    """Opens a file of version 1 by what its docstring says, without any code of the package."""
    return read_file


def read_file(path: Path, passphrase: str) -> Read:
    data = path.read_bytes()
    assert data[:1] == b"\x01"
    body, found = data[:-32], data[-32:]
    assert hashlib.sha256(b"\x0cqlq/wallet/1" + body).digest() == found
    salt, wrapped, rows, stamp = msgspec.msgpack.decode(body[1:])
    # RFC 9106 section 4, second recommended option
    costs = {"iterations": 3, "lanes": 4, "memory_cost": 65536}
    wrapping = Argon2id(salt=salt, length=32, **costs).derive(passphrase.encode())
    data_key = open_seal(wrapping, wrapped, b"qlq wallet 1 data key")
    stamped = b"\x01" + msgspec.msgpack.encode((salt, wrapped, rows))
    assert open_seal(data_key, stamp, b"qlq wallet 1 stamp " + stamped) == b""
    return Read(data_key, [opened(row, data_key) for row in rows])


def opened(row: list[Any], data_key: bytes) -> dict[str, Any]:
    """A row with its seeds."""
    name, address, key, sealed, next_key, next_sealed = row
    seeds = []
    for public, seal in ((key, sealed), (next_key, next_sealed)):
        bound = b"qlq wallet 1 seed \x01" + msgspec.msgpack.encode((name, address, public))
        seeds.append(open_seal(data_key, seal, bound) if public else None)
    names = ("name", "address", "key", "seed", "next_key", "next_seed")
    return dict(zip(names, (name, address, key, seeds[0], next_key, seeds[1]), strict=True))


def open_seal(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    assert sealed[:1] == b"\x01"
    return AESGCM(key).decrypt(sealed[1:13], sealed[13:], b"\x01" + bound)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id with the least memory and one pass, where its costs are not what is tested."""
    monkeypatch.setattr(kdf, "ARGON2_MEMORY_KIB", 32)
    monkeypatch.setattr(kdf, "ARGON2_PASSES", 1)

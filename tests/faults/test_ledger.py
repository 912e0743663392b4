"""The ledger's file through kills, power cuts, full disks: no acknowledged block is lost."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qlq.config import Settings
from qlq.node import audit, chains

pytestmark = pytest.mark.long

WORKER = Path(__file__).with_name("ledger_worker.py")
KILLS = 100
POWER_CUTS = 20
START_S = 60.0
SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("I", 2)
"""FS_IOC_SHUTDOWN: the file system stops as it does when the power goes."""


@dataclass
class Worker:
    """A process that makes blocks, and what it has acknowledged."""

    home: Path
    folder: Path
    acknowledged: dict[int, str] = field(default_factory=dict)
    ready_heights: list[int] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    rest: bytes = b""
    last_words: str = ""

    @property
    def settings(self) -> Settings:
        return Settings(
            home=self.home,
            settings_folder=self.folder,
            backend="aer",
            passphrase="of the test",  # noqa: S106
            origins={},
        )

    def start(self) -> None:
        """Until it says that it is ready."""
        self.rest = b""
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), str(self.home), str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        end_s = time.monotonic() + START_S
        count = len(self.ready_heights)
        while len(self.ready_heights) == count:
            assert time.monotonic() < end_s, "the worker does not become ready"
            self.read(0.05)

    def read(self, timeout_s: float) -> None:
        """Take in what it has said."""
        assert self.process is not None
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], timeout_s)[0]:
            return
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        if not data and self.process.poll() is not None:
            assert self.process.stderr is not None
            self.last_words = self.process.stderr.read().decode().strip()
            pytest.fail(self.last_words)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.note(line.decode().split())

    def note(self, words: list[str]) -> None:
        if words[0] == "ready":
            self.ready_heights.append(int(words[1]))
        else:
            height = int(words[1])
            assert self.acknowledged.setdefault(height, words[2]) == words[2]

    def kill(self) -> None:
        """At once, and take in what it had said before."""
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.kill()
        rest = self.process.stdout.read()
        for line in (self.rest + rest).split(b"\n")[:-1]:
            self.note(line.decode().split())
        self.process.stderr.close()
        self.process.stdout.close()
        self.process.wait()

    def check(self) -> int:
        """All that was acknowledged is there, and everything follows; the height."""
        with chains.opened(self.settings) as validator:
            hashes = validator.store.hashes()
            for height, found in self.acknowledged.items():
                assert hashes[height - 1].hex() == found
            height = validator.tip.height
        found = audit.verify_home(self.settings, audit.Level.FULL)
        assert found["valid"], found["findings"]
        return height


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Worker(tmp_path / "home", tmp_path / "settings")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def test_a_hundred_kills_lose_nothing(worker: Worker) -> None:
    moments = random.Random(20261125)  # noqa: S311 - moments of kills
    for _ in range(KILLS):
        worker.start()
        if worker.acknowledged:
            assert worker.ready_heights[-1] >= max(worker.acknowledged)
        end_s = time.monotonic() + moments.uniform(0.0, 0.25)
        while time.monotonic() < end_s:
            worker.read(0.01)
        worker.kill()
    assert worker.check() >= max(worker.acknowledged)
    assert len(worker.acknowledged) > KILLS


@contextlib.contextmanager
def file_system(image: Path, where: Path) -> Iterator[None]:
    """A file system of its own, mounted for as long as the block lasts."""
    subprocess.run(["mount", "-o", "loop", str(image), str(where)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(where)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system can be mounted by root alone")
def test_twenty_power_cuts_lose_nothing(tmp_path: Path) -> None:
    image, where = tmp_path / "image", tmp_path / "disk"
    image.write_bytes(b"")
    os.truncate(image, 256 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    where.mkdir()
    worker = Worker(where / "home", tmp_path / "settings")
    moments = random.Random(20261126)  # noqa: S311 - moments of power cuts
    for _ in range(POWER_CUTS):
        with file_system(image, where):
            worker.start()
            end_s = time.monotonic() + moments.uniform(0.1, 0.6)
            while time.monotonic() < end_s:
                worker.read(0.01)
            descriptor = os.open(where, os.O_RDONLY)
            fcntl.ioctl(descriptor, SHUTDOWN, NO_LOG_FLUSH)
            os.close(descriptor)
            worker.kill()
        with file_system(image, where):
            if worker.acknowledged:
                assert worker.check() >= max(worker.acknowledged)
    assert len(worker.acknowledged) > POWER_CUTS


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system can be mounted by root alone")
def test_a_full_disk_is_told_and_costs_nothing(tmp_path: Path) -> None:
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(where)]
    subprocess.run(command, check=True)
    try:
        worker = Worker(where / "home", tmp_path / "settings")
        worker.start()
        assert worker.process is not None
        end_s = time.monotonic() + START_S
        while worker.process.poll() is None:
            assert time.monotonic() < end_s, "the disk does not become full"
            with contextlib.suppress(pytest.fail.Exception):
                worker.read(0.05)
        said = worker.last_words.splitlines()[-1]
        assert "full" in said
        assert "free space" in said
        worker.kill()
        subprocess.run(
            ["mount", "-o", "remount,size=64m", str(where)],
            check=True,
        )
        assert worker.check() >= max(worker.acknowledged)
    finally:
        subprocess.run(["umount", str(where)], check=True)

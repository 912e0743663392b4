"""`qlq qkd pair`, `link`, `alice` and `bob` as an operator starts them: four processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qlq import config
from qlq.node import holdings, terminals_pairing

pytestmark = pytest.mark.long

PULSES = "30000"
Check = Callable[[str, str], dict[str, Any]]


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


class Desk:
    """Starts commands, and ends what a test leaves behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.link, self.bob = free_port(), free_port()
        self.running: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """A command in a process of its own, with settings of its own."""
        command = [sys.executable, "-c", "from qlq.cli.main import main; main()", "qkd", name]
        self.running[name] = subprocess.Popen(
            [*command, *arguments, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_CONFIG_HOME": str(self.folder / f"{name}-settings")},
        )
        return self.running[name]

    def start_all(self, *link_options: str, **party_options: tuple[str, ...]) -> None:
        """A pairing, then all three terminals."""
        pairing = self.folder / "pairing.json"
        if not pairing.exists():
            terminals_pairing.write(pairing, terminals_pairing.Pairing.from_system())
        common = ("--pairing", str(pairing), "--pulses", PULSES, "--wait", "30")
        self.start("link", "--listen", self.link, *link_options)
        for name, place in (("bob", "--listen"), ("alice", "--peer")):
            home = ("--home", str(self.folder / name))
            where = ("--link", self.link, place, self.bob)
            self.start(name, *where, *home, *common, *party_options.get(name, ()))

    def results(self) -> dict[str, tuple[int, str, str]]:
        """Exit code, stdout and stderr of each."""
        found = {}
        for name, process in self.running.items():
            out, err = process.communicate(timeout=60)
            found[name] = (process.returncode, out, err)
        return found

    def await_word(self, name: str, word: str, *, times: int = 1) -> None:
        """Read a terminal's stderr until it says the word, for the last of `times`."""
        stderr = self.running[name].stderr
        assert stderr is not None
        for line in stderr:
            times -= word in line
            if not times:
                return
        raise AssertionError(f"{name} never said {word!r}")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    for process in opened.running.values():
        process.kill()
        process.communicate()


def stored(desk: Desk, name: str) -> list[dict[str, Any]]:
    """What `qlq keys list` shows of a party."""
    found = config.load(
        flags={"home": str(desk.folder / name), "backend": None},
        environ={"XDG_CONFIG_HOME": str(desk.folder / f"{name}-settings")},
    )
    return holdings.describe_keys(found, name)


def test_four_commands_make_one_key_in_two_homes(desk: Desk, qlq: Any, document: Check) -> None:
    made = qlq("qkd", "pair", str(desk.folder / "pairing.json"), "--json")
    secret = terminals_pairing.read(desk.folder / "pairing.json")
    assert document(made.stdout, "qlq.qkd.pair")["pairing"] == secret.pairing_id
    assert secret.to_bob.hex() not in made.stdout + made.stderr
    desk.start_all()
    results = desk.results()
    assert [code for code, _, _ in results.values()] == [0, 0, 0], results
    documents = {name: document(out, f"qlq.qkd.{name}") for name, (_, out, _) in results.items()}
    assert documents["alice"]["key_id"] == documents["bob"]["key_id"] is not None
    assert documents["link"]["provenance"]["claim"] == "simulation"
    for name in ("alice", "bob"):
        (key,) = stored(desk, name)
        assert key["key_id"] == documents[name]["key_id"]
        assert key["claim"] == "simulation"


def test_eve_ends_all_three_with_exit_3_and_one_reason(desk: Desk, document: Check) -> None:
    desk.start_all("--eve", "intercept-resend:1")
    results = desk.results()
    assert {code for code, _, _ in results.values()} == {3}
    reasons = {
        document(out, f"qlq.qkd.{name}")["aborted"]["reason"]
        for name, (_, out, _) in results.items()
    }
    assert reasons == {"qber"}


@pytest.mark.parametrize("victim", ["bob", "link"])
def test_a_killed_terminal_ends_the_others_at_once_without_a_key(victim: str, desk: Desk) -> None:
    # The device's noise and Eve's second job keep the link busy: nobody is done yet.
    desk.start_all("--backend", "aer:fez", "--eve", "intercept-resend:1")
    word, times = ("is here", 2) if victim == "link" else ("pulses on", 1)
    desk.await_word(victim, word, times=times)
    desk.running[victim].send_signal(signal.SIGKILL)
    started = time.monotonic()
    results = desk.results()
    assert time.monotonic() - started < 15
    assert results.pop(victim)[0] == -signal.SIGKILL
    for name, (code, _, err) in results.items():
        assert code in {3, 4}, (name, code, err)
        assert "error:" in err or "aborted" in results[name][1]
        assert "Traceback" not in err
    for name in ("alice", "bob"):
        assert stored(desk, name) == []


def test_a_paid_job_of_a_link_that_was_killed_is_on_record_and_is_cancelled_from_there(
    desk: Desk, vendor: Any, qlq: Any, document: Check
) -> None:
    vendor.script(status=["queued", "..."])
    longer = ("--pulses", "60000")
    desk.start_all("--backend", "rented", "--max-cost", "100", alice=longer, bob=longer)
    desk.await_word("link", "rented: queued")
    desk.running["link"].send_signal(signal.SIGKILL)
    assert {code for code, _, _ in desk.results().values()} == {-signal.SIGKILL, 4}
    (job,) = document(qlq("job", "list", "--json").stdout, "qlq.job.list")["jobs"]
    assert (job["purpose"], job["status"], job["job_ids"]) == ("link", "waiting", vendor.paid())
    refused = qlq("job", "resume", job["id"])
    assert (refused.returncode, f"qlq job cancel {job['id']}" in refused.stderr) == (2, True)
    assert qlq("job", "cancel", job["id"]).returncode == 0
    assert vendor.paid() == []


def test_an_interrupt_cancels_the_paid_job_of_a_link(
    desk: Desk, vendor: Any, qlq: Any, document: Check
) -> None:
    vendor.script(status=["queued", "..."])
    longer = ("--pulses", "60000")
    desk.start_all("--backend", "rented", "--max-cost", "100", alice=longer, bob=longer)
    desk.await_word("link", "rented: queued")
    desk.running["link"].send_signal(signal.SIGINT)
    results = desk.results()
    assert results["link"][0] == 130
    assert "its jobs were cancelled" in results["link"][2]
    assert vendor.paid() == []
    (job,) = document(qlq("job", "list", "--json").stdout, "qlq.job.list")["jobs"]
    assert (job["purpose"], job["status"], job["cost"]["amount"]) == ("link", "cancelled", "0.25")
    document(qlq("job", "show", job["id"], "--json").stdout, "qlq.job.show")


def test_parties_that_want_different_sessions_end_all_three_with_exit_2(
    desk: Desk, document: Check
) -> None:
    desk.start_all(alice=("--pulses", "40000"))
    results = desk.results()
    assert {code for code, _, _ in results.values()} == {2}
    for _, out, err in results.values():
        assert "want different sessions" in document(out, "qlq.error")["error"]["message"]
        assert "bug" not in err


def test_a_session_on_a_paid_device_is_shown_with_its_result(
    desk: Desk, vendor: Any, qlq: Any, document: Check
) -> None:
    longer = ("--pulses", "60000")
    desk.start_all("--backend", "rented", "--max-cost", "100", alice=longer, bob=longer)
    assert {code for code, _, _ in desk.results().values()} == {0}
    (job,) = document(qlq("job", "list", "--json").stdout, "qlq.job.list")["jobs"]
    shown = document(qlq("job", "show", job["id"], "--json").stdout, "qlq.job.show")
    assert shown["result"]["provenance"]["job_ids"] == vendor.paid()
    assert "60000" in qlq("job", "show", job["id"]).stdout


def test_an_interrupt_ends_a_waiting_terminal(desk: Desk) -> None:
    waiting = desk.start("link", "--listen", desk.link)
    desk.await_word("link", "listening on")
    waiting.send_signal(signal.SIGINT)
    code, _, err = desk.results()["link"]
    assert code == 130
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("link", "--listen", "192.0.2.1:7001"), "not sealed"),
        (("bob", "--link", "127.0.0.1:1", "--listen", "127.0.0.1:0"), "qlq qkd pair"),
        (
            ("alice", "--link", "127.0.0.1:1", "--peer", "127.0.0.1:2", "--protocol", "b92"),
            "bb84, e91",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_starts(
    arguments: tuple[str, ...], word: str, qlq: Any
) -> None:
    done = qlq("qkd", *arguments)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_a_link_that_is_not_there_is_named_at_the_deadline(desk: Desk, qlq: Any) -> None:
    pairing = str(desk.folder / "pairing.json")
    assert qlq("qkd", "pair", pairing).returncode == 0
    done = qlq(
        *("qkd", "bob", "--link", "127.0.0.1:1", "--listen", "127.0.0.1:0"),
        *("--pairing", pairing, "--wait", "0.5"),
    )
    assert done.returncode == 3
    assert "the link does not listen on 127.0.0.1:1" in done.stderr

"""`qlq job` and paid sessions from the command line: processes, signals, deadlines, documents."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qlq.cli import terms
from qlq.cli.main import run

pytestmark = pytest.mark.long

ENTRY = [sys.executable, "-c", "from qlq.cli.main import main; main()"]
BUY = ("qkd", "run", "--backend", "rented", "--pulses", "60000")
PAY = (*BUY, "--max-cost", "100")
PILOT = ("backend", "estimate", "rented", "--pilot", "2000", "--max-cost", "100")
SECRET = "token-0123456789abcdef"  # the rented device's  # noqa: S105
WAITING = {"status": ["queued", "..."]}
ACCEPT_S = 60.0

Check = Callable[[str, str], dict[str, Any]]


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command line in this process, as if it had just started."""

    def conduct(*arguments: str) -> Ended:
        monkeypatch.setattr(terms, "_STARTED_S", time.monotonic())
        code = run(list(arguments))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return conduct


def start(*arguments: str) -> subprocess.Popen[str]:
    """A command line in a process of its own."""
    return subprocess.Popen(
        [*ENTRY, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(found: Callable[[], bool], *, what: str) -> None:
    """Wait until something has happened."""
    end_s = time.monotonic() + ACCEPT_S
    while not found():
        assert time.monotonic() < end_s, f"no {what} within {ACCEPT_S} s"
        time.sleep(0.05)


@pytest.fixture
def waiting(vendor: Any, command: Command) -> str:
    """A job that was accepted, and whose command could not reach the vendor afterwards."""
    vendor.script(status=["queued", "unavailable", "..."])
    assert command(*PAY).code == 4
    (job,) = json.loads(command("job", "list", "--json").out)["jobs"]
    return str(job["id"])


def test_ctrl_c_leaves_the_job_and_another_process_finishes_the_session(
    vendor: Any, command: Command, document: Check
) -> None:
    vendor.script(**WAITING)
    paying = start(*PAY, "--json")
    until(lambda: vendor.calls("status") > 0, what="look at the job")
    paying.send_signal(signal.SIGINT)
    out, err = paying.communicate(timeout=10)
    (job,) = document(command("job", "list", "--json").out, "qlq.job.list")["jobs"]
    assert paying.returncode == 130
    assert f"qlq job resume {job['id']}" in err.splitlines()[-1]
    assert f"qlq job resume {job['id']}" in document(out, "qlq.error")["error"]["message"]
    assert "Traceback" not in err
    (job_id,) = vendor.paid()
    shown = document(command("job", "show", job["id"], "--json").out, "qlq.job.show")
    assert (shown["status"], shown["vendor_status"]) == ("waiting", "queued")
    assert shown["cost"]["estimated"]
    vendor.script()
    done = command("job", "resume", job["id"], "--json")
    resumed = document(done.out, "qlq.job.resume")
    assert (done.code, resumed["resumed"]) == (0, True)
    assert resumed["result"]["provenance"]["job_ids"] == [job_id] == vendor.paid()
    again = command("qkd", "process", "--job", f"rented:{job_id}", "--json")
    assert again.code == 0
    assert "over already" in again.err
    assert document(again.out, "qlq.qkd.process")["key_id"] == resumed["key_id"]
    (key,) = {row["key_id"] for row in json.loads(command("keys", "list", "--json").out)["keys"]}
    assert key == resumed["key_id"]


def test_ctrl_c_leaves_a_pilot_and_another_process_gives_its_figures(
    vendor: Any, command: Command, document: Check
) -> None:
    vendor.script(**WAITING)
    paying = start(*PILOT, "--json")
    until(lambda: vendor.calls("status") > 0, what="look at the job")
    paying.send_signal(signal.SIGINT)
    out, err = paying.communicate(timeout=10)
    (job,) = document(command("job", "list", "--json").out, "qlq.job.list")["jobs"]
    assert paying.returncode == 130
    assert f"the pilot goes on with: qlq job resume {job['id']}" in err.splitlines()[-1]
    assert f"qlq job resume {job['id']}" in document(out, "qlq.error")["error"]["message"]
    assert (job["purpose"], job["status"], job["job_ids"]) == ("pilot", "waiting", vendor.paid())
    shown = document(command("job", "show", job["id"], "--json").out, "qlq.job.show")
    assert (shown["pilot_shots"], shown["vendor_status"]) == (2000, "queued")
    vendor.script()
    done = command("job", "resume", job["id"], "--json")
    resumed = document(done.out, "qlq.job.resume")
    assert (done.code, resumed["resumed"], resumed["key_id"]) == (0, True, None)
    assert resumed["result"]["shots"] == 2000
    assert "qlq backend estimate rented --protocol bb84 --qber-max " in done.err
    assert len(vendor.jobs()) == 1
    again = command("job", "resume", job["id"])
    assert "over already" in again.err
    assert "qber upper" in again.out
    (job,) = document(command("job", "list", "--json").out, "qlq.job.list")["jobs"]
    assert (job["status"], job["cost"]["amount"]) == ("done", "0.25")
    document(command("job", "show", job["id"], "--json").out, "qlq.job.show")
    assert "qber upper" in command("job", "show", job["id"]).out
    refused = command("qkd", "process", "--job", f"rented:{job['job_ids'][0]}")
    assert refused.code == 2
    assert f"qlq job resume {job['id']}" in refused.err


def test_a_pilot_is_recorded_in_the_home_that_is_named(
    vendor: Any, command: Command, document: Check, tmp_path: Path
) -> None:
    home = str(tmp_path / "other")
    ended = command(*PILOT, "--json", "--home", home)
    assert document(ended.out, "qlq.backend.estimate")["pilot"]["cost"]["amount"] == "0.25"
    assert json.loads(command("job", "list", "--json").out)["jobs"] == []
    (job,) = json.loads(command("job", "list", "--json", "--home", home).out)["jobs"]
    assert job["job_ids"] == vendor.paid()


def test_two_processes_that_resume_at_once_make_one_key(
    vendor: Any, command: Command, waiting: str
) -> None:
    vendor.script(status=["queued"] * 60)
    both = [start("job", "resume", waiting, "--json") for _ in range(2)]
    ended = [(resuming.communicate(timeout=60), resuming.returncode) for resuming in both]
    assert sorted(code for _, code in ended) == [0, 2]
    ((_, err),) = [words for words, code in ended if code == 2]
    assert "another process works on job" in err
    assert len(vendor.jobs()) == 1
    keys = json.loads(command("keys", "list", "--party", "bob", "--json").out)["keys"]
    assert len(keys) == 1


def test_cancel_ends_the_command_that_waits(vendor: Any, command: Command, document: Check) -> None:
    vendor.script(**WAITING)
    paying = start(*PAY)
    until(lambda: vendor.calls("status") > 0, what="look at the job")
    (job,) = json.loads(command("job", "list", "--json").out)["jobs"]
    cancelled = command("job", "cancel", job["id"], "--json")
    assert cancelled.code == 0
    document(cancelled.out, "qlq.job.cancel")
    _, err = paying.communicate(timeout=30)
    assert paying.returncode == 4
    assert "cancelled" in err
    (job,) = json.loads(command("job", "list", "--json").out)["jobs"]
    assert (job["status"], job["cost"]["amount"]) == ("cancelled", "0.25")
    assert vendor.paid() == []


@pytest.mark.parametrize(
    ("answers", "code", "submits"),
    [
        ((), 6, 0),  # no terminal and no flag
        (("--yes",), 0, 1),
        (("--max-cost", "0.01"), 6, 0),
        (("--max-cost", "0.01", "--yes"), 6, 0),  # yes never lifts a cap
        (("--max-qpu-seconds", "1", "--yes"), 6, 0),
        (("--max-qpu-seconds", "100"), 0, 1),
        (("--max-cost", "10"), 0, 1),
        (("--max-cost", "much"), 2, 0),
        (("--max-cost", "nan"), 2, 0),
        (("--max-qpu-seconds", "-1"), 2, 0),
        (("--dry-run",), 0, 0),
    ],
)
def test_consent_on_the_command_line(
    vendor: Any,
    command: Command,
    answers: tuple[str, ...],
    code: int,
    submits: int,
) -> None:
    ended = command(*BUY, *answers)
    assert ended.code == code
    assert vendor.calls("submit") == submits
    assert ("error: " in ended.err) == bool(code)


@pytest.mark.parametrize("word", ["resume", "process"])
def test_a_cap_that_the_first_of_two_jobs_broke_is_raised_when_the_session_goes_on(
    vendor: Any, command: Command, word: str
) -> None:
    vendor.script(spent=["dear", "..."])
    refused = command(*BUY, "--eve", "intercept-resend:1", "--max-cost", "2")
    assert refused.code == 6
    (job,) = json.loads(command("job", "list", "--json").out)["jobs"]
    assert (job["status"], job["job_ids"]) == ("waiting", vendor.paid())
    assert f"qlq job resume {job['id']}" in refused.err
    go_on = {
        "resume": ("job", "resume", job["id"]),
        "process": ("qkd", "process", "--job", f"rented:{job['job_ids'][0]}"),
    }[word]
    assert [command(*go_on, *more).code for more in ((), ("--yes",))] == [6, 6]
    assert len(vendor.jobs()) == 1
    assert command(*go_on, "--max-cost", "300").code == 3  # Eve is seen
    assert len(vendor.jobs()) == 2


def test_an_unknown_price_needs_a_cap_on_seconds(vendor: Any, command: Command) -> None:
    unpriced = ("qkd", "run", "--backend", "rented:unpriced", "--pulses", "60000")
    refused = command(*unpriced, "--max-cost", "1000")
    assert refused.code == 6
    assert "--max-qpu-seconds" in refused.err
    assert vendor.calls("submit") == 0
    assert command(*unpriced, "--max-qpu-seconds", "1000").code == 0


SILENT = {
    "show a device": ({"describe": ["silent", "..."]}, ("backend", "show", "rented")),
    "estimate": ({"estimate": ["silent", "..."]}, ("backend", "estimate", "rented")),
    "submit": ({"submit": ["silent", "..."]}, PAY),
    "accepted in silence": ({"submit": ["late"]}, PAY),
    "status": ({"status": ["silent", "..."]}, PAY),
    "fetch": ({"fetch": ["silent", "..."]}, PAY),
}


@pytest.mark.parametrize(("script", "words"), SILENT.values(), ids=SILENT)
def test_a_silent_vendor_holds_no_command_beyond_its_deadline(
    vendor: Any, command: Command, script: dict[str, list[str]], words: tuple[str, ...]
) -> None:
    vendor.script(**script)
    started = time.monotonic()
    ended = command(*words, "--deadline", "1")
    assert time.monotonic() - started < 3.0
    assert ended.code == 4
    assert len(vendor.jobs()) <= 1


@pytest.mark.parametrize("script", [{"submit": ["late"]}, {"status": ["silent", "..."]}])
def test_a_silent_vendor_holds_no_process_either(vendor: Any, script: dict[str, list[str]]) -> None:
    """Of three processes one is quick enough: a busy machine may hold the others."""
    deadline_s, took_s = 5.0, []
    for _ in range(3):
        vendor.script(**script)
        before = len(vendor.jobs())
        started = time.monotonic()
        paying = start(*PAY, "--deadline", str(deadline_s))
        _, err = paying.communicate(timeout=60)
        took_s.append(time.monotonic() - started)
        assert paying.returncode == 4
        had_time = "opening rented gave" not in err and "was not asked" not in err
        if had_time and took_s[-1] < deadline_s + 2.0:
            assert "qlq job resume" in err
            assert len(vendor.jobs()) == before + 1
            return
    pytest.fail(f"a deadline of {deadline_s} s, and the processes took {took_s} s")


@pytest.mark.parametrize("word", ["show", "resume", "cancel"])
def test_a_silent_vendor_holds_no_job_command_beyond_its_deadline(
    vendor: Any, command: Command, waiting: str, word: str
) -> None:
    vendor.script(status=["silent", "..."], cancel=["silent", "..."])
    started = time.monotonic()
    ended = command("job", word, waiting, "--deadline", "1", "--json")
    assert time.monotonic() - started < 3.0
    assert ended.code == (0 if word == "show" else 4)
    (job,) = json.loads(command("job", "list", "--json").out)["jobs"]
    assert job["status"] == "waiting"


def test_no_command_shows_a_credential_or_a_seed(
    vendor: Any, command: Command, waiting: str, tmp_path: Path
) -> None:
    vendor.script(submit=["transient", "drop-after"])
    archive = tmp_path / "kept"
    said = [command("-v", *PAY, "--json", "--archive", str(archive)), command("-v", "job", "list")]
    vendor.script(status=["unavailable", "..."])
    said += [command("-v", "job", *words) for words in (("show", waiting), ("resume", waiting))]
    texts = [text for ended in said for text in (ended.out, ended.err)]
    files = [path for root in (tmp_path / "home", archive) for path in root.rglob("*")]
    texts += [path.read_bytes().decode("latin-1") for path in files if path.is_file()]
    assert len(texts) > 20
    assert not [text for text in texts if SECRET in text]
    seeds = [(archive / "secrets" / f"{name}_seed.bin").read_bytes() for name in ("alice", "bob")]
    outside = [
        path.read_bytes() for path in files if path.is_file() and "secrets" not in path.parts
    ]
    shown = [text.encode() for ended in said for text in (ended.out, ended.err)]
    for seed in seeds:
        assert not [
            text for text in (*outside, *shown) if seed in text or seed.hex().encode() in text
        ]


def test_no_jobs_and_no_such_job(command: Command, document: Check) -> None:
    assert document(command("job", "list", "--json").out, "qlq.job.list")["jobs"] == []
    for words in (("show", "0" * 12), ("resume", "0" * 12), ("cancel", "nothing")):
        ended = command("job", *words, "--json")
        assert ended.code == 2
        assert "qlq job list" in document(ended.out, "qlq.error")["error"]["message"]
    other = command("qkd", "process", "--job", "ibm:fez:abc")
    assert other.code == 2
    assert "only the home that submitted it" in other.err


def test_the_question_is_asked_on_a_terminal(vendor: Any) -> None:
    for answer, code in (("n", 6), ("y", 0)):
        near, far = os.openpty()
        command = subprocess.Popen(
            [*ENTRY, *BUY, "--json"], stdin=far, stderr=far, stdout=subprocess.PIPE, text=True
        )
        os.close(far)
        told = b""
        while b"[y/N]" not in told:
            told += os.read(near, 1024)
        assert vendor.calls("submit") == 0
        assert b"price list of a test, 2026-01-01" in told.replace(b"\r\n", b"")
        os.write(near, f"{answer}\n".encode())
        out = command.communicate(timeout=60)[0]
        os.close(near)
        assert command.returncode == code
        assert json.loads(out)["schema"] == "qlq.qkd.run/1"
    assert len(vendor.paid()) == 1

"""`qlq rng get`, `stream` and `serve`: exit codes, documents, and what is said of the bytes."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qlq.backends.emulator.ibm import IBMEmulator
from qlq.backends.emulator.server import Server
from qlq.cli import console, main

PROGRAM = [sys.executable, "-c", "from qlq.cli.main import main; main()", "rng"]
SHORT = "--allow-short"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    raw: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.raw.decode()


@pytest.fixture
def here(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """Run `qlq rng` in this process: starting one takes longer than most commands do."""
    for name in ("quiet", "verbose", "home", "profile", "document_schema"):
        monkeypatch.setattr(console.State, name, getattr(console.State, name))

    def run(*arguments: str) -> Done:
        console.State.document_schema = None
        code = main.run([*arguments])
        out, err = capsysbinary.readouterr()
        return Done(code, out, err.decode())

    return run


def test_a_simulated_device_gives_tier_t0_and_a_claim_of_0_with_the_words_why(
    qlq: Any, document: Any
) -> None:
    done = qlq("rng", "get", "--bytes", "32", "--backend", "aer:fez", "--json")
    assert done.returncode == 0
    found = document(done.stdout, "qlq.rng.get")
    assert len(bytes.fromhex(found["bytes_hex"])) == 32
    assert (found["tier"], found["claim_bits"], found["degraded"]) == ("T0", 0.0, False)
    assert "aer:fez is a simulator" in found["claim_reasons"][0]
    assert "32 bits" in found["claim_reasons"][0]
    assert found["provenance"]["jobs"][0]["device"] == "fake_fez"


def test_the_device_path_of_an_emulated_vendor_caps_the_claim_at_0(qlq: Any, document: Any) -> None:
    server = Server(IBMEmulator())
    try:
        done = qlq(
            "rng", "get", "--backend", "ibm:ibm_fez", "--yes", "--json", **server.environment
        )
    finally:
        server.close()
    assert done.returncode == 0, done.stderr
    found = document(done.stdout, "qlq.rng.get")
    assert (found["tier"], found["claim_bits"]) == ("T0", 0.0)
    assert found["provenance"]["jobs"][0]["provider"] == "qiskit-ibm-runtime"
    assert found["provenance"]["jobs"][0]["entropy_cap_bits"] is not None
    assert "simulator" in found["claim_reasons"][0]


def test_a_device_gives_its_capped_claim(lab: Any, here: Any, document: Any) -> None:
    done = here("rng", "get", "--bytes", "64", "--backend", "lab", SHORT, "--json")
    found = document(done.stdout, "qlq.rng.get")
    assert (found["tier"], found["claim_bits"]) == ("T2", 384.0)
    assert "stretch the seed" in found["claim_reasons"][-1]
    assert lab.submits() == 1


def test_without_a_quantum_backend_it_exits_with_4_unless_the_fallback_is_allowed(
    here: Any, document: Any
) -> None:
    for arguments in ([], ["--strict"]):
        done = here("rng", "get", "--backend", "classical", *arguments)
        assert (done.returncode, done.stdout) == (4, "")
        assert "--allow-fallback" in done.stderr
    done = here("-q", "rng", "get", "--backend", "classical", "--allow-fallback", "--json")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: degraded: ")
    found = document(done.stdout, "qlq.rng.get")
    assert (found["degraded"], found["tier"], found["certificate_id"]) == (True, "T0", None)
    refused = here("rng", "get", "--strict", "--allow-fallback", "--json")
    assert refused.returncode == 2
    assert "exclude each other" in json.loads(refused.stdout)["error"]["message"]


def test_classical_after_a_backend_that_works_needs_no_permission(
    lab: Any, here: Any, document: Any
) -> None:
    both = ("rng", "get", "--backend", "lab", "--backend", "classical", SHORT, "--json")
    done = here(*both)
    assert done.returncode == 0, done.stderr
    assert not document(done.stdout, "qlq.rng.get")["degraded"]
    lab.script("unavailable")
    done = here(*both)
    assert done.returncode == 4
    assert "--allow-fallback" in json.loads(done.stdout)["error"]["message"]
    done = here(*both, "--allow-fallback")
    found = document(done.stdout, "qlq.rng.get")
    assert found["degraded"]
    assert [one["backend"] for one in found["provenance"]["attempts"]] == ["lab"]


def test_degraded_bytes_are_said_on_stderr_even_when_quiet(lab: Any, here: Any) -> None:
    done = here("-q", "rng", "get", "--backend", "lab:down", "--allow-fallback")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: degraded: T0 none: bytes of the operating system")
    assert "moved" in done.stderr
    assert len(done.stdout) == 65
    assert lab.submits() == 0


def test_an_output_longer_than_the_entropy_allows_exits_with_5(
    lab: Any, here: Any, document: Any
) -> None:
    done = here("rng", "get", "--backend", "lab:simulated", "--full-entropy")
    assert (done.returncode, done.stdout) == (5, "")
    assert "allow 0" in done.stderr
    done = here("rng", "get", "--backend", "lab", SHORT, "--full-entropy", "--json")
    assert document(done.stdout, "qlq.rng.get")["claim_bits"] == 256.0
    assert lab.submits() == 2


@pytest.mark.parametrize(("word", "code"), [("stuck", 5), ("failed", 4), ("unavailable", 4)])
def test_a_source_that_fails_gives_its_exit_code_and_no_byte(
    lab: Any, here: Any, word: str, code: int
) -> None:
    lab.script(word)
    done = here("rng", "get", "--backend", "lab", SHORT)
    assert (done.returncode, done.stdout) == (code, "")


def test_money_is_spent_with_consent_only(lab: Any, here: Any) -> None:
    assert here("rng", "get", "--backend", "lab:paid", SHORT).returncode == 6
    assert here("rng", "get", "--backend", "lab:paid", SHORT, "--max-cost", "1").returncode == 6
    assert lab.submits() == 0
    assert here("rng", "get", "--backend", "lab:paid", SHORT, "--yes").returncode == 0


def test_formats_are_raw_hex_and_base64(lab: Any, here: Any) -> None:
    del lab
    common = ["rng", "get", "--bytes", "10", "--backend", "lab", SHORT, "--format"]
    assert len(here(*common, "raw").raw) == 10
    assert len(base64.b64decode(here(*common, "base64").raw.rstrip(), validate=True)) == 10


def test_a_file_comes_with_its_certificate(
    lab: Any, here: Any, document: Any, tmp_path: Path
) -> None:
    del lab
    path = tmp_path / "out.qbits"
    done = here(
        "rng", "get", "--bytes", "500", "--backend", "lab", SHORT, "-o", str(path), "--json"
    )
    assert done.returncode == 0
    assert document(done.stdout, "qlq.rng.get")["claim_bits"] == 384.0
    assert path.stat().st_size == 500
    written = json.loads((tmp_path / "out.cert.json").read_text())
    assert written["certificate"]["tier"] == "T2"
    checked = here("rng", "verify", str(path), "--json")
    verdict = document(checked.stdout, "qlq.rng.verify")
    assert (checked.returncode, verdict["target"], verdict["level"]) == (0, "file", "full")
    assert (verdict["certificate_id"], verdict["signer_is"]) == (written["id"], "own")
    assert verdict["claim_bits"] == 384.0
    path.write_bytes(bytes(500))
    checked = here("rng", "verify", str(tmp_path / "out.cert.json"), "--json")
    verdict = document(checked.stdout, "qlq.rng.verify")
    assert (checked.returncode, verdict["findings"][0]["field"]) == (7, "sha256")
    again = here("rng", "get", "--backend", "lab", SHORT, "-o", str(path))
    assert again.returncode == 2
    clash = here("rng", "get", "--full-entropy", "-o", str(tmp_path / "other.qbits"))
    assert clash.returncode == 2


def test_a_certificate_id_names_a_record_that_anyone_can_check(
    lab: Any, here: Any, document: Any, tmp_path: Path
) -> None:
    del lab
    for options in ((), ("--full-entropy",)):
        done = here("rng", "get", "--backend", "lab", SHORT, "--json", *options)
        found = document(done.stdout, "qlq.rng.get")
        named, (record,) = found["certificate_id"], found["records"]
        assert record["record"]["jobs"][0]["job_id"] == found["provenance"]["jobs"][0]["job_id"]
        checked = here("rng", "verify", named, "--json")
        verdict = document(checked.stdout, "qlq.rng.verify")
        assert (checked.returncode, verdict["valid"], verdict["target"]) == (0, True, "record")
        assert (verdict["certificate_id"], verdict["record"]) == (named, record)
        file = tmp_path / "record"
        file.write_text(json.dumps(record))
        assert here("--home", str(tmp_path / "other"), "rng", "verify", str(file)).returncode == 0
        record["record"]["credited_bits"] = "383.0"
        file.write_text(json.dumps(record))
        checked = here("rng", "verify", str(file), "--json")
        verdict = document(checked.stdout, "qlq.rng.verify")
        assert (checked.returncode, verdict["findings"][0]["field"]) == (7, "id")
    told = here("rng", "verify", named).stdout
    assert "valid (record check)" in told
    assert "device lab" in told
    kept = tmp_path / "home" / "rng" / "records" / f"{named}.json"
    kept.write_text(kept.read_text().replace("4096", "4097"))
    assert here("rng", "verify", named).returncode == 7


def test_an_id_that_is_not_kept_here_and_what_is_no_id_are_usage_errors(here: Any) -> None:
    unknown = here("rng", "verify", "ab" * 32)
    assert unknown.returncode == 2
    assert "--home" in unknown.stderr
    assert here("rng", "verify", "ab" * 31).returncode == 2
    assert here("rng", "verify", "ab" * 32, "--signer", "00" * 32).returncode == 2


def test_a_home_that_cannot_keep_a_record_gives_the_bytes_all_the_same(
    lab: Any, here: Any, document: Any, tmp_path: Path
) -> None:
    del lab
    (tmp_path / "home").write_text("a file where the folder should be")
    done = here("rng", "get", "--backend", "lab", SHORT, "--json")
    assert done.returncode == 0
    assert "is not kept" in done.stderr
    assert len(document(done.stdout, "qlq.rng.get")["records"]) == 1
    done = here("rng", "get", "--backend", "lab", SHORT, "-o", str(tmp_path / "a.qbits"))
    assert done.returncode == 2  # nothing could be signed


def test_a_stream_has_the_length_that_was_asked_for(lab: Any, here: Any) -> None:
    del lab
    done = here("rng", "stream", "--bytes", "200000", "--backend", "lab", SHORT)
    assert (done.returncode, len(done.raw)) == (0, 200_000)
    assert "T2 device-modelled" in done.stderr


def test_a_lost_source_ends_a_stream_with_an_error_and_no_padding(lab: Any, here: Any) -> None:
    lab.script("ok", "ok", "unavailable")
    done = here(
        "rng", "stream", "--bytes", "200000", "--backend", "lab", SHORT, "--reseed-bytes", "65536"
    )
    assert done.returncode == 4
    assert len(done.raw) == 2 * 65536
    assert "closed" in done.stderr


def test_a_reader_that_goes_away_is_no_error(lab: Any) -> None:
    del lab
    stream = [*PROGRAM, "stream", "--backend", "lab", SHORT]
    with subprocess.Popen(stream, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert len(running.stdout.read(100)) == 100
        running.stdout.close()
        assert running.wait(timeout=60) == 0
        assert b"Traceback" not in running.stderr.read()


def test_the_endpoint_serves_until_ctrl_c(lab: Any) -> None:
    del lab
    serve = [*PROGRAM, "serve", "--backend", "lab", SHORT]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        url = running.stdout.readline().decode().strip()
        address, _, path = url.removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", f"/{path}?count=8")
        found = json.loads(connection.getresponse().read())
        connection.close()
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 130
    assert (len(found["bytes_hex"]), found["tier"], found["claim_bits"]) == (16, "T2", 64.0)


def test_a_source_that_is_dead_from_the_start_serves_nothing(lab: Any, here: Any) -> None:
    lab.script("unavailable")
    done = here("rng", "serve", "--backend", "lab", SHORT)
    assert (done.returncode, done.stdout) == (4, "")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_raw_bytes_do_not_go_to_a_terminal() -> None:
    leader, follower = os.openpty()
    done = subprocess.run(
        [*PROGRAM, "stream", "--bytes", "8"],
        stdout=follower,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(leader)
    os.close(follower)
    assert done.returncode == 2
    assert b"terminal" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bytes", "0"],
        ["--bytes", str((1 << 20) + 1)],
        ["--bytes", "x"],
        ["--format", "octal"],
        ["--deadline", "0"],
        ["--max-cost", "much"],
        ["--backend", "nowhere"],
    ],
)
def test_values_that_cannot_be_used_exit_with_2(here: Any, arguments: list[str]) -> None:
    assert here("rng", "get", *arguments).returncode == 2

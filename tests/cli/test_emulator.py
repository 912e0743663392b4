"""`qlq emulator`: what it prints, that it serves loopback only, and how it ends."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from qlq.cli.main import run

ENTRY = [sys.executable, "-c", "from qlq.cli.main import main; main()"]
NAMES = {
    "ibm": {"QISKIT_IBM_URL", "QISKIT_IBM_TOKEN", "IAM_URL", "GLOBAL_SEARCH_URL"},
    "braket": {"BRAKET_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_ACCESS_KEY_ID"},
}


@pytest.mark.parametrize("vendor", NAMES)
def test_it_prints_the_environment_of_a_loopback_server_and_ends_with_ctrl_c(vendor: str) -> None:
    serving = subprocess.Popen(
        [*ENTRY, "emulator", vendor], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert serving.stderr is not None
    listening = serving.stderr.readline()
    assert listening.startswith("listening on http://127.0.0.1:")
    url = listening.split()[2].rstrip(";")
    with pytest.raises(urllib.error.HTTPError), urllib.request.urlopen(f"{url}/nothing"):  # noqa: S310
        pass
    serving.send_signal(signal.SIGINT)
    out, err = serving.communicate(timeout=20)
    assert serving.returncode == 130
    assert "Traceback" not in err
    pairs = dict(shlex.split(line)[1].split("=", 1) for line in out.splitlines())
    assert all(line.startswith("export ") for line in out.splitlines())
    assert pairs.keys() >= NAMES[vendor]
    for value in pairs.values():
        if value.startswith("http"):
            assert urlsplit(value).hostname == "127.0.0.1"


@pytest.mark.parametrize("vendor", NAMES)
def test_a_bad_script_or_port_is_named(
    vendor: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "faults.json"
    script.write_text(json.dumps({"schema": "qlq.faults/1", "faults": [{"on": "GET"}]}))
    assert run(["emulator", vendor, "--faults", str(script)]) == 2
    assert run(["emulator", vendor, "--faults", str(tmp_path / "none.json")]) == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["emulator", vendor, "--port", str(taken.getsockname()[1])]) == 2
    words = capsys.readouterr().err
    assert words.count("faults.json") == 1
    assert "none.json" in words
    assert "cannot listen" in words

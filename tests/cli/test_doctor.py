"""`qlq doctor`."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

WORDS = "open sesame"


def test_a_good_machine_is_healthy(qlq: Any, document: Any) -> None:
    done = qlq("doctor", "--json")
    assert done.returncode == 0
    found = document(done.stdout, "qlq.doctor")
    checks = {check["name"]: check for check in found["checks"]}
    assert found["healthy"] is True
    assert checks["cryptography"]["value"] == version("cryptography")
    for name in ("python", "qlq", "folder home", "folder settings", "clock", "loopback port"):
        assert checks[name]["ok"], name
    for name in ("extra braket", "extra cirq", "extra plot"):
        assert checks[name]["ok"], "an absent extra is no fault"
        if "not installed" in checks[name]["value"]:
            assert checks[name]["advice"].startswith("pip install 'qlq[")


def test_looking_creates_nothing(qlq: Any, tmp_path: Path) -> None:
    qlq("doctor")
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "settings").exists()


def test_a_folder_that_cannot_be_written_exits_with_2(
    qlq: Any, document: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    done = qlq("doctor", "--json", QLQ_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 2
    found = document(done.stdout, "qlq.doctor")
    assert found["healthy"] is False
    (bad,) = [check for check in found["checks"] if not check["ok"]]
    assert bad["name"] == "folder home"
    assert "--home" in bad["advice"]


def test_credentials_are_named_and_never_shown(qlq: Any, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("aws_secret_access_key = hushhush")
    done = qlq("doctor", "--json", HOME=str(tmp_path), QLQ_PASSPHRASE=WORDS)
    assert "aws" in done.stdout
    assert "hushhush" not in done.stdout + done.stderr
    assert "sesame" not in done.stdout + done.stderr

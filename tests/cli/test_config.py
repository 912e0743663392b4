"""`qlq config show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = "open sesame"


def test_each_value_has_its_origin(qlq: Any, document: Any, tmp_path: Path) -> None:
    folder = tmp_path / "settings" / "qlq"
    folder.mkdir(parents=True)
    (folder / "qlq.toml").write_text('[profile.lab]\nbackend = "aer:fez"\n')
    done = qlq("--profile", "lab", "config", "show", "--json", QLQ_PASSPHRASE=WORDS)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sesame" not in done.stdout
    assert document(done.stdout, "qlq.config.show") == {
        "schema": "qlq.config.show/1",
        "file": str(folder / "qlq.toml"),
        "settings_folder": str(folder),
        "settings": {
            "home": {"value": str(tmp_path / "home"), "origin": "environment"},
            "backend": {"value": "aer:fez", "origin": "profile"},
            "passphrase": {"value": "set", "origin": "environment"},
        },
    }


def test_a_flag_wins_before_and_after_the_command(qlq: Any, document: Any) -> None:
    for arguments in (
        ["--home", "/elsewhere", "config", "show", "--json"],
        ["config", "show", "--home", "/elsewhere", "--json"],
    ):
        home = document(qlq(*arguments).stdout, "qlq.config.show")["settings"]["home"]
        assert home == {"value": "/elsewhere", "origin": "flag"}


def test_people_see_the_origins_when_they_ask(qlq: Any) -> None:
    assert "environment" not in qlq("config", "show").stdout
    done = qlq("config", "show", "--origin", QLQ_PASSPHRASE=WORDS)
    assert "environment" in done.stdout
    assert "sesame" not in done.stdout + done.stderr


def test_an_unknown_setting_exits_with_2_and_a_document(
    qlq: Any, document: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "settings" / "qlq"
    folder.mkdir(parents=True)
    (folder / "qlq.toml").write_text('bakend = "aer"\n')
    done = qlq("config", "show", "--json")
    assert done.returncode == 2
    found = document(done.stdout, "qlq.error")
    assert (found["schema"], found["error"]["kind"]) == ("qlq.config.show/1", "ConfigError")
    assert "did you mean 'backend'" in found["error"]["message"]
    assert done.stderr.startswith("error: unknown setting")
    assert "Traceback" not in done.stderr

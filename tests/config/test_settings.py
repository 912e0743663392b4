"""Which value wins, where it came from, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from qlq import config
from qlq.config import Origin
from qlq.errors import ConfigError

LAYERS = (Origin.FLAG, Origin.ENVIRONMENT, Origin.PROFILE, Origin.FILE)


def write(folder: Path, text: str) -> dict[str, str]:
    """An environment whose qlq.toml has this text."""
    (folder / "qlq").mkdir(exist_ok=True)
    (folder / "qlq" / "qlq.toml").write_text(text)
    return {"HOME": "/home/u", "XDG_CONFIG_HOME": str(folder)}


@pytest.mark.parametrize("name", ["home", "backend"])
@pytest.mark.parametrize(
    "given", [set(each) for n in range(5) for each in itertools.combinations(LAYERS, n)]
)
def test_the_first_layer_that_says_something_wins(
    tmp_path: Path, name: str, given: set[Origin]
) -> None:
    """All sixteen combinations of the four layers that can speak."""
    text = f'{name} = "/file"\n' if Origin.FILE in given else ""
    text += "[profile.lab]\n" + (f'{name} = "/profile"\n' if Origin.PROFILE in given else "")
    environ = write(tmp_path, text)
    if Origin.ENVIRONMENT in given:
        environ[f"QLQ_{name.upper()}"] = "/environment"
    found = config.load(
        flags={name: "/flag" if Origin.FLAG in given else None}, environ=environ, profile="lab"
    )
    default = {"home": "/home/u/.local/share/qlq", "backend": "aer"}[name]
    winner = next((layer for layer in LAYERS if layer in given), Origin.DEFAULT)
    assert found.origins[name] is winner
    assert str(getattr(found, name)) == (default if not given else f"/{winner.value}")


def test_folders_follow_the_xdg_specification() -> None:
    found = config.load(
        flags={}, environ={"HOME": "/h", "XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c"}
    )
    assert (found.home, found.settings_folder) == (Path("/d/qlq"), Path("/c/qlq"))
    assert found.file == Path("/c/qlq/qlq.toml")
    found = config.load(flags={}, environ={"HOME": "/h"})
    assert (found.home, found.settings_folder) == (
        Path("/h/.local/share/qlq"),
        Path("/h/.config/qlq"),
    )


def test_the_profile_may_come_from_the_environment_and_a_flag_wins(tmp_path: Path) -> None:
    environ = write(tmp_path, '[profile.a]\nbackend = "aer:fez"\n[profile.b]\nbackend = "cirq"\n')
    assert config.load(flags={}, environ=environ).backend == "aer"
    environ["QLQ_PROFILE"] = "a"
    assert config.load(flags={}, environ=environ).backend == "aer:fez"
    assert config.load(flags={}, environ=environ, profile="b").backend == "cirq"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('bakend = "aer"', "did you mean 'backend'"),
        ('zzz = "aer"', "known: home, backend"),
        ('[profile.lab]\nhom = "x"', "did you mean 'home'"),
        ('[profile.other]\nhom = "x"', "did you mean 'home'"),
        ("backend = 5", "'backend'.*must be text, not 5"),
        ('backend = "aer"\nhome = 5 5', "line 2"),
        ('profile = "lab"', r"\[profile.NAME\]"),
        ('profile.lab = "x"', r"\[profile.NAME\]"),
        ('[profile.lap]\nbackend = "aer"', "no profile 'lab'.*did you mean 'lap'"),
        ("", "no profile 'lab'"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_place(
    tmp_path: Path, text: str, told: str
) -> None:
    environ = write(tmp_path, text)
    with pytest.raises(ConfigError, match=told) as refused:
        config.load(flags={}, environ=environ, profile="lab")
    assert str(tmp_path / "qlq" / "qlq.toml") in str(refused.value)


def test_a_passphrase_in_a_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    environ = write(tmp_path, 'passphrase = "open sesame"')
    with pytest.raises(ConfigError, match="QLQ_PASSPHRASE") as refused:
        config.load(flags={}, environ=environ)
    assert "sesame" not in str(refused.value)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "qlq" / "qlq.toml").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"qlq\.toml"):
        config.load(flags={}, environ={"HOME": "/h", "XDG_CONFIG_HOME": str(tmp_path)})


def test_bytes_that_are_not_text_are_named(tmp_path: Path) -> None:
    environ = write(tmp_path, "")
    (tmp_path / "qlq" / "qlq.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"qlq\.toml"):
        config.load(flags={}, environ=environ)


def test_the_passphrase_comes_from_the_environment_and_is_not_shown() -> None:
    found = config.load(flags={}, environ={"HOME": "/h", "QLQ_PASSPHRASE": "open sesame"})
    assert found.passphrase == "open sesame"  # noqa: S105 - the value under test
    assert found.origins["passphrase"] is Origin.ENVIRONMENT
    assert "sesame" not in repr(found)
    assert "sesame" not in str(found)
    assert config.load(flags={}, environ={"HOME": "/h"}).passphrase is None


@pytest.mark.parametrize("name", ["home", "backend"])
def test_an_empty_variable_says_nothing(name: str) -> None:
    """The XDG specification's rule for its own variables, kept for ours."""
    found = config.load(flags={}, environ={"HOME": "/h", f"QLQ_{name.upper()}": ""})
    assert found.origins[name] is Origin.DEFAULT

"""`qlq qkd run`, `qlq qkd verify` and `qlq demo`: documents, exit codes, words."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qlq.cli.main import run

PULSES = "20000"
Check = Callable[[str, str], dict[str, Any]]

# The fields that scripts rely on, and those inside them.
FIELDS = {
    *("protocol", "backend", "pulses", "sifted_bits", "test_bits", "key_bits"),
    *("qber", "qber_key", "qber_test", "chsh", "secret_bits", "net_bits", "key_id"),
    *("aborted", "archive"),
}
INNER = {
    "provenance": {"tier", "claim", "device", "job_ids", "sdk", "reproducible"},
    "reconciliation": {"method", "leak_ec_bits", "leak_max_bits", "efficiency", "messages"},
    "finite_key": {"theorem", "eps_sec", "eps_cor", "eps_auth", "eps_total", "assumptions"},
    "authentication": {"tags", "key_bits_consumed"},
    "worth": {"claim", "secret_against", "entropy_cap_bits"},
    "timing": {"wall_s", "backend_s", "post_processing_s"},
}


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command line in this process."""

    def conduct(*arguments: str) -> Ended:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return conduct


@pytest.fixture
def archive(command: Command, tmp_path: Path) -> Path:
    """The archive of a seeded session."""
    path = tmp_path / "kept"
    seeded = ("--backend", "aer", "--pulses", PULSES, "--seed", "1", "--archive", str(path))
    assert command("qkd", "run", *seeded).code == 0
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--pulses", "0"), 2, "pulses must be from 1 to"),
        (("--pulses", "-5"), 2, "-5"),
        (("--pulses", "many"), 2, "Invalid value for '--pulses'"),
        (("--protocol", "bb85"), 2, "unknown protocol 'bb85'; known: bb84, e91"),
        (("--reconciliation", "turbo"), 2, "unknown reconciliation 'turbo'"),
        (("--backend", "nope"), 2, "unknown backend scheme 'nope'"),
        (("--backend", "aer:nope"), 2, "unknown device 'nope'"),
        (("--backend", "aer:fez?qubits=156"), 2, "qubit 156 of fake_fez is not on the chip"),
        (("--backend", "aer:fez?qubits=-1"), 2, "qubits='-1'"),
        (("--backend", "aer:fez?qubits=a"), 2, "qubits='a'"),
        (("--backend", "aer:fez?quibits=1"), 2, "unknown option 'quibits'"),
        (("--eve", "listen"), 2, "no such attack: 'listen'"),
        (("--eve", "intercept-resend:1.5"), 2, "1.5"),
        (("--eve", "intercept-resend:nan"), 2, "nan"),
        (("--seed", "-1"), 2, "the seed must not be negative: -1"),
        (("--qber-max", "nan"), 2, "QBER limit must be from 1e-6 to 0.499999: nan"),
        (("--qber-max", "0.6"), 2, "0.6"),
        (("--basis-bias", "2"), 2, "basis bias must be within [0.5, 0.99]: 2"),
        (("--eps-sec", "0"), 2, "0"),
        (("--eps-cor", "nan"), 2, "nan"),
    ],
)
def test_a_bad_value_is_named_in_one_line(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    backend = () if "--backend" in arguments else ("--backend", "aer")
    ended = command("-q", "qkd", "run", *backend, *arguments)
    assert ended.code == code
    assert words in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [("--pulses", "0"), ("--protocol", "bb85")])
def test_a_bad_value_prints_the_error_document(
    command: Command, document: Check, value: tuple[str, ...]
) -> None:
    ended = command("qkd", "run", *value, "--json")
    found = document(ended.out, "qlq.error")
    assert ended.code == 2
    assert found["schema"] == "qlq.qkd.run/1"
    assert value[1] in found["error"]["message"]


@pytest.mark.parametrize(
    ("backend", "module", "extra"), [("cirq", "cirq", "cirq"), ("braket:local", "braket", "braket")]
)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, backend: str, module: str, extra: str
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, f"qlq.backends.{extra}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]  # as if not installed
    ended = command("-q", "qkd", "run", "--backend", backend, "--pulses", "100")
    assert ended.code == 4
    assert f"qlq[{extra}]" in ended.err
    assert "install" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_an_archive_below_a_file_is_refused_and_nothing_is_written(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("keep", encoding="ascii")
    path = str(tmp_path / "file" / "archive")
    ended = command("-q", "qkd", "run", "--backend", "aer", "--seed", "1", "--archive", path)
    assert ended.code == 2
    assert "cannot write in" in ended.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_home_below_a_file_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep", encoding="ascii")
    home = str(tmp_path / "file" / "home")
    ended = command("-q", "qkd", "run", "--backend", "aer", "--pulses", PULSES, "--home", home)
    assert ended.code == 2
    assert str(tmp_path / "file") in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("protocol", ["bb84", "e91"])
def test_the_document_has_every_promised_field(
    command: Command, document: Check, protocol: str
) -> None:
    pulses = {"bb84": PULSES, "e91": "60000"}[protocol]
    seeded = ("--backend", "aer", "--protocol", protocol, "--pulses", pulses, "--seed", "3")
    ended = command("qkd", "run", *seeded, "--json")
    found = document(ended.out, "qlq.qkd.run")
    assert ended.code == 0
    assert set(found) >= FIELDS
    for name, inner in INNER.items():
        assert inner <= set(found[name]), name
    assert found["schema"] == "qlq.qkd.run/1"
    assert found["aborted"] is None
    assert found["secret_bits"] > 0
    assert found["net_bits"] == found["secret_bits"] - 512  # two tags of 256 bits of key each
    if protocol == "e91":
        assert {"s", "sigma", "no_signalling_p", "max_marginal_shift"} <= set(found["chsh"])
        # Tsirelson's value within 4 sigma: false alarm 6e-5, and the seed is fixed.
        assert abs(found["chsh"]["s"] - 8**0.5) < 4 * found["chsh"]["sigma"]
    else:
        assert found["chsh"] is None
    assert (found["qber_key"], found["qber_test"]) == (0, 0)  # an ideal simulator


def test_a_dry_run_tells_what_it_would_take_and_submits_nothing(
    command: Command, document: Check, tmp_path: Path
) -> None:
    ended = command("qkd", "run", "--backend", "aer", "--pulses", PULSES, "--dry-run", "--json")
    found = document(ended.out, "qlq.qkd.run")
    assert ended.code == 0
    assert found["dry_run"] is True
    assert list(tmp_path.iterdir()) == []


def test_the_estimate_s_least_pulses_make_a_key_and_a_tenth_does_not(
    command: Command, document: Check
) -> None:
    found = document(command("backend", "estimate", "aer", "--json").out, "qlq.backend.estimate")
    least = found["min_pulses_for_key"]
    for pulses, code in ((least, 0), (least // 10, 3)):
        seeded = ("--backend", "aer", "--pulses", str(pulses), "--seed", "5")
        assert command("qkd", "run", *seeded, "--json").code == code, pulses


def test_one_seed_gives_one_document(command: Command, tmp_path: Path) -> None:
    texts = []
    for name in ("first", "second"):
        path = str(tmp_path / name)
        seeded = ("--backend", "aer", "--pulses", PULSES, "--seed", "1", "--archive", path)
        found = json.loads(command("qkd", "run", *seeded, "--json").out)
        assert found.pop("archive") == path
        found.pop("timing")
        texts.append(json.dumps(found))
    assert texts[0] == texts[1]
    for file in ("transcript.bin", "secrets/alice_seed.bin", "secrets/bob_bits.bin"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_another_seed_gives_another_session(command: Command) -> None:
    outs = []
    for seed in ("1", "2"):
        seeded = ("--backend", "aer", "--pulses", PULSES, "--seed", seed, "--json")
        found = json.loads(command("qkd", "run", *seeded).out)
        outs.append((found["sifted_bits"], found["provenance"]["job_ids"]))
    assert outs[0] != outs[1]


def test_eve_ends_the_session_with_3_and_leaves_no_key(command: Command, document: Check) -> None:
    attack = ("--eve", "intercept-resend:1", "--backend", "aer", "--pulses", PULSES, "--seed", "1")
    ended = command("qkd", "run", *attack, "--json")
    found = document(ended.out, "qlq.qkd.run")
    assert ended.code == 3
    assert found["aborted"]["reason"] == "qber"
    assert (found["secret_bits"], found["key_id"]) == (0, None)
    assert found["eve"] == "intercept-resend:1"


def test_an_abort_is_told_to_people_with_its_reason(command: Command) -> None:
    attack = ("--eve", "intercept-resend:1", "--backend", "aer", "--pulses", PULSES, "--seed", "1")
    ended = command("qkd", "run", *attack)
    assert ended.code == 3
    assert "Aborted (qber)" in ended.out
    assert "Worth: nothing" in ended.out
    assert "Traceback" not in ended.err


def test_a_bad_qubit_of_a_real_device_ends_the_session_with_3(
    command: Command, document: Check
) -> None:
    bad = ("--backend", "aer:torino?qubits=0", "--pulses", PULSES, "--seed", "1")
    ended = command("qkd", "run", *bad, "--json")
    found = document(ended.out, "qlq.qkd.run")
    assert ended.code == 3
    assert found["aborted"]["reason"] == "qber"
    assert found["provenance"]["qubits"] == [0]


def test_a_session_says_what_its_key_is_worth_and_what_to_type_next(command: Command) -> None:
    ended = command("qkd", "run", "--backend", "aer", "--pulses", PULSES, "--seed", "1")
    assert ended.code == 0
    assert "simulat" in ended.out.lower()
    assert "Next: qlq qkd run --archive" in ended.out


def test_a_valid_archive_verifies_with_0(command: Command, document: Check, archive: Path) -> None:
    ended = command("qkd", "verify", str(archive), "--json")
    found = document(ended.out, "qlq.qkd.verify")
    assert ended.code == 0
    assert (found["valid"], found["level"], found["findings"]) == (True, "full", [])
    assert "valid (full check)" in command("qkd", "verify", str(archive)).out


@pytest.mark.parametrize("name", ["session.json", "transcript.bin", "secrets/tag_keys.bin"])
def test_a_truncated_archive_verifies_with_7_and_names_the_file(
    command: Command, document: Check, archive: Path, name: str
) -> None:
    data = (archive / name).read_bytes()
    (archive / name).write_bytes(data[: len(data) // 2])
    ended = command("qkd", "verify", str(archive), "--json")
    found = document(ended.out, "qlq.qkd.verify")
    assert ended.code == 7
    assert name in {finding["file"] for finding in found["findings"]}
    assert f"{name}:" in command("qkd", "verify", str(archive)).out


def test_a_folder_that_is_no_archive_is_refused_with_2(command: Command, tmp_path: Path) -> None:
    ended = command("qkd", "verify", str(tmp_path))
    assert ended.code == 2
    assert f"{tmp_path} is not an archive" in ended.err


def test_an_archive_given_away_without_secrets_verifies(command: Command, archive: Path) -> None:
    shutil.rmtree(archive / "secrets")
    ended = command("qkd", "verify", str(archive))
    assert ended.code == 0
    assert "valid (public check)" in ended.out


def test_the_demo_tells_of_a_key_an_abort_and_an_entangled_key(
    command: Command, document: Check, tmp_path: Path
) -> None:
    ended = command("demo", "--backend", "aer", "--json")
    sessions = document(ended.out, "qlq.demo")["sessions"]
    assert ended.code == 0
    assert [session["protocol"] for session in sessions] == ["bb84", "bb84", "e91"]
    assert [bool(session["aborted"]) for session in sessions] == [False, True, False]
    assert list(tmp_path.iterdir()) == []

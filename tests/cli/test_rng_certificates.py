"""`qlq rng certify`, `verify`, `pulse` and `check-pulses` as a shell sees them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qlq.cli.main import run

Run = Callable[..., subprocess.CompletedProcess[str]]
Check = Callable[[str, str], dict[str, Any]]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """As `qlq`, within this process: a new one takes seconds to import a simulator."""

    def call(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            code = run(list(arguments))
        spoken = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, spoken.out, spoken.err)

    return call


@pytest.fixture
def bundle(here: Run, tmp_path: Path) -> Path:
    done = here("rng", "certify", "--backend", "aer", "--shots", "12000", "-o", str(tmp_path / "b"))
    assert done.returncode == 0, done.stderr
    return tmp_path / "b"


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def test_a_certificate_of_a_simulator_claims_nothing_and_says_why(
    qlq: Run, document: Check, tmp_path: Path
) -> None:
    target = str(tmp_path / "bundle")
    done = qlq("rng", "certify", "--backend", "aer:fez", "--shots", "20000", "-o", target, "--json")
    assert done.returncode == 0, done.stderr
    found = document(done.stdout, "qlq.rng.certify")
    assert 2.5 < found["s"] < 2.83 + 5 * found["sigma"]
    assert found["certified_bits"] > 1000
    assert (found["tier"], found["claim_bits"]) == ("T0", 0)
    assert "simulator" in found["claim_reasons"][0]
    assert found["epsilon"] == 2 * 2.0**-64
    checked = qlq("rng", "verify", target, "--json")
    assert checked.returncode == 0
    verdict = document(checked.stdout, "qlq.rng.verify")
    assert verdict["valid"]
    assert verdict["certificate_id"] == found["certificate_id"]
    assert verdict["signer_is"] == "own"
    names = {p.name for p in Path(target).rglob("*") if p.is_file()}
    assert names > {"certificate.json", "data.shots", "output.bin"}


def test_a_changed_bundle_exits_with_7_and_names_file_and_field(
    here: Run, document: Check, bundle: Path
) -> None:
    flip(bundle / "secrets" / "data.shots", 9)
    done = here("rng", "verify", str(bundle), "--json")
    assert done.returncode == 7
    verdict = document(done.stdout, "qlq.rng.verify")
    places = {(finding["file"], finding["field"]) for finding in verdict["findings"]}
    assert ("secrets/data.shots", "sha256") in places
    assert ("certificate.json", "result.shots_root") in places
    plain = here("rng", "verify", str(bundle))
    assert plain.returncode == 7
    assert "secrets/data.shots: sha256" in plain.stdout


def test_another_signer_is_said_and_refused_where_one_is_wanted(
    here: Run, document: Check, bundle: Path, tmp_path: Path
) -> None:
    done = here("rng", "verify", str(bundle), "--json", QLQ_HOME=str(tmp_path / "elsewhere"))
    verdict = document(done.stdout, "qlq.rng.verify")
    assert (done.returncode, verdict["signer_is"]) == (0, "another")
    assert "another key" in done.stderr
    wrong = here("rng", "verify", str(bundle), "--signer", "00" * 32)
    assert wrong.returncode == 7
    assert "certificate.json: signer" in wrong.stdout
    assert here("rng", "verify", str(bundle), "--signer", verdict["signer"]).returncode == 0


def test_a_bundle_without_secrets_verifies_at_the_public_level(
    here: Run, document: Check, bundle: Path
) -> None:
    shutil.rmtree(bundle / "secrets")
    done = here("rng", "verify", str(bundle), "--json")
    assert (done.returncode, document(done.stdout, "qlq.rng.verify")["level"]) == (0, "public")


def test_a_dry_run_sends_nothing(here: Run, document: Check, vendor: Any, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    done = here(
        "rng", "certify", "--backend", "rented", "--shots", "12000", "-o", str(target), "--dry-run",
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    planned = document(done.stdout, "qlq.rng.certify")
    assert planned["cost"]["currency"] == "USD"
    assert planned["rounds"] == [2400, 9600]
    surplus = [a - b for a, b in zip(planned["shots"], planned["rounds"], strict=True)]
    assert planned["surplus_shots"] == surplus
    assert all(more > 0 for more in surplus)  # 2,400 settings never come out equal by chance
    assert vendor.jobs() == []
    assert not target.exists()


def test_a_paid_certificate_needs_consent(
    here: Run, document: Check, vendor: Any, tmp_path: Path
) -> None:
    ask = (
        "rng",
        "certify",
        "--backend",
        "rented:qpu",
        "--shots",
        "12000",
        "-o",
        str(tmp_path / "b"),
        "--json",
    )
    refused = here(*ask)
    assert refused.returncode == 6
    document(refused.stdout, "qlq.error")
    assert here(*ask, "--max-cost", "0.01", "--yes").returncode == 6
    assert vendor.jobs() == []
    done = here(*ask, "--max-cost", "1")
    assert done.returncode == 0, done.stderr
    assert document(done.stdout, "qlq.rng.certify")["tier"] in {"T2", "T3"}
    assert len(vendor.paid()) == 2


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--backend", "aer", "--shots", "99"), 2, "99"),
        (("--backend", "classical"), 2, "classical"),
        (("--backend", "nowhere"), 2, "nowhere"),
        (("--backend", "aer", "--max-cost", "much"), 2, "much"),
        (("--backend", "aer", "--deadline", "0"), 2, "deadline"),
        (("--backend", "aer", "--epsilon-log2", "3"), 2, "epsilon"),
    ],
)
def test_what_cannot_be_used_is_an_error_with_its_code(
    here: Run, document: Check, tmp_path: Path, options: tuple[str, ...], code: int, word: str
) -> None:
    done = here("rng", "certify", *options, "-o", str(tmp_path / "b"), "--json")
    assert done.returncode == code
    assert word in document(done.stdout, "qlq.error")["error"]["message"]
    assert not (tmp_path / "b").exists()


def test_what_is_no_bundle_and_no_file_of_pulses_is_a_usage_error(
    here: Run, document: Check, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("hello")
    for arguments in (
        ("verify", str(tmp_path)),
        ("verify", str(tmp_path / "absent")),
        ("check-pulses", str(tmp_path / "absent")),
        ("check-pulses", str(tmp_path / "text")),
    ):
        done = here("rng", *arguments, "--json")
        assert done.returncode == 2
        document(done.stdout, "qlq.error")


def test_pulses_are_made_one_after_the_other_and_verify(here: Run, document: Check) -> None:
    first = document(here("rng", "pulse", "--backend", "aer", "--json").stdout, "qlq.rng.pulse")
    second = document(here("rng", "pulse", "--backend", "aer", "--json").stdout, "qlq.rng.pulse")
    assert (first["index"], first["status"]) == (0, "first")
    assert (second["index"], second["status"]) == (1, "normal")
    assert second["previous"] == first["digest"]
    assert (second["tier"], second["claim_bits"]) == ("T0", 0)
    assert second["record"]["id"] == second["certificate_id"]
    assert second["record"]["record"]["jobs"][0]["backend"] == "aer"
    checked = here("rng", "verify", second["certificate_id"], "--json")
    assert document(checked.stdout, "qlq.rng.verify")["record"] == second["record"]
    done = here("rng", "check-pulses", second["file"], "--json")
    checked = document(done.stdout, "qlq.rng.check-pulses")
    assert (done.returncode, checked["valid"], checked["pulses"]) == (0, True, 2)
    assert checked["last"]["value"] == second["value"]
    file = Path(second["file"])
    flip(file, file.stat().st_size - 3400)  # in the last pulse's signature or body
    done = here("rng", "check-pulses", str(file), "--json")
    checked = document(done.stdout, "qlq.rng.check-pulses")
    assert (done.returncode, checked["valid"], checked["fault"]["index"]) in {
        (7, False, 1), (7, False, None),
    }  # fmt: skip
    assert checked["pulses"] == 1


@pytest.mark.parametrize("tail", ["cut", "lengthened"])
def test_a_torn_tail_exits_with_7_unless_the_file_is_being_written(
    here: Run, document: Check, tail: str
) -> None:
    for _ in range(2):
        made = document(here("rng", "pulse", "--backend", "aer", "--json").stdout, "qlq.rng.pulse")
    file = Path(made["file"])
    data = file.read_bytes()
    file.write_bytes(data[:-9] if tail == "cut" else data + data[1966:1999])
    whole = 1 if tail == "cut" else 2
    done = here("rng", "check-pulses", str(file), "--json")
    found = document(done.stdout, "qlq.rng.check-pulses")
    assert (done.returncode, found["valid"], found["fault"]["reason"]) == (7, False, "torn")
    assert found["fault"]["index"] == found["pulses"] == whole
    done = here("rng", "check-pulses", str(file), "--json", "--growing")
    found = document(done.stdout, "qlq.rng.check-pulses")
    assert (done.returncode, found["valid"], found["pulses"]) == (0, True, whole)
    assert found["torn_bytes"] > 0


def test_the_tiers_of_a_chain_are_told(here: Run, document: Check) -> None:
    fallback = ("rng", "pulse", "--backend", "classical", "--allow-fallback", "--json")
    here(*fallback)
    made = document(here("rng", "pulse", "--backend", "aer", "--json").stdout, "qlq.rng.pulse")
    here("rng", "pulse", "--backend", "aer")
    found = document(
        here("rng", "check-pulses", made["file"], "--json").stdout, "qlq.rng.check-pulses"
    )
    assert (found["tiers"], found["degraded"]) == ({"T0": 3}, 2)
    told = here("rng", "check-pulses", made["file"]).stdout
    assert "T0 none: 3 pulses" in told
    assert "degraded, of the operating system: 2 pulses" in told


@pytest.mark.parametrize("text", ["", "zz" * 64, "00" * 63, "00" * 65])
def test_what_is_no_fingerprint_is_a_usage_error(
    here: Run, document: Check, tmp_path: Path, text: str
) -> None:
    for command in ("check-pulses", "verify"):
        done = here("rng", command, str(tmp_path), "--signer", text, "--json")
        assert done.returncode == 2
        assert "--signer" in document(done.stdout, "qlq.error")["error"]["message"]


def test_a_damaged_file_exits_with_7(here: Run, document: Check) -> None:
    made = document(here("rng", "pulse", "--backend", "aer", "--json").stdout, "qlq.rng.pulse")
    flip(Path(made["file"]), 11)
    done = here("rng", "check-pulses", made["file"], "--json")
    assert done.returncode == 7
    document(done.stdout, "qlq.error")


def test_no_source_makes_no_pulse_and_a_fallback_is_marked(here: Run, document: Check) -> None:
    done = here("rng", "pulse", "--backend", "classical", "--json")
    assert done.returncode == 4
    document(done.stdout, "qlq.error")
    made = here("rng", "pulse", "--backend", "classical", "--allow-fallback", "--json")
    assert made.returncode == 0, made.stderr
    assert "warning: degraded: the next pulse's value: " in made.stderr
    found = document(made.stdout, "qlq.rng.pulse")
    assert found["next_degraded"]
    assert (found["record"], found["next_attempts"]) == (None, [])
    assert (found["degraded"], found["tier"], found["claim_bits"]) == (True, "T0", 0)
    assert json.loads(made.stdout)["origin"] == "operating system"

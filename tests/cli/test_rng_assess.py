"""`qlq rng assess`: its document, its words, and what it refuses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlq.cli import console, main
from qlq.qrng.assessment import iid, report, samples

Run = Callable[..., subprocess.CompletedProcess[str]]
Check = Callable[[str, str], dict[str, Any]]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """5,000 symbols of three bits; the seed is one whose data pass the IID track."""
    file = tmp_path / "sound.bin"
    file.write_bytes(np.random.default_rng(12).integers(0, 8, 5_000, dtype=np.uint8).tobytes())
    return file


def run(*arguments: str) -> int:
    """The exit code of a command in this process: numba is warm here."""
    return main.run(["rng", *arguments])


def test_the_document_holds_what_the_estimators_find(
    qlq: Run, document: Check, sound: Path
) -> None:
    ended = qlq("rng", "assess", str(sound), "--allow-short", "--json")
    assert ended.returncode == 0, ended.stderr
    found = document(ended.stdout, "qlq.rng.assess")
    data = samples.read(np.fromfile(sound, dtype=np.uint8))
    expected = report.assess(data, length=report.Length.SHORT)
    assert found["estimators"]["original.t_tuple"] == expected.original["t_tuple"]  # type: ignore[index]
    assert found["estimators"]["bitstring.collision"] == expected.bitstring["collision"]  # type: ignore[index]
    assert (found["samples"], found["bits"], found["iid"]) == (5_000, 3, None)
    assert found["assessed"] == min(found["h_original"], 3 * found["h_bitstring"])
    assert found["short"] is True
    assert "supports no claim" in ended.stderr
    assert "No evidence of a source" in found["meaning"]


def test_the_iid_track_can_be_recomputed_from_its_seed(
    capsys: pytest.CaptureFixture[str], document: Check, sound: Path
) -> None:
    assert run("assess", str(sound), "--allow-short", "--iid", "--json") == 0
    found = document(capsys.readouterr().out, "qlq.rng.assess")["iid"]
    data = samples.read(np.fromfile(sound, dtype=np.uint8))
    again = iid.assess(data, seed=found["seed"], length=report.Length.SHORT)
    assert found["passed"] == again.has_passed
    assert found["shuffles"] == (again.permutations and again.permutations.shuffles)
    assert found["assessed"] == again.assessed


def test_an_iid_failure_has_no_min_entropy(
    capsys: pytest.CaptureFixture[str], document: Check, tmp_path: Path
) -> None:
    file = tmp_path / "sorted.bin"
    file.write_bytes(bytes(sorted(np.random.default_rng(1).integers(0, 8, 2_000).tolist())))
    assert run("assess", str(file), "--allow-short", "--iid", "--json") == 0
    found = document(capsys.readouterr().out, "qlq.rng.assess")["iid"]
    assert (found["passed"], found["assessed"], found["shuffles"]) == (False, None, None)
    assert run("assess", str(file), "--allow-short", "--iid") == 0
    words = capsys.readouterr().out
    assert "IID track: failed (independence" in words
    assert "no min-entropy" in words


def test_a_person_reads_the_least_and_what_it_means(
    capsys: pytest.CaptureFixture[str], sound: Path
) -> None:
    assert run("assess", str(sound), "--allow-short") == 0
    printed = capsys.readouterr()
    assert "original.most common value" in printed.out
    assert "bitstring.lz78y" in printed.out
    assert "5000 samples of 3 bits" in printed.out
    assert "Assessed: " in printed.out
    assert "upper bound" in printed.err


BAD = [
    (b"", [], console.EXIT_USAGE, "the file is empty"),
    (bytes(5_000), ["--allow-short"], console.EXIT_EXHAUSTED, "constant data have no entropy"),
    (bytes(1_000_000), [], console.EXIT_EXHAUSTED, "constant data have no entropy"),
    (b"\x00\x01" * 2_500, [], console.EXIT_EXHAUSTED, "5000 samples are fewer than the 1000000"),
    (b"\x00\x01" * 20, ["--allow-short"], console.EXIT_EXHAUSTED, "40 samples are fewer than"),
    (b"\xff\x00" * 500, ["--bits", "1"], console.EXIT_USAGE, "--form packed"),
    (b"\x07\x00" * 500, ["--bits", "2"], console.EXIT_USAGE, "--bits 3"),
    (b"\xff\x00" * 500, ["--form", "packed", "--bits", "4"], console.EXIT_USAGE, "--bits 4 out"),
    (b"0101", ["--form", "packed"], console.EXIT_USAGE, "--form text"),
    (b"\x00", ["--bits", "9"], console.EXIT_USAGE, "9"),
    (b"\x00", ["--bits", "0"], console.EXIT_USAGE, "0"),
    (b"\x00", ["--form", "hex"], console.EXIT_USAGE, "hex"),
]


@pytest.mark.parametrize(("content", "options", "code", "words"), BAD, ids=range(len(BAD)))
def test_what_cannot_be_assessed_is_refused_with_the_way_out(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    content: bytes,
    options: list[str],
    code: int,
    words: str,
) -> None:
    file = tmp_path / "data.bin"
    file.write_bytes(content)
    assert run("assess", str(file), *options) == code
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("assess", "nowhere.bin") == console.EXIT_USAGE
    assert "nowhere.bin" in capsys.readouterr().err


def test_an_error_is_a_document_too(
    capsys: pytest.CaptureFixture[str], document: Check, tmp_path: Path
) -> None:
    file = tmp_path / "short.bin"
    file.write_bytes(b"\x00\x01" * 2_500)
    assert run("assess", str(file), "--json") == console.EXIT_EXHAUSTED
    out = capsys.readouterr().out
    found = document(out, "qlq.error")
    assert json.loads(out)["schema"] == "qlq.rng.assess/1"
    assert found["error"]["kind"] == "TooFewSamples"


def test_packed_and_unpacked_bits_are_assessed_alike(
    capsys: pytest.CaptureFixture[str], document: Check, tmp_path: Path
) -> None:
    bits = np.random.default_rng(2).integers(0, 2, 8_000, dtype=np.uint8)
    forms = {
        "symbols": bits.tobytes(),
        "packed": np.packbits(bits).tobytes(),
        "text": "".join(map(str, bits)).encode() + b"\n",
    }
    found = []
    for form, content in forms.items():
        file = tmp_path / form
        file.write_bytes(content)
        assert run("assess", str(file), "--form", form, "--allow-short", "--json") == 0
        found.append(document(capsys.readouterr().out, "qlq.rng.assess"))
    assert found[0] == found[1] == found[2]

"""`qlq rng test`: fifteen tests of a file, one verdict, and what silence does not mean."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qlq.cli import console, main

Run = Callable[..., subprocess.CompletedProcess[str]]
Check = Callable[[str, str], dict[str, Any]]

MEGABIT_BYTES = 125_000


def random_bytes(count: int, seed: int) -> bytes:
    return np.random.Generator(np.random.PCG64(seed)).bytes(count)


def test_good_bits_are_quiet_and_the_words_say_that_this_is_no_evidence(
    qlq: Run, document: Check, tmp_path: Path
) -> None:
    file = tmp_path / "bits.bin"
    file.write_bytes(random_bytes(MEGABIT_BYTES, 1))
    ended = qlq("rng", "test", str(file), "--json")
    assert ended.returncode == 0, ended.stderr
    found = document(ended.stdout, "qlq.rng.test")
    assert found["alarms"] == []
    assert (found["bits"], found["sequences"]) == (1_000_000, 1)
    assert [test["refusal"] for test in found["tests"]] == [None] * 15
    assert "not evidence of entropy" in found["disclaimer"]

    ended = qlq("rng", "test", str(file))
    assert ended.returncode == 0
    assert "Alarms: none" in ended.stdout
    assert "not evidence of entropy" in ended.stdout + ended.stderr


def test_a_broken_source_is_named_with_its_alarms(
    qlq: Run, document: Check, tmp_path: Path
) -> None:
    file = tmp_path / "bits.bin"
    file.write_bytes(random_bytes(1_000, 2) * 125)
    ended = qlq("rng", "test", str(file), "--json")
    found = document(ended.stdout, "qlq.rng.test")
    assert "dft" in found["alarms"]
    assert "serial" in found["alarms"]
    for test in found["tests"]:
        assert test["alarm"] == (test["test"] in found["alarms"])


def test_short_bits_have_a_reason_for_each_test_that_was_not_run(
    qlq: Run, document: Check, tmp_path: Path
) -> None:
    file = tmp_path / "bits.txt"
    bits = np.unpackbits(np.frombuffer(random_bytes(100, 3), dtype=np.uint8))
    file.write_text("".join(map(str, bits)))
    ended = qlq("rng", "test", str(file), "--form", "text", "--json")
    found = document(ended.stdout, "qlq.rng.test")
    refused = {test["test"]: test["refusal"] for test in found["tests"] if test["refusal"]}
    assert len(refused) == 10
    assert refused["dft"].startswith("needs 1000 bits")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", console.EXIT_USAGE),
        (b"\x5a\xc3", console.EXIT_EXHAUSTED),
        (b"0101\n" * 40, console.EXIT_USAGE),
        (b"\x00\x01" * 40, console.EXIT_USAGE),
    ],
    ids=["empty", "16 bits", "text read as packed", "one bit a byte read as packed"],
)
def test_a_file_that_cannot_be_judged_is_refused(
    content: bytes,
    code: int,
    document: Check,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console.State, "document_schema", None)  # put back at the end
    file = tmp_path / "bits.bin"
    file.write_bytes(content)
    assert main.run(["rng", "test", str(file), "--json"]) == code
    assert document(capsys.readouterr().out, "qlq.error")["schema"] == "qlq.rng.test/1"


def test_a_file_that_is_not_there_is_refused(qlq: Run, tmp_path: Path) -> None:
    ended = qlq("rng", "test", str(tmp_path / "nothing"))
    assert ended.returncode == console.EXIT_USAGE
    assert "nothing" in ended.stderr


@given(
    content=st.binary(max_size=600)
    | st.text("01 \n", max_size=600).map(str.encode)
    | st.builds(lambda part, count: part * count, st.binary(max_size=3), st.integers(0, 300)),
    form=st.sampled_from(["packed", "symbols", "text"]),
)
@example(content=b"\xff" * 200, form="packed")
@example(content=b"\x01" * 200, form="symbols")
@example(content=b"0" * 200, form="text")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_gives_one_document_and_a_documented_exit_code(
    content: bytes,
    form: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console.State, "document_schema", None)  # put back at the end
    file = tmp_path / "bits"
    file.write_bytes(content)
    code = main.run(["rng", "test", str(file), "--form", form, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "qlq.rng.test/1"
    if code == console.EXIT_OK:
        assert len(found["tests"]) == 15
        assert found["bits"] >= 100
    else:
        assert code in {console.EXIT_USAGE, console.EXIT_EXHAUSTED}
        assert found["error"]["message"]


def test_a_constant_file_is_an_alarm_and_no_error(
    qlq: Run, document: Check, tmp_path: Path
) -> None:
    file = tmp_path / "bits.bin"
    file.write_bytes(b"\xff" * 1_000)
    found = document(qlq("rng", "test", str(file), "--json").stdout, "qlq.rng.test")
    assert {"frequency", "runs", "cumulative_sums", "dft"} <= set(found["alarms"])

"""A changed field is found by recomputation, even where its digest was made to fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qlq.archive import document, folder, session, verify
from qlq.crypto import digest
from qlq.qkd import record
from qlq.qkd.duties import Party, Transcript
from qlq.qkd.messages import Abort, decode
from qlq.qkd.parameters import Parameters

Forge = Callable[[Path, Callable[[dict[str, Any]], None]], None]

RESULT_FIELDS = {
    "secret_bits": 10**6,
    "net_bits": 10**6,
    "sifted_bits": 1,
    "test_bits": 1,
    "key_bits": 1,
    "qber": 0.001,
    "qber_key": 0.001,
    "qber_test": 0.001,
    "qber_max": 0.5,
    "pulses": 1,
    "protocol": "e91",
    "sampling": "symmetric",
    "basis_bias": 0.5,
    "backend": "ibm:fez",
    "eve": "intercept-resend:1",
    "key_id": "00000000-0000-5000-8000-000000000000",
    "provenance.tier": "qpu",
    "provenance.claim": "two-node",
    "provenance.device": "ibm_fez",
    "provenance.reproducible": False,
    "reconciliation.leak_ec_bits": 0,
    "reconciliation.leak_max_bits": 10**6,
    "reconciliation.messages": 0,
    "reconciliation.method": "none",
    "finite_key.theorem": "another",
    "finite_key.eps_sec": 1e-30,
    "finite_key.eps_auth": 0.0,
    "finite_key.eps_total": 0.0,
    "finite_key.key_rounds": 1,
    "authentication.tags": 0,
    "authentication.key_bits_consumed": 0,
    "authentication.bootstrap_bits": 0,
    "worth.claim": "two-node",
    "worth.entropy_cap_bits": 256,
}


PARAMETERS = [field.name for field in msgspec.structs.fields(Parameters)]
"""`parameters` is a list in the order of the fields, as it is in the parties' first message."""


def set_field(manifest: dict[str, Any], path: str, value: object) -> None:
    if path.startswith("parameters."):
        inner = manifest["parameters"]
        place: Any = 1 + PARAMETERS.index(path.removeprefix("parameters."))
        place -= len(inner) == len(PARAMETERS)
    else:
        *way, place = path.split(".")
        inner = manifest
        for step in way:
            inner = inner[step]
    assert inner[place] != value or type(inner[place]) is not type(value)
    inner[place] = value


def set_digest(path: Path, forge: Forge, name: str) -> None:
    """List the digest that the file has now."""
    value = digest.sha256((path / name).read_bytes()).hex()
    forge(path, lambda manifest: manifest["files"].update({name: value}))


def fields(verdict: verify.Verdict) -> set[str]:
    return {finding.field for finding in verdict.findings}


@pytest.mark.parametrize(("path", "value"), RESULT_FIELDS.items())
def test_a_changed_result_is_named_by_its_path(
    copy: Path, forge: Forge, path: str, value: object
) -> None:
    forge(copy, lambda manifest: set_field(manifest["result"], path, value))
    verdict = verify.check(copy)
    assert fields(verdict) == {f"result.{path}"}
    assert verdict.findings[0].file == "session.json"


def test_a_changed_block_is_named_by_its_path(copy: Path, forge: Forge) -> None:
    forge(copy, lambda manifest: set_field(manifest["blocks"][0], "qber_key", 0.25))
    assert fields(verify.check(copy)) == {"blocks[0].qber_key"}


@pytest.mark.parametrize("name", ["aborted", "eve", "chsh", "key_id"])
def test_a_field_that_is_null_must_still_be_there(copy: Path, forge: Forge, name: str) -> None:
    forge(copy, lambda manifest: manifest["result"].pop(name))
    assert fields(verify.check(copy)) == {f"result.{name}"}


def test_a_longer_key_than_the_bound_allows_is_named(copy: Path, forge: Forge) -> None:
    forge(copy, lambda manifest: set_field(manifest, "parameters.secret_bits", 10**6))
    assert "parameters.secret_bits" in fields(verify.check(copy))


def test_a_tolerance_changed_afterwards_is_found(copy: Path, forge: Forge) -> None:
    forge(copy, lambda manifest: set_field(manifest, "parameters.qber_max_ppm", 100_000))
    assert not verify.check(copy).is_valid


def test_an_abort_that_did_not_happen_is_found(copy: Path, forge: Forge) -> None:
    abort = {"reason": "qber", "detail": "invented"}

    def invent(manifest: dict[str, Any]) -> None:
        manifest["inputs"]["abort"] = abort
        manifest["result"]["aborted"] = abort

    forge(copy, invent)
    assert "inputs.abort.reason" in fields(verify.check(copy))


def test_another_circuit_is_found(copy: Path, forge: Forge) -> None:
    forge(copy, lambda manifest: set_field(manifest["jobs"][0], "program_digest", "00" * 32))
    assert "jobs[0].program_digest" in fields(verify.check(copy))


@pytest.mark.parametrize("name", ["alice_seed", "bob_seed", "bob_bits"])
def test_secrets_that_lead_to_another_transcript_are_found(
    copy: Path, forge: Forge, name: str
) -> None:
    listed = f"secrets/{name}.bin"
    forged = bytes(255 - byte for byte in (copy / listed).read_bytes())
    (copy / listed).write_bytes(forged)
    set_digest(copy, forge, listed)
    assert {finding.file for finding in verify.check(copy).findings} <= {
        "transcript.bin",
        "secrets",
    }
    assert not verify.check(copy).is_valid


def test_a_changed_message_is_found_without_the_secrets(copy: Path, forge: Forge) -> None:
    for file in (copy / "secrets").iterdir():
        file.unlink()
    (copy / "secrets").rmdir()
    file = copy / "transcript.bin"
    data = file.read_bytes()
    shorter = data[: len(data) // 2]
    file.write_bytes(shorter)
    set_digest(copy, forge, "transcript.bin")
    assert not verify.check(copy).is_valid


def without_secrets(path: Path) -> None:
    shutil.rmtree(path / "secrets")


def said(path: Path) -> list[tuple[Party, bytes]]:
    return list(folder.unpack_transcript((path / "transcript.bin").read_bytes()).entries)


def recomputed(path: Path, forge: Forge, entries: list[tuple[Party, bytes]]) -> None:
    """Put these messages in place, with every figure and digest made to fit them."""
    transcript = Transcript(tuple(entries))
    (path / "transcript.bin").write_bytes(folder.pack_transcript(transcript))
    set_digest(path, forge, "transcript.bin")

    def fit(manifest: dict[str, Any]) -> None:
        committed = msgspec.convert(manifest["parameters"], Parameters)
        found = record.read(committed, transcript)
        jobs = tuple(session.provenance_of(job) for job in manifest["jobs"])
        outcome = document.Outcome(provenances=jobs, **manifest["inputs"])
        manifest["result"] = document.build(committed, found, outcome)
        manifest["blocks"] = document.blocks(committed, found)

    forge(path, fit)


@pytest.mark.parametrize("kept", [1, 2, 5, 6, -1])
def test_a_key_from_a_conversation_that_never_ended_is_refused(
    copy: Path, forge: Forge, kept: int
) -> None:
    without_secrets(copy)
    entries = said(copy)
    recomputed(copy, forge, entries[:kept])
    verdict = verify.check(copy)
    place = kept if kept > 0 else len(entries) - 1
    assert f"message {place}" in fields(verdict)
    assert ("transcript.bin", "the end") in {(f.file, f.found) for f in verdict.findings}


def test_an_abort_that_was_cut_off_is_found(aborted_copy: Path, forge: Forge) -> None:
    forge(aborted_copy, lambda manifest: manifest["inputs"].update(abort=None))
    entries = [entry for entry in said(aborted_copy) if not isinstance(decode(entry[1]), Abort)]
    recomputed(aborted_copy, forge, entries)
    assert "disclosed bits" in fields(verify.check(aborted_copy))


def test_other_parameters_than_those_committed_to_are_found(copy: Path, forge: Forge) -> None:
    without_secrets(copy)
    eps = {"eps_sec": "0.0001"}
    forge(copy, lambda manifest: set_field(manifest, "parameters.eps_sec", eps["eps_sec"]))
    recomputed(copy, forge, said(copy))
    verdict = verify.check(copy)
    assert {"message 0", "message 1"} <= fields(verdict)


def test_a_message_said_twice_or_by_the_other_party_is_found(copy: Path, forge: Forge) -> None:
    without_secrets(copy)
    entries = said(copy)
    turned = [(Party.ALICE, entries[1][1]) if i == 1 else e for i, e in enumerate(entries)]
    recomputed(copy, forge, turned)
    assert "message 1" in fields(verify.check(copy))


def test_a_simulator_s_bits_cannot_be_said_to_be_a_chip_s(copy: Path, forge: Forge) -> None:
    for claim in ("SAME_CHIP", "TWO_NODE"):
        forge(copy, lambda m, claim=claim: set_field(m["jobs"][0], "claim", claim))
        assert not verify.check(copy).is_valid


@pytest.mark.parametrize("value", [None, -1, 2**70, 1e308, "x", [], {}, True])
@pytest.mark.parametrize(
    "path",
    [
        *("parameters", "parameters.pulses", "parameters.key_rounds", "parameters.protocol"),
        *("inputs", "inputs.reserved_bits", "jobs", "result", "blocks", "files"),
    ],
)
def test_a_field_of_another_type_is_a_finding_and_no_crash(
    copy: Path, forge: Forge, path: str, value: object
) -> None:
    forge(copy, lambda manifest: set_field(manifest, path, value))
    assert not verify.check(copy).is_valid


def test_an_abort_that_is_a_text_is_a_finding_and_no_crash(copy: Path, forge: Forge) -> None:
    forge(copy, lambda manifest: set_field(manifest, "inputs.abort", "qber"))
    assert not verify.check(copy).is_valid


def test_no_job_at_all_is_a_finding_and_no_crash(copy: Path, forge: Forge) -> None:
    forge(copy, lambda manifest: manifest["jobs"].clear())
    assert not verify.check(copy).is_valid


def test_a_job_of_another_shape_is_a_finding_and_no_crash(copy: Path, forge: Forge) -> None:
    forge(copy, lambda manifest: set_field(manifest["jobs"][0], "sdk", None))
    assert not verify.check(copy).is_valid


def test_findings_show_no_byte_of_the_secrets(copy: Path, forge: Forge) -> None:
    seed = (copy / "secrets/alice_seed.bin").read_bytes()
    (copy / "secrets/alice_seed.bin").write_bytes(seed[:-1])
    set_digest(copy, forge, "secrets/alice_seed.bin")
    assert not verify.check(copy).is_valid
    assert seed[:8].hex() not in str(verify.check(copy))
    assert str(seed[:8])[2:-1] not in str(verify.check(copy))

"""The check of an archive: every byte accounted for, everything deterministic recomputed."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from qlq.archive import classical, differences, document, folder, session
from qlq.archive.differences import Finding, Verdict
from qlq.errors import ArchiveInvalid, ConfigError, QLQError
from qlq.qkd import record, referee
from qlq.qkd.conversation import LinkOutcomes, LinkUse, converse
from qlq.qkd.duties import TagKey, Transcript
from qlq.qkd.parameters import Parameters, secret_length_bits

MANIFEST_BYTES_MAX = 16 << 20
MALFORMED = (
    *(QLQError, msgspec.MsgspecError, struct.error),
    *(LookupError, TypeError, AttributeError, ValueError, ArithmeticError),
)
"""What reading a session of somebody else's making may raise: fields of another type or shape."""


def check(path: Path) -> Verdict:
    """Recompute everything deterministic in an archive.

    Raises:
        ConfigError: The folder is no archive, or cannot be read.
    """
    manifest, findings = _read_manifest(path)
    if manifest is None:
        return Verdict("public", tuple(findings))
    contents, missing = differences.read_files(path, manifest, manifest_name=folder.MANIFEST)
    findings += missing
    secret = {
        name.removeprefix(f"{folder.SECRETS}/"): data
        for name, data in contents.items()
        if name.startswith(folder.SECRETS)
    }
    level = "full" if secret else "public"
    try:
        findings += _recompute(manifest, contents, secret)
    except MALFORMED as error:
        if not findings:
            findings.append(Finding(folder.MANIFEST, "", "a session that can be read", str(error)))
    return Verdict(level, tuple(findings))


def _read_manifest(path: Path) -> tuple[dict[str, Any] | None, list[Finding]]:
    """`session.json` and what is wrong with its bytes."""
    file = path / folder.MANIFEST
    if not file.is_file():
        raise ConfigError(f"{path} is not an archive: it has no {folder.MANIFEST}")
    data = differences.read(file, limit=MANIFEST_BYTES_MAX)
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        return None, [Finding(folder.MANIFEST, "", "JSON", f"cut off or changed: {error}")]
    if not isinstance(manifest, dict) or manifest.get("schema") != folder.SCHEMA:
        return None, [Finding(folder.MANIFEST, "schema", folder.SCHEMA, _schema(manifest))]
    try:
        again = folder.canonical_json(folder.sealed(manifest))
    except (ValueError, RecursionError) as error:
        return None, [Finding(folder.MANIFEST, "", "numbers that are finite", str(error))]
    if again == data:
        return manifest, []
    expected = folder.sealed(manifest)["digest"]
    if expected != manifest.get("digest"):
        return manifest, [Finding(folder.MANIFEST, "digest", expected, str(manifest.get("digest")))]
    return manifest, [Finding(folder.MANIFEST, "", "canonical JSON", "the same in another form")]


def _schema(manifest: object) -> str:
    return str(manifest.get("schema")) if isinstance(manifest, dict) else type(manifest).__name__


def _recompute(
    manifest: Mapping[str, Any], contents: Mapping[str, bytes], secret: Mapping[str, bytes]
) -> list[Finding]:
    if manifest.get("kind") == classical.KIND:
        expected, claimed = classical.recompute(manifest, contents, secret)
        return [
            finding
            for name, value in expected.items()
            for finding in _compare(name, value, claimed[name])
        ]
    parameters = msgspec.convert(manifest["parameters"], Parameters)
    transcript = folder.unpack_transcript(contents.get(folder.TRANSCRIPT, b""))
    found = record.read(parameters, transcript)
    jobs = tuple(session.provenance_of(job) for job in manifest["jobs"])
    outcome = document.Outcome(provenances=jobs, **manifest["inputs"])
    result = json.loads(json.dumps(document.build(parameters, found, outcome)))
    blocks = json.loads(json.dumps(document.blocks(parameters, found)))
    findings = _compare(
        "parameters.secret_bits", secret_length_bits(parameters), parameters.secret_bits
    )
    findings += _compare("result", result, manifest["result"])
    findings += _compare("blocks", blocks, manifest["blocks"])
    findings += _compare(
        "inputs.abort.reason", found.abort_reason, (outcome.abort or {}).get("reason")
    )
    known = session.known_program_digests()
    findings += [
        Finding(
            folder.MANIFEST, f"jobs[{index}].program_digest", "a circuit of QLQ", job.program_digest
        )
        for index, job in enumerate(jobs)
        if job.program_digest not in known
    ]
    findings += [
        Finding(folder.TRANSCRIPT, objection.place, objection.expected, objection.found)
        for objection in referee.objections(parameters, transcript, found)
    ]
    if outcome.key_id is not None and outcome.key_id != record.key_id(transcript):
        findings += _compare("inputs.key_id", record.key_id(transcript), outcome.key_id)
    if secret:
        findings += _replay(parameters, transcript, secret)
    return findings


def _compare(name: str, expected: object, found: object) -> list[Finding]:
    return differences.compare(name, expected, found, file=folder.MANIFEST)


def _replay(
    parameters: Parameters, transcript: Transcript, secret: Mapping[str, bytes]
) -> list[Finding]:
    """Run both parties again; they must say what the transcript says."""
    try:
        again = _say_again(parameters, session.Secrets.unpack(secret, pulses=parameters.pulses))
    except MALFORMED as error:
        return [Finding(folder.SECRETS, "", "secrets that both parties can run from", str(error))]
    if again == transcript:
        return []
    same = [a == b for a, b in zip(again.entries, transcript.entries, strict=False)]
    index = same.index(False) if False in same else len(same)
    return [
        Finding(
            folder.TRANSCRIPT,
            f"message {index}",
            "what the parties say when run from secrets/",
            "another message",
        )
    ]


def _say_again(parameters: Parameters, secrets: session.Secrets) -> Transcript:
    talk = converse(parameters, alice_seed=secrets.alice_seed, bob_seed=secrets.bob_seed)
    try:
        wish = next(talk)
        while True:
            if isinstance(wish, LinkUse):
                wish = talk.send(LinkOutcomes(secrets.alice_bits, secrets.bob_bits))
            else:
                taken: TagKey = secrets.tag_keys[wish.wanted.sender]
                wish = talk.send(taken)
    except StopIteration as stop:
        transcript: Transcript = stop.value.transcript
        return transcript


def require_valid(path: Path) -> None:
    """Raise ArchiveInvalid, naming the first finding, unless the archive is valid."""
    verdict = check(path)
    if verdict.findings:
        first = verdict.findings[0]
        raise ArchiveInvalid(f"{path}: {first.file} {first.field}: {first.found}")

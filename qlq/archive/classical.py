"""The archive of a classical exchange: the messages, and the seed that finds the key again.

    session.json          kind `classical`, the result, digests of all files
    transcript.bin        the four messages
    secrets/              Alice's seed, mode 0600

The public check needs the transcript alone: both signatures, the identities and the key id. With
`secrets/` the key is derived again and both tags are checked.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qlq.archive import folder
from qlq.crypto import digest
from qlq.provenance import Attempt, Claim, Kind, Provenance, Tier
from qlq.qkd import classical, record
from qlq.qkd.duties import Party, Transcript

KIND = "classical"
SCHEMA_RESULT = "qlq.qkd.run/1"
SEED_FILE = "alice_seed.bin"
PACKAGES = ("qlq", "cryptography", "msgspec")


def provenance(versions: Mapping[str, str]) -> Provenance:
    """The origin of a key that no quantum device had a part in."""
    return Provenance(
        tier=Tier.CLASSICAL,
        claim=Claim.CLASSICAL,
        backend=classical.PROTOCOL,
        provider="cryptography",
        device=classical.ALGORITHMS,
        kind=Kind.CLASSICAL,
        job_id="",
        program_digest="",
        sdk={"cryptography": versions["cryptography"]},
    )


def versions() -> dict[str, str]:
    """Versions of the packages that made the key."""
    return {package: importlib.metadata.version(package) for package in PACKAGES}


def build(
    origin: Provenance,
    *,
    attempts: tuple[Attempt, ...],
    key_id: str | None,
) -> dict[str, Any]:
    """The `qlq.qkd.run/1` document without archive and timing: quantum fields are null or 0."""
    return {
        "schema": SCHEMA_RESULT,
        "protocol": classical.PROTOCOL,
        "sampling": None,
        "backend": origin.backend,
        "provenance": {
            "tier": origin.tier.value,
            "claim": origin.claim.label,
            "provider": origin.provider,
            "device": origin.device,
            "kind": origin.kind.value,
            "qubits": [],
            "job_ids": [],
            "sdk": dict(sorted(origin.sdk.items())),
            "reproducible": False,
            "attempts": [
                {"backend": a.backend, "error": a.error, "detail": a.detail} for a in attempts
            ],
        },
        "eve": None,
        "pulses": 0,
        "basis_bias": None,
        "sifted_bits": 0,
        "test_bits": 0,
        "key_bits": 0,
        "qber": None,
        "qber_key": None,
        "qber_test": None,
        "qber_max": None,
        "chsh": None,
        "reconciliation": None,
        "finite_key": None,
        "authentication": {
            "tags": 2,
            "key_bits_consumed": 0,
            "key_bits_reserved": 0,
            "bootstrap_bits": 0,
        },
        "secret_bits": 8 * classical.KEY_BYTES,
        "net_bits": 8 * classical.KEY_BYTES,
        "key_id": key_id,
        "worth": {
            "claim": classical.WORTH.claim.label,
            "secret_against": list(classical.WORTH.secret_against),
            "entropy_cap_bits": classical.WORTH.entropy_cap_bits,
        },
        "aborted": None,
    }


def write(
    path: Path, *, result: Mapping[str, Any], transcript: Transcript, alice_seed: bytes
) -> None:
    """Write an archive; see `folder.write` for errors."""
    identities = classical.check_transcript(transcript)
    manifest = {
        "kind": KIND,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "result": dict(result),
        "identities": _fingerprints(identities),
        "versions": versions(),
    }
    folder.write(
        path,
        public={folder.TRANSCRIPT: folder.pack_transcript(transcript)},
        secret={SEED_FILE: alice_seed},
        manifest=manifest,
    )


def _fingerprints(identities: Mapping[Party, Any]) -> dict[str, str]:
    return {party.value: digest.sha256(key.to_bytes()).hex() for party, key in identities.items()}


def recompute(
    manifest: Mapping[str, Any],
    contents: Mapping[str, bytes],
    secret: Mapping[str, bytes],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the files say and what the manifest says of it, field by field.

    Raises:
        QLQError: The transcript is not one exchange, a signature or a tag does not fit.
        LookupError, TypeError, ValueError: Fields of another shape.
    """
    transcript = folder.unpack_transcript(contents.get(folder.TRANSCRIPT, b""))
    identities = classical.check_transcript(transcript)
    if secret:
        classical.recompute(transcript, secret[SEED_FILE])
    claimed = manifest["result"]
    given = claimed["provenance"]
    attempts = tuple(Attempt(**attempt) for attempt in given["attempts"])
    named = None if claimed["key_id"] is None else record.key_id(transcript)
    result = build(provenance(manifest["versions"]), attempts=attempts, key_id=named)
    expected = {"result": result, "identities": _fingerprints(identities)}
    plain: dict[str, Any] = json.loads(json.dumps(expected))
    return plain, {"result": claimed, "identities": manifest["identities"]}

"""Documents that a home signs: `{schema, certificate, id, signer, signature}`, and their check.

`certificate` is what is said, `id` the SHA-256 of its canonical bytes, `signer` the public key
with its algorithm's byte, and the signature is made for the context of its kind, so that what was
signed as one kind of document is none of another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlq.archive import differences, folder
from qlq.archive.differences import Finding
from qlq.crypto.signing import SigningKey, VerifyingKey
from qlq.errors import BadSignature, RemoteMisuse
from qlq.qrng import certificate

FILE_BYTES_MAX = 4 << 20
FINGERPRINT_CHARACTERS = 64
"""Of a fingerprint: SHA-256 in hex."""
_FIELDS = frozenset({"schema", "certificate", "id", "signer", "signature"})


@dataclass(frozen=True, slots=True)
class Kind:
    """What sort of document it is.

    Attributes:
        schema: Name and version of its form.
        context: Of its signatures.
    """

    schema: str
    context: bytes


@dataclass(frozen=True, slots=True)
class Verdict(differences.Verdict):
    """The result of a check.

    Attributes:
        certificate_id: SHA-256 (hex) of what is said; empty if it cannot be read.
        signer: Fingerprint of the public key that it is signed with; empty likewise, and for
            what is not signed.
        result: What it says its bits are worth, not to be believed while there are findings.
    """

    certificate_id: str
    signer: str
    result: Mapping[str, Any]


def fingerprint(key: VerifyingKey) -> str:
    """SHA-256 (hex) of a public key with its algorithm's byte."""
    return hashlib.sha256(key.to_bytes()).hexdigest()


def sign(document: Mapping[str, Any], *, kind: Kind, key: SigningKey) -> dict[str, Any]:
    """The signed document; what it says must be as JSON reads it: no tuples.

    Raises:
        ValueError, TypeError: It has no canonical bytes.
    """
    return {
        "schema": kind.schema,
        "certificate": document,
        "id": certificate.certificate_id(document),
        "signer": key.verifying_key.to_bytes().hex(),
        "signature": certificate.sign(document, key, context=kind.context).hex(),
    }


def read(file: Path, *, kind: Kind) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The signed document in a file, None if it is none, and what is wrong with its form.

    Raises:
        ConfigError: The file cannot be read.
    """
    name = file.name
    data = differences.read(file, limit=FILE_BYTES_MAX)
    try:
        signed = json.loads(data)
        again = folder.canonical_json(signed)
    except (ValueError, RecursionError, TypeError) as error:
        return None, [Finding(name, "", "JSON", f"cut off or changed: {error}")]
    if not isinstance(signed, dict) or signed.get("schema") != kind.schema:
        found = signed.get("schema") if isinstance(signed, dict) else type(signed).__name__
        return None, [Finding(name, "schema", kind.schema, str(found))]
    if not isinstance(signed.get("certificate"), dict):
        return None, [Finding(name, "certificate", "a document", "none")]
    if again != data:
        return signed, [Finding(name, "", "canonical JSON", "another form")]
    return signed, []


def check(
    signed: Mapping[str, Any], *, kind: Kind, signer: str | None, file: str
) -> tuple[str, list[Finding]]:
    """The signer's fingerprint, and what is wrong with id, signer and signature.

    Args:
        signed: As `read` gave it.
        kind: What it must be.
        signer: Fingerprint that the signer must have; None accepts any.
        file: Name for the findings.
    """
    document = signed["certificate"]
    findings = []
    try:
        if unknown := signed.keys() - _FIELDS:
            findings.append(Finding(file, min(unknown), differences.ABSENT, "a field"))
        expected = certificate.certificate_id(document)
        if signed["id"] != expected:
            findings.append(Finding(file, "id", expected, str(signed["id"])))
        key = VerifyingKey.from_bytes(bytes.fromhex(signed["signer"]))
    except (RemoteMisuse, ValueError, TypeError, LookupError) as error:
        return "", [*findings, Finding(file, "signer", "a public key", str(error))]
    found = fingerprint(key)
    if signer is not None and found != signer:
        findings.append(Finding(file, "signer", signer, found))
    try:
        signature = bytes.fromhex(signed["signature"])
        certificate.check_signature(document, key=key, signature=signature, context=kind.context)
    except (BadSignature, ValueError, TypeError, LookupError) as error:
        wanted = "the signer's of this certificate"
        findings.append(Finding(file, "signature", wanted, str(error)))
    return found, findings

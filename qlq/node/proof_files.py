"""Proofs, checkpoints and transactions as files that people give to each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qlq.config import Settings
from qlq.disk import private_files
from qlq.errors import ConfigError, InvalidProof
from qlq.faults import ProofFault
from qlq.ledger import checkpoint, execution
from qlq.ledger.checkpoint import Checkpoint
from qlq.ledger.note import NOTE_BYTES_MAX
from qlq.ledger.proofs import PROOF_BYTES_MAX, Trusted
from qlq.ledger.transaction import TRANSACTION_BYTES_MAX
from qlq.node import chains, chronicle, proving
from qlq.node.proving import Prover

FILE_BYTES_MAX = 8 * PROOF_BYTES_MAX
"""Of a proof as a document, which shows most of its bytes three times."""


def write_proof(path: Path, document: Mapping[str, Any]) -> None:
    """Write a proof to a new file; raises ConfigError if it cannot be."""
    private_files.create(path, json.dumps(document, indent=2).encode() + b"\n")


def write_entry(path: Path, settings: Settings, transaction: bytes) -> None:
    """Write a signed transaction's canonical bytes to a new file: what a leaf is the hash of.

    Raises:
        ConfigError: No final block holds it, or the file cannot be written.
        LedgerDamaged, LedgerError, KeyStoreError: As `chains.opened`.
    """
    with chains.opened(settings) as validator:
        found, index = chronicle.find(validator, transaction)
    private_files.create(path, found.block.entries[index])


def check(
    path: Path, *, chain: bytes | None, checkpoint_file: Path | None, entry_file: Path | None
) -> dict[str, Any]:
    """Whether the proof in a file holds; the document of `ledger check-proof`. Reads no ledger.

    Args:
        path: As `write_proof` wrote it.
        chain: Id of the chain that is meant; None for whichever the proof says.
        checkpoint_file: A signed note that the reader trusts; None without one.
        entry_file: The signed transaction, for a proof that does not disclose it.

    Raises:
        ConfigError: A file cannot be read, or the checkpoint is none.
    """
    trusted = Trusted(
        chain=chain,
        checkpoint=None if checkpoint_file is None else _read_checkpoint(checkpoint_file),
    )
    entry = None if entry_file is None else _read(entry_file, TRANSACTION_BYTES_MAX)
    data = _read(path, FILE_BYTES_MAX)
    try:
        document = _parse(data)
        return {
            **proving.check_document(document, trusted=trusted, entry=entry),
            "kind": document["kind"],
        }
    except InvalidProof as error:
        return {"valid": False, "reason": error.reason.value, "detail": str(error)}


def make_checkpoint(settings: Settings) -> dict[str, Any]:
    """The log's size and root, signed by this home's validator; the document of the command.

    Raises:
        ConfigError: There is no ledger, or this node does not vote.
        LedgerDamaged, LedgerError, KeyStoreError: As `chains.opened`.
    """
    with chains.opened(settings) as validator:
        key = chains.open_keys(settings).signing
        made = Prover(validator.store, validator.state, key).checkpoint(None)
        voters = execution.read_validators(validator.state).current
    found = made.checkpoint
    return {
        "chain": found.chain.hex(),
        "size": found.size,
        "root": found.root.hex(),
        "note": made.to_text(),
        "verifier_keys": list(checkpoint.verifier_keys(found.chain, voters)),
    }


def _read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint as the reader trusts it: its signatures are the proof's to show."""
    try:
        return checkpoint.decode(_read(path, NOTE_BYTES_MAX)).checkpoint
    except InvalidProof as error:
        raise ConfigError(f"{path} is no checkpoint of a chain: {error}") from error


def _parse(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidProof(ProofFault.MALFORMED, f"no JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidProof(ProofFault.MALFORMED, "no document")
    return document


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise ConfigError(f"{path} is larger than {limit} bytes")
    return data

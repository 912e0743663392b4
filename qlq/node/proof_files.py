"""Proofs, checkpoints and transactions as files that people give to each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlq.config import Settings
from qlq.disk import private_files
from qlq.errors import ConfigError, InvalidProof
from qlq.faults import ProofFault
from qlq.ledger import address, checkpoint, execution
from qlq.ledger.address import Kind
from qlq.ledger.checkpoint import Checkpoint
from qlq.ledger.genesis import NATIVE_SYMBOL
from qlq.ledger.note import NOTE_BYTES_MAX
from qlq.ledger.operations import NATIVE
from qlq.ledger.proofs import PROOF_BYTES_MAX, Trusted
from qlq.ledger.transaction import TRANSACTION_BYTES_MAX
from qlq.node import chains, chronicle, identifiers, proving
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


@dataclass(frozen=True, slots=True)
class Question:
    """What the reader of a proof knows and asks; each may be absent.

    Attributes:
        chain: Id of the chain that is meant.
        about: Id of the transaction, or state key, that the proof has to be about.
        checkpoint_file: A signed note that the reader trusts.
        entry_file: The signed transaction, for a proof that does not disclose it.
    """

    chain: bytes | None = None
    about: bytes | None = None
    checkpoint_file: Path | None = None
    entry_file: Path | None = None


def about(transaction: str | None, account: str | None, asset: str | None) -> bytes | None:
    """What a proof has to be about: a transaction, or an account's holding of an asset.

    Args:
        transaction: Id, 64 hexadecimal digits.
        account: Address.
        asset: Id of the asset (`qlqasset1…`), or QLQ; goes with an account.

    Raises:
        ConfigError: A text that is none of these, or two questions at once.
    """
    if (account is None) != (asset is None) or (transaction and account):
        raise ConfigError("ask for a transaction, or for --account together with --asset")
    if transaction is not None:
        return identifiers.parse(transaction, "a transaction")
    if account is None or asset is None:
        return None
    of = NATIVE if asset == NATIVE_SYMBOL else address.from_text(asset, Kind.ASSET)
    return proving.holding_key(address.from_text(account), of)


def check(path: Path, question: Question) -> dict[str, Any]:
    """Whether the proof in a file holds; the document of `ledger check-proof`. Reads no ledger.

    Args:
        path: As `write_proof` wrote it.
        question: What the reader knows and asks.

    Raises:
        ConfigError: A file cannot be read, or the checkpoint is none.
    """
    note, entry_file = question.checkpoint_file, question.entry_file
    trusted = Trusted(
        chain=question.chain, checkpoint=None if note is None else _read_checkpoint(note)
    )
    entry = None if entry_file is None else _read(entry_file, TRANSACTION_BYTES_MAX)
    data = _read(path, FILE_BYTES_MAX)
    try:
        document = _parse(data)
        verdict = proving.check_document(
            document, trusted=trusted, about=question.about, entry=entry
        )
        shown = {name: document.get(name) for name in ("account", "asset", "units")}
        return {**verdict, "kind": document["kind"], **shown}
    except InvalidProof as error:
        return {"valid": False, "reason": error.reason.value, "detail": str(error)}


def prove_log(settings: Settings, note: Path) -> dict[str, Any]:
    """That the log only grew since the checkpoint in a file; see `proving.prove_log`.

    Raises:
        ConfigError: The file cannot be read or is no checkpoint, or as in `proving.prove_log`.
        LedgerDamaged, LedgerError, KeyStoreError: As `chains.opened`.
    """
    return proving.prove_log(settings, _read_checkpoint(note))


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

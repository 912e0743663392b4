"""Proofs from a home's ledger as documents, and their check without any ledger.

A document shows in words and hexadecimal what its `bytes` (base64) say; whoever checks it decodes
the bytes, and refuses a document that shows anything else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any

import msgspec

from qlq import codec
from qlq.config import Settings
from qlq.crypto.signing import SigningKey
from qlq.errors import ConfigError, InvalidProof, InvalidTransaction, RemoteMisuse
from qlq.faults import ProofFault
from qlq.ledger import address, checkpoint, merkle, proofs, records, transaction
from qlq.ledger import handover as handovers
from qlq.ledger.address import Kind
from qlq.ledger.checkpoint import Checkpoint, SignedCheckpoint
from qlq.ledger.genesis import NATIVE_SYMBOL
from qlq.ledger.operations import NATIVE
from qlq.ledger.proofs import (
    Grounds,
    Inclusion,
    LogProof,
    Proof,
    ReceiptProof,
    StateProof,
    TransactionProof,
    Trusted,
    Verdict,
)
from qlq.ledger.receipt import Receipt
from qlq.ledger.records import Account
from qlq.ledger.state import State
from qlq.ledger.store import LedgerStore
from qlq.node import chains
from qlq.node.validator import Validator

ID_BYTES = 32
AMOUNT_BYTES = 8


class Form(Enum):
    """How much a proof of a transaction gives away."""

    DISCLOSED = auto()
    """The whole signed transaction."""
    LEAF = auto()
    """The hash of its leaf, which confirms no guess; a check needs the transaction besides."""


def prove_transaction(
    settings: Settings, transaction_id: bytes, *, form: Form, size: int | None = None
) -> dict[str, Any]:
    """That a transaction is in a final block.

    Args:
        settings: Of the home.
        transaction_id: 32 bytes.
        form: How much the proof gives away.
        size: Blocks of the log that the proof leads to; None takes all of them. Whoever keeps an
            old checkpoint needs a proof for its size.

    Raises:
        ConfigError: No final block here holds it, or the log had not got it at that size.
        LedgerDamaged: The ledger was changed.
        LedgerError, KeyStoreError: Another process has it.
    """
    with chains.opened(settings) as validator:
        prover = _prover(settings, validator)
        return to_document(prover.transaction(transaction_id, form=form, size=size))


def prove_receipt(
    settings: Settings, transaction_id: bytes, *, size: int | None = None
) -> dict[str, Any]:
    """What came of a transaction; arguments and errors as in `prove_transaction`."""
    with chains.opened(settings) as validator:
        return to_document(_prover(settings, validator).receipt(transaction_id, size=size))


def prove_state(settings: Settings, key: bytes) -> dict[str, Any]:
    """What the state after the last block has under a key, or that it has nothing there.

    Raises:
        ConfigError: There is no block yet.
        LedgerDamaged, LedgerError, KeyStoreError: As in `prove_transaction`.
    """
    with chains.opened(settings) as validator:
        return to_document(_prover(settings, validator).state(key))


def prove_balance(settings: Settings, account: bytes, asset: bytes) -> dict[str, Any]:
    """What an account holds of an asset after the last block; raises as `prove_state`."""
    return prove_state(settings, holding_key(account, asset))


def holding_key(account: bytes, asset: bytes) -> bytes:
    """State key of what an account holds of an asset; native units are part of the account."""
    return records.account_key(account) if asset == NATIVE else records.balance_key(account, asset)


def make_checkpoint(settings: Settings, size: int | None = None) -> str:
    """The log's size and root, signed by this home's validator: a C2SP checkpoint.

    Raises:
        ConfigError: The log has not so many blocks, or this node does not vote.
        LedgerDamaged, LedgerError, KeyStoreError: As in `prove_transaction`.
    """
    with chains.opened(settings) as validator:
        return _prover(settings, validator).checkpoint(size).to_text()


def prove_log(settings: Settings, older: Checkpoint) -> dict[str, Any]:
    """That the log only grew since a checkpoint of it.

    Raises:
        ConfigError: The checkpoint is of another chain, or of a log that this one does not extend.
        LedgerDamaged, LedgerError, KeyStoreError: As in `prove_transaction`.
    """
    with chains.opened(settings) as validator:
        return to_document(_prover(settings, validator).log(older))


def _prover(settings: Settings, validator: Validator) -> Prover:
    return Prover(validator.store, validator.state, chains.open_keys(settings).signing)


class Prover:
    """Makes proofs from an open ledger."""

    def __init__(self, store: LedgerStore, state: State, key: SigningKey) -> None:
        """Name the ledger.

        Args:
            store: Of this node.
            state: After its last block.
            key: This validator's own, which signs checkpoints.
        """
        self._store, self._state, self._key = store, state, key

    def transaction(self, transaction_id: bytes, *, form: Form, size: int | None) -> Proof:
        """See `prove_transaction`."""
        height, index = self._place(transaction_id)
        entries = self._store.block(height).block.entries
        leaves = [merkle.leaf_hash(entry) for entry in entries]
        is_disclosed = form is Form.DISCLOSED
        return TransactionProof(
            entry=entries[index] if is_disclosed else b"",
            leaf=b"" if is_disclosed else leaves[index],
            place=proofs.inclusion(leaves, index),
            grounds=self._grounds(height, size),
        )

    def receipt(self, transaction_id: bytes, *, size: int | None) -> Proof:
        """See `prove_receipt`."""
        height, index = self._place(transaction_id)
        receipts = [receipt.to_bytes() for receipt in self._store.block(height).receipts]
        leaves = [merkle.leaf_hash(receipt) for receipt in receipts]
        return ReceiptProof(
            receipt=receipts[index],
            place=proofs.inclusion(leaves, index),
            grounds=self._grounds(height, size),
        )

    def state(self, key: bytes) -> Proof:
        """See `prove_state`."""
        height = self._store.height()
        if height == 0:
            raise ConfigError("there is no block yet, whose header could hold a state root")
        path = self._state.tree.prove(key)
        grounds = self._grounds(height, None)
        return StateProof(key=key, value=self._state.get(key), path=path, grounds=grounds)

    def log(self, older: Checkpoint) -> Proof:
        """See `prove_log`."""
        hashes = self._hashes(None)
        if older.chain != self._store.chain:
            raise ConfigError(
                f"a checkpoint of chain {older.chain.hex()}; this one is {self._store.chain.hex()}"
            )
        if not 0 < older.size <= len(hashes):
            raise ConfigError(f"a log of {older.size} blocks; there are {len(hashes)} here")
        if merkle.root(hashes[: older.size]) != older.root:
            raise ConfigError(
                f"the first {older.size} blocks here have another root than {older.root.hex()}: "
                "whoever signed that checkpoint knows another chain, keep it as evidence"
            )
        leaves = [merkle.leaf_hash(found) for found in hashes]
        return LogProof(
            old_size=older.size,
            old_root=older.root,
            hashes=b"".join(merkle.consistency_proof_of_hashes(leaves, older.size)),
            grounds=self._grounds(len(hashes), None),
        )

    def checkpoint(self, size: int | None) -> SignedCheckpoint:
        """See `make_checkpoint`."""
        hashes = self._hashes(size)
        root = merkle.root(hashes)
        return checkpoint.sign(Checkpoint(self._store.chain, len(hashes), root), [self._key])

    def _grounds(self, height: int, size: int | None) -> Grounds:
        hashes = self._hashes(size)
        if height > len(hashes):
            raise ConfigError(f"block {height} is not in the log of {len(hashes)} blocks")
        header, certificate = self._store.header(height)
        leaves = [merkle.leaf_hash(found) for found in hashes]
        changes = self._store.handovers()
        return Grounds(
            genesis=self._store.genesis.to_bytes(),
            handovers=tuple(one for one in changes if one.header.height <= len(hashes)),
            header=header,
            certificate=certificate,
            log=proofs.inclusion(leaves, height - 1),
            checkpoint=self.checkpoint(size).to_text().encode(),
        )

    def _hashes(self, size: int | None) -> list[bytes]:
        """Hashes of the log's blocks at a size at which this node may sign for it."""
        hashes = self._store.hashes()
        if size is not None and not 0 < size <= len(hashes):
            raise ConfigError(f"no log of {size} blocks: there are {len(hashes)}")
        hashes = hashes[:size]
        voters = handovers.voters(
            self._store.genesis.validators,
            self._store.handovers(),
            chain=self._store.chain,
            height=len(hashes) + 1,
        )
        if all(one.key != self._key.verifying_key.to_bytes() for one in voters.members):
            raise ConfigError(
                f"this node does not vote on block {len(hashes) + 1}, and signs no checkpoint there"
            )
        return hashes

    def _place(self, transaction_id: bytes) -> tuple[int, int]:
        if len(transaction_id) != ID_BYTES:
            raise ConfigError(f"a transaction id has {ID_BYTES} bytes, not {len(transaction_id)}")
        place = self._store.place(transaction_id)
        if place is None:
            raise ConfigError(f"no final block here holds transaction {transaction_id.hex()}")
        return place.height, place.index


def to_document(proof: Proof) -> dict[str, Any]:
    """A proof as a document, unchecked."""
    grounds = proof.grounds
    header = grounds.header
    return {
        **_subject(proof),
        "chain": header.chain.hex(),
        "block": {
            "height": header.height,
            "hash": header.hash.hex(),
            "time_ms": header.time_ms,
            "validators_hash": header.validators_hash.hex(),
        },
        "log": _inclusion(grounds.log),
        "checkpoint": grounds.checkpoint.decode("utf-8", "replace"),
        "bytes": base64.b64encode(proofs.to_bytes(proof)).decode(),
    }


def from_document(document: Mapping[str, Any]) -> Proof:
    """The proof in a document that shows what its bytes say; otherwise unchecked.

    Raises:
        InvalidProof: It is no proof, or shows something else.
    """
    encoded = document.get("bytes")
    try:
        data = base64.b64decode(encoded if isinstance(encoded, str) else "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidProof(ProofFault.MALFORMED, f"bytes that are not base64: {error}") from error
    proof = proofs.decode(data)
    for name, value in to_document(proof).items():
        if _canonical(document.get(name)) != _canonical(value):
            detail = f"{name} is not what the proof's bytes say"
            raise InvalidProof(ProofFault.DOCUMENT, detail)
    return proof


def check_document(
    document: Mapping[str, Any],
    *,
    trusted: Trusted = proofs.NOTHING,
    about: bytes | None = None,
    entry: bytes | None = None,
) -> dict[str, Any]:
    """What a document proves; no ledger is read.

    Args:
        document: As `to_document` makes it; more fields may be in it.
        trusted: What the reader knows.
        about: Transaction id, state key or old root that the reader asked for; see `proofs.check`.
        entry: The signed transaction, for a proof that does not disclose it.

    Raises:
        InvalidProof: It does not hold, or not on these grounds.
    """
    proof = from_document(document)
    return _verdict(proofs.check(proof, trusted=trusted, about=about, entry=entry))


def _verdict(verdict: Verdict) -> dict[str, Any]:
    subject = verdict.subject
    return {
        "valid": True,
        "chain": verdict.chain.hex(),
        "subject": None if subject is None else subject.hex(),
        "height": verdict.header.height,
        "block": verdict.header.hash.hex(),
        "size": verdict.checkpoint.size,
        "root": verdict.checkpoint.root.hex(),
        "relative_to": [word.value for word in verdict.reliance],
        "validators": [address.to_text(one.address) for one in verdict.validators.members],
        "quorum": verdict.validators.quorum,
        "checkpoint_signers": verdict.checkpoint_signers,
    }


def _subject(proof: Proof) -> dict[str, Any]:
    header = proof.grounds.header
    match proof:
        case TransactionProof():
            entry = proof.entry
            leaf = merkle.leaf_hash(entry) if entry else proof.leaf
            return {
                "kind": "transaction",
                "discloses": "the whole transaction" if entry else "nothing",
                "tx_id": _transaction_id(entry) if entry else None,
                "entry": entry.hex() or None,
                "leaf": leaf.hex(),
                "root": header.tx_root.hex(),
                **_inclusion(proof.place),
            }
        case ReceiptProof():
            return {
                "kind": "receipt",
                "discloses": "the receipt",
                "tx_id": _receipt(proof.receipt).transaction.hex(),
                "entry": proof.receipt.hex(),
                "leaf": merkle.leaf_hash(proof.receipt).hex(),
                "root": header.receipt_root.hex(),
                **_inclusion(proof.place),
            }
        case StateProof():
            return {
                "kind": "state",
                "discloses": "one entry" if proof.value is not None else "that there is none",
                "key": proof.key.hex(),
                "value": None if proof.value is None else proof.value.hex(),
                **_holding(proof),
                "root": header.state_root.hex(),
            }
        case LogProof():
            return {
                "kind": "log",
                "discloses": "hashes of blocks",
                "old_size": proof.old_size,
                "old_root": proof.old_root.hex(),
                "proof": [one.hex() for one in proof.siblings],
            }


def _holding(proof: StateProof) -> dict[str, Any]:
    """Whose holding an entry is, of what, and how many smallest units; None for other entries."""
    key = proof.key
    if key[:1] == records.ACCOUNT and len(key) == 1 + ID_BYTES:
        asset = NATIVE_SYMBOL
    elif key[:1] == records.BALANCE and len(key) == 1 + 2 * ID_BYTES:
        asset = address.to_text(key[1 + ID_BYTES :], Kind.ASSET)
    else:
        return {"account": None, "asset": None, "units": None}
    return {
        "account": address.to_text(key[1 : 1 + ID_BYTES]),
        "asset": asset,
        "units": _units(proof),
    }


def _units(proof: StateProof) -> str | None:
    """Smallest units in an account or a balance, as digits; None for any other bytes.

    A chain that is not trusted may hold anything there.
    """
    value = proof.value
    if value is None:
        return "0"
    if proof.key[:1] == records.BALANCE:
        return str(records.read_integer(value)) if len(value) == AMOUNT_BYTES else None
    try:
        account: Account = codec.decode(value, Account)
    except RemoteMisuse:
        return None
    return str(account.native)


def _transaction_id(entry: bytes) -> str:
    try:
        return transaction.decode(entry).id.hex()
    except InvalidTransaction as error:
        raise InvalidProof(ProofFault.ENTRY, str(error)) from error


def _canonical(value: object) -> bytes:
    """JSON in one form, in which neither `true` nor `1.0` is 1."""
    return msgspec.json.encode(value, order="deterministic")


def _inclusion(place: Inclusion) -> dict[str, Any]:
    return {
        "size": place.size,
        "index": place.index,
        "proof": _hexadecimal(place.siblings),
    }


def _hexadecimal(parts: Sequence[bytes]) -> list[str]:
    return [part.hex() for part in parts]


def _receipt(data: bytes) -> Receipt:
    try:
        return codec.decode(data, Receipt)
    except RemoteMisuse as error:
        raise InvalidProof(ProofFault.ENTRY, f"no receipt: {error}") from error

"""What the ledger holds, as documents: its state, a block, a transaction."""

from __future__ import annotations

import uuid
from typing import Any

from qlq import codec
from qlq.config import Settings
from qlq.errors import ConfigError, RemoteMisuse
from qlq.ledger import address, amounts, genesis, transaction, transition
from qlq.ledger.address import Kind
from qlq.ledger.block import Header
from qlq.ledger.genesis import NATIVE_SYMBOL
from qlq.ledger.operations import NATIVE, Operation
from qlq.ledger.receipt import Event, Receipt
from qlq.ledger.store import Stored
from qlq.ledger.transaction import SealKind
from qlq.node import chains, identifiers
from qlq.node.transacting import SEAL_WORDS
from qlq.node.validator import Validator
from qlq.provenance import Claim

LAST = "last"
"""Stands for the chain's last transaction."""
_ADDRESSES = {"source", "target", "account", "arbiter", "proposer"}
"""Fields of operations and headers that hold an account's address."""


def status(validator: Validator) -> dict[str, Any]:
    """Where the chain stands, and its rules."""
    rules, tip = validator.rules.genesis, validator.tip
    return {
        "chain": validator.rules.chain.hex(),
        "name": rules.name,
        "height": tip.height,
        "block": tip.hash.hex(),
        "log_root": tip.log.root.hex(),
        "state_root": validator.state.tree.root.hex(),
        "entries": len(validator.state),
        "policy": rules.policy.kind.name.lower(),
        "fee_min": amounts.show(rules.policy.fee_min, genesis.NATIVE_DECIMALS),
        "validators": [address.to_text(one.address) for one in rules.validators.members],
        "administrators": [address.to_text(one) for one in rules.administrators],
        "beacon": rules.beacon != b"",
        "beacon_round": transition.latest_pulse(validator.state)[0],
        "file": str(validator.store.path),
    }


def block(validator: Validator, height: int) -> dict[str, Any]:
    """A final block: header, transactions with their outcome, who signed.

    Raises:
        ConfigError: There is no such block.
        LedgerDamaged: It was changed.
    """
    found = validator.store.block(height)
    return {
        **_header(found.block.header),
        "transactions": [
            {"tx_id": receipt.transaction.hex(), **_outcome(receipt)} for receipt in found.receipts
        ],
        "certificate": {
            "epoch": found.certificate.epoch,
            "signatures": len(found.certificate.signatures),
        },
    }


def resolve(text: str, settings: Settings) -> bytes:
    """The id that a text stands for: 64 hexadecimal digits, or `last`, the chain's last one.

    Raises:
        ConfigError: It is neither, there is no ledger, or no transaction yet.
        LedgerDamaged, LedgerError, KeyStoreError: As `chains.opened`.
    """
    if text == LAST:
        with chains.opened(settings) as validator:
            return _last(validator)
    return identifiers.parse(text, f"a transaction, nor {LAST!r}")


def _last(validator: Validator) -> bytes:
    """Id of the last transaction of the last block that has one."""
    store = validator.store
    for height in range(store.height(), store.base_height, -1):
        receipts = store.block(height).receipts
        if receipts:
            return receipts[-1].transaction
    raise ConfigError("no block here has a transaction yet")


def find(validator: Validator, wanted: bytes) -> tuple[Stored, int]:
    """The block that holds a transaction, and its index there.

    Raises:
        ConfigError: No final block holds it.
    """
    place = validator.store.place(wanted)
    if place is None:
        raise ConfigError(f"no final block holds transaction {wanted.hex()}")
    return validator.store.block(place.height), place.index


def show(validator: Validator, wanted: bytes) -> dict[str, Any]:
    """A transaction in words, with its receipt; raises as `find`."""
    found, index = find(validator, wanted)
    signed = transaction.decode(found.block.entries[index])
    draft, receipt = signed.draft, found.receipts[index]
    return {
        "tx_id": draft.id.hex(),
        "height": found.block.header.height,
        "index": index,
        "sender": address.to_text(draft.sender),
        "nonce": draft.nonce,
        "valid_until": draft.valid_until,
        "fee_offered": amounts.show(draft.fee, genesis.NATIVE_DECIMALS),
        "operations": [_operation(part) for part in draft.operations],
        "memo": draft.memo.decode(errors="replace"),
        "signers": [address.to_text(signer) for signer in signed.signers],
        "seals": [
            {
                "validator": address.to_text(seal.reader),
                "kind": SEAL_WORDS[SealKind(seal.kind)],
                "key_id": str(uuid.UUID(bytes=seal.key_id)) if seal.key_id else None,
                "claim": Claim(seal.claim).label if seal.key_id else None,
            }
            for seal in draft.seals
        ],
        **_outcome(receipt),
        "events": [event_document(event) for event in receipt.events],
    }


def event_document(event: Event) -> dict[str, Any]:
    """An event: its values where they are the ledger's own, its bytes where a contract's."""
    shown: dict[str, Any] = {"emitter": event.emitter.hex(), "name": event.name}
    try:
        values: list[Any] = codec.decode(event.data, list[Any])
    except RemoteMisuse:
        return {**shown, "data": event.data.hex()}
    return {**shown, "values": [_plain(value) for value in values]}


def _header(header: Header) -> dict[str, Any]:
    shown = {name: _plain(getattr(header, name), name) for name in header.__struct_fields__}
    return {**shown, "hash": header.hash.hex(), "mode": header.mode.name}


def _operation(operation: Operation) -> dict[str, Any]:
    values = {name: _plain(getattr(operation, name), name) for name in operation.__struct_fields__}
    return {"operation": type(operation).__name__, **values}


def _outcome(receipt: Receipt) -> dict[str, Any]:
    reason = receipt.reason
    return {
        "status": receipt.status.name.lower(),
        "reason": None if reason is None else reason.word,
        "gas": receipt.gas,
        "fee": amounts.show(receipt.fee, genesis.NATIVE_DECIMALS),
    }


def _plain(value: Any, name: str = "") -> Any:
    """Addresses as their texts, other bytes as hexadecimal digits, structs by field."""
    if name in _ADDRESSES:
        return address.to_text(value)
    if name == "asset":
        return NATIVE_SYMBOL if value == NATIVE else address.to_text(value, Kind.ASSET)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "__struct_fields__"):
        return {name: _plain(getattr(value, name), name) for name in value.__struct_fields__}
    return value

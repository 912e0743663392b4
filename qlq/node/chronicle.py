"""What the ledger holds, as documents: its state, a block, a transaction."""

from __future__ import annotations

from typing import Any

from qlq import codec
from qlq.errors import ConfigError, RemoteMisuse
from qlq.ledger import address, amounts, genesis, transaction
from qlq.ledger.block import Header
from qlq.ledger.operations import Operation
from qlq.ledger.receipt import Event, Receipt
from qlq.ledger.store import Stored
from qlq.ledger.transaction import SealKind
from qlq.node.transacting import SEAL_WORDS
from qlq.node.validator import Validator
from qlq.provenance import Claim

ID_BYTES = 32


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


def find(validator: Validator, text: str) -> tuple[Stored, int]:
    """The block that holds a transaction, and its index there.

    Raises:
        ConfigError: The text is no id, or no final block holds it.
    """
    try:
        wanted = bytes.fromhex(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no transaction id: 64 hexadecimal digits") from error
    if len(wanted) != ID_BYTES:
        raise ConfigError(f"{text!r} is no transaction id: 64 hexadecimal digits")
    place = validator.store.place(wanted)
    if place is None:
        raise ConfigError(f"no final block holds transaction {text}")
    return validator.store.block(place.height), place.index


def show(validator: Validator, text: str) -> dict[str, Any]:
    """A transaction in words, with its receipt; raises as `find`."""
    found, index = find(validator, text)
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
                "key_id": seal.key_id.hex() or None,
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
    shown = {name: _plain(getattr(header, name)) for name in header.__struct_fields__}
    return {**shown, "hash": header.hash.hex(), "mode": header.mode.name}


def _operation(operation: Operation) -> dict[str, Any]:
    values = {name: _plain(getattr(operation, name)) for name in operation.__struct_fields__}
    return {"kind": type(operation).__name__, **values}


def _outcome(receipt: Receipt) -> dict[str, Any]:
    reason = receipt.reason
    return {
        "status": receipt.status.name.lower(),
        "reason": None if reason is None else reason.word,
        "gas": receipt.gas,
        "fee": amounts.show(receipt.fee, genesis.NATIVE_DECIMALS),
    }


def _plain(value: Any) -> Any:
    """Bytes as hexadecimal digits, structs and tuples as lists of their values."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "__struct_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    return value

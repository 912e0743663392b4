"""What the state holds, and under which key: one byte for the kind, then ids of fixed length.

    A account                  Account          B account asset           balance, not native
    S asset                    Asset            Y symbol                  the asset's id
    E escrow                   Escrow           N digest                  Anchored
    D commitment               Committed        Q validator sender key id height of its use
    V                          ValidatorRecord  T                         times of recent blocks
    R                          latest pulse     P 1 + index               PulseRecord
    L                          Rounds           G round                   Round
    C contract                 ContractRecord   K contract storage key    a contract's own entry

Native units are part of the account, so that paying a fee makes and removes no entry.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, cast

import msgspec

from qlq import codec
from qlq.consensus.validators import Validators
from qlq.crypto import digest
from qlq.errors import InvariantBroken

_ASSET_NAME = b"qlq/asset/1"
_ESCROW_NAME = b"qlq/escrow/1"
DEPOSITS = digest.named(b"qlq/deposits/1", b"")
"""Address of the account that holds the deposits; nobody has a key of it."""

ACCOUNT, BALANCE, ASSET, SYMBOL, ESCROW = b"A", b"B", b"S", b"Y", b"E"
ANCHOR, COMMITMENT, SEAL_KEY = b"N", b"D", b"Q"
VALIDATORS, TIMES, BEACON, PULSE = b"V", b"T", b"R", b"P"
ROUNDS, ROUND = b"L", b"G"
CONTRACT, STORAGE = b"C", b"K"

COUNTED = (ACCOUNT, BALANCE, ASSET, SYMBOL, ESCROW, ANCHOR, COMMITMENT, CONTRACT, STORAGE)
"""Kinds of entries that a sender answers for with a deposit or its quota."""

TIMES_COUNT = 11
"""The time that contracts see is the median of so many blocks' times."""


class Account(msgspec.Struct, frozen=True, array_like=True):
    """An account.

    Attributes:
        nonce: Transactions that it has sent.
        native: Its native units.
        key: Its key with the algorithm's byte; empty before its first transaction, and for
            contracts.
        entries: Entries of the state that it made and nobody removed.
    """

    nonce: int = 0
    native: int = 0
    key: bytes = b""
    entries: int = 0


class Asset(msgspec.Struct, frozen=True, array_like=True):
    """An asset; the supply is what all accounts and escrows hold together."""

    symbol: str
    decimals: int
    issuer: bytes
    supply: int
    cap: int


class Escrow(msgspec.Struct, frozen=True, array_like=True):
    """What waits for a decision; see `operations.Reserve`."""

    source: bytes
    target: bytes
    asset: bytes
    amount: int
    arbiter: bytes
    until: int


class Anchored(msgspec.Struct, frozen=True, array_like=True):
    """Who anchored a digest, of what kind, and in which block."""

    kind: int
    sender: bytes
    height: int


class Committed(msgspec.Struct, frozen=True, array_like=True):
    """Who committed to data outside the chain, how many bytes, and in which block."""

    sender: bytes
    size: int
    height: int


class ValidatorRecord(msgspec.Struct, frozen=True, array_like=True):
    """The present set, and the one that takes over at a height; None and 0 if none does."""

    current: Validators
    following: Validators | None = None
    following_height: int = 0


class PulseRecord(msgspec.Struct, frozen=True, array_like=True):
    """A pulse: its value, its tier, and the block that brought it."""

    value: bytes
    tier: int
    height: int


class Round(msgspec.Struct, frozen=True, array_like=True):
    """A round as contracts may use it: whatever named it is older than its pulse.

    Attributes:
        value: Of the pulse, 64 bytes.
        tier: Of the pulse.
        height: Of the block that brought it; contracts see it from the next one on.
        pulse: The pulse's index.
    """

    value: bytes
    tier: int
    height: int
    pulse: int


class Rounds(msgspec.Struct, frozen=True, array_like=True):
    """How many rounds there are, and which block brought the last one, at what time."""

    count: int = 0
    height: int = 0
    time_ms: int = 0


class ContractRecord(msgspec.Struct, frozen=True, array_like=True):
    """A contract.

    Attributes:
        source: Its source.
        compiler: Version of the compiler.
        code_hash: SHA-256 of its code.
        deployer: Who deployed it.
        announced: Code hash of an announced upgrade; empty without one.
        ready_height: First height at which that upgrade may be carried out.
    """

    source: bytes
    compiler: int
    code_hash: bytes
    deployer: bytes
    announced: bytes = b""
    ready_height: int = 0


def account_key(address: bytes) -> bytes:
    """State key of an account."""
    return ACCOUNT + address


def balance_key(address: bytes, asset: bytes) -> bytes:
    """State key of a balance that is not native."""
    return BALANCE + address + asset


def asset_key(asset: bytes) -> bytes:
    """State key of an asset."""
    return ASSET + asset


def symbol_key(symbol: str) -> bytes:
    """State key of a symbol."""
    return SYMBOL + symbol.encode()


def escrow_key(escrow: bytes) -> bytes:
    """State key of an escrow."""
    return ESCROW + escrow


def anchor_key(found: bytes) -> bytes:
    """State key of an anchored digest."""
    return ANCHOR + found


def commitment_key(commitment: bytes) -> bytes:
    """State key of a commitment."""
    return COMMITMENT + commitment


def seal_key(validator: bytes, sender: bytes, key_id: bytes) -> bytes:
    """State key of a quantum-distributed key that has sealed a sender's transaction.

    A key belongs to one link: another sender that names its id uses up nothing of this one's.
    """
    return SEAL_KEY + validator + sender + key_id


def pulse_key(beacon_round: int) -> bytes:
    """State key of a pulse: 1 + its index."""
    return PULSE + beacon_round.to_bytes(8, "big")


def round_key(number: int) -> bytes:
    """State key of a round of contracts; the first one is 1."""
    return ROUND + number.to_bytes(8, "big")


def read_rounds(found: bytes | None) -> Rounds:
    """What is under `ROUNDS`; nothing there are no rounds."""
    return Rounds() if found is None else read(found, Rounds)


def contract_key(contract: bytes) -> bytes:
    """State key of a contract."""
    return CONTRACT + contract


def storage_key(contract: bytes, key: bytes) -> bytes:
    """State key of an entry of a contract's own storage."""
    return STORAGE + contract + key


def asset_id(transaction: bytes, operation: int) -> bytes:
    """Id of the asset that an operation defines."""
    return digest.named(_ASSET_NAME, transaction + operation.to_bytes(2, "big"))


def escrow_id(transaction: bytes, operation: int) -> bytes:
    """Id of the escrow that an operation reserves."""
    return digest.named(_ESCROW_NAME, transaction + operation.to_bytes(2, "big"))


def read_integer(data: bytes) -> int:
    """A balance or a height as the state holds it."""
    return int.from_bytes(data, "big")


def write_integer(value: int) -> bytes:
    """Eight bytes, big-endian, of a value from 0 to 2^63 - 1."""
    return value.to_bytes(8, "big")


def read(data: bytes, kind: type[codec.T]) -> codec.T:
    """A record of the state; raises InvariantBroken, since only we write there.

    Nobody else's bytes are read here, so that their form is not checked again.
    """
    try:
        record: codec.T = _decoder(cast("Hashable", kind)).decode(data[len(codec.VERSION) :])
    except msgspec.MsgspecError as error:
        raise InvariantBroken(f"the state holds no {kind}: {error}") from error
    return record


@cache
def _decoder(kind: Hashable) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(cast("Any", kind))

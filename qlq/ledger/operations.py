"""What a transaction can do; one kind of value for each, with its number on the wire.

A leg takes an amount from one account and gives the same to another, so that the legs of every
transfer sum to zero in each asset.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TypeAlias

import msgspec

from qlq.errors import InvalidTransaction
from qlq.faults import TransactionFault

ID_BYTES = 32
KEY_ID_BYTES = 16
AMOUNT_MAX = (1 << 63) - 1
NATIVE = bytes(ID_BYTES)
"""The asset that fees and deposits are paid in."""

LEGS_MAX = 64
DECIMALS_MAX = 18
KEY_BYTES_MAX = 4096
SIGNATURE_BYTES_MAX = 8192
VALIDATOR_SET_BYTES_MAX = 1 << 19
PULSE_BYTES_MAX = 1 << 16
SOURCE_BYTES_MAX = 32 * 1024
ARGUMENT_BYTES_MAX = 8 * 1024
METHOD_BYTES = 4
COMMITTED_BYTES_MAX = 1 << 30
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,11}")


class AnchorKind(IntEnum):
    """What a digest on the chain is the digest of."""

    QKD_SESSION = 1
    """`session.json` of an archive."""
    CERTIFICATE = 2
    """A signed randomness certificate."""
    DOCUMENT = 3


class Leg(msgspec.Struct, frozen=True, array_like=True):
    """An amount from one account to another; 1 to 2^63 - 1 of the asset's smallest unit."""

    source: bytes
    target: bytes
    asset: bytes
    amount: int


class Transfer(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """1 to 64 legs, together or not at all; every source signs."""

    legs: tuple[Leg, ...]


class DefineAsset(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A new asset, with the sender as its issuer.

    Attributes:
        symbol: 1 to 12 of A-Z and 0-9, a letter first; each symbol exists once.
        decimals: Places after the point that people read, 0 to 18.
        cap: The most that may ever exist.
    """

    symbol: str
    decimals: int
    cap: int = AMOUNT_MAX


class Issue(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """New units, by the issuer, for an account."""

    asset: bytes
    target: bytes
    amount: int


class Burn(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Units of the sender's that cease to exist."""

    asset: bytes
    amount: int


class Reserve(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The first phase of an escrow: the sender's units wait for a decision.

    Attributes:
        target: Who gets them if it is posted.
        asset: Of what.
        amount: How many.
        arbiter: Who may post or void it; the sender, the target or a third.
        until: After this height it cannot be posted, and anyone may void it.
    """

    target: bytes
    asset: bytes
    amount: int
    arbiter: bytes
    until: int


class Post(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The second phase: the target gets what was reserved."""

    escrow: bytes


class Void(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The other second phase: what was reserved goes back."""

    escrow: bytes


class RotateKey(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """Another key for the sender; its address stays.

    Attributes:
        key: The new key with its algorithm's byte.
        proof: The new key's signature of chain id and address.
    """

    key: bytes
    proof: bytes


class ChangeValidators(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """Another set of validators from two heights on; n - f of the present ones sign.

    Attributes:
        validators: Canonical bytes of a `consensus.validators.Validators`.
    """

    validators: bytes


class Anchor(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """A digest that existed at this height.

    Attributes:
        kind: Number of an `AnchorKind`.
        digest: SHA-256 of what is anchored.
    """

    kind: int
    digest: bytes


class CommitData(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """A salted commitment to data that are kept outside the chain and can be purged there.

    Attributes:
        commitment: As `sealing.commit` makes it.
        size: Bytes that are committed to.
    """

    commitment: bytes
    size: int


class Enrol(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """An account that may send from now on; by an administrator of the chain."""

    account: bytes


class PublishPulse(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """The next pulse of the chain's beacon, in its canonical bytes."""

    pulse: bytes


class Deploy(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """A new contract.

    Attributes:
        source: Its source; every node compiles it.
        compiler: Version of the compiler.
        code_hash: SHA-256 of the code that the source compiles to.
        arguments: Of `init`, encoded; empty without one.
        gas: The most that it may use.
    """

    source: bytes
    compiler: int
    code_hash: bytes
    arguments: bytes
    gas: int


class Call(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """One call of a contract's method.

    Attributes:
        contract: Its address.
        method: First 4 bytes of the SHA-256 of the method's signature.
        arguments: Encoded.
        gas: The most that it may use.
        asset: Of the value that goes with it.
        amount: That value; 0 for none.
    """

    contract: bytes
    method: bytes
    arguments: bytes
    gas: int
    asset: bytes = NATIVE
    amount: int = 0


class AnnounceUpgrade(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """What a contract's code will be after its delay; by the administrator that it names."""

    contract: bytes
    code_hash: bytes


class Upgrade(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """The announced code, with its source, in place of the old."""

    contract: bytes
    source: bytes
    compiler: int
    gas: int


Operation: TypeAlias = (
    Transfer
    | DefineAsset
    | Issue
    | Burn
    | Reserve
    | Post
    | Void
    | RotateKey
    | ChangeValidators
    | Anchor
    | CommitData
    | Enrol
    | PublishPulse
    | Deploy
    | Call
    | AnnounceUpgrade
    | Upgrade
)


METERED = (Deploy, Call, Upgrade)
"""Operations that name their gas."""


def givers(operation: Operation) -> tuple[bytes, ...]:
    """Accounts beside the sender's own that an operation takes something from."""
    return tuple(leg.source for leg in operation.legs) if isinstance(operation, Transfer) else ()


def check(operation: Operation) -> None:
    """Return if an operation holds together without any state.

    Raises:
        InvalidTransaction: A field outside its range, an amount that is none, a leg from an
            account to itself.
    """
    match operation:
        case Transfer(legs):
            _need(1 <= len(legs) <= LEGS_MAX, f"{len(legs)} legs; 1 to {LEGS_MAX} fit")
            for leg in legs:
                _check_leg(leg)
        case Issue(asset, target, amount):
            _check_ids(asset, target)
            _check_amount(amount)
        case Burn(asset, amount):
            _check_ids(asset)
            _check_amount(amount)
        case Reserve(target, asset, amount, arbiter, until):
            _check_ids(target, asset, arbiter)
            _check_amount(amount)
            _need(0 <= until <= AMOUNT_MAX, f"height {until}")
        case Post(escrow) | Void(escrow):
            _check_ids(escrow)
        case _:
            _check_other(operation)


def _check_other(operation: Operation) -> None:
    """The operations that move no asset by themselves."""
    match operation:
        case DefineAsset(symbol, decimals, cap):
            _need(_SYMBOL.fullmatch(symbol) is not None, f"symbol {symbol!r}: A-Z, 0-9, at most 12")
            _need(0 <= decimals <= DECIMALS_MAX, f"{decimals} decimals; 0 to {DECIMALS_MAX}")
            _check_amount(cap)
        case RotateKey(key, proof):
            _check_sizes((key, KEY_BYTES_MAX), (proof, SIGNATURE_BYTES_MAX))
        case ChangeValidators(validators):
            _check_sizes((validators, VALIDATOR_SET_BYTES_MAX))
        case Anchor(kind, found):
            _need(kind in set(AnchorKind), f"an anchor of kind {kind}")
            _check_ids(found)
        case CommitData(commitment, size):
            _check_ids(commitment)
            _need(0 <= size <= COMMITTED_BYTES_MAX, f"{size} bytes committed to")
        case Enrol(account):
            _check_ids(account)
        case PublishPulse(pulse):
            _check_sizes((pulse, PULSE_BYTES_MAX))
        case _:
            _check_contract(operation)


def _check_contract(operation: Operation) -> None:
    match operation:
        case Deploy(source, compiler, code_hash, arguments, gas):
            _check_ids(code_hash)
            _check_sizes((source, SOURCE_BYTES_MAX), (arguments, ARGUMENT_BYTES_MAX))
            _need(0 <= compiler <= AMOUNT_MAX, f"compiler version {compiler}")
            _check_gas(gas)
        case Call(contract, method, arguments, gas, asset, amount):
            _check_ids(contract, asset)
            _check_sizes((arguments, ARGUMENT_BYTES_MAX))
            _need(len(method) == METHOD_BYTES, f"a method id of {len(method)} bytes")
            _check_gas(gas)
            if amount:
                _check_amount(amount)
        case AnnounceUpgrade(contract, code_hash):
            _check_ids(contract, code_hash)
        case Upgrade(contract, source, compiler, gas):
            _check_ids(contract)
            _check_sizes((source, SOURCE_BYTES_MAX))
            _need(0 <= compiler <= AMOUNT_MAX, f"compiler version {compiler}")
            _check_gas(gas)


def _check_leg(leg: Leg) -> None:
    _check_ids(leg.source, leg.target, leg.asset)
    _check_amount(leg.amount)
    if leg.source == leg.target:
        raise InvalidTransaction(TransactionFault.SELF_TRANSFER, f"{leg.source.hex()} to itself")


def _check_amount(amount: int) -> None:
    if amount == 0:
        raise InvalidTransaction(TransactionFault.AMOUNT_ZERO, "an amount of 0 moves nothing")
    if amount < 0:
        raise InvalidTransaction(TransactionFault.AMOUNT_NEGATIVE, f"{amount}; swap the accounts")
    if amount > AMOUNT_MAX:
        raise InvalidTransaction(TransactionFault.AMOUNT_TOO_LARGE, f"{amount} is above 2^63 - 1")


def _check_gas(gas: int) -> None:
    _need(0 < gas <= AMOUNT_MAX, f"gas {gas}")


def _check_ids(*ids: bytes) -> None:
    for one in ids:
        _need(len(one) == ID_BYTES, f"an id of {len(one)} bytes")


def _check_sizes(*parts: tuple[bytes, int]) -> None:
    for part, size_max in parts:
        _need(len(part) <= size_max, f"{len(part)} bytes; {size_max} fit")


def _need(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise InvalidTransaction(TransactionFault.MALFORMED, message)

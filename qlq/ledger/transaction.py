"""Transactions: what an account asks of the ledger, signed.

    Draft -> SignedTransaction -> (sealing.SealedTransaction) -> a block's entry

A draft holds 16 random bytes, so that neither its id nor the leaf of its block can be confirmed by
guessing what it says. What must hold without the state is checked by `check`; the rest by
`transition`.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property, lru_cache
from typing import TypeAlias

import msgspec

from qlq import codec
from qlq.crypto import digest
from qlq.crypto.signing import SigningKey, VerifyingKey
from qlq.errors import BadSignature, InvalidTransaction, RemoteMisuse
from qlq.faults import TransactionFault
from qlq.ledger import operations
from qlq.ledger.operations import (
    ID_BYTES,
    KEY_ID_BYTES,
    METERED,
    Operation,
    RotateKey,
)
from qlq.provenance import Claim

SIGNATURE_CONTEXT = b"qlq/tx/1"
ROTATION_CONTEXT = b"qlq/rotation/1"
_ID_NAME = b"qlq/tx-id/1"

SALT_BYTES = 16
OPERATIONS_MAX = 16
SIGNERS_MAX = 100
MEMO_BYTES_MAX = 512
READERS_MAX = 100
TRANSACTION_BYTES_MAX = 1 << 20
"""A change among a hundred validators, with all their keys and signatures, fits."""
REMEMBERED_MAX = 2048
"""Decoded transactions that are remembered: what was verified ahead is carried out soon."""
REMEMBERED_BYTES_MAX = 1 << 14
"""Larger ones are few, and would fill the memory."""
COUNT_MAX = (1 << 63) - 1
"""Nonces, heights and fees, like amounts, fit a signed 64-bit integer."""


class SealKind(IntEnum):
    """How a content key is wrapped for a validator."""

    QKD = 1
    """Under a quantum-distributed key alone, which must be of claim `two-node`."""
    QKD_AND_PQ = 2
    """Under a quantum-distributed key and a post-quantum hybrid secret together."""
    PQ = 3
    """Under a post-quantum hybrid secret: HPKE with ML-KEM-768 and X25519."""


class SealRecord(msgspec.Struct, frozen=True, array_like=True):
    """How the content key was wrapped for one validator; signed, so that nobody changes it.

    Attributes:
        reader: Address of the validator.
        kind: Number of a `SealKind`.
        key_id: 16 bytes of the quantum-distributed key's UUID; empty without one.
        claim: What that key may be claimed to be, see `provenance.Claim`; 0 without one.
    """

    reader: bytes
    kind: int
    key_id: bytes
    claim: int


class Draft(msgspec.Struct, frozen=True, array_like=True, kw_only=True, dict=True):
    """What is signed.

    Attributes:
        chain: Chain id, 32 bytes.
        sender: Address that pays and whose nonce is used.
        nonce: Transactions of the sender before this one.
        valid_until: Last height at which a block may hold it.
        fee: Paid for being in a block, whatever comes of it; smallest unit of the native asset.
        salt: 16 random bytes.
        operations: 1 to 16, carried out in order, all or none.
        memo: Up to 512 bytes for whoever can open the transaction; the ledger does not read it.
        seals: How it travels; empty if it does not travel sealed.
    """

    chain: bytes
    sender: bytes
    nonce: int
    valid_until: int
    fee: int
    salt: bytes
    operations: tuple[Operation, ...]
    memo: bytes = b""
    seals: tuple[SealRecord, ...] = ()

    def to_bytes(self) -> bytes:
        """The canonical bytes: what is signed and hashed; made once."""
        found: bytes | None = self.__dict__.get("encoded")
        if found is None:
            found = self.__dict__["encoded"] = codec.encode(self)
        return found

    @property
    def id(self) -> bytes:
        """The transaction's id, 32 bytes; signatures are no part of it."""
        found: bytes | None = self.__dict__.get("digest")
        if found is None:
            found = self.__dict__["digest"] = digest.named(_ID_NAME, self.to_bytes())
        return found

    @cached_property
    def gas_limit(self) -> int:
        """The most gas that all operations may use together."""
        return sum(part.gas for part in self.operations if isinstance(part, METERED))

    @cached_property
    def source_bytes(self) -> int:
        """Bytes of the sources that it brings, which every node compiles."""
        brings = (operations.Deploy, operations.Upgrade)
        return sum(len(part.source) for part in self.operations if isinstance(part, brings))


class Authorisation(msgspec.Struct, frozen=True, array_like=True):
    """One account's signature.

    Attributes:
        signer: Its address.
        key: Its key with the algorithm's byte where the chain does not know it yet, else empty.
        signature: The algorithm's byte, then the signature of the draft.
    """

    signer: bytes
    key: bytes
    signature: bytes


class SignedTransaction(msgspec.Struct, frozen=True, array_like=True):
    """A draft with the signatures of its sender, first, and of others who give something away."""

    draft: Draft
    authorisations: tuple[Authorisation, ...]

    def to_bytes(self) -> bytes:
        """The canonical bytes: a block's entry, and the leaf of its tree."""
        return codec.encode(self)

    @property
    def id(self) -> bytes:
        """The draft's id."""
        return self.draft.id

    @property
    def signers(self) -> tuple[bytes, ...]:
        """Addresses of all who signed, the sender first."""
        return tuple(authorisation.signer for authorisation in self.authorisations)


def sign(draft: Draft, signer: bytes, key: SigningKey, *, shown: Shown) -> Authorisation:
    """One account's signature of a draft.

    Args:
        draft: What it signs.
        signer: Its address, which need not be that of the key: keys rotate.
        key: Its present key.
        shown: The key's public half where the chain does not know it, else None.
    """
    return Authorisation(
        signer,
        b"" if shown is None else shown.to_bytes(),
        key.sign(draft.to_bytes(), context=SIGNATURE_CONTEXT),
    )


Shown: TypeAlias = VerifyingKey | None
"""A public key that goes with a signature, None where the chain knows it."""


def rotation(account: bytes, new: SigningKey, *, chain: bytes) -> RotateKey:
    """The operation that gives an account another key, with the proof that somebody holds it."""
    proof = new.sign(chain + account, context=ROTATION_CONTEXT)
    return RotateKey(new.verifying_key.to_bytes(), proof)


def decode(data: bytes) -> SignedTransaction:
    """The transaction in these bytes, statically checked; that of a recent call is remembered.

    Raises:
        InvalidTransaction: Not canonical, or a field outside its range.
    """
    return _remembered(data) if len(data) <= REMEMBERED_BYTES_MAX else _decode(data)


def _decode(data: bytes) -> SignedTransaction:
    if len(data) > TRANSACTION_BYTES_MAX:
        raise _fault(TransactionFault.MALFORMED, f"{len(data)} bytes; {TRANSACTION_BYTES_MAX} fit")
    try:
        signed: SignedTransaction = codec.decode(data, SignedTransaction)
    except RemoteMisuse as error:
        raise _fault(TransactionFault.MALFORMED, str(error)) from error
    check(signed)
    return signed


_remembered = lru_cache(maxsize=REMEMBERED_MAX)(_decode)


def check(signed: SignedTransaction) -> None:
    """Return if a transaction holds together without any state; signatures are not looked at.

    Raises:
        InvalidTransaction: A field outside its range, an amount that is none, a leg from an
            account to itself, a signer missing, too many or twice.
    """
    draft = signed.draft
    _need(len(draft.chain) == ID_BYTES, "a chain id of {} bytes", len(draft.chain))
    _need(len(draft.sender) == ID_BYTES, "a sender of {} bytes", len(draft.sender))
    _need(len(draft.salt) == SALT_BYTES, "a salt of {} bytes", len(draft.salt))
    _need(len(draft.memo) <= MEMO_BYTES_MAX, "a memo of {} bytes", len(draft.memo))
    for name, count in (
        ("nonce", draft.nonce),
        ("last height", draft.valid_until),
        ("fee", draft.fee),
    ):
        _need(0 <= count <= COUNT_MAX, "{} {}", name, count)
    _need(
        1 <= len(draft.operations) <= OPERATIONS_MAX,
        "{} operations; 1 to {} fit",
        len(draft.operations),
        OPERATIONS_MAX,
    )
    for operation in draft.operations:
        operations.check(operation)
    check_seals(draft.seals)
    _check_signers(signed)


def check_seals(seals: tuple[SealRecord, ...]) -> None:
    """Return if seals are within their ranges, in order; raises InvalidTransaction."""
    _need(len(seals) <= READERS_MAX, "{} readers", len(seals))
    readers = [seal.reader for seal in seals]
    _need(sorted(set(readers)) == readers, "readers that are not in ascending order, or twice")
    for seal in seals:
        _need(len(seal.reader) == ID_BYTES, "a reader of {} bytes", len(seal.reader))
        _need(len(seal.key_id) in {0, KEY_ID_BYTES}, "a key id of {} bytes", len(seal.key_id))
        _need(seal.kind in set(SealKind), "a seal of kind {}", seal.kind)
        _need(
            (seal.kind == SealKind.PQ) == (not seal.key_id), "a seal whose key is missing or extra"
        )
        _need(seal.claim in set(Claim), "claim {}", seal.claim)
        _need(bool(seal.key_id) or seal.claim == 0, "claim {} of no key", seal.claim)


def _check_signers(signed: SignedTransaction) -> None:
    """The sender first, then in ascending order exactly those whose assets or say are needed."""
    draft, signers = signed.draft, signed.signers
    if not signers or signers[0] != draft.sender:
        raise _fault(TransactionFault.SIGNER_MISSING, "the first signature is the sender's")
    others = signers[1:]
    if len(others) >= SIGNERS_MAX or sorted(set(others)) != list(others):
        detail = f"{len(others)} more signers, which must be in ascending order and distinct"
        raise _fault(TransactionFault.SIGNER_UNNEEDED, detail)
    required = {address for part in draft.operations for address in operations.givers(part)}
    required.discard(draft.sender)
    if missing := sorted(required - set(others)):
        raise _fault(TransactionFault.SIGNER_MISSING, f"{missing[0].hex()} gives, without signing")
    unneeded = sorted(set(others) - required)
    if draft.sender in others or (unneeded and not _takes_more(draft)):
        shown = unneeded[0] if unneeded else draft.sender
        raise _fault(TransactionFault.SIGNER_UNNEEDED, f"{shown.hex()} signs without need")


def _takes_more(draft: Draft) -> bool:
    """Whether other accounts may sign although they give nothing: validators, to a change."""
    return any(isinstance(part, operations.ChangeValidators) for part in draft.operations)


def verify(authorisation: Authorisation, message: bytes, key: VerifyingKey) -> None:
    """Return if a signature of a draft's canonical bytes is that of this key.

    Raises:
        InvalidTransaction: Another algorithm, or a signature that does not fit.
    """
    if authorisation.signature[:1] != bytes([key.algorithm.value]):
        detail = f"the account's key is of {key.algorithm.name}"
        raise _fault(TransactionFault.ALGORITHM, detail)
    try:
        key.verify(message, authorisation.signature, context=SIGNATURE_CONTEXT)
    except BadSignature as error:
        raise _fault(TransactionFault.SIGNATURE, str(error)) from error


def _need(condition: bool, message: str, *values: object) -> None:  # noqa: FBT001 - reads as a sentence
    """The message is made only where it is needed: each transaction comes through here."""
    if not condition:
        raise _fault(TransactionFault.MALFORMED, message.format(*values))


def _fault(reason: TransactionFault, detail: str) -> InvalidTransaction:
    return InvalidTransaction(reason, detail)

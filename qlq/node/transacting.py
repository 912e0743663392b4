"""One account's transaction on this home's ledger: built, sealed, submitted, final.

    order -> draft (nonce, expiry, salt, how it is sealed) -> signed -> sealed for all validators
      -> validator.submit_sealed -> a block -> receipt

A quantum-distributed key seals one transaction and is used up on both sides. Which kind of seal
was used is signed, recorded on the chain and told.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from qlq.config import Settings
from qlq.crypto.kem import EncapsulationKey
from qlq.crypto.signing import SigningKey
from qlq.errors import ConfigError, InvalidTransaction, KeysExhausted
from qlq.faults import TransactionFault
from qlq.ledger import (
    address,
    admission,
    execution,
    holdings,
    operations,
    sealing,
    transaction,
    transition,
)
from qlq.ledger.genesis import PolicyKind
from qlq.ledger.operations import Operation
from qlq.ledger.receipt import Receipt
from qlq.ledger.sealing import CONTENT_KEY_BYTES, Reader
from qlq.ledger.transaction import SALT_BYTES, Draft, SealKind, SignedTransaction
from qlq.node.chains import NodeKeys
from qlq.node.link_keys import LinkKeys
from qlq.node.validator import Validator
from qlq.provenance import Claim

VALID_HEIGHTS = 1000
"""For how many heights a transaction is valid from now on, if the chain allows it."""

Tell = Callable[[str], None]
Unlock = Callable[[], AbstractContextManager[SigningKey]]


SEAL_WORDS = {SealKind.QKD: "qkd", SealKind.QKD_AND_PQ: "qkd+pq", SealKind.PQ: "pq"}


class SealPolicy(StrEnum):
    """How a sender wants its transaction sealed."""

    QKD = "qkd"
    """With a quantum-distributed key, or not at all."""
    PQ = "pq"
    """With the post-quantum hybrid; keeps the quantum-distributed keys."""
    AUTO = "auto"
    """With a quantum-distributed key where there is one, else with the hybrid, and said so."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends.

    Attributes:
        name: For people.
        address: Of the account.
        unlock: Opens its present signing key for one signature.
    """

    name: str
    address: bytes
    unlock: Unlock


@dataclass(frozen=True, slots=True)
class Wish:
    """What a transaction is to do.

    Attributes:
        operations: In order.
        memo: Bytes for whoever can open it.
        seal: How it travels.
        fee: Native units; None offers the least that the chain takes.
    """

    operations: tuple[Operation, ...]
    memo: bytes = b""
    seal: SealPolicy = SealPolicy.AUTO
    fee: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction in a final block.

    Attributes:
        transaction: Its id.
        height: Of the block.
        index: Its place there.
        receipt: What came of it.
        kind: How it was sealed for this home's validator; None for one of the node's own, which
            does not travel.
        key_id: UUID text of the link key; None without one.
        claim: What that key may be claimed to be, in words; None without one.
    """

    transaction: bytes
    height: int
    index: int
    receipt: Receipt
    kind: SealKind | None
    key_id: str | None
    claim: str | None


def send(validator: Validator, sender: Sender, wish: Wish, settings: Settings, tell: Tell) -> Sent:
    """Make one transaction final.

    Args:
        validator: This home's, opened.
        sender: Whose.
        wish: What it does.
        settings: Where the home's link keys are.
        tell: Is told in words what happens.

    Raises:
        InvalidTransaction: It is refused before any block has it, or would have no effect there;
            no link key was used up.
        KeysExhausted: A quantum-distributed key is wanted and there is none.
        ConfigError, LedgerError: The ledger cannot be written.
    """
    draft = _draft(validator, sender.address, wish)
    _check(validator, draft)
    with sender.unlock() as key:  # before a link key is used up: the passphrase may be a wrong one
        readers = _readers(validator, wish.seal, settings, tell)
        draft = msgspec.structs.replace(draft, seals=sealing.records(readers))
        signed = _signed(validator, draft, key)
    content_key = os.urandom(CONTENT_KEY_BYTES)
    envelope = sealing.seal(signed, readers, content_key=content_key).to_bytes()
    validator.submit_sealed(envelope, peer="")
    return _final(validator, draft)


def send_own(validator: Validator, keys: NodeKeys, *wanted: Operation) -> Sent:
    """Make one transaction of this node's own account final; it is not sealed: it stays here.

    Raises:
        InvalidTransaction: It is refused, or would have no effect.
    """
    draft = _draft(validator, keys.address, Wish(wanted))
    _check(validator, draft)
    authorisation = transaction.sign(draft, keys.address, keys.signing, shown=None)
    validator.submit(SignedTransaction(draft, (authorisation,)).to_bytes(), peer="")
    return _final(validator, draft)


def enrol(validator: Validator, keys: NodeKeys, account: bytes) -> Sent:
    """Let an account send, where the chain has quotas and this node administers it.

    Raises:
        InvalidTransaction: This node may not.
    """
    return send_own(validator, keys, operations.Enrol(account))


def needs_enrolment(validator: Validator, account: bytes) -> bool:
    """Whether the chain has quotas and does not know this account."""
    is_unknown = holdings.find_account(validator.state, account) is None
    return is_unknown and validator.rules.genesis.policy.kind is PolicyKind.QUOTA


def publish_pulse(validator: Validator, keys: NodeKeys, pulse: bytes) -> Sent:
    """Put the beacon's next pulse on the chain, from this node's own account.

    Raises:
        InvalidTransaction: It does not continue the chain's beacon, or the chain has none.
    """
    return send_own(validator, keys, operations.PublishPulse(pulse))


def _draft(validator: Validator, account: bytes, wish: Wish) -> Draft:
    """A draft with the account's next nonce, not sealed yet."""
    rules = validator.rules.genesis
    known = holdings.find_account(validator.state, account)
    height = validator.tip.height
    confirmed = 0 if known is None else known.nonce
    return Draft(
        chain=validator.rules.chain,
        sender=account,
        nonce=validator.waiting.next_nonce(account, confirmed),
        valid_until=height + min(VALID_HEIGHTS, rules.limits.expiry_max),
        fee=rules.policy.fee_min if wish.fee is None else wish.fee,
        salt=os.urandom(SALT_BYTES),
        operations=wish.operations,
        memo=wish.memo,
    )


def _check(validator: Validator, draft: Draft) -> None:
    """Refuse early what no block would hold or give an effect, before a link key is used up.

    What a contract does may hang on the block's time, and is paid for by its gas: it is not
    tried.
    """
    validator.check_seat()
    for operation in draft.operations:
        operations.check(operation)
    if len(draft.memo) > transaction.MEMO_BYTES_MAX:
        raise ConfigError(
            f"a memo has at most {transaction.MEMO_BYTES_MAX} bytes, not {len(draft.memo)}"
        )
    rules = validator.rules.genesis
    account = admission.find_sender(validator.state, draft.sender)
    admission.check_funds(account, draft, rules.policy, rules.limits)
    if not draft.gas_limit:
        height = validator.tip.height + 1
        transition.foresee(validator.state, draft, height=height, rules=validator.rules)


def _signed(validator: Validator, draft: Draft, key: SigningKey) -> SignedTransaction:
    """The draft with its sender's signature, and the key where the chain does not know it."""
    known = holdings.find_account(validator.state, draft.sender)
    shown = key.verifying_key if known is None or not known.key else None
    return SignedTransaction(draft, (transaction.sign(draft, draft.sender, key, shown=shown),))


def _readers(
    validator: Validator, policy: SealPolicy, settings: Settings, tell: Tell
) -> tuple[Reader, ...]:
    """All validators, this home's with a link key where the policy wants one and there is one."""
    readers = []
    for member in execution.read_validators(validator.state).current.members:
        key = EncapsulationKey.from_bytes(member.encapsulation_key)
        link = None
        if policy is not SealPolicy.PQ and member.address == validator.address:
            link = LinkKeys(settings).take()
        if policy is not SealPolicy.PQ and link is None:
            _lacks_key(policy, member.address, tell)
        readers.append(Reader(member.address, key, link))
    return tuple(readers)


def _lacks_key(policy: SealPolicy, validator: bytes, tell: Tell) -> None:
    """Refuse, or say that the hybrid seals in place of a quantum-distributed key."""
    lack = f"no quantum-distributed key is shared with validator {address.to_text(validator)}"
    if policy is SealPolicy.QKD:
        raise KeysExhausted(f"{lack}: qlq qkd run makes one, --seal pq seals without")
    tell(f"{lack}: sealed by ML-KEM-768 and X25519 alone (classical, computational)")


def _final(validator: Validator, draft: Draft) -> Sent:
    """Make the block that holds a submitted transaction."""
    wanted = draft.id
    made, refusals = validator.make_block()
    for refusal in refusals:
        if refusal.transaction == wanted:
            raise refusal.error
    for one in made:
        if wanted in one.outcome.ids:
            index = one.outcome.ids.index(wanted)
            receipt = one.outcome.receipts[index]
            return _told(draft, one.block.header.height, index, receipt)
    raise InvalidTransaction(TransactionFault.BLOCK_FULL, f"{wanted.hex()} waits")


def _told(draft: Draft, height: int, index: int, receipt: Receipt) -> Sent:
    seal = draft.seals[0] if draft.seals else None
    has_key = seal is not None and bool(seal.key_id)
    return Sent(
        transaction=receipt.transaction,
        height=height,
        index=index,
        receipt=receipt,
        kind=None if seal is None else SealKind(seal.kind),
        key_id=str(uuid.UUID(bytes=seal.key_id)) if seal is not None and has_key else None,
        claim=Claim(seal.claim).label if seal is not None and has_key else None,
    )

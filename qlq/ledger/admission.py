"""Whether a transaction may be in the next block: every check that reads the state.

Cheap ones first: an unknown sender costs one lookup and no signature check. Signatures are not
verified here; `Need` says which ones have to be, and under which keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import lru_cache

from qlq.contracts.gas import BLOCK_SOURCE_MAX
from qlq.crypto.signing import VerifyingKey
from qlq.errors import InvalidTransaction, RemoteMisuse
from qlq.faults import TransactionFault
from qlq.ledger import address, holdings, records, transaction
from qlq.ledger.genesis import Genesis, Limits, Policy
from qlq.ledger.records import Account, ValidatorRecord
from qlq.ledger.state import View
from qlq.ledger.transaction import Authorisation, Draft, SealKind, SignedTransaction
from qlq.provenance import Claim

KEYS_REMEMBERED_MAX = 4096
GAS_UNIT = 1000
"""The gas price is for so much gas."""


@dataclass(frozen=True, slots=True)
class Need:
    """A signature that has to verify.

    Attributes:
        key: The key's bytes, the algorithm's first.
        message: What was signed.
        authorisation: The signature.
    """

    key: bytes
    message: bytes
    authorisation: Authorisation


Verify = Callable[[Need], None]
"""Returns if the signature fits; raises InvalidTransaction."""


def verify(need: Need) -> None:
    """Return if a signature fits its key.

    Raises:
        InvalidTransaction: No key, another algorithm, or a signature that does not fit.
    """
    try:
        key = _verifying_key(need.key)
    except RemoteMisuse as error:
        raise InvalidTransaction(TransactionFault.KEY_MISMATCH, str(error)) from error
    transaction.verify(need.authorisation, need.message, key)


_verifying_key = lru_cache(maxsize=KEYS_REMEMBERED_MAX)(VerifyingKey.from_bytes)


def check(
    view: View, signed: SignedTransaction, *, height: int, chain: bytes, rules: Genesis
) -> tuple[Need, ...]:
    """The signatures that have to verify, if everything else allows the transaction in a block.

    Args:
        view: The state that it would be carried out on.
        signed: Statically checked.
        height: Of the block that it would be in.
        chain: This chain's id.
        rules: This chain's genesis.

    Raises:
        InvalidTransaction: It may not be in that block.
    """
    check_nonce(find_sender(view, signed.draft.sender), signed.draft.nonce)
    return check_waiting(view, signed, height=height, chain=chain, rules=rules)


def check_waiting(
    view: View, signed: SignedTransaction, *, height: int, chain: bytes, rules: Genesis
) -> tuple[Need, ...]:
    """`check` of a transaction that may still have to wait for earlier ones of its sender."""
    draft = signed.draft
    check_expiry(draft.chain, draft.valid_until, height=height, chain=chain, limits=rules.limits)
    check_funds(find_sender(view, draft.sender), draft, rules.policy, rules.limits)
    _check_seals(view, draft)
    message = draft.to_bytes()
    return tuple(
        Need(_key_of(view, authorisation), message, authorisation)
        for authorisation in signed.authorisations
    )


def foresee(
    view: View, entries: Iterable[bytes], shown: MutableMapping[bytes, bytes]
) -> Iterator[Need]:
    """Signatures that will probably have to verify, so that it can be done ahead of time.

    Those under keys that change before their turn are not among them, or are in vain.

    Args:
        view: A state some blocks before.
        entries: Of a block.
        shown: Keys by address that were shown since that state; those that the entries show are
            added.
    """
    for entry in entries:
        try:
            signed = transaction.decode(entry)
        except InvalidTransaction:
            continue
        message = signed.draft.to_bytes()
        for authorisation in signed.authorisations:
            signer = authorisation.signer
            if authorisation.key:
                shown[signer] = authorisation.key
            account = holdings.find_account(view, signer)
            known = account.key if account else b""
            if key := known or shown.get(signer, b""):
                yield Need(key, message, authorisation)


def check_expiry(
    named: bytes, valid_until: int, *, height: int, chain: bytes, limits: Limits
) -> None:
    """Return if a transaction is for this chain, and valid at this height, but not for too long.

    Raises:
        InvalidTransaction: It is not.
    """
    if named != chain:
        detail = f"made for chain {named.hex()[:16]}, this is {chain.hex()[:16]}"
        raise InvalidTransaction(TransactionFault.CHAIN, detail)
    if valid_until < height:
        detail = f"valid until height {valid_until}, and this is {height}: sign another one"
        raise InvalidTransaction(TransactionFault.EXPIRED, detail)
    if valid_until > height + limits.expiry_max:
        detail = f"valid until height {valid_until}; at most {limits.expiry_max} from {height}"
        raise InvalidTransaction(TransactionFault.EXPIRY_TOO_FAR, detail)


def find_sender(view: View, sender: bytes) -> Account:
    """The account of a sender; raises InvalidTransaction if the chain has none."""
    account = holdings.find_account(view, sender)
    if account is None:
        detail = f"{address.to_text(sender)}: enrol it, or give it something, first"
        raise InvalidTransaction(TransactionFault.UNKNOWN_SENDER, detail)
    return account


def check_nonce(sender: Account, nonce: int) -> None:
    """Return if the nonce is the sender's next; raises InvalidTransaction."""
    if nonce < sender.nonce:
        detail = f"nonce {nonce} is used, the next one is {sender.nonce}"
        raise InvalidTransaction(TransactionFault.NONCE_USED, detail)
    if nonce > sender.nonce:
        detail = f"nonce {nonce}, and {sender.nonce} is missing"
        raise InvalidTransaction(TransactionFault.NONCE_GAP, detail)


def check_funds(sender: Account, draft: Draft, policy: Policy, limits: Limits) -> None:
    """Return if the sender offers enough and can pay it; raises InvalidTransaction."""
    gas = draft.gas_limit
    if gas > limits.transaction_gas_max:
        detail = f"{gas} gas; one transaction has at most {limits.transaction_gas_max}"
        raise InvalidTransaction(TransactionFault.GAS_TOO_HIGH, detail)
    if (source := draft.source_bytes) > BLOCK_SOURCE_MAX:
        detail = f"{source} bytes of sources; a block takes at most {BLOCK_SOURCE_MAX}"
        raise InvalidTransaction(TransactionFault.SOURCE_TOO_LONG, detail)
    if draft.fee < policy.fee_min:
        detail = f"{draft.fee} offered, {policy.fee_min} is the least"
        raise InvalidTransaction(TransactionFault.FEE_TOO_LOW, detail)
    cost = draft.fee + gas_cost(gas, policy)
    if cost > sender.native:
        detail = f"fee and gas cost {cost}, the sender has {sender.native}"
        raise InvalidTransaction(TransactionFault.FEE_UNAFFORDABLE, detail)


def gas_cost(gas: int, policy: Policy) -> int:
    """Native units for so much gas, rounded up."""
    return -(-gas * policy.gas_price // GAS_UNIT)


@lru_cache(maxsize=8)
def _readers(validators: bytes) -> frozenset[bytes]:
    """Addresses of those who vote now or will: whoever else is named leaves state behind."""
    record = records.read(validators, ValidatorRecord)
    sets = (record.current, *([record.following] if record.following else []))
    return frozenset(member.address for one in sets for member in one.members)


def _check_seals(view: View, draft: Draft) -> None:
    """Return if all are for validators, no key was used before, and none does more than it may."""
    if not draft.seals:
        return
    readers = _readers(view.get(records.VALIDATORS) or b"")
    for seal in draft.seals:
        if seal.reader not in readers:
            detail = f"sealed for {address.to_text(seal.reader)}, which is no validator"
            raise InvalidTransaction(TransactionFault.SEAL_POLICY, detail)
        if seal.kind == SealKind.QKD and seal.claim < Claim.TWO_NODE:
            detail = "a key below claim two-node never protects anything alone"
            raise InvalidTransaction(TransactionFault.SEAL_POLICY, detail)
        used = records.seal_key(seal.reader, draft.sender, seal.key_id)
        if seal.key_id and view.get(used) is not None:
            detail = f"key {seal.key_id.hex()} has sealed a transaction before"
            raise InvalidTransaction(TransactionFault.SEAL_KEY_REUSED, detail)


def _key_of(view: View, authorisation: Authorisation) -> bytes:
    """The key that a signature must be of: the chain's, or at first the one that is shown."""
    signer, shown = authorisation.signer, authorisation.key
    account = find_sender(view, signer)
    if account.key:
        if shown and shown != account.key:
            detail = f"the chain knows another key of {address.to_text(signer)}"
            raise InvalidTransaction(TransactionFault.KEY_MISMATCH, detail)
        return account.key
    if not shown:
        detail = f"{address.to_text(signer)} has not shown its key to this chain yet"
        raise InvalidTransaction(TransactionFault.KEY_MISSING, detail)
    if address.of_bytes(shown) != signer:
        detail = f"the key shown is not that of {address.to_text(signer)}"
        raise InvalidTransaction(TransactionFault.KEY_MISMATCH, detail)
    return shown

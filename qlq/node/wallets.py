"""What wallets do on this home's ledger: show, send, define, issue, burn, rotate, anchor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from qlq.config import Settings
from qlq.crypto.signing import Algorithm
from qlq.errors import ConfigError
from qlq.kme import master
from qlq.ledger import address, amounts, genesis, holdings, operations, records, transaction
from qlq.ledger.address import Kind
from qlq.ledger.operations import NATIVE, Leg, Operation, Transfer
from qlq.ledger.state import State
from qlq.node import certifying, chains, transacting
from qlq.node.chains import Beginning
from qlq.node.transacting import SEAL_WORDS, SealPolicy, Sender, Sent, Wish
from qlq.node.validator import Validator
from qlq.wallet import accounts

Tell = Callable[[str], None]
DEFAULT_NAME = "qlq"


@dataclass(frozen=True, slots=True)
class Purse:
    """Whose account acts, and what opens it.

    Attributes:
        name: In the wallet.
        passphrase: Asked for when a key is needed, once.
    """

    name: str
    passphrase: Callable[[], str]


@dataclass(frozen=True, slots=True)
class AssetFacts:
    """An asset as people name it."""

    id: bytes
    symbol: str
    decimals: int


def need_ledger(settings: Settings) -> None:
    """Return if a home has a ledger; only a first asset or contract begins one by itself.

    Raises:
        ConfigError: It has none.
    """
    if not chains.exists(settings):
        raise ConfigError(
            f"no ledger in {chains.folder(settings)}: qlq ledger init begins one, and so does the "
            "first qlq asset define"
        )


def need_own_passphrase(settings: Settings) -> None:
    """Return if the wallet's passphrase seals the wallet alone, so that it may change by itself.

    Raises:
        ConfigError: Other stores of the home are sealed with it, or would be.
    """
    if (settings.home / master.SALT_FILE).exists():
        raise ConfigError(
            f"QLQ_PASSPHRASE seals the other stores of {settings.home}, too, and they would keep "
            "it: begin a new home with another passphrase, and bring the accounts there by their "
            "words (qlq wallet backup, qlq wallet restore)"
        )
    if settings.passphrase is not None:
        raise ConfigError(
            "QLQ_PASSPHRASE is set, and what it says seals this home's other stores, too, once "
            "there are any: unset it, and type the wallet's passphrases"
        )


@contextmanager
def ledger(settings: Settings, tell: Tell) -> Iterator[Validator]:
    """The home's validator; a home without a ledger begins one with the default rules.

    For what a ledger may begin with: an asset, a contract. Others need one, see `need_ledger`.

    Raises:
        ConfigError, LedgerDamaged, LedgerError: It cannot be used.
    """
    if not chains.exists(settings):
        beacon = certifying.open_signer(settings).verifying_key
        default = Beginning(DEFAULT_NAME, genesis.QUOTAS, genesis.Limits(), beacon, 0)
        made = chains.begin(default, settings)
        tell(
            f"began the ledger {made.chain.hex()[:16]}… in {chains.folder(settings)}: this node is "
            "its validator and administrator"
        )
    with chains.opened(settings) as validator:
        yield validator


def record(
    purse: Purse | None, operation: Operation, settings: Settings, tell: Tell
) -> dict[str, Any]:
    """Something that moves no asset, final: of an account, or with None of the node's own.

    Raises:
        ConfigError, InvalidTransaction: See `act`.
    """
    need_ledger(settings)
    if purse is not None:
        accounts.find(settings.home, purse.name)
    with chains.opened(settings) as validator:
        if purse is None:
            sent = transacting.send_own(validator, chains.open_keys(settings), operation)
        else:
            wish = Wish((operation,), seal=SealPolicy.PQ)
            sent = act(purse, wish, validator, settings, tell)
    return document(sent)


def act(
    purse: Purse,
    wish: Wish,
    validator: Validator,
    settings: Settings,
    tell: Tell,
) -> Sent:
    """One transaction of an account of this home, final.

    Raises:
        InvalidTransaction: Refused.
        ConfigError: No such account, or another passphrase.
        KeysExhausted: A quantum-distributed key is wanted and there is none.
    """
    account = accounts.find(settings.home, purse.name)
    purse = Purse(purse.name, cache(purse.passphrase))
    if transacting.needs_enrolment(validator, account.address):
        with _unlock(settings, purse):  # nobody is enrolled under a wrong passphrase
            pass
        transacting.enrol(validator, chains.open_keys(settings), account.address)
        tell(f"enrolled {purse.name} ({address.to_text(account.address)}) on this ledger")
    unlock = partial(_unlock, settings, purse)
    sender = Sender(purse.name, account.address, unlock)
    return transacting.send(validator, sender, wish, settings, tell)


@contextmanager
def _unlock(settings: Settings, purse: Purse) -> Iterator[Any]:
    with accounts.unlocked(settings.home, purse.name, purse.passphrase()) as key:
        yield key


def send(
    purse: Purse,
    *,
    to: str,
    asset: str,
    amount: str,
    wish: Wish,
    settings: Settings,
    tell: Tell,
) -> dict[str, Any]:
    """Move an amount to an account; the document of `wallet send`.

    Args:
        purse: Who pays.
        to: An address, or the name of an account of this home.
        asset: A symbol.
        amount: Decimal text.
        wish: Memo, seal and fee; its operations are replaced.
        settings: Of the home.
        tell: Is told in words what happens.

    Raises:
        ConfigError: An address, symbol or amount that is none.
        InvalidTransaction, KeysExhausted: See `act`.
    """
    source = accounts.find(settings.home, purse.name).address
    target = resolve(to, settings)
    need_ledger(settings)
    with chains.opened(settings) as validator:
        facts = find_asset(validator.state, asset)
        units = amounts.parse(amount, facts.decimals)
        if transacting.needs_enrolment(validator, target) and is_own(target, settings):
            transacting.enrol(validator, chains.open_keys(settings), target)
            tell(f"enrolled {to} on this ledger")
        moved = Transfer((Leg(source, target, facts.id, units),))
        sent = act(purse, _with(wish, moved), validator, settings, tell)
    return {**document(sent), "asset": facts.symbol, "amount": amounts.show(units, facts.decimals)}


def define(
    purse: Purse,
    symbol: str,
    *,
    decimals: int,
    cap: str | None,
    settings: Settings,
    tell: Tell,
) -> dict[str, Any]:
    """A new asset with the account as its issuer; the document of `asset define`."""
    units = operations.AMOUNT_MAX if cap is None else amounts.parse(cap, decimals)
    operation = operations.DefineAsset(symbol, decimals, units)
    operations.check(operation)
    accounts.find(settings.home, purse.name)
    asked = Purse(purse.name, cache(purse.passphrase))
    if not chains.exists(settings):
        with _unlock(settings, asked):  # a ledger is begun for an account that can sign only
            pass
    with ledger(settings, tell) as validator:
        sent = act(asked, Wish((operation,), seal=SealPolicy.PQ), validator, settings, tell)
    made = records.asset_id(sent.transaction, 0)
    return {"asset_id": address.to_text(made, Kind.ASSET), **document(sent)}


def issue(
    symbol: str,
    *,
    amount: str,
    to: str,
    passphrase: Callable[[], str],
    settings: Settings,
    tell: Tell,
) -> dict[str, Any]:
    """New units for an account; the issuer is the account of this home that defined the asset."""
    target = resolve(to, settings)
    need_ledger(settings)
    with chains.opened(settings) as validator:
        facts = find_asset(validator.state, symbol)
        issuer = holdings.find_asset(validator.state, facts.id).issuer
        owner = next((a for a in accounts.listed(settings.home) if a.address == issuer), None)
        if owner is None:
            raise ConfigError(
                f"{symbol} is issued by {address.to_text(issuer)}, which is no account of this home"
            )
        if transacting.needs_enrolment(validator, target) and is_own(target, settings):
            transacting.enrol(validator, chains.open_keys(settings), target)
            tell(f"enrolled {to} on this ledger")
        units = amounts.parse(amount, facts.decimals)
        wish = Wish((operations.Issue(facts.id, target, units),), seal=SealPolicy.PQ)
        return document(act(Purse(owner.name, passphrase), wish, validator, settings, tell))


def burn(purse: Purse, symbol: str, amount: str, settings: Settings, tell: Tell) -> dict[str, Any]:
    """Units of the account's that cease to exist."""
    accounts.find(settings.home, purse.name)
    need_ledger(settings)
    with chains.opened(settings) as validator:
        facts = find_asset(validator.state, symbol)
        units = amounts.parse(amount, facts.decimals)
        wish = Wish((operations.Burn(facts.id, units),), seal=SealPolicy.PQ)
        return document(act(purse, wish, validator, settings, tell))


def rotate(purse: Purse, algorithm: Algorithm, settings: Settings, tell: Tell) -> dict[str, Any]:
    """Another key for an account: kept beside the old one, on the chain, then in its place."""
    need_ledger(settings)
    passphrase = purse.passphrase()
    account, new = accounts.begin_rotation(settings.home, purse.name, algorithm, passphrase)
    asked = Purse(purse.name, lambda: passphrase)
    with chains.opened(settings) as validator:
        known = holdings.find_account(validator.state, account.address)
        if known is not None and known.key == new.verifying_key.to_bytes():
            accounts.finish_rotation(settings.home, purse.name, passphrase)
            names = ("tx_id", "height", "status", "reason", "fee", "sealed_with")
            nothing = dict.fromkeys(names)  # the chain has the key: an earlier command was cut off
            return {"name": purse.name, "algorithm": algorithm.word, **nothing}
        change = transaction.rotation(account.address, new, chain=validator.rules.chain)
        sent = act(asked, Wish((change,), seal=SealPolicy.PQ), validator, settings, tell)
    if sent.receipt.reason is None:
        accounts.finish_rotation(settings.home, purse.name, passphrase)
    return {"name": purse.name, "algorithm": algorithm.word, **document(sent)}


def enrol(text: str, settings: Settings) -> dict[str, Any]:
    """Let an account send and receive on a chain with quotas; the document of `ledger enrol`.

    Args:
        text: An address, or the name of an account of this home.
        settings: Of a home whose node is an administrator of its chain.

    Raises:
        ConfigError: No address, or no ledger.
        InvalidTransaction: It is enrolled already, or this node may not.
    """
    account = resolve(text, settings)
    need_ledger(settings)
    with chains.opened(settings) as validator:
        sent = transacting.enrol(validator, chains.open_keys(settings), account)
    return {"address": address.to_text(account), **document(sent)}


def show(name: str, settings: Settings) -> dict[str, Any]:
    """An account's address, nonce and balances; the document of `wallet show`."""
    account = accounts.find(settings.home, name)
    shown: dict[str, Any] = {
        "name": name,
        "address": address.to_text(account.address),
        "algorithm": account.algorithm.word,
        "nonce": 0,
        "enrolled": False,
        "balances": {},
    }
    if not chains.exists(settings):
        return shown
    with chains.opened(settings) as validator:
        known = holdings.find_account(validator.state, account.address)
        if known is not None:
            shown["nonce"], shown["enrolled"] = known.nonce, True
        shown["balances"] = balances(validator.state, account.address)
    return shown


def balances(state: State, account: bytes) -> dict[str, str]:
    """What an account holds, by symbol, as decimal text; nothing that it has none of."""
    found = {}
    native = holdings.balance(state, account, NATIVE)
    if native:
        found[genesis.NATIVE_SYMBOL] = amounts.show(native, genesis.NATIVE_DECIMALS)
    prefix = records.balance_key(account, b"")
    for key, value in state.items():
        if key.startswith(prefix):
            asset = holdings.find_asset(state, key[len(prefix) :])
            found[asset.symbol] = amounts.show(records.read_integer(value), asset.decimals)
    return found


def resolve(text: str, settings: Settings) -> bytes:
    """The address that a text or the name of an account of this home stands for."""
    for account in accounts.listed(settings.home):
        if account.name == text:
            return account.address
    try:
        return address.from_text(text)
    except ConfigError as error:
        known = ", ".join(a.name for a in accounts.listed(settings.home)) or "none yet"
        raise ConfigError(
            f"{text!r} is neither an address ({error}) nor an account of this home ({known})"
        ) from error


def is_own(account: bytes, settings: Settings) -> bool:
    """Whether an address is one of this home's accounts."""
    return any(one.address == account for one in accounts.listed(settings.home))


def find_asset(state: State, symbol: str) -> AssetFacts:
    """An asset by its symbol; raises ConfigError naming those that there are."""
    if symbol == genesis.NATIVE_SYMBOL:
        return AssetFacts(NATIVE, symbol, genesis.NATIVE_DECIMALS)
    found = state.get(records.symbol_key(symbol))
    if found is None:
        known = sorted(k[1:].decode() for k, _ in state.items() if k[:1] == records.SYMBOL)
        raise ConfigError(
            f"no asset {symbol!r} on this ledger; there are: "
            f"{', '.join([genesis.NATIVE_SYMBOL, *known])}"
        )
    return AssetFacts(found, symbol, holdings.find_asset(state, found).decimals)


def document(sent: Sent) -> dict[str, Any]:
    """What scripts read of a transaction that is in a block."""
    reason = sent.receipt.reason
    return {
        "tx_id": sent.transaction.hex(),
        "height": sent.height,
        "status": sent.receipt.status.name.lower(),
        "reason": None if reason is None else reason.word,
        "fee": amounts.show(sent.receipt.fee, genesis.NATIVE_DECIMALS),
        "sealed_with": None
        if sent.kind is None
        else {"kind": SEAL_WORDS[sent.kind], "key_id": sent.key_id, "claim": sent.claim},
    }


def _with(wish: Wish, *what: Operation) -> Wish:
    return Wish(what, wish.memo, wish.seal, wish.fee)

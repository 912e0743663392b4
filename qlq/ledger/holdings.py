"""Accounts and what they hold, over an overlay of the state."""

from __future__ import annotations

from functools import lru_cache

from msgspec.structs import replace

from qlq import codec
from qlq.errors import InvalidTransaction
from qlq.faults import TransactionFault
from qlq.ledger import address as addresses
from qlq.ledger import amounts, genesis, records
from qlq.ledger.genesis import PolicyKind
from qlq.ledger.operations import AMOUNT_MAX, NATIVE
from qlq.ledger.records import Account, Asset
from qlq.ledger.state import Overlay, View

REMEMBERED_MAX = 4096
"""Accounts that are remembered decoded; values, so that nothing can be out of date."""


def find_account(view: View, address: bytes) -> Account | None:
    """An account; None if there is none."""
    found = view.get(records.account_key(address))
    return None if found is None else _read_account(found)


@lru_cache(maxsize=REMEMBERED_MAX)
def _read_account(data: bytes) -> Account:
    """An account; one transaction looks at its sender's several times."""
    return records.read(data, Account)


def put_account(overlay: Overlay, address: bytes, account: Account) -> None:
    """Make or replace an account."""
    overlay.put(records.account_key(address), codec.encode(account))


def find_asset(view: View, asset: bytes) -> Asset:
    """An asset that is not native; raises InvalidTransaction if there is none."""
    found = view.get(records.asset_key(asset))
    if found is None:
        raise InvalidTransaction(TransactionFault.UNKNOWN_ASSET, f"asset {asset.hex()}")
    return records.read(found, Asset)


def balance(view: View, address: bytes, asset: bytes) -> int:
    """What an account holds of an asset, in its smallest unit; 0 for unknown ones."""
    if asset == NATIVE:
        account = find_account(view, address)
        return 0 if account is None else account.native
    found = view.get(records.balance_key(address, asset))
    return 0 if found is None else records.read_integer(found)


def debit(overlay: Overlay, address: bytes, asset: bytes, amount: int) -> None:
    """Take units from an account; raises InvalidTransaction if it has fewer."""
    held = balance(overlay, address, asset)
    if held < amount:
        has, wanted = _shown(overlay, asset, held), _shown(overlay, asset, amount)
        detail = f"{addresses.to_text(address)} has {has}, not {wanted}"
        raise InvalidTransaction(TransactionFault.INSUFFICIENT_BALANCE, detail)
    _set_balance(overlay, address, asset, held - amount)


def credit(
    overlay: Overlay, address: bytes, asset: bytes, amount: int, *, policy: PolicyKind
) -> None:
    """Give units to an account.

    Raises:
        InvalidTransaction: It is unknown on a chain with quotas, or would hold over 2^63 - 1.
    """
    if find_account(overlay, address) is None:
        if policy is not PolicyKind.FEES:
            detail = (
                f"{addresses.to_text(address)} is not enrolled: an administrator can enrol it "
                "(qlq ledger enrol)"
            )
            raise InvalidTransaction(TransactionFault.UNKNOWN_ACCOUNT, detail)
        put_account(overlay, address, Account())
    held = balance(overlay, address, asset) + amount
    if held > AMOUNT_MAX:
        raise InvalidTransaction(TransactionFault.BALANCE_OVERFLOW, f"{held} is above 2^63 - 1")
    _set_balance(overlay, address, asset, held)


def _shown(view: View, asset: bytes, amount: int) -> str:
    """An amount as people write it, for a message; that of an unknown asset in its units."""
    if asset == NATIVE:
        return f"{amounts.show(amount, genesis.NATIVE_DECIMALS)} {genesis.NATIVE_SYMBOL}"
    found = view.get(records.asset_key(asset))
    if found is None:
        return f"{amount} of asset {asset.hex()}"
    record = records.read(found, Asset)
    return f"{amounts.show(amount, record.decimals)} {record.symbol}"


def _set_balance(overlay: Overlay, address: bytes, asset: bytes, held: int) -> None:
    """Write a balance; one of 0 is no entry."""
    if asset == NATIVE:
        account = find_account(overlay, address)
        put_account(overlay, address, replace(account or Account(), native=held))
    elif held:
        overlay.put(records.balance_key(address, asset), records.write_integer(held))
    else:
        overlay.remove(records.balance_key(address, asset))

"""That a block makes no asset and loses none, whatever its transactions do."""

from __future__ import annotations

from qlq.errors import InvariantBroken
from qlq.ledger import records
from qlq.ledger.operations import NATIVE
from qlq.ledger.records import Account, Asset, Escrow
from qlq.ledger.state import Changes, View

_ASSET_HEAD = 1 + 32
"""Of a balance's key, before the asset: its kind and the account."""


def check(view: View, changes: Changes, *, height: int) -> None:
    """Return if holdings and escrows changed by what supplies did, in each asset.

    Raises:
        InvariantBroken: They did not.
    """
    difference: dict[bytes, int] = {}
    for key, value in changes.items():
        for sign, data in ((1, value), (-1, view.get(key))):
            if data is not None and (found := _counted(key, data)) is not None:
                asset, amount = found
                difference[asset] = difference.get(asset, 0) + sign * amount
    if wrong := {asset: amount for asset, amount in sorted(difference.items()) if amount}:
        asset, amount = next(iter(wrong.items()))
        raise InvariantBroken(f"block {height}: asset {asset.hex()} changed by {amount}")


def _counted(key: bytes, data: bytes) -> tuple[bytes, int] | None:
    """The asset and the amount of one entry: holdings count up, supplies down."""
    match key[:1]:
        case records.ACCOUNT:
            return NATIVE, records.read(data, Account).native
        case records.BALANCE:
            return key[_ASSET_HEAD:], records.read_integer(data)
        case records.ESCROW:
            escrow = records.read(data, Escrow)
            return escrow.asset, escrow.amount
        case records.ASSET:
            return key[1:], -records.read(data, Asset).supply
        case _:
            return None

"""Amounts as people write them: decimal text, and integers of the smallest unit."""

from __future__ import annotations

import re

from qlq.errors import ConfigError
from qlq.ledger.operations import AMOUNT_MAX

_DECIMAL = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,18}))?")


def parse(text: str, decimals: int) -> int:
    """The smallest units in a decimal text such as `12.5`.

    Args:
        text: Digits, with a point and up to `decimals` more digits if wanted; no sign, no commas.
        decimals: Places after the point that the asset has.

    Raises:
        ConfigError: It is no such text, has more places than the asset, or is 0 or above 2^63 - 1
            smallest units.
    """
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text!r} is no amount: write digits, with a point if needed, as 12.5")
    whole, part = found[1], found[2] or ""
    if len(part.rstrip("0")) > decimals:
        raise ConfigError(
            f"{text} has {len(part)} places after the point, the asset has {decimals}"
        )
    amount = int(whole + part[:decimals].ljust(decimals, "0"))
    if not 0 < amount <= AMOUNT_MAX:
        raise ConfigError(f"{text} is {amount} smallest units; 1 to {AMOUNT_MAX} can be moved")
    return amount


def show(amount: int, decimals: int) -> str:
    """The decimal text of an amount, with all places of the asset."""
    if not decimals:
        return str(amount)
    sign, digits = ("-" if amount < 0 else ""), str(abs(amount)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"

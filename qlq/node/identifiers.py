"""Ids of chains, transactions and commitments as people type them."""

from __future__ import annotations

from qlq.errors import ConfigError
from qlq.ledger.operations import ID_BYTES


def parse(text: str, what: str) -> bytes:
    """The 32 bytes in 64 hexadecimal digits.

    Args:
        text: As typed.
        what: What it should be the id of, for the message, with its article.

    Raises:
        ConfigError: It is something else.
    """
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != ID_BYTES or len(text) != 2 * ID_BYTES:
        raise ConfigError(f"{text!r} is no id of {what}: {2 * ID_BYTES} hexadecimal digits")
    return found

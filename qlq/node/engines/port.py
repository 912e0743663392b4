"""What the ledger asks of an engine: one ordered log and a way to all validators.

An engine is an untrusted courier. What it acknowledges is not final; that two validators see the
same log is checked by their votes. It carries parcels that only validators open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Engine(Protocol):
    """A log that only grows, and messages.

    Attributes:
        validators_max: Among how many validators it carries both, this one included.
    """

    validators_max: int

    def head(self) -> int:
        """Entries of the log."""

    def append(self, entry: bytes, *, expected: int) -> bool:
        """Add an entry if the log has so many; False if another one came first.

        Raises:
            LedgerError: It is not known whether the entry was added.
        """

    def follow(self, start: int) -> Iterator[bytes]:
        """Entries from this one on, as far as there are any now."""

    def send(self, message: bytes) -> None:
        """Give a message to all other validators, some day, perhaps more than once."""

    def receive(self) -> list[bytes]:
        """Messages of others that have arrived."""
